"""Where the things of a laboratory are: on loopback addresses, or each in a network namespace of its own.

    with open_places(namespaces=True) as places:
        with places.client.entered():
            ...

On loopback (no root needed) every laboratory takes a /24 of 127.0.0.0/8 at random, so that several run side
by side; links cannot be cut there. In namespaces the addresses are ordinary ones, the same in each.
"""

import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.namespaces import Cut, Fabric, Namespace
from lab.poor_line import Quality

PROBE_SOURCE = "168.63.129.16"
LOOPBACK_PROBE_SOURCE = "127.63.129.16"


@dataclass(frozen=True, slots=True)
class Place:
    """A host: its addresses, the first being the main one, and its namespace (None: this machine's)."""

    name: str
    addresses: tuple[str, ...]
    namespace: Namespace | None = None

    @property
    def address(self) -> str:
        """The main address."""
        return self.addresses[0]

    @property
    def enter_for_good(self) -> Callable[[], None] | None:
        """For `preexec_fn`: moves a process there."""
        return None if self.namespace is None else self.namespace.enter_for_good

    def entered(self) -> contextlib.AbstractContextManager[None]:
        """Sockets made in this block are the host's; never wait in it."""
        return contextlib.nullcontext() if self.namespace is None else self.namespace.entered()

    def connection(self, address: str | None = None) -> socket.socket:
        """A TCP socket of the host, bound to an address of it and any port; does not block."""
        with self.entered():
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            # The kernel chooses the port when it knows the destination: only all four have to be new.
            made.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
            made.bind((address or self.address, 0))
        except OSError:
            made.close()
            raise
        return made

    def made_for(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket of the host, as aiohttp's `socket_factory` asks for it."""
        with self.entered():
            return socket.socket(*info[:3])

    def listening(self, port: int, address: str | None = None) -> socket.socket:
        """A listening TCP socket of the host."""
        with self.entered():
            return socket.create_server((address or self.address, port), backlog=1024)


@dataclass(frozen=True, slots=True)
class Places:
    """All hosts of a laboratory, and what Azure has to be told about its network."""

    azure: Place
    """Where the emulator runs."""
    units: tuple[Place, Place]
    client: Place
    web: Place
    """Two web servers, on two addresses."""
    frontend: str
    probe_source: str
    network: str
    """Address space of the virtual network."""
    subnet: str
    """Of units and frontend."""
    fabric: Fabric | None = None
    """None on loopback."""
    emulator_flags: tuple[str, ...] = field(default=())

    def cut(self, *cuts: Cut) -> Callable[[], None]:
        """Drop such packets until the result is called.

        Raises:
            RuntimeError: on loopback nothing can be cut.
        """
        if self.fabric is None:
            raise RuntimeError("links can be cut in network namespaces only")
        return self.fabric.cut(*cuts)

    def worsen(self, source: str, destination: str, quality: Quality) -> Callable[[], None]:
        """Let packets on this way be lost and delayed until the result is called.

        Raises:
            RuntimeError: on loopback every packet arrives.
        """
        if self.fabric is None:
            raise RuntimeError("lines can be made worse in network namespaces only")
        return self.fabric.worsen(source, destination, quality)


@contextlib.contextmanager
def open_places(*, namespaces: bool) -> Iterator[Places]:
    """Lay the hosts out.

    Raises:
        NamespacesUnavailable: they cannot be had here; `namespaces.why_unavailable` tells before.
    """
    if not namespaces:
        yield _on_loopback(random.SystemRandom())
        return
    with Fabric() as fabric:
        fabric.own(PROBE_SOURCE)

        def host(name: str, *addresses: str) -> Place:
            return Place(name, addresses, fabric.add_host(name, *addresses))

        yield Places(
            azure=Place("azure", ("127.0.0.1",), fabric.namespace),
            units=(host("lm-0", "10.0.2.4"), host("lm-1", "10.0.2.5")),
            client=host("client", *(f"10.0.9.{number}" for number in range(10, 20))),
            web=host("web", "10.0.3.10", "10.0.3.11"),
            frontend="10.0.2.100",
            probe_source=PROBE_SOURCE,
            network="10.0.0.0/16",
            subnet="10.0.2.0/24",
            fabric=fabric,
            emulator_flags=("--transparent",),
        )


def _on_loopback(chosen: random.Random) -> Places:
    prefix = f"127.{chosen.randint(64, 199)}.{chosen.randint(0, 255)}"
    return Places(
        azure=Place("azure", ("127.0.0.1",)),
        units=(Place("lm-0", (f"{prefix}.4",)), Place("lm-1", (f"{prefix}.5",))),
        client=Place("client", tuple(f"{prefix}.{number}" for number in range(130, 140))),
        web=Place("web", (f"{prefix}.200", f"{prefix}.201")),
        frontend=f"{prefix}.100",
        probe_source=LOOPBACK_PROBE_SOURCE,
        network=f"{prefix}.0/24",
        subnet=f"{prefix}.0/25",
        emulator_flags=("--allow-loopback-networks",),
    )
