"""A small Azure-like network of Linux network namespaces; needs root, leaves nothing behind.

    with Fabric() as fabric:
        one = fabric.add_host("one", "10.0.2.4")
        with one.entered():
            listening = socket.create_server(("10.0.2.4", 80))

A namespace has no name and lives as long as somebody holds it: this process, or a process started in it. So
the kernel removes all of it when the program ends, however it ends.

Every host hangs on a cable of its own at the fabric, which routes between them, as Azure's network does: also
two hosts of one subnet reach each other through it. The emulator runs in the fabric (`--transparent`): what
is sent to a frontend, or back to a client whose address the balancer kept, is delivered there. `cut` drops
packets in the fabric; the hosts' interfaces stay up and neither side is told, as when a switch dies.
`worsen` lets it lose some of them and take its time with the rest.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from lab.poor_line import PoorLine, Quality

_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

GATEWAY: Final = "169.254.1.1"
"""The fabric's address on each cable: everything that a host sends goes there."""

_SYSCTLS: Final = {"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0"}

_FORWARDED: Final = 1
"""The mark of packets that the emulator's sockets take: to a frontend, or back to a client."""

_FIRST_LINE: Final = 1000
"""Mark and routing table of the first poor line; the next ones follow."""
_AFTER_LINES: Final = 10
"""Preference of the rule that delivers to the fabric; those of poor lines come before it."""

_FABRIC_RULES: Final = f"""
table ip fabric {{
    chain frontends {{
        type filter hook prerouting priority mangle;
        meta l4proto {{ tcp, udp }} socket transparent 1 meta mark set {_FORWARDED}
    }}
    chain arriving {{ type filter hook prerouting priority dstnat; }}
    chain leaving {{ type filter hook postrouting priority raw; }}
    chain made {{ type route hook output priority mangle; }}
}}
"""


class NamespacesUnavailable(Exception):  # noqa: N818 - reads as what is the case
    """Why there can be no namespaces here, in words."""


