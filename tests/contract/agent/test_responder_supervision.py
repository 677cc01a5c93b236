"""The supervisor with real processes below it: silence becomes a 503, ends are noticed, everything ends in
order."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.supervised import PROBER, Supervised, ask, eventually, free_port, saying

CONFIGURATION = """\
global
    stats socket {folder}/haproxy.sock mode 600
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string served
"""

ORPHANING = """
import os, time
if os.fork() == 0:
    os.fork() or time.sleep(0.2)
    os._exit(0)
time.sleep(60)
"""
"""A node whose child leaves a child behind, which its first ancestor inherits."""


def alive(pid):
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def haproxy(tmp_path):
    """Give the command line of a real HAProxy in master-worker mode, and its port."""
    program = shutil.which("haproxy")
    if program is None:
        pytest.skip("haproxy is not installed (make system)")
    port = free_port()
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(CONFIGURATION.format(folder=tmp_path, port=port), encoding="ascii")
    return [program, "-W", "-q", "-S", str(tmp_path / "master.sock"), "-f", str(configuration)], port


def served(port):
    try:
        return ask(port) == (200, "served")
    except OSError:
        return False


def show_processes(path):
    """What HAProxy's master answers."""
    with socket.socket(socket.AF_UNIX) as master:
        master.settimeout(0.5)
        try:
            master.connect(str(path))
            master.sendall(b"show proc\n")
            master.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: master.recv(4096), b""))
        except OSError:  # not there yet, or taken by the execution before
            return b""


def test_before_the_node_has_said_anything_nothing_listens(tmp_path):
    with Supervised(tmp_path) as supervised:
        node = supervised.node()
        hello = node.wait_for("hello")
        assert hello["configuration"] == {"check": "me"}
        assert (hello["kept"], hello["restarts"]) == ({}, 0)
        assert supervised.status() == 0


def test_a_node_that_falls_silent_becomes_a_503_within_two_seconds(tmp_path):
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        assert supervised.status(source=PROBER) == 200
        node.silence()
        began = time.monotonic()
        eventually(lambda: supervised.status(source=PROBER) == 503, "503")
        # 2 s, and much for a busy machine; bench/agent.py has the figure.
        assert time.monotonic() - began < 10.0


def test_a_frozen_node_becomes_a_503_and_serves_again_when_it_thaws(tmp_path):
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.freeze()
        eventually(lambda: supervised.status(source=PROBER) == 503, "503")
        os.kill(node.pid, signal.SIGCONT)
        eventually(lambda: supervised.status(source=PROBER) == 200, "200 again")


def test_what_was_said_long_ago_counts_for_nothing_however_late_it_is_read(tmp_path):
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.silence()
        eventually(lambda: supervised.status() == 503, "503")
        node.send("say", at=time.monotonic() - 1.6, **saying(supervised.port))
        node.send("haproxy", command=["/bin/false"])
        node.wait_for("haproxy")  # so the word before it was read
        assert supervised.status() == 503


def test_no_lease_is_longer_than_the_promise(tmp_path):
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node(lease=3600)
        node.silence()
        eventually(lambda: supervised.status() == 503, "503")


def test_a_dead_node_is_a_503_at_once_and_is_started_again_with_what_it_kept(tmp_path):
    with Supervised(tmp_path) as supervised:
        node, first = supervised.serving_node()
        node.send("keep", values={"mode": "Master"})
        later = {who: [200, "Master is kept"] for who in ("balancer", "other")}
        node.hold(supervised.port, answers=later)
        eventually(lambda: supervised.ask(source=PROBER)[1] == "Master is kept\n", "what came after it")
        node.kill()
        eventually(lambda: supervised.status() == 503, "503")
        _, second = supervised.serving_node()
        assert second["kept"] == {"mode": "Master"}
        assert second["boot_time"] == first["boot_time"]
        assert second["restarts"] == 1
        assert ["balancer", supervised.port, 200] in [counted[:3] for counted in second["counts"]]
        eventually(lambda: supervised.status() == 200, "200 again")


