"""One pair as the units' planner sees it: what each unit is, what it shall be, and what that means.

Every rule that several modules share stands here once: which reboot is owed, as what a unit may be running,
who serves or may be serving, and who can take over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from loadmaster_ha.domain import firmware
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.units import HighAvailabilitySettings, ObservedState, UnitFacts, UnitKind
from loadmaster_ha.planning.units.observation import (
    RebootUnderWay,
    UnitRecord,
    UnitsObservation,
    UnitsTarget,
)

IN_A_PAIR: Final = frozenset(
    {ObservedState.ACTIVE, ObservedState.STANDBY, ObservedState.UNCONNECTED, ObservedState.FAILED}
)
"""States that only a unit has whose HA mode is in force."""

GOES_DOWN_SECONDS: Final = 90.0
"""A unit that still answers with its old boot so long after it was told to reboot has not heard it; before
that it is taken for gone."""


@dataclass(frozen=True)
class Member:
    """One unit that answers."""

    facts: UnitFacts
    record: UnitRecord
    """Empty when it is of another unit that had this place before."""
    wanted: HighAvailabilitySettings

    @property
    def role(self) -> Role:
        """Which unit of the manifest it is."""
        return self.facts.role

    @property
    def is_agent(self) -> bool:
        """Whether it is a node agent."""
        return self.facts.kind is UnitKind.AGENT

    @property
    def mode(self) -> Mode:
        """As it is set."""
        return self.facts.settings.mode

    @property
    def mode_is_wanted(self) -> bool:
        """Whether the mode is set as wanted, in force or not."""
        return self.mode is self.wanted.mode

    @property
    def owes_reboot(self) -> bool:
        """Whether its mode is not known to be in force.

        A node agent tells what is in force. Of an appliance it is not documented whether another mode takes
        effect without a reboot, and what reads back is what is set; so the guide's step 9 of section 7
        decides: a reboot is owed for a mode that was written since it booted.
        """
        in_force = self.facts.mode_in_force
        if in_force is not None and in_force is not self.mode:
            return True
        if self.is_agent:
            return False
        if in_force is None and self.mode is Mode.SINGLE and self.facts.state in IN_A_PAIR:
            return True
        return bool(self.record.mode_written_at_boot) and self.record.mode_written_at_boot == self.facts.boot

    @property
    def may_run_as(self) -> frozenset[Mode]:
        """Every mode that it may be running as, now or after a reboot."""
        in_force = self.facts.mode_in_force
        if self.is_agent or in_force is Mode.SINGLE:
            return frozenset({self.mode, in_force or self.mode})
        if not self.owes_reboot:
            return frozenset({self.mode})
        # It came from single mode, through which `may_become` leads; to single mode it came from anywhere.
        return frozenset(Mode) if self.mode is Mode.SINGLE else frozenset({self.mode, Mode.SINGLE})

    def may_become(self, mode: Mode, partner: "Member") -> bool:
        """Whether the unit may be set to this mode now.

        Never to one that the partner may be running as. An appliance does not tell which role it is running
        in, so it goes from one role to the other through single mode only, and through a reboot in it; unless
        the partner tells by its own role which one it must be.
        """
        if mode in partner.may_run_as:
            return False
        if self.is_agent or self.runs_alone:
            return True
        if not partner.runs_alone and not partner.owes_reboot and Mode.SINGLE is not partner.mode:
            # They serve as a pair, so this one has the role that the partner has not; or both have the same
            # one, and nothing can become worse.
            return True
        return mode is self.mode

    @property
    def runs_alone(self) -> bool:
        """Whether it runs in single mode, as far as can be told."""
        if self.facts.mode_in_force is not None:
            return self.facts.mode_in_force is Mode.SINGLE
        return self.mode is Mode.SINGLE and self.facts.state not in IN_A_PAIR

    @property
    def runs_as(self) -> Mode:
        """The mode that it runs as, as far as can be told."""
        return self.facts.mode_in_force or self.mode

    @property
    def is_active(self) -> bool:
        """Whether it says that it is the active one of a pair; in single mode a unit is nobody's."""
        return self.facts.state is ObservedState.ACTIVE and not self.runs_alone

    @property
    def services(self) -> frozenset[tuple[int, str]] | None:
        """Port and protocol of each of its virtual services; None while they have not been read."""
        if not isinstance(self.facts.services, Present):
            return None
        return frozenset((each.key.port, each.key.protocol.value) for each in self.facts.services.value)

    @property
    def version(self) -> firmware.Version | None:
        """The numbers of its firmware."""
        return firmware.parse(self.facts.firmware)


