"""Two units as small as they can be and still go wrong: what is set, what is in force, who is up, who serves.

What the planner sees is made of it by the rules of the observer: a node agent tells what is in force, an
appliance only whether HA is on; what an appliance does at a reboot, or already before, is not documented, so
there is one of either kind. All values are hashable: the exploration remembers where it has been.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from tests.support.unit_values import facts, service, units_target

from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.reading import Present, Unknown
from loadmaster_ha.domain.unit_changes import (
    Reboot,
    UnitChange,
    WriteAgentInputs,
    WriteMode,
    WriteParameters,
    WriteSharedSecret,
)
from loadmaster_ha.domain.units import AgentInputs, HighAvailabilitySettings, ObservedState, UnitKind
from loadmaster_ha.planning.units.observation import RebootUnderWay, UnitRecord, UnitsObservation

TARGET = units_target(secret="v2")
UNTOUCHED = HighAvailabilitySettings(preferred_host=PreferredHost.MASTER, all_interfaces=False)
NOTHING = AgentInputs()
BOOT, EARLIER = "this boot", "an earlier boot"


class Flavour(StrEnum):
    AGENT = "agent"
    APPLIANCE = "appliance"
    INSTANT_APPLIANCE = "instant"
    """Its mode takes effect without a reboot."""


@dataclass(frozen=True)
class SimulatedUnit:
    settings: HighAvailabilitySettings = UNTOUCHED
    in_force: Mode = Mode.SINGLE
    up: bool = True
    reachable: bool = True
    probed: bool = True
    """By the balancer, since it booted."""
    by_hand: bool = False
    """Somebody changed its mode since it booted; of an appliance nobody can tell then what it runs as."""
    going_down: bool = False
    """It was told to reboot and still answers."""
    services: frozenset[int] = frozenset()
    inputs: AgentInputs = NOTHING
    secret: str = ""
    # What the operator has on record of it.
    recorded_secret: str = ""
    recorded_boot: str = ""

    @property
    def paired(self) -> bool:
        return self.in_force is not Mode.SINGLE


@dataclass(frozen=True)
class World:
    flavour: Flavour
    master: SimulatedUnit = field(default_factory=SimulatedUnit)
    slave: SimulatedUnit = field(default_factory=SimulatedUnit)
    azure_port: int | None = 8444
    remembers: frozenset[Role] = frozenset()
    """Whom the operator told to reboot, as far as it has not forgotten by dying."""

    def unit(self, role: Role) -> SimulatedUnit:
        return self.master if role is Role.MASTER else self.slave

    def with_unit(self, role: Role, **changed: object) -> "World":
        unit = replace(self.unit(role), **changed)
        return replace(self, **{"master" if role is Role.MASTER else "slave": unit})

    # -- the truth

    def state(self, role: Role) -> ObservedState:
        unit, other = self.unit(role), self.unit(role.partner)
        if not unit.paired:
            return ObservedState.ACTIVE  # of nobody's pair: so the observer has it
        if other.up and other.in_force is unit.in_force:
            alike = ObservedState.FAILED if self.flavour is Flavour.AGENT else ObservedState.ACTIVE
            return alike if unit.probed else ObservedState.UNCONNECTED
        if not unit.probed:
            return ObservedState.UNCONNECTED
        ahead = other.up and other.paired and other.probed and other.in_force is Mode.MASTER
        return ObservedState.STANDBY if ahead else ObservedState.ACTIVE

    def is_active(self, role: Role) -> bool:
        unit = self.unit(role)
        return unit.up and unit.paired and self.state(role) is ObservedState.ACTIVE

    def serves_alone(self, role: Role) -> bool:
        """Whether it is in single mode and has services that an active partner does not have."""
        unit = self.unit(role)
        if not unit.up or unit.paired or not unit.services:
            return False
        return not (self.is_active(role.partner) and unit.services <= self.unit(role.partner).services)

    @property
    def alike(self) -> bool:
        """Both set to the same role."""
        return self.master.settings.mode is self.slave.settings.mode is not Mode.SINGLE

    @property
    def run_alike(self) -> bool:
        return (
            self.master.up
            and self.slave.up
            and self.master.in_force is self.slave.in_force
            and self.master.paired
        )

    @property
    def unknowable(self) -> bool:
        """Whether people made it something that no operator can know."""
        return self.flavour is Flavour.APPLIANCE and (self.master.by_hand or self.slave.by_hand)

    # -- what the operator sees

    def observation(self) -> UnitsObservation:
        return UnitsObservation(
            units={role: self._reading(role) for role in Role},
            records={
                role: UnitRecord(
                    f"serial of {role}", self.unit(role).recorded_secret, self.unit(role).recorded_boot
                )
                for role in Role
            },
            frontend_serves=Present(any(self.is_active(role) for role in Role)),
            ports=Present(frozenset({self.azure_port} if self.azure_port else ())),
            published=Present(frozenset()),
            reboots={role: RebootUnderWay(BOOT, 0.0) for role in self.remembers},
        )

    def _reading(self, role: Role):
        unit = self.unit(role)
        if not unit.up or not unit.reachable:
            return Unknown("TimedOut", "no answer in time")
        agent = self.flavour is Flavour.AGENT
        told = unit.in_force if agent or not unit.paired else unit.settings.mode
        shown = unit.settings
        if shown.mode is Mode.SINGLE:
            shown = replace(shown, preferred_host=None)
        hidden = not agent and unit.paired and unit.settings.mode is Mode.SINGLE
        return Present(
            facts(
                role,
                kind=UnitKind.AGENT if agent else UnitKind.APPLIANCE,
                settings=shown,
                in_force=None if hidden else told,
                state=self.state(role),
                services=tuple(service(port) for port in sorted(unit.services)),
                boot=BOOT,
                inputs=unit.inputs if agent else None,
            )
        )

    # -- what happens

    def applied(self, change: UnitChange, *, answer_lost: bool = False) -> "World":
        """After the operator's write. With the answer lost, the operator died before it could record it."""
        world, role = self, change.role
        unit = self.unit(role)
        if isinstance(change, WriteMode):
            in_force = change.mode if self.flavour is Flavour.INSTANT_APPLIANCE else unit.in_force
            world = world.with_unit(
                role, settings=replace(unit.settings, mode=change.mode), in_force=in_force, recorded_boot=BOOT
            )
        elif isinstance(change, WriteSharedSecret):
            recorded = unit.recorded_secret if answer_lost else change.version
            world = world.with_unit(role, secret=change.version, recorded_secret=recorded)
        elif isinstance(change, WriteParameters):
            names = ("partner", "port", "preferred_host", "all_interfaces")
            given = {name: getattr(change, name) for name in names if getattr(change, name) is not None}
            world = world.with_unit(role, settings=replace(unit.settings, **given))
        elif isinstance(change, WriteAgentInputs):
            names = ("frontend", "probe_source", "probe_interval", "probe_threshold")
            given = {name: getattr(change, name) for name in names if getattr(change, name) is not None}
            world = world.with_unit(role, inputs=replace(unit.inputs, **given))
        elif isinstance(change, Reboot):
            world = world.with_unit(role, going_down=True)
            world = replace(world, remembers=world.remembers | {role})
        return replace(world, remembers=frozenset()) if answer_lost else world

    def later(self) -> "World":
        """Time passes: units go down and come back, the balancer probes, settings are synchronised."""
        world = self
        for role in Role:
            unit = world.unit(role)
            if unit.going_down:
                world = world.with_unit(role, going_down=False, up=False)
            elif not unit.up:
                world = world.with_unit(
                    role,
                    up=True,
                    in_force=unit.settings.mode,
                    probed=False,
                    by_hand=False,
                    recorded_boot=_earlier(unit),
                )
                world = replace(world, remembers=world.remembers - {role})
            elif unit.paired and not unit.probed and world.azure_port == unit.settings.port:
                world = world.with_unit(role, probed=True)
        if world.master.up and world.slave.up and world.master.paired and world.slave.paired:
            both = world.master.services | world.slave.services
            world = world.with_unit(Role.MASTER, services=both).with_unit(Role.SLAVE, services=both)
        return world


def _earlier(unit: SimulatedUnit) -> str:
    return EARLIER if unit.recorded_boot else ""
