"""What the kernel needs to know so that packets for addresses that are not on this host reach our sockets.

With `--transparent` frontends, clients' addresses and the probes' source belong to nobody here: sockets are
bound to them all the same (`IP_TRANSPARENT`), and what is routed to this network namespace for one of them is
diverted to its socket (the kernel's documentation of TPROXY): an nftables table marks such packets, and a
routing rule delivers what is marked locally. HA-ports rules divert every other port of their frontend to one
listener. All of it is in tables of our own, which are removed at the end.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_TABLE: Final = "loadmaster_emulator"
_MARK: Final = "0x4c4d"
_ROUTES: Final = "19533"


class DiversionError(Exception):
    """The kernel's tables could not be set up."""


class Diversion:
    """The diversion of this network namespace, there from `install` to `remove`."""

    def __init__(self) -> None:
        self._every_port: dict[str, int] = {}

    def install(self) -> None:
        """Set it up; what an emulator that was killed has left is replaced.

        Raises:
            DiversionError: `nft` or `ip` is missing, or not permitted.
        """
        _run("nft", "-f", "-", text=self._ruleset())
        _run("ip", "rule", "del", "fwmark", _MARK, "lookup", _ROUTES, may_fail=True)
        _run("ip", "rule", "add", "fwmark", _MARK, "lookup", _ROUTES)
        _run("ip", "route", "replace", "local", "0.0.0.0/0", "dev", "lo", "table", _ROUTES)

    def every_port(self, listeners: Mapping[str, int]) -> None:
        """Divert all ports of these addresses that have no listener of their own to the port given for each.

        Raises:
            DiversionError: It did not work.
        """
        if dict(listeners) != self._every_port:
            self._every_port = dict(listeners)
            _run("nft", "-f", "-", text=self._ruleset())

    def remove(self) -> None:
        """Take everything away again."""
        _run("nft", "delete", "table", "ip", _TABLE, may_fail=True)
        _run("ip", "rule", "del", "fwmark", _MARK, "lookup", _ROUTES, may_fail=True)
        _run("ip", "route", "flush", "table", _ROUTES, may_fail=True)

    def _ruleset(self) -> str:
        """The table as a whole: `nft` replaces it in one transaction."""
        diverted = "\n".join(
            f"    ip daddr {address} meta l4proto tcp tproxy to {address}:{port} meta mark set {_MARK} accept"
            for address, port in sorted(self._every_port.items())
        )
        return f"""
table ip {_TABLE}
delete table ip {_TABLE}
table ip {_TABLE} {{
  chain divert {{
    type filter hook prerouting priority mangle; policy accept;
    meta l4proto {{ tcp, udp }} socket transparent 1 meta mark set {_MARK} accept
{diverted}
  }}
}}
"""


def _run(*command: str, text: str | None = None, may_fail: bool = False) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands; addresses are checked by ARM's rules
            command, input=text, text=True, capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DiversionError(f"cannot run {command[0]}: {error}") from error
    if done.returncode and not may_fail:
        raise DiversionError(f"{' '.join(command)}: {done.stderr.strip()}")
