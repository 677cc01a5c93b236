"""The watch lane with the real client over real connections; only Kubernetes and Azure are scripted."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from tests.support.light_units import API_KEY, fingerprint_of, frontend_address, light_units, unit_address
from tests.support.pem import self_signed

from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.lease import LeaseLost
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.watching import lane as lanes
from loadmaster_ha.controller.watching import management, pair_watch, services
from loadmaster_ha.controller.watching.lane import WatchLane
from loadmaster_ha.controller.watching.model import StoredWatch, WatchedService, WatchFacts
from loadmaster_ha.controller.watching.schedule import Pace
from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.reading import Present, Unknown
from loadmaster_ha.domain.units import Active, ObservedState, Trigger, UnitKind
from loadmaster_ha.loadmaster.client import UnitClient
from loadmaster_ha.loadmaster.connections import Connections, Endpoint
from loadmaster_ha.loadmaster.trust import Pinned
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.planning.arm import network
from loadmaster_ha.planning.diagnosis.model import PairHealth, RuleHealth
from loadmaster_ha.telemetry.operator import OperatorMetrics

WEB = PairKey("edge", "web")
RULE = network("s", "g", "loadBalancers", "web").child("loadBalancingRules", "lm_web_check")
PATIENCE = 20
"""Seconds: a safety limit."""


class Neighbours:
    """Exchange, board, Azure and clients, as far as the lane needs them."""

    def __init__(self, units, fingerprint, connections, metrics):
        self.units = units
        self.facts = {
            WEB: WatchFacts(
                addresses={role: unit_address(0, role.value) for role in Role},
                check_port=units.health_port,
                preferred_host=PreferredHost.NONE,
                frontend=frontend_address(0),
                health_rule=RULE,
                services=(WatchedService("https", "lm_web_https@12345678"),),
            )
        }
        self.stored = StoredWatch()
        self.situations, self.events, self.seen = [], [], []
        self.revisions = {role: [] for role in Role}
        self.problems = []
        self.rule_health_asked = 0
        self.rule_health_says = Unknown("AuthorizationFailed", "no")
        self.clients = {
            role: UnitClient(
                Endpoint(unit_address(0, role.value), units.management_port),
                Pinned(fingerprint),
                UnitCredentials(apikey=API_KEY),
                connections=connections,
                observer=metrics,
            )
            for role in Role
        }
        self.refused = None

    def watch_facts(self, key):
        return self.facts.get(key)

    def stored_watch(self, _key):
        return self.stored

    def watched(self, _key, situation):
        self.seen.append(situation)

    def settings_told(self, _key, role, revision):
        self.revisions[role].append(revision)

    async def caller(self, _key, role):
        return self.refused or Present(self.clients[role])

    def azure_session(self, _key):
        return self

    async def rule_health(self, rule):
        assert rule == RULE
        self.rule_health_asked += 1
        return self.rule_health_says

    async def until(self, check):
        await eventually(lambda: self.situations and check(self.situations[-1]))
        return self.situations[-1]


async def eventually(check):
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110 - many things are waited for
            await asyncio.sleep(0.01)


class Board:
    def __init__(self, neighbours):
        self._neighbours = neighbours

    async def watched(self, _key, situation):
        if self._neighbours.problems:
            raise self._neighbours.problems.pop(0)
        self._neighbours.situations.append(situation)

    async def event(self, _key, event):
        self._neighbours.events.append(event)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    path = tmp_path_factory.mktemp("unit") / "unit.pem"
    path.write_text(self_signed("loadmaster.test"))
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lanes, "PACE", Pace(0.3, 0.1))
    monkeypatch.setattr(lanes, "EVALUATED_EVERY", 0.3)


@asynccontextmanager
async def watching(certificate, *, start=True, **options):
    fingerprint = fingerprint_of(certificate.read_text())
    async with light_units(1, str(certificate), **options) as units, Connections() as connections:
        metrics = OperatorMetrics(version="0", kopf_version="0")
        neighbours = Neighbours(units, fingerprint, connections, metrics)
        lane = WatchLane(
            facts=neighbours, units=neighbours, azure=neighbours, board=Board(neighbours), figures=metrics
        )
        neighbours.lane, neighbours.metrics = lane, metrics
        task = neighbours.task = asyncio.create_task(lane.run())
        await asyncio.sleep(0)
        if start:
            lane.refresh(WEB)
        yield neighbours
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def healthy(situation):
    return situation.diagnosis.health is PairHealth.ACTIVE_STANDBY


def value(metrics, line):
    page = generate_latest(metrics.registry).decode()
    return next((float(each.rsplit(" ", 1)[1]) for each in page.splitlines() if each.startswith(line)), None)


async def test_a_healthy_pair_is_told_once_with_everything_about_it(certificate):
    async with watching(certificate) as pair:
        situation = await pair.until(healthy)
        assert situation.diagnosis.active is Active.MASTER
        assert situation.diagnosis.serving is True
        assert {role: sight.state for role, sight in situation.units.items()} == {
            Role.MASTER: ObservedState.ACTIVE,
            Role.SLAVE: ObservedState.STANDBY,
        }
        assert {sight.kind for sight in situation.units.values()} == {UnitKind.AGENT}
        assert situation.failover is None
        await eventually(lambda: "service_up{" in generate_latest(pair.metrics.registry).decode())
        told = len(pair.situations)
        await asyncio.sleep(1.5)
        assert len(pair.situations) == told, "nothing changed, and it was told again"
        assert pair.events == []
        assert value(pair.metrics, 'loadmaster_pair_active{namespace="edge",pair="web",unit="Master"}') == 1
        assert value(pair.metrics, "loadmaster_frontend_up") == 1
        assert value(pair.metrics, "loadmaster_watched_pairs") == 1
        assert value(pair.metrics, "loadmaster_unit_connections") == 3
        assert value(pair.metrics, "loadmaster_unit_certificate_expiry_timestamp_seconds") > 1.7e9
        assert value(pair.metrics, 'loadmaster_watch_polls_total{outcome="200",polled="Health"}') > 1
        assert value(pair.metrics, "loadmaster_watch_report_seconds_count") == told
        assert value(pair.metrics, "loadmaster_watch_delay_seconds_count") > 1
        state = 'loadmaster_unit_state{namespace="edge",pair="web",state="Standby",unit="Slave"}'
        assert value(pair.metrics, state) == 1
        info = 'loadmaster_unit_info{firmware="7.2.60.0.agent",kind="Agent",namespace="edge",pair="web"'
        assert value(pair.metrics, info) == 1
        assert value(pair.metrics, 'loadmaster_unit_requests_total{command="agentstatus",outcome="Ok"}') > 0
        assert value(pair.metrics, 'loadmaster_service_up{namespace="edge",pair="web",service="https"}') == 1


def questions(pair):
    """Which units keep a question of the operator's."""
    return {Role(role) for role, unit in pair.units.pairs[0].units.items() if unit.waiting}


