"""Fixtures of the simulations that run the real operator."""

from collections.abc import AsyncIterator

import pytest
from tests.support.emulator import running_emulator
from tests.support.pairs import install_crd
from tests.support.rig import Stage

from controlplane.server import ControlPlane


@pytest.fixture
def emulator_latency() -> float:
    """How long Azure's operations take, in seconds; parametrise with `indirect=True`."""
    return 0.0


@pytest.fixture
async def stage(control_plane: ControlPlane, emulator_latency: float, tmp_path) -> AsyncIterator[Stage]:
    """Give an emulator of its own, beside the shared control plane."""
    install_crd(control_plane)
    async with running_emulator("--latency", str(emulator_latency)) as emulator:
        yield Stage(control_plane, emulator, tmp_path)
