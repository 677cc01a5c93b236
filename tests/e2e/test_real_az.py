"""The real `az` against the emulator: it signs in, builds the guide's set-up, reads, changes and deletes it.

`az` was written against Azure and knows nothing of us: what it takes for Azure is a good likeness. One
story in one test, since each command costs seconds; after each act an independent client looks at what is
there.
"""

from __future__ import annotations

import json
import time

import pytest
from tests.support import azspecs
from tests.support.armclient import ArmClient
from tests.support.az import Az, AzError
from tests.support.emulator import running_emulator
from tests.support.generated import check_block
from tests.support.guide_az import GuideSetUp
from tests.support.swagger import SwaggerValidator
from tests.support.traffic import read_log

import azcli

MOST_COMMANDS = 45
PAGE = azspecs.REPOSITORY / "docs" / "fidelity.md"
LB_API = "2024-05-01"


@pytest.fixture(scope="module")
def azure_cli():
    """The Python of the real Azure CLI; installs it (700 MB) when it is not in our cache."""
    return azcli.python()


@pytest.fixture
async def logged_emulator(tmp_path):
    """An emulator whose operations take a moment, and the file with its traffic.

    Without `Retry-After` `az` asks for the state of an operation every 30 seconds.
    """
    log = tmp_path / "traffic.jsonl"
    async with running_emulator(
        "--latency", "0.2", "--retry-after", "1", "--traffic-log", str(log)
    ) as emulator:
        yield emulator, log


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_az_builds_reads_changes_and_deletes_the_guides_set_up(
    azure_cli, logged_emulator, tmp_path, record_property
):
    azure, log = logged_emulator
    az = Az(azure_cli, tmp_path / "az", azure.url, azure.ca_file)
    guide = GuideSetUp()
    started = time.monotonic()

    az.sign_in()
    assert az.run("account", "show")["user"]["type"] == "servicePrincipal"
    for command in guide.commands():
        az.run(*command)
    set_up_seconds = time.monotonic() - started

    async with ArmClient(azure.url, azure.ca_file) as arm:
        requests = (await arm.send("GET", "/_emulator/requests")).response_body
        group = f"/subscriptions/{azure.subscription}/resourceGroups/{guide.group}"
        balancer_url = f"{group}/providers/Microsoft.Network/loadBalancers/{guide.balancer_name}"
        balancer_url += f"?api-version={LB_API}"
        built = (await arm.send("GET", balancer_url)).response_body
        _assert_guide(built)

        _read(az, guide)
        _change(az, guide)
        changed = (await arm.send("GET", balancer_url)).response_body
        assert changed["properties"]["probes"][0]["properties"]["intervalInSeconds"] == 10
        assert {rule["name"] for rule in changed["properties"]["loadBalancingRules"]} == {"check"}
        assert changed["tags"] == {"team": "edge"}

        _refused(az, guide, built["etag"])
        unchanged = (await arm.send("GET", balancer_url)).response_body
        assert unchanged["etag"] == changed["etag"]

        _delete(az, guide)
        gone = await arm.send("GET", group + "?api-version=2024-11-01")
        assert gone.status == 404
    assert az.count <= MOST_COMMANDS
    _assert_described(log)
    record_property("az_set_up_seconds", round(set_up_seconds, 1))
    record_property("az_set_up_requests", json.dumps(requests["byResourceType"]))
    check_block(PAGE, "az", _summary(guide, requests))


def _summary(guide, requests):
    """What the set-up cost; polls depend on how long operations take, so they are left out."""
    polls = sum(requests["byResourceType"].get("operations", {}).values())
    return (
        f"The guide's set-up takes {len(guide.commands())} commands of `az`, {len(guide.balancer())} of them "
        f"for the balancer's part, and {requests['total'] - polls} requests beside the polls of operations."
    )


