"""Deployments to a resource group: validation, carrying out step by step, and reading.

A deployment is one long-running operation (`kind` deployment). Each time it is due, `advance` makes what can
be made by now and looks when to come again; so a deployment takes as long as its resources do, one after the
other where they depend.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from loadmaster_ha.emulator import answers, apiversions, lifecycle, polling
from loadmaster_ha.emulator.armid import ArmId, key_of, parse_id
from loadmaster_ha.emulator.cloud import Call, Reply
from loadmaster_ha.emulator.deployments.expressions import TemplateError
from loadmaster_ha.emulator.deployments.templates import Scope, Step, Template
from loadmaster_ha.emulator.errors import (
    ArmError,
    group_not_found,
    invalid_resource_type,
    method_not_allowed,
)
from loadmaster_ha.emulator.json_types import JsonObject, obj
from loadmaster_ha.emulator.registry import find_type
from loadmaster_ha.emulator.settings import TENANT

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.deployments.templates import Reader
    from loadmaster_ha.emulator.operations import Operation

_FACT = "deployment"
_RETRY_SECONDS = 0.5
_PASSING = frozenset({"RetryableError", "AnotherOperationInProgress"})
_FAILED = (
    "At least one resource deployment operation failed. Please list deployment operations for details. "
    "Please see "
    "https://aka.ms/arm-deployment-operations for usage details."
)


def answer(call: Call, subscription: str, group_name: str, rest: list[str]) -> Reply:
    """Answer a request under `.../providers/Microsoft.Resources/deployments`; `rest` is what follows that."""
    group = call.cloud.store.group(subscription, group_name)
    if group is None:
        raise group_not_found(group_name)
    scope = Scope(subscription, group.name, str(group.body["location"]), TENANT)
    match call.method, [part.lower() for part in rest[1:]]:
        case "GET", [] if not rest:
            prefix = _id(scope, "").lower()
            found = [view for key, view in call.cloud.store.facts(_FACT).items() if key.startswith(prefix)]
            return answers.page(call, [_view(item) for item in found])
        case "PUT", [] if rest:
            return _put(call, scope, rest[0])
        case "POST", ["validate"]:
            return _validate(call, scope, rest[0])
        case "GET", ["operationstatuses", _]:
            return polling.status(call, rest[2])
        case (("GET" | "HEAD" | "DELETE"), []) if rest:
            return _existing(call, _id(scope, rest[0]), rest[0])
        case "GET", ["operations"]:
            return answers.page(call, [])
        case _:
            raise method_not_allowed(call.method, "Microsoft.Resources/deployments")


def advance(cloud: Cloud, operation: Operation) -> float | None:
    """Carry a deployment on.

    Returns when to come again (seconds since the epoch); `None` when it has ended.
    """
    record = cloud.store.fact(_FACT, operation.resource)
    if record is None:
        operation.status, operation.outcome = "Canceled", "Canceled"
        return None
    template = _template(record, _scope(record))
    errors = _look_at_running(cloud, record)
    if not errors:
        errors = _start_ready(cloud, record, template)
    waiting = [running for running in record["running"].values() if running]
    if waiting and not errors:
        cloud.store.put_fact(_FACT, operation.resource, record)
        dues = [found.due for item in waiting if (found := cloud.operations.get(item))]
        return max([min(dues, default=0.0), cloud.clock()])
    if record["later"] and not errors:
        cloud.store.put_fact(_FACT, operation.resource, record)
        return cloud.clock() + _RETRY_SECONDS
    _end(cloud, operation, record, template, errors)
    return None


def _look_at_running(cloud: Cloud, record: JsonObject) -> list[JsonObject]:
    """Move ended operations from running to done; returns their errors."""
    errors: list[JsonObject] = []
    for key, operation_id in list(record["running"].items()):
        operation = cloud.operations.get(operation_id)
        if operation is not None and not operation.done:
            continue
        del record["running"][key]
        record["done"].append(key)
        if operation is not None and operation.error is not None:
            errors.append(operation.error)
    return errors


def _start_ready(cloud: Cloud, record: JsonObject, template: Template) -> list[JsonObject]:
    """Start every step whose dependencies are done; returns the error of the first that is refused."""
    record["later"] = False
    progress = True
    while progress:
        progress = False
        for step in template.steps:
            key = key_of(step.target)
            if key in record["done"] or key in record["running"] or not step.after <= set(record["done"]):
                continue
            try:
                reply = _make(cloud, record, template, step)
            except ArmError as error:
                if error.code in _PASSING:
                    record["later"] = True
                    continue
                return [error.error()]
            except TemplateError as error:
                return [{"code": "InvalidTemplate", "message": str(error)}]
            url = reply.headers.get("Azure-AsyncOperation", "")
            operation_id = url.partition("?")[0].rpartition("/")[2]
            running = cloud.operations.get(operation_id) if operation_id else None
            if running is not None and not running.done and not _is_done(cloud, step):
                record["running"][key] = operation_id
            else:
                record["done"].append(key)
                progress = True
    return []


def _is_done(cloud: Cloud, step: Step) -> bool:
    """Whether the answer already said that the resource is as it should be."""
    resource = cloud.store.get(step.target.root)
    return resource is not None and resource.state == "Succeeded"


def _make(cloud: Cloud, record: JsonObject, template: Template, step: Step) -> Reply:
    kind = find_type(step.target.namespace, step.target.types[0])
    if kind is None:
        raise invalid_resource_type("/".join(step.target.types), step.target.namespace, step.version)
    call = Call(cloud, "PUT", str(step.target), record["baseUrl"], version=step.version)
    call.body = template.body(step, _reader(cloud, record))
    if len(step.target.types) == 1:
        return lifecycle.put(call, kind, step.target)
    child = kind.children.get(step.target.types[1].lower())
    if child is None or len(step.target.types) > 2:
        raise invalid_resource_type("/".join(step.target.types), step.target.namespace, step.version)
    return lifecycle.put_child(call, kind, child, step.target)


def _reader(cloud: Cloud, record: JsonObject) -> Reader:
    def read(target: ArmId) -> JsonObject:
        kind = find_type(target.namespace, target.types[0])
        call = Call(cloud, "GET", str(target), record["baseUrl"])
        if kind is None:
            raise invalid_resource_type("/".join(target.types), target.namespace, "")
        body = lifecycle.read(call, kind, target.root)
        if len(target.types) == 1:
            return body
        child = kind.children.get(target.types[1].lower())
        found = lifecycle.child_body(body, child, target) if child else None
        return found or {}

    return read


def _end(
    cloud: Cloud, operation: Operation, record: JsonObject, template: Template, errors: list[JsonObject]
) -> None:
    deployed = [str(step.target) for step in template.steps if key_of(step.target) in record["done"]]
    record["outputResources"] = [{"id": item} for item in deployed]
    if not errors:
        try:
            record["outputs"] = template.outputs(_reader(cloud, record))
        except (TemplateError, ArmError) as error:
            errors = [{"code": "DeploymentOutputEvaluationFailed", "message": str(error)}]
    if errors:
        details = [
            {key: item[key] for key in ("code", "message", "details") if key in item} for item in errors
        ]
        operation.status, operation.outcome = "Failed", "Failed"
        operation.error = {
            "code": "DeploymentFailed",
            "target": record["id"],
            "message": _FAILED,
            "details": details,
        }
        record["error"] = operation.error
    record["state"] = operation.status
    record["ended"] = cloud.clock()
    cloud.store.put_fact(_FACT, operation.resource, record)


def _put(call: Call, scope: Scope, name: str) -> Reply:
    cloud = call.cloud
    record = _record(call, scope, name)
    _check(record, scope)
    existed = cloud.store.fact(_FACT, key_of(record["id"])) is not None
    operation = cloud.operations.start(
        "Deployment",
        "deployment",
        key_of(record["id"]),
        namespace="Microsoft.Resources",
        subscription=scope.subscription,
        location=scope.location,
        latency=0.0,
        verdict=call.verdict,
    )
    record["operation"] = operation.id
    cloud.store.put_fact(_FACT, key_of(record["id"]), record)
    query = urlencode({"api-version": call.version})
    url = f"{call.base_url}{record['id']}/operationStatuses/{operation.id}?{query}"
    headers = {"Azure-AsyncOperation": url} | answers.retry_after(call)
    return Reply(200 if existed else 201, _view(record), headers)


def _validate(call: Call, scope: Scope, name: str) -> Reply:
    record = _record(call, scope, name)
    _check(record, scope)
    body = _view(record)
    body["properties"]["provisioningState"] = "Succeeded"
    return Reply(200, body)


def _record(call: Call, scope: Scope, name: str) -> JsonObject:
    properties = obj(call.body.get("properties"))
    if "template" not in properties:
        raise ArmError(
            400,
            "InvalidRequestContent",
            "The emulator takes templates in the request (properties.template), not by link.",
        )
    if str(properties.get("mode", "")).lower() != "incremental":  # az writes it in lower case
        raise ArmError(400, "InvalidDeploymentMode", "The emulator deploys with mode Incremental only.")
    return {
        "id": _id(scope, name),
        "name": name,
        "group": scope.group,
        "location": scope.location,
        "template": obj(properties["template"]),
        "parameters": obj(properties.get("parameters")),
        "baseUrl": call.base_url,
        "state": "Accepted",
        "started": call.cloud.clock(),
        "ended": None,
        "running": {},
        "done": [],
        "later": False,
    }


def _check(record: JsonObject, scope: Scope) -> None:
    """Refuse a template that cannot work, before anything is made.

    Raises:
        ArmError: 400 `InvalidTemplate`, or an api-version or type that does not exist.
    """
    template = _template(record, scope)
    for step in template.steps:
        kind = find_type(step.target.namespace, step.target.types[0])
        if kind is None:
            raise invalid_resource_type("/".join(step.target.types), step.target.namespace, step.version)
        apiversions.check(step.version, kind.namespace, kind.name, scope.location)
    _check_order(template)


def _check_order(template: Template) -> None:
    done: set[str] = set()
    left = list(template.steps)
    while left:
        ready = [step for step in left if step.after <= done]
        if not ready:
            names = ", ".join(step.target.name for step in left)
            raise _invalid(f"Circular dependency detected on resources: {names}.")
        done |= {key_of(step.target) for step in ready}
        left = [step for step in left if step not in ready]


def _template(record: JsonObject, scope: Scope) -> Template:
    try:
        return Template(record["template"], record["parameters"], scope)
    except TemplateError as error:
        raise _invalid(str(error)) from None


def _invalid(text: str) -> ArmError:
    return ArmError(400, "InvalidTemplate", f"Deployment template validation failed: '{text}'.")


def _scope(record: JsonObject) -> Scope:
    parsed = parse_id(record["id"])
    subscription = parsed.subscription if parsed else ""
    return Scope(subscription, record["group"], record["location"], TENANT)


def _existing(call: Call, deployment_id: str, name: str) -> Reply:
    record = call.cloud.store.fact(_FACT, key_of(deployment_id))
    if call.method == "HEAD":
        return Reply(204 if record else 404)
    if call.method == "DELETE":
        call.cloud.store.remove_fact(_FACT, key_of(deployment_id))
        return Reply(204)
    if record is None:
        raise ArmError(404, "DeploymentNotFound", f"Deployment '{name}' could not be found.")
    return Reply(200, _view(record))


def _id(scope: Scope, name: str) -> str:
    group = f"/subscriptions/{scope.subscription}/resourceGroups/{scope.group}"
    return f"{group}/providers/Microsoft.Resources/deployments/{name}"


def _view(record: JsonObject) -> JsonObject:
    seconds = (record["ended"] or record["started"]) - record["started"]
    declared = obj(record["template"].get("parameters"))
    parameters = {
        key: {"type": str(obj(declared.get(key)).get("type", "string")).capitalize()}
        | (
            {}
            if "secure" in str(obj(declared.get(key)).get("type")).lower()
            else {"value": obj(value).get("value")}
        )
        for key, value in record["parameters"].items()
    }
    stamp = dt.datetime.fromtimestamp(record["ended"] or record["started"], dt.UTC).isoformat()
    properties: JsonObject = {
        "mode": "Incremental",
        "provisioningState": record["state"],
        "timestamp": stamp,
        "duration": f"PT{seconds:.7f}S",
        "correlationId": record.get("operation", ""),
        "parameters": parameters,
        "providers": [],
        "dependencies": [],
    }
    properties |= {key: record[key] for key in ("outputs", "outputResources", "error") if key in record}
    return {
        "id": record["id"],
        "name": record["name"],
        "type": "Microsoft.Resources/deployments",
        "properties": properties,
    }
