"""Pure planning: what has to be written to Azure, in which order, and what stands against it.

No I/O and no clock. `pair` has the entry points; beside it there is one module per concern (`balancer`,
`interfaces`, `security_groups`, `public_address`, `prerequisites`, `removal`). Neighbours: `resources` below,
`azure` above.
"""
