"""Who gets in to the management API, and what a stranger can do, over real TLS connections."""

import asyncio
import base64
import json
import logging
import random
import socket
import ssl
import time
import warnings
import zlib
from dataclasses import replace

import pytest
from tests.support.management import ADDRESS, PASSWORD, served, trusting

from loadmaster_ha.agent import certificates
from loadmaster_ha.agent.api.server import Limits
from loadmaster_ha.agent.certificate_work import pairs
from loadmaster_ha.agent.ha.model import SwitchoverEnded
from loadmaster_ha.agent.settings.errors import StoreFull
from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.domain.ha import UnitState
from loadmaster_ha.loadmaster import commands
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.shapes import Data, Field, Record


@pytest.fixture
async def api(tmp_path):
    async with served(tmp_path) as serving:
        yield serving


def raw(port, sent, *, seconds=10.0, tls=True):
    """What comes back for these bytes, until the connection ends."""
    received = b""
    with socket.create_connection((ADDRESS, port), timeout=seconds) as plain:
        stream = trusting().wrap_socket(plain) if tls else plain
        try:
            stream.sendall(sent)
            while piece := stream.recv(65536):
                received += piece
        except (ssl.SSLError, ConnectionError):
            pass
        finally:
            stream.close()
    return received


# Credentials


async def test_without_credentials_nothing_is_told(api):
    v1 = await api.ask("GET", "/access/get?param=version")
    v2 = await api.ask("POST", "/accessv2", b'{"cmd":"get","param":"version"}')

    assert v1.status == 401
    assert v1.headers["WWW-Authenticate"] == 'Basic realm="LoadMaster"'
    assert '<Response stat="401" code="fail">' in v1.text
    assert v2.status == 401
    assert v2.json["code"] == 401
    assert "7.2.54" not in v1.text + v2.content.decode()


@pytest.mark.parametrize(("user", "password"), [("bal", "wrong one"), ("nobody", PASSWORD), ("", PASSWORD)])
async def test_wrong_credentials_are_401_and_do_not_tell_what_was_wrong(api, user, password):
    reply = await api.ask("GET", "/access/get?param=version", None, api.basic(user, password))

    assert reply.status == 401
    assert "unknown" not in reply.text.lower()


async def test_an_api_key_opens_both_versions(api):
    key = (await api.v2("addapikey")).json["apikeys"][0]

    v1 = await api.ask("GET", f"/access/get?param=version&apikey={key}")
    v2 = await api.ask(
        "POST", "/accessv2", json.dumps({"cmd": "get", "param": "time", "apikey": key}).encode()
    )

    assert (v1.status, v2.status) == (200, 200)


async def test_an_api_key_wins_over_a_password_in_v2(api):
    reply = await api.v2("get", param="time", apikey="A" * 43)

    assert reply.status == 401


async def test_a_wrong_api_key_is_not_rescued_by_a_good_header(api):
    body = json.dumps({"cmd": "get", "param": "time", "apikey": "A" * 43}).encode()

    assert (await api.ask("POST", "/accessv2", body, api.basic())).status == 401


async def test_keys_are_listed_by_fingerprint_and_deleted_by_either(api):
    first = (await api.v2("addapikey")).json["apikeys"][0]
    second = (await api.v2("addapikey")).json["apikeys"][0]

    listed = (await api.v2("listapikeys")).json["apikeys"]
    assert len(listed) == 2
    assert first not in str(listed)
    assert f"<apikeys>\n<key>{listed[0]}</key>\n" in (await api.v1("listapikeys")).text

    await api.v2("delapikey", key=listed[0])
    assert (await api.ask("GET", f"/access/listapi?apikey={first}")).status == 401
    await api.v2("delapikey", key=second)
    assert (await api.v2("listapikeys")).json["apikeys"] == []


