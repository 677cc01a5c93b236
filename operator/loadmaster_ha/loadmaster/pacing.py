"""How often a unit may be called: pure, the clock is the caller's (monotonic seconds).

The appliance drops the connection when more than 30 calls arrive in less than 3 seconds, counted over
everybody ("RESTful API Interface Description", 2.1). So a client makes at most 10 in a second, and not 30 but
25 in 3 seconds: the rest is for people in the web user interface, and for delays on the way that push calls
together. Short bursts pass at once.
"""

import math
from collections import deque
from typing import Final

LIMITS: Final = ((10, 1.0), (25, 3.0))
"""At most so many calls begin within so many seconds."""
BACK_OFF_SECONDS: Final = 3.0
"""After a connection that the unit dropped: so long it takes to forget the calls that it counted."""


class Pace:
    """When the next call to one unit may begin."""

    def __init__(self) -> None:
        self._starts: deque[float] = deque(maxlen=max(calls for calls, _ in LIMITS))
        self._not_before = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until a call may begin; 0: now. Ask again after waiting, others may have been faster."""
        starts = self._starts
        times = [starts[-calls] + seconds for calls, seconds in LIMITS if len(starts) >= calls]
        return max(0.0, max((self._not_before, *times)) - now)

    def started(self, now: float) -> None:
        """A call begins."""
        self._starts.append(now)

    def back_off(self, now: float, seconds: float = BACK_OFF_SECONDS) -> None:
        """No call begins before `seconds` are over; never shortens an earlier one."""
        self._not_before = max(self._not_before, now + seconds)
