"""Cursors of pages that go by a row's number: what `next` gave, or a refusal; never a number that the database cannot hold."""

from __future__ import annotations

import re

from command_center.errors import Invalid

_NUMBER = re.compile(r"[0-9]{1,18}")  # ASCII: `isdigit` takes a superscript two, which `int` does not


def row_number(cursor: str) -> int | None:
    """None for the first page. Raises Invalid."""
    if not cursor:
        return None
    if _NUMBER.fullmatch(cursor) is None:
        raise Invalid(f"cursor {cursor!r}: expected what `next` gave")
    return int(cursor)
