"""What a person should know beside the state: told once when it begins and once when it ends."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.model import LinkEnd, Notice
from loadmaster_ha.agent.ha.partner import PartnerIs
from loadmaster_ha.agent.ha.witness import Testimony, testimony
from loadmaster_ha.agent.ha.words import seconds
from loadmaster_ha.agent.ha.work import Work
from loadmaster_ha.domain.ha import UnitState


def update(work: Work) -> None:
    """Tell what has begun and what has ended since the last step."""
    found = {reason: message for reason, applies in TABLE.items() if (message := applies(work)) is not None}
    if not found and not work.notices:
        return
    kept = []
    for notice in work.notices:
        if notice.reason in found:
            kept.append(notice)
        else:
            work.emit(replace(notice, ended=True))
    known = {notice.reason for notice in kept}
    for reason, message in found.items():
        if reason not in known:
            begun = Notice(reason, message)
            work.emit(begun)
            kept.append(begun)
    work.notices = tuple(kept)


def _same_mode(work: Work) -> str | None:
    if work.role is None or not work.same_mode:
        return None
    return (
        f"this unit and its partner {work.address} both have mode {work.configuration.mode}: HA does not "
        "work. Set one to master, the other to slave, and reboot both"
    )


def _check_port(work: Work) -> str | None:
    report = work.report
    if report is None or report.check_port == work.configuration.check_port:
        return None
    return (
        f"the health check port is {work.configuration.check_port} here and {report.check_port} at the "
        f"partner {work.address}: it must be the same on both units and in the balancer's probe"
    )


def _preference(work: Work) -> str | None:
    report = work.report
    if report is None or work.same_mode or report.preferred_host is work.configuration.preferred_host:
        return None
    here, there = work.configuration.preferred_host.value, report.preferred_host.value
    return (
        f"the preferred host is {here} here and {there} at the partner {work.address}: the master's word, "
        f"{work.preferred.value}, holds"
    )


def _secret(work: Work) -> str | None:
    if work.evidence.link_end is not LinkEnd.UNAUTHORISED:
        return None
    return f"the partner {work.address} has another Partner Shared Secret: set the same one on both units"


def _protocol(work: Work) -> str | None:
    if work.evidence.link_end is not LinkEnd.INCOMPATIBLE:
        return None
    return f"the partner {work.address} speaks no common version of the link: update the older of the two"


def _link_cut(work: Work) -> str | None:
    """Only the link: not while it is being made again, and not when the partner is gone as well."""
    if work.role is None or work.partner_is is PartnerIs.NONE or work.report is not None:
        return None
    seen = work.partner_is in (PartnerIs.ACTIVE_BY_PAGE, PartnerIs.IDLE_BY_PAGE)
    vouched = work.partner_is is PartnerIs.SILENT and testimony(work) is Testimony.ALIVE
    since = max(work.started, work.evidence.report_at)
    if not (seen or vouched) or work.now - since <= 2 * work.configuration.partner_timeout:
        return None
    how = "its health port answers" if seen else "the balancer's frontend answers for it"
    return (
        f"the partner {work.address} is alive ({how}) but the link to it is down: settings are not "
        "synchronised and there is no planned switch-over. Look at TCP 6973 between the units"
    )


def _nobody(work: Work) -> str | None:
    """Neither unit can serve."""
    if work.role is None or work.able or work.healthy is None or work.active:
        return None
    if work.partner_is not in (PartnerIs.UNABLE, PartnerIs.DOWN, PartnerIs.SILENT, PartnerIs.NONE):
        return None
    if work.partner_is is PartnerIs.SILENT and testimony(work) is Testimony.ALIVE:
        return None
    return f"nobody serves: this unit cannot ({work.reason}) and the partner is {work.partner_is.value}"


def _not_probed(work: Work) -> str | None:
    if work.role is None or not work.unprobed:
        return None
    last = work.probes.last if work.probes.last is not None else work.started
    if work.now - last <= timing.cut_off_after(work.configuration):
        return None
    since = "since the start" if work.probes.last is None else f"for {seconds(work.now - last)}"
    return (
        f"the balancer has not probed port {work.configuration.check_port} {since}: look at its probe, "
        "its pool and the security groups"
    )


def _both(work: Work) -> str | None:
    if work.conflict is None:
        return None
    return f"this unit and the partner {work.address} are both active; one of them yields"


def _held(work: Work) -> str | None:
    if work.hold is None or not work.active:
        return None
    until = "until it is undone" if work.hold.until is None else f"for {seconds(work.hold.until - work.now)}"
    return f"Prefer Master is held off {until} by switch-over {work.hold.id}"


def _draining(work: Work) -> str | None:
    if work.drain is None:
        return None
    until = "until it is ended" if work.drain.until is None else f"for {seconds(work.drain.until - work.now)}"
    return f"the unit is being drained {until} and does not take over"


def _no_partner(work: Work) -> str | None:
    if work.role is None or work.configuration.partner is not None:
        return None
    return f"mode {work.configuration.mode} is set, but no partner: set its address"


def _no_witness(work: Work) -> str | None:
    if work.role is None or work.configuration.witness or work.configuration.partner is None:
        return None
    return (
        "the balancer's frontend is not set: when the partner is silent this unit takes over without asking "
        "whether only the way between the units is cut"
    )


def _failed(work: Work) -> str | None:
    if work.state is not UnitState.FAILED or work.healthy is not False:
        return None
    return f"the data plane does not serve: {work.health_detail}"


TABLE: Final[dict[str, Callable[[Work], str | None]]] = {
    "SameMode": _same_mode,
    "CheckPortDiffers": _check_port,
    "PreferenceDiffers": _preference,
    "SecretDiffers": _secret,
    "ProtocolDiffers": _protocol,
    "LinkCut": _link_cut,
    "NobodyServes": _nobody,
    "NotProbed": _not_probed,
    "BothActive": _both,
    "PreferMasterHeld": _held,
    "Draining": _draining,
    "NoPartner": _no_partner,
    "NoWitness": _no_witness,
    "DataPlaneFailed": _failed,
}
"""Every notice: its reason, and the words for it while it applies."""


def reasons() -> Iterator[str]:
    """All reasons, for the documentation."""
    return iter(TABLE)
