"""The whole status of a pair: what each lane found, summed up, and kept where one has not looked yet.

Pure; `board` is its only caller. The rules of the summary:

* A pair whose units are not managed is Azure's alone, exactly as `status` words it.
* A part whose lane has not reported since this process took over is what status says of it (`carried`); after
  a while it is not believed any more, and told as not observed.
* `observedGeneration` is the oldest version of the manifest that a part speaks of: nobody may take the word
  about an older one for a newer (kstatus).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from loadmaster_ha.controller import status, status_units, status_watch
from loadmaster_ha.controller.conditions import (
    UNITS_TYPES,
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    find,
    merge,
    parse,
)
from loadmaster_ha.controller.deletion import advice_about_units
from loadmaster_ha.controller.status import Situation
from loadmaster_ha.controller.status_units import UnitRow, UnitsSituation
from loadmaster_ha.controller.watching.model import WatchSituation
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import ObservedState

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

_AZURE_FIELDS: Final = ("frontend", "expectedFailover", "azure")
_UNITS_ASPECTS: Final = (
    ConditionType.HA_SYNCED,
    ConditionType.VERSIONS_MATCH,
    ConditionType.REBOOT_REQUIRED,
)
_WATCH_ASPECTS: Final = (ConditionType.PAIR_HEALTHY, ConditionType.AVAILABLE)
_SUMMED_UP: Final = (
    ConditionType.AZURE_SYNCED,
    ConditionType.HA_SYNCED,
    ConditionType.PAIR_HEALTHY,
    ConditionType.AVAILABLE,
)
"""What Ready needs, in the order in which it tells what is missing."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What each lane found last; None while it has not reported. `carried`: the stored word still counts."""

    managed: bool = False
    azure: Situation | None = None
    units: UnitsSituation | None = None
    watch: WatchSituation | None = None
    carried: bool = True


def render(parts: Parts, stored: Mapping[str, Any], *, now: str) -> dict[str, Any]:
    """The status to store, given the stored one. It does not change with `now` alone."""
    generation = _generation(parts, stored)
    known = stored.get("conditions") or ()
    result: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": merge(known, conditions(parts, stored), generation=generation, now=now),
        **_azure_fields(parts, stored),
    }
    if parts.managed:
        result.update(_units_fields(parts, stored))
    if lines := _pending(parts, stored):
        result["pending"] = lines
    return result


