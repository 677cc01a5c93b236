"""A real Kubernetes API server and etcd on loopback, for tests, benches and the demo.

Standard library only, so that it runs before the virtual environment exists. The rooms:
`binaries` finds the programs (with `download` and `build` as the last two ways to get them),
`supervisor` is the process that owns one pair of servers, `server` is how other programs ask
for one, and `__main__` is the command line. Nothing here is part of the operator.
"""
