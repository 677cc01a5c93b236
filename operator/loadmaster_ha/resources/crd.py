"""The CustomResourceDefinition of LoadMasterPair, made from the models.

`crds/loadmasterpairs.loadmaster.dev.yaml` holds what `render()` gives; a test fails when it does not. To
write it anew: `python -m loadmaster_ha.resources.crd > crds/loadmasterpairs.loadmaster.dev.yaml`.
"""

import sys
from typing import Any, Final

import yaml

from loadmaster_ha.resources.loadmasterpair import LoadMasterPair
from loadmaster_ha.resources.openapi import Schema, structural

GROUP: Final = "loadmaster.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "LoadMasterPair"
PLURAL: Final = "loadmasterpairs"
NAME: Final = f"{PLURAL}.{GROUP}"

_HEADER: Final = (
    "# Generated from operator/loadmaster_ha/resources; do not edit.\n"
    "# python -m loadmaster_ha.resources.crd > crds/loadmasterpairs.loadmaster.dev.yaml\n"
)

_PRINTER_COLUMNS: Final = (
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        "description": "Whether everything is as the manifest wants it",
    },
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
        "description": "Why it is ready or not",
    },
    {
        "name": "Frontend",
        "type": "string",
        "jsonPath": ".status.frontend.address",
        "description": "Address that clients use",
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {
        "name": "Balancer",
        "type": "string",
        "jsonPath": ".spec.loadBalancer.name",
        "description": "Name of the Azure load balancer",
        "priority": 1,
    },
    {
        "name": "Type",
        "type": "string",
        "jsonPath": ".spec.loadBalancer.type",
        "description": "Internal or Public",
        "priority": 1,
    },
    {
        "name": "Resource-Group",
        "type": "string",
        "jsonPath": ".spec.azure.resourceGroup",
        "description": "Resource group in Azure",
        "priority": 1,
    },
    {
        "name": "Mode",
        "type": "string",
        "jsonPath": ".spec.policy.mode",
        "description": "Enforce or Observe",
        "priority": 1,
    },
)


def schema() -> Schema:
    """The OpenAPI v3 schema of a whole LoadMasterPair."""
    root = structural(LoadMasterPair)
    root["properties"] = {
        "apiVersion": {
            "type": "string",
            "description": "Version of the schema of this object.",
        },
        "kind": {"type": "string", "description": "Kind of this object."},
        "metadata": {"type": "object"},
        **root["properties"],
    }
    return root


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition as the API server takes it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["lmp"],
                "categories": ["loadmaster"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [dict(column) for column in _PRINTER_COLUMNS],
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema()},
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Plain YAML: no anchors, lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write an anchor."""
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 (PyYAML's signature)
        """Indent list items as people do."""
        del indentless
        super().increase_indent(flow, False)


def render() -> str:
    """The CustomResourceDefinition as YAML, as it stands in `crds/`."""
    return _HEADER + yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(render())
