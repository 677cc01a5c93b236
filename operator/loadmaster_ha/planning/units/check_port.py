"""The check port, and its change on a running pair: which of the units and Azure's probe goes when.

Node agents answer on the old and the new port until the balancer has asked the new one: both units first,
then Azure, and nothing is interrupted. An appliance answers on one port only: Azure first (a probe that goes
unanswered counts only after as many as the threshold), then at once the active unit, then the other one; if
the other one went first, it would take the silence of the active one's new port for its death.
"""

from collections.abc import Iterator

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget
from loadmaster_ha.planning.units.reasons import Reason, finding
from loadmaster_ha.planning.units.situation import Member, Situation


def azure_check_port(target: UnitsTarget, observation: UnitsObservation) -> int:
    """The port that probe and check rule in Azure shall have now.

    That is the wanted one, or the present one as long as the units have to go first or cannot follow. The
    Azure lane plans with the manifest's `healthCheck.port` replaced by it.
    """
    situation = Situation(target, observation)
    present = situation.azure_ports
    wanted = situation.check_port
    if not present or wanted in present or len(present) != 1:
        return wanted
    return wanted if _may_move(situation) else next(iter(present))


def in_order(situation: Situation) -> Iterator[Member]:
    """The units in the order in which they get a port: of appliances the active one first."""
    yield from sorted(
        situation.members.values(),
        key=lambda member: (not member.is_agent and not member.is_active, member.role is Role.SLAVE),
    )


def why_not_now(situation: Situation, member: Member) -> str:
    """Why the unit does not get the wanted port now; empty when it does."""
    ports = situation.azure_ports
    if ports == frozenset({situation.check_port}):
        return ""
    if not situation.complete:
        return f"it waits until the {member.role.partner.lower()} answers, so that both change together"
    if member.is_agent or not situation.running:
        return ""
    if ports is None:
        return "it waits until the probe's port in Azure is known"
    if not ports:
        return ""
    return "it follows as soon as Azure's probe has the new port"


def findings(situation: Situation) -> Iterator[Finding]:
    """What a change of the port means, and what it waits for."""
    for member in in_order(situation):
        if member.facts.settings.port == situation.check_port or not member.mode_is_wanted:
            continue
        path, role = "spec.healthCheck.port", member.role.lower()
        what = f"The {role} answers on port {member.facts.settings.port}, not on {situation.check_port}"
        if situation.running and not member.is_agent:
            interrupts = "; new connections may fail until it answers there and Azure has probed it again"
            yield finding(Reason.CHECK_PORT_CHANGES, path, f"{what}{interrupts}")
        if waits := why_not_now(situation, member):
            yield finding(Reason.CHECK_PORT_WAITS, path, f"{what}; {waits}")


def _may_move(situation: Situation) -> bool:
    """Whether Azure's probe may go to the wanted port."""
    members = situation.members.values()
    if not members:
        return False
    if all(member.facts.settings.port == situation.check_port for member in members):
        return True
    if not situation.complete:
        return False
    return not situation.running or not any(member.is_agent for member in members)
