"""How a client treats a unit: paced, one call at a time, and never twice what may have been done."""

import asyncio
import time

import pytest
from tests.support.literal_unit import Drop, LiteralUnit, Silence, http, json, xml

from loadmaster_ha.loadmaster.client import UnitClient
from loadmaster_ha.loadmaster.connections import Connections, Endpoint, Limits
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.trust import Pinned
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.values import Version

KEY = UnitCredentials(apikey="the-key-of-the-operator")
USER = UnitCredentials(user="operator", password="pass word")
BASIC = "Basic b3BlcmF0b3I6cGFzcyB3b3Jk"
DONE_V1 = xml('<Response stat="200" code="ok"><Success>Command completed ok</Success></Response>')
DONE_V2 = json('{"code":200,"message":"Command completed ok","status":"ok"}')
NO_API = http("404 Not Found", "text/html", b"<html>404</html>")
REFUSED_V1 = http("401 Unauthorized", "text/html", b"<html>401 Unauthorized</html>")
REFUSED_V2 = json('{"code":401,"message":"Unauthorized","status":"fail"}', "401 Unauthorized")


def offer_v1(firmware, *commands):
    names = "".join(f"<cmd>{name}</cmd>" for name in ("listapi", *commands))
    return xml(
        f'<Response stat="200" code="ok"><Success><Data><commands>{names}</commands>'
        f"<version>{firmware}</version></Data></Success></Response>"
    )


def offer_v2(firmware):
    return json(f'{{"code":200,"commands":["listapi","get"],"version":"{firmware}","status":"ok"}}')


def sent_to(unit):
    """What the unit was asked: path, or command of v2."""
    return [
        asked.body.decode().partition('"cmd": "')[2].partition('"')[0]
        if asked.path == "/accessv2"
        else asked.path
        for asked in unit.asked
    ]


# Which version


@pytest.mark.parametrize("firmware", ["7.2.54.12.22642.RELEASE", "7.2.52.0.1.RELEASE"])
async def test_a_key_never_stands_in_a_url_of_a_unit_that_has_v2(client_of, firmware):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: offer_v2(firmware) if b"listapi" in asked.body else DONE_V2
        client = await client_of(unit)
        await client.call("azurehamode", {"hamode": "first"})

        assert sent_to(unit) == ["listapi", "azurehamode"]
        assert all("apikey" not in asked.target for asked in unit.asked)


