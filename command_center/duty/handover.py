"""交接班: a draft with everything that is open, remarks of who leaves, two signatures with two logins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from command_center.access.scope import Scope
from command_center.duty import log, shifts
from command_center.duty.machines import HANDOVER
from command_center.duty.model import (
    US_PER_HOUR,
    Handover,
    HandoverState,
    LogKind,
    OpenItem,
    Shift,
    Signature,
)
from command_center.duty.roster import posts_of
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.machines import INCIDENT, INCIDENT_OPEN, TASK, TASK_OVER
from command_center.model import TaskState
from command_center.records import AlarmRecord
from command_center.work import Work, city_date
from rules.transitions import rank

replace = msgspec.structs.replace
EARLY_US = US_PER_HOUR  # who comes on duty within the hour may sign already
MOST_ITEMS = 2_000
KINDS = ("alarm", "no_data", "shelved", "incident", "task", "instruction", "banner")


async def draft(
    work: Work,
    post: str,
    area: str,
    to_user: str,
    substitute_reason: str,
    remarks: str,
    banners: Sequence[Mapping[str, Any]],
) -> Handover:
    """Who leaves (the actor) names who comes; all that is open is taken down as it stands now, and stays so.

    Raises Invalid, and Conflict while another hand-over of this post and area is under way.
    """
    if post not in {p.post for p in await posts_of(work.tx)}:
        raise Invalid(f"post {post!r}: no such post")
    if to_user == work.actor.username:
        raise Invalid("to_user: a hand-over has two people; you cannot hand over to yourself")
    await _may_take_over(work, post, area, to_user, substitute_reason)
    for other in await work.tx.handovers(50):
        if (other.post, other.area) == (post, area) and HANDOVER.moves[other.state]:
            raise Conflict(f"{other.handover_id} of {other.from_user} is under way: sign or withdraw it first")
    date = city_date(work.at_us)
    items = await gather(work, area, banners)
    counts = Counter(item.kind for item in items)
    handover = Handover(
        handover_id=f"H-{date}-{await work.tx.next_number(f'handover:{date}'):03d}",
        post=post,
        area=area,
        shift_id=await _shift_of(work, post, area),
        from_user=work.actor.username,
        to_user=to_user,
        substitute_reason=substitute_reason,
        state=HANDOVER.start,
        state_zh=HANDOVER.zh[HANDOVER.start],
        remarks=remarks,
        summary={kind: counts[kind] for kind in KINDS},
        open_items=items,
        signatures=[],
        created_us=work.at_us,
        changed_us=work.at_us,
        rev=1,
    )
    await work.tx.insert_handover(handover)
    await work.journal("handover", handover.handover_id, "draft", None, _brief(handover))
    return handover


async def gather(work: Work, area: str, banners: Sequence[Mapping[str, Any]]) -> list[OpenItem]:
    """Everything that is open in the area (a code's prefix; "" is all)."""
    where = Scope(areas=(area,) if area else ())
    return [
        *await _alarms(work, where),
        *await _incidents(work, where),
        *await _instructions(work, where),
        *(
            OpenItem(kind="banner", ref=str(b["id"]), text_zh=str(b["text_zh"]), text_en=str(b["text_en"]))
            for b in banners
        ),
    ]


async def _alarms(work: Work, where: Scope) -> list[OpenItem]:
    """The gravest first: who takes over reads from the top."""
    records = await work.tx.alarms(firing_only=True, limit=MOST_ITEMS)
    records = sorted(records, key=lambda r: -rank(r.condition.colour))
    return [item for r in records if where.covers(area=r.condition.last.area) for item in _of_alarm(r)]


def _of_alarm(record: AlarmRecord) -> Iterator[OpenItem]:
    """The alarm, and once more for what must not be forgotten about it: silence, a shelf that ends."""
    last, side = record.condition.last, record.side
    base = OpenItem(
        kind="alarm",
        ref=record.condition.alarm_id,
        text_zh=f"{last.title_zh}（{f'{side.acked.by} 已确认' if side.acked else '未确认'}）",
        text_en=f"{last.title_en} ({f'acknowledged by {side.acked.by}' if side.acked else 'not acknowledged'})",
        area=last.area,
        state="ACKED" if side.acked else "UNACKED",
        colour=record.condition.colour,
    )
    yield base
    if record.condition.no_data:
        devices = "、".join(last.device_ids) or last.subject.name
        yield replace(base, kind="no_data", text_zh=f"断数：{devices}", text_en=f"No data: {devices}")
    if side.shelved_until_us is not None:
        yield replace(
            base,
            kind="shelved",
            text_zh=f"搁置：{last.title_zh}（{side.shelved_by}）",
            text_en=f"Shelved by {side.shelved_by}: {last.title_en}",
            until_us=side.shelved_until_us,
        )


async def _incidents(work: Work, where: Scope) -> list[OpenItem]:
    items = []
    for incident in await work.tx.incidents(list(INCIDENT_OPEN), MOST_ITEMS):
        if not where.covers(area=incident.area):
            continue
        items.append(
            OpenItem(
                kind="incident",
                ref=incident.incident_id,
                text_zh=f"{incident.title_zh}（{INCIDENT.zh[incident.state]}）",
                text_en=f"{incident.title_en} ({incident.state})",
                area=incident.area,
                state=incident.state,
                colour=incident.colour,
            )
        )
        going = [s for s in TaskState if s not in TASK_OVER]
        for record in await work.tx.tasks(incident_id=incident.incident_id, states=going):
            task = record.task
            items.append(
                OpenItem(
                    kind="task",
                    ref=task.task_id,
                    text_zh=f"{task.title_zh}：{task.unit_name or '未派'}（{TASK.zh[task.state]}）",
                    text_en=f"{task.title_en}: {task.unit_name or 'no unit'} ({task.state})",
                    area=incident.area,
                    state=task.state,
                    until_us=task.due_us,
                )
            )
    return items


async def _instructions(work: Work, where: Scope) -> list[OpenItem]:
    return [
        OpenItem(
            kind="instruction",
            ref=i.instruction_id,
            text_zh=f"批示（{i.urgency_zh}）：{i.text}（{i.state_zh}）",
            text_en=f"Instruction: {i.text} ({i.state})",
            area=i.area,
            state=i.state,
            until_us=i.due_us,
        )
        for i in await work.tx.instructions(open_only=True, limit=MOST_ITEMS)
        if where.covers(area=i.area)
    ]


async def get(work: Work, handover_id: str) -> Handover:
    handover = await work.tx.handover(handover_id)
    if handover is None:
        raise NotFound("hand-over", handover_id)
    return handover


async def remark(work: Work, handover_id: str, remarks: str, rev: int) -> Handover:
    """Remarks of who leaves, while it is a draft."""
    before = await get(work, handover_id)
    if work.actor.username != before.from_user:
        raise Forbidden(work.actor.username, "write remarks", f"they are {before.from_user}'s, who hands over")
    if before.state is not HandoverState.DRAFT:
        raise Conflict(f"{handover_id} is {before.state_zh}: what was signed stays as it is")
    if before.rev != rev:
        raise Conflict(f"{handover_id} is at revision {before.rev}, not {rev}: reload it")
    return await _store(work, before, replace(before, remarks=remarks), "remark", "")


async def sign(work: Work, handover_id: str, name: str, comment: str, substitute_reason: str) -> Handover:
    """The actor signs: first who leaves, then who comes. Nobody signs twice, and nobody for another person."""
    before = await get(work, handover_id)
    side = "out" if before.state is HandoverState.DRAFT else "in"
    to = HandoverState.SIGNED_OUT if side == "out" else HandoverState.SIGNED_IN
    HANDOVER.advance(handover_id, before.state, to, "sign")
    who = work.actor.username
    if side == "out" and who != before.from_user:
        raise Forbidden(who, "sign this hand-over", f"{before.from_user}, who hands over, signs first")
    if side == "in":
        if who == before.from_user:
            raise Forbidden(who, "sign this hand-over twice", "who takes over is another person with another login")
        if who != before.to_user and not substitute_reason.strip():
            raise Forbidden(who, "sign this hand-over", f"{before.to_user} was named; a substitute gives a reason")
        reason = substitute_reason if who != before.to_user else before.substitute_reason
        await _may_take_over(work, before.post, before.area, who, reason)
        before_to = replace(before, to_user=who, substitute_reason=reason)
    else:
        before_to = before
    signature = Signature(side=side, username=who, name=name, at_us=work.at_us, comment=comment)
    after = replace(before_to, state=to, state_zh=HANDOVER.zh[to], signatures=[*before.signatures, signature])
    stored = await _store(work, before, after, f"sign {side}", comment)
    if to is HandoverState.SIGNED_IN:
        await work.tx.drop_timer(shifts.handover_timer(before.shift_id))
        text = f"交接班 {handover_id}：{before.from_user} 交班，{who} 接班；移交 {len(before.open_items)} 项"
        await log.write(work, LogKind.HANDOVER, text, area=before.area, auto=True)
        await shifts.show(work)
    return stored


async def withdraw(work: Work, handover_id: str, reason: str) -> Handover:
    """By who hands over, until somebody took over."""
    before = await get(work, handover_id)
    HANDOVER.advance(handover_id, before.state, HandoverState.WITHDRAWN, "withdraw")
    if work.actor.username != before.from_user:
        raise Forbidden(work.actor.username, "withdraw this hand-over", f"it is {before.from_user}'s")
    zh = HANDOVER.zh[HandoverState.WITHDRAWN]
    after = replace(before, state=HandoverState.WITHDRAWN, state_zh=zh)
    return await _store(work, before, after, "withdraw", reason)


async def _store(work: Work, before: Handover, after: Handover, action: str, reason: str) -> Handover:
    after = replace(after, rev=before.rev + 1, changed_us=work.at_us)
    if not await work.tx.update_handover(after, rev=before.rev, states=[before.state]):
        raise Conflict(f"{before.handover_id} was changed by somebody else meanwhile; reload it")
    await work.journal("handover", before.handover_id, action, _brief(before), _brief(after), reason)
    return after


def _brief(handover: Handover) -> Handover:
    """For the journal: the snapshot has a row of its own that never changes."""
    return replace(handover, open_items=[])


async def _may_take_over(work: Work, post: str, area: str, username: str, reason: str) -> None:
    """On the roster now or within the hour, for this post and place; else a substitute with a reason."""
    record = await work.tx.user(username)
    if record is None or not record.user.enabled:
        raise Invalid(f"to_user {username!r}: no such account, or disabled")
    if reason.strip():
        return
    soon = await work.tx.shifts(work.at_us, work.at_us + EARLY_US)
    if not any(s.username == username and s.post == post and area.startswith(s.area) for s in soon):
        raise Invalid(
            f"to_user {username}: not on the roster of {post} now or within the hour; give substitute_reason for a substitute"
        )


async def _shift_of(work: Work, post: str, area: str) -> str:
    """The shift that the actor hands over: the one he stands in, else the one of his that ended last within the day."""
    mine: list[Shift] = [
        s
        for s in await work.tx.shifts(work.at_us - shifts.LATE_LOOK_US, work.at_us + 1)
        if s.username == work.actor.username and s.post == post and area.startswith(s.area)
    ]
    return max(mine, key=lambda s: (s.covers(work.at_us), s.to_us)).shift_id if mine else ""
