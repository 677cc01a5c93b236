"""What the operator says of a manifest that its CRD would have refused: the API server has an older CRD.

Package managers install CRDs and do not renew them, so an operator can meet what the rules of its own schema
forbid. Nothing is written then, and a person is told what is wrong and where.
"""

import copy
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from tests.support.emulator import running_emulator
from tests.support.live_pairs import changed, manifest
from tests.support.rig import Stage, rigged
from tests.support.world import World, assert_same

from controlplane.server import ControlPlane
from loadmaster_ha.resources import crd

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.controlplane]

CHECKS = {"x-kubernetes-validations", "pattern", "enum", "maxLength", "minLength"}


def without_checks(schema):
    """Fields and types only."""
    if isinstance(schema, dict):
        return {key: without_checks(value) for key, value in schema.items() if key not in CHECKS}
    return [without_checks(each) for each in schema] if isinstance(schema, list) else schema


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory):
    """Give an operator whose API server checks nothing but types."""
    definition = copy.deepcopy(crd.definition())
    for version in definition["spec"]["versions"]:
        version["schema"] = without_checks(version["schema"])
    with ControlPlane.start() as plane:
        plane.install_crd(definition)
        async with running_emulator() as emulator, AsyncExitStack() as stack:
            stage = Stage(plane, emulator, tmp_path_factory.mktemp("stage"))
            yield await stack.enter_async_context(rigged(stage, "older"))


MANAGED = {
    f"{role}__management": {"credentialsSecretRef": {"name": "login"}, "tls": {}}
    for role in ("master", "slave")
}
CASES = {
    "same interface": (
        "SameInterface",
        ("networkInterfaces/LM-0-nic is also spec.master", "Give each unit"),
        {"slave__networkInterfaces": [{"name": "eth0", "resource": "LM-0-nic"}]},
    ),
    "no such interface": (
        "ServiceInterfaceNotFound",
        ("'https' is on interface 'eth7'", "Name an entry of networkInterfaces"),
        {"services": [{"name": "https", "port": 443, "interface": "eth7"}]},
    ),
    "management ports": (
        "ManagementPortsDiffer",
        ("8443 and 9443", "Give both units the same management port"),
        {
            "slave__management": {"port": 9443},
            "loadBalancer__managementAccess": {"kemp360Central": True},
        },
    ),
    "unknown word": (
        "InvalidSpec",
        ("spec.policy.mode", "'Enforce' or 'Observe'", "install the CRD that belongs to this operator"),
        {"policy": {"mode": "Sometimes"}},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_the_schema_would_have_refused_is_told_and_nothing_is_written(rig, name):
    reason, says, fields = CASES[name]
    pair = f"older-{list(CASES).index(name)}"
    world = await World(rig.arm, pair).build(foreign=False)
    before = await world.snapshot(exact=True)
    await rig.pairs.apply(changed(manifest(world, rig.pairs.namespace, pair), **fields))
    message = (await rig.pairs.condition("Stalled", "True", reason, pair))["message"]
    for words in says:
        assert words in message, message
    assert_same(before, await world.snapshot(exact=True), "something was written to Azure")
