"""The plan of duty: posts, shifts, leave; and what happens by itself when a shift changes.

One durable timer (`duty:shift`, city time) stands at the next start or end of any shift. When it fires it writes the log, calls
the new person for alarms that nobody answered, and starts the wait for a hand-over (machine time: it waits for people).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from command_center.access.personal import mask_phone
from command_center.duty import log
from command_center.duty.model import (
    US_PER_DAY,
    US_PER_HOUR,
    Absence,
    DutyNow,
    HandoverState,
    LogKind,
    Post,
    Shift,
)
from command_center.duty.roster import city_wall, duty_now, posts_of, rotation
from command_center.errors import Conflict, Invalid, NotFound
from command_center.records import Timer
from command_center.work import Work

replace = msgspec.structs.replace
Seal = Callable[[str, str], str]  # (text, place) -> sealed text

SHIFT_TIMER = "duty:shift"
HANDOVER_WAIT_S = 900.0  # after the end of a shift; then the desk is prompted
LATE_LOOK_US = US_PER_DAY  # older hand-overs that nobody signed are history
MAX_SHIFT_US = 7 * US_PER_DAY
MAX_GENERATED = 1_000
MAX_POSTS = 40
TOLD_CHANGES = 12  # after a long outage the log says how many more there were
AREA = re.compile(r"[0-9A-Za-z_-]{0,32}")
POST = re.compile(r"[a-z][a-z0-9_]{0,31}")


class ShiftDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A shift as people say it: an account, or a name with a telephone in clear."""

    post: str
    username: str = ""
    name: str = ""
    phone: str = ""
    area: str = ""
    from_us: int
    to_us: int


def phone_place(shift_id: str) -> str:
    """Where a contact's number is sealed for: a number copied into another shift does not open."""
    return f"shift/{shift_id}/phone"


async def set_posts(work: Work, posts: Sequence[Post], reason: str) -> list[Post]:
    """Replace the list of posts. Raises Invalid naming the post; Conflict for one that has shifts ahead and would go."""
    if not 0 < len(posts) <= MAX_POSTS:
        raise Invalid(f"posts: 1 to {MAX_POSTS} expected, got {len(posts)}")
    for post in posts:
        if not POST.fullmatch(post.post):
            raise Invalid(f"post {post.post!r}: expected a lower-case code such as duty_officer")
        if not post.zh.strip():
            raise Invalid(f"post {post.post}: zh (the Chinese name) is empty")
    for what, values in (("post", [p.post for p in posts]), ("step", [str(p.step) for p in posts])):
        twice = sorted({v for v in values if values.count(v) > 1})
        if twice:
            raise Invalid(f"{what} {', '.join(twice)}: given twice")
    before = await posts_of(work.tx)
    gone = {p.post for p in before} - {p.post for p in posts}
    ahead = [s.shift_id for s in await work.tx.shifts(work.at_us, work.at_us + 366 * US_PER_DAY) if s.post in gone]
    if ahead:
        raise Conflict(f"post {', '.join(sorted(gone))} still has shifts, as {ahead[0]}: move or delete them first")
    await work.tx.put_duty_posts(posts)
    await work.journal("duty_post", "all", "set", {"posts": _plain(before)}, {"posts": _plain(posts)}, reason)
    return await posts_of(work.tx)


def _plain(posts: Sequence[Post]) -> list[object]:
    return [msgspec.to_builtins(p) for p in posts]


async def get(work: Work, shift_id: str) -> Shift:
    shift = await work.tx.shift(shift_id)
    if shift is None:
        raise NotFound("shift", shift_id)
    return shift


async def checked(work: Work, draft: ShiftDraft, *, besides: str = "") -> ShiftDraft:
    """The draft with the account's name. Raises Invalid naming the field, Conflict where the person stands there already."""
    if draft.post not in {p.post for p in await posts_of(work.tx)}:
        known = ", ".join(p.post for p in await posts_of(work.tx))
        raise Invalid(f"post {draft.post!r}: expected one of {known}")
    if not AREA.fullmatch(draft.area):
        raise Invalid(f"area {draft.area!r}: expected an administrative code, or nothing for the whole district")
    if not 0 < draft.to_us - draft.from_us <= MAX_SHIFT_US:
        raise Invalid(f"to_us: a shift ends after it begins, at most {MAX_SHIFT_US // US_PER_DAY} days later")
    if draft.username:
        draft = replace(draft, name=await _account_name(work, draft.username), phone="")
    elif not draft.name.strip() or "*" in draft.phone or not any(c.isdigit() for c in draft.phone):
        raise Invalid("name, phone: somebody without an account needs both a name and a telephone number")
    person = draft.username or draft.name
    for other in await work.tx.shifts(draft.from_us, draft.to_us):
        if other.shift_id != besides and (other.post, other.area, other.person) == (draft.post, draft.area, person):
            raise Conflict(f"{person} stands on {other.post} already in {other.shift_id}, at the same time")
    return draft


