"""Kemp's own Python client against a unit with a real store and a real HAProxy.

What the client covers of the agent's commands works; what it has beyond them is refused in words, and the
last test says which calls those are.
"""

import asyncio
import json
import shutil
import socket

import pytest
from tests.support.haproxy import backend, get, server_of
from tests.support.kemp_client import ClientError, KempClient
from tests.support.kemp_unit import live_unit
from tests.support.management import PASSWORD, trusting
from tests.support.pem import name_in, self_signed

import kempclient
from bootstrap import BootstrapError
from loadmaster_ha.agent.api.server import Limits

needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None,
    reason="Kemp's client downloads by curl, which is not installed (make system)",
)


@pytest.fixture(scope="module")
def python():
    try:
        return kempclient.python()
    except BootstrapError as error:
        pytest.skip(f"Kemp's client cannot be installed here: {error}")


@pytest.fixture
async def unit(tmp_path):
    if shutil.which("haproxy") is None:
        pytest.skip("HAProxy is not installed (make system)")
    async with live_unit(tmp_path) as live:
        yield live


@pytest.fixture
def client(python, unit, tmp_path):
    return KempClient(python, unit.port, "bal", PASSWORD, tmp_path)


@pytest.fixture
def web(client, unit):
    """Publish a service on port 8080 by the client."""

    async def publish(*servers, **settings):
        return await client.run(
            """
            vs = lm.create_virtual_service(given["address"], 8080, "tcp")
            for name, value in given["settings"].items():
                setattr(vs, name, value)
            vs.save()
            for server in given["servers"]:
                vs.create_real_server(server[0], server[1]).save()
            result = {"index": vs.index, "status": vs.status, "type": vs.vstype}
            """,
            address=unit.address,
            servers=[(each.address, each.port) for each in servers],
            settings={"vstype": "http", "checktype": "http", "checkurl": "/check", **settings},
        )

    return publish


