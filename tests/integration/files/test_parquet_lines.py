"""Parquet as lines, by a child that can do no harm: broken files are refused in words, and nobody is left behind."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gis.formats.parquet_lines import BATCH_ROWS, lines
from gis.formats.sheet import FileWrong

ROWS = 3 * BATCH_ROWS + 7
TIME = pa.timestamp("us", tz="UTC")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table = pa.table({"n": list(range(ROWS)), "at": pa.array(range(ROWS), TIME), "text": ["开"] * ROWS})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4_000)
    return tmp_path / "a.parquet"


def children() -> set[str]:
    """Processes of ours that read Parquet."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"parquet_lines" in entry.read_bytes():
                found.add(entry.parent.name)
        except OSError:
            continue
    return found


def test_every_row_is_a_line_in_order(path: Path) -> None:
    with path.open("rb") as file:
        found = [json.loads(line) for line in lines(file)]
    assert [row["n"] for row in found] == list(range(ROWS))
    assert found[1] == {"n": 1, "at": "1970-01-01T00:00:00.000001Z", "text": "开"}


@pytest.mark.parametrize("spoilt", [b"", b"PAR1", b"x" * 1000])
def test_what_is_no_parquet_is_refused_in_words(spoilt: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(spoilt)
        file.seek(0)
        with pytest.raises(FileWrong, match="Parquet"):
            list(lines(file))


def test_a_file_that_ends_early_is_refused(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with path.open("rb") as file, pytest.raises(FileWrong, match="Parquet"):
        list(lines(file))


def test_damaged_pages_are_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396  # the first pages; the end of the file, which says what is where, is whole
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(FileWrong, match="Parquet"):
        list(lines(file))


def test_a_reader_that_goes_away_leaves_no_child(path: Path) -> None:
    before = children()
    with path.open("rb") as file:
        reading = lines(file)
        next(reading)
        assert len(children() - before) == 1
        reading.close()  # type: ignore[attr-defined]
    assert children() <= before
