"""What of a unit's `stats` is watched ("RESTful API Interface Description", 3.8)."""

from collections.abc import Mapping

from loadmaster_ha.loadmaster import values
from loadmaster_ha.loadmaster.values import Json, Kind


def connections(fields: Mapping[str, Json] | None) -> int | None:
    """Open connections of all virtual services; None where one of them cannot be read: absent, never 0."""
    told = fields or {}
    if "VStotals" not in told and "Vs" not in told:
        return None
    rows = told.get("Vs")
    total = 0
    for row in rows if isinstance(rows, list) else [rows] if isinstance(rows, dict) else []:
        count = values.decode(Kind.NUMBER, row.get("ActiveConns")) if isinstance(row, dict) else None
        if type(count) is not int or count < 0:
            return None
        total += count
    return total
