"""A small pure model of ARM for planner tests: PUT replaces, the service fills, references are held.

Hand-written after Azure's recordings; shares nothing with the planner but the data types of an observation.
"""

import copy
import itertools
from collections.abc import Mapping
from typing import Any

from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.changes import Change, Delete, Put
from loadmaster_ha.planning.observation import AddressQuestion, Observation, Resource

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/edge"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
COMPUTE = f"{GROUP}/providers/Microsoft.Compute"

LB_COLLECTIONS = (
    "frontendIPConfigurations",
    "backendAddressPools",
    "loadBalancingRules",
    "probes",
    "inboundNatRules",
    "outboundRules",
    "inboundNatPools",
)


def default_rules() -> list[dict[str, Any]]:
    def rule(name: str, source: str, destination: str, access: str, priority: int) -> dict[str, Any]:
        return {
            "name": name,
            "properties": {
                "protocol": "*",
                "sourcePortRange": "*",
                "destinationPortRange": "*",
                "sourceAddressPrefix": source,
                "destinationAddressPrefix": destination,
                "access": access,
                "priority": priority,
                "direction": "Inbound",
                "sourcePortRanges": [],
                "destinationPortRanges": [],
                "sourceAddressPrefixes": [],
                "destinationAddressPrefixes": [],
            },
        }

    return [
        rule("AllowVnetInBound", "VirtualNetwork", "VirtualNetwork", "Allow", 65000),
        rule("AllowAzureLoadBalancerInBound", "AzureLoadBalancer", "*", "Allow", 65001),
        rule("DenyAllInBound", "*", "*", "Deny", 65500),
    ]


class PreconditionFailed(AssertionError):  # noqa: N818 - the name of ARM's code
    """If-Match or If-None-Match did not hold."""


class RequestRefused(AssertionError):  # noqa: N818 - an answer, not a fault
    """ARM would answer 400."""