async def test_a_unit_of_before_v2_is_asked_by_v1_with_its_key(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: {
            "/accessv2": NO_API,
            "/access/listapi": offer_v1("7.2.48.10.1.RELEASE"),
        }.get(asked.path, DONE_V1)
        client = await client_of(unit)
        await client.call("azurehamode", {"hamode": "first"})

        assert sent_to(unit) == ["listapi", "/access/listapi", "/access/azurehamode"]
        assert unit.asked[-1].query == {"apikey": KEY.apikey}
        assert unit.asked[-1].form == {"hamode": "first"}


async def test_user_and_password_begin_with_v1_and_go_on_with_v2(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: (
            offer_v1("7.2.54.12.22642.RELEASE") if asked.path == "/access/listapi" else DONE_V2
        )
        client = await client_of(unit, USER)
        await client.call("azurehamode", {"hamode": "first"})
        await client.call("azurehamode", {"hamode": "second"})

        assert sent_to(unit) == ["/access/listapi", "azurehamode", "azurehamode"]
        assert unit.asked[0].headers["authorization"] == BASIC
        assert b'"apiuser": "operator", "apipass": "pass word"' in unit.asked[1].body


@pytest.mark.parametrize("answer", [REFUSED_V2, REFUSED_V1, NO_API, http("200 OK", "text/html", b"<html/>")])
async def test_v2_that_does_not_let_in_whom_v1_does_is_given_up(client_of, answer):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: {
            "/accessv2": answer,
            "/access/listapi": offer_v1("7.2.54.12.22642.RELEASE"),
        }.get(asked.path, DONE_V1)
        client = await client_of(unit, USER)
        assert (await client.call("azurehamode", {"hamode": "first"})).ok
        assert (await client.call("azurehamode", {"hamode": "first"})).ok

        assert sent_to(unit) == [
            "/access/listapi",
            "azurehamode",
            "/access/azurehamode",
            "/access/azurehamode",
        ]


async def test_an_agent_is_asked_by_v2_whatever_its_version(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: (
            offer_v1("0.1.0.0", "agentwatch") if asked.path == "/access/listapi" else DONE_V2
        )
        client = await client_of(unit, USER)
        await client.call("azurehamode", {"hamode": "first"})

        assert (await client.offer()).is_agent
        assert sent_to(unit) == ["/access/listapi", "azurehamode"]


async def test_what_works_by_v1_only_goes_by_v1(client_of):
    async with LiteralUnit(answers=lambda _: DONE_V1) as unit:
        client = await client_of(unit)
        await client.call("installpatch", data=b"\x00patch")

        (asked,) = unit.asked
        assert (asked.method, asked.path, asked.body) == ("POST", "/access/installpatch", b"\x00patch")


async def test_the_choice_is_made_again_when_the_unit_is_another_one(client_of):
    old = True
    async with LiteralUnit() as unit:

        def answers(asked):
            if asked.path == "/access/listapi":
                return offer_v1("7.2.48.1.1" if old else "7.2.54.12.1")
            if asked.path == "/accessv2":
                return DONE_V2 if not old else NO_API
            return DONE_V1 if old else NO_API

        unit.answers = answers
        client = await client_of(unit, USER)
        await client.call("azurehamode", {"hamode": "first"})
        old = False
        assert (await client.call("azurehamode", {"hamode": "second"})).ok

        assert sent_to(unit)[2:] == ["/access/azurehamode", "/access/listapi", "azurehamode"]


async def test_another_firmware_in_an_answer_makes_the_client_look_again(client_of):
    firmware = "7.2.54.1.1"
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: (
            offer_v2(firmware)
            if b"listapi" in asked.body
            else json(f'{{"code":200,"version":"{firmware}","status":"ok"}}')
        )
        client = await client_of(unit)
        assert (await client.offer()).firmware == "7.2.54.1.1"
        firmware = "7.2.61.0.2"
        await client.call("get", {"param": "version"})

        assert (await client.offer()).firmware == "7.2.61.0.2"
        assert sent_to(unit) == ["listapi", "get", "listapi"]


async def test_an_api_that_is_disabled_is_named_in_either_version(client_of):
    async with LiteralUnit(answers=lambda _: NO_API) as unit:
        for credentials in (KEY, USER):
            client = await client_of(unit, credentials)
            with pytest.raises(UnitFault) as raised:
                await client.call("listvs")
            assert raised.value.reason is FaultReason.API_DISABLED


# Credentials


@pytest.mark.parametrize(("credentials", "answer"), [(KEY, REFUSED_V2), (USER, REFUSED_V1)])
async def test_refused_credentials_are_tried_once_and_never_again(client_of, observer, credentials, answer):
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, credentials, observer=observer)
        calls = [client.call("listvs") for _ in range(4)] + [client.watch_call("agentwatch")]
        faults = await asyncio.gather(*calls, return_exceptions=True)
        faults.append(await asyncio.gather(client.offer(), return_exceptions=True))

        assert {fault.reason for fault in faults[:-1]} == {FaultReason.UNAUTHORIZED}
        assert "management.credentialsSecretRef" in str(faults[0])
        assert len(unit.asked) == 1
    assert observer.requests == [("listapi", "Unauthorized")]


async def test_a_key_that_is_withdrawn_is_not_tried_again(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: offer_v2("7.2.54.1.1") if b"listapi" in asked.body else REFUSED_V2
        client = await client_of(unit)
        for _ in range(3):
            with pytest.raises(UnitFault):
                await client.call("listvs")

        assert sent_to(unit) == ["listapi", "listvs"]


async def test_a_missing_permission_does_not_end_everything(client_of):
    forbidden = json('{"code":403,"message":"no","status":"fail"}', "403 Forbidden")
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: forbidden if b"addvs" in asked.body else DONE_V2
        client = await client_of(unit, version=Version.V2)
        with pytest.raises(UnitFault) as raised:
            await client.call("addvs", {"vs": "10.0.2.4"})

        assert raised.value.reason is FaultReason.FORBIDDEN
        assert (await client.call("azurehamode", {"hamode": "first"})).ok


# Pace and order


async def test_calls_go_one_at_a_time_in_the_order_in_which_they_were_made(client_of):
    under_way, most = 0, 0
    names = ["listvs", "getall", "stats", "listcert", "listapi"]

    class Counting(LiteralUnit):
        async def _answer(self, answer, writer):
            nonlocal under_way, most
            under_way, most = under_way + 1, max(most, under_way + 1)
            await asyncio.sleep(0.02)
            under_way -= 1
            return await super()._answer(answer, writer)

    async with Counting(answers=lambda _: json('{"code":200,"status":"ok"}')) as unit:
        client = await client_of(unit, version=Version.V2)
        await asyncio.gather(*(client.call(name) for name in names))

        assert sent_to(unit) == names
        assert most == 1
        assert {asked.connection for asked in unit.asked} == {1}


async def test_a_burst_of_calls_keeps_below_the_limit_of_the_unit(client_of):
    async with LiteralUnit(answers=lambda _: DONE_V2) as unit:
        client = await client_of(unit, version=Version.V2)
        began = time.monotonic()
        await asyncio.gather(
            *(client.call("azurehamode", {"hamode": "first"}) for _ in range(25)),
            *(client.watch_call("agentstatus") for _ in range(10)),
        )
        times = [asked.at - began for asked in unit.asked]

    assert len(times) == 35
    # On a busy machine they arrive later than they were sent, never earlier.
    for number, seconds in ((10, 1.0), (20, 2.0), (25, 3.0)):
        assert times[number] > seconds - 0.05, times


async def test_a_long_poll_holds_up_nothing(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: Silence() if b"agentwatch" in asked.body else DONE_V2
        client = await client_of(unit, version=Version.V2)
        poll = asyncio.create_task(client.watch_call("agentwatch", {"since": 1}))
        await unit.was_asked.wait()
        async with asyncio.timeout(30):
            assert (await client.call("azurehamode", {"hamode": "first"})).ok

        assert unit.asked[0].connection != unit.asked[1].connection
        assert not poll.done()
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll


async def test_a_cancelled_call_lets_the_next_one_through(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: Silence() if b"listvs" in asked.body else DONE_V2
        client = await client_of(unit, version=Version.V2)
        stuck = asyncio.create_task(client.call("listvs"))
        behind = asyncio.create_task(client.call("azurehamode", {"hamode": "first"}))
        await unit.was_asked.wait()
        stuck.cancel()

        async with asyncio.timeout(30):
            assert (await behind).ok


# What may be repeated


@pytest.mark.parametrize("version", list(Version))
async def test_a_read_whose_connection_was_dropped_is_repeated_once_after_three_seconds(client_of, version):
    async with LiteralUnit() as unit:
        unit.answers = lambda _: Drop() if len(unit.asked) == 1 else NO_API
        client = await client_of(unit, version=version)
        with pytest.raises(UnitFault) as raised:
            await client.call("listvs")

        assert raised.value.reason is FaultReason.API_DISABLED
        first, second = (asked.at for asked in unit.asked[:2])
        assert second - first >= 2.9


async def test_a_unit_that_drops_everything_is_asked_twice_and_named(client_of, observer):
    async with LiteralUnit(answers=lambda _: Drop()) as unit:
        client = await client_of(unit, version=Version.V2, observer=observer)
        with pytest.raises(UnitFault) as raised:
            await client.call("listvs")

        assert (raised.value.reason, raised.value.sent) == (FaultReason.RATE_LIMITED, False)
        assert len(unit.asked) == 2
    assert observer.requests == [("listvs", "RateLimited")] * 2


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("command", ["addvs", "addrs", "azurehamode", "set", "setlmcommsecret"])
async def test_a_change_that_may_have_been_made_is_never_sent_again(client_of, version, command):
    parameters = {
        "addvs": {"vs": "10.0.2.4", "port": "80", "prot": "tcp"},
        "addrs": {"vs": "1", "rs": "10.0.3.1", "rsport": "80"},
        "azurehamode": {"hamode": "first"},
        "set": {"param": "hostname", "value": "x"},
        "setlmcommsecret": {"secret": "12345678"},
    }[command]
    async with LiteralUnit() as unit:
        fine = DONE_V1 if version is Version.V1 else DONE_V2
        unit.answers = lambda _: fine if len(unit.asked) == 1 else Drop()
        client = await client_of(unit, version=version)
        # The second one goes over a connection that was kept: HTTP would allow to repeat a GET there.
        await client.call("azurehamode", {"hamode": "first"})
        with pytest.raises(UnitFault) as raised:
            await client.call(command, parameters)

        assert (raised.value.reason, raised.value.sent) == (FaultReason.ANSWER_LOST, True)
        assert unit.asked[0].connection == unit.asked[1].connection
        await asyncio.sleep(0.2)
        assert len(unit.asked) == 2


async def test_a_change_that_was_not_sent_is_tried_again(client_of):
    async with LiteralUnit(answers=lambda _: DONE_V2, drops_handshakes=1) as unit:
        client = await client_of(unit, version=Version.V2)

        assert (await client.call("azurehamode", {"hamode": "first"})).ok
        assert (unit.accepted, len(unit.asked)) == (2, 1)


@pytest.mark.parametrize(
    "code", ["400 Bad", "403 Forbidden", "405 Not Allowed", "422 Unprocessable", "500 Oops"]
)
async def test_a_refusal_is_not_repeated(client_of, code):
    answer = json(f'{{"code":{code[:3]},"message":"no","status":"fail"}}', code)
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=Version.V2)
        with pytest.raises(UnitFault) as raised:
            await client.call("azurehamode", {"hamode": "first"})

        assert len(unit.asked) == 1
        assert raised.value.sent is (code[0] == "5")


# Restarts


@pytest.mark.parametrize("answer", [Drop(), DONE_V2, Drop(b"HTTP/1.1 200 OK\r\n")])
async def test_a_unit_may_go_down_without_a_word_when_it_is_told_to(client_of, answer):
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=Version.V2)

        assert (await client.call("reboot")).ok
        assert sent_to(unit) == ["reboot"]


async def test_a_unit_that_is_away_after_a_restart_is_booting_for_five_minutes(client_of):
    later = 0.0
    async with LiteralUnit(answers=lambda _: DONE_V2) as unit:
        client = await client_of(unit, version=Version.V2, clock=lambda: time.monotonic() + later)
        await client.call("reboot")
    with pytest.raises(UnitFault) as soon:
        await client.call("getall")
    later = 301.0
    with pytest.raises(UnitFault) as late:
        await client.call("getall")

    assert soon.value.reason is FaultReason.BOOTING
    assert late.value.reason is FaultReason.REFUSED
    assert not soon.value.sent


async def test_a_unit_that_goes_down_is_neither_waited_for_nor_spared(client_of, observer):
    """It drops connections because it restarts, not because it was asked too often."""
    async with LiteralUnit() as unit:
        unit.answers = lambda _: DONE_V2 if len(unit.asked) == 1 else Drop()
        client = await client_of(unit, version=Version.V2, observer=observer)
        await client.call("reboot")
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(UnitFault) as raised:
                await client.call("getall")
            assert (raised.value.reason, raised.value.sent) == (FaultReason.BOOTING, False)
        unit.answers = lambda _: DONE_V2
        await client.call("getall")
        assert time.monotonic() - began < 2.5
        assert len(unit.asked) == 5

        # It is back: what it drops now it drops for the old reasons.
        unit.answers = lambda _: Drop()
        with pytest.raises(UnitFault) as late:
            await client.call("getall")
        assert late.value.reason is FaultReason.RATE_LIMITED


async def test_what_a_unit_was_asked_before_its_restart_does_not_count_after_it(client_of):
    """The clock stands still: who had to wait for the pace would wait for ever."""
    async with LiteralUnit() as unit:
        unit.answers = lambda _: DONE_V2 if len(unit.asked) == 1 else Drop()
        client = await client_of(unit, version=Version.V2, clock=lambda: 100.0)
        async with asyncio.timeout(30):
            await client.call("reboot")
            for _ in range(8):
                with pytest.raises(UnitFault):
                    await client.call("getall")
            unit.answers = lambda _: DONE_V2
            for _ in range(10):
                await client.call("getall")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.call("getall")


async def test_a_unit_on_which_nothing_listens_is_asked_as_often_as_its_caller_likes(client_of):
    """The clock stands still: who had to wait for the pace would wait for ever."""
    async with LiteralUnit(answers=lambda _: DONE_V2) as unit:
        client = await client_of(unit, version=Version.V2, clock=lambda: 100.0)
        await client.call("reboot")
    async with asyncio.timeout(30):
        for _ in range(40):
            with pytest.raises(UnitFault):
                await client.call("getall")


async def test_a_unit_that_goes_down_and_hangs_does_not_keep_others_from_asking(client_of):
    later = 0.0
    async with LiteralUnit() as unit:
        unit.answers = lambda _: DONE_V2 if len(unit.asked) == 1 else Silence()
        client = await client_of(unit, version=Version.V2, clock=lambda: time.monotonic() + later)
        await client.call("reboot")
        began = time.monotonic()
        with pytest.raises(UnitFault) as raised:
            await client.call("getall")
        assert raised.value.reason is FaultReason.BOOTING
        assert time.monotonic() - began < 8, "2 s, and not the 15 of other times"
        # A unit that takes its time after a long start is heard.
        later = 20.0
        unit.answers = lambda _: Silence() if len(unit.asked) == 3 else DONE_V2
        began = time.monotonic()
        with pytest.raises(UnitFault):
            await client.call("getall")
        assert time.monotonic() - began > 3


# Unreachable


async def test_a_port_that_nothing_listens_on_is_refused(client_of):
    async with LiteralUnit() as unit:
        pass
    client = await client_of(unit)
    with pytest.raises(UnitFault) as raised:
        await client.call("listvs")

    assert (raised.value.reason, raised.value.sent) == (FaultReason.REFUSED, False)
    assert "management.port" in str(raised.value)


async def test_a_machine_that_accepts_and_says_nothing_times_out():
    server = await asyncio.start_server(lambda *_: asyncio.sleep(3600), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Connections(Limits(connect_seconds=0.3)) as connections:
        client = UnitClient(Endpoint("127.0.0.1", port), Pinned("0" * 64), KEY, connections=connections)
        with pytest.raises(UnitFault) as raised:
            await client.call("listvs")

    assert (raised.value.reason, raised.value.sent) == (FaultReason.TIMED_OUT, False)
    assert "within 0.3 s" in raised.value.message


async def test_a_name_that_nobody_knows_is_unreachable():
    client = UnitClient(Endpoint("lm-0.invalid", 8443), Pinned("0" * 64), KEY)
    with pytest.raises(UnitFault) as raised:
        await client.call("listvs")
    await client.close()

    assert raised.value.reason is FaultReason.UNREACHABLE


async def test_a_command_that_does_not_exist_is_a_mistake_of_the_caller(client_of):
    async with LiteralUnit() as unit:
        client = await client_of(unit)
        with pytest.raises(ValueError, match="factoryreset"):
            await client.call("factoryreset")
        assert unit.accepted == 0


async def test_each_request_is_told_by_its_command_and_outcome(client_of, observer):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: offer_v2("7.2.54.1.1") if b"listapi" in asked.body else DONE_V2
        client = await client_of(unit, observer=observer)
        await client.call("azurehamode", {"hamode": "first"})

    assert observer.requests == [("listapi", "Ok"), ("azurehamode", "Ok")]
