"""Token buckets on writes, per account and per address: a program that runs wild is told so (429) before it hurts the desk.

Generous on purpose: an account may write 20 times a second with bursts of 200, an address (a whole district's phones may share
one) ten times that. Reading, health and the live channel are not counted; guessing passwords has a brake of its own.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from command_center.api import metrics
from command_center.api.problems import Problem
from devices.clock import Clock

MAX_BUCKETS = 20_000  # oldest are forgotten, which fills them again


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Writes per second and burst. A rate of 0 limits nothing."""

    account_per_s: float = 20.0
    account_burst: float = 200.0
    address_per_s: float = 200.0
    address_burst: float = 2_000.0


class WriteLimiter:
    """`take` before each write. One bucket per account and one per address; machine time."""

    def __init__(self, clock: Clock, limits: Limits = Limits()) -> None:
        self._clock, self._limits = clock, limits
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # (tokens, at second)
        self.refused = 0

    def take(self, account: str, address: str) -> None:
        """Raises Problem 429 with Retry-After when the account or its address writes too fast."""
        limits = self._limits
        self._take(("account", account), limits.account_per_s, limits.account_burst)
        self._take(("address", address), limits.address_per_s, limits.address_burst)

    def _take(self, key: tuple[str, str], per_s: float, burst: float) -> None:
        if per_s <= 0:
            return
        now_s = self._clock.machine_ns() / 1e9
        tokens, at_s = self._buckets.get(key, (burst, now_s))
        tokens = min(burst, tokens + (now_s - at_s) * per_s)
        if tokens < 1:
            self.refused += 1
            metrics.WRITES_REFUSED.labels(by=key[0]).inc()
            wait_s = max(1, math.ceil((1 - tokens) / per_s))
            raise Problem(
                429,
                "too-many-writes",
                f"this {key[0]} writes faster than {per_s:g} times a second; try again in {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
        self._buckets[key] = (tokens - 1, now_s)
        self._buckets.move_to_end(key)
        while len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
