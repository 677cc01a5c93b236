"""Network security groups: their own rules, and the six default ones that nobody can remove.

Priorities 100 to 4096 are unique per direction. Of each singular/plural pair of fields the one that was sent
is stored; the plural is always shown, empty when the singular is in use.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, ClassVar

from loadmaster_ha.emulator.errors import bad_request
from loadmaster_ha.emulator.json_types import JsonObject, deep, obj, objects, ordered
from loadmaster_ha.emulator.resource_type import (
    ChildType,
    Draft,
    ItemShape,
    ResourceType,
    child_view,
    clean_items,
    start_document,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource

_RULE = ChildType("securityRules", writable=True, label="SecurityRule")
_DEFAULT_RULE = ChildType("defaultSecurityRules")
_PAIRS = (
    ("sourcePortRange", "sourcePortRanges"),
    ("destinationPortRange", "destinationPortRanges"),
    ("sourceAddressPrefix", "sourceAddressPrefixes"),
    ("destinationAddressPrefix", "destinationAddressPrefixes"),
)
_ORDER = (
    "description",
    "protocol",
    "sourcePortRange",
    "destinationPortRange",
    "sourceAddressPrefix",
    "destinationAddressPrefix",
    "access",
    "priority",
    "direction",
    "sourcePortRanges",
    "destinationPortRanges",
    "sourceAddressPrefixes",
    "destinationAddressPrefixes",
)
_DEFAULTS = (
    (
        "AllowVnetInBound",
        "Allow inbound traffic from all VMs in VNET",
        "VirtualNetwork",
        "VirtualNetwork",
        "Allow",
        65000,
        "Inbound",
    ),
    (
        "AllowAzureLoadBalancerInBound",
        "Allow inbound traffic from azure load balancer",
        "AzureLoadBalancer",
        "*",
        "Allow",
        65001,
        "Inbound",
    ),
    ("DenyAllInBound", "Deny all inbound traffic", "*", "*", "Deny", 65500, "Inbound"),
    (
        "AllowVnetOutBound",
        "Allow outbound traffic from all VMs to all VMs in VNET",
        "VirtualNetwork",
        "VirtualNetwork",
        "Allow",
        65000,
        "Outbound",
    ),
    (
        "AllowInternetOutBound",
        "Allow outbound traffic from all VMs to Internet",
        "*",
        "Internet",
        "Allow",
        65001,
        "Outbound",
    ),
    ("DenyAllOutBound", "Deny all outbound traffic", "*", "*", "Deny", 65500, "Outbound"),
)
_PROTOCOLS = frozenset({"*", "tcp", "udp", "icmp", "esp", "ah"})
_SERVICE_TAG = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)?")


class SecurityGroups(ResourceType):
    """Microsoft.Network/networkSecurityGroups."""

    name = "networkSecurityGroups"
    label = "NetworkSecurityGroup"
    children: ClassVar[Mapping[str, ChildType]] = {
        "securityrules": _RULE,
        "defaultsecurityrules": _DEFAULT_RULE,
    }

    def normalise(self, draft: Draft) -> JsonObject:
        """Check every rule and that no two share priority and direction."""
        document = start_document(
            draft, drop=("defaultSecurityRules", "networkInterfaces", "subnets", "flowLogs")
        )
        rules = clean_items(draft, "securityRules", ItemShape())
        for rule in rules:
            rule["properties"] = _checked(str(rule["name"]), rule["properties"])
        written = draft.child[1].lower() if draft.child else ""
        _check_conflicts(rules, written)
        document["properties"] = {"securityRules": rules} | {
            key: value for key, value in document["properties"].items() if key != "securityRules"
        }
        return document

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show own and default rules, and where the group is in force."""
        shown = super().view_properties(cloud, resource)
        shown["securityRules"] = [
            child_view(resource, self, _RULE, item, deep(item["properties"]))
            for item in objects(resource.properties.get("securityRules"))
        ]
        shown["defaultSecurityRules"] = [
            child_view(resource, self, _DEFAULT_RULE, {"name": rule[0]}, _default(rule)) for rule in _DEFAULTS
        ]
        for field, kind in (("networkInterfaces", "nsg"), ("subnets", "networkSecurityGroup")):
            users = cloud.store.referrers(resource.id, kind)
            if users:
                shown[field] = [{"id": user.source} for user in users]
        return shown

    def check_delete(self, cloud: Cloud, resource: Resource) -> None:
        """Refuse while the group is on an interface or a subnet."""
        users = cloud.store.referrers(resource.id)
        if users:
            raise bad_request(
                "InUseNetworkSecurityGroupCannotBeDeleted",
                f"Network security group {resource.id} cannot be deleted because it is in use by the "
                "following resources: "
                f"{', '.join(user.source for user in users)}. In order to delete the Network security group, "
                "remove the "
                "association with the resource(s). To learn how to do this, see aka.ms/deletensg.",
            )


