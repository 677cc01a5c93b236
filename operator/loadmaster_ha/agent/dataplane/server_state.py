"""`show servers state` (management guide, 9.3): reading, comparing, handing it to the next worker.

The answer is one header line with the names of the columns, then a line for each server; columns are found by
name, as later versions add some. The file that a new worker reads at its start has the same form.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from loadmaster_ha.agent.dataplane.model import Section, Server

EMPTY: Final = "1\n"
"""The file when there is nothing to hand over: its version alone."""

_FORCED_MAINTENANCE: Final = 0x01
"""Bit of `srv_admin_state`."""

Row: TypeAlias = Mapping[str, str]


def parse(text: str) -> dict[str, Row]:
    """The rows by `backend/server`."""
    columns: list[str] = []
    rows: dict[str, Row] = {}
    for line in text.splitlines():
        words = line.split()
        if line.startswith("# be_id"):
            columns = words[1:]
        elif columns and len(words) == len(columns):
            row = dict(zip(columns, words, strict=True))
            rows[f"{row['be_name']}/{row['srv_name']}"] = row
    return rows


def deviation(rows: Mapping[str, Row], sections: Iterable[Section]) -> str:
    """What of these servers is not as it should be, in words; empty when all are."""
    for section in sections:
        for server in section.servers:
            where = f"{section.name}/{server.name}"
            row = rows.get(where)
            if row is None:
                return f"{where} is missing"
            if not _is(row, server):
                return (
                    f"{where} is at {row.get('srv_addr')}:{row.get('srv_port')}, "
                    f"weight {row.get('srv_uweight')}, "
                    f"state {row.get('srv_admin_state')}, not {server.line()}"
                )
    return ""


def handed_over(text: str, wanted: Mapping[str, Section], running: Mapping[str, Section] | None) -> str:
    """The file for the next worker: the health of servers that are the same before and after.

    A server that was down stays down until a check says otherwise, instead of getting connections first.
    Everything else that the rows tell (weight, administrative state, address) is made to agree with the new
    configuration: a state must not bring back what a setting has changed since.

    Args:
        text: what the current worker says.
        wanted: the sections that the next one has, by name.
        running: those of the current one; None when they are not known.
    """
    rows = parse(text)
    header = next((line for line in text.splitlines() if line.startswith("# be_id")), "")
    kept: list[str] = []
    for section in wanted.values():
        before = _servers(running.get(section.name)) if running is not None else _servers(section)
        for server in section.servers:
            row = rows.get(f"{section.name}/{server.name}")
            known = before.get(server.name)
            if row is not None and known is not None and _hands_over(row, known, server):
                weight = str(server.weight)
                corrected = {**row, "srv_admin_state": "0", "srv_uweight": weight, "srv_iweight": weight}
                kept.append(" ".join(corrected.values()))
    return EMPTY + "".join(f"{line}\n" for line in [header, *kept]) if header else EMPTY


def _servers(section: Section | None) -> dict[str, Server]:
    return {} if section is None else {server.name: server for server in section.servers}


def _hands_over(row: Row, before: Server, after: Server) -> bool:
    in_use = not after.maintenance and not _admin_state(row) & _FORCED_MAINTENANCE
    return in_use and before.options == after.options and _place(row) == (after.address, after.port)


def _place(row: Row) -> tuple[str, int] | None:
    try:
        return str(ipaddress.ip_address(row["srv_addr"])), int(row["srv_port"])
    except (KeyError, ValueError):
        return None


def _admin_state(row: Row) -> int:
    text = row.get("srv_admin_state", "")
    return int(text) if text.isdigit() else 0


def _is(row: Row, server: Server) -> bool:
    return (
        _place(row) == (server.address, server.port)
        and row.get("srv_uweight") == str(server.weight)
        and bool(_admin_state(row) & _FORCED_MAINTENANCE) == server.maintenance
    )
