import asyncio
import base64
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.management import CHEAP

from loadmaster_ha.agent.api import authentication, passwords
from loadmaster_ha.agent.api.authentication import (
    Authenticator,
    Overloaded,
    Unauthenticated,
    first_user,
    parse_basic,
)
from loadmaster_ha.agent.settings.model import Kind, Put
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.loadmaster.requests import Credentials
from loadmaster_ha.loadmaster.shapes import Permission

PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "settings.db")
    yield opened
    opened.close()


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def add(store, name, password, *permissions):
    fields = {"hash": passwords.hash_password(password, CHEAP), "permissions": list(permissions)}
    store.commit([Put(Kind.USER, name, fields)])


# The header


@given(user=PLAIN.filter(lambda user: ":" not in user), password=PLAIN)
def test_a_header_is_read_as_it_was_meant(user, password):
    header = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    assert parse_basic(header) == Credentials(user=user, password=password)


@settings(max_examples=1000)
@given(
    header=st.text()
    | st.binary().map(lambda raw: "Basic " + base64.b64encode(raw).decode())
    | st.text(alphabet="ABCab01+/=:'\"\\ \x00\n;`$%").map(lambda text: "Basic " + text)
)
def test_any_header_is_read_or_refused(header):
    with contextlib.suppress(Unauthenticated):
        credentials = parse_basic(header)
        assert not any(ord(each) < 32 or ord(each) == 127 for each in credentials.user + credentials.password)
        assert len(credentials.user) <= 256
        assert len(credentials.password) <= 256


@pytest.mark.parametrize("header", ["basic YTpi", "BASIC  YTpi", "Basic YTpi "])
def test_the_scheme_is_read_whatever_its_case(header):
    assert parse_basic(header) == Credentials(user="a", password="b")


def test_a_password_may_have_colons():
    assert parse_basic("Basic " + base64.b64encode(b"a:b:c").decode()).password == "b:c"


def test_credentials_are_never_printed():
    assert "secret" not in repr(Credentials(user="secret", password="secret", apikey="secret"))


# Users


async def test_a_user_is_known_with_his_permissions(store):
    add(store, "ann", "password of ann", "vs", "geo", "of a later version")
    user = await Authenticator(store, Clock()).authenticate(
        Credentials(user="ann", password="password of ann"), "10.0.0.1"
    )

    assert user.name == "ann"
    assert user.permissions == {Permission.SERVICES, Permission.GEO}


async def test_a_verified_password_is_not_hashed_again_for_a_minute(store, monkeypatch):
    add(store, "ann", "password of ann")
    clock = Clock()
    authenticator = Authenticator(store, clock)
    hashed = []
    real = passwords.verify_password
    monkeypatch.setattr(passwords, "verify_password", lambda *given: hashed.append(1) or real(*given))
    credentials = Credentials(user="ann", password="password of ann")

    for _ in range(10):
        await authenticator.authenticate(credentials, "10.0.0.1")
    assert len(hashed) == 1
    clock.now += 61
    await authenticator.authenticate(credentials, "10.0.0.1")
    assert len(hashed) == 2


async def test_a_changed_password_ends_the_old_one_at_once(store):
    add(store, "ann", "password of ann")
    authenticator = Authenticator(store, Clock())
    old = Credentials(user="ann", password="password of ann")
    await authenticator.authenticate(old, "10.0.0.1")
    add(store, "ann", "another one")

    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(old, "10.0.0.1")


async def test_what_is_remembered_holds_no_password(store):
    add(store, "ann", "password of ann")
    authenticator = Authenticator(store, Clock())
    await authenticator.authenticate(Credentials(user="ann", password="password of ann"), "10.0.0.1")

    assert authenticator._remembered
    assert b"password of ann" not in b"".join(authenticator._remembered)


async def test_user_and_password_cannot_be_shifted_into_each_other(store):
    authenticator = Authenticator(store, Clock())

    assert authenticator._token("ab", "c", "x") != authenticator._token("a", "bc", "x")


async def test_an_unknown_user_costs_a_hash_too(store, monkeypatch):
    authenticator = Authenticator(store, Clock())
    hashed = []
    monkeypatch.setattr(passwords, "verify_password", lambda *_: bool(hashed.append(1)))

    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(Credentials(user="nobody", password="x"), "10.0.0.1")
    assert hashed == [1]


async def test_who_is_locked_out_costs_no_hash(store, monkeypatch):
    add(store, "ann", "password of ann")
    authenticator = Authenticator(store, Clock())
    hashed = []
    monkeypatch.setattr(passwords, "verify_password", lambda *_: bool(hashed.append(1)))
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(Credentials(user="ann", password="guess"), "10.0.0.1")

    assert len(hashed) == 6


async def test_a_damaged_hash_lets_nobody_in(store):
    store.commit([Put(Kind.USER, "ann", {"hash": "scrypt$broken", "permissions": []})])

    with pytest.raises(Unauthenticated):
        await Authenticator(store, Clock()).authenticate(Credentials(user="ann", password="x"), "10.0.0.1")


async def test_a_crowd_of_logins_is_turned_away_and_not_queued_without_end(store, monkeypatch):
    add(store, "ann", "password of ann")
    authenticator = Authenticator(store, Clock())
    release = asyncio.get_running_loop().create_future()

    async def slow(*_):
        return await asyncio.shield(release)

    monkeypatch.setattr(authentication, "in_hash_thread", slow)
    crowd = [
        asyncio.create_task(
            authenticator.authenticate(
                Credentials(user="ann", password=f"guess {number}"), f"10.0.0.{number}"
            )
        )
        for number in range(30)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    release.set_result(False)
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)

    assert sum(isinstance(each, Overloaded) for each in outcomes) == 14
    assert sum(isinstance(each, Unauthenticated) for each in outcomes) == 16


async def test_the_key_of_a_deleted_user_opens_nothing(store):
    digest = passwords.key_digest("the key")
    store.commit([Put(Kind.API_KEY, digest, {"user": "gone", "created": 1})])

    with pytest.raises(Unauthenticated):
        await Authenticator(store, Clock()).authenticate(Credentials(apikey="the key"), "10.0.0.1")


# The first start


async def test_the_first_user_gets_a_password_that_is_told_once(store):
    told = first_user(store, None)

    assert told is not None
    assert len(told) >= 16
    assert first_user(store, None) is None
    user = await Authenticator(store, Clock()).authenticate(
        Credentials(user="bal", password=told), "10.0.0.1"
    )
    assert user.name == "bal"


async def test_a_password_from_the_configuration_is_used_and_not_told(store):
    assert first_user(store, "from the file") is None

    await Authenticator(store, Clock()).authenticate(
        Credentials(user="bal", password="from the file"), "10.0.0.1"
    )


def test_a_password_from_the_configuration_does_not_change_one_that_was_set(store):
    add(store, "bal", "set by a person")
    before = store.snapshot.get(Kind.USER, "bal")
    first_user(store, "from the file")

    assert store.snapshot.get(Kind.USER, "bal") == before


def test_a_password_that_is_too_short_is_refused_at_the_start(store):
    with pytest.raises(ValueError, match="8 to 127"):
        first_user(store, "short")
