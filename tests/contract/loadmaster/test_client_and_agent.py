"""The client and the node agent's real management API, over HTTPS."""

import asyncio
import contextlib

import pytest
import pytest_asyncio
from tests.support import pem
from tests.support.management import ADDRESS, PASSWORD, served
from tests.support.unit_certificates import self_signed

from loadmaster_ha.agent import certificates
from loadmaster_ha.agent.api.server import Limits
from loadmaster_ha.agent.certificate_work.pairs import NO_EXPIRY
from loadmaster_ha.domain.ha import Mode, UnitState
from loadmaster_ha.loadmaster.client import UnitClient
from loadmaster_ha.loadmaster.connections import Connections, Endpoint
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.trust import Authorities, Pinned
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.values import Version

BAL = UnitCredentials(user="bal", password=PASSWORD)
BOTH = pytest.mark.parametrize("version", list(Version))


@pytest_asyncio.fixture
async def connections():
    async with Connections() as shared:
        yield shared


@pytest_asyncio.fixture
async def unit(tmp_path):
    async with served(tmp_path) as running:
        yield running


def client_of(unit, connections, credentials=BAL, **more):
    trust = more.pop("trust", None) or Pinned(unit.identity.fingerprint.hex())
    return UnitClient(Endpoint(ADDRESS, unit.port), trust, credentials, connections=connections, **more)


async def test_an_agent_is_known_by_what_it_offers_and_spoken_to_by_v2(unit, connections):
    client = client_of(unit, connections)

    offer = await client.offer()

    assert offer.is_agent
    assert offer.firmware == unit.unit.version
    assert offer.version is Version.V2
    assert {"agentwatch", "setlmcommsecret", "listvs"} <= offer.commands
    assert client.certificate.fingerprint == unit.identity.fingerprint.hex()
    assert client.certificate.not_after == unit.identity.not_after


async def test_its_own_certificate_is_trusted_as_an_authority_too(unit, connections):
    text = unit.identity.path.read_text(encoding="ascii")
    bundle = text[text.index("-----BEGIN CERTIFICATE") :].partition("-----END CERTIFICATE-----")[0]
    trust = Authorities(f"{bundle}-----END CERTIFICATE-----\n")

    assert (await client_of(unit, connections, trust=trust).call("getall")).ok


@BOTH
async def test_what_is_written_reads_back(unit, connections, version):
    client = client_of(unit, connections, version=version)

    await client.call("azurehamode", {"hamode": "first"})
    await client.call("azurehaparam", {"partner": "10.0.2.5", "hcp": 8444, "hcai": True})
    await client.call("set", {"param": "hostname", "value": "lm-0.example"})
    await client.call("agentsetparams", {"frontend": "10.0.2.100", "probethreshold": 3})

    settings = (await client.call("getazurehaparams")).fields
    assert (settings["HaMode"], settings["Partner"], settings["HaPrefered"]) == ("master", "10.0.2.5", 1)
    assert (await client.call("get", {"param": "hostname"})).fields == {"hostname": "lm-0.example"}
    inputs = (await client.call("agentgetparams")).fields
    assert (inputs["frontend"], inputs["probethreshold"], inputs["probeinterval"]) == ("10.0.2.100", 3, 5)


@BOTH
async def test_services_and_their_servers(unit, connections, version):
    client = client_of(unit, connections, version=version)

    added = await client.call(
        "addvs", {"vs": "10.0.2.4", "port": "443", "prot": "tcp", "NickName": "lm_web_https", "Enable": True}
    )
    index = str(added.fields["Index"])
    await client.call("addrs", {"vs": index, "rs": "10.0.3.1", "rsport": 8080, "weight": 500})
    (service,) = (await client.call("listvs")).fields["VS"]
    await client.call("delrs", {"vs": index, "rs": "10.0.3.1", "rsport": 8080})
    emptied = await client.call("showvs", {"vs": index})
    await client.call("delvs", {"vs": index})

    assert (service["NickName"], service["Enable"], service["VSPort"]) == ("lm_web_https", True, "443")
    assert [(each["Addr"], each["Port"], each["Weight"]) for each in service["Rs"]] == [
        ("10.0.3.1", 8080, 500)
    ]
    assert emptied.fields["Rs"] == []
    assert (await client.call("listvs")).fields["VS"] == []


@BOTH
async def test_files_go_both_ways(unit, connections, version):
    client = client_of(unit, connections, version=version)
    certificate = pem.self_signed("www.example").encode()

    await client.call("addcert", {"cert": "web"}, data=certificate)
    assert [each["name"] for each in (await client.call("listcert")).fields["cert"]] == ["web"]

    await client.call("set", {"param": "hostname", "value": "before"})
    backup = (await client.call("backup")).data
    await client.call("set", {"param": "hostname", "value": "after"})
    await client.call("restore", {"type": 1}, data=backup)
    assert (await client.call("get", {"param": "hostname"})).fields == {"hostname": "before"}


