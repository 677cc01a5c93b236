"""The data plane as a process: without privileges, killed, restarted, started with wrong flags."""

import asyncio
import os
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.backends import running_backends
from tests.support.emulator import Emulator, running_emulator
from tests.support.emulator_bodies import HERE, network_body
from tests.support.loopback_site import LoopbackSite, eventually

FLAGS = ("--data-plane", "--allow-loopback-networks", "--probe-interval", "0.2")
NO_CAPABILITIES = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")


@asynccontextmanager
async def built(azure):
    site = LoopbackSite(azure)
    async with running_backends(*site.members) as backends:
        await site.build()
        await site.until_up(True, True)
        yield site, backends


def children_of(pid):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(child) for child in found.stdout.split()]


async def running(pid):
    try:
        text = await asyncio.to_thread(Path(f"/proc/{pid}/stat").read_text)
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
async def unprivileged(tmp_path):
    """An emulator without any capability, as an ordinary user's has none."""
    wrapper = NO_CAPABILITIES if os.geteuid() == 0 else ()
    if wrapper and shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is missing")
    azure = Emulator(tmp_path, FLAGS, wrapper=wrapper)
    await azure.start()
    yield azure
    await azure.stop()


async def test_it_needs_no_privilege_on_loopback(unprivileged):
    async with built(unprivileged) as (site, backends):
        assert {await site.served_by() for _ in range(30)} == {"member-0", "member-1"}
        assert {address for address, _ in backends[0].clients + backends[1].clients} == {site.client}


async def test_without_privilege_nobody_is_answered_either_while_all_are_down(unprivileged):
    async with built(unprivileged) as (site, backends):
        for _ in range(2):
            for backend in backends:
                backend.health = "503"
            await site.until_up(False, False)
            await site.assert_unanswered()
            backends[1].health = "200"
            await site.until_up(False, True)
            assert [await site.served_by() for _ in range(5)] == ["member-1"] * 5


async def test_without_privilege_a_flow_that_maps_back_is_left_without_an_answer(unprivileged):
    async with built(unprivileged) as (site, backends):
        backends[1].health = "503"
        await site.until_up(True, False)
        await site.assert_silent(source=site.members[0])
        assert await site.served_by(source=site.members[1]) == "member-0"


async def test_it_ends_with_the_emulator_also_when_that_is_killed():
    async with running_emulator(*FLAGS) as azure:
        workers = children_of(azure.pid)
        assert len(workers) == 1
        await azure.kill()
        await eventually(lambda: running(workers[0]), lambda found: not found)


async def test_when_it_dies_it_is_started_again_with_what_it_served():
    async with running_emulator(*FLAGS) as azure, built(azure) as (site, _):
        os.kill(children_of(azure.pid)[0], signal.SIGKILL)

        async def serves():
            try:
                return await site.served_by()
            except (OSError, TimeoutError):
                return ""

        await eventually(serves, bool)
        await site.until_up(True, True)


async def test_a_restarted_emulator_serves_what_it_stored():
    async with running_emulator(*FLAGS) as azure, built(azure) as (site, _):
        await azure.restart(signal.SIGKILL)
        await site.until_up(True, True)
        assert await site.served_by() in {"member-0", "member-1"}


async def test_operations_take_effect_on_traffic_when_they_are_due_without_a_request():
    async with running_emulator(*FLAGS) as azure, built(azure) as (site, backends):
        azure.arguments += ("--latency", "1")
        await azure.restart()
        await site.until_up(True, True)
        answer = await azure.arm("POST", azure.compute("virtualMachines", "lm-0") + "/powerOff")
        assert answer.status == 202
        # No request meanwhile: once it is due, the probes end.
        async with asyncio.timeout(60):
            count = -1
            while len(backends[0].probed_from) != count:
                count = len(backends[0].probed_from)
                await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("flag", "value", "text"),
    [
        ("--probe-source", "nowhere", "'nowhere' is not an IPv4 address"),
        ("--probe-interval", "0", "is not a number of seconds from 0.01 upwards"),
        ("--idle-timeout", "soon", "is not a number"),
        ("--disputed", "probe_reset_is_answer=perhaps", "probe_reset_is_answer"),
    ],
)
async def test_wrong_flags_are_refused_with_the_remedy(tmp_path, flag, value, text):
    with pytest.raises(RuntimeError, match=text):
        await Emulator(tmp_path, ("--data-plane", flag, value)).start()


