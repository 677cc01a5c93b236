"""A laboratory: two node agents with real HAProxy behind an emulated balancer, clients and web servers.

    async with open_lab(Path("/tmp/lab"), namespaces=True) as lab:
        await lab.start()                       # both units; waits until the master alone is active
        await lab.publish()                     # a service on port 8080, set on the active unit
        async with lab.client.steady() as log:  # a connection every 10 ms, never retried
            lab.units[0].kill()                 # SIGKILL to every process of the unit
            await lab.until_serving(1)          # the balancer holds this unit up and no other
        print(log.gap(), log.outcomes())

It consists of `places` (hosts and their addresses, in `namespaces` or on loopback), `balancer` (the emulator
and what its prober sees), `traffic` (clients and web servers) and two of `unit`. `units[0]` is the master.

What can be done to a unit: `kill`, `freeze` and `thaw` (all its processes, or those of one program, as in
`kill("haproxy")`), `stop`, `start`, `fill_disk`. To links, in namespaces: `cut_partner_link`, `cut_balancer`,
`isolate`; each returns what heals it. None of them waits for what follows; the `until_...` do.

Everything ends with the block, and when the program is killed: processes are told by the kernel, and a
namespace lives no longer than what is in it.

Azure's probe interval is 5 s at least, and no benchmark shortens it silently. Tests give `probe_interval=1`,
which the emulator and both units are told.
"""

import asyncio
import contextlib
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.balancer import Balancer, open_balancer
from lab.management import JSON, Refused
from lab.namespaces import Cut
from lab.places import Places, open_places
from lab.poor_line import Quality
from lab.traffic import Client, web_servers
from lab.unit import MANAGEMENT_PORT, PASSWORD, ROLES, SERVICE_PORT, Unit

__all__ = ["MANAGEMENT_PORT", "PASSWORD", "SECRET", "SERVICE_PORT", "Lab", "Refused", "Unit", "open_lab"]

SECRET: Final = "a-secret-of-the-laboratory"  # noqa: S105 - made up
LINK_PORT: Final = 6973
PATIENCE_SECONDS: Final = 60.0
"""A safety limit for what takes a few seconds."""
REST_SECONDS: Final = 90.0

_AT_REST: Final = (["Active", "Standby"], ["Standby", "Active"])

Heal = Callable[[], None]


