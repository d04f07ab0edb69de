"""docs/operations.md and runtime/settings.py say the same."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from runtime.settings import PREFIX, Settings

OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def documented() -> dict[str, str]:
    rows = re.findall(rf"^\| `({PREFIX}\w+)` \| ([^|]+) \|", OPERATIONS.read_text(), flags=re.MULTILINE)
    return {name: default.strip() for name, default in rows}


def test_every_setting_stands_in_the_table_and_nothing_else_does() -> None:
    assert set(documented()) == {PREFIX + field.name.upper() for field in fields(Settings)}


def test_the_table_gives_the_defaults_of_the_code() -> None:
    for field in fields(Settings):
        default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        stated = documented()[PREFIX + field.name.upper()]
        assert stated.startswith(f"`{default}`" if default else "empty"), field.name
