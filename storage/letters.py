"""Dead letters to be put in again, and what of them stands in history already. Implements `command_center.letters.Letters`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from command_center.letters import Letter, LetterFilter
from storage.batch import clean
from storage.database import Database, Row
from storage.statements import load
from storage.times import opt_time, to_time, to_us
from stream.records import ObsBatch

_SQL = load("letters")
TAKEN = "taken"


class LetterStore:
    """Raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def letters(self, asked: LetterFilter, after: int, limit: int) -> list[Letter]:
        """Oldest first, those behind a log position."""
        rows = await self._rows("letters_after", {"after": after, "limit": limit, **asked_params(asked)})
        return [
            Letter(
                position=row["position"],
                device_id=row["device_id"],
                receive_us=to_us(row["receive_time"]),
                reasons=tuple(row["data"].get("reasons") or (row["reason"],)),
                topic=str(row["data"].get("topic", "")),
                by_tcp=bool(row["data"].get("tcp")),
                truncated=bool(row["data"].get("truncated")),
                payload=row["raw"],
                taken=row["replayed"] == TAKEN,
            )
            for row in rows
        ]

    async def known_rows(self, batch: ObsBatch) -> npt.NDArray[np.bool_]:
        """(n,): whether history has the value already. Another value at the same time is not known: it is a conflict."""
        known = np.zeros(len(batch), np.bool_)
        if not len(batch):
            return known
        times = batch.column("phenomenon_us").to_pylist()
        params = {
            "n": list(range(len(batch))),
            "datastream": batch.column("datastream").to_pylist(),
            "phenomenon": [to_time(us) for us in times],
            "device": [opt_time(us) for us in batch.column("device_us").to_pylist()],
            "result": batch.column("result").to_pylist(),
            "text": [text and clean(text) for text in batch.column("text").to_pylist()],  # as the writer stores it
            "from_time": to_time(min(times)),
            "to_time": to_time(max(times)),
        }
        known[[row["n"] for row in await self._rows("known_rows", params)]] = True
        return known

    async def known_events(self, events: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Of (device, event id), those that stand already."""
        if not events:
            return set()
        params = {
            "n": list(range(len(events))),
            "device": [device_id for device_id, _ in events],
            "event": [clean(event_id) for _, event_id in events],
        }
        return {events[row["n"]] for row in await self._rows("known_events", params)}

    async def _rows(self, statement: str, params: dict[str, Any]) -> list[Row]:
        async with self._database.transaction() as conn:
            return await (await conn.execute(_SQL[statement], params)).fetchall()


def asked_params(asked: LetterFilter) -> dict[str, Any]:
    """The filter as the statements want it: what is not asked for is None."""
    return {
        "device_ids": None if asked.device_ids is None else list(asked.device_ids),
        "from_time": opt_time(asked.from_us),
        "to_time": opt_time(asked.to_us),
        "reason": asked.reason or None,
        "codec": asked.codec or None,
    }
