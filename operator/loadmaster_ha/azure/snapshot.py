"""What was read of Azure lately, shared by all pairs of a session: few requests, little memory.

* Reads that are wanted by several at the same time are one request.
* Where a list call serves two or more resources that somebody asked for lately, one list replaces the single
  reads. What it holds of others is kept for a minute only, and not much of it: when the operator starts, its
  pairs come one after another.
* A write makes what it may have changed unusable; the next read of just that resource is a single one.

`session` is its only user.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from loadmaster_ha.azure import errors
from loadmaster_ha.azure.budget import BudgetExhausted, Clock
from loadmaster_ha.azure.resource_types import TYPES, UnsupportedRequest
from loadmaster_ha.azure.transport import ArmRequest, ArmResponse, ConnectionFailed, Transport, Verb
from loadmaster_ha.domain.packing import Packing
from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.planning.arm import InvalidResourceID, ResourceID
from loadmaster_ha.planning.observation import AddressQuestion, Resource

INTEREST: Final = 600.0
"""Seconds for which a resource that somebody asked for is kept in mind."""

OFFER: Final = 60.0
"""Seconds for which something of a list is kept for somebody who may ask for it next."""

MOST_OFFERS: Final = 1000
"""At most so many of them."""

LIST_PAUSE: Final = 600.0
"""Seconds without list calls in a collection that turned out to be mostly other people's."""

_HOLDERS: Final = ("microsoft.network/loadbalancers", "microsoft.network/networkinterfaces")
"""What takes private addresses, or gives them back."""

READS_AGAINST_WRITES: Final = 3
"""So often is a resource read when somebody else's writes through this session come in between."""

TIDY: Final = 30.0
"""Seconds between two looks for what nobody wants any more."""

_Collection: TypeAlias = tuple[str, str]
"""Type and path of the parent, in lower case."""

_LINKED: Final = (
    "microsoft.network/loadbalancers",
    "microsoft.network/networkinterfaces",
    "microsoft.network/publicipaddresses",
)


_PACKINGS: Final = defaultdict[str, Packing](Packing)
"""By type of resource."""


def _packing(resource: ResourceID) -> Packing:
    return _PACKINGS[resource.type.lower()]


@dataclass(frozen=True, slots=True)
class _Packed:
    """A resource as packed JSON: a fraction of the memory, and unpacking takes less than a millisecond."""

    id: ResourceID
    etag: str | None
    data: bytes

    @classmethod
    def of(cls, resource: Resource) -> "_Packed":
        text = json.dumps(resource.body, separators=(",", ":"))
        return cls(resource.id, resource.etag, _packing(resource.id).pack(text))

    def unpack(self) -> Resource:
        return Resource(self.id, json.loads(_packing(self.id).unpack(self.data)), self.etag)


@dataclass(slots=True)
class _Entry:
    kept: _Packed | Absent | Unknown
    started: float  # when the request that brought it was sent

    @property
    def reading(self) -> Reading[Resource]:
        return Present(self.kept.unpack()) if isinstance(self.kept, _Packed) else self.kept


@dataclass(slots=True)
class _Answer:
    reading: Reading[bool]
    started: float


@dataclass(slots=True)
class _Flight:
    """A request under way, and when it began."""

    task: "asyncio.Task[None]"
    started: float


