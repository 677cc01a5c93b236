"""The board: one write at a time per pair, only differences, and nothing about pairs that are gone."""

import asyncio
import copy

import pytest

from loadmaster_ha.controller import board as boards
from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.events import Recorder
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.status import Situation
from loadmaster_ha.controller.status_units import UnitRow, UnitsSituation
from loadmaster_ha.controller.watching.model import WatchSituation
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Active, ObservedState
from loadmaster_ha.planning.changes import Plan
from loadmaster_ha.planning.diagnosis.model import Diagnosis, PairHealth
from loadmaster_ha.planning.units.observation import UnitRecord
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.telemetry.operator import OperatorMetrics

KEY = PairKey("edge", "web")
MANAGED = {"management": {"credentialsSecretRef": {"name": "login"}}}
AZURE = Situation(1, plan=Plan())
UNITS = UnitsSituation(1, plan=UnitPlan(), rows={Role.MASTER: UnitRow(record=UnitRecord("serial:1", "d1"))})


def seen(active):
    states = dict.fromkeys(Role, ObservedState.STANDBY)
    return WatchSituation(Diagnosis(PairHealth.ACTIVE_STANDBY, active, states, True, "x", serving=True), {})


def pair(name="web", uid="u-1"):
    metadata = {"namespace": "edge", "name": name, "uid": uid, "generation": 1, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"master": MANAGED, "slave": MANAGED}}


class Server:
    """Status and Events of pairs; `gate` holds writes up while it is closed."""

    def __init__(self):
        self.stored, self.events, self.version = {}, [], 1
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way, self.most, self.refusal = {}, {}, None

    async def apply_status(self, body, status):
        name = body["metadata"]["name"]
        self.under_way[name] = self.under_way.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self.under_way[name])
        try:
            await self.gate.wait()
            if self.refusal:
                raise self.refusal
            self.version += 1
            self.stored.setdefault(name, []).append(copy.deepcopy(status))
            metadata = {**body["metadata"], "resourceVersion": str(self.version)}
            return {**body, "metadata": metadata, "status": copy.deepcopy(status)}
        finally:
            self.under_way[name] -= 1

    async def create_event(self, _, event):
        self.events.append(event["reason"])


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def metrics():
    return OperatorMetrics(version="0", kopf_version="0")


@pytest.fixture
def board(server, metrics):
    return Board(server, Recorder(server, instance="test"), metrics)


async def test_three_lanes_make_one_status_and_the_same_again_writes_nothing(board, server):
    board.learn(pair())
    body = await board.azure(pair(), AZURE)
    await board.units(body, UNITS)
    await board.watched(KEY, seen(Active.MASTER))
    (*_, last) = server.stored["web"]
    assert last["active"] == "Master"
    assert last["units"][0]["secretVersion"] == "d1"
    assert {each["type"] for each in last["conditions"]} >= {"AzureSynced", "HASynced", "PairHealthy"}
    writes, events = len(server.stored["web"]), len(server.events)
    body = await board.azure(body, AZURE)
    assert await board.units(body, UNITS)
    await board.watched(KEY, seen(Active.MASTER))
    assert (len(server.stored["web"]), len(server.events)) == (writes, events)


async def test_one_write_at_a_time_and_of_what_was_seen_meanwhile_the_last(board, server):
    board.learn(pair())
    server.gate.clear()
    told = [
        asyncio.create_task(board.watched(KEY, seen(active)))
        for active in (Active.MASTER, Active.SLAVE, Active.NONE, Active.BOTH)
    ]
    told.append(asyncio.create_task(board.azure(pair(), AZURE)))
    await asyncio.sleep(0.01)
    server.gate.set()
    await asyncio.gather(*told)
    assert server.most["web"] == 1
    assert [status["active"] for status in server.stored["web"]][-1] == "Both"
    assert len(server.stored["web"]) <= 3


async def test_a_pair_whose_write_hangs_does_not_hold_up_the_others(board, server):
    for number in range(200):
        board.learn(pair(f"p-{number}", f"u-{number}"))
    server.gate.clear()
    hung = asyncio.create_task(board.azure(pair("p-0", "u-0"), AZURE))
    await asyncio.sleep(0)
    server.gate.set()
    keys = [PairKey("edge", f"p-{number}") for number in range(1, 200)]
    await asyncio.gather(*(board.watched(key, seen(Active.MASTER)) for key in keys))
    await hung
    assert all(server.stored[key.name][-1]["active"] == "Master" for key in keys)


async def test_a_write_that_fails_is_told_to_who_relies_on_it_and_made_the_next_time(board, server):
    board.learn(pair())
    server.refusal = KubernetesError(500, "", "not now")
    with pytest.raises(KubernetesError):
        await board.units(pair(), UNITS)
    assert board.stored(KEY) == {}
    server.refusal = None
    assert await board.units(pair(), UNITS)
    assert board.stored(KEY)["units"][0]["secretVersion"] == "d1"


async def test_a_pair_that_is_gone_is_not_written_and_leaves_no_figures(board, server, metrics):
    board.learn(pair())
    await board.watched(KEY, seen(Active.MASTER))
    board.forget(KEY)
    writes = len(server.stored["web"])
    await board.watched(KEY, seen(Active.SLAVE))
    assert await board.units(pair(), UNITS) is False
    assert len(server.stored["web"]) == writes
    assert [each for each in metrics.registry.collect() for each in each.samples if "edge" in str(each)] == []


async def test_what_was_found_of_a_pair_is_not_told_of_its_successor(board, server):
    board.learn(pair())
    board.learn({**pair(uid="u-2"), "metadata": {**pair(uid="u-2")["metadata"], "resourceVersion": "9"}})
    assert await board.units(pair(), UNITS) is False
    await board.azure(pair(), AZURE)
    assert server.stored == {}


async def test_a_late_word_of_the_watch_on_the_api_server_does_not_undo_what_was_stored(board, server):
    board.learn(pair())
    await board.azure(pair(), AZURE)
    stored = board.stored(KEY)
    board.learn(pair())  # of before
    assert board.stored(KEY) == stored


async def test_the_credit_of_an_earlier_process_ends(server, metrics, monkeypatch):
    now = [0.0]
    before = Board(server, Recorder(server, instance="one"), metrics)
    before.learn(pair())
    body = await before.azure(pair(), AZURE)
    await before.units(body, UNITS)
    await before.watched(KEY, seen(Active.MASTER))
    stored = {**pair(), "status": before.stored(KEY)}

    monkeypatch.setattr(boards, "CARRIED_SECONDS", 0.05)
    after = Board(server, Recorder(server, instance="two"), metrics, clock=lambda: now[0])
    after.learn(stored)
    now[0] = 0.04
    writes = len(server.stored["web"])
    run = asyncio.create_task(after.run())
    await asyncio.sleep(0)
    assert len(server.stored["web"]) == writes
    now[0] = 1.0
    await run
    ready = server.stored["web"][-1]["conditions"][0]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "Unknown", "NotObserved")
