"""Calibrations, repair tickets and acceptance checklists in memory: the twin of storage/command/device_care.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from command_center.device_care.model import (
    TICKET_ENDED,
    Acceptance,
    Calibration,
    Facts,
    Origin,
    Ticket,
    TicketState,
    TicketStep,
)


@dataclass(slots=True)
class CareMemory:
    calibrations: list[Calibration] = field(default_factory=list)
    tickets: dict[str, Ticket] = field(default_factory=dict)
    acceptances: dict[str, Acceptance] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)  # a test puts down what was received

    def __copy__(self) -> CareMemory:
        return CareMemory(list(self.calibrations), dict(self.tickets), dict(self.acceptances), self.facts)


class DeviceCareMemory:
    _care: CareMemory

    async def add_calibration(self, calibration: Calibration) -> None:
        self._care.calibrations.append(calibration)

    async def calibrations(self, device_id: str, limit: int = 100) -> list[Calibration]:
        found = [c for c in self._care.calibrations if c.device_id == device_id]
        return sorted(found, key=lambda c: (c.calibrated_us, c.calibration_id), reverse=True)[:limit]

    async def calibrations_due(self, before_us: int) -> list[Calibration]:
        ids = {c.device_id for c in self._care.calibrations}
        newest = [(await self.calibrations(device_id, 1))[0] for device_id in ids]
        due = [(c.due_us, c.device_id, c) for c in newest if c.due_us is not None and c.due_us <= before_us]
        return [c for _, _, c in sorted(due, key=lambda entry: entry[:2])]

    async def ticket(self, ticket_id: str) -> Ticket | None:
        return self._care.tickets.get(ticket_id)

    async def tickets(
        self, *, device_id: str = "", states: Sequence[TicketState] = (), limit: int = 200, before: str = ""
    ) -> list[Ticket]:
        found = [
            t
            for t in self._care.tickets.values()
            if (not device_id or t.device_id == device_id)
            and (not states or t.state in states)
            and (not before or t.ticket_id < before)
        ]
        return sorted(found, key=lambda t: t.ticket_id, reverse=True)[:limit]

    async def insert_ticket(self, ticket: Ticket) -> bool:
        silent = [
            t
            for t in self._care.tickets.values()
            if t.device_id == ticket.device_id and t.origin is Origin.NO_DATA and t.state not in TICKET_ENDED
        ]
        if ticket.ticket_id in self._care.tickets or (silent and ticket.origin is Origin.NO_DATA):
            return False
        self._care.tickets[ticket.ticket_id] = msgspec.structs.replace(ticket, history=[])
        return True

    async def update_ticket(self, ticket: Ticket, *, rev: int, states: Sequence[TicketState]) -> bool:
        current = self._care.tickets.get(ticket.ticket_id)
        if current is None or current.rev != rev or current.state not in states:
            return False
        self._care.tickets[ticket.ticket_id] = msgspec.structs.replace(ticket, history=current.history)
        return True

    async def add_ticket_step(self, ticket_id: str, step: TicketStep) -> None:
        ticket = self._care.tickets[ticket_id]
        self._care.tickets[ticket_id] = msgspec.structs.replace(ticket, history=[*ticket.history, step])

    async def silent_tickets(self) -> set[str]:
        return {t.device_id for t in self._care.tickets.values() if t.state not in TICKET_ENDED}

    async def acceptance(self, device_id: str) -> Acceptance | None:
        return self._care.acceptances.get(device_id)

    async def put_acceptance(self, acceptance: Acceptance, *, rev: int) -> bool:
        current = self._care.acceptances.get(acceptance.device_id)
        if (current.rev if current else 0) != rev:
            return False
        self._care.acceptances[acceptance.device_id] = acceptance
        return True

    async def accepted_devices(self) -> set[str]:
        return {i for i, a in self._care.acceptances.items() if a.accepted}

    async def device_facts(self, device_id: str) -> Facts:
        return self._care.facts.get(device_id, Facts())
