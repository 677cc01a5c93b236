"""The stand-in for an appliance answers as appliances were recorded to: literal requests, literal answers.

No client and no wire code of ours takes part.
"""

import base64
import json

import aiohttp
import pytest
from tests.support.pem import trusting
from tests.support.scripted_appliance import Habits, ScriptedAppliance

HEAD = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'


@pytest.fixture
async def unit():
    async with ScriptedAppliance(habits=Habits(rate_limit=True)) as appliance:
        yield appliance


async def v1(unit, path, password=None):
    login = base64.b64encode(f"bal:{password or unit.password}".encode()).decode()
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"https://{unit.address}:{unit.port}/access/{path}",
            headers={"Authorization": f"Basic {login}"},
            ssl=trusting(),
        ) as reply,
    ):
        return reply.status, reply.content_type, (await reply.read()).decode("iso-8859-1")


async def v2(unit, **body):
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"https://{unit.address}:{unit.port}/accessv2",
            data=json.dumps({"apiuser": "bal", "apipass": unit.password} | body),
            ssl=trusting(),
        ) as reply,
    ):
        return reply.status, reply.content_type, json.loads(await reply.read())


async def test_a_parameter_is_told_as_recorded(unit):
    text = (
        f'{HEAD}<Response stat="200" code="ok">\n<Success><Data>'
        "<version>7.2.54.12.22642.RELEASE</version>\n</Data></Success>\n</Response>\n"
    )

    assert await v1(unit, "get?param=version") == (200, "text/xml", text)
    assert await v2(unit, cmd="get", param="version") == (
        200, "text/json", {"code": 200, "version": "7.2.54.12.22642.RELEASE", "status": "ok"}
    )  # fmt: skip


async def test_what_is_written_as_first_reads_back_as_master(unit):
    done = f'{HEAD}<Response stat="200" code="ok">\n<Success>Command completed ok</Success>\n</Response>\n'
    assert await v1(unit, "azurehamode?hamode=first") == (200, "text/xml", done)
    assert (await v2(unit, cmd="azurehaparam", partner="10.0.2.5", hcp=8444))[0] == 200

    assert (await v2(unit, cmd="getazurehaparams"))[2] == {
        "code": 200,
        "HaMode": "master",
        "HaPrefered": "1",
        "Partner": "10.0.2.5",
        "Port": "8444",
        "HealthCheckAllInterfaces": "unset",
        "status": "ok",
    }
    assert "<AzureHA>\n<HaMode>master</HaMode>\n" in (await v1(unit, "getazurehaparams"))[2]


async def test_a_missing_parameter_is_400_in_v1_and_422_in_v2(unit):
    status, _, text = await v1(unit, "get")
    assert (status, "<Error>param: String Value missing</Error>" in text) == (400, True)
    assert await v2(unit, cmd="get") == (
        422, "text/json", {"code": 422, "message": "param: String Value missing", "status": "fail"}
    )  # fmt: skip


async def test_a_service_reads_back_with_the_types_of_each_version(unit):
    sent = {"cmd": "addvs", "vs": "10.0.2.4", "port": "6443", "prot": "tcp", "CheckPort": 8080}
    _, _, told = await v2(unit, **sent)

    expected = {"Status": "Down", "Index": 1, "VSAddress": "10.0.2.4", "VSPort": "6443", "Enable": True,
                "Transparent": False, "SubnetOriginating": True, "Idletime": 660, "ErrorCode": "0",
                "CheckUse1.1": False, "CheckUseGet": 0, "Protocol": "tcp", "Schedule": "rr",
                "PersistTimeout": "0", "CheckPort": "8080", "MasterVSID": 0, "TlsType": "0",
                "NumberOfRSs": 0, "status": "ok"}  # fmt: skip
    assert {name: told.get(name) for name in expected} == expected
    assert {"Persist", "SSLAcceleration", "CertFile", "CheckUrl", "Rs"}.isdisjoint(told)
    row = (await v1(unit, "showvs?vs=1"))[2]
    for piece in ("<VSPort>6443</VSPort>", "<Enable>Y</Enable>", "<Transparent>N</Transparent>",
                  "<PersistTimeout>\n0\n</PersistTimeout>"):  # fmt: skip
        assert piece in row


async def test_statistics_have_numbers_where_rows_have_words(unit):
    await v2(unit, cmd="addvs", vs="10.0.2.4", port="80", prot="tcp", NickName="web")
    unit.services.connections["web"] = 12

    assert "<ActiveConns>12</ActiveConns>" in (await v1(unit, "stats"))[2]
    (row,) = (await v2(unit, cmd="stats"))[2]["Vs"]
    assert (row["ActiveConns"], row["Enable"], row["Index"]) == (12, 1, 1)


async def test_refusals_have_the_forms_of_an_appliance(unit):
    assert (await v1(unit, "get?param=version", "wrong"))[:2] == (401, "text/html")
    assert (await v2(unit, cmd="get", param="version", apipass="wrong"))[0] == 401
    assert (await v1(unit, "agentstatus"))[0] == 405
    assert (await v2(unit, cmd="azurehamode", hamode="third"))[0] == 422


async def test_too_many_calls_end_in_a_dropped_connection(unit):
    for _ in range(30):
        assert (await v1(unit, "get?param=time"))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await v1(unit, "get?param=time")


async def test_services_follow_to_the_partner_at_its_own_address():
    async with ScriptedAppliance("10.0.2.4") as one, ScriptedAppliance("10.0.2.5") as two:
        one.synchronise_with(two)
        await v2(one, cmd="addvs", vs="10.0.2.4", port="80", prot="tcp", NickName="web")
        await v2(one, cmd="addrs", vs="10.0.2.4", port="80", prot="tcp", rs="10.0.3.7", rsport="8080")

        assert two.services.named("web")["VSAddress"] == "10.0.2.5"
        assert [each["Addr"] for each in two.services.servers[1]] == ["10.0.3.7"]
