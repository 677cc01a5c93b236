"""Who may not be the partner: other addresses, other secrets, other certificates, other protocols."""

import asyncio
import contextlib
import socket
import ssl

import pytest
from tests.support.partner_links import SECRET, Unit, free_port, loopback_pair, pair_of_units, until

from loadmaster_ha.agent.certificate_work.pairs import make_self_signed
from loadmaster_ha.agent.certificates import store
from loadmaster_ha.agent.ha.model import LinkEnd
from loadmaster_ha.agent.link import tls
from loadmaster_ha.agent.link.connection import authenticate
from loadmaster_ha.agent.link.dialling import dial
from loadmaster_ha.agent.link.handshake import HandshakeFailed, Own, Refusal, Side
from loadmaster_ha.agent.link.listening import UNPROVED_LIMIT
from loadmaster_ha.agent.link.partner import LinkSettings
from loadmaster_ha.agent.link.secret import derive_key


async def stay(*units):
    """Run the units for as long as the caller is in the block."""
    stack = contextlib.AsyncExitStack()
    for unit in units:
        await stack.enter_async_context(unit.running())
    return stack


async def nothing_from(stream):
    """Whether the other side closes the connection without a word (TLS 1.3's client learns it late)."""
    try:
        return await stream.reader.read(100) == b""
    except OSError:
        return True
    finally:
        stream.writer.transport.abort()


async def test_a_wrong_secret_is_logged_in_the_appliances_words_and_counted(tmp_path, caplog):
    one, other = pair_of_units(tmp_path, secrets=(SECRET, "something-else"))
    async with await stay(one, other):
        await until(
            lambda: LinkEnd.UNAUTHORISED in one.told.downs and LinkEnd.UNAUTHORISED in other.told.downs
        )
        await until(lambda: one.link.counters.unauthorised > 0)
        assert f"Unauthorized Remote Machine connection from {other.settings.address}" in caplog.text
        assert "something-else" not in caplog.text
        assert SECRET not in caplog.text
        assert one.link.counters.refused[Refusal.SECRET] > 0
        assert "Secrets" in one.link.status().message
        assert not one.told.ups
        assert not one.told.messages


async def test_a_unit_without_a_secret_refuses_with_that_reason(tmp_path, caplog):
    one, other = pair_of_units(tmp_path, secrets=(SECRET, None))
    async with await stay(one, other):
        await until(lambda: LinkEnd.UNAUTHORISED in one.told.downs)
        await until(lambda: other.link.counters.refused[Refusal.NO_SECRET] > 0)
        assert one.link.status().message.endswith("the partner has no Partner Shared Secret set")
        assert other.link.status().message == "no Partner Shared Secret is set on this unit"
        assert f"Unauthorized Remote Machine connection from {one.settings.address}" in caplog.text
        assert other.link.counters.dials == 0
        other.change(secret=SECRET)
        await until(lambda: one.told.linked and other.told.linked)


async def test_a_connection_from_another_address_than_the_partners_is_closed_before_tls(tmp_path, caplog):
    one, _ = pair_of_units(tmp_path)
    stranger, _ = loopback_pair()
    async with await stay(one):
        await until(lambda: one.link.counters.dials > 0)
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.bind((stranger, 0))
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, (one.settings.address, one.settings.port))
            async with asyncio.timeout(10):
                assert await loop.sock_recv(connection, 100) == b""
        assert one.link.counters.strangers == 1
        assert one.link.counters.arrived == 0
        assert f"Unauthorized Remote Machine connection from {stranger}: it is not the partner" in caplog.text


async def test_any_certificate_passes_tls_and_without_the_secret_gets_nowhere(tmp_path):
    """The open issuer signs for everybody; it is the secret that counts (docs/decisions/0013)."""
    one, other = pair_of_units(tmp_path)
    async with await stay(one):
        await until(lambda: one.link.counters.dials > 0)
        stranger = tls.link_identity(tmp_path / "stranger")
        stream = await dial(
            other.settings.address, one.settings.address, one.settings.port, tls.client_context(stranger)
        )
        peer = tls.peer_fingerprint(stream.tls)
        assert peer == one.identity.fingerprint
        key = derive_key("a-guess-at-it", stranger.fingerprint, peer)
        own = Own(stranger.fingerprint, "0.1.0", "ab" * 16, b"n" * 32)
        with pytest.raises(HandshakeFailed) as caught:
            await authenticate(stream, Side.DIALLER, own, peer, key)
        assert caught.value.reason is Refusal.SECRET
        assert caught.value.by_partner
        await stream.close()
        assert not one.told.ups


async def test_a_certificate_of_another_issuer_does_not_pass_tls(tmp_path):
    one, other = pair_of_units(tmp_path)
    async with await stay(one):
        await until(lambda: one.link.counters.dials > 0)
        context = tls.client_context(await store(tmp_path / "self.pem", make_self_signed(["x"]).to_pem()))
        stream = await dial(other.settings.address, one.settings.address, one.settings.port, context)
        assert await nothing_from(stream)
        await until(lambda: one.link.counters.refused["tls"] == 1)


async def test_a_client_without_a_certificate_does_not_pass_tls(tmp_path):
    one, other = pair_of_units(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with await stay(one):
        await until(lambda: one.link.counters.dials > 0)
        stream = await dial(other.settings.address, one.settings.address, one.settings.port, context)
        assert await nothing_from(stream)
        await until(lambda: one.link.counters.refused["tls"] == 1)


async def test_older_tls_is_refused(tmp_path):
    one, other = pair_of_units(tmp_path)
    context = tls.client_context(other.identity)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with await stay(one):
        await until(lambda: one.link.counters.dials > 0)
        with pytest.raises(OSError):  # noqa: PT011 - an alert or a reset, as the timing has it
            await dial(other.settings.address, one.settings.address, one.settings.port, context)
        await until(lambda: one.link.counters.refused["tls"] == 1)


async def test_something_else_on_the_partners_port_is_no_partner(tmp_path):
    one, other = pair_of_units(tmp_path)

    async def web(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(web, other.settings.address, other.settings.port)
    async with server, await stay(one):
        await until(lambda: bool(one.told.downs))
        assert not one.told.ups
        assert "TLS failed" in one.link.status().message


async def test_a_unit_that_is_its_own_partner_is_told_so(tmp_path):
    address, _ = loopback_pair()
    one = Unit(tmp_path, LinkSettings(address, free_port(address), address, SECRET))
    async with await stay(one):
        await until(lambda: one.link.counters.refused[Refusal.SAME_CERTIFICATE] > 0)
        await until(lambda: "this unit's own" in one.link.status().message)
        assert not one.told.ups


async def test_many_connections_that_prove_nothing_are_bounded(tmp_path):
    one, other = pair_of_units(tmp_path)
    async with await stay(one):
        await until(lambda: one.link.counters.dials > 0)
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            for _ in range(3 * UNPROVED_LIMIT):
                connection = stack.enter_context(socket.socket())
                connection.setblocking(False)
                connection.bind((other.settings.address, 0))
                await loop.sock_connect(connection, (one.settings.address, one.settings.port))
            await until(lambda: one.link.counters.refused["busy"] >= 2 * UNPROVED_LIMIT)
            assert len(one.link._listener._unproved) <= UNPROVED_LIMIT
        async with other.running():
            await until(lambda: one.told.linked and other.told.linked)
