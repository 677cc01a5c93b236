"""Which members take new flows of a rule, and which of them takes this one.

Azure's order: the admin state first (Up whatever the probe says, Down never), then the probe. A flow is
mapped by a hash over its five values, or over the addresses with source affinity; when the members change,
the hash is computed anew, for new flows only.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadmaster_ha.emulator.dataplane.configuration import Configuration, Distribution, Member, Rule
    from loadmaster_ha.emulator.dataplane.sockets import Endpoint


def candidates(
    rule: Rule, configuration: Configuration, is_up: Callable[[str, str], bool]
) -> tuple[Member, ...]:
    """Return the members that take new flows of a rule, in an order that does not depend on the answers.

    Args:
        rule: A balancing rule or NAT rule.
        configuration: Knows members and probes.
        is_up: Tells by probe id and member id whether the probe holds the member up.
    """
    probe = configuration.probes.get(rule.probe)
    taking: list[Member] = []
    fallback: list[Member] = []
    for target in sorted(rule.targets, key=lambda item: item.member):
        member = configuration.members[target.member]
        if rule.nat or target.admin == "Up":
            taking.append(member)
        elif target.admin == "Down":
            continue
        elif probe is None or (member.running and is_up(probe.id, member.id)):
            taking.append(member)
        elif member.running:
            fallback.append(member)
    if not taking and probe is not None and probe.all_probed_up:
        return tuple(fallback)
    return tuple(taking)


def choose(
    members: Sequence[Member], distribution: Distribution, protocol: str, client: Endpoint, frontend: Endpoint
) -> Member:
    """Return the member that a flow is mapped to; `members` must not be empty."""
    if len(members) == 1:
        return members[0]
    match distribution:
        case "SourceIP":
            key = f"{client[0]} {frontend[0]}"
        case "SourceIPProtocol":
            key = f"{client[0]} {frontend[0]} {protocol}"
        case _:
            key = f"{client[0]} {client[1]} {frontend[0]} {frontend[1]} {protocol}"
    digest = blake2b(key.encode(), digest_size=8).digest()
    return members[int.from_bytes(digest, "big") % len(members)]
