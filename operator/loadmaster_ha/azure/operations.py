"""Long-running operations: told from the first answer, looked at one poll at a time, resumable.

Which style applies follows azure-core's order: `Azure-AsyncOperation`, else `Location`, else the resource's
own `provisioningState`, else the write is done (Azure's "Track asynchronous Azure operations"). There is no
final GET: the caller observes the resource anyway.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from loadmaster_ha.azure import errors
from loadmaster_ha.azure.outcomes import Done, Operation, Outcome, Outdated, Running, TryLater
from loadmaster_ha.azure.transport import ArmRequest, ArmResponse, ConnectionFailed, Verb

ASYNC_OPERATION: Final = "AsyncOperation"
LOCATION: Final = "Location"
RESOURCE: Final = "Resource"

FIRST_LOOK: Final = 0.1
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 10.0
"""Where Azure does not say when to look (again): after 0.1 s, for some operations have ended by then, then
after 0.5 s, up to 10 s as it gets older."""

LONGEST_URL: Final = 8192
"""Characters. Operations are kept in the status of the pair, whose schema takes no longer URL."""

LONGEST_OPERATION: Final = 3600.0
"""Seconds after which an operation is given up: what became of it is seen by observing."""

_RUNNING_STATUS: Final = 202


def begun(request: ArmRequest, response: ArmResponse, *, now: datetime | None = None) -> Outcome:
    """What the first, successful answer (2xx) to a PUT or DELETE says: done, or running."""
    now = now or datetime.now(UTC)
    status_url, location = response.header("azure-asyncoperation"), response.header("location")
    if status_url:
        return _running(request, status_url, ASYNC_OPERATION, response, now)
    if location:
        return _running(request, location, LOCATION, response, now)
    if request.verb is Verb.PUT and _is_unfinished(response):
        return _running(request, "", RESOURCE, response, now)
    if response.status == _RUNNING_STATUS and request.verb is Verb.DELETE:
        return _running(request, "", RESOURCE, response, now)
    if request.verb is Verb.PUT and _state(response.body) in ("failed", "canceled"):
        return _ended_badly(request.resource.name, _state(response.body))
    return Done()


def _running(request: ArmRequest, url: str, style: str, response: ArmResponse, now: datetime) -> Running:
    started = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    if len(url) > LONGEST_URL:
        url, style = "", RESOURCE
    operation = Operation(request.resource, str(request.verb), url, style, started)
    after = errors.retry_after(response.headers, now=now)
    if after is None:
        # Azure often answers a PUT with the finished resource and an operation that has ended already.
        after = 0.0 if _state(response.body) == "succeeded" else FIRST_LOOK
    return Running(operation, after)


def _is_unfinished(response: ArmResponse) -> bool:
    state = _state(response.body)
    return state not in ("succeeded", "failed", "canceled") if state else response.status == _RUNNING_STATUS


def _state(body: Any) -> str:
    properties = body.get("properties") if isinstance(body, Mapping) else None
    return str(properties.get("provisioningState") or "").lower() if isinstance(properties, Mapping) else ""


def poll(operation: Operation) -> ArmRequest:
    """The request that looks at an operation once."""
    if operation.style == RESOURCE:
        return ArmRequest(Verb.GET, operation.resource)
    return ArmRequest(Verb.POLL, operation.resource, url=operation.url)


def looked(operation: Operation, response: ArmResponse, *, now: datetime | None = None) -> Outcome:
    """What one poll says.

    An error on the status URL is a failure to read the status, not of the operation. Azure's passing faults
    mean "still running". After anything else (the status is forgotten, or may not be read) only observing can
    tell what became of it.
    """
    now = now or datetime.now(UTC)
    age = _age(operation, now)
    if operation.style == RESOURCE and response.status == 404 and errors.is_gone(response):
        return _vanished(operation)
    if not response.ok:
        return _unreadable(operation, response, age, now)
    match operation.style:
        case "AsyncOperation":
            return _by_status(operation, response, age, now)
        case "Location":
            # 202 is "running", any other success the end; the body is the resource, if anything.
            return (
                _still_running(operation, response, age, now)
                if response.status == _RUNNING_STATUS
                else Done()
            )
        case _:
            return _by_resource(operation, response, age, now)


def lost(operation: Operation, failure: ConnectionFailed, *, now: datetime | None = None) -> Outcome:
    """A poll without an answer: the operation goes on without us."""
    age = _age(operation, now or datetime.now(UTC))
    if age > LONGEST_OPERATION or failure.reason == "ForeignURL":
        return Outdated("OperationUnreadable", failure.message)
    return Running(operation, LONGEST_DELAY)


def _by_status(operation: Operation, response: ArmResponse, age: float, now: datetime) -> Outcome:
    body = response.body if isinstance(response.body, Mapping) else {}
    status = str(body.get("status") or _state(body)).lower()
    if status == "succeeded":
        return Done()
    if status in ("failed", "canceled"):
        return errors.outcome_of_failure(body if "error" in body else {}, cancelled=status == "canceled")
    return _still_running(operation, response, age, now)


def _by_resource(operation: Operation, response: ArmResponse, age: float, now: datetime) -> Outcome:
    state = _state(response.body)
    if state in ("failed", "canceled"):
        return _ended_badly(operation.resource.name, state)
    if operation.verb == Verb.PUT and state in ("", "succeeded"):
        return Done()
    return _still_running(operation, response, age, now)


def _ended_badly(name: str, state: str) -> Outcome:
    message = f"{name} is left in provisioningState {state.capitalize()} and Azure does not say why"
    return (
        Outdated("OperationCanceled", message)
        if state == "canceled"
        else TryLater("OperationFailed", message, errors.FAULT)
    )


def _vanished(operation: Operation) -> Outcome:
    if operation.verb == Verb.DELETE:
        return Done()
    return Outdated("ResourceNotFound", f"{operation.resource} was deleted while it was being written")


def _unreadable(operation: Operation, response: ArmResponse, age: float, now: datetime) -> Outcome:
    passing = response.status in (408, 429) or response.status >= 500
    if passing:
        return _still_running(operation, response, age, now)
    error = errors.ArmError.of(response.body, fallback=f"HTTP{response.status}")
    return Outdated("OperationUnreadable", f"the state of the operation cannot be read: {error.message}")


def _still_running(operation: Operation, response: ArmResponse, age: float, now: datetime) -> Outcome:
    if age > LONGEST_OPERATION:
        minutes = f"{LONGEST_OPERATION / 60:.0f} minutes"
        message = f"the {operation.verb} of {operation.resource} has not ended within {minutes}"
        return Outdated("OperationTimedOut", message)
    after = errors.retry_after(response.headers, now=now)
    if after is None:
        after = min(LONGEST_DELAY, age / 4)
    return Running(operation, max(FIRST_DELAY, after))


def _age(operation: Operation, now: datetime) -> float:
    """Seconds since the operation began; 0 where the clock or the text cannot be trusted."""
    try:
        started = datetime.fromisoformat(operation.started)
        return max(0.0, (now - started).total_seconds())
    except (ValueError, TypeError):
        return 0.0
