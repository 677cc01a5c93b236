"""How often one may ask, and how often one may guess. No I/O; the clock is the caller's, monotonic seconds.

The appliance drops the connection when more than 30 calls arrive in less than 3 seconds ("RESTful API
Interface Description", 2.1). Here that is counted for each client, so that one cannot keep the others out.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

CALLS: Final = 30
SECONDS: Final = 3.0
MOST_CLIENTS: Final = 4096
"""How many clients are remembered; the one not heard of for longest is forgotten first."""
FREE_FAILURES: Final = 5
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 300.0
FORGOTTEN_AFTER: Final = 1800.0


class RateLimit:
    """At most so many calls of a client in so many seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        calls: int = CALLS,
        seconds: float = SECONDS,
        clients: int = MOST_CLIENTS,
    ) -> None:
        self._clock = clock
        self._calls = calls
        self._seconds = seconds
        self._most_clients = clients
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, client: str) -> bool:
        """Count a call of the client; False when it is one too many. Refused calls do not count."""
        now = self._clock()
        times = self._times.setdefault(client, deque(maxlen=self._calls))
        self._times.move_to_end(client)
        if len(self._times) > self._most_clients:
            self._times.popitem(last=False)
        if len(times) == self._calls and now - times[0] < self._seconds:
            return False
        times.append(now)
        return True


class LockOut:
    """Failed logins of a client as a user: after five, each further one has to wait longer.

    It is per client *and* user: somebody who guesses cannot lock the owner out from elsewhere.
    """

    def __init__(self, clock: Callable[[], float], *, clients: int = MOST_CLIENTS) -> None:
        self._clock = clock
        self._most_clients = clients
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def remaining(self, client: str, user: str) -> float:
        """Seconds that this client has to wait before it may try again as this user; 0: it may."""
        count, last = self._failures.get((client, user), (0, 0.0))
        if count <= FREE_FAILURES:
            return 0.0
        pause = min(FIRST_PAUSE * 2.0 ** min(count - FREE_FAILURES - 1, 32), LONGEST_PAUSE)
        return max(0.0, last + pause - self._clock())

    def failed(self, client: str, user: str) -> int:
        """Count a failure; how many there were in a row."""
        now = self._clock()
        count, last = self._failures.pop((client, user), (0, now))
        if now - last > FORGOTTEN_AFTER:
            count = 0
        self._failures[(client, user)] = (count + 1, now)
        if len(self._failures) > self._most_clients:
            self._failures.popitem(last=False)
        return count + 1

    def succeeded(self, client: str, user: str) -> None:
        """Forget the failures."""
        self._failures.pop((client, user), None)
