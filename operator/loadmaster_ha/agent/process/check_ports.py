"""The health port, and its change while the unit serves: both answer until the balancer uses the new one.

So it does not matter whether the probe or the unit is changed first: until the balancer has asked the new
port `threshold` times, the old one stays open.
"""


class CheckPorts:
    """Which ports the health responder listens on.

    Args:
        port: the one in force at the start.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._former: list[int] = []
        self._asked = 0

    @property
    def ports(self) -> tuple[int, ...]:
        """The one in force, and those that it replaces."""
        return (self._port, *self._former)

    def use(self, port: int) -> None:
        """From now on this is the port in force."""
        if port == self._port:
            return
        self._former = [self._port, *(each for each in self._former if each != port)]
        self._port = port
        self._asked = 0

    def probed(self, port: int, count: int, threshold: int) -> bool:
        """The balancer asked this port so many times more; True when the former ones are closed by that."""
        if port != self._port or not self._former:
            return False
        self._asked += count
        if self._asked < threshold:
            return False
        self._former = []
        return True
