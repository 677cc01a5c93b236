"""A line that loses packets and takes its time, between two hosts of the fabric; needs root.

The kernels that we meet have no netem. So the fabric routes the packets of such a line into a TUN device, and
a thread here gives those that are not lost back to the kernel a little later. `namespaces.Fabric.worsen` lays
it; one line is one direction.
"""

import contextlib
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TUN: Final = "/dev/net/tun"
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_WITHOUT_HEADER: Final = 0x0001 | 0x1000
_LONGEST_PACKET: Final = 65536


@dataclass(frozen=True, slots=True)
class Quality:
    """How a line carries packets."""

    loss: float = 0.0
    """Share of the packets that are lost, each by chance of its own."""
    delay: float = 0.0
    """Seconds that a packet takes."""
    jitter: float = 0.0
    """Seconds that it takes longer at most, by chance: one packet may overtake another."""


def why_unavailable() -> str | None:
    """Why root cannot make such lines here, in words; None: they can be made."""
    return None if Path(_TUN).exists() else f"this machine has no {_TUN}"


class PoorLine:
    """Reads packets from a TUN device and writes them back to it, if at all, when their time has come."""

    def __init__(self, device: str, quality: Quality, seed: int | None = None) -> None:
        """Make the device in the calling thread's network namespace; nothing is carried before `start`."""
        self.device, self.quality = device, quality
        self.carried = self.lost = 0
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._tun = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(
            self._tun, _TUNSETIFF, struct.pack("16sH22s", device.encode(), _IFF_TUN_WITHOUT_HEADER, b"")
        )
        self._stopping, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._carry, name=device, daemon=True)

    def start(self) -> None:
        """Carry packets from now on."""
        self._thread.start()

    def close(self) -> None:
        """Lose what is on the way, and take the device away."""
        os.write(self._stop, b"x")
        self._thread.join()
        for descriptor in (self._tun, self._stopping, self._stop):
            os.close(descriptor)

    def _carry(self) -> None:
        on_the_way: list[tuple[float, int, bytes]] = []
        numbers = itertools.count()
        while True:
            waits = max(0.0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
            readable, _, _ = select.select([self._tun, self._stopping], [], [], waits)
            if self._stopping in readable:
                return
            if readable:
                self._take(on_the_way, numbers)
            while on_the_way and on_the_way[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):  # a full queue loses packets as well
                    os.write(self._tun, heapq.heappop(on_the_way)[2])
                    self.carried += 1

    def _take(self, on_the_way: list[tuple[float, int, bytes]], numbers: "itertools.count[int]") -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(self._tun, _LONGEST_PACKET)
                if self._chance.random() < self.quality.loss:
                    self.lost += 1
                    continue
                seconds = self.quality.delay + self.quality.jitter * self._chance.random()
                heapq.heappush(on_the_way, (time.monotonic() + seconds, next(numbers), packet))