async def _account_name(work: Work, username: str) -> str:
    record = await work.tx.user(username)
    if record is None:
        raise Invalid(f"username {username!r}: no such account")
    if not record.user.enabled:
        raise Invalid(f"username {username!r}: the account is disabled")
    return record.user.name


async def add(work: Work, draft: ShiftDraft, seal: Seal, reason: str, *, shift_id: str = "") -> Shift:
    """A new shift, journalled. The caller arms the timer and shows the board once (`plan_changed`)."""
    draft = await checked(work, draft)
    shift_id = shift_id or await _free_id(work, draft)
    shift = _made(draft, shift_id, seal)
    if not await work.tx.insert_shift(shift):
        raise Conflict(f"shift {shift_id} exists already")
    await work.journal("shift", shift_id, "create", None, shown(shift), reason)
    return shift


def _made(draft: ShiftDraft, shift_id: str, seal: Seal) -> Shift:
    return Shift(
        shift_id=shift_id,
        post=draft.post,
        username=draft.username,
        name=draft.name,
        phone=seal(draft.phone, phone_place(shift_id)),
        phone_mask=mask_phone(draft.phone),
        area=draft.area,
        from_us=draft.from_us,
        to_us=draft.to_us,
    )


def base_id(post: str, area: str, from_us: int) -> str:
    """The natural key of a shift, readable: day, start, post, area. A second person there gets a `.2`."""
    return f"S-{city_wall(from_us):%Y%m%d-%H%M}-{post}{'-' + area if area else ''}"


async def _free_id(work: Work, draft: ShiftDraft) -> str:
    base, number = base_id(draft.post, draft.area, draft.from_us), 1
    shift_id = base
    while await work.tx.shift(shift_id) is not None:
        number += 1
        shift_id = f"{base}.{number}"
    return shift_id


def shown(shift: Shift) -> Shift:
    """For journal and screens: the number masked, its sealed text left out."""
    return replace(shift, phone="")


async def change(work: Work, shift_id: str, draft: ShiftDraft, rev: int, seal: Seal, reason: str) -> Shift:
    """Change a shift. One that has begun keeps post, person and start: only its end may move, and not into the past."""
    before = await get(work, shift_id)
    same_number = keeps_number(before, draft)
    if same_number:
        draft = replace(draft, phone="0")  # there is one, which nobody here needs to see
    draft = await checked(work, draft, besides=shift_id)
    if before.from_us <= work.at_us:
        fixed = (before.post, before.area, before.username, before.from_us)
        if (draft.post, draft.area, draft.username, draft.from_us) != fixed or draft.to_us < work.at_us:
            raise Conflict(f"shift {shift_id} has begun: only its end may move, from now on; hand it over by /reassign")
    after = replace(_made(draft, shift_id, seal), rev=rev + 1)
    if same_number:
        after = replace(after, phone=before.phone, phone_mask=before.phone_mask)
    return await _store(work, before, after, rev, "change", reason)


def keeps_number(before: Shift, draft: ShiftDraft) -> bool:
    """A contact's number that came back masked, or not at all, is the one that stands: forms and sheets never show it."""
    same_person = not draft.username and not before.username and draft.name == before.name
    return same_person and bool(before.phone) and draft.phone in ("", before.phone_mask)


async def _store(work: Work, before: Shift, after: Shift, rev: int, action: str, reason: str) -> Shift:
    if not await work.tx.update_shift(after, rev=rev):
        raise Conflict(f"shift {before.shift_id} is at revision {before.rev}, not {rev}: reload it")
    await work.journal("shift", before.shift_id, action, shown(before), shown(after), reason)
    return after


async def remove(work: Work, shift_id: str, rev: int, reason: str) -> None:
    before = await get(work, shift_id)
    if before.from_us <= work.at_us:
        raise Conflict(f"shift {shift_id} has begun: who stood there stays on record; move its end or hand it over")
    if not await work.tx.delete_shift(shift_id, rev=rev):
        raise Conflict(f"shift {shift_id} is at revision {before.rev}, not {rev}: reload it")
    await work.journal("shift", shift_id, "delete", shown(before), None, reason)


