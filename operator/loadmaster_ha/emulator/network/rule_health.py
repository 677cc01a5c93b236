"""Rule health: what the balancer's probes say about each member of a rule.

With a data plane the reasons are those of the probes. Without, nothing is probed for real: what a member
answers is set through the admin API (`probes`), per ipConfiguration. Reasons are those of Azure's page
"Manage health status".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator import answers
from loadmaster_ha.emulator.apiversions import at_least
from loadmaster_ha.emulator.armid import key_of, parse_id
from loadmaster_ha.emulator.cloud import Reply
from loadmaster_ha.emulator.errors import bad_request, child_not_found, invalid_resource_type
from loadmaster_ha.emulator.json_types import JsonObject, named, obj, objects, reference_id
from loadmaster_ha.emulator.network.pool_addresses import ADMIN_STATES

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Call, Cloud
    from loadmaster_ha.emulator.store import Resource

_FIRST_VERSION = "2024-03-01"
PROBE_FACT = "probe"
ANSWERS = ("200", "503", "timeout", "refused", "noresponse", "approachinghealthy", "approachingunhealthy")
"""What a member can be set to answer; any other HTTP status works like 503."""
_REASONS = {
    "timeout": {"http": "Down_Probe_HttpNoResponse", "tcp": "Down_Probe_TcpProbeTimeout"},
    "refused": {"http": "Down_Probe_HttpEndpointUnreachable", "tcp": "Down_Probe_TcpProbeTimeout"},
    "noresponse": {"http": "Down_Probe_HttpNoResponse", "tcp": "Down_Probe_TcpProbeTimeout"},
    "approachinghealthy": dict.fromkeys(("http", "tcp"), "Down_Probe_ApproachingHealthyThreshold"),
    "approachingunhealthy": dict.fromkeys(("http", "tcp"), "Up_Probe_ApproachingUnhealthyThreshold"),
}


def answer_health(call: Call, balancer: Resource) -> Reply:
    """Answer the POST: 202 with `Location`, where the result is read.

    The rule's name is in `call.query["rule"]`.
    """
    if not at_least(call.version, _FIRST_VERSION):
        raise invalid_resource_type(
            "loadBalancers/loadBalancingRules/health", "Microsoft.Network", call.version
        )
    name = call.query.pop("rule")
    rule = named(objects(balancer.properties.get("loadBalancingRules")), name)
    if rule is None:
        raise child_not_found(str(balancer.id.child("loadBalancingRules", name)))
    operation = call.cloud.operations.start(
        "GetLoadBalancingRuleHealthOperation",
        "action",
        balancer.key,
        namespace="Microsoft.Network",
        subscription=balancer.id.subscription,
        location=balancer.location,
        latency=call.cloud.settings.latency_of("Microsoft.Network/loadBalancers/health"),
        verdict=call.verdict,
        result=rule_health(call.cloud, balancer, rule),
    )
    return Reply(202, None, answers.operation_headers(call, operation, location=True, status=False))


def rule_health(cloud: Cloud, balancer: Resource, rule: JsonObject) -> JsonObject:
    """Return `{"up", "down", "loadBalancerBackendAddresses"}` of one rule.

    Raises:
        ArmError: 400 for a rule without probe: its members have no health.
    """
    probe_id = parse_id(reference_id(obj(rule["properties"]).get("probe")) or "")
    probe = named(objects(balancer.properties.get("probes")), probe_id.name) if probe_id else None
    if probe is None:
        raise bad_request(
            "LoadBalancingRuleHasNoProbe",  # assumed
            f"Load balancing rule {balancer.id.child('loadBalancingRules', str(rule['name']))} has no probe.",
        )
    probe_key = key_of(balancer.id.child("probes", str(probe["name"])))
    members = list(_members(cloud, balancer, rule))
    reasons = {
        item: _reason(cloud, (probe_key, obj(probe["properties"])), item, admin) for item, admin in members
    }
    running = [reason for reason in reasons.values() if reason]
    all_down = bool(running) and not any(reason.startswith("Up") for reason in running)
    if all_down and obj(probe["properties"]).get("noHealthyBackendsBehavior") == "AllProbedUp":
        reasons = {
            item: "Up_Probe_AllDownIsUp" if reason.startswith("Down_Probe") else reason
            for item, reason in reasons.items()
        }
    shown = [_entry(cloud, item, reason) for item, reason in reasons.items()]
    return {
        "up": sum(entry["state"] == "Up" for entry in shown),
        "down": sum(entry["state"] == "Down" for entry in shown),
        "loadBalancerBackendAddresses": shown,
    }


def _members(cloud: Cloud, balancer: Resource, rule: JsonObject) -> list[tuple[str, str]]:
    """Return the ipConfigurations in the rule's pools with their admin states."""
    properties = obj(rule["properties"])
    pools = [reference_id(properties.get("backendAddressPool"))]
    pools += [reference_id(item) for item in objects(properties.get("backendAddressPools"))]
    found: dict[str, str] = {}
    for pool_id in pools:
        parsed = parse_id(pool_id or "")
        pool = named(objects(balancer.properties.get("backendAddressPools")), parsed.name) if parsed else None
        states = obj(obj(pool).get(ADMIN_STATES))
        for member in cloud.store.referrers(pool_id or "", "pool"):
            found[member.source] = str(states.get(key_of(member.source), "None"))
    return list(found.items())


def _reason(cloud: Cloud, probe: tuple[str, JsonObject], member: str, admin: str) -> str:
    """Return the reason code of one member; empty when its machine does not run."""
    if not _runs(cloud, member):
        return ""
    if admin in ("Up", "Down"):
        return f"{admin}_Admin"
    probe_key, properties = probe
    if cloud.probe_reason is not None:
        return cloud.probe_reason(probe_key, key_of(member)) or "Down_Probe_ApproachingHealthyThreshold"
    answer = str(obj(cloud.store.fact(PROBE_FACT, key_of(member))).get("answer", "refused")).lower()
    kind = "tcp" if str(properties.get("protocol")).lower() == "tcp" else "http"
    if answer in _REASONS:
        return _REASONS[answer][kind]
    return "Up_Probe_Success" if answer == "200" or kind == "tcp" else "Down_Probe_HttpStatusCodeError"


def _runs(cloud: Cloud, member: str) -> bool:
    parsed = parse_id(member)
    for user in cloud.store.referrers(parsed.root, "vm-nic") if parsed else ():
        machine = cloud.store.get(user.source)
        if machine is not None:
            return bool(machine.hidden.get("power", "running") == "running")
    return False


def _entry(cloud: Cloud, member: str, reason: str) -> JsonObject:
    if not reason:
        # A machine that is off: Azure answers empty values.
        return {"ipAddress": "", "networkInterfaceIPConfigurationId": "", "state": "", "reason": ""}
    parsed = parse_id(member)
    nic = cloud.store.get(parsed.root) if parsed else None
    item = named(objects(nic.properties.get("ipConfigurations")), parsed.name) if nic and parsed else None
    return {
        "ipAddress": str(obj(obj(item).get("properties")).get("privateIPAddress", "")),
        "networkInterfaceIPConfigurationId": member,
        "state": reason.partition("_")[0],
        "reason": reason,
    }
