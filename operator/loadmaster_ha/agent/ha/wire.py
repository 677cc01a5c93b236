"""A heartbeat as a JSON object, for the link. Units one release apart understand each other.

Unknown members are left out, missing ones that have a default get it; what the first release had is demanded.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any, TypeVar

from loadmaster_ha.agent.ha.model import HandoverKind, Outcome, Report
from loadmaster_ha.domain.ha import Mode, PreferredHost, UnitState


class MalformedReport(ValueError):  # noqa: N818 - reads as what is the case
    """The partner sent a heartbeat that cannot be understood; the message names the member."""


def encode(report: Report) -> dict[str, Any]:
    """Everything in it, as JSON knows it."""
    return asdict(report)


def decode(body: Mapping[str, Any]) -> Report:
    """The heartbeat in `body`.

    Raises:
        MalformedReport: a member is missing, has another type, or a word that is not known.
    """
    return Report(
        boot_id=_text(body, "boot_id"),
        mode=_word(Mode, body, "mode"),
        state=_word(UnitState, body, "state"),
        preferred_host=_word(PreferredHost, body, "preferred_host"),
        check_port=_port(body, "check_port"),
        healthy=_flag(body, "healthy"),
        active_for=_duration(body, "active_for"),
        healthy_for=_duration(body, "healthy_for"),
        handover=_text(body, "handover", ""),
        handover_ready=_text(body, "handover_ready", ""),
        detail=_text(body, "detail", ""),
        handover_kind=_word(HandoverKind, body, "handover_kind", HandoverKind.PLANNED),
        handover_hold=_maybe_duration(body, "handover_hold"),
        handover_for=_text(body, "handover_for", ""),
        probe_age=_maybe_duration(body, "probe_age"),
        confirmed=_flag(body, "confirmed", default=False),
        insists=_flag(body, "insists", default=False),
        held=_text(body, "held", ""),
        undo=_text(body, "undo", ""),
        wants=_text(body, "wants", ""),
        wants_hold=_maybe_duration(body, "wants_hold"),
        outcome=_outcome(body.get("outcome")),
        served_for=_maybe_duration(body, "served_for"),
    )


_LONGEST_TEXT = 2000
_E = TypeVar("_E", bound=StrEnum)


def _wrong(name: str, value: object) -> MalformedReport:
    return MalformedReport(f"heartbeat: {name} is {value!r:.80}")


def _text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise _wrong(name, value)
    return value[:_LONGEST_TEXT]


def _flag(body: Mapping[str, Any], name: str, *, default: bool | None = None) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(name, value)
    return value


def _port(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
        raise _wrong(name, value)
    return value


def _duration(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise _wrong(name, value)
    return float(value)


def _maybe_duration(body: Mapping[str, Any], name: str) -> float | None:
    return None if body.get(name) is None else _duration(body, name)


def _word(kind: type[_E], body: Mapping[str, Any], name: str, default: _E | None = None) -> _E:
    value = body.get(name, default)
    try:
        return kind(value)
    except ValueError:
        raise _wrong(name, value) from None


def _outcome(value: object) -> Outcome | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _wrong("outcome", value)
    return Outcome(_text(value, "id"), _flag(value, "done"), _text(value, "reason"), _text(value, "message"))
