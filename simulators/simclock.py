"""City time as a client knows it: `GET /api/v1/clock` now and then, reckoned on from the last answer in between."""

from __future__ import annotations

import asyncio
from typing import Any

from simulators.client import Session

POLL_S = 5.0
SLACK_S = 0.05  # machine seconds of disagreement that is not a jump
STEPPED_POLL_S = 0.15  # a stepped clock stands still between steps: ask often


class SimClock:
    """Call `sync` once before use; `run` keeps it right. Times in city microseconds."""

    def __init__(self, session: Session, *, poll_s: float = POLL_S) -> None:
        self._session = session
        self._poll_s = poll_s
        self._city_us = 0
        self._at_s = 0.0
        self._trip_s = 0.0
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
        if not self._session.token:
            await self._session.sign_in()  # outside the measured trip
        asked_s = self.machine_s()
        body: dict[str, Any] = await self._session.get("/api/v1/clock")
        answered_s = self.machine_s()
        rate = float(body["rate"]) if body["kind"] == "scaled" else 1.0
        if not self._better(int(body["city_us"]), asked_s, answered_s, rate, str(body["kind"])):
            return
        self._at_s, self._trip_s = (asked_s + answered_s) / 2, answered_s - asked_s
        self._city_us = int(body["city_us"])
        self.kind, self.tenant, self.rate = str(body["kind"]), str(body["tenant"]), rate

    def _better(self, city_us: int, asked_s: float, answered_s: float, rate: float, kind: str) -> bool:
        """Whether an answer tells more than what we have: a quicker trip, or a clock that has jumped.

        A slow trip at 60x is minutes of city time; adopting it would make every device's clock stagger.
        """
        if kind == "stepped" or kind != self.kind or rate != self.rate or not self.tenant:
            return True
        trip_s = answered_s - asked_s
        expected_us = self._city_us + ((asked_s + answered_s) / 2 - self._at_s) * rate * 1e6
        apart_s = abs(city_us - expected_us) / 1e6 / rate
        return trip_s < self._trip_s or apart_s > (trip_s + self._trip_s) / 2 + SLACK_S

    async def run(self) -> None:
        """Until cancelled. While the server does not answer, time is reckoned on."""
        while True:
            await asyncio.sleep(STEPPED_POLL_S if self.kind == "stepped" else self._poll_s)
            await self.sync()