async def test_the_oldest_of_seventeen_keys_is_dropped(api):
    keys = [(await api.v2("addapikey")).json["apikeys"][0] for _ in range(17)]

    assert len((await api.v2("listapikeys")).json["apikeys"]) == 16
    assert (await api.ask("GET", f"/access/listapi?apikey={keys[0]}")).status == 401
    assert (await api.ask("GET", f"/access/listapi?apikey={keys[1]}")).status == 200


async def test_neither_passwords_nor_keys_are_stored(api):
    key = (await api.v2("addapikey")).json["apikeys"][0]
    await api.v2("useraddlocal", user="ann", password="another secret")

    stored = b"".join(path.read_bytes() for path in api.folder.glob("settings.db*"))

    assert key.encode() not in stored
    assert b"another secret" not in stored
    assert b"scrypt$16384$8$5$" in stored


# Permissions


async def test_a_user_without_permissions_reads_and_changes_nothing(api):
    api.unit.add_user("ann", "password of ann")
    ann = api.basic("ann", "password of ann")

    assert (await api.ask("GET", "/access/getall", None, ann)).status == 200
    for path in (
        "set?param=hostname&value=x",
        "reboot",
        "azurehamode?hamode=first",
        "userlist",
        "backup",
        "usersetperms?user=ann&perms=root",
    ):
        assert (await api.ask("GET", f"/access/{path}", None, ann)).status in {403, 405}, path
    assert api.unit.reboots == 0


async def test_root_may_all_but_make_and_delete_users(api):
    api.unit.add_user("ann", "password of ann", "root")
    ann = api.basic("ann", "password of ann")

    assert (await api.ask("GET", "/access/reboot", None, ann)).status == 200
    assert (await api.ask("GET", "/access/useraddlocal?user=bob&password=12345678", None, ann)).status == 403
    assert (await api.ask("GET", "/access/userdellocal?user=ann", None, ann)).status == 403


async def test_nobody_gives_away_more_than_he_has(api):
    api.unit.add_user("ann", "password of ann", "users")
    api.unit.add_user("chief", "password of chief", "root")
    ann = api.basic("ann", "password of ann")

    for path in (
        "usersetperms?user=ann&perms=users,root",
        "userchangelocpass?user=chief&password=12345678",
        "userdellocal?user=chief",
        "userchangelocpass?user=bal&password=12345678",
    ):
        assert (await api.ask("GET", f"/access/{path}", None, ann)).status in {403, 422}, path
    assert api.unit.settings.snapshot.get(Kind.USER, "ann")["permissions"] == ["users"]


async def test_a_users_life(api):
    await api.v1("useraddlocal", user="ann", password="password of ann")
    await api.v1("usersetperms", user="ann", perms="vs,geo")
    shown = await api.v1("usershow", user="ann")
    listed = await api.v2("userlist")
    ann = api.basic("ann", "password of ann")
    key_reply = await api.ask("GET", "/access/addapikey", None, ann)

    assert "<User>\n<Name>ann</Name>\n<Perms>vs geo</Perms>\n</User>" in shown.text
    assert listed.json["User"] == [{"Name": "ann", "Perms": "vs geo"}]
    assert key_reply.status == 200
    assert (await api.v1("userdellocal", user="ann")).status == 200
    assert (await api.ask("GET", "/access/getall", None, ann)).status == 401
    assert not api.unit.settings.snapshot.entities(Kind.API_KEY)


async def test_the_password_is_changed_by_who_knows_it_and_the_old_one_ends_at_once(api):
    wrong = await api.v2("usersetsyspassword", currpassword="not it", password="the new password")
    right = await api.v2("usersetsyspassword", currpassword=PASSWORD, password="the new password")

    assert (wrong.status, right.status) == (422, 200)
    assert (await api.v2("get", param="time")).status == 401
    api.password = "the new password"
    assert (await api.v2("get", param="time")).status == 200


async def test_short_passwords_are_refused_without_showing_them(api):
    reply = await api.v2("useraddlocal", user="ann", password="1234567")

    assert reply.status == 422
    assert "1234567" not in reply.json["message"]


# Limits


