"""The guide's set-up made with Microsoft's Python SDK: every answer is as Microsoft describes it.

Beside the values, the whole session's traffic is validated against the API descriptions, answers and
requests alike, through refusals, changes and deletion. The SDK is of api-version 2026-03-01 and the
descriptions are older, so what only the newer version has is listed in docs/fidelity.md.
"""

from __future__ import annotations

import pytest
import pytest_asyncio
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.network.aio import NetworkManagementClient
from tests.support import azspecs
from tests.support.az import CLIENT, TENANT
from tests.support.emulator import running_emulator
from tests.support.generated import check_block
from tests.support.guide_az import UNITS, GuideSetUp
from tests.support.swagger import SwaggerValidator
from tests.support.traffic import read_log

PAGE = azspecs.REPOSITORY / "docs" / "fidelity.md"
GUIDE = GuideSetUp()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(tmp_path_factory):
    """The file that holds everything that the SDK and the emulator said to each other in one session."""
    log = tmp_path_factory.mktemp("session") / "traffic.jsonl"
    async with running_emulator("--latency", "0.2", "--traffic-log", str(log)) as emulator:
        common = emulator.azure_client_kwargs() | {"polling_interval": 0.1}
        async with (
            ClientSecretCredential(TENANT, CLIENT, "any", **emulator.credential_kwargs()) as credential,
            NetworkManagementClient(credential, emulator.subscription, **common) as network,
            ComputeManagementClient(credential, emulator.subscription, **common) as compute,
        ):
            group = emulator.group(GUIDE.group)
            await emulator.arm("PUT", group, {"location": GUIDE.location}, version="2024-07-01")
            await _prerequisites(network, compute, group)
            balancer = await _balancer(network, group)
            await _members(network, group)
            await _look_around(network, compute)
            await _refusals(network, balancer)
            await _delete(network, compute)
    return log


def test_the_guides_set_up_can_be_made_read_changed_and_deleted_with_the_sdk(log):
    exchanges = list(read_log(log))  # what each step must give is asserted where it is taken
    assert {each.status for each in exchanges} == {200, 201, 202, 400, 404, 412}
    assert {each.method for each in exchanges} == {"GET", "PUT", "PATCH", "POST", "DELETE"}
    assert exchanges[-1].response_body == {"value": []}


def test_every_answer_and_request_of_the_session_is_as_microsoft_describes_it(log):
    validator = SwaggerValidator(azspecs.require())
    assert [str(each) for each in validator.check_all(read_log(log))] == []
    assert sum(validator.checked.values()) > 80
    (health,) = (each for each in read_log(log) if "up" in (each.response_body or {}))
    assert validator.check_result(health, "LoadBalancerHealthPerRule") == []
    check_block(PAGE, "sdk", _table(validator))


def _table(validator):
    lines = ["Operations that the session used:", ""]
    lines.append(", ".join(f"`{name}`" for name in sorted(validator.checked)) + ".")
    lines += ["", "Properties in its answers that only api-version 2026-03-01, or the real Azure, has:", ""]
    lines.append(", ".join(f"`{name}`" for name in sorted(validator.newer_properties)) + ".")
    lines += ["", "Requests that no description covers:", ""]
    lines.append(", ".join(f"`{name}`" for name in sorted(validator.not_described)) or "none")
    return "\n".join(lines)


async def _done(starting):
    return await (await starting).result()


