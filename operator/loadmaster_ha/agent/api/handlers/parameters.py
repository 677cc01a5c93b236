"""`get`, `set`, `getall` and `listapi`: the parameters of `loadmaster.parameters`, told truthfully."""

import re
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from loadmaster_ha.agent.api import dispatch
from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles, refuse_on_standby
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.settings.model import Delete, Kind, Put
from loadmaster_ha.agent.unit_settings import HaSettings
from loadmaster_ha.domain.ha import Mode, UnitState
from loadmaster_ha.loadmaster import parameters, values
from loadmaster_ha.loadmaster.parameters import UnitParameter
from loadmaster_ha.loadmaster.values import InvalidValueError, Json

HA_NOT_CONFIGURED: Final = "HA not configured"
_STATUS_WORDS: Final = MappingProxyType(
    {
        UnitState.ACTIVE: "Active",
        UnitState.STANDBY: "Standby",
        # "Passive: the status has not been set yet" (interface description, 3.22.4): nobody probed it.
        UnitState.UNCONNECTED: "Passive",
        UnitState.FAILED: "Failed",
    },
)
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
_NAMES: Final = frozenset({"hostname", "domain"})


def date(moment: datetime) -> str:
    """As the appliance writes times, with a year of two digits: `Fri, 08 Aug 25 10:07:09 UTC`."""
    return moment.astimezone(UTC).strftime("%a, %d %b %y %H:%M:%S UTC")


def api_is_enabled(unit: Unit) -> bool:
    """Whether requests are answered at all."""
    return value_of(parameters.PARAMETERS["enableapi"], unit) is not False


def value_of(parameter: UnitParameter, unit: Unit) -> Json:
    """The parameter's value now; None when it is not set."""
    if parameter.told_by_unit:
        return _TOLD[parameter.name](unit)
    stored = unit.settings.snapshot.get(_kind(parameter), parameter.name.lower())
    value = stored.get("value") if stored else None
    if value is None and parameter.name == "hostname":
        return socket.gethostname()
    return parameter.default if value is None else value


@handles("get")
async def get(call: Call, unit: Unit) -> Reply:
    """One parameter, under the name it was asked by."""
    name = call.text("param") or ""
    parameter = _find(name)
    value = value_of(parameter, unit)
    return Data({name: "" if value is None else value})


@handles("getall")
async def getall(_: Call, unit: Unit) -> Reply:
    """What has a value; `hastatus` is one of those that has none while HA is off."""
    found = {each.name: value_of(each, unit) for each in parameters.PARAMETERS.values() if each.in_getall}
    if found["hastatus"] == HA_NOT_CONFIGURED:
        del found["hastatus"]
    return Data({name: value for name, value in found.items() if value not in (None, "", [])})


@handles("set")
async def set_(call: Call, unit: Unit) -> Reply:
    """Change one parameter; the same value again writes nothing."""
    name = call.text("param") or ""
    parameter = _find(name)
    value = _read(parameter, call.parameters.get("value"))
    if value == value_of(parameter, unit):
        return Done()
    if parameter.read_only:
        raise Refused(422, f"{parameter.name} cannot be changed: {parameter.read_only}.")
    if not parameter.local:
        refuse_on_standby(unit)
    key = parameter.name.lower()
    kind = _kind(parameter)
    if value is None or value == parameter.default:
        if unit.settings.snapshot.get(kind, key) is not None:
            unit.settings.commit([Delete(kind, key)])
    else:
        unit.settings.commit([Put(kind, key, {"value": value})])
    return Done()


@handles("listapi")
async def listapi(_: Call, unit: Unit) -> Reply:
    """The commands that have a handler here, and no others."""
    return Data({"commands": list[Json](sorted(dispatch.registry())), "version": unit.version})


def _find(name: str) -> UnitParameter:
    parameter = parameters.find(name)
    if parameter is None:
        raise Refused(422, f"Unknown parameter {values.printable(name)[:64]}.")
    return parameter


def _kind(parameter: UnitParameter) -> Kind:
    return Kind.LOCAL_PARAMETER if parameter.local else Kind.PARAMETER


def _read(parameter: UnitParameter, raw: Json) -> Json:
    if parameter.name == "enableapi" and raw in (0, 1, "0", "1") and not isinstance(raw, bool):
        # "The value 1 is refused" (interface description, 3.12.4).
        raise Refused(422, "enableapi: say yes or no")
    try:
        value = values.parse(parameter.kind, raw)
    except InvalidValueError as error:
        raise Refused(422, f"{parameter.name}: {error}") from None
    low, high = parameter.minimum, parameter.maximum
    if isinstance(value, int) and low is not None and high is not None and not low <= value <= high:
        raise Refused(422, f"{parameter.name}: {value} is out of bounds: {low} to {high}")
    if parameter.name in _NAMES and isinstance(value, str) and not _NAME.fullmatch(value):
        raise Refused(422, f"{parameter.name}: letters, digits, dots and hyphens only")
    return value


def _active_time(unit: Unit) -> str:
    since = unit.view().active_since
    if since is None:
        return "0"
    return date(datetime.now(UTC) - timedelta(seconds=max(0.0, unit.monotonic - since)))


def _ha_status(unit: Unit) -> str:
    view = unit.view()
    return HA_NOT_CONFIGURED if view.mode is Mode.SINGLE else _STATUS_WORDS[view.state]


def _ha_mode(unit: Unit) -> str:
    return "0" if HaSettings.of(unit.settings.snapshot).mode is Mode.SINGLE else "3"


_TOLD: Final[Mapping[str, Callable[[Unit], Json]]] = MappingProxyType(
    {
        "version": lambda unit: unit.version,
        "serialnumber": lambda unit: unit.serial_number,
        "time": lambda _: date(datetime.now(UTC)),
        "boottime": lambda unit: date(unit.boot_time),
        "activetime": _active_time,
        "hamode": _ha_mode,
        "hastatus": _ha_status,
        "apiport": lambda unit: unit.management_port,
        "wuiport": lambda unit: unit.management_port,
    },
)
