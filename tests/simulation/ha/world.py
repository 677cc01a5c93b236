"""The pair, its network and its balancer in one, and how each trouble is done to them."""

from dataclasses import replace

from tests.simulation.ha.balancer import Balancer
from tests.simulation.ha.monitor import Monitor
from tests.simulation.ha.network import Link, Network
from tests.simulation.ha.setting import Happening, Setting, Trouble
from tests.simulation.ha.simulator import Simulator
from tests.simulation.ha.unit import Unit

from loadmaster_ha.agent.ha.model import (
    Configured,
    DrainRequested,
    StopRequested,
    SwitchoverRequested,
    SwitchoverUndone,
)
from loadmaster_ha.domain.ha import HEALTH_CHECK_PORT, Mode, PreferredHost, Role

WAYS = {
    Trouble.CUT_LINK: ("link",),
    Trouble.CUT_PAGE: ("page",),
    Trouble.CUT_UNITS: ("link", "page"),
    Trouble.CUT_BALANCER: ("balancer",),
    Trouble.CUT_FRONTEND: ("frontend",),
    Trouble.ISOLATE: ("link", "page", "balancer", "frontend"),
}


class World:
    """One simulated pair."""

    def __init__(self, setting: Setting, seed: int = 0, *, traced: bool = False) -> None:
        self.setting = setting
        self.simulator = Simulator(seed)
        self.lines: list[str] = []
        self._traced = traced
        self.network = Network(self)
        self.units = {role: Unit(self, role, clock) for role, clock in zip(Role, setting.clocks, strict=True)}
        self.monitor = Monitor(self)
        self.link = Link(self)
        self.balancer = Balancer(self)
        self._requests = 0
        for role, port in zip(Role, setting.check_ports, strict=True):
            if port != HEALTH_CHECK_PORT:  # as long as the run lasts; what is asked there finds nothing
                self.network.close("balancer", role)
        for role, start in zip(Role, setting.starts, strict=True):
            self.simulator.at(start, self.units[role].power_on)

    def trace(self, line: str) -> None:
        """Remember what happened, for people."""
        if self._traced:
            self.lines.append(f"{self.simulator.now:8.3f}  {line}")

    def changed(self) -> None:
        """Something changed that the monitor should look at."""
        self.monitor.look()

    def run_until(self, time: float) -> None:
        """Let time pass."""
        self.simulator.run_until(time)
        self.monitor.look()

    def schedule(self, happening: Happening) -> None:
        """Let this happen when it is due."""
        self.simulator.at(happening.at, self.do, happening)

    # Troubles

    def do(self, happening: Happening) -> None:
        """Do it now, and undo it after its duration."""
        self.trace(f"** {str(happening).strip()}")
        self.monitor.disturbed(happening)
        unit = self.units[happening.unit]
        trouble = happening.trouble
        if trouble in WAYS:
            self._cut(happening)
        elif trouble in _SIMPLE:
            _SIMPLE[trouble](self, unit, happening.duration)
        self.changed()

    def _after(self, duration: float, action: object, *arguments: object) -> None:
        """Undo something, and tell the monitor."""

        def undo() -> None:
            self.monitor.calmer()
            action(*arguments)  # type: ignore[operator]
            self.changed()

        self.simulator.after(duration, undo)

    def _cut(self, happening: Happening) -> None:
        between = happening.trouble in (
            Trouble.CUT_LINK,
            Trouble.CUT_PAGE,
            Trouble.CUT_UNITS,
            Trouble.ISOLATE,
        )
        for way in WAYS[happening.trouble]:
            shared = between and way in ("link", "page") and not happening.oneway
            senders = list(Role) if shared else [happening.unit]
            for sender in senders:
                self.network.close(way, sender)
                self._after(happening.duration, self.network.open, way, sender)

    def _kill_node(self, unit: Unit, duration: float) -> None:
        unit.end_node()
        self._after(duration, unit.start_node)

    def _kill_supervisor(self, unit: Unit, duration: float) -> None:
        unit.supervisor = False
        unit.end_node()
        self._after(duration, unit.start_supervisor)

    def _power_off(self, unit: Unit, duration: float) -> None:
        unit.powered = unit.supervisor = False
        unit.end_node(silently=True)
        self._after(duration, unit.power_on)

    def _freeze_node(self, unit: Unit, duration: float) -> None:
        unit.freeze_lease()
        unit.node_frozen += 1

        def thaw() -> None:
            unit.node_frozen -= 1
            unit.thaw()

        self._after(duration, thaw)

    def _freeze_machine(self, unit: Unit, duration: float, *, clock_stands: bool = False) -> None:
        unit.machine_frozen += 1
        if clock_stands:
            unit.stop_clock()
        else:
            unit.freeze_lease()
            unit.node_frozen += 1

        def thaw() -> None:
            unit.machine_frozen -= 1
            if clock_stands:
                unit.go_on_clock()
            else:
                unit.node_frozen -= 1
            unit.thaw()

        self._after(duration, thaw)

    def _suspend(self, unit: Unit, duration: float) -> None:
        self._freeze_machine(unit, duration, clock_stands=True)

    def _haproxy(self, unit: Unit, duration: float) -> None:
        unit.haproxy_failures += 1
        delay = 0.2 + 0.6 * self.simulator.chance.random()
        self.simulator.after(delay, lambda: unit.look_at_haproxy(unit.boots))

        def heal() -> None:
            unit.haproxy_failures -= 1
            self.simulator.after(delay, lambda: unit.look_at_haproxy(unit.boots))
            self.simulator.after(delay + 0.01, self.changed)

        self._after(duration, heal)

    def _stop_prober(self, _unit: Unit, duration: float) -> None:
        self.balancer.stopped += 1
        self._after(duration, lambda: setattr(self.balancer, "stopped", self.balancer.stopped - 1))

    def _slow(self, _unit: Unit, duration: float) -> None:
        self.network.slow += 1
        self._after(duration, lambda: setattr(self.network, "slow", self.network.slow - 1))

    def _lossy(self, _unit: Unit, duration: float) -> None:
        self.network.lossy += 1
        self._after(duration, lambda: setattr(self.network, "lossy", self.network.lossy - 1))

    def _stop(self, unit: Unit, _duration: float) -> None:
        unit.tell(StopRequested())

    def stopped(self, unit: Unit) -> None:
        """The clean stop of a unit is over: its processes end, and are started again after a while."""
        self.trace(f"{unit.role}: stopped")
        self.monitor.calmer()
        unit.supervisor = False
        unit.end_node()
        self._after(3.0, unit.start_supervisor)

    def _switchover(self, unit: Unit, duration: float) -> None:
        """Ask this unit for the other one, or, if it stands by, for itself; `duration` is the hold."""
        self._requests += 1
        active = unit.state is not None and unit.node is not None and unit.node.serving
        to = unit.role.partner if active else unit.role
        unit.tell(SwitchoverRequested(f"request-{self._requests}", Mode(to.value), duration))

    def _undo(self, unit: Unit, _duration: float) -> None:
        unit.tell(SwitchoverUndone())

    def _drain(self, unit: Unit, duration: float) -> None:
        unit.tell(DrainRequested(duration))
        self._after(duration, lambda: None)

    def _prefer(self, preferred: PreferredHost) -> None:
        for unit in self.units.values():
            unit.configuration = replace(unit.configuration, preferred_host=preferred)
            unit.tell(Configured(unit.configuration))

    def _prefer_master(self, _unit: Unit, _duration: float) -> None:
        self._prefer(PreferredHost.MASTER)

    def _prefer_none(self, _unit: Unit, _duration: float) -> None:
        self._prefer(PreferredHost.NONE)

    def _poll(self, unit: Unit, duration: float) -> None:
        """People and the operator look at the health page, often."""
        for number in range(int(duration * 4)):
            self.simulator.after(number / 4, unit.count_poll)


_SIMPLE = {
    Trouble.KILL_NODE: World._kill_node,
    Trouble.KILL_SUPERVISOR: World._kill_supervisor,
    Trouble.POWER_OFF: World._power_off,
    Trouble.FREEZE_NODE: World._freeze_node,
    Trouble.FREEZE_MACHINE: World._freeze_machine,
    Trouble.SUSPEND_MACHINE: World._suspend,
    Trouble.HAPROXY: World._haproxy,
    Trouble.STOP_PROBER: World._stop_prober,
    Trouble.SLOW: World._slow,
    Trouble.LOSSY: World._lossy,
    Trouble.STOP: World._stop,
    Trouble.SWITCHOVER: World._switchover,
    Trouble.UNDO: World._undo,
    Trouble.DRAIN: World._drain,
    Trouble.PREFER_MASTER: World._prefer_master,
    Trouble.PREFER_NONE: World._prefer_none,
    Trouble.POLL: World._poll,
}
