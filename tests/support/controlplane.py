"""Control planes for tests: one shared by all workers of a run, private ones for the rest.

The fixtures in tests/conftest.py are the way in; hack/controlplane does the work. A shared one
costs 2.4 s and 330 MB once a run, so tests take a namespace of their own in it. What concerns the
whole cluster (two operators, a stopped API server) takes a private one.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from controlplane.server import ApiError, ControlPlane

GROUP_VERSION = "loadmaster.dev/v1alpha1"
MERGE_PATCH = "application/merge-patch+json"


@contextlib.contextmanager
def shared_control_plane(rendezvous: Path) -> Iterator[ControlPlane]:
    """Give the control plane of everybody who names the same `rendezvous` file.

    The first one starts it, the last one to leave (or to be killed) ends it.
    """
    with rendezvous.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = rendezvous.read_text(encoding="utf-8") if rendezvous.exists() else ""
        plane = ControlPlane.join(Path(folder)) if folder else None
        if plane is None:
            plane = ControlPlane.start()
            rendezvous.write_text(str(plane.folder), encoding="utf-8")
    try:
        yield plane
    finally:
        plane.release()


def empty_namespace(plane: ControlPlane, namespace: str) -> None:
    """Remove our custom resources from a namespace, finalizers or not.

    A cluster-wide operator of a later test must not meet them. The namespace itself stays:
    without a controller manager none ever finishes deleting.
    """
    for plural in _our_resources(plane):
        listed = plane.request("GET", f"/apis/{GROUP_VERSION}/namespaces/{namespace}/{plural}")
        for item in listed["items"]:
            path = f"/apis/{GROUP_VERSION}/namespaces/{namespace}/{plural}/{item['metadata']['name']}"
            with contextlib.suppress(ApiError):  # an operator that is just ending may be faster
                plane.request("DELETE", path)
                plane.request("PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE_PATCH)


def _our_resources(plane: ControlPlane) -> list[str]:
    try:
        resources = plane.request("GET", f"/apis/{GROUP_VERSION}")["resources"]
    except ApiError as error:
        if error.status == 404:  # this test installed no CRD
            return []
        raise
    return [resource["name"] for resource in resources if "/" not in resource["name"]]
