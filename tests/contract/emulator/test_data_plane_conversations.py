"""Whatever two sides say to each other through a flow arrives: any sizes, any order, any end."""

import contextlib
import random
import socket
import struct
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadmaster_ha.emulator.dataplane.configuration import Member, Rule
from loadmaster_ha.emulator.dataplane.flows import FlowTable
from loadmaster_ha.emulator.dataplane.listeners import TcpListener
from loadmaster_ha.emulator.dataplane.reactor import Reactor
from loadmaster_ha.emulator.dataplane.sockets import Origin

PATIENCE_SECONDS = 20
NOISE = random.Random(4).randbytes(300_000)  # noqa: S311 - any bytes will do
RESET = struct.pack("ii", 1, 0)
STEPS = st.lists(
    st.tuples(st.sampled_from(["client", "member"]), st.integers(1, 300_000), st.booleans()), max_size=12
)


@pytest.fixture(scope="module")
def served():
    """A rule that is served by a reactor in a thread, and the member's listening socket."""
    chosen = random.SystemRandom()
    prefix = f"127.{chosen.randint(200, 240)}.{chosen.randint(0, 255)}"
    reactor = Reactor()
    table = FlowTable(reactor)
    with socket.create_server((f"{prefix}.68", 0)) as member:
        member.settimeout(PATIENCE_SECONDS)
        port = member.getsockname()[1]
        rule = Rule("rule", "balancer", "tcp", f"{prefix}.4", port, port, ())
        listener = TcpListener(reactor, table, Origin(transparent=False), rule, transparent=False)
        listener.deliver_to(rule, (Member("member", f"{prefix}.68", running=True),))
        thread = threading.Thread(target=reactor.run)
        thread.start()
        yield (rule.address, port), member, table
        reactor.stop()
        socket.create_connection((rule.address, port)).close()  # wakes it
        thread.join(PATIENCE_SECONDS)
        listener.close()
        table.close()
        reactor.close()


def conversation(served):
    address, listening, _ = served
    client = socket.create_connection(address, timeout=PATIENCE_SECONDS)
    member, _ = listening.accept()
    member.settimeout(PATIENCE_SECONDS)
    return client, member


def read_all(connection):
    while connection.recv(65536):
        pass


class Reader(threading.Thread):
    """Reads all that comes, slowly at first so that buffers fill."""

    def __init__(self, connection, lazy):
        super().__init__()
        self.connection, self.lazy = connection, lazy
        self.received = bytearray()
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            if self.lazy:
                threading.Event().wait(0.05)
            while data := self.connection.recv(65536):
                self.received += data


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.booleans(), st.booleans(), st.sampled_from(["client", "member"]))
def test_every_byte_arrives_in_order_and_ends_are_passed_on(served, steps, lazy, early_end, first_to_end):
    client, member = conversation(served)
    ends = {"client": client, "member": member}
    readers = {"client": Reader(client, lazy), "member": Reader(member, lazy)}
    sent = {"client": b"", "member": b""}
    ended = set()
    with client, member:
        for who, size, end in steps:
            if who in ended:
                continue
            data = NOISE[:size]
            ends[who].sendall(data)
            sent[who] += data
            if end and early_end:
                ends[who].shutdown(socket.SHUT_WR)
                ended.add(who)
        for who in (first_to_end, "client", "member"):
            if who not in ended:
                ends[who].shutdown(socket.SHUT_WR)
                ended.add(who)
        for reader in readers.values():
            reader.join(PATIENCE_SECONDS)
            assert not reader.is_alive()
    assert bytes(readers["member"].received) == sent["client"]
    assert bytes(readers["client"].received) == sent["member"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([0, 1]), st.integers(0, 200_000), st.booleans())
def test_a_reset_reaches_the_other_side_whatever_was_said(served, who, size, half_closed):
    both = conversation(served)
    one, other = both[who], both[1 - who]
    with one, other:
        one.sendall(bytes(size))
        if half_closed:
            other.shutdown(socket.SHUT_WR)
            assert one.recv(1) == b""
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        one.close()
        with pytest.raises(ConnectionResetError):
            read_all(other)  # an end in order would return


def test_nothing_is_left_over(served):
    _, _, table = served
    client, member = conversation(served)
    client.close()
    member.close()
    deadline = threading.Event()
    for _ in range(200):
        if not table.open and not table.held:
            return
        deadline.wait(0.05)
    raise AssertionError((table.open, table.held))
