"""Nothing is sent before the unit's certificate is trusted, and the fingerprint seen is told."""

import pytest
from tests.support import unit_certificates
from tests.support.literal_unit import LiteralUnit, json

from loadmaster_ha.loadmaster.connections import Connections
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.trust import Authorities, Pinned, SystemAuthorities
from loadmaster_ha.loadmaster.values import Version


def fine(_):
    return json('{"code":200,"status":"ok"}')


async def distrusted(client_of, certificate, trust):
    """The fault, after a look at what the unit got of it: handshakes at most."""
    async with LiteralUnit(certificate, fine) as unit:
        client = await client_of(unit, trust=trust, version=Version.V2)
        with pytest.raises(UnitFault) as raised:
            await client.call("listvs")
        assert unit.asked == []
    assert raised.value.reason is FaultReason.CERTIFICATE_NOT_TRUSTED
    assert not raised.value.sent
    assert client.certificate is None
    return raised.value


async def trusted(client_of, certificate, trust):
    async with LiteralUnit(certificate, fine) as unit:
        client = await client_of(unit, trust=trust, version=Version.V2)
        assert (await client.call("listvs")).ok
        assert len(unit.asked) == 1
    return client


@pytest.mark.parametrize("trust", [SystemAuthorities(), SystemAuthorities("lm-0.example")])
async def test_first_contact_sends_nothing_and_tells_the_fingerprint(client_of, trust):
    certificate = unit_certificates.self_signed()

    fault = await distrusted(client_of, certificate, trust)

    assert fault.seen_fingerprint == certificate.fingerprint
    assert bytes.fromhex(certificate.fingerprint).hex(":").upper() in str(fault)
    assert "fingerprintSHA256" in str(fault)


async def test_another_certificate_than_the_pinned_one_gets_nothing(client_of):
    certificate, pinned = unit_certificates.self_signed(), unit_certificates.self_signed()

    fault = await distrusted(client_of, certificate, Pinned(pinned.fingerprint))

    assert fault.seen_fingerprint == certificate.fingerprint


@pytest.mark.parametrize(
    "write", [str.upper, lambda text: ":".join(text[i : i + 2] for i in range(0, 64, 2))]
)
async def test_a_pinned_certificate_is_trusted_whatever_it_says(client_of, write):
    certificate = unit_certificates.self_signed("192.0.2.1")

    client = await trusted(client_of, certificate, Pinned(write(certificate.fingerprint)))

    assert client.certificate.fingerprint == certificate.fingerprint
    assert client.certificate.not_after == unit_certificates.NOT_AFTER


async def test_an_authority_without_key_identifiers_is_trusted(client_of):
    certificate = unit_certificates.of_an_authority()

    client = await trusted(client_of, certificate, Authorities(certificate.authority))

    assert client.certificate.fingerprint == certificate.fingerprint
    assert client.certificate.not_after == unit_certificates.NOT_AFTER


async def test_a_self_signed_certificate_is_its_own_authority(client_of):
    certificate = unit_certificates.self_signed()

    await trusted(client_of, certificate, Authorities(certificate.authority))


async def test_another_authority_is_not_trusted(client_of):
    certificate, other = unit_certificates.of_an_authority(), unit_certificates.of_an_authority()

    fault = await distrusted(client_of, certificate, Authorities(other.authority))

    assert fault.seen_fingerprint == certificate.fingerprint


async def test_a_certificate_for_another_address_is_not_trusted(client_of):
    certificate = unit_certificates.of_an_authority(address="192.0.2.1")

    fault = await distrusted(client_of, certificate, Authorities(certificate.authority))

    assert "127.0.0.1" in fault.message
    assert "mismatch" in fault.message


async def test_a_name_stands_for_an_address_that_the_certificate_lacks(client_of):
    certificate = unit_certificates.of_an_authority(address=None, name="lm-0.example")

    await trusted(client_of, certificate, Authorities(certificate.authority, "lm-0.example"))


async def test_another_name_is_not_trusted(client_of):
    certificate = unit_certificates.of_an_authority(name="lm-0.example")

    fault = await distrusted(client_of, certificate, Authorities(certificate.authority, "lm-1.example"))

    assert "lm-1.example" in fault.message


async def test_two_trusts_never_share_a_connection(client_of):
    certificate = unit_certificates.of_an_authority()
    async with LiteralUnit(certificate, fine) as unit, Connections() as connections:
        good = await client_of(
            unit, trust=Authorities(certificate.authority), version=Version.V2, connections=connections
        )
        await good.call("listvs")
        for trust in (
            Authorities(certificate.authority, "lm-1.example"),
            Pinned("0" * 64),
            SystemAuthorities(),
        ):
            client = await client_of(unit, trust=trust, version=Version.V2, connections=connections)
            with pytest.raises(UnitFault) as raised:
                await client.call("listvs")
            assert raised.value.reason is FaultReason.CERTIFICATE_NOT_TRUSTED
        assert len(unit.asked) == 1


async def test_a_certificate_replaced_under_way_is_noticed_at_the_next_connection(client_of):
    before, after = unit_certificates.self_signed(), unit_certificates.self_signed()
    async with LiteralUnit(before, fine) as unit:
        client = await client_of(unit, version=Version.V2)
        await client.call("listvs")
        port = unit.port
    async with LiteralUnit(after, fine, port=port) as unit:
        with pytest.raises(UnitFault) as raised:
            await client.call("listvs")

        assert raised.value.seen_fingerprint == after.fingerprint
        assert unit.asked == []


@pytest.mark.parametrize("text", ["", "ab", "z" * 64, "0" * 63, "0" * 65])
def test_a_fingerprint_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Pinned(text)


@pytest.mark.parametrize(
    "pem",
    ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ä"],
)
def test_a_bundle_without_certificates_is_refused(pem):
    with pytest.raises(ValueError, match="certificate"):
        Authorities(pem)
