"""The ways between the units, and between each and the balancer: cut in one direction or both, slow, lossy.

The link behaves as TCP does: in order, what is lost comes later, what is cut comes when the way is free again
if neither end has given up, a killed process is announced by its kernel, a vanished machine is not.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from loadmaster_ha.agent.ha.model import LinkEnd, LinkLost, PartnerReported, Report
from loadmaster_ha.domain.ha import Role

if TYPE_CHECKING:
    from tests.simulation.ha.world import World

DIAL_PAUSE = 1.0


class Network:
    """Which ways are open, and how long things take."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.cut: dict[tuple[str, Role], int] = {}
        """How many troubles cut this way: (`link`, `page`, `balancer`, `frontend`; the sending unit)."""
        self.slow = 0
        self.lossy = 0

    def close(self, way: str, sender: Role) -> None:
        """Nothing that this unit sends on this way arrives."""
        self.cut[way, sender] = self.cut.get((way, sender), 0) + 1

    def open(self, way: str, sender: Role) -> None:
        """One trouble less."""
        self.cut[way, sender] -= 1

    def passes(self, way: str, sender: Role) -> bool:
        """Whether what this unit sends on this way arrives."""
        return not self.cut.get((way, sender))

    def passes_both(self, way: str) -> bool:
        """Whether both units can talk on this way."""
        return self.passes(way, Role.MASTER) and self.passes(way, Role.SLAVE)

    def delay(self) -> float:
        """How long one way takes, once."""
        chance = self._world.simulator.chance
        delay = 0.0005 + 0.004 * chance.random()
        if self.slow:
            delay += 0.02 + 0.35 * chance.random()
        if self.lossy and chance.random() < 0.3:
            delay += 0.2 + chance.random()
        return delay


class Link:
    """The connection between the two node processes; each end has its own opinion whether it is there."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._connection = 0
        self.up = {Role.MASTER: False, Role.SLAVE: False}
        self._heard = {Role.MASTER: 0.0, Role.SLAVE: 0.0}
        self._arrives = {Role.MASTER: 0.0, Role.SLAVE: 0.0}
        self._held: list[tuple[int, Role, Report]] = []
        self._told: dict[Role, LinkEnd | None] = {Role.MASTER: None, Role.SLAVE: None}
        world.simulator.after(0.1, self._look)

    @property
    def both_up(self) -> bool:
        """Whether both ends think that it is there."""
        return self.up[Role.MASTER] and self.up[Role.SLAVE]

    def send(self, sender: Role, report: Report) -> None:
        """Give the other end a heartbeat."""
        if self.up[sender]:
            self._travel(self._connection, sender, report)

    def _travel(self, connection: int, sender: Role, report: Report) -> None:
        if not self._world.network.passes("link", sender):
            self._held.append((connection, sender, report))
            return
        simulator = self._world.simulator
        arrives = max(simulator.now + self._world.network.delay(), self._arrives[sender])
        self._arrives[sender] = arrives
        simulator.at(arrives, self._arrive, connection, sender, report)

    def _arrive(self, connection: int, sender: Role, report: Report) -> None:
        receiver = sender.partner
        if connection != self._connection or not self.up[receiver]:
            return
        if not self._world.network.passes("link", sender):
            self._held.append((connection, sender, report))
            return
        unit = self._world.units[receiver]
        if not unit.powered or unit.node is None:
            return
        self._heard[receiver] = self._world.simulator.now
        self._told[receiver] = None
        unit.tell(PartnerReported(report))

    def died(self, role: Role) -> None:
        """A node process is gone: its kernel says so, if it can."""
        self._drop(role, tell=False)

    def vanished(self, role: Role) -> None:
        """A machine is gone, and nobody says so."""
        self.up[role] = False

    def _drop(self, role: Role, *, tell: bool) -> None:
        """This end is closed."""
        if not self.up[role]:
            return
        self.up[role] = False
        if tell:
            self._tell(role, LinkEnd.TIMEOUT)
        self._when_passes(role, lambda: self._closed_by_other(self._connection, role.partner))

    def _when_passes(self, sender: Role, action: Callable[[], None]) -> None:
        if self._world.network.passes("link", sender):
            self._world.simulator.after(self._world.network.delay(), action)

    def _closed_by_other(self, connection: int, role: Role) -> None:
        if connection == self._connection and self.up[role]:
            self.up[role] = False
            self._tell(role, LinkEnd.CLOSED)

    def _tell(self, role: Role, end: LinkEnd) -> None:
        if self._told[role] is not end:
            self._told[role] = end
            self._world.units[role].tell(LinkLost(end))

    def _look(self) -> None:
        """Once in a while: carry on what was held up, give up what is silent, dial."""
        world = self._world
        held, self._held = self._held, []
        for connection, sender, report in held:
            if connection == self._connection:
                self._travel(connection, sender, report)
        now = world.simulator.now
        limit = world.setting.partner_timeout
        for role, unit in world.units.items():
            if self.up[role] and unit.runs and now - self._heard[role] > limit:
                self._drop(role, tell=True)
        if not self.both_up:
            self._dial()
        world.simulator.after(DIAL_PAUSE * (0.8 + 0.4 * world.simulator.chance.random()), self._look)

    def _dial(self) -> None:
        world = self._world
        running = {role: unit.runs for role, unit in world.units.items()}
        if all(running.values()) and world.network.passes_both("link"):
            self._connection += 1
            self._held.clear()
            for role in Role:
                self.up[role] = True
                self._heard[role] = world.simulator.now
            return
        for role in Role:
            if running[role] and not self.up[role]:
                other = world.units[role.partner]
                refused = other.answers_kernel and other.node is None and world.network.passes_both("link")
                self._tell(role, LinkEnd.REFUSED if refused else LinkEnd.TIMEOUT)
