"""City time as a client knows it: `GET /api/v1/clock` now and then, reckoned on from the last answer in between."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import structlog

log = structlog.get_logger()

POLL_S = 5.0
STEPPED_POLL_S = 0.15  # a stepped clock stands still between steps: ask often
REQUEST_TIMEOUT_S = 5.0


class SimClock:
    """Call `sync` once before use; `run` keeps it right. Times in city microseconds."""

    def __init__(self, http: httpx.AsyncClient, *, poll_s: float = POLL_S) -> None:
        self._http = http
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
        """One reading, placed at the middle of the round trip. Raises httpx.HTTPError."""
        asked_s = self.machine_s()
        answer = await self._http.get("/api/v1/clock", timeout=REQUEST_TIMEOUT_S)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        self._at_s = (asked_s + self.machine_s()) / 2
        self._city_us = int(body["city_us"])
        self.kind, self.tenant = str(body["kind"]), str(body["tenant"])
        self.rate = float(body["rate"]) if self.kind == "scaled" else 1.0

    async def run(self) -> None:
        """Until cancelled. While the server does not answer, time is reckoned on."""
        while True:
            await asyncio.sleep(STEPPED_POLL_S if self.kind == "stepped" else self._poll_s)
            try:
                await self.sync()
            except httpx.HTTPError as error:
                log.warning("clock_unreachable", error=str(error))
