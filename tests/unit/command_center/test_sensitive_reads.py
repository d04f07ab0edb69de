"""Reading in clear and exporting leave a row: names of fields, never what stands in them."""

from __future__ import annotations

import asyncio

import pytest

from citybrain_testing.command import DUTY1, make_world
from command_center import chain
from command_center.model import JournalEntry
from command_center.sensitive import exported, read_sensitive
from command_center.work import working
from storage.memory.command import MemoryStore


async def rows_after(crash: bool = False) -> list[JournalEntry]:
    store = MemoryStore()
    env = make_world(store).center.env
    async with working(store, env, lambda _: None, DUTY1) as work:
        await read_sensitive(work, "contact", "K-17", ["phone", "name"], reason="防汛点名")
        await exported(work, "contact", form="xlsx", rows=30, clear=True, reason="交接")
        if crash:
            raise RuntimeError("crash")
    async with store.read() as tx:
        return await tx.journal_walk(0, 9)


def test_a_reading_in_clear_and_an_export_are_rows_of_the_chain() -> None:
    read, export = asyncio.run(rows_after())
    assert (read.entity, read.entity_id, read.action, read.actor) == ("contact", "K-17", "read", "duty1")
    assert read.after == {"fields": ["phone", "name"]}
    assert (export.action, export.after) == ("export", {"form": "xlsx", "rows": 30, "clear": True})
    assert chain.verify([read, export]) == []


def test_a_reading_that_does_not_come_about_leaves_none() -> None:
    with pytest.raises(RuntimeError, match="crash"):
        asyncio.run(rows_after(crash=True))
