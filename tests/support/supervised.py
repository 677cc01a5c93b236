"""The real supervisor (and so the real health responder) with a node process that the test plays.

`Supervised` starts it as a process of its own; everything below it dies with it, and it with the test,
however that ends. `ask` and `exchange` speak to the health port as a client of one's choice of source
address.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = dict[str, Any]

LIMIT: Final = 20.0
"""Seconds; a safety limit for what takes milliseconds."""

PROBER: Final = "127.0.9.16"
"""Where the tests' probes come from, in place of Azure's address."""

_NODE: Final = Path(__file__).with_name("scripted_node.py")
_PR_SET_PDEATHSIG: Final = 1


def eventually(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Wait until the condition is true; its value."""
    end = time.monotonic() + limit
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not in {limit:g} s: {what}"
        time.sleep(0.02)


def die_with_the_test() -> None:
    """For `preexec_fn`: the kernel kills the child when this process has gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ScriptedNode:
    """The test's end of one start of the node process."""

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted
        self._socket.settimeout(LIMIT)
        self._rest = b""
        self.messages: list[JSON] = []
        self.pid: int = self._next()["pid"]

    def _next(self) -> JSON:
        while b"\n" not in self._rest:
            received = self._socket.recv(65536)
            if not received:
                raise EOFError
            self._rest += received
        line, self._rest = self._rest.split(b"\n", 1)
        message: JSON = json.loads(line)
        return message

    def wait_for(self, kind: str, accept: Callable[[JSON], bool] = lambda _: True) -> JSON:
        """The next message of that kind which is accepted; earlier ones are kept in `messages`."""
        while True:
            message = self._next()
            self.messages.append(message)
            if message.get("kind") == kind and accept(message):
                return message

    def send(self, kind: str, **fields: Any) -> None:
        self._raw({"kind": kind, **fields})

    def raw(self, line: bytes) -> None:
        self._socket.sendall(line + b"\n")

    def _raw(self, message: JSON) -> None:
        self.raw(json.dumps(message).encode())

    def hold(self, port: int, **more: Any) -> None:
        """Say this over and over: by default 200 to everybody, on 127.0.0.1."""
        self._raw({"test": "hold", "say": saying(port, **more)})

    def silence(self) -> None:
        self._raw({"test": "hold", "say": None})

    def exit(self, status: int) -> None:
        self._raw({"test": "exit", "status": status})

    def hang_up(self) -> None:
        self._raw({"test": "hang up"})

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def saying(port: int, **more: Any) -> JSON:
    """The fields of a `say` but its time."""
    fields: JSON = {
        "lease": 1.5,
        "answers": {"balancer": [200, "Master is active"], "other": [200, "Master is active"]},
        "listen": [["127.0.0.1", port]],
        "sources": {PROBER: "balancer"},
        "status": "Master, Active",
    }
    return {**fields, **more}


class Supervised:
    """One supervisor. `plan` replaces fields of its plan."""

    def __init__(self, folder: Path, **plan: Any) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        control = folder / "control"
        control.unlink(missing_ok=True)
        self._listener.bind(str(control))
        self._listener.listen()
        self._listener.settimeout(LIMIT)
        self.log = folder / "supervisor.log"
        self.port = free_port()
        self._left: set[int] = set()
        fields = {
            "node": [sys.executable, "-P", str(_NODE), str(control)],
            "configuration": {"check": "me"},
            "drain_seconds": 0.0,
            "hand_over_seconds": 10.0,
            "finish_seconds": 10.0,
            "log_format": "text",
            "log_level": "info",
        }
        read, write = os.pipe()
        os.write(write, json.dumps({**fields, **plan}).encode())
        os.close(write)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loadmaster_ha.agent.process.supervisor", str(read)],
                pass_fds=[read],
                stderr=log,
                preexec_fn=die_with_the_test,  # noqa: PLW1509 - one prctl, no locks
            )
        os.close(read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it and all below it: HAProxy can miss the signal that its supervisor's death sends."""
        children = self._stopped_children() | self._left
        self.process.kill()
        self.process.wait()
        self._listener.close()
        for pid in children:  # leaders of their sessions, once they have come so far
            for kill in (os.kill, os.killpg):
                with contextlib.suppress(ProcessLookupError):
                    kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the supervisor alone; what it leaves is ended at the latest with the test."""
        self._left = self._stopped_children()
        self.process.kill()

    def _stopped_children(self) -> set[int]:
        """Its children, of which it makes no more."""
        if self.process.poll() is not None:
            return set()
        pid = self.process.pid
        os.kill(pid, signal.SIGSTOP)
        with contextlib.suppress(FileNotFoundError):
            return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
        return set()

    def node(self) -> ScriptedNode:
        """The next start of the node process."""
        return ScriptedNode(self._listener.accept()[0])

    def serving_node(self, **more: Any) -> tuple[ScriptedNode, JSON]:
        """A node that holds 200, and the `hello` it got; returns once it is answered."""
        node = self.node()
        hello = node.wait_for("hello")
        node.hold(self.port, **more)
        node.wait_for("listening")
        return node, hello

    def ask(self, **how: Any) -> tuple[int, str]:
        return ask(self.port, **how)

    def status(self, **how: Any) -> int:
        """The status that the health port answers; 0 when nothing listens."""
        try:
            return self.ask(**how)[0]
        except OSError:
            return 0

    def wait(self) -> int:
        return self.process.wait(LIMIT)


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def ask(
    port: int, *, source: str = "127.0.0.1", method: str = "GET", path: str = "/", address: str = "127.0.0.1"
) -> tuple[int, str]:
    """One request to a health port: status and body."""
    connection = http.client.HTTPConnection(address, port, timeout=LIMIT, source_address=(source, 0))
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def exchange(port: int, request: bytes) -> bytes:
    """Send these bytes, read until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
        client.sendall(request)
        received = b""
        while part := client.recv(4096):
            received += part
        return received
