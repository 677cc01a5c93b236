"""The guide's set-up as one ARM template; `bench/azure_economy` times it beside `az` and the operator."""

from __future__ import annotations

from tests.support.guide_az import GuideSetUp
from tests.support.guide_world import Builder


async def test_one_template_deployment_builds_the_guides_balancer(azure, subscription):
    async with azure(subscription) as arm:
        builder = Builder(arm, subscription, GuideSetUp())
        await builder.prerequisites()
        deployment = await builder.deploy_template()

        balancer_id = builder.network("loadBalancers", builder.guide.balancer_name)
        assert deployment["properties"]["provisioningState"] == "Succeeded"
        assert deployment["properties"]["outputs"]["balancer"]["value"].lower() == balancer_id.lower()
        balancer = (await arm.send("GET", f"{balancer_id}?api-version=2024-05-01")).response_body[
            "properties"
        ]
        (frontend,) = balancer["frontendIPConfigurations"]
        assert frontend["properties"]["privateIPAddress"] == "10.0.2.100"
        (probe,) = balancer["probes"]
        assert (probe["properties"]["port"], probe["properties"]["probeThreshold"]) == (8444, 2)
        assert {
            rule["name"]: rule["properties"]["backendIPConfiguration"]["id"].split("/")[8]
            for rule in balancer["inboundNatRules"]
        } == {"web-0": "lm-0-nic", "web-1": "lm-1-nic", "ssh-0": "lm-0-nic", "ssh-1": "lm-1-nic"}
        group = builder.network("networkSecurityGroups", builder.guide.security_group)
        rules = (await arm.send("GET", f"{group}?api-version=2024-05-01")).response_body["properties"]
        assert [rule["properties"]["priority"] for rule in rules["securityRules"]] == [
            1000,
            1010,
            1020,
            1030,
            1040,
        ]


async def test_a_failing_template_says_which_resource_failed_and_why(azure, subscription):
    async with azure(subscription) as arm:
        builder = Builder(arm, subscription, GuideSetUp(frontend_address="10.9.9.9"))
        await builder.prerequisites()
        try:
            await builder.deploy_template()
        except AssertionError as refused:
            message = str(refused)
        else:
            message = ""
        assert "DeploymentFailed" in message
        assert "PrivateIPAddressNotInSubnet" in message
