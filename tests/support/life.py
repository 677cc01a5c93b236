"""A pair's life (create, change, delete) with something bad at chosen writes, and what came of it.

A *reference* run without trouble says which writes there are and what Azure looks like after each phase. A
run with a `Trouble` does something at each chosen write: kills the operator, loses the response, lets the
operation fail. Azure must end up the same. All runs share one API server and one emulator: each has a
namespace, a resource group, a proxy and an operator process of its own, so that several go on side by side.
Neighbours: `arm_proxy.py` strikes, `world.py` compares.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tests.support.arm_proxy import Exchange, Moment, Verdict, resource_of
from tests.support.live_pairs import changed, manifest
from tests.support.rig import Rig, Stage, rigged
from tests.support.world import World, assert_same

JSON = dict[str, Any]
Key = tuple[str, str]
PHASE_SECONDS: Final = 540.0
"""A safety limit for a phase with a dozen kills on a busy machine."""
Blow = Callable[["Actor", Exchange], Awaitable[Verdict]]
"""What a strike does to an actor at a write."""

CHANGE: Final = {
    "healthCheck__intervalSeconds": 15,
    "services": [{"name": "http", "port": 80}],
    "loadBalancer__managementAccess": {"ssh": {"mode": "Disabled"}},
}
"""A change of the balancer, both interfaces and the security group that removes entries from each."""


class Phase(StrEnum):
    """The parts of a pair's life."""

    CREATE = "Create"
    CHANGE = "Change"
    DELETE = "Delete"


@dataclass
class Life:
    """What one run came to: Azure after each phase, and the writes of each phase that reached ARM."""

    snapshots: dict[Phase, JSON] = field(default_factory=dict)
    writes: dict[Phase, Counter[Key]] = field(default_factory=dict)

    @property
    def all_writes(self) -> list[tuple[Phase, Key]]:
        """Every write, in the order of phases; repeated ones as often as they happened."""
        return [(phase, key) for phase, keys in self.writes.items() for key in keys.elements()]


class Trouble:
    """Decides at which writes there is trouble; `targets` holds how often, by phase and write.

    A write that was struck before it took effect comes again: that repetition is let through.

    Args:
        point: the moment of all strikes.
        targets: usually the `writes` of the reference run.
        strike: what happens.
        repeated: whether a struck write has to come again.
    """

    def __init__(
        self, point: Moment, targets: dict[Phase, Counter[Key]], strike: Blow, *, repeated: bool
    ) -> None:
        self.point = point
        self.phase = Phase.CREATE
        self.struck: list[tuple[Phase, Key]] = []
        self._strike = strike
        self._repeated = repeated
        self._left = {phase: Counter(keys) for phase, keys in targets.items()}
        self._pass_next: Counter[Key] = Counter()

    @property
    def missed(self) -> list[tuple[Phase, Key]]:
        """Targets at which nothing happened."""
        return [(phase, key) for phase, keys in self._left.items() for key in keys.elements()]

    def start(self, actor: Actor) -> None:
        """Lie in wait at the actor's proxy."""

        def chosen(write: Exchange) -> bool:
            key = anonymous(write, actor.world.group)
            if self._pass_next[key]:
                self._pass_next[key] -= 1
                return False
            return self._left.get(self.phase, Counter())[key] > 0

        async def strike(write: Exchange) -> Verdict:
            key = anonymous(write, actor.world.group)
            self._left[self.phase][key] -= 1
            self.struck.append((self.phase, key))
            if self._repeated:
                self._pass_next[key] += 1
            return await self._strike(actor, write)

        actor.rig.proxy.at(self.point, chosen, strike, once=False)


async def kill(actor: Actor, _: Exchange) -> Verdict:
    """`kill -9` of the operator; it is started again."""
    await actor.rig.kill_operator()
    actor.died.set()
    return Verdict.LOSE


async def lose_response(_: Actor, __: Exchange) -> Verdict:
    """The connection ends; the operator lives."""
    return Verdict.LOSE


