"""High availability in the cloud (guide, 7): role, partner, check port, preference; and the partner's secret.

What is set here is read back at once; the role takes effect at the next reboot, as on the appliance.
"""

from ipaddress import ip_address
from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.service_changes import everything
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.host_addresses import is_of_a_host
from loadmaster_ha.agent.settings.model import Json, Kind, Put
from loadmaster_ha.agent.unit_settings import SECRET_KEY, HaSettings, partner_secret
from loadmaster_ha.domain.ha import CHECK_PORT_FORBIDDEN, PROBE_FORBIDDEN_PORTS, Mode, PreferredHost
from loadmaster_ha.loadmaster import values
from loadmaster_ha.loadmaster.values import UNSET

_MODES: Final = {
    "first": Mode.MASTER,
    "master": Mode.MASTER,
    "second": Mode.SLAVE,
    "slave": Mode.SLAVE,
    "single": Mode.SINGLE,
}


@handles("azurehamode", "setcloudhamode")
async def set_mode(call: Call, unit: Unit) -> Reply:
    """Set the role; never the one that the partner has."""
    mode = _MODES[call.text("hamode") or ""]
    partner = unit.view().partner
    if mode is not Mode.SINGLE and partner is not None and partner.mode is mode:
        raise Refused(
            422,
            f"hamode: the partner is {mode.lower()} already. Set one of the units to the other role, "
            "or to single and reboot it first.",
        )
    if HaSettings.of(unit.settings.snapshot).mode is not mode:
        unit.settings.commit([HaSettings.put({"mode": mode.value})])
    return Done()


@handles("azurehaparam", "setcloudhaparam")
async def set_parameters(call: Call, unit: Unit) -> Reply:
    """Change what was sent, and nothing else."""
    fields: dict[str, Json] = {}
    if call.sent("partner"):
        fields["partner"] = _partner(call.text("partner"), unit)
    if call.sent("hcp"):
        fields["check_port"] = _check_port(call.number("hcp"), unit)
    if call.sent("haprefered"):
        prefers_none = call.flag("haprefered") is False
        fields["preferred_host"] = (PreferredHost.NONE if prefers_none else PreferredHost.MASTER).value
    if call.sent("hcai"):
        fields["all_interfaces"] = call.flag("hcai")
    stored = unit.settings.snapshot.get(Kind.HA, "ha") or {}
    changed = {name: value for name, value in fields.items() if stored.get(name) != value}
    if changed:
        unit.settings.commit([HaSettings.put(changed)])
    return Done()


@handles("getazurehaparams", "getcloudhaparams", "getcloudhaparameters")
async def get_parameters(_: Call, unit: Unit) -> Reply:
    """Read back in the appliance's words, its quirks included (v1 and v2 collections)."""
    return Data(settings_in_words(unit))


@handles("setlmcommsecret")
async def set_secret(call: Call, unit: Unit) -> Reply:
    """Keep the Partner Shared Secret; its form was checked by the catalogue."""
    secret = call.text("secret")
    if secret != partner_secret(unit.settings.snapshot):
        unit.settings.commit([Put(Kind.SECRET, SECRET_KEY, {"value": secret})])
    return Done()


def settings_in_words(unit: Unit) -> dict[str, values.Json]:
    """The HA settings as an appliance tells them."""
    settings = HaSettings.of(unit.settings.snapshot)
    preferred = 0 if settings.preferred_host is PreferredHost.NONE else 1
    return {
        "HaMode": settings.mode.lower(),
        "HaPrefered": None if settings.mode is Mode.SINGLE else preferred,
        "Partner": settings.partner or UNSET,
        "Port": UNSET if settings.check_port is None else str(settings.check_port),
        "HealthCheckAllInterfaces": "yes" if settings.all_interfaces else UNSET,
    }


def _partner(text: str | None, unit: Unit) -> str | None:
    if text is None:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        raise Refused(422, f"partner: {text!r} is no IP address; names are not looked up here") from None
    if not is_of_a_host(str(address)):
        raise Refused(422, f"partner: {address} is not the address of a unit")
    if str(address) in {own.partition("/")[0] for own in unit.own_addresses.values()}:
        # The guide itself slips here (7 step 8): the partner is always the other unit.
        raise Refused(422, f"partner: {address} is this unit's own address; enter the other unit's")
    return str(address)


def _check_port(port: int | None, unit: Unit) -> int | None:
    if port is None:
        return None
    if port in PROBE_FORBIDDEN_PORTS:
        raise Refused(422, f"hcp: Azure does not probe port {port} by HTTP; the guide's is 8444")
    if port in CHECK_PORT_FORBIDDEN or port == unit.management_port:
        raise Refused(422, f"hcp: the unit itself uses port {port}; the guide's is 8444")
    for found in everything(unit.settings.snapshot, unit):
        if port in {found.key.port, *found.service.extra_ports}:
            raise Refused(422, f"hcp: port {port} belongs to virtual service {found.index}")
    return port
