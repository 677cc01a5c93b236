"""Whatever others have in Azure, whatever the manifest was: the plan leads to the same end (Hypothesis)."""

import copy
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.unit.planning import world
from tests.unit.planning.arm_model import NETWORK, ArmModel

from loadmaster_ha.planning import pair
from loadmaster_ha.planning.changes import Delete, Put, Section
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.reachability import Purpose, Ways, requirements

EXAMPLES = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)

OTHER_UID = "99999999-0000-4000-8000-000000000009"


# -- manifests
# ----------------------------------------------------------------------------------------------------------

sources = st.lists(
    st.sampled_from(["10.0.0.0/8", "VirtualNetwork", "192.168.0.0/24", "Internet"]), max_size=3, unique=True
)


@st.composite
def services(draw: st.DrawFn) -> list[dict[str, Any]]:
    ports = draw(st.lists(st.sampled_from([80, 443, 8080, 5060, 25000]), max_size=4, unique=True))
    found = []
    for port in ports:
        service: dict[str, Any] = {"name": f"s{port}", "port": port}
        service["protocol"] = draw(st.sampled_from(["TCP", "UDP"]))
        service["interface"] = draw(st.sampled_from(["eth0", "eth1"]))
        service["idleTimeoutMinutes"] = draw(st.integers(4, 100))
        service["tcpReset"] = draw(st.sampled_from(["Enabled", "Disabled"]))
        if prefixes := draw(sources):  # an empty list is refused: it would not say what it means
            service["sourceAddressPrefixes"] = prefixes
        if draw(st.booleans()):
            service["backendPort"] = port + 1
        found.append(service)
    return found


@st.composite
def specs(draw: st.DrawFn, *, public: bool = False) -> dict[str, Any]:
    spec = world.public_spec() if public else world.guide_spec()
    units = ["lm-0-nic", "lm-1-nic"]
    if draw(st.booleans()):
        units.reverse()
    for role, unit in zip(("master", "slave"), units, strict=True):
        spec[role] = {
            "networkInterfaces": [
                {"name": "eth0", "resource": unit},
                {"name": "eth1", "resource": f"{unit}1"},
            ]
        }
    spec["services"] = draw(services())
    spec["healthCheck"] = {
        "port": draw(st.sampled_from([8444, 8445, 9000])),
        "intervalSeconds": draw(st.integers(5, 60)),
        "threshold": draw(st.integers(1, 5)),
    }
    spec["networkSecurity"]["managementSources"] = draw(sources.filter(bool))
    spec["networkSecurity"]["publishGuidePorts"] = draw(st.sampled_from(["Enabled", "Disabled"]))
    access: dict[str, Any] = {"kemp360Central": draw(st.booleans())}
    ports = [8441, 8442]
    if draw(st.booleans()):
        ports.reverse()
    if not access["kemp360Central"]:
        mode = draw(st.sampled_from(["NAT", "Disabled"]))
        access["webInterface"] = {"mode": mode, "master": ports[0], "slave": ports[1]}
    access["ssh"] = {"mode": draw(st.sampled_from(["NAT", "Disabled"])), "master": 221, "slave": 222}
    spec["loadBalancer"]["managementAccess"] = access
    if not public:
        address = draw(st.sampled_from(["10.0.1.100", "10.0.1.101", None]))
        spec["loadBalancer"]["frontend"]["privateIPAddress"] = address
    return spec


# -- what others have
# ---------------------------------------------------------------------------------------------------