def default_rules() -> list[JsonObject]:
    """Return the properties of Azure's default rules, which follow a group's own."""
    return [_default(rule) for rule in _DEFAULTS]


def _default(rule: tuple[str, str, str, str, str, int, str]) -> JsonObject:
    _, description, source, destination, access, priority, direction = rule
    return {
        "description": description,
        "protocol": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "*",
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": destination,
        "access": access,
        "priority": priority,
        "direction": direction,
        **{plural: [] for _, plural in _PAIRS},
    }


def _checked(name: str, properties: JsonObject) -> JsonObject:
    """Return one rule's properties in stored form."""
    priority = properties.get("priority")
    if not isinstance(priority, int) or not 100 <= priority <= 4096:
        raise bad_request(
            "SecurityRuleInvalidPriority",
            f"Security rule has invalid Priority. Value provided: {priority} Allowed range 100-4096.",
        )
    # Azure answers with the spelling that was sent (both Tcp and TCP are seen), so it stays.
    if str(properties.get("protocol", "")).lower() not in _PROTOCOLS:
        raise _unsupported(name, "protocol", properties.get("protocol"))
    for field, allowed in (("access", ("Allow", "Deny")), ("direction", ("Inbound", "Outbound"))):
        value = next(
            (item for item in allowed if item.lower() == str(properties.get(field, "")).lower()), None
        )
        if value is None:
            raise _unsupported(name, field, properties.get(field))
        properties[field] = value
    for singular, plural in _PAIRS:
        _check_pair(name, properties, singular, plural)
    return ordered(properties, _ORDER)


def _check_pair(name: str, properties: JsonObject, singular: str, plural: str) -> None:
    groups = properties.get(f"{singular.removesuffix('AddressPrefix')}ApplicationSecurityGroups")
    many = properties.get(plural) or []
    one = properties.get(singular) or None
    if many and one:
        raise bad_request(
            "SecurityRuleParameterContainsBothSingularAndPlural",
            f"Security rule {name} has both {singular} and {plural}. Exactly one of them must be given.",
        )
    if not many and not one and not groups:
        raise bad_request(
            "SecurityRuleParameterMissing",
            f"Security rule {name} must have a value for {singular} or {plural}.",
        )
    for value in many or ([one] if one else []):
        if "Port" in singular:
            _check_port(str(value))
        else:
            _check_prefix(str(value))
    if not one:
        properties.pop(singular, None)
    properties[plural] = list(many)


def _check_port(value: str) -> None:
    first, _, last = value.partition("-")
    numbers = [first, last] if last or "-" in value else [first]
    if value != "*" and not all(part.isdigit() and int(part) <= 65535 for part in numbers):
        raise bad_request(
            "SecurityRuleInvalidPortRange",
            f"Security rule has invalid Port range. Value provided: {value}. Value should be an integer OR "
            "integer range "
            "with '-' delimiter. Valid range 0-65535.",
        )


def _check_prefix(value: str) -> None:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        if value == "*" or _SERVICE_TAG.fullmatch(value):
            return
        raise bad_request(
            "SecurityRuleInvalidAddressPrefix",
            f"Security rule has invalid Address prefix. Value provided: {value}",
        ) from None


def _unsupported(name: str, field: str, value: object) -> Exception:
    return bad_request(
        "SecurityRuleInvalidParameter", f"Security rule {name} has an invalid value for {field}: {value}."
    )


def _check_conflicts(rules: list[JsonObject], written: str) -> None:
    """Refuse equal priorities in one direction; the rule just written is named first."""
    seen: dict[tuple[str, int], str] = {}
    for rule in sorted(rules, key=lambda item: str(item["name"]).lower() == written):
        properties = obj(rule["properties"])
        slot = (str(properties["direction"]), int(properties["priority"]))
        if slot in seen:
            raise bad_request(
                "SecurityRuleConflict",
                f"Security rule {rule['name']} conflicts with rule {seen[slot]}. Rules cannot have the same "
                "Priority and "
                "Direction.",
            )
        seen[slot] = str(rule["name"])
