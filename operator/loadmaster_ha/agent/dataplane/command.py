"""Where HAProxy's files are and the command line that it is started with.

The supervisor (`agent.process`) starts it, tests have a starter of their own: so nothing but the standard
library here. All files are in one folder, whose mode is 0700; only the sockets may be elsewhere, as their
paths must be short (108 bytes, unix(7)).

HAProxy runs as master and worker (`-W`): a reload re-executes the master in place, with the same process id,
and the new worker takes over the listening sockets of the old one. The master's socket (`-S`) is how the
agent speaks with both.
"""

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LONGEST_SOCKET_PATH: Final = 90
"""Bytes: of unix(7)'s 108 HAProxy takes some for the temporary name that it binds to first."""

_ADMINISTRATORS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Paths:
    """HAProxy's files."""

    directory: Path
    """Absolute. Belongs to this unit's data plane alone."""
    sockets: Path | None = None
    """Where the sockets are; None: in `directory`."""
    master_socket: Path | None = None
    """Where the master listens; None: beside the other sockets."""

    @property
    def configuration(self) -> Path:
        """What HAProxy reads at its start and at each reload; always a configuration that it accepts."""
        return self.directory / "haproxy.cfg"

    @property
    def master(self) -> Path:
        """The master's socket."""
        return self.master_socket or self._socket("master.sock")

    @property
    def worker(self) -> Path:
        """The worker's own socket: for people and their tools, the agent goes through the master's."""
        return self._socket("worker.sock")

    @property
    def health(self) -> Path:
        """Where HAProxy takes the agent's health request."""
        return self._socket("health.sock")

    @property
    def answer(self) -> Path:
        """Where HAProxy answers it, after a frontend and a backend have passed it on."""
        return self._socket("answer.sock")

    @property
    def peers(self) -> Path:
        """Where an old worker teaches its successor who belongs to which server."""
        return self._socket("peers.sock")

    @property
    def server_state(self) -> Path:
        """What the servers' health was at the last reload, for the new worker."""
        return self.directory / "servers.state"

    def _socket(self, name: str) -> Path:
        return (self.sockets or self.directory) / name

    def prepare(self, account: str = "") -> None:
        """Make the folders, for this user alone.

        Args:
            account: whom HAProxy's workers become (`Node.account`). They connect to sockets of their own, so
                the folder of the sockets is made theirs, and nothing else is.

        Raises:
            ValueError: a path is relative, too long for a socket, or out of the account's reach.
            OSError: they cannot be made.
        """
        for path in (self.master, self.worker, self.health, self.answer, self.peers):
            if not path.is_absolute():
                raise ValueError(f"{path} is no absolute path: name HAProxy's folder from the root on")
            if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
                raise ValueError(
                    f"{path} is longer than {LONGEST_SOCKET_PATH} bytes, the most for a socket's path: "
                    "choose a shorter folder for HAProxy's sockets"
                )
        for folder in {self.directory, self.sockets or self.directory, self.master.parent}:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account:
            self._hand_over_sockets(account)

    def _hand_over_sockets(self, account: str) -> None:
        if self.sockets is None or self.sockets == self.directory:
            raise ValueError(
                f"HAProxy's sockets need a folder of their own when its workers become {account}"
            )
        try:
            user = pwd.getpwnam(account).pw_uid
        except KeyError:
            raise ValueError(f"there is no account {account} for HAProxy's workers on this machine") from None
        os.chown(self.sockets, user, -1)
        for folder in self.sockets.parents:
            status = folder.stat()
            if not status.st_mode & stat.S_IXOTH and status.st_uid != user:
                raise ValueError(
                    f"account {account} cannot enter {folder}: choose another folder for HAProxy's sockets"
                )


def program(binary: str) -> str:
    """The path of a program that is given by name; what is nowhere stays as it is, and fails when it is run.

    Distributions keep HAProxy among the administrator's programs, which other accounts' PATH leaves out.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_ADMINISTRATORS])
    return shutil.which(binary, path=path) or binary


def command_line(paths: Paths, *, binary: str = "haproxy") -> list[str]:
    """What starts HAProxy in the foreground, as master and worker.

    SIGUSR1 lets it finish its connections, SIGTERM ends it at once (HAProxy's management guide, 4).
    """
    return [binary, "-W", "-S", f"{paths.master},mode,600", "-f", str(paths.configuration)]
