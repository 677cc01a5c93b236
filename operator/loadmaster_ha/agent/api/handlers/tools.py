"""Network tools ("RESTful API Interface Description", 3.20.2 and 3.21.4); what they do is `agent.tools`."""

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import Final

from loadmaster_ha.agent import tools
from loadmaster_ha.agent.api.dispatch import Binary, Call, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.unit import Unit

MOST_AT_ONCE: Final = 4
"""Tools that may run at the same time, one of them a capture; each holds a process and some memory."""

_ALL_INTERFACES: Final = "all"
_running: list[str] = []


@handles("logging.ping")
async def ping(call: Call, unit: Unit) -> Reply:
    """Ping by the version of IP that the address has."""
    return await _ping(call, unit, None)


@handles("logging.ping6")
async def ping6(call: Call, unit: Unit) -> Reply:
    """Ping by IPv6."""
    return await _ping(call, unit, 6)


@handles("logging.traceroute")
async def traceroute(call: Call, _: Unit) -> Reply:
    """The way to a host."""
    with _one_of("traceroute"):
        return Done(await tools.traceroute(tools.host(call.text("addr") or "")))


@handles("tcpdump")
async def tcpdump(call: Call, unit: Unit) -> Reply:
    """Capture packets on the main interface, or where it is asked for."""
    if call.text("tcpoptions") is not None:
        raise Refused(422, "tcpoptions: options of tcpdump are not taken; use address, port and interface.")
    with _one_of("tcpdump"):
        address = call.text("address")
        wanted = tools.Capture(
            interface=_where(call.text("interface"), list(unit.own_addresses)),
            packets=call.number("maxpackets") or tools.DEFAULT_PACKETS,
            seconds=call.number("maxtime") or tools.DEFAULT_TIME,
            address=None if address is None else ipaddress.ip_address(address),
            port=call.number("port"),
        )
        return Binary(await tools.capture(wanted))


async def _ping(call: Call, unit: Unit, version: int | None) -> Reply:
    with _one_of("ping"):
        target, source = tools.host(call.text("addr") or ""), call.text("intf")
        if source is not None:
            source = tools.interface(source, list(unit.own_addresses), name="intf")
        return Done(await tools.ping(target, version=version, source=source))


def _where(asked: str | None, numbered: list[str]) -> str:
    """The interface to capture on; the main one unless asked, if the machine has it under that name."""
    if asked == _ALL_INTERFACES:
        return tools.ANY_INTERFACE
    if asked is not None:
        return tools.interface(asked, numbered, name="interface")
    try:
        return tools.interface("0", numbered, name="interface")
    except tools.ToolRefused:  # addresses on the loopback interface bear the name of another
        return tools.ANY_INTERFACE


@contextlib.contextmanager
def _one_of(program: str) -> Iterator[None]:
    """Keep a place for a tool, and say a tool's refusal as the management API's."""
    if len(_running) >= MOST_AT_ONCE:
        raise Refused(422, f"There are {MOST_AT_ONCE} network tools running already; try again later.")
    if program == "tcpdump" and program in _running:
        raise Refused(422, "A capture is running already; wait until it ends.")
    _running.append(program)
    try:
        yield
    except tools.ToolRefused as refusal:
        raise Refused(422, f"{refusal}.") from refusal
    finally:
        _running.remove(program)
