"""What duty needs from a transaction; `command_center.ports.Tx` extends it. An update with a stale `rev` or state says False."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from command_center.duty.model import (
    Absence,
    Addressee,
    Handover,
    HandoverState,
    Instruction,
    InstructionEvent,
    InstructionState,
    LogEntry,
    Post,
    Shift,
)


class DutyRows(Protocol):
    async def duty_posts(self) -> list[Post]:
        """In calling order; empty until a district has set its own."""
        ...

    async def put_duty_posts(self, posts: Sequence[Post]) -> None:
        """Replace all of them."""
        ...

    # shifts and absences
    async def shift(self, shift_id: str) -> Shift | None: ...
    async def shifts(self, from_us: int, to_us: int) -> list[Shift]:
        """All that touch [from_us, to_us), by start, then id."""
        ...

    async def insert_shift(self, shift: Shift) -> bool:
        """False when the id is taken."""
        ...

    async def update_shift(self, shift: Shift, *, rev: int) -> bool: ...
    async def delete_shift(self, shift_id: str, *, rev: int) -> bool: ...
    async def next_shift_change(self, after_us: int) -> int | None:
        """The first start or end of any shift after this city time."""
        ...

    async def insert_absence(self, absence: Absence) -> None: ...
    async def absences(self, from_us: int, to_us: int) -> list[Absence]: ...
    async def delete_absence(self, absence_id: str) -> Absence | None: ...

    # hand-over
    async def handover(self, handover_id: str) -> Handover | None: ...
    async def handovers(self, limit: int, before: str = "") -> list[Handover]:
        """Newest id first, ids below `before`."""
        ...

    async def handovers_of_shift(self, shift_id: str) -> list[Handover]: ...
    async def insert_handover(self, handover: Handover) -> None: ...
    async def update_handover(self, handover: Handover, *, rev: int, states: Sequence[HandoverState]) -> bool:
        """Remarks, state and signatures; the snapshot stays what it was."""
        ...

    # log
    async def add_log_entry(self, entry: LogEntry) -> None: ...
    async def log_entry(self, entry_id: str) -> LogEntry | None: ...
    async def log_entries(self, *, day: str = "", limit: int = 500, before: str = "") -> list[LogEntry]:
        """Newest first; `day` YYYYMMDD."""
        ...

    # instructions
    async def instruction(self, instruction_id: str) -> Instruction | None:
        """With addressees and its whole timeline."""
        ...

    async def instructions(
        self, *, open_only: bool, limit: int, before: str = "", subject: str = ""
    ) -> list[Instruction]:
        """Newest id first, without timeline."""
        ...

    async def insert_instruction(self, instruction: Instruction) -> None: ...
    async def update_instruction(self, instruction: Instruction, *, rev: int) -> bool:
        """State, open, changed and rev of the whole; addressees have a call of their own."""
        ...

    async def update_addressee(
        self, instruction_id: str, addressee: Addressee, *, states: Sequence[InstructionState]
    ) -> bool: ...
    async def add_instruction_event(self, instruction_id: str, event: InstructionEvent) -> None: ...
