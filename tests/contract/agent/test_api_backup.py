"""`backup` and `restore` over real HTTPS, both versions of the API; nothing is changed by what is refused."""

import base64

import pytest
from tests.support.management import served

from loadmaster_ha.agent.api.dispatch import Refused
from loadmaster_ha.agent.certificate_work import pairs
from loadmaster_ha.agent.settings.model import Delete, Kind, Put
from loadmaster_ha.domain.ha import UnitState

WEB = "eth0:443/tcp"
PLAIN = "eth0:80/tcp"


@pytest.fixture
async def api(tmp_path):
    async with served(tmp_path) as serving:
        assert (await serving.v1("addvs", vs="10.0.2.4", port="80", prot="tcp")).status == 200
        assert (await serving.v1("addrs", vs="1", rs="10.0.0.5", rsport="8080")).status == 200
        yield serving


def services(api):
    return {
        key: dict(fields) for key, fields in api.unit.settings.snapshot.entities(Kind.VIRTUAL_SERVICE).items()
    }


async def test_what_was_backed_up_comes_back(api):
    before = services(api)
    content = (await api.v1("backup")).content
    await api.v1("delvs", vs="1")
    assert services(api) == {}

    reply = await api.v1("restore", data=content, type="2")

    assert reply.status == 200
    assert "Restored the backup of 20" in reply.text
    assert services(api) == before
    assert len(api.unit.settings.snapshot.entities(Kind.REAL_SERVER)) == 1


async def test_v2_carries_the_file_in_base64(api):
    data = (await api.v2("backup")).json["data"]
    await api.v1("delvs", vs="1")
    assert (await api.v2("restore", type=3, data=data)).json["code"] == 200
    assert list(services(api)) == [PLAIN]
    assert base64.b64decode(data).startswith(b"loadmaster-agent-backup 1 ")


async def test_only_what_is_asked_for_is_restored(api):
    content = (await api.v1("backup")).content
    await api.v1("delvs", vs="1")
    assert (await api.v1("restore", data=content, type="4")).status == 200
    assert services(api) == {}


@pytest.mark.parametrize("kind", ["0", "8", "16", "all", ""])
async def test_a_type_that_is_nothing_here_is_refused(api, kind):
    content = (await api.v1("backup")).content
    assert (await api.v1("restore", data=content, type=kind)).status in {400, 422}


async def test_a_damaged_file_is_refused_and_changes_nothing(api):
    content = (await api.v1("backup")).content
    before = services(api)
    for data in (content[:-9], content.replace(b"10.0.0.5", b"10.0.0.6"), b"something else"):
        reply = await api.v1("restore", data=data, type="7")
        assert reply.status == 422
    assert services(api) == before


async def test_what_haproxy_would_not_take_is_refused_and_changes_nothing(api):
    content = (await api.v1("backup")).content
    await api.v1("delvs", vs="1")

    async def refuse(shown):
        assert [str(each.key) for each in shown] == ["10.0.2.4:80/tcp"]
        raise Refused(422, "HAProxy cannot do that")

    api.unit.balancing.check_change = refuse
    reply = await api.v1("restore", data=content, type="2")

    assert (reply.status, "HAProxy cannot do that" in reply.text) == (422, True)
    assert services(api) == {}


async def test_a_certificate_that_is_not_here_is_named_and_nothing_is_changed(api):
    pem = pairs.make_self_signed(["www.example.com"]).to_pem()
    await api.v1("addcert", data=pem, cert="www")
    modified = await api.v1("modvs", vs="1", SSLAcceleration="Y", CertFile="www")
    assert modified.status == 200, modified.text
    content = (await api.v1("backup")).content
    assert b"PRIVATE KEY" not in content
    api.unit.settings.commit([Delete(Kind.VIRTUAL_SERVICE, PLAIN), Delete(Kind.CERTIFICATE, "www")])

    reply = await api.v1("restore", data=content, type="2")
    assert (reply.status, "certificate www" in reply.text) == (422, True)
    assert services(api) == {}

    await api.v1("addcert", data=pem, cert="www")
    assert (await api.v1("restore", data=content, type="2")).status == 200


async def test_a_service_of_an_interface_that_is_not_here_is_named(api):
    api.unit.settings.commit([Put(Kind.VIRTUAL_SERVICE, "eth7:80/tcp", {"Index": 9})])
    content = (await api.v1("backup")).content
    api.unit.settings.commit([Delete(Kind.VIRTUAL_SERVICE, "eth7:80/tcp")])
    reply = await api.v1("restore", data=content, type="2")
    assert (reply.status, "eth7:80/tcp" in reply.text) == (422, True)


async def test_the_standby_backs_up_and_does_not_restore(api):
    api.unit.is_in(UnitState.STANDBY)
    backup = await api.v1("backup")
    assert backup.status == 200
    reply = await api.v1("restore", data=backup.content, type="2")
    assert (reply.status, "unit is standby" in reply.text) == (422, True)


async def test_only_bal_puts_users_back(api):
    content = (await api.v1("backup")).content
    api.unit.add_user("carol", "password of carol", "backup", "root")
    api.user, api.password = "carol", "password of carol"
    assert (await api.v1("restore", data=content, type="2")).status == 200
    assert (await api.v1("restore", data=content, type="1")).status == 403
    assert "carol" in api.unit.settings.snapshot.entities(Kind.USER)
