"""One unit of a laboratory: a machine with `loadmaster-agent run` and HAProxy, and what can be done to it."""

import asyncio
import contextlib
import ctypes
import errno
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import yaml

from lab.balancer import CHECK_PORT
from lab.management import JSON, Management
from lab.places import Place
from lab.processes import Process, command
from lab.traffic import Client, Request
from lab.unit_processes import UnitProcesses

SERVICE_PORT: Final = 8080
MANAGEMENT_PORT: Final = 8443
PASSWORD: Final = "only-for-the-laboratory-1"  # noqa: S105 - made up
ROLES: Final = ("Master", "Slave")

_MS_REC, _MS_PRIVATE, _CLONE_NEWNS = 0x4000, 0x40000, 0x20000


class Unit:
    """Not running until `start`; use as `async with Unit(...)`.

    Args:
        number: 0 is the master.
        place: where it runs.
        client: where people and their tools are.
        folder: for configuration, state and log.
        run: for sockets; its path has to be short.
        configuration: of the agent, as in its file.
        disk_bytes: size of a file system of its own for the state, gone with the next start; needs root.
    """

    def __init__(
        self,
        number: int,
        place: Place,
        client: Place,
        *,
        folder: Path,
        run: Path,
        configuration: Mapping[str, Any],
        disk_bytes: int | None = None,
    ) -> None:
        self.number = number
        self.place = place
        self.processes = UnitProcesses()
        self.log = folder / "agent.log"
        """What its processes have logged, over all starts."""
        self.state = folder / "state"
        self._file = folder / "agent.yaml"
        self._client = client
        self._run = run
        self._disk_bytes = disk_bytes
        self._process: Process | None = None
        self._stack = contextlib.AsyncExitStack()
        self._api = Management(client, place.address, MANAGEMENT_PORT, PASSWORD)
        self._folder = folder
        for made in (folder, self.state, run):
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.configure(configuration)

    @property
    def role(self) -> str:
        """As configured."""
        return ROLES[self.number]

    @property
    def address(self) -> str:
        """Its address."""
        return self.place.address

    @property
    def running(self) -> bool:
        """Whether `loadmaster-agent run` has not ended."""
        return self._process is not None and self._process.running

    @property
    def control_socket(self) -> Path:
        """Of the local administration (`loadmaster-agent status`)."""
        return self._run / "agent.sock"

    def configure(self, configuration: Mapping[str, Any]) -> None:
        """Write the agent's file; counts from the next start."""
        password = self._folder / "password"
        password.write_text(PASSWORD, encoding="ascii")
        password.chmod(0o600)
        whole = {
            "stateDirectory": str(self.state),
            "runDirectory": str(self._run),
            "management": {"initialPasswordFile": str(password), "port": MANAGEMENT_PORT},
            "log": {"format": "text"},
            **configuration,
        }
        self._file.write_text(yaml.safe_dump(whole), encoding="utf-8")

    def add_to_file(self, more: Mapping[str, Any]) -> None:
        """Add settings to the agent's file, as a person on the machine does; counts from the next start."""
        known = yaml.safe_load(self._file.read_text(encoding="utf-8"))
        self._file.write_text(yaml.safe_dump({**known, **more}), encoding="utf-8")

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()
        await self._api.__aexit__(None, None, None)

    # -- what can be done to it

    async def start(self) -> None:
        """Start it (again). Does not wait until it serves."""
        await self._end()
        self._process = await self._stack.enter_async_context(
            Process(
                f"unit {self.number}",
                *self.command("run", "--config", str(self._file)),
                log=self.log,
                environment=self.processes.environment,
                enter=self._enter,
            )
        )

    async def _end(self) -> None:
        """Leave no process of it, whatever state they are in."""
        self.thaw()
        self.kill()
        if self._process is not None:
            await self._process.ended()
        await self._stack.aclose()

    async def stop(self) -> int:
        """SIGTERM, as systemd does, and wait for the end; the exit status."""
        if self._process is None:
            raise RuntimeError(f"unit {self.number} was never started")
        self._process.send(signal.SIGTERM)
        return await self._process.ended()

    def kill(self, program: str | None = None) -> list[int]:
        """SIGKILL to every process of the unit, or to those of a program (`haproxy`); their ids."""
        return self.processes.send(signal.SIGKILL, program=program)

    def freeze(self, program: str | None = None) -> list[int]:
        """SIGSTOP to every process of the unit, or to those of a program; their ids."""
        return self.processes.send(signal.SIGSTOP, program=program)

    def thaw(self) -> None:
        """SIGCONT to every process of the unit."""
        self.processes.send(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Fill the file system of the state to the last byte (`disk_bytes`)."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 9, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free_disk(self) -> None:
        """Undo `fill_disk`."""
        self._filler.unlink()

    # -- what it says

    async def call(self, name: str, **parameters: Any) -> JSON:
        """A command of its management API.

        Raises:
            lab.management.Refused: it was refused.
            aiohttp.ClientError, TimeoutError: no answer.
        """
        return await self._api.call(name, **parameters)

    async def state_now(self) -> str:
        """`Active`, `Standby`, `Unconnected` or `Failed`, by `agentstatus`; `Down` when nobody answers."""
        try:
            return str((await self.call("agentstatus"))["state"])
        except (OSError, EOFError):
            return "Down"

    async def page(self, seconds: float = 2.0, *, source: Place | None = None) -> tuple[int, str]:
        """Status and text of its health port, as asked by one who is not the balancer; (0, why) if none."""
        asker = Client(source or self._client, self.address, CHECK_PORT)
        try:
            async with asyncio.timeout(seconds):
                found = await asker.get()
        except TimeoutError:
            return 0, "silent"
        text = found.body.decode().strip()
        if found.ok:
            return 200, text
        return (int(found.outcome), text) if found.outcome.isdigit() else (0, found.outcome)

    async def serves(self, path: str = "/", port: int = SERVICE_PORT) -> Request:
        """A request to its HAProxy, past the balancer."""
        return await Client(self._client, self.address, port).get(path)

    async def administer(self, *arguments: str) -> tuple[int, str]:
        """`loadmaster-agent ARGUMENTS` on the machine itself: exit status and output."""
        process = await asyncio.create_subprocess_exec(
            *self.command(arguments[0], "--config", str(self._file), *arguments[1:]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=self.place.enter_for_good,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    @staticmethod
    def command(*arguments: str) -> tuple[str, ...]:
        """The agent's command line."""
        return (command("loadmaster-agent"), *arguments)

    @property
    def _filler(self) -> Path:
        """In the unit's own mounts, as its processes see them."""
        pids = self.processes.pids()
        return Path(f"/proc/{pids[0]}/root{self.state}/filler")

    def _enter(self) -> None:
        if self.place.enter_for_good is not None:
            self.place.enter_for_good()
        if self._disk_bytes is not None:
            libc = ctypes.CDLL(None, use_errno=True)
            steps = (
                libc.unshare(_CLONE_NEWNS),
                libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None),
                libc.mount(
                    b"lab",
                    os.fsencode(self.state),
                    b"tmpfs",
                    0,
                    f"size={self._disk_bytes},mode=0700".encode(),
                ),
            )
            if any(steps):
                os.write(2, b"a file system of its own for the state cannot be mounted\n")
                os._exit(1)