def foreign_balancer(*, public: bool) -> dict[str, Any]:
    """A balancer of somebody else's making, with one of everything that has to survive."""
    here = world.BALANCER

    def child(collection: str, name: str) -> dict[str, str]:
        return {"id": f"{here}/{collection}/{name}"}

    frontend: dict[str, Any] = {
        "subnet": {"id": f"{world.VIRTUAL_NETWORK}/subnets/lb"},
        "privateIPAddress": "10.0.1.50",
    }
    if public:
        frontend = {"publicIPAddress": {"id": f"{NETWORK}/publicIPAddresses/theirs"}}
    frontend["gatewayLoadBalancer"] = {"id": f"{NETWORK}/loadBalancers/gw/frontendIPConfigurations/f"}
    return {
        "location": "westeurope",
        "sku": {"name": "Standard", "tier": "Regional"},
        "tags": {"IsRemoteFrontend": "yes", "Team": "db"},
        "properties": {
            "mode": "Newer",
            "frontendIPConfigurations": [{"name": "theirs", "zones": ["1", "2"], "properties": frontend}],
            "backendAddressPools": [
                {
                    "name": "addresses",
                    "properties": {
                        "syncMode": "Manual",
                        "loadBalancerBackendAddresses": [
                            {
                                "name": "a",
                                "properties": {
                                    "ipAddress": "10.0.2.77",
                                    "virtualNetwork": {"id": world.VIRTUAL_NETWORK},
                                    "adminState": "Down",
                                },
                            }
                        ],
                    },
                },
                {"name": "db", "properties": {"drainPeriodInSeconds": 7}},
            ],
            "probes": [
                {
                    "name": "tcp",
                    "properties": {
                        "protocol": "Tcp",
                        "port": 5432,
                        "intervalInSeconds": 9,
                        "futureField": {"a": [1, 2]},
                    },
                }
            ],
            "loadBalancingRules": [
                {
                    "name": "db",
                    "properties": {
                        "frontendIPConfiguration": child("frontendIPConfigurations", "theirs"),
                        "backendAddressPool": child("backendAddressPools", "db"),
                        "probe": child("probes", "tcp"),
                        "protocol": "Tcp",
                        "frontendPort": 5432,
                        "backendPort": 5432,
                        "enableConnectionTracking": True,
                    },
                }
            ],
            "inboundNatRules": [
                {
                    "name": "v1",
                    "properties": {
                        "frontendIPConfiguration": child("frontendIPConfigurations", "theirs"),
                        "protocol": "Tcp",
                        "frontendPort": 2222,
                        "backendPort": 2222,
                    },
                },
                {
                    "name": "v2",
                    "properties": {
                        "frontendIPConfiguration": child("frontendIPConfigurations", "theirs"),
                        "backendAddressPool": child("backendAddressPools", "db"),
                        "protocol": "Tcp",
                        "frontendPortRangeStart": 30000,
                        "frontendPortRangeEnd": 30100,
                        "backendPort": 3389,
                    },
                },
            ],
        },
    }


foreign_rules = st.lists(
    st.builds(
        lambda number, priority, access: world.rule(
            f"theirs-{number}",
            priority=priority,
            access=access,
            sourceAddressPrefix="172.16.0.0/12",
            destinationPortRange="1-1024",
        ),
        st.integers(0, 10_000),
        st.one_of(st.integers(990, 1010), st.integers(100, 4096)),
        st.sampled_from(["Allow", "Deny"]),
    ),
    max_size=8,
    unique_by=(lambda rule: rule["name"], lambda rule: rule["properties"]["priority"]),
)


def azure(rules: list[dict[str, Any]], *, balancer: bool, public: bool = False) -> ArmModel:
    bodies = world.guide_bodies()
    bodies[world.SECURITY_GROUP]["properties"]["securityRules"] = copy.deepcopy(rules)
    entry = bodies[world.MASTER_INTERFACE]["properties"]["ipConfigurations"][0]["properties"]
    entry["applicationGatewayBackendAddressPools"] = [
        {"id": f"{NETWORK}/applicationGateways/ag/backendAddressPools/p"}
    ]
    arm = ArmModel(bodies)
    if balancer:
        arm.put(world.BALANCER, foreign_balancer(public=public))
        joined = copy.deepcopy(arm.get(world.SLAVE_INTERFACE))
        joined["properties"]["ipConfigurations"][0]["properties"]["loadBalancerInboundNatRules"] = [
            {"id": f"{world.BALANCER}/inboundNatRules/v1"}
        ]
        arm.put(world.SLAVE_INTERFACE, joined)
    return arm


# -- what is compared
# ---------------------------------------------------------------------------------------------------

SERVICE_FILLED = {"etag", "type", "id", "provisioningState", "loadBalancingRules", "backendIPConfigurations"}
OUR_TAGS = ("loadmaster.dev-owner", "loadmaster.dev-pair", "loadmaster.dev-origin")


