"""GEO over HTTPS: kept, checked for form, read back as an appliance does; and truthful about DNS.

Literal answers are those of Kemp's v2 collection, with the addresses and states of the test in them.
"""

import pytest
from tests.support.management import served

from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.domain.ha import UnitState

OWN = "10.0.2.4"


@pytest.fixture
async def api(tmp_path):
    async with served(tmp_path) as serving:
        yield serving


async def done(api, command, **parameters):
    reply = await api.v2(command, **parameters)
    assert reply.status == 200, reply.text
    return reply.json


async def refused(api, command, **parameters):
    reply = await api.v2(command, **parameters)
    assert reply.status == 422, reply.text
    return reply.json["message"]


CLUSTER = {
    "Index": "1",
    "Status": "Unchecked",
    "Name": "ExampleCluster",
    "ClusterVSAddress": "",
    "IPAddress": "172.24.1.9",
    "Checker": "none",
    "CheckerPort": "0",
    "Type": "default",
    "Enable": "Y",
    "LocationLatitude": "",
    "LocationLongitude": "",
}
NAME = {
    "FullyQualifiedDomainName": "Example.com.",
    "SelectionCriteria": "rr",
    "FailTime": 0,
    "SiteRecoveryMode": "auto",
    "Mapping": "0",
    "failover": "N",
    "publicRequestValue": "0",
    "privateRequestValue": "0",
    "LocalSettings": "0",
    "UnanimousChecks": "N",
}


async def test_a_single_cluster_is_an_object_and_two_are_a_list(api):
    await done(api, "addcluster", ip="172.24.1.9", name="ExampleCluster")
    one = await done(api, "listclusters")
    await done(api, "addcluster", ip="172.24.1.10", name="Second")
    two = await done(api, "listclusters")

    assert one == {"code": 200, "cluster": CLUSTER, "status": "ok"}
    assert [each["Index"] for each in two["cluster"]] == ["1", "2"]
    assert (await done(api, "showcluster", ip="172.24.1.9"))["cluster"] == CLUSTER
    assert (await done(api, "showcluster", id="2"))["cluster"]["Name"] == "Second"


async def test_v1_repeats_the_element(api):
    for number in (1, 2):
        await done(api, "addcluster", ip=f"172.24.1.{number}", name=f"c{number}")

    text = (await api.v1("listclusters")).text

    assert text.count("<cluster>\n<Index>") == 2
    assert "<Name>c1</Name>\n<ClusterVSAddress></ClusterVSAddress>\n<IPAddress>172.24.1.1</IPAddress>" in text


async def test_an_empty_list_is_the_sentence_that_clients_know(api):
    for command in ("listclusters", "listfqdns"):
        assert await refused(api, command) == "No geo data found"
        assert "<Error>No geo data found</Error>" in (await api.v1(command)).text


async def test_modcluster_answers_with_the_cluster(api):
    await done(api, "addcluster", ip="172.24.1.9", name="c")

    changes = {
        "type": "remotelm",
        "name": "ExampleCluster2",
        "checker": "tcp",
        "checkerport": 80,
        "enable": "0",
    }
    reply = await done(api, "modcluster", ip="172.24.1.9", **changes)

    assert reply["cluster"] | {"Index": "1"} == CLUSTER | {
        "Name": "ExampleCluster2",
        "Type": "remoteLM",
        "Checker": "tcp",
        "CheckerPort": "80",
        "Enable": "N",
    }


async def test_a_cluster_has_a_place(api):
    await done(api, "addcluster", ip="172.24.1.9", name="c")

    reply = await done(api, "clustchangeloc", ip="172.24.1.9", latsecs="3661", longsecs="-3661")

    shown = (await done(api, "showcluster", ip="172.24.1.9"))["cluster"]
    assert reply["message"] == "Cluster location updated"
    assert (shown["LocationLatitude"], shown["LocationLongitude"]) == ("3661", "-3661")
    assert "latsecs" in await refused(api, "clustchangeloc", ip="172.24.1.9", latsecs="324001", longsecs="0")


