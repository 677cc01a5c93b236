"""How the emulated balancer forwards UDP."""

import asyncio

import pytest
from tests.support.loopback_site import eventually

PORT = 8053


class Member(asyncio.DatagramProtocol):
    """Answers each datagram with its own name and the datagram."""

    def __init__(self, name):
        self.name = name
        self.clients = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.clients.append(address)
        self.transport.sendto(self.name + b" " + data, address)


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        del address
        self.received.put_nowait(data)

    async def ask(self, text=b"?", patience=2.0):
        self.transport.sendto(text)
        return await asyncio.wait_for(self.received.get(), patience)


@pytest.fixture
async def udp_site(start_site):
    """A pair with a UDP rule, its members, and a function that makes clients."""
    made = []

    async def start(**settings):
        site, backends = await start_site(**settings)
        site.balancer.properties["loadBalancingRules"].append(site.balancer.rule("dns", PORT, protocol="Udp"))
        await site.build()
        await site.until_up(True, True)
        loop = asyncio.get_running_loop()
        members = []
        for index, address in enumerate(site.members):
            transport, member = await loop.create_datagram_endpoint(
                lambda index=index: Member(b"member-%d" % index), (address, PORT)
            )
            made.append(transport)
            members.append(member)

        async def client(source=None):
            transport, found = await loop.create_datagram_endpoint(
                Client, (source or site.client, 0), (site.frontend, PORT)
            )
            made.append(transport)
            return found

        return site, backends, members, client

    yield start
    for transport in made:
        transport.close()


async def test_datagrams_reach_a_member_from_the_clients_address_and_answers_come_from_the_frontend(udp_site):
    site, _, members, client = await udp_site()
    asking = await client()
    assert (await asking.ask(b"hello")).split()[1] == b"hello"  # a connected socket: from the frontend only
    seen = members[0].clients + members[1].clients
    assert [address for address, _ in seen] == [site.client]


async def test_a_flow_stays_with_its_member_and_flows_are_spread(udp_site):
    _, _, _, client = await udp_site()
    served = set()
    for _ in range(30):
        asking = await client()
        names = {(await asking.ask()).split()[0] for _ in range(3)}
        assert len(names) == 1
        served |= names
    assert served == {b"member-0", b"member-1"}


async def test_a_flow_moves_when_its_member_is_probed_down(udp_site):
    site, backends, _, client = await udp_site()
    asking = await client()
    serving = int((await asking.ask()).split()[0][-1:])
    backends[serving].health = "503"
    await site.until_up(*(index != serving for index in (0, 1)))
    assert (await asking.ask()).split()[0] == b"member-%d" % (1 - serving)


async def test_with_all_members_down_flows_end(udp_site):
    site, backends, _, client = await udp_site()
    asking = await client()
    await asking.ask()
    for backend in backends:
        backend.health = "503"
    await site.until_up(False, False)
    with pytest.raises(TimeoutError):
        await asking.ask(patience=0.5)
    assert (await site.flows("dns"))["ended"] == {"member down": 1}


async def test_an_idle_flow_ends_and_begins_anew(udp_site):
    site, _, _, client = await udp_site(idle_timeout=0.5)
    asking = await client()
    await asking.ask()
    await eventually(lambda: site.flows("dns"), lambda found: found["ended"] == {"idle": 1})
    await asking.ask()
    assert sum((await site.flows("dns"))["opened"].values()) == 2


async def test_a_datagram_that_maps_back_to_its_sender_is_not_delivered(udp_site):
    site, backends, _, client = await udp_site()
    backends[1].health = "503"
    await site.until_up(True, False)
    with pytest.raises(TimeoutError):
        await (await client(site.members[0])).ask(patience=0.5)
    assert (await (await client(site.members[1])).ask()).startswith(b"member-0")
