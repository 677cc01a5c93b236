"""What a unit would be after a change of its HA settings; the later steps of a plan stand on it.

No model of a unit: a mode that was written is set, not in force, and a unit that reboots is gone. The
controller observes after every write.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, Final

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present, Reading, Unknown
from loadmaster_ha.domain.unit_changes import (
    Reboot,
    UnitChange,
    WriteAgentInputs,
    WriteMode,
    WriteParameters,
    WriteSharedSecret,
)
from loadmaster_ha.domain.units import AgentInputs, HighAvailabilitySettings, UnitFacts
from loadmaster_ha.planning.units.observation import UnitRecord, UnitsObservation

_GONE: Final = Unknown("Booting", "it was told to reboot")


def after(observation: UnitsObservation, change: UnitChange) -> UnitsObservation:
    """The observation as it would be after this change. Changes of services leave it as it is."""
    if isinstance(change, Reboot):
        return _with_reading(observation, change.role, _GONE)
    if isinstance(change, WriteSharedSecret):
        return remember(observation, change)
    if isinstance(change, WriteMode):
        mode = change.mode
        written = _with_settings(observation, change.role, lambda found: replace(found, mode=mode))
        return remember(written, change)
    if isinstance(change, WriteParameters):
        given = _given(change, HighAvailabilitySettings)
        return _with_settings(observation, change.role, lambda found: replace(found, **given))
    if isinstance(change, WriteAgentInputs):
        given = _given(change, AgentInputs)
        return _with_facts(
            observation,
            change.role,
            lambda found: replace(found, inputs=replace(found.inputs or AgentInputs(), **given)),
        )
    return observation


def remember(observation: UnitsObservation, change: WriteSharedSecret | WriteMode) -> UnitsObservation:
    """The observation with the record that a write leaves; the controller keeps the same one in status."""
    reading = observation.units.get(change.role)
    identity = reading.value.identity if isinstance(reading, Present) else ""
    record = recorded(observation.records.get(change.role, UnitRecord()), identity, change)
    records = MappingProxyType({**observation.records, change.role: record})
    return replace(observation, records=records)


def recorded(record: UnitRecord, identity: str, change: WriteSharedSecret | WriteMode) -> UnitRecord:
    """What is to be remembered of the unit once the change is made.

    For a mode *before* the write, so that a crash in between owes a reboot too many rather than one too few;
    for a secret after it.
    """
    if record.identity != identity:
        record = UnitRecord(identity=identity)
    if isinstance(change, WriteMode):
        return replace(record, mode_written_at_boot=change.boot)
    return replace(record, secret_version=change.version)


def _given(change: WriteParameters | WriteAgentInputs, kind: type) -> dict[str, Any]:
    names = {each.name for each in fields(kind)} & {each.name for each in fields(change)}
    return {name: value for name in names if (value := getattr(change, name)) is not None}


def _with_settings(
    observation: UnitsObservation,
    role: Role,
    edit: Callable[[HighAvailabilitySettings], HighAvailabilitySettings],
) -> UnitsObservation:
    return _with_facts(observation, role, lambda found: replace(found, settings=edit(found.settings)))


def _with_facts(
    observation: UnitsObservation, role: Role, edit: Callable[[UnitFacts], UnitFacts]
) -> UnitsObservation:
    reading = observation.units.get(role)
    if not isinstance(reading, Present):
        return observation
    return _with_reading(observation, role, Present(edit(reading.value)))


def _with_reading(observation: UnitsObservation, role: Role, reading: Reading[UnitFacts]) -> UnitsObservation:
    return replace(observation, units=MappingProxyType({**observation.units, role: reading}))
