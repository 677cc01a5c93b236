"""The HA engine: `step(state, event, now) -> (state, effects)`. Pure: no clock, no sockets, no randomness.

What the health port answers (the table itself is `answers.py`; everything else is a 503):

* ``GET /`` or ``HEAD /`` from the balancer's probe address:
    * ``200``: if the unit is Active.
    * ``200``: if it is Unconnected and the one that is to serve; this first probe makes it Active.
* ``GET /`` or ``HEAD /`` from anybody else (the partner, the operator, the witness through the frontend):
    * ``200``: if the unit is Active.
* In Standby, Failed, Unconnected without being the one to serve, single mode, while stopping, and while the
node process says nothing for longer than its lease: ``503`` with the state in words.

The subjects: `partner.py` what is known of the other unit, `decision.py` the table of rules, `switchover.py`
make before break, `conflict.py` both active, `witness.py` the frontend's testimony, `damping.py` fail-backs,
`notices.py` what people should know, `reporting.py` heartbeats, `timing.py` every duration. The caller
(`agent.process`) does the effects and brings their results back as events; it calls with `Tick` no later than
`next_deadline` says.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias, cast

from loadmaster_ha.agent.ha import (
    answers,
    conflict,
    damping,
    notices,
    partner,
    reporting,
    switchover,
    timing,
    witness,
)
from loadmaster_ha.agent.ha.decision import CONDITIONS, Duty, Rule, decide, target
from loadmaster_ha.agent.ha.model import (
    AskPartnerPage,
    Configuration,
    Configured,
    DataPlane,
    DrainEnded,
    DrainRequested,
    Effect,
    Event,
    HandoverKind,
    LinkLost,
    PartnerPage,
    PartnerReported,
    Probed,
    Stop,
    StopRequested,
    SwitchoverRequested,
    SwitchoverUndone,
    Tick,
    View,
    WitnessAnswered,
)
from loadmaster_ha.agent.ha.state import NEVER, Drain, EngineState, Evidence, Probes, Stopping, Witness
from loadmaster_ha.agent.ha.work import Work
from loadmaster_ha.domain.ha import UnitState

_SHORTEST_WAIT: Final = 0.001


def start(now: float, boot_id: str) -> EngineState:
    """The state of a process that has just begun; the first event should be `Configured`."""
    return EngineState(
        boot_id=boot_id,
        started=now,
        stepped=now,
        configuration=Configuration(),
        configured=False,
        state=UnitState.UNCONNECTED,
        serving=False,
        reason="NotConfigured",
        message="HA is not configured",
        active_since=None,
        served_until=NEVER,
        healthy=None,
        health_detail="",
        healthy_since=now,
        evidence=Evidence(heard=now),
        witness=Witness(),
        probes=Probes(),
        handover=None,
        taking=None,
        request=None,
        outcome=None,
        hold=None,
        undo="",
        conflict=None,
        idle_since=None,
        drain=None,
        stop=None,
        activations=(),
        failback_not_before=NEVER,
        failbacks=0,
        answer=None,
        told=(),
        told_at=NEVER,
        notices=(),
    )


def step(state: EngineState, event: Event, now: float) -> tuple[EngineState, tuple[Effect, ...]]:
    """Take one event in at monotonic instant `now` (seconds) and say what is to be done."""
    work = Work(state, now)
    _notice_pause(work)
    _ABSORB[type(event)](work, event)
    _settle(work)
    if work.configuration.partner is not None and work.role is not None:
        _ask_partner(work)
        witness.ask(work)
    notices.update(work)
    _stop_when_quiet(work)
    _tell_answer(work)
    reporting.update(work)
    return work.frozen(), tuple(work.effects)


def view(state: EngineState, now: float) -> View:
    """What the rest of the agent may know."""
    work = Work(state, now)
    hold, drain = work.hold, work.drain
    return View(
        mode=work.configuration.mode,
        state=work.state,
        reason=work.reason,
        message=work.message,
        active_since=work.active_since,
        partner=work.report,
        partner_heard=work.evidence.report_at if work.evidence.report is not None else None,
        switchover=work.handover.id if work.handover else work.taking.id if work.taking else "",
        hold_until=hold.until if hold is not None else None,
        held=hold is not None,
        draining=drain is not None,
        drain_until=drain.until if drain is not None else None,
        stopping=work.stop is not None,
        eligible=work.serving,
        partner_is=work.partner_is.value,
        probed=work.probes.last,
        notices=work.notices,
    )


def next_deadline(state: EngineState, now: float) -> float:
    """When to step with a `Tick` at the latest, if nothing else happens before."""
    work = Work(state, now)
    configuration = work.configuration
    deadlines = [now + configuration.heartbeat_interval]
    if configuration.partner is not None:
        evidence = work.evidence
        deadlines += [
            work.told_at + configuration.heartbeat_interval,
            partner.next_question(evidence, configuration, now),
            evidence.heard + configuration.partner_timeout,
            evidence.report_at + timing.stale_after(configuration) + 0.001,
        ]
        if witness.is_needed(work):
            deadlines.append(witness.next_question(work))
    if work.handover is not None:
        deadlines.append(work.handover.deadline)
    if work.stop is not None and work.stop.quiet_since is not None:
        deadlines.append(work.stop.quiet_since + configuration.drain_time)
    deadlines += [
        held.until for held in (work.hold, work.drain) if held is not None and held.until is not None
    ]
    # Not sooner than a millisecond: what rounding puts just after `now` must not make the caller spin.
    return max(now + _SHORTEST_WAIT, min(deadline for deadline in deadlines if deadline > now))


# Taking events in: facts only, no decisions


def _notice_pause(work: Work) -> None:
    """A step that comes later than the lease: all that was known is old, and the health port has said 503."""
    if not work.configured or work.now - work.stepped <= work.configuration.lease:
        return
    work.paused = True
    old = work.evidence
    deaf = work.now + 2 * work.configuration.heartbeat_interval
    work.learn(Evidence(heard=work.now, report=old.report, report_at=NEVER, deaf_until=deaf))
    work.witness = Witness()
    work.taking, work.conflict, work.idle_since = None, None, None
    if work.handover is not None:
        switchover.finish(work, "Paused", "this process stood still meanwhile", done=False)


def _tick(_work: Work, _event: Tick) -> None:
    """Nothing but time."""


def _configured(work: Work, event: Configured) -> None:
    old, new = work.configuration, event.configuration
    work.configuration, work.configured = new, True
    work.role = new.mode.role
    if old.partner != new.partner or old.mode is not new.mode:
        work.learn(Evidence(heard=work.now))
        work.witness, work.taking, work.handover, work.request = Witness(), None, None, None
        work.hold, work.undo, work.conflict, work.idle_since = None, "", None, None
        work.started = work.now
    else:
        work.learn(work.evidence)


def _reported(work: Work, event: PartnerReported) -> None:
    known = work.evidence.report
    if known is not None and known.boot_id != event.report.boot_id:
        work.taking = None
        switchover.finish(work, "PartnerRestarted", f"the partner {work.address} was restarted", done=False)
    work.learn(partner.reported(work.evidence, event, work.now))


def _link_lost(work: Work, event: LinkLost) -> None:
    work.learn(partner.link_lost(work.evidence, event))


def _page(work: Work, event: PartnerPage) -> None:
    work.learn(partner.page_answered(work.evidence, event, work.now))


def _probed(work: Work, event: Probed) -> None:
    old = work.probes
    gap = old.last is None or work.now - old.last > timing.cut_off_after(work.configuration)
    answered_ok = event.code == 200
    work.probes = Probes(
        first=work.now if old.first is None else old.first,
        last=work.now,
        since=work.now if gap else old.since,
        refused=old.refused if answered_ok else work.now,
        confirmed=old.confirmed + event.count if answered_ok else old.confirmed,
    )


def _data_plane(work: Work, event: DataPlane) -> None:
    if event.healthy and work.healthy is not True:
        work.healthy_since = work.now
    work.healthy, work.health_detail = event.healthy, event.detail


def _drain(work: Work, event: DrainRequested) -> None:
    work.drain = Drain(None if event.duration is None else work.now + event.duration)
    if work.active and work.handover is None:
        switchover.begin(work, f"drain-{work.boot_id[:8]}-{work.now:.0f}", HandoverKind.DRAIN)


def _drain_ended(work: Work, _event: DrainEnded | None = None) -> None:
    if work.drain is not None:
        work.drain = None
        work.healthy_since = work.now


def _stop(work: Work, _event: StopRequested) -> None:
    if work.stop is not None:
        return
    work.stop = Stopping(was_active=work.active)
    if work.active and work.handover is None:
        switchover.begin(work, f"stop-{work.boot_id[:8]}", HandoverKind.STOP)


def _undone(work: Work, _event: SwitchoverUndone) -> None:
    switchover.undone(work)


_Absorb: TypeAlias = Callable[[Work, Event], None]

_ABSORB: Final = cast(
    "Mapping[type[Event], _Absorb]",
    {
        Tick: _tick,
        Configured: _configured,
        PartnerReported: _reported,
        LinkLost: _link_lost,
        PartnerPage: _page,
        WitnessAnswered: witness.answered,
        Probed: _probed,
        DataPlane: _data_plane,
        SwitchoverRequested: switchover.requested,
        SwitchoverUndone: _undone,
        DrainRequested: _drain,
        DrainEnded: _drain_ended,
        StopRequested: _stop,
    },
)


# Deciding and acting


def _settle(work: Work) -> None:
    """Decide until nothing changes any more; one change may permit the next (failed, standby, active)."""
    if work.drain is not None and work.drain.until is not None and work.now >= work.drain.until:
        _drain_ended(work)
    for _ in range(4):
        switchover.update(work)
        conflict.update(work)
        _count_idleness(work)
        if not _act(work, decide(work)):
            return
        work.paused = False


def _count_idleness(work: Work) -> None:
    idle = not work.serving and work.partner_is in (partner.PartnerIs.READY, partner.PartnerIs.IDLE_BY_PAGE)
    if not idle:
        work.idle_since = None
    elif work.idle_since is None:
        work.idle_since = work.now


def _act(work: Work, rule: Rule) -> bool:
    """Take the rule's duty up; say whether the state has changed."""
    duty = rule.duty
    if duty is Duty.KEEP:
        duty = Duty.SERVE if work.serving else Duty.REST
    serving, new = duty is Duty.SERVE, target(duty, work)
    if serving is work.serving and new is work.state:
        if new is UnitState.UNCONNECTED and rule.duty is not Duty.KEEP and rule.reason != work.reason:
            work.reason, work.message = rule.reason, rule.message(work)
        elif {work.reason, rule.reason} <= CONDITIONS:
            # It rests for another reason by now: people are not told what has long been over.
            work.reason, work.message = rule.reason, rule.message(work)
        return False
    kept = rule.duty is Duty.KEEP
    reason, message = (work.reason, work.message) if kept else (rule.reason, rule.message(work))
    work.serving = serving
    if new is work.state:
        work.reason, work.message = reason, message
        return False
    _change(work, new, reason, message)
    return True


