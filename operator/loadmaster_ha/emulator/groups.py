"""Resource groups: create, read, list, delete with everything in them."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from loadmaster_ha.emulator import answers
from loadmaster_ha.emulator.cloud import Reply
from loadmaster_ha.emulator.errors import ArmError, group_not_found, location_mismatch, method_not_allowed
from loadmaster_ha.emulator.resource_type import canonical_location
from loadmaster_ha.emulator.store import Group

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Call, Cloud
    from loadmaster_ha.emulator.json_types import JsonObject
    from loadmaster_ha.emulator.operations import Operation


def view(group: Group) -> JsonObject:
    """Return the body of a group."""
    head: JsonObject = {
        "id": f"/subscriptions/{group.subscription}/resourceGroups/{group.name}",
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
    }
    return head | group.body | {"properties": {"provisioningState": group.state}}


def answer(call: Call, subscription: str, name: str) -> Reply:
    """Answer a request for one group."""
    group = call.cloud.store.group(subscription, name)
    if call.method == "PUT":
        return _put(call, subscription, name, group)
    if call.method == "HEAD":
        return Reply(204 if group else 404)
    if group is None:
        raise group_not_found(name)
    if call.method == "GET":
        return Reply(200, view(group))
    if call.method == "PATCH":
        group.body |= {key: call.body[key] for key in ("tags", "managedBy") if key in call.body}
        call.cloud.store.put_group(group)
        return Reply(200, view(group))
    if call.method == "DELETE":
        return _delete(call, group)
    raise method_not_allowed(call.method, "Microsoft.Resources/resourceGroups")


def listing(call: Call, subscription: str) -> Reply:
    """Answer the list of a subscription's groups."""
    return answers.page(call, [view(group) for group in call.cloud.store.groups(subscription)])


def deletion(cloud: Cloud, token: str) -> Operation | None:
    """Return the deletion that the last segment of an operationresults URL stands for."""
    try:
        job = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))["jobId"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
    return cloud.operations.get(str(job).partition("-")[2])


def _put(call: Call, subscription: str, name: str, group: Group | None) -> Reply:
    location = call.body.get("location")
    if not isinstance(location, str) or not location:
        raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
    location = canonical_location(location)
    if group is not None and group.body["location"] != location:
        raise location_mismatch(name, name, group.body["location"], location)
    body = {key: call.body[key] for key in ("tags", "managedBy") if key in call.body}
    new = Group(subscription, group.name if group else name, {"location": location} | body)
    call.cloud.store.put_group(new)
    return Reply(200 if group else 201, view(new))


def _delete(call: Call, group: Group) -> Reply:
    operation = call.cloud.operations.start(
        "DeleteResourceGroup",
        "group",
        group.key,
        namespace="Microsoft.Resources",
        subscription=group.subscription,
        location=str(group.body["location"]),
        latency=call.cloud.settings.latency_of("Microsoft.Resources/resourceGroups"),
        verdict=call.verdict,
    )
    group.state = "Deleting"
    call.cloud.store.put_group(group)
    job = {"jobId": f"RESOURCEGROUPDELETIONJOB-{operation.id.upper()}", "jobLocation": operation.location}
    token = base64.urlsafe_b64encode(json.dumps(job, separators=(",", ":")).encode()).rstrip(b"=").decode()
    url = f"{call.base_url}/subscriptions/{group.subscription}/operationresults/{token}"
    query = urlencode({"api-version": call.version})
    return Reply(202, None, {"Location": f"{url}?{query}"} | answers.retry_after(call))
