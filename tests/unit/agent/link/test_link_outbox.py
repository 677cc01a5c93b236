"""Heartbeats overtake settings, and nothing that waits grows without bound."""

import pytest

from loadmaster_ha.agent.link.framing import FRAGMENT, Decoder, MessageTooLong
from loadmaster_ha.agent.link.outbox import BULK_LIMIT, URGENT_LIMIT, Outbox


def drain(outbox):
    decoder, found = Decoder(), []
    decoder.trust()
    while (frame := outbox.next_frame()) is not None:
        decoder.add(frame)
        while (message := decoder.next_message()) is not None:
            found.append(message)
    return found


def test_a_report_waits_for_one_frame_of_a_long_message_at_most():
    outbox = Outbox()
    outbox.put("sync", {"text": "x" * 10 * FRAGMENT})
    first = outbox.next_frame()
    outbox.put("report", {"state": "Standby"})
    second = outbox.next_frame()
    assert len(first) <= FRAGMENT + 5
    assert b"Standby" in second
    decoder = Decoder()
    decoder.trust()
    decoder.add(first + second)
    assert decoder.next_message().kind == "report"


def test_messages_of_one_sort_keep_their_order():
    outbox = Outbox()
    for number in range(5):
        outbox.put("sync", {"number": number, "text": "x" * (number % 2) * 2 * FRAGMENT})
    outbox.put("report", {"number": 0})
    outbox.put("report", {"number": 1})
    found = drain(outbox)
    assert [(each.kind, each.body["number"]) for each in found] == [
        ("report", 0),
        ("report", 1),
        *(("sync", number) for number in range(5)),
    ]


def test_of_too_many_reports_the_newest_are_kept():
    outbox = Outbox()
    for number in range(URGENT_LIMIT + 3):
        assert outbox.put("report", {"number": number})
    assert [each.body["number"] for each in drain(outbox)] == list(range(3, URGENT_LIMIT + 3))
    assert outbox.dropped == 3


def test_settings_for_a_reader_that_does_not_read_are_refused_when_too_many_wait():
    outbox, text = Outbox(), "x" * 1_000_000
    accepted = 0
    while outbox.put("sync", {"text": text}):
        accepted += 1
    assert accepted == BULK_LIMIT // 1_000_022
    assert outbox.dropped == 1
    assert outbox.put("report", {})
    drain(outbox)
    assert outbox.put("sync", {"text": text})


def test_a_report_that_would_not_be_short_is_refused():
    with pytest.raises(MessageTooLong, match="kind report"):
        Outbox().put("report", {"detail": "x" * FRAGMENT})
