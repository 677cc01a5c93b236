"""What this unit tells its partner: in every heartbeat, and at once when something in it is news."""

from loadmaster_ha.agent.ha import conflict, switchover
from loadmaster_ha.agent.ha.model import HandoverKind, Report, Tell
from loadmaster_ha.agent.ha.work import Work
from loadmaster_ha.domain.ha import UnitState


def report(work: Work) -> Report:
    """This unit's report at this instant."""
    handover, request = work.handover, work.request
    return Report(
        boot_id=work.boot_id,
        mode=work.configuration.mode,
        state=work.state,
        preferred_host=work.configuration.preferred_host,
        check_port=work.configuration.check_port,
        healthy=work.able,
        active_for=work.active_for,
        healthy_for=_healthy_for(work),
        handover=handover.id if handover is not None else "",
        handover_ready=switchover.ready(work),
        detail=work.message,
        handover_kind=handover.kind if handover is not None else HandoverKind.PLANNED,
        handover_hold=handover.hold if handover is not None else None,
        handover_for=handover.partner_boot if handover is not None else "",
        probe_age=work.probe_age,
        confirmed=work.conflict is not None and work.confirmed,
        insists=conflict.insists(work),
        held=work.hold.id if work.hold is not None else "",
        undo=work.undo,
        wants=request.id if request is not None else "",
        wants_hold=request.hold if request is not None else None,
        outcome=work.outcome,
        served_for=work.served_for,
    )


def update(work: Work) -> None:
    """Send a heartbeat when it is due or when there is news."""
    if work.configuration.partner is None or work.role is None:
        return
    news = _news(work)
    if news != work.told or work.now >= work.told_at + work.configuration.heartbeat_interval:
        work.told, work.told_at = news, work.now
        work.emit(Tell(report(work)))


def _healthy_for(work: Work) -> float:
    """How long it could have served, seen by the balancer all the while."""
    if not work.able or work.state is UnitState.FAILED or work.unprobed or work.probes.since is None:
        return 0.0
    return max(0.0, work.now - max(work.healthy_since, work.probes.since))


def _news(work: Work) -> tuple[object, ...]:
    """What the partner should know at once; ages and durations are not news."""
    configuration = work.configuration
    return (
        work.state,
        work.able,
        configuration.mode,
        configuration.preferred_host,
        configuration.check_port,
        work.handover,
        switchover.ready(work),
        conflict.insists(work),
        work.conflict is not None and work.confirmed,
        work.hold,
        work.undo,
        work.request,
        work.outcome,
        work.probes.first is None,
    )
