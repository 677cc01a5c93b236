"""Emulators for the proofs of fidelity, in this process; operations take a moment, as Azure's do."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.armclient import ArmClient

from loadmaster_ha.emulator.server import Emulator
from loadmaster_ha.emulator.settings import Settings

LATENCY_SECONDS = 0.2
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def subscription():
    return SUBSCRIPTION


@pytest.fixture
def azure():
    """A factory: `async with azure(subscription, ...) as client` is a client of a new emulator."""

    @asynccontextmanager
    async def start(*subscriptions, latency=LATENCY_SECONDS):
        settings = Settings(port=0, subscriptions=subscriptions, latency=latency)
        async with (
            Emulator(settings) as emulator,
            ArmClient(emulator.url, Path(emulator.state_dir) / "ca.pem") as client,
        ):
            yield client

    return start
