"""`loadmaster-emulator serve`: Azure, emulated, on one TLS port.

Every flag is also an environment variable (`LOADMASTER_EMULATOR_` and the flag's name). Exit codes: 0 clean,
2 usage or bad configuration, 1 else.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import logging
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadmaster_ha.emulator.dataplane.plane import DataPlaneError
from loadmaster_ha.emulator.server import Emulator
from loadmaster_ha.emulator.settings import (
    DEFAULT_SUBSCRIPTION,
    DISPUTED_NAMES,
    LOOPBACK_PROBE_SOURCE,
    PROBE_SOURCE,
    Disputed,
    Settings,
)
from loadmaster_ha.emulator.store import StateDirectoryInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PREFIX = "LOADMASTER_EMULATOR_"
_ONLY_WITH_DATA_PLANE = ("probe_source", "probe_interval", "idle_timeout", "transparent")
_SUBSCRIPTION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser(os.environ)
    options = parser.parse_args(arguments)
    for name in _ONLY_WITH_DATA_PLANE:
        if getattr(options, name) and not options.data_plane:
            parser.error(f"--{name.replace('_', '-')} needs --data-plane")
    _set_up_logging(options.log_format, options.log_level)
    settings = _settings(options)
    try:
        asyncio.run(_serve(settings))
    except StateDirectoryInUseError as error:
        print(f"loadmaster-emulator: {error}", file=sys.stderr)
        return 2
    except DataPlaneError as error:
        print(f"loadmaster-emulator: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"loadmaster-emulator: cannot serve on {options.listen[0]}:{options.listen[1]}: {error}",
            file=sys.stderr,
        )
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Emulator(settings) as emulator:
        print(f"ready {emulator.url} ca={emulator.state_dir / 'ca.pem'}", flush=True)
        await stop.wait()


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="loadmaster-emulator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve ARM, sign-in and cloud metadata", description=__doc__)

    def flag(name: str, **options: Any) -> None:
        variable = _PREFIX + name.removeprefix("--").replace("-", "_").upper()
        if variable in environment:
            value = environment[variable]
            convert = options.get("type", str)
            # argparse converts a default that is text, but not the items of a list, nor a switch.
            match options.get("action"):
                case "append":
                    options["default"] = [
                        _convert(serve, convert, item, variable) for item in value.split(",")
                    ]
                case "store_true":
                    options["default"] = _convert(serve, _switch, value, variable)
                case _:
                    options["default"] = value
        options["help"] = f"{options['help']} ({variable})"
        serve.add_argument(name, **options)

    flag(
        "--listen",
        metavar="HOST:PORT",
        type=_address,
        default=("127.0.0.1", 8453),
        help="port 0 picks a free one",
    )
    flag(
        "--state-dir",
        metavar="DIR",
        type=Path,
        help="keep state and CA here; without it both end with the process",
    )
    flag(
        "--subscription",
        metavar="ID",
        type=_subscription,
        action="append",
        help="a subscription that exists; repeatable",
    )
    flag(
        "--latency",
        metavar="SECONDS",
        type=_seconds,
        default=0.0,
        help="how long long-running operations take",
    )
    flag(
        "--latency-for",
        metavar="TYPE=SECONDS",
        type=_latency,
        action="append",
        help="the same for one resource type; repeatable",
    )
    flag("--retry-after", metavar="SECONDS", type=_whole, help="send Retry-After while operations run")
    flag("--page-size", metavar="N", type=_positive, default=1000, help="entries per page of a list")
    flag(
        "--throttle",
        metavar="FACTOR",
        type=_seconds,
        default=0.0,
        help="scale of Azure's request budgets; 1 is Azure's, 0 is off",
    )
    flag(
        "--traffic-log",
        metavar="FILE",
        type=Path,
        help="append every ARM request and its answer, without tokens, one JSON object a line",
    )
    flag(
        "--disputed",
        metavar="NAME=BOOL",
        type=_disputed,
        action="append",
        help=f"flip a point on which Azure's pages disagree: {', '.join(DISPUTED_NAMES)}",
    )
    _add_data_plane_flags(flag)
    flag("--log-format", choices=("json", "text"), default="json", help="on stderr")
    flag(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="debug shows every request",
    )
    return parser


def _add_data_plane_flags(flag: Callable[..., None]) -> None:
    flag(
        "--data-plane",
        action="store_true",
        help="probe members and forward traffic for real",
    )
    flag(
        "--allow-loopback-networks",
        action="store_true",
        help="allow virtual networks in 127.0.0.0/8, and give public addresses from there",
    )
    flag(
        "--probe-source",
        metavar="ADDRESS",
        type=_ipv4,
        help=f"where probes come from; {PROBE_SOURCE}, or {LOOPBACK_PROBE_SOURCE} with loopback networks",
    )
    flag(
        "--probe-interval",
        metavar="SECONDS",
        type=_duration,
        help="probe in this interval whatever the balancer says; for tests",
    )
    flag(
        "--idle-timeout",
        metavar="SECONDS",
        type=_duration,
        help="end idle flows after this time whatever the rule says; for tests",
    )
    flag(
        "--transparent",
        action="store_true",
        help="use addresses that are not on this host; for network namespaces, needs CAP_NET_ADMIN",
    )


def _settings(options: argparse.Namespace) -> Settings:
    host, port = options.listen
    return Settings(
        host=host,
        port=port,
        state_dir=options.state_dir,
        subscriptions=tuple(options.subscription or (DEFAULT_SUBSCRIPTION,)),
        latency=options.latency,
        latency_by_type=dict(options.latency_for or ()),
        retry_after=options.retry_after,
        page_size=options.page_size,
        traffic_log=options.traffic_log,
        throttle=options.throttle,
        disputed=Disputed(**dict(options.disputed or ())),
        data_plane=options.data_plane,
        allow_loopback_networks=options.allow_loopback_networks,
        probe_source=options.probe_source or _usual_probe_source(options),
        probe_interval=options.probe_interval,
        idle_timeout=options.idle_timeout,
        transparent=options.transparent,
    )


def _usual_probe_source(options: argparse.Namespace) -> str:
    return LOOPBACK_PROBE_SOURCE if options.allow_loopback_networks else PROBE_SOURCE


def _convert(parser: argparse.ArgumentParser, convert: Any, text: str, variable: str) -> Any:
    try:
        return convert(text)
    except (argparse.ArgumentTypeError, ValueError) as error:
        parser.error(f"{variable}: {error}")


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _subscription(text: str) -> str:
    if not _SUBSCRIPTION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a subscription id (a GUID)")
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 upwards")
    return value


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() in ("true", "1")


def _duration(text: str) -> float:
    value = _seconds(text)
    if value < 0.01:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.01 upwards")
    return value


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IPv4 address") from None


def _whole(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 upwards")
    return int(text)


def _latency(text: str) -> tuple[str, float]:
    kind, equals, seconds = text.partition("=")
    if not equals or "/" not in kind:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not TYPE=SECONDS, for example Microsoft.Network/loadBalancers=3"
        )
    return kind.lower(), _seconds(seconds)


def _disputed(text: str) -> tuple[str, bool]:
    name, _, value = text.partition("=")
    if name not in DISPUTED_NAMES or value not in ("true", "false"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=true or NAME=false; names: {', '.join(DISPUTED_NAMES)}"
        )
    return name, value == "true"


def _set_up_logging(style: str, level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


if __name__ == "__main__":
    sys.exit(main())
