"""What the answers of one member to one probe mean: a pure state machine, with the clock as an argument.

Azure's page "Health probes" (as of 2025-12): an explicit answer decides at once, 200 is up and anything else
down, and ends the count of silence; the threshold counts only silence. Three points on which Microsoft's
pages disagree or are silent are switches (`Reading`).

`prober` sends the probes and feeds the answers in; `selection` asks who is up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

MAXIMUM_WAIT: Final = 30.0
"""Seconds after which a probe counts as unanswered, whatever its interval."""

FLUCTUATION_WINDOW: Final = 10
"""Intervals in which falls from up to down are counted."""
FLUCTUATION_FALLS: Final = 2
"""Falls in the window from which on a member counts as fluctuating. Azure does not document the number."""


class Answer(Enum):
    """How a probe ended."""

    GOOD = "good"
    """HTTP 200, or for a TCP probe a connection."""
    BAD = "bad"
    """An HTTP status that is not 200."""
    RESET = "reset"
    """Refused, reset, or closed without a status line: an end that is no HTTP answer."""
    SILENCE = "silence"
    """Nothing within min(interval, 30 s)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the disputed points are read."""

    reset_is_answer: bool = True
    """Whether a reset counts at once, like an answer that is not 200; else it counts as silence."""
    one_answer_suffices: bool = True
    """Whether one 200 brings a member back; else as many as the threshold says."""
    fluctuating_members_wait: bool = False
    """Whether a member that went down repeatedly needs more 200s in a row to come back."""


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What is known of one member through one probe. Times are seconds of one clock."""

    up: bool = False
    answer: Answer | None = None
    """The last probe's end; `None` before the first."""
    silent: int = 0
    """Failed probes in a row that count towards the threshold."""
    good: int = 0
    """Good answers in a row."""
    falls: tuple[float, ...] = ()
    """When it went from up to down, within the window."""

    @property
    def reason(self) -> str:
        """Return what rule health says, for an HTTP probe (Azure's page "Manage health status")."""
        if self.up:
            return "Up_Probe_ApproachingUnhealthyThreshold" if self.silent else "Up_Probe_Success"
        match self.answer:
            case Answer.BAD:
                return "Down_Probe_HttpStatusCodeError"
            case Answer.RESET:
                return "Down_Probe_HttpEndpointUnreachable"
            case Answer.SILENCE:
                return "Down_Probe_HttpNoResponse"
            case _:
                return "Down_Probe_ApproachingHealthyThreshold"

    @property
    def tcp_reason(self) -> str:
        """The same for a TCP probe, which knows no status."""
        return "Down_Probe_TcpProbeTimeout" if self.reason.startswith("Down_Probe_Http") else self.reason


def wait_for(interval: float) -> float:
    """Return how long a probe waits for its answer, in seconds."""
    return min(interval, MAXIMUM_WAIT)


def after(
    state: ProbeState, answer: Answer, now: float, *, threshold: int, interval: float, reading: Reading
) -> ProbeState:
    """Return the state after one more probe has ended."""
    falls = tuple(when for when in state.falls if now - when <= FLUCTUATION_WINDOW * interval)
    state = replace(state, falls=falls, answer=answer)
    if answer is Answer.GOOD:
        good = state.good + 1
        return replace(state, silent=0, good=good, up=state.up or good >= _needed(falls, threshold, reading))
    counts_at_once = answer is Answer.BAD or (answer is Answer.RESET and reading.reset_is_answer)
    silent = 0 if counts_at_once else state.silent + 1
    if state.up and (counts_at_once or silent >= threshold):
        return replace(state, up=False, good=0, silent=silent, falls=(*falls, now))
    return replace(state, good=0, silent=silent)


def _needed(falls: tuple[float, ...], threshold: int, reading: Reading) -> int:
    """How many good answers in a row bring a member back."""
    needed = 1 if reading.one_answer_suffices else threshold
    if reading.fluctuating_members_wait and len(falls) >= FLUCTUATION_FALLS:
        needed = max(needed, len(falls) + 1)
    return needed