def end_operation(outcome: str) -> Blow:
    """The long-running operation of this write ends as `outcome` (Failed, Canceled) instead of Succeeded."""

    async def strike(actor: Actor, write: Exchange) -> Verdict:
        await actor.world.arm.add_fault(
            verb=write.method,
            path=f"^{re.escape(write.path)}$",
            operation=outcome,
            message="That went wrong. The call can be retried in 1 seconds.",
        )
        return Verdict.PASS

    return strike


@dataclass(frozen=True)
class Actor:
    """One run's own rig and resource group."""

    rig: Rig
    world: World
    died: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep_alive(self) -> None:
        """Start the operator anew after each kill, until cancelled."""
        while True:
            await self.died.wait()
            self.died.clear()
            await self.rig.restart_operator()


async def live(stage: Stage, group: str, *troubles: Trouble, shared_balancer: bool) -> Life:
    """Live a pair's life once in a new resource group. Without `troubles` it is a reference run."""
    life = Life()
    async with rigged(stage, group) as rig:
        actor = Actor(rig, await World(rig.arm, group).build())
        if shared_balancer:
            await actor.world.build_shared_balancer()
        keeper = asyncio.create_task(actor.keep_alive())
        for trouble in troubles:
            trouble.start(actor)
        try:
            pair = manifest(actor.world, rig.pairs.namespace)
            for phase in Phase:
                for trouble in troubles:
                    trouble.phase = phase
                await _live_phase(actor, phase, pair, life)
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
    return life


async def _live_phase(actor: Actor, phase: Phase, pair: JSON, life: Life) -> None:
    before = len(actor.rig.proxy.writes)
    uid = ""
    if phase is Phase.DELETE:
        uid = ((await actor.rig.pairs.get()) or pair)["metadata"].get("uid", "")
        await actor.rig.pairs.delete()
        await actor.rig.pairs.gone(seconds=PHASE_SECONDS)
    else:
        applied = await actor.rig.pairs.apply(changed(pair, **CHANGE) if phase is Phase.CHANGE else pair)
        uid = applied["metadata"]["uid"]
        await actor.rig.pairs.ready(seconds=PHASE_SECONDS)
    life.snapshots[phase] = await actor.world.snapshot(
        replace={uid: "UID", actor.rig.pairs.namespace: "NAMESPACE"}
    )
    life.writes[phase] = Counter(
        anonymous(write, actor.world.group)
        for write in actor.rig.proxy.writes[before:]
        if write.status is not None and write.status < 400
    )


def anonymous(write: Exchange, group: str) -> Key:
    """A write's verb and resource, the same in every resource group."""
    method, path = write.key
    return method, path.replace(group.lower(), "group")


def words(writes: list[tuple[Phase, Key]]) -> str:
    """Writes for messages: `Create PUT loadBalancers/web-ilb, ...`."""
    return ", ".join(f"{phase} {method} {resource_of(path)}" for phase, (method, path) in writes)


def assert_ends_the_same(
    life: Life, reference: Life, *troubles: Trouble, marks_stay_after_delete: bool = False
) -> None:
    """Azure is as in the reference run at the end of each phase, and no strike cost more than one write.

    With `marks_stay_after_delete` the provisioning states after the deletion do not count: a write that
    took effect and whose operation ended as Failed leaves that word on a resource in which nothing of ours
    is left.
    """
    missed = [entry for trouble in troubles for entry in trouble.missed]
    assert not missed, f"no trouble at {words(missed)}"
    story = "; ".join(f"trouble {trouble.point} {words(trouble.struck)}" for trouble in troubles)
    for phase, snapshot in life.snapshots.items():
        expected = reference.snapshots[phase]
        if marks_stay_after_delete and phase is Phase.DELETE:
            found = _without_states(snapshot)
            assert_same(_without_states(expected), found, f"Azure after {phase}, {story}")
            continue
        assert_same(expected, snapshot, f"Azure after {phase}, {story}")
    more = [
        (phase, key)
        for phase, writes in life.writes.items()
        for key in (writes - reference.writes[phase]).elements()
    ]
    strikes = sum(len(trouble.struck) for trouble in troubles)
    assert len(more) <= strikes, f"writes that the reference run did not make: {words(more)}"


def _without_states(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_states(item) for key, item in value.items() if key != "provisioningState"}
    return [_without_states(item) for item in value] if isinstance(value, list) else value
