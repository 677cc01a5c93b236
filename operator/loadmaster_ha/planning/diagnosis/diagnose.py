"""Who is active and why: everything seen of a pair in, one word with cause, evidence and remedy out.

Pure and exhaustive: the first check of `rules.CHECKS` that finds something gives the word, what the others
find is told beside it as evidence, and when none finds anything the word is `Unknown`.
"""

from typing import Final

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.units import Active
from loadmaster_ha.planning.diagnosis import words
from loadmaster_ha.planning.diagnosis.catalogue import CATALOGUE
from loadmaster_ha.planning.diagnosis.model import Diagnosis, PairHealth, PairView, Silence
from loadmaster_ha.planning.diagnosis.rules import CHECKS, Found
from loadmaster_ha.planning.diagnosis.states import asked, states, who_is_active

_CERTAINLY_NOT: Final = frozenset({Silence.REFUSED, Silence.CLOSED})


def diagnose(view: PairView) -> Diagnosis:
    """What is to be said of a pair."""
    found = [each for each in (check(view) for check in CHECKS) if each is not None]
    first = found[0] if found else _unknown(view)
    explanation = CATALOGUE[first.health]
    return Diagnosis(
        health=first.health,
        active=who_is_active(view),
        states={role: each.state for role, each in states(view).items()},
        healthy=explanation.healthy,
        cause=first.cause,
        evidence=(*_beside(found[1:]), *_evidence(view)),
        remedy=first.remedy or explanation.remedy,
        serving=_serving(view),
    )


def message(diagnosis: Diagnosis) -> str:
    """The diagnosis as the message of a condition."""
    parts = [diagnosis.cause]
    if diagnosis.remedy and not diagnosis.healthy:
        parts.append(f"What to do: {diagnosis.remedy}")
    if not diagnosis.healthy and diagnosis.evidence:
        parts.append(f"Seen: {' '.join(diagnosis.evidence)}")
    return " ".join(parts)


def _unknown(view: PairView) -> Found:
    if not any(asked(unit) for unit in view.units.values()):
        return Found(PairHealth.UNKNOWN, "The units have not been asked yet.")
    serving = [role for role, each in states(view).items() if each.serving]
    if len(serving) == 1:
        other = serving[0].partner.lower()
        cause = f"The {serving[0].lower()} is active. Whether the {other} could take over cannot be told."
        return Found(PairHealth.UNKNOWN, cause, f"See what the {other} says of itself, and let it be asked.")
    return Found(PairHealth.UNKNOWN, "It cannot be told who is active: too little of the pair answers.")


def _beside(others: list[Found]) -> list[str]:
    """What else was found; that one unit is active is no news beside something worse."""
    return [f"Also {each.health}: {each.cause}" for each in others if not CATALOGUE[each.health].healthy]


def _evidence(view: PairView) -> list[str]:
    """What was seen of each unit and through the balancer, and what Azure says."""
    told = [words.unit(view, role) for role in Role]
    if (through := words.frontend(view)) is not None:
        told.append(through)
    if isinstance(view.rule_health, Present):
        health = view.rule_health.value
        up = ", ".join(sorted(health.up)) or "nobody"
        down = ", ".join(f"{address} ({reason})" for address, reason in sorted(health.down.items()))
        told.append(f"Azure holds up: {up}; down: {down or 'nobody'}.")
    return told


def _serving(view: PairView) -> bool | None:
    """Whether the frontend is served now.

    An answer through the balancer decides, also one that is not 200. Silence from the frontend may be the way
    from here, so the units and Azure are asked; what nobody can tell is None.
    """
    frontend = view.frontend
    if frontend is not None and frontend.code is not None:
        return frontend.good
    active = who_is_active(view)
    if active is Active.NONE:
        return False
    if isinstance(view.rule_health, Present) and view.rule_health_counts:
        addresses = {view.addresses.get(role) for role in Role if states(view)[role].serving}
        return bool(addresses & view.rule_health.value.up)
    if frontend is not None and frontend.silence in _CERTAINLY_NOT:
        return False
    return None
