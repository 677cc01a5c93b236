"""What was seen of a unit and of the frontend, in sentences: the evidence of a diagnosis."""

from typing import Final

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present, Unknown
from loadmaster_ha.domain.units import AgentStatus, ObservedState
from loadmaster_ha.planning.diagnosis.model import HealthAnswer, PairView, Silence, UnitView

_SILENCE: Final = {
    Silence.REFUSED: "refuses connections (the host is there, nothing listens)",
    Silence.CLOSED: "closes connections without an answer",
    Silence.TIMED_OUT: "does not answer",
    Silence.UNREACHABLE: "cannot be reached from here (no route)",
    Silence.NOT_HTTP: "answers something that is not HTTP",
}


def answer(found: HealthAnswer) -> str:
    """`says 503 "Slave is standby"`. Nothing that changes with time alone: these words are stored."""
    if found.code is None:
        return _SILENCE[found.silence or Silence.TIMED_OUT]
    text = f' "{found.text}"' if found.text else ""
    return f"says {found.code}{text}"


def unit(view: PairView, role: Role) -> str:
    """Everything seen of one unit, in one sentence."""
    it = view.units[role]
    where = view.addresses.get(role, "address not known")
    parts = []
    if it.health is not None:
        parts.append(f"its port {view.check_port} {answer(it.health)}")
    parts.append(management(it))
    if it.agent is not None and it.agent.detail:
        parts.append(_own_words(it.agent))
    return f"{role.value} ({where}): {'; '.join(parts)}."


def _own_words(agent: AgentStatus) -> str:
    """What an active agent tells is why it became that, and may be long over."""
    said = agent.detail.rstrip(".")
    if agent.state is ObservedState.ACTIVE:
        return f'it turned active because: "{said}"'
    return f"it says: {said}"


def management(it: UnitView) -> str:
    """What the management API says."""
    match it.management:
        case Present(state):
            return f"its management says {state.value}"
        case Unknown(reason, message):
            return f"its management cannot be asked ({reason}: {message.rstrip('.')})"
        case _:
            return "its management has not been asked yet"


def frontend(view: PairView) -> str | None:
    """What is seen through the balancer."""
    if view.frontend is None:
        return None
    where = view.frontend_address or "the frontend"
    return f"Through the balancer, {where} port {view.check_port} {answer(view.frontend)}."
