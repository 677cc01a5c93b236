"""The health port over real TCP: what it answers, what it refuses, and what a hostile client cannot do."""

import socket
import time

import pytest
from tests.support.supervised import LIMIT, PROBER, Supervised, eventually, exchange

from loadmaster_ha.agent.process.responder import MOST_OTHERS, MOST_PER_ADDRESS


@pytest.fixture
def health(tmp_path):
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        supervised.scripted = node
        yield supervised


def test_get_answers_role_and_state_and_nothing_else(health):
    received = exchange(health.port, b"GET / HTTP/1.1\r\nHost: unit\r\n\r\n")
    assert received == (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Length: 17\r\n"
        b"Cache-Control: no-store\r\n"
        b"Connection: close\r\n\r\n"
        b"Master is active\n"
    )


def test_head_is_get_without_the_body(health):
    got = exchange(health.port, b"GET / HTTP/1.1\r\nHost: unit\r\n\r\n")
    head = exchange(health.port, b"HEAD / HTTP/1.1\r\nHost: unit\r\n\r\n")
    assert got == head + b"Master is active\n"


@pytest.mark.parametrize(
    "target", ["/", "/?a=b", "http://10.0.2.4:8444/", "http://10.0.2.4:8444", "HTTP://x/?y"]
)
def test_every_way_to_write_the_page_is_understood(health, target):
    assert exchange(health.port, f"GET {target} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /metrics HTTP/1.1", 404),
        ("GET //etc/passwd HTTP/1.1", 404),
        ("GET http://unit/x HTTP/1.1", 404),
        ("GET * HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("OPTIONS / HTTP/1.1", 405),
        ("get / HTTP/1.1", 405),
        ("GET / HTTP/2.0", 400),
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("\x16\x03\x01\x02", 400),
    ],
)
def test_anything_else_is_refused_by_the_rules_of_http(health, request_line, status):
    received = exchange(health.port, request_line.encode("latin-1") + b"\r\nHost: unit\r\n\r\n")
    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Master" not in received
    assert (b"Allow: GET, HEAD" in received) == (status == 405)


def test_a_request_in_pieces_is_put_together(health):
    with socket.create_connection(("127.0.0.1", health.port), timeout=LIMIT) as client:
        for part in (b"GE", b"T / HT", b"TP/1.1\r\nHost: u", b"nit\r\n\r", b"\n"):
            client.sendall(part)
            time.sleep(0.02)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_nobody_reads_does_not_take_the_answer_away(health):
    """Closing on unread bytes is a reset, and a reset can overtake the answer."""
    body = b"x" * 200_000
    header = b"POST / HTTP/1.1\r\nHost: unit\r\nContent-Length: 200000\r\n\r\n"
    for _ in range(20):
        assert exchange(health.port, header + body).startswith(b"HTTP/1.1 405 ")


def test_an_endless_header_is_cut_off(health):
    received = exchange(health.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 5000)
    assert received.startswith(b"HTTP/1.1 431 ")


def test_a_client_that_sends_nothing_is_let_go(health):
    with socket.create_connection(("127.0.0.1", health.port), timeout=LIMIT) as client:
        assert client.recv(1) == b""


def test_slow_clients_cannot_keep_anybody_out(health):
    """More half-sent requests than there are places, from one address and from many."""
    slow = []
    try:
        for number in range(MOST_OTHERS + MOST_PER_ADDRESS):
            client = socket.socket()
            client.settimeout(LIMIT)
            client.bind((f"127.0.8.{1 + number % 40}", 0))
            client.connect(("127.0.0.1", health.port))
            client.sendall(b"GET / HTTP/1.1\r\nX: ")
            slow.append(client)
        assert health.status(source=PROBER) == 200
        assert health.status() == 200
    finally:
        for client in slow:
            client.close()


def test_the_balancers_connections_are_displaced_by_nobody_else(health):
    """A probe that was on its way before the flood is answered after it."""
    clients = []
    try:
        for number in range(MOST_OTHERS + MOST_PER_ADDRESS + 1):
            client = socket.socket()
            client.settimeout(LIMIT)
            client.bind((PROBER if number == 0 else f"127.0.8.{1 + number % 40}", 0))
            client.connect(("127.0.0.1", health.port))
            clients.append(client)
        clients[0].sendall(b"GET / HTTP/1.1\r\nHost: unit\r\n\r\n")
        assert clients[0].recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        for client in clients:
            client.close()


def test_a_flood_from_one_address_displaces_only_itself(health):
    patient = socket.create_connection(("127.0.0.1", health.port), timeout=LIMIT)
    flood = []
    try:
        for _ in range(3 * MOST_PER_ADDRESS):
            client = socket.socket()
            client.bind(("127.0.8.7", 0))
            client.connect(("127.0.0.1", health.port))
            flood.append(client)
        patient.sendall(b"GET / HTTP/1.1\r\nHost: unit\r\n\r\n")
        assert patient.recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        for client in [patient, *flood]:
            client.close()


def test_the_balancer_may_be_told_something_else_than_the_rest(health):
    answers = {
        "balancer": [200, "Slave is active"],
        "partner": [503, "Slave is unconnected"],
        "other": [503, "Slave stands by"],
    }
    sources = {PROBER: "balancer", "127.0.9.5": "partner"}
    health.scripted.hold(health.port, answers=answers, sources=sources)
    eventually(lambda: health.ask(source=PROBER)[1] == "Slave is active\n", "the new answer")
    assert health.ask(source="127.0.9.5") == (503, "Slave is unconnected\n")
    assert health.ask() == (503, "Slave stands by\n")


def test_requests_are_counted_by_source_port_and_code(health):
    for source, times in ((PROBER, 3), ("127.0.0.1", 2)):
        for _ in range(times):
            assert health.status(source=source) == 200
    health.status(path="/nothing", source=PROBER)  # no request for the page: not a probe
    wanted = [["balancer", health.port, 200, 3], ["other", health.port, 200, 2]]
    told = health.scripted.wait_for("probes", lambda message: message["counts"] == wanted)
    assert abs(told["last"] - time.time()) < LIMIT


def test_it_listens_where_it_is_told_and_nowhere_else(health):
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        new = finder.getsockname()[1]
    health.scripted.hold(health.port, listen=[["127.0.0.1", health.port], ["127.0.0.1", new]])
    bound = [["127.0.0.1", port] for port in sorted((health.port, new))]
    health.scripted.wait_for("listening", lambda message: message["bound"] == bound)
    assert health.status() == 200
    health.scripted.hold(health.port, listen=[["127.0.0.1", new]])
    health.scripted.wait_for("listening", lambda message: message["bound"] == [["127.0.0.1", new]])
    assert health.status() == 0


def test_a_taken_port_is_told_and_tried_until_it_is_free(health):
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        port = owner.getsockname()[1]
        health.scripted.hold(port)
        told = health.scripted.wait_for("listening", lambda message: message["failed"])
        assert told["failed"] == [["127.0.0.1", port, "Address already in use"]]
    told = health.scripted.wait_for("listening", lambda message: message["bound"])
    assert told == {"kind": "listening", "bound": [["127.0.0.1", port]], "failed": []}
