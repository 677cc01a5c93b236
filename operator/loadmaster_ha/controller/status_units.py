"""What a visit to the units found, put into the words of `status`.

Pure, as `status` is for Azure: `units_lane` makes a `UnitsSituation`, `board` stores what becomes of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from loadmaster_ha.controller.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    shortened,
)
from loadmaster_ha.controller.finding_words import reported
from loadmaster_ha.controller.status import PENDING_LENGTH, PENDING_LIMIT, Obstacle, Outlook, sentence
from loadmaster_ha.controller.unit_words import summary
from loadmaster_ha.domain.fingerprints import for_people
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import UnitChange
from loadmaster_ha.domain.units import UnitKind
from loadmaster_ha.planning.units.observation import UnitRecord
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.words import in_words
from loadmaster_ha.resources.status import SwitchoverStatus

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

_COMPARED: Final = 4
"""Parts of a version that count; the fifth may be a number or a hash."""

_NOT_NOW: Final = {
    Reason.SUSPENDED: "None is rebooted while the pair is suspended.",
    Reason.OBSERVE_MODE: "None is rebooted while spec.policy.mode is Observe.",
}


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One unit for `status.units[]`, as the units lane knows it; empty is not known."""

    address: str = ""
    kind: UnitKind | None = None
    firmware: str = ""
    fingerprint: str = ""
    """Of the certificate that it showed, trusted or not."""
    record: UnitRecord = field(default_factory=UnitRecord)
    refusal: str = ""
    """Of the credentials that it refuses (`unit_sessions`)."""


@dataclass(frozen=True, slots=True)
class UnitsSituation(Outlook):
    """What one visit to the units of a pair found.

    `plan` is None while they could not be looked at. `unread`: a unit did not tell what it is like, so that
    nothing is certain. `obstacle` is what came of the attempt to read or write. `doing` says what is under
    way beyond the plan (a switch-over); `cleaned` that nothing of ours is left on the units.
    """

    generation: int
    suspended: str = ""
    observing: bool = False
    deleting: bool = False
    plan: UnitPlan | None = None
    unread: bool = False
    obstacle: Obstacle | None = None
    doing: str = ""
    cleaned: bool = False
    rows: Mapping[Role, UnitRow] = field(default_factory=lambda: MappingProxyType({}))
    switchover: SwitchoverStatus | None = None

    @property
    def changes(self) -> tuple[UnitChange, ...]:
        """Everything that is not as wanted, whether it may be done now or not."""
        return (*self.plan.changes, *self.plan.held_back) if self.plan is not None else ()

    @property
    def reboots(self) -> str:
        """The reboots that are owed, in words."""
        owed = self.plan.reboots_owed if self.plan is not None else {}
        told = " ".join(f"{role}: {why.rstrip('.')}." for role, why in owed.items())
        return f"{told} {_NOT_NOW[self.held]}" if told and self.held is not None else told


def conditions(situation: UnitsSituation) -> tuple[Condition, ...]:
    """The conditions as far as the units are concerned: for `status_pair` to sum up."""
    synced = _synced(situation)
    return (
        _reconciling(situation),
        _stalled(situation),
        synced,
        _versions(situation),
        _reboot_required(situation),
    )


def _synced(situation: UnitsSituation) -> Condition:  # noqa: PLR0911 - the first row that fits decides
    kind = ConditionType.HA_SYNCED
    trouble = situation.blocking or situation.waiting
    changes = summary(situation.changes)
    if situation.plan is None or situation.unread:
        reason = trouble or Obstacle(Reason.NOT_OBSERVED, "The units have not been looked at yet.")
        return Condition(kind, UNKNOWN, reason.reason, reason.message)
    risks = reported(situation.plan.warnings)  # some are about what is on its way
    if situation.changes and situation.held and situation.blocking is None:
        return Condition(kind, FALSE, Reason.DRIFT, sentence(changes, risks))  # what waits waits for that
    if trouble is not None:
        told = sentence(trouble.message, f"To be done: {changes}" if changes else "")
        return Condition(kind, FALSE, trouble.reason, sentence(told, risks))
    if situation.changes:
        return Condition(kind, FALSE, Reason.APPLYING, sentence(changes, risks))
    if owed := situation.reboots:
        return Condition(kind, FALSE, Reason.REBOOT_OWED, owed)
    if situation.deleting and situation.cleaned:
        done = (
            "What can go from the units has gone." if risks else "Nothing of this pair is left on the units."
        )
        return Condition(kind, FALSE, Reason.CLEANING_UP, sentence(done, risks))
    message = sentence("Both units are as the manifest wants them.", risks)
    return Condition(kind, TRUE, Reason.SYNCED, message)


