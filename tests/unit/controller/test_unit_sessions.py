"""Which client a unit is called with: made of Secrets, the same while they are, replaced when they change."""

import base64

import pytest
from tests.support.certificates import issue

from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.secrets import SecretName, SecretProblem, Secrets
from loadmaster_ha.controller.unit_sessions import UnitSessions
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.loadmaster.connections import Endpoint
from loadmaster_ha.loadmaster.trust import Authorities, Pinned, SystemAuthorities
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.resources.loadmasterpair import Unit

PAIR = PairKey("edge", "web")
FINGERPRINT = "ab" * 32
AUTHORITY = issue("ca").pem.decode()


class Server:
    def __init__(self):
        self.secrets, self.writes = {}, 0

    def put(self, secret, **data):
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.writes += 1
        self.secrets[secret] = {"metadata": {"resourceVersion": str(self.writes)}, "data": encoded}

    async def get_secret(self, namespace, name):
        assert namespace == "edge"
        return self.secrets.get(name)


class Client:
    """Notes what it was made of."""

    def __init__(self, endpoint, trust, credentials, **_):
        self.endpoint, self.trust, self.credentials, self.closed = endpoint, trust, credentials, False
        self.is_locked_out = False

    def lock_out(self, _):
        self.is_locked_out = True

    async def close(self):
        self.closed = True


def unit(**management):
    return Unit.model_validate(
        {
            "networkInterfaces": [{"name": "eth0", "resource": "nic"}],
            "management": {"credentialsSecretRef": {"name": "login"}, **management},
        }
    )


@pytest.fixture
def server():
    made = Server()
    made.put("login", apikey="key-1")
    return made


@pytest.fixture
def sessions(server):
    secrets = Secrets(server, changed=lambda _: None, in_use=list)
    return UnitSessions(secrets, make=Client)


async def get(sessions, which=None, *, role=Role.MASTER, **more):
    return await sessions.get(PAIR, role, which or unit(), "10.0.2.4", **{"fresh": True, **more})


async def test_a_client_is_made_of_address_credentials_and_trust(sessions):
    client = await get(sessions)
    assert client.endpoint == Endpoint("10.0.2.4", 8443)
    assert client.credentials == UnitCredentials(apikey="key-1")
    assert client.trust == SystemAuthorities()
    elsewhere = await get(sessions, unit(address="10.9.9.9", port=9443), role=Role.SLAVE)
    assert elsewhere.endpoint == Endpoint("10.9.9.9", 9443)


async def test_trust_follows_the_manifest(sessions, server):
    server.put("ca", **{"ca.crt": AUTHORITY, "other": AUTHORITY})
    pinned = await get(sessions, unit(tls={"fingerprintSHA256": FINGERPRINT.upper()}))
    assert pinned.trust == Pinned(FINGERPRINT)
    signed = await get(sessions, unit(tls={"caSecretRef": {"name": "ca"}, "serverName": "lm-0.example"}))
    assert signed.trust == Authorities(AUTHORITY, "lm-0.example")
    named = await get(sessions, unit(tls={"serverName": "lm-0.example"}))
    assert named.trust == SystemAuthorities("lm-0.example")


async def test_user_and_password_and_keys_of_no_concern(sessions, server):
    server.put("login", username="bal", password="hunter2", notes="by ops")
    assert (await get(sessions)).credentials == UnitCredentials(user="bal", password="hunter2")


async def test_the_same_secrets_give_the_same_client(sessions, server):
    first = await get(sessions)
    server.put("login", apikey="key-1", notes="new")
    assert await get(sessions) is first
    assert sessions.last(PAIR, Role.MASTER) is first
    assert sessions.last(PAIR, Role.SLAVE) is None


@pytest.mark.parametrize("change", ["credentials", "address", "trust"])
async def test_what_changes_replaces_the_client_and_closes_the_former(sessions, server, change):
    first = await get(sessions)
    if change == "credentials":
        server.put("login", apikey="key-2")
    which = {"address": unit(port=9443), "trust": unit(tls={"fingerprintSHA256": FINGERPRINT})}.get(change)
    second = await get(sessions, which)
    assert second is not first
    assert first.closed
    assert not second.closed


async def test_refused_credentials_are_tried_once_more_for_each_write_of_their_secret(sessions, server):
    client = await get(sessions)
    server.put("login", apikey="key-1")
    assert await get(sessions) is client, "they have not been refused"
    client.is_locked_out = True
    assert await get(sessions) is client, "a look alone is no reason to try them again"
    server.put("login", apikey="key-1")
    again = await get(sessions)
    assert again is not client
    again.is_locked_out = True
    assert await get(sessions) is again


async def test_what_an_earlier_process_was_refused_with_is_not_tried_again_by_this_one(server):
    stored = {}

    def process():
        secrets = Secrets(server, changed=lambda _: None, in_use=list)
        return UnitSessions(secrets, make=Client, stored_refusal=lambda *of: stored.get(of, ""))

    first = process()
    client = await get(first)
    assert first.refusal(PAIR, Role.MASTER) == ""
    client.lock_out("no")
    stored[PAIR, Role.MASTER] = told = first.refusal(PAIR, Role.MASTER)
    assert told
    assert "key-1" not in told

    second = process()
    assert (await get(second)).is_locked_out
    assert second.refusal(PAIR, Role.MASTER) == told, "nothing changes in status"
    assert not (await get(second, role=Role.SLAVE)).is_locked_out
    assert not (await get(process(), unit(address="10.0.2.9"))).is_locked_out, "another unit"
    server.put("login", apikey="key-1")
    third = process()
    assert not (await get(third)).is_locked_out, "somebody wrote to the Secret"
    assert third.refusal(PAIR, Role.MASTER) == ""


