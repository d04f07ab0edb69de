"""Import of history: what the export wrote comes back, wrong rows are named and leave the good ones alone, and it stays history."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.command import ADMIN, DUTY1, World, make_world
from citybrain_testing.letters import MemoryLetters, a_history_import
from citybrain_testing.logged import gauge, registry_of, rows_of, series
from command_center import history_import, observation_reading
from command_center.access.scope import Scope
from command_center.errors import Conflict, Forbidden
from command_center.history_import import Upload
from command_center.model import Actor, Role
from command_center.observation_files import SCHEMA, FileFormat, pages, written
from devices.models import load_models
from devices.observation_rows import FileRow
from devices.registry import Datastream
from gis.formats.sheet import FileWrong
from gis.formats.tables import escape
from ingest.history import HistoryRows
from storage.memory.command import MemoryStore
from stream.records import Appended, NewRecord, Source

DAY_US = 86_400_000_000
IMPORTED = int(Source.BACKFILL | Source.IMPORT)
STREAMS = [
    series(1),
    Datastream(datastream=2, device_id="g1", property="state_text", uom="", kind="text"),
    Datastream(datastream=3, device_id="g2", property="door", uom="", kind="bool"),
]
REGISTRY = registry_of([gauge("g1"), gauge("g2")], STREAMS)


def at(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


class Desk:
    """An empty system: a register, a log, a store that has nothing yet."""

    def __init__(self, append: Any = None) -> None:
        self.world: World = make_world(MemoryStore())
        self.known = MemoryLetters()
        env, emit, store = self.world.center.env, self.world.changes.append, self.world.store
        self.now_us = self.world.clock.city_us()
        self.service = a_history_import(REGISTRY, append or self.world.log, self.known, store, env, emit)

    def bring(self, content: bytes, form: FileFormat = FileFormat.CSV, actor: Actor = ADMIN) -> list[dict[str, Any]]:
        async def run() -> list[dict[str, Any]]:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the run closes it
            file.write(content)
            file.seek(0)
            upload = Upload(file=file, form=form, name=f"h.{form}", size=len(content), sha256="ab")
            found = await self.service.begin(actor, upload, reason="迁移")
            return [json.loads(line) async for line in found.lines()]

        return asyncio.run(run())

    def rows(self) -> list[dict[str, Any]]:
        return rows_of(self.world.log.records)

    def journalled(self) -> list[Any]:
        async def read() -> list[Any]:
            async with self.world.store.read() as tx:
                return list(await tx.journal("observations", "", 10, None))

        return asyncio.run(read())

    def export(self, form: FileFormat) -> bytes:
        """What the export gives of what the log holds now."""
        held = self

        class Stored:
            async def observations(self, datastream: int, from_us: int, to_us: int, limit: int) -> Sequence[Any]:
                mine = [
                    r for r in held.rows() if r["datastream"] == datastream and from_us <= r["phenomenon_us"] < to_us
                ]
                return sorted(mine, key=lambda r: r["phenomenon_us"])[:limit]

        async def collect() -> bytes:
            found = pages(Stored(), STREAMS, self.now_us - 30 * DAY_US, self.now_us + DAY_US, 7)
            return b"".join([piece async for piece in written(found, form)])

        return asyncio.run(collect())


def cells(now_us: int, **changes: Any) -> dict[str, Any]:
    then = at(now_us - DAY_US)
    plain = {"device_id": "g1", "property": "stage_m", "uom": "m", "datastream": 1, "phenomenon_time": then}
    rest = {"receive_time": then, "device_time": None, "result": 1.5, "text": None, "quality": 1, "source": 1}
    return plain | rest | changes


def as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, SCHEMA.names)
    writer.writeheader()
    writer.writerows(row | {"text": row["text"] and escape(row["text"])} for row in rows)
    return out.getvalue().encode()


def a_district(now_us: int) -> list[dict[str, Any]]:
    """Rows of every kind, with texts that a spreadsheet would reckon and flags of every sort."""
    rows = []
    for n in range(40):
        then = now_us - DAY_US + n * 60_000_000 + 1
        rows.append(cells(now_us, phenomenon_time=at(then), receive_time=at(then + 2), result=0.1 * n + 1 / 3))
    late = int(Source.LIVE | Source.LATE)
    fault, over = int(Source.LIVE | Source.CLOCK_FAULT), int(Source.LIVE | Source.OVER_RANGE)
    then = at(now_us - 2 * DAY_US)
    rows += [
        cells(now_us, phenomenon_time=then, receive_time=then, device_time=at(42), source=fault),
        cells(now_us, phenomenon_time=at(now_us - 3 * DAY_US), result=140.0, quality=3, source=over),
        cells(now_us, phenomenon_time=at(now_us - 4 * DAY_US), quality=4, source=late),
    ]
    text = cells(now_us, property="state_text", uom="", result=None)
    said = ("=HYPERLINK(1)", "'=x", '阀门\n开, "全"', "-1", "")
    for n, one in enumerate(said):
        then = at(now_us - n * 1_000_000)
        rows.append(text | {"phenomenon_time": then, "receive_time": then, "text": one})
    rows += [cells(now_us, device_id="g2", property="door", uom="", datastream=3, result=1.0)]
    return rows


@pytest.mark.parametrize("form", list(FileFormat))
def test_an_export_comes_back_into_an_empty_system_and_goes_out_again_the_same(form: FileFormat) -> None:
    first = Desk()
    assert first.bring(as_csv(a_district(first.now_us)))[-1] == {
        "type": "done", "rows": 49, "kept": 49, "known": 0, "refused": 0
    }  # fmt: skip
    exported = first.export(form)
    second = Desk()
    assert second.bring(exported, form)[-1]["kept"] == 49
    assert second.export(form) == exported
    assert second.rows() != []


def test_only_the_way_it_came_is_another_and_every_flag_stays() -> None:
    desk = Desk()
    given = a_district(desk.now_us)
    desk.bring(as_csv(given))
    found = desk.rows()
    assert [row["source"] for row in found] == [row["source"] & ~int(Source.LIVE) | IMPORTED for row in given]
    assert [row["quality"] for row in found] == [row["quality"] for row in given]
    assert [row["result"] for row in found] == [row["result"] for row in given]
    assert [at(row["receive_us"]) for row in found] == [row["receive_time"] for row in given]
    assert [row["text"] for row in found] == [row["text"] for row in given]


WRONG = [
    ({"device_id": "nobody"}, "device_id", "registered"),
    ({"property": "stage"}, "property", "stage_m"),
    ({"uom": "ft"}, "uom", "m"),
    ({"result": ""}, "result", "number"),
    ({"result": "nan"}, "result", "finite"),
    ({"result": "1_000"}, "result", "number"),
    ({"result": "high"}, "result", "number"),
    ({"text": "x"}, "text", "nothing"),
    ({"quality": 5}, "quality", "1, 2, 3, 4, 9"),
    ({"source": 70_000}, "source", "65535"),
    ({"phenomenon_time": "2019-08-09 12:00"}, "phenomenon_time", "zone"),
    ({"phenomenon_time": ""}, "phenomenon_time", "a time"),
    ({"phenomenon_time": "1970-01-01T00:00:00Z"}, "phenomenon_time", "not kept"),
    ({"phenomenon_time": at(LEKIMA_US * 2)}, "phenomenon_time", "after its receive_time"),
    ({"receive_time": at(LEKIMA_US * 2)}, "receive_time", "now"),
    ({"device_id": "g2", "property": "door", "uom": "", "result": 0.5}, "result", "true or false"),
    ({"property": "state_text", "uom": "", "text": "x", "result": 1}, "result", "text"),
    ({"property": "state_text", "uom": "", "text": "x" * 2000, "result": ""}, "text", "1024"),
]


@pytest.mark.parametrize(("changes", "field", "expected"), WRONG)
def test_a_wrong_row_is_named_and_the_rows_beside_it_are_kept(changes: Any, field: str, expected: str) -> None:
    desk = Desk()
    good = cells(desk.now_us)
    other = good | {"phenomenon_time": at(desk.now_us - 1), "receive_time": at(desk.now_us)}
    said = desk.bring(as_csv([good, cells(desk.now_us, **changes), other]))
    (refused,) = [line for line in said if line["type"] == "refused"]
    assert (refused["line"], refused["field"]) == (3, field)
    assert expected in refused["expected"]
    assert said[-1] == {"type": "done", "rows": 3, "kept": 2, "known": 0, "refused": 1}
    assert len(desk.rows()) == 2


def test_out_of_range_is_flagged_and_kept_as_it_is_live() -> None:
    desk = Desk()
    desk.bring(as_csv([cells(desk.now_us, result=140.0)]))
    (row,) = desk.rows()
    assert (row["quality"], row["source"]) == (3, IMPORTED | Source.OVER_RANGE)


def test_broken_lines_are_named_by_their_number() -> None:
    desk = Desk()
    good = json.dumps(cells(desk.now_us)).encode()
    content = b"\n".join([good, b'{"device_id":', b"", b"[1]", good.replace(b"1.5", b"2.5"), b"x" * 1_100_000, good])
    said = desk.bring(content, FileFormat.NDJSON)
    assert [line["line"] for line in said if line["type"] == "refused"] == [2, 4, 6]
    rows = as_csv([cells(desk.now_us)]).decode().splitlines()
    said = desk.bring("\n".join([rows[0], "a,b", rows[1]]).encode())
    assert [(line["line"], line["field"]) for line in said if line["type"] == "refused"] == [(2, "row")]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"device_id,value\n", FileFormat.CSV),
        (b"", FileFormat.CSV),
        ("列".encode("gbk"), FileFormat.CSV),
        (b'{"device_id": "g1"}\n', FileFormat.NDJSON),
        (b"PAR1 or not", FileFormat.PARQUET),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_before_anything_is_written(content: bytes, form: FileFormat) -> None:
    desk = Desk()
    with pytest.raises(FileWrong):
        desk.bring(content, form)
    assert (desk.rows(), desk.journalled()) == ([], [])
    assert desk.bring(as_csv([cells(desk.now_us)]))[-1]["kept"] == 1  # and the next one is let in


def test_a_parquet_without_zones_is_refused_in_words() -> None:
    table = pa.table(
        {name: pa.array([], pa.timestamp("us") if "time" in name else pa.string()) for name in SCHEMA.names}
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    with pytest.raises(FileWrong, match="zone"):
        Desk().bring(out.getvalue(), FileFormat.PARQUET)


def test_the_same_file_twice_changes_nothing() -> None:
    desk = Desk()
    content = as_csv(a_district(desk.now_us))
    desk.bring(content)
    length = len(desk.world.log.records)
    desk.bring(content)  # the store has not caught up: the keys keep it out
    assert len(desk.world.log.records) == length
    desk.known.store(desk.world.log.records)
    said = desk.bring(content)
    assert (said[-1]["known"], said[-1]["kept"]) == (49, 0)
    assert len(desk.world.log.records) == length


def test_a_log_that_refuses_ends_it_in_words_and_the_rest_comes_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation_reading, "BATCH_ROWS", 10)

    class Failing:
        def __init__(self) -> None:
            self.left = 2

        async def append(self, items: list[NewRecord]) -> list[Appended]:
            self.left -= 1
            if self.left < 0:
                raise TimeoutError("the log did not answer")
            return await desk.world.log.append(items)

    door = Failing()
    desk = Desk(door)
    content = as_csv(a_district(desk.now_us))
    said = desk.bring(content)
    assert (said[-1]["type"], said[-1]["kept"]) == ("stopped", 20)
    assert "did not answer" in said[-1]["why"]
    desk.known.store(desk.world.log.records)
    door.left = 99
    again = desk.bring(content)
    assert (again[-1]["type"], again[-1]["known"], again[-1]["kept"]) == ("done", 20, 29)


def test_nothing_is_put_before_the_rules_while_they_are_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation_reading, "BATCH_ROWS", 5)
    monkeypatch.setattr(history_import, "FOLLOW_S", 0.01)
    desk = Desk()
    waited: list[int] = []

    async def never(position: int) -> None:
        waited.append(position)
        await asyncio.Event().wait()

    desk.service.followed = never
    said = desk.bring(as_csv(a_district(desk.now_us)))
    assert (said[-1]["type"], said[-1]["kept"]) == ("stopped", 5 * history_import.PORTIONS_AHEAD)
    assert waited == [1]


def test_who_brought_what_stands_in_the_journal() -> None:
    desk = Desk()
    desk.bring(as_csv([cells(desk.now_us), cells(desk.now_us, device_id="x")]))
    end, begin = desk.journalled()
    assert (begin.action, begin.actor, begin.reason, begin.after["file"]) == ("import", "admin", "迁移", "h.csv")
    assert (end.action, end.after["kept"], end.after["refused"]) == ("imported", 1, 1)


def test_an_administrator_of_the_whole_tenant_does_it_one_file_at_a_time() -> None:
    desk = Desk()
    content = as_csv([cells(desk.now_us)])
    district = Actor(username="a2", roles=frozenset({Role.ADMIN}), scope=Scope(areas=("3399",)))
    for actor in (DUTY1, district):
        with pytest.raises(Forbidden):
            desk.bring(content, actor=actor)

    async def two() -> None:
        def upload() -> Upload:
            return Upload(file=io.BytesIO(content), form=FileFormat.CSV, name="h", size=1, sha256="")

        run = await desk.service.begin(ADMIN, upload())
        with pytest.raises(Conflict):
            await desk.service.begin(ADMIN, upload())
        run.close()  # whoever asked has gone away
        run.close()
        again = await desk.service.begin(ADMIN, upload())
        assert [json.loads(line)["type"] async for line in again.lines()] == ["progress", "done"]

    asyncio.run(two())


def test_a_file_of_any_size_is_read_a_batch_at_a_time() -> None:
    """The reader is asked for no more than the batch in hand takes: a file without an end gives batches all the same."""
    header, line = as_csv([cells(LEKIMA_US)]).splitlines(keepends=True)

    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            part = (line * (len(buffer) // len(line))) if self.given else header
            buffer[: len(part)] = part
            self.given += len(part)
            return len(part)

    endless = Endless()
    found = observation_reading.batches(io.BufferedReader(endless, 64 * 1024), FileFormat.CSV)
    sizes = [len(next(found)[0]) for _ in range(5)]
    found.close()
    assert set(sizes) == {observation_reading.BATCH_ROWS}
    assert endless.given < 6 * observation_reading.BATCH_ROWS * len(line)


def test_the_tests_that_need_no_memory_judge_history_and_its_own_flags_stay() -> None:
    rain = gauge("r1", model="rain-wind-station-v1", kind="rain_wind_station")
    stream = Datastream(datastream=7, device_id="r1", property="rain_5min_mm", uom="mm")
    judge = HistoryRows(registry_of([rain], [stream]), load_models(), retention_us=DAY_US)

    def row(minute: int, result: float, quality: int = 1) -> FileRow:
        at_us = LEKIMA_US + minute * 60_000_000
        return FileRow(minute, "r1", "rain_5min_mm", "mm", at_us, at_us, None, result, None, quality, 1)

    batch, refused = judge.judge([row(0, 1.0), row(5, 45.0), row(10, 45.0, 4)], LEKIMA_US + DAY_US // 2)
    assert (refused, batch is not None) == ([], True)
    assert batch is not None
    assert batch.column("quality").to_pylist() == [1, 3, 4]  # rare, and looked at; a failed one stays failed
    unusual = IMPORTED | int(Source.USER_RANGE)
    assert batch.column("source").to_pylist() == [IMPORTED, unusual, unusual]
    assert judge.judge([], LEKIMA_US) == (None, [])