def same(stored: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether storing `new` would change nothing. Conditions that are not ours do not count."""
    ours = {condition["type"] for condition in new["conditions"]} | {kind.value for kind in UNITS_TYPES}
    kept = [condition for condition in stored.get("conditions") or () if condition.get("type") in ours]
    return {**stored, "conditions": kept} == new


def conditions(parts: Parts, stored: Mapping[str, Any]) -> tuple[Condition, ...]:
    """All conditions of the pair, the summary first."""
    if not parts.managed and parts.azure is not None:
        return status.conditions(parts.azure)
    known: Sequence[Mapping[str, Any]] = stored.get("conditions") or () if parts.carried else ()
    azure = _of_azure(parts, known)
    aspects = {ConditionType.AZURE_SYNCED: azure[ConditionType.AZURE_SYNCED]}
    if parts.managed:
        aspects |= _aspects(parts, known)
    units = _of_units(parts, known)
    stalled = _stalled(azure, units)
    deleting = _deleting(azure, units, parts.units)
    return (
        _ready(aspects, stalled, deleting),
        _reconciling(azure, units, deleting),
        stalled,
        azure[ConditionType.PAUSED],
        deleting,
        *aspects.values(),
    )


def _generation(parts: Parts, stored: Mapping[str, Any]) -> int:
    known = stored.get("conditions") or ()
    found = [_generation_of(parts.azure, known, ConditionType.AZURE_SYNCED)]
    if parts.managed:
        found.append(_generation_of(parts.units, known, ConditionType.HA_SYNCED))
    return min(found)


def _generation_of(
    part: Situation | UnitsSituation | None, known: Sequence[Mapping[str, Any]], kind: ConditionType
) -> int:
    return part.generation if part is not None else int(find(known, kind).get("observedGeneration") or 0)


def _by_type(found: Iterable[Condition]) -> dict[ConditionType, Condition]:
    return {condition.type: condition for condition in found}


def _of_azure(parts: Parts, known: Sequence[Mapping[str, Any]]) -> dict[ConditionType, Condition]:
    """What the Azure lane says, or what is stored as long as it has not looked."""
    part = parts.azure
    fresh = _by_type(status.conditions(part if part is not None else Situation(0)))
    if part is not None:
        fresh[ConditionType.AZURE_SYNCED] = replace(
            fresh[ConditionType.AZURE_SYNCED], generation=part.generation
        )
        return fresh
    carried = {kind: _carried(known, kind) or condition for kind, condition in fresh.items()}
    if _units_stalled(known) is not None:
        carried[ConditionType.STALLED] = fresh[ConditionType.STALLED]  # the units' to say
    return carried


def _of_units(parts: Parts, known: Sequence[Mapping[str, Any]]) -> dict[ConditionType, Condition]:
    """What the units lane says, or that it was stalled as long as it has not looked."""
    if parts.units is not None:
        return _by_type(status_units.conditions(parts.units))
    stalled = _units_stalled(known) if parts.managed else None
    return {} if stalled is None else {ConditionType.STALLED: stalled}


def _units_stalled(known: Sequence[Mapping[str, Any]]) -> Condition | None:
    """The stored Stalled, if it was told because of the units and not because of Azure."""
    stalled, synced = (_carried(known, kind) for kind in (ConditionType.STALLED, ConditionType.HA_SYNCED))
    azure = find(known, ConditionType.AZURE_SYNCED).get("reason")
    if stalled is None or synced is None or stalled.status is not TRUE:
        return None
    return stalled if stalled.reason == synced.reason != azure else None


def _aspects(parts: Parts, known: Sequence[Mapping[str, Any]]) -> dict[ConditionType, Condition]:
    fresh: dict[ConditionType, Condition] = {}
    if (units := parts.units) is not None:
        fresh |= {
            kind: replace(condition, generation=units.generation)
            for kind, condition in _by_type(status_units.conditions(units)).items()
        }
    if parts.watch is not None:
        fresh |= _by_type(status_watch.conditions(parts.watch))
    # The order in which people read them.
    order = (_UNITS_ASPECTS[0], *_WATCH_ASPECTS, *_UNITS_ASPECTS[1:])
    return {kind: fresh.get(kind) or _carried(known, kind) or _not_observed(kind) for kind in order}


def _carried(known: Sequence[Mapping[str, Any]], kind: ConditionType) -> Condition | None:
    found = find(known, kind)
    return parse(found) if found else None


def _not_observed(kind: ConditionType) -> Condition:
    return Condition(kind, UNKNOWN, Reason.NOT_OBSERVED, "The operator has not looked yet.")


def _ready(aspects: Mapping[ConditionType, Condition], stalled: Condition, deleting: Condition) -> Condition:
    kind = ConditionType.READY
    if deleting.status is TRUE:
        return Condition(kind, FALSE, Reason.CLEANING_UP, "The pair is being deleted.")
    if stalled.status is TRUE:
        return Condition(kind, FALSE, stalled.reason, stalled.message)
    needed = [aspects[each] for each in _SUMMED_UP if each in aspects]
    # What certainly is not so comes before what nobody knows.
    for bad in (FALSE, UNKNOWN):
        for condition in needed:
            if condition.status is bad:
                return Condition(kind, bad, condition.reason, condition.message)
    told = [aspects[each].message for each in (ConditionType.AZURE_SYNCED, ConditionType.HA_SYNCED)]
    healthy = aspects[ConditionType.PAIR_HEALTHY].message
    return Condition(kind, TRUE, Reason.SYNCED, " ".join(text for text in (*told, healthy) if text))


def _stalled(azure: Mapping[ConditionType, Condition], units: Mapping[ConditionType, Condition]) -> Condition:
    kind = ConditionType.STALLED
    first, second = azure[kind], units.get(kind)
    if second is None or second.status is not TRUE:
        return first
    if first.status is not TRUE:
        return second
    if first.reason == second.reason:
        return first
    return replace(first, message=f"{first.message} Also on the units, {second.reason}: {second.message}")


def _deleting(
    azure: Mapping[ConditionType, Condition],
    units: Mapping[ConditionType, Condition],
    found_on_units: UnitsSituation | None,
) -> Condition:
    kind = ConditionType.DELETING
    found, synced = azure[kind], units.get(ConditionType.HA_SYNCED)
    done_in_azure = found.status is TRUE and found.reason == Reason.CLEANING_UP and not found.message
    if not done_in_azure or synced is None:
        return found
    told = f"Azure is clean. The units: {synced.message}"
    stuck = found_on_units is not None and (found_on_units.blocking or found_on_units.waiting)
    if stuck:
        told = status.sentence(told, advice_about_units(synced.reason))
    return replace(found, reason=synced.reason, message=told)


def _reconciling(
    azure: Mapping[ConditionType, Condition],
    units: Mapping[ConditionType, Condition],
    deleting: Condition,
) -> Condition:
    kind = ConditionType.RECONCILING
    first, second = azure[kind], units.get(kind)
    if first.status is TRUE and first.message:
        return first
    if second is not None and second.status is TRUE:
        return second
    if first.status is TRUE and deleting.status is TRUE:
        return replace(first, reason=deleting.reason, message=deleting.message)
    return first


def _azure_fields(parts: Parts, stored: Mapping[str, Any]) -> dict[str, Any]:
    if parts.azure is None:
        return {name: stored[name] for name in _AZURE_FIELDS if name in stored}
    found = status.fields(parts.azure)
    found.pop("pending", None)
    return found


def _pending(parts: Parts, stored: Mapping[str, Any]) -> list[str]:
    kept: Sequence[str] = stored.get("pending") or ()
    azure = (
        status.pending(parts.azure)
        if parts.azure is not None
        else [line for line in kept if not status_units.is_of_units(line)]
    )
    if not parts.managed:
        return azure
    units = (
        status_units.pending(parts.units)
        if parts.units is not None
        else [line for line in kept if status_units.is_of_units(line)]
    )
    return [*azure, *units]


def _units_fields(parts: Parts, stored: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: stored[name] for name in ("active", "lastFailover", "lastSwitchover") if name in stored}
    if parts.watch is not None:
        found |= status_watch.fields(parts.watch)
    elif not parts.carried:
        found["active"] = "Unknown"
    if parts.units is not None and parts.units.switchover is not None:
        found["lastSwitchover"] = parts.units.switchover.model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
    before = {row.get("role"): row for row in stored.get("units") or ()}
    found["units"] = [_row(role, parts, before.get(role.value) or {}) for role in Role]
    return found


def _row(role: Role, parts: Parts, before: Mapping[str, Any]) -> dict[str, Any]:
    row = {"state": ObservedState.UNKNOWN.value, **before, "role": role.value}
    units = parts.units.rows.get(role) if parts.units is not None else None
    if units is not None:
        row.pop("refusedCredentials", None)
        row = _without_predecessor(row, units) | status_units.row_fields(units)
    if parts.watch is not None:
        row.pop("lastSeenTime", None)
        sight = parts.watch.units.get(role)
        row["state"] = parts.watch.diagnosis.states.get(role, ObservedState.UNKNOWN).value
        if sight is not None:
            row |= status_watch.sight_fields(sight)
    elif not parts.carried:
        row["state"] = ObservedState.UNKNOWN.value
    return row


def _without_predecessor(row: dict[str, Any], unit: UnitRow) -> dict[str, Any]:
    """Of another unit at the same address nothing is remembered."""
    if not unit.record.identity or unit.record.identity == row.get("identity"):
        return row
    return {name: value for name, value in row.items() if name not in {"secretVersion", "modeWrittenAtBoot"}}
