"""The security groups: which rules of ours are written, changed or removed in each, and with which priority.

A group that is not ours is shared with other people's rules, so only single rules are written into it.
Openings come before what uses them and closings after it: while the balancer or an interface still has to
change, a rule keeps the ports and destinations that it has beside those that it is to have.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.bodies import children, name_of, named, properties, reference_of
from loadmaster_ha.planning.changes import Change, Delete, Difference, Put, Section
from loadmaster_ha.planning.diff import differences
from loadmaster_ha.planning.layout import SECURITY_GROUPS, Layout
from loadmaster_ha.planning.normalise import writable, writable_child
from loadmaster_ha.planning.observation import FAILED_STATES, Observation, Resource
from loadmaster_ha.planning.ownership import Owner, owner_of, rule_description, rule_owner
from loadmaster_ha.planning.security_rules import Opening, comparable, openings

RULES: Final = "securityRules"
FIRST_PRIORITY: Final = 1000
LAST_PRIORITY: Final = 4096
"""New rules get the lowest free priority of this band; 100 to 999 is left to rules meant to go first."""


class NoFreePriority(Exception):  # noqa: N818 - it is a state of the group, told as a finding
    """Every priority of our band is taken in a group."""

    def __init__(self, group: ResourceID) -> None:
        super().__init__(f"no free priority from {FIRST_PRIORITY} to {LAST_PRIORITY} in {group}")
        self.group = group


@dataclass(frozen=True, slots=True)
class RuleWrite:
    """One rule of ours that is not as it should be."""

    name: str
    properties: Mapping[str, Any]
    observed: Mapping[str, Any] | None
    differences: tuple[Difference, ...]


def plan_openings(layout: Layout, observation: Observation, *, in_use: bool) -> list[Change]:
    """Writes that let in what is needed; with `in_use` the rules keep what the balancer may still lead to.

    Raises:
        NoFreePriority: a group has no room for our rules.
    """
    changes: list[Change] = []
    for group in layout.security_groups:
        observed = observation.get(group)
        if observed is None:
            continue
        writes = rule_writes(layout, observation, observed, in_use=in_use)
        if _is_ours(layout, observed):
            unwanted = () if in_use else unwanted_rules(layout, observation, observed)
            changes.extend(_whole(observed, writes, unwanted=unwanted))
        else:
            changes.extend(_single(observed, write) for write in writes)
    return changes


def plan_closings(layout: Layout, observation: Observation) -> list[Change]:
    """Writes that take away rules of ours that are not wanted any more, in every group that is known."""
    changes: list[Change] = []
    for group in known_groups(observation):
        unwanted = unwanted_rules(layout, observation, group)
        if _is_ours(layout, group):
            changes.extend(_whole(group, (), unwanted=unwanted))
        else:
            changes.extend(_removal(group, entry) for entry in unwanted)
    return changes


def rule_writes(
    layout: Layout, observation: Observation, group: Resource, *, in_use: bool = False
) -> tuple[RuleWrite, ...]:
    """The rules of ours in one group that are missing or differ.

    Raises:
        NoFreePriority: the group has no room for our rules.
    """
    existing = children(group, RULES)
    wanted = openings(layout, observation)
    priorities = allocate(group, [opening.name for opening in wanted])
    writes = []
    for opening in wanted:
        observed = named(existing, opening.name)
        goal = opening if observed is None or not in_use else opening.widened(observed)
        write = _write(layout, goal, observed, priorities[opening.name])
        if write is not None:
            writes.append(write)
    return tuple(writes)


def unwanted_rules(
    layout: Layout, observation: Observation, group: Resource
) -> tuple[Mapping[str, Any], ...]:
    """Rules of ours, by name and uid, that the manifest does not ask for in this group."""
    wanted = (
        {found.name.lower() for found in openings(layout, observation)}
        if group.id in layout.security_groups
        else set()
    )
    return tuple(entry for entry in our_rules(layout, group) if name_of(entry).lower() not in wanted)


def our_rules(layout: Layout, group: Resource) -> tuple[Mapping[str, Any], ...]:
    """Rules of ours in a group, by name and uid."""
    return tuple(
        entry
        for entry in children(group, RULES)
        if layout.names.owns(name_of(entry))
        and rule_owner(properties(entry).get("description"), layout.identity) is Owner.OURS
    )


def plan_removal(layout: Layout, observation: Observation) -> list[Change]:
    """Writes that take every rule of ours out of every group that is known (deletion of the pair)."""
    changes: list[Change] = []
    for group in known_groups(observation):
        ours = our_rules(layout, group)
        if _is_ours(layout, group):
            changes.extend(_whole(group, (), unwanted=ours))
        else:
            changes.extend(_removal(group, entry) for entry in ours)
    return changes


def allocate(group: Resource, names: Collection[str]) -> dict[str, int]:
    """Priorities for our rules: those they have, else the lowest free ones of the band, in order.

    Raises:
        NoFreePriority: the band is full.
    """
    existing = {name_of(entry).lower(): properties(entry) for entry in children(group, RULES)}
    inbound = {key: body for key, body in existing.items() if str(body.get("direction")).lower() == "inbound"}
    kept = {
        name: int(inbound[name.lower()]["priority"])
        for name in names
        if inbound.get(name.lower(), {}).get("priority")
    }
    taken = {int(body["priority"]) for body in inbound.values() if body.get("priority")}
    free = (priority for priority in range(FIRST_PRIORITY, LAST_PRIORITY + 1) if priority not in taken)
    found = {}
    for name in names:
        priority = kept[name] if name in kept else next(free, None)
        if priority is None:
            raise NoFreePriority(group.id)
        found[name] = priority
    return found


def known_groups(observation: Observation) -> tuple[Resource, ...]:
    """Every security group that was read."""
    known = (observation.get(found) for found in observation.resources if _is_group(found))
    return tuple(
        sorted((group for group in known if group is not None), key=lambda group: str(group.id).lower())
    )


def attached_groups(
    observation: Observation, subnet: ResourceID | None, interface: ResourceID
) -> tuple[ResourceID, ...]:
    """The groups that traffic to an interface passes: the subnet's, then the interface's own."""
    network = None if subnet is None else observation.get(subnet.top)
    entry = None if subnet is None else named(children(network, "subnets"), subnet.name)
    nic = observation.get(interface)
    found = (
        reference_of(properties(entry or {}).get("networkSecurityGroup")),
        None if nic is None else reference_of(nic.properties.get("networkSecurityGroup")),
    )
    return tuple(dict.fromkeys(group for group in found if group is not None))


def _is_group(resource: ResourceID) -> bool:
    return bool(resource.names) and resource.names[0].lower() == SECURITY_GROUPS.lower()


def _is_ours(layout: Layout, group: Resource) -> bool:
    return owner_of(group, layout.identity) is Owner.OURS


def _write(
    layout: Layout, opening: Opening, observed: Mapping[str, Any] | None, priority: int
) -> RuleWrite | None:
    path = f"{RULES}[{opening.name}]"
    body = opening.body(
        priority=priority, description=rule_description(layout.identity), observed=observed or {}
    )
    if observed is None:
        ports = ", ".join(str(port) for port in opening.ports)
        opened = f"{opening.protocol} {ports} from {', '.join(opening.sources)}"
        return RuleWrite(opening.name, body, None, (Difference(path, None, opened),))
    have = properties(observed)
    found = list(differences(path, comparable(have), comparable(body)))
    owner = rule_owner(have.get("description"), layout.identity)
    state = have.get("provisioningState")
    if state in FAILED_STATES:  # Azure's own cure for a failed write: the same content once more
        found.append(Difference(f"{path}.provisioningState", state, "Succeeded"))
    if have.get("priority") != priority:
        found.append(Difference(f"{path}.priority", have.get("priority"), priority))
    described = have.get("description") == body["description"]
    # A missing description alone is no difference: what is right already is adopted without a write.
    if not described and (found or owner is not Owner.NOBODY):
        found.append(Difference(f"{path}.description", have.get("description"), body["description"]))
    return RuleWrite(opening.name, body, observed, tuple(found)) if found else None


def _single(group: Resource, write: RuleWrite) -> Put:
    resource = group.id.child(RULES, write.name)
    if write.observed is None:
        return Put(
            Section.SECURITY_GROUPS, resource, {"properties": dict(write.properties)}, None, write.differences
        )
    body = {**writable_child(write.observed), "properties": dict(write.properties)}
    body["properties"].pop("provisioningState", None)
    etag = write.observed.get("etag") or group.etag or "*"
    return Put(Section.SECURITY_GROUPS, resource, body, str(etag), write.differences)


def _removal(group: Resource, entry: Mapping[str, Any]) -> Delete:
    resource = group.id.child(RULES, name_of(entry))
    etag = entry.get("etag") or group.etag  # a rule has its group's
    return Delete(Section.SECURITY_GROUPS, resource, None if etag is None else str(etag), "no longer wanted")


def _whole(
    group: Resource, writes: Collection[RuleWrite], *, unwanted: Collection[Mapping[str, Any]]
) -> list[Change]:
    gone = {name_of(entry).lower() for entry in unwanted}
    if not writes and not gone:
        return []
    body = writable(group)
    new = {write.name.lower(): write for write in writes}
    entries, found = [], []
    for entry in body["properties"].get(RULES) or ():
        name = name_of(entry).lower()
        if name in gone:
            found.append(Difference(f"{RULES}[{name_of(entry)}]", "present", None))
        elif name in new:
            entries.append({**entry, "properties": dict(new.pop(name).properties)})
        else:
            entries.append(entry)
    entries.extend({"name": write.name, "properties": dict(write.properties)} for write in new.values())
    body["properties"][RULES] = entries
    found.extend(difference for write in writes for difference in write.differences)
    return [Put(Section.SECURITY_GROUPS, group.id, body, group.etag, tuple(found))]
