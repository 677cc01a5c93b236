"""The management API of a node (HTTPS 8443): authentication, limits, and a handler per command."""
