"""Create, read, change and delete any resource: what ARM and its providers do alike for all types.

The order of checks is Azure's: resource group, etag preconditions, locks, the type's validation, references.
A child's PUT or DELETE is a change of one list in its parent, validated as a whole; parent and children share
the etag.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from loadmaster_ha.emulator import answers
from loadmaster_ha.emulator.armid import ArmId, key_of, parse_id
from loadmaster_ha.emulator.cloud import Reply, next_etag
from loadmaster_ha.emulator.errors import (
    ArmError,
    child_not_found,
    dangling_reference,
    group_not_found,
    locked,
    method_not_allowed,
    not_provisioned,
    operation_in_progress,
    resource_not_found,
    superseded,
)
from loadmaster_ha.emulator.etags import check_preconditions
from loadmaster_ha.emulator.json_types import JsonObject, deep, named, objects
from loadmaster_ha.emulator.registry import exists, type_of
from loadmaster_ha.emulator.resource_type import ChildType, Draft, ResourceType
from loadmaster_ha.emulator.store import Resource

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Call, Cloud
    from loadmaster_ha.emulator.operations import Operation


# -- reading


def read(call: Call, kind: ResourceType, target: ArmId) -> JsonObject:
    """Return the body of a top-level resource, as it is or (stale) as it was before its last change.

    Raises:
        ArmError: `ResourceGroupNotFound` or `ResourceNotFound`.
    """
    group = _require_group(call.cloud, target)
    if call.stale and key_of(target) in call.cloud.before:
        before = call.cloud.before[key_of(target)]
        if before is not None:
            return before
        raise resource_not_found(kind.full_name, target.name, group)
    resource = call.cloud.store.get(target)
    if resource is None:
        raise resource_not_found(kind.full_name, target.name, group)
    return kind.view(call.cloud, resource)


def get(call: Call, kind: ResourceType, target: ArmId) -> Reply:
    """Answer a GET of a resource."""
    body = read(call, kind, target)
    return Reply(200, body, {"ETag": str(body["etag"])} if "etag" in body else {})


def get_child(call: Call, kind: ResourceType, child: ChildType, target: ArmId) -> Reply:
    """Answer a GET of a child."""
    body = child_body(read(call, kind, target.root), child, target)
    if body is None:
        raise child_not_found(str(target))
    return Reply(200, body, {"ETag": str(body["etag"])} if "etag" in body else {})


def child_body(parent: JsonObject, child: ChildType, target: ArmId) -> JsonObject | None:
    """Return a child's body out of its parent's."""
    return named(objects(parent["properties"].get(child.name)), target.name)


# -- writing


def put(call: Call, kind: ResourceType, target: ArmId) -> Reply:
    """Answer a PUT: the resource becomes what the body says; what the body leaves out is gone."""
    cloud = call.cloud
    group = _require_group(cloud, target)
    existing = cloud.store.get(target)
    if existing is None:
        target = ArmId(target.subscription, group, kind.namespace, (kind.name,), target.names)
    else:
        target = existing.id
    check_preconditions(call, kind, target, existing.etag if existing else None)
    _check_lock(call, kind, existing, f"Put{kind.label}Operation")
    document = kind.normalise(Draft(cloud, target, deep(call.body), existing))
    return _commit(call, kind, target, document, f"Put{kind.label}Operation")


def put_child(call: Call, kind: ResourceType, child: ChildType, target: ArmId) -> Reply:
    """Answer a PUT of a child.

    Raises:
        ArmError: 405 for a read-only child, 404 for a missing parent, else what the parent's validation
        finds.
    """
    if not child.writable:
        raise method_not_allowed("PUT", f"{kind.full_name}/{child.name}")
    parent = _require_parent(call, kind, target)
    items = objects(parent.properties.get(child.name))
    old = named(items, target.name)
    target = parent.id.child(child.name, str(old["name"]) if old else target.name)
    check_preconditions(call, kind, target, parent.etag if old else None)
    _check_lock(call, kind, parent, f"Put{child.label}Operation")
    new = {key: value for key, value in deep(call.body).items() if key not in ("id", "type", "etag")}
    new["name"] = target.name
    body = _whole(parent)
    body["properties"][child.name] = (
        [new if item is old else item for item in items] if old else [*items, new]
    )
    document = kind.normalise(Draft(call.cloud, parent.id, body, parent, (child, target.name)))
    reply = _commit(call, kind, parent.id, document, f"Put{child.label}Operation")
    reply.status = 200 if old else 201
    reply.body = child_body(reply.body, child, target)
    return reply


def delete(call: Call, kind: ResourceType, target: ArmId) -> Reply:
    """Answer a DELETE; 204 when there is nothing to delete."""
    cloud = call.cloud
    _require_group(cloud, target)
    resource = cloud.store.get(target)
    if resource is None:
        return Reply(204)
    check_preconditions(call, kind, resource.id, resource.etag)
    name = f"Delete{kind.label}Operation"
    _check_lock(call, kind, resource, name)
    kind.check_delete(cloud, resource)
    cloud.before[resource.key] = kind.view(cloud, resource)
    if kind.synchronous:
        remove(cloud, resource)
        return Reply(200)
    operation = _start(call, kind, resource, name, "delete")
    resource.state, resource.running, resource.operation = "Deleting", operation.id, name
    cloud.touch(resource)
    return Reply(kind.delete_status, None, answers.operation_headers(call, operation, location=True))


def delete_child(call: Call, kind: ResourceType, child: ChildType, target: ArmId) -> Reply:
    """Answer a DELETE of a child."""
    if not child.writable:
        raise method_not_allowed("DELETE", f"{kind.full_name}/{child.name}")
    _require_group(call.cloud, target)
    parent = call.cloud.store.get(target.root)
    items = objects(parent.properties.get(child.name)) if parent else []
    old = named(items, target.name)
    if parent is None or old is None:
        return Reply(204)
    check_preconditions(call, kind, target, parent.etag)
    name = f"Delete{child.label}Operation"
    _check_lock(call, kind, parent, name)
    body = _whole(parent)
    body["properties"][child.name] = [item for item in items if item is not old]
    document = kind.normalise(Draft(call.cloud, parent.id, body, parent, (child, target.name)))
    reply = _commit(call, kind, parent.id, document, name, location=True)
    return Reply(202, None, reply.headers)


def patch(call: Call, kind: ResourceType, target: ArmId) -> Reply:
    """Answer a PATCH: tags for network resources; for compute, properties are merged as well."""
    resource = call.cloud.store.get(target)
    group = _require_group(call.cloud, target)
    if resource is None:
        raise resource_not_found(kind.full_name, target.name, group)
    check_preconditions(call, kind, resource.id, resource.etag)
    _check_lock(call, kind, resource, f"Put{kind.label}Operation")
    if kind.namespace == "Microsoft.Compute":
        call.body = merge(_whole(resource), call.body)
        return put(call, kind, target)
    call.cloud.before[resource.key] = kind.view(call.cloud, resource)
    resource.body["tags"] = dict(call.body.get("tags") or {})
    resource.etag = next_etag(resource)
    call.cloud.store.put(resource)
    return Reply(200, kind.view(call.cloud, resource))


def merge(base: JsonObject, change: JsonObject) -> JsonObject:
    """Apply a JSON merge patch (RFC 7386)."""
    merged = dict(base)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def plant(cloud: Cloud, kind: ResourceType, target: ArmId, body: JsonObject) -> Resource:
    """Store a resource without any validation: what can no longer be created, or is broken."""
    existing = cloud.store.get(target)
    document = {key: value for key, value in deep(body).items() if key not in ("id", "name", "type", "etag")}
    properties = document.setdefault("properties", {})
    state = str(properties.pop("provisioningState", "Succeeded"))
    properties.pop("resourceGuid", None)
    resource = existing or Resource(target, {}, "", state, str(uuid.uuid4()))
    before = existing.body if existing else None
    cloud.before[key_of(target)] = kind.view(cloud, existing) if existing else None
    resource.body, resource.state, resource.running = document, state, ""
    resource.etag = "" if kind.synchronous else next_etag(existing, numeric=kind.numeric_etag)
    cloud.store.put(resource)
    kind.wrote(cloud, resource, before)
    return resource


def action(call: Call, kind: ResourceType, target: ArmId, name: str) -> Reply:
    """Answer a POST of a resource's action, for example `start`."""
    group = _require_group(call.cloud, target)
    handler = kind.actions.get(name.lower())
    if handler is None:
        raise method_not_allowed("POST", f"{kind.full_name}/{name}")
    resource = call.cloud.store.get(target)
    if resource is None:
        raise resource_not_found(kind.full_name, target.name, group)
    return handler(call, resource)