async def test_units_have_clients_of_their_own(sessions):
    assert await get(sessions) is not await get(sessions, role=Role.SLAVE)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, r"has neither apikey nor both username and password \(its keys: none\)"),
        ({"user": "bal"}, r"has neither apikey nor both username and password \(its keys: user\)"),
        ({"username": "bal"}, "has neither apikey nor both"),
        ({"username": "bal", "password": ""}, r"has neither .* \(its keys: password, empty, username\)"),
        ({"apikey": "k", "username": "bal", "password": "p"}, "give one of them"),
        ({"apikey": "k\n"}, "control characters in apikey; a line break at its end"),
    ],
)
async def test_wrong_contents_are_told_by_field_and_secret(sessions, server, data, complaint):
    server.put("login", **data)
    with pytest.raises(SecretProblem, match=complaint) as problem:
        await get(sessions)
    assert problem.value.reason is Reason.SECRET_INVALID
    assert problem.value.message.startswith(
        "spec.master.management.credentialsSecretRef: the Secret edge/login has "
    )
    assert "Give it either apikey, or username and password" in problem.value.message


async def test_what_is_no_text_is_told_with_what_to_do(sessions, server):
    server.put("login", username="bal", password="p")
    server.secrets["login"]["data"]["password"] = base64.b64encode(b"\xff\xfe").decode()
    with pytest.raises(SecretProblem, match=r"the value of password is not UTF-8 text\. .*encod") as problem:
        await get(sessions)
    assert problem.value.reason is Reason.SECRET_INVALID


async def test_wrong_contents_that_are_corrected_are_noticed_within_a_minute(server):
    now, changed = [0.0], []
    name = SecretName("edge", "login")
    secrets = Secrets(server, changed=changed.append, in_use=lambda: [name], clock=lambda: now[0])
    sessions = UnitSessions(secrets, make=Client)
    server.put("login", username="bal", password="p\n")
    with pytest.raises(SecretProblem):
        await get(sessions, fresh=False)
    server.put("login", username="bal", password="p")
    now[0] = 45.0
    await secrets.look_again()
    assert changed == [name]
    assert (await get(sessions, fresh=False)).credentials == UnitCredentials(user="bal", password="p")


async def test_a_missing_secret_names_the_unit(sessions, server):
    del server.secrets["login"]
    with pytest.raises(SecretProblem, match=r"spec\.slave\.management\.credentialsSecretRef") as problem:
        await get(sessions, role=Role.SLAVE)
    assert problem.value.reason is Reason.SECRET_NOT_FOUND


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (None, "caSecretRef: the Secret edge/ca does not exist"),
        ({"tls.crt": AUTHORITY}, r"has no key ca.crt \(its keys: tls.crt\)"),
        ({"ca.crt": "rubbish"}, "the value of ca.crt cannot be used"),
    ],
)
async def test_wrong_authorities_are_told(sessions, server, data, complaint):
    if data is not None:
        server.put("ca", **data)
    with pytest.raises(SecretProblem, match=complaint) as problem:
        await get(sessions, unit(tls={"caSecretRef": {"name": "ca"}}))
    assert problem.value.message.startswith("spec.master.management.tls.caSecretRef: the Secret edge/ca")


async def test_a_deletion_goes_on_with_the_last_credentials(sessions, server):
    first = await get(sessions)
    server.secrets.clear()
    with pytest.raises(SecretProblem):
        await get(sessions)
    assert await get(sessions, deleting=True) is first
    assert not first.closed


async def test_a_deletion_without_any_credentials_is_told(sessions, server):
    server.secrets.clear()
    with pytest.raises(SecretProblem):
        await get(sessions, deleting=True)


async def test_what_is_forgotten_is_closed(sessions):
    master, slave = await get(sessions), await get(sessions, role=Role.SLAVE)
    await sessions.forget(PAIR)
    assert master.closed
    assert slave.closed
    assert await get(sessions) is not master
    await sessions.close()
    assert sessions.last(PAIR, Role.MASTER) is None


async def test_whoever_minds_is_told_of_another_client_and_whether_it_is_for_another_unit(server):
    told = []
    secrets = Secrets(server, changed=lambda _: None, in_use=list)
    sessions = UnitSessions(secrets, make=Client, replaced=lambda *what: told.append(what))
    await get(sessions)
    await get(sessions)
    assert told == []
    server.put("login", apikey="key-2")
    await get(sessions)
    assert told == [(PAIR, Role.MASTER, False)]
    await get(sessions, unit(address="10.0.9.9"))
    await get(sessions, unit(address="10.0.9.9", tls={"fingerprintSHA256": "11" * 32}))
    assert told[1:] == [(PAIR, Role.MASTER, True)] * 2
