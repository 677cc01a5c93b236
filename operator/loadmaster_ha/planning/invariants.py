"""What must hold after every single change; a guard against bugs of the planner itself.

After each change: nobody else's entry is lost or altered; management, the check port and port 6973, where
they could be reached, still can; no rule refers to what is not there, and no interface either; probe and
check rule mean one port.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.balancer import COLLECTIONS, OUTBOUND_RULES, PROBES, RULES, entry_references
from loadmaster_ha.planning.bodies import children, name_of, named, properties
from loadmaster_ha.planning.changes import Change, Delete, Section
from loadmaster_ha.planning.interfaces import NAT_MEMBERSHIPS, POOL_MEMBERSHIPS, our_memberships, strangers
from loadmaster_ha.planning.layout import Layout, interface_memberships
from loadmaster_ha.planning.normalise import writable
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.ownership import without_ownership
from loadmaster_ha.planning.reachability import Ways, vital_requirements

_BALANCER_COLLECTIONS: Final = (*COLLECTIONS, OUTBOUND_RULES, "inboundNatPools")


class InvariantViolated(Exception):  # noqa: N818 - a state of affairs, as its name says
    """A planned change would break an invariant; nothing of the plan may be applied."""


def verify(
    layout: Layout, before: Observation, change: Change, after: Observation, *, deleting: bool = False
) -> None:
    """Check one planned change.

    Raises:
        InvariantViolated: it must not be applied.
    """
    broken_before = set(_dangling(layout, before))
    problems = [*_foreign(layout, before, change, after)]
    problems += [found for found in _dangling(layout, after) if found not in broken_before]
    if not deleting:
        problems += _check_ports(layout, change, after)
        if change.section is Section.SECURITY_GROUPS:
            problems += _closed(layout, before, after)
    if problems:
        raise InvariantViolated(f"{type(change).__name__} {change.resource}: {'; '.join(problems)}")


def foreign_content(layout: Layout, resource: Resource | None) -> dict[str, Any]:
    """Everything in a resource that is not ours, in one form: what no write of ours may alter."""
    if resource is None:
        return {}
    body = writable(resource)
    section: dict[str, Any] = body.get("properties") or {}
    kind = resource.id.names[0].lower()
    for collection in _BALANCER_COLLECTIONS if kind == "loadbalancers" else ():
        section[collection] = [
            item for item in section.get(collection) or () if not layout.names.owns(name_of(item))
        ]
    for entry in section.get("ipConfigurations") or () if kind == "networkinterfaces" else ():
        _without_ours(layout, entry)
    if kind == "networksecuritygroups":
        section["securityRules"] = [
            item for item in section.get("securityRules") or () if not layout.names.owns(name_of(item))
        ]
    section.pop("provisioningState", None)
    body.pop("sku", None)
    body["tags"] = _foreign_tags(layout, resource)
    found: dict[str, Any] = _pruned(body)
    return found


def _pruned(value: Any) -> Any:
    """Without nulls and empty lists, which Azure fills in and leaves out as it likes."""
    if isinstance(value, dict):
        pruned = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item not in (None, [], {})}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _foreign_tags(layout: Layout, resource: Resource) -> dict[str, str]:
    ours = {name.lower() for name in layout.tags}
    return {key: value for key, value in without_ownership(resource.tags).items() if key.lower() not in ours}


def _without_ours(layout: Layout, entry: Mapping[str, Any]) -> None:
    body = entry["properties"]
    for field in (POOL_MEMBERSHIPS, NAT_MEMBERSHIPS):
        ours = {str(found).lower() for _, found in _references_in(entry) if layout.is_ours(found)}
        body[field] = [item for item in body.get(field) or () if str(item.get("id")).lower() not in ours]


def _references_in(entry: Mapping[str, Any]) -> tuple[tuple[str, ResourceID], ...]:
    holder = Resource(ResourceID("", ""), {"properties": {"ipConfigurations": [entry]}})
    return interface_memberships(holder)


def _foreign(layout: Layout, before: Observation, change: Change, after: Observation) -> Iterator[str]:
    top = change.resource.top
    old, new = before.get(top), after.get(top)
    if old is None or change.section is Section.PUBLIC_ADDRESS:
        return
    if change.resource != top:
        if not layout.names.owns(change.resource.name):
            yield "it would alter what is not ours"
        return
    if isinstance(change, Delete):
        section = properties(foreign_content(layout, old))
        if any(section.get(collection) for collection in _BALANCER_COLLECTIONS):
            yield "it has entries of others"
    elif foreign_content(layout, old) != foreign_content(layout, new):
        yield "it would alter what is not ours"


def _closed(layout: Layout, before: Observation, after: Observation) -> Iterator[str]:
    ports = {layout.spec.health_check.port, *_probe_ports(layout, before)}
    still = {layout.spec.health_check.port, *_probe_ports(layout, after)}
    old, new = Ways(before), Ways(after)
    vital = (found for port in ports & still for found in vital_requirements(layout, before, check_port=port))
    for requirement in dict.fromkeys(vital):
        if not new.is_open(requirement) and old.is_open(requirement):
            yield f"it would close {requirement.flow} ({requirement.purpose})"


def _probe_ports(layout: Layout, observation: Observation) -> set[int]:
    probe = named(children(observation.get(layout.balancer), PROBES), layout.names.probe)
    port = properties(probe or {}).get("port")
    return {port} if isinstance(port, int) else set()


def _check_ports(layout: Layout, change: Change, after: Observation) -> Iterator[str]:
    if change.section is not Section.LOAD_BALANCER:
        return
    balancer = after.get(layout.balancer)
    rule = properties(named(children(balancer, RULES), layout.names.check_rule) or {})
    ports = {rule.get("frontendPort"), rule.get("backendPort"), *_probe_ports(layout, after)}
    if len(ports) != 1:
        yield f"probe and check rule would mean different ports: {ports}"


def _dangling(layout: Layout, after: Observation) -> Iterator[str]:
    balancer = after.get(layout.balancer)
    if balancer is None and not after.is_absent(layout.balancer):
        return
    there = {
        layout.balancer.child(collection, name_of(entry))
        for collection in _BALANCER_COLLECTIONS
        for entry in children(balancer, collection)
    }
    for collection in _BALANCER_COLLECTIONS:
        for entry in children(balancer, collection):
            for reference in entry_references(entry):
                if reference.top == layout.balancer and reference not in there:
                    yield f"{collection}[{name_of(entry)}] would refer to {reference}, which is not there"
    for interface in {*(found.interface for found in layout.attachments), *strangers(layout, after)}:
        for _, reference in our_memberships(layout, after.get(interface)):
            if reference not in there:
                yield f"{interface} would refer to {reference}, which is not there"