class Snapshot:
    """The shared readings of one subscription, seen by one credential."""

    def __init__(self, transport: Transport, *, clock: Clock = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._entries: dict[ResourceID, _Entry] = {}
        self._answers: dict[AddressQuestion, _Answer] = {}
        self._offers: dict[ResourceID, _Entry] = {}
        self._flights: dict[Hashable, _Flight] = {}
        self._asked: defaultdict[_Collection, dict[ResourceID, float]] = defaultdict(dict)
        self._changed: dict[ResourceID, float] = {}
        self._no_lists_until: dict[_Collection, float] = {}
        self._tidied = clock()

    async def read(
        self, wanted: Iterable[ResourceID], *, since: float
    ) -> dict[ResourceID, Reading[Resource]]:
        """Read resources, but not again what was read after `since` and not written to after that.

        Raises:
            SignInRefused: no token could be had.
        """
        now = self._clock()
        collections: defaultdict[_Collection, list[ResourceID]] = defaultdict(list)
        for resource in set(wanted):
            collection = _collection(resource)
            collections[collection].append(resource)
            self._asked[collection][resource] = now
            if (offer := self._offers.pop(resource, None)) is not None:
                self._keep(resource, offer)
        self._tidy(now)
        await _all([self._fetch(collection, members, since) for collection, members in collections.items()])
        return {resource: self._reading(resource) for members in collections.values() for resource in members}

    async def may_take(self, question: AddressQuestion, *, since: float) -> Reading[bool]:
        """Whether an address is free in a virtual network; raises as `read`."""
        entry = self._answers.get(question)
        if entry is None or entry.started < since:
            await self._shared(question, lambda: self._ask(question))
        found = self._answers.get(question)
        return (
            found.reading
            if found
            else Unknown("ChangedMeanwhile", "something was written while this was asked")
        )

    def written(self, resource: ResourceID, body: Mapping[str, Any] | None) -> None:
        """Something may have been written to `resource`: forget it, and what Azure changes along with it.

        Azure keeps back references and etags in step between a balancer, its members' interfaces and its
        public address. The others are those that the new body or the last known one refers to.
        """
        now = self._clock()
        top = resource.top
        known = self._entries.get(top)
        bodies = [body] if body else []
        if known is not None and isinstance(known.kept, _Packed):
            bodies.append(known.kept.unpack().body)
        touched = {top}
        if top.type.lower() in _LINKED:
            touched.update(
                other for one in bodies for other in _references(one) if other.type.lower() in _LINKED
            )
        for other in touched:
            self._changed[other] = now
            self._entries.pop(other, None)
            self._offers.pop(other, None)
        if top.type.lower() in _HOLDERS:
            self._answers.clear()

    def answered(self, resource: ResourceID, body: Mapping[str, Any]) -> None:
        """Azure answered a write with the finished resource: as good as reading it. After `written`."""
        self._keep(resource, _entry(Present(Resource(resource, body, body.get("etag"))), self._clock()))

    def _tidy(self, now: float) -> None:
        """Forget what nobody asked for lately."""
        if now - self._tidied < TIDY:
            return
        self._tidied = now
        for resource in [resource for resource, entry in self._offers.items() if now - entry.started > OFFER]:
            del self._offers[resource]
        old = [question for question, answer in self._answers.items() if now - answer.started > INTEREST]
        for question in old:
            del self._answers[question]
        for collection, members in list(self._asked.items()):
            for resource in [resource for resource, at in members.items() if now - at > INTEREST]:
                del members[resource]
                self._entries.pop(resource, None)
            if not members:
                del self._asked[collection]
        for times in (self._changed, self._no_lists_until):
            for key in [key for key, at in times.items() if now - at > INTEREST]:
                del times[key]  # type: ignore[arg-type]  # the keys are of either kind

    def _usable(self, resource: ResourceID, since: float) -> bool:
        entry = self._entries.get(resource)
        return entry is not None and entry.started >= since

    def _reading(self, resource: ResourceID) -> Reading[Resource]:
        entry = self._entries.get(resource)
        if entry is None:
            return Unknown("ChangedMeanwhile", f"{resource} was written again and again while it was read")
        return entry.reading

    async def _fetch(self, collection: _Collection, members: list[ResourceID], since: float) -> None:
        stale = [resource for resource in members if not self._usable(resource, since)]
        if stale and self._worth_a_list(collection, since):
            began = await self._shared(collection, lambda: self._list(stale[0], collection))
            stale = [resource for resource in stale if not self._usable(resource, min(since, began))]
        await _all([self._single(resource, since) for resource in stale])

    async def _single(self, resource: ResourceID, since: float) -> None:
        for _ in range(READS_AGAINST_WRITES):
            began = await self._shared(resource, lambda: self._get(resource))
            if self._usable(resource, min(since, began)):
                return

    def _worth_a_list(self, collection: _Collection, since: float) -> bool:
        """Two or more would have to be read: those wanted now, and others as old as they.

        Also where something is asked for the first time and others of its kind are known: more may follow.
        """
        kind = TYPES.get(collection[0])
        if kind is None or not kind.listed or self._no_lists_until.get(collection, 0.0) > self._clock():
            return False
        asked = self._asked[collection]
        due = [resource for resource in asked if not self._usable(resource, since)]
        is_new = any(resource not in self._entries and resource not in self._changed for resource in due)
        return len(due) > 1 or (is_new and len(asked) > 1)

    async def _shared(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, None]]) -> float:
        """Join the request for `key` that is under way, or make it; give the time when it began.

        One that began before a write to the resource is not joined. The request is nobody's own: a caller
        that is cancelled does not take it away from the others.
        """
        flight = self._flights.get(key)
        changed = self._changed.get(key, float("-inf")) if isinstance(key, ResourceID) else float("-inf")
        if flight is None or flight.task.done() or flight.started < changed:
            task = asyncio.create_task(start())
            flight = self._flights[key] = _Flight(task, self._clock())
            task.add_done_callback(lambda task: self._landed(key, task))
        await asyncio.shield(flight.task)
        return flight.started

    def _landed(self, key: Hashable, task: "asyncio.Task[None]") -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # all that waited may have been cancelled; then nobody else looks at it

    async def close(self) -> None:
        """End the requests under way."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _get(self, resource: ResourceID) -> None:
        started = self._clock()
        answer = await self._send(ArmRequest(Verb.GET, resource))
        if isinstance(answer, Unknown):
            reading: Reading[Resource] = answer
        elif answer.ok and isinstance(answer.body, Mapping):
            reading = Present(
                Resource(resource, answer.body, answer.header("etag") or answer.body.get("etag"))
            )
        else:
            reading = _unread(answer)
        self._keep(resource, _entry(reading, started))

    async def _list(self, sample: ResourceID, collection: _Collection) -> None:
        """Read a collection page by page, as far as needed, and keep what somebody asked for.

        A collection with more pages than wanted resources is cheaper to read one by one: no more lists there
        for a while.
        """
        started = self._clock()
        wanted = set(self._asked[collection])
        most_pages = len(wanted)
        url: str | None = None
        for _ in range(most_pages):
            answer = await self._send(ArmRequest(Verb.LIST, sample, url=url))
            if isinstance(answer, Unknown) or not answer.ok or not isinstance(answer.body, Mapping):
                self._list_failed(collection, wanted, answer, started)
                return
            self._sort_in(answer.body.get("value") or (), wanted, started)
            url = answer.body.get("nextLink") or None
            if not wanted or url is None:
                self._not_listed(wanted, started)
                return
        self._no_lists_until[collection] = self._clock() + LIST_PAUSE

    def _sort_in(self, items: Iterable[Any], wanted: set[ResourceID], started: float) -> None:
        for item in items:
            try:
                resource = ResourceID.parse(str(item["id"]))
            except (InvalidResourceID, KeyError, TypeError):
                continue
            found = Present(Resource(resource, item, item.get("etag")))
            if resource in wanted:
                wanted.discard(resource)
                self._keep(resource, _entry(found, started))
            elif len(self._offers) < MOST_OFFERS or resource in self._offers:
                self._offers[resource] = _entry(found, started)

    def _not_listed(self, wanted: set[ResourceID], started: float) -> None:
        """What a list does not have is absent only if a read of its own said so: lists may lag behind."""
        for resource in wanted:
            entry = self._entries.get(resource)
            if entry is not None and isinstance(entry.kept, Absent):
                self._keep(resource, _Entry(entry.kept, started))

    def _list_failed(
        self, collection: _Collection, wanted: set[ResourceID], answer: ArmResponse | Unknown, started: float
    ) -> None:
        reading: Reading[Any] = answer if isinstance(answer, Unknown) else _unread(answer)
        denied = isinstance(answer, ArmResponse) and answer.status == 403
        if denied or (isinstance(reading, Absent) and reading.reason != "ResourceGroupNotFound"):
            # Rights may be given on single resources only. They are read one by one.
            self._no_lists_until[collection] = self._clock() + LIST_PAUSE
            return
        for resource in wanted:
            self._keep(resource, _entry(reading, started))

    def _keep(self, resource: ResourceID, entry: _Entry) -> None:
        """Keep the newer of two readings, and none that began before a write."""
        old = self._entries.get(resource)
        changed = self._changed.get(resource, float("-inf"))
        if entry.started >= changed and (old is None or old.started <= entry.started):
            self._entries[resource] = entry

    async def _ask(self, question: AddressQuestion) -> None:
        started = self._clock()
        answer = await self._send(ArmRequest(Verb.GET, question.virtual_network, address=question.address))
        if isinstance(answer, Unknown):
            reading: Reading[bool] = answer
        elif answer.ok and isinstance(answer.body, Mapping) and "available" in answer.body:
            reading = Present(bool(answer.body["available"]))
        else:
            reading = _unread(answer)
        self._answers[question] = _Answer(reading, started)

    async def _send(self, request: ArmRequest) -> ArmResponse | Unknown:
        try:
            return await self._transport.send(request)
        except BudgetExhausted as error:
            return Unknown("Throttled" if error.throttled else "BudgetExhausted", str(error))
        except ConnectionFailed as failure:
            return Unknown(failure.reason, failure.message)
        except UnsupportedRequest as error:
            return Unknown("UnsupportedType", str(error))


def _entry(reading: Reading[Resource], started: float) -> _Entry:
    return _Entry(_Packed.of(reading.value) if isinstance(reading, Present) else reading, started)


def _unread(answer: ArmResponse) -> Reading[Any]:
    if answer.ok:
        return Unknown(
            "UnexpectedAnswer", f"Azure answered {answer.status} without the JSON that was asked for"
        )
    return errors.reading_of_refusal(answer)


def _collection(resource: ResourceID) -> _Collection:
    return (resource.type.lower(), str(resource.parent).lower())


def _references(body: Any) -> Iterable[ResourceID]:
    """The top-level resources that ids in a body belong to."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key == "id" and isinstance(value, str):
                try:
                    yield ResourceID.parse(value).top
                except InvalidResourceID:
                    continue
            else:
                yield from _references(value)
    elif isinstance(body, list | tuple):
        for value in body:
            yield from _references(value)


async def _all(parts: Iterable[Any]) -> None:
    """Run them side by side, wait for all, raise the first failure."""
    results = await asyncio.gather(*parts, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
