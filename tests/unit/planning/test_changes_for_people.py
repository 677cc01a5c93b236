"""What a plan says to people, literally; and what is no difference at all."""

import copy
from typing import Any

import pytest
from tests.unit.planning import world
from tests.unit.planning.arm_model import ArmModel

from loadmaster_ha.planning import pair
from loadmaster_ha.planning.changes import Put


@pytest.fixture
def arm() -> ArmModel:
    found = ArmModel(world.guide_bodies())
    world.converge(found, world.target())
    return found


def entry(arm: ArmModel, resource: str, collection: str, name: str) -> dict[str, Any]:
    entries = arm.get(resource)["properties"][collection]
    found: dict[str, Any] = next(item for item in entries if item["name"] == name)["properties"]
    return found


def differences(arm: ArmModel, target: Any = None) -> list[str]:
    found = world.plan(arm, target or world.target())
    return [
        str(difference)
        for change in found.changes
        if isinstance(change, Put)
        for difference in change.differences
    ]


def test_the_guides_balancer_has_the_guides_values(arm):
    probe = entry(arm, world.BALANCER, "probes", "lm_web_health")
    assert {key: probe[key] for key in probe if key != "provisioningState"} == {
        "protocol": "Http",
        "port": 8444,
        "requestPath": "/",
        "intervalInSeconds": 5,
        "numberOfProbes": 2,
        "probeThreshold": 2,
    }
    check = entry(arm, world.BALANCER, "loadBalancingRules", "lm_web_check")
    assert (check["protocol"], check["frontendPort"], check["backendPort"]) == ("Tcp", 8444, 8444)
    assert (check["loadDistribution"], check["idleTimeoutInMinutes"]) == ("Default", 4)
    assert (check["enableFloatingIP"], check["enableTcpReset"]) == (False, False)
    nat = arm.get(world.BALANCER)["properties"]["inboundNatRules"]
    ports = {
        rule["name"]: (rule["properties"]["frontendPort"], rule["properties"]["backendPort"]) for rule in nat
    }
    assert ports == {
        "lm_web_web_master": (8441, 8443),
        "lm_web_web_slave": (8442, 8443),
        "lm_web_ssh_master": (221, 22),
        "lm_web_ssh_slave": (222, 22),
    }
    assert arm.get(world.BALANCER)["sku"] == {"name": "Standard", "tier": "Regional"}
    frontend = entry(arm, world.BALANCER, "frontendIPConfigurations", "lm_web_frontend")
    assert frontend["privateIPAddress"] == "10.0.1.100"
    assert frontend["privateIPAllocationMethod"] == "Static"


def test_the_guides_security_rules_are_few_and_narrow(arm):
    rules = arm.get(world.SECURITY_GROUP)["properties"]["securityRules"]
    units = ["10.0.2.4", "10.0.2.5"]
    told = {
        rule["name"]: (
            rule["properties"]["priority"],
            rule["properties"].get("sourceAddressPrefix") or rule["properties"]["sourceAddressPrefixes"],
            rule["properties"]["destinationPortRanges"],
            rule["properties"]["destinationAddressPrefixes"],
        )
        for rule in rules
    }
    assert told == {
        "lm_web_probe": (1000, "AzureLoadBalancer", ["8444"], units),
        "lm_web_units": (1001, units, ["6973", "8444"], units),
        "lm_web_management": (1002, "10.0.0.0/8", ["22", "8443", "8444"], units),
        "lm_web_service_https_VirtualNetwork": (1003, "VirtualNetwork", ["443"], units),
    }


