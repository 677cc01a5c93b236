"""Laboratories for the life of a pair: in network namespaces where root is there, else on loopback."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lab import poor_line
from lab.namespaces import why_unavailable
from lab.nodes import Lab, open_lab

NO_NAMESPACES = why_unavailable()

QUICK = {"failover": {"failbackDelaySeconds": 3, "drainSeconds": 3, "finishSeconds": 5}}
"""Waits of the agent that are long on purpose; 10, 15 and 30 s otherwise."""

OpenLab = Callable[..., contextlib.AbstractAsyncContextManager[Lab]]


@pytest.fixture
def open_laboratory(tmp_path: Path) -> OpenLab:
    """Give a function that opens a laboratory with a probe interval of 1 s; its units are not started."""

    def opened(**options: Any) -> contextlib.AbstractAsyncContextManager[Lab]:
        given = {"namespaces": NO_NAMESPACES is None, "probe_interval": 1, "configuration": QUICK, **options}
        return open_lab(tmp_path / "lab", **given)

    return opened


@pytest.fixture
async def lab(open_laboratory: OpenLab) -> AsyncIterator[Lab]:
    """Give a pair that serves a service on port 8080, the master being active."""
    async with open_laboratory() as laboratory:
        await laboratory.start()
        await laboratory.publish()
        yield laboratory


@pytest.fixture
def in_namespaces() -> None:
    """Skip where links cannot be cut."""
    if NO_NAMESPACES is not None:
        pytest.skip(f"links can be cut in network namespaces only: {NO_NAMESPACES}")


@pytest.fixture
def over_poor_lines(in_namespaces: None) -> None:
    """Skip where lines cannot be made worse."""
    if (why := poor_line.why_unavailable()) is not None:
        pytest.skip(why)
