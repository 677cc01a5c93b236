"""One machine: supervisor with its lease, node process with the real engine, HAProxy. Anything of it can
fail."""

from typing import TYPE_CHECKING

from loadmaster_ha.agent.ha import engine
from loadmaster_ha.agent.ha.answers import UNAVAILABLE
from loadmaster_ha.agent.ha.model import (
    Answer,
    AskPartnerPage,
    AskWitness,
    Configuration,
    Configured,
    DataPlane,
    Event,
    Notice,
    Page,
    PartnerPage,
    Probed,
    Stop,
    SwitchoverEnded,
    Tell,
    Tick,
    Transition,
)
from loadmaster_ha.domain.ha import Role, UnitState

if TYPE_CHECKING:
    from tests.simulation.ha.world import World

    from loadmaster_ha.agent.ha.state import EngineState

RENEWAL = 0.25
"""The node renews the lease this often."""


class Unit:
    """A unit of the pair."""

    def __init__(self, world: "World", role: Role, clock: float) -> None:
        self._world = world
        self.role = role
        self.configuration: Configuration = world.setting.configuration(role)
        self._clock_offset = clock
        self._clock_stops = 0
        self._clock_stopped_at = 0.0
        self.powered = False
        self.machine_frozen = 0
        self.supervisor = False
        self.node: EngineState | None = None
        self.node_frozen = 0
        self.haproxy_failures = 0
        self.boots = 0
        self.started_at = 0.0
        """When the node process was started last."""
        self._answer: Answer | None = None
        self._lease_end = 0.0
        self._inbox: list[Event] = []
        self._tick = 0

    # What others see

    @property
    def clock(self) -> float:
        """The machine's monotonic clock."""
        now = self._world.simulator.now if not self._clock_stops else self._clock_stopped_at
        return now + self._clock_offset

    @property
    def answers_kernel(self) -> bool:
        """Whether the machine's kernel answers the network."""
        return self.powered and not self.machine_frozen

    @property
    def runs(self) -> bool:
        """Whether the node process is there and gets time."""
        return self.node is not None and self.answers_kernel and not self.node_frozen

    @property
    def state(self) -> UnitState | None:
        """The engine's state; None without a process."""
        return None if self.node is None else self.node.state

    @property
    def leased(self) -> bool:
        """Whether the supervisor still trusts what the node said."""
        if self.node is None or self._answer is None:
            return False
        return not self.node_frozen or self.clock < self._lease_end

    def responder(self, *, to_balancer: bool) -> tuple[Page, int, str]:
        """What the health port answers: outcome, status, text."""
        if not self.answers_kernel:
            return Page.SILENT, 0, ""
        if not self.supervisor:
            return Page.REFUSED, 0, ""
        answer = self._answer
        if answer is None or not self.leased:
            said = UNAVAILABLE
        else:
            said = answer.to_balancer if to_balancer else answer.to_others
        return (Page.OK if said.code == 200 else Page.UNAVAILABLE), said.code, said.text

    @property
    def answers_200(self) -> bool:
        """Whether a probe of the balancer would get a 200 now."""
        return self.responder(to_balancer=True)[1] == 200

    @property
    def well(self) -> bool:
        """Whether it could serve, and the balancer reaches it."""
        node = self.node
        return (
            self.runs
            and self.supervisor
            and not self.haproxy_failures
            and node is not None
            and node.healthy is True
            and node.drain is None
            and node.stop is None
            and self._world.network.passes("balancer", self.role)
        )

    # Processes

    def power_on(self) -> None:
        """Boot the machine."""
        self.powered = True
        self._world.simulator.after(0.3, self.start_supervisor)

    def start_supervisor(self) -> None:
        """Start the supervisor, and with it the node process."""
        if self.powered and not self.supervisor:
            self.supervisor = True
            self.start_node()

    def start_node(self) -> None:
        """Start the node process."""
        if not (self.powered and self.supervisor) or self.node is not None:
            return
        self.boots += 1
        self.started_at = self._world.simulator.now
        self._inbox.clear()
        self._answer = None
        self.node = engine.start(self.clock, f"{self.role}-{self.boots}")
        self._world.trace(f"{self.role}: node process {self.boots} starts")
        self.tell(Configured(self.configuration))
        self._world.simulator.after(0.2, self.look_at_haproxy, self.boots)

    def end_node(self, *, silently: bool = False) -> None:
        """The node process is gone."""
        if self.node is None:
            return
        self.node = None
        self._inbox.clear()
        if silently:
            self._world.link.vanished(self.role)
        else:
            self._world.link.died(self.role)
        self._world.changed()

    def look_at_haproxy(self, boot: int) -> None:
        """The watch of HAProxy tells the engine what it finds."""
        if self.boots != boot or self.node is None or not self.runs:
            return
        healthy = not self.haproxy_failures
        if self.node.healthy is not healthy:
            self.tell(DataPlane(healthy, "" if healthy else "a request through HAProxy was not answered"))

    def thaw(self) -> None:
        """The node process gets time again: what has gathered in its buffers comes first."""
        if not self.runs:
            return
        inbox, self._inbox = self._inbox, []
        for event in inbox:
            self.tell(event)
        self.tell(Tick())
        self._world.simulator.after(0.3, self.look_at_haproxy, self.boots)

    def stop_clock(self) -> None:
        """The machine's clock stands still from now on."""
        if not self._clock_stops:
            self._clock_stopped_at = self._world.simulator.now
        self._clock_stops += 1

    def go_on_clock(self) -> None:
        """The machine's clock goes on from where it stood."""
        self._clock_stops -= 1
        if not self._clock_stops:
            self._clock_offset -= self._world.simulator.now - self._clock_stopped_at
            self._look_when_lease_ends()

    def freeze_lease(self) -> None:
        """From now on nobody renews the lease."""
        renewed = self.clock - RENEWAL * self._world.simulator.chance.random()
        self._lease_end = renewed + self.configuration.lease
        self._look_when_lease_ends()

    def _look_when_lease_ends(self) -> None:
        self._world.simulator.after(max(0.0, self._lease_end - self.clock) + 1e-6, self._world.changed)

    # The node process

    def tell_if_same_boot(self, boot: int, event: Event) -> None:
        """An answer to what this process has asked, if it still lives."""
        if boot == self.boots:
            self.tell(event)

    def tell(self, event: Event) -> None:
        """An event for the engine."""
        if self.node is None:
            return
        if not self.runs:
            self._inbox.append(event)
            return
        if not self.node.configured:
            self.started_at = self._world.simulator.now
        self.node, effects = engine.step(self.node, event, self.clock)
        for effect in effects:
            self._do(effect)
        if self.node is not None:
            self._tick += 1
            due = engine.next_deadline(self.node, self.clock) - self._clock_offset
            self._world.simulator.at(due, self._on_time, self._tick)

    def _on_time(self, tick: int) -> None:
        if tick == self._tick and self.runs:
            self.tell(Tick())

    def _do(self, effect: object) -> None:
        world = self._world
        match effect:
            case Tell():
                world.link.send(self.role, effect.report)
            case AskPartnerPage():
                self._ask_page(effect)
            case AskWitness():
                world.balancer.ask_frontend(self.role, effect)
            case Answer():
                self._answer = effect
                world.changed()
            case Transition():
                world.trace(f"{self.role}: {effect.old} -> {effect.new}: {effect.reason}: {effect.message}")
                world.monitor.transition(self, effect)
            case SwitchoverEnded():
                done = "done" if effect.done else "not done"
                world.trace(f"{self.role}: switch-over {effect.id} {done}: {effect.reason}: {effect.message}")
                world.monitor.switchover_ended(self, effect)
            case Notice():
                world.monitor.notice(self, effect)
            case Stop():
                world.stopped(self)

    def count_probe(self, code: int) -> None:
        """The supervisor has answered the balancer's probe, and tells the node."""
        if self.node is not None:
            self._world.simulator.after(0.002, self.tell_if_same_boot, self.boots, Probed(code))

    def count_poll(self) -> None:
        """Somebody else asked the health port: counted apart, told to nobody."""

    def _ask_page(self, question: AskPartnerPage) -> None:
        """Ask the partner's health port; a question and an answer, each on its way."""
        world = self._world
        boot, asked = self.boots, world.simulator.now
        there = world.network.delay()
        other = world.units[self.role.partner]

        def answer() -> None:
            passes = world.network.passes_both("page")
            page, _, text = other.responder(to_balancer=False) if passes else (Page.SILENT, 0, "")
            if page is not Page.SILENT and question.port != other.configuration.check_port:
                page, text = Page.REFUSED, ""
            if page is Page.OK or page is Page.UNAVAILABLE:
                other.count_poll()
            back = world.simulator.now + world.network.delay()
            if page is Page.SILENT or back - asked > question.timeout:
                page, text, back = Page.SILENT, "", asked + question.timeout
            world.simulator.at(back, self.tell_if_same_boot, boot, PartnerPage(page, text, question.asked))

        world.simulator.after(there, answer)
