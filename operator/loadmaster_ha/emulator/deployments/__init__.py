"""Template deployments: the part of ARM's template language that `az` and small templates use."""
