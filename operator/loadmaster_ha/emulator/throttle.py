"""ARM's and the network provider's request budgets, as token buckets.

ARM, per subscription and principal: reads 250 and 25 a second, writes 200 and 10 a second, deletes 200 and 10
a second. The network provider, per subscription: 1000 writes and deletes, 10000 reads in five minutes. A
refused request costs nothing and learns how long to wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadmaster_ha.emulator.errors import throttled

_ARM = {"reads": (250.0, 25.0), "writes": (200.0, 10.0), "deletes": (200.0, 10.0)}
_NETWORK = {"reads": (10000.0, 10000 / 300), "writes": (1000.0, 1000 / 300)}
_GLOBAL = {"reads": 16500, "writes": 12000, "deletes": 12000}


@dataclass(slots=True)
class _Bucket:
    size: float
    refill: float
    level: float
    seen: float

    def fill(self, now: float) -> None:
        self.level = min(self.size, self.level + max(0.0, now - self.seen) * self.refill)
        self.seen = now

    def wait(self) -> int:
        """Whole seconds until one request fits; 0 when it does now."""
        return 0 if self.level >= 1 else max(1, math.ceil((1 - self.level) / self.refill))


class Throttle:
    """All buckets. `factor` scales sizes and refills; 0 switches throttling off."""

    def __init__(self, factor: float = 0.0) -> None:
        self.factor = factor
        self._buckets: dict[tuple[str, ...], _Bucket] = {}

    def set_factor(self, factor: float) -> None:
        """Change the scale; all buckets start full again."""
        self.factor = factor
        self._buckets.clear()

    def admit(
        self, method: str, subscription: str, principal: str, namespace: str, now: float
    ) -> dict[str, str]:
        """Take one request from its budgets and return the headers that tell what is left.

        Raises:
            ArmError: 429 `SubscriptionRequestsThrottled` (ARM) or `TooManyRequests` (provider), with
            `Retry-After`.
        """
        kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")
        name = f"x-ms-ratelimit-remaining-subscription-{kind}"
        shared = {f"x-ms-ratelimit-remaining-subscription-global-{kind}": str(_GLOBAL[kind] - 1)}
        if self.factor <= 0:
            return shared | {name: str(int(_ARM[kind][0]) - 1)}
        arm = self._bucket(("arm", kind, subscription, principal), *_ARM[kind], now)
        if arm.wait():
            raise throttled(
                arm.wait(),
                code="SubscriptionRequestsThrottled",
                message=f"Number of '{kind}' requests for subscription '{subscription}' actor '{principal}' "
                "exceeded. "
                f"Please try again after '{arm.wait()}' seconds after additional tokens are available.",
            )
        if namespace.lower() == "microsoft.network":
            rest = "reads" if kind == "reads" else "writes"
            network = self._bucket(("network", rest, subscription), *_NETWORK[rest], now)
            if network.wait():
                raise throttled(
                    network.wait(),
                    code="TooManyRequests",
                    message="The request is being throttled as the limit has been reached for operation type "
                    "- "
                    f"{'Read' if rest == 'reads' else 'Write'}_ObservationWindow_00:05:00.",
                )
            network.level -= 1
        arm.level -= 1
        return shared | {name: str(int(arm.level))}

    def _bucket(self, key: tuple[str, ...], size: float, refill: float, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            full = max(1.0, size * self.factor)
            bucket = self._buckets[key] = _Bucket(full, refill * self.factor, full, now)
        bucket.fill(now)
        return bucket
