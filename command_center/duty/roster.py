"""Who is on duty decides who is called: the chain of an area at a city time, and where the roster has holes.

The most specific area comes first, then wider ones, each in the order of its posts. Who is disabled or on leave is skipped.
When nobody of the roster is there, the names of `deadlines.yaml` are the last resort, and the holes are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from command_center.access.personal import VERSION, mask_phone
from command_center.deadlines import Deadlines
from command_center.duty.model import (
    DEFAULT_POSTS,
    US_PER_DAY,
    Called,
    Chain,
    DutyNow,
    Gap,
    Overlap,
    Post,
    Shift,
)
from command_center.ports import Tx

replace = msgspec.structs.replace

CHINA = timedelta(hours=8)
LOOK_US = 62 * US_PER_DAY  # how far a hole is measured to either side: longer than any plan is made ahead


def city_wall(us: int) -> datetime:
    """City microseconds on the city's wall (UTC+8), for ids and for people."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us) + CHINA


def wall_text(us: int | None) -> str:
    return "未排班" if us is None else city_wall(us).strftime("%m-%d %H:%M")


async def posts_of(tx: Tx) -> list[Post]:
    """The district's posts in calling order, or those that every district begins with."""
    return await tx.duty_posts() or list(DEFAULT_POSTS)


async def chain_at(tx: Tx, deadlines: Deadlines, area: str, hazard: str, city_us: int) -> Chain:
    """Who is called about something in `area`, in order; never empty. An unknown area ("") asks everybody, the widest first."""
    posts = [p for p in await posts_of(tx) if not p.hazards or not hazard or hazard in p.hazards]
    standing = [s for s in await tx.shifts(city_us, city_us + 1) if _concerns(s, area)]
    away = {a.username for a in await tx.absences(city_us, city_us + 1)}
    there = [found for s in standing if s.username not in away and (found := await _who_answers(tx, s)) is not None]
    called = await _in_order(tx, posts, there, area)
    held = {s.post for s in there}
    missing = [p for p in posts if p.required and p.post not in held]
    gaps = await _gaps_now(tx, missing, standing, area, city_us) if missing else []
    if called:
        return Chain(area=area, at_us=city_us, chain=called, gaps=gaps)
    return Chain(area=area, at_us=city_us, chain=await _last_resort(tx, deadlines), gaps=gaps, last_resort=True)


def _concerns(shift: Shift, area: str) -> bool:
    return not area or area.startswith(shift.area)


async def _who_answers(tx: Tx, shift: Shift) -> Shift | None:
    """The shift with name and masked number as they are now; None for an account that is gone or disabled.

    A named contact can always be called.
    """
    if not shift.username:
        return shift
    record = await tx.user(shift.username)
    if record is None or not record.user.enabled:
        return None
    return replace(shift, name=record.user.name, phone_mask=masked(record.user.phone))


def masked(phone: str) -> str:
    """What anybody may see of a user's number; nothing of one that is sealed: its digits are not the number's."""
    return "" if phone.startswith(f"{VERSION}:") else mask_phone(phone)


async def _in_order(tx: Tx, posts: Sequence[Post], there: Sequence[Shift], area: str) -> list[Called]:
    by_post = {p.post: p for p in posts}
    wide_first = 1 if not area else -1
    ordered = sorted(
        (s for s in there if s.post in by_post),
        key=lambda s: (wide_first * len(s.area), by_post[s.post].step, s.from_us, s.shift_id),
    )
    called: list[Called] = []
    for shift in ordered:
        if any(c.username == shift.username and c.name == shift.name for c in called):
            continue  # one person on two posts is called once a round
        called.append(_called(shift, by_post[shift.post], len(called)))
    return called


def _called(shift: Shift, post: Post, step: int) -> Called:
    return Called(
        step=step,
        post=post.post,
        post_zh=post.zh,
        username=shift.username,
        name=shift.name or shift.username,
        phone=shift.phone_mask,
        area=shift.area,
        shift_id=shift.shift_id,
        until_us=shift.to_us,
    )


async def _last_resort(tx: Tx, deadlines: Deadlines) -> list[Called]:
    """The district's fixed chain; who is disabled is left out unless nobody would remain."""
    able = []
    for person in deadlines.duty_chain:
        record = await tx.user(person.username)
        if record is None or record.user.enabled:
            able.append(person)
    return [
        Called(step=n, post="", post_zh="", username=p.username, name=p.name)
        for n, p in enumerate(able or deadlines.duty_chain)
    ]


async def _gaps_now(tx: Tx, missing: Sequence[Post], standing: Sequence[Shift], area: str, city_us: int) -> list[Gap]:
    """The holes around this moment. A post whose person is on leave or disabled is one until that shift ends."""
    around = [s for s in await tx.shifts(city_us - LOOK_US, city_us + LOOK_US) if _concerns(s, area)]
    found = []
    for post in missing:
        mine = [s for s in standing if s.post == post.post]
        before = [s.to_us for s in around if s.post == post.post and s.to_us <= city_us]
        after = [s.from_us for s in around if s.post == post.post and s.from_us > city_us]
        if mine:
            from_us, to_us = min(s.from_us for s in mine), max(s.to_us for s in mine)
            found.append(gap(post, area, from_us, to_us, absent=", ".join(s.name or s.username for s in mine)))
        else:
            found.append(gap(post, area, max(before, default=0), min(after, default=None)))
    return found


