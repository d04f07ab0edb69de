"""Posts, shifts, absences, hand-overs, the duty log and instructions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

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
from storage.batch import clean
from storage.command.rows import Part, params, struct
from storage.times import to_time, to_us


class ShiftRows(Part):
    async def duty_posts(self) -> list[Post]:
        return [struct(Post, row) for row in await self._all("list_duty_posts")]

    async def put_duty_posts(self, posts: Sequence[Post]) -> None:
        await self._run("drop_duty_posts", {})
        for post in posts:
            await self._run("insert_duty_post", params(post))

    async def shift(self, shift_id: str) -> Shift | None:
        row = await self._one("read_shift", {"shift_id": shift_id})
        return None if row is None else struct(Shift, row)

    async def shifts(self, from_us: int, to_us: int) -> list[Shift]:
        rows = await self._all("list_shifts", {"from_at": to_time(from_us), "to_at": to_time(to_us)})
        return [struct(Shift, row) for row in rows]

    async def insert_shift(self, shift: Shift) -> bool:
        return await self._one("insert_shift", params(shift)) is not None

    async def update_shift(self, shift: Shift, *, rev: int) -> bool:
        return await self._one("update_shift", params(shift, old_rev=rev)) is not None

    async def delete_shift(self, shift_id: str, *, rev: int) -> bool:
        return await self._one("delete_shift", {"shift_id": shift_id, "old_rev": rev}) is not None

    async def next_shift_change(self, after_us: int) -> int | None:
        row = await self._one("next_shift_change", {"after": to_time(after_us)})
        return None if row is None or row["at"] is None else to_us(row["at"])

    async def insert_absence(self, absence: Absence) -> None:
        await self._run("insert_absence", params(absence))

    async def absences(self, from_us: int, to_us: int) -> list[Absence]:
        rows = await self._all("list_absences", {"from_at": to_time(from_us), "to_at": to_time(to_us)})
        return [struct(Absence, row) for row in rows]

    async def delete_absence(self, absence_id: str) -> Absence | None:
        row = await self._one("delete_absence", {"absence_id": absence_id})
        return None if row is None else struct(Absence, row)


class HandoverRows(Part):
    async def handover(self, handover_id: str) -> Handover | None:
        row = await self._one("read_handover", {"handover_id": handover_id})
        return None if row is None else struct(Handover, row)

    async def handovers(self, limit: int, before: str = "") -> list[Handover]:
        rows = await self._all("list_handovers", {"limit": limit, "before": before})
        return [struct(Handover, row) for row in rows]

    async def handovers_of_shift(self, shift_id: str) -> list[Handover]:
        return [struct(Handover, row) for row in await self._all("handovers_of_shift", {"shift_id": shift_id})]

    async def insert_handover(self, handover: Handover) -> None:
        await self._run("insert_handover", params(handover))

    async def update_handover(self, handover: Handover, *, rev: int, states: Sequence[HandoverState]) -> bool:
        values = params(handover, old_rev=rev, states=[s.value for s in states])
        return await self._one("update_handover", values) is not None

    async def add_log_entry(self, entry: LogEntry) -> None:
        await self._run("add_log_entry", params(entry))

    async def log_entry(self, entry_id: str) -> LogEntry | None:
        row = await self._one("read_log_entry", {"entry_id": entry_id})
        return None if row is None else struct(LogEntry, row)

    async def log_entries(self, *, day: str = "", limit: int = 500, before: str = "") -> list[LogEntry]:
        rows = await self._all("list_log_entries", {"day": day, "limit": limit, "before": before})
        return [struct(LogEntry, row) for row in rows]


class InstructionRows(Part):
    async def instruction(self, instruction_id: str) -> Instruction | None:
        row = await self._one("read_instruction", {"instruction_id": instruction_id})
        if row is None:
            return None
        told = await self._all("instruction_events", {"instruction_id": instruction_id})
        [found] = await self._with_addressees([struct(Instruction, row)])
        return msgspec.structs.replace(found, timeline=[struct(InstructionEvent, event) for event in told])

    async def instructions(
        self, *, open_only: bool, limit: int, before: str = "", subject: str = ""
    ) -> list[Instruction]:
        values = {"open_only": open_only, "limit": limit, "before": before, "subject": clean(subject)}
        rows = await self._all("list_instructions", values)
        return await self._with_addressees([struct(Instruction, row) for row in rows])

    async def _with_addressees(self, instructions: list[Instruction]) -> list[Instruction]:
        rows = await self._all("addressees_of", {"ids": [i.instruction_id for i in instructions]})
        of: dict[str, list[Addressee]] = {}
        for row in rows:
            of.setdefault(row["instruction_id"], []).append(struct(Addressee, row))
        return [msgspec.structs.replace(i, addressees=of.get(i.instruction_id, [])) for i in instructions]

    async def insert_instruction(self, instruction: Instruction) -> None:
        await self._run("insert_instruction", params(instruction))
        for addressee in instruction.addressees:
            await self._run("insert_addressee", params(addressee, instruction_id=instruction.instruction_id))

    async def update_instruction(self, instruction: Instruction, *, rev: int) -> bool:
        return await self._one("update_instruction", params(instruction, old_rev=rev)) is not None

    async def update_addressee(
        self, instruction_id: str, addressee: Addressee, *, states: Sequence[InstructionState]
    ) -> bool:
        values = params(addressee, instruction_id=instruction_id, states=[s.value for s in states])
        return await self._one("update_addressee", values) is not None

    async def add_instruction_event(self, instruction_id: str, event: InstructionEvent) -> None:
        await self._run("add_instruction_event", params(event, instruction_id=instruction_id))
