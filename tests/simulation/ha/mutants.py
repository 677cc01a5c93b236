"""Bugs that somebody could write into the engine; the random schedules must find each of them.

A mutant replaces one function, for as long as its context lasts. `tests/simulation/ha/test_ha_mutants.py`
runs them; bugs of the synchronisation are in `tests/simulation/sync`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from tests.simulation.ha.unit import Unit

from loadmaster_ha.agent.ha import (
    answers,
    conflict,
    damping,
    decision,
    engine,
    partner,
    reporting,
    switchover,
    timing,
)
from loadmaster_ha.agent.ha.decision import Duty, Rule
from loadmaster_ha.agent.ha.model import Answer, Page, PartnerPage, Probed
from loadmaster_ha.agent.ha.witness import Testimony
from loadmaster_ha.agent.ha.work import Work


@dataclass(frozen=True)
class Mutant:
    """What is wrong, and what is put in whose place."""

    name: str
    where: Any
    attribute: str
    instead: Any

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The engine with the bug."""
        with mock.patch.object(self.where, self.attribute, self.instead):
            yield


def _without(rules: tuple[Rule, ...], reason: str) -> tuple[Rule, ...]:
    left = tuple(rule for rule in rules if rule.reason != reason)
    assert len(left) == len(rules) - 1, f"no rule {reason}"
    return left


def _changed(rules: tuple[Rule, ...], reason: str, **changes: Any) -> tuple[Rule, ...]:
    assert any(rule.reason == reason for rule in rules), f"no rule {reason}"
    return tuple(replace(rule, **changes) if rule.reason == reason else rule for rule in rules)


def _when_the_other_is_active(work: Work) -> bool:
    report = work.report
    return (
        work.handover is not None
        and report is not None
        and report.handover_ready == ""
        and work.partner_active
    )


def _counts_every_poll(unit: Unit) -> None:
    unit.tell(Probed(unit.responder(to_balancer=False)[1]))


def _answers_everybody_alike(state: Any, role: Any, **facts: bool) -> Answer:
    said = _right_answer(state, role, **facts)
    return Answer(said.to_balancer, said.to_balancer)


_right_answer = answers.answer
_right_report = reporting.report
_right_is_lost = conflict.is_lost
_right_answered = partner.page_answered


def _tells_the_clock(work: Work) -> Any:
    """How long it serves is when it began by its own clock, and the partner compares it with its own."""
    report, began = _right_report(work), max(0.0, work.active_since or 0.0)
    return replace(report, active_for=began, served_for=began)


def _reads_200_as_503(evidence: Any, event: PartnerPage, now: float) -> Any:
    if event.page is Page.OK:
        event = PartnerPage(Page.UNAVAILABLE, "")
    return _right_answered(evidence, event, now)


def _not_of_equals(work: Work) -> bool:
    return not work.same_mode and _right_is_lost(work)


def _own_preference(work: Work) -> Any:
    return work.configuration.preferred_host


def _absent(_work: Work) -> Testimony:
    return Testimony.ABSENT


def _no_delay(_work: Work) -> float:
    return 0.0


def _always_confirmed(_work: Work) -> bool:
    return True


def _nothing(*_arguments: Any) -> None:
    return None


def _undamped(configuration: Any, _activations: int) -> float:
    return float(configuration.failback_delay)


IDLE, ACTIVE = decision._IDLE_RULES, decision._ACTIVE_RULES

MUTANTS: tuple[Mutant, ...] = (
    Mutant("takes over without asking the witness", decision, "testimony", _absent),
    Mutant(
        "yields as soon as the other one is active, before the probe saw it",
        decision, "_ACTIVE_RULES", _changed(ACTIVE, "HandedOver", applies=_when_the_other_is_active),
    ),
    Mutant("counts no probes before it says ready", Work, "confirmed", property(_always_confirmed)),
    Mutant("does not damp fail-backs", timing, "failback_delay", _undamped),
    Mutant("falls back at once", damping, "delay", _no_delay),
    Mutant("takes polls of others for probes of the balancer", Unit, "count_poll", _counts_every_poll),
    Mutant("orders by its own clock instead of durations", reporting, "report", _tells_the_clock),
    Mutant("takes over although the partner says 200", partner, "page_answered", _reads_200_as_503),
    Mutant("answers 200 to everybody while unconnected", answers, "answer", _answers_everybody_alike),
    Mutant("serves on after a pause", decision, "_ACTIVE_RULES", _without(ACTIVE, "Paused")),
    Mutant("believes buffered words after a pause", engine, "_notice_pause", _nothing),
    Mutant(
        "never settles that both are active",
        decision, "_ACTIVE_RULES", _without(ACTIVE, "ConflictYielded"),
    ),
    Mutant(
        "forgets that the balancer may not reach the active unit",
        decision, "_IDLE_RULES", _without(IDLE, "PartnerCutOff"),
    ),
    Mutant("never falls back", switchover, "_fail_back", _nothing),
    Mutant("serves with a dead data plane", decision, "_ACTIVE_RULES", _without(ACTIVE, "DataPlaneFailed")),
    Mutant(
        "waits for the silence of a partner that says it failed",
        decision, "_IDLE_RULES", _without(IDLE, "PartnerUnable"),
    ),
    Mutant(
        "serves beside a partner of the same mode",
        decision, "_IDLE_RULES", _without(IDLE, "SameMode"),
    ),
    Mutant(
        "never settles that both of the same mode are active",
        decision, "_ACTIVE_RULES", _changed(ACTIVE, "ConflictYielded", applies=_not_of_equals),
    ),
    Mutant("obeys its own preference, not the master's", Work, "preferred", property(_own_preference)),
    Mutant(
        "takes over from any partner that it does not hear",
        decision, "_IDLE_RULES", _changed(IDLE, "PartnerSeenByWitness", duty=Duty.SERVE),
    ),
)  # fmt: skip
