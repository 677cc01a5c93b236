"""Clients of literal units, closed when the test is over."""

import contextlib
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from loadmaster_ha.loadmaster.client import UnitClient
from loadmaster_ha.loadmaster.connections import Connections, Endpoint, Limits
from loadmaster_ha.loadmaster.trust import Pinned
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials

ADDRESS = "127.0.0.1"
KEY = UnitCredentials(apikey="the-key-of-the-operator")


@dataclass
class Observer:
    """What the client tells of its requests."""

    requests: list[tuple[str, str]] = field(default_factory=list)

    def on_unit_request(self, command, outcome, seconds):
        assert seconds >= 0
        self.requests.append((command, outcome))


@pytest_asyncio.fixture
async def client_of():
    """Makes clients: by API key in v2 unless told otherwise, pinned to the unit's certificate."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(unit, credentials=KEY, *, limits=None, trust=None, connections=None, **more):
            connections = connections or await stack.enter_async_context(Connections(limits or Limits()))
            trust = trust or Pinned(unit.certificate.fingerprint)
            return UnitClient(
                Endpoint(ADDRESS, unit.port), trust, credentials, connections=connections, **more
            )

        yield make


@pytest.fixture
def observer():
    return Observer()
