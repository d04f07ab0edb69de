"""`citybrain rules check FILE...`: are these rule documents usable? Says file, line and reason, and the version if they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rules.documents import Document, DocumentWrong, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One file: its document, or what is wrong with it."""

    path: Path
    document: Document | None = None
    problem: DocumentWrong | None = None

    @property
    def line(self) -> str:
        """What the command line prints."""
        if self.document is not None:
            return f"{self.path}: {self.document.id} {self.document.version}"
        return str(self.problem)


def check(paths: Iterable[Path]) -> list[Checked]:
    """Every file, directories by their *.yaml files; two files with one rule id are wrong together."""
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    checked: list[Checked] = []
    seen: dict[str, Path] = {}
    for file in files:
        try:
            document = read(file)
        except DocumentWrong as problem:
            checked.append(Checked(path=file, problem=problem))
            continue
        except (OSError, UnicodeDecodeError) as error:
            checked.append(Checked(path=file, problem=DocumentWrong(str(file), None, str(error))))
            continue
        if document.id in seen:
            reason = f"id: {document.id} stands in {seen[document.id]} too"
            checked.append(Checked(path=file, problem=DocumentWrong(str(file), None, reason)))
            continue
        seen[document.id] = file
        checked.append(Checked(path=file, document=document))
    return checked
