"""Planned switch-overs: make before break, for a person, a fail-back, a drain or a stop.

The active unit tells an id in its heartbeats; the other one turns active too and counts the balancer's probes
that it answers with 200; when it has counted as many as the threshold says it tells the id as ready, and only
then the first one answers 503 and lets its connections finish. No request fails.

When the link is lost in between, nobody can know whether the last message arrived (two generals). The unit
that was to yield stays active; it yields on the word `ready` alone, which only an active unit can have said.
The other one falls under the ordinary rules: both active is found out by the health port, the witness or the
next heartbeat and settled by `conflict.py`; neither active is seen on the health port at once. So every loss
ends in both for a bounded time, and never in nobody for longer than a look at the partner's health port
takes.
"""

from dataclasses import replace

from loadmaster_ha.agent.ha import damping, timing
from loadmaster_ha.agent.ha.model import (
    HandoverKind,
    Outcome,
    SwitchoverEnded,
    SwitchoverRequested,
)
from loadmaster_ha.agent.ha.partner import PartnerIs
from loadmaster_ha.agent.ha.state import Handover, Hold, Request, Taking
from loadmaster_ha.agent.ha.words import seconds
from loadmaster_ha.agent.ha.work import Work
from loadmaster_ha.domain.ha import Mode, PreferredHost, Role, UnitState

# The unit that yields


def obstacle(work: Work) -> tuple[str, str] | None:
    """Why the active unit cannot hand over now: a reason and a message; None if it can."""
    report = work.report
    if report is None:
        return "PartnerNotReachable", f"there is no link to the partner {work.address}"
    if work.same_mode:
        return "SameMode", f"the partner {work.address} has the same mode as this unit"
    if work.partner_is is PartnerIs.ACTIVE:
        return "BothActive", f"the partner {work.address} is active as well; that is being settled"
    if work.partner_is is PartnerIs.UNABLE:
        return (
            "PartnerUnable",
            f"the partner {work.address} cannot serve: {report.detail or 'it does not say why'}",
        )
    if work.partner_unprobed:
        last = (
            "has never probed it"
            if report.probe_age is None
            else f"probed it last {seconds(report.probe_age)} ago"
        )
        message = (
            f"the balancer {last}: the partner {work.address} would take over unseen. Look at the balancer's "
            "probe, its pool, and the security groups"
        )
        return "PartnerNotProbed", message
    return None


def begin(work: Work, identity: str, kind: HandoverKind, hold: float | None = None) -> None:
    """Start to hand over, or say at once why not."""
    hindered = obstacle(work)
    limit = timing.handover_limit(work.configuration)
    partner_boot = work.report.boot_id if work.report is not None else ""
    work.handover = Handover(identity, kind, work.now, work.now + limit, hold, partner_boot)
    if hindered is not None:
        finish(work, *hindered, done=False)


def finish(work: Work, reason: str, message: str, *, done: bool) -> None:
    """The switch-over that this unit carries out is over."""
    handover = work.handover
    if handover is None:
        return
    work.handover = None
    work.outcome = Outcome(handover.id, done, reason, message)
    if handover.kind is HandoverKind.FAILBACK and not done:
        work.failback_not_before = work.now + max(
            damping.delay(work), timing.handover_limit(work.configuration)
        )
    work.emit(SwitchoverEnded(handover.id, done, reason, message))


def is_through(work: Work) -> bool:
    """Whether the partner has said that it has counted enough probes: now this unit yields."""
    handover, report = work.handover, work.report
    return (
        handover is not None
        and report is not None
        and report.state is UnitState.ACTIVE
        and report.healthy
        and report.handover_ready == handover.id
    )


def _failure(work: Work, handover: Handover) -> tuple[str, str] | None:
    """Why a switch-over under way has to be given up."""
    report = work.report
    if report is None:
        return "LinkLost", f"the link to the partner {work.address} was lost before it had taken over"
    if work.partner_is is PartnerIs.UNABLE or not report.healthy:
        return "PartnerUnable", f"the partner {work.address} cannot serve any more: {report.detail}"
    if work.now < handover.deadline:
        return None
    waited = seconds(work.now - handover.since)
    if work.partner_is is PartnerIs.ACTIVE:
        message = (
            f"the partner {work.address} turned active, but within {waited} the balancer has not probed it "
            f"{work.configuration.probe_threshold} times: nobody knows that it is seen. Look at the probe"
        )
        return "ProberStopped", message
    return "PartnerDidNotTake", f"the partner {work.address} did not turn active within {waited}"


def _advance(work: Work) -> None:
    """Go on with, or give up, the switch-over that this unit carries out."""
    handover = work.handover
    if handover is None:
        return
    if not work.active:
        finish(work, work.reason, f"this unit is {work.state.value.lower()}: {work.message}", done=False)
        return
    if handover.kind is HandoverKind.DRAIN and work.drain is None:
        finish(work, "DrainEnded", "the drain was ended before the partner had taken over", done=False)
        return
    failed = _failure(work, handover)
    if failed is not None and not is_through(work):
        finish(work, *failed, done=False)


def _fail_back(work: Work) -> None:
    """Prefer Master: hand back to the master once it is well for long enough, and not while held off."""
    if not (work.active and work.role is Role.SLAVE and work.able) or work.handover or work.taking:
        return
    if work.preferred is not PreferredHost.MASTER or work.hold is not None:
        return
    report = work.report
    if report is None or report.mode is not Mode.MASTER or obstacle(work) is not None:
        return
    delay = damping.delay(work)
    if report.healthy_for < delay or work.now < work.failback_not_before:
        return
    work.failbacks += 1
    begin(work, f"failback-{work.boot_id[:8]}-{work.failbacks}", HandoverKind.FAILBACK)


