"""The checks of a diagnosis: small functions, each looks for one thing and says what and why.

`CHECKS` is the order in which they count: a cause comes before what it causes (both units in mode master
explains why both are active), and what stops service comes before what only endangers it. After the guide's
section 10 and the vendor's notes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present, Unknown
from loadmaster_ha.domain.units import AgentStatus, ObservedState, UnitKind
from loadmaster_ha.planning.diagnosis import pages, words
from loadmaster_ha.planning.diagnosis.model import DOWN, PairHealth, PairView, RuleHealth
from loadmaster_ha.planning.diagnosis.states import (
    Seen,
    asked,
    named_by_frontend,
    reachable,
    seen,
    states,
)

SYNCHRONISATION_SECONDS: Final = 120.0
"""The units compare their settings every two minutes (guide, 10.6)."""

_HEALTHY_DOWN: Final = "Down_Probe_HttpStatusCodeError"
"""What Azure says of a healthy standby: it answered, and not 200."""

_LET_IN: Final = (
    "Let the operator reach the unit's management and be accepted there (HASynced says what keeps it out); "
    "it sets the mode then."
)
_UNLICENSED: Final = frozenset({"Unlicensed", "EulaNotAccepted"})


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found. `remedy` overrides the catalogue's where more is known."""

    health: PairHealth
    cause: str
    remedy: str = ""


Check = Callable[[PairView], Found | None]


def mixed_units(view: PairView) -> Found | None:
    """An appliance and a node agent cannot be a pair: they do not understand each other on 6973."""
    kinds = {role: view.units[role].kind for role in Role}
    if None in kinds.values() or len(set(kinds.values())) == 1:
        return None
    told = ", ".join(f"the {role.lower()} is an {kind}" for role, kind in kinds.items())
    return Found(PairHealth.MIXED_UNITS, f"The units are of two kinds: {told}.")


def licensing_failed(view: PairView) -> Found | None:
    """The message about the default gateway while licensing (guide, 10.3)."""
    return _management(view, frozenset({"LicensingFailed"}), PairHealth.LICENSING_FAILED)


def unlicensed(view: PairView) -> Found | None:
    """A unit has no licence, or its licence agreement was not accepted."""
    return _management(view, _UNLICENSED, PairHealth.UNLICENSED)


def booting(view: PairView) -> Found | None:
    """A unit starts (guide, 10.4: about five minutes on a virtual machine), or we have rebooted it."""
    found = _management(view, frozenset({"Booting"}), PairHealth.BOOTING)
    if found is not None or not view.changing:
        return found
    away = [role for role in Role if asked(view.units[role]) and not isinstance(_told(view, role), Present)]
    if not away:
        return None
    return Found(PairHealth.BOOTING, f"The operator has rebooted the {away[0].lower()}; it is not back yet.")


def not_configured(view: PairView) -> Found | None:
    """HA has not been set on a unit yet; where it cannot be asked, its health page may say so."""
    single = [role for role, it in view.units.items() if it.settings and it.settings.mode is Mode.SINGLE]
    paged = [role for role, it in view.units.items() if pages.says_alone(it)]
    told = []
    if single:
        who = " and ".join(f"the {role.lower()}" for role in single)
        told.append(f"{who.capitalize()} {'are' if len(single) > 1 else 'is'} in single mode.")
    told += [
        f'The health page of the {role.lower()} says "{pages.NOT_CONFIGURED}", and '
        f"{words.management(view.units[role])}: it is new or was reset."
        for role in paged
    ]
    return Found(PairHealth.NOT_CONFIGURED, " ".join(told), _LET_IN if paged else "") if told else None


def mode_conflict(view: PairView) -> Found | None:
    """Both have the same mode, or each has the other's (guide, 7)."""
    modes = {
        role: it.settings.mode if it.settings is not None else pages.mode(it)
        for role, it in view.units.items()
    }
    if None in modes.values() or Mode.SINGLE in modes.values():
        return None
    paged = [role.lower() for role, it in view.units.items() if it.settings is None]
    by_page = f" (of the {' and the '.join(paged)} by its health page)" if paged else ""
    remedy = _LET_IN if paged else ""
    if modes[Role.MASTER] is modes[Role.SLAVE]:
        cause = f"Both units have the mode {modes[Role.MASTER]}{by_page}."
        return Found(PairHealth.MODE_CONFLICT, cause, remedy)
    if modes[Role.MASTER] is not Mode.MASTER:
        cause = "The units have each other's mode: the master is set to slave and the slave to master"
        return Found(PairHealth.MODE_CONFLICT, f"{cause}{by_page}.", remedy)
    return None


