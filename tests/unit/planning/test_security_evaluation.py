"""Security groups as Azure evaluates them: priority order, tags, prefixes, ranges, default rules."""

import ipaddress

import pytest
from tests.unit.planning import world
from tests.unit.planning.arm_model import default_rules

from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.observation import Resource
from loadmaster_ha.planning.security_evaluation import Flow, Match, decide, inbound_rules, matches

SPACE = ("10.0.0.0/16",)
PROBE = Flow("AzureLoadBalancer", "10.0.2.4", "Tcp", 8444)
PARTNER = Flow("10.0.2.5", "10.0.2.4", "Tcp", 6973)
OFFICE = Flow("20.50.0.0/16", "10.0.2.4", "Tcp", 8443)
CLIENTS = Flow("Internet", "10.0.2.4", "Udp", 443)
NEIGHBOURS = Flow("VirtualNetwork", "10.0.2.4", "Tcp", 443)


def rules(*own, defaults=True):
    body = {
        "properties": {
            "securityRules": list(own),
            "defaultSecurityRules": default_rules() if defaults else [],
        }
    }
    return inbound_rules(Resource(ResourceID.parse(world.SECURITY_GROUP), body))


@pytest.mark.parametrize("defaults", [True, False])
@pytest.mark.parametrize(
    ("flow", "allowed", "rule"),
    [
        (PROBE, True, "AllowAzureLoadBalancerInBound"),
        (PARTNER, True, "AllowVnetInBound"),
        (NEIGHBOURS, True, "AllowVnetInBound"),
        (OFFICE, False, "DenyAllInBound"),
        (CLIENTS, False, "DenyAllInBound"),
    ],
)
def test_the_default_rules_decide_last(flow, allowed, rule, defaults):
    found = decide(rules(defaults=defaults), flow, SPACE)
    assert (found.allowed, found.rule, found.is_default) == (allowed, rule, True)


def test_the_lowest_priority_decides_in_whatever_order_rules_are_listed():
    deny = world.rule("deny", priority=300)
    allow = world.rule("allow", priority=299, access="Allow")
    outbound = world.rule("out", priority=100, direction="Outbound")
    assert decide(rules(deny, allow, outbound), OFFICE, SPACE).rule == "allow"


@pytest.mark.parametrize(
    ("flow", "fields", "match"),
    [
        (PROBE, {"sourceAddressPrefix": "AzureLoadBalancer"}, Match.YES),
        (PROBE, {"sourceAddressPrefix": "168.63.129.16"}, Match.YES),
        (PROBE, {"sourceAddressPrefix": "168.63.0.0/16"}, Match.YES),
        (PROBE, {"sourceAddressPrefix": "VirtualNetwork"}, Match.MAYBE),
        (PROBE, {"sourceAddressPrefix": "Internet"}, Match.NO),
        (PROBE, {"sourceAddressPrefix": "10.0.0.0/8"}, Match.NO),
        (PROBE, {"sourceAddressPrefix": "AzureCloud"}, Match.MAYBE),
        (PARTNER, {"sourceAddressPrefix": "virtualnetwork"}, Match.YES),
        (PARTNER, {"sourceAddressPrefix": "Internet"}, Match.NO),
        (
            PARTNER,
            {"sourceAddressPrefix": None, "sourceAddressPrefixes": ["10.0.2.9", "10.0.2.5/32"]},
            Match.YES,
        ),
        (PARTNER, {"protocol": "tcp"}, Match.YES),
        (PARTNER, {"protocol": "Udp"}, Match.NO),
        (PARTNER, {"destinationPortRange": "6900-6999"}, Match.YES),
        (PARTNER, {"destinationPortRange": None, "destinationPortRanges": ["22", "6973"]}, Match.YES),
        (PARTNER, {"destinationPortRange": "443"}, Match.NO),
        (PARTNER, {"destinationAddressPrefix": "10.0.2.0/24"}, Match.YES),
        (PARTNER, {"destinationAddressPrefix": "10.0.3.0/24"}, Match.NO),
        (PARTNER, {"sourcePortRange": "1024-65535"}, Match.MAYBE),
        (OFFICE, {"sourceAddressPrefix": "20.50.7.0/24"}, Match.MAYBE),
        (OFFICE, {"sourceAddressPrefix": "20.0.0.0/8"}, Match.YES),
        (OFFICE, {"sourceAddressPrefix": "Internet"}, Match.YES),
        (OFFICE, {"sourceAddressPrefix": "VirtualNetwork"}, Match.NO),
        (OFFICE, {"sourceAddressPrefix": "AzureCloud.westeurope"}, Match.MAYBE),
        (CLIENTS, {"sourceAddressPrefix": "Internet"}, Match.YES),
        (CLIENTS, {"sourceAddressPrefix": "VirtualNetwork"}, Match.NO),
        (NEIGHBOURS, {"sourceAddressPrefix": "Internet"}, Match.NO),
        (NEIGHBOURS, {"sourceAddressPrefix": "10.0.0.0/16"}, Match.MAYBE),
        (NEIGHBOURS, {"sourceAddressPrefix": "AzureLoadBalancer"}, Match.NO),
        (
            NEIGHBOURS,
            {"sourceAddressPrefix": None, "sourceApplicationSecurityGroups": [{"id": "/a"}]},
            Match.MAYBE,
        ),
    ],
)
def test_a_rule_is_about_a_flow_whole_in_part_or_not_at_all(flow, fields, match):
    body = world.rule("r", **fields)["properties"]
    assert matches(body, flow, [ipaddress.ip_network(SPACE[0])]) is match


def test_behind_a_rule_of_unknown_reach_nothing_is_certain():
    unknown = world.rule(
        "asg", access="Allow", sourceAddressPrefix=None, sourceApplicationSecurityGroups=[{"id": "/a"}]
    )
    found = decide(rules(unknown, world.rule("deny", priority=300)), OFFICE, SPACE)
    assert (found.allowed, found.rule, found.certain) == (False, "deny", False)
