"""An account that may do everything within one namespace and nothing outside of it, as many operators run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from controlplane.server import ControlPlane

NAME = "confined"


def confined_kubeconfig(plane: ControlPlane, namespace: str, directory: Path) -> Path:
    """Make the account; a kubeconfig with its token."""
    _create(plane, f"/api/v1/namespaces/{namespace}/serviceaccounts", {})
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    _create(plane, f"{rbac}/roles", {"rules": everything})
    binding = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
    }
    _create(plane, f"{rbac}/rolebindings", binding)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{NAME}/token"
    token = plane.request("POST", path, request)["status"]["token"]
    config = yaml.safe_load(plane.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": token}
    kubeconfig = directory / f"{NAME}.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
    return kubeconfig


def _create(plane: ControlPlane, path: str, body: dict[str, Any]) -> None:
    plane.request("POST", path, {"metadata": {"name": NAME}, **body})