def gap(post: Post, area: str, from_us: int, to_us: int | None, *, absent: str = "") -> Gap:
    """A hole with its words. `from_us` 0: nobody stood there before, as far as we look; the words then stay the same."""
    since, until = (wall_text(us or None) for us in (from_us, to_us))
    zh = "未排班" if not from_us and to_us is None else f"{since} 至 {until}"
    since_en = since if from_us else "(never planned)"
    until_en = "(no end planned)" if to_us is None else until
    why_zh, why_en = (f"（{absent} 请假或停用）", f" ({absent} is away or disabled)") if absent else ("", "")
    return Gap(
        post=post.post,
        zh=post.zh,
        en=post.en,
        area=area,
        from_us=from_us,
        to_us=to_us,
        text_zh=f"{post.zh}无人在岗：{zh}{why_zh}",
        text_en=f"No one on duty for {post.en.lower()} from {since_en} to {until_en}{why_en}",
    )


async def duty_now(tx: Tx, deadlines: Deadlines, city_us: int, late: Iterable[str]) -> DutyNow:
    chain = await chain_at(tx, deadlines, "", "", city_us)
    return DutyNow(
        at_us=city_us,
        on_duty=chain.chain,
        gaps=chain.gaps,
        late_handovers=sorted(late),
        last_resort=chain.last_resort,
    )


# --- what is wrong with a plan


def overlaps(shifts: Sequence[Shift]) -> list[Overlap]:
    """Pairs that stand at the same time though one person cannot be twice, or one post and area has two people."""
    found = []
    ordered = sorted(shifts, key=lambda s: (s.from_us, s.shift_id))
    for index, first in enumerate(ordered):
        for second in ordered[index + 1 :]:
            if second.from_us >= first.to_us:
                break
            same_person = first.person == second.person
            if same_person or (first.post, first.area) == (second.post, second.area):
                found.append(_overlap(first, second, "person" if same_person else "post"))
    return found


def _overlap(first: Shift, second: Shift, kind: str) -> Overlap:
    from_us, to_us = max(first.from_us, second.from_us), min(first.to_us, second.to_us)
    what_zh = (
        f"{first.person} 同时排了两班" if kind == "person" else f"{first.post} 同时有 {first.person} 和 {second.person}"
    )
    what_en = f"{first.person} twice" if kind == "person" else f"{first.post} has {first.person} and {second.person}"
    span = f"{city_wall(from_us):%m-%d %H:%M} - {city_wall(to_us):%m-%d %H:%M}"
    return Overlap(
        kind=kind,
        shift_ids=[first.shift_id, second.shift_id],
        from_us=from_us,
        to_us=to_us,
        text_zh=f"重叠：{what_zh}（{span}）",
        text_en=f"Overlap: {what_en} ({span})",
    )


def gaps_between(posts: Sequence[Post], shifts: Sequence[Shift], from_us: int, to_us: int) -> list[Gap]:
    """Holes of the required posts within [from_us, to_us), for the whole district and for each area that has such a post.

    A shift for a wider area fills the hole of a narrower one. Leave is not looked at: it is not part of the plan.
    """
    found = []
    for post in posts:
        if not post.required:
            continue
        of_post = [s for s in shifts if s.post == post.post]
        for area in sorted({s.area for s in of_post}) or [""]:
            filling = [s for s in of_post if area.startswith(s.area)]
            found += [gap(post, area, a, b) for a, b in holes(filling, from_us, to_us)]
    return found


def holes(shifts: Iterable[Shift], from_us: int, to_us: int) -> list[tuple[int, int]]:
    """What of [from_us, to_us) no shift covers.

    >>> s = Shift(shift_id="a", post="p", username="u", from_us=2, to_us=5)
    >>> holes([s], 0, 10)
    [(0, 2), (5, 10)]
    """
    found, until = [], from_us
    for shift in sorted(shifts, key=lambda s: s.from_us):
        if shift.from_us > until:
            found.append((until, min(shift.from_us, to_us)))
        until = max(until, shift.to_us)
        if until >= to_us:
            return [(a, b) for a, b in found if a < b]
    return [(a, b) for a, b in [*found, (until, to_us)] if a < b]


def rotation(people: Sequence[str], start_us: int, shift_us: int, until_us: int) -> list[tuple[str, int, int]]:
    """(person, from, to) one after another in this order, round and round, the last one cut at `until_us`.

    >>> rotation(["a", "b"], 0, 4, 10)
    [('a', 0, 4), ('b', 4, 8), ('a', 8, 10)]
    """
    found = []
    for n, at_us in enumerate(range(start_us, until_us, shift_us)):
        found.append((people[n % len(people)], at_us, min(at_us + shift_us, until_us)))
    return found
