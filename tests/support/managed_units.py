"""Units to observe and to write to, with clients: our agent's API, and a scripted appliance in v1 and v2."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support.management import ADDRESS, Served, served
from tests.support.scripted_appliance import Habits, ScriptedAppliance

from loadmaster_ha.loadmaster.client import UnitClient
from loadmaster_ha.loadmaster.connections import Endpoint
from loadmaster_ha.loadmaster.trust import Pinned
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials

KINDS = ("agent", "appliance-v1", "appliance-v2")
OWN_ADDRESS = "10.0.2.4"
OLD_FIRMWARE = "7.2.48.3.16812.RELEASE"
"""Before v2."""


@dataclass
class ManagedUnit:
    """A unit with a client; one of the two is there."""

    client: UnitClient
    agent: Served | None = None
    appliance: ScriptedAppliance | None = None


@contextlib.asynccontextmanager
async def managed_unit(
    kind: str, folder: Path, habits: Habits | None = None, **options: Any
) -> AsyncIterator[ManagedUnit]:
    """One of `KINDS`; `options` are the client's."""
    if kind == "agent":
        async with served(folder) as serving, agent_client(serving, **options) as client:
            yield ManagedUnit(client, agent=serving)
        return
    habits = habits or Habits()
    if kind == "appliance-v1":
        habits.firmware = OLD_FIRMWARE
    async with (
        ScriptedAppliance(OWN_ADDRESS, habits) as appliance,
        appliance_client(appliance, **options) as client,
    ):
        yield ManagedUnit(client, appliance=appliance)


@contextlib.asynccontextmanager
async def agent_client(serving: Served, **options: Any) -> AsyncIterator[UnitClient]:
    """A client of an agent's API, with its certificate pinned."""
    certificate = x509.load_pem_x509_certificate(serving.identity.path.read_bytes())
    trust = Pinned(certificate.fingerprint(hashes.SHA256()).hex())
    credentials = UnitCredentials(user=serving.user, password=serving.password)
    client = UnitClient(Endpoint(ADDRESS, serving.port), trust, credentials, **options)
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def appliance_client(appliance: ScriptedAppliance, **options: Any) -> AsyncIterator[UnitClient]:
    """A client of an appliance, with its certificate pinned."""
    endpoint = Endpoint(appliance.address, appliance.port)
    client = UnitClient(endpoint, Pinned(appliance.fingerprint), appliance.credentials, **options)
    try:
        yield client
    finally:
        await client.close()
