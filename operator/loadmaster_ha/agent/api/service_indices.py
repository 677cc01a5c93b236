"""`Index` and `RsIndex`: numbers that services and servers keep for life."""

from loadmaster_ha.agent.api.unit import Snapshot
from loadmaster_ha.agent.settings.model import Kind


def next_index(snapshot: Snapshot, kind: Kind, field: str) -> int:
    """The next free number: one above the highest in use."""
    numbers = (fields.get(field) for fields in snapshot.entities(kind).values())
    return max((each for each in numbers if isinstance(each, int)), default=0) + 1