async def test_a_cluster_on_the_units_own_address_is_stored_by_its_interface(api):
    await done(api, "addcluster", ip=OWN, name="here")

    assert list(api.unit.settings.snapshot.entities(Kind.GEO_CLUSTER)) == ["@eth0"]
    assert (await done(api, "showcluster", ip=OWN))["cluster"]["IPAddress"] == OWN
    api.unit.own_addresses = {"eth0": "10.0.2.5"}
    assert (await done(api, "listclusters"))["cluster"]["IPAddress"] == "10.0.2.5"


async def test_a_name_comes_back_with_a_dot_and_no_map_is_the_text_0(api):
    assert (await done(api, "addfqdn", fqdn="Example.com"))["message"] == "Added FQDN Example.com"

    assert await done(api, "listfqdns") == {"code": 200, "fqdn": NAME, "status": "ok"}
    for spelling in ("Example.com", "Example.com.", "EXAMPLE.COM"):
        shown = (await done(api, "showfqdn", fqdn=spelling))["fqdn"]
        assert shown == {"Status": "Unchecked", **NAME}


async def test_a_name_with_a_site_reads_as_in_the_manual(api):
    await done(api, "addcluster", ip="172.16.193.254", name="RemoteLM")
    await done(api, "addfqdn", fqdn="www.example.com")
    await done(api, "addmap", fqdn="www.example.com", ip="1.1.1.1", clust="RemoteLM")
    await done(
        api,
        "modmap",
        fqdn="www.example.com",
        ip="1.1.1.1",
        Checker="clust",
        MapAddress="172.16.193.254",
        MapPort=80,
    )

    text = (await api.v1("showfqdn", fqdn="www.example.com")).text

    assert (
        "<Map>\n<Status>Unchecked</Status>\n<Index>1</Index>\n<IPAddress>1.1.1.1</IPAddress>\n"
        "<Cluster>RemoteLM</Cluster>\n<Checker>clust</Checker>\n<CheckerPort>0</CheckerPort>\n"
        "<Weight>1000</Weight>\n<MappedAddress>172.16.193.254</MappedAddress>\n<MappedPort>80</MappedPort>\n"
        "<Enable>Y</Enable>\n"
    ) in text
    assert "<Mapping>1</Mapping>" in text


async def test_fail_time_is_set_in_minutes_and_read_in_seconds(api):
    await done(api, "addfqdn", fqdn="a.example.com")
    await done(api, "modfqdn", fqdn="a.example.com", FailTime=10, SelectionCriteria="WRR")

    shown = (await done(api, "showfqdn", fqdn="a.example.com"))["fqdn"]
    assert (shown["FailTime"], shown["SelectionCriteria"]) == (600, "wrr")
    assert "FailTime" in await refused(api, "modfqdn", fqdn="a.example.com", FailTime=1441)


async def test_failover_needs_location_based_selection(api):
    await done(api, "addfqdn", fqdn="a.example.com")

    assert "lb" in await refused(api, "modfqdn", fqdn="a.example.com", failover="1")
    await done(api, "modfqdn", fqdn="a.example.com", failover="1", SelectionCriteria="lb")
    assert (await done(api, "showfqdn", fqdn="a.example.com"))["fqdn"]["failover"] == "Y"


async def test_own_times_of_a_name_need_its_local_settings(api):
    await done(api, "addfqdn", fqdn="a.example.com")

    assert "LocalSettings" in await refused(api, "modfqdn", fqdn="a.example.com", localttl=30)
    await done(api, "modfqdn", fqdn="a.example.com", LocalSettings=1, localttl=30)
    shown = (await done(api, "showfqdn", fqdn="a.example.com"))["fqdn"]
    assert (shown["LocalSettings"], shown["LocalTTL"]) == ("1", "30")


@pytest.mark.parametrize("name", ["", ".", "a..b", "-a.example", "a b.example", "x" * 64, "ä.example", "a/b"])
async def test_what_is_no_domain_name_is_refused(api, name):
    assert "fqdn" in await refused(api, "addfqdn", fqdn=name)


