"""Security groups: the default rules as recorded, rules as children, and refusals."""

import pytest
from tests.support.emulator_bodies import HERE, rule_body

# Direction, priority, access, name, source, destination; below, the descriptions: as recorded.
DEFAULT_RULES = [
    ("Inbound", 65000, "Allow", "AllowVnetInBound", "VirtualNetwork", "VirtualNetwork"),
    ("Inbound", 65001, "Allow", "AllowAzureLoadBalancerInBound", "AzureLoadBalancer", "*"),
    ("Inbound", 65500, "Deny", "DenyAllInBound", "*", "*"),
    ("Outbound", 65000, "Allow", "AllowVnetOutBound", "VirtualNetwork", "VirtualNetwork"),
    ("Outbound", 65001, "Allow", "AllowInternetOutBound", "*", "Internet"),
    ("Outbound", 65500, "Deny", "DenyAllOutBound", "*", "*"),
]
DESCRIPTIONS = [
    "Allow inbound traffic from all VMs in VNET",
    "Allow inbound traffic from azure load balancer",
    "Deny all inbound traffic",
    "Allow outbound traffic from all VMs to all VMs in VNET",
    "Allow outbound traffic from all VMs to Internet",
    "Deny all outbound traffic",
]


@pytest.fixture
async def group(azure):
    path = azure.network("networkSecurityGroups", "nsg")
    await azure.made(path, HERE)
    return path


async def test_a_new_group_has_the_six_default_rules(azure, group):
    body = (await azure.arm("GET", group)).body
    assert body["properties"]["securityRules"] == []
    fields = ("direction", "priority", "access", "name", "sourceAddressPrefix", "destinationAddressPrefix")
    rules = [
        {"name": item["name"], **item["properties"]} for item in body["properties"]["defaultSecurityRules"]
    ]
    found = [tuple(rule[field] for field in fields) for rule in rules]
    assert [rule["description"] for rule in rules] == DESCRIPTIONS
    assert found == DEFAULT_RULES
    first = body["properties"]["defaultSecurityRules"][0]
    assert first["id"] == f"{group}/defaultSecurityRules/AllowVnetInBound"
    assert first["type"] == "Microsoft.Network/networkSecurityGroups/defaultSecurityRules"
    assert first["properties"]["protocol"] == "*"
    assert first["properties"]["sourcePortRanges"] == []
    refused = await azure.arm("PUT", f"{group}/defaultSecurityRules/AllowVnetInBound", rule_body(100))
    assert refused.status == 405


async def test_a_rule_is_a_child_of_its_own(azure, group):
    path = f"{group}/securityRules/wui"
    made = await azure.arm("PUT", path, rule_body(100))
    assert (made.status, made.body["id"]) == (201, path)
    read = (await azure.arm("GET", path)).body
    assert read["properties"] == {
        "provisioningState": "Succeeded",
        "protocol": "Tcp",
        "sourcePortRange": "*",
        "destinationPortRange": "8443",
        "sourceAddressPrefix": "10.0.0.0/8",
        "destinationAddressPrefix": "*",
        "access": "Allow",
        "priority": 100,
        "direction": "Inbound",
        "sourcePortRanges": [],
        "destinationPortRanges": [],
        "sourceAddressPrefixes": [],
        "destinationAddressPrefixes": [],
    }
    assert (await azure.arm("DELETE", path)).status == 202
    assert (await azure.arm("GET", path)).status == 404
    assert (await azure.arm("DELETE", path)).status == 204


async def test_of_singular_and_plural_the_sent_one_is_shown(azure, group):
    body = rule_body(100, destinationPortRange=None, destinationPortRanges=["22", "8443"])
    made = await azure.made(f"{group}/securityRules/two", body)
    assert made["properties"]["destinationPortRanges"] == ["22", "8443"]
    assert "destinationPortRange" not in made["properties"]


async def test_equal_priorities_conflict_in_one_direction_only(azure, group):
    await azure.made(f"{group}/securityRules/one", rule_body(100))
    answer = await azure.arm("PUT", f"{group}/securityRules/two", rule_body(100))
    assert (answer.status, answer.body["error"]) == (
        400,
        {
            "code": "SecurityRuleConflict",
            "message": "Security rule two conflicts with rule one. Rules cannot have the same Priority and "
            "Direction.",
            "details": [],
        },
    )
    assert (
        await azure.arm("PUT", f"{group}/securityRules/two", rule_body(100, direction="Outbound"))
    ).status == 201
    # A rename is one PUT of the whole group.
    renamed = {**HERE, "properties": {"securityRules": [{"name": "new", **rule_body(100)}]}}
    assert (await azure.arm("PUT", group, renamed)).status == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"priority": 99}, "SecurityRuleInvalidPriority"),
        ({"priority": 4097}, "SecurityRuleInvalidPriority"),
        ({"priority": None}, "SecurityRuleInvalidPriority"),
        ({"destinationPortRange": "70000"}, "SecurityRuleInvalidPortRange"),
        ({"destinationPortRange": "80-"}, "SecurityRuleInvalidPortRange"),
        ({"sourceAddressPrefix": "10.0.0.300"}, "SecurityRuleInvalidAddressPrefix"),
        ({"sourceAddressPrefix": None}, "SecurityRuleParameterMissing"),
        ({"destinationPortRanges": ["1"]}, "SecurityRuleParameterContainsBothSingularAndPlural"),
        ({"protocol": "Smoke"}, "SecurityRuleInvalidParameter"),
        ({"access": "Perhaps"}, "SecurityRuleInvalidParameter"),
    ],
)
async def test_a_wrong_rule_is_refused(azure, group, changes, code):
    answer = await azure.arm("PUT", f"{group}/securityRules/bad", rule_body(**({"priority": 200} | changes)))
    assert (answer.status, answer.code) == (400, code)
    assert (await azure.arm("GET", group)).body["properties"]["securityRules"] == []


async def test_service_tags_and_spelling_of_the_protocol_stay(azure, group):
    body = rule_body(100, sourceAddressPrefix="AzureLoadBalancer", protocol="TCP")
    made = await azure.made(f"{group}/securityRules/lb", body)
    assert (made["properties"]["sourceAddressPrefix"], made["properties"]["protocol"]) == (
        "AzureLoadBalancer",
        "TCP",
    )


async def test_patch_replaces_the_tags_alone(azure, group):
    await azure.made(f"{group}/securityRules/one", rule_body(100))
    answer = await azure.arm("PATCH", group, {"tags": {"a": "b"}})
    assert (answer.status, answer.body["tags"]) == (200, {"a": "b"})
    assert len(answer.body["properties"]["securityRules"]) == 1
