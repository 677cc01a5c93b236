"""Until the other unit is in charge after a unit dies: our agents and keepalived, by turns on the same hosts.

Everything of the active unit is killed by SIGKILL: agent and HAProxy, or keepalived and HAProxy. Measured is
the time until the other one has taken over by its own account: its health port says that it is active; its
keepalived reports the state MASTER. What the balancer (or a network that learns where an address has moved)
adds is left out on both sides; `bench.failover` measures it for us.

keepalived runs with its default advertisement every second, and with its fastest sensible one: every tenth
of a second (its documentation warns of false fail-overs below a second).
"""

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from bench.report import distribution, publish, table
from lab.nodes import Lab, open_lab
from lab.places import Place
from lab.unit_processes import UnitProcesses

TRIALS: Final = 50
ADVERTS: Final = (1.0, 0.1)
"""Seconds between two advertisements."""
SETTLE_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.001

_KEEPALIVED = """
global_defs {{
    notify_fifo {folder}/fifo
    vrrp_version 3
}}
vrrp_instance pair {{
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int {advert}
    unicast_src_ip {own}
    unicast_peer {{ {other} }}
    virtual_ipaddress {{ 10.0.2.200/32 dev lo }}
}}
"""
_HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend web
    bind {own}:9090
    http-request return status 200
"""


async def run(*, trials: int = TRIALS) -> None:
    """Measure and publish."""
    found: dict[str, list[float]] = {"agent": [], **{f"keepalived {advert:g} s": [] for advert in ADVERTS}}
    with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as folder:
        async with open_lab(Path(folder) / "lab", namespaces=True, preferred_host="None") as lab:
            for unit in lab.units:
                await unit.start()
            active = await lab.until_at_rest()
            for trial in range(trials):
                found["agent"].append(await _agent(lab, active))
                active = 1 - active
                for advert in ADVERTS:
                    where = Path(folder) / f"keepalived-{trial}-{advert:g}"
                    found[f"keepalived {advert:g} s"].append(await _keepalived(lab, where, advert))
    shown = table(
        "seconds until the other unit is in charge", "who", "p50", "p95", "p99", "max", "n", "ratio"
    )
    spreads = {name: distribution(samples) for name, samples in found.items()}
    for name, spread in spreads.items():
        figures = [f"{spread[key]:.3f}" for key in ("p50", "p95", "p99", "max")]
        ratio = spread["p50"] / spreads["agent"]["p50"]
        shown.add_row(name, *figures, str(spread["n"]), f"{ratio:.1f}")
    publish("takeover", {"seconds": spreads}, shown)


async def _agent(lab: Lab, active: int) -> float:
    other = lab.units[1 - active]
    killed = time.monotonic()
    lab.units[active].kill()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await other.page(0.5))[0] != 200:
            await asyncio.sleep(POLL_SECONDS)
    took = time.monotonic() - killed
    await lab.units[active].start()
    await lab.until_settled(1 - active)
    return took


async def _keepalived(lab: Lab, folder: Path, advert: float) -> float:
    async with contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(_node(lab.places.units, number, folder / str(number), advert))
            for number in (0, 1)
        ]
        master = await _until_one_is_master(nodes)
        await asyncio.sleep(SETTLE_SECONDS)
        killed = time.monotonic()
        nodes[master].kill()
        await nodes[1 - master].until_master()
        return time.monotonic() - killed


class _Node:
    """keepalived and HAProxy on one host."""

    def __init__(self, fifo: Path) -> None:
        self.processes = UnitProcesses()
        self._states = ""
        # Both ends, so that it opens at once and never ends.
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)

    def kill(self) -> None:
        """SIGKILL to all, children first: a child that outlives its parent by a moment says good-bye."""
        for pid in reversed(self.processes.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        os.close(self._fifo)

    def is_master(self) -> bool:
        """Whether its last word is MASTER."""
        with contextlib.suppress(BlockingIOError):
            self._states += os.read(self._fifo, 65536).decode()
        lines = [line.split() for line in self._states.splitlines() if line.startswith("INSTANCE")]
        return bool(lines) and lines[-1][2] == "MASTER"

    async def until_master(self) -> None:
        """Wait until keepalived says so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.is_master():
                await asyncio.sleep(POLL_SECONDS)


@contextlib.asynccontextmanager
async def _node(
    places: tuple[Place, Place], number: int, folder: Path, advert: float
) -> AsyncIterator[_Node]:
    own, other = places[number], places[1 - number]
    folder.mkdir(parents=True)
    os.mkfifo(folder / "fifo")
    node = _Node(folder / "fifo")
    try:
        (folder / "haproxy.cfg").write_text(_HAPROXY.format(own=own.address), encoding="ascii")
        await _spawn(own, node, "haproxy", "-db", "-f", str(folder / "haproxy.cfg"))
        configuration = _KEEPALIVED.format(
            folder=folder,
            priority=150 - number,
            advert=advert,
            own=own.address,
            other=other.address,
        )
        (folder / "keepalived.conf").write_text(configuration, encoding="ascii")
        pids = [
            argument for name in ("p", "r", "c") for argument in (f"-{name}", str(folder / f"{name}.pid"))
        ]
        await _spawn(own, node, "keepalived", "-n", "-l", "-P", "-f", str(folder / "keepalived.conf"), *pids)
        yield node
    finally:
        node.close()


async def _spawn(place: Place, node: _Node, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=place.enter_for_good,
        env={**os.environ, **node.processes.environment},
    )


async def _until_one_is_master(nodes: list[_Node]) -> int:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            masters = [number for number, node in enumerate(nodes) if node.is_master()]
            if len(masters) == 1:
                return masters[0]
            await asyncio.sleep(POLL_SECONDS)
