"""From a request's path to who answers it. Segments are compared case-insensitively, as ARM does.

`classify` names the resource type of any path for counting; `route` answers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator import answers, apiversions, catalog, groups, lifecycle, polling
from loadmaster_ha.emulator.armid import ArmId, parse_id
from loadmaster_ha.emulator.compute.virtual_machines import instance_view
from loadmaster_ha.emulator.deployments import deployments
from loadmaster_ha.emulator.errors import (
    ArmError,
    group_not_found,
    invalid_namespace,
    invalid_resource_type,
    method_not_allowed,
    resource_not_found,
    subscription_not_found,
)
from loadmaster_ha.emulator.network.membership import member_interfaces
from loadmaster_ha.emulator.registry import NAMESPACES, find_type, type_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadmaster_ha.emulator.cloud import Call, Reply
    from loadmaster_ha.emulator.resource_type import ChildType, ResourceType

_RESOURCES = "Microsoft.Resources"
_READING_ACTIONS = frozenset({"instanceview", "checkipaddressavailability"})


def classify(path: str) -> str:
    """Return the resource type a path is about, for example `Microsoft.Network/loadBalancers/probes`."""
    parts = path.strip("/").split("/")
    lower = [part.lower() for part in parts]
    if "operations" in lower or "operationresults" in lower or "operationstatuses" in lower:
        return "operations"
    if "providers" not in lower:
        return {1: "subscriptions", 2: "subscriptions", 3: lower[-1], 4: "resourceGroups"}.get(
            len(parts), lower[-1]
        )
    rest = parts[lower.index("providers") + 1 :]
    if len(rest) < 2:
        return "providers"
    kind = find_type(rest[0], rest[1])
    if kind is None:
        return f"{NAMESPACES.get(rest[0].lower(), rest[0])}/{rest[1]}"
    names = [kind.full_name]
    for segment in rest[3::2]:
        child = kind.children.get(segment.lower())
        names.append(child.name if child else segment)
    return "/".join(names)


def route(call: Call) -> Reply:
    """Answer an ARM request.

    Raises:
        ArmError: Any refusal.
    """
    parts = call.path.strip("/").split("/")
    lower = [part.lower() for part in parts]
    if lower == ["tenants"]:
        return _own(call, "tenants", lambda: catalog.tenants(call))
    if lower[0] == "providers" and len(parts) <= 2:
        return _own(call, "providers", lambda: catalog.providers(call, call.cloud.settings.subscriptions[0]))
    if lower[0] != "subscriptions":
        raise ArmError(
            404, "NotFound", f"No HTTP resource was found that matches the request URI '{call.path}'."
        )
    if len(parts) == 1:
        return _own(call, "subscriptions", lambda: catalog.subscriptions(call))
    if not call.cloud.knows_subscription(parts[1]):
        raise subscription_not_found(parts[1])
    return _in_subscription(call, parts, lower)


def _in_subscription(call: Call, parts: list[str], lower: list[str]) -> Reply:
    reply = _of_arm(call, parts, lower) or _of_providers(call, parts, lower)
    if reply is None:
        raise ArmError(
            404, "NotFound", f"No HTTP resource was found that matches the request URI '{call.path}'."
        )
    return reply


def _of_arm(call: Call, parts: list[str], lower: list[str]) -> Reply | None:  # noqa: PLR0911 - a table of paths
    """Answer for what ARM itself keeps in a subscription; `None` when the path is about something else."""
    known = parts[1]
    match lower[2:]:
        case []:
            return _own(call, "subscriptions", lambda: catalog.subscription(known))
        case ["locations"]:
            return _own(call, "locations", lambda: catalog.locations(call, known))
        case ["resources"]:
            return _own(call, "resources", lambda: catalog.resources(call, known))
        case ["resourcegroups"]:
            return _own(call, "resourceGroups", lambda: groups.listing(call, known))
        case ["resourcegroups", _]:
            return _own(call, "resourceGroups", lambda: groups.answer(call, known, parts[3]), any_method=True)
        case ["resourcegroups", _, "resources"]:
            return _own(call, "resources", lambda: catalog.resources(call, known, parts[3]))
        case ["operationresults", _]:
            return _group_deletion(call, parts[3])
        case _:
            return None


def _of_providers(call: Call, parts: list[str], lower: list[str]) -> Reply | None:  # noqa: PLR0911 - a table of paths
    """Answer for resource providers and their resources; `None` when the path is about neither."""
    known = parts[1]
    match lower[2:]:
        case ["providers"]:
            return _own(call, "providers", lambda: catalog.providers(call, known))
        case ["providers", _]:
            return _own(call, "providers", lambda: catalog.provider(known, parts[3]))
        case ["providers", _, "register"]:
            return _own(call, "providers", lambda: catalog.provider(known, parts[3]), any_method=True)
        case ["providers", _, "locations", _, "operations" | "operationresults" as place, _]:
            return _operation(call, parts[3], place, parts[7])
        case ["providers", _, _]:
            return _subscription_list(call, known, parts[3], parts[4])
        case ["resourcegroups", _, "providers", *rest] if rest:
            return _in_group(call, known, parts[3], parts[5:])
        case _:
            return None


def _own(call: Call, kind: str, answer: Callable[[], Reply], *, any_method: bool = False) -> Reply:
    """Answer for one of ARM's own resources."""
    call.version = apiversions.check(call.query.get("api-version"), _RESOURCES, kind)
    if not any_method and call.method not in ("GET", "HEAD"):
        raise method_not_allowed(call.method, kind)
    return answer()


