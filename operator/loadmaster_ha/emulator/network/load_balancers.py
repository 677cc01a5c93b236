"""Load balancers: the whole resource, its two writable children, and what it shows of its members.

`balancer_rules` checks a document by itself, `membership` what spans balancer and interfaces,
`pool_addresses` the members of pools, `rule_health` answers for the probes. Frontends, probes and balancing
rules are children that can only be read; they change with the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from loadmaster_ha.emulator.armid import key_of
from loadmaster_ha.emulator.errors import bad_request, not_provisioned
from loadmaster_ha.emulator.json_types import JsonObject, deep, named, obj, objects, ordered, reference_id
from loadmaster_ha.emulator.network import balancer_rules, membership, pool_addresses
from loadmaster_ha.emulator.network.addresses import assign
from loadmaster_ha.emulator.network.public_attachment import check_attachment
from loadmaster_ha.emulator.network.rule_health import answer_health
from loadmaster_ha.emulator.resource_type import (
    Action,
    ChildType,
    Draft,
    ItemShape,
    ResourceType,
    child_view,
    clean_items,
    start_document,
)
from loadmaster_ha.emulator.store import Claim, Links, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource

SHAPES = {
    "frontendIPConfigurations": ItemShape(
        read_only=("loadBalancingRules", "inboundNatRules", "outboundRules", "inboundNatPools"),
        references=("subnet", "publicIPAddress", "publicIPPrefix", "gatewayLoadBalancer"),
        defaults={"privateIPAllocationMethod": "Dynamic"},
    ),
    "backendAddressPools": ItemShape(
        read_only=(
            "backendIPConfigurations",
            "loadBalancingRules",
            "outboundRule",
            "outboundRules",
            "inboundNatRules",
        ),
        references=("virtualNetwork",),
    ),
    "loadBalancingRules": ItemShape(
        references=("frontendIPConfiguration", "backendAddressPool", "probe"),
        reference_lists=("backendAddressPools",),
        defaults={
            "enableFloatingIP": False,
            "idleTimeoutInMinutes": 4,
            "enableTcpReset": False,
            "loadDistribution": "Default",
            "disableOutboundSnat": False,
        },
    ),
    "probes": ItemShape(
        read_only=("loadBalancingRules",),
        defaults={"intervalInSeconds": 15, "numberOfProbes": 2, "probeThreshold": 1},
    ),
    "inboundNatRules": ItemShape(
        read_only=("backendIPConfiguration",),
        references=("frontendIPConfiguration", "backendAddressPool"),
        defaults={
            "enableFloatingIP": False,
            "idleTimeoutInMinutes": 4,
            "protocol": "Tcp",
            "enableTcpReset": False,
        },
    ),
    "outboundRules": ItemShape(
        references=("backendAddressPool",),
        reference_lists=("frontendIPConfigurations",),
        defaults={"allocatedOutboundPorts": 0, "idleTimeoutInMinutes": 4, "enableTcpReset": False},
    ),
    "inboundNatPools": ItemShape(references=("frontendIPConfiguration",)),
}
_CHILDREN = {
    "frontendIPConfigurations": ChildType(
        "frontendIPConfigurations", order=("name", "id", "etag", "type", "zones", "properties")
    ),
    "backendAddressPools": ChildType(
        "backendAddressPools", writable=True, label="LoadBalancerBackendAddressPool"
    ),
    "loadBalancingRules": ChildType("loadBalancingRules"),
    "probes": ChildType("probes"),
    "inboundNatRules": ChildType("inboundNatRules", writable=True, label="LoadBalancerInboundNatRule"),
    "outboundRules": ChildType("outboundRules"),
    "inboundNatPools": ChildType("inboundNatPools"),
}
_OWN_BACK_REFERENCES = {
    "frontendIPConfigurations": (
        ("loadBalancingRules", "frontendIPConfiguration"),
        ("inboundNatRules", "frontendIPConfiguration"),
        ("outboundRules", "frontendIPConfigurations"),
    ),
    "backendAddressPools": (
        ("loadBalancingRules", "backendAddressPool"),
        ("outboundRules", "backendAddressPool"),
        ("inboundNatRules", "backendAddressPool"),
    ),
    "probes": (("loadBalancingRules", "probe"),),
}
_READABLE = ChildType("networkInterfaces")


class LoadBalancers(ResourceType):
    """Microsoft.Network/loadBalancers."""

    name = "loadBalancers"
    label = "LoadBalancer"
    children: ClassVar[Mapping[str, ChildType]] = {
        name.lower(): child for name, child in _CHILDREN.items()
    } | {"networkinterfaces": _READABLE}
    answers_succeeded = True
    lock = "supersede"
    actions: ClassVar[Mapping[str, Action]] = {"health": answer_health}

    def normalise(self, draft: Draft) -> JsonObject:
        """Check the whole balancer and return its stored form."""
        document = start_document(draft)
        document["sku"] = _sku(draft, document)
        sent = document["properties"]
        items = {name: clean_items(draft, name, shape) for name, shape in SHAPES.items()}
        _spell_probes(items["probes"])
        document["properties"] = items | {key: value for key, value in sent.items() if key not in items}
        _check_removed_frontends(draft, items["frontendIPConfigurations"])
        balancer_rules.check(draft, document)
        self._frontends(draft, document)
        pool_addresses.take_in(draft, document)
        membership.check_balancer(draft, document)
        _check_members_provisioned(draft)
        return document

    def links(self, resource: Resource) -> Links:
        """Frontends refer to subnets and public addresses; internal ones hold an address."""
        references: list[Reference] = []
        claims: list[Claim] = []
        for item in objects(resource.properties.get("frontendIPConfigurations")):
            holder = str(resource.id.child("frontendIPConfigurations", str(item["name"])))
            properties = obj(item.get("properties"))
            kinds = {"subnet": "subnet", "publicIPAddress": "pip", "gatewayLoadBalancer": "gateway"}
            for field, kind in kinds.items():
                target = reference_id(properties.get(field))
                if target:
                    references.append(Reference(kind, holder, target))
            subnet, address = reference_id(properties.get("subnet")), properties.get("privateIPAddress")
            if subnet and isinstance(address, str):
                claims.append(Claim(subnet, address, holder))
        return Links(tuple(references), tuple(claims))

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show all children with their back references, and the members."""
        shown: JsonObject = {"provisioningState": resource.state, "resourceGuid": resource.guid}
        for collection, child in _CHILDREN.items():
            shown[collection] = [
                self._child(cloud, resource, collection, child, item)
                for item in objects(resource.properties.get(collection))
            ]
        return shown | {
            key: deep_value for key, deep_value in deep(resource.properties).items() if key not in shown
        }

    def _child(
        self, cloud: Cloud, resource: Resource, collection: str, child: ChildType, item: JsonObject
    ) -> JsonObject:
        properties = deep(obj(item.get("properties")))
        own_id = resource.id.child(collection, str(item["name"]))
        if collection == "backendAddressPools":
            pool_addresses.show(cloud, resource, own_id, item, properties)
        if collection == "inboundNatRules":
            users = cloud.store.referrers(own_id, "nat")
            if users:
                properties["backendIPConfiguration"] = {"id": users[0].source}
        for other, field in _OWN_BACK_REFERENCES.get(collection, ()):
            users_here = [
                {"id": str(resource.id.child(other, str(rule["name"])))}
                for rule in objects(resource.properties.get(other))
                if key_of(own_id) in balancer_rules.targets(rule, field)
            ]
            if users_here:
                properties[other] = users_here
        bare = {key: value for key, value in item.items() if not key.startswith("$")}
        return child_view(resource, self, child, bare, properties)

    def wrote(self, cloud: Cloud, resource: Resource, before: JsonObject | None) -> None:
        """Interfaces lose their membership in pools and NAT rules that are gone."""
        membership.detach_removed(cloud, resource, before)

    def removed(self, cloud: Cloud, resource: Resource) -> None:
        """Interfaces lose their membership in everything of this balancer."""
        membership.detach_removed(cloud, resource, resource.body, gone=True)

    def _frontends(self, draft: Draft, document: JsonObject) -> None:
        """Give internal frontends their addresses, check public ones, refuse what cannot change."""
        taken: dict[str, str] = {}
        for item in objects(document["properties"]["frontendIPConfigurations"]):
            properties = item["properties"]
            own_id = draft.id.child("frontendIPConfigurations", str(item["name"]))
            old = named(draft.old_items("frontendIPConfigurations"), str(item["name"]))
            if old is not None:
                _check_constant(draft, own_id.name, old, item)
            if "subnet" in properties:
                properties.setdefault("privateIPAddressVersion", "IPv4")
                assign(
                    draft.cloud.store, properties, holder=own_id, old=obj(old).get("properties"), taken=taken
                )
            public = reference_id(properties.get("publicIPAddress"))
            if public:
                check_attachment(draft.cloud, public, str(own_id), str(document["sku"]["name"]))
            item["properties"] = ordered(
                properties, ("privateIPAddress", "privateIPAllocationMethod", "subnet", "publicIPAddress")
            )


