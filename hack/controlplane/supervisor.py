"""The process that owns one etcd and one kube-apiserver, from their start to the last byte they wrote.

Started by `server`, which talks to it over a Unix socket in its folder: whoever uses the control
plane holds a connection open, and when the last one is closed (the kernel does that for a process
that is killed) everything is stopped and the folder removed. `--detached` waits for `SIGTERM`
instead. Should this process itself be killed, the kernel kills both servers (Linux; prctl(2)).

Order matters: kube-apiserver ends before etcd, because one whose etcd has gone first hangs on.
"""

import argparse
import contextlib
import ctypes
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from controlplane import config
from controlplane.errors import ControlPlaneError

SOCKET_NAME = "owners.sock"
STOP_REQUEST = b"stop\n"
READY_SECONDS = 120.0
FIRST_OWNER_SECONDS = 30.0
STOP_SECONDS = 5.0
ATTEMPTS = 3  # a free port may be taken by somebody else before our server listens on it
PR_SET_PDEATHSIG = 1
ADDRESS_IN_USE = "address already in use"


class Supervisor:
    """One control plane and its owners' connections."""

    def __init__(self, folder: Path, programs: Path, *, detached: bool) -> None:
        self._folder = folder
        self._programs = programs
        self._detached = detached
        self._servers: list[subprocess.Popen[bytes]] = []  # in the order of their start
        self._owners: list[socket.socket] = []
        self._told: bytes | None = None  # what a new owner is told; None while starting
        self._stopping = False

    def run(self) -> int:
        """Start, serve until nobody is left or a signal comes, stop; 0 unless the start failed."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._folder / SOCKET_NAME))
            listener.listen(64)
            try:
                self._await_starter(listener)
                self._told = self._start(listener)
                self._serve(listener)
            except ControlPlaneError as error:
                self._refuse(listener, str(error))
                return 1
            finally:
                # First no new owners, then the servers, then the files.
                with contextlib.suppress(FileNotFoundError):
                    (self._folder / SOCKET_NAME).unlink()
                self._stop()
                shutil.rmtree(self._folder, ignore_errors=True)
                for owner in self._owners:  # closed last: an owner that waits knows it is over
                    owner.close()
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    # -- start ------------------------------------------------------------------------------

    def _await_starter(self, listener: socket.socket) -> None:
        """Wait for the one who started us: it has to hear how it went."""
        deadline = time.monotonic() + FIRST_OWNER_SECONDS
        while not self._owners:
            if self._stopping or time.monotonic() > deadline:
                raise ControlPlaneError("nobody asked for the control plane")
            self._poll_sockets(listener, seconds=0.5)

    def _start(self, listener: socket.socket) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            layout = config.Layout.create(self._folder / f"run-{attempt}", *_free_ports(3))
            layout.write_credentials(secrets.token_hex(16))
            self._spawn("etcd", config.etcd_arguments(layout))
            self._spawn("kube-apiserver", config.apiserver_arguments(layout))
            ended = self._wait_ready(listener, layout)
            if ended is None:
                layout.write_kubeconfig(self._folder / "kubeconfig")
                answer = {"kubeconfig": str(self._folder / "kubeconfig"), "pids": self._pids()}
                return json.dumps(answer).encode() + b"\n"
            self._stop()
            if ADDRESS_IN_USE not in self._log_tail(ended, 400) or attempt == ATTEMPTS:
                raise ControlPlaneError(
                    f"{ended} did not come up; its log ends with:\n{self._log_tail(ended)}"
                )
        raise AssertionError("the loop returns or raises")

    def _spawn(self, name: str, arguments: list[str]) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(self._programs / name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )
        self._servers.append(process)

    def _wait_ready(self, listener: socket.socket, layout: config.Layout) -> str | None:
        """Wait for /readyz; give the name of the server that ended or never answered instead."""
        names = ("etcd", "kube-apiserver")
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and not self._stopping:
            for name, server in zip(names, self._servers, strict=True):
                if server.poll() is not None:
                    return name
            if layout.is_ready():
                return None
            self._poll_sockets(listener, seconds=0.05)
            if self._abandoned():
                self._stopping = True
        if self._stopping:
            raise ControlPlaneError("stopped while it was starting")
        return "kube-apiserver"

    def _pids(self) -> dict[str, int]:
        etcd, apiserver = self._servers
        return {"supervisor": os.getpid(), "etcd": etcd.pid, "kube-apiserver": apiserver.pid}

    def _log_tail(self, name: str, lines: int = 12) -> str:
        text = (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    # -- serve ------------------------------------------------------------------------------

    def _serve(self, listener: socket.socket) -> None:
        for owner in self._owners:  # those who came while it was starting
            self._tell(owner)
        while not self._stopping and not self._abandoned():
            self._poll_sockets(listener, seconds=0.5)
            if any(server.poll() is not None for server in self._servers):
                return  # nothing can be served any more: owners see their connection end

    def _poll_sockets(self, listener: socket.socket, seconds: float) -> None:
        readable, _, _ = select.select([listener, *self._owners], [], [], seconds)
        for ready in readable:
            if ready is listener:
                owner, _ = listener.accept()
                self._owners.append(owner)
                if self._told is not None:
                    self._tell(owner)
                continue
            said = _receive(ready)
            if said == STOP_REQUEST:
                self._stopping = True
            elif not said:
                self._owners.remove(ready)
                ready.close()

    def _abandoned(self) -> bool:
        """Whether nobody is left who would use it."""
        return not self._detached and not self._owners

    def _tell(self, owner: socket.socket) -> None:
        with contextlib.suppress(OSError):  # gone already; the next poll drops it
            owner.sendall(self._told or b"")

    def _refuse(self, listener: socket.socket, message: str) -> None:
        """Tell those who wait, also in the backlog, why there is nothing to be had."""
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._owners.append(listener.accept()[0])
        self._told = json.dumps({"error": message}).encode() + b"\n"
        for owner in self._owners:
            self._tell(owner)

    # -- stop -------------------------------------------------------------------------------

    def _stop(self) -> None:
        for server in reversed(self._servers):
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        self._servers.clear()


def _receive(owner: socket.socket) -> bytes:
    """What an owner said; nothing when it has gone, however that came about."""
    try:
        return owner.recv(64)
    except OSError:
        return b""


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """Give what a child runs before exec so that the kernel kills it with its parent (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above took effect
            os._exit(1)

    return prepare


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now, each a different one."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((config.LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one supervisor in the foreground."""
    parser = argparse.ArgumentParser(prog="controlplane.supervisor")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--detached", action="store_true")
    options = parser.parse_args(arguments)
    return Supervisor(options.folder, options.programs, detached=options.detached).run()


if __name__ == "__main__":
    raise SystemExit(main())
