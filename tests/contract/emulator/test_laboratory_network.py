"""The laboratory's network: the emulated balancer in it behaves on loopback and in namespaces alike."""

import asyncio
import contextlib
import time

import pytest

from lab import poor_line
from lab.balancer import open_balancer
from lab.namespaces import Cut, why_unavailable
from lab.places import open_places
from lab.poor_line import Quality
from lab.traffic import Client, web_servers

NO_NAMESPACES = why_unavailable()
NO_POOR_LINES = poor_line.why_unavailable()
PORT = 8080
IN_NAMESPACES = pytest.param(
    True,
    id="in namespaces",
    marks=pytest.mark.skipif(NO_NAMESPACES is not None, reason=str(NO_NAMESPACES)),
)


class Member:
    """A unit without an agent: answers probes as told, requests with its name and the client's address."""

    def __init__(self, place):
        self.place = place
        self.health = b"200 OK"
        self.probed_from = set()

    @contextlib.asynccontextmanager
    async def serving(self):
        async with (
            await asyncio.start_server(self._probe, sock=self.place.listening(8444)),
            await asyncio.start_server(self._serve, sock=self.place.listening(PORT)),
        ):
            yield self

    async def _probe(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.probed_from.add(writer.get_extra_info("peername")[0])
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % self.health)
        writer.close()

    async def _serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            body = f"{self.place.name} {writer.get_extra_info('peername')[0]}".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()


@pytest.fixture
async def laboratory(request, tmp_path):
    """Give places, balancer and two members, of which the first is up."""
    with open_places(namespaces=request.param) as places:
        one, other = (Member(place) for place in places.units)
        other.health = b"503 Service Unavailable"
        async with (
            one.serving(),
            other.serving(),
            open_balancer(
                tmp_path, places, services=[PORT], interval=5, threshold=2, probe_interval=0.3
            ) as balancer,
        ):
            await balancer.until_up(True, False)
            yield places, balancer, (one, other)


@pytest.mark.parametrize("laboratory", [pytest.param(False, id="on loopback"), IN_NAMESPACES], indirect=True)
async def test_the_balancer_forwards_with_the_clients_address_and_probes_from_its_own(laboratory):
    places, balancer, (one, other) = laboratory
    for address in places.client.addresses[:2]:
        found = await Client(places.client, places.frontend, PORT, source=address).get()
        assert found.body.decode() == f"lm-0 {address}"
    one.health, other.health = other.health, one.health
    await balancer.until_up(False, True)
    assert one.probed_from == other.probed_from == {places.probe_source}
    assert (await Client(places.client, places.frontend, PORT).get()).body.startswith(b"lm-1")


@pytest.mark.parametrize("laboratory", [pytest.param(False, id="on loopback"), IN_NAMESPACES], indirect=True)
async def test_a_standby_reaches_the_frontend_and_the_active_unit_does_not_reach_itself(laboratory):
    places, _, _ = laboratory
    active, standby = places.units
    assert (await Client(standby, places.frontend, PORT).get()).body.decode() == f"lm-0 {standby.address}"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await Client(active, places.frontend, PORT).get()


@pytest.mark.parametrize("laboratory", [IN_NAMESPACES], indirect=True)
async def test_a_cut_drops_what_it_names_and_nothing_else_until_it_is_healed(laboratory):
    places, balancer, _ = laboratory
    active, standby = places.units
    heal = places.cut(Cut(active.address, places.probe_source))
    await balancer.until_up(False, False)
    assert (await Client(standby, active.address, 8444).get()).ok
    heal()
    await balancer.until_up(True, False)
    heal = places.cut(Cut(standby.address, active.address, 8444))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await Client(standby, active.address, 8444).get()
    assert (await Client(standby, active.address, PORT).get()).ok
    heal()
    assert (await Client(standby, active.address, 8444).get()).ok


@pytest.mark.skipif(NO_POOR_LINES is not None, reason=str(NO_POOR_LINES))
@pytest.mark.parametrize("laboratory", [IN_NAMESPACES], indirect=True)
async def test_a_poor_line_delays_and_loses_what_it_carries_until_it_is_healed(laboratory):
    places, balancer, _ = laboratory
    active, standby = places.units
    slow = [
        places.worsen(one.address, other.address, Quality(delay=0.15, jitter=0.05))
        for one, other in ((active, standby), (standby, active))
    ]
    began = time.monotonic()
    assert (await Client(standby, active.address, 8444).get()).ok
    assert time.monotonic() - began >= 0.6, "two ways for the connection, two for the request"
    for heal in slow:
        heal()
    heal = places.worsen(standby.address, active.address, Quality(loss=1.0))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await Client(standby, active.address, 8444).get()
    heal()
    assert (await Client(standby, active.address, 8444).get()).ok
    for way in ((places.probe_source, active.address), (active.address, places.probe_source)):
        heal = places.worsen(*way, Quality(loss=1.0))
        await balancer.until_up(False, False)  # what the balancer itself sends and gets is lost as well
        heal()
        heal = places.worsen(*way, Quality(delay=0.1))
        await balancer.until_up(True, False)
        heal()


async def test_a_client_notes_what_goes_wrong_and_how_long(tmp_path):
    with open_places(namespaces=False) as places:
        client = Client(places.client, places.web.address, 8080)
        assert (await client.get()).outcome == "refused"
        async with client.steady() as log:
            async with web_servers(places.web):
                await asyncio.sleep(0.3)
                assert (await client.get("/bytes/200000")).body == b"x" * 200_000
            await asyncio.sleep(0.5)
        assert set(log.outcomes()) <= {"ok", "refused", "reset"}
        assert log.outcomes()["ok"] > 0
        assert 0.4 < log.gap() < 10
        assert not log.requests[-1].ok