async def reassign(work: Work, shift_id: str, to: str, rev: int, seal: Seal, kind: str, reason: str) -> list[Shift]:
    """Swap (换班) or leave (请假): the shift, or what is left of it, goes to another account; both are named.

    A shift that has begun is cut now and the rest is a new one, so that who stood there until now stays on record.
    """
    before = await get(work, shift_id)
    if before.to_us <= work.at_us:
        raise Conflict(f"shift {shift_id} is over")
    if before.username == to:
        raise Invalid(f"to: {to} has this shift already")
    begun = before.from_us < work.at_us
    from_us = work.at_us if begun else before.from_us
    draft = ShiftDraft(post=before.post, username=to, area=before.area, from_us=from_us, to_us=before.to_us)
    draft = await checked(work, draft, besides=shift_id)
    told = f"{kind}: {before.person} to {to}: {reason}"
    if not begun:
        after = replace(_made(draft, shift_id, seal), rev=rev + 1)
        return [await _store(work, before, after, rev, kind, told)]
    cut = await _store(work, before, replace(before, to_us=work.at_us, rev=rev + 1), rev, kind, told)
    return [cut, await add(work, draft, seal, told)]


async def generate(
    work: Work,
    post: str,
    area: str,
    people: Sequence[str],
    start_us: int,
    shift_us: int,
    until_us: int,
    seal: Seal,
    reason: str,
) -> list[Shift]:
    """A rotation as shifts, all or none. Raises Conflict naming the first shift of this post and area that is in the way."""
    if not people:
        raise Invalid("usernames: at least one")
    if not US_PER_HOUR <= shift_us <= MAX_SHIFT_US:
        raise Invalid(f"shift_hours: 1 to {MAX_SHIFT_US // US_PER_HOUR} expected")
    if not 0 < until_us - start_us <= MAX_GENERATED * shift_us:
        raise Invalid(f"until_us: after start_us, and at most {MAX_GENERATED} shifts later")
    standing = [s for s in await work.tx.shifts(start_us, until_us) if (s.post, s.area) == (post, area)]
    if standing:
        raise Conflict(
            f"{standing[0].shift_id} ({standing[0].person}) stands in this time already: delete it or start later"
        )
    made = []
    for person, from_us, to_us in rotation(people, start_us, shift_us, until_us):
        draft = ShiftDraft(post=post, username=person, area=area, from_us=from_us, to_us=to_us)
        made.append(await add(work, draft, seal, reason))
    return made


async def add_absence(work: Work, username: str, from_us: int, to_us: int, reason: str) -> tuple[Absence, list[Shift]]:
    """Leave. Returns it with the shifts that now need somebody else."""
    if to_us <= from_us:
        raise Invalid("to_us: leave ends after it begins")
    await _account_name(work, username)
    number = await work.tx.next_number("duty_absence")
    absence = Absence(absence_id=f"A-{number:05d}", username=username, from_us=from_us, to_us=to_us, reason=reason)
    await work.tx.insert_absence(absence)
    await work.journal("absence", absence.absence_id, "create", None, absence, reason)
    touched = [s for s in await work.tx.shifts(from_us, to_us) if s.username == username]
    return absence, touched


async def remove_absence(work: Work, absence_id: str, reason: str) -> None:
    before = await work.tx.delete_absence(absence_id)
    if before is None:
        raise NotFound("absence", absence_id)
    await work.journal("absence", absence_id, "delete", before, None, reason)


# --- by itself


async def plan_changed(work: Work, reroute: Callable[[Work], Awaitable[None]]) -> None:
    """After any change of plan or leave: arm the timer, call who is on duty now, show the board."""
    await arm(work)
    await reroute(work)
    await show(work)


async def arm(work: Work) -> None:
    """Set the timer to the next start or end that nobody has handled yet."""
    timer = await work.tx.timer(SHIFT_TIMER)
    await _arm_after(work, int(timer.data["after_us"]) if timer is not None else work.at_us)


async def _arm_after(work: Work, after_us: int) -> None:
    due_us = await work.tx.next_shift_change(after_us)
    if due_us is None:
        await work.tx.drop_timer(SHIFT_TIMER)
        return
    await work.tx.put_timer(
        Timer(
            timer_id=SHIFT_TIMER,
            kind="duty_shift",
            entity_id="roster",
            clock="city",
            due_us=due_us,
            data={"after_us": after_us},
        )
    )


