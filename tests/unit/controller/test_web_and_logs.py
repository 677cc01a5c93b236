"""Probes that answer from what is the case, and logs that machines and people can read."""

import asyncio
import io
import json
import logging

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from loadmaster_ha.controller.web import (
    InvalidAddress,
    LoopLag,
    health_application,
    metrics_application,
    parse_address,
    serving,
)
from loadmaster_ha.telemetry import logs


async def fetch(port, path):
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_a_probe_fails_with_every_reason_and_recovers():
    problems = ["deaf", None, "slow"]
    application = health_application(
        alive=[lambda: problems[0], lambda: problems[1]], ready=[lambda: problems[2]]
    )
    async with serving(application, "127.0.0.1:0", "health") as port:
        assert await fetch(port, "/healthz") == (503, "deaf\n")
        problems[1] = "late"
        assert await fetch(port, "/healthz") == (503, "deaf\nlate\n")
        assert await fetch(port, "/readyz") == (503, "slow\n")
        problems[:] = [None] * 3
        assert await fetch(port, "/healthz") == (200, "ok\n")
        assert await fetch(port, "/readyz") == (200, "ok\n")


async def test_metrics_are_served_as_prometheus_reads_them():
    registry = CollectorRegistry()
    Gauge("some_gauge", "Something", registry=registry).set(3)
    async with serving(metrics_application(registry), "127.0.0.1:0", "metrics") as port:
        status, text = await fetch(port, "/metrics")
    assert status == 200
    assert "some_gauge 3.0" in text


async def test_a_blocked_loop_is_noticed():
    lag = LoopLag()
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    assert lag.check() is None
    lag._worst = 7.0
    assert "7.0 s late" in lag.check()
    task.cancel()


@pytest.mark.parametrize(
    ("text", "address"), [("127.0.0.1:90", ("127.0.0.1", 90)), ("[::1]:0", ("::1", 0)), ("h:1", ("h", 1))]
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["9090", ":9090", "host:", "host:http", "host:70000", ""])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidAddress, match="HOST:PORT"):
        parse_address(text)


@pytest.fixture
def log_to():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()

    def configure(style):
        logs.configure(style=style, level="info", stream=stream)
        return stream

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object_with_what_it_is_about(log_to):
    stream = log_to("json")
    with logs.about(namespace="edge", name="web"):
        logging.getLogger("x").warning("two\nlines of %s", "text", extra={"event": "Stalled"})
        try:
            int("bad")
        except ValueError:
            logging.getLogger("x").exception("broken")
    logging.getLogger("x").info("after")
    first, second, third = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first["message"] == "two\nlines of text"
    assert (first["namespace"], first["name"], first["event"]) == ("edge", "web", "Stalled")
    assert first["level"] == "warning"
    assert "ValueError: invalid literal" in second["error"]
    assert "namespace" not in third


def test_text_is_for_people(log_to):
    stream = log_to("text")
    with logs.about(name="web"):
        logging.getLogger("x").info("hello")
    assert stream.getvalue().endswith("hello [name=web]\n")


async def test_visits_side_by_side_keep_their_context(log_to):
    stream = log_to("json")

    async def visit(name):
        with logs.about(name=name):
            await asyncio.sleep(0)
            logging.getLogger("x").info(name)

    await asyncio.gather(visit("a"), visit("b"))
    assert all(line["name"] == line["message"] for line in map(json.loads, stream.getvalue().splitlines()))
