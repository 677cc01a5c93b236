"""The operator's polls are never taken for the balancer's."""

from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.controller.watching.gate import Gate
from loadmaster_ha.domain.ha import Mode
from loadmaster_ha.domain.units import ObservedState, UnitKind

STATES = st.sampled_from(ObservedState)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("told"), STATES, st.sampled_from([*Mode, None])),
        st.tuples(st.just("state"), STATES),
        st.tuples(st.just("unanswered")),
    )
)


@given(STEPS)
def test_an_appliance_is_asked_only_after_it_said_that_the_balancer_came_and_as_long_as_it_answers(steps):
    gate = Gate()
    for step in steps:
        if step[0] == "told":
            gate.told(UnitKind.APPLIANCE, step[2], step[1], "boot")
            polled = step[1] in (ObservedState.ACTIVE, ObservedState.STANDBY, ObservedState.FAILED)
            assert gate.open == (polled and step[2] in (Mode.MASTER, Mode.SLAVE))
        elif step[0] == "state":
            before = gate.open
            gate.state_told(step[1])
            assert not gate.open or before, "a state alone opened it"
            assert not (gate.open and step[1] in (ObservedState.UNCONNECTED, ObservedState.UNKNOWN))
        else:
            gate.unanswered()
            assert not gate.open


@given(STEPS)
def test_an_agent_may_always_be_asked(steps):
    gate = Gate()
    gate.told(UnitKind.AGENT, Mode.SINGLE, ObservedState.UNCONNECTED, "")
    for step in steps:
        if step[0] == "unanswered":
            gate.unanswered()
        elif step[0] == "state":
            gate.state_told(step[1])
        assert gate.open


def test_what_is_not_known_to_be_an_agent_is_not_asked():
    assert not Gate().open
