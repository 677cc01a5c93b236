"""Faults that a test or a demonstration asks for: which request they hit, and what happens to it.

A fault is posted as JSON to `/_emulator/faults` (fields below, camelCase). It counts the requests that match
and strikes from the `nth` on, `count` times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from loadmaster_ha.emulator.operations import Verdict

_FIELDS = frozenset(
    {
        "verb",
        "path",
        "nth",
        "count",
        "status",
        "code",
        "message",
        "retryAfter",
        "delay",
        "drop",
        "operation",
        "operationLatency",
        "staleRead",
        "clientId",
        "clientSecret",
        "body",
        "headers",
    }
)
_SHAPES: dict[str, type | tuple[type, ...]] = {
    "verb": str,
    "path": str,
    "nth": int,
    "count": int,
    "status": int,
    "code": str,
    "message": str,
    "retryAfter": int,
    "delay": (int, float),
    "drop": str,
    "operation": str,
    "operationLatency": (int, float),
    "staleRead": bool,
    "clientId": str,
    "clientSecret": str,
    "headers": dict,
}


class FaultError(ValueError):
    """A fault description that makes no sense; the text says which field and why."""


@dataclass(slots=True)
class Fault:
    """One fault.

    Attributes:
        verb: HTTP method; `*` for any. Several are joined by `|`.
        path: Regular expression, searched in the path (without the query), case-insensitive.
        nth: The first matching request that it hits, from 1.
        count: How many it hits; 0: all from `nth` on.
        status: Answer this instead of doing anything.
        code: Error code of that answer, or of the failed operation.
        message: Error text likewise.
        body: Whole body of that answer, instead of code and message.
        headers: More headers of that answer.
        retry_after: Seconds in `Retry-After`; also on an answer that succeeds.
        delay: Seconds to wait before anything else.
        drop: Close the connection `before` the request takes effect, or `after` it did.
        operation: How the long-running operation ends: `Failed` or `Canceled`.
        operation_latency: How long it takes, in seconds, instead of the configured latency.
        stale_read: Answer what was true before the last write.
        client_id: Hit only token requests of this client; refused as a wrong secret unless `status` says
            otherwise.
        client_secret: Likewise, of this secret.
    """

    id: int
    verb: str = "*"
    path: str = ""
    nth: int = 1
    count: int = 1
    status: int | None = None
    code: str = ""
    message: str = ""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    delay: float = 0.0
    drop: Literal["before", "after"] | None = None
    operation: Literal["Failed", "Canceled"] | None = None
    operation_latency: float | None = None
    stale_read: bool = False
    client_id: str | None = None
    client_secret: str | None = None
    matched: int = 0
    hits: int = 0

    @property
    def for_sign_in(self) -> bool:
        """Whether it is about the credentials of a token request."""
        return self.client_id is not None or self.client_secret is not None

    def strikes(self, method: str, path: str) -> bool:
        """Count a request, and say whether the fault hits it."""
        if self.verb != "*" and method not in self.verb.upper().split("|"):
            return False
        if not re.search(self.path, path, re.IGNORECASE):
            return False
        self.matched += 1
        hit = self.matched >= self.nth and (self.count == 0 or self.hits < self.count)
        self.hits += hit
        return hit

    def verdict(self) -> Verdict | None:
        """Return what becomes of the operation that the request starts; `None`: nothing special."""
        if self.operation is None and self.operation_latency is None:
            return None
        return Verdict(
            self.operation or "Succeeded",
            self.code or "InternalServerError",
            self.message or "An error occurred.",
            self.operation_latency,
        )

    def view(self) -> dict[str, Any]:
        """Return the fault with its counters, in the words of the API. Secrets stay out."""
        shown: dict[str, Any] = {
            "id": self.id,
            "verb": self.verb,
            "path": self.path,
            "nth": self.nth,
            "count": self.count,
        }
        optional = {
            "status": self.status,
            "code": self.code or None,
            "message": self.message or None,
            "retryAfter": self.retry_after,
            "delay": self.delay or None,
            "drop": self.drop,
            "operation": self.operation,
            "operationLatency": self.operation_latency,
            "staleRead": self.stale_read or None,
            "clientId": self.client_id,
        }
        shown |= {key: value for key, value in optional.items() if value is not None}
        return shown | {"matched": self.matched, "hits": self.hits}


class Faults:
    """The faults in force, oldest first. The first one that strikes decides."""

    def __init__(self) -> None:
        self._all: list[Fault] = []
        self._next = 1

    def add(self, body: Any) -> Fault:
        """Add a fault from its JSON.

        Raises:
            FaultError: If a field is unknown or has an impossible value.
        """
        if not isinstance(body, dict):
            raise FaultError("a fault is a JSON object")
        unknown = sorted(set(body) - _FIELDS)
        if unknown:
            raise FaultError(f"unknown field {unknown[0]!r}; known: {', '.join(sorted(_FIELDS))}")
        for key, shape in _SHAPES.items():
            if key in body and (
                not isinstance(body[key], shape) or (shape is int and isinstance(body[key], bool))
            ):
                raise FaultError(f"{key}: {body[key]!r} has the wrong type")
        _check_values(body)
        names = {
            "retryAfter": "retry_after",
            "staleRead": "stale_read",
            "clientId": "client_id",
            "clientSecret": "client_secret",
            "operationLatency": "operation_latency",
        }
        arguments: dict[str, Any] = {names.get(str(key), str(key)): value for key, value in body.items()}
        fault = Fault(self._next, **arguments)
        self._next += 1
        self._all.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> None:
        """Remove one fault, or all."""
        self._all = [] if fault_id is None else [fault for fault in self._all if fault.id != fault_id]

    def list(self) -> list[dict[str, Any]]:
        """Return all faults with their counters."""
        return [fault.view() for fault in self._all]

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits an ARM or metadata request; all matching ones count it."""
        struck = [fault for fault in self._all if not fault.for_sign_in and fault.strikes(method, path)]
        return struck[0] if struck else None

    def strike_sign_in(self, method: str, path: str, client: str, secret: str) -> Fault | None:
        """Return the fault that hits a token request with these credentials."""
        for fault in self._all:
            if not fault.for_sign_in:
                continue
            right_client = fault.client_id is None or fault.client_id.lower() == client.lower()
            right_secret = fault.client_secret is None or fault.client_secret == secret
            if right_client and right_secret and fault.strikes(method, path):
                return fault
        return None


def _check_values(body: dict[str, Any]) -> None:
    try:
        re.compile(body.get("path", ""))
    except re.error as error:
        raise FaultError(f"path: not a regular expression: {error}") from None
    if body.get("nth", 1) < 1 or body.get("count", 1) < 0:
        raise FaultError("nth starts at 1; count is 0 (for ever) or more")
    if not 100 <= body.get("status", 200) <= 599:
        raise FaultError(f"status: {body['status']} is no HTTP status")
    if body.get("drop") not in (None, "before", "after"):
        raise FaultError("drop: before or after")
    if body.get("operation") not in (None, "Failed", "Canceled"):
        raise FaultError("operation: Failed or Canceled")
    actions = {
        "status",
        "delay",
        "drop",
        "operation",
        "operationLatency",
        "staleRead",
        "clientId",
        "clientSecret",
        "retryAfter",
    }
    if not actions & set(body):
        raise FaultError(f"nothing would happen: give one of {', '.join(sorted(actions))}")
