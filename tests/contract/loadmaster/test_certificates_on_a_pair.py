"""A certificate is renewed on both units by one write to the active one, without the loss of a connection.

Two whole node agents with HAProxy; the operator's client, observer and writer.
"""

import asyncio
import contextlib
import ssl

import pytest
from tests.support.agent_pair import PASSWORD, AgentPair
from tests.support.pem import self_signed, serial_in, serial_of, trusting

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import AddRealServer, AddService, PutCertificate
from loadmaster_ha.domain.units import Certificate
from loadmaster_ha.domain.virtual_services import (
    CheckType,
    HealthCheck,
    RealServer,
    ServiceKey,
    Tls,
    VirtualService,
)
from loadmaster_ha.loadmaster.client import UnitClient
from loadmaster_ha.loadmaster.connections import Endpoint
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.loadmaster.observer import observe
from loadmaster_ha.loadmaster.trust import Pinned
from loadmaster_ha.loadmaster.unit_certificates import fingerprint_of
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.writer import write

NAME = "lm_0f5d1c2e_web_shop"
PORT = 4433
FIRST, SECOND = self_signed("shop.example"), self_signed("shop.example")


@pytest.fixture
async def pair(tmp_path):
    with AgentPair(tmp_path) as made:
        await asyncio.to_thread(made.start)
        await asyncio.to_thread(made.until, "Active", "Standby")
        yield made


@contextlib.asynccontextmanager
async def client_of(agent):
    shown = await asyncio.to_thread(ssl.get_server_certificate, (agent.address, 8443))
    credentials = UnitCredentials(user="bal", password=PASSWORD)
    client = UnitClient(Endpoint(agent.address, 8443), Pinned(fingerprint_of(shown) or ""), credentials)
    try:
        yield client
    finally:
        await client.close()


async def echo(reader, writer):
    with contextlib.suppress(asyncio.CancelledError):
        while data := await reader.read(100):
            writer.write(data)
    writer.close()


async def serving(agent):
    """A connection to the service, once the unit has found the real server healthy."""
    async with asyncio.timeout(45):
        while True:
            connection = await asyncio.open_connection(agent.address, PORT, ssl=trusting())
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                assert await says(connection, b"before") == b"before"
                return connection
            await asyncio.sleep(0.2)


async def says(connection, word):
    reader, writer = connection
    writer.write(word)
    await writer.drain()
    async with asyncio.timeout(20):
        return await reader.readexactly(len(word))


async def shown_by(address):
    """The serial number of the certificate that new connections get; None while there is none."""
    try:
        _, writer = await asyncio.open_connection(address, PORT, ssl=trusting())
    except OSError:
        return None
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return serial_in(der)


async def until_shown(pair, pem):
    async with asyncio.timeout(45):
        for each in pair.agents:
            await eventually_shown(each.address, serial_of(pem))


async def eventually_shown(address, serial):
    while True:
        if await shown_by(address) == serial:
            return
        await asyncio.sleep(0.2)


def put(pem, role, *, replaces):
    change = PutCertificate(role, NAME, fingerprint_of(pem) or "", replaces=replaces)
    return change, Material(certificates={NAME: pem})


async def test_a_renewal_on_the_active_unit_reaches_both_and_ends_no_connection(pair):
    backend = await asyncio.start_server(echo, pair.person, 0)
    server = RealServer(0, pair.person, backend.sockets[0].getsockname()[1])
    service = VirtualService(
        index=0,
        key=ServiceKey(pair.master.address, PORT),
        nickname="lm_web_shop@0f5d1c2e",
        check=HealthCheck(CheckType.TCP),
        tls=Tls((NAME,)),
    )
    async with backend, client_of(pair.master) as active, client_of(pair.slave) as standby:
        await write(active, *put(FIRST, Role.MASTER, replaces=False))
        await write(active, AddService(Role.MASTER, service), Material())
        await write(active, AddRealServer(Role.MASTER, service, server), Material())
        await until_shown(pair, FIRST)
        connections = [await serving(each) for each in pair.agents]

        await write(active, *put(SECOND, Role.MASTER, replaces=True))
        await until_shown(pair, SECOND)

        for each in connections:
            assert await says(each, b"after") == b"after", "it goes on with the old certificate"
            each[1].close()
        renewed = Present((Certificate(NAME, fingerprint_of(SECOND)),))
        for client, role in ((active, Role.MASTER), (standby, Role.SLAVE)):
            facts = await observe(client, role, services=False, certificates=True)
            assert facts.certificates == renewed
            assert facts.agent is not None
            assert facts.agent.partner_connected
            assert facts.agent.sync_lag is not None
        with pytest.raises(UnitFault) as raised:
            await write(standby, *put(FIRST, Role.SLAVE, replaces=True))
        assert raised.value.reason is FaultReason.STANDBY_REFUSES
