"""What the data plane is told to serve: plain data, sent as JSON from the emulator's process to the child.

`topology` makes it from the stored resources. It is complete each time: what a configuration does not name
is no longer served (flows that exist go on).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Interval: TypeAlias = tuple[int, int]
"""First and last of a range of ports or of IPv4 addresses as numbers, both included."""

Protocol = Literal["tcp", "udp"]
Distribution = Literal["Default", "SourceIP", "SourceIPProtocol"]
AdminState = Literal["None", "Up", "Down"]


@dataclass(frozen=True, slots=True)
class SecurityRule:
    """One inbound rule of a security group, as it concerns one member: its destination is already matched."""

    allow: bool
    protocol: str
    """`*`, `tcp`, `udp` or one that no flow here has."""
    sources: tuple[Interval, ...]
    source_ports: tuple[Interval, ...]
    ports: tuple[Interval, ...]
    probes: bool
    """Whether Azure's probes are among the sources (by `*`, by their tag, or by 168.63.129.16)."""


@dataclass(frozen=True, slots=True)
class Member:
    """An ipConfiguration (or an address of a pool by address) that traffic can be delivered to."""

    id: str
    address: str
    running: bool
    """Whether its machine runs. A stopped one is silent and is not probed."""
    groups: tuple[tuple[SecurityRule, ...], ...] = ()
    """The rules of the subnet's group and of the interface's, in the order in which they are asked.

    Each must allow a flow.
    """


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe of a balancer."""

    id: str
    protocol: str
    """`http`, `https` or `tcp`."""
    port: int
    path: str
    interval: float
    """Seconds, as Azure was told."""
    threshold: int
    all_probed_up: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A member of a rule with its admin state in the rule's pool."""

    member: str
    admin: AdminState = "None"


@dataclass(frozen=True, slots=True)
class Rule:
    """A balancing rule or an inbound NAT rule (one of its ports), on one frontend address."""

    id: str
    balancer: str
    protocol: Protocol
    address: str
    port: int
    backend_port: int
    targets: tuple[Target, ...]
    probe: str = ""
    """The probe's id; empty: members are up whatever they answer."""
    nat: bool = False
    public: bool = False
    distribution: Distribution = "Default"
    idle_seconds: float = 240.0
    reset_when_idle: bool = False
    every_port: bool = False
    """An HA-ports rule: `port` and `backend_port` are 0 and each port is delivered to itself (TCP only)."""
    open_without_group: bool = True
    """Whether a member without any security group takes the flow: not from a public Standard frontend."""
    unserved: str = ""
    """Why the emulator does not serve this rule, in words; empty when it does."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that is to be served."""

    members: Mapping[str, Member] = field(default_factory=dict)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "members": [asdict(item) for item in self.members.values()],
            "probes": [asdict(item) for item in self.probes.values()],
            "rules": [asdict(item) for item in self.rules.values()],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Configuration:
        """Read what `to_json` wrote."""
        members = [_member(item) for item in body["members"]]
        probes = [Probe(**item) for item in body["probes"]]
        rules = [_rule(item) for item in body["rules"]]
        return cls(
            {item.id: item for item in members},
            {item.id: item for item in probes},
            {item.id: item for item in rules},
        )


@dataclass(frozen=True, slots=True)
class Options:
    """How the data plane works, fixed at its start."""

    probe_source: str = "168.63.129.16"
    probe_interval: float | None = None
    """Seconds between probes instead of each probe's own interval: for tests only."""
    idle_timeout: float | None = None
    """Seconds instead of each rule's own idle timeout: for tests only."""
    transparent: bool = False
    """Whether addresses that are not on this host may be used (`IP_TRANSPARENT`)."""
    reset_is_answer: bool = True
    one_answer_suffices: bool = True
    fluctuating_members_wait: bool = False
    probe_rules_act_late: bool = False


def _member(body: Mapping[str, Any]) -> Member:
    groups = tuple(tuple(_security_rule(rule) for rule in group) for group in body["groups"])
    return Member(body["id"], body["address"], body["running"], groups)


def _security_rule(body: Mapping[str, Any]) -> SecurityRule:
    return SecurityRule(
        allow=body["allow"],
        protocol=body["protocol"],
        sources=_intervals(body["sources"]),
        source_ports=_intervals(body["source_ports"]),
        ports=_intervals(body["ports"]),
        probes=body["probes"],
    )


def _intervals(pairs: list[list[int]]) -> tuple[Interval, ...]:
    return tuple((first, last) for first, last in pairs)


def _rule(body: Mapping[str, Any]) -> Rule:
    return Rule(**{**body, "targets": tuple(Target(**item) for item in body["targets"])})
