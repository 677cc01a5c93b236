"""Azure's load balancer as its newest pages describe it (Load Balancer health probes, 2025-12).

A probe goes out every interval; an HTTP answer counts at once, 200 up, anything else down; a probe that is
not answered within an interval fails and the next goes out at once; the threshold counts silence only.
Switches: whether a refusal is an answer, how many 200 bring a member back.
"""

from typing import TYPE_CHECKING

from loadmaster_ha.agent.ha.model import AskWitness, Page, Probed, WitnessAnswered
from loadmaster_ha.domain.ha import Role

if TYPE_CHECKING:
    from tests.simulation.ha.world import World


class Balancer:
    """Probes both members, and maps flows to those that are up."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.up = {Role.MASTER: False, Role.SLAVE: False}
        self.stopped = 0
        self._silent = {Role.MASTER: 0, Role.SLAVE: 0}
        self._good = {Role.MASTER: 0, Role.SLAVE: 0}
        self.counted = {Role.MASTER: 0, Role.SLAVE: 0}
        """Probes that each unit has answered with 200, ever."""
        setting = world.setting
        for role, phase in zip(Role, setting.phases, strict=True):
            world.simulator.at(phase * setting.probe_interval, self._probe, role)

    def _probe(self, role: Role) -> None:
        world = self._world
        interval = world.setting.probe_interval
        if self.stopped:
            world.simulator.after(interval, self._probe, role)
            return
        unit = world.units[role]
        if not world.network.passes("balancer", role):
            world.simulator.after(interval, self._unanswered, role)
            return
        page, code, _ = unit.responder(to_balancer=True)
        if page is Page.SILENT:
            world.simulator.after(interval, self._unanswered, role)
            return
        self._answered(role, page, code)
        if page is not Page.REFUSED:
            unit.count_probe(code)
            self.counted[role] += code == 200
        world.simulator.after(interval, self._probe, role)

    def _unanswered(self, role: Role) -> None:
        self._silence(role)
        self._probe(role)

    def _silence(self, role: Role) -> None:
        self._silent[role] += 1
        self._good[role] = 0
        if self._silent[role] >= self._world.setting.probe_threshold:
            self._set(role, up=False)

    def _answered(self, role: Role, page: Page, code: int) -> None:
        setting = self._world.setting
        if page is Page.REFUSED and not setting.refusal_is_answer:
            self._silence(role)
            return
        self._silent[role] = 0
        if code != 200:
            self._good[role] = 0
            self._set(role, up=False)
            return
        self._good[role] += 1
        if self._good[role] >= setting.returns_after:
            self._set(role, up=True)

    def _set(self, role: Role, *, up: bool) -> None:
        if self.up[role] is not up:
            self.up[role] = up
            self._world.trace(f"balancer: {role} {'up' if up else 'down'}")
            self._world.changed()

    def ask_frontend(self, asker: Role, question: AskWitness) -> None:
        """A unit asks the frontend on the check port; a flow mapped to its own sender dies."""
        world = self._world
        unit = world.units[asker]
        simulator = world.simulator
        boot = unit.boots
        members = [role for role in Role if self.up[role]]
        target = simulator.chance.choice(members) if members else None
        delay = 2 * world.network.delay()
        reachable = (
            target is not None
            and target is not asker
            and world.network.passes("frontend", asker)
            and world.network.passes("balancer", target)
            and delay <= question.timeout
        )
        page, text = Page.SILENT, ""
        if reachable and target is not None:
            page, _, text = world.units[target].responder(to_balancer=False)
        wait = question.timeout if page is Page.SILENT else delay
        simulator.after(wait, unit.tell_if_same_boot, boot, WitnessAnswered(page, text, question.asked))


def probed(code: int) -> Probed:
    """What the supervisor tells the node of a probe."""
    return Probed(code)
