"""What the management API tells of the machine: interfaces, processors, memory, disks (/proc and /sys).

Numbers that cannot be read are missing, never 0: a reader would take that for the truth.
"""

import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_NET: Final = Path("/sys/class/net")
_SIOCGIFADDR: Final = 0x8915
_SIOCGIFNETMASK: Final = 0x891B
_IFREQ: Final = struct.Struct("16s 4x 4s 16x 4x")
"""`struct ifreq` with an IPv4 address (netdevice(7))."""


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface of the operating system."""

    name: str
    network: ipaddress.IPv4Interface | None
    """Its primary IPv4 address with the prefix."""
    mtu: int | None
    speed: int | None
    """Mbit/s."""
    received: int | None
    """Bytes."""
    sent: int | None


@dataclass(frozen=True, slots=True)
class Processor:
    """Ticks since boot by what they were spent on (proc(5), /proc/stat)."""

    user: int
    system: int
    idle: int
    waiting: int
    hardware: int
    software: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.user + self.system + self.idle + self.waiting + self.hardware + self.software


@dataclass(frozen=True, slots=True)
class Memory:
    """KiB."""

    total: int
    free: int
    """What programs can still have (`MemAvailable`)."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A file system, bytes."""

    name: str
    total: int
    free: int


def link_with(address: str) -> Link | None:
    """The interface that has this address, or, for one of loopback's many, the network that it is in."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return None
    links = [link(name) for _, name in socket.if_nameindex()]
    exact = (each for each in links if each.network is not None and each.network.ip == wanted)
    near = (each for each in links if each.network is not None and wanted in each.network.network)
    return next(exact, None) or next(near, None)


def link(name: str) -> Link:
    """The facts of one interface."""
    return Link(
        name=name,
        network=_network(name),
        mtu=_number(_NET / name / "mtu"),
        speed=_number(_NET / name / "speed"),
        received=_number(_NET / name / "statistics" / "rx_bytes"),
        sent=_number(_NET / name / "statistics" / "tx_bytes"),
    )


def processors() -> Mapping[str, Processor]:
    """Ticks by processor (`cpu0` ...), and of all under `total`."""
    found: dict[str, Processor] = {}
    for line in _text(_PROC / "stat").splitlines():
        words = line.split()
        if words and words[0].startswith("cpu") and len(words) >= 8:
            user, nice, system, idle, waiting, hardware, software = map(int, words[1:8])
            name = "total" if words[0] == "cpu" else words[0]
            found[name] = Processor(user + nice, system, idle, waiting, hardware, software)
    return found


def memory() -> Memory | None:
    """The machine's memory."""
    words = {line.partition(":")[0]: line.split() for line in _text(_PROC / "meminfo").splitlines()}
    try:
        return Memory(int(words["MemTotal"][1]), int(words["MemAvailable"][1]))
    except (KeyError, IndexError, ValueError):
        return None


def partitions() -> tuple[Partition, ...]:
    """The file systems of the system and of its logs and data, each once."""
    found: dict[int, Partition] = {}
    for name in ("/", "/var", "/var/log", "/var/lib"):
        try:
            device, facts = Path(name).stat().st_dev, os.statvfs(name)
        except OSError:
            continue
        size = facts.f_frsize
        found.setdefault(device, Partition(name, facts.f_blocks * size, facts.f_bavail * size))
    return tuple(found.values())


def _network(name: str) -> ipaddress.IPv4Interface | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            address, mask = (_ask(asking, request, name) for request in (_SIOCGIFADDR, _SIOCGIFNETMASK))
    except OSError:
        return None
    return ipaddress.IPv4Interface(f"{socket.inet_ntoa(address)}/{socket.inet_ntoa(mask)}")


def _ask(asking: socket.socket, request: int, name: str) -> bytes:
    answer = fcntl.ioctl(asking, request, _IFREQ.pack(name.encode()[:15], b""))
    found: bytes = _IFREQ.unpack(answer)[1]
    return found


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
