"""What only node agents tell, typed: `agentstatus`, `agentwatch`, `agentgetparams`."""

import sys
from collections.abc import Mapping
from typing import Final

from loadmaster_ha.domain.ha import Mode
from loadmaster_ha.domain.units import AgentInputs, AgentStatus, HighAvailabilitySettings, ObservedState
from loadmaster_ha.loadmaster import ha_settings, values
from loadmaster_ha.loadmaster.catalogue.agent import HA_FIELDS
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.values import Json, Kind

_MODES: Final = {each.value.lower(): each for each in Mode}
_STATES: Final = {each.value.lower(): each for each in ObservedState}


def status(fields: Mapping[str, Json] | None) -> AgentStatus:
    """The answer to `agentstatus` or `agentwatch`. A field that a newer agent has more is passed over.

    Raises:
        UnitFault: `Malformed`; it has no revision or no mode.
    """
    told = fields or {}
    revision, mode = _number(told, "revision"), _MODES.get(_text(told, "mode").lower())
    if revision is None or mode is None:
        raise UnitFault(FaultReason.MALFORMED, "The agent's status names no revision or no mode.")
    return AgentStatus(
        revision=revision,
        settings_revision=_number(told, "settingsrevision"),
        mode=mode,
        state=_STATES.get(_text(told, "state").lower(), ObservedState.UNKNOWN),
        reason=_text(told, "reason"),
        detail=_text(told, "detail"),
        active_seconds=_number(told, "activeseconds"),
        draining=_flag(told, "draining"),
        held=_flag(told, "held"),
        switchover=_text(told, "switchover"),
        partner_connected=_flag(told, "partnerconnected"),
        partner=_text(told, "partner") or None,
        partner_mode=_text(told, "partnermode"),
        partner_state=_text(told, "partnerstate"),
        partner_detail=_text(told, "partnerdetail"),
        link_refusals=_texts(told, "linkrefusals"),
        link_error=_text(told, "linkerror"),
        link_bytes_in=_number(told, "linkbytesin") or 0,
        link_bytes_out=_number(told, "linkbytesout") or 0,
        sync_lag=_number(told, "synclagseconds"),
        sync_last_success=_text(told, "synclastsuccess"),
        boot_time=_text(told, "boottime"),
        notices=_texts(told, "notices"),
    )


def inputs(fields: Mapping[str, Json] | None) -> AgentInputs:
    """The answer to `agentgetparams`."""
    told = fields or {}
    return AgentInputs(
        frontend=_text(told, "frontend") or None,
        probe_source=_text(told, "probesource") or None,
        probe_interval=_number(told, "probeinterval"),
        probe_threshold=_number(told, "probethreshold"),
    )


def settings(fields: Mapping[str, Json] | None) -> HighAvailabilitySettings | None:
    """The HA settings in an answer to `agentstatus`; None: an older agent does not tell them there.

    Raises:
        UnitFault: `Malformed`; the mode or the port is nothing that a unit can have.
    """
    told = fields or {}
    if "hamode" not in told:
        return None
    return ha_settings.read({name: told[field] for field, name in HA_FIELDS.items() if field in told})


def inputs_in_status(fields: Mapping[str, Json] | None) -> AgentInputs | None:
    """What stands of `agentgetparams` in `agentstatus`; None: an older agent does not tell it there."""
    return inputs(fields) if "probeinterval" in (fields or {}) else None


def _text(told: Mapping[str, Json], name: str) -> str:
    value = told.get(name)
    return "" if value is None else sys.intern(str(value).strip())  # kept for thousands of units


def _texts(told: Mapping[str, Json], name: str) -> tuple[str, ...]:
    value = told.get(name)
    return tuple(str(each) for each in value) if isinstance(value, list) else ()


def _number(told: Mapping[str, Json], name: str) -> int | None:
    value = values.decode(Kind.NUMBER, told.get(name))
    return value if type(value) is int else None


def _flag(told: Mapping[str, Json], name: str) -> bool:
    return values.decode(Kind.SWITCH, told.get(name)) is True