def port_mismatch(view: PairView) -> Found | None:
    """The check port is not the same everywhere (guide, 2).

    A node agent that has the manifest's new port already answers on the balancer's old one as well.
    """
    wrong = [
        f"{it.settings.port} on the {role.lower()}"
        for role, it in view.units.items()
        if it.settings is not None
        and it.settings.port not in (None, view.check_port)
        and not (it.kind is UnitKind.AGENT and it.settings.port == view.next_port)
    ]
    if not wrong:
        return None
    cause = f"The check port is {' and '.join(wrong)}; the balancer probes {view.check_port}."
    return Found(PairHealth.PORT_MISMATCH, cause)


def partner_mismatch(view: PairView) -> Found | None:
    """A unit's partner is not the other unit (the guide's 7 step 8 has a slip there)."""
    wrong = []
    for role, it in view.units.items():
        other = view.addresses.get(role.partner)
        partner = it.settings.partner if it.settings is not None else other
        if other is not None and partner != other:
            wrong.append(f"the {role.lower()}'s is {partner or 'not set'}, it should be {other}")
    if not wrong:
        return None
    return Found(PairHealth.PARTNER_MISMATCH, f"A partner address is wrong: {'; '.join(wrong)}.")


def both_active(view: PairView) -> Found | None:
    """Both answer the probe with 200: the balancer sends traffic to both."""
    if not all(each.serving for each in states(view).values()):
        return None
    if any(agent.switchover for agent in _agents(view)):
        cause = "A planned switch-over is under way: both are active until the balancer has seen the new one."
        return Found(PairHealth.ACTIVE_STANDBY, cause)
    if any(_agent_says(view, "BothActive")) and _linked(view):
        cause = "Both units are active; they see each other, and one of them is about to yield."
        return Found(PairHealth.BOTH_ACTIVE, cause, remedy="Nothing, unless it lasts.")
    return Found(PairHealth.BOTH_ACTIVE, "Both units are active and the balancer sends traffic to both.")


def secret_mismatch(view: PairView) -> Found | None:
    """The units refuse each other because of the Partner Shared Secret."""
    if not any(_agent_says(view, "SecretDiffers")) or _linked(view):
        return None
    return Found(PairHealth.SECRET_MISMATCH, "The units refuse each other: their shared secrets differ.")


def unconnected(view: PairView) -> Found | None:
    """The balancer has not probed a unit yet (guide, 10.2). Why, as far as Azure shows it."""
    found = states(view)
    lonely = [role for role in Role if found[role].state is ObservedState.UNCONNECTED]
    if not lonely or any(each.serving for each in found.values()):
        return None
    who = "Neither unit" if len(lonely) == len(Role) else f"The {lonely[0].lower()}"
    verb = "has" if len(lonely) == len(Role) else "has not"
    cause = f"{who} {verb} been polled by the load balancer on port {view.check_port} since it started."
    why, remedy = _why_not_probed(view)
    return Found(PairHealth.UNCONNECTED, f"{cause} {why}".rstrip(), remedy)


def none_active(view: PairView) -> Found | None:
    """Certainly nobody answers the probe with 200."""
    if not all(each.idle for each in states(view).values()):
        return None
    return Found(PairHealth.NONE_ACTIVE, "Neither unit is active: nobody is served.")


def partner_unreachable(view: PairView) -> Found | None:
    """One unit does not answer, or the two do not reach each other."""
    away = [role for role in Role if asked(view.units[role]) and not reachable(view.units[role])]
    down = [role for role, each in states(view).items() if each.state is ObservedState.FAILED]
    if len(away) == 1 and _any_serves(view):
        cause = (
            f"The {away[0].lower()} does not answer, neither its health port nor its management: it may be "
            "down, or only the way to it is. The other unit is active; there is nobody to take over."
        )
        return Found(PairHealth.PARTNER_UNREACHABLE, cause)
    if len(down) == 1 and _any_serves(view):
        cause = f"The {down[0].lower()} certainly does not serve. The other unit is active, alone."
        return Found(PairHealth.PARTNER_UNREACHABLE, cause)
    if any(_agent_says(view, "LinkCut")) and not _linked(view):
        blocked = _azure(view, "SynchronisationBlocked")
        cause = f"The units do not reach each other on TCP 6973. {blocked}".rstrip()
        return Found(PairHealth.PARTNER_UNREACHABLE, cause)
    return None


