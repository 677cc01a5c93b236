"""The rights that the example grants suffice for a pair's whole life, and the operator asks for no others."""

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from tests.support.emulator import running_emulator
from tests.support.live_pairs import manifest
from tests.support.operator import OperatorProcess
from tests.support.pairs import install_crd
from tests.support.rig import Stage, rigged
from tests.support.world import World

from controlplane.server import ControlPlane

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.controlplane]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "operator.yaml"
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory):
    """A stage of its own: an operator that serves all namespaces would meet the pairs of other tests."""
    with ControlPlane.start() as plane:
        install_crd(plane)
        async with running_emulator() as emulator:
            yield Stage(plane, emulator, tmp_path_factory.mktemp("rights"))


async def install_example(rig):
    """Apply the example and give a token of its ServiceAccount."""
    for document in yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8")):
        if document["kind"] not in PATHS:
            continue
        namespace = document["metadata"].get("namespace", "")
        path = f"{PATHS[document['kind']].format(namespace=namespace)}/{document['metadata']['name']}"
        await rig.pairs.request(
            "PATCH", f"{path}?fieldManager=example&force=true", document, "application/apply-patch+yaml"
        )
    account = "/api/v1/namespaces/loadmaster-system/serviceaccounts/loadmaster-operator/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return (await rig.pairs.request("POST", account, request))["status"]["token"]


async def test_the_example_grants_what_is_needed_and_nothing_more_is_asked_for(stage):
    async with rigged(stage, "rights") as rig:
        await rig.kill_operator()
        token = await install_example(rig)
        config = yaml.safe_load(stage.plane.kubeconfig.read_text(encoding="utf-8"))
        config["users"][0]["user"] = {"token": token}
        kubeconfig = stage.directory / "rights.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
        operator = OperatorProcess(
            stage.plane,
            rig.pairs.namespace,
            rig.proxy.url,
            rig.proxy.ca_file,
            stage.directory / "rights",
            name="with-rights",
            # All namespaces, as the example runs it: its Lease is in its own.
            flags={"kubeconfig": kubeconfig, "namespace": None, "lease_namespace": "loadmaster-system"},
        )
        try:
            await asyncio.to_thread(operator.start)
            world = await World(rig.arm, "rights").build()
            await rig.pairs.apply(manifest(world, rig.pairs.namespace))
            await rig.pairs.ready()
            assert [event for event in await rig.pairs.events() if event["reason"] == "Synced"]
            await rig.pairs.delete()
            await rig.pairs.gone()
            assert await asyncio.to_thread(operator.stop) == 0
            assert "orbidden" not in operator.output()
        finally:
            await asyncio.to_thread(operator.kill)
