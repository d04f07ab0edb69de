"""An alarm that nobody acknowledges goes to the next person on duty, step by step, until somebody answers.

Who that is, the roster says at the moment of the call (`duty.roster.chain_at`): for the alarm's area, at that city time.
"""

from __future__ import annotations

import msgspec

from command_center import incident_book as book
from command_center.alarm_side import store_side
from command_center.calls import tell_called
from command_center.duty.model import Called
from command_center.duty.roster import chain_at
from command_center.model import EscalationState
from command_center.records import AlarmSide, Timer
from command_center.work import Work
from rules.transitions import Condition, Transition

replace = msgspec.structs.replace

MOST_ALARMS = 2_000  # open at once that a shift change looks at; a district's worst storm has a tenth of it


def timer_id(alarm_id: str) -> str:
    return f"alarm_ack:{alarm_id}"


async def follow(work: Work, condition: Condition, side: AlarmSide, transition: Transition) -> AlarmSide:
    """Start the clock when an alarm rises, start it anew (with the shorter deadline) when its level rises, stop it at its end."""
    if not condition.firing:
        return await _stop(work, side)
    if transition.rises and side.acked is None and side.shelved_until_us is None and condition.colour:
        return await _call(work, condition, side, step=0)
    return side


async def answered(work: Work, condition: Condition, side: AlarmSide) -> AlarmSide:
    """After a control record: an acknowledged or shelved alarm calls nobody; an unshelved one calls again."""
    if side.shelved_until_us is not None:
        await work.city_timer(f"unshelve:{side.alarm_id}", "alarm_unshelve", side.alarm_id, side.shelved_until_us)
        return await _stop(work, side)
    await work.tx.drop_timer(f"unshelve:{side.alarm_id}")
    if side.acked is not None:
        return await _stop(work, side)
    if condition.firing and condition.colour and side.escalation is None:
        return await _call(work, condition, side, step=0)
    return side


async def shelving_ended(work: Work, timer: Timer) -> None:
    """The time of a shelf is over: the alarm stands in the queue again, unacknowledged, and calls the desk."""
    await work.tx.drop_timer(timer.timer_id)
    record = await work.tx.alarm(timer.entity_id)
    if record is None or record.side.shelved_until_us is None:
        return
    before = record.side
    back = replace(before, rev=before.rev + 1, shelved_until_us=None, shelved_by="")
    side = await answered(work, record.condition, back)
    await store_side(work, before, side, "unshelve", alarm=record.condition, reason="its time was over")


async def expired(work: Work, timer: Timer) -> None:
    """Nobody acknowledged in time: the next person, with journal and timeline."""
    record = await work.tx.alarm(timer.entity_id)
    await work.tx.drop_timer(timer.timer_id)
    if record is None or not record.condition.firing or record.side.acked or record.side.shelved_until_us is not None:
        return
    condition, before = record.condition, record.side
    step = (before.escalation.step if before.escalation else 0) + 1
    side = await _call(work, condition, before, step=step)
    assert side.escalation is not None
    waited_s = work.env.deadlines.alarm_ack_s[condition.colour]
    reason = f"not acknowledged within {waited_s:g} s; to {side.escalation.to}"
    await store_side(work, before, side, "escalate", alarm=condition, reason=reason)
    if side.incident_id:
        await book.tell(
            work,
            side.incident_id,
            "escalation",
            f"告警 {waited_s:g} 秒未确认，转呼{side.escalation.to_name}：{condition.last.title_zh}",
            f"Not acknowledged within {waited_s:g} s, calling {side.escalation.to}: {condition.last.title_en}",
            ref=side.alarm_id,
        )


async def reroute(work: Work) -> None:
    """The roster changed (shift, leave, plan): who was being called and has gone is replaced by who holds the post now."""
    work.chains.clear()  # the plan may have changed in this very piece of work
    for record in await work.tx.alarms(firing_only=True, limit=MOST_ALARMS):
        calling = record.side.escalation
        if calling is None or not record.condition.colour:
            continue
        chain = await _chain(work, record.condition)
        if any(person_of(c) == calling.to for c in chain):
            continue
        person = next((c for c in chain if c.post and c.post == calling.post), chain[0])
        side = await _ring(work, record.condition, record.side, calling.step, person)
        reason = f"{calling.to} is not on duty any more; to {person_of(person)}"
        await store_side(work, record.side, side, "escalate", alarm=record.condition, reason=reason)
        if side.incident_id:
            await book.tell(
                work,
                side.incident_id,
                "escalation",
                f"换班，改呼{person.post_zh}{person.name}：{record.condition.last.title_zh}",
                f"Shift change, calling {person_of(person)}: {record.condition.last.title_en}",
                ref=side.alarm_id,
            )


async def _chain(work: Work, condition: Condition) -> list[Called]:
    """Asked once for each place in a piece of work: a storm's alarms stand in few areas, and each asking is some ten queries."""
    place = (condition.last.area, condition.last.hazard)
    if place not in work.chains:
        found = await chain_at(work.tx, work.env.deadlines, *place, work.env.clock.city_us())
        work.chains[place] = found.chain
    return work.chains[place]


def person_of(called: Called) -> str:
    return called.username or called.name


def _whose_turn(chain: list[Called], side: AlarmSide, step: int) -> Called:
    """The one after who was called last, round and round: somebody must answer. At step 0, or after a chain that is gone, by step."""
    names = [person_of(c) for c in chain]
    if step and side.escalation is not None and side.escalation.to in names:
        return chain[(names.index(side.escalation.to) + 1) % len(chain)]
    return chain[step % len(chain)]


async def _call(work: Work, condition: Condition, side: AlarmSide, *, step: int) -> AlarmSide:
    chain = await _chain(work, condition)
    return await _ring(work, condition, side, step, _whose_turn(chain, side, step))


async def _ring(work: Work, condition: Condition, side: AlarmSide, step: int, person: Called) -> AlarmSide:
    due_us = await work.person_timer(
        timer_id(side.alarm_id), "alarm_ack", side.alarm_id, work.env.deadlines.alarm_ack_s[condition.colour]
    )
    state = EscalationState(
        step=step, to=person_of(person), to_name=person.name, due_us=due_us, post=person.post, phone=person.phone
    )
    await tell_called(work, condition, state, rev=side.rev + 1, shift_id=person.shift_id)
    return replace(side, rev=side.rev + 1, escalation=state)


async def _stop(work: Work, side: AlarmSide) -> AlarmSide:
    await work.tx.drop_timer(timer_id(side.alarm_id))
    if side.escalation is None:
        return side
    return replace(side, rev=side.rev + 1, escalation=None)
