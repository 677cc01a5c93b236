"""The demo's story: what is done, in order, and what is told about it."""

import asyncio
import ssl
import time
from typing import Any

import yaml
from rich.markup import escape

from demo.tables import balancer_tables, requests_table
from demo.voice import Voice
from demo.watching import Watching
from lab.first_pair import FirstPair
from lab.stage import CREDENTIALS
from lab.traffic import Log

PERIOD = 0.02
AFTER_SECONDS = 1.0
ROLES = ("Master", "Slave")


class Story:
    """The guide in one go, on two fresh units."""

    def __init__(self, first: FirstPair, voice: Voice) -> None:
        self._first = first
        self._lab = first.lab
        self._voice = voice
        self._title, self._say = voice.title, voice.say
        self._watching = Watching(first, voice)
        site = first.stage.site
        self._balancer = site.id("Microsoft.Network/loadBalancers", "web-ilb")
        self._security_group = site.id("Microsoft.Network/networkSecurityGroups", "lm-nsg")

    async def tell(self, *, keep: bool) -> None:
        """The whole course.

        Raises:
            TimeoutError: something that the operator should have done has not happened.
            AssertionError: it happened otherwise than it should.
        """
        await self._before()
        await self._apply()
        await self._kill()
        await self._switch_over()
        await self._repair()
        if keep:
            await self._stay()
        counts = await self._first.stage.emulator.requests()
        self._voice.console.print(requests_table(self._watching.took, counts))

    async def _before(self) -> None:
        self._title("two fresh units in a network")
        await self._first.start_units()
        for unit in self._first.units:
            said = await unit.call("getazurehaparams")
            role = unit.role.lower()
            tls = self._first.manifest["spec"][role]["management"]["tls"]
            self._say(
                f"{unit.address}: an HAProxy node with our agent, HA mode [cyan]{said['HaMode']}[/], "
                f"certificate {tls['fingerprintSHA256'][:23]}..."
            )
        await self._first.prepare()
        self._say("Secrets: a login for each unit, the Partner Shared Secret, the website's certificate")
        await self._watching.forget_what_happened()
        await self._first.start_operator("--log-format=text")
        self._say("the operator runs")

    async def _apply(self) -> None:
        self._title("kubectl apply: Kemp's guide, whole, as one manifest")
        shown = {
            name: self._first.manifest["spec"][name] for name in ("master", "highAvailability", "services")
        }
        text = yaml.safe_dump(shown, sort_keys=False, default_flow_style=None, width=1000)
        for line in text.splitlines():
            self._voice.console.print(
                f"        {line}", style="dim", markup=False, no_wrap=True, overflow="ellipsis", crop=True
            )
        async with self._watching.during("served"):
            await self._first.apply()
            await self._first.until_ready()
        await self._show_azure()
        for unit in self._first.units:
            code, text = await unit.page()
            self._say(f"http://{unit.address}:8444 -> {code} {text}")
        answer = await self._first.client().get()
        if not answer.ok:
            raise AssertionError(f"the published service does not answer: {answer.outcome}")
        if answer.certificate != _certificate(self._first.certificate):
            raise AssertionError("the published service shows another certificate than the Secret's")
        said = answer.body.decode().strip()
        self._say(
            f"[bold]https://{self._lab.places.frontend}:{self._first.port}/ -> 200 {said}[/], "
            "with the certificate of the Secret"
        )

    async def _kill(self) -> None:
        self._title("kill -9 to every process of the active unit, under load")
        async with self._first.client().steady(PERIOD) as log:
            await asyncio.sleep(AFTER_SECONDS)
            async with self._watching.during("the operator knows"):
                killed = time.monotonic()
                self._lab.units[0].kill()
                pair = await self._first.until_active("Slave")
            await self._lab.until_serving(1)
            await asyncio.sleep(AFTER_SECONDS)
        if not log.recovered():
            raise AssertionError(f"the service did not come back: {log.outcomes()}")
        self._say(
            f"[bold green]new connections failed for {_gap(log, killed):.1f} s[/]: the agents need "
            "milliseconds, the rest is the wait for Azure's next probe, 0 to 5 s"
        )
        failover = pair["status"]["lastFailover"]
        self._say(
            f"status.lastFailover: from {failover['from']} to {failover['to']}, "
            f"{failover['trigger']}: {escape(failover['reason'])}"
        )
        async with self._watching.during("the master is back, and stands by (no Preferred Host)"):
            await self._lab.units[0].start()
            await self._lab.until_settled(1)
            await self._first.until_condition("PairHealthy", "True", "ActiveStandby")

    async def _switch_over(self) -> None:
        self._title("kubectl annotate lmp web loadmaster.dev/switchover-to=master, under load")
        client = self._first.client()
        async with client.steady(PERIOD) as log, self._first.client(source=1).kept_alive() as kept:
            await asyncio.sleep(AFTER_SECONDS)
            async with self._watching.during("switched over"):
                await self._first.annotate(switchover_to="master")
                pair = await self._first.until(_switched_over, "the switch-over is over")
                await self._first.until_active("Master")
                await self._lab.until_serving(0)
            await asyncio.sleep(AFTER_SECONDS)
        outcome = pair["status"]["lastSwitchover"]
        if outcome["outcome"] != "Done":
            raise AssertionError(f"the switch-over came to nothing: {outcome}")
        if failed := log.failures() + kept.failures():
            raise AssertionError(f"{len(failed)} requests failed: {log.outcomes()}, {kept.outcomes()}")
        total = len(log.requests) + len(kept.requests)
        self._say(
            f"[bold green]0 of {total} requests failed[/]: the old unit yielded only after the new one had "
            "answered two of the balancer's probes"
        )

    async def _repair(self) -> None:
        self._title("somebody deletes a rule in the portal, and a real server on the unit")
        address, _, port = self._lab.web[0].rpartition(":")
        active = self._lab.units[0]
        await active.call(
            "delrs", vs=active.address, port=self._first.port, prot="tcp", rs=address, rsport=int(port)
        )
        body = await self._read(self._balancer)
        rules = body["properties"]["loadBalancingRules"]
        remaining = [rule for rule in rules if rule["properties"]["frontendPort"] != self._first.port]
        await self._first.stage.emulator.arm.edit(
            self._balancer, lambda found: found["properties"].update(loadBalancingRules=remaining)
        )
        await self._watching.forget_what_happened()
        self._say("The operator looks by itself; an annotation makes it look now.")
        async with self._watching.during("repaired"):
            await self._first.annotate(look="now")
            await self._until_repaired(active, len(self._lab.web), len(rules))
            await self._first.until_ready()

    async def _until_repaired(self, active: Any, servers: int, rules: int) -> None:
        async with asyncio.timeout(60):
            while True:
                found = await active.call("showvs", vs=active.address, port=self._first.port, prot="tcp")
                body = await self._read(self._balancer)
                if (
                    len(found.get("Rs") or []) == servers
                    and len(body["properties"]["loadBalancingRules"]) == rules
                ):
                    return
                await asyncio.sleep(0.2)

    async def _stay(self) -> None:
        stage = self._first.stage
        path = [] if stage.plane is None else [f"export PATH={stage.plane.programs}:$PATH"]
        frontend = self._lab.places.frontend
        self._title("KEEP=1: everything goes on running until Ctrl-C")
        self._voice.block(
            "The cluster, from another terminal:",
            *path,
            f"export KUBECONFIG={stage.kubeconfig}",
            f"kubectl -n {self._first.namespace} get lmp -o wide",
            f"kubectl -n {self._first.namespace} describe lmp web",
            f"kubectl -n {self._first.namespace} annotate lmp web loadmaster.dev/switchover-to=slave",
            f"kubectl -n {self._first.namespace} delete lmp web   # Azure as before, both units single again",
        )
        source = self._lab.places.client.address
        self._voice.block(
            "The service, and who is active:",
            f"curl -sk --interface {source} https://{frontend}:{self._first.port}/",
            *(f"curl -i http://{unit.address}:8444/" for unit in self._first.units),
        )
        emulator = stage.emulator
        self._voice.block(
            "What was asked of Azure:",
            f"curl -s --cacert {emulator.ca_file} {emulator.url}/_emulator/requests",
            "Azure with az, in a folder of its own so that your logins stay as they are:",
            "export AZURE_CONFIG_DIR=$(mktemp -d) AZURE_CORE_INSTANCE_DISCOVERY=false",
            f"export REQUESTS_CA_BUNDLE={emulator.ca_file}",
            f"az cloud register -n Emulated --endpoint-resource-manager {emulator.url}",
            "az cloud set -n Emulated",
            f"az login --service-principal -u {CREDENTIALS['clientID']} \\",
            f"  -p any --tenant {CREDENTIALS['tenantID']}",
            f"az network lb show -g {stage.site.group} -n web-ilb",
        )
        self._voice.block("The operator's log:", f"tail -f {self._first.operator.process.log}")
        await asyncio.Event().wait()

    async def _read(self, resource: str) -> dict[str, Any]:
        found = await self._first.stage.emulator.arm.get(resource)
        if found is None:
            raise AssertionError(f"{resource} does not exist")
        return found

    async def _show_azure(self) -> None:
        site = self._first.stage.site
        interfaces = [
            await self._read(site.id("Microsoft.Network/networkInterfaces", f"lm-{number}-nic"))
            for number in (0, 1)
        ]
        balancer, group = await self._read(self._balancer), await self._read(self._security_group)
        for table in balancer_tables(balancer, group, interfaces):
            self._voice.console.print(table)


def _switched_over(pair: dict[str, Any] | None) -> bool:
    return bool(((pair or {}).get("status") or {}).get("lastSwitchover"))


def _gap(log: Log, since: float) -> float:
    """From the failure to the beginning of the last request that failed."""
    return max((request.began for request in log.failures()), default=since) - since


def _certificate(pem: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----BEGIN PRIVATE KEY")])
