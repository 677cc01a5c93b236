"""Reading `show stat` (management guide, 9.1): what HAProxy counts, by virtual service and real server.

Columns are found by name and what is missing counts as 0, as every version of HAProxy adds some. Counters
begin anew with each worker, that is, with each reload.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from loadmaster_ha.agent.api.unit import ServerStatistics, ServiceStatistics
from loadmaster_ha.agent.dataplane.model import Section, Server
from loadmaster_ha.domain.virtual_services import ServiceKey

Row: TypeAlias = Mapping[str, str]

_FRONTEND: Final = "FRONTEND"
_BACKEND: Final = "BACKEND"
_UNCHECKED: Final = "no check"


def parse(text: str) -> dict[tuple[str, str], Row]:
    """The rows by proxy and server (`FRONTEND` and `BACKEND` for the sums)."""
    lines = text.strip().removeprefix("# ")
    rows = csv.DictReader(io.StringIO(lines), restval="")
    return {(row["pxname"], row["svname"]): row for row in rows if row.get("pxname") and row.get("svname")}


def services(text: str, sections: Iterable[Section]) -> Mapping[ServiceKey, ServiceStatistics]:
    """The statistics of these services; those that HAProxy does not list are missing."""
    rows = parse(text)
    found = {}
    for section in sections:
        frontend = rows.get((section.name, _FRONTEND))
        if frontend is not None:
            found[section.key] = _service(section, rows, frontend)
    return found


def is_up(status: str) -> bool:
    """Whether a server's status says that it is well: `UP`, `UP 1/2`, `no check`, `DRAIN`, `NOLB`."""
    return status == _UNCHECKED or status.partition(" ")[0] in {"UP", "DRAIN", "NOLB"}


def _serves(row: Row) -> bool:
    return is_up(row.get("status", "")) and row.get("weight") != "0"


def _service(section: Section, rows: Mapping[tuple[str, str], Row], frontend: Row) -> ServiceStatistics:
    ups = {server.name for server in section.servers if _serves(rows.get((section.name, server.name), {}))}
    standby = (f"{section.name}_standby", _BACKEND) in rows
    return ServiceStatistics(
        key=section.key,
        up=standby or (len(ups) >= section.minimum and ups.issuperset(section.critical)),
        current_connections=_number(frontend, "scur"),
        total_connections=_number(frontend, "stot"),
        connections_per_second=_number(frontend, "rate"),
        bytes_in=_number(frontend, "bin"),
        bytes_out=_number(frontend, "bout"),
        servers=tuple(
            _server(server, rows.get((section.name, server.name), {})) for server in section.servers
        ),
    )


def _server(server: Server, row: Row) -> ServerStatistics:
    return ServerStatistics(
        address=server.address,
        port=server.port,
        up=is_up(row.get("status", "")),
        current_connections=_number(row, "scur"),
        total_connections=_number(row, "stot"),
        connections_per_second=_number(row, "rate"),
        bytes_in=_number(row, "bin"),
        bytes_out=_number(row, "bout"),
        detail=_detail(row),
    )


def _detail(row: Row) -> str:
    parts = [row.get("status", ""), row.get("check_status", ""), row.get("last_chk", "")]
    return ", ".join(part.strip() for part in parts if part.strip())


def _number(row: Row, name: str) -> int:
    text = row.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0
