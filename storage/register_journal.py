"""What changed in the register of devices, as rows of the same journal that people's acts are in.

The chain has one head, so a change of the register takes the lock of the command side's write transactions, and takes it first:
an approval that changes the register holds that lock when it comes to the registry's, and two orders would wait for each other.
Whoever holds that lock and calls the register on another connection would wait for himself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from command_center.model import JournalEntry
from devices.clock import Clock
from storage.command.rows import SQL
from storage.database import Connection, Row

ENTITY = "device"


async def lock_journal(conn: Connection) -> None:
    """The command side's turn to write, held until the transaction ends. Before the registry's own lock."""
    await conn.execute(SQL["lock_writes"])


class Chain(Protocol):
    """What appends to the journal: of a transaction there is one, since it remembers the head."""

    async def add_journals(self, entries: Sequence[JournalEntry]) -> None: ...


async def journal_devices(
    journal: Chain,
    clock: Clock,
    known: Mapping[str, Row],
    after: Mapping[str, dict[str, Any] | None],
    *,
    author: str,
    reason: str,
) -> None:
    """One row per device that differs from what was `known`; None in `after`: it was taken out. In the caller's transaction."""
    at_us, machine_us = clock.city_us(), clock.machine_us()
    entries = []
    for device_id, document in after.items():
        row = known.get(device_id)
        before = row["document"] if row is not None and not row["removed"] else None
        if before == document:
            continue
        entries.append(
            JournalEntry(
                seq=0,
                at_us=at_us,
                machine_us=machine_us,
                actor=author,
                on_behalf_of="",
                entity=ENTITY,
                entity_id=device_id,
                action="remove" if document is None else "register" if before is None else "change",
                before=before,
                after=document,
                reason=reason,
            )
        )
    if entries:
        await journal.add_journals(entries)
