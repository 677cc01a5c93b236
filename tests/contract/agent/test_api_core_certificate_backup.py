"""Certificates are carried to another unit in one encrypted file, over real HTTPS."""

import base64

import pytest
from tests.support.management import served

from loadmaster_ha.agent.certificate_work import pairs
from loadmaster_ha.agent.certificate_work.archive import Content, seal, unseal
from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable
from loadmaster_ha.agent.settings.model import Kind


def pem(host):
    return pairs.make_self_signed([host]).to_pem()


@pytest.fixture
async def api(tmp_path):
    async with served(tmp_path) as serving:
        await serving.v1("addcert", data=pem("www.example.com"), cert="www")
        yield serving


def stored(api):
    return dict(api.unit.settings.snapshot.entities(Kind.CERTIFICATE))


async def test_what_was_backed_up_comes_back(api):
    before = stored(api)
    archive = (await api.v1("backupcert", password="letters123")).content
    await api.v1("delcert", cert="www")
    assert stored(api) == {}

    reply = await api.v1("restorecert", data=archive, password="letters123", type="full")

    assert reply.status == 200
    assert stored(api) == before
    assert b"PRIVATE KEY" not in archive


async def test_v2_carries_the_file_in_base64(api):
    data = (await api.v2("backupcert", password="letters123")).json["data"]
    await api.v1("delcert", cert="www")

    assert (await api.v2("restorecert", password="letters123", type="vs", data=data)).status == 200
    assert list(stored(api)) == ["www"]
    assert base64.b64decode(data).startswith(b"LMCERTS1")


async def test_only_what_is_asked_for_is_restored(api):
    archive = (await api.v1("backupcert", password="letters123")).content
    await api.v1("delcert", cert="www")

    assert (await api.v1("restorecert", data=archive, password="letters123", type="third")).status == 200
    assert stored(api) == {}


async def test_another_passphrase_or_a_changed_file_is_refused_and_changes_nothing(api):
    archive = (await api.v1("backupcert", password="letters123")).content
    before = stored(api)
    damaged = archive[:-1] + bytes([archive[-1] ^ 1])

    for data, password in [(archive, "letters124"), (damaged, "letters123"), (b"something", "letters123")]:
        reply = await api.v1("restorecert", data=data, password=password, type="full")
        assert reply.status == 422
        assert password not in reply.text
    assert stored(api) == before


async def test_one_bad_certificate_in_the_file_keeps_all_out(api):
    archive = seal(
        Content(
            certificates={"good": pem("a.example.com").decode(), "bad": "no certificate"}, intermediates={}
        ),
        "letters123",
    )

    reply = await api.v1("restorecert", data=archive, password="letters123", type="full")

    assert reply.status == 422
    assert "the certificate bad is not usable" in reply.text
    assert list(stored(api)) == ["www"]


@pytest.mark.parametrize("passphrase", ["short1", "with space", "x" * 65, "umlautä123"])
async def test_a_passphrase_has_a_form(api, passphrase):
    assert (await api.v1("backupcert", password=passphrase)).status == 422


def test_a_cut_file_is_refused_at_any_length():
    archive = seal(Content(certificates={"a": "b"}, intermediates={}), "letters123")
    for length in (0, 8, 20, 36, 40, len(archive) - 1):
        with pytest.raises(CertificateUnusable):
            unseal(archive[:length], "letters123")
