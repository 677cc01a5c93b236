"""What the lane tells in the background: statuses and Events to the board, questions to Azure."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.watching import failover_words
from loadmaster_ha.controller.watching.model import AzureSource, Board
from loadmaster_ha.controller.watching.watched import Watched, WatchFigures
from loadmaster_ha.domain.reading import Present, Reading, Unknown
from loadmaster_ha.planning.diagnosis.model import RuleHealth

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 10.0
"""Seconds before what the API server did not take is written again."""

SETTLING_SECONDS: Final = 0.3
"""So long at most what is no fail-over (yet) is kept back. A change is heard of bit by bit, of two units, by
health ports and management; were each bit written, the one that tells of the fail-over would have to wait."""


async def tell(watched: Watched, board: Board, figures: WatchFigures, clock: Callable[[], float]) -> None:
    """Hand over everything that waits, the latest first; what cannot be written is tried again.

    Raises:
        LeaseLost: this process may not write any more.
    """
    pause = FIRST_PAUSE
    try:
        if not watched.reports:
            await _settled(watched)
        while watched.waiting is not None or watched.reports:
            if (situation := watched.waiting) is not None:
                try:
                    await board.watched(watched.key, situation)
                except KubernetesError as problem:
                    log.warning("What was seen of %s could not be stored: %s", watched.key, problem)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                    continue
                pause = FIRST_PAUSE
                figures.on_reported(clock() - watched.observed_at)
                if watched.waiting is situation:
                    watched.waiting = None
            reports, watched.reports = watched.reports, []
            for event in filter(None, map(failover_words.event, reports)):
                await board.event(watched.key, event)
    finally:
        watched.telling = None


async def _settled(watched: Watched) -> None:
    """Wait a little, but no longer than until there is a fail-over to be told."""
    watched.reported = asyncio.Event()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLING_SECONDS):
                await watched.reported.wait()
    finally:
        watched.reported = None


async def ask_azure(watched: Watched, azure: AzureSource, figures: WatchFigures) -> Reading[RuleHealth]:
    """Azure's view of the members behind the check port's rule."""
    session, rule = azure.azure_session(watched.key), watched.watch.facts.health_rule
    found: Reading[RuleHealth]
    if session is None or rule is None:
        found = Unknown("NotAsked", "Azure has not been signed in to for this pair.")
    else:
        found = await session.rule_health(rule)
    figures.on_poll_ended("RuleHealth", "Ok" if isinstance(found, Present) else found.reason)
    return found