def _change(work: Work, new: UnitState, reason: str, message: str) -> None:
    if work.active:
        work.active_since, work.served_until, work.conflict, work.taking = None, work.now, None, None
        if reason == "HandedOver":
            switchover.finish(work, "HandedOver", message, done=True)
    work.transit(new, reason, message)
    if new is UnitState.ACTIVE:
        work.active_since = work.now
        work.probes = replace(work.probes, confirmed=0)
        damping.became_active(work)
        if reason == "HandoverTaken":
            switchover.taken(work)


def _ask_partner(work: Work) -> None:
    evidence, configuration = work.evidence, work.configuration
    if work.now >= partner.next_question(evidence, configuration, work.now):
        work.learn(partner.page_asked(evidence, work.now))
        work.emit(
            AskPartnerPage(
                timing.page_timeout(configuration), partner.port_of(evidence, configuration), work.now
            )
        )


def _stop_when_quiet(work: Work) -> None:
    """End the process once the balancer has had the time to see the 503, or sees nothing of this unit."""
    stop = work.stop
    if stop is None or stop.done or work.active:
        return
    if stop.quiet_since is None:
        stop = replace(stop, quiet_since=work.now)
    wait = timing.quiet(work.configuration, probed=not work.unprobed) if stop.was_active else 0.0
    if stop.quiet_since is not None and work.now >= stop.quiet_since + wait:
        stop = replace(stop, done=True)
        work.emit(Stop())
    work.stop = stop


def _tell_answer(work: Work) -> None:
    withdrawn = work.drain is not None or work.stop is not None
    said = answers.answer(work.state, work.role, eligible=work.serving, withdrawn=withdrawn)
    if said != work.answer:
        work.answer = said
        work.emit(said)
