"""Visits, one after another, against a model of Azure: what is remembered between them, and what is not.

The Kubernetes API and the sessions are stand-ins that keep a pair and a model of ARM in memory; the whole
way through the real ones is that of tests/integration.
"""

import copy
from collections import deque
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from tests.unit.planning.arm_model import ArmModel
from tests.unit.planning.world import BALANCER, SECURITY_GROUP, guide_bodies, guide_spec, rule

from loadmaster_ha.azure.outcomes import Done, Operation, Refused, Running, TryLater
from loadmaster_ha.controller import board
from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.events import Recorder
from loadmaster_ha.controller.exchange import Exchange, UnitsView
from loadmaster_ha.controller.pair import CALM_AGE, PairController
from loadmaster_ha.controller.registry import PairKey, Pairs
from loadmaster_ha.controller.report import Reporter
from loadmaster_ha.controller.workqueue import Next, Visit, VisitOutcome
from loadmaster_ha.domain.virtual_services import RealServer
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.telemetry.operator import OperatorMetrics

KEY = PairKey("edge", "web")


def pair(uid="u-1", **metadata):
    return {
        "metadata": {
            "namespace": "edge",
            "name": "web",
            "uid": uid,
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **metadata,
        },
        "spec": guide_spec(),
    }


class Cluster:
    """The calls of `Kubernetes` that a visit makes, on one pair."""

    def __init__(self, body):
        self.body = body
        self.events = []

    async def get_pair(self, *_):
        return copy.deepcopy(self.body)

    async def set_finalizers(self, _, finalizers):
        self.body["metadata"]["finalizers"] = list(finalizers)
        return copy.deepcopy(self.body)

    async def apply_status(self, _, status):
        self.body["status"] = copy.deepcopy(status)
        return copy.deepcopy(self.body)

    async def create_event(self, _, event):
        self.events.append(event)


class Session:
    """An `AzureSession` on a model. `answers` and `looks` come before what the model would say."""

    def __init__(self, arm):
        self.arm = arm
        self.answers = deque()
        self.looks = deque()
        self.ages = []
        self.after_write = lambda _: None

    async def observe(self, needs, *, max_age):
        self.ages.append(max_age)
        return self.arm.observe(lambda _, observation: needs(observation), None)

    async def apply(self, change, *, permit):
        permit()
        if self.answers:
            return self.answers.popleft()
        self.arm.apply(change)
        self.after_write(change)
        return Done()

    async def look(self, _):
        return self.looks.popleft()


class Sessions:
    def __init__(self, session):
        self.session = session
        self.forgotten = []

    async def get(self, *_, **__):
        return self.session

    async def forget(self, key):
        self.forgotten.append(key)


class Stage:
    def __init__(self):
        self.arm = ArmModel(guide_bodies())
        self.session = Session(self.arm)
        self.sessions = Sessions(self.session)
        self.cluster = Cluster(pair())
        self.metrics = OperatorMetrics(version="0", kopf_version="0")
        self.pairs = Pairs()
        self.pairs.update(self.cluster.body)
        recorder = Recorder(self.cluster, instance="test")
        self.woken = []
        self.exchange = Exchange(
            wake_azure=lambda _: None,
            wake_units=self.woken.append,
            refresh_watch=lambda _: None,
            stored=lambda _: {},
        )
        self.controller = PairController(
            kubernetes=self.cluster,
            sessions=self.sessions,
            pairs=self.pairs,
            reporter=Reporter(Board(self.cluster, recorder, self.metrics), recorder, self.metrics),
            permit=lambda: None,
            exchange=self.exchange,
        )

    async def visit(self, *, woken=False, woken_for=0.0) -> Next:
        return await self.controller.visit(Visit(KEY, woken, 0.0, woken_for))

    async def until_waiting(self, most=40) -> Next:
        """Visit as the queue would as long as it is to go on at once."""
        following = await self.visit(woken=True)
        for _ in range(most):
            if following.outcome is not VisitOutcome.CHANGED:
                return following
            following = await self.visit()
        raise AssertionError(f"still going on at once after {most} visits, {len(self.arm.writes)} writes")

    def condition(self, kind):
        found = self.cluster.body["status"]["conditions"]
        return next(each for each in found if each["type"] == kind)

    def series(self):
        return [
            sample
            for metric in self.metrics.registry.collect()
            for sample in metric.samples
            if sample.labels.get("namespace") == "edge"
        ]


@pytest.fixture
def stage():
    return Stage()


def operation(resource=BALANCER):
    return Operation(ResourceID.parse(resource), "PUT", "https://arm/o", "Location", "2026-01-01T00:00:00Z")


async def test_the_guides_pair_converges_and_then_rests(stage):
    assert (await stage.until_waiting()).outcome is VisitOutcome.NO_CHANGE
    assert stage.condition("Ready")["status"] == "True"
    writes = len(stage.arm.writes)
    assert (await stage.visit()).outcome is VisitOutcome.NO_CHANGE
    assert len(stage.arm.writes) == writes


