"""What counts as a difference between an entry as it is and as it is wanted, told as field paths for people.

Only fields that we set are compared. Not a difference: a default that Azure filled in, another spelling of an
id or of an enumeration, the order of a list that is a set, the singular or plural form of a prefix,
`10.0.0.4/32`.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Final

from loadmaster_ha.planning.changes import Difference

# What Azure takes where a field is not given.
DEFAULTS: Final[Mapping[str, Any]] = {
    "idleTimeoutInMinutes": 4,
    "enableFloatingIP": False,
    "enableTcpReset": False,
    "disableOutboundSnat": False,
    "loadDistribution": "Default",
    "privateIPAddressVersion": "IPv4",
    "noHealthyBackendsBehavior": "AllProbedDown",
    "sourcePortRange": "*",
}


def canonical(value: Any) -> Any:
    """One form for everything that ARM holds to be the same."""
    if isinstance(value, Mapping):
        if value.get("id"):
            return str(value["id"]).strip("/").lower()
        return {str(key).lower(): canonical(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return sorted((canonical(item) for item in value), key=repr)
    if isinstance(value, str):
        return canonical_prefix(value)
    return value


def canonical_prefix(text: str) -> str:
    """An address, prefix, tag, id or word without case, and without the length of a whole address."""
    lowered = text.strip().lower()
    if "/" in lowered and not lowered.startswith("/"):
        try:
            network = ipaddress.ip_network(lowered, strict=False)
        except ValueError:
            return lowered
        return str(network.network_address) if network.num_addresses == 1 else str(network)
    return lowered


def differences(path: str, have: Mapping[str, Any], want: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Field by field, of the fields wanted: `path.field: have, should be want`."""
    found = []
    for field, wanted in want.items():
        actual = have.get(field)
        if actual is None:
            actual = DEFAULTS.get(field)
        if canonical(actual) != canonical(wanted):
            found.append(Difference(f"{path}.{field}", readable(actual), readable(wanted)))
    return tuple(found)


def readable(value: Any) -> Any:
    """A value as a person would write it: a reference by its name, a list with commas."""
    if isinstance(value, Mapping) and value.get("id"):
        return str(value["id"]).rsplit("/", 1)[-1]
    if isinstance(value, list | tuple):
        return ", ".join(str(readable(item)) for item in value)
    return value


def tag_differences(have: Mapping[str, str], want: Mapping[str, str]) -> tuple[Difference, ...]:
    """Tags that are missing or have another value; tags beside them are others' business."""
    lowered = {key.lower(): value for key, value in have.items()}
    return tuple(
        Difference(f"tags[{name}]", lowered.get(name.lower()), value)
        for name, value in sorted(want.items())
        if lowered.get(name.lower()) != value
    )


def merged_tags(have: Mapping[str, str], want: Mapping[str, str]) -> dict[str, str]:
    """The tags as they are, with the wanted ones set."""
    names: Iterable[str] = {name.lower() for name in want}
    return {**{key: value for key, value in have.items() if key.lower() not in names}, **want}
