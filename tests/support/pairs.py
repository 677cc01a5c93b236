"""LoadMasterPair manifests for tests, and the way to the API server that checks them."""

import copy
import time
from collections.abc import Mapping
from typing import Any, Final

from controlplane.server import ApiError, ControlPlane
from loadmaster_ha.resources import crd

Manifest = dict[str, Any]

ABSENT: Final = object()
"""As a value in `changed`: the field is taken out."""

DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPLY: Final = "application/apply-patch+yaml"
GENEROUS_SECONDS: Final = 60.0

SUBSCRIPTION: Final = "11111111-2222-3333-4444-555555555555"


def short_pair(name: str = "web") -> Manifest:
    """The shortest manifest there is: everything with a default left out."""
    return {
        "apiVersion": "loadmaster.dev/v1alpha1",
        "kind": "LoadMasterPair",
        "metadata": {"name": name},
        "spec": {
            "azure": {"subscriptionID": SUBSCRIPTION, "resourceGroup": "edge"},
            "master": {"networkInterfaces": [{"name": "eth0", "resource": "lm-0-nic"}]},
            "slave": {"networkInterfaces": [{"name": "eth0", "resource": "lm-1-nic"}]},
            "loadBalancer": {
                "name": "web-ilb",
                "frontend": {"subnet": {"virtualNetwork": "app", "name": "lb"}},
            },
        },
    }


def two_armed_pair(name: str = "web") -> Manifest:
    """As `short_pair`, with a second interface (eth1) on each unit."""
    return changed(
        short_pair(name),
        {
            "spec.master.networkInterfaces.1": {"name": "eth1", "resource": "lm-0-nic-1"},
            "spec.slave.networkInterfaces.1": {"name": "eth1", "resource": "lm-1-nic-1"},
        },
    )


def managed_pair(name: str = "web") -> Manifest:
    """As `two_armed_pair`, with credentials for both units."""
    return changed(
        two_armed_pair(name),
        {
            "spec.master.management.credentialsSecretRef.name": "lm-0-login",
            "spec.slave.management.credentialsSecretRef.name": "lm-1-login",
        },
    )


def public_pair(name: str = "web") -> Manifest:
    """As `short_pair`, with a public balancer on an existing address."""
    return changed(
        short_pair(name),
        {
            "spec.loadBalancer.type": "Public",
            "spec.loadBalancer.frontend": {"publicIPAddress": {"name": "web-ip"}},
        },
    )


def changed(manifest: Manifest, changes: Mapping[str, Any]) -> Manifest:
    """A copy with values set by dotted path, e.g. `{"spec.healthCheck.port": 8445}`.

    Objects on the way are made; a number is an index into a list, where one past the end appends.
    """
    result = copy.deepcopy(manifest)
    for path, value in changes.items():
        *way, last = path.split(".")
        here: Any = result
        for step in way:
            here = here[int(step)] if isinstance(here, list) else here.setdefault(step, {})
        if value is ABSENT:
            del here[last]
        elif isinstance(here, list) and int(last) == len(here):
            here.append(copy.deepcopy(value))
        elif isinstance(here, list):
            here[int(last)] = copy.deepcopy(value)
        else:
            here[last] = copy.deepcopy(value)
    return result


def install_crd(plane: ControlPlane) -> None:
    """Install the CRD as generated, unless it is there, and wait until it is served."""
    try:
        plane.request("POST", DEFINITIONS, crd.definition())
    except ApiError as error:
        if error.status != 409:
            raise
    deadline = time.monotonic() + GENEROUS_SECONDS
    while not _served(plane):
        assert time.monotonic() < deadline, f"the CRD is not served after {GENEROUS_SECONDS} s"
        time.sleep(0.05)


def _served(plane: ControlPlane) -> bool:
    try:
        plane.request("GET", f"/apis/{crd.API_VERSION}/{crd.PLURAL}")
    except ApiError as error:
        if error.status not in {404, 503}:
            raise
        return False
    return True


class Pairs:
    """LoadMasterPairs of one namespace on a real API server, with strict field validation."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace
        self.path = f"/apis/{crd.API_VERSION}/namespaces/{namespace}/{crd.PLURAL}"

    def try_out(self, manifest: Manifest) -> Manifest:
        """What a creation would store; nothing is stored."""
        return self.plane.request("POST", f"{self.path}?dryRun=All&fieldValidation=Strict", manifest)

    def refusal(self, manifest: Manifest) -> ApiError | None:
        """Why a creation would be refused; None if it would not."""
        try:
            self.try_out(manifest)
        except ApiError as error:
            return error
        return None

    def create(self, manifest: Manifest) -> Manifest:
        return self.plane.request("POST", f"{self.path}?fieldValidation=Strict", manifest)

    def get(self, name: str) -> Manifest:
        return self.plane.request("GET", f"{self.path}/{name}")

    def update(self, manifest: Manifest) -> Manifest:
        name = manifest["metadata"]["name"]
        return self.plane.request("PUT", f"{self.path}/{name}?fieldValidation=Strict", manifest)

    def apply(self, manifest: Manifest, *, manager: str = "tests", subresource: str = "") -> Manifest:
        """Server-side apply."""
        path = f"{self.path}/{manifest['metadata']['name']}{subresource}"
        query = f"fieldManager={manager}&fieldValidation=Strict"
        return self.plane.request("PATCH", f"{path}?{query}", manifest, content_type=APPLY)
