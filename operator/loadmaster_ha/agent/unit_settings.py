"""The local settings that make a unit what it is, typed: HA (guide, 7) and what our agent knows beyond it.

Stored as the one entity of kinds `ha` and `agent`. The management API writes them, the node process reads
them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from loadmaster_ha.agent.settings.model import Fields, Kind, Put
from loadmaster_ha.domain.ha import HEALTH_CHECK_PORT, PROBE_SOURCE, Mode, PreferredHost

HA_KEY: Final = "ha"
AGENT_KEY: Final = "agent"
SECRET_KEY: Final = "partner"  # noqa: S105 - a key of the store
"""Of kind `secret`, field `value`: the Partner Shared Secret."""


class _Snapshot(Protocol):
    def get(self, kind: Kind, key: str) -> Fields | None: ...


@dataclass(frozen=True, slots=True)
class HaSettings:
    """Stored by these names, with the values of the enumerations; a field that is missing has its default."""

    mode: Mode = Mode.SINGLE
    """As configured; it takes effect at the next reboot (guide, 7 step 9)."""
    partner: str | None = None
    check_port: int | None = None
    """None: never set; the engine then uses the default (`port`)."""
    preferred_host: PreferredHost = PreferredHost.MASTER
    all_interfaces: bool | None = None
    """None: never set, which means no."""

    @property
    def port(self) -> int:
        """The health check port in force."""
        return self.check_port or HEALTH_CHECK_PORT

    @classmethod
    def of(cls, snapshot: _Snapshot) -> Self:
        """As stored."""
        return cls(**_typed(snapshot.get(Kind.HA, HA_KEY), {"mode": Mode, "preferred_host": PreferredHost}))

    @staticmethod
    def put(fields: Fields) -> Put:
        """The change that stores some of the fields."""
        return Put(Kind.HA, HA_KEY, fields)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the API of an appliance has no word for; set by `agentsetparams`."""

    frontend: str | None = None
    """The load balancer's address, for the witness."""
    probe_source: str = PROBE_SOURCE
    probe_interval: int = 5
    """Seconds."""
    probe_threshold: int = 2

    @classmethod
    def of(cls, snapshot: _Snapshot) -> Self:
        """As stored."""
        return cls(**_typed(snapshot.get(Kind.AGENT, AGENT_KEY), {}))

    @staticmethod
    def put(fields: Fields) -> Put:
        """The change that stores some of the fields."""
        return Put(Kind.AGENT, AGENT_KEY, fields)


def partner_secret(snapshot: _Snapshot) -> str | None:
    """The Partner Shared Secret; None while it is not set."""
    fields = snapshot.get(Kind.SECRET, SECRET_KEY)
    value = None if fields is None else fields.get("value")
    return value if isinstance(value, str) and value else None


def _typed(fields: Fields | None, types: Mapping[str, type]) -> dict[str, Any]:
    present = {name: value for name, value in (fields or {}).items() if value is not None}
    return {name: types[name](value) if name in types else value for name, value in present.items()}
