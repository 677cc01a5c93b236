"""HAProxy's output as log lines: what matters at its level, what only repeats the agent's words at debug."""

import contextlib
import json
import os

import pytest

from loadmaster_ha.agent.process.console import Console
from loadmaster_ha.agent.process.haproxy_log import HAProxyLog
from loadmaster_ha.agent.process.loop import Loop


@pytest.fixture
def loop():
    made = Loop()
    yield made
    made.close()


def told(loop, capsys, *parts, level="debug"):
    """Level and message of each line that comes of HAProxy's writing these."""
    log = HAProxyLog(loop, Console(style="json", level=level))
    for part in parts:
        os.write(log.output, part)
        loop.turn(0)
    log.close()
    entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return [(each["level"], each["message"]) for each in entries]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("[NOTICE]   (7) : Loading success.", "debug"),
        ("[WARNING]  (7) : Proxy vs_eth0_80_tcp stopped (cumulated conns: FE: 1, BE: 0).", "debug"),
        ("[WARNING]  (7) : Former worker (8) exited with code 0 (Exit)", "debug"),
        ("[ALERT]    (7) : Current worker (8) exited with code 143 (Terminated)", "debug"),
        ("[ALERT]    (7) : Current worker (8) exited with code 139 (Segmentation fault)", "error"),
        ("[WARNING]  (7) : Server vs_eth0_80_tcp/rs_1 is DOWN, reason: Layer4 timeout", "warning"),
        ("[WARNING]  (7) : Server vs_eth0_80_tcp/rs_1 is going DOWN for maintenance. 1 active", "debug"),
        ("[ALERT]    (7) : backend 'vs_eth0_80_tcp' has no server available!", "error"),
        ("haproxy cannot be started: [Errno 2] No such file", "warning"),
    ],
)
def test_each_line_has_its_level(loop, capsys, line, level):
    message = "HAProxy: " + line.rpartition("(7) : ")[2]
    assert told(loop, capsys, line.encode() + b"\n") == [(level, message)]


def test_lines_come_in_pieces_and_several_at_a_time(loop, capsys):
    parts = [b"[WARNING]  (7) : Ser", b"ver a is UP\n\n[WARNING]  (7) : Server b", b" is UP\n"]
    assert told(loop, capsys, *parts) == [
        ("warning", "HAProxy: Server a is UP"),
        ("warning", "HAProxy: Server b is UP"),
    ]


def test_endless_and_odd_bytes_are_bounded_and_stay_one_line(loop, capsys):
    [(_, message)] = told(loop, capsys, *[b"\xff" * 60_000] * 3, b"\rx\n")
    assert len(message) < 20_000
    assert message.isascii()


def test_what_nobody_reads_is_dropped_and_blocks_nobody(loop):
    log = HAProxyLog(loop, Console(style="text", level="error"))
    written = 0
    with contextlib.suppress(BlockingIOError):
        while written < 100_000_000:
            written += os.write(log.output, b"x" * 4096)
    log.close()
    assert 0 < written < 100_000_000
