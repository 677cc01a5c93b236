"""How often a unit may be called: pure, the clock is the caller's (monotonic seconds).

The appliance drops the connection when more than 30 calls arrive in less than 3 seconds, counted over
everybody ("RESTful API Interface Description", 2.1). So a client makes at most 10 in a second, and not 30 but
25 in 3 seconds: the rest is for people in the web user interface, and for delays on the way that push calls
together. Short bursts pass at once.

Within that pace whoever reads or changes settings goes before those who only watch (in the background): while
a unit is worked with, a watcher's question would only make the work longer.
"""

import math
from typing import Final

LIMITS: Final = ((10, 1.0), (25, 3.0))
"""At most so many calls begin within so many seconds."""
_LONGEST: Final = max(seconds for _, seconds in LIMITS)
BACK_OFF_SECONDS: Final = 3.0
"""After a connection that the unit dropped: so long it takes to forget the calls that it counted."""
QUIET_SECONDS: Final = 0.3
"""A unit that nobody has called for so long is not worked with: those in the background may call."""
FIRST_WORK_SECONDS: Final = 1.5
"""So long the work on a unit that has just become known goes first: it may have to wait for other things."""
PATIENCE_SECONDS: Final = 3.0
"""They wait no longer than this, however much work there is."""


class Pace:
    """When the next call to one unit may begin.

    Args:
        begun: since when there is somebody to call the unit; work usually begins right then.
    """

    def __init__(self, begun: float = -math.inf) -> None:
        self._worked_at = begun + FIRST_WORK_SECONDS - QUIET_SECONDS
        self._starts: tuple[float, ...] = ()
        """Of the calls that still count, oldest first. No deque: that takes 600 bytes when it is empty."""
        self._not_before = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until a call may begin; 0: now. Ask again after waiting, others may have been faster."""
        starts = self._starts
        times = [starts[-calls] + seconds for calls, seconds in LIMITS if len(starts) >= calls]
        return max(0.0, max((self._not_before, *times)) - now)

    def wait_in_background(self, now: float, since: float) -> float:
        """Seconds to put off a call that can be, and has been since `since`; then it queues like others."""
        quiet = max(self.wait(now), self._worked_at + QUIET_SECONDS - now)
        return max(0.0, min(quiet, since + PATIENCE_SECONDS - now))

    def started(self, now: float, *, background: bool = False) -> None:
        """A call begins."""
        self._starts = (*(each for each in self._starts if each > now - _LONGEST), now)
        if not background:
            self._worked_at = max(self._worked_at, now)

    def restarted(self) -> None:
        """The unit is down, or has started anew: it does not remember what it was called before.

        The last call, by which that was found, counts.
        """
        self._starts, self._not_before = self._starts[-1:], -math.inf

    def back_off(self, now: float, seconds: float = BACK_OFF_SECONDS) -> None:
        """No call begins before `seconds` are over; never shortens an earlier one."""
        self._not_before = max(self._not_before, now + seconds)