@pytest.mark.parametrize(
    ("collection", "name", "field", "value", "told"),
    [
        (
            "probes",
            "lm_web_health",
            "intervalInSeconds",
            15,
            "probes[lm_web_health].intervalInSeconds: 15, should be 5",
        ),
        (
            "probes",
            "lm_web_health",
            "probeThreshold",
            1,
            "probes[lm_web_health].probeThreshold: 1, should be 2",
        ),
        (
            "probes",
            "lm_web_health",
            "requestPath",
            "/x",
            "probes[lm_web_health].requestPath: /x, should be /",
        ),
        (
            "probes",
            "lm_web_health",
            "noHealthyBackendsBehavior",
            "AllProbedUp",
            "probes[lm_web_health].noHealthyBackendsBehavior: AllProbedUp, should be AllProbedDown",
        ),
        (
            "probes",
            "lm_web_health",
            "NoHealthyBackendsBehavior",
            "AllProbedUp",
            "probes[lm_web_health].noHealthyBackendsBehavior: AllProbedUp, should be AllProbedDown",
        ),
        (
            "loadBalancingRules",
            "lm_web_service_https",
            "loadDistribution",
            "SourceIP",
            "loadBalancingRules[lm_web_service_https].loadDistribution: SourceIP, should be Default",
        ),
        (
            "inboundNatRules",
            "lm_web_ssh_slave",
            "frontendPort",
            2222,
            "inboundNatRules[lm_web_ssh_slave].frontendPort: 2222, should be 222",
        ),
        (
            "frontendIPConfigurations",
            "lm_web_frontend",
            "privateIPAddress",
            "10.0.1.9",
            "frontendIPConfigurations[lm_web_frontend].privateIPAddress: 10.0.1.9, should be 10.0.1.100",
        ),
    ],
)
def test_drift_is_told_by_its_field_and_repaired(  # noqa: PLR0917 - one column of the table each
    arm, collection, name, field, value, told
):
    entry(arm, world.BALANCER, collection, name)[field] = value
    assert differences(arm) == [told]
    assert len(world.converge(arm, world.target())) == 1
    assert differences(arm) == []


def test_the_first_write_of_a_balancer_is_told_entry_by_entry():
    fresh = ArmModel(world.guide_bodies())
    (change,) = [
        found for found in world.plan(fresh, world.target()).changes if found.resource.name == "web-ilb"
    ]
    assert [str(difference) for difference in change.differences] == [
        "frontendIPConfigurations[lm_web_frontend]: missing, should be 10.0.1.100 in subnet lb",
        "backendAddressPools[lm_web_pool]: missing, should be present",
        "probes[lm_web_health]: missing, should be Http 8444",
        "loadBalancingRules[lm_web_check]: missing, should be Tcp 8444 to 8444",
        "loadBalancingRules[lm_web_service_https]: missing, should be Tcp 443 to 443",
        "inboundNatRules[lm_web_web_master]: missing, should be Tcp 8441 to 8443",
        "inboundNatRules[lm_web_web_slave]: missing, should be Tcp 8442 to 8443",
        "inboundNatRules[lm_web_ssh_master]: missing, should be Tcp 221 to 22",
        "inboundNatRules[lm_web_ssh_slave]: missing, should be Tcp 222 to 22",
        "tags[loadmaster.dev-origin]: missing, should be Created",
        f"tags[loadmaster.dev-owner]: missing, should be {world.UID}",
        "tags[loadmaster.dev-pair]: missing, should be edge/web",
    ]
    assert change.if_match is None


def test_a_rule_that_is_gone_and_one_that_should_be_gone_are_told(arm):
    rules = arm.get(world.BALANCER)["properties"]["loadBalancingRules"]
    gone = next(rule for rule in rules if rule["name"] == "lm_web_check")
    extra = copy.deepcopy(gone) | {"name": "lm_web_service_old"}
    arm.get(world.BALANCER)["properties"]["loadBalancingRules"] = [
        rule for rule in rules if rule is not gone
    ] + [extra]
    assert differences(arm) == [
        "loadBalancingRules[lm_web_service_old]: present, should not be there",
        "loadBalancingRules[lm_web_check]: missing, should be Tcp 8444 to 8444",
    ]


def test_a_membership_that_is_gone_is_told(arm):
    configuration = arm.get(world.SLAVE_INTERFACE)["properties"]["ipConfigurations"][0]["properties"]
    configuration["loadBalancerBackendAddressPools"] = []
    assert differences(arm) == [
        "ipConfigurations[primary].loadBalancerBackendAddressPools[lm_web_pool]: missing, should be member"
    ]


def test_a_widened_security_rule_is_told(arm):
    rule = entry(arm, world.SECURITY_GROUP, "securityRules", "lm_web_management")
    rule["sourceAddressPrefix"] = "*"
    assert differences(arm) == [
        "securityRules[lm_web_management].sourceAddressPrefixes: *, should be 10.0.0.0/8"
    ]


