"""Virtual services as the management API finds and changes them, for the handlers of services and servers.

A change is planned on a snapshot, shown to the data plane as what the services would be, and committed only
if the settings are still those it was planned on; else it is planned anew. So what HAProxy refuses is never
stored, and two clients (or a client and the partner) cannot both create the same service.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary

from loadmaster_ha.agent.api.dispatch import Call, Refused, refuse_on_standby
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.service_settings import ServerAddress, StoredKey
from loadmaster_ha.agent.services import service, virtual_services
from loadmaster_ha.agent.settings.model import Change, Delete, Fields, Kind, Put
from loadmaster_ha.domain.virtual_services import VirtualService
from loadmaster_ha.loadmaster.values import InvalidValueError, parse
from loadmaster_ha.loadmaster.values import Kind as WireKind

_ATTEMPTS: Final = 20
_changing: WeakKeyDictionary[Unit, asyncio.Lock] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Found:
    """A virtual service of this unit, as stored and as served."""

    key: StoredKey
    fields: Fields
    service: VirtualService
    servers: Mapping[ServerAddress, Fields]

    @property
    def index(self) -> int:
        """`Index`."""
        return self.service.index


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A real server of a virtual service."""

    owner: Found
    where: ServerAddress
    fields: Fields

    @property
    def key(self) -> str:
        """Its key in the store."""
        return self.owner.key.server(self.where)


def everything(snapshot: Snapshot, unit: Unit) -> tuple[Found, ...]:
    """All virtual services that this unit understands, by index."""
    servers: dict[str, dict[ServerAddress, Fields]] = {}
    for key, fields in snapshot.entities(Kind.REAL_SERVER).items():
        owner, _, address = key.partition("|")
        where = ServerAddress.parse(address)
        if where is not None:
            servers.setdefault(owner, {})[where] = fields
    entities = snapshot.entities(Kind.VIRTUAL_SERVICE).items()
    found = (_found(key, fields, servers.get(key, {}), unit) for key, fields in entities)
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.index))


def find(call: Call, snapshot: Snapshot, unit: Unit) -> Found:
    """The virtual service that `vs`, `port`, `prot` name: an index, or an own address with port and protocol.

    Raises:
        Refused: there is none (422).
    """
    which = call.text("vs") or ""
    entities = snapshot.entities(Kind.VIRTUAL_SERVICE)
    if which.isdigit():
        key = next((key for key, fields in entities.items() if fields.get("Index") == int(which)), "")
        wanted = f"index {which}"
    else:
        stored = StoredKey(interface_of(which, unit), port_of(call), call.text("prot") or "tcp")
        key, wanted = str(stored), f"{which}:{stored.port}/{stored.protocol}"
    found = _found(key, entities[key], servers_of(snapshot, key), unit) if key in entities else None
    if found is None:
        raise Refused(422, f"Unknown VS: there is no virtual service {wanted}.")
    return found


def servers_of(snapshot: Snapshot, key: str) -> Mapping[ServerAddress, Fields]:
    """The stored real servers of the virtual service with this key."""
    prefix = f"{key}|"
    named = (
        (ServerAddress.parse(each.removeprefix(prefix)), fields)
        for each, fields in snapshot.entities(Kind.REAL_SERVER).items()
        if each.startswith(prefix)
    )
    return {where: fields for where, fields in named if where is not None}


def find_server(call: Call, snapshot: Snapshot, unit: Unit) -> FoundServer:
    """The real server that `rs` and `rsport` name: an address with its port, or `!` and an index.

    Raises:
        Refused: there is none, or it is not told from others (422).
    """
    owner = find(call, snapshot, unit)
    which, port = call.text("rs") or "", call.number("rsport")
    if which.startswith("!"):
        hits = [where for where, fields in owner.servers.items() if str(fields.get("RsIndex")) == which[1:]]
    else:
        address = address_of(which, "rs")
        hits = [where for where in owner.servers if where.address == address and port in {None, where.port}]
    if len(hits) > 1:
        raise Refused(422, f"rsport: {which} is there with several ports; say which.")
    if not hits:
        wanted = which if port is None else f"{which}:{port}"
        raise Refused(422, f"Unknown RS: virtual service {owner.index} has no real server {wanted}.")
    return FoundServer(owner, hits[0], owner.servers[hits[0]])