def foreign(arm: ArmModel) -> dict[str, Any]:
    """Everything stored whose name is not ours, as it is stored, without what the service fills."""
    return {
        key: _foreign(copy.deepcopy(body))
        for key, body in arm.stored.items()
        if body["name"] != "web-pip" and not _only_ours(body)
    }


def _only_ours(body: dict[str, Any]) -> bool:
    tags = body.get("tags") or {}
    return body["type"].endswith("loadBalancers") and tags.get("loadmaster.dev-origin") == "Created"


def _foreign(value: Any) -> Any:
    if isinstance(value, list):
        kept = (item for item in value if not _is_ours(item))
        return [_foreign(item) for item in kept]
    if isinstance(value, dict):
        found = {
            key: _foreign(item) for key, item in value.items() if key not in SERVICE_FILLED | set(OUR_TAGS)
        }
        return {key: item for key, item in found.items() if item not in ([], {})}
    return value


def _is_ours(item: Any) -> bool:
    return isinstance(item, dict) and (
        str(item.get("name", "")).startswith("lm_web_") or "/lm_web_" in str(item.get("id", ""))
    )


def ours(arm: ArmModel) -> dict[str, Any]:
    """What of ours is there, for comparing two ends: without priorities, etags and dynamic addresses."""
    found: dict[str, Any] = {}
    for key, body in arm.stored.items():
        properties = body["properties"]
        for collection, entries in properties.items():
            for entry in entries if isinstance(entries, list) else []:
                if isinstance(entry, dict) and str(entry.get("name", "")).startswith("lm_web_"):
                    inner = {
                        k: v
                        for k, v in entry["properties"].items()
                        if k not in ("priority", "provisioningState")
                    }
                    if inner.get("privateIPAllocationMethod") == "Dynamic":
                        inner.pop("privateIPAddress", None)
                    found[f"{key}/{collection}/{entry['name']}"] = inner
                if collection == "ipConfigurations":
                    for field in ("loadBalancerBackendAddressPools", "loadBalancerInboundNatRules"):
                        held = entry["properties"].get(field, [])
                        found[f"{key}/{field}"] = sorted(
                            item["id"] for item in held if "/lm_web_" in item["id"]
                        )
    return found


# -- properties
# ---------------------------------------------------------------------------------------------------------


@EXAMPLES
@given(specs(), foreign_rules, st.booleans())
def test_a_manifest_converges_and_others_content_stays_as_it_was(spec, rules, shared):
    arm, target = azure(rules, balancer=shared), world.target(spec)
    before = foreign(arm)
    world.converge(arm, target)
    assert foreign(arm) == before
    assert world.plan(arm, target).converged


@EXAMPLES
@given(specs(public=True), foreign_rules, st.booleans())
def test_a_public_manifest_converges_and_is_taken_away_again(spec, rules, shared):
    arm, target = azure(rules, balancer=shared, public=True), world.target(spec)
    before = foreign(arm)
    world.converge(arm, target)
    assert foreign(arm) == before
    world.converge(arm, target, deleting=True)
    assert foreign(arm) == before
    assert world.PUBLIC_ADDRESS.lower() not in arm.stored


@EXAMPLES
@given(st.lists(specs(), min_size=2, max_size=3), foreign_rules, st.booleans())
def test_the_end_does_not_depend_on_the_manifests_before(history, rules, shared):
    changed, fresh = azure(rules, balancer=shared), azure(rules, balancer=shared)
    for spec in history:
        world.converge(changed, world.target(spec))
    world.converge(fresh, world.target(history[-1]))
    assert ours(changed) == ours(fresh)


@EXAMPLES
@given(specs(), foreign_rules, st.booleans(), st.data())
def test_after_a_crash_anywhere_the_end_is_the_same(spec, rules, shared, data):
    arm, reference = azure(rules, balancer=shared), azure(rules, balancer=shared)
    target = world.target(spec)
    total = len(world.converge(reference, target))
    for _ in range(data.draw(st.integers(0, total))):
        arm.apply(world.plan(arm, target).changes[0])
    if data.draw(st.booleans()):
        world.converge(arm, target)
        assert ours(arm) == ours(reference)
    else:
        before = foreign(azure(rules, balancer=shared))
        world.converge(arm, target, deleting=True)
        assert foreign(arm) == before


