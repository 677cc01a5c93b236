"""The load balancer: what of it is ours, merged into what is there.

Values are those of the guide's sections 4 and 5. Entries that bear our names are ours whole; all others are
carried along as they were read. Memberships are written on the interfaces (`interfaces`), not here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from loadmaster_ha.domain.ha import MANAGEMENT_PORT, SSH_PORT, Role
from loadmaster_ha.planning.bodies import (
    children,
    items,
    name_of,
    named,
    properties,
    reference_of,
    references,
)
from loadmaster_ha.planning.changes import Difference, Put, Section
from loadmaster_ha.planning.diff import differences, merged_tags, readable, tag_differences
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.location import location
from loadmaster_ha.planning.normalise import writable
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.ownership import Origin, Owner, origin_of, owner_of, ownership_tags
from loadmaster_ha.resources.loadmasterpair import Protocol, Switch

FRONTENDS: Final = "frontendIPConfigurations"
POOLS: Final = "backendAddressPools"
PROBES: Final = "probes"
RULES: Final = "loadBalancingRules"
NAT_RULES: Final = "inboundNatRules"
OUTBOUND_RULES: Final = "outboundRules"
COLLECTIONS: Final = (FRONTENDS, POOLS, PROBES, RULES, NAT_RULES)
"""The collections that we have entries in."""

Children: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Collection -> name -> properties."""

_PROTOCOLS: Final = {Protocol.TCP: "Tcp", Protocol.UDP: "Udp"}


def wanted_children(layout: Layout) -> Children:
    """Everything of ours in the balancer, complete."""
    return {
        FRONTENDS: {layout.names.frontend: _frontend(layout)},
        POOLS: {layout.names.pool(arm): {} for arm in layout.arms},
        PROBES: {layout.names.probe: _probe(layout)},
        RULES: dict(_rules(layout)),
        NAT_RULES: dict(_nat_rules(layout)),
    }


def plan_balancer(layout: Layout, observation: Observation) -> Put | None:
    """The one write that brings the balancer to what is wanted; None when it is."""
    observed = observation.get(layout.balancer)
    wanted = wanted_children(layout)
    body = _skeleton(layout, observation) if observed is None else writable(observed)
    found = [*_heal(observed), *_merge(layout, body, wanted, observed)]
    tags = _tags(layout, observed)
    have = {} if observed is None else observed.tags
    tag_changes = tag_differences(have, tags)
    if observed is None or found or _tags_alone_matter(layout, observed, tag_changes):
        found.extend(tag_changes)
        body["tags"] = merged_tags(have, tags)
    if not found:
        return None
    body["sku"] = {**(body.get("sku") or {}), "name": "Standard", "tier": "Regional"}
    etag = None if observed is None else observed.etag
    return Put(Section.LOAD_BALANCER, layout.balancer, body, etag, tuple(found))


def held_by_others(layout: Layout, balancer: Resource | None) -> frozenset[tuple[str, str]]:
    """Entries of ours, as (collection, lower-case name), that entries of others refer to: they cannot go."""
    held = set()
    for collection in (RULES, NAT_RULES, OUTBOUND_RULES, "inboundNatPools"):
        for entry in children(balancer, collection):
            if layout.names.owns(name_of(entry)):
                continue
            for reference in entry_references(entry):
                if layout.is_ours(reference):
                    held.add((reference.names[2], reference.name.lower()))
    return frozenset(held)


def entry_references(entry: Mapping[str, Any]) -> Iterator[Any]:
    """What a rule of a balancer refers to: frontends, pools, probe."""
    body = properties(entry)
    for field in ("frontendIPConfiguration", "backendAddressPool", "probe"):
        found = reference_of(body.get(field))
        if found is not None:
            yield found
    yield from references(body, POOLS)
    yield from references(body, FRONTENDS)


