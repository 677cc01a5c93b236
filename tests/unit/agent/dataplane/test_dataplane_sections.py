"""What of a LoadMaster's numbers becomes what of HAProxy's."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.dataplane.sections import EQUAL, HEAVIEST, persistence_of, scaled_weights, servers_of
from loadmaster_ha.domain.virtual_services import RealServer, Schedule, ServiceKey, VirtualService

weights = st.lists(st.integers(1, 65535), min_size=1, max_size=50)


def servers(values):
    return [RealServer(index, "10.0.0.5", index, weight=weight) for index, weight in enumerate(values, 1)]


def service(schedule, *real_servers, **more):
    return VirtualService(1, ServiceKey("10.0.2.4", 80), schedule=schedule, real_servers=real_servers, **more)


@given(weights)
def test_weights_keep_their_proportions_within_the_stated_rounding(values):
    scaled = scaled_weights(servers(values))
    assert max(scaled.values()) == HEAVIEST
    for index, weight in enumerate(values, 1):
        exact = Fraction(weight * HEAVIEST, max(values))
        assert abs(scaled[index] - exact) <= Fraction(1, 2) or (scaled[index] == 1 and exact < 1)


@given(weights)
def test_no_weight_becomes_nothing_and_the_order_stays(values):
    scaled = scaled_weights(servers(values))
    assert min(scaled.values()) >= 1
    by_weight = sorted(range(1, len(values) + 1), key=lambda index: values[index - 1])
    assert [scaled[index] for index in by_weight] == sorted(scaled.values())


@given(weights)
def test_fixed_has_the_heaviest_first_and_the_older_among_equals(values):
    named = [each.name for each in servers_of(service(Schedule.FIXED, *servers(values)))]
    expected = sorted(range(len(values)), key=lambda place: (-values[place], place))
    assert named == [f"rs_{place + 1}" for place in expected]


@pytest.mark.parametrize("schedule", [Schedule.ROUND_ROBIN, Schedule.LEAST_CONNECTION, Schedule.SOURCE_HASH])
def test_methods_that_look_at_no_weights_get_equal_ones(schedule):
    assert {each.weight for each in servers_of(service(schedule, *servers([1, 65535])))} == {EQUAL}


def test_a_draining_server_has_no_weight_and_takes_persistent_clients():
    draining, disabled = servers_of(
        service(
            Schedule.ROUND_ROBIN,
            RealServer(1, "10.0.0.5", 80, enabled=False, draining=True),
            RealServer(2, "10.0.0.6", 80, enabled=False),
        )
    )
    assert (draining.weight, draining.maintenance) == (0, False)
    assert (disabled.weight, disabled.maintenance) == (EQUAL, True)


@pytest.mark.parametrize(("seconds", "mode"), [(0, "none"), (59, "none"), (60, "src")])
def test_persistence_takes_a_minute_at_least(seconds, mode):
    assert (
        persistence_of(service(Schedule.ROUND_ROBIN, persistence="src", persistence_timeout=seconds)) == mode
    )
