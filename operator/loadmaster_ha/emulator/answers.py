"""The parts of answers that depend on the request: URLs of operations, their headers, pages of lists.

Operation URLs are absolute and carry parameters that look like Azure's signature; clients must treat them as
opaque.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from loadmaster_ha.emulator.cloud import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadmaster_ha.emulator.cloud import Call
    from loadmaster_ha.emulator.json_types import JsonObject
    from loadmaster_ha.emulator.operations import Operation

_PLACES = {
    "Microsoft.Network": ("operations", "operationResults"),
    "Microsoft.Compute": ("operations", "operations"),
}


def status_url(call: Call, operation: Operation) -> str:
    """Return the URL that tells an operation's status."""
    return _url(call, operation, _PLACES.get(operation.namespace, ("operations", ""))[0])


def result_url(call: Call, operation: Operation) -> str:
    """Return the URL that answers 202 until an operation is done, then its result."""
    return _url(call, operation, _PLACES.get(operation.namespace, ("", "operationResults"))[1])


def operation_headers(
    call: Call, operation: Operation, *, location: bool = False, status: bool = True
) -> dict[str, str]:
    """Return the headers that tell a client where to poll.

    Args:
        call: The request.
        operation: What it started.
        location: Whether `Location` is sent.
        status: Whether `Azure-AsyncOperation` is sent.
    """
    headers = retry_after(call)
    if status:
        headers["Azure-AsyncOperation"] = status_url(call, operation)
        if operation.namespace == "Microsoft.Network":
            headers["Azure-AsyncNotification"] = "Enabled"
    if location:
        url = result_url(call, operation)
        headers["Location"] = f"{url}&monitor=true" if operation.namespace == "Microsoft.Compute" else url
    return headers


def retry_after(call: Call) -> dict[str, str]:
    """Return `Retry-After` when the emulator is told to send it; Azure often does not."""
    seconds = call.cloud.settings.retry_after
    return {} if seconds is None else {"Retry-After": str(seconds)}


def page(call: Call, items: Sequence[JsonObject]) -> Reply:
    """Answer a list, cut into pages with `nextLink`."""
    size = call.cloud.settings.page_size
    token = call.query.get("$skiptoken", "")
    start = int(token) if token.isdigit() else 0
    body: JsonObject = {"value": list(items[start : start + size])}
    if start + size < len(items):
        query = call.query | {"$skiptoken": str(start + size)}
        body["nextLink"] = f"{call.base_url}{call.path}?{urlencode(query)}"
    return Reply(200, body)


def _url(call: Call, operation: Operation, place: str) -> str:
    path = (
        f"/subscriptions/{operation.subscription}/providers/{operation.namespace}/locations/{operation.location}"
        f"/{place}/{operation.id}"
    )
    return f"{call.base_url}{path}?{urlencode({'api-version': call.version} | _signature(operation))}"


def _signature(operation: Operation) -> dict[str, str]:
    """Parameters in the place of Azure's signature. Nothing checks them."""
    digest = hashlib.sha256(operation.id.encode()).hexdigest()
    return {"t": str(int(operation.started * 1000)), "c": digest[:16], "s": digest[16:40], "h": digest[40:]}
