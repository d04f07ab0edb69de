"""Calibrations, repair tickets and acceptance checklists (`command_center.device_care`)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from command_center.device_care.model import (
    Acceptance,
    Answer,
    Calibration,
    Facts,
    Signature,
    Ticket,
    TicketState,
    TicketStep,
)
from storage.batch import clean
from storage.command.rows import Part, jsonb, params, struct
from storage.database import Row
from storage.times import opt_time, opt_us, to_time, to_us


class DeviceCareRows(Part):
    async def add_calibration(self, calibration: Calibration) -> None:
        await self._run("add_calibration", params(calibration))

    async def calibrations(self, device_id: str, limit: int = 100) -> list[Calibration]:
        rows = await self._all("list_calibrations", {"device_id": clean(device_id), "limit": limit})
        return [struct(Calibration, row) for row in rows]

    async def calibrations_due(self, before_us: int) -> list[Calibration]:
        return [struct(Calibration, row) for row in await self._all("calibrations_due", {"before": to_time(before_us)})]

    async def ticket(self, ticket_id: str) -> Ticket | None:
        row = await self._one("read_ticket", {"ticket_id": clean(ticket_id)})
        return None if row is None else (await self._tickets([row]))[0]

    async def tickets(
        self, *, device_id: str = "", states: Sequence[TicketState] = (), limit: int = 200, before: str = ""
    ) -> list[Ticket]:
        values = {
            "device_id": clean(device_id),
            "states": [s.value for s in states],
            "limit": limit,
            "before": clean(before),
        }
        return await self._tickets(await self._all("list_tickets", values))

    async def _tickets(self, rows: Sequence[Row]) -> list[Ticket]:
        steps: dict[str, list[TicketStep]] = {row["ticket_id"]: [] for row in rows}
        for row in await self._all("ticket_steps", {"ticket_ids": list(steps)}) if rows else ():
            step = TicketStep(
                at_us=to_us(row["at"]),
                source=row["source"],
                to=row["target"],
                actor=row["actor"],
                comment=row["comment"],
            )
            steps[row["ticket_id"]].append(step)
        return [struct(Ticket, row, history=steps[row["ticket_id"]]) for row in rows]

    async def insert_ticket(self, ticket: Ticket) -> bool:
        return await self._one("insert_ticket", params(ticket)) is not None

    async def update_ticket(self, ticket: Ticket, *, rev: int, states: Sequence[TicketState]) -> bool:
        values = params(ticket, known_rev=rev, states=[s.value for s in states])
        return await self._one("update_ticket", values) is not None

    async def add_ticket_step(self, ticket_id: str, step: TicketStep) -> None:
        values = params(step, ticket_id=ticket_id, target=step.to)
        await self._run("add_ticket_step", values)

    async def silent_tickets(self) -> set[str]:
        return {row["device_id"] for row in await self._all("silent_tickets")}

    async def acceptance(self, device_id: str) -> Acceptance | None:
        row = await self._one("read_acceptance", {"device_id": clean(device_id)})
        if row is None:
            return None
        return Acceptance(
            device_id=row["device_id"],
            checklist=row["checklist"],
            answers=msgspec.convert(row["answers"], dict[str, Answer]),
            vendor=_signature(row, "vendor"),
            city=_signature(row, "city"),
            changed_us=to_us(row["changed_at"]),
            rev=row["rev"],
        )

    async def put_acceptance(self, acceptance: Acceptance, *, rev: int) -> bool:
        vendor, city = acceptance.vendor, acceptance.city
        values = {
            "device_id": acceptance.device_id,
            "checklist": acceptance.checklist,
            "answers": jsonb(msgspec.to_builtins(acceptance.answers)),
            "vendor_signed_by": vendor.by if vendor else None,
            "vendor_signed_at": opt_time(vendor.at_us if vendor else None),
            "city_signed_by": city.by if city else None,
            "city_signed_at": opt_time(city.at_us if city else None),
            "changed_at": to_time(acceptance.changed_us),
            "rev": acceptance.rev,
            "known_rev": rev,
        }
        return await self._one("put_acceptance", values) is not None

    async def accepted_devices(self) -> set[str]:
        return {row["device_id"] for row in await self._all("accepted_devices")}

    async def device_facts(self, device_id: str) -> Facts:
        row = await self._one("device_facts", {"device_id": clean(device_id)})
        assert row is not None
        return Facts(
            received=row["received"],
            last_receive_us=opt_us(row["last_receive_at"]),
            clock_offset_us=row["clock_offset_us"],
        )


def _signature(row: Row, side: str) -> Signature | None:
    by = row[f"{side}_signed_by"]
    return None if by is None else Signature(by=by, at_us=to_us(row[f"{side}_signed_at"]))
