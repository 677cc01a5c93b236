"""docs/first-pair.md as a person types it: the real kubectl, a real pair, from the CRDs to the deletion.

Every kubectl command of the page is run, in the page's order, and something is expected of each; one that
this test does not know fails it. Only the placeholders and addresses differ, by the tables below. The page's
other commands are those of tests/e2e/test_az_of_docs.py; its Secrets are looked at in tests/integration.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
from pathlib import Path

import pytest
import yaml
from tests.support.first_pairs import OPERATOR, PROBE_INTERVAL, QUICK, services, until_served
from tests.support.page_commands import all_of, of_block, shell_blocks
from tests.support.pem import self_signed

from lab.cluster import conditions
from lab.first_pair import fingerprint, open_first_pair
from lab.network import security_group
from lab.stage import CREDENTIALS
from lab.unit import PASSWORD

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "first-pair.md"
MANIFEST = re.compile(r"^```yaml\n(apiVersion: loadmaster.*?)^```", re.MULTILINE | re.DOTALL)
SITE = "www.example.com"
SECONDS = 180
"""A safety limit for one block of commands."""

TYPED = {
    "tenantID=...": f"tenantID={CREDENTIALS['tenantID']}",
    "clientID=...": f"clientID={CREDENTIALS['clientID']}",
    "clientSecret=...": f"clientSecret='{CREDENTIALS['clientSecret']}'",
    "username=operator": "username=bal",
}
"""What a person types for the page's placeholders. (`bal` is what the page tells users of node agents.)"""


def placed(value, **others):
    """A part of the manifest with other values in the place of some of its own; the rest is the page's."""
    missing = others.keys() - value.keys()
    assert not missing, f"the page's manifest has no {missing}"
    return value | others


async def manifest_of(first):
    """The page's manifest, for the network that is there: addresses, fingerprints, names in Azure."""
    (text,) = MANIFEST.findall(PAGE.read_text(encoding="utf-8"))
    pair = yaml.safe_load(text)
    spec, places = pair["spec"], first.lab.places
    spec["azure"] = placed(spec["azure"], resourceGroup=first.stage.site.group)
    for role, unit in zip(("master", "slave"), first.units, strict=True):
        management = spec[role]["management"]
        management["tls"] = placed(management["tls"], fingerprintSHA256=await fingerprint(unit))
        (interface,) = spec[role]["networkInterfaces"]
        interface["ipConfiguration"] = "ipconfig1"  # the lab's interfaces have others too
        spec[role] = placed(spec[role], address=unit.address)
    frontend = spec["loadBalancer"]["frontend"]
    frontend["subnet"]["resourceGroup"] = first.stage.site.network_group  # the page has one group for all
    spec["loadBalancer"]["frontend"] = placed(frontend, privateIPAddress=places.frontend)
    (service,) = spec["services"]
    servers = [web.rpartition(":") for web in first.lab.web]
    service["virtualService"] = placed(
        service["virtualService"],
        realServers=[{"address": address, "port": int(port)} for address, _, port in servers],
    )
    service["virtualService"]["drainSeconds"] = 5  # 300 otherwise, at the deletion
    spec["services"] = [placed(service, port=first.port)]
    spec["networkSecurity"] = placed(
        spec["networkSecurity"],
        securityGroups=[{"name": security_group(0)}],
        managementSources=["127.0.0.0/8"],
    )
    return pair


