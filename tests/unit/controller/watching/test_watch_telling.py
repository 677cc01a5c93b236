"""Telling: the latest word of a pair, one write for all bits of a change, and nothing is left out."""

import asyncio
import time

import pytest

from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.watching.history import Report
from loadmaster_ha.controller.watching.model import Failover, WatchSituation
from loadmaster_ha.controller.watching.telling import tell
from loadmaster_ha.controller.watching.watched import Watched
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Active, ObservedState, Trigger
from loadmaster_ha.planning.diagnosis.model import Diagnosis, PairHealth

KEY = PairKey("edge", "web")


def seen(active):
    states = dict.fromkeys(Role, ObservedState.STANDBY)
    return WatchSituation(Diagnosis(PairHealth.ACTIVE_STANDBY, active, states, True, "x", serving=True), {})


class Board:
    def __init__(self):
        self.told = []

    async def watched(self, _key, situation):
        self.told.append(situation.diagnosis.active)

    async def event(self, _key, event):
        self.told.append(event.reason)


class Figures:
    def __init__(self):
        self.reported = 0

    def on_reported(self, _seconds):
        self.reported += 1


def begin(watched, board, figures=None):
    return asyncio.create_task(tell(watched, board, figures or Figures(), time.monotonic))


async def told(*actives):
    """What the board is told when the pair is seen like this, one after the other, before it is written."""
    board, figures, watched = Board(), Figures(), Watched(KEY, None)
    watched.waiting = seen(actives[0])
    telling = begin(watched, board, figures)
    for active in actives[1:]:
        await asyncio.sleep(0)
        watched.waiting = seen(active)
    await telling
    assert (watched.waiting, watched.telling) == (None, None)
    assert figures.reported == len(board.told)
    return board.told


@pytest.mark.parametrize("bit", [Active.MASTER, Active.NONE, Active.BOTH, Active.UNKNOWN])
async def test_all_bits_of_a_change_are_one_write(bit):
    assert await told(bit, Active.NONE, Active.SLAVE) == [Active.SLAVE]


@pytest.mark.parametrize("active", Active)
async def test_what_is_no_fail_over_is_told_all_the_same(active):
    assert await told(active) == [active]


FAILOVER = Report(
    Failover(1.0, Role.MASTER, Role.SLAVE, Trigger.PROCESS_DIED, "It died."), measured=False, first=True
)


async def test_a_fail_over_is_told_without_waiting():
    board, watched = Board(), Watched(KEY, None)
    watched.waiting, watched.reports = seen(Active.SLAVE), [FAILOVER]
    telling = begin(watched, board)
    await asyncio.sleep(0)
    assert board.told == [Active.SLAVE, "FailedOver"]
    await telling


async def test_a_fail_over_ends_the_waiting_for_it(monkeypatch):
    monkeypatch.setattr("loadmaster_ha.controller.watching.telling.SETTLING_SECONDS", 3600.0)
    board, watched = Board(), Watched(KEY, None)
    watched.waiting = seen(Active.NONE)
    telling = begin(watched, board)
    await asyncio.sleep(0)
    assert board.told == []
    watched.waiting, watched.reports = seen(Active.SLAVE), [FAILOVER]
    watched.reported.set()
    await telling
    assert board.told == [Active.SLAVE, "FailedOver"]
    assert watched.reported is None