async def _prerequisites(network, compute, group):
    here = {"location": GUIDE.location}
    security = await _done(
        network.network_security_groups.begin_create_or_update(GUIDE.group, GUIDE.security_group, here)
    )
    subnet = {
        "name": GUIDE.subnet,
        "properties": {"addressPrefix": "10.0.2.0/24", "networkSecurityGroup": {"id": security.id}},
    }
    space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [subnet]}
    virtual = await _done(
        network.virtual_networks.begin_create_or_update(
            GUIDE.group, GUIDE.network, here | {"properties": space}
        )
    )
    counts = {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}
    await compute.availability_sets.create_or_update(
        GUIDE.group, GUIDE.availability_set, here | {"sku": {"name": "Aligned"}, "properties": counts}
    )
    for unit in UNITS:
        configuration = {
            "name": "ipconfig1",
            "properties": {
                "privateIPAllocationMethod": "Static",
                "privateIPAddress": f"10.0.2.{4 + unit}",
                "subnet": {"id": virtual.subnets[0].id},
            },
        }
        body = here | {"properties": {"ipConfigurations": [configuration]}}
        await _done(
            network.network_interfaces.begin_create_or_update(GUIDE.group, GUIDE.interface(unit), body)
        )
        machine = GUIDE.machine_body(unit)
        await _done(
            compute.virtual_machines.begin_create_or_update(GUIDE.group, GUIDE.machine(unit), machine)
        )
    rule = {
        "priority": 1000,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": "10.0.0.0/8",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRanges": ["8443", "22"],
    }
    created = await _done(
        network.security_rules.begin_create_or_update(
            GUIDE.group, GUIDE.security_group, "management", {"properties": rule}
        )
    )
    assert created.provisioning_state == "Succeeded"


async def _balancer(network, group):
    own = f"{group}/providers/Microsoft.Network/loadBalancers/{GUIDE.balancer_name}"
    subnet = f"{group}/providers/Microsoft.Network/virtualNetworks/{GUIDE.network}/subnets/{GUIDE.subnet}"
    frontend = {"id": f"{own}/frontendIPConfigurations/frontend"}
    address = {
        "privateIPAllocationMethod": "Static",
        "privateIPAddress": "10.0.2.100",
        "subnet": {"id": subnet},
    }
    probe = {
        "protocol": "Http",
        "port": 8444,
        "requestPath": "/",
        "intervalInSeconds": 5,
        "numberOfProbes": 2,
        "probeThreshold": 2,
    }
    rule = {
        "protocol": "Tcp",
        "frontendPort": 8444,
        "backendPort": 8444,
        "frontendIPConfiguration": frontend,
        "backendAddressPool": {"id": f"{own}/backendAddressPools/pool"},
        "probe": {"id": f"{own}/probes/health"},
    }
    translations = [("web-0", 8441, 8443), ("web-1", 8442, 8443), ("ssh-0", 221, 22), ("ssh-1", 222, 22)]
    body = {
        "location": GUIDE.location,
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {
            "frontendIPConfigurations": [{"name": "frontend", "properties": address}],
            "backendAddressPools": [{"name": "pool"}],
            "probes": [{"name": "health", "properties": probe}],
            "loadBalancingRules": [{"name": "check", "properties": rule}],
            "inboundNatRules": [
                {
                    "name": name,
                    "properties": {
                        "protocol": "Tcp",
                        "frontendPort": port,
                        "backendPort": backend,
                        "frontendIPConfiguration": frontend,
                    },
                }
                for name, port, backend in translations
            ],
        },
    }
    made = await _done(network.load_balancers.begin_create_or_update(GUIDE.group, GUIDE.balancer_name, body))
    assert made.frontend_ip_configurations[0].private_ip_address == "10.0.2.100"
    return made


async def _members(network, group):
    own = f"{group}/providers/Microsoft.Network/loadBalancers/{GUIDE.balancer_name}"
    for unit in UNITS:
        interface = await network.network_interfaces.get(GUIDE.group, GUIDE.interface(unit))
        body = interface.as_dict(exclude_readonly=True)
        configuration = body["properties"]["ipConfigurations"][0]["properties"]
        configuration["loadBalancerBackendAddressPools"] = [{"id": f"{own}/backendAddressPools/pool"}]
        configuration["loadBalancerInboundNatRules"] = [
            {"id": f"{own}/inboundNatRules/{kind}-{unit}"} for kind in ("web", "ssh")
        ]
        await _done(
            network.network_interfaces.begin_create_or_update(
                GUIDE.group, GUIDE.interface(unit), body, headers={"If-Match": interface.etag}
            )
        )
    balancer = await network.load_balancers.get(GUIDE.group, GUIDE.balancer_name)
    assert len(balancer.backend_address_pools[0].backend_ip_configurations) == 2


