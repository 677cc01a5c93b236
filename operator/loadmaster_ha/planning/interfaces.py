"""The units' interfaces: membership in our pools and NAT rules, everything else on them carried along.

Membership is a property of the interface. It is taken away before the balancer loses the entry, and given
after the balancer has it, so there are two rounds with the balancer's write between them; each interface that
has nothing to give up is written once.
"""

from collections.abc import Mapping
from typing import Any, Final

from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.balancer import NAT_RULES, POOLS, nat_rules_of
from loadmaster_ha.planning.bodies import children, items, name_of, properties, reference_of
from loadmaster_ha.planning.changes import Difference, Put, Section
from loadmaster_ha.planning.layout import Layout, interface_memberships
from loadmaster_ha.planning.normalise import writable
from loadmaster_ha.planning.observation import Observation, Resource

POOL_MEMBERSHIPS: Final = "loadBalancerBackendAddressPools"
NAT_MEMBERSHIPS: Final = "loadBalancerInboundNatRules"
_MEMBERSHIPS: Final = {POOLS.lower(): POOL_MEMBERSHIPS, NAT_RULES.lower(): NAT_MEMBERSHIPS}

Membership = tuple[str, ResourceID]
"""(name of the IP configuration in lower case, pool or NAT rule)."""


def wanted_memberships(layout: Layout, observation: Observation) -> dict[ResourceID, set[Membership]]:
    """Which memberships of ours each interface is to have; none for those that should not be in ours."""
    wanted: dict[ResourceID, set[Membership]] = {found: set() for found in strangers(layout, observation)}
    for attachment in layout.attachments:
        ours = wanted.setdefault(attachment.interface, set())
        entry = attachment.find(observation.get(attachment.interface))
        if entry is None:
            continue
        configuration = name_of(entry).lower()
        for arm in layout.arms:
            if attachment in layout.on_arm(arm):
                ours.add((configuration, layout.balancer.child(POOLS, layout.names.pool(arm))))
        if attachment.primary:
            rules = nat_rules_of(layout, attachment.role)
            ours.update((configuration, layout.balancer.child(NAT_RULES, rule)) for rule in rules)
    return wanted


def strangers(layout: Layout, observation: Observation) -> tuple[ResourceID, ...]:
    """Interfaces that are in a pool or NAT rule of ours and that the manifest does not name (any more)."""
    balancer = observation.get(layout.balancer)
    mine = {attachment.interface for attachment in layout.attachments}
    found: dict[ResourceID, None] = {}
    for collection, field in ((POOLS, "backendIPConfigurations"), (NAT_RULES, "backendIPConfiguration")):
        for entry in children(balancer, collection):
            if not layout.names.owns(name_of(entry)):
                continue
            value = properties(entry).get(field)
            for item in value if isinstance(value, list | tuple) else (value,):
                reference = reference_of(item)
                if reference is None or reference.top in mine:
                    continue
                if reference.top.type.lower() == "microsoft.network/networkinterfaces":
                    found[reference.top] = None
    return tuple(found)


def plan_leaving(
    layout: Layout,
    observation: Observation,
    wanted: Mapping[ResourceID, set[Membership]],
    *,
    balancer_changes: bool,
) -> list[Put]:
    """Writes that end memberships of ours which are no longer wanted, and heal failed interfaces.

    Where the balancer needs no write, joining is done along with it.
    """
    changes = []
    held = _held(layout, observation)
    for interface, memberships in wanted.items():
        observed = observation.get(interface)
        if observed is None:
            continue
        have = our_memberships(layout, observed)
        failed = observed.failed
        if not (have - memberships or failed):
            continue
        free = {found for found in memberships if held.get(found[1], interface) == interface}
        goal = (have & memberships) if balancer_changes else ((have & memberships) | free)
        changes.append(_put(layout, observed, have, goal, failed=failed))
    return changes


def plan_joining(
    layout: Layout, observation: Observation, wanted: Mapping[ResourceID, set[Membership]]
) -> list[Put]:
    """Writes that bring the interfaces into our pools and NAT rules; on what is left after `plan_leaving`."""
    changes = []
    for interface, memberships in wanted.items():
        observed = observation.get(interface)
        have = our_memberships(layout, observed)
        if observed is not None and memberships - have:
            changes.append(_put(layout, observed, have, memberships))
    return changes


def our_memberships(layout: Layout, interface: Resource | None) -> set[Membership]:
    """The memberships of an interface in entries of ours."""
    return {
        (name.lower(), found) for name, found in interface_memberships(interface) if layout.is_ours(found)
    }


def _held(layout: Layout, observation: Observation) -> dict[ResourceID, ResourceID]:
    """NAT rule -> interface that it leads to now; a rule leads to one interface only."""
    held = {}
    for interface in {*(found.interface for found in layout.attachments), *strangers(layout, observation)}:
        for _, entry in our_memberships(layout, observation.get(interface)):
            if entry.names[2].lower() == NAT_RULES.lower():
                held[entry] = interface
    return held


def _put(
    layout: Layout, observed: Resource, have: set[Membership], goal: set[Membership], *, failed: bool = False
) -> Put:
    body = writable(observed)
    for entry in items(body["properties"], "ipConfigurations"):
        _write_memberships(layout, entry, goal)
    found = [Difference("provisioningState", observed.provisioning_state, "Succeeded")] if failed else []
    spelled = {name_of(entry).lower(): name_of(entry) for entry in children(observed, "ipConfigurations")}
    for configuration, reference in sorted(have ^ goal, key=str):
        path = (
            f"ipConfigurations[{spelled.get(configuration, configuration)}]"
            f".{_MEMBERSHIPS[reference.names[2].lower()]}[{reference.name}]"
        )
        joined = (configuration, reference) in goal
        found.append(Difference(path, None, "member") if joined else Difference(path, "member", None))
    return Put(Section.INTERFACES, observed.id, body, observed.etag, tuple(found))


def _write_memberships(layout: Layout, entry: Mapping[str, Any], goal: set[Membership]) -> None:
    configuration = name_of(entry).lower()
    body = entry["properties"]
    for collection, field in _MEMBERSHIPS.items():
        ours = {
            reference: None
            for found, reference in sorted(goal, key=str)
            if found == configuration and reference.names[2].lower() == collection
        }
        kept = []
        for item in items(body, field):
            reference = reference_of(item)
            if reference is None or not layout.is_ours(reference):
                kept.append(item)
            elif reference in ours:
                del ours[reference]
                kept.append(item)
        kept.extend({"id": str(reference)} for reference in ours)
        if kept or field in body:
            body[field] = kept
