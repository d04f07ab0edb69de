"""`citybrain archive` on the terminal: what the archive of the log holds."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from runtime.cli_settings import AsJson, DataDir, fail, running
from stream.archive import Archive, ArchiveFile, archive_files, last_at_us
from stream.errors import LogError

AT_ONCE = 1_000


def register(app: typer.Typer) -> None:
    app.command()(archive)


def archive(
    data_dir: DataDir = None,
    verify: Annotated[bool, typer.Option("--verify", help="read every record")] = False,
    as_json: AsJson = False,
) -> None:
    """归档 / What has left the log: Parquet files by city hour, and where one is missing between them."""
    pairs = archive_files(running(data_dir).archive_dir)
    gaps = [(before.last + 1, after.first - 1) for before, after in pairwise(pairs) if after.first > before.last + 1]
    problems: list[str] = []
    checked = 0
    for pair in pairs if verify else ():
        try:
            checked += _read_through(pair)
        except LogError as error:
            problems.append(str(error))
    if as_json:
        facts = {"files": [_facts(pair) for pair in pairs], "gaps": gaps, "verified": checked, "problems": problems}
        print(msgspec.json.encode(facts).decode())
    else:
        _show(pairs, gaps, checked if verify else None)
    for first, last in gaps:
        problems.append(
            f"positions {first} to {last} are missing: the log was at its byte bound before they were archived"
        )
    if problems:
        fail("; ".join(problems))


def _facts(pair: ArchiveFile) -> dict[str, Any]:
    at_us = last_at_us(pair)
    until = None if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")
    return {
        "first": pair.first,
        "last": pair.last,
        "until": until,
        "bytes": pair.size(),
        "file": str(pair.observations),
    }


def _show(pairs: list[ArchiveFile], gaps: list[tuple[int, int]], checked: int | None) -> None:
    table = Table("首 / first", "末 / last", "止于 / until (UTC)", "MB")
    for facts in map(_facts, pairs):
        table.add_row(str(facts["first"]), str(facts["last"]), str(facts["until"]), f"{facts['bytes'] / 1e6:.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"{len(pairs)} 个文件 / files, {sum(pair.size() for pair in pairs) / 1e6:.1f} MB, {len(gaps)} 处缺失 / gaps"
    )
    if checked is not None:
        console.print(f"已读 / read: {checked} 条记录 / records")


def _read_through(pair: ArchiveFile) -> int:
    """The number of records. Raises LogError where one is missing or cannot be read."""
    after = pair.first - 1
    with closing(Archive(pair.folder)) as reader:
        while after < pair.last:
            found = reader.read(after, min(AT_ONCE, pair.last - after))
            if not found or found[0].position != after + 1:
                raise LogError(f"{Path(pair.records).name}: position {after + 1} is missing")
            after = found[-1].position
    return pair.last - pair.first + 1
