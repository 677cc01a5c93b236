"""The data plane's process: `python -m loadmaster_ha.emulator.dataplane.worker DESCRIPTOR`.

It talks JSON, one object a line, over the socket whose descriptor it is given:

| from the emulator | back |
| --- | --- |
| `{"configure": ..., "number": n}` | `{"answer": {rule: problem}, "number": n}` |
| `{"ask": "flows", "number": n}` | `{"answer": ..., "number": n}` |
| `{"ask": "probes", "since": seconds, "number": n}` | `{"answer": ..., "number": n}` |
| | `{"probe": id, "member": id, "up": bool, "reason": code}` after each change of the reason |

It ends when the emulator does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from loadmaster_ha.emulator.dataplane.balancing import Balancing
from loadmaster_ha.emulator.dataplane.configuration import Configuration, Options
from loadmaster_ha.emulator.dataplane.diversion import DiversionError
from loadmaster_ha.emulator.dataplane.reactor import READ, WRITE, Reactor

if TYPE_CHECKING:
    from loadmaster_ha.emulator.dataplane.prober import Probing

_PR_SET_PDEATHSIG: Final = 1
_CHUNK: Final = 1 << 20


class Worker:
    """The far end of `plane.DataPlane`."""

    def __init__(self, control: socket.socket, options: Options) -> None:
        self._control = control
        self._reactor = Reactor()
        self._balancing = Balancing(self._reactor, options, self._answered)
        self._reasons: dict[tuple[str, str], str] = {}
        self._incoming = b""
        self._outgoing = bytearray()
        control.setblocking(False)
        self._reactor.register(control.fileno(), READ, self._ready, urgent=True)

    def run(self) -> None:
        """Serve until the emulator ends.

        Raises:
            DiversionError: What transparent sockets need cannot be set up.
        """
        try:
            self._balancing.start()
            self._reactor.run()
        finally:
            self._balancing.close()
            self._reactor.close()

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if not events & ~WRITE:
            return
        try:
            data = self._control.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._reactor.stop()
            return
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "configure" in message:
            self._balancing.apply(Configuration.from_json(message["configure"]))
            self._send({"answer": self._balancing.problems(), "number": message["number"]})
            return
        if message["ask"] == "flows":
            answer = self._balancing.view_flows()
        else:
            answer = self._balancing.view_probes(message.get("since", 0.0))
        self._send({"answer": answer, "number": message["number"]})

    def _answered(self, probing: Probing) -> None:
        key = (probing.probe.id, probing.member.id)
        if self._reasons.get(key) != probing.reason:
            self._reasons[key] = probing.reason
            self._send(
                {
                    "probe": probing.probe.id,
                    "member": probing.member.id,
                    "up": probing.state.up,
                    "reason": probing.reason,
                }
            )

    def _send(self, message: dict[str, Any]) -> None:
        self._outgoing += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self._flush()

    def _flush(self) -> None:
        try:
            sent = self._control.send(self._outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._reactor.stop()
            return
        del self._outgoing[:sent]
        self._reactor.modify(self._control.fileno(), READ | (WRITE if self._outgoing else 0))


def _raise_descriptor_limit() -> None:
    """A flow needs two descriptors, and the usual soft limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> int:
    """Run the process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # the emulator gets them too, and ends this process
        signal.signal(number, signal.SIG_IGN)
    _raise_descriptor_limit()
    logging.basicConfig(level="WARNING", stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    worker = Worker(control, Options(**json.loads(sys.argv[2])))
    gc.freeze()
    try:
        worker.run()
    except DiversionError as error:
        logging.getLogger(__name__).error("--transparent: %s", error)  # noqa: TRY400 - the text says it all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
