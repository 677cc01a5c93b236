"""A supervisor that starts finds the HAProxy of a former life and ends it.

The kernel tells HAProxy of its supervisor's death by a signal that a master which executes itself anew at
that moment loses. What is left would share the ports with the next one and serve what was set long ago.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.support.supervised import Supervised, ask, die_with_the_test, eventually, free_port

CONFIGURATION = """\
global
    hard-stop-after 60s
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string {says}
"""


STRANGER = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
time.sleep(600)
"""


class Balancer:
    """A real HAProxy that says who it is, to be started by the test or by a supervisor."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("haproxy")
        if program is None:
            pytest.skip("haproxy is not installed (make system)")
        self.port = free_port()
        self.socket = folder / "master.sock"
        self._file = folder / "haproxy.cfg"
        self.command = [program, "-W", "-S", f"{self.socket},mode,600", "-f", str(self._file)]

    def configure(self, says: str) -> None:
        self._file.write_text(CONFIGURATION.format(port=self.port, says=says), encoding="ascii")

    def says(self, what: str) -> bool:
        try:
            return ask(self.port) == (200, what)
        except OSError:
            return False

    def processes(self) -> bytes:
        """What the master on the socket answers."""
        with socket.socket(socket.AF_UNIX) as master:
            master.settimeout(0.5)
            with suppress(OSError):
                master.connect(str(self.socket))
                master.sendall(b"show proc\n")
                master.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: master.recv(4096), b""))
        return b""


@pytest.fixture
def balancer(tmp_path):
    return Balancer(tmp_path)


@pytest.fixture
def leftover(balancer):
    """Give HAProxy's master as a supervisor leaves it that was killed while its signal could not be heard."""
    balancer.configure("before")
    process = subprocess.Popen(
        balancer.command,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_the_test,  # noqa: PLW1509 - one prctl, no locks
    )
    try:
        eventually(lambda: balancer.says("before"), "the former HAProxy serves")
        eventually(lambda: b"worker" in balancer.processes(), "its master has started")
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def start(supervised, balancer):
    balancer.configure("now")
    node, _ = supervised.serving_node()
    node.send("haproxy", command=balancer.command)
    return node, node.wait_for("haproxy", lambda message: message["running"])["pid"]


def test_the_haproxy_of_a_former_life_is_ended(tmp_path, balancer, leftover):
    with Supervised(tmp_path) as supervised:
        _, pid = start(supervised, balancer)
        assert leftover.wait(20) is not None
        eventually(lambda: balancer.says("now"), "only the new one serves")
        eventually(lambda: f"{pid} ".encode() in balancer.processes(), "its socket is the new one's")
        log = supervised.log.read_text("utf-8")
        assert f"pid={leftover.pid}" in log
        assert "former" in log


def test_its_connections_finish_and_it_takes_no_new_ones(tmp_path, balancer, leftover):
    with ExitStack() as stack:
        download = stack.enter_context(socket.create_connection(("127.0.0.1", balancer.port), 20))
        download.sendall(b"GET / HTTP/1.1\r\n")
        eventually(lambda: balancer.says("before"), "its connection is accepted")
        supervised = stack.enter_context(Supervised(tmp_path, finish_seconds=60.0))
        start(supervised, balancer)
        eventually(lambda: balancer.says("now"), "the new one serves")
        eventually(lambda: all(balancer.says("now") for _ in range(20)), "the former one accepts no more")
        assert leftover.poll() is None
        download.sendall(b"Host: unit\r\n\r\n")
        assert download.recv(4096).endswith(b"before")
        assert leftover.wait(20) is not None


def test_one_that_hears_nothing_is_killed_when_its_connections_have_had_their_time(
    tmp_path, balancer, leftover
):
    os.kill(leftover.pid, signal.SIGSTOP)
    with Supervised(tmp_path, finish_seconds=0.5) as supervised:
        start(supervised, balancer)
        assert leftover.wait(20) == -signal.SIGKILL
        eventually(lambda: all(balancer.says("now") for _ in range(20)), "only the new one serves")


def test_the_haproxy_of_another_living_supervisor_is_left_alone(tmp_path, balancer):
    balancer.configure("before")
    other, own = tmp_path / "other", tmp_path / "own"
    for folder in (other, own):
        folder.mkdir()
    with Supervised(other) as first, Supervised(own) as second:
        node, _ = first.serving_node()
        node.send("haproxy", command=balancer.command)
        pid = node.wait_for("haproxy", lambda message: message["running"])["pid"]
        eventually(lambda: b"worker" in balancer.processes(), "its master has started")
        node, _ = second.serving_node()
        node.send("haproxy", command=balancer.command)
        eventually(lambda: "another agent" in second.log.read_text("utf-8"), "told in the log")
        assert balancer.says("before")
        assert f"{pid} ".encode() in balancer.processes()
        first.kill()  # and now there is only one
        node.wait_for("haproxy", lambda message: message["running"])


def test_who_listens_there_and_is_no_haproxy_is_left_alone(tmp_path, balancer):
    stranger = subprocess.Popen(
        [sys.executable, "-c", STRANGER, str(balancer.socket)],
        preexec_fn=die_with_the_test,  # noqa: PLW1509 - one prctl, no locks
    )
    try:
        eventually(balancer.socket.exists, "it listens")
        with Supervised(tmp_path, finish_seconds=0.2) as supervised:
            start(supervised, balancer)
            eventually(lambda: balancer.says("now"), "HAProxy serves")
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
