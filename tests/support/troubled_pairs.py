"""Many managed pairs of one operator, each of two scripted appliances and with a trouble of its own.

    async with troubled_pairs(stage, "reasons", {"mixed": Trouble("MixedUnits", ...)}) as pairs:
        told = await pairs.told("mixed")

All are put up and applied at once, so that their waiting is shared. What a trouble is about stands in its
table; `told` waits for the condition that names the reason, and gives its message.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.live_pairs import changed, condition, manifest
from tests.support.rig import rigged
from tests.support.scripted_appliance import Habits, ScriptedAppliance
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    import pytest
    from tests.support.management import Served
    from tests.support.rig import Rig, Stage
    from tests.support.world import Change

JSON = dict[str, Any]
Units = tuple[ScriptedAppliance, ScriptedAppliance]

SECRET: Final = "a-secret-of-the-two"
CHECK_PORT: Final = 8444
AT_THE_SAME_TIME: Final = 3
"""Worlds that are built at once: the emulator is one process."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong with one pair, and how a person is told.

    Args:
        reason: the word.
        says: what the message must hold: place, name, remedy.
        shown: type and status of the condition that has the reason.
        reported: the condition has another reason, and its message tells of this one.
        fields: changes of the manifest by path.
        units: done to both units before the manifest is applied.
        habits: of the master and the slave.
        world: by name of a resource, what is done to its body.
        health: the health ports and the frontend answer, as the units are.
        then: done once the pair was applied.
    """

    reason: str
    says: tuple[str, ...]
    shown: tuple[str, str] = ("Stalled", "True")
    reported: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    units: Callable[[ScriptedAppliance, ScriptedAppliance], object] | None = None
    habits: tuple[Habits, Habits] | None = None
    world: Mapping[str, Change] | None = None
    health: bool = False
    then: Callable[[TroubledPair], Awaitable[object]] | None = None


@dataclass
class TroubledPair:
    """One of them."""

    rig: Rig
    world: World
    name: str
    units: Units
    manifest: JSON
    stack: contextlib.AsyncExitStack
    """For what ends with the pairs."""
    agents: Sequence[Served] = ()
    """In the place of the units, where a trouble has put them there."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: whatever a trouble holds up may go on."""

    async def apply(self, **fields: Any) -> None:
        """Apply the manifest, with changes of the spec by path."""
        self.manifest = changed(self.manifest, **fields)
        await self.rig.pairs.apply(self.manifest)

    async def let_azure_refuse(self, path: str) -> None:
        """Azure answers writes of these resources of the pair (a part of their path) with its own error."""
        await self.world.arm.add_fault(
            verb="PUT|DELETE",
            path=f"(?i)/resourceGroups/{self.world.group}/.*{path}",
            count=0,
            status=500,
            code="InternalServerError",
            message="An error occurred.",
        )

    async def condition(self, kind: str, status: str, reason: str | None = None) -> JSON:
        """Wait for a condition of the present generation; the condition."""
        return await self.rig.pairs.condition(kind, status, reason, self.name)


def at_work(master: ScriptedAppliance, slave: ScriptedAppliance) -> None:
    """They are a pair already, the master serves, and the balancer has polled both."""
    for unit, other, mode, state in (
        (master, slave, "master", "Active"),
        (slave, master, "slave", "Standby"),
    ):
        unit.mode = unit.mode_in_force = mode
        unit.state, unit.partner, unit.check_port = state, other.own_address, CHECK_PORT


