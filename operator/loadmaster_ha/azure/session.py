"""One subscription seen with one credential: observe, apply one change, look at an operation.

What the controller uses; all pairs with the same subscription and credential share one session (`sessions`),
and with it one snapshot, one budget and one set of connections.
"""

import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from loadmaster_ha.azure import errors, operations, rule_health
from loadmaster_ha.azure.budget import Budget, BudgetExhausted, Clock
from loadmaster_ha.azure.gateway import Gateway
from loadmaster_ha.azure.outcomes import Done, Operation, Outcome, Running, TryLater
from loadmaster_ha.azure.snapshot import Snapshot
from loadmaster_ha.azure.transport import (
    ArmRequest,
    ArmResponse,
    ConnectionFailed,
    NoObserver,
    RequestObserver,
    Transport,
    Verb,
)
from loadmaster_ha.azure.writers import Writers
from loadmaster_ha.domain.reading import Reading, Unknown
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.changes import Change, Put
from loadmaster_ha.planning.diagnosis.model import RuleHealth
from loadmaster_ha.planning.observation import AddressQuestion, Need, Observation, Resource

MOST_ROUNDS: Final = 8
"""After so many rounds of new needs an observation ends; the planner needs at most five."""

SLACK: Final = 0.1
"""A `max_age` is meant to the tenth of a second: callers measure from just before an observation began."""

BUSY_HERE: Final = 2.0
"""Seconds until the next try when an operation of this process runs on the resource."""

_NO_CONNECTION: Final = frozenset(
    (
        "AnswerLost",
        "CertificateNotTrusted",
        "SignInUnavailable",
        "SignInUnreachable",
        "Timeout",
        "Unreachable",
    )
)


class AzureUnreachable(Exception):  # noqa: N818 - reads as what is the case
    """Nothing at all could be read; `reason` is CamelCase, `message` says why and what helps."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class AzureSession:
    """See the module. Closed with `close`, also after an error.

    Args:
        transport: the seam to Azure; owned and closed by the session.
        budget: of this subscription and credential.
        observer: told of every request.
        writers: of the whole process.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        budget: Budget | None = None,
        observer: RequestObserver | None = None,
        writers: Writers | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._clock = clock
        self._gateway = Gateway(transport, budget or Budget(clock=clock), observer or NoObserver())
        self._snapshot = Snapshot(self._gateway, clock=clock)
        self._writers = writers or Writers(clock=clock)

    async def observe(
        self, needs: Callable[[Observation], Collection[Need]], *, max_age: float = 0.0
    ) -> Observation:
        """Read until everything that `needs` names is known.

        Args:
            needs: what should be known, given what is known so far; called until it names nothing new.
            max_age: how old (seconds) a reading made for somebody else may be. What this session wrote is
                read again in any case, unless Azure's answer to the write was final.

        Returns:
            The observation. What could not be read is `Unknown` in it.

        Raises:
            SignInRefused: Azure does not accept the credentials.
            AzureUnreachable: nothing could be read because there is no connection.
        """
        since = self._clock() - max_age - (SLACK if max_age else 0)
        resources: dict[ResourceID, Reading[Resource]] = {}
        addresses: dict[AddressQuestion, Reading[bool]] = {}
        observation = Observation()
        for _ in range(MOST_ROUNDS):
            new = [need for need in needs(observation) if not observation.knows(need)]
            if not new:
                break
            resources.update(
                await self._snapshot.read((need for need in new if isinstance(need, ResourceID)), since=since)
            )
            for question in (need for need in new if isinstance(need, AddressQuestion)):
                addresses[question] = await self._snapshot.may_take(question, since=since)
            _require_something(resources)
            observation = Observation(MappingProxyType(dict(resources)), MappingProxyType(dict(addresses)))
        return observation

    async def apply(self, change: Change, *, permit: Callable[[], None]) -> Outcome:
        """Carry out one change.

        Args:
            change: what to write; a `Put` without an etag is sent so that it only creates.
            permit: called directly before the bytes go out, after all waiting; raises when this process may
            not write any
                more, and that passes through.

        Raises:
            SignInRefused: Azure does not accept the credentials. Never anything for what Azure answers.
        """
        async with self._writers.turn(change.resource):
            running = self._writers.running(change.resource)
            # Looked at here too: whoever began it may not follow it any more.
            if running is not None and isinstance(await self.look(running), Running):
                message = (
                    f"a {running.verb} of {running.resource} that began at {running.started} is still running"
                )
                return TryLater("OperationRunning", message, BUSY_HERE)
            outcome = await self._write(change, permit)
            if isinstance(outcome, Running):
                self._writers.started(outcome.operation)
            return outcome

    async def _write(self, change: Change, permit: Callable[[], None]) -> Outcome:
        gone_out = False

        def permitted() -> None:
            nonlocal gone_out
            permit()
            gone_out = True

        request = _request(change, permitted)
        try:
            response = await self._gateway.send(request)
        except BudgetExhausted as error:
            return _put_off(error)
        except ConnectionFailed as failure:
            return errors.outcome_of_lost_connection(failure)
        finally:
            if gone_out:
                self._snapshot.written(change.resource, request.body)
        outcome = _outcome(request, response)
        if isinstance(outcome, Done) and (body := _finished_resource(request, response)) is not None:
            self._snapshot.answered(change.resource, body)
        return outcome

    async def look(self, operation: Operation) -> Outcome:
        """Look once at a running operation, also at one that another process began.

        Raises:
            SignInRefused: Azure does not accept the credentials.
        """
        try:
            response = await self._gateway.send(operations.poll(operation))
        except BudgetExhausted as error:
            return Running(operation, error.after)
        except ConnectionFailed as failure:
            outcome = operations.lost(operation, failure)
        else:
            outcome = operations.looked(operation, response)
        if isinstance(outcome, Running):
            self._writers.started(operation)
        else:
            self._writers.ended(operation)
            self._snapshot.written(operation.resource, None)
        return outcome

    async def rule_health(self, rule: ResourceID) -> Reading[RuleHealth]:
        """Azure's own view of the members of a balancing rule; takes some seconds. Never raises for Azure."""
        return await rule_health.ask(self._gateway, rule)

    async def close(self) -> None:
        """End the requests under way and close the connections."""
        await self._snapshot.close()
        await self._gateway.close()


