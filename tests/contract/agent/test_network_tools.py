"""The real ping, traceroute and tcpdump behind the management API's commands, on loopback."""

import asyncio
import socket
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from loadmaster_ha.agent import tools
from loadmaster_ha.agent.api.dispatch import Call, Refused, User, registry
from loadmaster_ha.agent.api.handlers import tools as handlers
from loadmaster_ha.loadmaster.commands import COMMANDS

UNIT = SimpleNamespace(own_addresses={"eth0": "127.0.0.1"})


async def call(name, **parameters):
    return await registry()[name](Call(COMMANDS[name], parameters, User("bal")), UNIT)


def has_ipv6():
    known = Path("/proc/net/if_inet6")
    return known.exists() and " lo\n" in known.read_text(encoding="ascii")


@pytest.fixture
def capturing():
    """Skip where the machine does not allow captures."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except PermissionError:
        pytest.skip("capturing packets needs CAP_NET_RAW")


async def test_ping_shows_the_answers():
    reply = await call("logging.ping", addr="127.0.0.1")
    assert "4 packets transmitted, 4 received" in reply.text


@pytest.mark.skipif(not has_ipv6(), reason="the loopback interface of this machine has no IPv6")
async def test_ping6_goes_by_ipv6_and_from_the_interface_asked_for():
    reply = await call("logging.ping6", addr="::1", intf="lo")
    assert "from ::1 lo" in reply.text
    assert "4 received" in reply.text


async def test_a_name_that_does_not_exist_is_what_ping_says_about_it():
    assert "nosuch.invalid" in (await call("logging.ping", addr="nosuch.invalid")).text


async def test_traceroute_shows_the_way():
    assert "127.0.0.1" in (await call("logging.traceroute", addr="127.0.0.1")).text.splitlines()[-1]


@pytest.mark.parametrize(
    "target",
    [
        "",
        "-c",
        "--help",
        "127.0.0.1 -f",
        "a;b",
        "$(reboot)",
        "a\nb",
        "x" * 254,
        ".",
        "a..b",
        "höst",
        "-f127.0.0.1",
    ],
)
@pytest.mark.parametrize("name", ["logging.ping", "logging.ping6", "logging.traceroute"])
async def test_what_is_no_host_never_reaches_a_program(name, target):
    with pytest.raises(Refused, match="neither an address nor a host name") as refusal:
        await call(name, addr=target)
    assert refusal.value.status == 422


@pytest.mark.parametrize("name", ["nosuch0", "-w", "lo;id", "7", "²"])
async def test_an_interface_that_the_machine_does_not_have_is_named(name):
    with pytest.raises(Refused, match=r"intf: this unit has no interface .* it has lo"):
        await call("logging.ping", addr="127.0.0.1", intf=name)


async def test_a_missing_program_is_said_with_the_package_that_has_it(monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "_PATH", str(tmp_path))
    with pytest.raises(Refused, match="no program tcpdump; install the package tcpdump"):
        await call("tcpdump")


async def test_options_of_tcpdump_are_refused():
    with pytest.raises(Refused, match="tcpoptions"):
        await call("tcpdump", tcpoptions="-z /bin/sh")


async def knock(port, turns):
    """Send datagrams to a port of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(turns):
            sender.sendto(b"knock", ("127.0.0.1", port))
            await asyncio.sleep(0.05)


def packets(capture):
    """The packets of a pcap file."""
    assert struct.unpack_from("=I", capture)[0] == 0xA1B2C3D4
    found, position = [], 24
    while position < len(capture):
        length = struct.unpack_from("=I", capture, position + 8)[0]
        found.append(capture[position + 16 : position + 16 + length])
        position += 16 + length
    assert position == len(capture)
    return found


async def test_a_capture_holds_the_packets_of_the_address_and_port_asked_for(capturing):
    asked = {"interface": "lo", "address": "127.0.0.1", "port": 40_009, "maxpackets": 5, "maxtime": 60}
    knocking = asyncio.gather(knock(40_009, 400), knock(40_010, 400))
    try:
        reply = await call("tcpdump", **asked)
    finally:
        knocking.cancel()
    found = [each for each in packets(reply.content) if b"knock" in each]
    assert len(found) == 5
    assert all(struct.pack("!H", 40_009) in each for each in found)


async def test_a_capture_of_nothing_ends_with_its_time_and_is_a_file_all_the_same(capturing):
    reply = await call("tcpdump", interface="all", port=1, maxtime=1)
    assert packets(reply.content) == []


async def test_a_second_capture_is_refused_and_one_that_nobody_waits_for_ends(capturing):
    first = asyncio.create_task(call("tcpdump", interface="lo", port=1, maxtime=600))
    while "tcpdump" not in handlers._running:  # noqa: ASYNC110 - there is nothing to be told by
        await asyncio.sleep(0.01)
    with pytest.raises(Refused, match="A capture is running already"):
        await call("tcpdump", interface="lo")
    await asyncio.sleep(0.2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert handlers._running == []


async def test_a_capture_as_large_as_it_may_be_ends_with_a_whole_packet(capturing, monkeypatch):
    monkeypatch.setattr(tools, "LARGEST_CAPTURE", 500)
    knocking = asyncio.create_task(knock(40_011, 600))
    try:
        reply = await call("tcpdump", interface="lo", port=40_011, maxtime=60)
    finally:
        knocking.cancel()
    assert packets(reply.content)


async def test_too_many_tools_at_once_are_refused(monkeypatch):
    monkeypatch.setattr(handlers, "_running", ["ping"] * handlers.MOST_AT_ONCE)
    with pytest.raises(Refused, match="4 network tools running"):
        await call("logging.ping", addr="127.0.0.1")


@pytest.mark.parametrize("cut", range(24, 24 + 2 * (16 + 10) + 1))
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_capture_cut_anywhere_ends_with_a_whole_packet(order, cut):
    header = struct.pack(f"{order}IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    record = struct.pack(f"{order}IIII", 1, 2, 10, 60) + b"x" * 10
    whole = tools.whole_packets((header + 2 * record)[:cut])
    assert whole == header + (cut - 24) // len(record) * record
