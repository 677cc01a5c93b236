"""`loadmaster-agent`: runs the node agent, checks its configuration, and administers a running one.

The flags of `run` and `check` are made from `agent.configuration`; the rest talks to the running agent over
its Unix socket. Exit status 0 done, 2 wrong usage or configuration, 1 anything else (refused, not reachable).
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.agent import local_control
from loadmaster_ha.agent.configuration import (
    OPTIONS,
    Configuration,
    InvalidConfiguration,
    default_of,
    flag_name,
)
from loadmaster_ha.agent.configuration_checks import check
from loadmaster_ha.agent.configuration_sources import load
from loadmaster_ha.cli.agent_output import OUTPUTS

OK, FAILED, MISUSED = 0, 1, 2

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_QUICK: Final = 10.0
_SWITCHOVER_SECONDS: Final = 660.0
"""The node gives every switch-over up before."""

_HAND_OVER_SECONDS: Final = 300.0
"""A node that hands over when it is stopped is given up after this; one that is silent much earlier."""

_ALLOCATOR: Final = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""For glibc: give memory back after a burst of work."""

_SMALLER: Final = ("-X", "no_debug_ranges")
"""For Python: no columns in tracebacks, which code would keep in memory."""


def duration(text: str) -> int:
    """Seconds of `90`, `90s`, `30m`, `2h`, `1d`."""
    match = re.fullmatch(r"(\d{1,6})([smhd]?)", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 30m or 2h")
    return int(match[1]) * _UNITS[match[2]]


class _Version(argparse.Action):
    """As argparse's own, but looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and end."""
        from importlib.metadata import version  # noqa: PLC0415 - takes longer than most commands

        print(f"{parser.prog} {version('loadmaster-ha-operator')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loadmaster-agent", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", help="run the agent", description="Run the node agent.", allow_abbrev=False
    )
    run.add_argument("--check", action="store_true", help="only say what is wrong with the configuration")
    commands.add_parser(
        "check", help="check the configuration, and whether this machine fits it", allow_abbrev=False
    )
    for name in ("run", "check"):
        _add_settings(commands.choices[name])
    status = commands.add_parser("status", help="say who is active, and why")
    switchover = commands.add_parser("switchover", help="make the other unit active, without a gap")
    switchover.add_argument("--to", choices=("master", "slave"), help="whom; default: who is not active")
    switchover.add_argument(
        "--hold",
        type=duration,
        metavar="TIME",
        help="how long the master does not take over again, as 30m; default: until --undo",
    )
    switchover.add_argument("--undo", action="store_true", help="end the hold of an earlier switch-over")
    drain = commands.add_parser("drain", help="hand over, and take no new connections")
    drain.add_argument(
        "--for", dest="seconds", type=duration, metavar="TIME", help="as 10m; default: until undrain"
    )
    undrain = commands.add_parser("undrain", help="end a drain")
    fingerprint = commands.add_parser("fingerprint", help="print the fingerprints of the certificates")
    for each in (status, switchover, drain, undrain, fingerprint):
        _add_socket(each)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML")
    for name, option in OPTIONS.items():
        default = default_of(name)
        shown = "" if default in {None, "", ()} else f" (default: {default})"
        parser.add_argument(
            flag_name(option),
            dest=name,
            choices=option.choices or None,
            metavar=option.metavar or None,
            help=f"{option.help}{shown}".replace("%", "%%"),
        )


def _add_socket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the running agent's settings")
    parser.add_argument("--run-directory", metavar="FOLDER", help="where the running agent's socket is")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    given = _parser().parse_args(arguments)
    try:
        if given.command in {"run", "check"}:
            return _run(given)
        return _administer(given)
    except InvalidConfiguration as problem:
        for line in str(problem).splitlines():
            print(f"loadmaster-agent: {line}", file=sys.stderr)
        return MISUSED
    except (local_control.NotReachable, local_control.ControlRefused) as problem:
        print(f"loadmaster-agent: {problem}", file=sys.stderr)
        return FAILED


def _run(given: argparse.Namespace) -> int:
    flags = {name: getattr(given, name) for name in OPTIONS}
    configuration = load(given.config, flags, os.environ)
    check(configuration)
    if given.command == "check" or given.check:
        return _check_machine(configuration)
    _become_supervisor(configuration)
    return FAILED  # never reached: execve does not return


def _check_machine(configuration: Configuration) -> int:
    """Look at what depends on this machine, too, and change nothing."""
    # The data plane's libraries are only wanted here: not for `status`.
    from loadmaster_ha.agent.process.machine_check import findings, remarks  # noqa: PLC0415

    found = findings(configuration)
    for line in found:
        print(f"loadmaster-agent: {line}", file=sys.stderr)
    if not found:
        print("The configuration is good.")
        for line in remarks(configuration):
            print(f"Note: {line}.")
    return MISUSED if found else OK


def plan_of(configuration: Configuration) -> dict[str, Any]:
    """What the supervisor needs of the configuration."""
    return {
        "node": [sys.executable, "-P", *_SMALLER, "-m", "loadmaster_ha.agent.process.node"],
        "configuration": configuration.to_json(),
        "drain_seconds": configuration.drain_time,
        "hand_over_seconds": _HAND_OVER_SECONDS,
        "finish_seconds": configuration.finish_time,
        "log_format": configuration.log_format,
        "log_level": configuration.log_level,
    }


def _become_supervisor(configuration: Configuration) -> None:
    plan = os.memfd_create("plan")
    os.write(plan, json.dumps(plan_of(configuration)).encode())
    os.lseek(plan, 0, os.SEEK_SET)
    os.set_inheritable(plan, True)
    sys.stdout.flush()
    command = [sys.executable, "-P", *_SMALLER, "-m", "loadmaster_ha.agent.process.supervisor", str(plan)]
    os.execve(sys.executable, command, {**os.environ, **_ALLOCATOR})  # noqa: S606 - ourselves


def _administer(given: argparse.Namespace) -> int:
    configuration = load(given.config, {"run_directory": given.run_directory}, os.environ)
    arguments: dict[str, Any] = {}
    limit = _QUICK
    if given.command == "switchover":
        arguments = {"to": given.to, "hold": given.hold, "undo": given.undo or None}
        limit = _SWITCHOVER_SECONDS
    elif given.command == "drain":
        arguments = {"seconds": given.seconds}
    answer = local_control.ask(configuration.control_socket, given.command, limit=limit, **arguments)
    show: Callable[[Mapping[str, Any]], str] = OUTPUTS[given.command]
    print(json.dumps(answer, indent=2) if given.output == "json" else show(answer))
    return OK


if __name__ == "__main__":
    sys.exit(main())
