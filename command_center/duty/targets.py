"""The month's roster as an import: one row is one shift, as clerks write it (date, post, person, from, to, area).

Importing the same file twice changes nothing: a row's id is day, start, post and area (`base_id`); a corrected name in the same
place is a change. A shift that has begun stays as it was: who stood there is on record.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

import msgspec

from command_center import escalation
from command_center.access.personal import Sealer
from command_center.authority import Action, require
from command_center.duty import roster, shifts
from command_center.duty.model import US_PER_DAY, Post, Shift
from command_center.duty.shifts import ShiftDraft, base_id
from command_center.errors import CommandError, Invalid
from command_center.model import Actor, User
from command_center.ports import Emit, Store, Tx
from command_center.registers.targets import Committed, Field, Problem, Row
from command_center.work import Env, Work, working

AHEAD_US = 400 * US_PER_DAY
DATE = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:[ T]00:00(?::00)?)?")
FILE_ID = re.compile(r"(S-\d{8}-\d{4})-(.+)")
CLOCK = re.compile(r"(\d{1,2})\s*[:：时点]\s*(\d{2})?(?::\d{2})?\s*分?")
replace = msgspec.structs.replace

FIELDS = (
    Field(
        key="date", zh="日期", en="Date", type="date", required=True, aliases=["值班日期", "day"], example="2026-06-01"
    ),
    Field(key="post", zh="岗位", en="Post", required=True, aliases=["值班岗位", "职务", "post"], example="值班员"),
    Field(
        key="person",
        zh="姓名/账号",
        en="Name or account",
        required=True,
        aliases=["姓名", "账号", "值班人员", "值班人", "人员", "username", "name"],
        example="王晓",
    ),
    Field(
        key="from",
        zh="开始",
        en="From",
        required=True,
        aliases=["开始时间", "上班", "from", "start"],
        help_zh="时:分；结束不晚于开始的，算到第二天",
        help_en="hour:minute; an end not after the start is on the next day",
        example="08:00",
    ),
    Field(key="to", zh="结束", en="To", required=True, aliases=["结束时间", "下班", "to", "end"], example="08:00"),
    Field(key="area", zh="区域", en="Area", type="area", aliases=["行政区划", "辖区", "area"], example="331002"),
    Field(
        key="phone",
        zh="电话",
        en="Telephone",
        type="phone",
        personal=True,
        aliases=["手机", "联系电话", "phone"],
        help_zh="没有账号的人必填",
        help_en="needed for somebody without an account",
    ),
)


class ShiftTarget:
    """Implements `command_center.registers.targets.ImportTarget`; kind `shift`."""

    kind = "shift"
    fields: Sequence[Field] = FIELDS
    located: Literal["no", "point", "any"] = "no"

    def __init__(self, store: Store, env: Env, emit: Emit, sealer: Sealer) -> None:
        self._store, self._env, self._emit, self._sealer = store, env, emit, sealer

    def row_ids(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        """The ids of rows in a file that has none, from their cells by field key; no database is asked.

        The post stands in them as the file says it (`S-20190810-0800-值班员`); `current` knows these ids too. A row that
        cannot be read gets an id of its own, so that `check` can name the cell.
        """
        seen: Counter[str] = Counter()
        ids = []
        for number, row in enumerate(cells, start=1):
            base = _id_of_cells(row) or f"row-{number}"
            seen[base] += 1
            ids.append(base if seen[base] == 1 else f"{base}.{seen[base]}")
        return ids

    async def settled(self, rows: Sequence[Row]) -> list[Row]:
        """The rows in the words that `current` uses, for a comparison: post and person by name, 08:00, 2019-08-10."""
        async with self._store.read() as tx:
            reader = await _Reader.open(tx)
        return [reader.settled(row) for row in rows]

    async def current(self, actor: Actor, ids: Sequence[str]) -> Mapping[str, Row]:
        require(actor, Action.PLAN_DUTY)
        found: dict[str, Row] = {}
        async with self._store.read() as tx:
            reader = await _Reader.open(tx)
            for entry_id in ids:
                shift = await tx.shift(reader.shift_id(entry_id))
                if shift is not None and actor.scope.covers(area=shift.area):
                    found[entry_id] = reader.row(shift, entry_id)
        return found

    async def rows(self, actor: Actor, clear: bool = False) -> list[Row]:
        """The roster for an export, as the sheet that `commit` takes: two months back, all that is planned ahead.

        `clear`: telephone numbers of contacts in clear, for who calls people; journalled by who exports. Raises Forbidden.
        """
        require(actor, Action.READ_DUTY)
        if clear:
            require(actor, Action.READ_DUTY_PHONE)
        now_us = self._env.clock.city_us()
        async with self._store.read() as tx:
            reader = await _Reader.open(tx)
            found = await tx.shifts(now_us - roster.LOOK_US, now_us + AHEAD_US)
        seen = [s for s in found if actor.scope.covers(area=s.area)]
        return [self._exported(reader.row(s), s, clear, number) for number, s in enumerate(seen, start=2)]

    def _exported(self, row: Row, shift: Shift, clear: bool, number: int) -> Row:
        if clear and shift.phone:
            number_in_clear = self._sealer.unseal(shift.phone, shifts.phone_place(shift.shift_id))
            return replace(row, row=number, values={**row.values, "phone": number_in_clear})
        return replace(row, row=number)

    async def check(self, actor: Actor, rows: Sequence[Row]) -> Sequence[Problem]:
        require(actor, Action.PLAN_DUTY)
        async with self._store.read() as tx:
            return await _problems(tx, actor, rows, self._env.clock.city_us())

    async def commit(self, actor: Actor, rows: Sequence[Row], *, reason: str) -> Committed:
        require(actor, Action.PLAN_DUTY)
        done: Counter[str] = Counter()
        async with working(self._store, self._env, self._emit, actor) as work:
            problems = await _problems(work.tx, actor, rows, work.at_us)
            if problems:
                raise Invalid("; ".join(f"row {p.row}, {p.column}: {p.en}" for p in problems[:5]))
            reader = await _Reader.open(work.tx)
            drafts = [reader.must(row) for row in rows]
            for shift_id, draft in zip(await _ids(work.tx, reader, rows, drafts), drafts, strict=True):
                done[await self._put(work, shift_id, draft, reason)] += 1
            if done["created"] or done["changed"]:
                await shifts.plan_changed(work, escalation.reroute)
        return Committed(created=done["created"], changed=done["changed"], same=done["same"])

    async def _put(self, work: Work, shift_id: str, draft: ShiftDraft, reason: str) -> str:
        before = await work.tx.shift(shift_id)
        if before is None:
            await shifts.add(work, draft, self._sealer.seal, reason, shift_id=shift_id)
            return "created"
        if self._says_the_same(before, draft):
            return "same"
        await shifts.change(work, shift_id, draft, before.rev, self._sealer.seal, reason)
        return "changed"

    def _says_the_same(self, shift: Shift, draft: ShiftDraft) -> bool:
        phone = self._sealer.unseal(shift.phone, shifts.phone_place(shift.shift_id))
        who = (shift.username, "" if shift.username else shift.name, phone)
        said = phone if shifts.keeps_number(shift, draft) else draft.phone
        asked = (draft.username, "" if draft.username else draft.name, said)
        return who == asked and (shift.from_us, shift.to_us) == (draft.from_us, draft.to_us)


class _Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Turns words of a row into a shift: posts by code or name, people by account or name."""

    posts: dict[str, Post]  # by code, Chinese and English name
    users: dict[str, list[User]]  # by account and by name

    @classmethod
    async def open(cls, tx: Tx) -> _Reader:
        posts = {word: p for p in await roster.posts_of(tx) for word in (p.post, p.zh, p.en.lower())}
        users: dict[str, list[User]] = {}
        for record in await tx.users():
            for word in {record.user.username, record.user.name}:
                users.setdefault(word, []).append(record.user)
        return cls(posts=posts, users=users)

    def shift_id(self, entry_id: str) -> str:
        """A shift's id from one that a file made (`row_ids`): the post's word becomes its code."""
        found = FILE_ID.fullmatch(entry_id)
        if found is None:
            return entry_id
        for word in sorted(self.posts, key=len, reverse=True):
            rest = found[2][len(word) :]
            if found[2][: len(word)].lower() == word.lower() and rest[:1] in ("", "-", "."):
                return f"{found[1]}-{self.posts[word].post}{rest}"
        return entry_id

    def row(self, shift: Shift, entry_id: str = "") -> Row:
        """A shift as a line of the sheet. A name that several people have stands as the account."""
        began, ends = roster.city_wall(shift.from_us), roster.city_wall(shift.to_us)
        name = shift.name if len(self.users.get(shift.name, [])) < 2 else shift.username
        values = {
            "date": f"{began:%Y-%m-%d}",
            "post": self.posts[shift.post].zh if shift.post in self.posts else shift.post,
            "person": name or shift.username,
            "from": f"{began:%H:%M}",
            "to": f"{ends:%H:%M}",
            "area": shift.area,
            "phone": shift.phone_mask if not shift.username else "",
        }
        return Row(row=0, entry_id=entry_id or shift.shift_id, values=values)

    def settled(self, row: Row) -> Row:
        draft, _ = self.draft(row)
        if draft is None:
            return row
        as_shift = Shift(
            shift_id=row.entry_id,
            post=draft.post,
            username=draft.username,
            name=draft.name,
            area=draft.area,
            from_us=draft.from_us,
            to_us=draft.to_us,
        )
        plain = self.row(as_shift, row.entry_id)
        return replace(row, values={**plain.values, "phone": _text(row, "phone") if not draft.username else ""})

    def must(self, row: Row) -> ShiftDraft:
        draft, problems = self.draft(row)
        if draft is None:
            raise Invalid(f"row {row.row}: {problems[0].en}")
        return draft

    def draft(self, row: Row) -> tuple[ShiftDraft | None, list[Problem]]:
        """The shift that a row says, or what is wrong with it, cell by cell."""
        wrong: list[Problem] = []
        post = self.posts.get(_text(row, "post")) or self.posts.get(_text(row, "post").lower())
        if post is None:
            known = "、".join(dict.fromkeys(p.zh for p in self.posts.values()))
            wrong.append(_problem(row, "post", f"没有这个岗位，应为 {known}", f"no such post; one of {known}"))
        day = day_of(row.values.get("date"))
        if day is None:
            wrong.append(_problem(row, "date", "不是日期，应如 2026-06-01", "not a date; as 2026-06-01"))
        times = [clock_of(row.values.get(key)) for key in ("from", "to")]
        for key, found in zip(("from", "to"), times, strict=True):
            if found is None:
                wrong.append(_problem(row, key, "不是时间，应如 08:00", "not a time of day; as 08:00"))
        person, problem = self._person(row)
        wrong += [problem] if problem is not None else []
        if post is None or day is None or times[0] is None or times[1] is None or person is None:
            return None, wrong
        from_us = wall_us(day, times[0])
        to_us = wall_us(day if times[1] > times[0] else day + timedelta(days=1), times[1])
        username, name, phone = person
        area = _text(row, "area")
        return (
            ShiftDraft(
                post=post.post, username=username, name=name, phone=phone, area=area, from_us=from_us, to_us=to_us
            ),
            wrong,
        )

    def _person(self, row: Row) -> tuple[tuple[str, str, str] | None, Problem | None]:
        """(account, name, telephone): an account wins; a name without one needs a telephone."""
        word, phone = _text(row, "person"), _text(row, "phone")
        found = self.users.get(word, [])
        if len(found) > 1:
            names = ", ".join(sorted(u.username for u in found))
            return None, _problem(
                row, "person", f"有多人叫这个名字，请写账号：{names}", f"several people; name one of {names}"
            )
        if found and found[0].enabled:
            return (found[0].username, found[0].name, ""), None
        if found:
            return None, _problem(row, "person", "账号已停用", "the account is disabled")
        if word and any(c.isdigit() for c in phone):
            return ("", word, phone), None
        return None, _problem(
            row, "person", "没有这个账号，也没有填电话", "no such account, and no telephone number is given"
        )


