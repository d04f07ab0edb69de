"""The care of devices: who calibrated, who mends, who accepted. Vendors answer for their own firm's devices.

Nothing in here keeps an alarm back, except a maintenance window, which has an author and an end (design.md section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from command_center.authority import Action, must_see, require
from command_center.device_care.checklists import Check, Checklist, checklist_of, open_items, view_items
from command_center.device_care.model import (
    FROM,
    MOVES,
    TICKET,
    Acceptance,
    AcceptanceView,
    Answer,
    Calibration,
    Care,
    Maintenance,
    Origin,
    Proposal,
    Signature,
    Ticket,
    TicketState,
    TicketStep,
    TicketVerb,
)
from command_center.device_commands.model import OPEN
from command_center.device_rights import device_for, of_own_firm, sees
from command_center.errors import Conflict, IllegalTransition, Invalid, NotFound
from command_center.model import Actor, Role
from command_center.ports import Emit, Store, Tx
from command_center.work import Env, Work, city_date, working
from devices.models import DeviceModel
from devices.registry import Device

replace = msgspec.structs.replace

DAY_US = 86_400_000_000
MAX_MAINTENANCE_US = 7 * DAY_US  # a job that lasts longer is looked at again by somebody
SILENT = ("no_data", "offline")
_RIGHTS: dict[TicketVerb, Action] = {
    TicketVerb.ASSIGN: Action.DECIDE_TICKET,
    TicketVerb.START: Action.ANSWER_TICKET,
    TicketVerb.REPORT: Action.ANSWER_TICKET,
    TicketVerb.CHECK: Action.DECIDE_TICKET,
    TicketVerb.RETURN: Action.DECIDE_TICKET,
    TicketVerb.CLOSE: Action.DECIDE_TICKET,
    TicketVerb.REJECT: Action.DECIDE_TICKET,
}


class MaintenanceRegister(Protocol):
    """The register of devices, where a maintenance window stands (`command_center.device_register.RegisterService`)."""

    async def set_maintenance(
        self, actor: Actor, device_id: str, window: Maintenance | None, *, reason: str
    ) -> None: ...


class DeviceCare:
    """`status_of`: online, offline, no_data or unknown, from the live picture."""

    def __init__(
        self,
        store: Store,
        env: Env,
        emit: Emit,
        register: MaintenanceRegister,
        models: Mapping[str, DeviceModel],
        status_of: Callable[[str], str],
    ) -> None:
        self._store, self._env, self._emit = store, env, emit
        self._register, self._models, self._status_of = register, models, status_of

    # -- what there is

    async def care(self, actor: Actor, device_id: str) -> Care:
        """Raises Forbidden, NotFound."""
        device = device_for(actor, Action.READ_CARE, self._env.registry, device_id)
        async with self._store.read() as tx:
            calibrations = await tx.calibrations(device_id)
            return Care(
                device_id=device_id,
                calibrations=calibrations,
                calibration_due_us=calibrations[0].due_us if calibrations else None,
                tickets=await tx.tickets(device_id=device_id),
                acceptance=await self._view(tx, device),
                maintenance=maintenance_of(device, self._env.clock.city_us()),
                commands=await tx.device_commands(device_id, states=OPEN),
            )

    async def due(self, actor: Actor, days: float) -> list[Calibration]:
        """Calibrations that are due within so many days, or overdue, of the devices that the actor may see."""
        require(actor, Action.READ_CARE)
        until_us = self._env.clock.city_us() + round(days * DAY_US)
        async with self._store.read() as tx:
            found = await tx.calibrations_due(until_us)
        return [c for c in found if self._sees(actor, c.device_id)]

    async def tickets(
        self, actor: Actor, *, states: Sequence[TicketState] = (), limit: int = 200, cursor: str = ""
    ) -> tuple[list[Ticket], str | None]:
        """Tickets newest first, of the actor's firm and area; and the cursor of the next page."""
        require(actor, Action.READ_CARE)
        found: list[Ticket] = []
        async with self._store.read() as tx:
            while True:
                rows = await tx.tickets(states=states, limit=limit + 1, before=cursor)
                found += [t for t in rows if self._sees_ticket(actor, t)]
                if len(found) > limit:
                    return found[:limit], found[limit - 1].ticket_id
                if len(rows) <= limit:
                    return found, None
                cursor = rows[-1].ticket_id

    async def proposals(self, actor: Actor) -> list[Proposal]:
        """Devices that are silent and that nobody mends yet: one call of `open_ticket` each makes tickets of them."""
        require(actor, Action.READ_CARE)
        registry = self._env.registry
        async with self._store.read() as tx:
            handled = await tx.silent_tickets()
        silent = (
            (device, status)
            for device_id in registry.ordered()
            if (device := registry.devices[device_id]).enabled
            and device_id not in handled
            and sees(actor, Action.READ_CARE, device)
            and (status := self._status_of(device_id)) in SILENT
        )
        return [
            Proposal(
                device_id=device.device_id,
                name=device.name,
                vendor=device.vendor,
                area=device.area,
                status=status,
                title_zh=f"{device.name} 断数，请检修",
                title_en=f"{device.name} is silent: mend it",
            )
            for device, status in silent
        ]

    async def accepted(self) -> set[str]:
        """Ids of accepted devices; all others carry the mark 未验收."""
        async with self._store.read() as tx:
            return await tx.accepted_devices()

    # -- calibration

    async def calibrate(
        self,
        actor: Actor,
        device_id: str,
        *,
        calibrated_us: int,
        calibrated_by: str,
        certificate: str,
        due_us: int | None,
        offsets: Mapping[str, float],
        comment: str = "",
    ) -> Calibration:
        """Record a calibration. Raises Forbidden, NotFound, Invalid naming the field."""
        device_for(actor, Action.CALIBRATE, self._env.registry, device_id)
        if calibrated_us > self._env.clock.city_us():
            raise Invalid("calibrated: lies in the future")
        if due_us is not None and due_us <= calibrated_us:
            raise Invalid("due: must be after the calibration")
        known = {s.property for s in self._env.registry.datastreams_of(device_id)}
        if unknown := sorted(offsets.keys() - known):
            raise Invalid(f"offsets.{unknown[0]}: {device_id} measures {', '.join(sorted(known))}")
        async with working(self._store, self._env, self._emit, actor) as work:
            number = await work.tx.next_number("calibration")
            made = Calibration(
                calibration_id=f"CAL-{number:06d}",
                device_id=device_id,
                calibrated_us=calibrated_us,
                calibrated_by=calibrated_by,
                certificate=certificate,
                due_us=due_us,
                offsets=dict(offsets),
                comment=comment,
                recorded_by=actor.username,
                recorded_us=work.at_us,
            )
            before = await work.tx.calibrations(device_id, 1)
            await work.tx.add_calibration(made)
            await work.journal("device", device_id, "calibrate", before[0] if before else None, made, comment)
        return made

    # -- maintenance

    async def maintain(self, actor: Actor, device_id: str, *, until_us: int, reason: str) -> Maintenance:
        """Take a device's samples out of the alarms until then. Raises Forbidden, NotFound, Invalid."""
        device = device_for(actor, Action.MAINTENANCE, self._env.registry, device_id)
        now_us = self._env.clock.city_us()
        if not reason.strip():
            raise Invalid("reason: why the device's samples may not alarm")
        if not now_us < until_us <= now_us + MAX_MAINTENANCE_US:
            raise Invalid("until: expected a city time within the next 7 days")
        window = Maintenance(author=actor.username, until_us=until_us, reason=reason)
        await self._set_maintenance(actor, device, window, "maintenance", reason)
        return window

    async def end_maintenance(self, actor: Actor, device_id: str) -> None:
        """Raises Forbidden, NotFound (also where there is no window)."""
        device = device_for(actor, Action.MAINTENANCE, self._env.registry, device_id)
        if "maintenance" not in device.attributes:
            raise NotFound("maintenance window of device", device_id)
        await self._set_maintenance(actor, device, None, "maintenance ended", "")

    async def _set_maintenance(
        self, actor: Actor, device: Device, window: Maintenance | None, action: str, reason: str
    ) -> None:
        before = device.attributes.get("maintenance")
        await self._register.set_maintenance(actor, device.device_id, window, reason=reason or action)
        async with working(self._store, self._env, self._emit, actor) as work:
            await work.journal("device", device.device_id, action, before, window, reason)

    # -- tickets

    async def open_ticket(
        self,
        actor: Actor,
        device_id: str,
        *,
        title: str,
        detail: str = "",
        origin: Origin = Origin.HAND,
        due_us: int | None = None,
    ) -> Ticket:
        """Raises Forbidden, NotFound, Invalid, Conflict (a proposal that became a ticket already)."""
        device = device_for(actor, Action.OPEN_TICKET, self._env.registry, device_id)
        if origin is Origin.NO_DATA and self._status_of(device_id) not in SILENT:
            raise Invalid(f"origin: {device_id} is {self._status_of(device_id)}, not silent")
        async with working(self._store, self._env, self._emit, actor) as work:
            day = city_date(work.at_us)
            number = await work.tx.next_number(f"ticket:{day}")
            ticket = Ticket(
                ticket_id=f"WX-{day}-{number:04d}",
                device_id=device_id,
                vendor=device.vendor,
                area=device.area,
                origin=origin,
                title=title,
                detail=detail,
                state=TICKET.start,
                state_zh=TICKET.zh[TICKET.start],
                assignee="",
                reported_by="",
                opened_by=actor.username,
                opened_us=work.at_us,
                due_us=due_us,
                changed_us=work.at_us,
                rev=1,
            )
            if not await work.tx.insert_ticket(ticket):
                raise Conflict(f"{device_id} has an open ticket about its silence already")
            await self._step(work, ticket, "", detail)
            await work.journal("device_ticket", ticket.ticket_id, "open", None, ticket, detail)
            return await _ticket(work.tx, ticket.ticket_id)

    async def move_ticket(
        self, actor: Actor, ticket_id: str, verb: TicketVerb, *, comment: str = "", assignee: str = ""
    ) -> Ticket:
        """Raises Forbidden, NotFound, IllegalTransition, Invalid, Conflict."""
        action = _RIGHTS[verb]
        require(actor, action)
        if verb in (TicketVerb.REPORT, TicketVerb.RETURN, TicketVerb.REJECT) and not comment.strip():
            raise Invalid("comment: what was done, or why not")
        async with working(self._store, self._env, self._emit, actor) as work:
            old = await _ticket(work.tx, ticket_id)
            if not of_own_firm(actor, action, old.vendor):
                raise NotFound("repair ticket", ticket_id)
            must_see(actor, "repair ticket", ticket_id, area=old.area)
            if old.state not in FROM[verb]:
                raise IllegalTransition(TICKET.name, ticket_id, old.state.value, verb.value)
            if verb is TicketVerb.CHECK and actor.username == old.reported_by:
                raise Invalid(f"{actor.username} reported it mended: somebody else checks")
            to = TICKET.advance(ticket_id, old.state, MOVES[verb], verb.value)
            new = replace(
                old,
                state=to,
                state_zh=TICKET.zh[to],
                assignee=(assignee or old.vendor) if verb is TicketVerb.ASSIGN else old.assignee,
                reported_by=actor.username if verb is TicketVerb.REPORT else old.reported_by,
                changed_us=work.at_us,
                rev=old.rev + 1,
            )
            if not await work.tx.update_ticket(new, rev=old.rev, states=FROM[verb]):
                raise Conflict(f"ticket {ticket_id} was changed by somebody else meanwhile; reload it")
            await self._step(work, new, old.state.value, comment)
            await work.journal("device_ticket", ticket_id, verb.value, _bare(old), _bare(new), comment)
            return await _ticket(work.tx, ticket_id)

    async def _step(self, work: Work, ticket: Ticket, source: str, comment: str) -> None:
        step = TicketStep(
            at_us=work.at_us, source=source, to=ticket.state.value, actor=work.actor.username, comment=comment
        )
        await work.tx.add_ticket_step(ticket.ticket_id, step)

    # -- acceptance

    async def fill(self, actor: Actor, device_id: str, answers: Mapping[str, tuple[bool, str]]) -> AcceptanceView:
        """Put down items of the checklist as (ok, value); signatures fall. Raises Forbidden, NotFound, Invalid, Conflict."""
        device = device_for(actor, Action.FILL_ACCEPTANCE, self._env.registry, device_id)
        _check_answers(checklist_of(device), answers)
        async with working(self._store, self._env, self._emit, actor) as work:
            old = await self._acceptance(work.tx, device)
            put = {
                key: Answer(ok=ok, value=value, by=actor.username, at_us=work.at_us)
                for key, (ok, value) in answers.items()
            }
            new = replace(old, answers={**old.answers, **put}, vendor=None, city=None)
            await self._save(work, old, new, "acceptance filled")
            return await self._view(work.tx, device)

    async def sign(self, actor: Actor, device_id: str) -> AcceptanceView:
        """Sign for the side that one's role is of: the vendor's, or the city's. Two persons; every item in order.

        Raises Forbidden, NotFound, Invalid naming the open items, Conflict.
        """
        vendor = not actor.has(Role.LEADER, Role.ADMIN, Role.REGISTRAR)
        action = Action.ACCEPT_FOR_VENDOR if vendor else Action.ACCEPT_FOR_CITY
        device = device_for(actor, action, self._env.registry, device_id)
        async with working(self._store, self._env, self._emit, actor) as work:
            view = await self._view(work.tx, device)
            if missing := open_items(view.items):
                raise Invalid(f"not in order yet: {', '.join(missing)}")
            old = await self._acceptance(work.tx, device)
            other = old.city if vendor else old.vendor
            if other is not None and other.by == actor.username:
                raise Invalid(f"{actor.username} signed for the other side: two persons sign")
            signature = Signature(by=actor.username, at_us=work.at_us)
            new = replace(old, vendor=signature) if vendor else replace(old, city=signature)
            await self._save(work, old, new, f"acceptance signed for the {'vendor' if vendor else 'city'}")
            return await self._view(work.tx, device)

    async def _save(self, work: Work, old: Acceptance, new: Acceptance, action: str) -> None:
        new = replace(new, changed_us=work.at_us, rev=old.rev + 1)
        if not await work.tx.put_acceptance(new, rev=old.rev):
            raise Conflict(f"the checklist of {new.device_id} was changed by somebody else meanwhile; reload it")
        await work.journal("device", new.device_id, action, old if old.rev else None, new)

    async def _acceptance(self, tx: Tx, device: Device) -> Acceptance:
        found = await tx.acceptance(device.device_id)
        return found or Acceptance(device_id=device.device_id, checklist=checklist_of(device).checklist)

    async def _view(self, tx: Tx, device: Device) -> AcceptanceView:
        acceptance = await self._acceptance(tx, device)
        facts = await tx.device_facts(device.device_id)
        items = view_items(checklist_of(device), acceptance, device, self._models.get(device.model), facts)
        return AcceptanceView(
            device_id=device.device_id,
            checklist=acceptance.checklist,
            accepted=acceptance.accepted,
            mark_zh="已验收" if acceptance.accepted else "未验收",
            items=items,
            vendor=acceptance.vendor,
            city=acceptance.city,
            rev=acceptance.rev,
        )

    def _sees(self, actor: Actor, device_id: str) -> bool:
        device = self._env.registry.devices.get(device_id)
        return device is not None and sees(actor, Action.READ_CARE, device)

    def _sees_ticket(self, actor: Actor, ticket: Ticket) -> bool:
        """Also of a device that is gone from the register by now."""
        return of_own_firm(actor, Action.READ_CARE, ticket.vendor) and actor.scope.covers(area=ticket.area)