@dataclass
class Lab:
    """Everything, running; the units once they are started."""

    places: Places
    balancer: Balancer
    units: tuple[Unit, Unit]
    web: tuple[str, ...]
    """`address:port` of the web servers."""
    services: tuple[int, ...]
    """Ports that the balancer forwards."""

    @property
    def client(self) -> Client:
        """A client of the service behind the frontend."""
        return self.client_of(self.services[0])

    def client_of(self, port: int, *, source: int = 0, tls: ssl.SSLContext | None = None) -> Client:
        """A client of a port of the frontend, from one of the client's addresses."""
        place = self.places.client
        return Client(place, self.places.frontend, port, source=place.addresses[source], tls=tls)

    # -- getting somewhere

    async def start(self) -> None:
        """Start both units and wait until the master is active, the slave stands by, and they are linked."""
        for unit in self.units:
            await unit.start()
        await self.until_settled(0)

    async def until_settled(self, active: int) -> None:
        """Wait until this unit serves, the other one stands by, and both are linked."""
        await self.until_serving(active)
        await self.until_state(active, "Active")
        await self.until_state(1 - active, "Standby")
        for unit in self.units:
            await self.until_status(unit.number, lambda status: _yes(status["partnerconnected"]), "linked")

    async def until_at_rest(self) -> int:
        """Wait until one unit serves, whichever, the other one stands by, and both are linked; who serves.

        Raises:
            TimeoutError: it is not so within a minute and a half; a unit that was cut off takes its time.
        """
        async with asyncio.timeout(REST_SECONDS):
            while (  # noqa: ASYNC110 - nothing to be told by
                states := [await unit.state_now() for unit in self.units]
            ) not in _AT_REST:
                await asyncio.sleep(0.2)
        active = states.index("Active")
        await self.until_settled(active)
        return active

    async def until_serving(self, number: int | None) -> None:
        """Wait until the balancer gives new connections to this unit alone; None: to nobody."""
        await self.balancer.until_up(number == 0, number == 1)

    async def until_state(self, number: int, *states: str) -> None:
        """Wait until the unit says that it is in one of these states."""
        await self.until_status(number, lambda status: status["state"] in states, " or ".join(states))

    async def until_status(self, number: int, holds: Callable[[JSON], bool], what: str) -> JSON:
        """Wait until something holds of `agentstatus`.

        Raises:
            TimeoutError: it does not within a minute; with what the status is.
        """
        status: JSON | str = "no answer yet"
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        status = await self.units[number].call("agentstatus")
                    except (OSError, asyncio.IncompleteReadError) as error:
                        status = f"no answer: {error!r}"
                    else:
                        if holds(status):
                            return status
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            log = "\n".join(self.units[number].log.read_text(errors="replace").splitlines()[-20:])
            raise TimeoutError(f"unit {number} is not {what}: {status}\n{log}") from error

    # -- services

    async def publish(self, *, port: int = SERVICE_PORT, on: int = 0, **parameters: Any) -> JSON:
        """Create a virtual service for the web servers on a unit, and wait until both units serve it.

        Args:
            port: of the service.
            on: number of the unit that is told.
            parameters: more of `addvs`.
        """
        unit = self.units[on]
        service = {"vs": unit.address, "port": port, "prot": "tcp"}
        made = await unit.call("addvs", **service, **parameters)
        for web in self.web:
            address, _, web_port = web.rpartition(":")
            await unit.call("addrs", **service, rs=address, rsport=int(web_port))
        for each in self.units:
            await self.until_served(each, port)
        return made

    async def until_served(self, unit: Unit, port: int = SERVICE_PORT) -> None:
        """Wait until the unit's HAProxy answers for the service."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await unit.serves(port=port)).ok:  # noqa: ASYNC110 - nothing to be told by
                await asyncio.sleep(0.05)

    # -- cutting links (in namespaces)

    def cut_partner_link(self, *, one_way: int | None = None) -> Heal:
        """Drop the packets of the partner link (TCP 6973), from this unit only or both ways."""
        return self._between(LINK_PORT, one_way)

    def cut_units(self, *, one_way: int | None = None) -> Heal:
        """Drop what the units send each other directly, this one or both; the balancer reaches both."""
        return self._between(None, one_way)

    def cut_balancer(self, number: int) -> Heal:
        """Drop the balancer's probes of a unit, and the unit's answers to them."""
        address, source = self.units[number].address, self.places.probe_source
        return self.places.cut(Cut(source, address), Cut(address, source))

    def isolate(self, number: int) -> Heal:
        """Drop every packet from and to a unit: its cable is out."""
        address = self.units[number].address
        return self.places.cut(Cut(address, None), Cut(None, address))

    def worsen_units(self, quality: Quality) -> Heal:
        """Let what the units send each other directly be lost and delayed, both ways."""
        one, other = (unit.address for unit in self.units)
        return self._worsen((one, other), quality)

    def worsen_balancer(self, number: int, quality: Quality) -> Heal:
        """Let the balancer's probes of a unit be lost and delayed, and the unit's answers to them."""
        return self._worsen((self.places.probe_source, self.units[number].address), quality)

    def _worsen(self, ends: tuple[str, str], quality: Quality) -> Heal:
        heals = [self.places.worsen(*way, quality) for way in (ends, ends[::-1])]

        def heal() -> None:
            for each in heals:
                each()

        return heal

    def _between(self, port: int | None, one_way: int | None) -> Heal:
        addresses = [unit.address for unit in self.units]
        ways = [Cut(addresses[number], addresses[1 - number], port, direct=True) for number in (0, 1)]
        return self.places.cut(*(ways if one_way is None else [ways[one_way]]))


@contextlib.asynccontextmanager
async def open_lab(
    folder: Path,
    *,
    namespaces: bool,
    interval: int = 5,
    threshold: int = 2,
    probe_interval: int | None = None,
    preferred_host: str = "Master",
    services: Sequence[int] = (SERVICE_PORT,),
    configuration: Mapping[str, Any] | None = None,
    emulator_flags: Sequence[str] = (),
    disk_bytes: int | None = None,
) -> AsyncIterator[Lab]:
    """Lay out the hosts, start emulator and web servers, and make two units ready to start.

    Args:
        folder: for state and logs; stays.
        namespaces: whether in network namespaces (needs root, `namespaces.why_unavailable`) or on loopback.
        interval: of the balancer's probe in seconds, as Azure is told (5 at least).
        threshold: of the balancer's probe.
        probe_interval: another one that emulator and units use really; for tests.
        preferred_host: `Master` or `None`.
        services: ports that the balancer forwards.
        configuration: more of the agent's file, for both units.
        emulator_flags: more of `loadmaster-emulator serve`.
        disk_bytes: a file system of its own of this size for each unit's state.
    """
    async with contextlib.AsyncExitStack() as stack:
        places = stack.enter_context(open_places(namespaces=namespaces))
        sockets = Path(tempfile.mkdtemp(prefix="lm-"))
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        secret = _secret_file(folder)
        balancer = await stack.enter_async_context(
            open_balancer(
                folder,
                places,
                services=services,
                interval=interval,
                threshold=threshold,
                probe_interval=probe_interval,
                flags=emulator_flags,
            )
        )
        web = await stack.enter_async_context(web_servers(places.web))
        common = {
            "preferredHost": preferred_host,
            "partner": {"secretFile": str(secret)},
            "balancer": {
                "frontend": places.frontend,
                "probeSource": places.probe_source,
                "probeIntervalSeconds": probe_interval or interval,
                "probeThreshold": threshold,
            },
        }
        units = []
        for number, place in enumerate(places.units):
            role = {
                "mode": ROLES[number],
                "interfaces": [f"{place.address}/24"],
                "partner": {"address": places.units[1 - number].address},
            }
            unit = Unit(
                number,
                place,
                places.client,
                folder=folder / f"unit-{number}",
                run=sockets / str(number),
                disk_bytes=disk_bytes,
                configuration=_merged(common, role, configuration or {}),
            )
            units.append(await stack.enter_async_context(unit))
        yield Lab(places, balancer, (units[0], units[1]), web, tuple(services))


def _secret_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    secret = folder / "secret"
    secret.write_text(SECRET, encoding="ascii")
    secret.chmod(0o600)
    return secret


def _merged(*configurations: Mapping[str, Any]) -> JSON:
    """The settings of all of them; within a group too, the later one wins."""
    whole: JSON = {}
    for configuration in configurations:
        for key, value in configuration.items():
            known = whole.get(key)
            whole[key] = {**known, **value} if isinstance(known, dict) else value
    return whole


def _yes(value: object) -> bool:
    return value is True or str(value).lower() in ("yes", "true", "y", "1")