def remove(cloud: Cloud, resource: Resource) -> None:
    """Remove a resource and let its neighbours know."""
    cloud.store.remove(resource)
    type_of(resource).removed(cloud, resource)


# -- parts


def _commit(
    call: Call, kind: ResourceType, target: ArmId, document: JsonObject, name: str, *, location: bool = False
) -> Reply:
    """Store a checked document, start its operation and build the answer."""
    cloud = call.cloud
    existing = cloud.store.get(target)
    before = existing.body if existing else None
    resource = existing or Resource(target, {}, "", "", str(uuid.uuid4()))
    candidate = Resource(target, document, "", "", resource.guid, hidden=resource.hidden)
    _check_references(cloud, kind, candidate)
    cloud.before[resource.key] = kind.view(cloud, existing) if existing else None
    unchanged = existing is not None and before == document and existing.state == "Succeeded"
    loser = existing.running if existing else ""
    resource.body = document
    if not kind.synchronous:
        resource.etag = next_etag(existing, numeric=kind.numeric_etag)
    headers: dict[str, str] = {}
    resource.operation = name
    resource.fresh = existing is None or (existing.fresh and bool(existing.running))
    resource.running = ""
    if kind.synchronous:
        resource.state, resource.fresh = "Succeeded", False
    else:
        # Azure answers an unchanged PUT with Succeeded at once (recorded), however long its writes take.
        operation = _start(call, kind, resource, name, "put", at_once=unchanged)
        _supersede(cloud, loser, operation)
        at_once = operation.due <= cloud.clock() and operation.outcome == "Succeeded"
        if at_once and (kind.answers_succeeded or unchanged):
            resource.state, resource.fresh = "Succeeded", False
        else:
            resource.state = kind.creating_state if existing is None else "Updating"
            resource.running = operation.id
        if resource.running or not kind.quiet_when_done or location:
            headers = answers.operation_headers(call, operation, location=location)
    cloud.store.put(resource)
    kind.wrote(cloud, resource, before)
    created = existing is None and not kind.synchronous
    return Reply(201 if created else 200, kind.view(cloud, resource), headers)


