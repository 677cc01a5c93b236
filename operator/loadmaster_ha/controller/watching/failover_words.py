"""A fail-over in the words of an Event."""

from loadmaster_ha.controller.events import Event
from loadmaster_ha.controller.watching.history import Report
from loadmaster_ha.controller.watching.model import Failover
from loadmaster_ha.domain.units import Trigger

_CALM = frozenset({Trigger.PLANNED, Trigger.FAILBACK})


def event(report: Report) -> Event | None:
    """The Event that a report is worth; None: it brings nothing that was not told."""
    failover = report.failover
    if report.first:
        note = (
            f"The {failover.target.lower()} is active instead of the {failover.origin.lower()} "
            f"({failover.trigger}). {failover.reason} {_gap(failover, measured=report.measured)}"
        )
        return Event(
            "FailedOver", note, _occasion(failover), warning=failover.trigger not in _CALM, action="Watch"
        )
    if failover.seconds is None:
        return None
    note = (
        f"The fail-over from {failover.origin.lower()} to {failover.target.lower()} ({failover.trigger}) "
        f"took {failover.seconds:.1f} s from the last good answer of the old to the first of the new."
    )
    return Event("FailoverMeasured", note, _occasion(failover), action="Watch")


def _gap(failover: Failover, *, measured: bool) -> str:
    if failover.seconds is None:
        return "How long it took was not seen." if measured else "How long it takes is being measured."
    end = "" if measured else "; through the balancer it is still being measured"
    return f"From the last good answer of the old one to the first of the new: {failover.seconds:.1f} s{end}."


def _occasion(failover: Failover) -> str:
    return f"{failover.at:.3f} {failover.origin} {failover.target}"
