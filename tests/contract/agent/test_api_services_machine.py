"""Interfaces, hosts, routes, statistics over HTTPS. Literal answers are from the tests of Kemp's client."""

import asyncio
import time

import pytest
from tests.support.management import served

from loadmaster_ha.agent.settings.model import LOCAL, Kind
from loadmaster_ha.domain.ha import UnitState


@pytest.fixture
async def api(tmp_path):
    async with served(tmp_path) as serving:
        serving.unit.own_addresses = {"eth0": "127.0.0.1", "eth1": "127.77.0.1"}
        yield serving


async def done(api, command, **parameters):
    reply = await api.v2(command, **parameters)
    assert reply.status == 200, reply.text
    return reply.json


async def refused(api, command, **parameters):
    reply = await api.v2(command, **parameters)
    assert reply.status == 422, reply.text
    return reply.json["message"]


async def test_interfaces_read_as_an_appliance_has_them(api):
    text = (await api.v1("showiface", interface="0")).text
    rows = (await done(api, "showiface"))["Interface"]

    assert (
        "<Interface>\n<Id>0</Id>\n<IPAddress>127.0.0.1/8</IPAddress>\n<Mtu>65536</Mtu>\n"
        "<InterfaceType>Port</InterfaceType>\n<GeoTrafficEnable>yes</GeoTrafficEnable>\n"
        "<DefaultInterface>yes</DefaultInterface>\n<AdminWuiEnable>yes</AdminWuiEnable>\n</Interface>\n"
    ) in text
    assert [(row["Id"], row["IPAddress"], row["DefaultInterface"]) for row in rows] == [
        (0, "127.0.0.1/8", True),
        (1, "127.77.0.1/8", False),
    ]
    assert "no interface 2" in await refused(api, "showiface", interface=2)


async def test_one_parameter_of_an_interface_is_changed_in_a_call(api):
    await done(api, "modiface", interface=1, geotraffic=1)

    assert (await done(api, "showiface", interface=1))["Interface"][0]["GeoTrafficEnable"] is True
    assert "Only one parameter" in await refused(api, "modiface", interface=1, geotraffic=0, gwiface=1)
    assert Kind.INTERFACE in LOCAL


@pytest.mark.parametrize(
    "parameters", [{}, {"geotraffic": 1}, {"addr": "127.0.0.1/8"}, {"mtu": 65536}, {"nosuch": 1}]
)
async def test_what_changes_nothing_is_said_in_the_appliances_words(api, parameters):
    assert await refused(api, "modiface", interface=0, **parameters) == "Nothing Modified"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"addr": "10.0.0.9/24"}, "operating system"),
        ({"mtu": 1400}, "operating system"),
        ({"bondmode": 1}, "Bonding"),
        ({"shared": "10.0.0.9"}, "kind of HA"),
        ({"hacheck": 1}, "kind of HA"),
    ],
)
async def test_what_is_not_the_agents_to_set_is_refused(api, parameters, words):
    assert words in await refused(api, "modiface", interface=0, **parameters)


@pytest.mark.parametrize("command", ["createbond", "addbond", "delbond", "unbond"])
async def test_bonding_is_refused(api, command):
    assert "Bonding is not possible" in await refused(api, command, interface=0, bond=1)


async def test_additional_addresses_are_local_settings(api):
    api.unit.is_in(UnitState.STANDBY)
    await done(api, "addadditional", interface=0, addr="10.9.9.9/24")
    await done(api, "addadditional", interface=0, addr="2001:db8::9/64")

    shown = (await api.v1("showiface", interface="0")).text

    assert (
        "<AdditionalAddresses>\n<IPaddress>10.9.9.9/24</IPaddress>\n<IPaddress>2001:db8::9/64</IPaddress>\n"
        "</AdditionalAddresses>"
    ) in shown
    assert "already" in await refused(api, "addadditional", interface=0, addr="10.9.9.9/24")
    assert "own address" in await refused(api, "addadditional", interface=0, addr="127.77.0.1/8")
    assert "prefix" in await refused(api, "addadditional", interface=0, addr="10.9.9.300")
    await done(api, "deladditional", interface=0, addr="10.9.9.9/24")
    assert "does not have" in await refused(api, "deladditional", interface=0, addr="10.9.9.9/24")
    assert Kind.ADDITIONAL_ADDRESS in LOCAL


async def test_hosts_have_names(api):
    await done(api, "addhostsentry", hostip="10.0.0.7", hostfqdn="db.example.com")

    assert (await done(api, "gethosts"))["HostsEntry"] == [
        {"HostIP": "10.0.0.7", "HostFQDN": "db.example.com"}
    ]
    assert "hostfqdn" in await refused(api, "addhostsentry", hostip="10.0.0.7", hostfqdn="a b")
    await done(api, "delhostsentry", hostip="10.0.0.7")
    assert "no name" in await refused(api, "delhostsentry", hostip="10.0.0.7")


