"""Reading what is sensitive leaves a trace in the same transaction as the reading."""

from __future__ import annotations

from collections.abc import Sequence

from command_center.work import Work

READ = "read"
EXPORT = "export"


async def read_sensitive(
    work: Work, entity: str, entity_id: str, fields: Sequence[str], *, reason: str = "", rows: int | None = None
) -> None:
    """Journal that the actor of this work reads these fields in clear: names of fields, never what stands in them.

    Call it before the values are handed out; a reading whose journal row fails does not take place.
    """
    what = {"fields": list(fields)} if rows is None else {"fields": list(fields), "rows": rows}
    await work.journal(entity, entity_id, READ, None, what, reason)


async def exported(work: Work, entity: str, *, form: str, rows: int, clear: bool, reason: str = "") -> None:
    """Journal an export: how many rows of what went out, in which form, and whether personal data was in clear."""
    await work.journal(entity, "", EXPORT, None, {"form": form, "rows": rows, "clear": clear}, reason)
