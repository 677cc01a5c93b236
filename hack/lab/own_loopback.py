"""A loopback of one's own: this program and what it starts in a network namespace, where links can be cut.

    with own_loopback() as wire:
        heal = wire.cut(6973)
        ...
        heal()

Needs root (`lab.namespaces.why_unavailable`). Addresses are those of loopback, the same as without it, so
that one laboratory (`lab.first_pair`) works in both; nobody else's processes are on it. Threads that run
already stay where they are: enter before any is started that opens sockets.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from lab.namespaces import Namespace

_TABLE: Final = "table ip wire {\n chain output { type filter hook output priority filter; }\n}\n"


class Wire:
    """The loopback, and what is dropped on it."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._ports: list[int] = []
        namespace.run("nft", "-f", "-", text=_TABLE)

    def cut(self, port: int) -> Callable[[], None]:
        """Drop what opens or continues a TCP connection to a port; the result undoes it."""
        self._ports.append(port)
        self._apply()

        def heal() -> None:
            self._ports.remove(port)
            self._apply()

        return heal

    def own(self, *addresses: str) -> None:
        """Have further addresses, which need not be loopback's."""
        for address in addresses:
            self._namespace.run("ip", "address", "add", f"{address}/32", "dev", "lo")

    def _apply(self) -> None:
        rules = [
            f"add rule ip wire output tcp {side} {port} drop"
            for port in self._ports
            for side in ("dport", "sport")
        ]
        self._namespace.run("nft", "-f", "-", text="\n".join(["flush chain ip wire output", *rules, ""]))


@contextlib.contextmanager
def own_loopback() -> Iterator[Wire]:
    """Move the calling thread to a new network namespace, and back at the end.

    Raises:
        OSError: it may not.
    """
    namespace = Namespace("own loopback")
    try:
        with namespace.entered():
            yield Wire(namespace)
    finally:
        namespace.close()
