"""Commands of interfaces and additional addresses ("RESTful API Interface Description", 3.13).

The network is the operating system's: addresses and MTU are read from it and cannot be set here. Switches and
additional addresses are local settings of the unit (guide, 1), kept and read back.
"""

import ipaddress
from typing import Final

from loadmaster_ha.agent.api import machine
from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.settings.model import Delete, Json, Kind, Put

_SWITCHES: Final = {
    "gwiface": "DefaultInterface",
    "adminwuienable": "AdminWuiEnable",
    "geotraffic": "GeoTrafficEnable",
}
_OTHER_HA: Final = frozenset({"hacheck", "clupdate", "partner", "shared"})
_UNCHANGED: Final = "Nothing Modified"
"""The appliance's words; Kemp's client, which writes back everything that it has read, goes by them."""
_BONDING: Final = "Bonding is not possible: Azure has one path for each network interface (guide, 1.1)."


@handles("showiface")
async def showiface(call: Call, unit: Unit) -> Reply:
    """All interfaces, or one by its number."""
    numbers = range(len(unit.own_addresses)) if call.number("interface") is None else [_number(call, unit)]
    return Data({"Interface": [_row(number, unit) for number in numbers]})


@handles("modiface")
async def modiface(call: Call, unit: Unit) -> Reply:
    """Change one parameter of an interface; the reply is a sentence."""
    number = _number(call, unit)
    sent = [name for name in call.parameters if name != "interface"]
    if len(sent) > 1:
        raise Refused(422, f"Only one parameter can be changed on each call, not {', '.join(sent)}.")
    if not sent or call.parameters[sent[0]] is None:
        raise Refused(422, _UNCHANGED)
    name, row = sent[0], _row(number, unit)
    if name == "bondmode":
        raise Refused(422, _BONDING)
    if name in _OTHER_HA:
        raise Refused(
            422, f"{name}: belongs to the kind of HA that shares an address; there is none in Azure."
        )
    if name in _SWITCHES:
        return _switched(call, name, number, unit)
    if str(call.parameters[name]) == row["IPAddress" if name == "addr" else "Mtu"]:
        raise Refused(422, _UNCHANGED)
    raise Refused(
        422, f"{name}: is the operating system's; set it there (in Azure: at the network interface)."
    )


@handles("createbond", "addbond", "delbond", "unbond")
async def refuse_bonding(_call: Call, _unit: Unit) -> Reply:
    """There are no bonded interfaces in Azure."""
    raise Refused(422, _BONDING)


@handles("addadditional")
async def addadditional(call: Call, unit: Unit) -> Reply:
    """Note an additional address."""
    key = _additional_key(call, unit)
    if unit.settings.snapshot.get(Kind.ADDITIONAL_ADDRESS, key) is not None:
        raise Refused(422, f"addr: the interface has {key.partition('|')[2]} already.")
    unit.settings.commit([Put(Kind.ADDITIONAL_ADDRESS, key, {"address": key.partition("|")[2]})])
    return Done()


@handles("deladditional")
async def deladditional(call: Call, unit: Unit) -> Reply:
    """Forget an additional address."""
    key = _additional_key(call, unit)
    if unit.settings.snapshot.get(Kind.ADDITIONAL_ADDRESS, key) is None:
        raise Refused(422, f"addr: the interface does not have {key.partition('|')[2]}.")
    unit.settings.commit([Delete(Kind.ADDITIONAL_ADDRESS, key)])
    return Done()


def _switched(call: Call, name: str, number: int, unit: Unit) -> Reply:
    interface = list(unit.own_addresses)[number]
    before = _switch(_SWITCHES[name], interface, number, unit.settings.snapshot)
    if bool(call.parameters[name]) == before:
        raise Refused(422, _UNCHANGED)
    unit.settings.commit([Put(Kind.INTERFACE, interface, {_SWITCHES[name]: not before})])
    return Done()


def _number(call: Call, unit: Unit) -> int:
    number = call.number("interface") or 0
    if number >= len(unit.own_addresses):
        raise Refused(
            422, f"interface: there is no interface {number}; 0 to {len(unit.own_addresses) - 1} are."
        )
    return number


def _row(number: int, unit: Unit) -> dict[str, Json]:
    interface, address = list(unit.own_addresses.items())[number]
    snapshot = unit.settings.snapshot
    facts = machine.link_with(address)
    prefix = facts.network.network.prefixlen if facts is not None and facts.network is not None else 32
    row: dict[str, Json] = {
        "Id": number,
        "IPAddress": f"{address}/{prefix}",
        "Mtu": None if facts is None or facts.mtu is None else str(facts.mtu),
        "InterfaceType": "Port",
        "AdditionalAddresses": _additional(interface, snapshot) or None,
    }
    return row | {name: _switch(name, interface, number, snapshot) for name in _SWITCHES.values()}


def _switch(name: str, interface: str, number: int, snapshot: Snapshot) -> bool:
    """As set; else the first interface has everything."""
    stored = (snapshot.get(Kind.INTERFACE, interface) or {}).get(name)
    return stored if isinstance(stored, bool) else number == 0


def _additional(interface: str, snapshot: Snapshot) -> list[Json]:
    keys = snapshot.entities(Kind.ADDITIONAL_ADDRESS)
    return [key.partition("|")[2] for key in sorted(keys) if key.startswith(f"{interface}|")]


def _additional_key(call: Call, unit: Unit) -> str:
    interface = list(unit.own_addresses)[_number(call, unit)]
    text = call.text("addr") or ""
    try:
        address = ipaddress.ip_interface(text)
    except ValueError:
        raise Refused(
            422, f"addr: {text!r} is not an address with its prefix, such as 10.0.0.9/24."
        ) from None
    if str(address.ip) in unit.own_addresses.values():
        raise Refused(422, f"addr: {address.ip} is an interface's own address.")
    return f"{interface}|{address.with_prefixlen}"