def _sku(draft: Draft, document: JsonObject) -> JsonObject:
    """Fill in the SKU: without one a balancer is Basic, and no Basic one can be created since 2025-09-30."""
    sku = obj(document.get("sku"))
    found = {**sku, "name": sku.get("name", "Basic"), "tier": sku.get("tier", "Regional")}
    if draft.existing is None:
        if found["name"] == "Basic":
            # Code and text assumed: Microsoft's retirement notice names none.
            raise bad_request(
                "BasicSkuLoadBalancerCreationNotAllowed",
                f"Load balancer {draft.id} cannot be created with sku Basic. Basic Load Balancer was retired "
                "on "
                "September 30, 2025. Set sku.name to Standard.",
            )
        return found
    old = obj(draft.existing.body.get("sku"))
    for field in ("name", "tier"):
        if old.get(field, found[field]) != found[field]:
            raise bad_request(
                "LoadBalancerSkuCannotBeChanged",
                f"Sku {field} of load balancer {draft.id} cannot be changed from {old.get(field)} to "
                f"{found[field]}.",
            )
    return found


def _spell_probes(probes: list[JsonObject]) -> None:
    """Accept the older spelling `NoHealthyBackendsBehavior`."""
    for probe in probes:
        properties = probe["properties"]
        if "NoHealthyBackendsBehavior" in properties:
            properties["noHealthyBackendsBehavior"] = properties.pop("NoHealthyBackendsBehavior")
        properties.setdefault("noHealthyBackendsBehavior", "AllProbedDown")


