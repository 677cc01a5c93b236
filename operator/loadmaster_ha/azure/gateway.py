"""The way out: every request takes from the budget, is measured, and closes the gate when Azure throttles it.

Sits between `session`/`snapshot` and the `transport` seam and is itself a `Transport`.
"""

import logging
import time
from typing import Final

from loadmaster_ha.azure import errors
from loadmaster_ha.azure.budget import Budget, Kind
from loadmaster_ha.azure.resource_types import resource_type
from loadmaster_ha.azure.transport import (
    ArmRequest,
    ArmResponse,
    ConnectionFailed,
    RequestObserver,
    Transport,
    Verb,
)

LOG: Final = logging.getLogger(__name__)

READ_PATIENCE: Final = 20.0
WRITE_PATIENCE: Final = 5.0
"""Seconds that a request may wait for the budget. A write waits shortly only: its plan grows old."""

_KIND: Final = {Verb.PUT: Kind.WRITE, Verb.DELETE: Kind.DELETE, Verb.POST: Kind.WRITE}
_REMAINING: Final = {
    Kind.READ: "x-ms-ratelimit-remaining-subscription-reads",
    Kind.WRITE: "x-ms-ratelimit-remaining-subscription-writes",
    Kind.DELETE: "x-ms-ratelimit-remaining-subscription-deletes",
}


class Gateway:
    """A `Transport` that obeys a budget and tells an observer."""

    def __init__(self, transport: Transport, budget: Budget, observer: RequestObserver) -> None:
        self._transport = transport
        self._budget = budget
        self._observer = observer

    async def send(self, request: ArmRequest) -> ArmResponse:
        """Send the request when the budget allows.

        Raises:
            BudgetExhausted: it would have to wait for too long; nothing was sent.
            UnsupportedRequest: the operator has nothing to do with such resources.
            ConnectionFailed, SignInRefused: as the transport says.
        """
        # As we spell it: ids come in any case, and labels of metrics must not multiply with it.
        type_name = resource_type(request.resource).name
        kind = _KIND.get(request.verb, Kind.READ)
        await self._budget.take(kind, patience=WRITE_PATIENCE if request.verb.is_write else READ_PATIENCE)
        response = await self._measured(request, type_name)
        if (left := (response.header(_REMAINING[kind]) or "").strip()).isdigit():
            self._budget.believe(kind, float(left))
        if errors.is_throttling(response):
            seconds = errors.gate_seconds(response)
            self._budget.close_gate(kind, seconds)
            self._observer.on_throttled(str(request.verb), type_name, seconds)
            LOG.warning("Azure throttles %s: none for %.0f s", kind.value.lower(), seconds)
        self._observer.on_budget(self._budget.ratio(kind))
        if response.status == 401:
            raise errors.sign_in_refusal(response)
        return response

    async def _measured(self, request: ArmRequest, type_name: str) -> ArmResponse:
        began = time.perf_counter()
        code = "Aborted"
        try:
            response = await self._transport.send(request)
            code = str(response.status)
        except ConnectionFailed as failure:
            code = failure.reason
            raise
        else:
            return response
        finally:
            seconds = time.perf_counter() - began
            self._observer.on_request(str(request.verb), type_name, code, seconds)
            # Never the URL: those of operations are signed.
            LOG.debug("%s %s: %s in %.3f s", request.verb, request.resource, code, seconds)

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()