def merge_collection(
    layout: Layout,
    body: dict[str, Any],
    collection: str,
    wanted: Mapping[str, Mapping[str, Any]],
    held: frozenset[tuple[str, str]],
) -> list[Difference]:
    """Put our entries of one collection into a body; others' stay where and as they are."""
    section = body.setdefault("properties", {})
    entries, found = [], []
    missing = {name.lower(): (name, want) for name, want in wanted.items()}
    for entry in items(section, collection):
        name = name_of(entry)
        if not layout.names.owns(name):
            entries.append(entry)
            continue
        _, want = missing.pop(name.lower(), (name, None))
        if want is not None:
            merged, changed = _merge_entry(collection, entry, want)
            entries.append(merged)
            found.extend(changed)
        elif (collection, name.lower()) in held:
            entries.append(entry)
        else:
            found.append(Difference(f"{collection}[{name}]", "present", None))
    for name, want in missing.values():
        entries.append({"name": name, "properties": dict(want)})
        found.append(Difference(f"{collection}[{name}]", None, _described(want)))
    if entries or collection in section:
        section[collection] = entries
    return found


def _merge(
    layout: Layout, body: dict[str, Any], wanted: Children, observed: Resource | None
) -> list[Difference]:
    held = held_by_others(layout, observed)
    found: list[Difference] = []
    for collection in COLLECTIONS:
        found.extend(merge_collection(layout, body, collection, wanted[collection], held))
    return found


def _merge_entry(
    collection: str, entry: Mapping[str, Any], want: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Difference]]:
    have = dict(properties(entry))
    path = f"{collection}[{name_of(entry)}]"
    found = list(
        differences(
            path, _comparable(collection, have), _comparable(collection, {**_kept(have, want), **want})
        )
    )
    if not found:
        return dict(entry), []
    merged = {**have, **want}
    if collection == RULES:
        merged.pop(POOLS, None)  # the plural form of backendAddressPool, which Azure fills from it
    if collection == PROBES:
        for spelling in [name for name in merged if name.lower() == "nohealthybackendsbehavior"]:
            merged[spelling] = "AllProbedDown"
    return {**entry, "properties": merged}, found


