"""From the settings to the virtual services that this unit serves.

The store holds services by the *name* of the interface (`eth0:443/tcp`), with the management API's own
parameter names as fields, so that the same setting means each unit's own address. Here they become `domain`
values for this unit's addresses: the data plane renders those, and the management API's lists read from
them. What the fields mean is `loadmaster.virtual_service_fields`; keys, and what this unit takes, are
`service_settings`.

Nothing here fails: a partner of a newer version may have written fields, or values, that this one does not
know. What it cannot read counts as not set; a service that makes no sense without it (no index, no such
interface here, another protocol) is left out and named in `unreadable`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from typing import Protocol as TypingProtocol

from loadmaster_ha.agent.service_settings import DEFAULT_TLS_TYPE, ServerAddress, StoredKey
from loadmaster_ha.agent.settings.model import Fields, Kind
from loadmaster_ha.domain.virtual_services import (
    Protocol,
    RealServer,
    ServiceKey,
    ServiceType,
    VirtualService,
)
from loadmaster_ha.loadmaster.virtual_service_fields import READING_REQUESTS, real_server, virtual_service

_TLS_PORT: Final = 443
_MOST_BUILT: Final = 4096

_PROTOCOLS: Final = {word.value: word for word in Protocol}


class Snapshot(TypingProtocol):
    """What is read of the store's snapshot."""

    def entities(self, kind: Kind) -> Mapping[str, Fields]:
        """The entities of a kind by their keys."""
        ...


def virtual_services(snapshot: Snapshot, own_addresses: Mapping[str, str]) -> tuple[VirtualService, ...]:
    """The services of this unit, by index.

    Args:
        snapshot: the settings.
        own_addresses: interface name -> this unit's primary address on it.
    """
    servers = _servers_by_service(snapshot.entities(Kind.REAL_SERVER))
    found = (
        service(key, fields, servers.get(key, {}), own_addresses)
        for key, fields in snapshot.entities(Kind.VIRTUAL_SERVICE).items()
    )
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.index))


def unreadable(snapshot: Snapshot, own_addresses: Mapping[str, str]) -> tuple[str, ...]:
    """Keys of the stored services that this unit cannot serve because it does not understand them."""
    entities = snapshot.entities(Kind.VIRTUAL_SERVICE)
    return tuple(
        sorted(key for key, fields in entities.items() if _place(key, fields, own_addresses) is None)
    )


def _place(
    stored_key: str, fields: Fields, own_addresses: Mapping[str, str]
) -> tuple[ServiceKey, int] | None:
    """Where a service is, and its index; None when it makes no sense on this unit."""
    key = _own_key(stored_key, own_addresses)
    index = fields.get("Index")
    return None if key is None or type(index) is not int or index <= 0 else (key, index)


@dataclass(slots=True)
class _Built:
    """A service and what it was built of, which never changes in place."""

    fields: Fields
    servers: Mapping[str, Fields]
    service: VirtualService | None

    def is_of(self, fields: Fields, servers: Mapping[str, Fields]) -> bool:
        if not (
            _alike(self.fields, fields)
            and self.servers.keys() == servers.keys()
            and all(_alike(self.servers[key], each) for key, each in servers.items())
        ):
            return False
        # What was planned is stored by now: only the latter is kept.
        self.fields, self.servers = fields, servers
        return True


def _alike(one: Fields, other: Fields) -> bool:
    return one is other or (
        one == other and all(type(value) is type(other[name]) for name, value in one.items())
    )


_built: OrderedDict[tuple[str, str | None], _Built] = OrderedDict()
"""The latest builds by key and own address: a change of one service among a thousand builds one."""


def service(
    stored_key: str, fields: Fields, servers: Mapping[str, Fields], own_addresses: Mapping[str, str]
) -> VirtualService | None:
    """One service; None when this unit cannot make sense of it.

    Args:
        stored_key: `eth0:443/tcp`.
        fields: the entity's fields.
        servers: its real servers' fields by `address:port`.
        own_addresses: interface name -> address.
    """
    which = stored_key, own_addresses.get(stored_key.rpartition(":")[0])
    known = _built.get(which)
    if known is None or not known.is_of(fields, servers):
        known = _built[which] = _Built(fields, servers, _build(stored_key, fields, servers, own_addresses))
        if len(_built) > _MOST_BUILT:
            _built.popitem(last=False)
    return known.service


def _build(
    stored_key: str, fields: Fields, servers: Mapping[str, Fields], own_addresses: Mapping[str, str]
) -> VirtualService | None:
    place = _place(stored_key, fields, own_addresses)
    if place is None:
        return None
    key, index = place
    built = virtual_service(fields, index, key, _real_servers(servers), default_tls_type=DEFAULT_TLS_TYPE)
    if key.port == _TLS_PORT and built.tls is None and built.type in READING_REQUESTS:
        # "HTTP/HTTPS" is what the API calls either. Without termination here the clients speak TLS with the
        # real servers, and nobody in between can read HTTP.
        return replace(built, type=ServiceType.GENERIC, forwarded_for=False)
    return built


def _own_key(stored_key: str, own_addresses: Mapping[str, str]) -> ServiceKey | None:
    parsed = StoredKey.parse(stored_key)
    if parsed is None:
        return None
    address, protocol = own_addresses.get(parsed.interface), _PROTOCOLS.get(parsed.protocol)
    return None if address is None or protocol is None else ServiceKey(address, parsed.port, protocol)


def _servers_by_service(entities: Mapping[str, Fields]) -> Mapping[str, Mapping[str, Fields]]:
    grouped: dict[str, dict[str, Fields]] = {}
    for key, fields in entities.items():
        owner, _, address = key.partition("|")
        grouped.setdefault(owner, {})[address] = fields
    return grouped


def _real_servers(servers: Mapping[str, Fields]) -> tuple[RealServer, ...]:
    return tuple(sorted(_readable(servers.items()), key=lambda each: each.index))


def _readable(servers: Iterable[tuple[str, Fields]]) -> Iterable[RealServer]:
    for key, fields in servers:
        where = ServerAddress.parse(key)
        read = None if where is None else real_server(fields, where.address, where.port)
        if read is not None:
            yield read
