"""Virtual services and real servers in answers: from the rows of `listvs`, `showvs`, `showrs` to values.

Rows are read by name. What an appliance has and the operator does not (SubVSs, which have no address of their
own) is left out; what a field means is `virtual_service_fields`.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from loadmaster_ha.domain.virtual_services import Protocol, RealServer, ServiceKey, VirtualService
from loadmaster_ha.loadmaster import values
from loadmaster_ha.loadmaster.values import InvalidValueError, Json, Kind
from loadmaster_ha.loadmaster.virtual_service_fields import real_server, virtual_service

EVERY_PORT: Final = "*"
"""`VSPort` of a service on every port: port 0 of its `ServiceKey`."""
_ALL_TLS_VERSIONS: Final = 0
"""A `TlsType` of 0 on an appliance switches nothing off. A node agent never reads a 0 back for a service that
terminates TLS."""
_PROTOCOLS: Final = {word.value: word for word in Protocol}


def services(fields: Mapping[str, Json] | None) -> tuple[tuple[VirtualService, str], ...]:
    """The services in an answer to `listvs`, by index, each with its `Status`."""
    found = (service(row) for row in _rows(fields, "VS"))
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each[0].index))


def service(row: Mapping[str, Json] | None) -> tuple[VirtualService, str] | None:
    """The service of a row or of an answer to `showvs`, `addvs`, `modvs`, with its `Status`.

    None: it is a SubVS, or no service at all.
    """
    if not row or _number(row.get("MasterVSID")):
        return None
    index, key = _number(row.get("Index")), _key(row)
    if not index or key is None:
        return None
    read = virtual_service(row, index, key, real_servers(row), default_tls_type=_ALL_TLS_VERSIONS)
    return read, str(row.get("Status") or "")


def real_servers(fields: Mapping[str, Json] | None) -> tuple[RealServer, ...]:
    """The real servers of a service's row, or of an answer to `showrs` and `addrs`, by index."""
    found = (_server(row) for row in _rows(fields, "Rs"))
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.index))


def server_states(fields: Mapping[str, Json] | None) -> dict[str, str]:
    """`ADDRESS:PORT` of the real servers in a row -> their `Status`."""
    found: dict[str, str] = {}
    for row in _rows(fields, "Rs"):
        server = _server(row)
        if server is not None:
            found[f"{server.address}:{server.port}"] = str(row.get("Status") or "")
    return found


def _rows(fields: Mapping[str, Json] | None, name: str) -> Iterator[Mapping[str, Json]]:
    rows = (fields or {}).get(name)
    for row in rows if isinstance(rows, list) else [rows]:
        if isinstance(row, dict):
            yield row


def _key(row: Mapping[str, Json]) -> ServiceKey | None:
    address = _address(row.get("VSAddress"))
    protocol = _PROTOCOLS.get(str(row.get("Protocol") or Protocol.TCP.value).lower())
    port = _port(row.get("VSPort"))
    if not address or protocol is None or port is None:
        return None
    return ServiceKey(address, port, protocol)


def _server(row: Mapping[str, Json]) -> RealServer | None:
    # A server that was given by its name may have no address yet.
    address = _address(row.get("Addr")) or _address(row.get("DnsName"))
    port = _port(row.get("Port"))
    return None if not address or port is None else real_server(row, address, port)


def _port(raw: Json) -> int | None:
    if isinstance(raw, str) and raw.strip() == EVERY_PORT:
        return 0
    port = _number(raw)
    return port if port is not None and 0 < port < 65536 else None


def _number(raw: Json) -> int | None:
    found = values.decode(Kind.NUMBER, raw)
    return found if type(found) is int else None


def _address(raw: Json) -> str:
    """An address in its canonical spelling; a name as it is."""
    if not isinstance(raw, str):
        return ""
    try:
        return str(values.parse(Kind.ADDRESS, raw) or "")
    except InvalidValueError:
        return raw.strip()
