"""Azure I/O: observe resources, apply one planned change, look at a long-running operation.

`session` is the way in for the controller; everything goes out through the one seam in `transport`.
"""
