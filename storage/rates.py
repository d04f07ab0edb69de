"""Reporting and online rates of the vendors' devices, from stored observations. Implements `command_center.device_care.rates.Rates`."""

from __future__ import annotations

from collections.abc import Sequence

from command_center.device_care.rates import VendorRate
from storage.batch import clean
from storage.database import Database
from storage.statements import load
from storage.times import to_time

_SQL = load("rates")


class RateStore:
    """Raises DatabaseUnavailable. One query on every tier."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def vendor_rates(self, from_us: int, to_us: int, *, vendor: str, areas: Sequence[str]) -> list[VendorRate]:
        params = {
            "from_time": to_time(from_us),
            "to_time": to_time(to_us),
            "vendor": clean(vendor),
            "areas": [clean(area) for area in areas],
        }
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["room_for_slots"])
            rows = await (await conn.execute(_SQL["vendor_rates"], params)).fetchall()
        return [
            VendorRate(
                vendor=row["vendor"],
                devices=row["devices"],
                silent_devices=row["silent"],
                series=row["series"],
                expected=row["expected"],
                received=row["received"],
                reporting_rate=round(row["received"] / row["expected"], 4) if row["expected"] else None,
                online_rate=round(float(row["online_rate"]), 4),
            )
            for row in rows
        ]