async def test_routes_are_local_settings(api):
    api.unit.is_in(UnitState.STANDBY)
    await done(api, "addroute", dest="10.1.0.0/16", gateway="10.0.0.1")

    assert (await done(api, "showroute"))["Route"] == [{"Destination": "10.1.0.0/16", "Gateway": "10.0.0.1"}]
    assert "IP versions" in await refused(api, "addroute", dest="10.1.0.0/16", gateway="2001:db8::1")
    assert "dest" in await refused(api, "addroute", dest="10.1.0.9/16", gateway="10.0.0.1")
    await done(api, "delroute", dest="10.1.0.0/16")
    assert "no route" in await refused(api, "delroute", dest="10.1.0.0/16")
    assert "standby" in await refused(api, "addhostsentry", hostip="10.0.0.7", hostfqdn="a")


async def test_statistics_have_the_shapes_of_the_manual(api):
    await done(api, "addvs", vs="127.0.0.1", port="80", prot="tcp")
    await done(api, "addrs", vs="1", rs="10.35.14.7", rsport="80")

    text = (await api.v1("stats")).text
    reply = await done(api, "stats")

    assert "<CPU>\n<total>\n<User>" in text
    assert "<cpu0>\n<User>" in text
    assert "<Network>\n<eth0>\n<ifaceID>0</ifaceID>\n" in text
    assert (
        "<Vs>\n<VSAddress>127.0.0.1</VSAddress>\n<VSPort>80</VSPort>\n<VSProt>tcp</VSProt>\n<Index>1</Index>\n"
        "<Status>down</Status>\n<ErrorCode>0</ErrorCode>\n<Enable>1</Enable>\n<TotalConns>0</TotalConns>\n"
        "<TotalPkts>0</TotalPkts>\n<TotalBytes>0</TotalBytes>\n<TotalBits>0</TotalBits>\n"
        "<ActiveConns>0</ActiveConns>\n<BytesRead>0</BytesRead>\n<BytesWritten>0</BytesWritten>\n"
        "<ConnsPerSec>0</ConnsPerSec>\n<WafEnable>0</WafEnable>\n</Vs>\n"
        "<Rs>\n<VSIndex>1</VSIndex>\n<RSIndex>1</RSIndex>\n<Addr>10.35.14.7</Addr>\n<Port>80</Port>\n"
        "<Enable>1</Enable>\n<Weight>1000</Weight>\n<ActivConns>0</ActivConns>\n<Persist>0</Persist>\n"
        "<Conns>0</Conns>\n<Pkts>0</Pkts>\n<Bytes>0</Bytes>\n<Bits>0</Bits>\n<BytesRead>0</BytesRead>\n"
        "<BytesWritten>0</BytesWritten>\n<ConnsPerSec>0</ConnsPerSec>\n</Rs>\n"
    ) in text
    assert reply["CPU"]["cpu"][0]["cpu"] == 0
    assert set(reply["CPU"]["total"]) == {"User", "System", "Idle", "IOWaiting"}
    assert [row["Name"] for row in reply["Network"]["Interface"]] == ["eth0", "eth1"]
    assert reply["Memory"]["percentmemused"] + reply["Memory"]["percentmemfree"] == 100
    assert reply["DiskUsage"]["partition"][0]["GBtotal"] > 0
    assert (reply["Vs"][0]["Enable"], reply["Rs"][0]["Weight"]) == (1, 1000)
    assert abs(reply["Timestamp"]["Sec"] - time.time()) < 60


async def test_shares_of_processors_add_up(api):
    await done(api, "stats")
    await asyncio.sleep(0.5)

    for row in (await done(api, "stats"))["CPU"]["cpu"]:
        shares = [value for name, value in row.items() if name != "cpu"]
        assert 95 <= sum(shares) <= 105
        assert min(shares) >= 0


async def test_change_time_changes_with_the_settings_and_not_without(api):
    first = (await done(api, "stats"))["ChangeTime"]
    again = (await done(api, "stats"))["ChangeTime"]
    await done(api, "addvs", vs="127.0.0.1", port="80", prot="tcp")
    changed = (await done(api, "stats"))["ChangeTime"]
    await done(api, "modvs", vs="1", NickName="x")
    changed_again = (await done(api, "stats"))["ChangeTime"]

    assert first == again
    assert first < changed < changed_again


async def test_statistics_of_a_unit_without_services_have_no_rows(api):
    reply = await done(api, "stats")

    assert "Vs" not in reply
    assert "Rs" not in reply
    assert reply["VStotals"]["TotalConns"] == 0
