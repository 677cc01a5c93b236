"""`Index` and `RsIndex` of what the management API creates; the rule is `settings.indexes`."""

from loadmaster_ha.agent.api.unit import Snapshot
from loadmaster_ha.agent.settings import indexes
from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.agent.unit_settings import HaSettings


def next_index(snapshot: Snapshot, kind: Kind) -> int:
    """The number for a new entity.

    The configured mode counts, not the one in force: units that are about to become a pair do not give the
    same number twice in the meantime.
    """
    return indexes.next_index(snapshot, kind, HaSettings.of(snapshot).mode)
