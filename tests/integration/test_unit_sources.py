"""What units need of Kubernetes, on the real API server: endpoints, nodes and Secrets, and who is woken."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from tests.support.certificates import issue
from tests.support.cluster_objects import endpoint_slice, node, node_status, secret, service
from tests.support.pairs import changed, managed_pair

from loadmaster_ha.controller import object_watch, secrets
from loadmaster_ha.controller.kubernetes import Kubernetes, load_configuration
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.unit_sources import UnitSources
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.planning.target import PairIdentity, PairTarget
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec

pytestmark = pytest.mark.controlplane

GENEROUS_SECONDS = 30.0


class Recording(Kubernetes):
    """Notes what is asked for."""

    def __init__(self, configuration):
        super().__init__(configuration, permit=lambda: None)
        self.asked = []

    async def request(self, method, path, **more):
        self.asked.append(f"{method} {path}")
        return await super().request(method, path, **more)

    async def watch_objects(self, path, query):
        self.asked.append(f"WATCH {path}")
        async for event in super().watch_objects(path, query):
            yield event


class Scene:
    """One namespace with a pair in it, and what the operator makes of it."""

    def __init__(self, plane, namespace, api):
        self.plane, self.namespace, self.api = plane, namespace, api
        self.key = PairKey(namespace, "web")
        self.woken = 0
        self.sources = UnitSources(api, wake=self._wake)
        self.target = None

    def _wake(self, key):
        assert key == self.key
        self.woken += 1

    def manifest(self, *services, **changes):
        pair = changed(managed_pair(), {"spec.services": [*services], **changes})
        spec = LoadMasterPairSpec.model_validate(pair["spec"])
        self.target = PairTarget(PairIdentity(self.namespace, "web", "uid-1"), spec)
        self.sources.put(self.key, spec)

    async def put(self, kind, body, group="/api/v1"):
        """Create, or replace as a whole."""
        within = "" if kind == "nodes" else f"/namespaces/{self.namespace}"
        path = f"{group}{within}/{kind}/{body['metadata']['name']}"
        await asyncio.to_thread(
            self.plane.request,
            "PATCH",
            f"{path}?fieldManager=tests&force=true",
            body,
            content_type="application/apply-patch+yaml",
        )

    async def delete(self, kind, name, group="/api/v1"):
        within = "" if kind == "nodes" else f"/namespaces/{self.namespace}"
        await asyncio.to_thread(self.plane.request, "DELETE", f"{group}{within}/{kind}/{name}")

    async def slices(self, *addresses, name="shop-a", **more):
        await self.put("endpointslices", endpoint_slice(addresses, name=name, **more), DISCOVERY)

    async def put_node(self, name, address, *, ready=True, **labels):
        await self.put("nodes", node(name, **labels))
        status = {**node(name, **labels), "status": node_status(address, ready=ready)}
        path = f"/api/v1/nodes/{name}/status?fieldManager=tests&force=true"
        await asyncio.to_thread(
            self.plane.request, "PATCH", path, status, content_type="application/apply-patch+yaml"
        )

    async def gathered(self, **more):
        return await self.sources.inputs.gather(self.target, **more)

    async def real_servers(self):
        found = (await self.gathered()).endpoints["https"]
        if isinstance(found, Present):
            return [f"{each.address}:{each.port}" for each in found.value]
        return found

    async def until_real_servers(self, wanted):
        """Wait until they are as wanted; gives the seconds that it took."""
        started = time.monotonic()
        while (seen := await self.real_servers()) != wanted:
            assert time.monotonic() - started < GENEROUS_SECONDS, seen
            await asyncio.sleep(0.01)
        return time.monotonic() - started

    async def until(self, holds):
        deadline = time.monotonic() + GENEROUS_SECONDS
        while not holds():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


DISCOVERY = "/apis/discovery.k8s.io/v1"


@pytest.fixture
def scene(control_plane, namespace):
    @asynccontextmanager
    async def made():
        configuration = await load_configuration(str(control_plane.kubeconfig))
        async with Recording(configuration) as api:
            scene = Scene(control_plane, namespace, api)
            running = asyncio.create_task(scene.sources.run())
            try:
                yield scene
                assert not running.done()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    return made


def published(mode="Endpoints", tls=None, **more):
    source = {"service": {"name": "shop", "port": "http"}, "mode": mode, **more}
    virtual = {"realServersFrom": source, **({"tls": tls} if tls else {})}
    return {"name": "https", "port": 443, "virtualService": virtual}


def addresses(count):
    return [f"10.1.0.{number}" for number in range(1, count + 1)]


def on_8080(count):
    return [f"{address}:8080" for address in addresses(count)]


async def test_endpoints_are_scaled_from_3_to_30_to_3(scene):
    async with scene() as found:
        await found.put("services", service())
        await found.slices(*addresses(3))
        found.manifest(published())
        await found.until_real_servers(on_8080(3))
        for count in (30, 3, 0):
            before = found.woken
            await found.slices(*addresses(count))
            await found.until_real_servers(on_8080(count))
            assert found.woken > before


async def test_several_slices_are_one_service_and_others_are_not_looked_at(scene):
    async with scene() as found:
        await found.put("services", service())
        await found.slices("10.1.0.1", "10.1.0.2")
        await found.slices("10.1.0.2", "10.1.0.3", name="shop-b")
        await found.slices("10.1.0.9", name="other-a", of="other")
        found.manifest(published())
        await found.until_real_servers(on_8080(3))
        before = found.woken
        await found.slices("10.1.0.8", name="other-a", of="other")
        await found.slices("10.1.0.3", name="shop-b")
        await found.delete("endpointslices", "shop-a", DISCOVERY)
        await found.until_real_servers(["10.1.0.3:8080"])
        assert found.woken - before <= 2


async def test_a_service_that_comes_later_wakes_the_pair(scene):
    async with scene() as found:
        found.manifest(published())
        assert isinstance(await found.real_servers(), Unknown)
        await found.until(lambda: found.woken > 0)
        missing = Absent("ServiceNotFound", f"There is no Service {found.namespace}/shop.")
        await found.until_real_servers(missing)
        await found.put("services", service())
        await found.slices("10.1.0.1")
        await found.until_real_servers(["10.1.0.1:8080"])
        await found.delete("services", "shop")
        await found.until_real_servers(missing)


async def test_nodes_that_are_not_ready_are_left_out(scene, namespace):
    async with scene() as found:
        ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
        await found.put("services", service(type="NodePort", ports=ports))
        labels = {"pool": namespace}
        names = [f"{namespace}-{number}" for number in (1, 2, 3)]
        try:
            for number, name in enumerate(names, 1):
                await found.put_node(name, f"10.2.0.{number}", **(labels if number < 3 else {}))
            stored = await asyncio.to_thread(
                found.plane.request, "GET", f"/api/v1/namespaces/{namespace}/services/shop"
            )
            port = stored["spec"]["ports"][0]["nodePort"]
            found.manifest(published("Nodes", nodeLabels=labels))
            await found.until_real_servers([f"10.2.0.1:{port}", f"10.2.0.2:{port}"])
            before = found.woken
            await found.put_node(names[0], "10.2.0.1", ready=False, **labels)
            await found.until_real_servers([f"10.2.0.2:{port}"])
            assert found.woken > before
            await found.put_node(names[0], "10.2.0.1", **labels)
            await found.until_real_servers([f"10.2.0.1:{port}", f"10.2.0.2:{port}"])
        finally:
            for name in names:
                await found.delete("nodes", name)


async def test_another_service_in_the_manifest_leaves_no_gap(scene):
    """While the watch of the new selection begins, what the former one knew still counts."""
    async with scene() as found:
        await found.put("services", service())
        await found.put("services", service("more"))
        await found.slices("10.1.0.1")
        found.manifest(published())
        await found.until_real_servers(["10.1.0.1:8080"])
        second = published()
        second["virtualService"]["realServersFrom"]["service"]["name"] = "more"
        found.manifest(published(), {**second, "name": "second", "port": 444})
        deadline = time.monotonic() + GENEROUS_SECONDS
        while (seen := (await found.gathered()).endpoints)["second"] != Present(()):
            assert isinstance(seen["https"], Present)
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.005)
        assert await found.real_servers() == ["10.1.0.1:8080"]


async def test_nothing_is_watched_that_nobody_needs_and_secrets_are_never_listed(scene, namespace):
    async with scene() as found:
        await found.put("secrets", secret("partner", secret=b"a-shared-secret"))
        found.manifest(
            {"name": "https", "port": 443, "virtualService": {}},
            **{"spec.highAvailability.sharedSecretRef.name": "partner"},
        )
        await found.gathered()
        assert found.api.asked == [f"GET /api/v1/namespaces/{namespace}/secrets/partner"]
        await found.put("services", service())
        found.manifest(published())
        await found.until_real_servers([])
        found.manifest()
        await asyncio.sleep(0.2)
        found.sources.forget(found.key)
        assert not any("nodes" in asked for asked in found.api.asked)
        assert {asked for asked in found.api.asked if "secrets" in asked} == {
            f"GET /api/v1/namespaces/{namespace}/secrets/partner"
        }
        before = found.woken
        await found.slices("10.1.0.1")
        await asyncio.sleep(0.3)
        assert found.woken == before


async def test_a_renewed_certificate_wakes_the_pair(scene, monkeypatch):
    monkeypatch.setattr(secrets, "SECRET_SECONDS", 2.0)
    monkeypatch.setattr(secrets, "CALM_SECONDS", 2.0)
    first, second = issue("shop.example"), issue("shop.example")
    async with scene() as found:
        await found.put("secrets", tls_secret(first))
        found.manifest(published(tls={"certificateSecretRef": {"name": "shop-tls"}}))
        wanted = (await found.gathered()).certificates["https"].value
        assert wanted.fingerprint == first.fingerprint
        await found.until(lambda: found.woken > 0)
        await asyncio.sleep(0.5)
        before = found.woken
        await found.put("secrets", tls_secret(second))
        await found.until(lambda: found.woken > before)
        deadline = time.monotonic() + GENEROUS_SECONDS
        renewed = wanted
        while renewed.fingerprint != second.fingerprint:
            assert time.monotonic() < deadline, "woken for something else, and not for this"
            gathered = await found.gathered()
            renewed = gathered.certificates["https"].value
            await asyncio.sleep(0.05)
        assert renewed.name == wanted.name
        pem = gathered.material.certificate_of(renewed.name, renewed.fingerprint)
        assert pem == (second.pem + second.key_pem).decode()
        assert "BEGIN" not in repr(gathered)


def tls_secret(issued):
    return secret("shop-tls", "kubernetes.io/tls", tls__crt=issued.pem, tls__key=issued.key_pem)


PARTNER = {"spec.highAvailability.sharedSecretRef.name": "partner"}


async def test_the_shared_secret_is_told_by_a_version_that_follows_its_content_only(scene):
    async with scene() as found:
        found.manifest(**PARTNER)
        await found.put("secrets", secret("partner", secret=b"a-shared-secret"))
        gathered = await found.gathered(fresh=True)
        version = gathered.secret_version.value
        assert len(version) == 32
        assert gathered.material.secret_of(version) == "a-shared-secret"
        assert "a-shared-secret" not in repr(gathered)
        await found.put("secrets", secret("partner", secret=b"a-shared-secret", notes=b"x"))
        assert (await found.gathered(fresh=True)).secret_version.value == version
        await found.put("secrets", secret("partner", secret=b"another-secret"))
        assert (await found.gathered(fresh=True)).secret_version.value != version


@pytest.mark.parametrize(
    ("stored", "reason", "words"),
    [
        (None, "SharedSecretNotFound", "does not exist"),
        ({"other": b"x"}, "SharedSecretNotFound", "has no key secret (its keys: other)"),
        ({"secret": b"short"}, "SharedSecretInvalid", "it has 5 characters instead of 8 to 127"),
        ({"secret": b"a-shared-secret\n"}, "SharedSecretInvalid", "line break at its end"),
        ({"secret": b"it's a secret"}, "SharedSecretInvalid", "neither a letter, a digit nor"),
        ({"secret": "geheimnis-ä".encode()}, "SharedSecretInvalid", "no ASCII"),
    ],
)
async def test_a_wrong_shared_secret_is_told_in_words(scene, namespace, stored, reason, words):
    async with scene() as found:
        found.manifest(**PARTNER)
        if stored is not None:
            await found.put("secrets", secret("partner", **stored))
        told = (await found.gathered()).secret_version
        assert isinstance(told, Unknown)
        assert told.reason == reason
        assert words in told.message
        subject = f"spec.highAvailability.sharedSecretRef: the Secret {namespace}/partner"
        assert told.message.startswith(subject)


@pytest.mark.parametrize(
    ("stored", "reason", "words"),
    [
        (None, "SecretNotFound", "does not exist"),
        ({"tls__crt": b"x", "tls__key": b"x"}, "SecretInvalid", "tls.key is no private key in PEM form"),
        ({"other": b"x"}, "SecretInvalid", "tls.key is missing or empty"),
    ],
)
async def test_a_wrong_certificate_holds_nothing_else_up(scene, namespace, stored, reason, words):
    async with scene() as found:
        await found.put("secrets", secret("partner", secret=b"a-shared-secret"))
        if stored is not None:
            await found.put("secrets", secret("shop-tls", **stored))
        found.manifest(published(tls={"certificateSecretRef": {"name": "shop-tls"}}), **PARTNER)
        gathered = await found.gathered()
        told = gathered.certificates["https"]
        assert isinstance(told, Absent)
        assert told.reason == reason
        assert words in told.message
        path = "spec.services[0].virtualService.tls.certificateSecretRef"
        assert told.message.startswith(f"{path}: the Secret {namespace}/shop-tls")
        assert isinstance(gathered.secret_version, Present)


@pytest.mark.parametrize(
    ("begins", "days", "reason"),
    [
        (-90, -1, "CertificateExpired"),
        (2, 90, "CertificateExpired"),
        (-90, 3, "CertificateExpiresSoon"),
        (-90, 8, None),
        (-3, 3, None),
    ],
)
async def test_a_certificate_near_its_end_is_a_warning(scene, begins, days, reason):
    async with scene() as found:
        await found.put("secrets", tls_secret(issue("shop.example", days=days, begins=begins)))
        found.manifest(published(tls={"certificateSecretRef": {"name": "shop-tls"}}))
        gathered = await found.gathered()
        assert gathered.certificates["https"].value.untimely is (reason == "CertificateExpired")
        assert isinstance(gathered.certificates["https"], Present)
        assert [each.reason for each in gathered.findings] == ([reason] if reason else [])


async def test_what_must_not_be_read_is_told_and_found_again_when_it_may(
    scene, control_plane, namespace, monkeypatch
):
    monkeypatch.setattr(object_watch, "LONGEST_PAUSE", 0.5)
    async with scene() as owner:
        await owner.put("services", service())
        await owner.slices("10.1.0.1")
        configuration = await load_configuration(str(control_plane.kubeconfig))
        configuration.cert_file = configuration.key_file = None
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await asyncio.to_thread(control_plane.request, "POST", account, {"metadata": {"name": "weak"}})
        token = await asyncio.to_thread(
            control_plane.request,
            "POST",
            f"{account}/weak/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )
        configuration.api_key = {"authorization": token["status"]["token"]}
        configuration.api_key_prefix = {"authorization": "Bearer"}
        async with Recording(configuration) as api:
            found = Scene(control_plane, namespace, api)
            running = asyncio.create_task(found.sources.run())
            found.manifest(published(tls={"certificateSecretRef": {"name": "shop-tls"}}), **PARTNER)
            deadline = time.monotonic() + GENEROUS_SECONDS
            while (gathered := await found.gathered()).endpoints["https"].reason != "Forbidden":
                assert time.monotonic() < deadline, gathered.endpoints
                await asyncio.sleep(0.05)
            assert found.woken > 0
            assert "grant it get, list and watch" in gathered.endpoints["https"].message
            assert gathered.secret_version.reason == "SharedSecretNotRead"
            assert "grant it `get` on Secrets there" in gathered.secret_version.message
            assert gathered.certificates["https"].reason == "SecretUnreadable"
            await grant(control_plane, namespace)
            await found.until_real_servers(["10.1.0.1:8080"])
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def grant(plane, namespace):
    """Let the account `weak` read what endpoints are made of."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    verbs = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ]
    role = {"metadata": {"name": "endpoints"}, "rules": rules}
    binding = {
        "metadata": {"name": "endpoints"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "endpoints"},
        "subjects": [{"kind": "ServiceAccount", "name": "weak", "namespace": namespace}],
    }
    await asyncio.to_thread(plane.request, "POST", f"{rbac}/roles", role)
    await asyncio.to_thread(plane.request, "POST", f"{rbac}/rolebindings", binding)
