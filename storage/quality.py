"""What the observation side knows of devices whose data are in doubt. Implements `command_center.quality.Facts`."""

from __future__ import annotations

from command_center.errors import Unavailable
from command_center.quality import DeviceFacts
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.statements import load
from storage.times import opt_us, to_time
from stream.records import Source

_SQL = load("quality")


class QualityFacts:
    """One query on every tier, over the newest values and the indexes by time of what was not taken."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def device_facts(self, since_us: int) -> list[DeviceFacts]:
        params = {"since": to_time(since_us), "clock_fault": int(Source.CLOCK_FAULT)}
        try:
            async with self._database.transaction() as conn:
                rows = await (await conn.execute(_SQL["device_facts"], params)).fetchall()
        except DatabaseUnavailable as error:
            raise Unavailable(error.reason) from error
        return [
            DeviceFacts(
                device_id=row["device_id"],
                suspect=row["suspect"],
                clock=row["clock"],
                refused=row["refused"],
                last_refused_us=opt_us(row["last_refused_time"]),
            )
            for row in rows
        ]
