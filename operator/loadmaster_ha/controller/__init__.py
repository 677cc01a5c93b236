"""The operator process: what wakes the work, one visit per pair at a time, and what users see of it.

`process` wires everything up; `pair` is the visit itself. The only package that talks to the Kubernetes
API, and the only one that knows kopf (in `watch`, and nowhere else).
"""
