"""What a user sees of a manifest or credentials that cannot be used: Azure stays exactly as it was."""

import asyncio

import pytest
import pytest_asyncio
from tests.support.arm_proxy import ArmProxy
from tests.support.live_pairs import REMOVE, changed, condition, manifest
from tests.support.signed_in import TENANT
from tests.support.world import World, assert_same

from controlplane.server import ApiError

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS_NO_ONE_MAY_LOG = "an-unguessable-secret-4711"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def converged(rig):
    """A world whose pair is ready, for trouble that comes later."""
    world = await World(rig.arm, "live").build()
    await rig.pairs.put_secret("live-secret")
    pair = manifest(world, rig.pairs.namespace, "live", azure__credentialsSecretRef={"name": "live-secret"})
    await rig.pairs.apply(pair)
    await rig.pairs.ready("live")
    return world, pair


async def test_a_manifest_refused_by_the_schema_changes_nothing(rig, converged):
    world, pair = converged
    before = await world.snapshot(exact=True)
    for fields, says in (
        ({"healthCheck__port": 22}, "22"),
        ({"azure__resourceGroup": "elsewhere"}, "cannot be changed"),
        ({"services": [{"name": "web", "port": 8444}]}, "check port"),
        (
            {"loadBalancer__managementAccess": {"kemp360Central": True, "webInterface": {"mode": "NAT"}}},
            "kemp360",
        ),
    ):
        with pytest.raises(ApiError, match=says) as refused:
            await rig.pairs.apply(changed(pair, **fields))
        assert refused.value.status == 422
    stored = await rig.pairs.get("live")
    assert stored["metadata"]["generation"] == stored["status"]["observedGeneration"]
    assert_same(before, await world.snapshot(exact=True), "Azure was written to")


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (None, "SecretNotFound", ("Secret", "bad-secret")),
        ({"tenantID": TENANT}, "SecretInvalid", ("clientID",)),
        (
            {"tenantID": TENANT, "clientID": "00000000-0000-0000-0000-0000000000aa", "clientSecret": ""},
            "SecretInvalid",
            ("clientSecret",),
        ),
        (
            {"tenantID": TENANT, "clientID": "my-app", "clientSecret": WORDS_NO_ONE_MAY_LOG},
            "SecretInvalid",
            ("clientID",),
        ),
    ],
    ids=["no Secret", "keys missing", "empty secret", "no UUID"],
)
async def test_an_unusable_secret_is_named_and_its_correction_is_noticed(rig, data, reason, says, request):
    name = f"secret-{request.node.callspec.indices['data']}"
    world = await World(rig.arm, name).build()
    before = await world.snapshot(exact=True)
    if data is not None:
        await rig.pairs.put_secret("bad-secret", **data)
    await rig.pairs.apply(
        manifest(world, rig.pairs.namespace, name, azure__credentialsSecretRef={"name": "bad-secret"})
    )
    try:
        stalled = await rig.pairs.condition("Stalled", "True", reason, name)
        for words in says:
            assert words in stalled["message"]
        assert WORDS_NO_ONE_MAY_LOG not in stalled["message"]
        assert WORDS_NO_ONE_MAY_LOG not in rig.pairs.log()
        assert_same(before, await world.snapshot(exact=True), "Azure was written to")
        await rig.pairs.put_secret("bad-secret")
        await rig.pairs.annotate(
            name, look="again"
        )  # instead of waiting a minute for the next look at the Secret
        await rig.pairs.ready(name)
    finally:
        await rig.pairs.remove_secret("bad-secret")


def sign_ins(proxy: ArmProxy) -> int:
    return sum(exchange.path.endswith("/token") for exchange in proxy.exchanges)


async def test_a_refused_client_secret_is_told_and_not_hammered(rig):
    world = await World(rig.arm, "refused").build()
    before = await world.snapshot(exact=True)
    await rig.pairs.put_secret(
        "refused",
        tenantID=TENANT,
        clientID="00000000-0000-0000-0000-0000000000bb",
        clientSecret=WORDS_NO_ONE_MAY_LOG,
    )
    await rig.arm.add_fault(clientSecret=WORDS_NO_ONE_MAY_LOG, count=0)
    try:
        tried = sign_ins(rig.proxy)
        await rig.pairs.apply(
            manifest(world, rig.pairs.namespace, "refused", azure__credentialsSecretRef={"name": "refused"})
        )
        stalled = await rig.pairs.condition("Stalled", "True", name="refused")
        assert stalled["reason"] in {"InvalidClientSecret", "SignInRefused"}
        assert "client secret" in stalled["message"]
        for _ in range(10):
            await rig.pairs.annotate("refused", look=str(_))  # ten occasions to try again
            await asyncio.sleep(0.5)
        assert sign_ins(rig.proxy) - tried <= 3, "wrong credentials were sent again and again"
        assert WORDS_NO_ONE_MAY_LOG not in rig.pairs.log()
        assert_same(before, await world.snapshot(exact=True), "Azure was written to")
    finally:
        await rig.arm.clear_faults()
    await rig.pairs.put_secret("refused")
    await rig.pairs.annotate("refused", look="at the new Secret")
    await rig.pairs.ready("refused")


async def test_an_unknown_subscription_is_named(rig):
    world = await World(rig.arm, "unknown-subscription").build()
    before = await world.snapshot(exact=True)
    nowhere = "deadbeef-0000-0000-0000-000000000000"
    pair = manifest(world, rig.pairs.namespace, "unknown", azure__subscriptionID=nowhere)
    await rig.pairs.apply(pair)
    ready = await rig.pairs.until(
        lambda pair: condition(pair, "Ready").get("reason") == "SubscriptionNotFound",
        "the subscription is not found",
        "unknown",
    )
    message = condition(ready, "Ready")["message"]
    assert nowhere in message
    assert "spec.azure.subscriptionID" in message
    assert_same(before, await world.snapshot(exact=True), "Azure was written to")
    await rig.pairs.annotate("unknown", force_delete="true")
    await rig.pairs.delete("unknown")
    await rig.pairs.gone("unknown")


async def test_a_secret_that_is_taken_away_leaves_the_balancer_alone(rig, converged):
    world, pair = converged
    before = await world.snapshot(exact=True)
    await rig.pairs.remove_secret("live-secret")
    await rig.pairs.apply(changed(pair, healthCheck__intervalSeconds=30))
    await rig.pairs.condition("Stalled", "True", "SecretNotFound", "live")
    assert_same(before, await world.snapshot(exact=True), "Azure was written to")
    await rig.pairs.put_secret("live-secret")
    await rig.pairs.apply(changed(pair, healthCheck__intervalSeconds=REMOVE))
    await rig.pairs.ready("live")
    assert_same(before, await world.snapshot(exact=True), "Azure was written to")
