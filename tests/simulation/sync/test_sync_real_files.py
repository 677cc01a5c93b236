"""The schedules on real files: what a killed process leaves behind is what SQLite left on the disk.

Slower than in memory, so fewer; `SIMULATION_SCHEDULES` makes them more as well. A process is killed by taking
its files as they are at that moment and opening those.
"""

import logging
import os
import shutil
import tempfile
from itertools import count
from pathlib import Path

import pytest
from tests.simulation.sync.disk import Dies, Killed, MemoryDisk
from tests.simulation.sync.world import Parts, explore

from loadmaster_ha.agent.settings.database import Database
from loadmaster_ha.agent.settings.errors import StoreFull

SCHEDULES = max(200, int(os.environ.get("SIMULATION_SCHEDULES", "2000")) // 10)


class FileDisk(MemoryDisk):
    """A disk with a settings' file on it."""

    names = count()

    def __init__(self, folder):
        super().__init__()
        self._folder = folder
        self._path = self._new_path()
        self._database = None

    def _new_path(self):
        return self._folder / f"{next(self.names)}.db"

    def copy(self):
        other = FileDisk(self._folder)
        for source in self._folder.glob(f"{self._path.name}*"):
            shutil.copy(source, source.with_name(source.name.replace(self._path.name, other._path.name)))
        return other

    def load(self):
        self._database = Database.open(self._path)
        return self._database.load()

    def write(self, rows, about):
        dies, self.dies = self.dies, None
        if dies is Dies.BEFORE:
            raise Killed
        if self.full:
            raise StoreFull("no room (made up)")
        self._database.write(rows, about)
        if dies is Dies.AFTER:
            raise Killed

    def lost_power(self):
        left = self.copy()
        self._database.close()
        self._path, self._database = left._path, None


@pytest.fixture
def folder():
    """Memory, if there is such a place: tens of thousands of commits would wait for the disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
    parent = memory if os.access(memory, os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="loadmaster-ha-", dir=parent))
    yield made
    shutil.rmtree(made)


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(max(300, SCHEDULES * 5))
def test_nothing_acknowledged_is_lost_on_real_files(folder):
    for seed in range(SCHEDULES):
        explore(seed, Parts(disk=lambda: FileDisk(folder)))
        for file in folder.iterdir():
            file.unlink()
