"""What leaves the log is in the archive, record by record as it was, and both read as one stream."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import ManualClock
from citybrain_testing.logged import all_records
from stream import archive, files
from stream.archive import Archive, archive_file, archive_files
from stream.archiver import CURSOR, ArchiveService
from stream.errors import ArchiveBelongsElsewhere, LogCorrupt, LogTrimmed
from stream.records import TICK, EventBody, NewRecord, ObsBatch, Record, RecordKind, as_batch, event, observations
from stream.whole import WholeLog
from stream.writer import LogWriter

HOUR_S = 3600.0


def readings(count: int, first: int = 0) -> NewRecord:
    columns: dict[str, Any] = {
        "partition": [n % 64 for n in range(count)],
        "datastream": [first + n for n in range(count)],
        "phenomenon_us": [1_000 * n for n in range(count)],
        "device_us": [None if n % 2 else n for n in range(count)],
        "receive_us": list(range(count)),
        "result": [None if n % 3 == 2 else n / 4 for n in range(count)],
        "text": ["雨" if n % 3 == 2 else None for n in range(count)],
        "quality": [1] * count,
        "source": [1] * count,
        "seq": [None if n % 5 else n for n in range(count)],
        "packet_id": list(range(count)),
    }
    return observations(ObsBatch.from_columns(columns), {b"packets": b"x"})


def told(text: str) -> NewRecord:
    return event(EventBody(type="device_attr", device_id="g1", receive_us=1, data={"text": text}))


def unreadable() -> NewRecord:
    return NewRecord(kind=RecordKind.OBS, body=b"not Arrow")


def same(archived: list[Record], logged: list[Record]) -> bool:
    """Equal but for the encoding of observations, which Arrow compresses anew."""
    if len(archived) != len(logged):
        return False
    for ours, theirs in zip(archived, logged, strict=True):
        if (ours.position, ours.at_us, ours.kind, ours.version) != (
            theirs.position,
            theirs.at_us,
            theirs.kind,
            theirs.version,
        ):
            return False
        if ours.body != theirs.body and not as_batch(ours).table.equals(as_batch(theirs).table):
            return False
    return True


def service(folder: Path, clock: ManualClock, *, keep_s: float = 0.0) -> ArchiveService:
    return ArchiveService(folder / "log", folder / "archive", clock, keep_s=keep_s)


def hours(folder: Path, clock: ManualClock, contents: list[list[NewRecord]], **options: Any) -> None:
    """One file of the log for each; the last one stays open."""
    with LogWriter(folder / "log", clock, **options) as writer:
        for items in contents:
            writer.append(items)
            clock.advance(HOUR_S)


RECORDS = st.one_of(
    st.integers(0, 40).map(readings), st.text(max_size=20).map(told), st.just(TICK), st.builds(unreadable)
)


@given(
    first=st.lists(RECORDS, min_size=1, max_size=12), second=st.lists(RECORDS, min_size=1, max_size=12), data=st.data()
)
def test_a_file_of_the_log_comes_back_from_anywhere_in_it(
    first: list[NewRecord], second: list[NewRecord], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "AT_ONCE", 3)
        patch.setattr(archive, "GROUP_ROWS", 20)
        patch.setattr(archive, "BATCH_ROWS", 7)
        hours(folder, clock := ManualClock(), [first, second, [TICK]])
        service(folder, clock).step()
        service(folder, clock).step()
        logged = all_records(folder / "log")[:-1]
        with closing(Archive(folder / "archive")) as reader:
            after = data.draw(st.integers(0, len(logged)))
            assert same(reader.read(after, data.draw(st.integers(1, 30)) + len(logged)), logged[after:])
            at_once, found = data.draw(st.integers(1, 4)), []
            while more := reader.read(found[-1].position if found else 0, at_once):
                found += more
            assert same(found, logged)


def test_the_rows_are_there_for_other_tools(tmp_path: Path) -> None:
    hours(tmp_path, clock := ManualClock(), [[readings(3), TICK, readings(2, 10)], [TICK]])
    assert service(tmp_path, clock).step()
    (pair,) = archive_files(tmp_path / "archive")
    rows = pq.read_table(pair.observations)
    assert rows["position"].to_pylist() == [1, 1, 1, 3, 3]
    assert rows["datastream"].to_pylist() == [0, 1, 2, 10, 11]
    assert rows["text"].to_pylist() == [None, None, "雨", None, None]
    assert np.isnan(rows["result"].to_numpy()[2])


def test_archive_and_log_read_as_one_stream(tmp_path: Path) -> None:
    clock, contents = ManualClock(), [[readings(3), told(str(n))] for n in range(6)]
    hours(tmp_path, clock, contents[:4], keep_s=2 * HOUR_S, archived=CURSOR)
    before = all_records(tmp_path / "log")
    while service(tmp_path, clock).step():
        pass
    hours(tmp_path, clock, contents[4:], keep_s=2 * HOUR_S, archived=CURSOR)
    logged = all_records(tmp_path / "log")
    assert logged[0].position > 1, "the oldest files are gone"
    with WholeLog(tmp_path / "log", tmp_path / "archive") as whole:
        assert whole.first() == 1
        found: list[Record] = []
        while more := whole.read(found[-1].position if found else 0, 5):
            found += more
        assert [record.position for record in found] == list(range(1, 13))
        assert same(found[: len(before)], before)
        assert same(found[-len(logged) :], logged)
        assert same(whole.read(4, 2), found[4:6]), "back into the archive"


def test_age_deletes_only_what_the_archive_has(tmp_path: Path) -> None:
    clock = ManualClock()
    hours(tmp_path, clock, [[TICK] * 10] * 5, keep_s=0.0, archived=CURSOR)
    assert [file.first for file in files.log_files(tmp_path / "log")] == [1, 11, 21, 31, 41]
    assert service(tmp_path, clock).step()
    assert service(tmp_path, clock).step()
    hours(tmp_path, clock, [[TICK]], keep_s=0.0, archived=CURSOR)
    assert [file.first for file in files.log_files(tmp_path / "log")] == [21, 31, 41, 51]


def test_at_the_byte_bound_the_archive_is_not_waited_for(tmp_path: Path) -> None:
    clock = ManualClock()
    contents = [[told("x" * 100_000)]] * 6
    hours(tmp_path, clock, contents, max_bytes=400_000, archived=CURSOR)
    kept = [file.first for file in files.log_files(tmp_path / "log")]
    assert kept[0] > 1
    assert kept[-1] == 6
    while service(tmp_path, clock).step():
        pass
    with WholeLog(tmp_path / "log", tmp_path / "archive") as whole:
        assert whole.first() == kept[0]
        with pytest.raises(LogTrimmed):
            whole.read(1, 10)


def test_what_a_crash_left_is_replaced_and_half_a_pair_is_not_there(tmp_path: Path) -> None:
    hours(tmp_path, clock := ManualClock(), [[readings(3), TICK], [TICK]])
    (source, _) = files.log_files(tmp_path / "log")
    pair = archive_file(source, 2, tmp_path / "archive")
    pair.records.unlink()  # killed between the two names
    pair.observations.write_bytes(b"torn")
    (tmp_path / "archive" / f"{pair.records.name}.tmp").write_bytes(b"torn")
    assert archive_files(tmp_path / "archive") == []
    assert service(tmp_path, clock).step()
    with closing(Archive(tmp_path / "archive")) as reader:
        assert [record.position for record in reader.read(0, 10)] == [1, 2]
    assert sorted(path.name for path in (tmp_path / "archive").iterdir()) == [pair.observations.name, pair.records.name]


def test_the_open_file_is_never_archived_and_a_second_look_does_nothing(tmp_path: Path) -> None:
    hours(tmp_path, clock := ManualClock(), [[TICK], [TICK]])
    assert [service(tmp_path, clock).step() for _ in range(3)] == [True, False, False]
    assert [(pair.first, pair.last) for pair in archive_files(tmp_path / "archive")] == [(1, 1)]
    assert files.read_cursor(tmp_path / "log", CURSOR) == 1


def test_files_that_are_too_old_go_and_the_newest_stays(tmp_path: Path) -> None:
    hours(tmp_path, clock := ManualClock(), [[TICK]] * 5)
    looking = service(tmp_path, clock, keep_s=3 * HOUR_S)
    while looking.step():
        pass
    assert [pair.first for pair in archive_files(tmp_path / "archive")] == [3, 4]
    clock.advance(100 * HOUR_S)
    assert not looking.step()
    assert [pair.first for pair in archive_files(tmp_path / "archive")] == [4]


@pytest.mark.parametrize("records", [1, 9, 30])
def test_the_archive_of_another_log_is_refused_also_when_the_log_has_grown_past_it(
    tmp_path: Path, records: int
) -> None:
    hours(tmp_path, clock := ManualClock(), [[TICK] * 9, [TICK]])
    assert service(tmp_path, clock).step()
    for file in files.log_files(tmp_path / "log"):
        file.delete()
    hours(tmp_path, clock, [[TICK] * records, [TICK]])
    with pytest.raises(ArchiveBelongsElsewhere, match="not this log's"):
        service(tmp_path, clock).step()
    assert len(archive_files(tmp_path / "archive")) == 1


def test_a_file_of_the_log_with_a_hole_is_not_archived(tmp_path: Path) -> None:
    hours(tmp_path, ManualClock(), [[TICK] * 3, [TICK]])
    source = files.log_files(tmp_path / "log")[0]
    with pytest.raises(LogCorrupt, match="position 4 is missing"):
        archive_file(source, 5, tmp_path / "archive")
    assert archive_files(tmp_path / "archive") == []
    assert list((tmp_path / "archive").iterdir()) == []
