"""The counters say in words why there is no link; the line about strangers is not repeated at will."""

import logging

from loadmaster_ha.agent.ha.model import LinkEnd
from loadmaster_ha.agent.link.counters import COMPLAINT_PAUSE, Counters, Unauthorised, explain

PARTNER = "10.0.2.5"


def words(**fields):
    return explain(Counters(**fields), PARTNER, 6973, now=1000.0)


def test_nothing_arrives_and_nothing_answers():
    said = words(last_end=LinkEnd.TIMEOUT, last_error="no answer within 4 s")
    assert said.startswith("nothing arrives from 10.0.2.5, and it does not answer on TCP 6973")


def test_one_direction_is_blocked():
    said = words(last_end=LinkEnd.TIMEOUT, last_error="no answer within 4 s", last_arrival=990.0)
    assert "connections arrive from 10.0.2.5" in said
    assert "does not answer in time" in said


def test_an_arrival_long_ago_says_nothing_about_now():
    assert "nothing arrives" in words(last_end=LinkEnd.TIMEOUT, last_arrival=1000.0 - 61)


def test_the_machine_is_there_without_an_agent():
    assert "nothing listens on its TCP 6973" in words(last_end=LinkEnd.REFUSED, last_error="x")


def test_secrets_that_differ_are_called_so():
    said = words(
        last_end=LinkEnd.UNAUTHORISED, last_error="the Partner Shared Secrets of the two units differ"
    )
    assert said == "no link with 10.0.2.5: the Partner Shared Secrets of the two units differ"


def test_a_start_is_no_fault():
    assert words() == "no link with 10.0.2.5 yet"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_stranger_is_logged_in_the_appliances_words_once_a_minute(caplog):
    clock, counters = Clock(), Counters()
    unauthorised = Unauthorised(counters, clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            unauthorised.connection_from("10.0.2.9", "it is not the partner (10.0.2.5)")
        unauthorised.connection_from("10.0.2.10", "it is not the partner (10.0.2.5)")
        clock.now = COMPLAINT_PAUSE
        unauthorised.connection_from("10.0.2.9", "it is not the partner (10.0.2.5)")
    line = "Unauthorized Remote Machine connection from %s: it is not the partner (10.0.2.5)"
    assert [record.getMessage() for record in caplog.records] == [
        line % "10.0.2.9",
        line % "10.0.2.10",
        line % "10.0.2.9" + " (9 more since the last line about it)",
    ]
    assert counters.unauthorised == 12


def test_many_strangers_do_not_fill_the_memory(caplog):
    unauthorised = Unauthorised(Counters(), Clock())
    for number in range(10_000):
        unauthorised.connection_from(f"10.{number // 250}.{number % 250}.1", "it is not the partner")
    assert len(unauthorised._told) <= 64
    assert len(unauthorised._untold) <= 64
