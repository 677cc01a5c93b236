"""The one narrow seam to Azure Resource Manager: a request goes in, a raw answer comes out.

`sdk` implements it with the Azure SDK; everything above (`gateway`, `snapshot`, `session`) knows only this
module, so that no SDK model, exception or retry ever reaches it. An answer of any status is a value. An
exception means that there was no answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from loadmaster_ha.planning.arm import ResourceID


class Verb(StrEnum):
    """What a request does; it decides about the budget it is taken from and the label it is counted under."""

    GET = "GET"
    LIST = "LIST"
    PUT = "PUT"
    DELETE = "DELETE"
    POLL = "POLL"
    POST = "POST"

    @property
    def is_write(self) -> bool:
        """Whether the request may change something."""
        return self in (Verb.PUT, Verb.DELETE)


class ConnectionFailed(Exception):  # noqa: N818 - reads as what happened
    """There is no answer. `sent` tells whether Azure may have received (and carried out) the request."""

    def __init__(self, reason: str, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.sent = sent


@dataclass(frozen=True, slots=True)
class ArmRequest:
    """One request.

    Exactly one of these forms:
        GET, PUT, DELETE of `resource`; GET with `address`: may this private address be taken in `resource` (a
        virtual network); LIST of the type of `resource` in its resource group (`resource` is any resource of
        the collection), its further pages by `url`; POLL of `url` (opaque, complete); POST: the health of
        `resource` (a balancing rule), which changes nothing.

    `permit` is called directly before the bytes go out, also when the SDK repeats the request after a
    challenge; what it raises passes through and nothing is sent.
    """

    verb: Verb
    resource: ResourceID
    url: str | None = None
    body: Mapping[str, Any] | None = None
    address: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    permit: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class ArmResponse:
    """One answer: status, headers (names in lower case) and the JSON body (None when there is none)."""

    status: int
    headers: Mapping[str, str]
    body: Any = None

    @property
    def ok(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """The header, whatever the case of its name."""
        return self.headers.get(name.lower())


class Transport(Protocol):
    """Sends one request, once: no retries, no redirects, no registration of providers, no polling."""

    async def send(self, request: ArmRequest) -> ArmResponse:
        """Send the request.

        Raises:
            ConnectionFailed: no answer came.
            SignInRefused: no token could be had.
        """
        ...  # pragma: no cover

    async def close(self) -> None:
        """Close the connections."""
        ...  # pragma: no cover


class RequestObserver(Protocol):
    """Told of every request; implemented by the operator's metrics."""

    def on_request(self, method: str, resource_type: str, code: str, seconds: float) -> None:
        """One request ended: verb, resource type, status code (or why there was none) and its time."""
        ...  # pragma: no cover

    def on_throttled(self, method: str, resource_type: str, seconds: float) -> None:
        """Azure throttled a request; all of its kind wait `seconds`."""
        ...  # pragma: no cover

    def on_budget(self, ratio: float) -> None:
        """What is left of the budget of the kind that was used last, 0 to 1."""
        ...  # pragma: no cover


class NoObserver:
    """A `RequestObserver` for processes without metrics."""

    def on_request(self, method: str, resource_type: str, code: str, seconds: float) -> None:
        """Count nothing."""

    def on_throttled(self, method: str, resource_type: str, seconds: float) -> None:
        """Count nothing."""

    def on_budget(self, ratio: float) -> None:
        """Count nothing."""
