"""Whatever the order of events: the engine is pure, never stumbles, and never contradicts itself."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.support.ha_engine import configuration, report

from loadmaster_ha.agent.ha import answers, engine
from loadmaster_ha.agent.ha.model import (
    Answer,
    Configured,
    DataPlane,
    DrainEnded,
    DrainRequested,
    HandoverKind,
    LinkEnd,
    LinkLost,
    Page,
    PartnerPage,
    PartnerReported,
    Probed,
    Stop,
    StopRequested,
    SwitchoverRequested,
    SwitchoverUndone,
    Tick,
    Transition,
    WitnessAnswered,
)
from loadmaster_ha.agent.ha.wire import decode, encode
from loadmaster_ha.agent.ha.work import Work
from loadmaster_ha.domain.ha import Mode, PreferredHost, UnitState

MODES = st.sampled_from([Mode.MASTER, Mode.SLAVE])
DURATIONS = st.floats(0, 500)
WORDS = st.sampled_from(["", "s1", "s2", "failback-boot-1-1"])
REPORTS = st.builds(
    lambda state, mode, **changes: replace(report(state, mode), **changes),
    st.sampled_from(UnitState),
    st.sampled_from(Mode),
    boot_id=st.sampled_from(["a", "b"]),
    preferred_host=st.sampled_from(PreferredHost),
    check_port=st.sampled_from([8444, 8445]),
    healthy=st.booleans(),
    active_for=DURATIONS,
    healthy_for=DURATIONS,
    handover=WORDS,
    handover_ready=WORDS,
    handover_kind=st.sampled_from(HandoverKind),
    handover_hold=st.none() | DURATIONS,
    probe_age=st.none() | DURATIONS,
    confirmed=st.booleans(),
    insists=st.booleans(),
    held=WORDS,
    undo=WORDS,
    wants=WORDS,
)
PAGES = st.sampled_from(Page)
SAYS = st.sampled_from(["", "Master is active", "Slave is active", "Slave is standby", "<html>"])
EVENTS = st.one_of(
    st.just(Tick()),
    st.builds(PartnerReported, REPORTS),
    st.builds(LinkLost, st.sampled_from(LinkEnd)),
    st.builds(PartnerPage, PAGES, SAYS),
    st.builds(WitnessAnswered, PAGES, SAYS),
    st.builds(Probed, st.sampled_from([200, 503]), st.integers(1, 3)),
    st.builds(DataPlane, st.booleans()),
    st.builds(SwitchoverRequested, WORDS, st.sampled_from(Mode), st.none() | DURATIONS),
    st.just(SwitchoverUndone()),
    st.builds(DrainRequested, st.none() | DURATIONS),
    st.just(DrainEnded()),
    st.builds(
        lambda mode, preferred, partner: Configured(
            configuration(mode, preferred_host=preferred, partner=partner)
        ),
        st.sampled_from(Mode),
        st.sampled_from(PreferredHost),
        st.sampled_from(["10.0.2.5", None]),
    ),
)
PAUSES = st.sampled_from([0.0, 0.01, 0.3, 0.5, 1.0, 1.4, 3.0, 30.0])
STORIES = st.lists(st.tuples(PAUSES, EVENTS), max_size=40)


def lived(mode, story):
    now = 50_000.0
    state = engine.start(now, "boot-1")
    steps = []
    for pause, event in [(0.0, Configured(configuration(mode))), *story]:
        now += pause
        before = state
        state, effects = engine.step(state, event, now)
        steps.append((before, event, now, state, effects))
    return steps


@given(MODES, STORIES)
def test_a_step_is_a_function_of_its_arguments(mode, story):
    for before, event, now, after, effects in lived(mode, story):
        assert engine.step(before, event, now) == (after, effects)


@given(MODES, STORIES)
def test_the_answer_always_fits_the_state(mode, story):
    said = None
    for _, _, _, after, effects in lived(mode, story):
        told = [effect for effect in effects if isinstance(effect, Answer)]
        said = told[-1] if told else said
        role = after.configuration.mode.role
        withdrawn = after.drain is not None or after.stop is not None
        assert said == answers.answer(after.state, role, eligible=after.serving, withdrawn=withdrawn)
        if after.state is UnitState.ACTIVE:
            assert after.healthy is True
            assert after.probes.first is not None
            assert after.active_since is not None


@given(MODES, STORIES)
def test_transitions_make_a_chain_and_say_why(mode, story):
    state = UnitState.UNCONNECTED
    for _, _, _, after, effects in lived(mode, story):
        for change in (effect for effect in effects if isinstance(effect, Transition)):
            assert change.old is state
            assert change.new is not change.old
            assert change.reason
            assert change.message
            state = change.new
        assert after.state is state


@given(MODES, STORIES)
def test_the_next_deadline_is_ahead_and_a_tick_there_goes_on(mode, story):
    _, _, now, state, _ = lived(mode, story)[-1]
    for _ in range(20):
        due = engine.next_deadline(state, now)
        assert now < due <= now + state.configuration.heartbeat_interval + 1e-6
        now = due
        state, _ = engine.step(state, Tick(), now)


@given(MODES, STORIES)
def test_a_clean_stop_always_comes_to_its_end(mode, story):
    _, _, now, state, _ = lived(mode, story)[-1]
    state, effects = engine.step(state, StopRequested(), now)
    effects = list(effects)
    for _ in range(400):
        if any(isinstance(effect, Stop) for effect in effects):
            break
        now = engine.next_deadline(state, now)
        state, more = engine.step(state, Tick(), now)
        effects += more
    assert sum(isinstance(effect, Stop) for effect in effects) == 1
    assert state.state is not UnitState.ACTIVE


@given(MODES, STORIES)
def test_the_working_copy_carries_every_part_of_the_state(mode, story):
    _, _, now, state, _ = lived(mode, story)[-1]
    assert Work(state, now).frozen() == state._replace(stepped=now)


@given(REPORTS)
def test_a_heartbeat_survives_the_link(partner):
    assert decode(encode(partner)) == partner
