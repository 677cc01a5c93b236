"""sd_notify(3): ready, stopping, and the watchdog's keep-alive; nothing where no service manager listens."""

from __future__ import annotations

import contextlib
import socket

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """Tells systemd how the service is.

    Children get the environment that `without` leaves: none of them speaks for the service.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        watchdog = environment.get("WATCHDOG_USEC", "")
        self._interval = int(watchdog) / 3e6 if watchdog.isdigit() else None
        self._due = 0.0

    def tell(self, *words: str) -> None:
        """Send assignments such as `READY=1` or `STATUS=Master, Active`."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto("\n".join(words).encode(), address)

    def beat(self, now: float) -> None:
        """Keep the watchdog quiet; call it at least every second."""
        if self._interval is not None and now >= self._due:
            self._due = now + self._interval
            self.tell("WATCHDOG=1")

    @staticmethod
    def without(environment: Mapping[str, str]) -> dict[str, str]:
        """The environment for children."""
        return {
            name: value
            for name, value in environment.items()
            if name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
        }