def _reconciling(situation: UnitsSituation) -> Condition:  # noqa: PLR0911 - the first that fits decides
    kind = ConditionType.RECONCILING
    if situation.doing:
        return Condition(kind, TRUE, Reason.SWITCHING_OVER, situation.doing)
    applies = situation.plan is not None and situation.plan.changes and situation.held is None
    if situation.blocking is not None and not applies:
        # Most of what waits then waits for that.
        return Condition(kind, FALSE, Reason.IDLE, "Nothing is done before Stalled is resolved.")
    if situation.held and situation.plan is not None and not situation.unread:
        return Condition(kind, FALSE, situation.held, "Nothing is written to the units.")
    if (waiting := situation.waiting) is not None:
        return Condition(kind, TRUE, waiting.reason, waiting.message)
    if situation.plan is None:
        return Condition(kind, TRUE, Reason.NOT_OBSERVED, "The units have not been looked at yet.")
    if situation.changes and situation.held is None:
        return Condition(kind, TRUE, Reason.APPLYING, summary(situation.changes))
    return Condition(kind, FALSE, Reason.IDLE)


def _stalled(situation: UnitsSituation) -> Condition:
    if (blocking := situation.blocking) is not None:
        return Condition(ConditionType.STALLED, TRUE, blocking.reason, blocking.message)
    return Condition(ConditionType.STALLED, FALSE, Reason.PROGRESS_POSSIBLE)


def _versions(situation: UnitsSituation) -> Condition:
    kind = ConditionType.VERSIONS_MATCH
    known = {role: row.firmware for role, row in situation.rows.items() if row.firmware}
    if set(known) != set(Role):
        return Condition(kind, UNKNOWN, Reason.NOT_OBSERVED, "Not both units have told their version.")
    if len({tuple(firmware.split(".")[:_COMPARED]) for firmware in known.values()}) == 1:
        return Condition(kind, TRUE, Reason.SAME_VERSION, "")
    told = ", ".join(f"{role} {known[role]}" for role in Role)
    message = f"{told}. Bring both to one version: the standby first, then the active one (guide, 9)."
    return Condition(kind, FALSE, Reason.DIFFERENT_VERSIONS, message)


def _reboot_required(situation: UnitsSituation) -> Condition:
    kind = ConditionType.REBOOT_REQUIRED
    if owed := situation.reboots:
        return Condition(kind, TRUE, Reason.REBOOT_OWED, owed)
    if situation.plan is None or situation.unread:
        return Condition(kind, UNKNOWN, Reason.NOT_OBSERVED, "Not both units could be looked at.")
    return Condition(kind, FALSE, Reason.NO_REBOOT_OWED)


def pending(situation: UnitsSituation) -> list[str]:
    """What is not done now though it is wanted, in words, bounded; empty while nothing holds it up."""
    held = situation.held is not None or situation.blocking is not None or situation.waiting is not None
    lines = [in_words(change) for change in situation.changes] if held else []
    if situation.plan is not None:
        lines += [f"{role}: reboot owed: {why}" for role, why in situation.plan.reboots_owed.items()]
    if len(lines) > PENDING_LIMIT:
        more = len(lines) - PENDING_LIMIT + 1
        lines = [*lines[: PENDING_LIMIT - 1], f"{Role.MASTER}, {Role.SLAVE}: and {more} more"]
    return [shortened(line, PENDING_LENGTH) for line in lines]


def is_of_units(line: str) -> bool:
    """Whether a line of `status.pending` came from here."""
    return line.startswith(tuple(f"{role}{mark}" for role in Role for mark in (":", ",")))


def row_fields(row: UnitRow) -> dict[str, Any]:
    """A row as status keeps it; what is not known is left out, so that the stored value stays."""
    found: dict[str, Any] = {
        "address": row.address,
        "kind": row.kind.value if row.kind is not None else "",
        "firmware": row.firmware[:64],
        "certificateFingerprint": for_people(row.fingerprint),
        "identity": row.record.identity[:128],
        "secretVersion": row.record.secret_version,
        "modeWrittenAtBoot": row.record.mode_written_at_boot[:64],
        "refusedCredentials": row.refusal,
    }
    return {name: value for name, value in found.items() if value}


def stored_records(status: Mapping[str, Any]) -> dict[Role, UnitRecord]:
    """What status remembers of the units."""
    return {
        Role(row["role"]): UnitRecord(
            identity=str(row.get("identity") or ""),
            secret_version=str(row.get("secretVersion") or ""),
            mode_written_at_boot=str(row.get("modeWrittenAtBoot") or ""),
        )
        for row in status.get("units") or ()
    }


def stored_refusal(status: Mapping[str, Any], role: Role) -> str:
    """What status remembers of credentials that a unit has refused."""
    rows = status.get("units") or ()
    return next((str(row.get("refusedCredentials") or "") for row in rows if row["role"] == role.value), "")
