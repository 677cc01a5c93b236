"""Services, EndpointSlices, Nodes and Secrets as Kubernetes' own controllers write them, for tests."""

import base64
from collections.abc import Iterable
from typing import Any

JSON = dict[str, Any]


def service(name: str = "shop", **spec: Any) -> JSON:
    """A Service with the port `http` (80)."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": ports, **spec},
    }


def endpoint_slice(
    addresses: Iterable[str],
    *,
    name: str = "shop-a",
    of: str = "shop",
    nodes: Iterable[str] = (),
    ready: bool = True,
) -> JSON:
    """An EndpointSlice; `nodes` are those that the endpoints run on."""
    on = [*nodes]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": ready, "serving": ready, "terminating": False},
                **({"nodeName": on[number]} if on else {}),
            }
            for number, address in enumerate(addresses)
        ],
    }


def node(name: str, **labels: str) -> JSON:
    """A Node; its state is in `node_status`."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def node_status(address: str, *, ready: bool = True) -> JSON:
    """The status of a Node."""
    return {
        "addresses": [{"type": "InternalIP", "address": address}],
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }


def secret(name: str, kind: str = "Opaque", **data: bytes) -> JSON:
    """A Secret; a double underscore in a key is a dot."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": kind,
        "data": {key.replace("__", "."): base64.b64encode(value).decode() for key, value in data.items()},
    }
