"""A thousand services set in one call, on a pair under traffic: nobody but those who asked may notice."""

import contextlib
import http.client
import http.server
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field

import pytest
from bench.many_services import FIRST_PORT, multiplied
from tests.support.agent_pair import AgentPair
from tests.support.supervised import die_with_the_test

from loadmaster_ha.domain.ha import AGENT_METRICS_PORT

MANY = 1000
LAST_PORT = FIRST_PORT + MANY - 1
FRONT_PORT = 18080


@pytest.fixture
def pair(tmp_path):
    with AgentPair(tmp_path) as made:
        yield made


@dataclass
class Asked:
    """What somebody who asks again and again was answered."""

    answers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """Seconds that each answer took."""
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, ask, period):
        while not self.stop.is_set():
            began = time.monotonic()
            self.answers.append(ask())
            self.times.append(time.monotonic() - began)
            self.stop.wait(period)

    @property
    def p99(self):
        assert len(self.times) >= 20, "too few to say anything"
        return sorted(self.times)[int(0.99 * len(self.times))]


@contextlib.contextmanager
def asking(ask, period):
    asked = Asked()
    thread = threading.Thread(target=asked.run, args=(ask, period), daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        asked.stop.set()
        thread.join()


@contextlib.contextmanager
def web(address):
    """A web server that says ok."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


BARE = """
import os, socket, sys
try:
    os.setpriority(os.PRIO_PROCESS, 0, -5)
except OSError:
    pass
listener = socket.create_server((sys.argv[1], 0), backlog=128)
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    connection.close()
"""


@contextlib.contextmanager
def bare(address):
    """Run a process that does nothing but answer, with the health responder's precedence: what this machine
    can do at the moment."""
    process = subprocess.Popen(
        [sys.executable, "-c", BARE, address],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_the_test,  # noqa: PLW1509 - one prctl, no locks
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def status_of(address, port):
    connection = http.client.HTTPConnection(address, port, timeout=20)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def published(pair, backend, port):
    service = {"vs": pair.master.address, "port": str(FRONT_PORT), "prot": "tcp"}
    assert pair.master.api("addvs", **service, VStype="http")["code"] == 200
    assert pair.master.api("addrs", **service, rs=backend, rsport=str(port))["code"] == 200
    for unit in pair.agents:
        pair.wait(lambda unit=unit: status_of(unit.address, FRONT_PORT) == 200, "the service is served")


def logged(pair):
    return [each.log.read_text(encoding="utf-8") for each in pair.agents]


def test_a_thousand_services_come_and_go_and_nobody_notices(pair):
    backend = f"{pair.net}.30"
    with web(backend) as port, bare(f"{pair.net}.31") as bare_port:
        pair.start()
        pair.until("Active", "Standby")
        published(pair, backend, port)
        few = pair.master.api("backup")["data"]
        many = multiplied(few, MANY)
        before = logged(pair)
        health = [lambda unit=unit: unit.page(pair.person)[0] for unit in pair.agents]
        with (
            asking(lambda: status_of(pair.master.address, FRONT_PORT), 0.02) as client,
            asking(health[0], 0.05) as active,
            asking(health[1], 0.05) as standby,
            asking(lambda: status_of(f"{pair.net}.31", bare_port), 0.05) as bare_minimum,
        ):
            assert pair.master.api("restore", type=2, data=many)["code"] == 200
            for unit in pair.agents:
                pair.wait(lambda unit=unit: status_of(unit.address, LAST_PORT) == 200, "the last service")
            # What reads or compares a thousand services must disturb as little as what sets them.
            assert len(pair.master.api("listvs")["VS"]) == MANY + 1
            assert pair.master.api("backup")["code"] == 200
            assert pair.master.api("stats")["code"] == 200
            metrics = f"http://{pair.master.address}:{AGENT_METRICS_PORT}/metrics"
            with urllib.request.urlopen(metrics, timeout=20) as page:
                assert f'kind="virtual-service"}} {MANY + 1}.0' in page.read().decode()
            assert pair.master.api("restore", type=2, data=few)["code"] == 200
            for unit in pair.agents:
                pair.wait(lambda unit=unit: status_of(unit.address, LAST_PORT) == 0, "none is left")
            time.sleep(1.0)
        assert set(client.answers) == {200}
        assert set(active.answers) == {200}
        assert set(standby.answers) == {503}
        # 50 ms, or as much as a machine that others keep busy takes for nothing at all.
        for asked in (active, standby):
            assert asked.p99 < max(0.05, 3 * bare_minimum.p99)
        assert [each.state() for each in pair.agents] == ["Active", "Standby"]
        since = "".join(now.removeprefix(then) for now, then in zip(logged(pair), before, strict=True))
        assert "HAProxy is reloaded" in since
        assert not [word for word in (" -> ", "silent", "No link", "ERROR", "CRITICAL") if word in since]
