"""Fixtures of the tests that run the operator: what they share within a module is made once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.emulator import running_emulator
from tests.support.pairs import install_crd
from tests.support.rig import Rig, Stage, rigged

from controlplane.server import ControlPlane


@pytest.fixture(scope="session")
def crd(control_plane: ControlPlane) -> None:
    """Have the custom resource served by the shared control plane."""
    install_crd(control_plane)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    control_plane: ControlPlane, crd: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Give an emulator for the tests of a module, beside the shared control plane."""
    async with running_emulator() as emulator:
        yield Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Give one operator at work for the tests of a module: each makes a world and a pair of its own."""
    name = request.node.name.removeprefix("test_").removesuffix(".py").replace("_", "-")
    async with rigged(stage, name) as found:
        yield found
