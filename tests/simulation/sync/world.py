"""Two units, their disks and the link between them, driven by a random schedule that a seed reproduces.

The stores and replicators are the real ones; disk, link and time are made up. A schedule edits on both sides
and lets everything happen that may: messages lost, doubled, out of order, the link cut, processes killed at
any write, disks full, units replaced by new ones, old disks and images put back, copies run twice.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from tests.simulation.sync.disk import Dies, Killed, MemoryDisk
from tests.simulation.sync.history import History, Knowledge, Operation, Violation

from loadmaster_ha.agent.settings.errors import StoreError
from loadmaster_ha.agent.settings.model import Change, Delete, Kind, Put, is_local
from loadmaster_ha.agent.settings.replication import COMPARE_EVERY, Replicator
from loadmaster_ha.agent.settings.store import Store

PLACES = [
    *((Kind.VIRTUAL_SERVICE, f"eth0:{port}/tcp") for port in (80, 443)),
    *((Kind.PARAMETER, name) for name in ("ntphost", "geoclients")),
    (Kind.USER, "alice"),
]
LOCAL_PLACES = [(Kind.ROUTE, "10.9.0.0/16"), (Kind.HA, "ha")]
FIELDS = ["Idletime", "Schedule", "NickName"]
FRAME_LIMIT = 400
"""Bytes: so small that nearly everything takes several messages."""


@dataclass
class Disk:
    """A disk and what it has shown to people."""

    content: MemoryDisk
    knowledge: Knowledge = field(default_factory=Knowledge)

    def image(self) -> "Disk":
        """A copy of it as it is now."""
        return Disk(self.content.copy(), self.knowledge.copy())


class Unit:
    """One unit: a disk, and while it runs a store and its replicator."""

    def __init__(
        self, name: str, disk: Disk, clock: Callable[[], float], offset: float, parts: "Parts"
    ) -> None:
        self.name = name
        self.clock = clock
        self.disk = disk
        self.offset = offset
        """Seconds between its clock and the world's."""
        self._parts = parts
        self.store: Store | None = None
        self.replicator: Replicator | None = None

    def start(self) -> None:
        """A process starts on this disk."""
        self.disk.content.full = False
        self.store = self._parts.store(self)
        self.replicator = self._parts.replicator(self.store)

    def stop(self) -> None:
        """It is killed."""
        self.store = self.replicator = None
        self.disk.content.lost_power()
        self.disk.content.dies = None

    def wall(self) -> float:
        """What its clock shows."""
        return self.clock() + self.offset

    def shown(self) -> dict[tuple[str, str], dict[str, str]]:
        """What people see of the synchronised settings."""
        assert self.store is not None
        return {
            (kind, key): dict(self.store.snapshot.get(kind, key) or {})
            for kind, entities in self.store.snapshot.kinds.items()
            if not is_local(kind)
            for key in entities
        }


@dataclass
class Parts:
    """What a world is made of; seeded bugs replace some."""

    disk: Callable[[], MemoryDisk] = MemoryDisk
    make_store: Callable[[MemoryDisk], Store] = Store

    make_replicator: Callable[..., Replicator] = Replicator

    def store(self, unit: Unit) -> Store:
        """A store on the unit's disk."""
        return self.make_store(unit.disk.content)

    def replicator(self, store: Store) -> Replicator:
        """Its replicator."""
        return self.make_replicator(store, frame_limit=FRAME_LIMIT)


