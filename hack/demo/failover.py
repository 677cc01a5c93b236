"""The demo's first act: two HAProxy nodes become one pair that goes on when one of them dies.

All on loopback and without root: two node agents, an emulated balancer that probes and forwards, two web
servers, and a client that opens a connection every 20 ms and never retries. Azure's probe interval of 5 s is
not shortened, so the waits are those that users would see.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from lab.nodes import SERVICE_PORT, Lab, open_lab
from lab.traffic import Log

PERIOD = 0.02
AFTER_SECONDS = 1.0

Say = Callable[[str], None]


async def tell(folder: Path, say: Say, title: Say) -> None:
    """The whole act.

    Raises:
        AssertionError: something happened otherwise than it should.
        TimeoutError: it did not happen.
    """
    title("two nodes with HAProxy and our agent behind an emulated balancer")
    async with open_lab(folder, namespaces=False, preferred_host="None") as lab:
        master, slave = lab.units
        say(f"master {master.address}, slave {slave.address}, frontend {lab.places.frontend}")
        await lab.start()
        say("The balancer has probed both: Unconnected became [cyan]Active[/] and [cyan]Standby[/]")
        for unit in lab.units:
            code, text = await unit.page()
            say(f"[yellow]http://{unit.address}:8444 -> {code} {text}[/]")
        await _publish(lab, say)
        await _kill(lab, say, title)
        await _switch_over(lab, say, title)


async def _publish(lab: Lab, say: Say) -> None:
    say("A web service is published through the management API of the active unit:")
    service = f"vs={lab.units[0].address} port={SERVICE_PORT} prot=tcp"
    say(f"[yellow]addvs {service}[/]")
    for web in lab.web:
        address, _, port = web.rpartition(":")
        say(f"[yellow]addrs {service} rs={address} rsport={port}[/]")
    began = time.monotonic()
    await lab.publish()
    say(f"[bold green]both units serve it after {time.monotonic() - began:.1f} s[/]")


async def _kill(lab: Lab, say: Say, title: Say) -> None:
    title("kill -9 to every process of the active unit, under load")
    async with lab.client.steady(PERIOD) as log:
        await asyncio.sleep(AFTER_SECONDS)
        killed = time.monotonic()
        lab.units[0].kill()
        await lab.until_serving(1)
        await asyncio.sleep(AFTER_SECONDS)
    gap = _gap(log, killed)
    if not log.requests[-1].ok:
        raise AssertionError(f"the service did not come back: {log.outcomes()}")
    code, text = await lab.units[1].page()
    say(f"[yellow]http://{lab.units[1].address}:8444 -> {code} {text}[/]")
    say(
        f"[bold green]new connections failed for {gap:.1f} s[/]: the agents need milliseconds, the rest is "
        "the wait for Azure's next probe, 0 to 5 s"
    )
    await lab.units[0].start()
    await lab.until_settled(1)
    say("The master is back. No Preferred Host: it stands by.")


async def _switch_over(lab: Lab, say: Say, title: Say) -> None:
    title("loadmaster-agent switchover, under load")
    async with lab.client.steady(PERIOD) as log, lab.client.kept_alive() as kept:
        await asyncio.sleep(AFTER_SECONDS)
        began = time.monotonic()
        status, said = await lab.units[1].administer("switchover")
        if status != 0:
            raise AssertionError(f"the switch-over failed: {said}")
        await lab.until_serving(0)
        took = time.monotonic() - began
        await asyncio.sleep(AFTER_SECONDS)
    say(f"[yellow]{said.strip().splitlines()[-1]}[/]")
    failed = log.failures() + kept.failures()
    if failed:
        raise AssertionError(f"requests failed: {log.outcomes()}, kept alive: {kept.outcomes()}")
    total = len(log.requests) + len(kept.requests)
    say(
        f"[bold green]0 of {total} requests failed[/] in the {took:.1f} s until the balancer had seen it: "
        "the old unit yielded only after the new one had answered two probes"
    )


def _gap(log: Log, since: float) -> float:
    """From the failure to the beginning of the last request that failed."""
    return max((request.began for request in log.failures()), default=since) - since