def test_a_node_that_lets_go_of_its_supervisor_is_replaced(tmp_path):
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.hang_up()
        supervised.serving_node()
        assert not alive(node.pid)


@pytest.mark.parametrize(
    "line",
    [b"nonsense", b"[]", b'{"kind":"unheard of"}', b'{"kind":"say"}', b'{"kind":"say","at":"x","lease":1}'],
)
def test_a_node_that_talks_nonsense_is_replaced(tmp_path, line):
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.raw(line)
        supervised.serving_node()
        assert not alive(node.pid)


def test_a_node_that_dies_again_and_again_is_started_with_growing_pauses(tmp_path):
    with Supervised(tmp_path) as supervised:
        starts = []
        for _ in range(3):
            node = supervised.node()
            starts.append(time.monotonic())
            node.wait_for("hello")
            node.exit(1)
        assert starts[2] - starts[1] >= 1.0 > starts[1] - starts[0] - 0.7


def test_a_node_that_refuses_its_configuration_ends_the_service_with_2(tmp_path):
    with Supervised(tmp_path) as supervised:
        node = supervised.node()  # held: its end would be one of the node's too
        node.exit(2)
        assert supervised.wait() == 2


def test_haproxy_is_started_again_when_it_dies_and_the_node_hears_of_it_at_once(tmp_path, haproxy):
    command, port = haproxy
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=command)
        running = node.wait_for("haproxy", lambda message: message["running"])
        eventually(lambda: served(port), "HAProxy")
        os.kill(running["pid"], signal.SIGKILL)
        gone = node.wait_for("haproxy", lambda message: not message["running"])
        assert gone["outcome"] == "ended by SIGKILL"
        again = node.wait_for("haproxy", lambda message: message["running"])
        assert (again["starts"], again["pid"] != running["pid"]) == (2, True)
        eventually(lambda: served(port), "HAProxy again")


def test_the_workers_of_a_killed_haproxy_do_not_go_on_beside_the_next_one(tmp_path, haproxy):
    command, port = haproxy
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=command)
        master = node.wait_for("haproxy", lambda message: message["running"])["pid"]
        eventually(lambda: served(port), "HAProxy")
        [worker] = eventually(lambda: children_of(master), "a worker")
        os.kill(master, signal.SIGKILL)
        eventually(lambda: not alive(worker), "the worker has ended")
        eventually(lambda: served(port), "HAProxy again")


def test_haproxy_outlives_the_node(tmp_path, haproxy):
    command, port = haproxy
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=command)
        pid = node.wait_for("haproxy", lambda message: message["running"])["pid"]
        eventually(lambda: served(port), "HAProxy")
        node.kill()
        node, hello = supervised.serving_node()
        assert (hello["haproxy"]["pid"], served(port)) == (pid, True)
        node.send("haproxy", command=command)
        assert node.wait_for("haproxy")["pid"] == pid


def test_a_haproxy_that_cannot_start_is_told_and_tried_again(tmp_path):
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=["/nonexistent/haproxy"])
        told = node.wait_for("haproxy", lambda message: message["starts"] == 2 and not message["running"])
        assert told["outcome"] == "exited with status 127"
        assert supervised.status() == 200  # what it means is the engine's to say


