"""How the operator process is configured: one table of flags, environment variables and defaults.

`cli.operator` makes its command line of it, docs/reference/configuration.md is generated from it. Every
flag is also an environment variable (`--azure-cloud` is `LOADMASTER_AZURE_CLOUD`); the flag wins.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.domain.ha import PROBE_SOURCE
from loadmaster_ha.planning.units.observation import LONGEST_REBOOT_SECONDS

RESYNC_FLOOR: Final = 30

SHORTEST_REBOOT: Final = 10
"""Seconds; below it each reboot would be overdue."""

CLOUDS: Final = ("Public", "China", "USGovernment", "Custom")


class InvalidSettings(Exception):  # noqa: N818 - reads as what is the case
    """A flag or environment variable cannot be used; the message names it and says what to give instead."""


@dataclass(frozen=True, slots=True)
class Flag:
    """How one setting is given."""

    parse: Callable[[str], Any]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeatable: bool = False


def _flag(default: Any, parse: Callable[[str], Any], text: str, **more: Any) -> Any:
    return field(default=default, metadata={"flag": Flag(parse, text, **more)})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    kubeconfig: str | None = _flag(
        None,
        str,
        "File with the cluster's address and credentials. Default: the pod's service account, else "
        "KUBECONFIG or "
        "~/.kube/config",
        metavar="FILE",
    )
    context: str | None = _flag(
        None, str, "Context of the kubeconfig to use; default: its current one", metavar="NAME"
    )
    namespace: tuple[str, ...] = _flag(
        (),
        str,
        "Namespace to serve; repeatable (comma separated in the environment). Default: all",
        metavar="NAME",
        repeatable=True,
    )
    lease_namespace: str | None = _flag(
        None,
        str,
        "Namespace of the Lease by which replicas elect their leader. Default: the pod's own, or default",
        metavar="NAME",
    )
    lease_name: str = _flag("loadmaster-operator", str, "Name of that Lease", metavar="NAME")
    lease_duration_seconds: int = _flag(
        15, int, "How long a Lease holds that is not renewed; others take over after it", metavar="SECONDS"
    )
    lease_renew_deadline_seconds: float = _flag(
        10.0, float, "A leader that could not renew for so long stops writing and ends", metavar="SECONDS"
    )
    lease_retry_seconds: float = _flag(
        2.0, float, "Time between two attempts to take or renew", metavar="SECONDS"
    )
    resync_seconds: float = _flag(
        300.0,
        float,
        f"How often a pair is looked at without cause, spread by a tenth; at least {RESYNC_FLOOR}",
        metavar="SECONDS",
    )
    concurrency: int = _flag(8, int, "How many pairs are worked on at the same time", metavar="N")
    reboot_timeout_seconds: float = _flag(
        LONGEST_REBOOT_SECONDS,
        float,
        "How long a unit that was told to reboot may stay away before a person is asked to look at it; at "
        f"least {SHORTEST_REBOOT}",
        metavar="SECONDS",
    )
    azure_cloud: str = _flag(
        "Public",
        str,
        "Which Azure; Custom takes the two endpoints below (Azure Stack Hub, the emulator)",
        choices=CLOUDS,
    )
    azure_resource_manager_url: str | None = _flag(
        None, str, "Resource Manager endpoint of a Custom cloud", metavar="URL"
    )
    azure_authority_url: str | None = _flag(
        None, str, "Sign-in endpoint of a Custom cloud; default: the Resource Manager endpoint", metavar="URL"
    )
    azure_audience: str | None = _flag(
        None,
        str,
        "For whom tokens of a Custom cloud are issued; default: the Resource Manager endpoint",
        metavar="URL",
    )
    azure_ca_file: Path | None = _flag(  # noqa: RUF009 - as all others; Path alone makes ruff doubt it
        None, Path, "Certificates (PEM) to trust for a Custom cloud instead of the system's", metavar="FILE"
    )
    azure_probe_source: str = _flag(
        PROBE_SOURCE,
        str,
        "Where the health probes of a Custom cloud's balancers come from; node agents are told",
        metavar="ADDRESS",
    )
    metrics_listen: str = _flag(
        "0.0.0.0:9090", str, "Where /metrics is served; port 0 takes a free one", metavar="HOST:PORT"
    )
    health_listen: str = _flag(
        "0.0.0.0:8081",
        str,
        "Where /healthz and /readyz are served; port 0 takes a free one",
        metavar="HOST:PORT",
    )
    grace_seconds: float = _flag(
        20.0,
        float,
        "How long a write under way may take to finish after SIGTERM; keep it below "
        "terminationGracePeriodSeconds",
        metavar="SECONDS",
    )
    log_format: str = _flag(
        "json", str, "json: one object a line; text: for people", choices=("json", "text")
    )
    log_level: str = _flag(
        "info", str, "What is logged, from most to least", choices=("debug", "info", "warning", "error")
    )

    def __post_init__(self) -> None:
        if self.resync_seconds < RESYNC_FLOOR:
            raise InvalidSettings(
                f"--resync-seconds is {self.resync_seconds:g}, but must be at least {RESYNC_FLOOR}: "
                "Azure's request limits are shared by all pairs of a subscription"
            )
        if not 1 <= self.concurrency <= 64:
            raise InvalidSettings(f"--concurrency is {self.concurrency}, but must be 1 to 64")
        if (
            not self.lease_retry_seconds * 1.2
            < self.lease_renew_deadline_seconds
            < self.lease_duration_seconds
        ):
            raise InvalidSettings(
                "--lease-retry-seconds (with a fifth of spread) must be below "
                "--lease-renew-deadline-seconds, and that below --lease-duration-seconds: else two replicas "
                "could write at the same time"
            )
        if not self.reboot_timeout_seconds >= SHORTEST_REBOOT:  # NaN is not either
            raise InvalidSettings(
                f"--reboot-timeout-seconds is {self.reboot_timeout_seconds:g}, but must be at least "
                f"{SHORTEST_REBOOT}: a node agent needs some seconds, an appliance about five minutes"
            )
        if self.grace_seconds < 0:
            raise InvalidSettings(f"--grace-seconds is {self.grace_seconds:g}, but cannot be negative")
        self._check_cloud()

    def _check_cloud(self) -> None:
        try:
            ip_address(self.azure_probe_source)
        except ValueError:
            raise InvalidSettings(
                f"--azure-probe-source is {self.azure_probe_source!r}, which is no IP address"
            ) from None
        given = {
            "--azure-resource-manager-url": self.azure_resource_manager_url,
            "--azure-authority-url": self.azure_authority_url,
            "--azure-audience": self.azure_audience,
            "--azure-ca-file": self.azure_ca_file,
            "--azure-probe-source": self.azure_probe_source != PROBE_SOURCE,
        }
        if self.azure_cloud == "Custom":
            if not self.azure_resource_manager_url:
                raise InvalidSettings("--azure-cloud Custom needs --azure-resource-manager-url")
        elif extra := [flag for flag, value in given.items() if value]:
            raise InvalidSettings(
                f"{', '.join(extra)} only goes with --azure-cloud Custom, but it is {self.azure_cloud}"
            )


def flags() -> list[tuple["Field[Any]", Flag]]:
    """All settings with their flags, in order."""
    return [(each, each.metadata["flag"]) for each in fields(Settings)]


def flag_name(name: str) -> str:
    """`azure_cloud` is given as `--azure-cloud`."""
    return f"--{name.replace('_', '-')}"


def environment_name(name: str) -> str:
    """`azure_cloud` is given as `LOADMASTER_AZURE_CLOUD`."""
    return f"LOADMASTER_{name.upper()}"


def build(given: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Settings of flags (parsed, by field name; None where not given) and environment.

    Raises:
        InvalidSettings: a value is not usable.
    """
    values: dict[str, Any] = {}
    for each, flag in flags():
        value = given.get(each.name)
        if value is None and (text := environment.get(environment_name(each.name))):
            value = _from_environment(each.name, flag, text)
        if value is not None:
            values[each.name] = tuple(value) if flag.repeatable else value
    return Settings(**values)


