"""Endpoints of a Kubernetes Service as real servers, by the real operator on a real API server: how soon the
units are called for a change, and that nothing else of them is touched. Two scripted appliances.
"""

import asyncio
import statistics
import time

import pytest_asyncio
from tests.support.appliance_pairs import appliance_pair, polled
from tests.support.cluster_objects import endpoint_slice, service
from tests.support.emulator import running_emulator
from tests.support.rig import Stage
from tests.support.unit_proxy import WRITES

DISCOVERY = "/apis/discovery.k8s.io/v1"
NAME = "pods"
PUBLISHED = {
    "name": NAME,
    "port": 8080,
    "virtualService": {
        "realServersFrom": {"service": {"name": "shop", "port": "http"}, "mode": "Endpoints"},
        "drainSeconds": 1,
    },
}
STATIC = {
    "name": "static",
    "port": 8081,
    "virtualService": {"realServers": [{"address": "10.0.6.1", "port": 80}]},
}
PROMISED_SECONDS = 2.0
GENEROUS_SECONDS = 20.0
"""A single change may meet whatever else the machine is busy with."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(control_plane, crd, tmp_path_factory):
    """Give an Azure whose networks may lie on loopback, where the units are."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        yield Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))


def pods(number):
    return [f"10.0.5.{each}" for each in range(1, number + 1)]


class Scene:
    """A pair at work; what is written to its units from now on, and when."""

    def __init__(self, pair):
        self.pair, self.written = pair, []
        for unit in pair.units:
            unit.before = self._note

    def _note(self, call):
        if call.command.lower() in WRITES:
            self.written.append((time.monotonic(), call.command.lower(), call.parameters))

    async def put(self, kind, body, group="/api/v1"):
        path = f"{group}/namespaces/{self.pair.pairs.namespace}/{kind}/{body['metadata']['name']}"
        await self.pair.pairs.request(
            "PATCH", f"{path}?fieldManager=tests&force=true", body, "application/apply-patch+yaml"
        )

    async def pods(self, addresses):
        await self.put("endpointslices", endpoint_slice(addresses), DISCOVERY)

    def servers(self):
        """The real servers on both units, and whether they take connections."""
        return [
            {
                (each["Addr"], each["Port"]): each["Enable"]
                for row in unit.services.rows
                if str(row["VSPort"]) == "8080"
                for each in unit.services.servers[row["Index"]]
            }
            for unit in self.pair.units
        ]

    async def until(self, addresses):
        wanted = dict.fromkeys(((each, 8080) for each in addresses), True)
        async with asyncio.timeout(90):
            while self.servers() != [wanted, wanted]:  # noqa: ASYNC110 - the units' state
                await asyncio.sleep(0.05)

    async def change(self, addresses):
        """Let the endpoints be these; the seconds until the first call for it."""
        self.written.clear()
        began = time.monotonic()
        await self.pods(addresses)
        await self.until(addresses)
        return self.written[0][0] - began


async def test_endpoints_from_3_to_30_and_back_are_called_for_at_once_and_alone(stage):
    async with appliance_pair(stage, "units-endpoints") as pair, polled(pair):
        scene = Scene(pair)
        await scene.put("services", service())
        await scene.pods(pods(3))
        await pair.apply(services=[PUBLISHED, STATIC])
        await pair.synced()
        await scene.until(pods(3))
        waited = []
        now = pods(3)
        for wanted in (pods(30), pods(3), pods(4), pods(2), pods(5), pods(3)):
            waited.append(await scene.change(wanted))
            changed = set(now) ^ set(wanted)
            commands = {command for _, command, _ in scene.written}
            assert commands <= ({"addrs"} if len(wanted) > len(now) else {"modrs", "delrs"}), commands
            assert {given["rs"] for *_, given in scene.written} == changed, "nothing else is touched"
            assert {str(given["port"]) for *_, given in scene.written} == {"8080"}
            each = [(command, given["rs"]) for _, command, given in scene.written]
            assert len(each) == len(set(each)), "each call is made once"
            now = wanted
        assert max(waited) < GENEROUS_SECONDS, waited
        assert statistics.median(waited) < PROMISED_SECONDS, waited
        await pair.synced()
        notes = [each["note"] for each in await pair.pairs.events() if each["reason"] == "DriftRepaired"]
        assert notes == [], "what follows Kubernetes is no drift"


async def test_endpoints_are_followed_while_another_service_cannot_be(stage):
    """A service whose Kubernetes Service is missing is told; the other one's endpoints go on, for ever."""
    broken = {
        "name": "broken",
        "port": 8082,
        "virtualService": {"realServersFrom": {"service": {"name": "nobody", "port": "http"}}},
    }
    async with appliance_pair(stage, "units-endpoints-beside") as pair, polled(pair):
        scene = Scene(pair)
        await scene.put("services", service())
        await scene.pods(pods(2))
        await pair.apply(services=[PUBLISHED, broken])
        await pair.pairs.condition("Stalled", "True", "RealServersNotFound")
        await scene.until(pods(2))
        for _ in range(5):
            assert await scene.change(pods(3)) < GENEROUS_SECONDS
            assert await scene.change(pods(2)) < GENEROUS_SECONDS
        assert "nobody" in (await pair.pairs.condition("Stalled", "True", "RealServersNotFound"))["message"]