@pytest.fixture
def short_rounds(monkeypatch):
    """Pairs come to rest within the safety limit."""
    monkeypatch.setattr(management, "ROUND_SECONDS", 4.0)
    monkeypatch.setattr(management, "SHORTEST_FIRST", 0.5)
    monkeypatch.setattr(pair_watch, "RESTLESS_SECONDS", 2.0)


@pytest.mark.usefixtures("short_rounds")
async def test_a_pair_at_rest_is_watched_by_one_question_and_without_a_task_of_its_own(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)

        def at_rest():
            tasks = [each for each in asyncio.all_tasks() if str(WEB) in each.get_name()]
            return not tasks and questions(pair) == {Role.SLAVE}

        await eventually(at_rest)
        asked = {role: len(told) for role, told in pair.revisions.items()}
        await eventually(lambda: all(len(pair.revisions[role]) > asked[role] + 1 for role in Role))


@pytest.mark.usefixtures("short_rounds")
async def test_of_an_active_unit_that_nothing_is_asked_of_its_standby_tells(certificate, monkeypatch):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        await eventually(lambda: questions(pair) == {Role.SLAVE})
        monkeypatch.setattr(management, "ROUND_SECONDS", 3600.0)
        rounds = pair.lane._watched[WEB].rounds[Role.MASTER]
        await eventually(lambda: rounds._pause > PATIENCE)  # it would not be asked again in this test
        for poll in pair.lane._polls_of(WEB):
            pair.lane._timetable.remove(poll)
        pair.units.pairs[0].units["Master"].turn("Failed", "HAProxyDown")
        track = pair.lane._watched[WEB].watch.units[Role.MASTER]
        await eventually(lambda: track.agent.state is ObservedState.FAILED)
        assert track.agent.reason == "HAProxyDown"