async def until(condition):
    """Wait until something that has to be awaited is so; the limit is a safety net."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - what is waited for is another process's
            await asyncio.sleep(0.05)


async def until_up(unit):
    """Wait until the first service and all its servers are told to be up."""

    async def is_up():
        record = (await unit.v2("showvs", vs="1")).json
        return record["Status"] == "Up" and all(row["Status"] == "Up" for row in record["Rs"])

    await until(is_up)


async def until_shown(name, unit, port=8080):
    """Wait until the certificate with this common name is shown."""

    def shake():
        plain = socket.create_connection((unit.address, port), timeout=20)
        with trusting().wrap_socket(plain) as tls:
            return name_in(tls.getpeercert(binary_form=True))

    async def is_shown():
        try:
            return await asyncio.to_thread(shake) == name
        except OSError:
            return False

    await until(is_shown)


async def test_it_publishes_a_service_that_haproxy_serves(client, unit, web):
    async with backend("one") as one, backend("two") as two:
        made = await web(one, two, nickname="web")
        assert made == {"index": "1", "status": "Down", "type": "http"}

        await until_up(unit)
        answers = {json.loads((await get(unit.address, 8080))[2])["server"] for _ in range(6)}
        listed = await client.run(
            """
            result = [(vs.index, vs.nickname, vs.status, [(rs.addr, rs.status) for rs in vs.real_servers])
                      for vs in lm.get_all_objects()]
            """
        )

    assert answers == {"one", "two"}
    assert listed == [["1", "web", "Up", [[one.address, "Up"], [two.address, "Up"]]]]


async def test_it_changes_a_service(client, unit, web):
    await web(nickname="web")
    seen = await client.run(
        """
        vs = lm.get_virtual_service(address=given["address"], port=8080, protocol="tcp")
        vs.nickname, vs.persist, vs.persisttimeout, vs.schedule = "shop", "src", 659, "lc"
        vs.update()
        changed = (vs.nickname, vs.persist, vs.persisttimeout, vs.schedule)
        vs.persist = None
        vs.update()
        copy = lm.clone_virtual_service(lm.get_virtual_service(index=vs.index), port=8081)
        result = {"changed": changed, "persist": (vs.persist, vs.persisttimeout),
                  "copy": (copy.index, copy.nickname, copy.schedule)}
        """,
        address=unit.address,
    )

    assert seen == {
        "changed": ["shop", "src", 600, "lc"],
        "persist": [None, None],
        "copy": ["2", "shop", "lc"],
    }


async def test_it_changes_real_servers(client, unit, web):
    async with backend("one") as one, backend("two") as two:
        await web(one, two)
        await until_up(unit)
        seen = await client.run(
            """
            vs = lm.vs[1]
            servers = vs.servers
            first = servers[1]
            first.rsport = given["first"]
            first.weight, first.limit = 7, 11
            first.update()
            first.enable = "N"
            first.update()
            second = vs.get_real_server(*given["second"])
            second.rsport = given["second"][1]
            second.newport = 9
            second.update()
            states = {rs.rsindex: (rs.weight, rs.limit, rs.enable, rs.status) for rs in vs.get_real_servers()}
            first.delete()
            result = {"states": states, "left": list(lm.vs[1].servers), "port": second.rsport}
            """,
            first=one.port,
            second=(two.address, two.port),
        )

    assert seen["states"]["1"] == ["7", "11", "N", "Disabled"]
    assert seen["states"]["2"][:3] == ["1000", "0", "Y"]
    assert (seen["left"], seen["port"]) == ([2], 9)


async def test_it_deletes_a_service(client, unit, web):
    async with backend("one") as one:
        await web(one)
        await until_up(unit)

        assert await client.run("lm.vs[1].delete()\nresult = len(lm.vs)") == 0
        assert (await unit.v2("vstotals")).json["RS_Total"] == 0


async def test_it_terminates_tls_and_replaces_the_certificate(client, unit, web, tmp_path):
    (tmp_path / "old.pem").write_text(self_signed("old.example.com"))
    (tmp_path / "new.pem").write_text(self_signed("new.example.com"))
    async with backend("one") as one:
        await web(one)
        seen = await client.run(
            """
            lm.create_certificate("site", "old.pem").save()
            vs = lm.vs[1]
            vs.sslacceleration = "Y"
            vs.update()
            vs.certfile = ["site"]
            vs.update()
            result = {"certificates": list(lm.certificates), "used": vs.certfile, "tls": vs.tlstype}
            """
        )
        await until_up(unit)
        await until_shown("old.example.com", unit)
        taken = await client.run(
            """
            again = lm.create_certificate("site", "new.pem")
            for attempt in (again.save, lm.certificates["site"].delete):
                try:
                    attempt()
                except exceptions.KempTechApiException as error:
                    result = (result or []) + [str(error)]
            """
        )
        replaced = await unit.v1(
            "addcert", data=(tmp_path / "new.pem").read_bytes(), cert="site", replace="1"
        )
        await until_shown("new.example.com", unit)

    assert seen == {"certificates": ["site"], "used": ["site"], "tls": "7"}
    assert "already" in taken[0]
    assert "in use by virtual service 1" in taken[1]
    assert replaced.status == 200


async def test_it_reads_and_sets_parameters(client):
    seen = await client.run(
        """
        lm["hostname"] = "lm-0"
        lm["geopartners"] = "172.24.1.7,172.24.1.8"
        everything = lm.get_all_parameters()
        try:
            lm["multigw"] = "yes"
        except exceptions.KempTechApiException as error:
            refusal = (error.status_code, str(error))
        result = {"hostname": lm["hostname"], "version": lm["version"], "partners": everything["geopartners"],
                  "refusal": refusal, "api": lm.enable_api()}
        """
    )

    assert seen["hostname"] == "lm-0"
    assert seen["version"] == "7.2.54.12.1.AGENT"
    assert seen["partners"] == "172.24.1.7,172.24.1.8"
    assert seen["refusal"][0] == 422
    assert "not permitted in a cloud environment" in seen["refusal"][1]
    assert seen["api"] is True


async def test_it_reads_the_role(client, unit):
    await unit.v1("azurehamode", hamode="first")
    await unit.v1("azurehaparam", partner="10.0.2.5", hcp="8444")

    assert await client.run("result = lm.get_azure_ha_params()") == {
        "HaMode": "master",
        "HaPrefered": "1",
        "Partner": "10.0.2.5",
        "Port": "8444",
        "HealthCheckAllInterfaces": "unset",
    }


async def test_it_reads_statistics(client, unit, web):
    async with backend("one") as one:
        await web(one)
        await until_up(unit)
        for _ in range(3):
            await get(unit.address, 8080)
        data = (await client.run("result = lm.stats()"))["Response"]["Success"]["Data"]

    assert (data["Vs"]["VSAddress"], data["Vs"]["Index"], data["Vs"]["Status"]) == (unit.address, "1", "up")
    assert int(data["Vs"]["TotalConns"]) == 3
    assert (data["Rs"]["Addr"], data["Rs"]["ActivConns"]) == (one.address, "0")
    assert int(data["Rs"]["Conns"]) == 3
    assert int(data["Rs"]["BytesWritten"]) > 0
    assert int(data["VStotals"]["TotalConns"]) == 3
    assert data["Network"]["eth0"]["ifaceID"] == "0"
    assert {"total", "cpu0"} <= set(data["CPU"])


async def test_it_reads_and_writes_back_interfaces(client, unit):
    seen = await client.run(
        """
        (interface,) = lm.get_interfaces()
        interface.save()
        before = (interface.address, interface.cidr, interface.geotraffic)
        interface.additionaladdresses = ["10.9.9.9/24"]
        interface.set_additionaladdresses()
        added = lm.get_interface(0).additionaladdresses
        interface.additionaladdresses = []
        interface.set_additionaladdresses()
        result = {"before": before, "added": added, "left": lm.get_interface(0).additionaladdresses,
                  "counted": sorted(interface.stats())}
        """
    )

    assert seen["before"] == [unit.address, "8", "1"]
    assert (seen["added"], seen["left"]) == (["10.9.9.9/24"], [])
    assert {"ifaceid", "inbytestotal", "outbytestotal"} <= set(seen["counted"])


async def test_it_keeps_geo_names_sites_and_clusters(client):
    seen = await client.run(
        """
        empty = (lm.fqdns, lm.clusters)
        cluster = lm.create_cluster("10.5.5.5", "west")
        cluster.save()
        cluster.type, cluster.checker = "remoteLM", "tcp"
        cluster.update()
        name = lm.create_fqdn("www.example.com")
        name.save()
        name.selectioncriteria, name.failtime = "lb", 10
        name.update()
        site = name.create_site("10.5.5.6")
        site.save()
        site.weight, site.checker, site.cluster = 5, "clust", "1"
        site.update()
        site = lm.get_fqdn("www.example.com").sites["10.5.5.6"]
        site.fqdn = name.fqdn
        site.set_locations({"country": [{"code": "DE"}], "continent": [{"code": "EU"}]})
        site.set_coordinates(3600, -7200)
        lm["ttl"] = 99
        result = {"empty": empty, "cluster": (cluster.id, cluster.type, cluster.checkerport),
                  "names": list(lm.fqdns), "name": (name.failtime, name.selectioncriteria),
                  "site": (site.weight, site.cluster, site.checker),
                  "place": (site.locations, site.locationlatitude, site.locationlongitude), "ttl": lm["ttl"]}
        site.delete()
        name.delete()
        lm.clusters["10.5.5.5"].delete()
        result["left"] = (lm.fqdns, lm.clusters)
        """
    )

    assert seen == {
        "empty": [{}, {}],
        "cluster": ["1", "remoteLM", "80"],
        "names": ["www.example.com."],
        "name": [10, "lb"],
        "site": ["5", "west", "clust"],
        "place": [
            {"continent": [{"code": "EU"}], "country": [{"code": "DE"}], "customlocation": []},
            "3600",
            "-7200",
        ],
        "ttl": "99",
        "left": [{}, {}],
    }


@needs_curl
async def test_it_backs_up_and_restores(client, unit, web):
    async with backend("one") as one:
        await web(one, nickname="web")
        await until_up(unit)
        seen = await client.run(
            """
            file = lm.backup("saved")
            lm.vs[1].delete()
            lm.create_virtual_service(given["address"], 8099).save()
            between = [vs.nickname for vs in lm.vs.values()]
            lm.restore_backup(2, file)
            result = {"between": between, "after": [(vs.index, vs.nickname) for vs in lm.vs.values()],
                      "size": len(open(file, "rb").read())}
            """,
            address=unit.address,
        )
        await until_up(unit)
        assert await server_of(unit.address, 8080) == "one"

    assert (seen["between"], seen["after"]) == ([None], [["1", "web"]])
    assert seen["size"] > 100


@needs_curl
async def test_it_backs_certificates_up_and_restores_them(client, tmp_path):
    (tmp_path / "site.pem").write_text(self_signed("www.example.com"))

    seen = await client.run(
        """
        lm.create_certificate("site", "site.pem").save()
        file = lm.backup_cert("abcdefg1", "certificates")
        lm.certificates["site"].delete()
        gone = list(lm.certificates)
        lm.restore_cert("abcdefg1", file)
        readable = b"PRIVATE" in open(file, "rb").read()
        result = {"gone": gone, "after": list(lm.certificates), "readable": readable}
        """
    )

    assert seen == {"gone": [], "after": ["site"], "readable": False}


async def test_it_manages_users_and_its_own_password(client):
    seen = await client.run(
        """
        lm.add_local_user("jane", "password1")
        lm.set_user_perms("jane", ["vs", "real"])
        try:
            lm.add_local_user("jane", "password1")
        except exceptions.KempTechApiException as error:
            again = error.status_code
        lm.delete_local_user("jane")
        result = {"again": again, "password": lm.change_bal_password("another horse 9"), "reboot": None}
        """
    )

    assert seen == {"again": 422, "password": True, "reboot": None}


async def test_it_reboots_and_pings(client, unit):
    assert await client.run("result = (lm.reboot(), lm.ping('127.0.0.1'))") == [True, True]
    assert unit.unit.reboots == 1


async def test_it_gets_through_the_rate_limit_by_its_own_retries(python, tmp_path):
    """More than 30 calls in 3 seconds end the connection, as on an appliance; the client knows, and waits."""
    async with live_unit(tmp_path, limits=Limits()) as limited:
        client = KempClient(python, limited.port, "bal", PASSWORD, tmp_path)

        versions = await client.run("result = [lm['version'] for _ in range(45)]")

    assert versions == ["7.2.54.12.1.AGENT"] * 45


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("lm.vs[1].create_sub_virtual_service().save()", "SubVSs"),
        ("lm.create_virtual_service('10.1.2.3', 80).save()", "10.1.2.3 is not an address"),
        ("lm.create_virtual_service(given['address'], 53, 'udp').save()", "UDP"),
        ("vs = lm.vs[1]; vs.transparent = 'Y'; vs.update()", "ransparen"),
        ("vs = lm.vs[1]; vs.defaultgw = '10.0.0.1'; vs.update()", "gateway"),
        ("vs = lm.vs[1]; vs.checktype = 'icmp'; vs.update()", "icmp"),
        ("vs = lm.vs[1]; vs.schedule = 'sdn-adaptive'; vs.update()", "sdn-adaptive"),
        ("vs = lm.vs[1]; vs.persist = 'ssl'; vs.persisttimeout = 60; vs.update()", "'ssl'"),
        ("lm.create_virtual_service(given['address'], 8443).save()", "unit's own"),
        ("lm.create_virtual_service(given['address'], 8080).save()", "already"),
        ("lm.license", "no licence"),
        ("lm.apply_template(given['address'], 8099, 'tcp', 'Exchange')", "templates"),
        ("open('patch', 'w').write('x'); lm.update_firmware('patch')", "package or image"),
        ("lm.shutdown()", "does not shut its machine down"),
        ("lm.restore_firmware()", "package or image"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(client, unit, web, code, words):
    await web()
    before = (await unit.v2("listvs")).json

    with pytest.raises(ClientError, match=words):
        await client.run(code, address=unit.address)

    assert (await unit.v2("listvs")).json == before


@pytest.mark.parametrize(
    "code",
    [
        "lm.rules",  # content rules
        "lm.templates",
        "lm.sso",  # Edge Security Pack
        "lm.acl",  # packet filter lists
        "lm.get_check_parameters()",  # checks are set at the service
        "lm.get_aws_ha_params()",  # not in Azure
        "lm.list_addons()",
        "lm.refresh_dns()",  # real servers are addresses
        "lm.get_sdn_info()",
        "lm.create_range('10.0.0.0', 8).save()",  # GEO by address range
        "lm.create_customlocation('home').save()",
        "lm.set_adaptive_parameters(minpercent=5)",
        "lm.reset_logs()",
    ],
)
async def test_calls_beyond_the_agents_commands_are_told_to_be_unknown(client, code):
    with pytest.raises(ClientError, match="KempTechApiException: Unknown command"):
        await client.run(code)
