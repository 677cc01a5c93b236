"""What a member's security groups let through, evaluated after the balancer's translation.

`topology` has turned tags into addresses and left out the rules for other destinations; the rules of a group
are in the order of their priorities. Azure asks the subnet's group first, then the interface's; both must
allow. Changes act on new flows only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadmaster_ha.emulator.dataplane.configuration import Interval, Member, Rule, SecurityRule


def admits(member: Member, rule: Rule, source: int, source_port: int, port: int) -> bool:
    """Say whether a flow of a balancing or NAT rule gets through to a member.

    Args:
        member: Where it would be delivered.
        rule: The rule, which says what holds for a member without any group.
        source: The client's address as a number.
        source_port: The client's port.
        port: The port at the member.
    """
    if not member.groups:
        return rule.open_without_group
    return all(
        _decides(group, rule.protocol, port, source, source_port, probe=False) for group in member.groups
    )


def admits_probe(member: Member, port: int) -> bool:
    """Say whether the balancer's probe gets through to a port of a member."""
    return all(_decides(group, "tcp", port, 0, 0, probe=True) for group in member.groups)


def boundaries(members: Iterable[Member]) -> set[int]:
    """Return the sources at which a verdict can change: each range's first address, and the one after it."""
    found: set[int] = set()
    for member in members:
        for group in member.groups:
            for rule in group:
                for first, last in rule.sources:
                    found |= {first, last + 1}
    return found


def _decides(
    group: Sequence[SecurityRule], protocol: str, port: int, source: int, source_port: int, *, probe: bool
) -> bool:
    for rule in group:
        if rule.protocol not in ("*", protocol) or not _within(rule.ports, port):
            continue
        if (
            rule.probes
            if probe
            else _within(rule.sources, source) and _within(rule.source_ports, source_port)
        ):
            return rule.allow
    return False


def _within(ranges: Sequence[Interval], value: int) -> bool:
    return any(first <= value <= last for first, last in ranges)