@pytest.mark.usefixtures("short_rounds")
async def test_a_standby_that_cannot_tell_of_its_partner_is_not_relied_upon(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        await eventually(lambda: questions(pair) == {Role.SLAVE})
        slave = pair.units.pairs[0].units["Slave"]
        slave.linked = False
        slave.turn("Standby", "PartnerUnreachable")
        await eventually(lambda: questions(pair) == set(Role))
        slave.linked = True
        slave.turn("Standby", "PartnerActive")
        await eventually(lambda: questions(pair) == {Role.SLAVE})
        pair.refused = Unknown("SecretNotFound", "gone")
        slave.turn("Standby", "PartnerActive")
        await eventually(lambda: not pair.lane._watched[WEB].watch.told_by_partner(Role.MASTER, 1e9))


async def test_a_pair_that_goes_at_once_leaves_nothing_behind(certificate):
    async with watching(certificate, start=False) as pair:
        pair.lane.refresh(WEB)
        begun = [each for each in asyncio.all_tasks() if str(WEB) in each.get_name()]
        pair.lane.forget(WEB)
        await asyncio.gather(*begun, return_exceptions=True)
        assert [each.cancelled() for each in begun] == [True, True]
        assert pair.units.counts["management"] == 0


@pytest.fixture
def short_looks(monkeypatch):
    """What serves is looked at again within the safety limit."""
    monkeypatch.setattr(services, "DOUBT_SECONDS", 0.3)
    monkeypatch.setattr(services, "DOWN_SECONDS", 0.6)
    monkeypatch.setattr(services, "CHECKED_WITHIN", 0.6)
    monkeypatch.setattr(services, "WRITTEN_SECONDS", 0.2)
    monkeypatch.setattr(management, "LEAST_BETWEEN_LOOKS", 0.1)


SERVICE_UP = 'loadmaster_service_up{namespace="edge",pair="web",service="https"}'


def looks(pair):
    return pair.units.counts["services"]


def nothing_more_is_wanted(pair):
    return not any(each._services_timer for each in pair.lane._watched[WEB].rounds.values())


@pytest.mark.usefixtures("short_looks")
async def test_a_service_that_is_down_at_the_first_look_and_up_at_the_second_is_never_told(certificate):
    async with watching(certificate, start=False) as pair:
        pair.units.pairs[0].service_says = ["Down", "Up"]
        pair.lane.refresh(WEB)
        await pair.until(healthy)
        await eventually(lambda: value(pair.metrics, SERVICE_UP) == 1)
        assert looks(pair) == 2
        assert {each.diagnosis.health for each in pair.seen} <= {
            PairHealth.ACTIVE_STANDBY,
            PairHealth.UNKNOWN,
        }
        assert nothing_more_is_wanted(pair)


@pytest.mark.usefixtures("short_looks", "short_rounds")
async def test_a_service_that_stays_down_is_told_and_its_recovery_as_well(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        await eventually(lambda: looks(pair) == 1)
        pair.units.pairs[0].service_says = ["Down"]
        pair.lane._watched[WEB].rounds[Role.MASTER]._services_at = float("-inf")  # a minute is over
        async with asyncio.timeout(PATIENCE):
            while looks(pair) == 1:  # a change while it is still being looked at is no news to wait for
                pair.units.pairs[0].units["Master"].change_settings()
                await asyncio.sleep(0.2)
        situation = await pair.until(lambda each: each.diagnosis.health is PairHealth.SERVICE_UNREACHABLE)
        assert "https" in situation.diagnosis.cause
        assert looks(pair) >= 3
        await eventually(lambda: value(pair.metrics, SERVICE_UP) == 0)
        pair.units.pairs[0].service_says = ["Up"]
        await pair.until(healthy)
        await eventually(lambda: value(pair.metrics, SERVICE_UP) == 1)
        await eventually(lambda: nothing_more_is_wanted(pair))


@pytest.mark.usefixtures("short_looks")
async def test_what_serves_is_looked_at_soon_after_services_were_written_and_then_no_more(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        await eventually(lambda: looks(pair) == 1)
        assert nothing_more_is_wanted(pair)
        pair.facts[WEB] = replace(pair.facts[WEB], services_written_at=time.monotonic())
        pair.lane.refresh(WEB)
        await eventually(lambda: looks(pair) == 2)
        await eventually(lambda: nothing_more_is_wanted(pair))


@pytest.mark.usefixtures("short_looks", "short_rounds")
async def test_a_look_between_two_rounds_that_fails_is_made_up_for_by_the_next_round(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        await eventually(lambda: looks(pair) == 1)
        pair.units.pairs[0].service_says = ["Refused", "Up"]
        pair.facts[WEB] = replace(pair.facts[WEB], services_written_at=time.monotonic())
        pair.lane.refresh(WEB)
        await eventually(lambda: looks(pair) == 3)
        assert healthy(pair.situations[-1])
        assert isinstance(pair.lane._watched[WEB].watch.units[Role.MASTER].management, Present)


@pytest.mark.usefixtures("short_looks")
async def test_of_a_pair_that_goes_no_look_at_its_services_is_left(certificate):
    async with watching(certificate, start=False) as pair:
        pair.units.pairs[0].service_says = ["Down"]
        pair.lane.refresh(WEB)
        await pair.until(lambda each: each.diagnosis.health is PairHealth.SERVICE_UNREACHABLE)
        await eventually(lambda: not nothing_more_is_wanted(pair))
        timers = [each._services_timer for each in pair.lane._watched[WEB].rounds.values()]
        pair.lane.forget(WEB)
        assert all(timer is None or timer.cancelled() for timer in timers)


async def test_a_change_of_who_is_active_is_told_counted_and_measured(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        pair.units.change(0, "PartnerSilent")
        situation = await pair.until(lambda each: each.diagnosis.active is Active.SLAVE and healthy(each))
        assert situation.failover.target is Role.SLAVE
        assert situation.failover.trigger is Trigger.SILENT
        await pair.until(lambda each: each.failover is not None and each.failover.seconds is not None)
        await eventually(lambda: pair.events)
        assert pair.events[0].reason == "FailedOver"
        assert pair.events[0].warning
        labels = '{from="Master",namespace="edge",pair="web",to="Slave",trigger="Silent"}'
        assert value(pair.metrics, f"loadmaster_failovers_total{labels}") == 1
        assert value(pair.metrics, "loadmaster_failover_duration_seconds_count") == 1
        assert value(pair.metrics, "loadmaster_last_failover_timestamp_seconds") > 1.7e9
        assert pair.seen[-1].diagnosis.active is Active.SLAVE


async def test_an_agent_announces_a_change_that_no_poll_was_due_for(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        for poll in pair.lane._polls_of(WEB):
            pair.lane._timetable.remove(poll)
        pair.units.change(0)
        track = pair.lane._watched[WEB].watch.units[Role.SLAVE]
        await eventually(lambda: track.agent.state is ObservedState.ACTIVE)


async def test_an_agent_announces_that_its_settings_changed_and_they_are_read_at_once(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        assert {role: told[-1] for role, told in pair.revisions.items()} == dict.fromkeys(Role, 1)
        slave = pair.units.pairs[0].units["Slave"]
        slave.settings["HaMode"] = "master"
        slave.change_settings()
        track = pair.lane._watched[WEB].watch.units[Role.SLAVE]
        await eventually(lambda: track.settings.mode is Mode.MASTER)
        assert pair.revisions[Role.SLAVE][-1] == 2
        assert pair.revisions[Role.MASTER][-1] == 1


async def test_who_cannot_be_asked_announces_nothing(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        pair.refused = Unknown("SecretNotFound", "gone")
        pair.units.pairs[0].units["Slave"].change_settings()
        await eventually(lambda: pair.revisions[Role.SLAVE][-1] is None)


async def test_of_many_pairs_that_change_at_once_only_some_are_polled_at_the_fast_pace(
    certificate, monkeypatch
):
    monkeypatch.setattr(lanes, "MOST_RESTLESS", 1)
    async with watching(certificate) as pair:
        await pair.until(healthy)
        lane = pair.lane
        assert lane._may_hasten(PairKey("edge", "other"), 0.0, 30.0)
        assert not lane._may_hasten(WEB, 29.0, 59.0)
        assert lane._may_hasten(WEB, 31.0, 61.0), "the other one is calm again"


async def test_what_the_api_server_does_not_take_is_written_when_it_does_and_the_latest_wins(certificate):
    async with watching(certificate, start=False) as pair:
        pair.problems = [KubernetesError(503, "Unavailable", "no")] * 2
        pair.lane.refresh(WEB)
        await pair.until(healthy)
        assert pair.problems == []
        assert pair.seen[-1] == pair.situations[-1]


async def test_without_the_lease_nothing_more_is_watched(certificate):
    async with watching(certificate, start=False) as pair:
        pair.problems = [LeaseLost("gone")]
        pair.lane.refresh(WEB)
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(pair.task, PATIENCE)
        assert value(pair.metrics, "loadmaster_watched_pairs") == 0


async def test_a_pair_that_is_gone_leaves_no_poll_no_task_and_no_series(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        pair.facts.clear()
        pair.lane.refresh(WEB)
        assert len(pair.lane._timetable) == 0
        await eventually(lambda: not pair.lane._polls)
        await eventually(lambda: not any("edge/web" in task.get_name() for task in asyncio.all_tasks()))
        assert "edge" not in generate_latest(pair.metrics.registry).decode()
        before = dict(pair.units.counts)
        await asyncio.sleep(0.7)
        assert pair.units.counts == before


async def test_a_frozen_unit_is_silent_and_its_standby_takes_over(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        pair.units.pairs[0].units["Master"].silent = True
        pair.units.pairs[0].units["Slave"].turn("Active", "PartnerSilent")
        situation = await pair.until(lambda each: each.diagnosis.active is Active.SLAVE)
        assert situation.failover.trigger is Trigger.SILENT


async def test_credentials_that_are_missing_are_said_to_be_and_the_health_ports_of_known_agents_still_tell(
    certificate,
):
    async with watching(certificate, start=False) as pair:
        pair.refused = Unknown("SecretNotFound", "There is no Secret edge/lm-0-login.")
        pair.stored = StoredWatch(Active.MASTER, dict.fromkeys(Role, UnitKind.AGENT))
        pair.lane.refresh(WEB)
        situation = await pair.until(lambda each: each.diagnosis.active is Active.MASTER)
        assert "SecretNotFound" in " ".join(situation.diagnosis.evidence)
        assert situation.failover is None


async def test_a_unit_whose_management_is_elsewhere_is_asked_there_at_once_and_no_old_word_counts(
    certificate, monkeypatch
):
    monkeypatch.setattr(management, "patience", lambda **_: 3600)
    async with watching(certificate) as pair:
        await pair.until(healthy)
        right = pair.clients[Role.SLAVE]
        told, pair.clients[Role.SLAVE] = len(pair.situations), pair.clients[Role.MASTER]
        pair.lane.ask_anew(WEB, Role.SLAVE, another=True)
        await pair.until(lambda each: each.diagnosis.health is PairHealth.MODE_CONFLICT)
        assert not any(healthy(each) for each in pair.situations[told:]), "as was said of the unit before"
        told, pair.clients[Role.SLAVE] = len(pair.situations), right
        pair.lane.ask_anew(WEB, Role.SLAVE, another=True)
        await pair.until(healthy)
        assert all(healthy(each) for each in pair.situations[told:])


async def test_a_unit_with_other_credentials_is_asked_at_once(certificate, monkeypatch):
    monkeypatch.setattr(management, "patience", lambda **_: 3600)
    monkeypatch.setattr(management, "FIRST_PAUSE", 3600)
    monkeypatch.setattr(management, "ROUND_SECONDS", 3600)
    monkeypatch.setattr(management, "RESTLESS_ROUND_SECONDS", 3600)
    async with watching(certificate, start=False) as pair:
        pair.refused = Unknown("Unauthorized", "no")
        pair.stored = StoredWatch(Active.MASTER, dict.fromkeys(Role, UnitKind.AGENT))
        pair.lane.refresh(WEB)
        await pair.until(lambda each: "Unauthorized" in " ".join(each.diagnosis.evidence))
        pair.refused = None
        for role in Role:
            pair.lane.ask_anew(WEB, role, another=False)
        await pair.until(lambda each: healthy(each) and "Unauth" not in " ".join(each.diagnosis.evidence))


async def test_another_check_port_is_polled_as_soon_as_it_is_known(certificate):
    async with watching(certificate) as pair:
        await pair.until(healthy)
        pair.facts[WEB] = replace(pair.facts[WEB], check_port=1)
        pair.lane.refresh(WEB)
        await pair.until(lambda each: each.diagnosis.health is PairHealth.PORT_MISMATCH)
        pair.facts[WEB] = replace(pair.facts[WEB], check_port=pair.units.health_port)
        pair.lane.refresh(WEB)
        await pair.until(healthy)


async def test_azure_is_asked_when_it_may_know_more_and_not_again_and_again(certificate, monkeypatch):
    monkeypatch.setattr(pair_watch, "AZURE_ASKED_AFTER", 0.3)
    async with watching(certificate) as pair:
        await pair.until(healthy)
        assert pair.rule_health_asked == 0
        for unit in pair.units.pairs[0].units.values():
            unit.turn("Standby", "PartnerActive")
        pair.rule_health_says = Present(RuleHealth(frozenset(), {unit_address(0, "Master"): "Down_Admin"}))
        situation = await pair.until(lambda each: "Down_Admin" in " ".join(each.diagnosis.evidence))
        assert situation.diagnosis.health is PairHealth.NONE_ACTIVE
        await asyncio.sleep(1)
        assert pair.rule_health_asked == 1
        assert value(pair.metrics, 'loadmaster_watch_polls_total{outcome="Ok",polled="RuleHealth"}') == 1


async def test_an_appliance_is_not_asked_before_the_balancer_has_polled_it(certificate):
    async with watching(certificate, start=False, appliances=True) as pair:
        pair.units.journal = True
        for unit in pair.units.pairs[0].units.values():
            unit.state = "Unconnected"
        pair.lane.refresh(WEB)
        situation = await pair.until(lambda each: each.diagnosis.health is PairHealth.UNCONNECTED)
        assert {sight.kind for sight in situation.units.values()} == {UnitKind.APPLIANCE}
        await asyncio.sleep(1)
        assert pair.units.asked == {}
        pair.units.pairs[0].units["Master"].state = "Active"
        pair.units.pairs[0].units["Slave"].state = "Standby"
        for watched in pair.lane._watched.values():
            for rounds in watched.rounds.values():
                rounds._settings_at = float("-inf")
                rounds.hurry()
        await pair.until(healthy)
        await eventually(lambda: len(pair.units.asked) == 2)
        pair.units.pairs[0].units["Master"].silent = True
        await eventually(lambda: not pair.lane._watched[WEB].watch.units[Role.MASTER].gate.open)
        asked = len(pair.units.asked[unit_address(0, "Master")])
        await asyncio.sleep(1)
        assert len(pair.units.asked[unit_address(0, "Master")]) == asked