@dataclass(frozen=True)
class Situation:
    """The pair. `now` is on the controller's monotonic clock, in seconds."""

    target: UnitsTarget
    observation: UnitsObservation
    now: float = 0.0

    @cached_property
    def members(self) -> dict[Role, Member]:
        """The units that answer."""
        return {role: member for role in Role if (member := self._member(role)) is not None}

    @property
    def complete(self) -> bool:
        """Whether both units answer."""
        return len(self.members) == len(Role)

    @property
    def check_port(self) -> int:
        """The wanted one."""
        return self.target.pair.spec.health_check.port

    @property
    def azure_ports(self) -> frozenset[int] | None:
        """The check ports in Azure; None while they are not known."""
        ports = self.observation.ports
        return ports.value if isinstance(ports, Present) else None

    @property
    def frontend_serves(self) -> bool | None:
        """Whether somebody answers behind the frontend; None: not known."""
        serves = self.observation.frontend_serves
        return serves.value if isinstance(serves, Present) else None

    def partner(self, role: Role) -> Member | None:
        """The other unit, if it answers."""
        return self.members.get(role.partner)

    def silence(self, role: Role) -> Unknown | None:
        """Why the unit cannot be asked; None when it answers."""
        if role in self.members:
            return None
        reading = self.observation.units.get(role, Absent())
        if isinstance(reading, Unknown):
            return reading
        if isinstance(reading, Present):
            return Unknown("Booting", "it was told to reboot")
        return Unknown("NotObserved", "it has not been looked at yet")

    @property
    def rebooting(self) -> dict[Role, RebootUnderWay]:
        """Units that were told to reboot and are not back."""
        return {role: told for role, told in self.observation.reboots.items() if role not in self.members}

    @property
    def running(self) -> bool:
        """Whether somebody is, or may be, served by the pair."""
        return self.frontend_serves is True or any(member.is_active for member in self.members.values())

    def in_order(self) -> Iterator[Member]:
        """Those that answer: who may serve comes last, else the master before the slave."""
        yield from sorted(
            self.members.values(), key=lambda member: (self.may_serve(member), member.role is Role.SLAVE)
        )

    def presumed_serving(self, member: Member) -> bool:
        """Whether it runs alone and has virtual services that an active partner does not have as well."""
        if not member.runs_alone or not member.services:
            return False
        partner = self.partner(member.role)
        return not (
            partner is not None and partner.is_active and member.services <= (partner.services or set())
        )

    def may_serve(self, member: Member) -> bool:
        """Whether an interruption of it may be felt by somebody."""
        if member.is_active or self.presumed_serving(member):
            return True
        if member.runs_alone:
            return False
        partner = self.partner(member.role)
        if partner is not None and partner.is_active:
            return False
        return self.frontend_serves is True or (
            member.facts.state is ObservedState.UNKNOWN and self.frontend_serves is None
        )

    def _member(self, role: Role) -> Member | None:
        reading = self.observation.units.get(role)
        if not isinstance(reading, Present):
            return None
        facts = reading.value
        told = self.observation.reboots.get(role)
        if told is not None and told.boot == facts.boot and self.now - told.since < GOES_DOWN_SECONDS:
            return None
        record = self.observation.records.get(role, UnitRecord())
        if record.identity != facts.identity:
            record = UnitRecord()
        return Member(facts, record, self._wanted(role))

    def _wanted(self, role: Role) -> HighAvailabilitySettings:
        spec = self.target.pair.spec
        return HighAvailabilitySettings(
            mode=Mode(role.value),
            preferred_host=spec.high_availability.preferred_host,
            partner=self.target.addresses.get(role.partner),
            port=spec.health_check.port,
            all_interfaces=spec.high_availability.all_interfaces,
        )
