"""A client of Azure that is neither ours nor Python: Microsoft's JavaScript SDK, on one balancer."""

from __future__ import annotations

import pytest
from tests.support import jsclient
from tests.support.armclient import ArmClient
from tests.support.emulator import running_emulator
from tests.support.guide_world import build_guide
from tests.support.signed_in import TENANT


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_javascript_sdk_reads_and_writes_a_balancer():
    node = jsclient.require_node()
    folder = jsclient.installed()
    async with (
        running_emulator("--latency", "0.2") as azure,
        ArmClient(azure.url, azure.ca_file) as arm,
    ):
        guide = await build_guide(arm, azure.subscription)
        environment = {
            "ENDPOINT": azure.url,
            "TENANT": TENANT,
            "SUBSCRIPTION": azure.subscription,
            "GROUP": guide.group,
            "BALANCER": guide.balancer_name,
            "NODE_EXTRA_CA_CERTS": str(azure.ca_file),
        }
        seen = jsclient.run(node, folder, environment)

        assert seen["before"]["rules"] == ["check", "https"]
        assert seen["written"] == {"state": "Succeeded", "rules": ["check", "https", "from-js"]}
        assert seen["natRule"] == {"state": "Succeeded", "frontendPort": 10022}
        assert seen["listed"] == [guide.balancer_name]
        assert seen["errors"]["missing"] == {"status": 404, "code": "ResourceNotFound"}
        assert seen["errors"]["twoRulesOnOnePort"] == {
            "status": 400,
            "code": "RulesUseSameBackendPortProtocolAndPool",
        }
        assert seen["after"]["rules"] == ["check", "https", "from-js"]
        assert seen["after"]["natRules"] == ["web-0", "web-1", "ssh-0", "ssh-1"]

        # What it wrote is there for everybody, and the last etag it saw is the balancer's.
        path = f"/subscriptions/{azure.subscription}/resourceGroups/{guide.group}/providers/Microsoft.Network"
        balancer = await arm.send("GET", f"{path}/loadBalancers/{guide.balancer_name}?api-version=2024-05-01")
        assert balancer.response_body["etag"] == seen["after"]["etag"]
