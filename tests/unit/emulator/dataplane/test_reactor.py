"""The event loop: order of timers, probes before traffic, descriptors whose numbers are used again."""

import socket

import pytest

from loadmaster_ha.emulator.dataplane.reactor import READ, Reactor


@pytest.fixture
def reactor():
    made = Reactor()
    yield made
    made.close()


@pytest.fixture
def pairs():
    made = []

    def make(count):
        found = [socket.socketpair() for _ in range(count)]
        made.extend(found)
        return found

    yield make
    for pair in made:
        for side in pair:
            side.close()


def test_timers_fire_in_the_order_in_which_they_are_due_and_cancelled_ones_never(reactor):
    fired = []
    reactor.call_later(0.03, lambda: fired.append("last"))
    reactor.call_later(0.01, lambda: fired.append("first"))
    reactor.call_later(0.02, lambda: fired.append("never")).cancel()
    reactor.call_later(0.05, reactor.stop)
    reactor.run()
    assert fired == ["first", "last"]


def test_what_is_urgent_does_not_wait_for_all_the_traffic(reactor, pairs):
    order = []
    for left, right in pairs(200):
        reactor.register(left.fileno(), READ, lambda _, side=left: order.append(side.recv(1)))
        right.send(b"t")
    ((left, right),) = pairs(1)
    reactor.register(left.fileno(), READ, lambda _: order.append(left.recv(1)), urgent=True)
    right.send(b"p")
    reactor.call_later(0.1, reactor.stop)
    reactor.run()
    assert order.index(b"p") <= 64
    assert order.count(b"t") == 200


def test_an_event_of_a_closed_descriptor_is_not_taken_for_one_of_its_successor(reactor, pairs):
    (first, first_far), (second, second_far) = pairs(2)
    spurious = []

    def replace_second(_):
        first.recv(1)
        number = second.fileno()
        reactor.forget(number)
        second.close()
        fresh, far = pairs(1)[0]
        assert fresh.fileno() == number
        reactor.register(number, READ, lambda _: spurious.append(fresh.recv(1)))
        replace_second.keep = far
        reactor.call_later(0.05, reactor.stop)

    reactor.register(first.fileno(), READ, replace_second)
    reactor.register(second.fileno(), READ, lambda _: spurious.append("the closed one"))
    first_far.send(b"1")
    second_far.send(b"2")
    reactor.run()
    assert spurious == []


def test_a_handler_that_fails_does_not_end_the_others(reactor, pairs, caplog):
    ((left, right),) = pairs(1)
    seen = []

    def fail():
        raise ValueError("a bug")

    reactor.register(left.fileno(), READ, lambda _: seen.append(left.recv(1)))
    reactor.call_later(0, fail)
    reactor.call_later(0.01, lambda: right.send(b"x"))
    reactor.call_later(0.05, reactor.stop)
    reactor.run()
    assert seen == [b"x"]
    assert "a bug" in caplog.text