async def _problems(tx: Tx, actor: Actor, rows: Sequence[Row], now_us: int) -> list[Problem]:
    reader = await _Reader.open(tx)
    wrong: list[Problem] = []
    drafts: list[ShiftDraft | None] = []
    for row in rows:
        draft, problems = reader.draft(row)
        wrong += problems
        drafts.append(draft)
        if draft is None:
            continue
        if not shifts.AREA.fullmatch(draft.area):
            wrong.append(_problem(row, "area", "不是行政区划代码", "not an administrative code"))
        try:
            require(actor, Action.PLAN_DUTY, area=draft.area)
        except CommandError:
            wrong.append(_problem(row, "area", "不在您的管辖范围内", "outside your scope"))
    wrong += _twice(rows, drafts)
    for row, shift_id, draft in zip(rows, await _ids(tx, reader, rows, drafts), drafts, strict=True):
        standing = await tx.shift(shift_id) if draft is not None else None
        if draft is None or standing is None or standing.from_us > now_us:
            continue
        if (standing.username, standing.from_us) != (draft.username, draft.from_us):
            zh, en = "这个班次已经开始，不能换人；请用换班", "this shift has begun; hand it over instead"
            wrong.append(_problem(row, "person", zh, en))
    return wrong


def _twice(rows: Sequence[Row], drafts: Sequence[ShiftDraft | None]) -> list[Problem]:
    """One person twice on the same post and area at the same time, within the file."""
    wrong = []
    for index, second in enumerate(drafts):
        for earlier, first in zip(rows[:index], drafts[:index], strict=True):
            if first is None or second is None or first.to_us <= second.from_us or second.to_us <= first.from_us:
                continue
            same = (first.post, first.area, first.username, first.name)
            if same == (second.post, second.area, second.username, second.name):
                zh, en = f"与第 {earlier.row} 行时间重叠", f"overlaps row {earlier.row}"
                wrong.append(_problem(rows[index], "from", zh, en))
                break
    return wrong


