"""The project's processes side by side on loopback, for the demo and the benchmarks.

`processes` starts and ends them, `cluster` talks to the API server, `network` builds the guide's Azure
network that pairs are put into, `stage` is all of it. Tests have fixtures of their own in tests/support,
which start the same programs.
"""
