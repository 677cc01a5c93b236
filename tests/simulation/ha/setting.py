"""What a simulated pair is made of, and what can befall it: plain data, so that a run can be printed and
shrunk."""

from dataclasses import dataclass, field
from enum import StrEnum

from loadmaster_ha.agent.ha.model import Configuration
from loadmaster_ha.domain.ha import HEALTH_CHECK_PORT, Mode, PreferredHost, Role

ADDRESSES = {Role.MASTER: "10.0.2.4", Role.SLAVE: "10.0.2.5"}


@dataclass(frozen=True)
class Setting:
    """A pair and its balancer. The switches are what Microsoft's pages disagree on."""

    preferred_host: PreferredHost = PreferredHost.MASTER
    probe_interval: float = 5.0
    probe_threshold: int = 2
    heartbeat_interval: float = 0.5
    partner_timeout: float = 3.0
    witness_timeout: float = 1.0
    witness: bool = True
    failback_delay: float = 10.0
    damping_limit: float = 300.0
    drain_time: float = 15.0
    lease: float = 1.5
    refusal_is_answer: bool = True
    """Whether a refused probe counts at once, or as silence."""
    returns_after: int = 1
    """How many 200 bring a member back."""
    clocks: tuple[float, float] = (0.0, 0.0)
    """What the monotonic clocks of master and slave show at the beginning, in seconds."""
    starts: tuple[float, float] = (0.0, 0.0)
    """When the units are started."""
    phases: tuple[float, float] = (0.3, 0.6)
    """When in its interval the balancer probes them, as a part of the interval."""
    # What people can set wrongly. `Role` goes on to name the places of the two units.
    modes: tuple[Mode, Mode] = (Mode.MASTER, Mode.SLAVE)
    check_ports: tuple[int, int] = (HEALTH_CHECK_PORT, HEALTH_CHECK_PORT)
    """The balancer probes the ordinary one."""
    slaves_preference: PreferredHost | None = None
    """If it was told another one than the master."""

    @property
    def equal_modes(self) -> bool:
        """Whether both units were given the same mode."""
        return self.modes[0] is self.modes[1]

    @property
    def equal_ports(self) -> bool:
        """Whether both units answer on the same port."""
        return self.check_ports[0] == self.check_ports[1]

    def configuration(self, role: Role) -> Configuration:
        """A unit's configuration."""
        place = list(Role).index(role)
        other = self.slaves_preference if role is Role.SLAVE else None
        return Configuration(
            mode=self.modes[place],
            preferred_host=other or self.preferred_host,
            check_port=self.check_ports[place],
            partner=ADDRESSES[role.partner],
            probe_interval=self.probe_interval,
            probe_threshold=self.probe_threshold,
            heartbeat_interval=self.heartbeat_interval,
            partner_timeout=self.partner_timeout,
            witness=self.witness,
            witness_timeout=self.witness_timeout,
            failback_delay=self.failback_delay,
            damping_limit=self.damping_limit,
            drain_time=self.drain_time,
            lease=self.lease,
        )


class Trouble(StrEnum):
    """What can happen. A trouble with a duration ends by itself."""

    KILL_NODE = "kill node process"
    KILL_SUPERVISOR = "kill supervisor"
    POWER_OFF = "power off"
    FREEZE_NODE = "freeze node process"
    FREEZE_MACHINE = "freeze machine"
    SUSPEND_MACHINE = "suspend machine with its clock"
    HAPROXY = "HAProxy fails"
    CUT_LINK = "cut link"
    CUT_PAGE = "cut health page between units"
    CUT_UNITS = "cut everything between units"
    CUT_BALANCER = "cut unit from balancer"
    CUT_FRONTEND = "cut unit from frontend"
    ISOLATE = "isolate unit"
    STOP_PROBER = "stop prober"
    SLOW = "slow network"
    LOSSY = "lossy network"
    STOP = "stop cleanly and start again"
    SWITCHOVER = "ask for switch-over"
    UNDO = "undo hold"
    DRAIN = "drain"
    PREFER_MASTER = "set Prefer Master"
    PREFER_NONE = "set No Preferred Host"
    POLL = "people poll the health page"


@dataclass(frozen=True)
class Happening:
    """A trouble, when, where and for how long. `oneway`: only what this unit sends is lost."""

    at: float
    trouble: Trouble
    unit: Role = Role.MASTER
    duration: float = 0.0
    oneway: bool = False

    def __str__(self) -> str:
        way = " (one way)" if self.oneway else ""
        return f"{self.at:7.2f}  {self.trouble.value}{way}, {self.unit}, {self.duration:.2f} s"


@dataclass(frozen=True)
class Schedule:
    """One run: a setting, and what happens in it."""

    seed: int
    setting: Setting
    happenings: tuple[Happening, ...] = field(default=())

    def __str__(self) -> str:
        lines = [f"seed {self.seed}", f"  {self.setting}", *(f"  {item}" for item in self.happenings)]
        return "\n".join(lines)