@BOTH
async def test_refusals_have_their_reason_and_the_agents_words(unit, connections, version):
    client = client_of(unit, connections, version=version)
    unit.unit.add_user("reader", PASSWORD)
    reader = client_of(unit, connections, UnitCredentials(user="reader", password=PASSWORD), version=version)

    async def reason(which, command, **parameters):
        with pytest.raises(UnitFault) as raised:
            await which.call(command, parameters)
        assert not raised.value.sent
        return raised.value.reason, raised.value.said

    assert (await reason(client, "azurehamode", hamode="third"))[0] is FaultReason.INVALID_REQUEST
    assert (await reason(client, "azurehamode"))[1].startswith("hamode: String Value missing")
    assert (await reason(client, "readeula"))[0] is FaultReason.INVALID_REQUEST
    assert (await reason(reader, "reboot"))[0] is FaultReason.FORBIDDEN
    unit.unit.is_in(UnitState.STANDBY, Mode.SLAVE)
    assert (await reason(client, "addvs", vs="10.0.2.4", port="80", prot="tcp"))[0] is (
        FaultReason.STANDBY_REFUSES
    )


@pytest.mark.parametrize(
    "credentials", [UnitCredentials(user="bal", password="wrong password"), UnitCredentials(apikey="k" * 30)]
)
async def test_wrong_credentials_cost_one_login(unit, connections, credentials, caplog):
    client = client_of(unit, connections, credentials)
    for _ in range(8):
        with pytest.raises(UnitFault) as raised:
            await client.call("getall")
        assert raised.value.reason is FaultReason.UNAUTHORIZED

    refusals = [each for each in caplog.messages if "refused" in each and "Login" in each]
    assert len(refusals) == 1


async def test_a_key_works_until_it_is_withdrawn(unit, connections):
    owner = client_of(unit, connections)
    key = (await owner.call("addapikey")).fields["apikeys"][-1]
    client = client_of(unit, connections, UnitCredentials(apikey=key))
    assert (await client.call("getall")).ok

    await owner.call("delapikey", {"key": key})

    with pytest.raises(UnitFault) as raised:
        await client.call("getall")
    assert raised.value.reason is FaultReason.UNAUTHORIZED


@BOTH
async def test_an_api_that_is_switched_off_is_named(unit, connections, version):
    client = client_of(unit, connections, version=version)
    await client.call("set", {"param": "enableapi", "value": "no"})

    with pytest.raises(UnitFault) as raised:
        await client.call("getall")

    assert raised.value.reason is FaultReason.API_DISABLED


async def test_a_change_is_announced_over_the_long_poll_beside_other_calls(unit, connections):
    client = client_of(unit, connections)
    since = (await client.call("agentstatus")).fields["revision"]
    poll = asyncio.create_task(client.watch_call("agentwatch", {"since": since, "seconds": 60}))
    assert (await client.call("getall")).ok
    assert not poll.done()

    unit.unit.is_in(UnitState.STANDBY, Mode.SLAVE)

    async with asyncio.timeout(30):
        told = (await poll).fields
    assert (told["state"], told["revision"]) == ("Standby", since + 1)


async def test_a_unit_that_limits_calls_is_left_alone_for_a_while(tmp_path, connections):
    async with served(tmp_path, Limits(calls=3, call_seconds=2.0)) as unit:
        client = client_of(unit, connections, version=Version.V2)

        for _ in range(5):
            assert (await client.call("getazurehaparams")).ok


async def test_a_replaced_certificate_is_trusted_no_more(unit, connections):
    client = client_of(unit, connections)
    other = self_signed()
    await client.call("getall")

    async def use(content):
        file = unit.folder / "other.pem"
        file.write_bytes(content)
        unit.server.use_certificate(certificates.Identity(file, b"", NO_EXPIRY))

    unit.unit.replaced = use
    await client.call("agentsetcertificate", data=other.pem.encode())

    async def ask_again_and_again():
        while True:
            await asyncio.sleep(
                5
            )  # the connection that was kept is closed by then, unless the machine is busy
            await client.call("getall")

    with pytest.raises(UnitFault) as raised:
        await asyncio.wait_for(ask_again_and_again(), 60)
    assert raised.value.reason is FaultReason.CERTIFICATE_NOT_TRUSTED
    assert raised.value.seen_fingerprint == other.fingerprint


async def test_a_restart_is_asked_for_once(unit, connections):
    client = client_of(unit, connections)

    assert (await client.call("reboot")).ok
    assert unit.unit.reboots == 1


async def test_many_clients_share_what_they_can(unit, connections):
    clients = [client_of(unit, connections, version=Version.V2) for _ in range(20)]
    await clients[0].call("getazurehaparams")  # the agent checks few strangers' passwords at a time

    async with contextlib.AsyncExitStack() as stack:
        for client in clients:
            stack.push_async_callback(client.close)
        answers = await asyncio.gather(*(client.call("getazurehaparams") for client in clients))

    assert all(answer.ok for answer in answers)
    assert (await client_of(unit, connections).call("getazurehaparams")).ok  # closing did not touch the rest
