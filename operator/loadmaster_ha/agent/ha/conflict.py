"""Both units are active outside a switch-over: after a partition has healed, or when one was cut off.

The slave judges who stays, so that the two never judge differently: by the balancer's reach, then the
preference, then whom the balancer has had as active for longer (durations, never wall clocks; the master if
they are equally old): who was cut off by a partition comes back as the younger one. Of two that were given
the same mode neither is the judge: the process with the lesser id stays, which both see alike. Nobody yields
before the one that stays has counted, since both know of each other, as many probes answered with 200 as the
threshold says: the balancer may have held it down.
"""

from dataclasses import replace

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.answers import stated
from loadmaster_ha.agent.ha.partner import PartnerIs
from loadmaster_ha.agent.ha.state import Conflict
from loadmaster_ha.agent.ha.witness import Testimony, testimony
from loadmaster_ha.agent.ha.work import Work
from loadmaster_ha.domain.ha import PreferredHost, Role, UnitState


def update(work: Work) -> None:
    """Notice that both are active, or no longer; as the slave, judge."""
    both = work.active and work.partner_active
    if not both or work.handover is not None or work.taking is not None:
        work.conflict = None
        return
    if work.conflict is None:
        work.conflict = Conflict(work.now)
        work.probes = replace(work.probes, confirmed=0)
    if work.role is Role.SLAVE and not work.same_mode:
        # While the link is down nothing is known but that the master answers 200: no judgement yet.
        stays = _who_stays(work, work.conflict) if work.report is not None else None
        if stays is not work.conflict.stays:
            work.conflict = replace(work.conflict, stays=stays)


def _who_stays(work: Work, conflict: Conflict) -> Role:
    if work.cut_off or work.partner_cut_off:
        return Role.MASTER if work.cut_off else Role.SLAVE
    if work.preferred is PreferredHost.MASTER:
        return Role.SLAVE if work.hold is not None else Role.MASTER
    if conflict.stays is not None:
        return conflict.stays
    return Role.SLAVE if work.served_for - work.partner_served_for > timing.TIE else Role.MASTER


def is_lost(work: Work) -> bool:
    """Whether this unit is to yield, and may."""
    conflict = work.conflict
    if conflict is None or not work.active:
        return False
    report = work.report
    overdue = work.now - conflict.since > timing.handover_limit(work.configuration)
    if report is not None and work.same_mode:
        return report.confirmed and work.boot_id > report.boot_id
    if report is not None:
        judged = report.insists if work.is_master else conflict.stays is Role.MASTER
        return judged and (report.confirmed or overdue)
    return (
        work.role is Role.SLAVE
        and work.partner_is is PartnerIs.ACTIVE_BY_PAGE
        and stated(work.evidence.says) != (work.role, UnitState.ACTIVE)
        and work.now - conflict.since > timing.confirmation(work.configuration)
    )


def is_lost_by_witness(work: Work) -> bool:
    """Whether the slave is active and the frontend proves that the master is too, unseen by the slave.

    Not at once: when a partition heals the link is back in a moment, and then the slave can judge.
    """
    alive_since = work.witness.alive_since
    return (
        work.active
        and work.role is Role.SLAVE
        and work.report is None
        and work.partner_is in (PartnerIs.SILENT, PartnerIs.ACTIVE_BY_PAGE)
        and testimony(work) is Testimony.ALIVE
        and alive_since is not None
        and work.now - alive_since >= work.configuration.partner_timeout
    )


def insists(work: Work) -> bool:
    """Whether the slave, as the judge, tells the master to yield."""
    return work.conflict is not None and work.conflict.stays is Role.SLAVE
