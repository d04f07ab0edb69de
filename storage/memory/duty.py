"""Duty in memory: the twin of storage/command/duty.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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

replace = msgspec.structs.replace


@dataclass(slots=True)
class DutyState:
    posts: list[Post] = field(default_factory=list)
    shifts: dict[str, Shift] = field(default_factory=dict)
    absences: dict[str, Absence] = field(default_factory=dict)
    handovers: dict[str, Handover] = field(default_factory=dict)
    log: list[LogEntry] = field(default_factory=list)
    instructions: dict[str, Instruction] = field(default_factory=dict)

    def __copy__(self) -> DutyState:
        """A snapshot for rollback: the values are frozen, so copies of the containers do."""
        return DutyState(
            posts=list(self.posts),
            shifts=dict(self.shifts),
            absences=dict(self.absences),
            handovers=dict(self.handovers),
            log=list(self.log),
            instructions=dict(self.instructions),
        )


class DutyMemory:
    """A mixin of the memory transaction; `_duty` gives its draft of the state."""

    @property
    def _duty(self) -> DutyState:
        raise NotImplementedError

    async def duty_posts(self) -> list[Post]:
        return sorted(self._duty.posts, key=lambda p: p.step)

    async def put_duty_posts(self, posts: Sequence[Post]) -> None:
        self._duty.posts = list(posts)

    async def shift(self, shift_id: str) -> Shift | None:
        return self._duty.shifts.get(shift_id)

    async def shifts(self, from_us: int, to_us: int) -> list[Shift]:
        found = [s for s in self._duty.shifts.values() if s.to_us > from_us and s.from_us < to_us]
        return sorted(found, key=lambda s: (s.from_us, s.shift_id))

    async def insert_shift(self, shift: Shift) -> bool:
        if shift.shift_id in self._duty.shifts:
            return False
        self._duty.shifts[shift.shift_id] = shift
        return True

    async def update_shift(self, shift: Shift, *, rev: int) -> bool:
        current = self._duty.shifts.get(shift.shift_id)
        if current is None or current.rev != rev:
            return False
        self._duty.shifts[shift.shift_id] = shift
        return True

    async def delete_shift(self, shift_id: str, *, rev: int) -> bool:
        current = self._duty.shifts.get(shift_id)
        if current is None or current.rev != rev:
            return False
        del self._duty.shifts[shift_id]
        return True

    async def next_shift_change(self, after_us: int) -> int | None:
        ends = [at for s in self._duty.shifts.values() for at in (s.from_us, s.to_us) if at > after_us]
        return min(ends, default=None)

    async def insert_absence(self, absence: Absence) -> None:
        self._duty.absences[absence.absence_id] = absence

    async def absences(self, from_us: int, to_us: int) -> list[Absence]:
        found = [a for a in self._duty.absences.values() if a.to_us > from_us and a.from_us < to_us]
        return sorted(found, key=lambda a: (a.from_us, a.absence_id))

    async def delete_absence(self, absence_id: str) -> Absence | None:
        return self._duty.absences.pop(absence_id, None)

    async def handover(self, handover_id: str) -> Handover | None:
        return self._duty.handovers.get(handover_id)

    async def handovers(self, limit: int, before: str = "") -> list[Handover]:
        found = [h for h in self._duty.handovers.values() if not before or h.handover_id < before]
        return sorted(found, key=lambda h: h.handover_id, reverse=True)[:limit]

    async def handovers_of_shift(self, shift_id: str) -> list[Handover]:
        found = [h for h in self._duty.handovers.values() if shift_id and h.shift_id == shift_id]
        return sorted(found, key=lambda h: h.handover_id)

    async def insert_handover(self, handover: Handover) -> None:
        self._duty.handovers[handover.handover_id] = handover

    async def update_handover(self, handover: Handover, *, rev: int, states: Sequence[HandoverState]) -> bool:
        current = self._duty.handovers.get(handover.handover_id)
        if current is None or current.rev != rev or current.state not in states:
            return False
        snapshot = {name: getattr(current, name) for name in ("open_items", "summary", "from_user", "created_us")}
        self._duty.handovers[handover.handover_id] = replace(handover, **snapshot)
        return True

    async def add_log_entry(self, entry: LogEntry) -> None:
        self._duty.log.append(entry)

    async def log_entry(self, entry_id: str) -> LogEntry | None:
        return next((e for e in self._duty.log if e.entry_id == entry_id), None)

    async def log_entries(self, *, day: str = "", limit: int = 500, before: str = "") -> list[LogEntry]:
        found = [
            e
            for e in self._duty.log
            if (not day or e.entry_id.startswith(f"L-{day}-")) and (not before or e.entry_id < before)
        ]
        return sorted(found, key=lambda e: e.entry_id, reverse=True)[:limit]

    async def instruction(self, instruction_id: str) -> Instruction | None:
        return self._duty.instructions.get(instruction_id)

    async def instructions(
        self, *, open_only: bool, limit: int, before: str = "", subject: str = ""
    ) -> list[Instruction]:
        found = [
            replace(i, timeline=[])
            for i in self._duty.instructions.values()
            if (i.open or not open_only) and (not before or i.instruction_id < before) and subject in ("", i.subject)
        ]
        return sorted(found, key=lambda i: i.instruction_id, reverse=True)[:limit]

    async def insert_instruction(self, instruction: Instruction) -> None:
        self._duty.instructions[instruction.instruction_id] = replace(instruction, timeline=[])

    async def update_instruction(self, instruction: Instruction, *, rev: int) -> bool:
        current = self._duty.instructions.get(instruction.instruction_id)
        if current is None or current.rev != rev:
            return False
        names = ("state", "state_zh", "open", "changed_us", "rev")
        changed = {name: getattr(instruction, name) for name in names}
        self._duty.instructions[instruction.instruction_id] = replace(current, **changed)
        return True

    async def update_addressee(
        self, instruction_id: str, addressee: Addressee, *, states: Sequence[InstructionState]
    ) -> bool:
        current = self._duty.instructions[instruction_id]
        old = next((a for a in current.addressees if a.n == addressee.n), None)
        if old is None or old.state not in states:
            return False
        others = [addressee if a.n == addressee.n else a for a in current.addressees]
        self._duty.instructions[instruction_id] = replace(current, addressees=others)
        return True

    async def add_instruction_event(self, instruction_id: str, event: InstructionEvent) -> None:
        current = self._duty.instructions[instruction_id]
        self._duty.instructions[instruction_id] = replace(current, timeline=[*current.timeline, event])