# A change that does not stick -------------------------------------------------------------------------


async def test_what_was_read_while_a_pair_waited_for_its_turn_is_new_enough_for_it(stage):
    """A thousand new pairs of one resource group share its lists, and do not read them a thousand times."""
    await stage.until_waiting()
    for woken_for, age in ((0.0, 0.0), (0.4, 0.0), (20.5, 20.0), (3600.0, CALM_AGE)):
        stage.session.ages.clear()
        await stage.visit(woken=True, woken_for=woken_for)
        assert stage.session.ages == [age]
    stage.session.ages.clear()
    await stage.visit()
    assert stage.session.ages == [CALM_AGE]


def someone_who_undoes(stage):
    def undo(_):
        balancer = stage.arm.stored.get(BALANCER.lower())
        for probe in balancer["properties"]["probes"] if balancer else ():
            probe["properties"]["intervalInSeconds"] = 15

    return undo


async def test_a_change_that_is_undone_each_time_is_not_written_for_ever(stage):
    stage.session.after_write = someone_who_undoes(stage)

    following = await stage.until_waiting()

    assert following.outcome is VisitOutcome.WAITING
    assert stage.condition("Ready")["reason"] == "NotConverging"
    assert "intervalInSeconds" in stage.condition("Ready")["message"]
    assert sum(change.resource == ResourceID.parse(BALANCER) for change in stage.arm.writes) <= 5


async def test_it_is_tried_again_ever_less_often_and_ends_when_the_other_stops(stage):
    stage.session.after_write = someone_who_undoes(stage)
    pauses = [(await stage.until_waiting()).after]
    for _ in range(8):
        before = len(stage.arm.writes)
        following = await stage.visit()
        while following.outcome is VisitOutcome.CHANGED:
            following = await stage.visit()
        assert len(stage.arm.writes) == before + 1
        pauses.append(following.after)
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] < 30
    assert pauses[-1] == 300

    stage.session.after_write = lambda _: None
    assert (await stage.until_waiting()).outcome is VisitOutcome.NO_CHANGE
    assert stage.condition("Ready")["status"] == "True"


async def test_a_new_manifest_is_tried_at_once_whatever_was_before(stage):
    stage.session.after_write = someone_who_undoes(stage)
    await stage.until_waiting()
    stage.cluster.body["metadata"]["generation"] = 2
    stage.cluster.body["spec"]["healthCheck"] = {"intervalSeconds": 15}
    assert (await stage.until_waiting()).outcome is VisitOutcome.NO_CHANGE


async def test_an_operation_that_fails_each_time_is_a_failure_and_not_one_that_does_not_stick(stage):
    for attempt in range(6):
        stage.session.answers.append(Running(operation(), 0.5))
        stage.session.looks.append(Refused("Quota", "too many"))
        accepted = await stage.visit()
        assert (accepted.outcome, accepted.progress) == (VisitOutcome.CHANGED, attempt == 0)
        failed = await stage.visit()
        assert (failed.outcome, failed.progress) == (VisitOutcome.WAITING, False)
    assert stage.condition("Stalled")["reason"] == "Quota"


async def test_an_operation_that_fails_at_once_is_told_like_one_that_fails_later(stage):
    stage.session.answers.append(Running(operation(), 0))
    stage.session.looks.append(Refused("Quota", "too many"))
    await stage.visit()
    assert "OperationFailed" in [event["reason"] for event in stage.cluster.events]


async def test_an_operation_that_ended_well_is_progress_whatever_comes_next(stage):
    stage.session.answers.append(Running(operation(), 0.5))
    await stage.visit()
    stage.session.looks.append(Done())
    stage.session.answers.append(Refused("Quota", "too many"))
    following = await stage.visit()
    assert (following.outcome, following.progress) == (VisitOutcome.WAITING, True)


async def test_lost_answers_to_one_write_after_another_are_progress(stage):
    """Each took effect, so the next visit has another write to make."""
    apply = stage.session.apply

    async def lost(change, *, permit):
        await apply(change, permit=permit)
        return TryLater("AnswerLost", "the connection broke", 1)

    stage.session.apply = lost
    found = [await stage.visit() for _ in range(6)]
    assert {each.outcome for each in found} == {VisitOutcome.WAITING}
    assert all(each.progress for each in found)


async def test_what_becomes_ready_on_the_units_is_published_and_is_no_drift(stage):
    spec = stage.cluster.body["spec"]
    for unit in ("master", "slave"):
        spec[unit] = {**spec[unit], "management": {"credentialsSecretRef": {"name": "login"}}}
    spec["services"] = [
        {
            "name": "https",
            "port": 443,
            "virtualService": {"realServers": [{"address": "10.0.3.1", "port": 80}]},
        }
    ]
    stage.pairs.update(stage.cluster.body)
    await stage.until_waiting()
    balancer = stage.arm.stored[BALANCER.lower()]["properties"]
    rules = {rule["name"] for rule in balancer["loadBalancingRules"]}
    assert "lm_web_service_https" not in rules, "nobody could answer yet"

    stage.exchange.units_seen(KEY, UnitsView(ready=frozenset({"https eth0:443/tcp"})))
    await stage.until_waiting()
    balancer = stage.arm.stored[BALANCER.lower()]["properties"]
    assert "lm_web_service_https" in {rule["name"] for rule in balancer["loadBalancingRules"]}
    assert "DriftRepaired" not in {event["reason"] for event in stage.cluster.events}

    stage.exchange.units_seen(KEY, UnitsView(ready=frozenset()))
    writes = len(stage.arm.writes)
    await stage.until_waiting()
    assert len(stage.arm.writes) == writes, "what is published stays"


