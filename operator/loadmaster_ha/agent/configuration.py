"""How a node agent is configured: one table of settings, each in the file, as a flag and in the environment.

The file is YAML, nested as the paths say (`partner.address`); the flag is `--partner-address`, the variable
`LOADMASTER_AGENT_PARTNER_ADDRESS`. The flag wins over the environment, that over the file. Those marked as
seeds may also be set over the management API, which the store remembers; see `process.seeding` for who wins.
`cli.agent` makes its command line of the table, docs/reference/agent-configuration.md is generated from it.
`configuration_sources` reads them, `configuration_checks` knows how they depend on one another.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.domain.ha import AGENT_METRICS_PORT, MANAGEMENT_PORT, SYNCHRONISATION_PORT

LEASE_SECONDS: Final = 1.5
"""How long the health port repeats an answer that the node process does not renew; below 2 s by promise."""


class InvalidConfiguration(Exception):  # noqa: N818 - reads as what is the case
    """Something cannot be used; the message names it, says what is wrong with it, and what to give."""


@dataclass(frozen=True, slots=True)
class Option:
    """How one setting is given."""

    path: str
    parse: Callable[[Any], Any]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    seed: bool = False
    """It may also be set over the management API, and has no default here."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text is wanted")
    return value.strip()


def _path(value: Any) -> str:
    text = _text(value)
    if not Path(text).is_absolute():
        raise ValueError("an absolute path is wanted, one that begins with /")
    return text


def _address(value: Any) -> str:
    try:
        return str(ip_address(_text(value)))
    except ValueError:
        raise ValueError("an IP address is wanted; names are not looked up") from None


def _number(value: Any) -> float:
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number < 1e6:
        raise ValueError("a number of seconds is wanted, such as 2.5")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}", str(value)):
        raise ValueError("a whole number is wanted")
    return int(value)


def _port(value: Any) -> int:
    port = _whole(value)
    if not 0 < port < 65536:
        raise ValueError("a port is wanted, 1 to 65535")
    return port


def _flag(value: Any) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    found = known.get(str(value).lower())
    if found is None:
        raise ValueError("true or false is wanted")
    return found


