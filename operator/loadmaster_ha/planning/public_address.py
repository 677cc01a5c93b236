"""The public address of a public frontend, where the manifest asks for one of our own (`create: true`).

An address that the manifest only names is used and never written. Ours is Standard and Static, as a Standard
balancer needs it.
"""

from typing import Any

from loadmaster_ha.planning.bodies import properties
from loadmaster_ha.planning.changes import Difference, Put, Section
from loadmaster_ha.planning.diff import differences, merged_tags, tag_differences
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.location import location
from loadmaster_ha.planning.normalise import writable
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.ownership import Origin, Owner, origin_of, owner_of, ownership_tags


def creates_address(layout: Layout) -> bool:
    """Whether the manifest asks for a public address of our own."""
    wanted = layout.spec.load_balancer.frontend.public_ip_address
    return layout.public_address is not None and wanted is not None and wanted.create


def plan_public_address(layout: Layout, observation: Observation) -> Put | None:
    """The write that creates our public address or repairs it; None when there is nothing to do."""
    address = layout.public_address
    if address is None or not creates_address(layout):
        return None
    observed = observation.get(address)
    if observed is None:
        return _creation(layout, observation)
    return _repair(layout, observed)


def _creation(layout: Layout, observation: Observation) -> Put:
    address = layout.public_address
    wanted: dict[str, Any] = {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"}
    wanted.update(_label(layout))
    tags = {**layout.tags, **ownership_tags(layout.identity, Origin.CREATED)}
    body = {
        "location": location(layout, observation),
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": wanted,
        "tags": tags,
    }
    assert address is not None  # noqa: S101 - for mypy; the caller looked
    found = (
        Difference(f"publicIPAddresses[{address.name}]", None, "Standard, Static"),
        *tag_differences({}, tags),
    )
    return Put(Section.PUBLIC_ADDRESS, address, body, None, found)


def _repair(layout: Layout, observed: Resource) -> Put | None:
    body = writable(observed)
    have = properties(observed.body)
    found = (
        [Difference("provisioningState", observed.provisioning_state, "Succeeded")] if observed.failed else []
    )
    label = _label(layout).get("dnsSettings")
    if label is not None:
        settings = have.get("dnsSettings") or {}
        changed = differences("dnsSettings", settings, label)
        if changed:
            found.extend(changed)
            body["properties"]["dnsSettings"] = {**(body["properties"].get("dnsSettings") or {}), **label}
    owner = owner_of(observed, layout.identity)
    origin = origin_of(observed) if owner is Owner.OURS else Origin.ADOPTED
    tags = {
        **(layout.tags if origin is Origin.CREATED else {}),
        **ownership_tags(layout.identity, origin),
    }
    tag_changes = tag_differences(observed.tags, tags)
    if found or (tag_changes and owner is not Owner.NOBODY):
        found.extend(tag_changes)
        body["tags"] = merged_tags(observed.tags, tags)
    if not found:
        return None
    return Put(Section.PUBLIC_ADDRESS, observed.id, body, observed.etag, tuple(found))


def _label(layout: Layout) -> dict[str, Any]:
    wanted = layout.spec.load_balancer.frontend.public_ip_address
    if wanted is None or wanted.dns_label is None:
        return {}
    return {"dnsSettings": {"domainNameLabel": wanted.dns_label}}
