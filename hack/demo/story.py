"""The demo's second act, on one stage: what it does, in order, and what it tells about it."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from rich.markup import escape
from tests.support.world import SUBSCRIPTION

from demo.tables import balancer_tables, requests_table
from demo.voice import Voice
from lab.cluster import conditions, is_ready, load_manifest
from lab.stage import CREDENTIALS, ROOT, Stage

EXAMPLE = ROOT / "examples" / "pair-guide.yaml"
SHOWN = ("Ready", "Stalled", "Deleting")
PASSING = ("OperationRunning", "CleaningUp", "Applying", "NotObserved")
"""Reasons that need no message: the requests shown beside them say it."""
GUEST_NAMESPACE = "loadmaster-demo-"
"""Where the demo works in a cluster that is not its own: a new namespace that begins so."""
WATCH_SECONDS = 0.15
SUBSCRIPTION_PREFIX = f"/subscriptions/{SUBSCRIPTION}"


class Story:
    """The second act: one manifest becomes the guide's set-up in Azure."""

    def __init__(self, stage: Stage, voice: Voice) -> None:
        self._stage = stage
        self._console = voice.console
        self._title, self._say, self._block = voice.title, voice.say, voice.block
        self._manifest = load_manifest(EXAMPLE)
        if stage.plane is None:
            self._manifest["metadata"]["namespace"] = GUEST_NAMESPACE + secrets.token_hex(4)
        self.namespace: str = self._manifest["metadata"]["namespace"]
        self._name: str = self._manifest["metadata"]["name"]
        spec = self._manifest["spec"]
        self._balancer = stage.site.id("Microsoft.Network/loadBalancers", spec["loadBalancer"]["name"])
        group = spec["networkSecurity"]["securityGroups"][0]["name"]
        self._security_group = stage.site.id("Microsoft.Network/networkSecurityGroups", group)
        self._secret: str = spec["azure"]["credentialsSecretRef"]["name"]
        self._took: dict[str, float] = {}
        self._seen_writes = 0
        self._shown: dict[str, tuple[str, str]] = {}

    @contextlib.asynccontextmanager
    async def prepared(self) -> AsyncIterator[None]:
        """Make the namespace and the credentials that the manifest names; nothing of it stays."""
        cluster = self._stage.cluster
        await cluster.ensure_namespace(self.namespace)
        await cluster.put_secret(self.namespace, self._secret, CREDENTIALS)
        try:
            yield
        finally:
            if self._stage.plane is None:  # else it goes as a whole
                await cluster.discard_pair(self.namespace, self._name)
                await cluster.delete_namespace(self.namespace)

    async def tell(self, *, keep: bool) -> None:
        """The whole course.

        Raises:
            TimeoutError: something that the operator should have done has not happened.
            AssertionError: it happened otherwise than it should.
        """
        await self._apply()
        await self._break_and_repair()
        await self._change()
        if keep:
            await self._stay()
        await self._delete()
        counts = await self._stage.emulator.requests()
        self._console.print(requests_table(self._took, counts))

    async def _apply(self) -> None:
        self._title(f"kubectl apply -f {EXAMPLE.relative_to(ROOT)}")
        async with self._watching("from nothing to Ready"):
            await self._stage.cluster.apply_pair(self._manifest)
            await self._until_ready()
        await self._show_azure()

    async def _break_and_repair(self) -> None:
        body = await self._read(self._balancer)
        rules = body["properties"]["loadBalancingRules"]
        victim = next(rule for rule in rules if rule["properties"]["frontendPort"] == 443)
        self._title(f"somebody deletes the rule {victim['name']} in the portal")
        remaining = [rule for rule in rules if rule is not victim]
        await self._stage.emulator.arm.edit(
            self._balancer, lambda found: found["properties"].update(loadBalancingRules=remaining)
        )
        self._seen_writes = len(await self._writes())
        self._say("The operator looks every 5 minutes; an annotation makes it look now.")
        async with self._watching("drift repaired"):
            annotation = {"metadata": {"annotations": {"example.com/look": "now"}}}
            await self._stage.cluster.patch_pair(self.namespace, self._name, annotation)
            await self._until_azure(
                lambda found: _named(found, "loadBalancingRules", victim["name"]) is not None
            )
            await self._until_ready()

    async def _change(self) -> None:
        self._title("kubectl patch lmp web: healthCheck.intervalSeconds 5 -> 10")
        async with self._watching("change carried out"):
            patch = {"spec": {"healthCheck": {"intervalSeconds": 10}}}
            await self._stage.cluster.patch_pair(self.namespace, self._name, patch)
            await self._until_azure(
                lambda found: (
                    {probe["properties"]["intervalInSeconds"] for probe in found["properties"]["probes"]}
                    == {10}
                )
            )
            await self._until_ready()

    async def _delete(self) -> None:
        self._title("kubectl delete lmp web")
        async with self._watching("deleted"):
            await self._stage.cluster.delete_pair(self.namespace, self._name)
            await self._stage.cluster.until(self.namespace, self._name, lambda pair: pair is None)
        left = await self._stage.emulator.arm.get(self._balancer)
        if left is not None:
            raise AssertionError(f"{self._balancer} is still there")
        group = await self._read(self._security_group)
        names = [rule["name"] for rule in group["properties"]["securityRules"]]
        if names != ["corp-monitoring"]:
            raise AssertionError(
                f"in {self._security_group} only corp-monitoring should be left, not {names}"
            )
        self._say("The balancer is gone. Somebody else's security rule is still there: " + ", ".join(names))

    async def _stay(self) -> None:
        emulator, plane = self._stage.emulator, self._stage.plane
        path = [] if plane is None else [f"export PATH={plane.programs}:$PATH"]
        balancer = self._balancer.rpartition("/")[2]
        self._title("KEEP=1: everything goes on running until Ctrl-C")
        self._block(
            "The cluster, from another terminal:",
            *path,
            f"export KUBECONFIG={self._stage.kubeconfig}",
            f"kubectl -n {self.namespace} get lmp",
            f"kubectl -n {self.namespace} describe lmp {self._name}",
        )
        self._block(
            "What was asked of Azure:",
            f"curl -s --cacert {emulator.ca_file} {emulator.url}/_emulator/requests",
        )
        self._block(
            "Azure with az, in a folder of its own so that your logins stay as they are:",
            "export AZURE_CONFIG_DIR=$(mktemp -d) AZURE_CORE_INSTANCE_DISCOVERY=false",
            f"export REQUESTS_CA_BUNDLE={emulator.ca_file}",
            f"az cloud register -n Emulated --endpoint-resource-manager {emulator.url}",
            "az cloud set -n Emulated",
            f"az login --service-principal -u {CREDENTIALS['clientID']} \\",
            f"  -p any --tenant {CREDENTIALS['tenantID']}",
            f"az network lb show -g {self._stage.site.group} -n {balancer}",
        )
        self._block("The operator's log:", f"tail -f {self._stage.folder / 'operator.log'}")
        await asyncio.Event().wait()

    async def _until_ready(self) -> None:
        await self._stage.cluster.until(self.namespace, self._name, is_ready)

    async def _until_azure(self, holds: Any) -> None:
        async with asyncio.timeout(60):
            while not holds(await self._read(self._balancer)):  # noqa: ASYNC110 - Azure has no event for it
                await asyncio.sleep(WATCH_SECONDS)

    async def _read(self, resource: str) -> dict[str, Any]:
        found = await self._stage.emulator.arm.get(resource)
        if found is None:
            raise AssertionError(f"{resource} does not exist")
        return found

    @contextlib.asynccontextmanager
    async def _watching(self, what: str) -> AsyncIterator[None]:
        began = time.monotonic()
        watch = asyncio.ensure_future(self._watch())
        try:
            yield
            await asyncio.sleep(2 * WATCH_SECONDS)  # so that the last transition is shown
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        self._took[what] = time.monotonic() - began - 2 * WATCH_SECONDS
        self._say(f"[bold green]{what} after {self._took[what]:.1f} s[/]")

    async def _watch(self) -> None:
        while True:
            await self._show_writes()
            found = conditions(await self._stage.cluster.pair(self.namespace, self._name))
            for kind in SHOWN:
                item = found.get(kind)
                if item is None or (kind != "Ready" and item["status"] == "False"):
                    continue
                now = (item["status"], item["reason"])
                if self._shown.get(kind) != now:
                    self._shown[kind] = now
                    told = "" if now[1] in PASSING else f": {_brief(item.get('message', ''))}"
                    self._say(f"[cyan]{kind}={now[0]}[/] {now[1]}{told}")
            await asyncio.sleep(WATCH_SECONDS)

    async def _show_writes(self) -> None:
        writes = await self._writes()
        for write in writes[self._seen_writes :]:
            resource = _short(write["path"])
            self._say(f"[yellow]Azure <- {write['method']} {resource}[/]", crop=True)
        self._seen_writes = len(writes)

    async def _writes(self) -> list[dict[str, Any]]:
        return list((await self._stage.emulator.requests())["writes"])

    async def _show_azure(self) -> None:
        units = self._manifest["spec"]
        interfaces = [
            await self._read(self._stage.site.id("Microsoft.Network/networkInterfaces", nic["resource"]))
            for role in ("master", "slave")
            for nic in units[role]["networkInterfaces"]
        ]
        balancer, group = await self._read(self._balancer), await self._read(self._security_group)
        for table in balancer_tables(balancer, group, interfaces):
            self._console.print(table)


def _short(path: str) -> str:
    """`loadBalancers/web-ilb`, `lm-nsg/securityRules/lm_web_probe`: what a request is about."""
    parts = path.partition("/providers/")[2].partition("?")[0].split("/")
    return "/".join(parts[1:] if len(parts) <= 3 else parts[2:])


def _brief(message: str) -> str:
    return escape(message.replace(SUBSCRIPTION_PREFIX, ""))


def _named(body: dict[str, Any], collection: str, name: str) -> dict[str, Any] | None:
    return next((item for item in body["properties"][collection] if item["name"] == name), None)
