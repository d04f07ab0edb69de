"""Reads of the observation side: latest values, history, buckets, and what became of a device's messages.

Implements `command_center.api.deps.History`. The statements are the same on every tier. Times are city microseconds.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.rows import tuple_row

from command_center.letters import LetterFilter
from storage.database import Database, Row
from storage.letters import asked_params
from storage.rollups import DAY_US, HOUR_US, MINUTE_US, ZONE_US
from storage.statements import load
from storage.times import MicrosecondsLoader, opt_us, to_time
from storage.times import to_us as _us
from stream.records import Quality, Source

_SQL = load("history")
PAGE_MAX = 10_000
LAST_MESSAGES = 20  # what a vendor sees of a device at a glance
_LOOK_BACK_US = (
    8 * 86_400 * 1_000_000
)  # last messages are searched this far before the last receipt, not in all history
_LAST_POSITION = 2**63 - 1


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A stored value of one series. `text` for properties typed text; else `result`."""

    phenomenon_us: int
    receive_us: int
    device_us: int | None
    result: float | None
    text: str | None
    quality: int
    source: int


class LatestValue(Sample, frozen=True, kw_only=True):
    datastream: int
    device_id: str
    property: str


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of [t_us, t_us + bucket): all samples, whatever their flag; `good` is the share with quality 1.

    `last` is the value with the largest phenomenon time. For text, min, max, mean and last are None and `last_text` set.
    """

    t_us: int
    count: int
    min: float | None
    max: float | None
    mean: float | None
    last: float | None
    last_text: str | None
    good: float


class HistoryStore:
    """Raises DatabaseUnavailable. `bucket_us` and limits must be positive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self, device_ids: Sequence[str] | None = None) -> list[LatestValue]:
        """The newest value of every series (of some devices), by datastream."""
        name = "latest_all" if device_ids is None else "latest_of"
        rows = await self._rows(name, {} if device_ids is None else {"device_ids": list(device_ids)})
        return [
            LatestValue(
                **_sample(row), datastream=row["datastream"], device_id=row["device_id"], property=row["property"]
            )
            for row in rows
        ]

    async def history(self, datastream: int, from_us: int, to_us: int, limit: int = PAGE_MAX) -> list[Sample]:
        """One series over [from, to), oldest first, at most `limit` (PAGE_MAX). The next page starts behind the last."""
        params = {
            "datastream": datastream,
            "from_time": to_time(from_us),
            "to_time": to_time(to_us),
            "limit": min(limit, PAGE_MAX),
        }
        async with self._database.transaction() as conn, conn.cursor(binary=True, row_factory=tuple_row) as cursor:
            cursor.adapters.register_loader("timestamptz", MicrosecondsLoader)
            rows = await (await cursor.execute(_SQL["rows"], params)).fetchall()
        return [
            Sample(
                phenomenon_us=phenomenon_us,
                receive_us=receive_us,
                device_us=device_us,
                result=result,
                text=text,
                quality=quality,
                source=source,
            )
            for phenomenon_us, receive_us, device_us, result, text, quality, source in rows
        ]

    async def observations(self, datastream: int, from_us: int, to_us: int, limit: int) -> list[dict[str, Any]]:
        """`history` as plain rows for the HTTP door."""
        return [msgspec.structs.asdict(s) for s in await self.history(datastream, from_us, to_us, limit)]

    async def bucket_list(self, datastream: int, from_us: int, to_us: int, bucket_us: int) -> list[Bucket]:
        """One series over [from, to) in buckets that start at whole multiples of `bucket_us` since 1970 (whole days: at
        the city's midnight); buckets without a sample are left out. At most PAGE_MAX. Raises ValueError for a bucket of no
        length. Buckets of whole hours come from rollups, and so go on where history has been dropped; so do buckets of whole
        minutes, for series that reported more often than that."""
        if bucket_us <= 0:
            raise ValueError(f"bucket_us {bucket_us}: expected more than 0")
        params = {
            "datastream": datastream,
            "from_time": to_time(from_us),
            "to_time": to_time(to_us),
            "bucket_us": bucket_us,
            "limit": PAGE_MAX,
        }
        if bucket_us % HOUR_US:
            statement = "buckets" if bucket_us % MINUTE_US else "minute_buckets"
            return [_bucket(row) for row in await self._rows(statement, params)]
        edges = {at // HOUR_US * HOUR_US for at in (from_us, to_us) if at % HOUR_US}
        params |= {"origin": to_time(_origin(bucket_us)), "edges": [to_time(edge) for edge in sorted(edges)]}
        statement = "hour_buckets" if bucket_us % DAY_US else "day_buckets"
        return [_bucket(row) for row in await self._rows(statement, params)]

    async def area_buckets(
        self, series: Sequence[int], from_us: int, to_us: int, bucket_us: int
    ) -> list[dict[str, Any]]:
        """Several series of one property together, in buckets of whole hours: `{t_us, count, min, max, mean, good, series}`, oldest first,
        over all samples of all; `series` is how many have any. Bounds that lie within an hour are widened to it.
        Raises ValueError for another bucket."""
        if bucket_us <= 0 or bucket_us % HOUR_US:
            raise ValueError(f"bucket_us {bucket_us}: expected whole hours")
        params = {
            "series": list(series),
            "from_time": to_time(from_us // HOUR_US * HOUR_US),
            "to_time": to_time(-(-to_us // HOUR_US) * HOUR_US),
            "bucket_us": bucket_us,
            "origin": to_time(_origin(bucket_us)),
            "limit": PAGE_MAX,
        }
        rows = await self._rows("area_buckets", params)
        names = ("count", "min", "max", "mean", "series")
        return [
            {"t_us": _us(row["bucket"]), "good": row["good"] / row["count"]} | {name: row[name] for name in names}
            for row in rows
        ]

    async def buckets(self, datastream: int, from_us: int, to_us: int, bucket_us: int) -> list[dict[str, Any]]:
        """`bucket_list` as plain rows for the HTTP door."""
        return [msgspec.structs.asdict(b) for b in await self.bucket_list(datastream, from_us, to_us, bucket_us)]

    async def check(self, device_id: str) -> dict[str, Any]:
        """What became of a device's messages: the first page a vendor looks at.

        `received`, `flagged` (quality above 2), `clock_fault`, `backfilled`, `conflicts` count observations;
        `dead_lettered` and `refused` count messages. `clock_offset_s` is the device's stamp minus our receive time at its
        last live report (None: it never reported live). Lists are newest first.
        """
        one = {"device_id": device_id}
        page = one | {"limit": LAST_MESSAGES}
        counts = await self._rows("device_counts", one)
        dead = (await self._rows("device_dead_count", one))[0]
        refused = (await self._rows("device_refused_count", one))[0]
        conflicts = (await self._rows("conflict_count", one))[0]
        letters, _ = await self.dead_letters(LetterFilter(device_ids=(device_id,)), LAST_MESSAGES, "")
        last = max((_us(row["last_receive_time"]) for row in counts), default=None)
        offsets = [row for row in counts if row["clock_offset_us"] is not None]
        offset = max(offsets, key=lambda row: row["last_receive_time"])["clock_offset_us"] if offsets else None
        return {
            "device_id": device_id,
            "received": sum(row["received"] for row in counts),
            "flagged": sum(row["flagged"] for row in counts),
            "clock_fault": sum(row["clock_fault"] for row in counts),
            "backfilled": sum(row["backfilled"] for row in counts),
            "conflicts": conflicts["count"],
            "dead_lettered": dead["count"],
            "refused": int(refused["count"]),
            "last_receive_us": last,
            "clock_offset_s": None if offset is None else offset / 1e6,
            "properties": [
                {"property": row["property"], "datastream": row["datastream"], "received": row["received"]}
                for row in counts
            ],
            "state": [_timed(row) for row in await self._rows("device_state", one)],
            "attributes": [_timed(row) for row in await self._rows("device_attrs", one)],
            "last_messages": [] if last is None else await self._last_messages(device_id, last),
            "last_events": [_timed(row) for row in await self._rows("device_events", page)],
            "dead_letters": letters,
            "refusals": [_timed(row) for row in await self._rows("device_refusals", page)],
            "notes": [_timed(row) for row in await self._rows("device_notes", page)],
        }

    async def dead_letters(
        self, asked: LetterFilter, limit: int, cursor: str
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Newest first. `cursor` is what the page before gave, or ''.

        `raw` is base64 of the message (at most 64 KiB), `text` the same where it is readable UTF-8.
        Raises ValueError for a cursor that we did not give.
        """
        params = {"before": _LAST_POSITION if not cursor else int(cursor), "limit": limit + 1, **asked_params(asked)}
        rows = await self._rows("dead_letters", params)
        following = str(rows[limit - 1]["position"]) if len(rows) > limit else None
        return [_letter(row) for row in rows[:limit]], following

    async def device_states(self) -> list[dict[str, Any]]:
        """Online or not, and since when, of every device that ever said so."""
        return [_timed(row) for row in await self._rows("device_states", {})]

    async def totals(self) -> dict[str, int]:
        """How many rows stand where. Counts whole tables: for tests, benchmarks and the demo's own account."""
        return {name: int(count) for name, count in (await self._rows("totals", {}))[0].items()}

    async def _last_messages(self, device_id: str, last_us: int) -> list[dict[str, Any]]:
        params = {
            "device_id": device_id,
            "from_time": to_time(last_us - _LOOK_BACK_US),
            "to_time": to_time(last_us + DAY_US),
            "limit": LAST_MESSAGES,
        }
        rows = await self._rows("device_last_rows", params)
        return [
            {"property": row["property"], "seq": row["seq"], **_sample(row), "flags": flags_of(row)} for row in rows
        ]

    async def _rows(self, statement: str, params: dict[str, Any]) -> list[Row]:
        async with self._database.transaction() as conn:
            return await (await conn.execute(_SQL[statement], params)).fetchall()


def flags_of(row: Row) -> list[str]:
    """What is special about a row, by name: its quality where it is not good, and its source bits but `live`."""
    names = [] if row["quality"] == Quality.GOOD else [Quality(row["quality"]).name.lower()]
    return names + [bit.name.lower() for bit in Source(row["source"]) if bit.name and bit is not Source.LIVE]


def _sample(row: Row) -> dict[str, Any]:
    return {
        "phenomenon_us": _us(row["phenomenon_time"]),
        "receive_us": _us(row["receive_time"]),
        "device_us": opt_us(row["device_time"]),
        "result": row["result"],
        "text": row["result_text"],
        "quality": row["quality"],
        "source": row["source"],
    }


def _bucket(row: Row) -> Bucket:
    return Bucket(
        t_us=_us(row["bucket"]),
        count=row["count"],
        min=row["min"],
        max=row["max"],
        mean=row["mean"],
        last=row["last"],
        last_text=row["last_text"],
        good=row["good"] / row["count"],
    )


def _origin(bucket_us: int) -> int:
    """Where buckets begin: days and their multiples at the city's midnight, shorter ones at 1970."""
    return -ZONE_US if bucket_us % DAY_US == 0 else 0


def _timed(row: Row) -> dict[str, Any]:
    """A row with its `*_time` columns as `*_us`."""
    return {
        (key.removesuffix("_time") + "_us" if key.endswith("_time") else key): (
            opt_us(value) if key.endswith("_time") else value
        )
        for key, value in row.items()
    }


def _letter(row: Row) -> dict[str, Any]:
    raw: bytes | None = row["raw"]
    try:
        text = raw.decode() if raw is not None else None
    except UnicodeDecodeError:
        text = None
    return _timed({key: value for key, value in row.items() if key != "raw"}) | {
        "raw": None if raw is None else base64.b64encode(raw).decode(),
        "text": text,
    }