async def _look_around(network, compute):
    names = GUIDE.group, GUIDE.balancer_name
    assert [each.name async for each in network.load_balancers.list_all()] == [GUIDE.balancer_name]
    assert [each.name async for each in network.load_balancers.list(GUIDE.group)] == [GUIDE.balancer_name]
    pools = [each.name async for each in network.load_balancer_backend_address_pools.list(*names)]
    assert pools == ["pool"]
    assert len([each async for each in network.inbound_nat_rules.list(*names)]) == 4
    assert (await network.load_balancer_probes.get(*names, "health")).port == 8444
    rule = await network.load_balancer_load_balancing_rules.get(*names, "check")
    assert rule.frontend_port == 8444
    frontend = await network.load_balancer_frontend_ip_configurations.get(*names, "frontend")
    assert frontend.private_ip_address == "10.0.2.100"
    members = [each.name async for each in network.load_balancer_network_interfaces.list(*names)]
    assert sorted(members) == ["lm-0-nic", "lm-1-nic"]
    rules = [
        each.name async for each in network.default_security_rules.list(GUIDE.group, GUIDE.security_group)
    ]
    assert len(rules) == 6
    health = await _done(network.load_balancer_load_balancing_rules.begin_health(*names, "check"))
    assert health.up + health.down == 2
    free = await network.virtual_networks.check_ip_address_availability(
        GUIDE.group, GUIDE.network, ip_address="10.0.2.100"
    )
    assert free.available is False
    machine = await compute.virtual_machines.get(GUIDE.group, "lm-0", expand="instanceView")
    assert machine.instance_view.statuses
    view = await compute.virtual_machines.instance_view(GUIDE.group, "lm-0")
    assert any(each.code.startswith("PowerState/") for each in view.statuses)
    assert len([each async for each in compute.virtual_machines.list(GUIDE.group)]) == 2
    await _done(compute.virtual_machines.begin_deallocate(GUIDE.group, "lm-1"))
    await _done(compute.virtual_machines.begin_start(GUIDE.group, "lm-1"))
    tagged = await network.load_balancers.update_tags(*names, {"tags": {"team": "edge"}})
    assert tagged.tags == {"team": "edge"}


async def _refusals(network, balancer):
    with pytest.raises(ResourceNotFoundError) as missing:
        await network.load_balancers.get(GUIDE.group, "no-such-balancer")
    assert missing.value.error.code == "ResourceNotFound"
    body = balancer.as_dict(exclude_readonly=True)
    with pytest.raises(HttpResponseError) as stale:
        await network.load_balancers.begin_create_or_update(
            GUIDE.group, GUIDE.balancer_name, body, headers={"If-Match": balancer.etag}
        )
    assert (stale.value.status_code, stale.value.error.code) == (412, "PreconditionFailed")
    with pytest.raises(HttpResponseError) as in_use:
        await network.subnets.begin_delete(GUIDE.group, GUIDE.network, GUIDE.subnet)
    assert (in_use.value.status_code, in_use.value.error.code) == (400, "InUseSubnetCannotBeDeleted")


async def _delete(network, compute):
    await _done(network.inbound_nat_rules.begin_delete(GUIDE.group, GUIDE.balancer_name, "ssh-0"))
    await _done(network.security_rules.begin_delete(GUIDE.group, GUIDE.security_group, "management"))
    for unit in UNITS:
        await _done(compute.virtual_machines.begin_delete(GUIDE.group, GUIDE.machine(unit)))
        await _done(network.network_interfaces.begin_delete(GUIDE.group, GUIDE.interface(unit)))
    await _done(network.load_balancers.begin_delete(GUIDE.group, GUIDE.balancer_name))
    await compute.availability_sets.delete(GUIDE.group, GUIDE.availability_set)
    await _done(network.virtual_networks.begin_delete(GUIDE.group, GUIDE.network))
    await _done(network.network_security_groups.begin_delete(GUIDE.group, GUIDE.security_group))
    assert [each async for each in network.load_balancers.list(GUIDE.group)] == []
