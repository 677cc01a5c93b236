"""What spans balancers and interfaces: port triangles, one balancer of a kind each, and leaving.

An interface joins pools and NAT rules in its own properties; conflicts of ports therefore show on whichever
PUT closes the triangle. Both sides ask here: the interface before it joins (`check_interface`), the balancer
before its rules change (`check_balancer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadmaster_ha.emulator.armid import ArmId, key_of, parse_id
from loadmaster_ha.emulator.errors import bad_request
from loadmaster_ha.emulator.json_types import JsonObject, obj, objects, reference_id
from loadmaster_ha.emulator.network.balancer_rules import floats, is_ha_ports, is_internal, pools_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.resource_type import Draft
    from loadmaster_ha.emulator.store import Resource

POOLS = "loadBalancerBackendAddressPools"
NAT_RULES = "loadBalancerInboundNatRules"
_MAX_RULES_PER_INTERFACE = 300


@dataclass(frozen=True, slots=True)
class _Use:
    """One rule that delivers to an ipConfiguration."""

    rule: str
    nat: bool
    internal: bool
    balancer: str
    protocol: str
    port: int
    ha_ports: bool


def joined(properties: JsonObject) -> list[str]:
    """Return the ids of the pools and NAT rules that an ipConfiguration belongs to."""
    found = [reference_id(item) for field in (POOLS, NAT_RULES) for item in objects(properties.get(field))]
    return [item for item in found if item]


def check_interface(draft: Draft, ip_configurations: list[JsonObject]) -> None:
    """Check the memberships in an interface that is written.

    Raises:
        ArmError: One of the port conflicts, `AnotherInternalLoadBalancerExists` (or its public twin) or
            `LoadBalancerRuleCountLimitReachedForNic`.
    """
    uses: list[_Use] = []
    for item in ip_configurations:
        ids = joined(item["properties"])
        here = _uses(draft.cloud, ids, {})
        _check_ports(draft.cloud, str(draft.id.child("ipConfigurations", str(item["name"]))), here)
        uses += here
    _check_nat_rules_free(draft, ip_configurations)
    _check_count(str(draft.id), uses)
    _check_one_of_a_kind(
        draft, [target for item in ip_configurations for target in joined(item["properties"])]
    )


def check_balancer(draft: Draft, document: JsonObject) -> None:
    """Check every member's ports against the rules a balancer is about to have.

    Raises:
        ArmError: One of the port conflicts.
    """
    if draft.existing is None:
        return
    candidate = {key_of(draft.id): document["properties"]}
    members: dict[str, None] = {}
    for target in _own_targets(draft.existing.id, document["properties"]):
        members |= dict.fromkeys(item.source for item in draft.cloud.store.referrers(target, "pool", "nat"))
    for member in members:
        parsed = parse_id(member)
        nic = draft.cloud.store.get(parsed.root) if parsed else None
        items = objects(nic.properties.get("ipConfigurations")) if nic else []
        for item in items:
            if parsed and str(item["name"]).lower() == parsed.name.lower():
                _check_ports(draft.cloud, member, _uses(draft.cloud, joined(item["properties"]), candidate))


def member_interfaces(cloud: Cloud, balancer: Resource) -> list[str]:
    """Return the interfaces that belong to a pool or NAT rule of a stored balancer."""
    found: dict[str, None] = {}
    for target in _own_targets(balancer.id, balancer.properties):
        for reference in cloud.store.referrers(target, "pool", "nat"):
            parsed = parse_id(reference.source)
            if parsed:
                found[str(parsed.root)] = None
    return list(found)


def touch_balancers(cloud: Cloud, before: Iterable[str], after: Iterable[str]) -> None:
    """Give every balancer whose members changed a new etag (seen in cloud-provider-azure #4839)."""
    changed = {key_of(item): item for item in before}
    for item in after:
        if changed.pop(key_of(item), None) is None:
            changed[key_of(item)] = item
    roots = {key_of(parsed.root) for item in changed.values() if (parsed := parse_id(item))}
    for root in sorted(roots):
        balancer = cloud.store.get(root)
        if balancer is not None:
            cloud.touch(balancer)


def detach_removed(
    cloud: Cloud, balancer: Resource, before: JsonObject | None, *, gone: bool = False
) -> None:
    """Take interfaces out of pools and NAT rules that a write (or the balancer's end) removed.

    No detaching is required before a NAT rule is deleted: the service does it.
    """
    old = _own_targets(balancer.id, obj(obj(before).get("properties")))
    kept = set() if gone else {key_of(item) for item in _own_targets(balancer.id, balancer.properties)}
    for target in old:
        if key_of(target) in kept:
            continue
        for reference in cloud.store.referrers(target, "pool", "nat"):
            _drop(cloud, reference.source, key_of(target))


def _drop(cloud: Cloud, ip_configuration: str, target: str) -> None:
    parsed = parse_id(ip_configuration)
    nic = cloud.store.get(parsed.root) if parsed else None
    if nic is None:
        return
    for item in objects(nic.properties.get("ipConfigurations")):
        for field in (POOLS, NAT_RULES):
            references = objects(item["properties"].get(field))
            left = [entry for entry in references if key_of(reference_id(entry) or "") != target]
            if left != references:
                item["properties"][field] = left
            if not item["properties"].get(field, True):
                del item["properties"][field]
    cloud.store.put(nic)
    cloud.touch(nic)


def _own_targets(balancer: ArmId, properties: JsonObject) -> list[ArmId]:
    return [
        balancer.child(collection, str(item["name"]))
        for collection in ("backendAddressPools", "inboundNatRules")
        for item in objects(properties.get(collection))
    ]


def _uses(cloud: Cloud, ids: list[str], candidates: dict[str, JsonObject]) -> list[_Use]:
    """Return the rules that deliver to somebody who belongs to `ids`.

    `candidates` are the properties of balancers about to be written, by comparable id.
    """
    wanted = {key_of(item) for item in ids}
    roots = {key_of(parsed.root): parsed.root for item in ids if (parsed := parse_id(item))}
    found: list[_Use] = []
    for key, root in roots.items():
        stored = cloud.store.get(root)
        properties = candidates.get(key) or (stored.properties if stored else {})
        balancer = stored.id if stored else root
        internal = is_internal(properties)
        for collection in ("loadBalancingRules", "inboundNatRules"):
            nat = collection == "inboundNatRules"
            for rule in objects(properties.get(collection)):
                rule_id = balancer.child(collection, str(rule["name"]))
                if floats(rule) or not (pools_of(rule) & wanted or key_of(rule_id) in wanted):
                    continue
                sent = rule["properties"]
                protocol, port = str(sent["protocol"]), int(sent["backendPort"])
                ha_ports = not nat and is_ha_ports(rule)
                found.append(_Use(str(rule_id), nat, internal, key, protocol, port, ha_ports))
    return found


def _check_ports(cloud: Cloud, ip_configuration: str, uses: list[_Use]) -> None:
    nat_too = cloud.settings.disputed.ha_ports_excludes_nat_rules
    for index, one in enumerate(uses):
        for other in uses[index + 1 :]:
            if one.internal != other.internal:
                continue
            same = one.protocol.lower() == other.protocol.lower() and one.port == other.port
            balancing = not one.nat and not other.nat
            exclusive = (one.ha_ports or other.ha_ports) and (balancing or nat_too)
            if not same and not exclusive:
                continue
            if one.nat == other.nat:
                code = "RulesUseSameBackendPortProtocolAndIPConfig"
            else:
                code = "RulesOfSameLoadBalancerTypeUseSameBackendPortProtocolAndIPConfig"
            raise bad_request(
                code,
                f"Load balancer rules {one.rule} and {other.rule} with floating IP disabled use the same "
                "backend port "
                f"{other.port} and protocol {other.protocol}, and must not be used with the same backend IP "
                f"{ip_configuration}.",
            )


def _check_nat_rules_free(draft: Draft, ip_configurations: list[JsonObject]) -> None:
    """A NAT rule delivers to one ipConfiguration (code and text assumed)."""
    taken: dict[str, str] = {}
    for item in ip_configurations:
        own_id = str(draft.id.child("ipConfigurations", str(item["name"])))
        for entry in objects(item["properties"].get(NAT_RULES)):
            target = reference_id(entry) or ""
            users = [user.source for user in draft.cloud.store.referrers(target, "nat")]
            others = [user for user in users if not key_of(user).startswith(f"{key_of(draft.id)}/")]
            holder = taken.setdefault(key_of(target), own_id)
            if others or holder != own_id:
                raise bad_request(
                    "InboundNatRuleInUse",
                    f"Inbound NAT rule {target} cannot be used by {own_id}: it is already used by "
                    f"{others[0] if others else holder}.",
                )


def _check_count(interface: str, uses: list[_Use]) -> None:
    if len(uses) > _MAX_RULES_PER_INTERFACE:
        raise bad_request(
            "LoadBalancerRuleCountLimitReachedForNic",
            f"Network interface {interface} has {len(uses)} load balancer rules; the limit is "
            f"{_MAX_RULES_PER_INTERFACE}.",
        )


def _check_one_of_a_kind(draft: Draft, ids: list[str]) -> None:
    """One internal and one public balancer per interface and per availability set."""
    mine = _balancers(draft.cloud, ids)
    neighbours = dict(mine)
    for other in _same_availability_set(draft.cloud, draft.id):
        items = objects(other.properties.get("ipConfigurations"))
        neighbours |= _balancers(
            draft.cloud, [target for item in items for target in joined(item["properties"])]
        )
    for internal, code in (
        (True, "AnotherInternalLoadBalancerExists"),
        (False, "AnotherPublicLoadBalancerExists"),
    ):
        if not any(kind == internal for kind in mine.values()):
            continue
        rivals = [key for key, kind in neighbours.items() if kind == internal]
        if len(rivals) > 1:
            shown = [str(found.id) for key in rivals if (found := draft.cloud.store.get(key))]
            word = "internal" if internal else "public"
            raise bad_request(
                code,
                f"Network interface {draft.id} cannot use {word} load balancer {shown[0]}: another {word} "
                "load balancer "
                f"{shown[1]} exists for the interface or its availability set.",
            )


def _balancers(cloud: Cloud, ids: list[str]) -> dict[str, bool]:
    """Return the balancers that the ids belong to, and whether each is internal."""
    found: dict[str, bool] = {}
    for item in ids:
        parsed = parse_id(item)
        balancer = cloud.store.get(parsed.root) if parsed else None
        if balancer is not None:
            found[balancer.key] = is_internal(balancer.properties)
    return found


def _same_availability_set(cloud: Cloud, interface: ArmId) -> list[Resource]:
    """Return the other interfaces of all machines in this one's availability set."""
    found: list[Resource] = []
    for machine in _machines(cloud, interface):
        availability = reference_id(machine.properties.get("availabilitySet"))
        if not availability:
            continue
        for member in cloud.store.referrers(availability, "availabilitySet"):
            sibling = cloud.store.get(member.source)
            profile = obj(sibling.properties.get("networkProfile")) if sibling else {}
            for item in objects(profile.get("networkInterfaces")):
                nic = cloud.store.get(reference_id(item) or "")
                if nic is not None and nic.key != key_of(interface):
                    found.append(nic)
    return found


def _machines(cloud: Cloud, interface: ArmId) -> list[Resource]:
    users = cloud.store.referrers(interface, "vm-nic")
    return [machine for user in users if (machine := cloud.store.get(user.source))]