def _assert_guide(balancer):
    properties = balancer["properties"]
    assert balancer["sku"]["name"] == "Standard"
    assert {
        rule["name"]: (rule["properties"]["frontendPort"], rule["properties"]["backendPort"])
        for rule in properties["inboundNatRules"]
    } == {"web-0": (8441, 8443), "web-1": (8442, 8443), "ssh-0": (221, 22), "ssh-1": (222, 22)}
    assert {rule["name"] for rule in properties["loadBalancingRules"]} == {"check", "https"}
    (pool,) = properties["backendAddressPools"]
    members = {item["id"].split("/")[8] for item in pool["properties"]["backendIPConfigurations"]}
    assert members == {"lm-0-nic", "lm-1-nic"}
    for rule in properties["inboundNatRules"]:
        unit = rule["name"][-1]
        assert f"/lm-{unit}-nic/" in rule["properties"]["backendIPConfiguration"]["id"]


def _read(az, guide):
    shown = az.run("network", "lb", "show", "-g", guide.group, "-n", guide.balancer_name)
    assert shown["frontendIPConfigurations"][0]["privateIPAddress"] == guide.frontend_address
    assert [item["name"] for item in az.run("network", "lb", "list", "-g", guide.group)] == [
        guide.balancer_name
    ]
    rules = az.run("network", "nsg", "rule", "list", "-g", guide.group, "--nsg-name", guide.security_group)
    assert [rule["priority"] for rule in rules] == [1000, 1010, 1020, 1030, 1040]
    kinds = {item["type"] for item in az.run("resource", "list", "-g", guide.group)}
    assert "Microsoft.Network/loadBalancers" in kinds
    assert "Microsoft.Compute/virtualMachines" in kinds


def _change(az, guide):
    where = ["-g", guide.group, "--lb-name", guide.balancer_name]
    az.run("network", "lb", "probe", "update", *where, "-n", "health", "--interval", "10")
    az.run("network", "lb", "rule", "delete", *where, "-n", "https")
    az.run("network", "lb", "update", "-g", guide.group, "-n", guide.balancer_name, "--set", "tags.team=edge")


def _refused(az, guide, stale_etag):
    # A write with the etag of before the changes.
    url = f"{guide.balancer_path()}?api-version={LB_API}"
    body = json.dumps({"location": guide.location, "sku": {"name": "Standard"}, "properties": {}})
    with pytest.raises(AzError) as stale:
        az.run("rest", "--method", "put", "--url", url, "--headers", f"If-Match={stale_etag}", "--body", body)
    assert "PreconditionFailedEtagMismatch" in stale.value.message
    assert "Etag provided in if-match header" in stale.value.message
    # The triangle: a balancing rule to the port that inbound NAT rules already use on the members.
    where = ["-g", guide.group, "--lb-name", guide.balancer_name]
    with pytest.raises(AzError) as triangle:
        az.run(
            "network", "lb", "rule", "create", *where, "-n", "kemp360", "--protocol", "Tcp",
            "--frontend-port", "8443", "--backend-port", "8443", "--frontend-ip-name", "frontend",
            "--backend-pool-name", "pool",
        )  # fmt: skip
    assert "RulesOfSameLoadBalancerTypeUseSameBackendPortProtocolAndIPConfig" in triangle.value.message
    with pytest.raises(AzError) as in_use:
        az.run("network", "nsg", "delete", "-g", guide.group, "-n", guide.security_group)
    assert "InUseNetworkSecurityGroupCannotBeDeleted" in in_use.value.message


def _delete(az, guide):
    leave = ["-g", guide.group, "--nic-name", guide.interface(0), "--ip-config-name", "ipconfig1"]
    az.run("network", "nic", "ip-config", "inbound-nat-rule", "remove", *leave, "--lb-name",
    guide.balancer_name,
           "--inbound-nat-rule", "ssh-0")  # fmt: skip
    az.run("network", "lb", "delete", "-g", guide.group, "-n", guide.balancer_name)
    az.run("group", "delete", "-n", guide.group, "--yes")


def _assert_described(log):
    """Every answer to `az`, in all its api-versions, is as described (its own `mode: incremental` is not)."""
    specs = azspecs.find()
    if specs is None:
        return
    validator = SwaggerValidator(specs)
    assert [str(each) for exchange in read_log(log) for each in validator.check(exchange)] == []
