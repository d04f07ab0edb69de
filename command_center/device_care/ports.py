"""What the care of devices needs of a transaction (part of `command_center.ports.Tx`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from command_center.device_care.model import Acceptance, Calibration, Facts, Ticket, TicketState, TicketStep


class CareTx(Protocol):
    async def add_calibration(self, calibration: Calibration) -> None:
        """Append-only: a wrong one is followed by a right one."""
        ...

    async def calibrations(self, device_id: str, limit: int = 100) -> list[Calibration]:
        """Newest first."""
        ...

    async def calibrations_due(self, before_us: int) -> list[Calibration]:
        """The newest calibration of each device whose next one is due by then, the most overdue first."""
        ...

    async def ticket(self, ticket_id: str) -> Ticket | None: ...

    async def tickets(
        self, *, device_id: str = "", states: Sequence[TicketState] = (), limit: int = 200, before: str = ""
    ) -> list[Ticket]:
        """Newest id first, ids below `before`; empty `states` = all."""
        ...

    async def insert_ticket(self, ticket: Ticket) -> bool:
        """False when the device has an open ticket of origin `no_data` and this would be a second one."""
        ...

    async def update_ticket(self, ticket: Ticket, *, rev: int, states: Sequence[TicketState]) -> bool:
        """False when its revision or state is not what was expected."""
        ...

    async def add_ticket_step(self, ticket_id: str, step: TicketStep) -> None: ...

    async def silent_tickets(self) -> set[str]:
        """Ids of devices that have a ticket which has not ended."""
        ...

    async def acceptance(self, device_id: str) -> Acceptance | None: ...

    async def put_acceptance(self, acceptance: Acceptance, *, rev: int) -> bool:
        """False when its revision is not `rev` (0: there was none)."""
        ...

    async def accepted_devices(self) -> set[str]:
        """Ids of the devices that both sides have signed for."""
        ...

    async def device_facts(self, device_id: str) -> Facts:
        """What was received from a device so far."""
        ...
