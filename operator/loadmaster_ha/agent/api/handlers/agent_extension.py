"""What only a node agent can be asked: the balancer's parameters, switch-over, drain, state."""

from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.handlers.ha import settings_in_words
from loadmaster_ha.agent.api.handlers.parameters import date, value_of
from loadmaster_ha.agent.api.unit import Unit, bounded
from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable
from loadmaster_ha.agent.host_addresses import is_of_a_host
from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.agent.unit_settings import AGENT_KEY, AgentSettings, HaSettings
from loadmaster_ha.domain.ha import Role, UnitState
from loadmaster_ha.loadmaster.catalogue.agent import HA_FIELDS, WATCH_SECONDS
from loadmaster_ha.loadmaster.parameters import PARAMETERS
from loadmaster_ha.loadmaster.values import Json

_FIELDS: Final = {
    "frontend": "frontend",
    "probesource": "probe_source",
    "probeinterval": "probe_interval",
    "probethreshold": "probe_threshold",
}
_ROLES: Final = {"master": Role.MASTER, "first": Role.MASTER, "slave": Role.SLAVE, "second": Role.SLAVE}


@handles("agentgetparams")
async def get_parameters(_: Call, unit: Unit) -> Reply:
    """What is in force, defaults included."""
    return Data(_inputs(unit))


@handles("agentsetparams")
async def set_parameters(call: Call, unit: Unit) -> Reply:
    """Change what was sent, and nothing else."""
    _check_addresses(call, unit)
    stored = unit.settings.snapshot.get(Kind.AGENT, AGENT_KEY) or {}
    fields = {field: call.parameters[name] for name, field in _FIELDS.items() if call.sent(name)}
    changed = {field: value for field, value in fields.items() if stored.get(field) != value}
    if changed:
        unit.settings.commit([AgentSettings.put(changed)])
    return Done()


@handles("agentswitchover")
async def switch_over(call: Call, unit: Unit) -> Reply:
    """Switch over and say how it ended; what was aborted is a refusal with the reason."""
    to = call.text("to")
    if to == "undo":
        unit.undo_hold()
        return Data({"outcome": "Undone"})
    view = unit.view()
    if view.mode.role is None:
        raise Refused(422, "This unit has no partner to switch over to: HA is not configured.")
    default = view.mode.role.partner if view.state is UnitState.ACTIVE else view.mode.role
    ended = await unit.switchover(_ROLES[to] if to else default, call.number("hold"))
    if not ended.done:
        raise Refused(422, f"Switch-over aborted ({ended.reason}): {ended.message}")
    return Data({"outcome": "Done", "reason": ended.reason, "detail": ended.message})


@handles("agentdrain")
async def drain(call: Call, unit: Unit) -> Reply:
    """Begin or end a drain."""
    if call.flag("end"):
        unit.undrain()
    else:
        unit.drain(call.number("seconds"))
    return Done()


@handles("agentstatus")
async def status(_: Call, unit: Unit) -> Reply:
    """How things stand."""
    return Data(_status(unit))


@handles("agentwatch")
async def watch(call: Call, unit: Unit) -> Reply:
    """How things stand, as soon as that is another than the caller knows."""
    seconds = call.number("seconds")
    since = call.number("since")
    if since is not None and since == unit.revision:
        await bounded(unit.changed(since), WATCH_SECONDS if seconds is None else seconds, since)
    return Data(_status(unit))


@handles("agentsetcertificate")
async def set_certificate(call: Call, unit: Unit) -> Reply:
    """Serve another certificate from the next connection on."""
    try:
        await unit.replace_management_certificate(call.data or b"")
    except CertificateUnusable as error:
        raise Refused(422, f"data: {error}") from None
    return Done()


def _check_addresses(call: Call, unit: Unit) -> None:
    for name, whose in (("frontend", "a load balancer's"), ("probesource", "a prober's")):
        address = call.text(name)
        if address and not is_of_a_host(address):
            raise Refused(422, f"{name}: {address} cannot be {whose} address")
    frontend = call.text("frontend")
    if frontend and frontend in {address.partition("/")[0] for address in unit.own_addresses.values()}:
        raise Refused(422, "frontend: is this unit's own address; enter the load balancer's")
    if frontend and frontend == HaSettings.of(unit.settings.snapshot).partner:
        raise Refused(422, "frontend: is the partner's address; enter the load balancer's")


def _inputs(unit: Unit) -> dict[str, Json]:
    settings = AgentSettings.of(unit.settings.snapshot)
    return {name: getattr(settings, field) for name, field in _FIELDS.items()}


def _status(unit: Unit) -> dict[str, Json]:
    view = unit.view()
    link = unit.link_status()
    partner = view.partner
    since = view.active_since
    settings = settings_in_words(unit)
    return {
        "revision": unit.revision,
        "settingsrevision": unit.settings_revision,
        "mode": view.mode.value,
        "state": view.state.value,
        "reason": view.reason,
        "detail": view.message,
        "activeseconds": 0 if since is None else int(max(0.0, unit.monotonic - since)),
        "draining": view.draining,
        "held": view.held,
        "switchover": view.switchover or None,
        "partnerconnected": link.connected,
        "partner": link.peer,
        "partnermode": partner.mode.value if partner else None,
        "partnerstate": partner.state.value if partner else None,
        "partnerdetail": (partner.detail or None) if partner else None,
        "linkbytesin": link.bytes_in,
        "linkbytesout": link.bytes_out,
        "linkrefusals": [f"{reason} {count}" for reason, count in sorted(link.refused.items()) if count],
        "linkerror": link.last_error or None,
        "synclag": link.lag,
        "synclagseconds": int(link.lag_seconds),
        "synclastsuccess": None if link.last_success is None else date(link.last_success),
        "version": unit.version,
        "boottime": date(unit.boot_time),
        "notices": [f"{notice.reason}: {notice.message}" for notice in view.notices],
        **{name: value_of(PARAMETERS[name], unit) for name in ("serialnumber", "activetime")},
        **{name: settings[field] for name, field in HA_FIELDS.items()},
        **_inputs(unit),
    }
