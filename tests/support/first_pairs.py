"""What end-to-end tests of whole pairs ask: of units (by their own words and logs), of Azure, of endpoints.

The laboratory itself is `lab.first_pair`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tests.support.cluster_objects import node, node_status

from lab.management import Refused
from lab.traffic import web_servers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from lab.first_pair import FirstPair
    from lab.unit import Unit

JSON = dict[str, Any]

ROLES: Final = ("Master", "Slave")
PATIENCE_SECONDS: Final = 120.0
"""A safety limit for what takes a few seconds."""
QUICK: Final = {"failover": {"failbackDelaySeconds": 3, "drainSeconds": 6, "finishSeconds": 5}}
"""Waits of the agent that are long on purpose; 10, 15 and 30 s otherwise."""
PROBE_INTERVAL: Final = 1.0
"""The emulator's, in seconds; what Azure is told stays 5."""
OPERATOR: Final = {"LOADMASTER_RESYNC_SECONDS": "30"}
"""Azure is looked at every 5 minutes otherwise."""

NODES_PATH: Final = "/api/v1/nodes"

_AUDIT: Final = re.compile(r"INFO +(\w+) by (\S+) at \S+ \((.*)\)", re.MULTILINE)


def writes(unit: Unit) -> list[tuple[str, str]]:
    """What was changed over the unit's management API: command and parameters, as the unit's log has it."""
    return [(command, given) for command, _, given in _AUDIT.findall(unit.log.read_text(errors="replace"))]


async def active_of(first: FirstPair) -> int:
    """The number of the unit that is active by its own word; waits until one is and the operator says so."""

    async def states() -> tuple[list[str], str]:
        own = [await unit.state_now() for unit in first.units]
        return own, (await first.status()).get("active", "")

    def agreed(found: tuple[list[str], str]) -> bool:
        own, told = found
        return own.count("Active") == 1 and ROLES[own.index("Active")] == told

    own, _ = await eventually(states, agreed, "one unit is active, and the operator says which")
    return int(own.index("Active"))


async def ha_settings(unit: Unit) -> JSON:
    """The HA settings as a unit reads them back."""
    found = await unit.call("getazurehaparams")
    return {name: found.get(name) for name in ("HaMode", "HaPrefered", "Partner", "Port")}


async def agent_inputs(unit: Unit) -> JSON:
    """What a unit has been told of the balancer."""
    found = await unit.call("agentgetparams")
    return {name: str(found.get(name)) for name in ("frontend", "probeinterval", "probethreshold")}


async def assert_configured(first: FirstPair) -> None:
    """Both units have the HA settings of the guide (7), each the other one as its partner; both know the
    balancer."""
    for unit, partner in zip(first.units, reversed(first.units), strict=True):
        assert await ha_settings(unit) == {
            "HaMode": ROLES[unit.number].lower(),
            "HaPrefered": "0",
            "Partner": partner.address,
            "Port": "8444",
        }
        assert await agent_inputs(unit) == {
            "frontend": first.lab.places.frontend,
            "probeinterval": "5",
            "probethreshold": "2",
        }


async def services(unit: Unit) -> JSON:
    """The virtual services of a unit: by `ADDRESS:PORT` the real servers and the certificates."""
    found = (await unit.call("listvs")).get("VS") or []
    made: JSON = {}
    for each in found:
        whole = await unit.call("showvs", vs=str(each["Index"]))
        servers = sorted(f"{server['Addr']}:{server['Port']}" for server in whole.get("Rs") or [])
        made[f"{each['VSAddress']}:{each['VSPort']}"] = {
            "servers": servers,
            "certificates": whole.get("CertFile"),
            "name": whole.get("NickName"),
        }
    return made


async def until_both_have_the_service(first: FirstPair) -> None:
    """Wait until both units have the published service with its real servers, and no other one.

    The operator writes to the active unit; the other one gets it from there.
    """
    for unit in first.units:

        def is_published(found: JSON, unit: Unit = unit) -> bool:
            servers = {place: each["servers"] for place, each in found.items()}
            return servers == {f"{unit.address}:{first.port}": sorted(first.lab.web)}

        what = f"unit {unit.number} has the service, and nothing else"
        await eventually(lambda unit=unit: services(unit), is_published, what)


async def until_served(first: FirstPair) -> None:
    """Wait until a client gets an answer through the frontend: a new rule is in force a moment later."""
    await eventually(first.client().get, lambda answer: answer.ok, "a client is served")


async def servers_of(unit: Unit, port: int) -> list[str]:
    """The real servers of the unit's virtual service on a port; none where there is no such service."""
    try:
        found = await unit.call("showvs", vs=unit.address, port=port, prot="tcp")
    except Refused:
        return []
    return sorted(f"{server['Addr']}:{server['Port']}" for server in found.get("Rs") or [])


