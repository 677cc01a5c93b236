"""Checks of one load balancer by itself: references inside it, ports, probes, ranges.

What needs the interfaces (port triangles, one balancer per kind) is in `membership`. Codes without a public
source are marked "assumed".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator.armid import ArmId, key_of
from loadmaster_ha.emulator.errors import bad_request, dangling_reference
from loadmaster_ha.emulator.json_types import JsonObject, obj, objects, reference_id

if TYPE_CHECKING:
    from loadmaster_ha.emulator.resource_type import Draft

_FIELDS = {
    "loadBalancingRules": {
        "frontendIPConfiguration": "frontendIPConfigurations",
        "backendAddressPool": "backendAddressPools",
        "backendAddressPools": "backendAddressPools",
        "probe": "probes",
    },
    "inboundNatRules": {
        "frontendIPConfiguration": "frontendIPConfigurations",
        "backendAddressPool": "backendAddressPools",
    },
    "outboundRules": {
        "frontendIPConfigurations": "frontendIPConfigurations",
        "backendAddressPool": "backendAddressPools",
    },
    "inboundNatPools": {"frontendIPConfiguration": "frontendIPConfigurations"},
}
HTTP_FORBIDDEN_PORTS = frozenset({19, 21, 25, 70, 110, 119, 143, 220, 993})
_MAX_RULES = 1500


def targets(rule: JsonObject, field: str) -> set[str]:
    """Return the comparable ids in a reference field, be it one reference or a list."""
    value = obj(rule.get("properties")).get(field)
    found = (
        [reference_id(item) for item in objects(value)] if isinstance(value, list) else [reference_id(value)]
    )
    return {key_of(item) for item in found if item}


def pools_of(rule: JsonObject) -> set[str]:
    """Return the pools that a balancing rule or a NAT rule serves (comparable ids)."""
    return targets(rule, "backendAddressPool") | targets(rule, "backendAddressPools")


def is_internal(properties: JsonObject) -> bool:
    """Say whether a balancer with these properties is an internal one."""
    frontends = objects(properties.get("frontendIPConfigurations"))
    return any("subnet" in obj(item.get("properties")) for item in frontends)


def is_ha_ports(rule: JsonObject) -> bool:
    """Say whether a balancing rule takes all ports of all protocols."""
    properties = obj(rule.get("properties"))
    return str(properties.get("protocol", "")).lower() == "all" and properties.get("frontendPort") == 0


def floats(rule: JsonObject) -> bool:
    """Say whether a rule uses floating IP."""
    return bool(obj(rule.get("properties")).get("enableFloatingIP"))


def check(draft: Draft, document: JsonObject) -> None:
    """Check a whole balancer.

    Raises:
        ArmError: The first refusal.
    """
    properties = document["properties"]
    _check_frontends(draft, properties)
    _check_references(draft.id, properties)
    for probe in properties["probes"]:
        _check_probe(draft.id, probe)
    for rule in properties["loadBalancingRules"]:
        _check_rule(draft, document, rule)
    for rule in properties["inboundNatRules"]:
        _check_nat_rule(draft, rule)
    _check_same_frontend_port(draft.id, properties)
    _check_same_backend_port(draft.id, properties)
    _check_ha_ports(draft.id, document)
    if properties["outboundRules"] and is_internal(properties):
        raise bad_request(
            "OutboundRuleNotSupportedOnInternalLoadBalancer",
            f"Outbound rules are not supported on internal load balancer {draft.id}.",
        )
    if len(properties["loadBalancingRules"]) + len(properties["inboundNatRules"]) > _MAX_RULES:
        raise bad_request(
            "LoadBalancerRuleCountLimitReached",
            f"Load balancer {draft.id} has more than {_MAX_RULES} load balancing and inbound NAT rules.",
        )


def _check_frontends(draft: Draft, properties: JsonObject) -> None:
    frontends = properties["frontendIPConfigurations"]
    children = (
        "loadBalancingRules",
        "inboundNatRules",
        "outboundRules",
        "probes",
        "backendAddressPools",
        "inboundNatPools",
    )
    if not frontends and any(properties[name] for name in children):
        raise bad_request(
            "LoadBalancerWithoutFrontendIPCantHaveChildResources",
            f"Load balancer {draft.id} does not have frontend IP configurations and therefore cannot have "
            "child resources.",
        )
    kinds = set()
    for item in frontends:
        sent = item["properties"]
        given = [key for key in ("subnet", "publicIPAddress", "publicIPPrefix") if key in sent]
        if len(given) != 1:
            raise bad_request(
                "FrontendIPConfigurationMustHaveOneAddressSource",  # assumed
                f"Frontend IP configuration {item['name']} of load balancer {draft.id} must refer to exactly "
                "one of subnet, "
                f"publicIPAddress and publicIPPrefix; it refers to {', '.join(given) or 'none'}.",
            )
        kinds.add(given[0] == "subnet")
    if len(kinds) > 1:
        raise bad_request(
            "LoadBalancerCannotMixInternalAndPublicFrontends",  # assumed
            f"Load balancer {draft.id} cannot have both internal and public frontend IP configurations.",
        )


def _check_references(balancer: ArmId, properties: JsonObject) -> None:
    for collection, fields in _FIELDS.items():
        for rule in properties[collection]:
            rule_id = balancer.child(collection, str(rule["name"]))
            for field, wanted in fields.items():
                known = {key_of(balancer.child(wanted, str(item["name"]))) for item in properties[wanted]}
                for target in sorted(targets(rule, field) - known):
                    raise dangling_reference(_spelling(rule, field, target), str(rule_id))
            if "frontendIPConfiguration" in fields and not targets(rule, "frontendIPConfiguration"):
                raise bad_request(
                    "InvalidRequestFormat",
                    f"Cannot parse the request: {rule_id} has no frontendIPConfiguration.",
                )


def _spelling(rule: JsonObject, field: str, target: str) -> str:
    value = rule["properties"].get(field)
    for item in value if isinstance(value, list) else [value]:
        found = reference_id(item)
        if found and key_of(found) == target:
            return found
    return target


def _check_probe(balancer: ArmId, probe: JsonObject) -> None:
    properties, name = probe["properties"], probe["name"]
    protocol = str(properties.get("protocol", "")).lower()
    if protocol not in ("http", "https", "tcp"):
        raise _bad_probe(balancer, name, "protocol must be Http, Https or Tcp")
    if not _in(properties.get("port"), 1, 65535):
        raise _bad_probe(balancer, name, "port must be from 1 to 65535")
    if protocol != "tcp" and not properties.get("requestPath"):
        raise _bad_probe(balancer, name, f"requestPath is required for protocol {properties['protocol']}")
    if protocol == "tcp" and properties.get("requestPath"):
        raise _bad_probe(balancer, name, "requestPath is not allowed for protocol Tcp")
    if protocol == "http" and properties["port"] in HTTP_FORBIDDEN_PORTS:
        raise _bad_probe(balancer, name, f"port {properties['port']} is not allowed for protocol Http")
    if not _in(properties.get("intervalInSeconds"), 5, 2**31):
        raise _bad_probe(balancer, name, "intervalInSeconds must be at least 5")
    if not _in(properties.get("probeThreshold"), 1, 100):
        raise _bad_probe(balancer, name, "probeThreshold must be from 1 to 100")
    if not _in(properties.get("numberOfProbes"), 1, 2**31):
        raise _bad_probe(balancer, name, "numberOfProbes must be at least 1")
    if properties["noHealthyBackendsBehavior"] not in ("AllProbedDown", "AllProbedUp"):
        raise _bad_probe(balancer, name, "noHealthyBackendsBehavior must be AllProbedDown or AllProbedUp")


def _bad_probe(balancer: ArmId, name: str, why: str) -> Exception:
    """The refusal of a probe (code assumed)."""
    return bad_request(
        "InvalidProbeConfiguration", f"Probe {name} of load balancer {balancer} is not valid: {why}."
    )


def _check_rule(draft: Draft, document: JsonObject, rule: JsonObject) -> None:
    properties = rule["properties"]
    protocol = str(properties.get("protocol", "")).lower()
    if protocol not in ("tcp", "udp", "all"):
        raise _bad_rule(draft.id, rule, "protocol must be Tcp, Udp or All")
    properties.setdefault("backendPort", properties.get("frontendPort"))
    if not _in(properties.get("frontendPort"), 0, 65534):
        raise _bad_rule(draft.id, rule, "frontendPort must be from 0 to 65534")
    if not _in(properties.get("backendPort"), 0, 65535):
        raise _bad_rule(draft.id, rule, "backendPort must be from 0 to 65535")
    zeros = [properties["frontendPort"], properties["backendPort"]].count(0)
    if zeros != (2 if protocol == "all" else 0):
        raise _bad_rule(draft.id, rule, "protocol All and ports 0 go together")
    if properties["loadDistribution"] not in ("Default", "SourceIP", "SourceIPProtocol"):
        raise _bad_rule(draft.id, rule, "loadDistribution must be Default, SourceIP or SourceIPProtocol")
    _check_idle(draft, rule)
    standard = obj(document.get("sku")).get("name") != "Basic"
    if properties.get("enableTcpReset") and not standard:
        raise _bad_rule(draft.id, rule, "enableTcpReset needs a Standard load balancer")


def _check_nat_rule(draft: Draft, rule: JsonObject) -> None:
    properties = rule["properties"]
    if str(properties.get("protocol", "")).lower() not in ("tcp", "udp", "all"):
        raise _bad_rule(draft.id, rule, "protocol must be Tcp, Udp or All")
    ranged = "frontendPortRangeStart" in properties or "frontendPortRangeEnd" in properties
    if (ranged and properties.get("frontendPort")) or ranged != bool(targets(rule, "backendAddressPool")):
        raise _bad_rule(
            draft.id,
            rule,
            "frontendPortRangeStart/End go with backendAddressPool, frontendPort goes with neither",
        )
    fields = ("frontendPortRangeStart", "frontendPortRangeEnd") if ranged else ("frontendPort",)
    for field in fields:
        if not _in(properties.get(field), 1, 65534):
            raise _bad_rule(draft.id, rule, f"{field} must be from 1 to 65534")
    if not _in(properties.get("backendPort"), 1, 65535):
        raise _bad_rule(draft.id, rule, "backendPort must be from 1 to 65535")
    _check_idle(draft, rule)


def _check_idle(draft: Draft, rule: JsonObject) -> None:
    top = 100 if draft.cloud.settings.disputed.idle_timeout_100 else 30
    if not _in(rule["properties"].get("idleTimeoutInMinutes"), 4, top):
        raise _bad_rule(draft.id, rule, f"idleTimeoutInMinutes must be from 4 to {top}")


def _bad_rule(balancer: ArmId, rule: JsonObject, why: str) -> Exception:
    """The refusal of a rule (code assumed)."""
    return bad_request(
        "InvalidLoadBalancerRuleConfiguration",
        f"Rule {rule['name']} of load balancer {balancer} is not valid: {why}.",
    )


def _in(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _check_same_frontend_port(balancer: ArmId, properties: JsonObject) -> None:
    seen: dict[tuple[str, str, int], str] = {}
    for collection in ("loadBalancingRules", "inboundNatRules"):
        for rule in properties[collection]:
            sent = rule["properties"]
            first = sent.get("frontendPort", sent.get("frontendPortRangeStart"))
            last = sent.get("frontendPort", sent.get("frontendPortRangeEnd"))
            rule_id = str(balancer.child(collection, str(rule["name"])))
            for frontend in targets(rule, "frontendIPConfiguration"):
                for port in range(first, last + 1):
                    slot = (frontend, str(sent["protocol"]).lower(), port)
                    if slot in seen:
                        raise bad_request(
                            "RulesUseSameFrontendPortProtocolAndIPConfig",
                            f"Load balancer rules {seen[slot]} and {rule_id} use the same frontend port "
                            f"{port}, protocol "
                            f"{sent['protocol']} and frontend IP configuration.",
                        )
                    seen[slot] = rule_id


def _check_same_backend_port(balancer: ArmId, properties: JsonObject) -> None:
    seen: dict[tuple[str, str, int], str] = {}
    for rule in properties["loadBalancingRules"]:
        if floats(rule):
            continue
        sent = rule["properties"]
        rule_id = str(balancer.child("loadBalancingRules", str(rule["name"])))
        for pool in pools_of(rule):
            slot = (pool, str(sent["protocol"]).lower(), sent["backendPort"])
            if slot in seen:
                shown = next(
                    item
                    for item in properties["backendAddressPools"]
                    if pool.endswith(f"/{str(item['name']).lower()}")
                )
                raise bad_request(
                    "RulesUseSameBackendPortProtocolAndPool",
                    f"Load balancing rules {seen[slot]} and {rule_id} with floating IP disabled use the same "
                    "protocol "
                    f"{sent['protocol']} and backend port {sent['backendPort']}, and must not be used with "
                    "the same backend "
                    f"address pool {balancer.child('backendAddressPools', str(shown['name']))}.",
                )
            seen[slot] = rule_id


def _check_ha_ports(balancer: ArmId, document: JsonObject) -> None:
    properties = document["properties"]
    for rule in properties["loadBalancingRules"]:
        if not is_ha_ports(rule):
            continue
        if not is_internal(properties) or obj(document.get("sku")).get("name") == "Basic":
            raise _bad_rule(balancer, rule, "HA ports are for internal Standard load balancers only")
        rivals = [
            other["name"]
            for other in properties["loadBalancingRules"]
            if other is not rule and not floats(rule) and pools_of(other) & pools_of(rule)
        ]
        if rivals:
            raise bad_request(
                "RulesUseSameBackendPortProtocolAndPool",
                f"Load balancing rules {balancer.child('loadBalancingRules', str(rule['name']))} and "
                f"{balancer.child('loadBalancingRules', str(rivals[0]))} with floating IP disabled use the "
                "same protocol "
                "All and backend port 0, and must not be used with the same backend address pool.",
            )
