"""HA settings of a unit: the family of commands that it has for them, and what it reads back, normalised.

What is written and what is read differ ("RESTful API Interface Description", 3.22.4, 3.22.5; the v2
collection): `first` reads back as `master`, `hcp` as `Port`, a number as a text, and what is not set as the
word `unset` or not at all. Compared without this, the same value would be written for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from loadmaster_ha.domain.ha import Mode, PreferredHost
from loadmaster_ha.domain.units import HighAvailabilitySettings, ObservedState
from loadmaster_ha.loadmaster import values
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.values import InvalidValueError, Json, Kind

MODE_WORDS: Final[Mapping[Mode, str]] = MappingProxyType(
    {Mode.MASTER: "first", Mode.SLAVE: "second", Mode.SINGLE: "single"}
)
"""As `hamode` is set."""
OLD_MODE_WORDS: Final[Mapping[Mode, str]] = MappingProxyType(
    {Mode.MASTER: "master", Mode.SLAVE: "slave", Mode.SINGLE: "single"}
)
"""As `hamode` was set by older clients. Not documented: from which firmware on the new words are taken."""
HA_NOT_CONFIGURED: Final = "ha not configured"
"""`hastatus` of a unit in single mode, in lower case."""

_MODES: Final = {
    "first": Mode.MASTER,
    "master": Mode.MASTER,
    "second": Mode.SLAVE,
    "slave": Mode.SLAVE,
    "single": Mode.SINGLE,
}
_STATES: Final = {
    "active": ObservedState.ACTIVE,
    "standby": ObservedState.STANDBY,
    # "The status has not been set yet" (3.22.4). On Azure that has to be what the guide calls Unconnected
    # (10.2); no appliance was seen to say so.
    "passive": ObservedState.UNCONNECTED,
    "failed": ObservedState.FAILED,  # node agents
    # It has no partner and serves alone, as a node agent in single mode says of itself.
    HA_NOT_CONFIGURED: ObservedState.ACTIVE,
}


@dataclass(frozen=True, slots=True)
class Family:
    """One of the vendor's families of commands for HA in a cloud; they do the same."""

    set_mode: str
    set_parameters: str
    read: str


_FAMILIES: Final = (
    Family("azurehamode", "azurehaparam", "getazurehaparams"),
    Family("setcloudhamode", "setcloudhaparam", "getcloudhaparams"),
    Family("setcloudhamode", "setcloudhaparam", "getcloudhaparameters"),
)


def family(commands: frozenset[str]) -> Family:
    """The family that a unit has, of those that `listapi` names (lower case).

    Raises:
        UnitFault: `UnknownCommand`; it has none.
    """
    for each in _FAMILIES:
        if commands.issuperset({each.set_mode, each.set_parameters, each.read}):
            return each
    raise UnitFault(
        FaultReason.UNKNOWN_COMMAND,
        "The unit has no commands for high availability in a cloud (azurehamode, azurehaparam, "
        "getazurehaparams).",
    )


def read(fields: Mapping[str, Json] | None) -> HighAvailabilitySettings:
    """What `getazurehaparams` and the like say.

    Raises:
        UnitFault: `Malformed`; the mode or the port is nothing that a unit can have.
    """
    told = _told(fields)
    port = _number(told, "Port")
    preferred = _number(told, "HaPrefered")
    return HighAvailabilitySettings(
        mode=_mode(told.get("HaMode")),
        preferred_host=None if preferred is None else _preferred_host(preferred),
        partner=_partner(told.get("Partner")),
        port=port or None,
        all_interfaces=_all_interfaces(told.get("HealthCheckAllInterfaces")),
    )


def state(word: Json) -> ObservedState:
    """The state that `hastatus` tells; absent or empty is a unit whose HA is not configured."""
    return _STATES.get(_lower(word) or HA_NOT_CONFIGURED, ObservedState.UNKNOWN)


def mode_in_force(word: Json, settings: HighAvailabilitySettings) -> Mode | None:
    """What an appliance runs as, by `hastatus`: whether HA is on, it tells; which role, only the settings.

    None: HA is on, but the settings say `single` already, and so nobody tells the role.
    """
    if (_lower(word) or HA_NOT_CONFIGURED) == HA_NOT_CONFIGURED:
        return Mode.SINGLE
    return None if settings.mode is Mode.SINGLE else settings.mode


def _told(fields: Mapping[str, Json] | None) -> Mapping[str, Json]:
    """The record itself, also from within an element that is named otherwise than expected (`AwsHA`)."""
    told = fields or {}
    if "HaMode" not in told:
        told = next((each for each in told.values() if isinstance(each, dict) and "HaMode" in each), told)
    return told


def _mode(raw: Json) -> Mode:
    word = _lower(raw)
    if not word:
        return Mode.SINGLE
    if word not in _MODES:
        raise UnitFault(FaultReason.MALFORMED, f"The unit's HA mode reads back as {word[:40]!r}.")
    return _MODES[word]


def _preferred_host(number: int) -> PreferredHost:
    return PreferredHost.MASTER if number else PreferredHost.NONE


def _partner(raw: Json) -> str | None:
    text = _lower(raw)
    if not text:
        return None
    try:
        return str(values.parse(Kind.ADDRESS, text))
    except InvalidValueError:
        return text  # a host name is possible


def _all_interfaces(raw: Json) -> bool | None:
    """`unset` and nothing are "no" (Kemp's PowerShell module). Not documented: what it says when it is on."""
    word = _lower(raw)
    if not word:
        return False
    try:
        return bool(values.parse(Kind.SWITCH, word))
    except InvalidValueError:
        return None


def _number(told: Mapping[str, Json], name: str) -> int | None:
    raw = told.get(name)
    try:
        found = values.parse(Kind.NUMBER, int(raw) if isinstance(raw, bool) else raw)
    except InvalidValueError:
        shown = str(raw)[:40]
        raise UnitFault(FaultReason.MALFORMED, f"The unit's {name} reads back as {shown!r}.") from None
    return found if isinstance(found, int) else None


def _lower(raw: Json) -> str:
    """The word in lower case; "" for what is not set."""
    word = ("yes" if raw else "no") if isinstance(raw, bool) else str("" if raw is None else raw)
    word = word.strip().lower()
    return "" if word == values.UNSET else word
