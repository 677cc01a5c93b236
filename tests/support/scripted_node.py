"""A node process that does what a test tells it: relays between its supervisor and the test's Unix socket.

Started by the real supervisor as its node (`supervised.py`). Lines from the test go to the supervisor as they
are, and back. `{"test": "hold", "say": {...}}` repeats a `say` every 100 ms with the time of the moment,
until the next one; `{"test": "exit", "status": n}` ends the process, `{"test": "hang up"}` closes the socket
only.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time

from loadmaster_ha.agent.process.node_process import own_descriptor

BEAT = 0.1


class Relay:
    """Both sockets, and what is held."""

    def __init__(self, supervisor: socket.socket, test: socket.socket) -> None:
        self.supervisor = supervisor
        self.test = test
        self.held: dict[str, object] | None = None
        self.rest = b""

    def run(self) -> None:
        self.test.sendall(json.dumps({"test": "started", "pid": os.getpid()}).encode() + b"\n")
        while True:
            readable, _, _ = select.select([self.supervisor, self.test], [], [], BEAT)
            for end in readable:
                received = end.recv(65536)
                if not received:
                    return
                if end is self.supervisor:
                    self.test.sendall(received)
                else:
                    self.take(received)
            if self.held is not None:
                line = json.dumps({"kind": "say", "at": time.monotonic(), **self.held})
                self.supervisor.sendall(line.encode() + b"\n")

    def take(self, received: bytes) -> None:
        *lines, self.rest = (self.rest + received).split(b"\n")
        for line in lines:
            if line.startswith(b'{"test"'):
                self.obey(json.loads(line))
            else:
                self.supervisor.sendall(line + b"\n")

    def obey(self, command: dict[str, object]) -> None:
        if command["test"] == "hold":
            self.held = command["say"]  # type: ignore[assignment]
        elif command["test"] == "exit":
            os._exit(int(str(command["status"])))
        elif command["test"] == "hang up":
            self.supervisor.close()
            time.sleep(60)


def main() -> None:
    supervisor = own_descriptor()
    assert supervisor is not None
    test = socket.socket(socket.AF_UNIX)
    test.connect(sys.argv[1])
    Relay(supervisor, test).run()


main()