def _check_removed_frontends(draft: Draft, frontends: list[JsonObject]) -> None:
    if draft.old_items("frontendIPConfigurations") and not frontends:
        raise bad_request(
            "DeletingAllFrontendIPConfigsNotSupported",
            "Deleting all frontendIPConfigs from load balancer is not supported.",
        )


def _check_constant(draft: Draft, name: str, old: JsonObject, new: JsonObject) -> None:
    """Refuse what a frontend cannot change: type (internal, public), zones, and (disputed) its subnet."""
    before, after = obj(old.get("properties")), new["properties"]
    if ("subnet" in before) != ("subnet" in after):
        raise bad_request(
            "FrontendIPConfigurationTypeCannotBeChanged",
            f"Frontend IP configuration {name} of load balancer {draft.id} cannot be changed between "
            "internal and public.",
        )
    old_zones, new_zones = old.get("zones") or [], new.get("zones") or []
    if sorted(old_zones) != sorted(new_zones):
        raise bad_request(
            "ResourceAvailabilityZonesCannotBeModified",
            f"Resource {draft.id}/frontendIPConfigurations/{name} has an existing availability zone "
            "constraint "
            f'"{", ".join(old_zones)}" and the request has availability zone constraint '
            f'"{", ".join(new_zones)}", which do '
            "not match. Zones cannot be added/updated/removed once the resource is created.",
        )
    moved = key_of(reference_id(before.get("subnet")) or "") != key_of(
        reference_id(after.get("subnet")) or ""
    )
    if moved and draft.cloud.settings.disputed.frontend_move_refused:
        raise bad_request(
            "FrontendIPConfigurationSubnetCannotBeChanged",
            f"Subnet of frontend IP configuration {name} of load balancer {draft.id} cannot be changed.",
        )


def _check_members_provisioned(draft: Draft) -> None:
    """429 while an interface in one of the pools is being changed or its last change failed."""
    if draft.existing is None:
        return
    for nic_id in membership.member_interfaces(draft.cloud, draft.existing):
        nic = draft.cloud.store.get(nic_id)
        if nic is not None and nic.state != "Succeeded":
            raise not_provisioned(str(nic.id), str(draft.id), nic.state, nic.operation)