async def test_the_31st_call_in_three_seconds_ends_the_connection_without_an_answer(tmp_path):
    async with served(tmp_path, Limits(call_seconds=300.0)) as api:
        codes = [(await api.ask("GET", "/access/get?param=time")).status for _ in range(5)]
        codes += [(await api.ask("POST", "/accessv2", b"{}")).status for _ in range(25)]
        with pytest.raises((ConnectionError, OSError)):
            await api.v1("get", param="time")

    assert len(codes) == 30


async def test_the_limit_comes_before_the_password(tmp_path):
    async with served(tmp_path, Limits(call_seconds=300.0, calls=1)) as api:
        await api.ask("GET", "/access/get?param=time")
        started = time.thread_time()
        for _ in range(20):
            with pytest.raises((ConnectionError, OSError)):
                await api.v1("get", param="time")
        spent = time.thread_time() - started

    assert spent < 10.0


async def test_who_guesses_has_to_wait_and_does_not_lock_the_owner_out(api):
    api.unit.add_user("ann", "password of ann")
    for _ in range(6):
        assert (await api.ask("GET", "/access/listapi", None, api.basic("ann", "guess"))).status == 401
    locked = await api.ask("GET", "/access/listapi", None, api.basic("ann", "password of ann"))

    assert locked.status == 401
    assert "Too many failed logins from 127.0.0.1: try again in" in locked.text
    assert (await api.v1("listapi")).status == 200


async def test_a_connection_that_asks_nothing_is_closed(tmp_path):
    async with served(tmp_path, Limits(handshake_seconds=0.2, request_seconds=0.2)) as api:
        silent = await asyncio.to_thread(raw, api.port, b"")
        dripping = await asyncio.to_thread(raw, api.port, b"GET /access/get HTTP/1.1\r\nHost: x\r\n")
        no_handshake = await asyncio.to_thread(raw, api.port, b"", tls=False)

    assert (silent, dripping, no_handshake) == (b"", b"", b"")


async def test_a_body_that_does_not_arrive_is_given_up(tmp_path):
    async with served(tmp_path, Limits(body_seconds=0.3, calls=1000)) as api:
        sent = b"POST /accessv2 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        reply = await asyncio.to_thread(raw, api.port, sent)

    assert reply.startswith(b"HTTP/1.1 400")
    assert b"did not arrive" in reply


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(api):
    sent = b"POST /accessv2 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    reply = await asyncio.to_thread(raw, api.port, sent)

    assert b"are taken at most" in reply


def hold(port):
    """A connection on which nothing is asked yet."""
    return trusting().wrap_socket(socket.create_connection((ADDRESS, port), 10))


def ask(held, request):
    held.sendall(request)
    return held.recv(100)


async def test_more_connections_than_allowed_are_closed_and_known_clients_go_on(tmp_path):
    async with served(tmp_path, Limits(connections=2, calls=1000)) as api:
        credentials = api.basic()["Authorization"]
        request = f"GET /access/get?param=version HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\n\r\n"
        held = [await asyncio.to_thread(hold, api.port) for _ in range(2)]
        for each in held:
            assert (await asyncio.to_thread(ask, each, request.encode())).startswith(b"HTTP/1.1 200")
        with pytest.raises(OSError, match=r"EOF|reset"):
            await asyncio.to_thread(hold, api.port)
        again = await asyncio.to_thread(ask, held[0], request.encode())
        for each in held:
            each.close()

    assert again, "it is not closed for the sake of the third"


