"""Telling the person who is called about an alarm, through the outbox of this tenant."""

from __future__ import annotations

from command_center.duty.shifts import phone_place
from command_center.model import EscalationState
from command_center.outbox import Outbox, Recipient
from command_center.work import Work
from rules.transitions import Condition

KIND = "alarm_call"


async def tell_called(work: Work, condition: Condition, call: EscalationState, *, rev: int, shift_id: str = "") -> None:
    """Queue 请确认告警 for who is called now, in the same transaction. `rev` numbers the call: a replayed one is queued once.

    A user's number stands with the user; that of somebody without an account with his shift.
    """
    if work.env.outbox is None or not call.to:
        return
    user = await work.tx.user(call.to)
    to = Recipient(
        username=call.to,
        name=call.to_name or (user.user.name if user else ""),
        phone=user.user.phone if user else await _number_of(work, work.env.outbox, shift_id),
    )
    await work.env.outbox.put(
        work.tx,
        key=f"{KIND}:{condition.alarm_id}:{rev}:{call.to}",
        kind=KIND,
        entity="alarm",
        entity_id=condition.alarm_id,
        to=to,
        text=f"请确认告警：{condition.last.title_zh}（第 {call.step + 1} 次呼叫）",
        at_us=work.at_us,
        machine_us=work.machine_us,
    )


async def _number_of(work: Work, outbox: Outbox, shift_id: str) -> str:
    shift = await work.tx.shift(shift_id) if shift_id else None
    return outbox.opened(shift.phone, phone_place(shift_id)) if shift is not None else ""
