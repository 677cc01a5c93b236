"""The emulator's counts, sorted into what costs: writes, reads, and polls that Azure's slowness forces."""

from typing import Any

JSON = dict[str, Any]
NOT_ARM = frozenset({"signin", "metadata", "admin"})


def by_kind(view: JSON) -> dict[str, int]:
    """`writes`, `reads`, `polls` and `all` of one view of `/_emulator/requests`."""
    sorted_in = {"writes": 0, "reads": 0, "polls": 0}
    for kind, methods in view["byResourceType"].items():
        if kind.lower() in NOT_ARM:
            continue
        for method, count in methods.items():
            if kind.lower() == "operations":
                sorted_in["polls"] += count
            elif method == "GET":
                sorted_in["reads"] += count
            else:
                sorted_in["writes"] += count
    return sorted_in | {"all": sum(sorted_in.values())}
