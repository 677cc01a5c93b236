"""Whole pairs: API server, operator, emulated Azure, two units; on a loopback of their own, given root."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support.first_pairs import (
    OPERATOR,
    PROBE_INTERVAL,
    QUICK,
    active_of,
    eventually,
    published_ports,
)

from lab.first_pair import FirstPair, open_first_pair
from lab.namespaces import why_unavailable
from lab.own_loopback import Wire, own_loopback

NO_NAMESPACES = why_unavailable()

OpenFirstPair = Callable[..., contextlib.AbstractAsyncContextManager[FirstPair]]


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire | None]:
    """Give the wire between all of a module's processes, to be cut; None where there is only everybody's."""
    if NO_NAMESPACES is not None:
        yield None
        return
    with own_loopback() as made:
        yield made


@pytest.fixture
def in_namespaces() -> None:
    """Skip where links cannot be cut."""
    if NO_NAMESPACES is not None:
        pytest.skip(f"links can be cut in network namespaces only: {NO_NAMESPACES}")


@pytest.fixture
def open_pair(wire: Wire | None, tmp_path: Path) -> OpenFirstPair:
    """Give a function that opens a laboratory with two fresh units, started; nothing has been applied yet."""

    @contextlib.asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[FirstPair]:
        given = {"probe_interval": PROBE_INTERVAL, "configuration": QUICK, "operator": OPERATOR, **options}
        async with open_first_pair(tmp_path / "first", **given) as first:
            await first.start_units()
            await first.prepare()
            yield first

    return opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def built(wire: Wire | None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FirstPair]:
    """Give a pair that the operator has built out of two fresh units, for the tests of a module."""
    async with open_first_pair(
        tmp_path_factory.mktemp("pair"),
        probe_interval=PROBE_INTERVAL,
        configuration=QUICK,
        operator=OPERATOR,
    ) as first:
        await first.start_units()
        await first.prepare()
        await first.start_operator()
        await first.apply()
        await first.until_ready(120)
        await eventually(
            lambda: published_ports(first), lambda found: first.port in found, "the service is published"
        )
        yield first


@pytest_asyncio.fixture(loop_scope="module")
async def first(built: FirstPair) -> FirstPair:
    """Give the module's pair, well, whatever became of it: one unit active, the other one ready."""
    for unit in built.units:
        if not unit.running:
            await unit.start()
    if not built.operator.process.running:
        await built.start_operator()
    await active_of(built)
    await built.until_condition("PairHealthy", "True", "ActiveStandby")
    await built.until_ready()
    return built