async def test_strangers_that_take_all_connections_do_not_keep_known_clients_out(tmp_path):
    async with served(tmp_path, Limits(connections=4, calls=1000)) as api:
        idle = [await asyncio.to_thread(hold, api.port) for _ in range(2)]
        slow = [await asyncio.to_thread(hold, api.port) for _ in range(2)]
        for each in slow:
            each.sendall(b"POST /accessv2 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        replies = [await api.v1("get", param="version") for _ in range(8)]
        for each in (*idle, *slow):
            each.close()

    assert [each.status for each in replies] == [200] * 8


async def test_connections_without_a_handshake_are_few_and_keep_nobody_out(tmp_path):
    async with served(tmp_path, Limits(handshakes=3, handshake_seconds=600.0, calls=1000)) as api:
        mute = [socket.create_connection((ADDRESS, api.port), 10) for _ in range(12)]
        version = await api.v1("get", param="version")
        ended = [each for each in mute[:9] if await asyncio.to_thread(_is_ended, each)]
        for each in mute:
            each.close()

    assert version.status == 200
    assert len(ended) == 9, "the oldest make room"


def _is_ended(connection):
    connection.settimeout(20)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


async def test_old_tls_is_refused(api):
    context = trusting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    def shake():
        with socket.create_connection((ADDRESS, api.port), 10) as plain, context.wrap_socket(plain):
            pass

    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(shake)


async def test_the_certificate_is_replaced_while_connections_go_on(api):
    def shown():
        with socket.create_connection((ADDRESS, api.port), 10) as plain, trusting().wrap_socket(plain) as tls:
            return tls.getpeercert(binary_form=True)

    before = await asyncio.to_thread(shown)
    pem = pairs.make_self_signed(["127.0.0.1"]).to_pem()

    async def replace(new):
        api.server.use_certificate(await certificates.store(api.identity.path, new))

    api.unit.replaced = replace
    assert (await api.v1("agentsetcertificate", data=pem)).status == 200
    after = await asyncio.to_thread(shown)

    assert before != after
    assert certificates.fingerprint(after) != api.identity.fingerprint
    assert (await api.v1("listapi")).status == 200


async def test_a_certificate_without_its_key_is_refused(api):
    reply = await api.v1(
        "agentsetcertificate", data=b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )

    assert reply.status == 422
    assert api.unit.certificate is None


async def test_a_page_of_another_site_cannot_use_a_browsers_login(api):
    headers = {**api.basic(), "Sec-Fetch-Site": "cross-site"}

    assert (await api.ask("GET", "/access/reboot", None, headers)).status == 403
    assert api.unit.reboots == 0


# Hostile input


HOSTILE_HEADERS = [
    b"Authorization: Basic",
    b"Authorization: Basic ",
    b"Authorization: Basic ====",
    b"Authorization: Basic " + b"A" * 4000,
    b"Authorization: Basic " + base64.b64encode(b"no colon"),
    b"Authorization: Basic " + base64.b64encode(b"bal:\x00" + PASSWORD.encode()),
    b"Authorization: Basic " + base64.b64encode(b"bal\x00:" + PASSWORD.encode()),
    b"Authorization: Basic " + base64.b64encode(b"\xff\xfe:\xfd"),
    b"Authorization: Basic " + base64.b64encode(b"';reboot;':" + b"`id`"),
    b"Authorization: Basic " + base64.b64encode(b"bal:" + b"\\'" * 100),
    b"Authorization: Basic " + base64.b64encode(b"%n%n%s:%x"),
    b"Authorization: Bearer x",
    b"Authorization: Basic \xff\xff",
]


@pytest.mark.parametrize("header", HOSTILE_HEADERS, ids=range(len(HOSTILE_HEADERS)))
async def test_a_hostile_header_is_401_and_the_server_goes_on(api, header):
    sent = (
        b"GET /access/get?param=version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n\r\n"
    )
    reply = await asyncio.to_thread(raw, api.port, sent)

    assert reply.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400"))
    assert (await api.v1("get", param="time")).status == 200


async def test_two_authorization_headers_are_refused(api):
    good = api.basic()["Authorization"].encode()
    sent = b"GET /access/listapi HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + good
    reply = await asyncio.to_thread(raw, api.port, sent + b"\r\nAuthorization: " + good + b"\r\n\r\n")

    assert reply.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400"))


HOSTILE_BODIES = [
    b"",
    b"\x00",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b'{"cmd":1}',
    b'{"cmd":null}',
    b'{"cmd":"get","cmd":"set"}',
    b'{"cmd":"get","param":NaN}',
    b'{"cmd":"get","param":{"a":1}}',
    b'{"cmd":"get","param":["a"]}',
    b'{"cmd":"get","apiuser":1,"apipass":[]}',
    b'{"cmd":"get","param":"\\u0000"}',
    b'{"cmd":"get","param":"\\ud800"}',
    b'{"cmd":"\\ud800"}',
    b'{"cmd":"set","param":"hostname","value":' + b"9" * 5000 + b"}",
    b'{"a":' * 20 + b"1" + b"}" * 20,
    b"[" * 50_000,
    b'{"cmd":"restore","type":1,"data":"not base64!"}',
    b"\xff\xfe{\x00}\x00",
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
]


@pytest.mark.parametrize("body", HOSTILE_BODIES, ids=range(len(HOSTILE_BODIES)))
async def test_a_hostile_body_is_refused_in_json_with_credentials_and_without(api, body):
    for headers in (api.basic(), {}):
        reply = await api.ask("POST", "/accessv2", body, headers)

        assert reply.status in {401, 405, 422}
        assert reply.json["status"] == "fail"


HOSTILE_QUERIES = [
    "param=version&param=time",
    "param=%ff%fe",
    "param=%00",
    "param=%ud800",
    "&".join(f"a{number}=1" for number in range(300)),
    "%",
    "=&=&=",
    "param=" + "x" * 5000,
]


@pytest.mark.parametrize("query", HOSTILE_QUERIES, ids=range(len(HOSTILE_QUERIES)))
async def test_a_hostile_query_is_refused_in_xml(api, query):
    reply = await api.ask("GET", f"/access/get?{query}", None, api.basic())

    assert reply.status in {400, 422}
    assert "<Error>" in reply.text


@pytest.mark.parametrize(
    "path", ["/access/", "/access/../accessv2", "/access/%2e%2e/set", "//access/get", "/accessv2x"]
)
async def test_odd_paths_are_refused(api, path):
    assert (await api.ask("GET", path, None, api.basic())).status in {404, 405}


def test_garbage_is_survived(tmp_path):
    """Bytes that are no HTTP, and HTTP that is cut and changed, from a seeded generator."""
    chance = random.Random(20260)  # noqa: S311 - reproducible garbage
    good = (
        b"POST /accessv2 HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nConnection: close\r\n\r\n"
        b'{"cmd":"stats"}'
    )

    async def go():
        async with served(tmp_path, Limits(calls=100_000, body_seconds=0.1)) as api:
            for _ in range(60):
                sent = bytearray(good if chance.random() < 0.8 else chance.randbytes(200))
                for _ in range(chance.randrange(1, 6)):
                    at = chance.randrange(len(sent))
                    sent[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
                await asyncio.to_thread(raw, api.port, bytes(sent) + b"\r\n\r\n", seconds=20.0)
            return (await api.v1("get", param="time")).status

    assert asyncio.run(go()) == 200


async def test_a_compressed_bomb_is_not_unpacked(api):
    bomb = zlib.compress(b" " * 50_000_000)
    reply = await api.ask("POST", "/accessv2", bomb, {**api.basic(), "Content-Encoding": "deflate"})

    assert reply.status == 422
    assert reply.json["message"] == "It is not JSON."


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(api):
    head = (
        "POST /access/set HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
        f"Authorization: {api.basic()['Authorization']}\r\nContent-Length: 25\r\n\r\n"
    )

    def speak():
        with socket.create_connection((ADDRESS, api.port), 20) as plain, trusting().wrap_socket(plain) as tls:
            tls.sendall(head.encode())
            asked = tls.recv(1000)
            tls.sendall(b"param=hostname&value=lm-0")
            return asked, tls.recv(1000)

    asked, answered = await asyncio.to_thread(speak)

    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answered.startswith(b"HTTP/1.1 200")


async def test_a_known_clients_connection_is_kept_for_its_next_request(api):
    credentials = api.basic()["Authorization"]
    request = (
        f"GET /access/get?param=time HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\n\r\n".encode()
    )

    def speak():
        with socket.create_connection((ADDRESS, api.port), 20) as plain, trusting().wrap_socket(plain) as tls:
            answers = []
            for _ in range(2):
                tls.sendall(request)
                answers.append(tls.recv(4000))
            return answers

    assert all(each.startswith(b"HTTP/1.1 200") for each in await asyncio.to_thread(speak))


# When the unit itself is in trouble


async def test_a_full_disk_is_503_and_nothing_is_changed(api, monkeypatch):
    def full(*_args, **_more):
        raise StoreFull("There is no room on the disk.")

    with monkeypatch.context() as patch:
        patch.setattr(api.unit.settings, "commit", full)
        v1 = await api.v1("azurehamode", hamode="first")
        v2 = await api.v2("azurehamode", hamode="first")

    assert (v1.status, v2.status) == (503, 503)
    assert "no room on the disk" in v1.text
    assert (await api.v2("getazurehaparams")).json["HaMode"] == "single"


async def test_a_mistake_of_ours_is_500_with_the_trace_in_the_log_only(api, monkeypatch, caplog):
    monkeypatch.setattr(api.unit, "view", lambda: 1 / 0)
    reply = await api.v1("get", param="hastatus")

    assert reply.status == 500
    assert "ZeroDivision" not in reply.text
    assert "ZeroDivisionError" in caplog.text


async def test_an_answer_that_fits_no_record_is_a_mistake_too(api, monkeypatch):
    api.unit.is_in(UnitState.ACTIVE)
    record = Data(Record((Field("other"),)))
    monkeypatch.setattr(commands, "find", lambda _: replace(COMMANDS["agentstatus"], reply=record))

    assert (await api.v1("agentstatus")).status == 500
    assert (await api.v2("agentstatus")).status == 500


async def test_what_takes_too_long_is_given_up_with_503(api, monkeypatch):
    api.unit.is_in(UnitState.ACTIVE)
    monkeypatch.setattr(commands, "find", lambda _: replace(COMMANDS["agentswitchover"], seconds=0.1))
    monkeypatch.setattr(api.unit, "switchover", lambda *_: asyncio.sleep(60))
    reply = await api.v1("agentswitchover")

    assert reply.status == 503
    assert "took longer than 0.1 s" in reply.text


# Logs


async def test_who_changed_what_is_told_and_reads_are_not(api, caplog):
    caplog.set_level(logging.INFO)
    await api.v1("azurehaparam", partner="10.0.2.5", hcp="8444")
    await api.v1("getazurehaparams")

    assert "azurehaparam by bal at 127.0.0.1 (partner='10.0.2.5', hcp=8444) done in" in caplog.text
    assert "getazurehaparams" not in caplog.text


async def test_what_was_refused_is_not_repeated(api, caplog):
    caplog.set_level(logging.DEBUG)
    await api.v1("set", param="backuppassword", value="hunter2-hunter2")

    assert "refused (422)" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_line_of_the_log_stays_one_line(api, caplog):
    caplog.set_level(logging.INFO)
    await api.v1("get", param="a\nFORGED by bal")

    assert "\nFORGED" not in "\n".join(record.getMessage() for record in caplog.records)


async def test_no_secret_gets_into_the_log(api, caplog):
    caplog.set_level(logging.DEBUG)
    key = (await api.v2("addapikey")).json["apikeys"][0]
    await api.ask("GET", f"/access/set?param=hostname&value=x&apikey={key}")
    await api.v2("setlmcommsecret", secret="between-the-units")
    await api.v1("useraddlocal", user="ann", password="password of ann")
    await api.ask("GET", "/access/listapi", None, api.basic("bal", "a wrong guess"))
    await api.v2("usersetsyspassword", currpassword=PASSWORD, password="12345678")

    for secret in (key, PASSWORD, "between-the-units", "password of ann", "a wrong guess", "12345678"):
        assert secret not in caplog.text
    assert "setlmcommsecret by bal at 127.0.0.1 (secret='********') done" in caplog.text
    assert "Login from 127.0.0.1 refused" in caplog.text


# The agent's own commands


async def test_watching_returns_at_once_when_something_else_is_known(api):
    reply = await api.v2("agentwatch", since=0)

    assert reply.json["revision"] == api.unit.revision
    assert reply.json["state"] == "Active"


async def test_watching_returns_when_the_state_changes(api):
    waiting = asyncio.create_task(api.v2("agentwatch", since=1, seconds=60))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    api.unit.is_in(UnitState.STANDBY)

    reply = await asyncio.wait_for(waiting, 30)

    assert (reply.json["revision"], reply.json["state"]) == (2, "Standby")


async def test_watching_ends_unchanged_when_its_time_is_over(api):
    reply = await asyncio.wait_for(api.v2("agentwatch", since=1, seconds=0), 30)

    assert reply.json["revision"] == 1


async def test_many_watch_without_keeping_others_waiting(api):
    watching = [asyncio.create_task(api.v2("agentwatch", since=1, seconds=30)) for _ in range(5)]
    await asyncio.sleep(0.5)
    assert (await api.v1("get", param="time")).status == 200
    api.unit.is_in(UnitState.STANDBY)

    assert [(await each).status for each in watching] == [200] * 5


async def test_the_balancers_parameters_are_set_and_read(api):
    await api.v1("agentsetparams", frontend="10.0.2.100", probeinterval="10")
    refused = await api.v1("agentsetparams", frontend="10.0.2.4", probethreshold="3")

    assert (await api.v2("agentgetparams")).json == {
        "code": 200,
        "frontend": "10.0.2.100",
        "probesource": "168.63.129.16",
        "probeinterval": 10,
        "probethreshold": 2,
        "status": "ok",
    }
    assert refused.status == 422
    assert "this unit's own address" in refused.text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"frontend": "0.0.0.0"}, "cannot be a load balancer's address"),
        ({"frontend": "10.0.2.5"}, "is the partner's address"),
        ({"probesource": "224.0.0.1"}, "cannot be a prober's address"),
    ],
)
async def test_what_cannot_be_a_balancers_address_is_refused(api, given, says):
    await api.v1("azurehaparam", partner="10.0.2.5")
    refused = await api.v1("agentsetparams", **given)

    assert refused.status == 422
    assert says in refused.text
    assert (await api.v2("agentgetparams")).json.get("frontend") is None


