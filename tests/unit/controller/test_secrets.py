"""Secrets of units: read sparingly, looked at again in time, and changes told once."""

import asyncio
import base64

import pytest

from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.secrets import (
    CALM_SECONDS,
    SECRET_SECONDS,
    SecretName,
    SecretProblem,
    Secrets,
)

NAME = SecretName("edge", "login")
PATH = "spec.master.management.credentialsSecretRef"


class Server:
    """The API's one call that is needed."""

    def __init__(self):
        self.data, self.type, self.problem, self.reads, self.annotations = (
            {"a": b"1"},
            "kubernetes.io/tls",
            None,
            0,
            {},
        )

    async def get_secret(self, namespace, name):
        self.reads += 1
        await asyncio.sleep(0)
        if self.problem:
            raise self.problem
        assert (namespace, name) == NAME
        if self.data is None:
            return None
        encoded = {key: base64.b64encode(value).decode() for key, value in self.data.items()}
        return {"metadata": {"annotations": self.annotations}, "type": self.type, "data": encoded}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def told():
    return []


@pytest.fixture
def secrets(server, clock, told):
    return Secrets(server, changed=told.append, in_use=lambda: [NAME], clock=clock)


async def test_a_secret_is_read_once_for_all_who_need_it(secrets, server):
    found = await asyncio.gather(*(secrets.read(NAME, PATH) for _ in range(5)))
    assert {each.data["a"] for each in found} == {b"1"}
    assert (await secrets.read(NAME, PATH)).data == {"a": b"1"}
    assert server.reads == 1


async def test_it_is_read_anew_when_it_is_old_or_somebody_asks(secrets, server, clock):
    server.data = {"apikey": b"1"}
    await secrets.read(NAME, PATH)
    server.data = {"apikey": b"2"}
    assert (await secrets.read(NAME, PATH, fresh=True)).data == {"apikey": b"2"}
    server.data = {"apikey": b"3"}
    clock.now = CALM_SECONDS - 1
    assert (await secrets.read(NAME, PATH)).data == {"apikey": b"2"}
    clock.now = CALM_SECONDS
    assert (await secrets.read(NAME, PATH)).data == {"apikey": b"3"}


async def test_what_rarely_changes_is_read_again_every_few_minutes(secrets, server, clock, told):
    server.data = {"apikey": b"1"}
    await secrets.read(NAME, PATH)
    server.data = {"apikey": b"2"}
    while clock.now < CALM_SECONDS:
        clock.now += 1
        await secrets.look_again()
    assert told == [NAME]
    assert server.reads == 2


async def test_what_a_unit_refuses_is_read_again_within_a_minute(secrets, server, clock, told):
    server.data = {"apikey": b"1"}
    await secrets.read(NAME, PATH)
    server.data = {"apikey": b"2"}
    for _ in range(60):
        clock.now += 1
        secrets.doubt(NAME)
        await secrets.look_again()
    assert told == [NAME]
    assert server.reads == 2


async def test_a_renewed_certificate_is_noticed_within_a_minute_and_told_once(secrets, server, clock, told):
    await secrets.read(NAME, PATH)
    server.data = {"a": b"2"}
    for _ in range(60):
        clock.now += 1
        await secrets.look_again()
    assert told == [NAME]
    assert (await secrets.read(NAME, PATH)).data == {"a": b"2"}


async def test_an_unused_secret_is_dropped(server, clock, told):
    in_use = [NAME]
    secrets = Secrets(server, changed=told.append, in_use=lambda: in_use, clock=clock)
    await secrets.read(NAME, PATH)
    in_use.clear()
    clock.now = 49
    await secrets.look_again()
    assert server.reads == 1
    await secrets.read(NAME, PATH)
    assert server.reads == 2


async def test_a_change_of_labels_is_none_of_the_content(secrets, server, clock, told):
    await secrets.read(NAME, PATH)
    server.annotations = {"touched": "yes"}
    clock.now = 45
    await secrets.look_again()
    assert server.reads == 2
    assert told == []


@pytest.mark.parametrize("first", ["missing", "forbidden", "empty"])
async def test_a_corrected_secret_is_told(secrets, server, clock, told, first):
    if first == "forbidden":
        server.problem = KubernetesError(403, "Forbidden", "no")
    else:
        server.data = None if first == "missing" else {}
    if first == "empty":
        await secrets.read(NAME, PATH)
    else:
        with pytest.raises(SecretProblem):
            await secrets.read(NAME, PATH)
    server.problem, server.data = None, {"a": b"1"}
    clock.now = 46
    await secrets.look_again()
    assert told == [NAME]
    assert (await secrets.read(NAME, PATH)).data == {"a": b"1"}


async def test_a_deleted_secret_is_told(secrets, server, clock, told):
    await secrets.read(NAME, PATH)
    server.data = None
    clock.now = 46
    await secrets.look_again()
    assert told == [NAME]
    with pytest.raises(
        SecretProblem,
        match=r"spec\.master\.management\.credentialsSecretRef: the Secret edge/login does not exist",
    ) as problem:
        await secrets.read(NAME, PATH)
    assert problem.value.reason is Reason.SECRET_NOT_FOUND


async def test_a_forbidden_secret_says_which_right_is_missing(secrets, server):
    server.problem = KubernetesError(403, "Forbidden", "secrets is forbidden")
    with pytest.raises(SecretProblem, match="grant it `get` on Secrets there") as problem:
        await secrets.read(NAME, PATH)
    assert problem.value.reason is Reason.SECRET_UNREADABLE


async def test_while_the_server_is_away_what_was_read_is_believed_for_its_time(secrets, server, clock, told):
    await secrets.read(NAME, PATH)
    server.problem = KubernetesError(0, "Unreachable", "no answer")
    clock.now = 46
    await secrets.look_again()
    assert (await secrets.read(NAME, PATH)).data == {"a": b"1"}
    clock.now = SECRET_SECONDS
    with pytest.raises(KubernetesError, match="no answer"):
        await secrets.read(NAME, PATH)
    server.problem = None
    clock.now = 60
    await secrets.look_again()
    assert (await secrets.read(NAME, PATH)).data == {"a": b"1"}
    assert told == []


async def test_a_value_is_asked_for_by_its_key(secrets, server):
    server.data = {"ca.crt": b"pem", "raw": b"\xff", "none": b""}
    content = await secrets.read(NAME, PATH)
    assert content.text("ca.crt", "x") == "pem"
    with pytest.raises(SecretProblem, match=r"x has no key tls.crt \(its keys: ca.crt, none, raw\)"):
        content.text("tls.crt", "x")
    with pytest.raises(SecretProblem, match="has no key none"):
        content.text("none", "x")
    with pytest.raises(SecretProblem, match="the value of raw is not UTF-8 text"):
        content.text("raw", "x")


async def test_contents_are_not_printed(secrets, server):
    server.data = {"password": b"hunter2"}
    assert "hunter2" not in repr(await secrets.read(NAME, PATH))


async def test_what_is_no_base64_is_told(clock, told):
    class Odd(Server):
        async def get_secret(self, namespace, name):  # noqa: ARG002 - the real one's signature
            return {"data": {"a": "*"}}

    secrets = Secrets(Odd(), changed=told.append, in_use=lambda: [NAME], clock=clock)
    with pytest.raises(SecretProblem, match="its data is not base64"):
        await secrets.read(NAME, PATH)