@EXAMPLES
@given(specs(), foreign_rules, st.booleans())
def test_deletion_leaves_exactly_what_others_have(spec, rules, shared):
    arm, target = azure(rules, balancer=shared), world.target(spec)
    before = foreign(arm)
    world.converge(arm, target)
    world.converge(arm, target, deleting=True)
    assert foreign(arm) == before
    assert not any(value for value in ours(arm).values())
    assert pair.left_behind(target, world.look(arm, target)) == ()
    assert (world.BALANCER.lower() in arm.stored) is shared


@EXAMPLES
@given(specs(), foreign_rules)
def test_priorities_are_unique_and_stay(spec, rules):
    arm, target = azure(rules, balancer=False), world.target(spec)
    world.converge(arm, target)

    def priorities() -> dict[str, int]:
        found = arm.get(world.SECURITY_GROUP)["properties"]["securityRules"]
        return {rule["name"]: rule["properties"]["priority"] for rule in found}

    first = priorities()
    assert len(set(first.values())) == len(first)
    assert all(1000 <= value <= 4096 for name, value in first.items() if name.startswith("lm_web_"))
    again = {**spec, "services": [{"name": "new", "port": 7777}, *spec["services"]]}
    world.converge(arm, world.target(again))
    assert {name: value for name, value in priorities().items() if name in first} == first


@EXAMPLES
@given(specs(), specs())
def test_what_must_stay_open_is_open_after_every_single_write(old, new):
    arm = azure([], balancer=False)
    world.converge(arm, world.target(old))
    target = world.target({**new, "networkSecurity": old["networkSecurity"]})
    for _ in range(80):
        observation = world.look(arm, target)
        balancer = arm.get(world.BALANCER)["properties"]
        probed = balancer["probes"][0]["properties"]["port"]
        for needed in requirements(Layout(target), observation, check_port=probed):
            if needed.purpose in (Purpose.PROBE, Purpose.PARTNER, Purpose.SYNCHRONISATION):
                assert Ways(observation).is_open(needed), needed.flow
        changes = pair.plan(target, observation).changes
        if not changes:
            return
        arm.apply(changes[0])
    raise AssertionError("never ends")


@EXAMPLES
@given(specs(), foreign_rules, st.booleans())
def test_the_order_is_openings_then_balancer_then_interfaces(spec, rules, shared):
    arm, target = azure(rules, balancer=shared), world.target(spec)
    made = world.converge(arm, target)
    sections = [change.section for change in made]
    order = [Section.SECURITY_GROUPS, Section.LOAD_BALANCER, Section.INTERFACES]
    assert sections == sorted(sections, key=order.index)
    assert sections.count(Section.LOAD_BALANCER) == 1
    interfaces = [change.resource for change in made if change.section is Section.INTERFACES]
    assert len(interfaces) == len(set(interfaces))


@EXAMPLES
@given(specs(), st.integers(0, 40), st.data())
def test_damage_to_anything_of_ours_is_repaired(spec, seed, data):
    arm, target = azure([], balancer=True), world.target(spec)
    world.converge(arm, target)
    reference = copy.deepcopy(ours(arm))
    body = copy.deepcopy(arm.get(world.BALANCER))
    collection = data.draw(st.sampled_from(["loadBalancingRules", "probes", "inboundNatRules"]))
    entries = [entry for entry in body["properties"][collection] if entry["name"].startswith("lm_web_")]
    if not entries:
        return
    entry = entries[seed % len(entries)]
    field = data.draw(
        st.sampled_from(
            sorted(
                set(entry["properties"]) & {"idleTimeoutInMinutes", "probeThreshold", "backendPort", "port"}
            )
        )
    )
    entry["properties"][field] = 77
    arm.put(world.BALANCER, body)
    made = world.converge(arm, target)
    assert ours(arm) == reference
    assert [type(change) for change in made] in ([], [Put])
    assert not any(isinstance(change, Delete) for change in made)