async def test_names_clusters_and_sites_are_there_once(api):
    await done(api, "addcluster", ip="10.9.9.9", name="c")
    await done(api, "addfqdn", fqdn="a.example.com")
    await done(api, "addmap", fqdn="a.example.com", ip="10.9.9.9")

    assert "already" in await refused(api, "addcluster", ip="10.9.9.9", name="d")
    assert "already" in await refused(api, "addfqdn", fqdn="A.example.com.")
    assert "already" in await refused(api, "addmap", fqdn="a.example.com", ip="10.9.9.9")


async def test_a_site_on_the_units_own_address_follows_the_unit(api):
    await done(api, "addfqdn", fqdn="a.example.com")
    await done(api, "addmap", fqdn="a.example.com", ip=OWN)
    await done(api, "modmap", fqdn="a.example.com", ip=OWN, MapAddress=OWN)
    await done(api, "changecheckeraddr", fqdn="a.example.com", ip=OWN, checkerip=OWN, port=8080)

    stored = api.unit.settings.snapshot.entities(Kind.GEO_MAP)["a.example.com.|@eth0"]
    api.unit.own_addresses = {"eth0": "10.0.2.5"}
    shown = (await done(api, "showfqdn", fqdn="a.example.com"))["fqdn"]["Map"]

    assert (stored["MappedAddress"], stored["checkerAddr"]) == ("@eth0", "@eth0")
    assert (shown["IPAddress"], shown["MappedAddress"], shown["checkerAddr"]) == ("10.0.2.5",) * 3
    assert shown["CheckerPort"] == "8080"


async def test_an_empty_checker_address_is_the_sites_own(api):
    await done(api, "addfqdn", fqdn="a.example.com")
    await done(api, "addmap", fqdn="a.example.com", ip="10.9.9.9")
    await done(api, "changecheckeraddr", fqdn="a.example.com", ip="10.9.9.9", checkerip="10.1.1.1", port=81)
    await done(api, "changecheckeraddr", fqdn="a.example.com", ip="10.9.9.9", checkerip="", port="")

    shown = (await done(api, "showfqdn", fqdn="a.example.com"))["fqdn"]["Map"]
    assert (shown.get("checkerAddr"), shown["CheckerPort"]) == (None, "80")


async def test_a_site_has_countries_and_continents(api):
    await done(api, "addfqdn", fqdn="a.example.com")
    await done(api, "addmap", fqdn="a.example.com", ip="10.9.9.9")
    site = {"fqdn": "a.example.com", "ip": "10.9.9.9"}
    for code, continent in (("DE", "no"), ("FR", "no"), ("EU", "yes"), ("ALL", "yes")):
        await done(api, "addcountry", **site, countrycode=code, iscontinent=continent)
    await done(api, "removecountry", **site, countrycode="FR", iscontinent="no")

    shown = (await done(api, "showfqdn", fqdn="a.example.com"))["fqdn"]["Map"]
    assert (shown["country"], shown["continent"]) == ({"code": "DE"}, [{"code": "ALL"}, {"code": "EU"}])
    assert "FR" in await refused(api, "removecountry", **site, countrycode="FR", iscontinent="no")
    for code, continent in (("de", "no"), ("GER", "no"), ("XX", "yes")):
        assert "countrycode" in await refused(
            api, "addcountry", **site, countrycode=code, iscontinent=continent
        )
    assert "customlocation" in await refused(api, "addcountry", **site, customlocation="home")


async def test_a_cluster_in_use_stays(api):
    await done(api, "addcluster", ip="10.9.9.9", name="c")
    await done(api, "addfqdn", fqdn="a.example.com")
    await done(api, "addmap", fqdn="a.example.com", ip="10.9.9.8", clust="c")

    assert "in use by a.example.com." in await refused(api, "delcluster", ip="10.9.9.9")
    await done(api, "modmap", fqdn="a.example.com", ip="10.9.9.8", Cluster="")
    assert (await done(api, "delcluster", ip="10.9.9.9"))["message"] == "Cluster deleted"


async def test_a_name_goes_with_its_sites(api):
    await done(api, "addfqdn", fqdn="a.example.com")
    await done(api, "addmap", fqdn="a.example.com", ip="10.9.9.8")
    await done(api, "delfqdn", fqdn="a.example.com")

    assert not api.unit.settings.snapshot.entities(Kind.GEO_MAP)
    assert "there is no FQDN" in await refused(api, "delmap", fqdn="a.example.com", ip="10.9.9.8")


