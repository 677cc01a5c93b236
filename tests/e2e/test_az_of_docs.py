"""The `az` commands of our pages as they stand there: bash reads them, and the real `az` takes them.

What builds the network of a first pair runs against the emulator, and the page's manifest is applied to what
it has built. What the emulator does not serve (machines from the Marketplace, roles, identities) is held to
the words of `az`: the command is there, its options are there, and none is missing.
"""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.support.az import Az
from tests.support.guide_az import GuideSetUp

import azcli
from lab.cluster import conditions
from lab.stage import CREDENTIALS, open_stage

ROOT = Path(__file__).resolve().parents[2]
FIRST_PAIR = ROOT / "docs" / "first-pair.md"
WORDS = ROOT / "tests" / "support" / "az_words.py"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAIR = re.compile(r"^```yaml\n(apiVersion: loadmaster.*?)^```", re.MULTILINE | re.DOTALL)
AZ = re.compile(r"^\s*az ", re.MULTILINE)
BASH = ("/bin/bash", "-euo", "pipefail", "-c")
SECONDS = 600
"""A safety limit; a command takes about a second on an idle machine."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def azure_cli():
    """The Python of the real Azure CLI; installs it (700 MB) when it is not in our cache."""
    return azcli.python()


def blocks(page):
    """The shell blocks of a page in which `az` is used."""
    return [block for block in BLOCK.findall(page.read_text(encoding="utf-8")) if AZ.search(block)]


def network_of_a_first_pair():
    """The block that the emulator serves."""
    return blocks(FIRST_PAIR)[0]


def program(folder, name, text):
    """Put a program for blocks into a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def manifest():
    """The page's; what it shortens (fingerprints) is made whole."""
    (text,) = PAIR.findall(FIRST_PAIR.read_text(encoding="utf-8"))
    whole = ":".join(["9A"] * 32)
    return yaml.safe_load(re.sub(r'fingerprintSHA256: "[0-9A-F:.]+"', f'fingerprintSHA256: "{whole}"', text))


async def build(az, folder):
    """Run the page's block, by a bash whose `az` is this one."""
    program(folder / "bin", "az", f'exec {az.python} -m azure.cli "$@"')
    environment = az.environment() | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = await asyncio.to_thread(
        subprocess.run,
        [*BASH, network_of_a_first_pair()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_the_network_of_a_first_pair_is_built_by_its_page_and_fits_the_pages_manifest(
    azure_cli, tmp_path
):
    guide = GuideSetUp()
    async with open_stage(tmp_path, latency=0.2, retry_after=1, pairs=0) as stage:
        az = Az(azure_cli, tmp_path / "az", stage.emulator.url, stage.emulator.ca_file)
        await asyncio.to_thread(az.sign_in)
        await build(az, tmp_path)

        arm, group = stage.emulator.arm, f"/subscriptions/{guide.subscription}/resourceGroups/edge"
        network = f"{group}/providers/Microsoft.Network"
        subnet = (await arm.get(f"{network}/virtualNetworks/app"))["properties"]["subnets"][0]
        for name in ("natGateway", "networkSecurityGroup"):
            assert subnet["properties"][name]["id"], "the page promises both"
        for number in (0, 1):
            interface = (await arm.get(f"{network}/networkInterfaces/lm-{number}-nic"))["properties"]
            assert interface["networkSecurityGroup"]["id"].endswith("/lm-nsg")
            (configuration,) = (each["properties"] for each in interface["ipConfigurations"])
            assert configuration["privateIPAddress"] == f"10.0.2.{4 + number}"
            assert configuration["privateIPAllocationMethod"] == "Static"
            await arm.put(guide.machine_path(number), guide.machine_body(number))

        pair = manifest()
        namespace = pair["metadata"]["namespace"]
        await stage.cluster.ensure_namespace(namespace)
        await stage.cluster.put_secret(namespace, "edge-azure", CREDENTIALS)
        async with stage.operator():
            await stage.cluster.apply_pair(pair)

            def is_built(found):
                """All but the service, which waits for units that are not there."""
                told = conditions(found).get("AzureSynced", {}).get("message")
                return told == "Published once the units answer for it: https."

            await stage.cluster.until(namespace, "web", is_built)
        (pool,) = (await arm.get(f"{network}/loadBalancers/web-ilb"))["properties"]["backendAddressPools"]
        members = {each["id"].split("/")[8] for each in pool["properties"]["backendIPConfigurations"]}
        assert members == {"lm-0-nic", "lm-1-nic"}


def commands(chosen, folder):
    """What bash makes of blocks: each command of `az`, as the words that follow it; of two alike the last.

    No other program is within reach of the blocks than a `kubectl` that does nothing.
    """
    record = folder / "commands"
    program(
        folder / "bin", "az", f"printf '%s\\037' \"$@\" >>{record}; printf '\\036' >>{record}; echo an-answer"
    )
    program(folder / "bin", "kubectl", "exit 0")
    for block in chosen:
        subprocess.run(
            [*BASH, block],
            env={"PATH": str(folder / "bin")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            timeout=SECONDS,
            check=True,
        )
    typed = [each.split("\037")[:-1] for each in record.read_text(encoding="utf-8").split("\036")[:-1]]
    alike = {tuple(word for word in each if word[:1] == "-" or word.isalpha()): each for each in typed}
    return list(alike.values())


def refused(python, home, typed):
    """Those of some commands that `az` does not take, with what it says."""
    done = subprocess.run(
        [python, "-P", WORDS],  # its neighbours have names of the standard library
        env={**os.environ, "AZURE_CONFIG_DIR": str(home), "AZURE_CORE_COLLECT_TELEMETRY": "false"},
        input="\n".join(map(json.dumps, typed)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_az_knows_every_command_of_our_pages_with_its_options(azure_cli, tmp_path):
    pages = sorted((ROOT / "docs").rglob("*.md"))
    chosen = [block for page in pages for block in blocks(page) if block != network_of_a_first_pair()]
    typed = commands(chosen, tmp_path)
    assert {"vm create -g", "role assignment create", "ad sp create-for-rbac"} <= {
        " ".join(each[:3]) for each in typed
    }
    home = tmp_path / "home"
    assert refused(azure_cli, home, typed) == {}

    wrong = [
        ["network", "nic", "invent", "-n", "a"],
        ["network", "vnet", "create", "-g", "edge", "-n", "app", "--address-prefixed", "10.0.0.0/16"],
        ["network", "nic", "create", "-g", "edge", "-n", "lm-0-nic"],
    ]
    assert len(refused(azure_cli, home, wrong)) == len(wrong), "or it would refuse nothing"