@pytest.mark.parametrize("flags", [("--transparent",), ("--probe-interval", "1"), ("--idle-timeout", "1")])
async def test_flags_of_the_data_plane_are_refused_without_it(tmp_path, flags):
    with pytest.raises(RuntimeError, match=f"{flags[0]} needs --data-plane"):
        await Emulator(tmp_path, flags).start()


async def test_what_cannot_be_read_is_said_and_the_rest_is_served():
    async with running_emulator(*FLAGS) as azure, built(azure) as (site, _):
        broken = site.balancer.body
        frontend = {"privateIPAddress": f"{site.prefix}.9", "subnet": {"id": "nowhere"}}
        broken["properties"]["frontendIPConfigurations"][0]["properties"] = frontend
        rules = broken["properties"]["loadBalancingRules"]
        rules[0]["properties"]["frontendPort"] = "many"
        rules[1]["properties"]["frontendPort"] = 70000
        rules.append(
            {"name": "third", "properties": {"protocol": "Icmp", "frontendPort": 1, "backendPort": 1}}
        )
        for rule in rules[:2]:
            rule["properties"]["frontendIPConfiguration"] = {
                "id": f"{azure.network('loadBalancers', 'broken')}/frontendIPConfigurations/frontend"
            }
        await azure.seed(azure.network("loadBalancers", "broken"), broken)
        interface = {"properties": {"ipConfigurations": [{"name": "primary", "properties": {
            "privateIPAddress": "no address", "subnet": {"id": 5},
            "loadBalancerBackendAddressPools": [site.balancer.ref("backendAddressPools", "pool")],
        }}]}}  # fmt: skip
        await azure.seed(azure.network("networkInterfaces", "odd-nic"), interface)
        shown = (await azure.send("GET", "/_emulator/flows")).body["rules"]
        problems = [item["problem"] for item in shown if "/broken/" in item["rule"]]
        assert len(problems) == 3
        assert all(problems)
        assert [item["problem"] for item in shown if "/web-ilb/" in item["rule"]] == ["", ""]
        assert await site.served_by() in {"member-0", "member-1"}
        site.balancer.properties["loadBalancingRules"].append(site.balancer.rule("later", 8081))
        await site.write()
        assert (await site.flows("later"))["problem"] == ""


async def test_switches_may_come_from_the_environment():
    environment = {
        "LOADMASTER_EMULATOR_DATA_PLANE": "true",
        "LOADMASTER_EMULATOR_ALLOW_LOOPBACK_NETWORKS": "1",
        "LOADMASTER_EMULATOR_PROBE_INTERVAL": "0.2",
    }
    async with running_emulator(environment=environment) as azure, built(azure) as (site, _):
        assert await site.served_by() in {"member-0", "member-1"}


async def test_a_switch_in_the_environment_that_is_neither_true_nor_false_is_refused(tmp_path):
    azure = Emulator(tmp_path, environment={"LOADMASTER_EMULATOR_DATA_PLANE": "maybe"})
    with pytest.raises(
        RuntimeError, match="LOADMASTER_EMULATOR_DATA_PLANE: 'maybe' is neither true nor false"
    ):
        await azure.start()


@pytest.mark.parametrize(
    "space", ["127.0.0.0/8", "127.9.0.0/16", "169.254.0.0/16", "224.0.0.0/8", "168.63.129.0/24", "0.0.0.0/0"]
)
async def test_networks_in_reserved_ranges_are_refused(azure, space):
    network = azure.network("virtualNetworks", "app")
    answer = await azure.arm("PUT", network, network_body(("lm", space), space=space))
    assert (answer.status, answer.code) == (400, "AddressPrefixNotAllowed")
    assert space in answer.body["error"]["message"]


async def test_loopback_networks_are_allowed_only_when_asked_for(serve):
    azure = await serve(allow_loopback_networks=True)
    await azure.arm("PUT", azure.group("edge"), HERE)
    network = azure.network("virtualNetworks", "app")
    body = network_body(("lm", "127.9.1.0/24"), space="127.9.0.0/16")
    assert (await azure.arm("PUT", network, body)).status == 201
    refused = await azure.arm("PUT", network, network_body(("lm", "169.254.1.0/24"), space="169.254.0.0/16"))
    assert refused.status == 400


async def test_without_data_plane_flows_are_unknown_and_probes_are_as_set(azure):
    assert (await azure.send("GET", "/_emulator/flows")).status == 404
    assert (await azure.send("GET", "/_emulator/probes")).body == {}
