"""What the HA engine wants done, done: each effect is one call, and none of them blocks.

Questions to health ports run as tasks of their own; their answers are fed back to the engine. Every change of
state and every notice is a log line that a person understands, and is counted.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from loadmaster_ha.agent.ha import wire
from loadmaster_ha.agent.ha.model import (
    Answer,
    AskPartnerPage,
    AskWitness,
    Effect,
    Event,
    Notice,
    Page,
    PartnerPage,
    Report,
    Stop,
    SwitchoverEnded,
    Tell,
    Transition,
    WitnessAnswered,
)
from loadmaster_ha.agent.link.partner import PartnerLink
from loadmaster_ha.agent.process import partner_page
from loadmaster_ha.domain.ha import UnitState

log = logging.getLogger(__name__)

REPORT = "report"
"""Of the link's messages: a heartbeat."""


@dataclass(slots=True)
class Tally:
    """What the engine did, for the metrics."""

    transitions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By old state, new state and reason."""
    switchovers: Counter[str] = field(default_factory=Counter)
    """By `Done` and `Aborted`."""


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the effects go."""

    say: Callable[[], None]
    """The answer of the health port is another one."""
    feed: Callable[[Event], None]
    ended: Callable[[SwitchoverEnded], None]
    stop: Callable[[], None]
    partner: Callable[[], str | None]
    frontend: Callable[[], tuple[str | None, int]]
    """The balancer's address, and the check port."""


class Effects:
    """Does effects.

    Args:
        link: to the partner.
        source: this unit's own address, from which health ports are asked.
        outlets: all else.
    """

    def __init__(self, link: PartnerLink, source: str, outlets: Outlets) -> None:
        self.tally = Tally()
        self._link = link
        self._source = source
        self._outlets = outlets
        self._tasks: set[asyncio.Task[None]] = set()
        self._report: Report | None = None

    def perform(self, effect: Effect) -> None:
        """Do one."""
        match effect:
            case Answer():
                self._outlets.say()
            case Tell(report):
                self._report = report
                self.tell()
            case AskPartnerPage(limit, port, asked):
                self._spawn(
                    self._ask(self._outlets.partner(), port, limit, partial(PartnerPage, asked=asked))
                )
            case AskWitness(limit, asked):
                address, port = self._outlets.frontend()
                self._spawn(self._ask(address, port, limit, partial(WitnessAnswered, asked=asked)))
            case Transition():
                self._transition(effect)
            case Notice(reason, message, ended):
                text = "Over: %s" if ended else "%s"
                log.log(logging.INFO if ended else logging.WARNING, text, message, extra={"reason": reason})
            case SwitchoverEnded():
                self._switchover(effect)
            case Stop():
                self._outlets.stop()

    def tell(self) -> None:
        """Send the last report; to a partner that has just come, it is the first it hears."""
        if self._report is not None and self._link.status().connected:
            self._link.send(REPORT, wire.encode(self._report))

    def end(self) -> None:
        """Forget the questions under way."""
        for task in self._tasks:
            task.cancel()

    def _transition(self, effect: Transition) -> None:
        self.tally.transitions[effect.old.value, effect.new.value, effect.reason] += 1
        log.log(
            logging.ERROR if effect.new is UnitState.FAILED else logging.INFO,
            "%s -> %s: %s",
            effect.old.value,
            effect.new.value,
            effect.message,
            extra={"from": effect.old.value, "to": effect.new.value, "reason": effect.reason},
        )

    def _switchover(self, effect: SwitchoverEnded) -> None:
        self.tally.switchovers["Done" if effect.done else "Aborted"] += 1
        log.log(
            logging.INFO if effect.done else logging.WARNING,
            "Switch-over %s: %s",
            "done" if effect.done else "aborted",
            effect.message,
            extra={"switchover": effect.id, "reason": effect.reason},
        )
        self._outlets.ended(effect)

    async def _ask(
        self,
        address: str | None,
        port: int,
        limit: float,
        answer: Callable[[Page, str], Event],
    ) -> None:
        if address is None:
            return
        page, says = await partner_page.ask(address, port, source=self._source, limit=limit)
        self._outlets.feed(answer(page, says))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
