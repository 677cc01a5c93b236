"""Which credentials a pair goes with: read sparingly, noticed when they change, named when they are wrong."""

import base64

import pytest

# ruff: noqa: ARG002 - the stand-ins have the signatures of the real ones
from loadmaster_ha.azure.credentials import ClientSecret, OwnIdentity
from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.credentials import CredentialsProblem, PairSessions
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.resources.loadmasterpair import Azure

PAIR = PairKey("edge", "web")
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
CLIENT = "00000000-0000-0000-0000-0000000000aa"


def azure(secret="azure"):
    reference = None if secret is None else {"name": secret}
    return Azure.model_validate(
        {"subscriptionID": SUBSCRIPTION, "resourceGroup": "edge", "credentialsSecretRef": reference}
    )


class Server:
    def __init__(self):
        self.secrets = {}
        self.reads = 0
        self.problem = None

    def put(self, **data):
        self.secrets["edge", "azure"] = {
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        }

    async def get_secret(self, namespace, name):
        self.reads += 1
        if self.problem:
            raise self.problem
        return self.secrets.get((namespace, name))


class Sessions:
    """Notes which credentials were asked for; a session is just them."""

    def __init__(self):
        self.released = []

    async def lease(self, holder, subscription, credentials):
        assert subscription == SUBSCRIPTION
        return credentials

    async def release(self, holder):
        self.released.append(holder)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def server():
    made = Server()
    made.put(tenantID="contoso.com", clientID=CLIENT, clientSecret="first")
    return made


def sessions(server, clock=None):
    return PairSessions(server, Sessions(), clock=clock or Clock())


async def get(found, secret="azure", *, woken=False, deleting=False):
    return await found.get(PAIR, azure(secret), woken=woken, deleting=deleting)


async def test_without_a_reference_it_is_the_operators_own_identity(server):
    assert await get(sessions(server), None) == OwnIdentity()
    assert server.reads == 0


async def test_a_secret_is_read_once_a_minute_and_at_once_when_touched(server):
    clock = Clock()
    found = sessions(server, clock)
    assert await get(found) == ClientSecret("contoso.com", CLIENT, "first")
    server.put(tenantID="contoso.com", clientID=CLIENT, clientSecret="second")
    assert (await get(found)).client_secret == "first"
    assert server.reads == 1
    assert (await get(found, woken=True)).client_secret == "second"
    server.put(tenantID="contoso.com", clientID=CLIENT, clientSecret="third")
    clock.now += 60
    assert (await get(found)).client_secret == "third"


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        (lambda server: server.secrets.clear(), Reason.SECRET_NOT_FOUND, "edge/azure"),
        (lambda server: server.put(tenantID="contoso.com"), Reason.SECRET_INVALID, "clientID"),
        (lambda server: server.put(), Reason.SECRET_INVALID, "tenantID"),
        (
            lambda server: server.secrets.update({("edge", "azure"): {"data": {"tenantID": "%"}}}),
            Reason.SECRET_INVALID,
            "base64",
        ),
        (
            lambda server: setattr(server, "problem", KubernetesError(403, "Forbidden", "no")),
            Reason.SECRET_UNREADABLE,
            "grant",
        ),
    ],
    ids=["missing", "incomplete", "empty", "garbled", "forbidden"],
)
async def test_what_is_wrong_is_named(server, change, reason, says):
    change(server)
    with pytest.raises(CredentialsProblem, match=says) as problem:
        await get(sessions(server))
    assert problem.value.reason is reason
    assert "spec.azure.credentialsSecretRef" in problem.value.message


async def test_an_api_server_in_trouble_is_no_fault_of_the_secret(server):
    server.problem = KubernetesError(0, "Unreachable", "no answer")
    with pytest.raises(KubernetesError):
        await get(sessions(server))


async def test_only_a_deletion_goes_on_with_the_last_credentials(server):
    found = sessions(server)
    await get(found)
    server.secrets.clear()
    with pytest.raises(CredentialsProblem):
        await get(found, woken=True)
    assert (await get(found, woken=True, deleting=True)).client_secret == "first"
    await found.forget(PAIR)
    with pytest.raises(CredentialsProblem):
        await get(found, woken=True, deleting=True)


async def test_secrets_are_not_kept_longer_than_they_are_believed(server):
    clock = Clock()
    found = sessions(server, clock)
    await get(found)
    clock.now += 1000
    server.secrets["edge", "other"] = server.secrets["edge", "azure"]
    await get(found, "other")
    assert list(found._secrets) == [("edge", "other")]