def test_what_haproxy_says_is_told_in_the_form_of_all_lines_and_only_if_it_matters(tmp_path, haproxy):
    command, port = haproxy
    command.remove("-q")
    configuration = Path(command[-1])
    gone = free_port()
    configuration.write_text(
        configuration.read_text("ascii")
        + f"backend shop\n    server till 127.0.0.1:{gone} check inter 100ms fall 1\n",
        encoding="ascii",
    )
    with Supervised(tmp_path, log_format="json") as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=command)
        pid = node.wait_for("haproxy", lambda message: message["running"])["pid"]
        eventually(lambda: served(port), "HAProxy serves")
        # While its master starts HAProxy 2.6 loses signals.
        eventually(lambda: b"worker" in show_processes(tmp_path / "master.sock"), "HAProxy's master")
        os.kill(pid, signal.SIGUSR2)  # a reload
        eventually(lambda: supervised.log.read_text().count("Server shop/till is DOWN") == 2, "told by both")
        entries = [json.loads(line) for line in supervised.log.read_text("utf-8").splitlines()]

    told = [(each["level"], each["message"]) for each in entries if each["message"].startswith("HAProxy: ")]
    assert ("error", "HAProxy: backend 'shop' has no server available!") in told
    assert not [message for _, message in told if "stopped" in message or "success" in message], told


def test_a_killed_supervisor_leaves_nothing_behind_but_connections_that_finish(tmp_path, haproxy):
    command, port = haproxy
    with Supervised(tmp_path) as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=command)
        pid = node.wait_for("haproxy", lambda message: message["running"])["pid"]
        eventually(lambda: served(port), "HAProxy")
        # While its master starts (it executes itself again once its worker runs) HAProxy 2.6 loses signals.
        eventually(lambda: b"worker" in show_processes(tmp_path / "master.sock"), "HAProxy's master")
        supervised.kill()
        eventually(lambda: not alive(node.pid) and not alive(pid), "all have ended")


def test_a_clean_stop_goes_on_with_503_and_lets_connections_finish(tmp_path, haproxy):
    command, port = haproxy
    with Supervised(tmp_path, drain_seconds=1.5) as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=command)
        node.wait_for("haproxy", lambda message: message["running"])
        eventually(lambda: served(port), "HAProxy")
        with socket.create_connection(("127.0.0.1", port)) as download:
            download.sendall(b"GET / HTTP/1.1\r\n")  # a request under way
            supervised.process.send_signal(signal.SIGTERM)
            node.wait_for("terminate")
            assert supervised.status() == 200  # until the node has handed over
            node.send("stopped")
            node.exit(0)
            began = time.monotonic()
            eventually(lambda: supervised.status() == 503, "503")
            assert served(port)  # new connections too, as long as the balancer may still send some
            eventually(lambda: not served(port), "HAProxy accepts no more")
            assert time.monotonic() - began > 1.0
            assert (supervised.status(), supervised.process.poll()) == (503, None)
            download.sendall(b"Host: unit\r\n\r\n")
            assert b"200 OK" in download.recv(4096)
        assert supervised.wait() == 0


DEAF = """
import os, signal, time
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
time.sleep(600)
"""
"""The worst of an HAProxy: 2.6 loses the signals that come while its master executes itself anew."""


def test_a_haproxy_that_hears_nothing_does_not_hold_up_the_stop_for_ever(tmp_path):
    with Supervised(tmp_path, finish_seconds=0.5) as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=[sys.executable, "-c", DEAF])
        master = node.wait_for("haproxy", lambda message: message["running"])["pid"]
        [child] = eventually(lambda: children_of(master), "its child")
        supervised.process.send_signal(signal.SIGTERM)
        node.wait_for("terminate")
        node.send("stopped")
        assert supervised.wait() == 0
        assert not alive(master)
        eventually(lambda: not alive(child), "its child has ended")


def test_a_standby_stops_without_waiting_for_a_balancer_that_has_seen_its_503(tmp_path):
    with Supervised(tmp_path, drain_seconds=600.0) as supervised:
        refuse = {"balancer": [503, "Slave is on standby"], "other": [503, "Slave is on standby"]}
        node, _ = supervised.serving_node(answers=refuse)
        supervised.process.send_signal(signal.SIGTERM)
        node.wait_for("terminate")
        node.send("stopped")
        assert supervised.wait() == 0


def test_a_node_that_cannot_hand_over_does_not_hold_up_the_stop(tmp_path):
    with Supervised(tmp_path, hand_over_seconds=0.5) as supervised:
        node, _ = supervised.serving_node()
        node.freeze()
        supervised.process.send_signal(signal.SIGTERM)
        assert supervised.wait() == 0
        assert not alive(node.pid)


