"""The file that the settings are in: SQLite; what `write` was given is on the disk when it returns.

One process at a time has it open. Everything is read at the start; after that it is only written to, so a
disk that is full or failing takes nothing from the readers. `store` is the only user.

Why these settings of SQLite: `synchronous=FULL` syncs the write-ahead log at every commit (with NORMAL a
power cut loses the last ones); `locking_mode=EXCLUSIVE` keeps a second agent, or a forgotten one, from
writing beside us.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from loadmaster_ha.agent.settings.errors import (
    StoreDamaged,
    StoreFailed,
    StoreFull,
    StoreInUse,
    StoreTooNew,
    StoreUnavailable,
)

APPLICATION_ID: Final = 0x4C4D4841
"""In the file's header ("LMHA"), so that another program's database is not taken for ours."""

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE setting (
      kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL,
      PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE TABLE about (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
)
"""Script by script from an empty file to today's form; `user_version` counts those that were run."""

_LOCK_WAIT: Final = 2.0
_SETTINGS: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -128",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA wal_autocheckpoint = 500",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA trusted_schema = OFF",
)
_REMEDY: Final = (
    "Stop the agent, move the file (and those beside it that begin with its name) away and start it again: "
    "what is synchronised comes back from the partner; what is local, and everything if there is no partner, "
    "has to be restored from a backup or entered again."
)


class Row(NamedTuple):
    """One entity as stored; `body` None takes it out of the file."""

    kind: str
    key: str
    body: str | None


class Backend(Protocol):
    """Where a store keeps its contents."""

    def load(self) -> tuple[Iterable[Row], Mapping[str, str]]:
        """All entities, and what the store keeps about itself, by name."""
        ...

    def write(self, rows: Sequence[Row], about: Mapping[str, str]) -> None:
        """Replace or take out these, all or none; durable on return.

        Raises:
            StoreFull: no room.
            StoreFailed: the disk refused.
        """
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


class Database:
    """A store's file."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, or make it; check it whole and bring it to today's form.

        Raises:
            StoreUnavailable: it cannot be opened or made.
            StoreInUse: another process has it open.
            StoreDamaged: it is not what was written.
            StoreTooNew: a later release wrote it.
        """
        _make(path)
        connection = _connect(path)
        try:
            _prepare(connection, path)
        except sqlite3.Error as error:
            connection.close()
            raise _refusal(error, path) from error
        except Exception:
            connection.close()
            raise
        return cls(path, connection)

    def load(self) -> tuple[Iterable[Row], Mapping[str, str]]:
        """All entities, and what the store keeps about itself, by name.

        Raises:
            StoreDamaged: an entity's checksum does not match.
        """
        try:
            about = dict(self._connection.execute("SELECT name, value FROM about"))
        except sqlite3.Error as error:
            raise _refusal(error, self._path) from error
        return self._rows(), about

    def write(self, rows: Sequence[Row], about: Mapping[str, str]) -> None:
        """Replace or take out these, all or none; durable on return.

        Raises:
            StoreFull: no room.
            StoreFailed: the disk refused.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR REPLACE INTO setting VALUES (?, ?, ?, ?)",
                ((kind, key, body, _checksum(body)) for kind, key, body in rows if body is not None),
            )
            connection.executemany(
                "DELETE FROM setting WHERE kind = ? AND key = ?",
                ((kind, key) for kind, key, body in rows if body is None),
            )
            connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _failure(error, self._path) from error

    def close(self) -> None:
        """Write the log back into the file, and let others open it."""
        self._connection.close()

    def _rows(self) -> Iterator[Row]:
        try:
            for kind, key, body, checksum in self._connection.execute("SELECT * FROM setting"):
                if _checksum(body) != checksum:
                    raise StoreDamaged(
                        f"The settings in {self._path} are damaged: {kind} {key} is not what was written. "
                        + _REMEDY
                    )
                yield Row(kind, key, body)
        except sqlite3.Error as error:
            raise _refusal(error, self._path) from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


def _checksum(body: str) -> int:
    return zlib.crc32(body.encode())


def _make(path: Path) -> None:
    # Before SQLite does: hashes and private keys are in it. Its log files get the same rights.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnavailable(
            f"The settings' file {path} cannot be opened: {error.strerror}. It has to be in a directory that "
            "exists and that the agent's user may write to."
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=_LOCK_WAIT, isolation_level=None)
    except sqlite3.Error as error:
        raise _refusal(error, path) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    for setting in _SETTINGS:
        connection.execute(setting).fetchall()
    connection.execute("BEGIN IMMEDIATE")
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or tables):
        raise StoreUnavailable(
            f"{path} is a database of another program. Name another file for the settings."
        )
    if version > len(MIGRATIONS):
        raise StoreTooNew(
            f"The settings in {path} were written by a later release of the agent (form {version}, this one "
            f"knows {len(MIGRATIONS)}). Install that release again, or move the file away: what is "
            "synchronised comes back from the partner."
        )
    for migration in MIGRATIONS[version:]:
        for statement in migration.split(";"):
            connection.execute(statement)
    if version < len(MIGRATIONS):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreDamaged(f"The settings in {path} are damaged ({verdict}). {_REMEDY}")


def _refusal(error: sqlite3.Error, path: Path) -> Exception:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreInUse(
            f"Another process has the settings in {path} open. Is a second agent running? Stop it, or give "
            "this one a file of its own."
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamaged(f"The settings in {path} are damaged ({error}). {_REMEDY}")
    if name.startswith("SQLITE_FULL"):
        return _failure(error, path)
    return StoreUnavailable(f"The settings' file {path} cannot be opened: {error} ({name}).")


def _failure(error: sqlite3.Error, path: Path) -> StoreFull | StoreFailed:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_FULL":
        return StoreFull(
            f"The disk with {path} is full: the change was refused and nothing was changed. Make room there "
            "and try again."
        )
    return StoreFailed(
        f"The disk with {path} refused the change ({error}, {name}): nothing was changed. The kernel's log "
        "may say more."
    )