class ArmModel:
    """Resources by lower-case id, as GET would answer them."""

    def __init__(self, bodies: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self._etags = itertools.count(1)
        self.writes: list[Change] = []
        self.reads = 0
        self.failing: dict[str, Unknown] = {}
        later = "/networkInterfaces/"  # they refer to balancers
        for resource, body in sorted((bodies or {}).items(), key=lambda item: later in item[0]):
            self.put(resource, body)

    # -- reading
    # -------------------------------------------------------------------------------------------------

    def get(self, resource: str | ResourceID) -> dict[str, Any]:
        return self.stored[str(resource).lower()]

    def body(self, resource: str | ResourceID) -> dict[str, Any]:
        """GET: what is stored and the back references."""
        found = copy.deepcopy(self.get(resource))
        kind = found["type"].lower()
        if kind == "microsoft.network/loadbalancers":
            self._back_references(found)
        if kind == "microsoft.compute/availabilitysets":
            found.setdefault("properties", {})["virtualMachines"] = [
                {"id": other["id"].upper()}
                for other in self.stored.values()
                if other["type"].lower() == "microsoft.compute/virtualmachines"
                and str(other["properties"].get("availabilitySet", {}).get("id")).lower()
                == found["id"].lower()
            ]
        return found

    def observe(self, needs: Any, target: Any) -> Observation:
        """The observer's loop: ask for needs until nothing is missing."""
        observation = Observation()
        for _ in range(12):
            missing = [need for need in needs(target, observation) if not observation.knows(need)]
            if not missing:
                return observation
            resources, addresses = dict(observation.resources), dict(observation.addresses)
            for need in missing:
                self.reads += 1
                if isinstance(need, AddressQuestion):
                    addresses[need] = Present(not self._is_taken(need))
                else:
                    resources[need] = self._reading(need)
            observation = Observation(resources, addresses)
        raise AssertionError("needs never ends")

    def _reading(self, need: ResourceID) -> Any:
        key = str(need).lower()
        if key in self.failing:
            return self.failing[key]
        if key in self.stored:
            body = self.body(key)
            return Present(Resource(ResourceID.parse(body["id"]), body, body.get("etag")))
        group = f"/subscriptions/{need.subscription}/resourceGroups/{need.resource_group}".lower()
        return Absent("ResourceNotFound" if group in self.stored else "ResourceGroupNotFound")

    def _is_taken(self, question: AddressQuestion) -> bool:
        for body in self.stored.values():
            properties = body.get("properties", {})
            for field in ("ipConfigurations", "frontendIPConfigurations"):
                for entry in properties.get(field, []):
                    if entry["properties"].get("privateIPAddress") == question.address:
                        return True
        return False

    # -- writing
    # -------------------------------------------------------------------------------------------------

    def apply(self, change: Change) -> None:
        self.writes.append(change)
        key = str(change.resource).lower()
        if len(change.resource.names) == 4:
            self._apply_rule(change)
            return
        current = self.stored.get(key)
        etag = None if current is None else current.get("etag")
        if isinstance(change, Delete):
            if change.if_match is not None and change.if_match != etag:
                raise PreconditionFailed(key)
            self._delete(key)
            return
        if change.if_match != etag:
            raise PreconditionFailed(f"{key}: {change.if_match} is not {etag}")
        self._refuse_read_only(change)
        self.put(str(change.resource), change.body)

    def put(self, resource: str, body: Mapping[str, Any]) -> None:
        key = resource.lower()
        parsed = ResourceID.parse(resource)
        stored = copy.deepcopy(dict(body))
        previous = self.stored.get(key)
        stored["id"] = previous["id"] if previous else resource
        stored["name"] = parsed.name
        stored["type"] = parsed.type
        etag = f'W/"{next(self._etags):08d}"'
        stored["etag"] = etag
        kind = parsed.type.lower()
        properties = stored.setdefault("properties", {})
        properties.setdefault("provisioningState", "Succeeded")
        if kind == "microsoft.network/loadbalancers":
            self._fill_balancer(stored)
        if kind == "microsoft.network/networkinterfaces":
            for field in ("virtualMachine", "macAddress", "primary"):
                if previous is not None and field in previous["properties"]:
                    properties[field] = previous["properties"][field]
            if "dnsSettings" in properties:
                properties["dnsSettings"]["appliedDnsServers"] = list(properties["dnsSettings"]["dnsServers"])
            self._check_interface(stored)
            self._touch_balancers(stored, previous)
        if kind == "microsoft.network/networksecuritygroups":
            properties.setdefault("securityRules", [])
            properties["defaultSecurityRules"] = default_rules()
            for rule in properties["securityRules"]:
                self._fill_rule(stored, rule, etag)
        if kind == "microsoft.network/publicipaddresses":
            properties.setdefault("ipAddress", "20.0.0.1")
        self.stored[key] = stored

    def _apply_rule(self, change: Change) -> None:
        group = self.stored[str(change.resource.top).lower()]
        rules = group["properties"]["securityRules"]
        place = next(
            (i for i, r in enumerate(rules) if r["name"].lower() == change.resource.name.lower()), None
        )
        current = None if place is None else rules[place]["etag"]
        if isinstance(change, Delete):
            if place is not None:
                if change.if_match not in (None, "*", current):
                    raise PreconditionFailed(str(change.resource))
                del rules[place]
        else:
            if change.if_match is None and place is not None:
                raise PreconditionFailed(str(change.resource))
            if change.if_match is not None and change.if_match not in ("*", current):
                raise PreconditionFailed(str(change.resource))
            rule = {"name": change.resource.name, **copy.deepcopy(dict(change.body))}
            for other in rules:
                same = other["properties"]["priority"] == rule["properties"]["priority"]
                same = same and other["properties"]["direction"] == rule["properties"]["direction"]
                if same and other["name"].lower() != rule["name"].lower():
                    raise RequestRefused("SecurityRuleConflict")
            if place is None:
                rules.append(rule)
            else:
                rules[place] = rule
        etag = f'W/"{next(self._etags):08d}"'
        group["etag"] = etag
        for rule in rules:
            self._fill_rule(group, rule, etag)

    def _delete(self, key: str) -> None:
        self.stored.pop(key, None)
        for body in self.stored.values():
            for entry in body.get("properties", {}).get("ipConfigurations", []) or []:
                for field in ("loadBalancerBackendAddressPools", "loadBalancerInboundNatRules"):
                    held = entry["properties"].get(field) or []
                    if any(item["id"].lower().startswith(key + "/") for item in held):
                        raise RequestRefused("deleted while an interface refers to it")

    @staticmethod
    def _refuse_read_only(change: Put) -> None:
        for pool in change.body.get("properties", {}).get("backendAddressPools", []) or []:
            for member in pool.get("properties", {}).get("loadBalancerBackendAddresses", []) or []:
                if "networkInterfaceIPConfiguration" in member.get("properties", {}):
                    raise RequestRefused("DuplicateIpConfigurationReferenceOnBackendAddressPool")

    def _fill_rule(self, group: dict[str, Any], rule: dict[str, Any], etag: str) -> None:
        rule["id"] = f"{group['id']}/securityRules/{rule['name']}"
        rule["etag"] = etag
        rule["type"] = "Microsoft.Network/networkSecurityGroups/securityRules"
        body = rule["properties"]
        body["provisioningState"] = "Succeeded"
        for field in (
            "sourcePortRanges",
            "destinationPortRanges",
            "sourceAddressPrefixes",
            "destinationAddressPrefixes",
        ):
            body.setdefault(field, [])
        priorities = [
            r["properties"]["priority"]
            for r in group["properties"]["securityRules"]
            if r["properties"]["direction"] == body["direction"]
        ]
        if len(priorities) != len(set(priorities)):
            raise RequestRefused("SecurityRuleConflict")

    def _fill_balancer(self, body: dict[str, Any]) -> None:
        properties = body["properties"]
        known = self._fill_children(body)
        for frontend in properties["frontendIPConfigurations"]:
            if "subnet" in frontend["properties"]:
                frontend["properties"].setdefault("privateIPAddress", "10.0.1.4")
            frontend["properties"].setdefault("privateIPAllocationMethod", "Dynamic")
        for rule in properties["loadBalancingRules"]:
            inner = rule["properties"]
            if "backendAddressPool" in inner and "backendAddressPools" not in inner:
                inner["backendAddressPools"] = [dict(inner["backendAddressPool"])]
        used = [("itself", reference) for reference in _inner_references(properties)]
        used += [
            (other["id"], reference) for other in self.stored.values() for reference in _memberships(other)
        ]
        for user, reference in used:
            if reference.startswith(body["id"].lower() + "/") and reference not in known:
                raise RequestRefused(f"InvalidResourceReference: {user} refers to {reference}")
        self._check_ports(properties)

    @staticmethod
    def _fill_children(body: dict[str, Any]) -> set[str]:
        known: set[str] = set()
        for collection in LB_COLLECTIONS:
            for entry in body["properties"].setdefault(collection, []):
                entry["id"] = f"{body['id']}/{collection}/{entry['name']}"
                entry["etag"] = body["etag"]
                entry["type"] = f"Microsoft.Network/loadBalancers/{collection}"
                entry.setdefault("properties", {})["provisioningState"] = "Succeeded"
                known.add(entry["id"].lower())
        return known

    @staticmethod
    def _check_ports(properties: Mapping[str, Any]) -> None:
        seen: set[tuple[str, str, int]] = set()
        backend: set[tuple[str, str, int]] = set()
        for collection in ("loadBalancingRules", "inboundNatRules"):
            for rule in properties[collection]:
                inner = rule["properties"]
                if "frontendPort" not in inner:
                    continue
                key = (
                    inner["frontendIPConfiguration"]["id"].lower(),
                    inner["protocol"].lower(),
                    inner["frontendPort"],
                )
                if key in seen:
                    raise RequestRefused(f"frontend port used twice {key}")
                seen.add(key)
                if collection == "loadBalancingRules":
                    pool = inner["backendAddressPool"]["id"].lower()
                    used = (pool, inner["protocol"].lower(), inner["backendPort"])
                    if used in backend:
                        raise RequestRefused("RulesUseSameBackendPortProtocolAndPool")
                    backend.add(used)

    def _check_interface(self, body: dict[str, Any]) -> None:
        pools, nat_rules = self._backend_ports()
        taken = {
            reference
            for other in self.stored.values()
            if other["id"] != body["id"]
            for reference in _memberships(other)
            if reference in nat_rules
        }
        for reference in _memberships(body):
            if reference not in pools and reference not in nat_rules:
                raise RequestRefused(f"InvalidResourceReference {reference}")
            if reference in taken:
                raise RequestRefused(f"{reference} leads to another interface")
        for entry in body["properties"]["ipConfigurations"]:
            held = [
                item["id"].lower() for item in entry["properties"].get("loadBalancerInboundNatRules") or []
            ]
            used = [nat_rules[reference] for reference in held]
            for item in entry["properties"].get("loadBalancerBackendAddressPools") or []:
                used += pools[item["id"].lower()]
            if len(used) != len(set(used)):
                raise RequestRefused(
                    f"RulesOfSameLoadBalancerTypeUseSameBackendPortProtocolAndIPConfig {used}"
                )

    def _backend_ports(self) -> tuple[dict[str, list[tuple[str, int]]], dict[str, tuple[str, int]]]:
        """What the pools' rules, and the NAT rules, lead to: (protocol, backend port) by id."""
        pools: dict[str, list[tuple[str, int]]] = {}
        nat_rules: dict[str, tuple[str, int]] = {}
        balancers = [body for body in self.stored.values() if body["type"].lower().endswith("/loadbalancers")]
        for properties in (body["properties"] for body in balancers):
            pools.update({pool["id"].lower(): [] for pool in properties["backendAddressPools"]})
            for rule in properties["loadBalancingRules"]:
                port = (rule["properties"]["protocol"].lower(), rule["properties"]["backendPort"])
                pools[rule["properties"]["backendAddressPool"]["id"].lower()].append(port)
            for rule in properties["inboundNatRules"]:
                port = (rule["properties"]["protocol"].lower(), rule["properties"]["backendPort"])
                nat_rules[rule["id"].lower()] = port
        return pools, nat_rules

    def _touch_balancers(self, new: dict[str, Any], old: dict[str, Any] | None) -> None:
        changed = set(_memberships(new)) ^ set(_memberships(old or {}))
        for body in self.stored.values():
            if any(reference.startswith(body["id"].lower() + "/") for reference in changed):
                body["etag"] = f'W/"{next(self._etags):08d}"'

    def _back_references(self, body: dict[str, Any]) -> None:
        pools = {pool["id"].lower(): pool["properties"] for pool in body["properties"]["backendAddressPools"]}
        nat_rules = {rule["id"].lower(): rule["properties"] for rule in body["properties"]["inboundNatRules"]}
        for interface in self.stored.values():
            for entry in interface["properties"].get("ipConfigurations") or []:
                here = {"id": f"{interface['id']}/ipConfigurations/{entry['name']}"}
                for item in entry["properties"].get("loadBalancerBackendAddressPools") or []:
                    if item["id"].lower() in pools:
                        _add_member(pools[item["id"].lower()], here)
                for item in entry["properties"].get("loadBalancerInboundNatRules") or []:
                    if item["id"].lower() in nat_rules:
                        nat_rules[item["id"].lower()]["backendIPConfiguration"] = here
        entries = {
            entry["id"].lower(): entry["properties"]
            for collection in ("probes", "frontendIPConfigurations", "backendAddressPools")
            for entry in body["properties"][collection]
        }
        for rule in body["properties"]["loadBalancingRules"]:
            for field in ("probe", "frontendIPConfiguration", "backendAddressPool"):
                found = entries.get(str(rule["properties"].get(field, {}).get("id")).lower())
                if found is not None:
                    found.setdefault("loadBalancingRules", []).append({"id": rule["id"]})


def _add_member(pool: dict[str, Any], configuration: dict[str, str]) -> None:
    pool.setdefault("backendIPConfigurations", []).append(configuration)
    *_, interface, _, name = configuration["id"].split("/")
    member = {"networkInterfaceIPConfiguration": configuration, "provisioningState": "Succeeded"}
    pool.setdefault("loadBalancerBackendAddresses", []).append(
        {"name": f"{interface}-{name}", "properties": member}
    )


def _inner_references(value: Any) -> list[str]:
    found = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("probe", "frontendIPConfiguration", "backendAddressPool") and isinstance(
                item, Mapping
            ):
                found.append(str(item.get("id")).lower())
            elif key == "backendAddressPools" and isinstance(item, list) and item and "name" not in item[0]:
                found.extend(str(entry["id"]).lower() for entry in item)
            else:
                found.extend(_inner_references(item))
    elif isinstance(value, list):
        for item in value:
            found.extend(_inner_references(item))
    return found


def _memberships(body: Mapping[str, Any]) -> list[str]:
    found = []
    for entry in body.get("properties", {}).get("ipConfigurations", []) or []:
        for field in ("loadBalancerBackendAddressPools", "loadBalancerInboundNatRules"):
            found.extend(item["id"].lower() for item in entry["properties"].get(field) or [])
    return found
