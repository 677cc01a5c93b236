"""Two real node agents on loopback, as `loadmaster-agent run` starts them, and a scripted prober of theirs.

    with AgentPair(tmp_path) as pair:
        pair.start()
        pair.until("Active", "Standby")

Each pair takes addresses of its own out of 127.0.0.0/8, so that several run side by side on the usual ports.
The prober asks both units as Azure's would; it can be stopped, and remembers what it was answered.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pytest
import yaml
from tests.support.supervised import die_with_the_test, eventually

from loadmaster_ha.agent import local_control

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = dict[str, Any]

SECRET: Final = "the-secret-of-this-pair"
PASSWORD: Final = "Initial-Passw0rd"
AGENT: Final = [sys.executable, "-m", "loadmaster_ha.cli.agent"]


def agent(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [*AGENT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


class Agent:
    """One node agent."""

    def __init__(self, folder: Path, address: str, configuration: JSON) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.folder = folder
        self.file = folder / "agent.yaml"
        self.log = folder / "agent.log"
        self.configuration = configuration
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.file.write_text(yaml.safe_dump(self.configuration), encoding="utf-8")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*AGENT, "run", "--config", str(self.file)],
                stdout=log,
                stderr=log,
                preexec_fn=die_with_the_test,  # noqa: PLW1509 - one prctl, no locks
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the supervisor a signal and wait for its end; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def node(self) -> int:
        """The node process' id."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        found = [
            pid for pid in children.split() if b"process.node" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return int(found[0])

    def status(self) -> JSON:
        """What `loadmaster-agent status` would say; empty when it is not reachable."""
        socket = Path(self.configuration["runDirectory"]) / "agent.sock"
        try:
            return local_control.ask(socket, "status", limit=5.0)
        except (local_control.NotReachable, local_control.ControlRefused):
            return {}

    def state(self) -> str:
        return str(self.status().get("state", ""))

    def page(self, source: str, port: int = 8444) -> tuple[int, str]:
        """What the health port answers; 0 when nothing listens."""
        connection = http.client.HTTPConnection(self.address, port, timeout=5, source_address=(source, 0))
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def api(self, command: str, **parameters: Any) -> JSON:
        """One command of the management API (version 2); its reply with `code`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.address, 8443, timeout=60, context=context)
        body = {"cmd": command, "apiuser": "bal", "apipass": PASSWORD, **parameters}
        try:
            connection.request("POST", "/accessv2", json.dumps(body))
            reply: JSON = json.loads(connection.getresponse().read())
            return reply
        finally:
            connection.close()

    def logged(self, text: str) -> bool:
        return text in self.log.read_text(encoding="utf-8")


@dataclass
class Prober:
    """Asks every unit's health port once an interval, from one address."""

    source: str
    agents: list[Agent]
    interval: float
    answers: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)
    """When, and each unit's status."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def serving(self) -> tuple[int, ...]:
        return self.answers[-1][1] if self.answers else ()

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            port = [each.configuration.get("healthCheck", {}).get("port", 8444) for each in self.agents]
            found = tuple(each.page(self.source, at)[0] for each, at in zip(self.agents, port, strict=True))
            self.answers.append((began, found))
            self._stopped.wait(max(0.0, self.interval - (time.monotonic() - began)))


class AgentPair:
    """Master and slave. `more` is merged into both configurations."""

    def __init__(self, folder: Path, *, units: int = 2, **more: Any) -> None:
        if shutil.which("haproxy") is None:
            pytest.skip("haproxy is not installed (make system)")
        net = f"127.{random.randint(16, 62)}.{random.randint(0, 255)}"  # noqa: S311 - addresses
        (folder / "secret").write_text(f"{SECRET}\n", encoding="ascii")
        (folder / "password").write_text(f"{PASSWORD}\n", encoding="ascii")
        self.net = net
        self._sockets = Path(tempfile.mkdtemp(prefix="lm-"))  # paths of sockets have to be short
        self.person = f"{net}.9"
        self.agents = []
        for number, mode in enumerate(("Master", "Slave")[:units]):
            own, other = f"{net}.{4 + number}", f"{net}.{5 - number}"
            configuration = {
                "mode": mode,
                "interfaces": [f"{own}/24"],
                "partner": {"address": other, "secretFile": str(folder / "secret")},
                "balancer": {"probeSource": f"{net}.16", "probeIntervalSeconds": 1},
                "failover": {"drainSeconds": 2, "failbackDelaySeconds": 1, "finishSeconds": 2},
                "management": {"initialPasswordFile": str(folder / "password")},
                "stateDirectory": str(folder / mode / "state"),
                "runDirectory": str(self._sockets / mode),
                "log": {"format": "text"},
            }
            for group, settings in more.items():
                merged = configuration.get(group)
                configuration[group] = {**merged, **settings} if isinstance(merged, dict) else settings
            self.agents.append(Agent(folder / mode, own, configuration))
        self.prober = Prober(f"{net}.16", self.agents, 1.0)

    @property
    def master(self) -> Agent:
        return self.agents[0]

    @property
    def slave(self) -> Agent:
        return self.agents[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.prober.stop()
        for each in self.agents:
            if each.process is not None:
                each.process.kill()
                each.process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def start(self, *, probe: bool = True) -> Self:
        for each in self.agents:
            each.start()
        if probe:
            self.prober.start()
        return self

    def until(self, *states: str) -> None:
        """Wait until the units are in these states, linked, and HAProxy serves on both."""
        self.wait(lambda: tuple(each.state() for each in self.agents) == states, " and ".join(states))
        if len(states) == 2:
            self.wait(lambda: all(map(_linked_and_able, self.agents)), "linked, and both able to serve")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        try:
            return eventually(condition, what, limit=45.0)
        except AssertionError as problem:
            logs = "\n".join(f"--- {each.address}\n{each.log.read_text()[-3000:]}" for each in self.agents)
            raise AssertionError(f"{problem}\n{logs}") from None


def _linked_and_able(unit: Agent) -> bool:
    status = unit.status()
    linked = status.get("partner", {}).get("linked")
    return bool(linked) and status["haproxy"]["condition"] == "Well"