async def test_a_rule_in_the_way_to_real_servers_of_kubernetes_is_told_to_all_who_ask(stage):
    spec = stage.cluster.body["spec"]
    for unit in ("master", "slave"):
        spec[unit] = {**spec[unit], "management": {"credentialsSecretRef": {"name": "login"}}}
    reference = {"service": {"name": "shop", "port": "http"}}
    spec["services"] = [{"name": "https", "port": 443, "virtualService": {"realServersFrom": reference}}]
    block = rule("no-pods", direction="Outbound", destinationAddressPrefix="10.0.7.0/24")
    stage.arm.stored[SECURITY_GROUP.lower()]["properties"]["securityRules"].append(block)
    stage.pairs.update(stage.cluster.body)
    stage.exchange.wanted(KEY, stage.pairs.target(KEY))
    pods = (RealServer(0, "10.0.7.1", 8080), RealServer(0, "10.0.5.1", 8080))
    ready = frozenset({"https eth0:443/tcp"})
    stage.exchange.units_seen(KEY, UnitsView(ready=ready, endpoints={"https": pods}))
    await stage.until_waiting()

    (service,) = stage.exchange.watch_facts(KEY).services
    (found,) = service.findings
    assert (found.reason, "'no-pods'" in found.message) == ("RealServerBlocked", True)
    assert "10.0.7.1" in found.message
    assert "10.0.5.1" not in found.message
    synced = next(
        each for each in stage.cluster.body["status"]["conditions"] if each["type"] == "AzureSynced"
    )
    assert "'no-pods'" in synced["message"]

    stage.exchange.units_seen(KEY, UnitsView(endpoints={"https": pods[1:]}))
    await stage.until_waiting()
    (service,) = stage.exchange.watch_facts(KEY).services
    assert service.findings == ()


# What is remembered, and of whom ----------------------------------------------------------------------


async def test_the_plan_of_a_pair_is_not_carried_on_for_its_successor_of_the_same_name(stage):
    await stage.visit(woken=True)
    await stage.visit()
    stage.cluster.body = pair("u-2")  # deleted and created anew; its event is still on the way
    writes = len(stage.arm.writes)
    await stage.visit()
    new = stage.arm.writes[writes:]
    assert "u-1" not in str([getattr(change, "body", None) for change in new])


async def test_a_plan_that_was_held_is_made_anew_when_it_may_go_on(stage):
    await stage.visit(woken=True)
    await stage.visit()
    stage.cluster.body["metadata"]["annotations"] = {"loadmaster.dev/suspend": "true"}
    assert (await stage.visit()).outcome is VisitOutcome.NO_CHANGE
    reads = stage.arm.reads
    stage.cluster.body["metadata"]["annotations"] = {}
    await stage.visit()
    assert stage.arm.reads > reads


async def test_a_pair_that_goes_while_it_is_visited_leaves_no_figures_and_keeps_its_session_so_long(stage):
    released_during_visit = []

    async def observe(needs, **_):
        await stage.controller.forget(KEY)
        released_during_visit.extend(stage.sessions.forgotten)
        return stage.arm.observe(lambda _, observation: needs(observation), None)

    stage.session.observe = observe
    await stage.visit(woken=True)

    assert released_during_visit == []
    assert stage.sessions.forgotten == [KEY]
    assert stage.series() == []


async def test_a_pair_that_goes_between_visits_is_forgotten_at_once(stage):
    await stage.until_waiting()
    assert stage.series()
    await stage.controller.forget(KEY)
    assert stage.sessions.forgotten == [KEY]
    assert stage.series() == []


async def test_the_second_repair_of_the_same_thing_is_told_too(stage, monkeypatch):
    await stage.until_waiting()
    group = next(body for body in stage.arm.stored.values() if body["name"] == "lm-nsg")
    names = []
    for day in (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)):
        rules = group["properties"]["securityRules"]
        rules[:] = [each for each in rules if each["name"] != "lm_web_probe"]
        monkeypatch.setattr(board, "datetime", SimpleNamespace(now=lambda _, day=day: day))
        told = len(stage.cluster.events)
        await stage.until_waiting()
        names += [
            event["metadata"]["name"]
            for event in stage.cluster.events[told:]
            if event["reason"] == "DriftRepaired"
        ]
    assert len(names) == len(set(names)) == 2