def sync_stale(view: PairView) -> Found | None:
    """Settings have not been synchronised for longer than two of the units' periods (guide, 10.6)."""
    limit = 2 * SYNCHRONISATION_SECONDS
    for role, it in view.units.items():
        if it.agent is not None and it.agent.sync_lag is not None and it.agent.sync_lag > limit:
            cause = f"The {role.lower()} has settings that its partner has not taken for over four minutes."
            return Found(PairHealth.SYNC_STALE, cause)
    since = view.services_differ_since
    if since is not None and view.now - since > limit:
        cause = "The virtual services of the two units have differed for over four minutes."
        return Found(PairHealth.SYNC_STALE, cause)
    return None


def version_skew(view: PairView) -> Found | None:
    """The units run different firmware; fine only while an upgrade is under way."""
    versions = {role: _release(it.firmware) for role, it in view.units.items() if it.firmware}
    if len(versions) < len(Role) or versions[Role.MASTER] == versions[Role.SLAVE]:
        return None
    told = ", ".join(f"{role.lower()} {version}" for role, version in versions.items())
    return Found(PairHealth.VERSION_SKEW, f"The units run different versions: {told}.")


def balancer_misconfigured(view: PairView) -> Found | None:
    """The units are fine, and what comes through the balancer is not (guide, 10.7)."""
    active = [role for role, each in states(view).items() if each.serving]
    if len(active) != 1 or view.changing:
        return None
    return _by_rule_health(view, active[0]) or _by_frontend(view, active[0])


def service_unreachable(view: PairView) -> Found | None:
    """A published service whose virtual service is down (guide, 10.8)."""
    down = [service for service in view.services if service.status in DOWN]
    if not down:
        return None
    told = []
    for service in down:
        servers = [address for address, status in service.real_servers.items() if status != "Up"]
        named = f" (real servers {', '.join(servers[:5])}{' ...' if len(servers) > 5 else ''})"
        told.append(f"{service.name}{named if servers else ' (it has no real server)'}")
    blocked = " ".join(found.message for service in down for found in service.findings)
    cause = f"Virtual services are down: {', '.join(told)}. {blocked}".rstrip()
    return Found(PairHealth.SERVICE_UNREACHABLE, cause)


def active_standby(view: PairView) -> Found | None:
    """One serves, the other one is ready: as it should be."""
    found = states(view)
    serving = [role for role in Role if found[role].serving]
    if len(serving) != 1 or not found[serving[0].partner].idle:
        return None
    standby = found[serving[0].partner].state
    if standby not in (ObservedState.STANDBY, ObservedState.UNCONNECTED):
        return None
    cause = f"The {serving[0].lower()} is active, the {serving[0].partner.lower()} stands by."
    return Found(PairHealth.ACTIVE_STANDBY, cause)


CHECKS: Final[tuple[Check, ...]] = (
    mixed_units,
    licensing_failed,
    unlicensed,
    booting,
    not_configured,
    mode_conflict,
    port_mismatch,
    partner_mismatch,
    both_active,
    unconnected,
    none_active,
    secret_mismatch,
    partner_unreachable,
    balancer_misconfigured,
    version_skew,
    sync_stale,
    service_unreachable,
    active_standby,
)


# What several checks need


def _told(view: PairView, role: Role) -> object:
    return view.units[role].management


def _management(view: PairView, reasons: frozenset[str], health: PairHealth) -> Found | None:
    """The first unit whose management cannot be asked for one of these reasons."""
    for role, it in view.units.items():
        if isinstance(it.management, Unknown) and it.management.reason in reasons:
            return Found(health, f"The {role.lower()}: {it.management.message.rstrip('.')}.")
    return None


def _agents(view: PairView) -> list[AgentStatus]:
    return [it.agent for it in view.units.values() if it.agent is not None]


