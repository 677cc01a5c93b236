"""All that takes the cryptography library, done by a child process that ends when it is done.

The library and what it brings along would be a tenth of the node process' memory, for something that happens
a few times a year (docs/decisions/0017). `child` is how the node asks for it, by `messages`, and `facts` is
what it gets to know: these need the standard library alone. `worker` is the child's program, and the other
modules are its; nothing else in the agent may import them (import-linter sees to it).
"""
