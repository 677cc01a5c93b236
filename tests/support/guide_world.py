"""The guide's set-up made without `az`: prerequisites by plain requests, the rest by one ARM template."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.support import guide_az
from tests.support.guide_az import GuideSetUp

if TYPE_CHECKING:
    from tests.support.armclient import ArmClient

NETWORK_API = "2024-05-01"
COMPUTE_API = "2024-07-01"
RESOURCES_API = "2024-11-01"
PATIENCE_SECONDS = 60
"""A safety limit for what takes milliseconds on an idle machine."""


class Builder:
    """Writes resources of one resource group and waits until each is there."""

    def __init__(self, arm: ArmClient, subscription: str, guide: GuideSetUp) -> None:
        self._arm = arm
        self.guide = replace(guide, subscription=subscription)
        self.group = f"/subscriptions/{subscription}/resourceGroups/{guide.group}"

    def network(self, kind: str, name: str) -> str:
        return f"{self.group}/providers/Microsoft.Network/{kind}/{name}"

    async def put(self, resource: str, version: str, body: Any) -> Any:
        """Write one resource and wait for the end of its operation; the resource.

        Raises:
            AssertionError: refused, or the operation failed.
        """
        answer = await self._arm.send("PUT", f"{resource}?api-version={version}", body)
        assert answer.status in {200, 201}, answer.response_body
        operation = answer.response_headers.get("azure-asyncoperation")
        if operation is None:
            return answer.response_body
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                polled = (await self._arm.send("GET", operation)).response_body
                if polled["status"] in {"Succeeded", "Failed", "Canceled"}:
                    break
                await asyncio.sleep(0.02)
        assert polled["status"] == "Succeeded", polled
        return (await self._arm.send("GET", f"{resource}?api-version={version}")).response_body

    async def prerequisites(self) -> None:
        """Everything that the guide expects to be there: what `GuideSetUp.prerequisites` makes with `az`."""
        guide = self.guide
        here = {"location": guide.location}
        await self.put(self.group, RESOURCES_API, here)
        group = await self.put(self.network("networkSecurityGroups", guide.security_group), NETWORK_API, here)
        subnet = {
            "name": guide.subnet,
            "properties": {"addressPrefix": "10.0.2.0/24", "networkSecurityGroup": {"id": group["id"]}},
        }
        space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [subnet]}
        network = self.network("virtualNetworks", guide.network)
        await self.put(network, NETWORK_API, here | {"properties": space})
        machines = f"{self.group}/providers/Microsoft.Compute"
        availability = {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}
        await self.put(
            f"{machines}/availabilitySets/{guide.availability_set}",
            COMPUTE_API,
            here | {"sku": {"name": "Aligned"}, "properties": availability},
        )
        for unit in guide_az.UNITS:
            configuration = {
                "name": "ipconfig1",
                "properties": {
                    "privateIPAllocationMethod": "Static",
                    "privateIPAddress": f"10.0.2.{4 + unit}",
                    "subnet": {"id": f"{network}/subnets/{guide.subnet}"},
                },
            }
            interface = self.network("networkInterfaces", guide.interface(unit))
            body = here | {"properties": {"ipConfigurations": [configuration]}}
            await self.put(interface, NETWORK_API, body)
            machine = f"{machines}/virtualMachines/{guide.machine(unit)}"
            await self.put(machine, COMPUTE_API, guide.machine_body(unit))

    async def deploy_template(self, name: str = "guide") -> Any:
        """Deploy the balancer's part with `guide_template.json`; the finished deployment."""
        properties = {
            "mode": "Incremental",
            "template": guide_az.template(),
            "parameters": self.guide.template_parameters(),
        }
        deployment = f"{self.group}/providers/Microsoft.Resources/deployments/{name}"
        return await self.put(deployment, RESOURCES_API, {"properties": properties})


async def build_guide(arm: ArmClient, subscription: str, guide: GuideSetUp | None = None) -> GuideSetUp:
    """Make the whole set-up in a new resource group; its names."""
    builder = Builder(arm, subscription, guide or GuideSetUp())
    await builder.prerequisites()
    await builder.deploy_template()
    return builder.guide
