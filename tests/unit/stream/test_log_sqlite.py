"""The log on SQLite: positions, append times, files by hour, keys, trimming, the bound, snapshots."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US, ManualClock
from citybrain_testing.logged import all_records
from stream import files
from stream.records import (
    TICK,
    Appended,
    ControlBody,
    NewRecord,
    ObsBatch,
    RecordKind,
    as_batch,
    control,
    metadata_of,
    observations,
)
from stream.sqlite_log import LogClosed, LogFull, LogReader, LogTrimmed, LogWriter

HOUR_S = 3600.0


def body(size: int, key: str | None = None) -> NewRecord:
    return NewRecord(kind=RecordKind.EVENT, body=b"x" * size, key=key)


def test_an_append_gives_positions_and_strictly_increasing_times_even_while_the_clock_stands(tmp_path: Path) -> None:
    with LogWriter(tmp_path, ManualClock()) as writer:
        appended = writer.append([TICK, TICK]) + writer.append([TICK])
    assert appended == [Appended(position=n + 1, at_us=LEKIMA_US + n) for n in range(3)]


def test_a_clock_set_back_does_not_turn_the_log_back(tmp_path: Path) -> None:
    clock = ManualClock()
    with LogWriter(tmp_path, clock) as writer:
        (first,) = writer.append([TICK])
        clock.advance(-3 * HOUR_S)
        (second,) = writer.append([TICK])
    assert second.at_us == first.at_us + 1


def test_each_city_hour_has_a_file_and_positions_go_on_across_files_and_restarts(tmp_path: Path) -> None:
    clock = ManualClock()
    for _ in range(3):
        with LogWriter(tmp_path, clock) as writer:
            writer.append([TICK] * 5)
            clock.advance(HOUR_S)
            writer.append([TICK] * 5)
    names = sorted(path.name for path in tmp_path.glob("*.sqlite"))
    assert names == [f"{first:020d}.sqlite" for first in (1, 6, 16, 26)]
    assert [record.position for record in all_records(tmp_path)] == list(range(1, 31))


def test_a_key_is_answered_with_the_position_it_has_within_a_group_and_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    with LogWriter(tmp_path, clock) as writer:
        first, again = writer.append([body(1, "a"), body(1, "a")])
    clock.advance(HOUR_S)
    with LogWriter(tmp_path, clock) as writer:
        writer.append([TICK])
    with LogWriter(tmp_path, clock) as writer:
        (later,) = writer.append([body(1, "a")])
    assert (again.position, again.duplicate) == (first.position, True)
    assert (later.position, later.at_us, later.duplicate) == (first.position, first.at_us, True)


def test_a_key_beyond_the_tail_is_a_new_record(tmp_path: Path) -> None:
    with LogWriter(tmp_path, ManualClock(), key_tail=2) as writer:
        writer.append([body(1, name) for name in "abc"])
        (again,) = writer.append([body(1, "a")])
        (known,) = writer.append([body(1, "c")])
    assert (again.position, again.duplicate, known.duplicate) == (4, False, True)


def test_files_that_every_required_cursor_has_passed_go_after_the_keeping_time(tmp_path: Path) -> None:
    clock = ManualClock()
    with LogWriter(tmp_path, clock, keep_s=2 * HOUR_S, required=("store", "rules")) as writer:
        for _ in range(6):
            writer.append([TICK] * 10)
            clock.advance(HOUR_S)
        assert len(files.log_files(tmp_path)) == 6
        writer.commit("store", 60)
        writer.commit("rules", 25)
        writer.append([TICK])
    assert [file.first for file in files.log_files(tmp_path)] == [21, 31, 41, 51, 61]
    with LogReader(tmp_path) as reader:
        assert reader.first() == 21
        with pytest.raises(LogTrimmed):
            reader.read(5, 10)
        assert [r.position for r in reader.read(0, 3)] == [21, 22, 23]
        assert [r.position for r in reader.read(20, 3)] == [21, 22, 23]


def test_without_required_cursors_the_newest_file_still_stays(tmp_path: Path) -> None:
    clock = ManualClock()
    with LogWriter(tmp_path, clock, keep_s=0.0) as writer:
        for _ in range(4):
            writer.append([TICK] * 10)
            clock.advance(2 * HOUR_S)
    assert [file.first for file in files.log_files(tmp_path)] == [21, 31]
    with LogWriter(tmp_path, clock) as writer:
        assert writer.append([TICK])[0].position == 41


def test_at_the_bound_files_behind_the_cursors_go_first_and_then_the_log_refuses(tmp_path: Path) -> None:
    clock = ManualClock()
    with LogWriter(tmp_path, clock, max_bytes=400_000, required=("store",)) as writer:
        for _ in range(3):
            writer.append([body(100_000)])
            clock.advance(HOUR_S)
        with pytest.raises(LogFull, match="every required cursor"):
            writer.append([body(100_000)])
        assert writer.head == 3
        writer.commit("store", 1)
        (appended,) = writer.append([body(100_000)])
    assert appended.position == 4
    assert [record.position for record in all_records(tmp_path)] == [2, 3, 4]


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, ManualClock())
    writer.close()
    with pytest.raises(LogClosed):
        writer.append([TICK])


def test_a_file_that_was_created_and_never_written_serves_on(tmp_path: Path) -> None:
    clock = ManualClock()
    with LogWriter(tmp_path, clock) as writer:
        writer.append([body(1, "a")])
    files.file_for(tmp_path, 2).path.touch()  # killed between the file's creation and its first commit
    with LogReader(tmp_path) as reader:
        assert [record.position for record in reader.read(0, 10)] == [1]
        assert reader.last_at_us() == LEKIMA_US
        with LogWriter(tmp_path, clock) as writer:
            assert writer.last_at_us == LEKIMA_US
            assert writer.append([body(1, "a")])[0].duplicate
            assert writer.append([TICK])[0].position == 2
        assert [record.position for record in reader.read(1, 10)] == [2]


def test_a_reader_waits_for_what_is_not_there_yet(tmp_path: Path) -> None:
    async def scene() -> None:
        with LogWriter(tmp_path, ManualClock()) as writer, LogReader(tmp_path) as reader:
            assert not await reader.wait_async(0, 0.0)
            await writer.append_async([TICK])
            assert await reader.wait_async(0, 1.0)
            assert not reader.wait(1, 0.0)

    asyncio.run(scene())


def test_controls_and_the_tail_are_found_without_reading_everything(tmp_path: Path) -> None:
    clock = ManualClock()
    with LogWriter(tmp_path, clock) as writer, LogReader(tmp_path) as reader:
        for number in range(4):
            writer.append([TICK, control(ControlBody(id=str(number), type="ack", actor="duty1", data={})), TICK])
            clock.advance(HOUR_S)
        assert [record.position for record in reader.controls(2)] == [5, 8, 11]
        assert [record.position for record in reader.tail(RecordKind.TICK, 3)] == [9, 10, 12]


def test_the_last_two_snapshots_are_kept_and_a_torn_one_is_passed_over(tmp_path: Path) -> None:
    with LogReader(tmp_path) as reader:
        assert reader.get_snapshot("rules") is None
        for position in (10, 20, 30):
            reader.put_snapshot("rules", position, b"state at %d" % position)
        assert reader.get_snapshot("rules") == (30, b"state at 30")
        newest = max((tmp_path / "snapshots").iterdir())
        newest.write_bytes(newest.read_bytes()[:-3])
        assert reader.get_snapshot("rules") == (20, b"state at 20")
        assert len(list((tmp_path / "snapshots").iterdir())) == 2
        with pytest.raises(ValueError, match="name"):
            reader.put_snapshot("../rules", 1, b"")


def test_metadata_travels_with_an_observation_record(tmp_path: Path) -> None:
    columns = {
        "partition": [1],
        "datastream": [7],
        "phenomenon_us": [1],
        "receive_us": [2],
        "result": [3.5],
        "quality": [1],
        "source": [1],
    }
    batch = ObsBatch.from_columns(columns)
    with LogWriter(tmp_path, ManualClock()) as writer:
        writer.append([observations(batch, {b"packets": b"\0\1"}), observations(batch)])
    with_it, without = all_records(tmp_path)
    assert metadata_of(with_it) == {b"packets": b"\0\1"}
    assert metadata_of(without) == {}
    assert as_batch(with_it).table == as_batch(without).table == batch.table


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from([0.0, 1.0, 1800.0, 7200.0]), st.booleans()), max_size=12
    ),
    chunk=st.integers(1, 7),
)
def test_however_it_is_cut_a_reader_gets_every_record_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, float, bool]], chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    clock = ManualClock()
    writer = LogWriter(folder, clock)
    seen: list[int] = []
    with LogReader(folder) as reader:
        for count, pause_s, restart in steps:
            writer.append([TICK] * count)
            clock.advance(pause_s)
            seen += [record.position for record in reader.read(seen[-1] if seen else 0, chunk)]
            if restart:
                writer.close()
                writer = LogWriter(folder, clock)
        while more := reader.read(seen[-1] if seen else 0, chunk):
            seen += [record.position for record in more]
        assert seen == list(range(1, writer.head + 1))
    writer.close()


def test_a_snapshot_that_does_not_fit_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LogReader(tmp_path) as reader:
        reader.put_snapshot("rules", 1, b"state")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        assert not reader.put_snapshot("rules", 2, b"more")
        assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [f"rules.{1:020d}"]
        assert reader.get_snapshot("rules") == (1, b"state")


def test_a_cursor_that_does_not_fit_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LogReader(tmp_path) as reader:
        reader.commit("store", 5)

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(files, "_replace", full)
        reader.commit("store", 9)
        assert reader.committed("store") == 5
