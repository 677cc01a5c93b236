"""A simulated pair for directed scenarios: built, settled, and then something happens to it."""

from tests.simulation.ha.setting import Happening, Setting, Trouble
from tests.simulation.ha.world import World

from loadmaster_ha.agent.ha.model import SwitchoverEnded
from loadmaster_ha.domain.ha import Role, UnitState

MASTER, SLAVE = Role.MASTER, Role.SLAVE


class Stage:
    """The pair of the guide, with the probe of the guide: every 5 s, threshold 2."""

    def __init__(self, **setting: object) -> None:
        self.world = World(Setting(**setting), traced=True)  # type: ignore[arg-type]
        self.monitor = self.world.monitor

    @classmethod
    def settled(cls, **setting: object) -> "Stage":
        """A pair in which the master has become active, half a minute old."""
        stage = cls(**setting)
        stage.let_pass(30.0)
        return stage

    @property
    def now(self) -> float:
        """Virtual time."""
        return self.world.simulator.now

    @property
    def active(self) -> list[Role]:
        """Who is active."""
        return [role for role, unit in self.world.units.items() if unit.state is UnitState.ACTIVE]

    def state(self, role: Role) -> UnitState | None:
        """A unit's state."""
        return self.world.units[role].state

    @property
    def members(self) -> list[Role]:
        """Whom the balancer holds up."""
        return [role for role in Role if self.world.balancer.up[role]]

    def let_pass(self, duration: float) -> "Stage":
        """Let time pass; the monitor watches."""
        self.world.run_until(self.now + duration)
        return self

    def happens(
        self, trouble: Trouble, role: Role = MASTER, duration: float = 0.0, *, oneway: bool = False
    ) -> None:
        """Let this happen now."""
        self.world.do(Happening(self.now, trouble, role, duration, oneway))

    def until(self, active: list[Role], limit: float) -> float:
        """How long it takes until exactly these are active."""
        begun = self.now
        while self.active != active:
            assert self.now - begun < limit, "\n".join([f"active: {self.active}", *self.world.lines])
            self.let_pass(0.05)
        return self.now - begun

    def reasons(self, role: Role) -> list[str]:
        """Why the unit changed its state, each time."""
        return [change.reason for _, who, change in self.monitor.transitions if who is role]

    def outcomes(self, role: Role) -> list[SwitchoverEnded]:
        """What came of the switch-overs that this unit told of."""
        return [ended for _, who, ended in self.monitor.outcomes if who is role]

    def notices(self, role: Role) -> list[str]:
        """What the unit tells people at the moment."""
        node = self.world.units[role].node
        return [] if node is None else [notice.reason for notice in node.notices]

    def forget_gap(self) -> None:
        """Measure the longest gap from now on."""
        self.monitor.look()
        self.monitor.gap = 0.0
