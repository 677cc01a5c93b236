"""What somebody has who is about to make a first pair: two fresh units, a network, a cluster, an operator.

    async with open_first_pair(folder) as first:
        await first.start_units()       # single mode, API reachable, nothing else set
        await first.prepare()           # Secrets: logins, Partner Shared Secret, certificate, Azure
        await first.start_operator()
        await first.apply()             # the manifest: `first.manifest`, to be changed before
        await first.until_ready()

Everything is real but Azure: kube-apiserver, node agents with HAProxy, web servers, clients; the emulated
Azure probes and forwards. All of it is on loopback and needs no root: the network in Azure lies in
127.0.0.0/8, so that the addresses in the manifest are those that the units listen on. Within
`lab.own_loopback` links can be cut as well. Neighbours: `stage` (API server, emulator, operator), `nodes.Lab`
(waiting for units and balancer, clients), `unit`.
"""

import asyncio
import contextlib
import copy
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.pem import self_signed, trusting
from tests.support.world import LOCATION, SUBSCRIPTION

from lab.balancer import CHECK_PORT, Balancer, data_plane_flags
from lab.cluster import Cluster, conditions, is_ready
from lab.network import Addresses, security_group
from lab.nodes import Lab
from lab.places import LOOPBACK_PROBE_SOURCE, open_places
from lab.stage import CREDENTIALS, Operator, Stage, open_stage
from lab.traffic import Client, web_servers
from lab.unit import PASSWORD, Unit

JSON = dict[str, Any]

NAMESPACE: Final = "edge"
NAME: Final = "web"
SECRET: Final = "a-secret-of-the-first-pair"  # noqa: S105 - made up
HOST: Final = "web.example"
GUIDE_PORT: Final = 443
UNPRIVILEGED_PORT: Final = 10443
"""Where the service is published by those who may not bind 443."""
LEASE: Final = "/apis/coordination.k8s.io/v1/namespaces/default/leases/loadmaster-operator"