def _group_deletion(call: Call, token: str) -> Reply:
    operation = groups.deletion(call.cloud, token)
    if operation is None:
        raise ArmError(404, "NotFound", "The operation was not found.")
    return polling.result_of(call, operation)


def _operation(call: Call, namespace: str, place: str, operation_id: str) -> Reply:
    call.version = apiversions.check(call.query.get("api-version"), namespace, "locations/operations")
    if place == "operationresults" or call.query.get("monitor", "").lower() == "true":
        return polling.result(call, operation_id)
    return polling.status(call, operation_id)


def _subscription_list(call: Call, known: str, namespace: str, name: str) -> Reply:
    kind = _kind(call, namespace, name)
    if call.method != "GET":
        raise method_not_allowed(call.method, kind.full_name)
    found = call.cloud.store.of_type(known, kind.full_name)
    return answers.page(call, [lifecycle.read(call, kind, item.id) for item in found])


def _in_group(call: Call, known: str, group: str, rest: list[str]) -> Reply:
    if rest[0].lower() == "microsoft.resources" and len(rest) > 1 and rest[1].lower() == "deployments":
        call.version = apiversions.check(call.query.get("api-version"), _RESOURCES, "deployments")
        return deployments.answer(call, known, group, rest[2:])
    if len(rest) == 1:
        raise invalid_namespace(rest[0])
    kind = _kind(call, rest[0], rest[1])
    if len(rest) == 2:
        return _group_list(call, kind, known, group)
    target = ArmId(known, group, kind.namespace, (kind.name,), (rest[2],))
    if len(rest) == 3:
        return _resource(call, kind, target)
    return _beneath(call, kind, target, rest[3:])


def _kind(call: Call, namespace: str, name: str) -> ResourceType:
    if namespace.lower() not in NAMESPACES:
        raise invalid_namespace(namespace)
    kind = find_type(namespace, name)
    version = call.query.get("api-version", "")
    if kind is None:
        raise invalid_resource_type(name, namespace, version)
    call.version = apiversions.check(version, kind.namespace, kind.name)
    return kind


def _group_list(call: Call, kind: ResourceType, known: str, group: str) -> Reply:
    if call.method != "GET":
        raise method_not_allowed(call.method, kind.full_name)
    if call.cloud.store.group(known, group) is None:
        raise group_not_found(group)
    wanted = kind.full_name.lower()
    found = [item for item in call.cloud.store.in_group(known, group) if item.id.type.lower() == wanted]
    return answers.page(call, [lifecycle.read(call, kind, item.id) for item in found])


def _resource(call: Call, kind: ResourceType, target: ArmId) -> Reply:
    match call.method:
        case "GET":
            reply = lifecycle.get(call, kind, target)
            _expand(call, target, reply)
            return reply
        case "PUT":
            return lifecycle.put(call, kind, target)
        case "PATCH":
            return lifecycle.patch(call, kind, target)
        case "DELETE":
            return lifecycle.delete(call, kind, target)
        case _:
            raise method_not_allowed(call.method, kind.full_name)


def _expand(call: Call, target: ArmId, reply: Reply) -> None:
    """Honour `$expand=instanceView` of virtual machines."""
    resource = call.cloud.store.get(target)
    if resource is None or call.query.get("$expand", "").lower() != "instanceview":
        return
    if target.types == ("virtualMachines",):
        reply.body["properties"]["instanceView"] = instance_view(resource)


def _beneath(call: Call, kind: ResourceType, target: ArmId, rest: list[str]) -> Reply:
    """Answer for children, collections of children, and actions."""
    child = kind.children.get(rest[0].lower())
    if child is None:
        reading = call.method == "GET" and rest[0].lower() in _READING_ACTIONS
        if len(rest) == 1 and (call.method == "POST" or reading):
            return lifecycle.action(call, kind, target, rest[0])
        raise invalid_resource_type(f"{kind.name}/{rest[0]}", kind.namespace, call.version)
    if len(rest) == 1:
        return _child_list(call, kind, child, target)
    if len(rest) == 3 and call.method == "POST":
        call.query["rule"] = rest[1]
        return lifecycle.action(call, kind, target, rest[2])
    if len(rest) > 2:
        raise invalid_resource_type("/".join((kind.name, *rest[::2])), kind.namespace, call.version)
    return _child(call, kind, child, target.child(child.name, rest[1]))


def _child(call: Call, kind: ResourceType, child: ChildType, own: ArmId) -> Reply:
    match call.method:
        case "GET":
            return lifecycle.get_child(call, kind, child, own)
        case "PUT":
            return lifecycle.put_child(call, kind, child, own)
        case "DELETE":
            return lifecycle.delete_child(call, kind, child, own)
        case _:
            raise method_not_allowed(call.method, f"{kind.full_name}/{child.name}")


def _child_list(call: Call, kind: ResourceType, child: ChildType, target: ArmId) -> Reply:
    if call.method != "GET":
        raise method_not_allowed(call.method, f"{kind.full_name}/{child.name}")
    body = lifecycle.read(call, kind, target)
    if child.name != "networkInterfaces":
        return answers.page(call, body["properties"].get(child.name, []))
    balancer = call.cloud.store.get(target)
    if balancer is None:
        raise resource_not_found(kind.full_name, target.name, target.group)
    members = [parsed for item in member_interfaces(call.cloud, balancer) if (parsed := parse_id(item))]
    found = [resource for item in members if (resource := call.cloud.store.get(item))]
    return answers.page(call, [type_of(item).view(call.cloud, item) for item in found])
