"""How long a unit that served goes on answering 503 before it ends: as long as the balancer may see it."""

import pytest
from tests.support.ha_engine import active_master

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.model import LinkEnd, LinkLost, Stop, StopRequested


def stopping():
    """A master that served and that nobody takes over from; the balancer has probed it just now."""
    return active_master().probe().give(LinkLost(LinkEnd.CLOSED), StopRequested())


def is_over(driven):
    return any(isinstance(effect, Stop) for effect in driven.effects)


def test_as_long_as_the_balancer_probes_it_answers_for_the_whole_drain_time():
    driven = stopping()
    configuration = driven.state.configuration
    began = driven.now
    while driven.now < began + configuration.drain_time - 0.5:
        assert not is_over(driven.wait(0.5).probe())
        assert driven.answer.to_balancer.code == 503
    assert is_over(driven.wait(1))


def unprobed():
    """The same, and the balancer has not probed it for so long that T probes are missing."""
    driven = active_master().probe()
    driven.wait(timing.cut_off_after(driven.state.configuration) + 1)
    return driven.give(LinkLost(LinkEnd.CLOSED), StopRequested())


def test_a_balancer_that_has_stopped_probing_is_not_waited_for():
    assert is_over(unprobed().wait(1))


def test_a_unit_that_was_frozen_first_hears_of_the_probes_that_it_has_missed():
    driven = unprobed()
    assert not is_over(driven.probe().wait(10).probe())
    assert is_over(driven.wait(driven.state.configuration.drain_time - 10))


def test_one_that_stops_probing_meanwhile_is_waited_for_until_its_probes_are_missing():
    driven = stopping()
    patience = timing.cut_off_after(driven.state.configuration)
    assert patience < driven.state.configuration.drain_time
    assert not is_over(driven.wait(patience - 0.5))
    assert is_over(driven.wait(1.5))


@pytest.mark.parametrize("drain_time", [3.0, 60.0])
def test_it_never_takes_longer_than_the_drain_time(drain_time):
    driven = active_master(drain_time=drain_time).probe().give(LinkLost(LinkEnd.CLOSED), StopRequested())
    limit = min(drain_time, timing.cut_off_after(driven.state.configuration))
    assert not is_over(driven.wait(limit - 0.5))
    assert is_over(driven.wait(1.5))
