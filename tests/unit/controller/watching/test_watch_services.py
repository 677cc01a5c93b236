"""Which services are told to be down, and when the active unit is asked again; the clock is the test's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.controller.watching.management import until_look
from loadmaster_ha.controller.watching.model import StoredWatch, WatchedService, WatchFacts
from loadmaster_ha.controller.watching.pair_watch import PairWatch
from loadmaster_ha.controller.watching.services import ServicesTrack
from loadmaster_ha.domain.ha import PreferredHost, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.units import ObservedState
from loadmaster_ha.loadmaster.observer import ServiceState

WEB, MAIL = "lm_web_https@12345678", "lm_web_mail@12345678"
OURS = frozenset({WEB, MAIL})
UP, DOWN = ServiceState("Up", {"10.9.0.1:443": "Up"}), ServiceState("Down", {"10.9.0.1:443": "Down"})
FACTS = WatchFacts({}, 8444, PreferredHost.NONE, services=(WatchedService("https", WEB),))


class Course:
    """Looks at one service, at the times when they are wanted."""

    def __init__(self, first=0.0):
        self.track, self.now = ServicesTrack(), first

    def look(self, status, role=Role.MASTER, name=WEB):
        """What is believed after a look now."""
        news = self.track.heard(role, {name: ServiceState(status)}, self.now)
        known = self.track.states(self.now).get(name)
        return known.status if known is not None else "", news

    def when_wanted(self):
        """Go on to the time at which the next look is wanted; how long that was."""
        began, self.now = self.now, self.track.next_look(OURS)
        return self.now - began


def test_a_service_that_is_down_at_the_first_look_and_up_at_the_second_is_never_told():
    course = Course()
    assert course.look("Down") == ("", True)
    assert course.when_wanted() == 5
    assert course.look("Up") == ("Up", True)
    assert course.track.next_look(OURS) is None


def test_a_service_that_stays_down_is_told_at_the_second_look_and_looked_at_often():
    course = Course()
    course.look("Up")
    course.now = 60
    assert course.look("Down") == ("Up", False), "what is not believed is no news"
    assert course.when_wanted() == 5
    assert course.look("Down") == ("Down", True)
    assert course.when_wanted() == 15
    assert course.look("Down") == ("Down", False)
    assert course.when_wanted() == 15
    assert course.look("Up") == ("Up", True), "who recovers is believed at once"
    assert course.track.next_look(OURS) is None


@pytest.mark.parametrize("status", ["Up", "Disabled", "Sorry", "Redirect", "Fail Message"])
def test_nothing_more_is_asked_of_what_is_not_down(status):
    course = Course()
    assert course.look(status) == (status, True)
    assert course.track.next_look(OURS) is None


def test_a_second_look_that_comes_too_soon_is_not_believed():
    course = Course()
    course.look("Down")
    course.now = 1
    assert course.look("Down") == ("", False)
    assert course.track.next_look(OURS) == 5


def test_what_is_written_is_looked_at_soon_and_believed_after_the_first_checks():
    course = Course()
    course.look("Up")
    course.now = 100
    course.track.written(100)
    assert course.when_wanted() == 2
    assert course.look("Down") == ("Up", False)
    assert course.when_wanted() == 8
    assert course.look("Down") == ("Down", True)


def test_who_writes_all_the_time_puts_neither_look_nor_belief_off():
    course = Course()
    course.look("Up")
    for second in range(100, 200):
        course.track.written(second)
    assert course.track.next_look(OURS) == 102
    course.now = 199
    course.look("Down")
    course.track.written(208)
    course.now = 209
    assert course.look("Down") == ("Down", True)


def test_another_unit_s_first_look_is_no_second_look():
    course = Course()
    course.look("Down")
    course.now = 6
    assert course.look("Down", Role.SLAVE) == ("", False)
    course.now = 11
    assert course.look("Down", Role.SLAVE) == ("Down", True)
    assert course.look("Down", Role.MASTER) == ("Down", False), "it was told, and is still so"


def test_what_was_heard_long_ago_says_nothing():
    course = Course()
    course.look("Up")
    course.now = 200
    assert course.track.states(course.now) == {}
    assert course.look("Down") == ("", False)
    course.now = 400
    assert course.look("Down") == ("", False)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_recovery_is_told_within_twenty_seconds_and_no_look_comes_too_early_to_count(share):
    assert 15 <= until_look(15, dice=lambda: share) < 20
    assert 5 <= until_look(5, dice=lambda: share) <= 6
    assert 0 < until_look(-100, dice=lambda: share) < 1


def test_for_services_of_others_nothing_is_asked():
    course = Course()
    course.look("Down", name="somebody's")
    course.now = 60
    course.look("Down", name="somebody's")
    assert course.track.next_look(OURS) is None


def test_one_service_is_doubted_while_another_is_told():
    track = ServicesTrack()
    track.heard(Role.MASTER, {WEB: DOWN, MAIL: UP}, 0)
    track.heard(Role.MASTER, {WEB: DOWN, MAIL: DOWN}, 5)
    assert track.states(5) == {WEB: DOWN, MAIL: UP}
    assert track.next_look(OURS) == 10
    track.heard(Role.MASTER, {WEB: UP, MAIL: DOWN}, 10)
    assert track.states(10) == {WEB: UP, MAIL: DOWN}


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["Up", "Down", "Sick"]), st.sampled_from(Role))))
def test_down_is_told_of_what_was_seen_so_twice_and_only_of_that(looks):
    course, down_since = Course(), None
    for pause, status, role in looks:
        course.now += pause
        told, _ = course.look(status, role)
        if status == "Up":
            down_since = None
            assert told == "Up"
        elif down_since is None:
            down_since = course.now
            assert told in {"", "Up"}
        elif told in {"Down", "Sick"}:
            assert course.now - down_since >= 5
        wanted = course.track.next_look(OURS)
        assert (wanted is None) is (status == "Up")
        assert wanted is None or course.now < wanted <= course.now + 15


def watched(**stored):
    return PairWatch(FACTS, StoredWatch(**stored))


def test_a_pair_is_looked_at_soon_after_its_services_were_written_and_once():
    watch = watched()
    assert watch.look_at_services is None
    facts = replace(FACTS, services_written_at=50.0)
    watch.learn(facts)
    assert watch.look_at_services == 52
    watch.heard_services(Role.MASTER, {WEB: UP}, 52)
    watch.learn(replace(facts, check_port=8445))
    assert watch.look_at_services is None


def test_what_was_written_before_the_watch_began_is_not_asked_for():
    watch = PairWatch(replace(FACTS, services_written_at=50.0), begun_at=60.0)
    watch.learn(replace(FACTS, services_written_at=50.0, check_port=8445))
    assert watch.look_at_services is None


def test_the_services_of_a_pair_are_told_as_they_are_believed():
    watch = watched()
    assert watch.heard_services(Role.MASTER, {WEB: DOWN}, 0)
    assert [each.status for each in watch.services(0)] == [""]
    assert watch.heard_services(Role.MASTER, {WEB: DOWN}, 5)
    assert [(each.name, each.status, dict(each.real_servers)) for each in watch.services(5)] == [
        ("https", "Down", {"10.9.0.1:443": "Down"})
    ]


def test_after_a_restart_what_was_down_is_not_taken_back_before_it_was_looked_at_twice():
    watch = watched(services_down=True)
    for unit in watch.units.values():
        unit.management = Present(ObservedState.STANDBY)
    assert not watch.settled(1)
    watch.heard_services(Role.MASTER, {WEB: DOWN}, 1)
    assert not watch.settled(1)
    watch.heard_services(Role.MASTER, {WEB: DOWN}, 6)
    assert watch.settled(6)