async def _ids(tx: Tx, reader: _Reader, rows: Sequence[Row], drafts: Sequence[ShiftDraft | None]) -> list[str]:
    """The shift that a row means: the one it names, if there is one; else by its natural id, a second person there `.2`."""
    seen: Counter[str] = Counter()
    ids = []
    for row, draft in zip(rows, drafts, strict=True):
        if draft is None:
            ids.append("")
            continue
        named = reader.shift_id(row.entry_id)
        base = base_id(draft.post, draft.area, draft.from_us)
        seen[base] += 1
        natural = base if seen[base] == 1 else f"{base}.{seen[base]}"
        ids.append(named if named and await tx.shift(named) is not None else natural)
    return ids


def _id_of_cells(cells: Mapping[str, Any]) -> str:
    day, began = day_of(cells.get("date")), clock_of(cells.get("from"))
    post = str(cells.get("post") or "").strip()
    area = str(cells.get("area") or "").strip()
    if day is None or began is None or not post:
        return ""
    return base_id(post, area, wall_us(day, began))


def _text(row: Row, key: str) -> str:
    value = row.values.get(key)
    return "" if value is None else str(value).strip()


def _problem(row: Row, key: str, zh: str, en: str) -> Problem:
    column = next(f.zh for f in FIELDS if f.key == key)
    return Problem(row=row.row, column=column, value=_text(row, key), zh=zh, en=en)


