"""A real Prometheus that scrapes one target every second."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from lab.processes import Process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATIENCE_SECONDS = 30.0


class Prometheus:
    """Asks what it has stored."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The present value of each series of an expression, by its labels."""
        async with self._session.get(f"{self._url}/api/v1/query", params={"query": expression}) as answer:
            found: Any = await answer.json()
        assert found["status"] == "success", found
        return {
            tuple(
                sorted((name, value) for name, value in each["metric"].items() if name != "__name__")
            ): float(each["value"][1])
            for each in found["data"]["result"]
        }

    async def value(self, expression: str) -> float | None:
        """The value of an expression that has one series, or None."""
        found = list((await self.query(expression)).values())
        assert len(found) < 2, found
        return found[0] if found else None

    async def until(self, expression: str, wanted: float) -> None:
        """Wait until the expression has the value.

        Raises:
            AssertionError: it has not within half a minute.
        """
        found: float | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (found := await self.value(expression)) != wanted:  # noqa: ASYNC110 - tells nobody
                    await asyncio.sleep(0.2)
        assert found == wanted, f"{expression} is {found}"


@contextlib.asynccontextmanager
async def scraping(port: int, folder: Path) -> AsyncIterator[Prometheus]:
    """Scrape 127.0.0.1:PORT; skips the test where there is no Prometheus."""
    if (program := shutil.which("prometheus")) is None:
        pytest.skip("prometheus is not installed (make system)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = free.getsockname()[1]
    configuration = folder / "prometheus.yaml"
    job = {"job_name": "operator", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    configuration.write_text(
        yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}), encoding="utf-8"
    )
    async with Process(
        "prometheus",
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{own}",
        log=folder / "prometheus.log",
    ) as process:
        await process.until(lambda text: "Server is ready" in text)
        async with aiohttp.ClientSession() as session:
            prometheus = Prometheus(f"http://127.0.0.1:{own}", session)
            await prometheus.until('up{job="operator"}', 1.0)
            yield prometheus
