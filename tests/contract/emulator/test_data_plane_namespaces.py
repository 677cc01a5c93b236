"""The data plane between network namespaces: ordinary addresses, nobody's on the balancer's host.

Four namespaces: a client's network and the members' network behind a router, on which the emulator runs with
`--transparent`. Needs root.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from contextlib import AsyncExitStack, ExitStack

import pytest
from tests.support.emulator import Emulator
from tests.support.loopback_site import LoopbackSite, eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root")

CLIENT = "10.7.9.10"

MEMBER = """
import asyncio, sys
async def health(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    print("probed from", writer.get_extra_info("peername")[0], flush=True)
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    writer.close()
async def serve(reader, writer):
    writer.write("{} {}:{}\\n".format(sys.argv[1], *writer.get_extra_info("peername")).encode())
    await reader.read()
    writer.close()
class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, address):
        self.transport.sendto("{} {}:{}\\n".format(sys.argv[1], *address).encode(), address)
async def main():
    await asyncio.start_server(health, port=8444)
    for port in (8080, 8081):
        await asyncio.start_server(serve, port=port)
    await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("0.0.0.0", 8053))
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""

ASK = """
import json, socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
asking = socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
asking.settimeout(2)
try:
    asking.connect((address, port))
    if kind == "udp":
        asking.send(b"?")
    print(json.dumps([asking.recv(100).decode().strip(), "%s:%d" % asking.getsockname()]))
except OSError as error:
    print(json.dumps([type(error).__name__, ""]))
"""


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Namespaces:
    """`router`, `client`, `member-0` and `member-1`, and a link from here to the router for ARM."""

    def __init__(self, stack: ExitStack) -> None:
        self.tag = f"lmdp{secrets.token_hex(3)}"
        self.arm = f"169.254.{secrets.randbelow(250) + 1}"
        for role in ("router", "client", "member-0", "member-1"):
            ip("netns", "add", self.name(role))
            stack.callback(ip, "netns", "delete", self.name(role))
            self.inside(role, "ip", "link", "set", "lo", "up")
        router = self.name("router")
        ip("link", "add", self.tag, "type", "veth", "peer", "name", "arm", "netns", router)
        ip("address", "add", f"{self.arm}.1/30", "dev", self.tag)
        ip("link", "set", self.tag, "up")
        self.inside("router", "ip", "address", "add", f"{self.arm}.2/30", "dev", "arm")
        self.inside("router", "ip", "link", "set", "arm", "up")
        # A link for each, as in Azure: what members say to each other passes the router, answers included.
        for index in (0, 1):
            self._plug(f"member-{index}", f"m{index}", f"10.7.1.{4 + index}", "10.7.1.1")
        self._plug("client", "c", CLIENT, "10.7.9.1")

    def name(self, role):
        return f"{self.tag}-{role}"

    def enter(self, role):
        return ("ip", "netns", "exec", self.name(role))

    def inside(self, role, *command):
        return subprocess.run(
            [*self.enter(role), *command], check=True, capture_output=True, text=True
        ).stdout

    def _plug(self, role, link, address, gateway):
        router = self.name("router")
        ip(
            "link",
            "add",
            link,
            "netns",
            router,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self.name(role),
        )
        self.inside("router", "ip", "address", "add", gateway, "dev", link)
        self.inside("router", "ip", "link", "set", link, "up")
        self.inside("router", "ip", "route", "add", address, "dev", link)
        self.inside(role, "ip", "address", "add", address, "dev", "eth0")
        self.inside(role, "ip", "link", "set", "eth0", "up")
        self.inside(role, "ip", "route", "add", "default", "via", gateway, "dev", "eth0", "onlink")

    async def ask(self, role, kind, address, port):
        """Connect from a namespace; return what was said and the own address, or the error and nothing."""
        return tuple(
            json.loads(
                await asyncio.to_thread(
                    self.inside, role, sys.executable, "-c", ASK, kind, address, str(port)
                )
            )
        )


