"""Microsoft.Network: one module per resource type, and the rules that span several of them."""
