"""Advancing a stepped clock: set the time, let the log's owner tick, and wait until everybody has read what there is."""

from __future__ import annotations

import asyncio
from typing import Protocol

from runtime.clock import SteppedClock
from runtime.context import RoleContext
from stream.reader import LogReader

DRAIN_TIMEOUT_S = 60.0
POLL_S = 0.002
US = 1_000_000


class Follower(Protocol):
    @property
    def position(self) -> int: ...


class Stepper:
    """One per process `command`. Steps take turns."""

    def __init__(self, context: RoleContext, picture: Follower, domain: Follower) -> None:
        self._clock = SteppedClock(context.settings.run_dir / "clock.step")
        self._run_dir = context.settings.run_dir
        self._log_dir = context.settings.log_dir
        self._followers = (picture, domain)
        self._turn = asyncio.Lock()

    async def advance(self, seconds: float) -> None:
        """Raises ValueError for a step backwards, TimeoutError when a consumer does not catch up within 60 s."""
        if seconds < 0:
            raise ValueError(f"seconds {seconds}: a stepped clock does not go back")
        async with self._turn, asyncio.timeout(DRAIN_TIMEOUT_S):
            with LogReader(self._log_dir) as reader:
                before = reader.head()
                self._clock.set_us(self._clock.city_us() + round(seconds * US))
                if seconds >= 1.0:
                    while reader.head() == before:  # the owner's tick is the first record of the new time
                        await asyncio.sleep(POLL_S)
                await self._drain(reader)

    async def _drain(self, reader: LogReader) -> None:
        """Until rules, picture and domain stand at the head, and the head stands still meanwhile."""
        while True:
            head = reader.head()
            rules = self._run_dir / "rules.position"
            behind = [f.position < head for f in self._followers]
            if not any(behind) and rules.exists() and int(rules.read_text() or 0) >= self._last_input(reader, head):
                await asyncio.sleep(POLL_S)
                if reader.head() == head:
                    return
            await asyncio.sleep(POLL_S)

    @staticmethod
    def _last_input(reader: LogReader, head: int) -> int:
        """The last record before `head` that the rules step on: transitions are their own."""
        from stream.records import RecordKind

        for record in reversed(reader.read(max(0, head - 200), 200)):
            if record.kind != RecordKind.TRANSITION:
                return record.position
        return 0