def _agent_says(view: PairView, notice: str) -> list[str]:
    """The texts of a notice that agents give."""
    return [text for agent in _agents(view) for text in agent.notices if text.startswith(f"{notice}:")]


def _linked(view: PairView) -> bool:
    """Whether both agents say that their link is up."""
    agents = _agents(view)
    return len(agents) == len(Role) and all(agent.partner_connected for agent in agents)


def _any_serves(view: PairView) -> bool:
    return any(each.serving for each in states(view).values())


def _azure(view: PairView, *reasons: str) -> str:
    """The messages of findings of the Azure side that explain something."""
    return " ".join(found.message for found in view.azure if found.reason in reasons)


def _release(firmware: str) -> str:
    """The first four numbers; the build behind them may be a hash."""
    return ".".join(firmware.split(".")[:4])


def _why_not_probed(view: PairView) -> tuple[str, str]:
    """Why the balancer does not poll, from what Azure shows; with a remedy where one follows."""
    blocked = _azure(view, "ProbeBlocked", "ForeignDenyRule", "NotLetInBySecurityGroup")
    if blocked:
        return blocked, "Let the probe in: open the check port for the service tag AzureLoadBalancer."
    incomplete = _azure(view, "ProvisioningFailed", "ReferencedResourceUpdating", "CouldNotRead")
    if incomplete:
        return incomplete, ""
    if isinstance(view.rule_health, Present) and (reasons := view.rule_health.value.down):
        told = ", ".join(f"{address}: {reason}" for address, reason in sorted(reasons.items()))
        return f"Azure says of the members: {told}.", ""
    return "Azure's side looks as wanted, so the first polls are due.", "Wait for one or two probe intervals."


def _by_rule_health(view: PairView, active: Role) -> Found | None:
    """Azure's own view of the members contradicts the units'."""
    if not isinstance(view.rule_health, Present) or not view.rule_health_counts:
        return None
    health: RuleHealth = view.rule_health.value
    ours, other = view.addresses.get(active, ""), view.addresses.get(active.partner, "")
    if ours in health.down:
        reason = health.down[ours]
        cause = f"The {active.lower()} is active, but Azure holds its address {ours} down ({reason})."
        return Found(PairHealth.BALANCER_MISCONFIGURED, cause, _REMEDIES.get(reason, ""))
    if other in health.up and seen(view.units[active.partner]).idle:
        cause = f"The {active.partner.lower()} stands by, but Azure holds its address {other} up."
        remedy = "Look at the admin state of the member and at noHealthyBackendsBehavior of the probe."
        return Found(PairHealth.BALANCER_MISCONFIGURED, cause, remedy)
    reason = health.down.get(other, _HEALTHY_DOWN)
    if reason != _HEALTHY_DOWN and seen(view.units[active.partner]).idle:
        cause = f"The {active.partner.lower()} answers from here, but Azure says of {other}: {reason}."
        return Found(PairHealth.BALANCER_MISCONFIGURED, cause, _REMEDIES.get(reason, ""))
    return None


def _by_frontend(view: PairView, active: Role) -> Found | None:
    """What comes through the balancer is not the active unit, for longer than the probe needs."""
    frontend = view.frontend
    if frontend is None or view.now - frontend.since <= 2 * view.probe_seconds:
        return None
    named = named_by_frontend(frontend)
    if frontend.good and named in (None, active):
        return None
    it: Seen = seen(view.units[active])
    cause = (
        f"The {active.lower()} is {it.state.value.lower()} by its own port, but what comes through the "
        f"balancer on port {view.check_port} is something else."
    )
    blocked = _azure(view, "ProbeBlocked", "ForeignDenyRule", "NotLetInBySecurityGroup")
    return Found(PairHealth.BALANCER_MISCONFIGURED, f"{cause} {blocked}".rstrip())


_REMEDIES: Final = {
    "Down_Admin": "Somebody set the member's admin state to Down: set it back to None.",
    "Down_Probe_HttpEndpointUnreachable": "The probe does not get through: look at security groups, routes.",
    "Down_Probe_HttpNoResponse": "The probe gets no answer: look at security groups, routes and the unit.",
    "Down_Platform": "Azure says that its platform is at fault: see its service health.",
}
