"""An Azure emulator as a process of its own, for tests: real TLS on a free port.

Also builds the guide's network in it.

`running_emulator()` starts one and yields an `Emulator`; the fixtures `emulator` and `emulator_latency` wrap
it. The process dies with the test process, also when that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
CLIENT = "00000000-0000-0000-0000-0000000000aa"
NETWORK = "2024-05-01"
COMPUTE = "2024-07-01"
RESOURCES = "2022-09-01"
PATIENCE_SECONDS = 60
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The error code of the body."""
        return str(self.body["error"]["code"])


@dataclass(slots=True)
class Emulator:
    """A running emulator."""

    state_dir: Path
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    subscription: str = SUBSCRIPTION
    url: str = ""
    token: str = "any"
    host: str = "127.0.0.1"
    wrapper: tuple[str, ...] = ()
    """A command that runs it, for example `("ip", "netns", "exec", NAME)`."""
    _process: subprocess.Popen[str] | None = None
    _session: aiohttp.ClientSession | None = None

    @property
    def ca_file(self) -> Path:
        """The authority to trust."""
        return self.state_dir / "ca.pem"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, port: int = 0) -> None:
        """Start the process and wait until it serves.

        Raises:
            RuntimeError: it ended instead; with what it said.
        """
        command = [
            *self.wrapper,
            sys.executable, "-m", "loadmaster_ha.cli.emulator", "serve", "--listen", f"{self.host}:{port}",
            "--state-dir", str(self.state_dir), "--log-format", "text", *self.arguments,
        ]  # fmt: skip
        log = self.state_dir / "log.txt"
        with log.open("a") as errors:
            # In this very thread, which the death signal follows.
            self._process = subprocess.Popen(  # noqa: ASYNC220
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call
                env={**os.environ, "PYTHONPATH": _python_path(), **self.environment},
            )
        output = self._process.stdout
        assert output is not None
        line = await asyncio.wait_for(asyncio.to_thread(output.readline), PATIENCE_SECONDS)
        if not line.startswith("ready "):
            raise RuntimeError(f"the emulator did not start: {line}{log.read_text()}")
        self.url = line.split()[1]
        self.connect()

    def connect(self) -> None:
        """Make the session for requests to `url`, also when the emulator runs in this process."""
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process and return its exit code."""
        if self._session is not None:
            await self._session.close()
        process = self._process
        if process is None or process.poll() is not None:
            return process.returncode if process else 0
        process.send_signal(number)
        try:
            code = await asyncio.wait_for(asyncio.to_thread(process.wait), PATIENCE_SECONDS)
        except TimeoutError:
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return code

    async def kill(self) -> None:
        """`kill -9`."""
        await self.stop(signal.SIGKILL)

    async def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process and start it again with the same state on the same port."""
        port = URL(self.url).port or 0
        await self.stop(number)
        await self.start(port)

    # -- requests

    async def send(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        data: Any = None,
    ) -> Answer:
        """Send a request as it is; `url` may be absolute or a path."""
        assert self._session is not None
        target = URL(url if url.startswith("https://") else self.url + url, encoded="%" in url)
        async with self._session.request(method, target, json=body, data=data, headers=headers) as answer:
            text = await answer.text()
            found = {name.lower(): value for name, value in answer.headers.items()}
            is_json = "json" in found.get("content-type", "")
            return Answer(answer.status, found, json.loads(text) if text and is_json else text or None)

    async def arm(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        version: str | None = None,
    ) -> Answer:
        """Send an ARM request with a token; the api-version is added when the path has none."""
        if "api-version=" not in path:
            path += ("&" if "?" in path else "?") + f"api-version={version or _version(path)}"
        return await self.send(
            method, path, body, {"Authorization": f"Bearer {self.token}", **(headers or {})}
        )

    async def made(self, path: str, body: Any) -> Any:
        """PUT a resource, wait for its operation, and return it as it then is."""
        answer = await self.arm("PUT", path, body)
        assert answer.status in {200, 201}, (path, answer.body)
        await self.settled(answer)
        return (await self.arm("GET", path)).body

    async def gone(self, path: str) -> None:
        """DELETE a resource and wait for the end."""
        answer = await self.arm("DELETE", path)
        assert answer.status in {200, 202, 204}, (path, answer.body)
        await self.settled(answer)

    async def settled(self, answer: Answer) -> str:
        """Wait for the operation that an answer names; its last status (`Succeeded` when there is none)."""
        url = answer.headers.get("azure-asyncoperation")
        if url is None:
            return "Succeeded"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = str((await self.arm("GET", url)).body["status"])
                if found in {"Succeeded", "Failed", "Canceled"}:
                    return found
                await asyncio.sleep(0.05)

    # -- admin API

    async def add_fault(self, **fault: Any) -> Any:
        answer = await self.send("POST", "/_emulator/faults", fault)
        assert answer.status == 201, answer.body
        return answer.body

    async def faults(self) -> list[dict[str, Any]]:
        return list((await self.send("GET", "/_emulator/faults")).body["faults"])

    async def clear_faults(self) -> None:
        await self.send("DELETE", "/_emulator/faults")

    async def requests(self) -> Any:
        """Return the counts and the journal of writes."""
        return (await self.send("GET", "/_emulator/requests")).body

    async def reset_requests(self) -> None:
        await self.send("DELETE", "/_emulator/requests")

    async def seed(self, resource: str, body: Any) -> Any:
        """Store a resource without validation."""
        answer = await self.send("PUT", f"/_emulator/resources{resource}", body)
        assert answer.status == 200, answer.body
        return answer.body

    async def set_probes(self, answers: Mapping[str, str]) -> None:
        answer = await self.send("PUT", "/_emulator/probes", dict(answers))
        assert answer.status == 204, answer.body

    # -- the Azure SDK

    def azure_client_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of an Azure management client."""
        return {
            "base_url": self.url,
            "credential_scopes": [f"{self.url}/.default"],
            "connection_verify": str(self.ca_file),
            "polling_interval": 0,
            "retry_total": 0,
        }

    def credential_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of a credential of azure-identity."""
        return {
            "authority": self.url,
            "disable_instance_discovery": True,
            "connection_verify": str(self.ca_file),
        }

    # -- ids

    def group(self, name: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{name}"

    def network(self, kind: str, name: str, group: str = "edge") -> str:
        return f"{self.group(group)}/providers/Microsoft.Network/{kind}/{name}"

    def compute(self, kind: str, name: str, group: str = "edge") -> str:
        return f"{self.group(group)}/providers/Microsoft.Compute/{kind}/{name}"


@contextlib.asynccontextmanager
async def running_emulator(
    *arguments: str,
    state_dir: Path | None = None,
    subscription: str = SUBSCRIPTION,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Emulator]:
    """Start an emulator with more command-line `arguments`; stop it at the end."""
    with contextlib.ExitStack() as stack:
        if state_dir is None:
            state_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emulator-test-")))
        emulator = Emulator(
            state_dir, ("--subscription", subscription, *arguments), environment or {}, subscription
        )
        try:
            await emulator.start()
            yield emulator
        finally:
            await emulator.stop()


@pytest.fixture
def emulator_latency() -> float:
    """How long operations take in the fixture `emulator`, in seconds; parametrise with `indirect=True`."""
    return 0.0


@pytest.fixture
async def emulator(emulator_latency: float) -> AsyncIterator[Emulator]:
    """Give an empty emulator."""
    async with running_emulator("--latency", str(emulator_latency)) as found:
        yield found


async def seed_guide_network(emulator: Emulator, location: str = "westeurope") -> None:
    """Make what the guide expects to be there, by plain requests.

    Group `net`: network `app` (10.0.0.0/16) with the subnets `lb` 10.0.2.0/24 and `lm` 10.0.1.0/24, the
    latter with the NAT gateway `lm-nat`. Group `edge`: security group `lm-nsg`, availability set `lm-set`,
    interfaces `lm-0-nic` and `lm-1-nic` (10.0.1.4 and 10.0.1.5), machines `lm-0` and `lm-1`.
    """
    here = {"location": location}
    for group in ("net", "edge"):
        await emulator.arm("PUT", emulator.group(group), here)
    standard = {"sku": {"name": "Standard"}}
    public = emulator.network("publicIPAddresses", "lm-nat-ip", "net")
    await emulator.made(public, {**here, **standard, "properties": {"publicIPAllocationMethod": "Static"}})
    gateway = emulator.network("natGateways", "lm-nat", "net")
    await emulator.made(gateway, {**here, **standard, "properties": {"publicIpAddresses": [{"id": public}]}})
    network = emulator.network("virtualNetworks", "app", "net")
    subnets = [
        {"name": "lb", "properties": {"addressPrefix": "10.0.2.0/24"}},
        {"name": "lm", "properties": {"addressPrefix": "10.0.1.0/24", "natGateway": {"id": gateway}}},
    ]
    space = {"addressPrefixes": ["10.0.0.0/16"]}
    await emulator.made(network, {**here, "properties": {"addressSpace": space, "subnets": subnets}})
    group = emulator.network("networkSecurityGroups", "lm-nsg")
    await emulator.made(group, {**here, "properties": {"securityRules": []}})
    availability = emulator.compute("availabilitySets", "lm-set")
    counts = {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}
    await emulator.made(availability, {**here, "sku": {"name": "Aligned"}, "properties": counts})
    for index in (0, 1):
        interface = emulator.network("networkInterfaces", f"lm-{index}-nic")
        await emulator.made(
            interface, interface_body(location, f"{network}/subnets/lm", f"10.0.1.{4 + index}", group)
        )
        machine = emulator.compute("virtualMachines", f"lm-{index}")
        await emulator.made(machine, machine_body(location, f"lm-{index}", interface, availability))


def interface_body(location: str, subnet: str, address: str, security_group: str | None = None) -> Any:
    """Return the body of an interface with one static address in the ipConfiguration `primary`."""
    properties: dict[str, Any] = {
        "ipConfigurations": [
            {
                "name": "primary",
                "properties": {
                    "subnet": {"id": subnet},
                    "privateIPAddress": address,
                    "privateIPAllocationMethod": "Static",
                    "primary": True,
                },
            }
        ]
    }
    if security_group:
        properties["networkSecurityGroup"] = {"id": security_group}
    return {"location": location, "properties": properties}


def machine_body(location: str, name: str, interface: str, availability: str | None = None) -> Any:
    """Return the body of a machine with one interface."""
    properties: dict[str, Any] = {
        "hardwareProfile": {"vmSize": "Standard_D2s_v3"},
        "storageProfile": {"osDisk": {"name": f"{name}-os", "createOption": "Attach", "osType": "Linux"}},
        "networkProfile": {"networkInterfaces": [{"id": interface, "properties": {"primary": True}}]},
    }
    if availability:
        properties["availabilitySet"] = {"id": availability}
    return {"location": location, "properties": properties}


def _version(path: str) -> str:
    if "/providers/microsoft.compute" in path.lower():
        return COMPUTE
    return NETWORK if "/providers/microsoft.network" in path.lower() else RESOURCES


def _python_path() -> str:
    source = str(Path(__file__).resolve().parents[2] / "operator")
    return os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