def why_unavailable() -> str | None:
    """Why this process cannot make the network; None if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program) is None:
            return f"network namespaces need the program {program} (package {package})"
    try:
        Namespace("trial").close()
    except OSError as error:
        return f"the kernel does not allow network namespaces here: {error.strerror}"
    return None


class Namespace:
    """One network namespace, made when this is, gone when nobody holds it any more."""

    def __init__(self, name: str) -> None:
        self.name = name
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("unshare", _CLONE_NEWNET)
            try:
                self._descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            finally:
                _call("setns", own, _CLONE_NEWNET)
        finally:
            os.close(own)
        self.inode = os.fstat(self._descriptor).st_ino
        self.run("ip", "link", "set", "lo", "up")

    @property
    def path(self) -> str:
        """The namespace as a file, for programs that take one."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets made in this block belong to the namespace for good; never wait in it."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", self._descriptor, _CLONE_NEWNET)
            try:
                yield
            finally:
                _call("setns", own, _CLONE_NEWNET)
        finally:
            os.close(own)

    def enter_for_good(self) -> None:
        """Move the calling process there: for `preexec_fn`."""
        _call("setns", self._descriptor, _CLONE_NEWNET)

    def socket(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """An IPv4 socket of the namespace."""
        with self.entered():
            return socket.socket(socket.AF_INET, kind)

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a program there; its output.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        done = subprocess.run(
            command,
            input=text,
            text=True,
            capture_output=True,
            check=False,
            preexec_fn=self.enter_for_good,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} in {self.name}: {done.stderr.strip()}")
        return done.stdout

    def pids(self) -> list[int]:
        """The processes in it, in the order of their ids."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    if (entry / "ns/net").stat().st_ino == self.inode:
                        found.append(int(entry.name))
        return sorted(found)


@dataclass(frozen=True, slots=True)
class Cut:
    """Packets that are dropped: those from one address to another (None: any), on a TCP or UDP port or all.

    The port counts as the source's or as the destination's, so that one number names a conversation.
    """

    source: str | None
    destination: str | None
    port: int | None = None
    dialling: bool = False
    """Only packets that open a TCP connection: a firewall that allows one direction."""
    direct: bool = False
    """Not those of connections that the balancer forwards, which bear the same addresses."""

    def rules(self) -> list[str]:
        """As nftables writes it."""
        match = f"meta mark != {_FORWARDED} " if self.direct else ""
        if self.source is not None:
            match += f"ip saddr {self.source} "
        if self.destination is not None:
            match += f"ip daddr {self.destination} "
        if self.dialling:
            match += "tcp flags & (syn|ack) == syn "
        if self.port is None:
            return [f"{match}drop"]
        return [f"{match}th {side} {self.port} drop" for side in ("sport", "dport")]


@dataclass(frozen=True, slots=True)
class _Worse:
    """A line that leads over a TUN device. What the balancer forwards for clients is not of it."""

    source: str
    destination: str
    line: PoorLine
    mark: int
    probes: bool
    """One end is the balancer itself, which marks its own sockets' packets too."""

    def rule(self) -> str:
        """As nftables writes it."""
        ends = f"ip saddr {self.source} ip daddr {self.destination}"
        unmarked = "" if self.probes else "meta mark 0 "
        return f'{ends} iifname != "{self.line.device}" {unmarked}meta mark set {self.mark}'


class Fabric:
    """The network in the middle, with the hosts on it."""

    def __init__(self) -> None:
        self.namespace: Namespace
        self.hosts: dict[str, Namespace] = {}
        self._cuts: list[Cut] = []
        self._own: set[str] = set()
        self._worse: list[_Worse] = []
        self._marks = itertools.count(_FIRST_LINE)

    def __enter__(self) -> Self:
        if (why := why_unavailable()) is not None:
            raise NamespacesUnavailable(why)
        self.namespace = Namespace("fabric")
        _sysctl(self.namespace, _SYSCTLS)
        run = self.namespace.run
        run("nft", "-f", "-", text=_FABRIC_RULES)
        # What is for the fabric itself may have to go over a poor line first.
        run("ip", "rule", "add", "pref", str(_AFTER_LINES), "lookup", "local")
        run("ip", "rule", "delete", "pref", "0")
        run("ip", "rule", "add", "fwmark", str(_FORWARDED), "lookup", "100")
        run("ip", "route", "add", "local", "default", "dev", "lo", "table", "100")
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._worse:
            each.line.close()
        for host in self.hosts.values():
            host.close()
        self.hosts.clear()
        self.namespace.close()

    def own(self, *addresses: str) -> None:
        """Give the fabric itself addresses: where the balancer probes from."""
        self._own.update(addresses)
        for address in addresses:
            self.namespace.run("ip", "address", "add", f"{address}/32", "dev", "lo")

    def add_host(self, name: str, *addresses: str) -> Namespace:
        """A host with these addresses on its interface `eth0`."""
        host = Namespace(name)
        self.hosts[name] = host
        _sysctl(host, {key: value for key, value in _SYSCTLS.items() if "rp_filter" in key})
        cable = f"to-{name}"[:15]
        self.namespace.run(
            "ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", host.path
        )
        self.namespace.run("ip", "address", "add", f"{GATEWAY}/32", "dev", cable)
        self.namespace.run("ip", "link", "set", cable, "up")
        for address in addresses:
            host.run("ip", "address", "add", f"{address}/32", "dev", "eth0")
            self.namespace.run("ip", "route", "add", f"{address}/32", "dev", cable)
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "route", "add", GATEWAY, "dev", "eth0", "scope", "link")
        host.run("ip", "route", "add", "default", "via", GATEWAY, "src", addresses[0])
        return host

    def cut(self, *cuts: Cut) -> Callable[[], None]:
        """Drop such packets from now on; the result undoes it."""
        self._cuts.extend(cuts)
        self._apply()

        def heal() -> None:
            for each in cuts:
                self._cuts.remove(each)
            self._apply()

        return heal

    def worsen(self, source: str, destination: str, quality: Quality) -> Callable[[], None]:
        """Let packets from one address to the other be lost and delayed from now on; the result undoes it."""
        mark = next(self._marks)
        with self.namespace.entered():
            line = PoorLine(f"line{mark}", quality)
        self.namespace.run("ip", "link", "set", line.device, "up")
        self.namespace.run("ip", "route", "add", "default", "dev", line.device, "table", str(mark))
        first = str(_AFTER_LINES - 1)
        self.namespace.run("ip", "rule", "add", "pref", first, "fwmark", str(mark), "lookup", str(mark))
        # What the balancer sends comes back from the line with the fabric's own address.
        # What comes for a socket of the fabric would skip the routing on its way in.
        _sysctl(self.namespace, {f"ipv4/conf/{line.device}/accept_local": "1", "ipv4/ip_early_demux": "0"})
        line.start()
        probes = not self._own.isdisjoint({source, destination})
        worse = _Worse(source, destination, line, mark, probes)
        self._worse.append(worse)
        self._apply()

        def heal() -> None:
            self._worse.remove(worse)
            self._apply()
            self.namespace.run("ip", "rule", "delete", "fwmark", str(mark))
            line.close()

        return heal

    def _apply(self) -> None:
        lines = ["flush chain ip fabric made"]
        lines += [f"add rule ip fabric made {each.rule()}" for each in self._worse]
        for chain in ("arriving", "leaving"):
            lines.append(f"flush chain ip fabric {chain}")
            for cut in self._cuts:
                # What the balancer sends is made here and leaves only; what the hosts send arrives as well.
                if chain == "arriving" or not cut.direct:
                    lines += [f"add rule ip fabric {chain} {rule}" for rule in cut.rules()]
        lines += [f"add rule ip fabric arriving {each.rule()}" for each in self._worse]
        self.namespace.run("nft", "-f", "-", text="\n".join(lines) + "\n")


def _sysctl(namespace: Namespace, values: dict[str, str]) -> None:
    with namespace.entered():
        for key, value in values.items():
            Path("/proc/sys/net", key).write_text(value, encoding="ascii")


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