def _require_something(resources: dict[ResourceID, Reading[Resource]]) -> None:
    readings = list(resources.values())
    unknown = [
        reading for reading in readings if isinstance(reading, Unknown) and reading.reason in _NO_CONNECTION
    ]
    if readings and len(unknown) == len(readings):
        raise AzureUnreachable(unknown[0].reason, unknown[0].message)


def _request(change: Change, permit: Callable[[], None]) -> ArmRequest:
    if isinstance(change, Put):
        condition = {"If-Match": change.if_match} if change.if_match else {"If-None-Match": "*"}
        return ArmRequest(Verb.PUT, change.resource, body=change.body, headers=condition, permit=permit)
    headers = {"If-Match": change.if_match} if change.if_match else {}
    return ArmRequest(Verb.DELETE, change.resource, headers=headers, permit=permit)


def _outcome(request: ArmRequest, response: ArmResponse) -> Outcome:
    if response.ok:
        return operations.begun(request, response)
    if request.verb is Verb.DELETE and errors.is_gone(response):
        return Done()
    return errors.outcome_of_write(response)


def _finished_resource(request: ArmRequest, response: ArmResponse) -> Mapping[str, Any] | None:
    """The resource in the answer to a PUT, when that is its final state.

    Azure moves the etag once more when an operation ends, so only an answer without an operation counts.
    """
    body = response.body
    if (
        request.verb is not Verb.PUT
        or request.resource != request.resource.top
        or not isinstance(body, Mapping)
    ):
        return None
    properties = body.get("properties")
    state = properties.get("provisioningState") if isinstance(properties, Mapping) else None
    complete = str(body.get("id", "")).lower() == str(request.resource).lower() and "etag" in body
    return body if complete and str(state).lower() == "succeeded" else None


def _put_off(error: BudgetExhausted) -> TryLater:
    reason = "Throttled" if error.throttled else "BudgetExhausted"
    return TryLater(reason, str(error), error.after, throttled=error.throttled)
