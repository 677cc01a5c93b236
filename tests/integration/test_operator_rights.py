"""The rights that the example grants suffice for a pair's whole life, and the operator asks for no others."""

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from tests.support.cluster_objects import endpoint_slice, secret, service
from tests.support.emulator import running_emulator
from tests.support.live_pairs import condition, manifest
from tests.support.operator import OperatorProcess
from tests.support.pairs import changed, install_crd, managed_pair
from tests.support.rig import Stage, rigged
from tests.support.world import World

from controlplane.server import ControlPlane
from loadmaster_ha.controller.kubernetes import Kubernetes, KubernetesError, load_configuration
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.unit_sources import UnitSources
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.planning.target import PairIdentity, PairTarget
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec

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


def write_kubeconfig(stage, token):
    """The plane's kubeconfig with the token of the example's ServiceAccount."""
    config = yaml.safe_load(stage.plane.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": token}
    kubeconfig = stage.directory / "rights.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
    return kubeconfig


async def with_rights(stage, rig, **flags):
    """An operator with the rights of the example, in the place of the rig's."""
    await rig.kill_operator()
    kubeconfig = write_kubeconfig(stage, await install_example(rig))
    return OperatorProcess(
        stage.plane,
        rig.pairs.namespace,
        rig.proxy.url,
        rig.proxy.ca_file,
        stage.directory / rig.pairs.namespace,
        name="with-rights",
        flags={"kubeconfig": kubeconfig, "lease_namespace": "loadmaster-system", **flags},
    )


async def test_the_example_grants_what_is_needed_and_nothing_more_is_asked_for(stage):
    async with rigged(stage, "rights") as rig:
        operator = await with_rights(stage, rig, namespace=None)  # all namespaces, as the example runs it
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


SOURCES = {
    "spec.highAvailability.sharedSecretRef.name": "partner",
    "spec.services": [
        {
            "name": mode.lower(),
            "port": port,
            "virtualService": {
                "realServersFrom": {"service": {"name": "shop", "port": "http"}, "mode": mode}
            },
        }
        for mode, port in (("Endpoints", 80), ("Nodes", 81))
    ],
}


def with_units(world, namespace):
    """A managed pair with units that nobody is at, and real servers of both kinds."""
    return manifest(
        world,
        namespace,
        services=SOURCES["spec.services"],
        highAvailability={"sharedSecretRef": {"name": "partner"}},
        **{
            f"{role}__management": {
                "address": f"127.83.7.{number}",
                "port": 9,
                "credentialsSecretRef": {"name": f"{role}-login"},
            }
            for number, role in enumerate(("master", "slave"), 1)
        },
    )


async def test_the_operator_comes_as_far_as_the_units_with_these_rights(stage):
    async with rigged(stage, "managed-rights") as rig:
        operator = await with_rights(stage, rig)
        try:
            await asyncio.to_thread(operator.start)
            await put_sources(stage.plane, rig.pairs.namespace)
            await rig.pairs.put_secret("slave-login", username="bal", password="p")
            await rig.pairs.put_secret("master-login", user="bal", password="p")
            world = await World(rig.arm, "managed-rights").build()
            await rig.pairs.apply(with_units(world, rig.pairs.namespace))
            where = "spec.master.management.credentialsSecretRef: the Secret"
            await until_told(
                rig.pairs,
                f"{where} {rig.pairs.namespace}/master-login has neither apikey nor both username and "
                "password (its keys: password, user)",
            )
            # Corrected, it is found without anybody touching the pair.
            await rig.pairs.put_secret("master-login", username="bal", password="p")
            await until_told(rig.pairs, "127.83.7.1:9")
            assert "orbidden" not in operator.output()
        finally:
            await asyncio.to_thread(operator.kill)


async def until_told(pairs, words):
    """Wait until HASynced says so."""

    def told(pair):
        return words in condition(pair, "HASynced").get("message", "")

    await pairs.until(told, f"HASynced says {words}")


async def test_the_example_lets_read_what_units_need_and_no_list_of_secrets(stage):
    async with rigged(stage, "unit-rights") as rig:
        await rig.kill_operator()
        kubeconfig = write_kubeconfig(stage, await install_example(rig))
        await put_sources(stage.plane, rig.pairs.namespace)
        spec = LoadMasterPairSpec.model_validate(changed(managed_pair(), SOURCES)["spec"])
        key = PairKey(rig.pairs.namespace, "web")
        configuration = await load_configuration(str(kubeconfig))
        woken = asyncio.Event()
        async with Kubernetes(configuration, permit=lambda: None) as api:
            sources = UnitSources(api, wake=lambda _: woken.set())
            running = asyncio.create_task(sources.run())
            sources.put(key, spec)
            target = PairTarget(PairIdentity(*key, "uid"), spec)
            async with asyncio.timeout(60):
                while not all_present(found := await sources.inputs.gather(target)):
                    await woken.wait()
                    woken.clear()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert [each.address for each in found.endpoints["endpoints"].value] == ["10.1.0.1"]
            with pytest.raises(KubernetesError, match="secrets is forbidden"):
                await api.list_objects(f"/api/v1/namespaces/{key.namespace}/secrets", {})


async def put_sources(plane, namespace):
    """A Service with one endpoint, and a Partner Shared Secret."""
    core = f"/api/v1/namespaces/{namespace}"
    await asyncio.to_thread(plane.request, "POST", f"{core}/services", service(type="NodePort"))
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    await asyncio.to_thread(plane.request, "POST", slices, endpoint_slice(["10.1.0.1"]))
    body = secret("partner", secret=b"a-shared-secret")
    await asyncio.to_thread(plane.request, "POST", f"{core}/secrets", body)


def all_present(found):
    return all(isinstance(each, Present) for each in (found.secret_version, *found.endpoints.values()))