def _interfaces(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError("a list of devices (ens3) or addresses (10.0.2.4/24) is wanted")
    found = tuple(part.strip() for part in parts if part.strip())
    for part in found:
        if part[0].isdigit() or ":" in part:
            ip_interface(part)
    if len(set(found)) < len(found):
        raise ValueError("an interface is in it twice")
    return found


def _setting(default: Any, path: str, parse: Callable[[Any], Any], text: str, **more: Any) -> Any:
    return field(default=default, metadata={"option": Option(path, parse, text, **more)})


def _seed(path: str, parse: Callable[[Any], Any], text: str, **more: Any) -> Any:
    return _setting(None, path, parse, text, seed=True, **more)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that can be set. None: not said."""

    mode: str | None = _seed(
        "mode",
        _text,
        "What this unit is: half of a pair, or Single. A change takes effect at the next boot",
        choices=("Single", "Master", "Slave"),
    )
    preferred_host: str | None = _seed(
        "preferredHost",
        _text,
        "Who is active when both could be: Master takes over again when it is back; None leaves things as "
        "they are",
        choices=("Master", "None"),
    )
    interfaces: tuple[str, ...] = _setting(
        (),
        "interfaces",
        _interfaces,
        "The unit's interfaces, eth0 first: devices, or addresses with their prefix. Default: those of the "
        "system, the one with the default route first",
        metavar="LIST",
    )
    partner_address: str | None = _seed(
        "partner.address", _address, "The other unit's address", metavar="ADDRESS"
    )
    partner_secret_file: str | None = _seed(
        "partner.secretFile",
        _path,
        "File with the Partner Shared Secret, 8 to 127 characters, the same on both units",
        metavar="FILE",
    )
    partner_port: int = _setting(
        SYNCHRONISATION_PORT, "partner.port", _port, "Port of the partner link, on both units", metavar="PORT"
    )
    partner_timeout: float = _setting(
        3.0,
        "partner.timeoutSeconds",
        _number,
        "Silence of the partner, on link and health port both, after which it counts as silent",
        metavar="SECONDS",
    )
    heartbeat_interval: float = _setting(
        0.5, "partner.heartbeatSeconds", _number, "Time between two heartbeats", metavar="SECONDS"
    )
    check_port: int | None = _seed(
        "healthCheck.port",
        _port,
        "Where the balancer probes; the same on both units. 8444 if nobody sets it",
        metavar="PORT",
    )
    all_interfaces: bool | None = _seed(
        "healthCheck.allInterfaces",
        _flag,
        "Answer on all interfaces, not on the first only (multi-arm)",
        metavar="BOOLEAN",
    )
    frontend: str | None = _seed(
        "balancer.frontend",
        _address,
        "The load balancer's address: the witness that is asked before taking over from a silent partner",
        metavar="ADDRESS",
    )
    probe_source: str | None = _seed(
        "balancer.probeSource",
        _address,
        "Where the balancer's probes come from. 168.63.129.16 if nobody sets it",
        metavar="ADDRESS",
    )
    probe_interval: int | None = _seed(
        "balancer.probeIntervalSeconds",
        _whole,
        "The probe's interval. 5 if nobody sets it",
        metavar="SECONDS",
    )
    probe_threshold: int | None = _seed(
        "balancer.probeThreshold", _whole, "The probe's threshold. 2 if nobody sets it", metavar="N"
    )
    witness_timeout: float = _setting(
        1.0,
        "failover.witnessTimeoutSeconds",
        _number,
        "How long the witness is waited for",
        metavar="SECONDS",
    )
    failback_delay: float = _setting(
        10.0,
        "failover.failbackDelaySeconds",
        _number,
        "How long the master has to be well before it takes over again",
        metavar="SECONDS",
    )
    damping_limit: float = _setting(
        300.0,
        "failover.dampingLimitSeconds",
        _number,
        "What that delay grows to at most when the pair flaps",
        metavar="SECONDS",
    )
    drain_time: float = _setting(
        15.0,
        "failover.drainSeconds",
        _number,
        "How long a stopping unit goes on answering 503, so that the balancer sees it",
        metavar="SECONDS",
    )
    finish_time: float = _setting(
        30.0,
        "failover.finishSeconds",
        _number,
        "How long HAProxy may then take to finish its connections",
        metavar="SECONDS",
    )
    management_address: str | None = _setting(
        None,
        "management.address",
        _address,
        "Where the management API listens. Default: the first interface's address",
        metavar="ADDRESS",
    )
    management_port: int = _setting(
        MANAGEMENT_PORT, "management.port", _port, "Port of the management API (HTTPS)", metavar="PORT"
    )
    initial_password_file: str | None = _setting(
        None,
        "management.initialPasswordFile",
        _path,
        "File with the password that user bal gets at the first start. Default: one is made up and written "
        "to STATE/initial-password",
        metavar="FILE",
    )
    metrics_address: str | None = _setting(
        None,
        "metrics.address",
        _address,
        "Where /metrics is served. Default: the first interface's address",
        metavar="ADDRESS",
    )
    metrics_port: int = _setting(
        AGENT_METRICS_PORT, "metrics.port", _port, "Port of /metrics", metavar="PORT"
    )
    haproxy_mode: str = _setting(
        "Managed",
        "haproxy.mode",
        _text,
        "Managed: the agent starts HAProxy; External: it runs beside the agent, with a master socket",
        choices=("Managed", "External"),
    )
    haproxy_binary: str = _setting(
        "haproxy",
        "haproxy.binary",
        _text,
        "HAProxy's program: checks configurations and, when managed, runs; of the running one's version",
        metavar="FILE",
    )
    haproxy_directory: str | None = _setting(
        None,
        "haproxy.directory",
        _path,
        "Folder of HAProxy's configuration. Default: STATE/haproxy",
        metavar="FOLDER",
    )
    haproxy_sockets: str | None = _setting(
        None,
        "haproxy.socketDirectory",
        _path,
        "Folder of HAProxy's sockets; at most 70 bytes long. Default: RUN/haproxy",
        metavar="FOLDER",
    )
    haproxy_master_socket: str | None = _setting(
        None,
        "haproxy.masterSocket",
        _path,
        "HAProxy's master socket. Default: master.sock beside the others",
        metavar="FILE",
    )
    haproxy_user: str = _setting(
        "",
        "haproxy.user",
        _text,
        "Whom HAProxy's worker becomes when it is started by root. Default: it stays root",
        metavar="NAME",
    )
    haproxy_threads: int = _setting(
        0, "haproxy.threads", _whole, "HAProxy's threads; 0: one for each processor", metavar="N"
    )
    haproxy_hard_stop_after: int = _setting(
        1800,
        "haproxy.hardStopAfterSeconds",
        _whole,
        "How long a worker that a reload replaced may go on with the connections it has",
        metavar="SECONDS",
    )
    state_directory: str = _setting(
        "/var/lib/loadmaster-agent",
        "stateDirectory",
        _path,
        "Folder of what has to outlive a restart: settings, keys and certificates (STATE)",
        metavar="FOLDER",
    )
    run_directory: str = _setting(
        "/run/loadmaster-agent",
        "runDirectory",
        _path,
        "Folder of sockets (RUN); the local administration's is agent.sock in it",
        metavar="FOLDER",
    )
    log_format: str = _setting(
        "json", "log.format", _text, "json: one object a line; text: for people", choices=("json", "text")
    )
    log_level: str = _setting(
        "info",
        "log.level",
        _text,
        "What is logged, from most to least",
        choices=("debug", "info", "warning", "error"),
    )

    @property
    def control_socket(self) -> Path:
        """Where the local administration is answered."""
        return Path(self.run_directory) / "agent.sock"

    @property
    def store(self) -> Path:
        """The settings' file."""
        return Path(self.state_directory) / "settings.db"

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, by field name."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Configuration":
        """What `to_json` made, also after JSON turned tuples into lists."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**given)


OPTIONS: Final = {each.name: each.metadata["option"] for each in fields(Configuration)}
"""All settings by field name, in order."""


def flag_name(option: Option) -> str:
    """`partner.secretFile` is given as `--partner-secret-file`."""
    return "--" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", option.path).replace(".", "-").lower()


def environment_name(option: Option) -> str:
    """`partner.secretFile` is given as `LOADMASTER_AGENT_PARTNER_SECRET_FILE`."""
    return "LOADMASTER_AGENT_" + flag_name(option)[2:].replace("-", "_").upper()


def default_of(name: str) -> Any:
    """The default of a setting; None where it has none."""
    return Configuration.__dataclass_fields__[name].default