async def test_there_is_room_for_256_sites(api):
    await done(api, "addfqdn", fqdn="a.example.com")
    for number in range(256):
        await done(api, "addmap", fqdn="a.example.com", ip=f"10.9.{number // 200}.{number % 200 + 1}")

    assert "Too many IP addresses" in await refused(api, "addmap", fqdn="a.example.com", ip="10.10.1.1")


async def test_parameters_are_in_two_parts(api):
    before = await done(api, "listparams")
    await done(api, "modparams", zone="examplezone.", SOAEmail="example@example.com.", persist=60, ttl=3555)

    assert before == {
        "code": 200,
        "soa": {"TTL": 10, "persist": 0, "PerzoneSoa": False, "DClustUnavail": False, "EDNSECS": True},
        "check": {"CheckInterval": 120, "ConnTimeout": 20, "RetryAttempts": 2},
        "status": "ok",
    }
    assert (await done(api, "listparams"))["soa"] == {
        "Zone": "examplezone.",
        "SOAEmail": "example@example.com.",
        "TTL": 3555,
        "persist": 60,
        "PerzoneSoa": False,
        "DClustUnavail": False,
        "EDNSECS": True,
    }


async def test_the_check_interval_grows_so_that_checks_do_not_overlap(api):
    await done(api, "modparams", ConnTimeout=60, RetryAttempts=10)

    assert (await done(api, "listparams"))["check"]["CheckInterval"] == 602


@pytest.mark.parametrize(
    ("name", "value"), [("TTL", 0), ("CheckInterval", 8), ("glueip", "x"), ("zone", "a b")]
)
async def test_parameters_have_bounds_and_forms(api, name, value):
    assert name.lower() in (await refused(api, "modparams", **{name: value})).lower()


async def test_nothing_claims_that_dns_is_answered(api):
    off = (await done(api, "isgeoenabled"))["Data"]
    said = (await done(api, "enablegeo"))["message"]
    on = (await done(api, "isgeoenabled"))["Data"]
    v1 = (await api.v1("isgeoenabled")).text
    await done(api, "disablegeo")

    assert off == "GEO is not enabled"
    assert "nothing on this unit answers DNS" in said
    assert "nothing on this unit answers DNS" in on
    assert "GEO is enabled" not in on
    assert "<Success><Data>GEO is set to be enabled, but" in v1
    assert (await done(api, "isgeoenabled"))["Data"] == off


async def test_partners_are_unknown_and_without_partners_there_is_nothing(api):
    empty = await done(api, "getgeopartnerstatus")
    await done(api, "set", param="geopartners", value="172.24.1.7 172.24.1.8")

    assert empty == {"code": 200, "status": "ok"}
    rows = (await done(api, "getgeopartnerstatus"))["Partner"]
    assert rows == [{"Address": f"172.24.1.{n}", "Status": "Unknown"} for n in (7, 8)]
    assert (await done(api, "get", param="geopartners"))["geopartners"] == ["172.24.1.7", "172.24.1.8"]


async def test_access_and_partner_lists_are_addresses(api):
    for name in ("geoclients", "geopartners"):
        assert await refused(api, "set", param=name, value="172.24.1.7 nonsense")
        await done(api, "set", param=name, value="172.24.1.7,172.24.1.8")
        await done(api, "set", param=name, value="")
        assert "172" not in (await api.v2("get", param=name)).text


async def test_a_standby_keeps_its_geo_settings_as_they_are(api):
    await done(api, "addcluster", ip="10.9.9.9", name="c")
    api.unit.is_in(UnitState.STANDBY)

    for command, more in (
        ("addcluster", {"ip": "10.9.9.8", "name": "d"}),
        ("delcluster", {"ip": "10.9.9.9"}),
        ("addfqdn", {"fqdn": "a.example.com"}),
        ("modparams", {"ttl": 5}),
        ("enablegeo", {}),
    ):
        assert "standby" in await refused(api, command, **more)
    assert (await done(api, "listclusters"))["cluster"]["Name"] == "c"