def _start(
    call: Call, kind: ResourceType, resource: Resource, name: str, what: str, *, at_once: bool = False
) -> Operation:
    return call.cloud.operations.start(
        name,
        "delete" if what == "delete" else "put",
        resource.key,
        namespace=kind.namespace,
        subscription=resource.id.subscription,
        location=resource.location or str(call.body.get("location", "")),
        latency=0.0 if at_once else call.cloud.settings.latency_of(kind.full_name),
        verdict=call.verdict,
    )


def _require_group(cloud: Cloud, target: ArmId) -> str:
    group = cloud.store.group(target.subscription, target.group)
    if group is None:
        raise group_not_found(target.group)
    if group.state == "Deleting":
        raise ArmError(
            409,
            "ResourceGroupBeingDeleted",
            f"The resource group '{group.name}' is in deprovisioning state and cannot perform this "
            "operation.",
        )
    return group.name


def _require_parent(call: Call, kind: ResourceType, target: ArmId) -> Resource:
    _require_group(call.cloud, target)
    parent = call.cloud.store.get(target.root)
    if parent is None:
        raise ArmError(
            404,
            "ParentResourceNotFound",
            "Failed to perform 'write' on resource(s) of type "
            f"'{kind.name}/{target.types[1]}', because the parent resource '{target.root}' could not be "
            "found.",
            headers={"x-ms-failure-cause": "gateway"},
        )
    return parent


def _whole(resource: Resource) -> JsonObject:
    """Return a stored resource as a body that could have been sent."""
    body = deep(resource.body)
    body.setdefault("properties", {})
    return body


def _check_lock(call: Call, kind: ResourceType, resource: Resource | None, name: str) -> None:
    """Refuse a write while another one is under way, unless it may supersede that."""
    running = call.cloud.operations.get(resource.running) if resource and resource.running else None
    if resource is None or running is None or running.done:
        return
    if kind.lock == "supersede" and running.kind == "put" and name.startswith("Put"):
        return
    if kind.lock == "conflict":
        raise operation_in_progress(answers.status_url(call, running))
    raise locked(running.name, running.id, str(resource.id), call.cloud.operations.remaining(running))


def _supersede(cloud: Cloud, loser: str, winner: Operation) -> None:
    """Cancel the operation that a newer write replaces."""
    running = cloud.operations.get(loser) if loser else None
    if running is not None and not running.done:
        error = superseded(running.name, running.id, winner.name, winner.id)
        cloud.operations.cancel(running, error.error())


def _check_references(cloud: Cloud, kind: ResourceType, resource: Resource) -> None:
    """Refuse references to what is not there (400) or is being changed or broken (429)."""
    for reference in kind.links(resource).references:
        target = parse_id(reference.target)
        if target is None:
            raise dangling_reference(reference.target, reference.source)
        root = target.root
        if key_of(root) == resource.key:
            continue
        if not exists(cloud.store, target):
            raise dangling_reference(reference.target, reference.source)
        used = cloud.store.get(root)
        if used is not None and used.state != "Succeeded" and kind.namespace == "Microsoft.Network":
            raise not_provisioned(str(used.id), str(resource.id), used.state, used.operation)