class TroubledPairs:
    """All pairs of one operator."""

    def __init__(self, rig: Rig, troubles: Mapping[str, Trouble]) -> None:
        self.rig = rig
        self._troubles = troubles
        self._building = asyncio.Semaphore(AT_THE_SAME_TIME)
        self._stack = contextlib.AsyncExitStack()
        self._units: list[ScriptedAppliance] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._lives: dict[str, asyncio.Task[TroubledPair]] = {}
        self._network = random.randint(100, 199)  # noqa: S311 - no secret

    async def put_up(self) -> None:
        """Begin with all of them."""
        await self.rig.pairs.put_secret("login", username="bal", password="correct horse 8")
        await self.rig.pairs.put_secret("partner", secret=SECRET)
        self._keepers.append(asyncio.create_task(self._keep_alive()))
        for number, (name, trouble) in enumerate(self._troubles.items()):
            self._lives[name] = asyncio.create_task(self._live(number, name, trouble))

    async def take_down(self) -> None:
        """End whatever goes on."""
        tasks = [*self._lives.values(), *self._keepers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.rig.kill_operator()  # who keeps no connection
        await asyncio.gather(*(unit.stop() for unit in self._units))
        await self._stack.aclose()

    async def _keep_alive(self) -> None:
        """Start the operator again when it ends, as Kubernetes does: a starved one loses its Lease."""
        while True:
            await asyncio.sleep(1)
            if self.rig.operator.ended:
                await self.rig.restart_operator()

    async def pair(self, name: str) -> TroubledPair:
        """Wait until a pair was applied and what follows was done; the pair."""
        return await self._lives[name]

    async def told(self, name: str) -> str:
        """Wait until the reason is shown; the message that shows it, which holds what it has to say."""
        trouble = self._troubles[name]
        pair = await self.pair(name)
        kind, status = trouble.shown

        def shown(found: JSON | None) -> bool:
            it = condition(found, kind)
            if it.get("status") != status:
                return False
            message = it.get("message", "")
            named = f"{trouble.reason}:" in message if trouble.reported else it["reason"] == trouble.reason
            return named and all(words in message for words in trouble.says)

        what = f"{kind}={status} ({trouble.reason}) with {trouble.says}"
        found = await self.rig.pairs.until(shown, what, pair.name)
        return str(condition(found, kind)["message"])

    async def told_at_last(self, name: str) -> str:
        """Wait until the pair was let go; the note of its last Event, which names the reason."""
        trouble = self._troubles[name]
        pair = await self.pair(name)
        await self.rig.pairs.gone(pair.name)
        (note,) = await self.rig.pairs.told("CleanedUp", name=pair.name)
        for words in (f"{trouble.reason}:", *trouble.says):
            assert words in note, f"{words!r} is not in {note!r}"
        return note

    async def _live(self, number: int, name: str, trouble: Trouble) -> TroubledPair:
        async with self._building:
            pair = await self._made(number, name, trouble)
            await pair.apply()
        if trouble.then is not None:
            await trouble.then(pair)
        return pair

    async def _made(self, number: int, name: str, trouble: Trouble) -> TroubledPair:
        prefix, short = f"127.{self._network}.{number}", name.replace(" ", "-").lower()
        group = f"{self.rig.pairs.namespace}-{short}"
        world = await World(self.rig.arm, group, prefix=prefix).build(foreign=False, change=trouble.world)
        habits = trouble.habits or (Habits(), Habits())
        units = (
            ScriptedAppliance(f"{prefix}.4", habits[0]),
            ScriptedAppliance(f"{prefix}.5", habits[1]),
        )
        for unit in units:
            self._units.append(unit)
            await unit.start(unit.own_address)
        units[0].synchronise_with(units[1])
        if trouble.units is not None:
            trouble.units(*units)
        if trouble.health:
            await self._answer_probes(units, f"{prefix}.100")
        fields = {
            "loadBalancer__frontend__privateIPAddress": f"{prefix}.100",
            "networkSecurity__managementSources": ["127.0.0.0/8"],
            "highAvailability__sharedSecretRef": {"name": "partner"},
            "services": [],
        }
        for role, unit in zip(("master", "slave"), units, strict=True):
            fields[f"{role}__management"] = {
                "port": unit.port,
                "credentialsSecretRef": {"name": "login"},
                "tls": {"fingerprintSHA256": unit.fingerprint},
            }
        pair = manifest(world, self.rig.pairs.namespace, short, **fields)
        return TroubledPair(self.rig, world, short, units, changed(pair, **trouble.fields), self._stack)

    async def _answer_probes(self, units: Units, frontend: str) -> None:
        for address, mine in (
            (units[0].own_address, units[:1]),
            (units[1].own_address, units[1:]),
            (frontend, units),
        ):
            server = await asyncio.start_server(_health_page(mine), address, CHECK_PORT)
            self._stack.callback(server.close)


def _health_page(units: tuple[ScriptedAppliance, ...]) -> Callable[..., Awaitable[None]]:
    """The page of the check port: 200 while one of the units serves (the guide, 10.1)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            serving = next((unit for unit in units if unit.serves), None)
            unit = serving or units[0]
            text = f"{unit.mode.capitalize()} is {'active' if serving else 'standby'}".encode()
            status = b"200 OK" if serving else b"503 Service Unavailable"
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
                % (status, len(text), text)
            )
            await writer.drain()
        writer.close()

    return answer


@contextlib.asynccontextmanager
async def troubled_pairs(
    stage: Stage, namespace: str, troubles: Mapping[str, Trouble], *, confined: bool = False
) -> AsyncIterator[TroubledPairs]:
    """Give an operator (`confined`: to its namespace) and all pairs, on their way."""
    async with rigged(stage, namespace, confined=confined) as rig:
        pairs = TroubledPairs(rig, troubles)
        try:
            await pairs.put_up()
            yield pairs
        finally:
            await pairs.take_down()


def chosen(request: pytest.FixtureRequest, cases: Mapping[str, Trouble]) -> dict[str, Trouble]:
    """Those cases (parameter `name`) of a module whose tests are to run."""
    mine = (item for item in request.session.items if item.path == request.path)
    names = {item.callspec.params.get("name") for item in mine if hasattr(item, "callspec")}
    return {name: case for name, case in cases.items() if name in names}
