"""Who is active and why: the diagnosis of a pair from what was seen of it."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pair_views import (
    ACTIVE,
    ADDRESSES,
    NOW,
    STANDBY,
    WELL,
    agent,
    cannot_be_asked,
    notices,
    says,
    settings,
    silent,
    unit,
    with_both,
    with_unit,
)

from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.units import (
    Active,
    AgentStatus,
    HighAvailabilitySettings,
    ObservedState,
    UnitKind,
)
from loadmaster_ha.planning.diagnosis.catalogue import CATALOGUE
from loadmaster_ha.planning.diagnosis.diagnose import diagnose, message
from loadmaster_ha.planning.diagnosis.model import (
    HealthAnswer,
    PairHealth,
    PairView,
    RuleHealth,
    ServiceView,
    Silence,
    UnitView,
)
from loadmaster_ha.planning.diagnosis.rules import CHECKS


def modes(master: Mode, slave: Mode) -> PairView:
    first = with_unit(Role.MASTER, settings=settings(Role.MASTER, mode=master))
    return with_unit(Role.SLAVE, first, settings=settings(Role.SLAVE, mode=slave))


NOT_POLLED = replace(
    with_both(health=says(503, "is unconnected"), management=Present(ObservedState.UNCONNECTED)),
    frontend=silent(Silence.TIMED_OUT),
)
DOWN = replace(
    with_both(health=silent(Silence.REFUSED), management=Unknown("Refused", "nothing listens"), agent=None),
    frontend=silent(Silence.TIMED_OUT),
)
BLOCKED = Finding("ProbeBlocked", "Rule deny-all of lm-nsg stops the probe.", Severity.BLOCKING)

CASES = {
    "as it should be": (WELL, PairHealth.ACTIVE_STANDBY, Active.MASTER),
    "the slave serves": (
        PairView(
            {
                Role.MASTER: unit(Role.MASTER, says(503, "Master is standby"), STANDBY),
                Role.SLAVE: unit(Role.SLAVE, says(200, "Slave is active"), ACTIVE),
            },
            ADDRESSES,
            8444,
            PreferredHost.NONE,
            now=NOW,
        ),
        PairHealth.ACTIVE_STANDBY,
        Active.SLAVE,
    ),
    "two kinds": (
        with_unit(Role.SLAVE, kind=UnitKind.APPLIANCE, agent=None),
        PairHealth.MIXED_UNITS,
        Active.MASTER,
    ),
    "licensing failed": (
        with_unit(Role.SLAVE, **cannot_be_asked("LicensingFailed")),
        PairHealth.LICENSING_FAILED,
        Active.MASTER,
    ),
    "no licence": (
        with_unit(Role.SLAVE, **cannot_be_asked("Unlicensed")),
        PairHealth.UNLICENSED,
        Active.MASTER,
    ),
    "licence agreement": (
        with_unit(Role.SLAVE, **cannot_be_asked("EulaNotAccepted")),
        PairHealth.UNLICENSED,
        Active.MASTER,
    ),
    "a unit boots": (
        with_unit(Role.SLAVE, **cannot_be_asked("Booting")),
        PairHealth.BOOTING,
        Active.MASTER,
    ),
    "a unit that we have rebooted": (
        replace(with_unit(Role.SLAVE, **cannot_be_asked("Refused")), changing=True),
        PairHealth.BOOTING,
        Active.MASTER,
    ),
    "fresh units": (modes(Mode.SINGLE, Mode.SINGLE), PairHealth.NOT_CONFIGURED, Active.MASTER),
    "both set to master": (modes(Mode.MASTER, Mode.MASTER), PairHealth.MODE_CONFLICT, Active.MASTER),
    "each has the other's mode": (modes(Mode.SLAVE, Mode.MASTER), PairHealth.MODE_CONFLICT, Active.MASTER),
    "check port changed on one": (
        with_unit(Role.SLAVE, settings=settings(Role.SLAVE, port=8555)),
        PairHealth.PORT_MISMATCH,
        Active.MASTER,
    ),
    "the guide's slip: its own address as partner": (
        with_unit(Role.SLAVE, settings=settings(Role.SLAVE, partner=ADDRESSES[Role.SLAVE])),
        PairHealth.PARTNER_MISMATCH,
        Active.MASTER,
    ),
    "both answer 200": (
        with_unit(Role.SLAVE, health=says(200, "Slave is active")),
        PairHealth.BOTH_ACTIVE,
        Active.BOTH,
    ),
    "never polled": (NOT_POLLED, PairHealth.UNCONNECTED, Active.NONE),
    "both refuse": (DOWN, PairHealth.NONE_ACTIVE, Active.NONE),
    "secrets differ": (
        notices(WELL, "SecretDiffers: the partner has another secret", linked=False),
        PairHealth.SECRET_MISMATCH,
        Active.MASTER,
    ),
    "the link is cut": (
        notices(WELL, "LinkCut: look at TCP 6973", linked=False),
        PairHealth.PARTNER_UNREACHABLE,
        Active.MASTER,
    ),
    "the standby has vanished": (
        with_unit(Role.SLAVE, **cannot_be_asked("TimedOut")),
        PairHealth.PARTNER_UNREACHABLE,
        Active.MASTER,
    ),
    "the standby's process is down": (
        with_unit(Role.SLAVE, **{**cannot_be_asked("Refused"), "health": silent(Silence.REFUSED)}),
        PairHealth.PARTNER_UNREACHABLE,
        Active.MASTER,
    ),
    "nothing of the right comes through the balancer": (
        replace(WELL, frontend=silent(Silence.TIMED_OUT)),
        PairHealth.BALANCER_MISCONFIGURED,
        Active.MASTER,
    ),
    "the balancer leads to the standby": (
        replace(WELL, frontend=says(503, "Slave is standby")),
        PairHealth.BALANCER_MISCONFIGURED,
        Active.MASTER,
    ),
    "Azure holds the active one down": (
        replace(
            WELL,
            rule_health=Present(
                RuleHealth(
                    frozenset(), dict.fromkeys(ADDRESSES.values(), "Down_Probe_HttpEndpointUnreachable")
                )
            ),
        ),
        PairHealth.BALANCER_MISCONFIGURED,
        Active.MASTER,
    ),
    "somebody's admin state": (
        replace(WELL, rule_health=Present(RuleHealth(frozenset(ADDRESSES.values()), {}))),
        PairHealth.BALANCER_MISCONFIGURED,
        Active.MASTER,
    ),
    "different firmware": (
        with_unit(Role.SLAVE, firmware="7.2.54.12.22642.RELEASE"),
        PairHealth.VERSION_SKEW,
        Active.MASTER,
    ),
    "an agent that cannot hand on its settings": (
        with_unit(Role.MASTER, agent=agent(ACTIVE, Role.MASTER, sync_lag=300)),
        PairHealth.SYNC_STALE,
        Active.MASTER,
    ),
    "appliances whose services differ": (
        replace(WELL, services_differ_since=NOW - 300),
        PairHealth.SYNC_STALE,
        Active.MASTER,
    ),
    "the standby answers from here, and Azure does not reach it": (
        replace(
            WELL,
            rule_health=Present(
                RuleHealth(frozenset({"10.0.2.4"}), {"10.0.2.5": "Down_Probe_HttpNoResponse"})
            ),
        ),
        PairHealth.BALANCER_MISCONFIGURED,
        Active.MASTER,
    ),
    "Azure sees it as it is": (
        replace(
            WELL,
            rule_health=Present(
                RuleHealth(frozenset({"10.0.2.4"}), {"10.0.2.5": "Down_Probe_HttpStatusCodeError"})
            ),
        ),
        PairHealth.ACTIVE_STANDBY,
        Active.MASTER,
    ),
    "a service without real servers": (
        replace(WELL, services=(ServiceView("https", "Down", {"10.0.3.4:443": "Down"}),)),
        PairHealth.SERVICE_UNREACHABLE,
        Active.MASTER,
    ),
    "nothing answers": (
        replace(with_both(**cannot_be_asked("TimedOut")), frontend=silent(Silence.TIMED_OUT)),
        PairHealth.UNKNOWN,
        Active.UNKNOWN,
    ),
    "only the page behind the balancer answers": (
        with_both(**cannot_be_asked("TimedOut")),
        PairHealth.UNKNOWN,
        Active.MASTER,
    ),
    "nothing was asked yet": (
        PairView({role: UnitView(role) for role in Role}, ADDRESSES, 8444, PreferredHost.MASTER, now=NOW),
        PairHealth.UNKNOWN,
        Active.UNKNOWN,
    ),
}


@pytest.mark.parametrize(("view", "health", "active"), CASES.values(), ids=CASES)
def test_what_was_seen_gets_its_word(view, health, active):
    found = diagnose(view)
    assert (found.health, found.active) == (health, active), message(found)


def test_every_word_has_a_case_and_an_explanation():
    assert {health for _, health, _ in CASES.values()} == set(PairHealth)
    assert set(CATALOGUE) == set(PairHealth)


def test_the_catalogue_is_in_the_order_of_the_checks():
    order = [
        next(health for view, health, _ in CASES.values() if _first(view) == i) for i in range(len(CHECKS))
    ]
    assert order == [health for health in CATALOGUE if health is not PairHealth.UNKNOWN]


def _first(view: PairView) -> int:
    return next((i for i, check in enumerate(CHECKS) if check(view) is not None), -1)


def test_every_trouble_says_what_to_do():
    for health, row in CATALOGUE.items():
        assert row.meaning
        assert bool(row.remedy) != (health is PairHealth.ACTIVE_STANDBY)


def test_what_has_a_cause_tells_the_cause_first_and_the_rest_as_evidence():
    view = with_unit(Role.SLAVE, modes(Mode.MASTER, Mode.MASTER), health=says(200, "Master is active"))
    found = diagnose(view)
    assert found.health is PairHealth.MODE_CONFLICT
    assert any("Also BothActive" in sentence for sentence in found.evidence)


def test_why_the_balancer_does_not_poll_is_told_from_azure():
    found = diagnose(replace(NOT_POLLED, azure=(BLOCKED,)))
    assert "deny-all of lm-nsg" in found.cause
    assert "AzureLoadBalancer" in found.remedy


def test_refused_is_certainly_down_and_silence_is_not():
    def slave(how: Silence) -> ObservedState:
        view = with_unit(Role.SLAVE, **{**cannot_be_asked("TimedOut"), "health": silent(how)})
        return diagnose(view).states[Role.SLAVE]

    assert slave(Silence.REFUSED) is ObservedState.FAILED
    assert slave(Silence.TIMED_OUT) is ObservedState.UNKNOWN


def test_a_silent_active_unit_is_not_given_up_while_the_balancer_shows_it():
    vanished = with_unit(Role.MASTER, **cannot_be_asked("TimedOut"))
    assert diagnose(vanished).active is Active.MASTER
    assert diagnose(replace(vanished, frontend=silent(Silence.TIMED_OUT))).active is Active.UNKNOWN


@pytest.mark.parametrize(
    ("view", "serving"),
    [
        (WELL, True),
        (replace(WELL, frontend=says(503)), False),
        (replace(WELL, frontend=None), None),
        (replace(WELL, frontend=silent(Silence.TIMED_OUT)), None),
        (replace(WELL, frontend=silent(Silence.REFUSED)), False),
        (DOWN, False),
        (replace(WELL, frontend=None, rule_health=Present(RuleHealth(frozenset({"10.0.2.4"}), {}))), True),
    ],
)
def test_whether_the_frontend_is_served(view, serving):
    assert diagnose(view).serving is serving


def test_both_active_on_purpose_during_a_planned_switchover_is_no_trouble():
    both = with_unit(Role.SLAVE, health=says(200, "Slave is active"))
    handing = with_unit(Role.MASTER, both, agent=agent(ACTIVE, Role.MASTER, switchover="request-1"))
    found = diagnose(handing)
    assert (found.health, found.healthy, found.active) == (PairHealth.ACTIVE_STANDBY, True, Active.BOTH)
    assert "switch-over is under way" in message(found)


def test_units_whose_ha_is_not_in_force_are_nobodys_active_ones():
    """A single unit calls itself active; in a first set-up that is no fail-over from one to the other."""
    fresh = replace(modes(Mode.SINGLE, Mode.SINGLE), frontend=None)
    alone = with_both(fresh, management=Present(ACTIVE), runs_alone=True, health=None)
    assert (diagnose(alone).health, diagnose(alone).active) == (PairHealth.NOT_CONFIGURED, Active.UNKNOWN)
    told = diagnose(with_both(alone, health=says(503, "HA is not configured")))
    assert (told.active, set(told.states.values())) == (Active.NONE, {ObservedState.UNKNOWN})
    assert not any("PartnerUnreachable" in sentence for sentence in told.evidence)
    serving = diagnose(with_unit(Role.MASTER, alone, health=says(200, "Master is active")))
    assert serving.active is Active.MASTER


def test_a_balancer_that_needs_its_time_is_not_blamed():
    recent = replace(says(503, "Slave is standby"), since=NOW - 5)
    assert diagnose(replace(WELL, frontend=recent)).health is PairHealth.ACTIVE_STANDBY


@pytest.mark.parametrize("seconds", [0, 121, 239])
def test_settings_that_have_been_on_their_way_for_less_than_two_periods_are_not_stale(seconds):
    lagging = with_unit(Role.MASTER, agent=agent(ACTIVE, Role.MASTER, sync_lag=seconds))
    assert diagnose(lagging).health is PairHealth.ACTIVE_STANDBY
    assert diagnose(replace(WELL, services_differ_since=NOW - seconds)).health is PairHealth.ACTIVE_STANDBY


@pytest.mark.parametrize(("asked", "counts"), [(-20, False), (5, False), (14, False), (16, True)])
def test_what_azure_said_before_it_could_notice_a_fail_over_is_no_evidence(asked, counts):
    """It says what was so before the slave took over, 30 s ago; its probes take up to 15."""
    taken_over = NOW - 30
    before = RuleHealth(frozenset({"10.0.2.4"}), {"10.0.2.5": "Down_Probe_HttpStatusCodeError"})
    view = replace(
        WELL,
        units={
            Role.MASTER: unit(Role.MASTER, says(503, "Master is standby", taken_over - 1), STANDBY),
            Role.SLAVE: unit(Role.SLAVE, says(200, "Slave is active", taken_over), ACTIVE),
        },
        frontend=None,
        rule_health=Present(before),
        rule_health_at=taken_over + asked,
    )
    found = diagnose(view)
    assert found.active is Active.SLAVE
    assert found.health is (PairHealth.BALANCER_MISCONFIGURED if counts else PairHealth.ACTIVE_STANDBY)
    assert found.serving is (False if counts else None)


_answers = st.one_of(
    st.none(),
    st.builds(
        HealthAnswer,
        st.sampled_from([200, 503, 404]),
        st.sampled_from(
            ["Master is active", "Slave is active", "Slave is standby", "First is active", "", "<html>"]
        ),
        since=st.floats(0, NOW),
    ),
    st.builds(HealthAnswer, st.none(), silence=st.sampled_from(Silence), since=st.floats(0, NOW)),
)
_managements = st.one_of(
    st.just(Absent()),
    st.builds(Present, st.sampled_from(ObservedState)),
    st.builds(
        Unknown,
        st.sampled_from(["TimedOut", "Refused", "Booting", "Unlicensed", "Unauthorized"]),
        st.just("so it is"),
    ),
)
_settings = st.one_of(
    st.none(),
    st.builds(
        HighAvailabilitySettings,
        st.sampled_from(Mode),
        st.one_of(st.none(), st.sampled_from(PreferredHost)),
        st.sampled_from([None, *ADDRESSES.values()]),
        st.sampled_from([None, 8444, 8555]),
    ),
)
_agents = st.one_of(
    st.none(),
    st.builds(
        AgentStatus,
        st.just(1),
        st.sampled_from(Mode),
        st.sampled_from(ObservedState),
        partner_connected=st.booleans(),
        sync_lag=st.one_of(st.none(), st.integers(0, 1000)),
        notices=st.sampled_from(
            [(), ("LinkCut: x",), ("SecretDiffers: x",), ("BothActive: x", "SameMode: y")]
        ),
    ),
)


@st.composite
def views(draw: st.DrawFn) -> PairView:
    units = {
        role: UnitView(
            role,
            draw(st.sampled_from([None, *UnitKind])),
            draw(st.sampled_from(["", "7.2.54.12.1.RELEASE", "7.2.61.0"])),
            draw(_answers),
            draw(_managements),
            draw(_settings),
            agent=draw(_agents),
        )
        for role in Role
    }
    rule = RuleHealth(frozenset({"10.0.2.4"}), {"10.0.2.5": "Down_Probe_HttpStatusCodeError"})
    return PairView(
        units,
        ADDRESSES,
        8444,
        PreferredHost.MASTER,
        draw(_answers),
        "10.0.2.100",
        draw(st.sampled_from([Absent(), Unknown("Throttled", "later"), Present(rule)])),
        azure=draw(st.sampled_from([(), (BLOCKED,)])),
        changing=draw(st.booleans()),
        now=NOW,
    )


@given(views())
def test_anything_seen_gets_one_word_in_whole_sentences(view):
    found = diagnose(view)
    assert found.healthy is CATALOGUE[found.health].healthy
    for sentence in (found.cause, *found.evidence):
        assert sentence.endswith(".")
        assert not re.search(r"\bNone\b", sentence)


@given(views())
def test_nobody_is_called_active_who_says_otherwise(view):
    found = diagnose(view)
    for role in Role:
        health = view.units[role].health
        if health is not None and health.code not in (None, 200):
            assert found.active not in (Active(role.value), Active.BOTH)
        if health is not None and health.good:
            assert found.active in (Active(role.value), Active.BOTH)


def test_why_a_unit_turned_active_is_not_told_as_if_it_were_still_so():
    why = "the partner 10.0.2.5 refuses the link"
    view = with_unit(Role.MASTER, agent=agent(ObservedState.ACTIVE, Role.MASTER, detail=why))
    assert f'it turned active because: "{why}"' in " ".join(diagnose(view).evidence)


@given(views(), st.floats(0, 100_000))
def test_words_do_not_change_with_time_alone(view, shift):
    """What is stored in status must not be written anew with each look."""

    def later(answer: HealthAnswer | None) -> HealthAnswer | None:
        return answer and replace(answer, since=answer.since + shift, at=answer.at + shift)

    units = {role: replace(it, health=later(it.health)) for role, it in view.units.items()}
    shifted = replace(view, units=units, frontend=later(view.frontend), now=view.now + shift)
    assert message(diagnose(shifted)) == message(diagnose(view))
