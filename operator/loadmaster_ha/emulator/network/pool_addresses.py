"""Members of a backend pool, as the balancer shows and takes them.

Members of an interface-based pool are properties of the *interfaces*; the pool shows them
(`backendIPConfigurations`, `loadBalancerBackendAddresses`). What a client may send here is their admin state,
and the entries of an IP-based pool. Shown members may be sent back as they are, which `az` does; under
another name or none that is the well-known 400 (azurerm #7691).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator.armid import ArmId, key_of, parse_id
from loadmaster_ha.emulator.errors import bad_request, invalid_format
from loadmaster_ha.emulator.json_types import JsonObject, named, obj, objects, ordered, reference_id

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.resource_type import Draft
    from loadmaster_ha.emulator.store import Resource

ADMIN_STATES = "$adminStates"
"""Key of a stored pool: admin state by comparable id of the member's ipConfiguration."""
_FIELD = "loadBalancerBackendAddresses"


def member_name(ip_configuration: str) -> str:
    """Return the name under which the service lists an interface's ipConfiguration in a pool."""
    parsed = parse_id(ip_configuration)
    return f"{parsed.group}_{parsed.names[0]}{parsed.name}" if parsed else ip_configuration


def show(cloud: Cloud, balancer: Resource, pool: ArmId, item: JsonObject, properties: JsonObject) -> None:
    """Fill in the members of a pool that is read, in place."""
    members = cloud.store.referrers(pool, "pool")
    states = obj(item.get(ADMIN_STATES))
    stored = objects(properties.pop(_FIELD, None))
    entries = [(str(entry["name"]), obj(entry["properties"])) for entry in stored]
    for member in members:
        state = states.get(key_of(member.source))
        shown = {"networkInterfaceIPConfiguration": {"id": member.source}}
        entries.append((member_name(member.source), shown | ({"adminState": state} if state else {})))
    front = {_FIELD: [_address(balancer, pool, name, content) for name, content in entries]}
    if members:
        front["backendIPConfigurations"] = [{"id": member.source} for member in members]
    rest = dict(properties)
    properties.clear()
    properties.update(ordered(front | rest, (_FIELD, "backendIPConfigurations")))


def _address(balancer: Resource, pool: ArmId, name: str, content: JsonObject) -> JsonObject:
    """One entry as the service shows it: with an id, etag, type and state that its description lacks."""
    return {
        "name": name,
        "id": f"{pool}/{_FIELD}/{name}",
        "etag": balancer.etag,
        "properties": {"provisioningState": balancer.state, **content},
        "type": f"{pool.namespace}/{'/'.join(pool.types)}/{_FIELD}",
    }


def take_in(draft: Draft, document: JsonObject) -> None:
    """Read the members that were sent for each pool: admin states are kept aside, IP entries stay.

    Raises:
        ArmError: `InvalidRequestFormat` with `DuplicateIpConfigurationReferenceOnBackendAddressPool` for
            members sent back, and refusals of a mix of both kinds of pool.
    """
    for pool in objects(document["properties"]["backendAddressPools"]):
        properties = pool["properties"]
        pool_id = draft.id.child("backendAddressPools", str(pool["name"]))
        old = named(draft.old_items("backendAddressPools"), str(pool["name"]))
        sent = properties.pop(_FIELD, None)
        members = {
            member_name(item.source).lower(): item.source
            for item in draft.cloud.store.referrers(pool_id, "pool")
        }
        entries, states = _sort_out(draft, pool_id, objects(sent), members)
        pool[ADMIN_STATES] = _states(draft, sent is not None, obj(obj(old).get(ADMIN_STATES)), states)
        if entries:
            _check_addresses(draft, document, pool_id, entries, members)
            properties[_FIELD] = entries


def _sort_out(
    draft: Draft, pool: ArmId, sent: list[JsonObject], members: dict[str, str]
) -> tuple[list[JsonObject], dict[str, str]]:
    """Split what was sent into IP entries and admin states of interface members."""
    entries: list[JsonObject] = []
    states: dict[str, str] = {}
    for entry in sent:
        name, properties = str(entry.get("name", "")), obj(entry.get("properties"))
        properties.pop("provisioningState", None)
        named_member = reference_id(properties.get("networkInterfaceIPConfiguration"))
        member = named_member or members.get(name.lower())
        if member is None:
            kept = {key: value for key, value in properties.items() if key != "provisioningState"}
            entries.append({"name": name, "properties": kept})
            continue
        own_name = key_of(members.get(name.lower(), "")) == key_of(member)
        if named_member and (not own_name or draft.cloud.settings.disputed.echoed_pool_addresses_refused):
            raise invalid_format(
                "DuplicateIpConfigurationReferenceOnBackendAddressPool",
                f"Found duplicate ipConfiguration reference {member} on backend pool addresses "
                f"{pool}/{_FIELD}/{name} and {pool}/{_FIELD}/{member_name(member)}.",
            )
        if properties.get("adminState") in ("Up", "Down", "None"):
            states[key_of(member)] = str(properties["adminState"])
    return entries, states


def _states(draft: Draft, was_sent: bool, old: JsonObject, new: dict[str, str]) -> JsonObject:  # noqa: FBT001 - a fact about the body, always named at the call
    if was_sent:
        return new if draft.child else old | new
    clears = draft.child is None and draft.cloud.settings.disputed.whole_put_clears_admin_state
    return {} if clears else old


def _check_addresses(
    draft: Draft, document: JsonObject, pool: ArmId, entries: list[JsonObject], members: dict[str, str]
) -> None:
    if members:
        raise bad_request(
            "BackendAddressPoolMixedMembers",
            f"Backend address pool {pool} has members by network interface and cannot take members by IP "
            "address.",
        )
    if obj(document.get("sku")).get("name") == "Basic":
        raise bad_request(
            "IPBasedBackendPoolNotSupportedOnBasicLoadBalancer",
            f"Backend address pool {pool} with IP addresses needs a Standard load balancer.",
        )
    for entry in entries:
        if not obj(entry["properties"]).get("ipAddress"):
            raise bad_request(
                "BackendAddressPoolAddressMissing",
                f"Address {entry['name']} of backend address pool {pool} of {draft.id.name} has no ipAddress "
                "and is no member of the pool.",
            )
