"""The process: state over restarts and `kill -9`, exit codes, the state directory."""

import asyncio
import signal
import subprocess
import sys

import pytest
from tests.support.emulator import running_emulator, seed_guide_network
from tests.support.emulator_bodies import HERE, Balancer, public_body


def run(*arguments, environment=None):
    return subprocess.run(
        [sys.executable, "-m", "loadmaster_ha.cli.emulator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


async def everything(emulator):
    paths = [
        emulator.network("loadBalancers", "web-ilb"),
        emulator.network("networkInterfaces", "lm-0-nic"),
        emulator.network("virtualNetworks", "app", "net"),
        emulator.network("networkSecurityGroups", "lm-nsg"),
        emulator.compute("virtualMachines", "lm-0"),
        emulator.compute("availabilitySets", "lm-set"),
    ]
    return [(await emulator.arm("GET", path)).body for path in paths]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_state_and_trust_survive_a_restart(tmp_path, number):
    async with running_emulator(state_dir=tmp_path) as emulator:
        await seed_guide_network(emulator)
        balancer = Balancer(emulator)
        await emulator.made(balancer.path, balancer.body)
        nic = emulator.network("networkInterfaces", "lm-0-nic")
        await emulator.made(nic, await balancer.joined(emulator, 0, ("web-0",)))
        before, authority = await everything(emulator), emulator.ca_file.read_bytes()
        await emulator.restart(number)
        assert await everything(emulator) == before
        assert emulator.ca_file.read_bytes() == authority


async def test_a_running_operation_goes_on_after_kill(tmp_path):
    async with running_emulator("--latency", "2", state_dir=tmp_path) as emulator:
        await emulator.arm("PUT", emulator.group("edge"), HERE)
        path = emulator.network("publicIPAddresses", "pip")
        answer = await emulator.arm("PUT", path, public_body())
        await emulator.restart(signal.SIGKILL)
        assert await emulator.settled(answer) == "Succeeded"
        assert "ipAddress" in (await emulator.arm("GET", path)).body["properties"]


async def test_no_acknowledged_write_is_lost_to_a_kill_at_any_moment(tmp_path):
    async with running_emulator(state_dir=tmp_path) as emulator:
        await emulator.arm("PUT", emulator.group("edge"), HERE)
        acknowledged = []
        enough = asyncio.Event()

        async def write():
            for number in range(10_000):
                path = emulator.network("networkSecurityGroups", f"nsg{number}")
                answer = await emulator.arm("PUT", path, HERE)
                acknowledged.append((path, answer.body["properties"]["resourceGuid"]))
                if len(acknowledged) == 40:
                    enough.set()

        writer = asyncio.create_task(write())
        await enough.wait()
        port = int(emulator.url.rpartition(":")[2])
        await emulator.kill()
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the cut connection raised
            await writer
        await emulator.start(port)
        for path, guid in acknowledged:
            assert (await emulator.arm("GET", path)).body["properties"]["resourceGuid"] == guid


async def test_sigterm_ends_it_cleanly(tmp_path):
    async with running_emulator(state_dir=tmp_path) as emulator:
        assert await emulator.stop() == 0


async def test_the_real_address_is_printed_and_the_authority_is_there_before(tmp_path):
    async with running_emulator(state_dir=tmp_path) as emulator:
        assert emulator.url.startswith("https://127.0.0.1:")
        assert not emulator.url.endswith(":0")
        assert emulator.ca_file.read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert (emulator.state_dir / "ca-key.pem").stat().st_mode & 0o077 == 0


async def test_two_emulators_do_not_share_a_state_directory(tmp_path):
    async with running_emulator(state_dir=tmp_path):
        second = await asyncio.to_thread(
            run, "serve", "--listen", "127.0.0.1:0", "--state-dir", str(tmp_path)
        )
        assert second.returncode == 2
        assert "in use by another emulator" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "COMMAND"),
        (["serve", "--listen", "nowhere"], "HOST:PORT"),
        (["serve", "--subscription", "mine"], "not a subscription id"),
        (["serve", "--latency", "-1"], "from 0 upwards"),
        (["serve", "--latency-for", "3"], "TYPE=SECONDS"),
        (["serve", "--disputed", "gravity=true"], "NAME=true"),
        (["serve", "--page-size", "0"], "from 1 upwards"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(arguments, text):
    found = run(*arguments)
    assert found.returncode == 2
    assert text in found.stderr


async def test_flags_can_come_from_the_environment(tmp_path):
    other = "22222222-2222-3333-4444-555555555555"
    environment = {"LOADMASTER_EMULATOR_PAGE_SIZE": "1", "LOADMASTER_EMULATOR_THROTTLE": "0.04"}
    async with running_emulator(state_dir=tmp_path, subscription=other, environment=environment) as emulator:
        found = (await emulator.arm("GET", "/subscriptions")).body["value"]
        assert [item["subscriptionId"] for item in found] == [other]
        assert (await emulator.send("GET", "/_emulator/throttle")).body == {"factor": 0.04}


def test_wrong_environment_ends_with_2(monkeypatch):
    monkeypatch.setenv("LOADMASTER_EMULATOR_SUBSCRIPTION", "mine")
    found = run("serve")
    assert found.returncode == 2
    assert "LOADMASTER_EMULATOR_SUBSCRIPTION" in found.stderr
