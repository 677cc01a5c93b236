"""Telling: the latest word of a pair, one write for both halves of a change, and nothing is left out."""

import asyncio
import time

import pytest

from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.watching.model import WatchSituation
from loadmaster_ha.controller.watching.telling import tell
from loadmaster_ha.controller.watching.watched import Watched
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Active, ObservedState
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

    async def event(self, _key, _event):
        raise AssertionError("there is nothing to report")


class Figures:
    def __init__(self):
        self.reported = 0

    def on_reported(self, _seconds):
        self.reported += 1


async def told(*actives):
    """What the board is told when the pair is seen like this, one after the other, before it is written."""
    board, figures, watched = Board(), Figures(), Watched(KEY, None)
    watched.waiting = seen(actives[0])
    telling = asyncio.create_task(tell(watched, board, figures, time.monotonic))
    for active in actives[1:]:
        await asyncio.sleep(0)
        watched.waiting = seen(active)
    await telling
    assert (watched.waiting, watched.telling) == (None, None)
    assert figures.reported == len(board.told)
    return board.told


@pytest.mark.parametrize("half", [Active.NONE, Active.BOTH, Active.UNKNOWN])
async def test_both_halves_of_a_change_are_one_write(half):
    assert await told(half, Active.SLAVE) == [Active.SLAVE]


@pytest.mark.parametrize("half", [Active.NONE, Active.BOTH, Active.UNKNOWN])
async def test_what_is_half_of_nothing_is_told_all_the_same(half):
    assert await told(half) == [half]


async def test_who_has_taken_over_is_told_without_waiting():
    board, watched = Board(), Watched(KEY, None)
    watched.waiting = seen(Active.SLAVE)
    telling = asyncio.create_task(tell(watched, board, Figures(), time.monotonic))
    await asyncio.sleep(0)
    assert board.told == [Active.SLAVE]
    await telling