def day_of(value: Any) -> date | None:
    """A date as a spreadsheet or a person gives it.

    >>> day_of("2026年6月1日"), day_of("2026/6/1 "), day_of("31.6.2026")
    (datetime.date(2026, 6, 1), datetime.date(2026, 6, 1), None)
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    found = DATE.fullmatch(str(value).strip())
    try:
        return date(int(found[1]), int(found[2]), int(found[3])) if found else None
    except ValueError:
        return None


def clock_of(value: Any) -> time | None:
    """A time of day; 24:00 is midnight. A spreadsheet's fraction of a day too.

    >>> [str(clock_of(said)) for said in ("8:00", "20点30分", "24:00", 0.5, "25:00")]
    ['08:00:00', '20:30:00', '00:00:00', '12:00:00', 'None']
    """
    if isinstance(value, datetime):
        return value.time().replace(tzinfo=None)
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    if isinstance(value, float) and 0 <= value < 1:
        minutes = round(value * 24 * 60)
        return time(minutes // 60 % 24, minutes % 60)
    found = CLOCK.fullmatch(str(value).strip())
    if found is None:
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    if (hour, minute) == (24, 0):
        return time(0, 0)
    return time(hour, minute) if hour < 24 and minute < 60 else None


def wall_us(day: date, at: time) -> int:
    """City microseconds of a time on the city's wall."""
    return ((day - date(1970, 1, 1)).days * 86_400 + at.hour * 3600 + at.minute * 60 + at.second) * 1_000_000 - round(
        roster.CHINA.total_seconds() * 1e6
    )
