"""The URLs of long-running operations: their status, and their result.

Status (`Azure-AsyncOperation`) is always 200 with a `status`; results (`Location`) are 202 until the
operation is done. The network provider says no more than the status; compute adds name and times (recorded).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from loadmaster_ha.emulator import answers
from loadmaster_ha.emulator.cloud import Reply
from loadmaster_ha.emulator.errors import ArmError

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Call
    from loadmaster_ha.emulator.json_types import JsonObject
    from loadmaster_ha.emulator.operations import Operation


def status(call: Call, operation_id: str) -> Reply:
    """Answer the status of an operation."""
    operation = _find(call, operation_id)
    if operation.kind == "deployment" and not operation.done:
        return Reply(200, {"status": "Running"}, answers.retry_after(call))
    body: JsonObject = {"status": operation.status}
    if operation.namespace != "Microsoft.Network":
        body = {"startTime": _time(operation.started)}
        if operation.done:
            body["endTime"] = _time(operation.ended)
        body |= {"status": operation.status, "name": operation.id}
    if operation.done and operation.error is not None:
        body["error"] = operation.error
    return Reply(200, body, {} if operation.done else answers.retry_after(call))


def result(call: Call, operation_id: str) -> Reply:
    """Answer the result of an operation: 202 while it runs; then what it made, or its error."""
    return result_of(call, _find(call, operation_id))


def result_of(call: Call, operation: Operation) -> Reply:
    """Answer the result of an operation at hand."""
    if not operation.done:
        return Reply(
            202, None, {"Location": f"{call.base_url}{call.path}{_query(call)}"} | answers.retry_after(call)
        )
    if operation.status != "Succeeded" and operation.error is not None:
        raise ArmError(
            409 if operation.status == "Canceled" else 500,
            str(operation.error["code"]),
            str(operation.error["message"]),
        )
    if operation.result is not None:
        return Reply(200, operation.result)
    return Reply(204 if operation.kind == "delete" and operation.namespace == "Microsoft.Network" else 200)


def _query(call: Call) -> str:
    return "?" + "&".join(f"{key}={value}" for key, value in call.query.items())


def _find(call: Call, operation_id: str) -> Operation:
    operation = call.cloud.operations.get(operation_id)
    if operation is None:
        raise ArmError(404, "OperationNotFound", f"Operation {operation_id} not found.", details=())
    return operation


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
