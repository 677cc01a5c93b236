"""The witness: the balancer's frontend, asked on the check port when the partner is silent.

A 200 through the frontend that names the partner proves that it is alive and that the balancer sends it
traffic: then only the way between the units is cut. A member reaches its own frontend only while the flow is
mapped to
*another* member. So a standby asks before its answer turns to 200. An active unit may ask too: what is mapped
to itself dies and says nothing, and what comes back names the partner; that is how the slave finds out that
both are active although neither sees the other.
"""

from dataclasses import replace
from enum import StrEnum

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.answers import stated
from loadmaster_ha.agent.ha.model import AskWitness, Page, WitnessAnswered
from loadmaster_ha.agent.ha.partner import PartnerIs
from loadmaster_ha.agent.ha.state import Witness
from loadmaster_ha.agent.ha.work import Work
from loadmaster_ha.domain.ha import UnitState


class Testimony(StrEnum):
    """What the witness has said about the partner."""

    ABSENT = "Absent"  # The balancer sends the partner nothing, or nobody can be asked.
    ALIVE = "Alive"  # The balancer sends the partner traffic.
    PENDING = "Pending"  # No answer yet that could be relied on.


def is_needed(work: Work) -> bool:
    """Whether the witness can tell something that nobody else can."""
    if not work.configuration.witness:
        return False
    if work.partner_is is PartnerIs.SILENT:
        return True
    return work.active and work.partner_is is PartnerIs.ACTIVE_BY_PAGE


def testimony(work: Work) -> Testimony:
    """What is known from the frontend; an answer from before the partner fell silent tells nothing."""
    if not work.configuration.witness:
        return Testimony.ABSENT
    witness = work.witness
    if witness.page is None or work.now - witness.asked > _valid(work):
        return Testimony.PENDING
    if _names_partner(work, witness.page, witness.says):
        return Testimony.ALIVE
    # One lost packet is no proof, and a partner that was just vouched for gets another question.
    needed = 2 if witness.alive_since is not None or witness.page is Page.SILENT else 1
    return Testimony.ABSENT if witness.absences >= needed else Testimony.PENDING


def answered(work: Work, event: WitnessAnswered) -> None:
    """The frontend answered, or did not."""
    old = work.witness
    if old.asking_since is None or event.asked not in (None, old.asking_since):
        return
    alive = _names_partner(work, event.page, event.says)
    # Until the balancer has seen our 503 the question may have been mapped to ourselves and died.
    doubtful = not alive and event.page is Page.SILENT and not _held_down(work, old.asking_since)
    work.witness = replace(
        old,
        page=None if doubtful else event.page,
        says=event.says,
        asked=old.asking_since,
        asking_since=None,
        alive_since=work.now if alive and old.alive_since is None else old.alive_since,
        absences=0 if alive or doubtful else old.absences + 1,
    )


def ask(work: Work) -> None:
    """Put the question when it is due; forget the answers when nobody needs them any more."""
    if not is_needed(work):
        if work.witness.asked > work.started or work.witness.asking_since is not None:
            work.witness = Witness()
        return
    if work.now >= next_question(work):
        work.witness = replace(work.witness, asking_since=work.now)
        work.emit(AskWitness(work.configuration.witness_timeout, work.now))


def next_question(work: Work) -> float:
    """When to ask next, while it is needed."""
    witness = work.witness
    if witness.asking_since is not None:
        return witness.asking_since + 2 * work.configuration.witness_timeout
    if testimony(work) is Testimony.PENDING:
        return witness.asked + work.configuration.witness_timeout
    return witness.asked + timing.witness_pause(work.configuration)


def _valid(work: Work) -> float:
    return timing.witness_pause(work.configuration) + 2 * work.configuration.witness_timeout


def _names_partner(work: Work, page: Page, says: str) -> bool:
    """Whether a 200 came from the partner. Who is not active itself knows it of every `... is active`."""
    if page is not Page.OK or work.role is None:
        return False
    named = stated(says)
    if named is None or named[1] is not UnitState.ACTIVE:
        return False
    return named[0] is work.role.partner or not work.active


def _held_down(work: Work, asked: float) -> bool:
    """Whether the balancer knew, when the question was put, that this unit is not active."""
    if work.active:
        return False
    return work.probes.refused > work.served_until or asked > work.served_until + timing.confirmation(
        work.configuration
    )