async def eventually(
    ask: Callable[[], Awaitable[Any]],
    holds: Callable[[Any], Any],
    what: str,
    seconds: float = PATIENCE_SECONDS,
) -> Any:
    """Ask until the answer is right; the answer.

    Raises:
        AssertionError: it is not, within a limit that is a safety net.
    """
    found: Any = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not holds(found := await ask()):  # noqa: ASYNC110 - others tell nobody
                await asyncio.sleep(0.1)
            return found
    raise AssertionError(f"not within {seconds:g} s: {what}; it is {found}")


def certificate_of(pem: str) -> bytes:
    """The first certificate of a PEM text, in DER form."""
    end = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index(end) + len(end)])


# -- Azure


def balancer_id(first: FirstPair) -> str:
    """The id of the pair's balancer."""
    return first.stage.site.id("Microsoft.Network/loadBalancers", "web-ilb")


def security_group_id(first: FirstPair) -> str:
    """The id of the units' security group, which others use too."""
    return first.stage.site.id("Microsoft.Network/networkSecurityGroups", "lm-nsg")


async def published_ports(first: FirstPair) -> set[int]:
    """Frontend ports of the balancer's rules; none where there is no balancer."""
    body = await first.stage.emulator.arm.get(balancer_id(first))
    rules = [] if body is None else body["properties"]["loadBalancingRules"]
    return {rule["properties"]["frontendPort"] for rule in rules}


async def probe_ports(first: FirstPair) -> set[int]:
    """Ports of the balancer's probes."""
    body = await first.stage.emulator.arm.get(balancer_id(first))
    assert body is not None
    return {probe["properties"]["port"] for probe in body["properties"]["probes"]}


async def azure_writes(first: FirstPair) -> int:
    """Writes that the emulator has taken since the last reset of its counters."""
    return len((await first.stage.emulator.requests())["writes"])


# -- endpoints and nodes in Kubernetes


@dataclass
class Endpoints:
    """A Service without pods, whose EndpointSlices the test writes; with listeners at all addresses."""

    first: FirstPair
    name: str
    addresses: tuple[str, ...]
    port: int

    async def set(self, number: int) -> list[str]:
        """Let so many of the addresses be ready endpoints; what real servers they are."""
        chosen = self.addresses[:number]
        await self.first.cluster.apply(
            f"/apis/discovery.k8s.io/v1/namespaces/{self.first.namespace}/endpointslices",
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{self.name}-1",
                    "labels": {"kubernetes.io/service-name": self.name},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": self.port, "protocol": "TCP"}],
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in chosen],
            },
        )
        return sorted(f"{address}:{self.port}" for address in chosen)


@contextlib.asynccontextmanager
async def endpoints(
    first: FirstPair, name: str, addresses: Sequence[str], port: int = 8080
) -> AsyncIterator[Endpoints]:
    """Make a Service whose endpoints really listen."""
    async with web_servers(replace(first.lab.places.web, addresses=tuple(addresses)), port):
        made = Endpoints(first, name, tuple(addresses), port)
        await first.cluster.apply(
            f"/api/v1/namespaces/{first.namespace}/services",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {
                    "type": "ClusterIP",
                    "clusterIP": "None",
                    "ports": [{"name": "http", "port": 80, "targetPort": port}],
                },
            },
        )
        yield made


@dataclass
class Nodes:
    """The nodes of the cluster, and the port at which all of them pass a Service's connections on."""

    first: FirstPair
    addresses: tuple[str, ...]
    port: int

    async def ready(self, *numbers: int) -> list[str]:
        """Let these be ready and all others not, or not yet there; what real servers they are."""
        for number, address in enumerate(self.addresses):
            body = node(f"node-{number}")
            await self.first.cluster.apply(NODES_PATH, body)
            status = node_status(address, ready=number in numbers)
            await self.first.cluster.apply(NODES_PATH, {**body, "status": status}, subresource="status")
        return self.servers(*numbers)

    async def remove(self, number: int) -> None:
        """Take a node away from one moment to the next."""
        await self.first.cluster.delete(f"{NODES_PATH}/node-{number}")

    def servers(self, *numbers: int) -> list[str]:
        """What real servers these are."""
        return sorted(f"{self.addresses[number]}:{self.port}" for number in numbers)


@contextlib.asynccontextmanager
async def nodes(first: FirstPair, name: str, addresses: Sequence[str]) -> AsyncIterator[Nodes]:
    """Make a Service with a node port, which web servers at these addresses listen on; no node is there yet.

    What answers at an address calls itself `web-NUMBER`, by its place in the list.
    """
    services = f"/api/v1/namespaces/{first.namespace}/services"
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "ports": ports},
    }
    made = await first.cluster.apply(services, body)
    port = int(made["spec"]["ports"][0]["nodePort"])
    try:
        async with web_servers(replace(first.lab.places.web, addresses=tuple(addresses)), port):
            yield Nodes(first, tuple(addresses), port)
    finally:
        for number in range(len(addresses)):
            await first.cluster.delete(f"{NODES_PATH}/node-{number}")
        await first.cluster.delete(f"{services}/{name}")
