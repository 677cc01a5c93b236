"""The real operator as a process of its own, against a control plane and a (usually emulated) Azure.

`OperatorProcess` starts `loadmaster-operator run` with free ports, keeps its JSON log, can kill, freeze and
stop it. The process ends when the test's does, however that ends: it watches a pipe that only we hold open.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from controlplane.server import ControlPlane

JSON = dict[str, Any]

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
"""Safety limits; starting takes about two seconds on an idle machine."""

_PROGRAM: Final = """
import os, sys, threading
def end_with_the_test(lifeline):
    os.read(lifeline, 1)
    os._exit(9)
threading.Thread(target=end_with_the_test, args=(int(sys.argv.pop(1)),), daemon=True).start()
from loadmaster_ha.cli.operator import main
sys.exit(main(sys.argv[1:]))
"""


class OperatorProcess:
    """One operator, which serves one namespace and elects its leader there.

    Args:
        plane: the control plane.
        namespace: what it serves, and where its Lease is.
        azure_url: Resource Manager (and sign-in) endpoint.
        ca_file: the certificate authority of that endpoint.
        directory: where its log goes; several runs are appended.
        name: of the log file, where there are several replicas.
        flags: further flags, by field of `Settings`; they replace those above.
        environment: further environment variables.
    """

    def __init__(
        self,
        plane: ControlPlane,
        namespace: str,
        azure_url: str,
        ca_file: Path,
        directory: Path,
        *,
        name: str = "operator",
        flags: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / f"{name}.log"
        self._environment = {**_clean(os.environ), **(environment or {})}
        self._flags: dict[str, object] = {
            "kubeconfig": plane.kubeconfig,
            "namespace": namespace,
            "lease_namespace": namespace,
            "azure_cloud": "Custom",
            "azure_resource_manager_url": azure_url,
            "azure_ca_file": ca_file,
            "metrics_listen": "127.0.0.1:0",
            "health_listen": "127.0.0.1:0",
            "log_level": "debug",
            **(flags or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._began = 0

    @property
    def pid(self) -> int:
        assert self._process is not None, "the operator has not been started"
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait` until it serves its probes."""
        self.kill()
        self._began = self._log.stat().st_size if self._log.exists() else 0
        theirs, self._lifeline = os.pipe()
        arguments = [
            f"--{name.replace('_', '-')}={value}" for name, value in self._flags.items() if value is not None
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs), "run", *arguments],
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                pass_fds=(theirs,),
            )
        os.close(theirs)
        if wait:
            self.wait_for_log(lambda line: line.get("serving") == "health", "it serves its probes")

    def kill(self) -> None:
        """`kill -9`, also of a frozen one; nothing when it does not run."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self.wait()

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None, "the operator has not been started"
        self._process.terminate()
        return self.wait()

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for its end; its exit status."""
        status = 0 if self._process is None else self._process.wait(seconds)
        self._process = None
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        return status

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def log(self) -> list[JSON]:
        """The lines of the present run."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as log:
            log.seek(self._began)
            text = log.read().decode(errors="replace")
        lines = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def output(self) -> str:
        """Everything it has ever written."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def tail(self, lines: int = 40) -> str:
        """The end of its log, for messages of failed tests."""
        return "\n".join(line for line in self.output().splitlines() if '"debug"' not in line).strip()[
            -400 * lines :
        ]

    def wait_for_log(self, wanted: Any, what: str, seconds: float = START_SECONDS) -> JSON:
        """Wait for a line of the present run; the line."""
        deadline = time.monotonic() + seconds
        while True:
            for line in self.log():
                if isinstance(line, dict) and wanted(line):
                    return line
            assert not self.ended, f"the operator ended before {what}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}\n{self.tail()}"
            time.sleep(0.05)

    def port(self, what: str) -> int:
        """Where it serves `metrics` or `health`."""
        return int(self.wait_for_log(lambda line: line.get("serving") == what, f"it serves {what}")["port"])

    def get(self, what: str, path: str) -> tuple[int, str]:
        """Ask its `metrics` or `health` server; status and body."""
        url = f"http://127.0.0.1:{self.port(what)}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def metrics(self) -> dict[str, float]:
        """All samples, by `name{labels}` as they stand in the exposition."""
        status, text = self.get("metrics", "/metrics")
        assert status == 200
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in samples}


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what would configure the operator from outside."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(("LOADMASTER_", "AZURE_", "KUBE"))
    }
