"""Fixtures for every level of tests; what they are made of is in tests/support."""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from tests.support.controlplane import empty_namespace, shared_control_plane
from tests.support.emulator import emulator, emulator_latency

from controlplane.server import ControlPlane

__all__ = ["emulator", "emulator_latency"]  # fixtures for all levels

# No deadline per example: on a busy machine it fails tests that are right. `long` is for a night.
settings.register_profile("short", deadline=None, print_blob=True)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

# Debian keeps haproxy, nft and tcpdump where ordinary accounts do not look.
os.environ["PATH"] = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"]
)

CONTROL_PLANE_FIXTURES = {"control_plane", "start_control_plane"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need kube-apiserver and etcd, so that `-m "not controlplane"` leaves them out."""
    for item in items:
        if CONTROL_PLANE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.controlplane)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[ControlPlane]:
    """Give the real API server that all tests of the run share; use a namespace of your own in it."""
    base = tmp_path_factory.getbasetemp()
    run = base if worker_id == "master" else base.parent  # the workers' folders are siblings
    with shared_control_plane(run / "control-plane.txt") as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Give the name of a new namespace in the shared control plane; ours in it is removed afterwards."""
    name = control_plane.create_namespace()
    yield name
    empty_namespace(control_plane, name)


@pytest.fixture
def start_control_plane() -> Iterator[Callable[[], ControlPlane]]:
    """Give a function that starts a control plane for this test alone; all are stopped afterwards."""
    started: list[ControlPlane] = []

    def start() -> ControlPlane:
        started.append(ControlPlane.start())
        return started[-1]

    yield start
    for plane in started:
        plane.stop()