async def test_a_parameter_that_is_emptied_has_its_default_again(api):
    await api.v1("agentsetparams", probeinterval="10", frontend="10.0.2.100")
    await api.v1("agentsetparams", probeinterval="", frontend="")

    reply = (await api.v2("agentgetparams")).json
    assert reply["probeinterval"] == 5
    assert "frontend" not in reply


async def test_a_switch_over_goes_to_the_unit_that_is_not_active(api):
    api.unit.is_in(UnitState.ACTIVE)
    reply = await api.v2("agentswitchover", hold=600)
    api.unit.is_in(UnitState.STANDBY)
    await api.v2("agentswitchover")

    assert reply.json["outcome"] == "Done"
    assert api.unit.switchovers == [("Slave", 600), ("Master", None)]


async def test_an_aborted_switch_over_is_a_refusal_with_the_reason(api):
    api.unit.is_in(UnitState.ACTIVE)
    api.unit.switchover_ends = SwitchoverEnded("1", done=False, reason="NoProbes", message="Nobody probes.")
    reply = await api.v2("agentswitchover")

    assert reply.status == 422
    assert reply.json["message"] == "Switch-over aborted (NoProbes): Nobody probes."


async def test_a_single_unit_has_nobody_to_switch_over_to(api):
    assert (await api.v2("agentswitchover")).status == 422


async def test_drain_begins_and_ends(api):
    await api.v1("agentdrain", seconds="60")
    await api.v1("agentdrain")
    await api.v1("agentdrain", end="Y")

    assert (api.unit.drains, api.unit.undrains) == ([60, None], 1)
