"""Template deployments, in the shape in which `az` sends them."""

from tests.support.emulator import seed_guide_network
from tests.support.emulator_bodies import HERE

VERSION = "2024-11-01"


def deployment(azure, name="lb_deploy"):
    return f"{azure.group('edge')}/providers/Microsoft.Resources/deployments/{name}"


def template(*resources, **more):
    return {
        "properties": {
            "mode": "Incremental",
            "template": {
                "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
                "contentVersion": "1.0.0.0",
                "resources": list(resources),
                **{key: value for key, value in more.items() if key != "given"},
            },
            "parameters": more.get("given", {}),
        }
    }


PIP = {
    "apiVersion": "2022-01-01",
    "name": "pip",
    "type": "Microsoft.Network/publicIPAddresses",
    "location": "westeurope",
    "sku": {"name": "Standard"},
    "properties": {"publicIPAllocationMethod": "Static"},
}
BALANCER = {
    "apiVersion": "2023-04-01",
    "name": "lb",
    "type": "Microsoft.Network/loadBalancers",
    "location": "[variables('where')]",
    "sku": {"name": "Standard"},
    "dependsOn": ["Microsoft.Network/publicIPAddresses/pip"],
    "properties": {
        "backendAddressPools": [{"name": "lbbepool"}],
        "frontendIPConfigurations": [
            {
                "name": "LoadBalancerFrontEnd",
                "properties": {
                    "publicIPAddress": {
                        "id": "[resourceId('Microsoft.Network/publicIPAddresses', parameters('pip'))]"
                    }
                },
            }
        ],
    },
}
MORE = {
    "parameters": {"pip": {"type": "string"}, "size": {"type": "int", "defaultValue": 3}},
    "variables": {"where": "[toLower('WestEurope')]"},
    "outputs": {"loadBalancer": {"type": "object", "value": "[reference('lb')]"}},
    "given": {"pip": {"value": "pip"}},
}


async def test_az_network_lb_create(azure):
    path = deployment(azure)
    answer = await azure.arm("PUT", path, template(BALANCER, PIP, **MORE), version=VERSION)
    assert answer.status == 201
    assert f"{path}/operationStatuses/" in answer.headers["azure-asyncoperation"]
    assert await azure.settled(answer) == "Succeeded"
    done = (await azure.arm("GET", path, version=VERSION)).body["properties"]
    assert done["provisioningState"] == "Succeeded"
    frontend = done["outputs"]["loadBalancer"]["value"]["frontendIPConfigurations"][0]
    pip = azure.network("publicIPAddresses", "pip")
    assert frontend["properties"]["publicIPAddress"] == {"id": pip}
    assert {item["id"] for item in done["outputResources"]} == {pip, azure.network("loadBalancers", "lb")}


async def test_a_deployment_takes_as_long_as_its_resources(serve, clock):
    azure = await serve(latency=10.0)
    await azure.arm("PUT", azure.group("edge"), HERE)
    answer = await azure.arm("PUT", deployment(azure), template(BALANCER, PIP, **MORE), version=VERSION)
    url = answer.headers["azure-asyncoperation"]
    seen = []
    for _ in range(3):
        seen.append((await azure.arm("GET", url)).body["status"])
        clock.forward(10.1)
    assert seen == ["Running", "Running", "Succeeded"]
    pips = (await azure.arm("GET", azure.network("publicIPAddresses", "pip"))).body
    assert pips["properties"]["provisioningState"] == "Succeeded"


async def test_a_refused_resource_fails_the_deployment_with_its_reason(azure):
    bad = {**PIP, "sku": {"name": "Basic"}}
    answer = await azure.arm("PUT", deployment(azure), template(bad), version=VERSION)
    assert await azure.settled(answer) == "Failed"
    error = (await azure.arm("GET", answer.headers["azure-asyncoperation"])).body["error"]
    assert error["code"] == "DeploymentFailed"
    assert error["details"][0]["code"] == "IPv4BasicSkuPublicIpCountLimitReached"
    done = (await azure.arm("GET", deployment(azure), version=VERSION)).body
    assert done["properties"]["provisioningState"] == "Failed"


async def test_an_availability_set_and_a_subnet_as_a_child(azure):
    await seed_guide_network(azure)
    set_ = {
        "apiVersion": "2024-07-01",
        "type": "Microsoft.Compute/availabilitySets",
        "name": "second",
        "location": "[resourceGroup().location]",
        "sku": {"name": "Aligned"},
        "properties": {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5},
    }
    network = {
        "apiVersion": "2024-05-01",
        "type": "Microsoft.Network/virtualNetworks",
        "name": "v",
        "location": "westeurope",
        "properties": {"addressSpace": {"addressPrefixes": ["10.9.0.0/16"]}},
    }
    subnet = {
        "apiVersion": "2024-05-01",
        "type": "Microsoft.Network/virtualNetworks/subnets",
        "name": "[concat('v', '/', 'child')]",
        "dependsOn": ["[resourceId('Microsoft.Network/virtualNetworks', 'v')]"],
        "properties": {"addressPrefix": "10.9.1.0/24"},
    }
    answer = await azure.arm("PUT", deployment(azure), template(subnet, set_, network), version=VERSION)
    assert await azure.settled(answer) == "Succeeded"
    assert (await azure.arm("GET", azure.compute("availabilitySets", "second"))).status == 200
    child = azure.network("virtualNetworks", "v") + "/subnets/child"
    assert (await azure.arm("GET", child)).body["properties"]["addressPrefix"] == "10.9.1.0/24"


async def test_what_cannot_work_is_refused_before_anything_is_made(azure):
    for body, text in (
        (template(PIP, {**BALANCER, "dependsOn": ["nobody"]}, **MORE), "is not defined in the template"),
        (template({**PIP, "dependsOn": ["lb"]}, BALANCER, **MORE), "Circular dependency"),
        (template(BALANCER, PIP, **{**MORE, "given": {}}), "'pip' is not provided"),
        (template({**PIP, "name": "[shout('x')]"}), "function 'shout' is not supported"),
        (template({**PIP, "copy": {"name": "c", "count": 2}}), "'copy' in a resource"),
    ):
        answer = await azure.arm("PUT", deployment(azure), body, version=VERSION)
        assert (answer.status, answer.code) == (400, "InvalidTemplate")
        assert text in answer.body["error"]["message"]
    assert (await azure.arm("GET", azure.group("edge") + "/resources")).body["value"] == []
    assert (await azure.arm("GET", deployment(azure), version=VERSION)).code == "DeploymentNotFound"


async def test_validate_makes_nothing(azure):
    answer = await azure.arm("POST", f"{deployment(azure)}/validate", template(PIP), version=VERSION)
    assert (answer.status, answer.body["properties"]["provisioningState"]) == (200, "Succeeded")
    assert (await azure.arm("GET", azure.group("edge") + "/resources")).body["value"] == []