def test_tags_of_ours_are_repaired_and_others_stay(arm):
    arm.get(world.BALANCER)["tags"] |= {"Team": "edge", "loadmaster.dev-pair": "edge/else"}
    assert differences(arm) == ["tags[loadmaster.dev-pair]: edge/else, should be edge/web"]
    world.converge(arm, world.target())
    assert arm.get(world.BALANCER)["tags"]["Team"] == "edge"
    assert arm.get(world.BALANCER)["tags"]["loadmaster.dev-pair"] == "edge/web"


def spelled_otherwise(arm: ArmModel) -> None:
    """What Azure, a newer api-version or another tool may spell in another way."""
    balancer = arm.get(world.BALANCER)
    properties = balancer["properties"]
    balancer["location"] = "West Europe"
    for rule in properties["loadBalancingRules"]:
        rule["properties"]["protocol"] = rule["properties"]["protocol"].upper()
        rule["properties"]["probe"]["id"] = rule["properties"]["probe"]["id"].upper()
        del rule["properties"]["loadDistribution"]
        rule["properties"]["disableOutboundSnat"] = False
        rule["properties"]["enableConnectionTracking"] = False
    properties["loadBalancingRules"].reverse()
    entry(arm, world.BALANCER, "probes", "lm_web_health")["noHealthyBackendsBehavior"] = "AllProbedDown"
    entry(arm, world.BALANCER, "frontendIPConfigurations", "lm_web_frontend")["zones"] = None
    rules = arm.get(world.SECURITY_GROUP)["properties"]["securityRules"]
    for rule in rules:
        body = rule["properties"]
        body["protocol"] = body["protocol"].upper()
        body["destinationAddressPrefixes"] = [
            f"{prefix}/32" for prefix in reversed(body["destinationAddressPrefixes"])
        ]
        if len(body["destinationPortRanges"]) == 1:
            body["destinationPortRange"] = body["destinationPortRanges"].pop()
        if body.get("sourceAddressPrefix"):
            body["sourceAddressPrefixes"] = [body.pop("sourceAddressPrefix").lower()]
    rules.reverse()


def test_another_spelling_is_no_difference(arm):
    spelled_otherwise(arm)
    assert differences(arm) == []
    assert world.plan(arm, world.target()).converged


def test_what_is_right_already_is_adopted_without_a_write(arm):
    arm.get(world.BALANCER)["tags"] = {"made-by": "template"}
    for rule in arm.get(world.SECURITY_GROUP)["properties"]["securityRules"]:
        rule["properties"]["description"] = "from a template"
    assert world.plan(arm, world.target()).converged
    changed = world.target(world.changed(world.guide_spec(), "healthCheck.intervalSeconds", 7))
    made = world.converge(arm, changed)
    assert len(made) == 1
    tags = arm.get(world.BALANCER)["tags"]
    assert (tags["made-by"], tags["loadmaster.dev-origin"], tags["loadmaster.dev-owner"]) == (
        "template",
        "Adopted",
        world.UID,
    )


def test_an_adopted_balancer_keeps_its_last_frontend_and_is_never_deleted(arm):
    arm.get(world.BALANCER)["tags"] = {}
    world.converge(arm, world.target(world.changed(world.guide_spec(), "healthCheck.intervalSeconds", 7)))
    world.converge(arm, world.target(), deleting=True)
    properties = arm.get(world.BALANCER)["properties"]
    assert [found["name"] for found in properties["frontendIPConfigurations"]] == ["lm_web_frontend"]
    assert not properties["loadBalancingRules"]
    assert not properties["backendAddressPools"]
    assert arm.get(world.BALANCER)["tags"] == {}
    left = pair.left_behind(world.target(), world.look(arm, world.target()))
    assert [found.name for found in left] == ["lm_web_frontend"]


def test_a_balancer_of_another_pair_is_taken_over_only_when_told(arm):
    arm.get(world.BALANCER)["tags"] |= {"loadmaster.dev-owner": "another"}
    refused = world.plan(arm, world.target())
    assert [finding.reason for finding in refused.blocking] == ["OwnedByOther"]
    assert not refused.changes
    always = world.target(world.changed(world.guide_spec(), "policy", {"adoption": "Always"}))
    world.converge(arm, always)
    tags = arm.get(world.BALANCER)["tags"]
    assert (tags["loadmaster.dev-owner"], tags["loadmaster.dev-origin"]) == (world.UID, "Adopted")