def _serve_request(work: Work) -> None:
    """The partner wants to take over because somebody asked for it there."""
    report = work.report
    if report is None or not report.wants or not work.active or work.same_mode:
        return
    if work.handover is not None or (work.outcome is not None and work.outcome.id == report.wants):
        return
    begin(work, report.wants, HandoverKind.PLANNED, report.wants_hold)


# The unit that takes over


def may_take(work: Work) -> bool:
    """Whether the active partner hands over to this unit, and it can take."""
    report = work.report
    return (
        report is not None
        and bool(report.handover)
        and report.handover_for in ("", work.boot_id)
        and work.partner_is is PartnerIs.ACTIVE
        and work.able
        and work.probes.first is not None
    )


def was_taken_back(work: Work) -> bool:
    """Whether the partner gave up the switch-over in which this unit has turned active."""
    taking, report = work.taking, work.report
    return (
        taking is not None
        and report is not None
        and work.partner_is is PartnerIs.ACTIVE
        and report.handover != taking.id
    )


def taken(work: Work) -> None:
    """This unit has turned active in a switch-over: the balancer's probes count from now on."""
    report = work.report
    if report is None:
        return
    work.taking = Taking(report.handover, work.now)
    work.probes = replace(work.probes, confirmed=0)
    prefers_master = work.preferred is PreferredHost.MASTER and work.role is Role.SLAVE
    if report.handover_kind is HandoverKind.PLANNED and prefers_master:
        until = None if report.handover_hold is None else work.now + report.handover_hold
        work.hold = Hold(report.handover, until)


def _follow(work: Work) -> None:
    """Keep the taking-over in step with what the partner says."""
    report = work.report
    if work.taking is not None:
        over = not work.active or report is None or work.partner_is is not PartnerIs.ACTIVE
        if over:
            work.taking = None
    elif work.active and may_take(work) and work.handover is None:
        taken(work)


def ready(work: Work) -> str:
    """Id of the switch-over for which this unit has counted enough probes."""
    return work.taking.id if work.taking is not None and work.confirmed else ""


# Requests of people


def requested(work: Work, event: SwitchoverRequested) -> None:
    """Carry a request out, hand it to the active partner, or refuse it with a reason."""
    if work.role is None or event.to is Mode.SINGLE:
        _refuse(work, event, "NotConfigured", "HA is not configured: there is no other unit")
        return
    if work.handover is not None and work.handover.kind is not HandoverKind.FAILBACK:
        _refuse(work, event, "SwitchoverUnderWay", f"switch-over {work.handover.id} is under way")
        return
    if event.to is not work.configuration.mode:
        _hand_over(work, event)
    else:
        _take_over(work, event)


def _hand_over(work: Work, event: SwitchoverRequested) -> None:
    if work.active:
        if work.handover is not None:
            finish(work, "Superseded", f"switch-over {event.id} was asked for", done=False)
        begin(work, event.id, HandoverKind.PLANNED, event.hold)
    elif work.partner_active:
        work.emit(
            SwitchoverEnded(event.id, True, "AlreadyActive", f"the partner {work.address} is active already")
        )
    else:
        _refuse(work, event, "NotActive", "this unit is not active, it has nothing to hand over")


def _take_over(work: Work, event: SwitchoverRequested) -> None:
    if work.active:
        if work.handover is not None:
            finish(work, "Superseded", f"this unit is to stay active ({event.id})", done=False)
        if work.role is Role.SLAVE and work.preferred is PreferredHost.MASTER:
            until = None if event.hold is None else work.now + event.hold
            work.hold = Hold(event.id, until)
        work.emit(SwitchoverEnded(event.id, True, "AlreadyActive", "this unit is active already"))
    elif not work.able:
        _refuse(work, event, "UnitUnable", f"this unit cannot serve: {work.message}")
    elif work.report is None:
        _refuse(work, event, "PartnerNotReachable", f"there is no link to the partner {work.address}")
    elif work.partner_is is not PartnerIs.ACTIVE:
        _refuse(
            work, event, "NotActive", f"the partner {work.address} is not active, it has nothing to hand over"
        )
    else:
        limit = timing.handover_limit(work.configuration) + 2 * work.configuration.partner_timeout
        work.request = Request(event.id, event.hold, work.now + limit)


def _refuse(work: Work, event: SwitchoverRequested, reason: str, message: str) -> None:
    work.emit(SwitchoverEnded(event.id, False, reason, message))


def _follow_request(work: Work) -> None:
    """Tell the person what came of a request that the partner carries out."""
    request, report = work.request, work.report
    if request is None:
        return
    outcome = report.outcome if report is not None else None
    if outcome is not None and outcome.id == request.id:
        work.request = None
        work.emit(SwitchoverEnded(request.id, outcome.done, outcome.reason, outcome.message))
    elif work.now >= request.until:
        work.request = None
        work.emit(
            SwitchoverEnded(
                request.id,
                False,
                "PartnerDidNotAnswer",
                f"the partner {work.address} did not say what came of it",
            )
        )


def undone(work: Work) -> None:
    """A person ends the hold, at whichever unit."""
    work.hold = None
    report = work.report
    if report is not None and report.held:
        work.undo = report.held


def _follow_hold(work: Work) -> None:
    hold, report = work.hold, work.report
    if hold is not None:
        expired = hold.until is not None and work.now >= hold.until
        undone_there = report is not None and report.undo == hold.id
        moved = not work.active and work.taking is None
        if expired or undone_there or moved:
            work.hold = None
    if work.undo and report is not None and report.held != work.undo:
        work.undo = ""


def update(work: Work) -> None:
    """Before each decision: carry on what is under way and begin what is due."""
    _follow(work)
    _follow_hold(work)
    _advance(work)
    _serve_request(work)
    _fail_back(work)
    _follow_request(work)