@dataclass
class FirstPair:
    """Everything but the operator, running; the units once they are started."""

    stage: Stage
    lab: Lab
    port: int
    """Of the published service, on frontend and units."""
    namespace: str
    manifest: JSON = field(default_factory=dict)
    """Of the pair; there once the units are started, with their fingerprints."""
    certificate: str = ""
    """Of the published service, with its key, in PEM form."""
    _operator: Operator | None = None
    _running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def cluster(self) -> Cluster:
        """A user of the API server."""
        return self.stage.cluster

    @property
    def password(self) -> str:
        """Of the units' user `bal`."""
        return PASSWORD

    @property
    def units(self) -> tuple[Unit, Unit]:
        """Master and slave."""
        return self.lab.units

    def client(self, *, source: int = 0) -> Client:
        """A client of the published service, over TLS; it takes any certificate and remembers which."""
        return self.lab.client_of(self.port, source=source, tls=trusting())

    def client_of_unit(self, number: int) -> Client:
        """A client of the service as one unit serves it, past the balancer."""
        return Client(self.lab.places.client, self.units[number].address, self.port, tls=trusting())

    # -- what a person does before

    async def start_units(self) -> None:
        """Start both units, wait for their APIs, note their fingerprints in the manifest."""
        for unit in self.units:
            await unit.start()
        for unit in self.units:
            await until_answering(unit)
        self.manifest = await self._manifest()

    async def prepare(self) -> None:
        """Create namespace and Secrets that the manifest refers to."""
        await self.cluster.ensure_namespace(self.namespace)
        await self.put_secret("edge-azure", CREDENTIALS)
        for unit in self.units:
            await self.put_secret(f"lm-{unit.number}-login", {"username": "bal", "password": PASSWORD})
        await self.put_secret("web-partner", {"secret": SECRET})
        await self.put_certificate(self_signed(HOST))

    async def put_secret(self, name: str, data: dict[str, str], kind: str = "Opaque") -> None:
        """Create or change a Secret of the pair's namespace."""
        await self.cluster.put_secret(self.namespace, name, data, kind)

    async def put_certificate(self, pem: str) -> None:
        """Let the published service have this certificate (and key), as cert-manager would."""
        key = pem.index("-----BEGIN PRIVATE KEY")
        await self.put_secret("web-tls", {"tls.crt": pem[:key], "tls.key": pem[key:]}, "kubernetes.io/tls")
        self.certificate = pem

    async def _manifest(self) -> JSON:
        places = self.lab.places
        return {
            "apiVersion": "loadmaster.dev/v1alpha1",
            "kind": "LoadMasterPair",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": {
                "azure": {
                    "subscriptionID": SUBSCRIPTION,
                    "resourceGroup": self.stage.site.group,
                    "location": LOCATION,
                    "credentialsSecretRef": {"name": "edge-azure"},
                },
                "master": await _unit_entry(self.units[0]),
                "slave": await _unit_entry(self.units[1]),
                "loadBalancer": {
                    "name": "web-ilb",
                    "type": "Internal",
                    "frontend": {
                        "subnet": {
                            "virtualNetwork": "app",
                            "name": "lb",
                            "resourceGroup": self.stage.site.network_group,
                        },
                        "privateIPAddress": places.frontend,
                    },
                },
                "healthCheck": {"port": CHECK_PORT, "intervalSeconds": 5, "threshold": 2},
                "highAvailability": {"preferredHost": "None", "sharedSecretRef": {"name": "web-partner"}},
                "services": [self.service()],
                "networkSecurity": {
                    "securityGroups": [{"name": security_group(0)}],
                    "managementSources": ["127.0.0.0/8"],
                },
            },
        }

    def service(self) -> JSON:
        """The entry of the published service: HTTPS to the clients, HTTP to two web servers."""
        servers = [web.rpartition(":") for web in self.lab.web]
        return {
            "name": "https",
            "port": self.port,
            "virtualService": {
                "type": "HTTP",
                "tls": {"certificateSecretRef": {"name": "web-tls"}},
                "healthCheck": {"type": "HTTP"},
                "drainSeconds": 5,
                "realServers": [{"address": address, "port": int(port)} for address, _, port in servers],
            },
        }

    async def leave(self) -> None:
        """Take everything out of a cluster that goes on without us."""
        await self.cluster.discard_pair(self.namespace, NAME)
        await self.cluster.delete_namespace(self.namespace)

    # -- the operator

    @property
    def operator(self) -> Operator:
        """The operator that runs, or did last."""
        if self._operator is None:
            raise RuntimeError("the operator was never started")
        return self._operator

    async def start_operator(self, *arguments: str) -> Operator:
        """Start the operator (again) and wait until it leads.

        One that was killed leaves its Lease behind for 15 s, which is taken away here.
        """
        await self.stop_operator()
        await self.cluster.delete(LEASE)
        running = self.stage.operator("operator", f"--namespace={self.namespace}", *arguments)
        self._operator = await self._running.enter_async_context(running)
        return self._operator

    async def stop_operator(self) -> None:
        """SIGTERM, and wait for its end; nothing when it does not run."""
        await self._running.aclose()

    async def kill_operator(self) -> None:
        """SIGKILL."""
        self.operator.process.send(signal.SIGKILL)
        await self.operator.process.ended()

    # -- the pair

    async def apply(self, manifest: JSON | None = None) -> JSON:
        """`kubectl apply` of the manifest, or of another one."""
        return await self.cluster.apply_pair(copy.deepcopy(manifest or self.manifest))

    async def patch(self, patch: JSON) -> JSON:
        """`kubectl patch --type merge`."""
        return await self.cluster.patch_pair(self.namespace, NAME, patch)

    async def annotate(self, **annotations: str | None) -> None:
        """Set (None: remove) annotations `loadmaster.dev/...`; `_` in a name stands for `-`."""
        named = {f"loadmaster.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        await self.patch({"metadata": {"annotations": named}})

    async def pair(self) -> JSON | None:
        """The pair as it is."""
        return await self.cluster.pair(self.namespace, NAME)

    async def status(self) -> JSON:
        """What the operator says of it."""
        found: JSON = (await self.pair() or {}).get("status") or {}
        return found

    async def condition(self, kind: str) -> JSON:
        """One condition; empty when there is none."""
        return conditions(await self.pair()).get(kind, {})

    async def until(self, holds: Callable[[JSON | None], Any], what: str, seconds: float = 90.0) -> JSON:
        """Wait until something holds of the pair (None once it is gone); the pair.

        Raises:
            TimeoutError: it does not; says what, and how the pair is.
        """
        found: JSON | None = None
        try:
            async with asyncio.timeout(seconds):
                while not holds(found := await self.pair()):  # noqa: ASYNC110 - nothing to be told by
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise TimeoutError(f"not within {seconds:g} s: {what}\n{described(found)}") from error
        return found or {}

    async def until_condition(
        self, kind: str, status: str, reason: str | None = None, seconds: float = 90.0
    ) -> JSON:
        """Wait for a condition; the condition."""

        def holds(pair: JSON | None) -> bool:
            found = conditions(pair).get(kind, {})
            return found.get("status") == status and reason in {None, found["reason"]}

        what = f"{kind}={status}" + (f" ({reason})" if reason else "")
        return conditions(await self.until(holds, what, seconds))[kind]

    async def until_ready(self, seconds: float = 90.0) -> JSON:
        """Wait until the pair is Ready for its present generation; the pair."""
        return await self.until(is_ready, "Ready", seconds)

    async def until_active(self, who: str, seconds: float = 60.0) -> JSON:
        """Wait until the operator says that this unit (`Master`, `Slave`) is active; the pair."""
        return await self.until(
            lambda pair: ((pair or {}).get("status") or {}).get("active") == who, f"active: {who}", seconds
        )

    async def events(self, *reasons: str) -> list[JSON]:
        """The Events about the pair with these reasons (or all), oldest first."""
        found = await self.cluster.events(self.namespace)
        about = [event for event in found if event.get("regarding", {}).get("name") == NAME]
        about.sort(key=lambda event: str(event["eventTime"]))
        return [event for event in about if not reasons or event["reason"] in reasons]


async def until_answering(unit: Unit) -> None:
    """Wait until a unit's management API answers."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                await unit.call("get", param="version")
                return
            await asyncio.sleep(0.1)


def described(pair: JSON | None) -> str:
    """What `kubectl describe` would show of a pair, in a few lines."""
    if pair is None:
        return "(there is no such pair)"
    status = dict(pair.get("status") or {})
    lines = [
        f"  {found['type']}={found['status']} {found['reason']}: {found.get('message', '')}"
        for found in status.pop("conditions", [])
    ]
    lines += [f"  {key}: {value}" for key, value in status.items()]
    return "\n".join([f"generation {pair['metadata']['generation']}", *lines])


@contextlib.asynccontextmanager
async def open_first_pair(
    folder: Path,
    *,
    latency: float = 0.0,
    probe_interval: float | None = None,
    configuration: Mapping[str, Any] | None = None,
    kubeconfig: Path | None = None,
    namespace: str = NAMESPACE,
    operator: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[FirstPair]:
    """Start API server, emulator with the network in it, and web servers; lay out two fresh units.

    Args:
        folder: for state and logs; stays.
        latency: how long Azure's operations take, in seconds.
        probe_interval: the emulator's own shorter interval, for tests; None: what Azure is told.
        configuration: more of the units' file, for both; nothing that makes a pair of them.
        kubeconfig: of a cluster to use instead of an API server of our own.
        namespace: of the pair.
        operator: more of the operator's environment.
        say: told what has been started.
    """
    async with contextlib.AsyncExitStack() as stack:
        places = stack.enter_context(open_places(namespaces=False))
        sockets = Path(tempfile.mkdtemp(prefix="lm-"))
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        stage = await stack.enter_async_context(
            open_stage(
                folder,
                latency=latency,
                kubeconfig=kubeconfig,
                addresses=Addresses(
                    "127.0.0.0/8", places.subnet, tuple(unit.address for unit in places.units)
                ),
                emulator_flags=data_plane_flags(places, probe_interval),
                say=say,
            )
        )
        stage.operator_environment.update(LOADMASTER_AZURE_PROBE_SOURCE=LOOPBACK_PROBE_SOURCE)
        stage.operator_environment.update(operator or {})
        web = await stack.enter_async_context(web_servers(places.web))
        units = [
            await stack.enter_async_context(
                Unit(
                    number,
                    place,
                    places.client,
                    folder=folder / f"unit-{number}",
                    run=sockets / str(number),
                    configuration={"interfaces": [f"{place.address}/24"], **(configuration or {})},
                )
            )
            for number, place in enumerate(places.units)
        ]
        balancer = Balancer(stage.emulator.arm, places, stage.emulator.process)
        port = _service_port(places.frontend)
        lab = Lab(places, balancer, (units[0], units[1]), web, (port,))
        first = FirstPair(stage, lab, port, namespace)
        if stage.plane is None:
            stack.push_async_callback(first.leave)
        stack.push_async_callback(first.stop_operator)
        yield first


def _service_port(address: str) -> int:
    try:
        socket.create_server((address, GUIDE_PORT)).close()
    except PermissionError:
        return UNPRIVILEGED_PORT
    return GUIDE_PORT


async def fingerprint(unit: Unit) -> str:
    """SHA-256 of the unit's certificate, as a person at its console reads it."""
    code, said = await unit.administer("fingerprint")
    found = re.search(r"(?:[0-9A-Fa-f]{2}:?){32}", said)
    if code != 0 or found is None:
        raise RuntimeError(f"unit {unit.number} does not tell its fingerprint: {said}")
    return found[0]


async def _unit_entry(unit: Unit) -> JSON:
    return {
        "virtualMachine": {"name": f"lm-{unit.number}"},
        "networkInterfaces": [
            {"name": "eth0", "resource": f"lm-{unit.number}-nic", "ipConfiguration": "ipconfig1"}
        ],
        "address": unit.address,
        "management": {
            "credentialsSecretRef": {"name": f"lm-{unit.number}-login"},
            "tls": {"fingerprintSHA256": await fingerprint(unit)},
        },
    }