def test_deletion_does_not_touch_a_balancer_of_another_pair(arm):
    arm.get(world.BALANCER)["tags"] |= {"loadmaster.dev-owner": "another"}
    before = copy.deepcopy(arm.get(world.BALANCER)["properties"])
    world.converge(arm, world.target(), deleting=True)
    assert arm.get(world.BALANCER)["properties"] == before
    assert len(arm.get(world.MASTER_INTERFACE)["properties"]["ipConfigurations"][0]["properties"]) > 5


def test_a_failed_balancer_and_interface_are_written_once_more(arm):
    arm.get(world.BALANCER)["properties"]["provisioningState"] = "Failed"
    arm.get(world.SLAVE_INTERFACE)["properties"]["provisioningState"] = "Failed"
    assert differences(arm) == ["provisioningState: Failed, should be Succeeded"] * 2
    world.converge(arm, world.target())
    assert arm.get(world.BALANCER)["properties"]["provisioningState"] == "Succeeded"


def test_a_group_with_our_tag_is_written_whole():
    arm = ArmModel(world.guide_bodies())
    arm.get(world.SECURITY_GROUP)["tags"] = {"loadmaster.dev-owner": world.UID}
    made = world.converge(arm, world.target())
    assert [change.resource.type.rsplit("/", 1)[-1] for change in made] == [
        "networkSecurityGroups",
        "loadBalancers",
        "networkInterfaces",
        "networkInterfaces",
    ]


def test_an_interface_that_was_replaced_in_the_manifest_leaves(arm):
    spec = world.changed(
        world.guide_spec(), "slave", {"networkInterfaces": [{"name": "eth0", "resource": "lm-1-nic1"}]}
    )
    world.converge(arm, world.target(spec))
    left = arm.get(world.SLAVE_INTERFACE)["properties"]["ipConfigurations"][0]["properties"]
    assert not left["loadBalancerBackendAddressPools"]
    assert not left["loadBalancerInboundNatRules"]


@pytest.mark.parametrize(
    ("interval", "threshold", "died", "silent"),
    [(5, 2, (0, 5), (10, 15)), (5, 1, (0, 5), (5, 10)), (60, 2, (0, 60), (90, 150))],
)
def test_the_expected_failover_follows_the_probe(interval, threshold, died, silent):
    check = world.target(
        world.changed(
            world.guide_spec(), "healthCheck", {"intervalSeconds": interval, "threshold": threshold}
        )
    ).spec.health_check
    found = pair.expected_failover(check)
    assert (found.process_died.min, found.process_died.max) == died
    assert (found.silent.min, found.silent.max) == silent


def test_two_pairs_on_one_balancer_or_interface_conflict():
    other = world.target(identity=world.PairIdentity("other", "web", "u2"))
    found = pair.conflicts(world.target(), [other])
    assert {finding.reason for finding in found} == {"ConflictingPair"}
    assert [finding.subject for finding in found] == [
        "spec.loadBalancer.name",
        "spec.master.networkInterfaces[0]",
        "spec.slave.networkInterfaces[0]",
    ]
    assert "other/web" in found[0].message


def _managed(number: int, **slave: Any) -> dict[str, Any]:
    """A pair of its own in Azure, whose units are managed at addresses of its own unless told otherwise."""
    spec = world.changed(world.guide_spec(), "loadBalancer.name", f"ilb-{number}")
    for place, role in enumerate(("master", "slave")):
        spec[role] = {
            "networkInterfaces": [{"name": "eth0", "resource": f"lm-{number}-{place}"}],
            "address": f"10.0.{number}.{4 + place}",
            "management": {"credentialsSecretRef": {"name": "login"}},
        }
    spec["slave"]["management"] |= slave
    return spec


@pytest.mark.parametrize(
    ("slave", "subjects"),
    [
        ({}, []),
        ({"address": "10.0.1.4"}, ["spec.slave.management"]),
        ({"address": "10.0.1.4", "port": 8442}, []),
    ],
)
def test_a_unit_of_an_older_pair_is_not_managed_by_a_second_one(slave, subjects):
    older = world.target(_managed(1), identity=world.PairIdentity("edge", "older", "u2"))
    found = pair.conflicts(world.target(_managed(2, **slave)), [older])
    assert [finding.subject for finding in found] == subjects
    assert all("10.0.1.4:8443 belongs to LoadMasterPair edge/older" in each.message for each in found)