class World:
    """One schedule's."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        self.parts = parts or Parts()
        self.now = 1000.0
        self.trace: list[str] = []
        self.history = History()
        self.linked = False
        self.faults = self.random.choice([0.0, 0.05, 0.2])
        """How often a message is lost, doubled or overtaken."""
        self._values = 0
        self._queues: dict[str, list[dict[str, Any]]] = {"a": [], "b": []}
        self._images: dict[str, list[Disk]] = {"a": [], "b": []}
        self._attic: list[Disk] = []
        self.units = {name: self._unit(name) for name in ("a", "b")}
        for unit in self.units.values():
            unit.start()

    def run(self, steps: int) -> None:
        """Let things happen, then let everything settle, and judge.

        Raises:
            Violation: a promise was broken.
        """
        actions, weights = zip(*self._actions().items(), strict=True)
        for _ in range(steps):
            action = self.random.choices(actions, weights)[0]
            unit = self.units[self.random.choice("ab")]
            action(unit)
        self.settle()
        self.judge()

    def settle(self) -> None:
        """All faults end; two comparisons' time passes."""
        self.faults = 0.0
        for unit in self.units.values():
            unit.disk.content.full = False
            unit.disk.content.dies = None
            if unit.store is None:
                unit.start()
        self._unlink()
        self._link()
        for _ in range(4):
            self._deliver_all()
            self.now += COMPARE_EVERY + 1
            for unit in self.units.values():
                self._send(unit, self._guarded(unit, lambda unit=unit: unit.replicator.tick(unit.wall())))
        self._deliver_all()

    def judge(self) -> None:
        """Whether the promises hold, and whether what is kept for the partner was let go."""
        one, other = (unit.shown() for unit in self.units.values())
        self.history.judge(one, other)
        for unit in self.units.values():
            status = unit.replicator.status(unit.wall())
            if not status.connected or status.pending or status.lag or status.differences:
                raise Violation(f"{unit.name} is not content: {status}")
            # What a third node had, and both only heard of before it went away, may still come back with it.
            seen, tombstones = unit.store.seen, unit.store.tombstones.values()
            idle = [each for each in tombstones if all(seen.covers(birth) for birth in each.births)]
            if idle:
                raise Violation(f"{unit.name} still keeps {len(idle)} tombstones that nobody needs")

    def _actions(self) -> dict[Callable[[Unit], None], float]:
        # How often; a schedule leaves some of the rarer ones out, so that others get room.
        rare = {
            self._kill: 2.0,
            self._doom: 3.0,
            self._fill: 1.0,
            self._cut: 3.0,
            self._replace: 0.4,
            self._put_back: 0.5,
            self._image: 0.8,
            self._restore: 0.5,
            self._copy: 0.2,
        }
        # Copies of a store and older images of it in one schedule: docs/synchronisation.md says what
        # the units cannot know then.
        rare.pop(self.random.choice([self._restore, self._copy]))
        chosen = {action: weight for action, weight in rare.items() if self.random.random() < 0.6}
        return {self._edit: 14.0, self._deliver: 40.0, self._pass_time: 5.0, self._mend: 6.0, **chosen}

    def _unit(self, name: str) -> Unit:
        offset = self.random.choice([0.0, 7200.0, 14400.0, 90000.0])
        return Unit(name, Disk(self.parts.disk()), lambda: self.now, offset, self.parts)

    # What people do

    def _edit(self, unit: Unit) -> None:
        if unit.store is None:
            return
        self.history.look(unit.disk.knowledge, unit.shown())
        changes: list[Change] = []
        operations: list[Operation] = []
        for kind, key in self.random.sample(PLACES, self.random.choice([1, 1, 1, 2, 3])):
            present = unit.store.snapshot.get(kind, key) is not None
            if present and self.random.random() < 0.3:
                changes.append(Delete(kind, key))
                operations.append(self._operation(unit, (kind, key), {}, deletes=True))
            else:
                fields = self._fields(present=present)
                changes.append(Put(kind, key, fields))
                operations.append(self._operation(unit, (kind, key), fields, deletes=False))
        if self.random.random() < 0.1:
            self._values += 1
            changes.append(Put(*self.random.choice(LOCAL_PLACES), {"value": f"local{self._values}"}))
        self._commit(unit, changes, operations)

    def _operation(self, unit: Unit, place: tuple[Kind, str], fields: Any, *, deletes: bool) -> Operation:
        return self.history.new(unit.disk.knowledge, (place[0].value, place[1]), fields, deletes=deletes)

    def _fields(self, *, present: bool) -> dict[str, str | None]:
        fields: dict[str, str | None] = {}
        for name in self.random.sample(FIELDS, self.random.choice([1, 1, 2, 3])):
            self._values += 1
            fields[name] = None if present and self.random.random() < 0.1 else f"v{self._values}"
        return fields

    def _commit(self, unit: Unit, changes: list[Change], operations: list[Operation]) -> None:
        told = f"{unit.name} commits {changes}"
        try:
            unit.store.commit(changes)
        except StoreError:
            self.trace.append(f"{told}: refused")
            for operation in operations:
                self.history.forget(operation)
            return
        except Killed:
            self.trace.append(f"{told}: killed")
            for operation in operations:
                operation.certain = False
            self._died(unit)
            return
        self.trace.append(told)
        for operation in operations:
            self.history.did(unit.disk.knowledge, operation)
        self._send(unit, self._guarded(unit, lambda: unit.replicator.changed(unit.wall())))

    # What the network does

    def _deliver(self, unit: Unit) -> None:
        queue = self._queues[unit.name]
        if not queue:
            return
        luck = self.random.random()
        index = self.random.randrange(len(queue)) if luck < self.faults else 0
        message = queue[index] if self.faults / 2 < luck < self.faults else queue.pop(index)
        if self.random.random() < self.faults / 2:
            self.trace.append(f"lost on the way to {unit.name}: {message['t']}")
            return
        self._hand(unit, message)

    def _hand(self, unit: Unit, message: dict[str, Any]) -> None:
        if unit.replicator is None:
            return
        received = json.loads(json.dumps(message))
        self._send(unit, self._guarded(unit, lambda: unit.replicator.received(received, unit.wall())))
        if unit.store is not None:
            self.history.look(unit.disk.knowledge, unit.shown())

    def _deliver_all(self) -> None:
        for _ in range(3000):
            busy = [unit for unit in self.units.values() if self._queues[unit.name]]
            if not busy:
                return
            for unit in busy:
                self._deliver(unit)
        raise Violation("the units do not stop talking")

    def _send(self, unit: Unit, messages: list[dict[str, Any]]) -> None:
        if not self.linked:
            return
        other = "b" if unit.name == "a" else "a"
        for message in messages:
            for kind, _, _ in message.get("entities", ()):
                if is_local(kind):
                    raise Violation(f"{unit.name} sent the local kind {kind}")
            self._queues[other].append(message)

    def _pass_time(self, _: Unit) -> None:
        self.now += self.random.choice([1.0, 11.0, 121.0, 86400.0])
        for each in self.units.values():
            if each.replicator is not None:
                self._send(each, self._guarded(each, lambda each=each: each.replicator.tick(each.wall())))

    def _cut(self, _: Unit) -> None:
        self._unlink()

    def _mend(self, _: Unit) -> None:
        self._link()

    def _link(self) -> None:
        if self.linked or any(unit.store is None for unit in self.units.values()):
            return
        self.linked = True
        self.trace.append("linked")
        for unit in self.units.values():
            self._send(unit, unit.replicator.connected(unit.wall()))

    def _unlink(self) -> None:
        if self.linked:
            self.trace.append("cut")
        self.linked = False
        for name, queue in self._queues.items():
            # What was on its way may turn up in the next connection; a TCP stream begins with its own hello.
            late = [message for message in queue if message["t"] != "hello"]
            self._queues[name] = late if self.random.random() < self.faults else []
        for unit in self.units.values():
            if unit.replicator is not None:
                unit.replicator.disconnected()

    # What machines do

    def _guarded(self, unit: Unit, call: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        if unit.store is None:
            return []
        try:
            return call()
        except Killed:
            self.trace.append(f"{unit.name} is killed at a write")
            self._died(unit)
        except StoreError as error:
            raise Violation(f"{unit.name}: nobody answered for {error!r}") from error
        return []

    def _died(self, unit: Unit) -> None:
        unit.stop()
        self._unlink()
        self._start(unit)

    def _start(self, unit: Unit) -> None:
        unit.start()
        self.history.look(unit.disk.knowledge, unit.shown())

    def _kill(self, unit: Unit) -> None:
        self.trace.append(f"{unit.name} is killed")
        self._died(unit)

    def _doom(self, unit: Unit) -> None:
        unit.disk.content.dies = self.random.choice([*Dies])

    def _fill(self, unit: Unit) -> None:
        unit.disk.content.full = not unit.disk.content.full
        self.trace.append(f"the disk of {unit.name} is {'full' if unit.disk.content.full else 'free'}")

    def _replace(self, unit: Unit) -> None:
        self.trace.append(f"{unit.name} is replaced by a new unit")
        self._attic.append(unit.disk)
        self._swap(unit, Disk(self.parts.disk()))

    def _put_back(self, unit: Unit) -> None:
        if self._attic:
            disk = self._attic.pop(self.random.randrange(len(self._attic)))
            self.trace.append(f"{unit.name} gets a disk back that was taken out")
            self._attic.append(unit.disk)
            self._swap(unit, disk)

    def _image(self, unit: Unit) -> None:
        images = self._images[unit.name]
        self.trace.append(f"an image of {unit.name} is taken (number {len(images)})")
        images.append(unit.disk.image())

    def _restore(self, unit: Unit) -> None:
        images = self._images[unit.name]
        if images:
            number = self.random.randrange(len(images))
            self.trace.append(f"{unit.name} is put back to image {number}")
            self._swap(unit, images[number].image())

    def _copy(self, unit: Unit) -> None:
        other = self.units["b" if unit.name == "a" else "a"]
        self.trace.append(f"{unit.name} becomes a copy of {other.name}")
        self._swap(unit, other.disk.image())

    def _swap(self, unit: Unit, disk: Disk) -> None:
        other = self.units["b" if unit.name == "a" else "a"]
        self.history.only_left(other.disk.knowledge)
        unit.stop()
        self._unlink()
        unit.disk = disk
        self._start(unit)


def explore(seed: int, parts: Parts | None = None, steps: int = 120) -> None:
    """Run one schedule.

    Raises:
        Violation: a promise was broken; the message has the seed and what happened.
    """
    names = random.Random(-seed)  # noqa: S311 - a schedule, not a secret

    def token_hex(length: int) -> str:
        return names.randbytes(length).hex()

    with (
        patch("loadmaster_ha.agent.settings.identity.token_hex", token_hex),
        patch("loadmaster_ha.agent.settings.replication.token_hex", token_hex),
    ):
        _explore(seed, parts, steps)


def _explore(seed: int, parts: Parts | None, steps: int) -> None:
    world = World(seed, parts)
    try:
        world.run(steps)
    except Violation as violation:
        happened = "\n  ".join(world.trace)
        raise Violation(f"seed {seed}: {violation}\n  {happened}") from None
