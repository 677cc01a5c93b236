"""The processes of a node: supervisor with the health responder, and the node itself."""
