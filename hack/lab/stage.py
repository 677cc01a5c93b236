"""Everything at once: an API server, the emulated Azure with the guide's network in it, and the operator.

    async with open_stage(folder) as stage: ...

ends and removes all of it, in the right order, however the block is left.
"""

import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.world import Arm

from controlplane.server import ControlPlane
from lab.cluster import Cluster
from lab.network import Addresses, Site
from lab.processes import Process, command

ROOT = Path(__file__).resolve().parent.parent.parent
CREDENTIALS = {
    "tenantID": "99999999-8888-7777-6666-555555555555",
    "clientID": "00000000-0000-0000-0000-0000000000aa",
    "clientSecret": "any secret signs in to the emulator",
}


@dataclass
class Emulator:
    """The running emulator."""

    url: str
    ca_file: Path
    arm: Arm
    process: Process

    async def requests(self) -> dict[str, Any]:
        """Counts and journal of writes since the last reset (docs/emulator.md)."""
        found: dict[str, Any] = await self.arm.request("GET", "/_emulator/requests")
        return found

    async def reset_requests(self) -> None:
        """Start counting anew."""
        await self.arm.request("DELETE", "/_emulator/requests")

    async def throttle_as_azure(self) -> None:
        """Give each client Azure's budgets of requests from now on."""
        await self.arm.request("PUT", "/_emulator/throttle", {"factor": 1.0})


@dataclass
class Stage:
    """What runs; `plane` is None in a cluster that is not ours."""

    folder: Path
    plane: ControlPlane | None
    kubeconfig: Path
    cluster: Cluster
    emulator: Emulator
    site: Site
    operator_environment: dict[str, str]

    @contextlib.asynccontextmanager
    async def operator(self, name: str = "operator", *arguments: str) -> AsyncIterator["Operator"]:
        """Run `loadmaster-operator` against this stage; ends it by SIGTERM."""
        environment = self.operator_environment
        log = self.folder / f"{name}.log"
        async with Process(
            name, command("loadmaster-operator"), "run", *arguments, log=log, environment=environment
        ) as process:
            await process.until(lambda text: "This replica leads" in text)
            yield Operator(process)


@dataclass
class Operator:
    """The running operator."""

    process: Process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def port(self, what: str) -> int:
        """Where it serves `metrics` or `health`; it has to log JSON."""
        for line in self.process.log.read_text(encoding="utf-8").splitlines()[::-1]:
            if f'"serving": "{what}"' in line:
                return int(json.loads(line)["port"])
        raise LookupError(f"{self.process.log} does not say where {what} is served")

    def resident_bytes(self) -> int:
        """Resident set size."""
        return _status_bytes(self.pid, "VmRSS")

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def open_stage(
    folder: Path,
    *,
    latency: float = 0.0,
    retry_after: int | None = None,
    pairs: int = 1,
    addresses: Addresses | None = None,
    emulator_flags: Sequence[str] = (),
    kubeconfig: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Stage]:
    """Start API server (unless a kubeconfig is given) and emulator, install the CRDs, build the network.

    `latency` is how long Azure's operations take, and `retry_after` what it tells clients to wait, in s;
    `addresses` are those of the network, and `emulator_flags` more of `loadmaster-emulator serve`.
    """
    async with contextlib.AsyncExitStack() as stack:
        plane = stack.enter_context(ControlPlane.start()) if kubeconfig is None else None
        if plane is not None:
            kubeconfig = plane.kubeconfig
            say(f"a Kubernetes API server of its own runs at {plane.server}")
        assert kubeconfig is not None  # noqa: S101 - given, or just set
        cluster = await stack.enter_async_context(await Cluster.connect(kubeconfig))
        if plane is None:
            say(f"using your cluster ({kubeconfig})")
            await stack.enter_async_context(cluster.guest(ROOT / "crds"))
        else:
            await cluster.install_crds(ROOT / "crds")
        emulator = await stack.enter_async_context(_emulator(folder, latency, retry_after, emulator_flags))
        say(f"an emulated Azure runs at {emulator.url}")
        site = Site(emulator.arm, addresses=addresses or Addresses())
        await site.build(pairs)
        await emulator.reset_requests()
        environment = {
            "KUBECONFIG": str(kubeconfig),
            "LOADMASTER_AZURE_CLOUD": "Custom",
            "LOADMASTER_AZURE_RESOURCE_MANAGER_URL": emulator.url,
            "LOADMASTER_AZURE_CA_FILE": str(emulator.ca_file),
            "LOADMASTER_METRICS_LISTEN": "127.0.0.1:0",
            "LOADMASTER_HEALTH_LISTEN": "127.0.0.1:0",
        }
        yield Stage(folder, plane, kubeconfig, cluster, emulator, site, environment)


@contextlib.asynccontextmanager
async def _emulator(
    folder: Path, latency: float, retry_after: int | None, flags: Sequence[str]
) -> AsyncIterator[Emulator]:
    state = folder / "azure"
    arguments = ["serve", "--listen", "127.0.0.1:0", "--state-dir", str(state), "--latency", str(latency)]
    arguments += flags
    if retry_after is not None:
        arguments += ["--retry-after", str(retry_after)]
    log = folder / "emulator.log"
    async with Process("emulator", command("loadmaster-emulator"), *arguments, log=log) as process:
        said = await process.until(lambda text: "ready" in text)
        found = re.search(r"https://[\w.\[\]:-]+:\d+", said)
        if found is None:
            raise RuntimeError(f"the emulator did not say where it listens: {said}")
        ca_file = state / "ca.pem"
        async with Arm(found[0], ca_file) as arm:
            yield Emulator(found[0], ca_file, arm, process)


def _status_bytes(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)
