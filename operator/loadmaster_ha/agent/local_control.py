"""Local administration over a Unix socket, for `loadmaster-agent status`, `switchover` and the like.

Who may open the socket (mode 0600: root, and the agent's own user) may do it; there is no password. One JSON
object a line asks, one answers: `{"command": "status"}`, `{"ok": true, "result": {...}}`. `Control` is the
node's side, `ask` the command line's.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

_LONGEST: Final = 64 * 1024

Handler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class ControlRefused(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """The node says no; the message is for a person."""


class NotReachable(Exception):  # noqa: N818 - reads as what is the case
    """No agent answers at the socket; the message says what to look at."""


class Control:
    """Answers at the socket.

    Args:
        handlers: by command.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot be made.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)  # from its first instant on it is nobody else's
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_LONGEST)

    async def stop(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            handler = self._handlers[request["command"]]
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "error": f"unknown command; there are {', '.join(sorted(self._handlers))}"}
        try:
            return {"ok": True, "result": dict(await handler(request))}
        except ControlRefused as refused:
            return {"ok": False, "error": str(refused)}
        except Exception:
            log.exception("The local command %s failed", request["command"])
            return {"ok": False, "error": "it failed; the agent's log says why"}


def ask(path: Path, command: str, *, limit: float, **arguments: Any) -> dict[str, Any]:
    """Ask the node behind the socket; its answer.

    Args:
        path: the socket.
        command: see `Control`.
        limit: seconds to wait.
        arguments: of the command; None is left out.

    Raises:
        NotReachable: nobody answers there.
        ControlRefused: it was refused.
    """
    request = {"command": command, **{name: each for name, each in arguments.items() if each is not None}}
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(limit)
        try:
            asking.connect(str(path))
            asking.sendall(json.dumps(request).encode() + b"\n")
            with asking.makefile("rb") as answers:
                answer = json.loads(answers.readline(_LONGEST))
        except PermissionError as problem:
            raise NotReachable(f"{path} may only be used by root and the agent's user") from problem
        except TimeoutError as problem:
            raise NotReachable(f"the agent behind {path} does not answer within {limit:g} s") from problem
        except (OSError, ValueError) as problem:
            raise NotReachable(
                f"no agent answers at {path}: does it run? (another socket: --run-directory)"
            ) from problem
    if not answer["ok"]:
        raise ControlRefused(str(answer["error"]))
    result: dict[str, Any] = answer["result"]
    return result
