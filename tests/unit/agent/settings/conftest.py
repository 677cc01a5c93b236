"""Stores on real files."""

from collections.abc import Iterator

import pytest
from tests.support.settings_pairs import Pair

from loadmaster_ha.agent.settings.store import Store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "settings.db"


@pytest.fixture
def store(path) -> Iterator[Store]:
    opened = Store.open(path)
    yield opened
    opened.close()


@pytest.fixture
def pair(tmp_path) -> Iterator[Pair]:
    """Two stores that have not met yet."""
    made = Pair(tmp_path)
    yield made
    made.close()
