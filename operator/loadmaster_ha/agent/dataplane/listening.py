"""Whether a service's ports can be listened on, found out before HAProxy tries.

A worker that cannot listen on one port does not start at all, and HAProxy 2.6 disturbs the old worker in the
attempt (it is paused for up to a second). So a port that somebody else has takes only its own service away.
"""

import errno
import socket
from collections.abc import Iterable
from typing import Final

_WORDS: Final = {
    errno.EADDRINUSE: "another program listens there",
    errno.EADDRNOTAVAIL: "the unit does not have this address",
    errno.EACCES: "ports below net.ipv4.ip_unprivileged_port_start need root or CAP_NET_BIND_SERVICE",
}


def obstacle(addresses: Iterable[tuple[str, int]], *, privileged_elsewhere: bool = False) -> str | None:
    """Why HAProxy could not listen on one of these; None when it can.

    Args:
        addresses: address and port of each.
        privileged_elsewhere: HAProxy runs with rights that this process does not have.
    """
    for address, port in addresses:
        number = _bind(address, port)
        if number is None or (number == errno.EACCES and privileged_elsewhere):
            continue
        reason = _WORDS.get(number, errno.errorcode.get(number, str(number)))
        return f"HAProxy cannot listen on port {port} of {address}: {reason}"
    return None


def _bind(address: str, port: int) -> int | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno
    return None
