"""One HA engine, driven by hand: events in, effects remembered."""

from dataclasses import replace
from typing import TypeVar

from loadmaster_ha.agent.ha import engine
from loadmaster_ha.agent.ha.model import (
    Answer,
    Configuration,
    Configured,
    DataPlane,
    Effect,
    Event,
    Page,
    PartnerPage,
    PartnerReported,
    Probed,
    Report,
    SwitchoverEnded,
    Tick,
    Transition,
    View,
)
from loadmaster_ha.domain.ha import Mode, PreferredHost, UnitState

PARTNER = "10.0.2.5"
_E = TypeVar("_E")


def configuration(mode: Mode = Mode.MASTER, **changes: object) -> Configuration:
    """The guide's, for this mode."""
    return replace(Configuration(mode=mode, partner=PARTNER), **changes)  # type: ignore[arg-type]


def report(state: UnitState = UnitState.STANDBY, mode: Mode = Mode.SLAVE, **changes: object) -> Report:
    """A partner that is well."""
    plain = Report(
        boot_id="partner-1",
        mode=mode,
        state=state,
        preferred_host=PreferredHost.MASTER,
        check_port=8444,
        healthy=state is not UnitState.FAILED,
        active_for=100.0 if state is UnitState.ACTIVE else 0.0,
        healthy_for=100.0,
        probe_age=1.0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class Driven:
    """An engine, its clock and what it has asked for so far."""

    def __init__(self, mode: Mode = Mode.MASTER, *, healthy: bool | None = True, **changes: object) -> None:
        self.now = 1000.0
        self.effects: list[Effect] = []
        self.state = engine.start(self.now, "boot-1")
        self.give(Configured(configuration(mode, **changes)))
        if healthy is not None:
            self.give(DataPlane(healthy, "" if healthy else "nothing answers on port 443"))

    def give(self, *events: Event) -> "Driven":
        """Events at this instant."""
        for event in events:
            self.state, effects = engine.step(self.state, event, self.now)
            self.effects += effects
        return self

    def wait(
        self, duration: float, *, hears: Report | None = None, page: PartnerPage | None = None
    ) -> "Driven":
        """Let time pass in small steps; the partner may go on reporting, or its page answering."""
        end = self.now + duration
        while self.now < end:
            self.now = min(end, self.now + 0.25)
            self.give(Tick())
            if hears is not None:
                self.give(PartnerReported(hears))
            if page is not None:
                self.give(page)
        return self

    def page(self, page: Page, says: str = "") -> "Driven":
        """The partner's health port says so: to the question that is under way, and to the next."""
        return self.give(PartnerPage(page, says), PartnerPage(page, says))

    def probe(self) -> "Driven":
        """The balancer probes and gets what the engine says."""
        return self.give(Probed(self.answer.to_balancer.code))

    @property
    def view(self) -> View:
        """What the rest of the agent sees."""
        return engine.view(self.state, self.now)

    @property
    def answer(self) -> Answer:
        """What the health port says."""
        assert self.state.answer is not None
        return self.state.answer

    def of(self, kind: type[_E]) -> list[_E]:
        """The effects of one kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def reasons(self) -> list[str]:
        """Of all transitions."""
        return [change.reason for change in self.of(Transition)]

    @property
    def notices(self) -> list[str]:
        """Those that have begun and not ended."""
        return [notice.reason for notice in self.view.notices]

    @property
    def outcome(self) -> SwitchoverEnded:
        """Of the last switch-over."""
        return self.of(SwitchoverEnded)[-1]


def active_master(**changes: object) -> Driven:
    """A master that serves, with a standby beside it."""
    driven = Driven(Mode.MASTER, **changes).wait(2, hears=report()).probe()
    assert driven.state.state is UnitState.ACTIVE
    return driven


def standby_slave(**changes: object) -> Driven:
    """A slave that stands by, with an active master beside it."""
    master = report(UnitState.ACTIVE, Mode.MASTER)
    driven = Driven(Mode.SLAVE, **changes).wait(4, hears=master).probe().wait(1, hears=master)
    assert driven.state.state is UnitState.STANDBY
    return driven
