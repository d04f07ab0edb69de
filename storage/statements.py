"""Named SQL statements from `.sql` files.

A file holds blocks; a block opens with `-- name: Purpose.` at the start of a line, may go on with comment lines, and
holds exactly one statement. Parameters are psycopg's named ones (`%(name)s`); a literal percent sign is `%%`.

    statements = load("command")          # storage/sql/command/*.sql
    await conn.execute(statements["accept_task"], {"task_id": task_id})
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from storage.errors import StatementFileWrong, StatementMissing

_HEADER = re.compile(r"^-- ([a-z][a-z0-9_]*): (\S.*)$")


class Statements(Mapping[str, str]):
    """Statements by name; an unknown name raises StatementMissing, which lists what there is."""

    def __init__(self, statements: Mapping[str, str], purposes: Mapping[str, str]) -> None:
        self._statements = dict(statements)
        self.purposes = dict(purposes)

    def __getitem__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise StatementMissing(name, tuple(sorted(self._statements))) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)


def parse(text: str, *, file: str = "<text>") -> tuple[dict[str, str], dict[str, str]]:
    """Blocks of one file as (statements, purposes) by name. Raises StatementFileWrong."""
    statements: dict[str, str] = {}
    purposes: dict[str, str] = {}
    name: str | None = None
    lines: list[str] = []

    def close() -> None:
        if name is None:
            if any(line.strip() and not line.startswith("--") for line in lines):
                raise StatementFileWrong(f"{file}: SQL before the first `-- name: Purpose.`")
            return
        body = "\n".join(lines).strip().removesuffix(";").strip()
        if not body:
            raise StatementFileWrong(f"{file}: {name} has no statement")
        statements[name] = body

    for line in text.splitlines():
        header = _HEADER.match(line)
        if header is None:
            lines.append(line)
            continue
        close()
        name, lines = header[1], []
        if name in purposes:
            raise StatementFileWrong(f"{file}: {name} is there twice")
        purposes[name] = header[2]
    close()
    return statements, purposes


def load(folder: str = "") -> Statements:
    """All statements of `storage/sql/{folder}/*.sql`, not of its subfolders. Raises StatementFileWrong."""
    statements: dict[str, str] = {}
    purposes: dict[str, str] = {}
    for file in _sql_files(folder):
        found, why = parse(file.read_text(encoding="utf-8"), file=file.name)
        twice = statements.keys() & found.keys()
        if twice:
            raise StatementFileWrong(f"{file.name}: {', '.join(sorted(twice))} stands in another file too")
        statements.update(found)
        purposes.update(why)
    return Statements(statements, purposes)


def _sql_files(folder: str) -> list[Traversable]:
    root = files("storage").joinpath("sql")
    if folder:
        root = root.joinpath(folder)
    return sorted((entry for entry in root.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