class Person:
    """Somebody with a terminal, in a folder that has what the page says is there."""

    def __init__(self, first, folder):
        self._folder = folder
        self._environment = {
            **os.environ,
            "PATH": f"{first.stage.plane.programs}:{os.environ['PATH']}",
            "KUBECONFIG": str(first.stage.kubeconfig),
        }
        self.done = []
        (folder / "crds").symlink_to(ROOT / "crds")

    def put(self, name, text):
        """Have a file."""
        (self._folder / name).write_text(text, encoding="utf-8")

    async def types(self, command):
        """Run one kubectl command of the page; what it prints."""
        self.done.append(command)
        return await self.runs(command)

    async def types_block(self, command):
        """Run the page's block in which this command is, whole; what it prints."""
        (block,) = [each for each in shell_blocks(PAGE) if command in of_block(each)]
        self.done += of_block(block)
        return await self.runs(block)

    async def runs(self, text):
        """Run something in a shell, with the table's values for placeholders; what it prints."""
        for placeholder, value in TYPED.items():
            text = text.replace(placeholder, value)
        process = await asyncio.create_subprocess_exec(
            *("/bin/bash", "-euo", "pipefail", "-c", text),
            cwd=self._folder,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(SECONDS):
                printed, errors = await process.communicate(f"{PASSWORD}\n{PASSWORD}\n".encode())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, f"{text}{printed.decode()}{errors.decode()}"
        return printed.decode()

    async def watches(self, command, until):
        """Type a command and interrupt it as soon as it has printed this; what it has printed."""
        self.done.append(command)
        process = await asyncio.create_subprocess_exec(
            *("/bin/bash", "-c", f"exec {command}"),
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
        )
        lines = []
        try:
            async with asyncio.timeout(SECONDS):
                async for line in process.stdout:
                    lines.append(line.decode())
                    if until.search(lines[-1]):
                        return lines
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            await process.wait()
        pytest.fail(f"{command} ended by itself: {lines}")


@contextlib.asynccontextmanager
async def fresh_units(wire, folder):
    """Two fresh units, a network, an API server that knows no pairs; nothing of section 2 and on is done."""
    options = {"probe_interval": PROBE_INTERVAL, "configuration": QUICK, "operator": OPERATOR}
    async with open_first_pair(folder / "first", **options) as first:
        await first.start_units()
        (folder / "checkout").mkdir()
        person = Person(first, folder / "checkout")
        await person.runs("kubectl delete -f crds/")
        yield first, person


async def switched_over(first, person, command, role):
    """Ask for a switch-over; what the page has one look at afterwards."""
    assert "annotated" in await person.types(command)
    await first.until_active(role)
    annotation = "loadmaster.dev/switchover-to"
    await first.until(
        lambda pair: annotation not in (pair["metadata"].get("annotations") or {}), "it is taken away"
    )


def test_every_placeholder_of_the_table_is_the_pages():
    page = PAGE.read_text(encoding="utf-8")
    assert [placeholder for placeholder in TYPED if placeholder not in page] == []


async def test_a_first_pair_is_built_looked_at_and_taken_down_by_its_pages_commands(wire, tmp_path):
    async with fresh_units(wire, tmp_path) as (first, person):
        # 3 to 5
        assert "created" in await person.types("kubectl apply -f crds/")
        await first.start_operator()
        pem = self_signed(SITE)
        key = pem.index("-----BEGIN PRIVATE KEY")
        person.put("site.crt", pem[:key])
        person.put("site.key", pem[key:])
        await person.types_block("kubectl create namespace edge")

        # 6 and 7
        person.put("pair.yaml", yaml.safe_dump(await manifest_of(first)))
        assert "loadmasterpair.loadmaster.dev/web created" in await person.types("kubectl apply -f pair.yaml")
        lines = await person.watches("kubectl -n edge get lmp web -w", re.compile(r"^web +True "))
        assert lines[0].split() == ["NAME", "READY", "REASON", "ACTIVE", "FRONTEND", "AGE"]
        await first.until_condition("PairHealthy", "True", "ActiveStandby")
        row = (await person.types("kubectl -n edge get lmp web")).splitlines()[-1].split()
        assert row[3:5] == ["Master", first.lab.places.frontend]
        await until_served(first)
        told = await person.types("kubectl -n edge describe lmp web")
        for words in ("ActiveStandby", "Events:", "Created"):
            assert words in told
        for command in ("kubectl -n edge get lmp web -o wide", "kubectl -n edge get lmp -o wide"):
            wide = await person.types(command)
            for words in ("MASTER-FIRMWARE", "SLAVE-FIRMWARE", "LAST-FAILOVER", "Active", "Standby"):
                assert words in wide

        # 8
        switchover = "kubectl -n edge annotate lmp web loadmaster.dev/switchover-to="
        await switched_over(first, person, f"{switchover}slave", "Slave")
        outcome = json.loads(
            await person.types("kubectl -n edge get lmp web -o jsonpath='{.status.lastSwitchover}'")
        )
        assert (outcome["requested"], outcome["outcome"]) == ("slave", "Done"), outcome
        await switched_over(first, person, f"{switchover}master", "Master")

        suspend = "kubectl -n edge annotate lmp web loadmaster.dev/suspend"
        await person.types(f"{suspend}=true")
        await first.until_condition("Paused", "True")
        await person.types(f"{suspend}-")
        await first.until_condition("Paused", "False")
        await first.until_ready()

        assert '"web" deleted' in await person.types("kubectl -n edge delete lmp web")
        assert conditions(await first.pair()) == {}, "kubectl waits until it is gone"
        for unit in first.units:
            assert await services(unit) == {}
        assert sorted(set(person.done)) == sorted(set(all_of(PAGE))), "of the page and of this test"