def _from_environment(name: str, flag: Flag, text: str) -> Any:
    if flag.choices and text not in flag.choices:
        raise InvalidSettings(
            f"{environment_name(name)} is {text!r}, but must be one of {', '.join(flag.choices)}"
        )
    try:
        if flag.repeatable:
            return tuple(flag.parse(part.strip()) for part in text.split(",") if part.strip())
        return flag.parse(text)
    except ValueError as problem:
        raise InvalidSettings(
            f"{environment_name(name)} is {text!r}, which is not valid: {problem}"
        ) from problem


def default_of(each: "Field[Any]") -> Any:
    """The default of a setting; None where there is none."""
    return None if each.default is MISSING else each.default


def reference() -> str:
    """The reference page of all settings, in Markdown."""
    lines = [
        "# Configuration of the operator",
        "",
        "<!-- Generated from operator/loadmaster_ha/controller/settings.py by",
        "     `python -m loadmaster_ha.cli.reference`; do not edit. -->",
        "",
        "`loadmaster-operator run` takes these flags. Each is also an environment variable; the flag wins.",
        "SIGHUP has the replica that leads look at all pairs again, now.",
        "Exit status: 0 after SIGTERM or SIGINT, 2 for a wrong flag or configuration, 1 for anything else",
        "(among them: another replica has taken over the Lease).",
        "",
        "| Flag | Environment | Default | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for each, flag in flags():
        default = default_of(each)
        shown = (
            ""
            if default in {None, ()}
            else f"`{default:g}`"
            if isinstance(default, float)
            else f"`{default}`"
        )
        values = f" One of {', '.join(f'`{choice}`' for choice in flag.choices)}." if flag.choices else ""
        lines.append(
            f"| `{flag_name(each.name)}` | `{environment_name(each.name)}` | {shown} | "
            f"{flag.help.rstrip('.')}.{values} |"
        )
    return "\n".join([*lines, ""])
