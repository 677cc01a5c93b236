"""The decision table: the first rule that applies says what this unit's duty is, and why.

Every change of state carries the name of its rule as reason, in the log, the API and the metric. The rules
look at facts only (`work.py`, `partner.py`, `witness.py`, `conflict.py`, `switchover.py`); `engine.py` acts
on the duty.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadmaster_ha.agent.ha import conflict, switchover, timing
from loadmaster_ha.agent.ha.model import LinkEnd, Page
from loadmaster_ha.agent.ha.partner import PartnerIs
from loadmaster_ha.agent.ha.witness import Testimony, testimony
from loadmaster_ha.agent.ha.words import seconds
from loadmaster_ha.agent.ha.work import Work
from loadmaster_ha.domain.ha import UnitState


class Duty(StrEnum):
    """What a unit is to do."""

    SERVE = "Serve"
    """Be active; if the balancer has not probed it yet: answer its first probe with 200."""
    REST = "Rest"
    """Stand by; if the balancer has not probed it yet: wait."""
    FAIL = "Fail"
    """Cannot serve."""
    KEEP = "Keep"
    """Nothing new is known: go on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`reason` is for metrics and scripts, `message` for people, `why` for the documentation."""

    reason: str
    duty: Duty
    applies: Callable[[Work], bool]
    message: Callable[[Work], str]
    why: str


def decide(work: Work) -> Rule:
    """The rule that applies."""
    for rule in _ACTIVE_RULES if work.active else _IDLE_RULES:
        if rule.applies(work):
            return rule
    return KEEP  # the last rule of both tables applies always


# Facts that only the table asks for


def _looking(work: Work) -> bool:
    """Just started, and the partner has not said yet what it does."""
    if work.now - work.started >= timing.start_grace(work.configuration, is_master=work.is_master):
        return False
    if work.partner_is is PartnerIs.DOWN and work.evidence.report is not None:
        return False  # it was seen, and has died since
    return not (work.is_master and work.partner_is in (PartnerIs.READY, PartnerIs.UNABLE))


def _partner_cut_off(work: Work) -> bool:
    """The partner is active and the balancer probes only this unit."""
    report = work.report
    return (
        report is not None
        and work.partner_is is PartnerIs.ACTIVE
        and report.probe_age is not None
        and not report.handover
        and work.partner_cut_off
        and work.probed_lately
    )


def _nobody_active(work: Work) -> bool:
    return work.partner_is in (PartnerIs.READY, PartnerIs.IDLE_BY_PAGE)


def _designated(work: Work) -> bool:
    """Nobody is active and both could be: the master, unless the balancer does not reach it."""
    if not _nobody_active(work):
        return False
    if work.is_master:
        return True
    if not work.probed_lately or work.idle_since is None or work.probes.since is None:
        return False
    report = work.report
    if report is not None and report.probe_age is not None and work.partner_cut_off:
        return True
    waited = work.now - max(work.idle_since, work.probes.since)
    return waited > timing.cut_off_after(work.configuration)


def _silent_and_absent(work: Work) -> bool:
    return work.partner_is is PartnerIs.SILENT and testimony(work) is Testimony.ABSENT


def _silent_but_alive(work: Work) -> bool:
    return work.partner_is is PartnerIs.SILENT and testimony(work) is Testimony.ALIVE


# Words for people


def _unable(work: Work) -> str:
    report = work.report
    cause = f": {report.detail}" if report is not None and report.detail else ""
    return f"the partner {work.address} says that it cannot serve{cause}"


def _down(work: Work) -> str:
    ends = {LinkEnd.CLOSED: "ended the link", LinkEnd.REFUSED: "refuses the link"}
    link = ends.get(work.evidence.link_end or LinkEnd.TIMEOUT, "says nothing on the link")
    if work.evidence.page is Page.REFUSED:
        return f"the partner {work.address} {link} and nothing listens on its health port"
    page = work.evidence.says or work.evidence.page or "nothing"
    return f"the partner {work.address} {link} and its health port says: {page}"


def _silent(work: Work) -> str:
    asked = (
        "the frontend does not name it either" if work.configuration.witness else "no frontend is set to ask"
    )
    silence = seconds(work.now - work.evidence.heard)
    return f"the partner {work.address} has been silent on link and health port for {silence} and {asked}"


def _designated_words(work: Work) -> str:
    if work.is_master:
        return f"neither unit is active, the partner {work.address} stands by: the master serves"
    return f"neither unit is active, and the balancer probes this one and not the master {work.address}"


def _partner_active_words(work: Work) -> str:
    how = "" if work.partner_is.by_report else " (its health port says so, the link is down)"
    return f"the partner {work.address} is active{how}"


def _conflict_words(work: Work) -> str:
    since = work.conflict.since if work.conflict is not None else work.now
    why = (
        "both have the same mode, so that one of the two is taken"
        if work.same_mode
        else "it is preferred, has been active for longer, or the balancer reaches only it"
    )
    return (
        f"both units were active for {seconds(work.now - since)} and the partner {work.address} stays: {why}"
    )


def _says(text: str) -> Callable[[Work], str]:
    return lambda _: text


def _rule(
    reason: str,
    duty: Duty,
    applies: Callable[[Work], bool],
    message: Callable[[Work], str] | str,
    why: str,
) -> Rule:
    return Rule(reason, duty, applies, _says(message) if isinstance(message, str) else message, why)


KEEP: Final = _rule("Unchanged", Duty.KEEP, lambda _: True, "nothing new is known", "Nothing new is known.")

_FOR_BOTH: Final = (
    _rule(
        "NotConfigured", Duty.REST, lambda w: w.role is None, "HA is not configured",
        "A unit in single mode is in no pair.",
    ),
    _rule(
        "DataPlaneFailed", Duty.FAIL, lambda w: w.healthy is False,
        lambda w: f"the data plane does not serve: {w.health_detail or 'no reason was given'}",
        "HAProxy is gone or stuck: a 503 at once, whatever the partner does.",
    ),
    _rule(
        "Stopping", Duty.REST, lambda w: w.stop is not None and w.handover is None,
        "the node is being stopped", "A clean stop, after the other unit took over or if it could not.",
    ),
    _rule(
        "Draining", Duty.REST, lambda w: w.drain is not None and w.handover is None,
        "the unit is being drained",
        "A person took it out, after the other unit took over or if it could not.",
    ),
    _rule(
        "Starting", Duty.REST, lambda w: w.healthy is None, "the data plane has not been tried yet",
        "Before HAProxy has served a request, nobody is sent here.",
    ),
)  # fmt: skip

_PAUSED: Final = _rule(
    "Paused", Duty.REST, lambda w: w.paused and w.serving and w.configuration.partner is not None,
    lambda w: f"this process stood still for {seconds(w.now - w.stepped)}; the health port has answered "
    f"503 meanwhile and the partner {w.address} may have taken over",
    "A process that was frozen, or starved of time, looks before it serves again; so does one that the "
    "balancer had not probed yet.",
)  # fmt: skip

_ACTIVE_RULES: Final = (
    *_FOR_BOTH,
    _PAUSED,
    _rule(
        "HandedOver", Duty.REST, switchover.is_through,
        lambda w: f"the partner {w.address} has taken over and has answered the balancer's probes",
        "Make before break: only now does the old unit answer 503.",
    ),
    _rule(
        "HandoverAborted", Duty.REST, switchover.was_taken_back,
        lambda w: f"the partner {w.address} has given the switch-over up and stays active",
        "The one that took over yields again.",
    ),
    _rule(
        "ConflictYielded", Duty.REST, conflict.is_lost, _conflict_words,
        "Both were active, for instance after a partition; the slave's judgement holds for both.",
    ),
    _rule(
        "ConflictSeenByWitness", Duty.REST, conflict.is_lost_by_witness,
        lambda w: f"the frontend answers for the master {w.address}, which this unit does not see: both "
        "were active",
        "The slave found out through the balancer that it is not alone.",
    ),
    KEEP,
)  # fmt: skip

_IDLE_RULES: Final = (
    *_FOR_BOTH,
    _PAUSED,
    _rule(
        "SameMode", Duty.FAIL, lambda w: w.same_mode,
        lambda w: f"this unit and its partner {w.address} both have mode {w.configuration.mode}: set one of "
        "them to master, the other to slave, and reboot both",
        "HA does not work with equal modes (guide, 7). A unit that serves goes on; the other one refuses.",
    ),
    _rule(
        "HandoverTaken", Duty.SERVE, switchover.may_take,
        lambda w: f"the partner {w.address} hands over",
        "Make before break: both are active until enough probes are counted.",
    ),
    _rule(
        "PartnerCutOff", Duty.SERVE, _partner_cut_off,
        lambda w: f"the balancer probes this unit, and the active partner {w.address} no longer",
        "An active unit that the balancer does not reach serves nobody.",
    ),
    _rule(
        "PartnerActive", Duty.REST, lambda w: w.partner_active, _partner_active_words,
        "One is enough.",
    ),
    _rule(
        "NoPartner", Duty.SERVE, lambda w: w.partner_is is PartnerIs.NONE, "no partner is set",
        "A unit without a partner serves alone.",
    ),
    _rule(
        "LookingForPartner", Duty.REST, _looking,
        lambda w: f"just started, looking for the partner {w.address}",
        "A starting unit first looks for one that is active already; the slave looks longer.",
    ),
    _rule(
        "PartnerUnable", Duty.SERVE, lambda w: w.partner_is is PartnerIs.UNABLE, _unable,
        "The partner says itself that it failed, drains, stops, or is in no pair.",
    ),
    _rule(
        "PartnerDown", Duty.SERVE, lambda w: w.partner_is is PartnerIs.DOWN, _down,
        "Positive evidence, no waiting: its health port refuses, or says 503 on behalf of a dead engine.",
    ),
    _rule(
        "NobodyActive", Duty.SERVE, _designated, _designated_words,
        "Both could serve and neither does: the master, or the slave if the balancer misses the master.",
    ),
    _rule(
        "PartnerServesFirst", Duty.REST, _nobody_active,
        lambda w: f"neither unit is active yet, the master {w.address} is to serve",
        "The slave leaves the first probe to the master.",
    ),
    _rule(
        "PartnerSilent", Duty.SERVE, _silent_and_absent, _silent,
        "Frozen, vanished or cut off: nothing on link and health port, and the witness does not name it.",
    ),
    _rule(
        "PartnerSeenByWitness", Duty.REST, _silent_but_alive,
        lambda w: f"the partner {w.address} is silent, but the balancer's frontend answers for it: only the "
        "way between the units is cut",
        "No take-over while the balancer sends the partner traffic.",
    ),
    _rule(
        "Recovered", Duty.REST, lambda w: w.state is UnitState.FAILED,
        lambda w: f"it could serve again; not known yet what the partner {w.address} does",
        "Well again, before anything is known of the partner.",
    ),
    _rule(
        "Probed", Duty.REST,
        lambda w: w.state is UnitState.UNCONNECTED and not w.serving and w.probes.first is not None,
        lambda w: f"the balancer has probed this unit; not known yet what the partner {w.address} does",
        "Probed for the first time, before anything is known of the partner.",
    ),
    KEEP,
)  # fmt: skip

RULES: Final = tuple(dict.fromkeys((*_ACTIVE_RULES, *_IDLE_RULES)))
"""Every rule once, for the documentation and its test."""


CONDITIONS: Final = frozenset(
    rule.reason
    for rule in (*_FOR_BOTH, *_IDLE_RULES)
    if rule.duty in (Duty.REST, Duty.FAIL) and rule is not _PAUSED
)
"""Reasons to rest that hold for as long as they are true; the others name what happened."""


def target(duty: Duty, work: Work) -> UnitState:
    """The state that fits the duty. Who was never probed stays Unconnected (guide, 10.2)."""
    if duty is Duty.FAIL:
        return UnitState.FAILED
    if work.probes.first is None or work.role is None:
        return UnitState.UNCONNECTED
    return UnitState.ACTIVE if duty is Duty.SERVE else UnitState.STANDBY
