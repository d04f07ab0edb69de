"""City time as a client knows it: `GET /api/v1/clock` now and then, reckoned on from the last answer in between."""

from __future__ import annotations

import asyncio
from typing import Any

from simulators.client import Session

POLL_S = 5.0
TRIP_MAX_S = 0.5  # machine seconds; a longer round trip tells too little
STEPPED_POLL_S = 0.15  # a stepped clock stands still between steps: ask often


class SimClock:
    """Call `sync` once before use; `run` keeps it right. Times in city microseconds."""

    def __init__(self, session: Session, *, poll_s: float = POLL_S) -> None:
        self._session = session
        self._poll_s = poll_s
        self._city_us = 0
        self._at_s = 0.0
        self.rate = 1.0
        self.kind = "real"
        self.tenant = ""

    @staticmethod
    def machine_s() -> float:
        """Monotonic seconds of the event loop."""
        return asyncio.get_running_loop().time()

    def city_us(self) -> int:
        if self.kind == "stepped":
            return self._city_us
        return self._city_us + round((self.machine_s() - self._at_s) * self.rate * 1e6)

    async def sync(self) -> None:
        """One reading, placed at the middle of the round trip; waits while nobody answers. Raises Refused."""
        asked_s = self.machine_s()
        body: dict[str, Any] = await self._session.get("/api/v1/clock")
        self._at_s = (asked_s + self.machine_s()) / 2
        self._city_us = int(body["city_us"])
        self.kind, self.tenant = str(body["kind"]), str(body["tenant"])
        self.rate = float(body["rate"]) if self.kind == "scaled" else 1.0

    async def run(self) -> None:
        """Until cancelled. While the server does not answer, time is reckoned on."""
        while True:
            await asyncio.sleep(STEPPED_POLL_S if self.kind == "stepped" else self._poll_s)
            await self.sync()
