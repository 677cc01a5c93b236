"""All that takes the cryptography library, done by a child process that ends when it is done.

The library and what it brings along would be a tenth of the node process' memory, for something that happens
a few times a year (docs/decisions/0017). `child` is how the node asks for it, in the standard library alone;
`worker` is the child's program, and the other modules are its. Nothing else in the agent may import them,
`child` and `facts` apart (import-linter sees to it).
"""
