"""What is known of the partner: heartbeats on the link, its health port, and how old each of them is.

Heartbeats rule while they are current. When they stop, the health port is asked at once and in a hurry: a 503
or a refusal is positive evidence that the partner serves nobody, a 200 that it is alive. Only when nothing
answers at all is it silent, after the partner timeout; then `witness.py` is asked. An answer counts from when
the question was put: a page asked before the last heartbeat says nothing new.
"""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.answers import stated
from loadmaster_ha.agent.ha.model import (
    Configuration,
    LinkLost,
    Page,
    PartnerPage,
    PartnerReported,
    Report,
)
from loadmaster_ha.agent.ha.state import Evidence
from loadmaster_ha.domain.ha import Mode, UnitState


class PartnerIs(StrEnum):
    """What is known of the partner. The comment tells from what."""

    NONE = "None"  # No partner is configured.
    ACTIVE = "Active"  # Its report: it serves.
    READY = "Ready"  # Its report: it does not serve and could.
    UNABLE = "Unable"  # Its report: it does not serve and cannot (failed, draining, stopping, not in a pair).
    ACTIVE_BY_PAGE = "ActiveByPage"  # No report; its health port answers 200.
    IDLE_BY_PAGE = "IdleByPage"  # No report; its health port says that it is standby or unconnected.
    DOWN = "Down"  # No report; its health port refuses, or answers 503 for another cause.
    SILENT = "Silent"  # Nothing answers, for as long as the partner timeout.
    UNKNOWN = "Unknown"  # None of these yet.

    @property
    def by_report(self) -> bool:
        """Whether its own report says so."""
        return self in _BY_REPORT


_BY_REPORT: Final = frozenset({PartnerIs.ACTIVE, PartnerIs.READY, PartnerIs.UNABLE})


def judge(evidence: Evidence, configuration: Configuration, now: float) -> PartnerIs:
    """Say what is known of the partner at `now`."""
    if configuration.partner is None:
        return PartnerIs.NONE
    if evidence.report is not None and is_current(evidence, configuration, now):
        return _by_report(evidence.report)
    by_page = _by_page(evidence, configuration, now)
    if by_page is not None:
        return by_page
    if evidence.page is not None and now - evidence.heard >= configuration.partner_timeout:
        return PartnerIs.SILENT
    return PartnerIs.UNKNOWN


def is_current(evidence: Evidence, configuration: Configuration, now: float) -> bool:
    """Whether the last report still says what the partner does."""
    return evidence.linked and now - evidence.report_at <= timing.stale_after(configuration)


def _by_report(report: Report) -> PartnerIs:
    if report.mode is Mode.SINGLE:
        return PartnerIs.UNABLE
    if report.state is UnitState.ACTIVE:
        return PartnerIs.ACTIVE
    return PartnerIs.READY if report.healthy and report.state is not UnitState.FAILED else PartnerIs.UNABLE


def _by_page(evidence: Evidence, configuration: Configuration, now: float) -> PartnerIs | None:
    """What its health port said, if that is newer than the last report and not too old."""
    asked = evidence.page_asked
    if asked < evidence.report_at or now - asked > timing.page_valid(configuration):
        return None
    if evidence.page is Page.OK:
        return PartnerIs.ACTIVE_BY_PAGE
    if evidence.page is Page.REFUSED:
        return PartnerIs.DOWN
    if evidence.page is Page.UNAVAILABLE:
        named = stated(evidence.says)
        idle = named is not None and named[1] in (UnitState.STANDBY, UnitState.UNCONNECTED)
        return PartnerIs.IDLE_BY_PAGE if idle else PartnerIs.DOWN
    return None


# Taking in what was heard


def reported(evidence: Evidence, event: PartnerReported, now: float) -> Evidence:
    """A heartbeat arrived."""
    if now < evidence.deaf_until:
        return evidence
    return replace(evidence, report=event.report, report_at=now, heard=now, linked=True, link_end=None)


def link_lost(evidence: Evidence, event: LinkLost) -> Evidence:
    """The link ended or could not be made: the last report says no longer what the partner does."""
    return replace(evidence, linked=False, link_end=event.end)


def page_asked(evidence: Evidence, now: float) -> Evidence:
    """The partner's health port is being asked."""
    return replace(evidence, asking_since=now)


def page_answered(evidence: Evidence, event: PartnerPage, now: float) -> Evidence:
    """The partner's health port answered, or did not."""
    if evidence.asking_since is None or event.asked not in (None, evidence.asking_since):
        return evidence  # of a partner before this one, or from before this process stood still
    return replace(
        evidence,
        page=event.page,
        says=event.says,
        page_asked=evidence.asking_since,
        asking_since=None,
        heard=evidence.heard if event.page is Page.SILENT else now,
    )


def next_question(evidence: Evidence, configuration: Configuration, now: float) -> float:
    """When the partner's health port is to be asked next."""
    if configuration.partner is None:
        return timing.FOREVER
    if evidence.asking_since is not None:
        # An answer that never comes must not end the questions.
        return evidence.asking_since + 2 * timing.page_timeout(configuration)
    if is_current(evidence, configuration, now):
        return evidence.page_asked + timing.page_pause(configuration, hurry=False)
    lost_since_asked = evidence.page_asked < evidence.report_at
    return evidence.page_asked + (0.0 if lost_since_asked else timing.page_pause(configuration, hurry=True))


def port_of(evidence: Evidence, configuration: Configuration) -> int:
    """The partner's check port as it says itself, else our own."""
    return evidence.report.check_port if evidence.report is not None else configuration.check_port
