"""Rules that every statement keeps: city time comes in as a parameter, and each statement is named, explained and used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storage.errors import StatementFileWrong, StatementMissing
from storage.migrate import for_family, migrations
from storage.statements import load, parse

STORAGE = Path(__file__).parents[3] / "storage"
SQL_FILES = sorted(STORAGE.rglob("*.sql"))
FOLDERS = sorted(p.name for p in (STORAGE / "sql").iterdir() if p.is_dir() and any(p.glob("*.sql")))

# The database's own clock is not city time; policies of TimescaleDB run on it.
FORBIDDEN = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\("
    r"|\b(current_timestamp|current_date|current_time|localtime|localtimestamp)\b"
    r"|\badd_\w*_?policy\b|\badd_job\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda p: str(p.relative_to(STORAGE)))
def test_no_statement_reads_the_databases_clock_or_sets_a_policy(path: Path) -> None:
    code = "\n".join(line.split("--")[0] for line in path.read_text(encoding="utf-8").splitlines())
    assert FORBIDDEN.findall(code) == []


def test_the_rule_finds_what_it_forbids() -> None:
    for text in ("SELECT now()", "DEFAULT CURRENT_TIMESTAMP", "SELECT add_retention_policy('x')", "NOW ( )"):
        assert FORBIDDEN.search(text), text
    assert not FORBIDDEN.search("SELECT known(1), snow, add_policyholder")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_statement_is_explained_and_used(folder: str) -> None:
    statements = load(folder)
    code = "\n".join(path.read_text(encoding="utf-8") for path in STORAGE.rglob("*.py"))
    for name in statements:
        assert f'"{name}"' in code or name.startswith("expire_"), f"{folder}/{name} is not used"


def test_a_statement_that_is_not_there_is_named() -> None:
    with pytest.raises(StatementMissing, match="no statement named 'nope'; known: add_counted, advance_cursor"):
        load("writer")["nope"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT 1;", "SQL before the first"),
        ("-- a: One.\nSELECT 1;\n-- a: Two.\nSELECT 2;", "a is there twice"),
        ("-- a: Nothing.\n\n-- b: Something.\nSELECT 1;", "a has no statement"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, why: str) -> None:
    with pytest.raises(StatementFileWrong, match=why):
        parse(text)


def test_a_block_keeps_its_comments_and_loses_its_semicolon() -> None:
    statements, purposes = parse("-- One file.\n\n-- a: Why it is.\n-- More.\nSELECT 1;\n\n-- b: B.\nSELECT 2")
    assert statements == {"a": "-- More.\nSELECT 1", "b": "SELECT 2"}
    assert purposes == {"a": "Why it is.", "b": "B."}


def test_tier_blocks_are_taken_by_family() -> None:
    text = "a\n-- tier: timescale\nb\n-- tier: plain\nc\n-- tier: all\nd"
    assert for_family(text, "timescale") == "a\nb\nd"
    assert for_family(text, "plain") == "a\nc\nd"
    with pytest.raises(StatementFileWrong, match="expected all, timescale or plain"):
        for_family("-- tier: oracle\n", "plain")


def test_migrations_are_numbered_and_their_checksums_see_every_change() -> None:
    found = migrations()
    assert [m.number for m in found] == sorted({m.number for m in found})
    assert found[0].number == 1
    assert len({m.checksum for m in found}) == len(found)