def maintenance_of(device: Device, now_us: int) -> Maintenance | None:
    """The window that is in force."""
    entry = device.attributes.get("maintenance")
    try:
        found = msgspec.convert(entry, Maintenance)
    except msgspec.ValidationError:
        return None
    return found if found.until_us > now_us else None


def _check_answers(checklist: Checklist, answers: Mapping[str, tuple[bool, str]]) -> None:
    """Raises Invalid naming every item that is not there, is looked up by itself, or lacks its value."""
    checks = {item.key: item.check for item in checklist.items}
    by_hand = [k for k, check in checks.items() if check in (Check.HAND, Check.TEXT)]
    wrong = [f"{key}: expected one of {', '.join(by_hand)}" for key in answers if key not in by_hand]
    wrong += [
        f"{key}: expected a value"
        for key, (ok, value) in answers.items()
        if checks.get(key) is Check.TEXT and ok and not value.strip()
    ]
    if wrong or not answers:
        raise Invalid("; ".join(wrong) or "items: expected at least one")


async def _ticket(tx: Tx, ticket_id: str) -> Ticket:
    found = await tx.ticket(ticket_id)
    if found is None:
        raise NotFound("repair ticket", ticket_id)
    return found


def _bare(ticket: Ticket) -> Ticket:
    """Without its steps, which are kept beside it."""
    return replace(ticket, history=[])