def test_a_second_sigterm_ends_at_once(tmp_path, haproxy):
    command, port = haproxy
    with Supervised(tmp_path, drain_seconds=600.0, hand_over_seconds=600.0) as supervised:
        node, _ = supervised.serving_node()
        node.send("haproxy", command=command)
        node.wait_for("haproxy", lambda message: message["running"])
        eventually(lambda: served(port), "HAProxy")
        supervised.process.send_signal(signal.SIGTERM)
        node.wait_for("terminate")
        supervised.process.send_signal(signal.SIGTERM)
        assert supervised.wait() == 0
        assert (served(port), alive(node.pid)) == (False, False)


def test_a_reboot_closes_the_port_and_starts_everything_anew(tmp_path, haproxy):
    command, port = haproxy
    with Supervised(tmp_path) as supervised:
        node, first = supervised.serving_node()
        node.send("keep", values={"mode": "Master"})
        node.send("haproxy", command=command)
        pid = node.wait_for("haproxy", lambda message: message["running"])["pid"]
        eventually(lambda: served(port), "HAProxy")
        node.send("reboot")
        eventually(lambda: supervised.status() == 0, "the port is closed")
        node, second = supervised.serving_node()
        assert second["boot_time"] > first["boot_time"]
        assert (second["kept"], second["restarts"], alive(pid)) == ({}, 0, False)
        assert second["haproxy"]["outcome"] == ""  # it was told to end
        node.send("haproxy", command=command)
        assert node.wait_for("haproxy", lambda message: message["running"])["pid"] != pid
        eventually(lambda: supervised.status() == 200 and served(port), "serves again")


def test_as_the_first_process_of_a_container_it_reaps_orphans(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a process namespace needs root")
    node = [sys.executable, "-c", ORPHANING]
    limits = {"drain_seconds": 0, "hand_over_seconds": 1, "finish_seconds": 1}
    plan = {"node": node, "configuration": {}, **limits, "log_format": "text", "log_level": "info"}
    read, write = os.pipe()
    os.write(write, json.dumps(plan).encode())
    os.close(write)
    module = [sys.executable, "-m", "loadmaster_ha.agent.process.supervisor", str(read)]
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *module],
        pass_fds=[read],
        stderr=subprocess.DEVNULL,
    )
    os.close(read)
    try:
        first = eventually(lambda: children_of(process.pid), "the supervisor")[0]
        eventually(lambda: len(children_of(first)) == 1, "one child")
        time.sleep(0.5)  # the orphan ends meanwhile
        states = [
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in children_of(first)
        ]
        assert states == ["S"]
        os.kill(first, signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def children_of(pid):
    with contextlib.suppress(FileNotFoundError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def test_systemd_hears_ready_status_watchdog_and_stopping(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        with Supervised(tmp_path) as supervised:
            node, _ = supervised.serving_node()
            heard = set()
            wanted = {b"READY=1", b"STATUS=Master, Active", b"WATCHDOG=1"}
            eventually(lambda: heard.add(manager.recv(1000)) or heard >= wanted, "all three")
            environment = Path(f"/proc/{node.pid}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in environment
            supervised.process.send_signal(signal.SIGTERM)
            eventually(lambda: manager.recv(1000) == b"STOPPING=1", "stopping")


def test_it_is_small(tmp_path):
    """10 MB are wanted; bench/agent.py has the figure, this is the alarm when somebody imports something
    large."""
    with Supervised(tmp_path) as supervised:
        supervised.serving_node()
        for _ in range(50):
            supervised.status()
        status = Path(f"/proc/{supervised.process.pid}/status").read_text(encoding="ascii")
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        assert resident < 16 * 1024
        maps = Path(f"/proc/{supervised.process.pid}/maps").read_text(encoding="ascii")
        assert "yaml" not in maps
