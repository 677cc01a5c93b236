"""Files that HAProxy reads: whoever reads one at any moment finds the old or the new one, and whole."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

_Mark: TypeAlias = tuple[int, int, int]


class Folder:
    """A folder of ours: remembers what is in its files, so that only what differs is read or written.

    Everything in it is for this user alone: certificates come with their private keys. `lasting` files are on
    the disk before they get their names: after a power cut there is an older file or this one, no empty one.
    """

    def __init__(self, path: Path, *, lasting: bool = True) -> None:
        self.path = path
        self._lasting = lasting
        self._known: dict[str, tuple[_Mark, bytes]] = {}

    def read(self, name: str) -> str | None:
        """The text of a file; None when there is none, or it cannot be read."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def put(self, files: Mapping[str, str]) -> tuple[str, ...]:
        """Write these files, in this order, each by a rename; returns those whose contents were others.

        Raises:
            OSError: the disk is full, or something else is wrong with it; what was there is still there.
        """
        written = []
        for name, text in files.items():
            data = text.encode()
            digest = hashlib.sha256(data).digest()
            if self._digest(name) != digest:
                _replace(self.path / name, data, lasting=self._lasting)
                self._known[name] = (_mark(self.path / name), digest)
                written.append(name)
        return tuple(written)

    def keep_only(self, folder: str, names: Mapping[str, str]) -> None:
        """Delete the files of a sub-folder that are not among these."""
        directory = self.path / folder
        if directory.is_dir():
            for entry in directory.iterdir():
                name = f"{folder}/{entry.name}"
                if name not in names:
                    with contextlib.suppress(OSError):
                        entry.unlink()
                    self._known.pop(name, None)

    def _digest(self, name: str) -> bytes | None:
        """Of what is in a file now, whoever wrote it; None when there is none."""
        path = self.path / name
        try:
            mark = _mark(path)
            if name not in self._known or self._known[name][0] != mark:
                self._known[name] = (mark, hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            return None
        return self._known[name][1]


def _mark(path: Path) -> _Mark:
    """What differs when a file has been written or replaced."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _replace(path: Path, data: bytes, *, lasting: bool) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
