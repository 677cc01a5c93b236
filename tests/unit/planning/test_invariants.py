"""The guard catches a planner that is wrong: each invariant, broken by a change made by hand."""

import copy

import pytest
from tests.unit.planning import world
from tests.unit.planning.arm_model import NETWORK, ArmModel

from loadmaster_ha.planning import pair, simulate
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.changes import Delete, Put, Section
from loadmaster_ha.planning.invariants import InvariantViolated, verify
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.normalise import writable

BALANCER = ResourceID.parse(world.BALANCER)
GROUP = ResourceID.parse(world.SECURITY_GROUP)


@pytest.fixture
def arm():
    bodies = world.guide_bodies()
    bodies[world.SECURITY_GROUP]["properties"]["securityRules"] = [world.rule("theirs", priority=4096)]
    found = ArmModel(bodies)
    world.converge(found, world.target())
    body = copy.deepcopy(found.get(world.BALANCER))
    frontend = {"subnet": {"id": f"{world.VIRTUAL_NETWORK}/subnets/lb"}, "privateIPAddress": "10.0.1.50"}
    body["properties"]["frontendIPConfigurations"].append({"name": "theirs", "properties": frontend})
    found.put(world.BALANCER, body)
    return found


def refusal(arm, change):
    observation = world.look(arm, world.target())
    with pytest.raises(InvariantViolated) as caught:
        verify(Layout(world.target()), observation, change, simulate.after(observation, change))
    return str(caught.value)


def body_of(arm, resource):
    return writable(world.look(arm, world.target()).get(resource))


def put(section, resource, body):
    return Put(section, resource, body, "etag", ())


def test_a_write_that_loses_a_foreign_frontend_is_refused(arm):
    body = body_of(arm, BALANCER)
    body["properties"]["frontendIPConfigurations"].pop()
    assert "not ours" in refusal(arm, put(Section.LOAD_BALANCER, BALANCER, body))


def test_deleting_a_balancer_with_a_foreign_frontend_is_refused(arm):
    assert "others" in refusal(arm, Delete(Section.LOAD_BALANCER, BALANCER, None, ""))


def test_a_write_that_alters_anything_on_an_interface_is_refused(arm):
    interface = ResourceID.parse(world.MASTER_INTERFACE)
    body = body_of(arm, interface)
    body["properties"]["dnsSettings"]["dnsServers"] = []
    assert "not ours" in refusal(arm, put(Section.INTERFACES, interface, body))


def test_a_dangling_reference_is_refused(arm):
    body = body_of(arm, BALANCER)
    body["properties"]["backendAddressPools"] = []
    told = refusal(arm, put(Section.LOAD_BALANCER, BALANCER, body))
    assert "loadBalancingRules[lm_web_check] would refer to" in told
    assert "lm-0-nic would refer to" in told


def test_two_check_ports_are_refused(arm):
    body = body_of(arm, BALANCER)
    body["properties"]["probes"][0]["properties"]["port"] = 8445
    assert "different ports" in refusal(arm, put(Section.LOAD_BALANCER, BALANCER, body))


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("lm_web_probe", "the balancer's probe"),
        ("lm_web_units", "6973"),
        ("lm_web_management", "8443"),
    ],
)
def test_closing_what_must_stay_open_is_refused(arm, rule, told):
    change = Delete(Section.SECURITY_GROUPS, GROUP.child("securityRules", rule), None, "")
    assert told in refusal(arm, change)


def test_closing_somebody_elses_rule_is_refused(arm):
    change = Delete(Section.SECURITY_GROUPS, GROUP.child("securityRules", "theirs"), None, "")
    assert "not ours" in refusal(arm, change)


def test_what_the_service_fills_is_not_sent_back(arm):
    pool = body_of(arm, BALANCER)["properties"]["backendAddressPools"][0]
    assert set(pool) == {"name", "id", "properties"}
    assert pool["properties"] == {}
    interface = body_of(arm, ResourceID.parse(world.MASTER_INTERFACE))
    assert "virtualMachine" not in interface["properties"]
    assert "appliedDnsServers" not in interface["properties"]["dnsSettings"]
    assert interface["properties"]["allowPort25Out"] is True
    assert interface["kind"] == "Regular"


def test_members_by_interface_are_sent_only_with_their_admin_state(arm):
    found = arm.body(world.BALANCER)
    pool = next(
        entry for entry in found["properties"]["backendAddressPools"] if entry["name"] == "lm_web_pool"
    )
    assert len(pool["properties"]["loadBalancerBackendAddresses"]) == 2
    pool["properties"]["loadBalancerBackendAddresses"][0]["properties"]["adminState"] = "Down"
    observed = world.look(arm, world.target()).get(BALANCER)
    body = writable(type(observed)(observed.id, found))
    sent = next(
        entry for entry in body["properties"]["backendAddressPools"] if entry["name"] == "lm_web_pool"
    )
    assert sent["properties"]["loadBalancerBackendAddresses"] == [
        {"name": "lm-0-nic-primary", "properties": {"adminState": "Down"}}
    ]
    assert f"{NETWORK}/networkInterfaces/lm-0-nic" in str(found)


def test_a_rule_is_never_deleted_without_a_guard():
    """Somebody else may have made another of that name meanwhile."""
    arm = ArmModel(world.guide_bodies())
    world.converge(arm, world.target())
    group = arm.get(world.SECURITY_GROUP)
    for rule in group["properties"]["securityRules"]:
        del rule["etag"]
    found = pair.plan_deletion(world.target(), world.look(arm, world.target()))
    removed = [change for change in found.changes if change.section is Section.SECURITY_GROUPS]
    assert removed
    assert {change.if_match for change in removed} == {group["etag"]}
