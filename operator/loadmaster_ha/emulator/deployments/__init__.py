"""Template deployments: the part of ARM's template language that `az` and small templates use.

`expressions` parses and evaluates `[...]`, `templates` turns a template with its parameters into resources
and their order, `deployments` answers the requests and carries deployments out.
"""