@pytest.fixture
def namespaces():
    with ExitStack() as stack:
        yield Namespaces(stack)


@pytest.fixture
async def laboratory(namespaces, tmp_path):
    """An emulator on the router, a pair behind it, and what the members print."""
    async with AsyncExitStack() as stack:
        members = []
        for index in (0, 1):
            member = await asyncio.create_subprocess_exec(
                *namespaces.enter(f"member-{index}"), sys.executable, "-c", MEMBER, f"member-{index}",
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            stack.push_async_callback(_end, member)
            assert await member.stdout.readline() == b"ready\n"
            members.append(member)
        azure = Emulator(
            tmp_path,
            ("--data-plane", "--transparent", "--probe-interval", "0.2"),
            host=f"{namespaces.arm}.2",
            wrapper=namespaces.enter("router"),
        )
        await azure.start()
        stack.push_async_callback(azure.stop)
        site = LoopbackSite(azure)
        site.prefix, site.frontend = "10.7.0", "10.7.2.4"
        yield site, namespaces, members


async def _end(member):
    member.kill()
    await member.communicate()


async def build(site):
    """The pair in a network as Azure has it: 10.7.1.0/24 for the units, 10.7.2.0/24 for the frontend."""
    site.members = ("10.7.1.4", "10.7.1.5")
    site.subnets = (("lb", "10.7.2.0/24"), ("lm", "10.7.1.0/24"))
    site.space = "10.7.0.0/16"
    await site.build()
    await site.until_up(True, True)


async def test_members_see_the_clients_address_and_port_and_probes_from_azures_address(laboratory):
    site, namespaces, members = laboratory
    await build(site)
    assert await asyncio.wait_for(members[0].stdout.readline(), 5) == b"probed from 168.63.129.16\n"
    said, own = await namespaces.ask("client", "tcp", site.frontend, 8080)
    assert said in {f"member-0 {own}", f"member-1 {own}"}
    assert own.startswith(f"{CLIENT}:")


async def test_udp_passes_with_the_clients_address(laboratory):
    site, namespaces, _ = laboratory
    site.balancer.properties["loadBalancingRules"].append(site.balancer.rule("dns", 8053, protocol="Udp"))
    await build(site)
    said, own = await namespaces.ask("client", "udp", site.frontend, 8053)
    assert said in {f"member-0 {own}", f"member-1 {own}"}


async def test_a_member_reaches_the_other_through_the_frontend_but_not_itself(laboratory):
    site, namespaces, _ = laboratory
    await build(site)
    await site.azure.arm("POST", site.azure.compute("virtualMachines", "lm-1") + "/powerOff")
    await eventually(site.probes, lambda found: len(found) == 1)
    assert await namespaces.ask("member-0", "tcp", site.frontend, 8080) == ("TimeoutError", "")
    said, own = await namespaces.ask("member-1", "tcp", site.frontend, 8080)
    assert said == f"member-0 {own}"


async def test_an_ha_ports_rule_takes_every_port(laboratory):
    site, namespaces, _ = laboratory
    site.balancer.properties["loadBalancingRules"] = [site.balancer.rule("all", 0, protocol="All")]
    await build(site)
    for port in (8080, 8081):
        said, own = await namespaces.ask("client", "tcp", site.frontend, port)
        assert said in {f"member-0 {own}", f"member-1 {own}"}
    assert (await namespaces.ask("client", "tcp", site.frontend, 8999))[0] == "ConnectionResetError"


async def test_nothing_is_left_in_the_namespace(laboratory):
    site, namespaces, _ = laboratory
    await build(site)
    assert "loadmaster_emulator" in namespaces.inside("router", "nft", "list", "tables")
    await site.azure.stop()
    assert "loadmaster_emulator" not in namespaces.inside("router", "nft", "list", "tables")
    assert "0x4c4d" not in namespaces.inside("router", "ip", "rule")