def _kept(have: Mapping[str, Any], want: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields that we do not send, but that must have Azure's default once they are there."""
    if "requestPath" in want and any(name.lower() == "nohealthybackendsbehavior" for name in have):
        return {"noHealthyBackendsBehavior": "AllProbedDown"}
    return {}


def _comparable(collection: str, body: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(body)
    if collection == RULES:
        pools = found.pop(POOLS, None) or (
            [found["backendAddressPool"]] if found.get("backendAddressPool") else []
        )
        found["backendAddressPool"] = pools[0] if len(pools) == 1 else pools
    if collection == PROBES:
        for name in [name for name in found if name.lower() == "nohealthybackendsbehavior"]:
            found["noHealthyBackendsBehavior"] = found.pop(name)
    return found


def _described(want: Mapping[str, Any]) -> str:
    """A new entry in few words: its address, or its protocol and ports."""
    if "publicIPAddress" in want:
        return f"public address {readable(want['publicIPAddress'])}"
    if "subnet" in want:
        return f"{want.get('privateIPAddress', 'a dynamic address')} in subnet {readable(want['subnet'])}"
    ports = [f"{want[key]}" for key in ("frontendPort", "backendPort", "port") if key in want]
    return f"{want.get('protocol', '')} {' to '.join(ports)}".strip() or "present"


def _skeleton(layout: Layout, observation: Observation) -> dict[str, Any]:
    return {"location": location(layout, observation), "properties": {}}


def _heal(observed: Resource | None) -> list[Difference]:
    """Azure's own cure for a failed write: the same content once more."""
    if observed is None or not observed.failed:
        return []
    return [Difference("provisioningState", observed.provisioning_state, "Succeeded")]


def _tags(layout: Layout, observed: Resource | None) -> dict[str, str]:
    if observed is None:
        return {**layout.tags, **ownership_tags(layout.identity, Origin.CREATED)}
    origin = origin_of(observed) if owner_of(observed, layout.identity) is Owner.OURS else Origin.ADOPTED
    own = layout.tags if origin is Origin.CREATED else {}
    return {**own, **ownership_tags(layout.identity, origin)}


def _tags_alone_matter(layout: Layout, observed: Resource, changes: tuple[Difference, ...]) -> bool:
    """Whether tags are a change of their own: a missing owner tag waits for the first real one."""
    return bool(changes) and owner_of(observed, layout.identity) is not Owner.NOBODY


def _frontend(layout: Layout) -> dict[str, Any]:
    if layout.public_address is not None:
        return {"publicIPAddress": {"id": str(layout.public_address)}}
    address = layout.spec.load_balancer.frontend.private_ip_address
    body: dict[str, Any] = {
        "subnet": {"id": str(layout.subnet)},
        "privateIPAllocationMethod": "Dynamic" if address is None else "Static",
        "privateIPAddressVersion": "IPv4",
    }
    return body if address is None else {**body, "privateIPAddress": address}


def _probe(layout: Layout) -> dict[str, Any]:
    check = layout.spec.health_check
    return {
        "protocol": "Http",
        "port": check.port,
        "requestPath": "/",
        "intervalInSeconds": check.interval_seconds,
        # probeThreshold is what Azure honours; the older field is kept alike until it is retired
        # (2027-09-01).
        "numberOfProbes": check.threshold,
        "probeThreshold": check.threshold,
    }


def _rules(layout: Layout) -> Iterator[tuple[str, dict[str, Any]]]:
    port = layout.spec.health_check.port
    yield layout.names.check_rule, _rule(layout, None, port, port)
    if layout.spec.load_balancer.management_access.kemp_360_central:
        backend = layout.spec.master.management.port
        yield layout.names.kemp_360_rule, _rule(layout, None, MANAGEMENT_PORT, backend)
    for service in layout.spec.services:
        rule = _rule(layout, layout.arm_of(service), service.port, service.backend_port or service.port)
        rule["protocol"] = _PROTOCOLS[service.protocol]
        rule["idleTimeoutInMinutes"] = service.idle_timeout_minutes
        rule["enableTcpReset"] = service.tcp_reset is Switch.ENABLED
        yield layout.names.service(service.name), rule


def _rule(layout: Layout, arm: str | None, port: int, backend_port: int) -> dict[str, Any]:
    rule = {
        "frontendIPConfiguration": _reference(layout, FRONTENDS, layout.names.frontend),
        "backendAddressPool": _reference(layout, POOLS, layout.names.pool(arm)),
        "probe": _reference(layout, PROBES, layout.names.probe),
        "protocol": "Tcp",
        "frontendPort": port,
        "backendPort": backend_port,
        "loadDistribution": "Default",
        "idleTimeoutInMinutes": 4,
        "enableFloatingIP": False,
        "enableTcpReset": False,
    }
    # Outbound traffic must not come and go with a balancing rule: the units keep an explicit way out of their
    # own.
    return {**rule, "disableOutboundSnat": True} if layout.is_public else rule


def _nat_rules(layout: Layout) -> Iterator[tuple[str, dict[str, Any]]]:
    for role, port in layout.web_interface:
        yield layout.names.web_interface(role), _nat_rule(layout, port, layout.unit(role).management.port)
    for role, port in layout.ssh:
        yield layout.names.ssh(role), _nat_rule(layout, port, SSH_PORT)


def _nat_rule(layout: Layout, port: int, backend_port: int) -> dict[str, Any]:
    return {
        "frontendIPConfiguration": _reference(layout, FRONTENDS, layout.names.frontend),
        "protocol": "Tcp",
        "frontendPort": port,
        "backendPort": backend_port,
        "idleTimeoutInMinutes": 4,
        "enableFloatingIP": False,
        "enableTcpReset": False,
    }


def _reference(layout: Layout, collection: str, name: str) -> dict[str, str]:
    return {"id": str(layout.balancer.child(collection, name))}


def nat_rules_of(layout: Layout, role: Role) -> tuple[str, ...]:
    """Names of the NAT rules that lead to a unit."""
    web = [layout.names.web_interface(found) for found, _ in layout.web_interface if found is role]
    ssh = [layout.names.ssh(found) for found, _ in layout.ssh if found is role]
    return (*web, *ssh)


def our_frontend(layout: Layout, balancer: Resource | None) -> Mapping[str, Any] | None:
    """Our frontend as it is, None while there is none."""
    return named(children(balancer, FRONTENDS), layout.names.frontend)
