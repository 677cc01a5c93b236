"""Rules between units and real servers: told by their names where they certainly block, never changed."""

import pytest
from tests.unit.planning import services_world as lab
from tests.unit.planning import world
from tests.unit.planning.arm_model import NETWORK, ArmModel

from loadmaster_ha.domain.findings import Severity
from loadmaster_ha.domain.reading import Unknown
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.real_server_paths import by_service

SERVERS = f"{NETWORK}/networkSecurityGroups/servers-nsg"
OUT = {"direction": "Outbound", "destinationPortRange": "80"}


def azure(*, units=(), servers=(), attached=True):
    """The guide's set-up with real servers in a subnet of their own, 10.0.5.0/24."""
    bodies = world.guide_bodies()
    bodies[world.SECURITY_GROUP]["properties"]["securityRules"] = list(units)
    bodies[SERVERS] = {"location": "westeurope", "properties": {"securityRules": list(servers)}}
    more = {"networkSecurityGroup": {"id": SERVERS}} if attached else {}
    network = bodies[world.VIRTUAL_NETWORK]["properties"]
    network["subnets"].append(world.subnet("servers", "10.0.5.0/24", **more))
    return ArmModel(bodies)


def told(arm, manifest=None, endpoints=None):
    target = world.target(manifest or lab.spec(lab.service()))
    observation = world.look(arm, target)
    return by_service(Layout(target), observation, endpoints)


def test_open_ways_are_no_finding():
    assert told(azure()) == {}


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        ("units", world.rule("no-http", **OUT)),
        ("servers", world.rule("no-lm", sourceAddressPrefix="10.0.2.0/24")),
    ],
)
def test_a_rule_that_blocks_is_a_warning_with_its_name(where, rule):
    arm = azure(**{where: [rule]})
    (found,) = told(arm)["https"]
    assert found.severity is Severity.WARNING
    assert found.reason == "RealServerBlocked"
    assert found.subject == "spec.services[0].virtualService"
    assert repr(rule["name"]) in found.message
    assert "Tcp 80 from 10.0.2.4 to 10.0.5.1" in found.message
    planned = world.plan(arm, world.target(lab.spec(lab.service())))
    assert "RealServerBlocked" in [each.reason for each in planned.warnings]
    assert planned.changes  # it holds nothing up


def test_a_rule_for_one_unit_names_that_one():
    arm = azure(servers=[world.rule("no-slave", sourceAddressPrefix=lab.SLAVE)])
    (found,) = told(arm)["https"]
    assert lab.SLAVE in found.message
    assert f"from {lab.MASTER} " not in found.message


def test_what_is_not_certain_is_not_told():
    uncertain = world.rule(
        "group",
        sourceAddressPrefix="",
        sourceApplicationSecurityGroups=[{"id": f"{NETWORK}/applicationSecurityGroups/a"}],
    )
    assert told(azure(servers=[uncertain])) == {}


def test_real_servers_of_kubernetes_are_judged_by_what_is_read():
    manifest = lab.spec(lab.service(realServers=[]))
    arm = azure(units=[world.rule("no-pods", direction="Outbound", destinationAddressPrefix="10.0.7.0/24")])
    assert told(arm, manifest) == {}
    (found,) = told(arm, manifest, {"https": lab.real("10.0.7.1", "10.0.7.2", "10.0.5.1")})["https"]
    assert "10.0.7.1" in found.message
    assert "10.0.5.1" not in found.message


def test_a_group_of_real_servers_that_cannot_be_read_holds_nothing_up():
    arm = azure()
    group = ResourceID.parse(SERVERS)
    arm.failing[SERVERS.lower()] = Unknown("AuthorizationFailed", "no")
    target = world.target(lab.spec(lab.service()))
    assert isinstance(world.look(arm, target).read(group), Unknown)
    assert world.plan(arm, target).changes


def test_only_the_groups_of_named_real_servers_are_read_besides():
    target = world.target(lab.spec(lab.service(realServers=[])))
    assert ResourceID.parse(SERVERS) not in world.look(azure(), target).resources