def interface_of(text: str, unit: Unit) -> str:
    """The interface whose own address this is.

    Raises:
        Refused: it is none of this unit's (guide, 1.1), or no address at all.
    """
    address = address_of(text, "vs")
    for interface, own in unit.own_addresses.items():
        if own == address:
            return interface
    have = ", ".join(f"{own} ({interface})" for interface, own in unit.own_addresses.items())
    raise Refused(
        422,
        f"vs: {address} is not an address of this unit's network interfaces. In Azure a virtual service has "
        f"the address of the interface; this unit has {have}.",
    )


def address_of(text: str, name: str) -> str:
    """The address in its canonical spelling.

    Raises:
        Refused: it is none.
    """
    try:
        return str(parse(WireKind.ADDRESS, text))
    except InvalidValueError as error:
        raise Refused(422, f"{name}: {text!r} {error}.") from error


def port_of(call: Call, name: str = "port") -> int:
    """A port of a virtual service.

    Raises:
        Refused: it is missing, or `*`.
    """
    text = call.text(name)
    if text is None:
        raise Refused(422, f"{name}: missing; it is needed beside an address.")
    if not text.isdigit():
        raise Refused(
            422, f"{name}: {text} is not possible: a service for every port needs layer 4 forwarding."
        )
    return int(text)


async def change(unit: Unit, plan: Callable[[Snapshot], Sequence[Change]]) -> Snapshot:
    """Plan changes of services and servers, have the data plane look at them, commit them; the settings then.

    Raises:
        Refused: `plan` or the data plane refuses, and nothing has been changed.
    """
    # One at a time, or many clients would make each other begin anew. The partner's changes still come in
    # between, hundreds of them when it was away: what they leave as it was tried is not tried again.
    async with _changing.setdefault(unit, asyncio.Lock()):
        tried: set[VirtualService] | None = None
        for _ in range(_ATTEMPTS):
            before = unit.settings.snapshot
            changes = plan(before)
            former = virtual_services(before, unit.own_addresses)
            services = virtual_services(Preview(before, changes), unit.own_addresses)
            known = {id(each) for each in former}  # a service that did not change is not built anew
            new = _unnumbered(each for each in services if id(each) not in known)
            if tried is None or not new <= tried:
                await unit.balancing.check_change(services)
                tried = new.union(tried or ())
            refuse_on_standby(unit)  # it may have handed over while HAProxy was asked
            if unit.settings.snapshot is before:
                unit.settings.commit(changes)
                return unit.settings.snapshot
    raise Refused(
        503, "Others change the settings at the same time, again and again: nothing was done. Try again."
    )


def _unnumbered(services: Iterable[VirtualService]) -> set[VirtualService]:
    """The services without their numbers: which one is free changes with every service that others create."""
    return {
        replace(each, index=0, real_servers=tuple(replace(server, index=0) for server in each.real_servers))
        for each in services
    }


class Preview:
    """A snapshot as it would be after changes."""

    def __init__(self, snapshot: Snapshot, changes: Sequence[Change]) -> None:
        self._snapshot = snapshot
        self._changed: dict[Kind, dict[str, Fields]] = {}
        for each in changes:
            entities = self._changed.setdefault(each.kind, dict(self.entities(each.kind)))
            if isinstance(each, Delete):
                entities.pop(each.key, None)
            else:
                entities[each.key] = _merged(entities.get(each.key, {}), each)

    def entities(self, kind: Kind) -> Mapping[str, Fields]:
        """The entities of a kind by their keys."""
        return self._changed[kind] if kind in self._changed else self._snapshot.entities(kind)

    def get(self, kind: Kind, key: str) -> Fields | None:
        """The fields of one entity."""
        return self.entities(kind).get(key)


def _merged(old: Fields, put: Put) -> Fields:
    if not old and None not in put.fields.values():
        return put.fields  # a thousand new services are not copied
    fields = {**old, **put.fields}
    return {name: value for name, value in fields.items() if value is not None}


def _found(text: str, fields: Fields, servers: Mapping[ServerAddress, Fields], unit: Unit) -> Found | None:
    key = StoredKey.parse(text)
    read = service(text, fields, {str(where): each for where, each in servers.items()}, unit.own_addresses)
    return None if key is None or read is None else Found(key, fields, read, servers)
