"""Virtual services and real servers as the management API reads them back: settings, defaults and state.

The order and the kinds of the fields are the catalogue's; what is left out while it is not set is left out by
the appliance too (recorded replies: no `Persist`, no `SSLAcceleration`, no `CheckUrl` on a plain service).
"""

from typing import Final

from loadmaster_ha.agent.api.service_changes import Found, FoundServer
from loadmaster_ha.agent.api.unit import ServerStatistics, ServiceStatistics
from loadmaster_ha.agent.service_settings import (
    DEFAULT_TLS_TYPE,
    FIXED,
    ServerAddress,
)
from loadmaster_ha.agent.settings.model import Json
from loadmaster_ha.domain.virtual_services import RealServer, VirtualService
from loadmaster_ha.loadmaster.virtual_service_fields import REAL_SERVER_DEFAULTS, SERVICE_DEFAULTS

_ONLY_WITH_TLS: Final = frozenset({"CipherSet"})
_FIXED_WITH_TLS: Final = {name: fixed.value for name, fixed in FIXED.items() if fixed.value is not None}
_FIXED: Final = {name: value for name, value in _FIXED_WITH_TLS.items() if name not in _ONLY_WITH_TLS}


def service_record(found: Found, statistics: ServiceStatistics | None) -> dict[str, Json]:
    """One virtual service as `showvs` tells it.

    Args:
        found: the service.
        statistics: what the data plane says of it; None while it does not serve it (yet).
    """
    service = found.service
    tls = service.tls is not None
    fields = ((name, found.fields.get(name, default)) for name, default in SERVICE_DEFAULTS.items())
    record = {
        **(_FIXED_WITH_TLS if tls else _FIXED),
        **{name: each for name, each in fields if _is_told(name, each)},
    }
    if not tls:
        record.pop("SSLAcceleration", None)
    elif not record.get("TlsType"):
        record["TlsType"] = DEFAULT_TLS_TYPE
    if not record.get("StandbyPort"):
        record.pop("StandbyPort", None)
    servers: list[Json] = [server_record(each, statistics) for each in servers_by_index(found)]
    return record | {
        "Status": state_of_service(service, statistics),
        "VSAddress": service.key.address,
        "VSPort": str(service.key.port),
        "Protocol": service.key.protocol.value,
        "NumberOfRSs": len(servers),
        "Rs": servers or None,
    }


def servers_by_index(found: Found) -> list[FoundServer]:
    """The real servers of a service, by `RsIndex`."""
    places = [ServerAddress(each.address, each.port) for each in found.service.real_servers]
    return [FoundServer(found, where, found.servers[where]) for where in places]


def server_record(found: FoundServer, statistics: ServiceStatistics | None) -> dict[str, Json]:
    """One real server as `showrs` tells it."""
    record = {name: found.fields.get(name, default) for name, default in REAL_SERVER_DEFAULTS.items()}
    real = next((each for each in found.owner.service.real_servers if each.index == record["RsIndex"]), None)
    if not record["Drain"]:
        del record["Drain"]  # An appliance has no such field.
    state = "Down" if real is None else state_of_server(found.owner.service, real, statistics)
    return record | {
        "Status": state,
        "VSIndex": found.owner.index,
        "Addr": found.where.address,
        "Port": found.where.port,
        "RateLimit": 0,
        "Follow": 0,
        "Nrules": 0,
    }


def _is_told(name: str, value: Json) -> bool:
    # Only `Persist` is left out for its "none": a check of that type, or a cookie of that name, is told.
    unset = value is None or value == "" or value == []  # noqa: PLR1714 - lists are no keys
    return not (unset or (name == "Persist" and value == "none"))


def state_of_service(service: VirtualService, statistics: ServiceStatistics | None) -> str:
    """`Status`: Up, Down, Disabled, or what clients get instead of a real server."""
    if not service.enabled:
        return "Disabled"
    if statistics is not None and statistics.up and any(each.up for each in statistics.servers):
        return "Up"
    if service.standby is not None:
        return "Sorry"
    if service.error_url:
        return "Redirect"
    return "Fail Message" if service.error_code else "Down"


def state_of_server(service: VirtualService, server: RealServer, statistics: ServiceStatistics | None) -> str:
    """`Status` of a real server: Up, Down, Disabled."""
    if not (service.enabled and server.enabled):
        return "Disabled"
    return "Up" if (counted := counters(server, statistics)) is not None and counted.up else "Down"


def counters(server: RealServer, statistics: ServiceStatistics | None) -> ServerStatistics | None:
    """What the data plane counts for this server; None while it does not know it."""
    if statistics is None:
        return None
    wanted = (server.address, server.port)
    return next((each for each in statistics.servers if (each.address, each.port) == wanted), None)
