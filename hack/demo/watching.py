"""What happens while the demo waits: writes to Azure and to the units, conditions, Events, as they come."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from rich.markup import escape
from tests.support.world import SUBSCRIPTION

from demo.voice import Voice
from lab.cluster import conditions
from lab.first_pair import FirstPair

SHOWN: Final = ("Ready", "PairHealthy", "Stalled", "Deleting")
WORTH_TELLING: Final = ("FailedOver", "SwitchedOver", "DriftRepaired")
QUIET: Final = ("Ready", "Deleting")
"""Conditions whose message the lines beside them say already."""
WATCH_SECONDS: Final = 0.15

_SUBSCRIPTION_PREFIX: Final = f"/subscriptions/{SUBSCRIPTION}"
_WRITE: Final = re.compile(r"INFO +(\w+) by \S+ at \S+ \((.*)\) done")


class Watching:
    """Tells each thing once."""

    def __init__(self, first: FirstPair, voice: Voice) -> None:
        self._first = first
        self._voice = voice
        self._azure = 0
        self._log = [0, 0]
        self._conditions: dict[str, tuple[str, str]] = {}
        self._events: set[str] = set()
        self.took: dict[str, float] = {}

    @contextlib.asynccontextmanager
    async def during(self, what: str) -> AsyncIterator[None]:
        """Tell what happens in this block, and at its end how long it took."""
        began = time.monotonic()
        going = asyncio.ensure_future(self._go_on())
        try:
            yield
            took = time.monotonic() - began
            await asyncio.sleep(2 * WATCH_SECONDS)  # so that the last of it is told
        finally:
            going.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await going
        self.took[what] = took
        self._voice.say(f"[bold green]{what} after {took:.1f} s[/]")

    async def forget_what_happened(self) -> None:
        """What was done so far was the demo's own doing: not told."""
        self._azure = len(await self._azure_writes())
        self._log = [unit.log.stat().st_size for unit in self._first.units]

    async def _go_on(self) -> None:
        while True:
            await self._show_azure()
            for number in (0, 1):
                self._show_unit(number)
            self._show_conditions(await self._first.pair())
            await self._show_events()
            await asyncio.sleep(WATCH_SECONDS)

    async def _show_azure(self) -> None:
        writes = await self._azure_writes()
        for write in writes[self._azure :]:
            self._voice.say(f"[yellow]Azure <- {write['method']} {_short(write['path'])}[/]", crop=True)
        self._azure = len(writes)

    def _show_unit(self, number: int) -> None:
        unit = self._first.units[number]
        text = unit.log.read_bytes()[self._log[number] :]
        whole = text[: text.rfind(b"\n") + 1]
        self._log[number] += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            if found := _WRITE.search(line):
                said = escape(f"{found[1]} {found[2]}".strip())
                self._voice.say(f"[magenta]{unit.role.lower():>6} <- {said}[/]", crop=True)

    def _show_conditions(self, pair: dict[str, Any] | None) -> None:
        found = conditions(pair)
        for kind in SHOWN:
            item = found.get(kind)
            if item is None or (kind in {"Stalled", "Deleting"} and item["status"] == "False"):
                continue
            now = (item["status"], item["reason"])
            if self._conditions.get(kind) != now:
                self._conditions[kind] = now
                message = "" if kind in QUIET else f": {_brief(item.get('message', ''))}"
                self._voice.say(f"[cyan]{kind}={now[0]}[/] {now[1]}{message}", crop=True)

    async def _show_events(self) -> None:
        for event in await self._first.events(*WORTH_TELLING):
            name = event["metadata"]["name"]
            if name not in self._events:
                self._events.add(name)
                self._voice.say(f"[cyan]Event {event['reason']}:[/] {_brief(event['note'])}")

    async def _azure_writes(self) -> list[dict[str, Any]]:
        return list((await self._first.stage.emulator.requests())["writes"])


def _short(path: str) -> str:
    """`loadBalancers/web-ilb`, `lm-nsg/securityRules/lm_web_probe`: what a request is about."""
    parts = path.partition("/providers/")[2].partition("?")[0].split("/")
    return "/".join(parts[1:] if len(parts) <= 3 else parts[2:])


def _brief(message: str) -> str:
    return escape(message.replace(_SUBSCRIPTION_PREFIX, ""))