async def changed_over(work: Work, timer: Timer) -> None:
    """Shifts began or ended since the last time: tell the log, and wait for the hand-overs. The caller reroutes calls."""
    after_us, now_us = int(timer.data["after_us"]), work.at_us
    await work.tx.drop_timer(timer.timer_id)
    around = await work.tx.shifts(after_us, now_us + 1)
    began = [s for s in around if after_us < s.from_us <= now_us]
    ended = [s for s in around if after_us < s.to_us <= now_us]
    posts = {p.post: p for p in await posts_of(work.tx)}
    await _tell_changes(work, posts, began, ended)
    for shift in ended:
        post = posts.get(shift.post)
        if post is not None and post.hand_over and await _needs_hand_over(work, shift):
            await work.person_timer(handover_timer(shift.shift_id), "duty_handover", shift.shift_id, HANDOVER_WAIT_S)
    await _arm_after(work, now_us)


def _change_zh(left: str, came: str) -> str:
    """林晓 下班，周岚 上班. A post that nobody left, or that nobody comes to, says only what is."""
    return "，".join(part for part in (left and f"{left} 下班", f"{came} 上班" if came else "无人接班") if part)


async def _tell_changes(work: Work, posts: dict[str, Post], began: Sequence[Shift], ended: Sequence[Shift]) -> None:
    places = sorted(
        {(s.area, s.post) for s in (*began, *ended)}, key=lambda k: (k[0], posts[k[1]].step if k[1] in posts else 99)
    )
    for area, post in places[:TOLD_CHANGES]:
        left = "、".join(dict.fromkeys(s.name for s in ended if (s.area, s.post) == (area, post)))
        came = "、".join(dict.fromkeys(s.name for s in began if (s.area, s.post) == (area, post)))
        zh = posts[post].zh if post in posts else post
        await log.write(
            work,
            LogKind.SHIFT,
            f"{zh}{'（' + area + '）' if area else ''}：{_change_zh(left, came)}",
            area=area,
            auto=True,
        )
    if len(places) > TOLD_CHANGES:
        await log.write(work, LogKind.SHIFT, f"另有 {len(places) - TOLD_CHANGES} 个岗位换班", auto=True)


def handover_timer(shift_id: str) -> str:
    return f"handover:{shift_id}"


async def _needs_hand_over(work: Work, shift: Shift) -> bool:
    """Unless it is signed already, or the same person goes on."""
    if not shift.username or await signed_in(work, shift.shift_id):
        return False
    following = [s for s in await work.tx.shifts(shift.to_us, shift.to_us + 1) if s.post == shift.post]
    return not any(s.area == shift.area and s.username == shift.username for s in following)


async def signed_in(work: Work, shift_id: str) -> bool:
    return any(h.state is HandoverState.SIGNED_IN for h in await work.tx.handovers_of_shift(shift_id))


async def late_handovers(work: Work) -> list[str]:
    """Shifts of the last day whose hand-over nobody finished in time: their timers say so."""
    late = []
    for shift in await work.tx.shifts(work.at_us - LATE_LOOK_US, work.at_us):
        timer = await work.tx.timer(handover_timer(shift.shift_id)) if shift.to_us <= work.at_us else None
        if timer is not None and timer.data.get("late"):
            late.append(shift.shift_id)
    return late


async def hand_over_overdue(work: Work, timer: Timer) -> None:
    """Nobody signed in after a shift: the log and the board say so, until somebody does or a day has passed."""
    await work.tx.drop_timer(timer.timer_id)
    shift = await work.tx.shift(timer.entity_id)
    if shift is None or await signed_in(work, shift.shift_id):
        await show(work)
        return
    if not timer.data.get("late"):
        minutes = f"{HANDOVER_WAIT_S / 60:g}"
        text = f"交接班逾期：{shift.name} {city_wall(shift.to_us):%m-%d %H:%M} 下班，{minutes} 分钟内无人签字接班"
        await log.write(work, LogKind.HANDOVER, text, area=shift.area, auto=True)
    if shift.to_us > work.at_us - LATE_LOOK_US:
        await work.person_timer(timer.timer_id, timer.kind, timer.entity_id, HANDOVER_WAIT_S, {"late": True})
    await show(work)


async def now(work: Work) -> DutyNow:
    return await duty_now(work.tx, work.env.deadlines, work.at_us, await late_handovers(work))


async def show(work: Work) -> None:
    """The board's row `duty` and the banner about posts that nobody holds."""
    work.state("duty", "duty", work.at_us, await now(work))
