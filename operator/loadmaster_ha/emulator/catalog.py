"""What ARM itself answers: tenants, subscriptions, providers, and the list of all resources.

The `$filter` of the resource list is honoured: `az` decides by it whether a network exists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loadmaster_ha.emulator import answers
from loadmaster_ha.emulator.apiversions import SUPPORTED
from loadmaster_ha.emulator.cloud import Reply
from loadmaster_ha.emulator.errors import ArmError, group_not_found, invalid_namespace
from loadmaster_ha.emulator.json_types import obj
from loadmaster_ha.emulator.registry import NAMESPACES, TYPES
from loadmaster_ha.emulator.settings import TENANT

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Call
    from loadmaster_ha.emulator.json_types import JsonObject
    from loadmaster_ha.emulator.store import Resource

_LOCATIONS = {
    "westeurope": "West Europe",
    "northeurope": "North Europe",
    "germanywestcentral": "Germany West Central",
    "swedencentral": "Sweden Central",
    "eastus": "East US",
    "eastus2": "East US 2",
    "westus": "West US",
    "westus2": "West US 2",
}
_TERM = re.compile(
    r"\s*(?:(?P<field>\w+)\s+(?P<operator>eq|ne)\s+'(?P<value>(?:[^']|'')*)'"
    r"|substringof\('(?P<part>(?:[^']|'')*)',\s*(?P<within>\w+)\))\s*",
    re.IGNORECASE,
)
_FIELDS = frozenset({"resourcegroup", "name", "resourcetype", "location", "tagname", "tagvalue"})


def tenants(call: Call) -> Reply:
    """Answer the list of tenants."""
    return answers.page(call, [{"id": f"/tenants/{TENANT}", "tenantId": TENANT, "displayName": "Emulator"}])


def subscriptions(call: Call) -> Reply:
    """Answer the list of subscriptions."""
    return answers.page(call, [_subscription(item) for item in call.cloud.settings.subscriptions])


def subscription(known: str) -> Reply:
    """Answer one subscription."""
    return Reply(200, _subscription(known))


def locations(call: Call, known: str) -> Reply:
    """Answer the regions."""
    found = [
        {
            "id": f"/subscriptions/{known}/locations/{name}",
            "name": name,
            "displayName": shown,
            "regionalDisplayName": shown,
        }
        for name, shown in _LOCATIONS.items()
    ]
    return answers.page(call, found)


def providers(call: Call, known: str) -> Reply:
    """Answer the list of resource providers; all are registered."""
    return answers.page(call, [_provider(known, name) for name in NAMESPACES.values()])


def provider(known: str, namespace: str) -> Reply:
    """Answer one resource provider."""
    name = NAMESPACES.get(namespace.lower())
    if name is None:
        raise invalid_namespace(namespace)
    return Reply(200, _provider(known, name))


def resources(call: Call, known: str, group: str | None = None) -> Reply:
    """Answer the list of resources of a subscription or a group, filtered by `$filter`."""
    store = call.cloud.store
    if group is not None and store.group(known, group) is None:
        raise group_not_found(group)
    found = store.in_group(known, group) if group is not None else list(store.in_subscription(known))
    wanted = parse_filter(call.query.get("$filter", ""))
    return answers.page(call, [_entry(item) for item in found if _matches(item, wanted)])


def parse_filter(text: str) -> list[list[tuple[str, str, str]]]:
    """Read a `$filter` into alternatives (`or`) of conditions (`and`).

    A condition is `(field, operator, value)` in lower case.

    Raises:
        ArmError: 400 `InvalidFilterInQueryString` for what is not understood; nothing is ignored silently.
    """
    if not text.strip():
        return [[]]
    return [[_term(term) for term in _split(part, "and")] for part in _split(text, "or")]


def _split(text: str, word: str) -> list[str]:
    """Split at a word outside of quotes; parentheses around a part are taken off."""
    pieces = re.split(rf"\s+{word}\s+(?=(?:[^']*'[^']*')*[^']*$)", text, flags=re.IGNORECASE)
    return [_bare(piece.strip()) for piece in pieces]


def _bare(text: str) -> str:
    return text[1:-1].strip() if text.startswith("(") and text.endswith(")") else text


def _term(text: str) -> tuple[str, str, str]:
    match = _TERM.fullmatch(text)
    field = (match["field"] or match["within"]).lower() if match else ""
    if match is None or field not in _FIELDS:
        raise ArmError(
            400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string."
        )
    value = (match["value"] if match["field"] else match["part"]).replace("''", "'").lower()
    return field, (match["operator"] or "contains").lower(), value


def _matches(resource: Resource, alternatives: list[list[tuple[str, str, str]]]) -> bool:
    tags = {str(key).lower(): str(value).lower() for key, value in obj(resource.body.get("tags")).items()}
    facts = {
        "resourcegroup": [resource.id.group.lower()],
        "name": [resource.id.name.lower()],
        "resourcetype": [resource.id.type.lower()],
        "location": [resource.location.lower()],
        "tagname": list(tags),
        "tagvalue": list(tags.values()),
    }

    def holds(condition: tuple[str, str, str]) -> bool:
        field, operator, value = condition
        if operator == "contains":
            return any(value in item for item in facts[field])
        return (value in facts[field]) == (operator == "eq")

    return any(all(holds(condition) for condition in conditions) for conditions in alternatives)


def _entry(resource: Resource) -> JsonObject:
    entry: JsonObject = {"id": str(resource.id), "name": resource.id.name, "type": resource.id.type}
    kept = ("location", "tags", "sku", "kind", "zones", "managedBy")
    return entry | {key: resource.body[key] for key in kept if key in resource.body}


def _subscription(known: str) -> JsonObject:
    return {
        "id": f"/subscriptions/{known}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": known,
        "tenantId": TENANT,
        "displayName": f"Emulated {known[:8]}",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def _provider(known: str, namespace: str) -> JsonObject:
    types = [kind.name for kind in TYPES if kind.namespace == namespace]
    if namespace == "Microsoft.Resources":
        types = ["resourceGroups", "deployments"]
    return {
        "id": f"/subscriptions/{known}/providers/{namespace}",
        "namespace": namespace,
        "registrationPolicy": "RegistrationRequired",
        "registrationState": "Registered",
        "resourceTypes": [
            {
                "resourceType": name,
                "locations": list(_LOCATIONS.values()),
                "apiVersions": list(SUPPORTED[namespace.lower()]),
            }
            for name in types
        ],
    }
