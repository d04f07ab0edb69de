"""`DutyService`: duty behind one door. Each method asks the authority table and the actor's scope, opens one transaction, does one thing.

Telephone numbers are masked unless they are asked for in clear, by somebody who calls people; each such reading is journalled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import structlog

from command_center import escalation
from command_center.access.personal import Sealer
from command_center.authority import MATRIX, Action, must_see, only_own, require
from command_center.duty import handover, instructions, log, roster, shifts
from command_center.duty.instructions import InstructionDraft
from command_center.duty.model import (
    US_PER_DAY,
    Absence,
    Called,
    Chain,
    Colleague,
    Gap,
    Handover,
    Instruction,
    InstructionState,
    LogEntry,
    Overlap,
    Post,
    Shift,
)
from command_center.duty.shifts import ShiftDraft
from command_center.errors import Forbidden, Invalid, NotFound, Unavailable
from command_center.model import SYSTEM, Actor, User
from command_center.ports import Emit, Store
from command_center.registers.entries import Entry
from command_center.work import Env, Work, working

replace = msgspec.structs.replace
events = structlog.get_logger(__name__)

MAX_PAGE = 500
MAX_WINDOW_US = 400 * US_PER_DAY
SHOW_EVERY_S = 15.0  # accounts are disabled and databases come back without a word to us


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the roster, with what is wrong in it."""

    shifts: list[Shift]
    overlaps: list[Overlap]
    gaps: list[Gap]
    absences: list[Absence]


class DutyService:
    """`banners`: what stands on every screen about the system itself. `user_phone` gives a user's number in clear."""

    def __init__(
        self,
        store: Store,
        env: Env,
        emit: Emit,
        sealer: Sealer,
        *,
        banners: Callable[[], Sequence[Mapping[str, Any]]] = list,
        user_phone: Callable[[User], str] = lambda user: user.phone,
    ) -> None:
        self._store, self._env, self._emit, self._sealer = store, env, emit, sealer
        self._banners, self._user_phone = banners, user_phone

    # --- the board

    async def run(self) -> None:
        """Show the board until cancelled; without the database it shows what it had."""
        while True:
            try:
                await self.show()
            except Unavailable as error:
                events.info("duty_board_waits", reason=str(error))
            await asyncio.sleep(SHOW_EVERY_S)

    async def show(self) -> None:
        """Give the board the roster as it is now, and make sure that the next shift change is waited for.

        In a writer's turn though it mostly writes nothing: what was read before a change must not be shown after it.
        """
        async with self._working(SYSTEM) as work:
            if await work.tx.timer(shifts.SHIFT_TIMER) is None:
                await shifts.arm(work)
            await shifts.show(work)

    # --- posts

    async def posts(self, actor: Actor) -> list[Post]:
        require(actor, Action.READ_DUTY)
        async with self._store.read() as tx:
            return await roster.posts_of(tx)

    async def set_posts(self, actor: Actor, posts: Sequence[Post], reason: str) -> list[Post]:
        require(actor, Action.PLAN_DUTY, area="")
        async with self._working(actor) as work:
            found = await shifts.set_posts(work, posts, reason)
            await self._changed(work)
            return found

    async def people(self, actor: Actor) -> list[Colleague]:
        """Who can be put on the roster by whoever plans it: enabled accounts that may read it, of his areas or of none, by name."""
        require(actor, Action.PLAN_DUTY)
        async with self._store.read() as tx:
            users = [record.user for record in await tx.users()]
        found = [
            Colleague(username=user.username, name=user.name, area=user.area)
            for user in users
            if user.enabled
            and MATRIX[Action.READ_DUTY].intersection(user.roles)
            and (not user.area or actor.scope.covers(area=user.area))
        ]
        return sorted(found, key=lambda one: (one.name, one.username))

    # --- the plan

    async def plan(self, actor: Actor, from_us: int, to_us: int) -> Plan:
        """The shifts that touch [from, to) and lie in the actor's scope."""
        require(actor, Action.READ_DUTY)
        if not 0 < to_us - from_us <= MAX_WINDOW_US:
            raise Invalid(f"to: after from, at most {MAX_WINDOW_US // US_PER_DAY} days later")
        async with self._store.read() as tx:
            everything = await tx.shifts(from_us, to_us)
            posts = await roster.posts_of(tx)
            absences = await tx.absences(from_us, to_us)
        seen = [s for s in everything if actor.scope.covers(area=s.area)]
        people = {s.username for s in seen}
        return Plan(
            shifts=[shifts.shown(s) for s in seen],
            overlaps=roster.overlaps(seen),
            gaps=[g for g in roster.gaps_between(posts, everything, from_us, to_us) if actor.scope.covers(area=g.area)],
            absences=[a for a in absences if not actor.scope.areas or a.username in people],
        )

    async def shift(self, actor: Actor, shift_id: str) -> Shift:
        require(actor, Action.READ_DUTY)
        async with self._reading(actor) as work:
            found = await shifts.get(work, shift_id)
        must_see(actor, "shift", shift_id, area=found.area)
        return shifts.shown(found)

    async def add_shift(self, actor: Actor, draft: ShiftDraft, reason: str) -> Shift:
        require(actor, Action.PLAN_DUTY, area=draft.area)
        async with self._working(actor) as work:
            made = await shifts.add(work, draft, self._sealer.seal, reason)
            await self._changed(work)
            return shifts.shown(made)

    async def change_shift(self, actor: Actor, shift_id: str, draft: ShiftDraft, rev: int, reason: str) -> Shift:
        require(actor, Action.PLAN_DUTY)
        async with self._working(actor) as work:
            must_see(actor, "shift", shift_id, area=(await shifts.get(work, shift_id)).area)
            require(actor, Action.PLAN_DUTY, area=draft.area)
            made = await shifts.change(work, shift_id, draft, rev, self._sealer.seal, reason)
            await self._changed(work)
            return shifts.shown(made)

    async def remove_shift(self, actor: Actor, shift_id: str, rev: int, reason: str) -> None:
        require(actor, Action.PLAN_DUTY)
        async with self._working(actor) as work:
            must_see(actor, "shift", shift_id, area=(await shifts.get(work, shift_id)).area)
            await shifts.remove(work, shift_id, rev, reason)
            await self._changed(work)

    async def reassign_shift(
        self, actor: Actor, shift_id: str, to: str, rev: int, *, kind: str, reason: str
    ) -> list[Shift]:
        require(actor, Action.PLAN_DUTY)
        async with self._working(actor) as work:
            must_see(actor, "shift", shift_id, area=(await shifts.get(work, shift_id)).area)
            made = await shifts.reassign(work, shift_id, to, rev, self._sealer.seal, kind, reason)
            await self._changed(work)
            return [shifts.shown(s) for s in made]

    async def generate(
        self,
        actor: Actor,
        post: str,
        area: str,
        usernames: Sequence[str],
        start_us: int,
        shift_us: int,
        until_us: int,
        reason: str,
    ) -> list[Shift]:
        require(actor, Action.PLAN_DUTY, area=area)
        async with self._working(actor) as work:
            made = await shifts.generate(
                work, post, area, usernames, start_us, shift_us, until_us, self._sealer.seal, reason
            )
            await self._changed(work)
            return [shifts.shown(s) for s in made]

    async def add_absence(
        self, actor: Actor, username: str, from_us: int, to_us: int, reason: str
    ) -> tuple[Absence, list[Shift]]:
        require(actor, Action.PLAN_DUTY)
        async with self._working(actor) as work:
            absence, touched = await shifts.add_absence(work, username, from_us, to_us, reason)
            for shift in touched:
                require(actor, Action.PLAN_DUTY, area=shift.area)
            if not touched:
                require(actor, Action.PLAN_DUTY, area="")
            await self._changed(work)
            return absence, [shifts.shown(s) for s in touched]

    async def remove_absence(self, actor: Actor, absence_id: str, reason: str) -> None:
        require(actor, Action.PLAN_DUTY, area="")
        async with self._working(actor) as work:
            await shifts.remove_absence(work, absence_id, reason)
            await self._changed(work)

    async def chain(self, actor: Actor, area: str, hazard: str = "", *, clear: bool = False) -> Chain:
        """Who is called now. `clear`: with telephone numbers, for who calls people; the reading is journalled."""
        area = area or _home(actor)
        require(actor, Action.READ_DUTY, area=area if area or actor.scope.areas else None)
        if not clear:
            async with self._reading(actor) as work:
                return await roster.chain_at(work.tx, self._env.deadlines, area, hazard, work.at_us)
        require(actor, Action.READ_DUTY_PHONE)
        async with self._working(actor) as work:
            found = await roster.chain_at(work.tx, self._env.deadlines, area, hazard, work.at_us)
            read = [await self._with_phone(work, called) for called in found.chain]
            people = [c.username or c.name for c in read]
            await work.journal("duty", area or "all", "read_phones", None, {"people": people})
            return replace(found, chain=read)

    async def _with_phone(self, work: Work, called: Called) -> Called:
        if called.username:
            record = await work.tx.user(called.username)
            return called if record is None else replace(called, phone=self._user_phone(record.user))
        shift = await shifts.get(work, called.shift_id)
        return replace(called, phone=self._sealer.unseal(shift.phone, shifts.phone_place(shift.shift_id)))

    async def _changed(self, work: Work) -> None:
        await shifts.plan_changed(work, escalation.reroute)

    # --- hand-over

    async def handovers(self, actor: Actor, limit: int = 50, cursor: str = "") -> tuple[list[Handover], str | None]:
        require(actor, Action.READ_DUTY)
        limit = _page(limit)
        async with self._store.read() as tx:
            found = await tx.handovers(limit, cursor)
        following = found[-1].handover_id if len(found) == limit else None
        return [h for h in found if actor.scope.covers(area=h.area)], following

    async def handover(self, actor: Actor, handover_id: str) -> Handover:
        require(actor, Action.READ_DUTY)
        async with self._reading(actor) as work:
            found = await handover.get(work, handover_id)
        must_see(actor, "hand-over", handover_id, area=found.area)
        return found

    async def draft_handover(
        self, actor: Actor, post: str, area: str, to_user: str, *, substitute_reason: str = "", remarks: str = ""
    ) -> Handover:
        area = area or _home(actor)
        require(actor, Action.HAND_OVER, area=area)
        async with self._working(actor) as work:
            return await handover.draft(work, post, area, to_user, substitute_reason, remarks, self._banners())

    async def remark_handover(self, actor: Actor, handover_id: str, remarks: str, rev: int) -> Handover:
        require(actor, Action.HAND_OVER)
        async with self._working(actor) as work:
            must_see(actor, "hand-over", handover_id, area=(await handover.get(work, handover_id)).area)
            return await handover.remark(work, handover_id, remarks, rev)

    async def sign_handover(
        self, actor: Actor, handover_id: str, *, comment: str = "", substitute_reason: str = ""
    ) -> Handover:
        require(actor, Action.HAND_OVER)
        async with self._working(actor) as work:
            must_see(actor, "hand-over", handover_id, area=(await handover.get(work, handover_id)).area)
            record = await work.tx.user(actor.username)
            name = record.user.name if record is not None else actor.username
            return await handover.sign(work, handover_id, name, comment, substitute_reason)

    async def withdraw_handover(self, actor: Actor, handover_id: str, reason: str) -> Handover:
        require(actor, Action.HAND_OVER)
        if not reason.strip():
            raise Invalid("comment: withdrawing a hand-over needs a reason")
        async with self._working(actor) as work:
            must_see(actor, "hand-over", handover_id, area=(await handover.get(work, handover_id)).area)
            return await handover.withdraw(work, handover_id, reason)

    # --- log

    async def log_entries(
        self, actor: Actor, *, day: str = "", limit: int = 200, cursor: str = ""
    ) -> tuple[list[LogEntry], str | None]:
        require(actor, Action.READ_DUTY)
        limit = _page(limit)
        async with self._store.read() as tx:
            found = await tx.log_entries(day=_day(day), limit=limit, before=cursor)
        following = found[-1].entry_id if len(found) == limit else None
        return [e for e in found if actor.scope.covers(area=e.area)], following

    async def whole_day(self, actor: Actor, day: str) -> list[LogEntry]:
        """A day's entries, oldest first; the reading is journalled: it leaves the system."""
        require(actor, Action.READ_DUTY)
        if not _day(day):
            raise Invalid("day: which one, as 20190809")
        async with self._working(actor) as work:
            found = await work.tx.log_entries(day=day, limit=100_000)
            seen = [e for e in reversed(found) if actor.scope.covers(area=e.area)]
            await work.journal("duty_log", day, "export", None, {"entries": len(seen)})
            return seen

    async def write_log(self, actor: Actor, entry: LogEntry) -> LogEntry:
        entry = replace(entry, area=entry.area or _home(actor))
        require(actor, Action.WRITE_DUTY_LOG, area=entry.area)
        async with self._working(actor) as work:
            return await log.write_by_hand(work, entry)

    # --- instructions

    async def instructions(
        self, actor: Actor, *, open_only: bool = False, limit: int = 100, cursor: str = "", subject: str = ""
    ) -> tuple[list[Instruction], str | None]:
        require(actor, Action.READ_INSTRUCTIONS)
        limit = _page(limit)
        async with self._store.read() as tx:
            found = await tx.instructions(open_only=open_only, limit=limit, before=cursor, subject=subject)
        following = found[-1].instruction_id if len(found) == limit else None
        return [seen for i in found if (seen := _seen_by(actor, i)) is not None], following

    async def instruction(self, actor: Actor, instruction_id: str) -> Instruction:
        require(actor, Action.READ_INSTRUCTIONS)
        async with self._reading(actor) as work:
            return _must_see(actor, await instructions.get(work, instruction_id))

    async def instruct(self, actor: Actor, draft: InstructionDraft) -> Instruction:
        require(actor, Action.INSTRUCT)
        async with self._working(actor) as work:
            incident = await work.tx.incident(draft.incident_id) if draft.incident_id else None
            about = await _about(work, actor, draft.subject)
            area = draft.area or (incident.area if incident else "") or (about.area if about else "") or _home(actor)
            for place in {area, incident.area if incident else area}:  # it is told in the incident, too
                require(actor, Action.INSTRUCT, area=place)
            return await instructions.issue(work, replace(draft, area=area))

    async def answer_instruction(
        self, actor: Actor, instruction_id: str, to: InstructionState, *, n: int | None = None, comment: str = ""
    ) -> Instruction:
        """RECEIVED, IN_PROGRESS or REPORTED, by an addressee; the desk for a unit or an organisation that telephoned."""
        require(actor, Action.ANSWER_INSTRUCTION)
        if to is InstructionState.REPORTED and not comment.strip():
            raise Invalid("comment: a report needs words")
        async with self._working(actor) as work:
            found = _must_see(actor, await instructions.get(work, instruction_id), whole=True)
            addressee = instructions.mine(found, actor, n)
            if not instructions.is_addressee(actor, addressee):
                work.actor = replace(actor, on_behalf_of=actor.on_behalf_of or addressee.id)
            return _must_see(actor, await instructions.move(work, found, [addressee], to, comment))

    async def check_instruction(
        self, actor: Actor, instruction_id: str, to: InstructionState, *, n: int | None = None, comment: str = ""
    ) -> Instruction:
        """CHECKED, RETURNED or CLOSED: of one addressee, or of all who are that far. Nobody checks his own report."""
        require(actor, Action.CHECK_INSTRUCTION)
        if to is InstructionState.RETURNED and not comment.strip():
            raise Invalid("comment: say what is missing when you return a report")
        return await self._supervise(actor, Action.CHECK_INSTRUCTION, instruction_id, to, n, comment)

    async def recall_instruction(
        self, actor: Actor, instruction_id: str, *, n: int | None = None, comment: str = ""
    ) -> Instruction:
        require(actor, Action.INSTRUCT)
        if not comment.strip():
            raise Invalid("comment: recalling an instruction needs a reason")
        return await self._supervise(actor, Action.INSTRUCT, instruction_id, InstructionState.RECALLED, n, comment)

    async def _supervise(
        self, actor: Actor, action: Action, instruction_id: str, to: InstructionState, n: int | None, comment: str
    ) -> Instruction:
        async with self._working(actor) as work:
            found = _must_see(actor, await instructions.get(work, instruction_id), whole=True)
            require(actor, action, area=found.area)
            chosen = instructions.targets(found, n, to)
            own = [a.name for a in chosen if instructions.is_addressee(actor, a)]
            if own and to in (InstructionState.CHECKED, InstructionState.CLOSED):
                raise Forbidden(actor.username, action.value, f"{own[0]} is yourself: another person checks a report")
            return await instructions.move(work, found, chosen, to, comment)

    async def open_instructions(self) -> tuple[int, list[Instruction]]:
        """What the hub starts from: head of the event numbers, then all that is open. For the hub, not for users."""
        async with self._reading(SYSTEM) as work:
            seq = await work.tx.live_head()
            found = await work.tx.instructions(open_only=True, limit=MAX_PAGE)
            return seq, [await instructions.get(work, i.instruction_id) for i in found]

    # --- plumbing

    def _working(self, actor: Actor) -> AbstractAsyncContextManager[Work]:
        return working(self._store, self._env, self._emit, actor)

    @asynccontextmanager
    async def _reading(self, actor: Actor) -> AsyncIterator[Work]:
        clock = self._env.clock
        async with self._store.read() as tx:
            yield Work(tx=tx, env=self._env, actor=actor, at_us=clock.city_us(), machine_us=clock.machine_us())


def _home(actor: Actor) -> str:
    """Where a person with a limited scope works when he names no area."""
    return actor.scope.areas[0] if actor.scope.areas else ""


def _seen_by(actor: Actor, instruction: Instruction) -> Instruction | None:
    """What this actor may see: in his area all of it; else, and for a responder, what is addressed to him and his own part."""
    if not only_own(actor) and actor.scope.covers(area=instruction.area):
        return instruction
    if instruction.issued_by == actor.username:
        return instruction
    own = [a for a in instruction.addressees if instructions.is_addressee(actor, a)]
    if not own:
        return None
    numbers = {0, *(a.n for a in own)}
    return replace(instruction, addressees=own, timeline=[e for e in instruction.timeline if e.n in numbers])


def _must_see(actor: Actor, instruction: Instruction, *, whole: bool = False) -> Instruction:
    seen = _seen_by(actor, instruction)
    if seen is None:
        raise NotFound("instruction", instruction.instruction_id)
    return instruction if whole else seen


def _day(day: str) -> str:
    if day and not (len(day) == 8 and day.isdigit()):
        raise Invalid(f"day {day!r}: expected YYYYMMDD, as 20190809")
    return day


def _page(limit: int) -> int:
    if limit < 1:
        raise Invalid(f"limit: {limit} is not above 0")
    return min(limit, MAX_PAGE)


async def _about(work: Work, actor: Actor, subject: str) -> Entry | None:
    """The entry that an instruction is about, None for none. Raises Invalid for a subject that is no `kind/id`, NotFound for one
    that does not exist or lies outside the actor's area."""
    if not subject:
        return None
    kind, slash, entry_id = subject.partition("/")
    if not (kind and slash and entry_id):
        raise Invalid(f"subject {subject!r}: expected kind/id of an entry of the registers")
    entry = await work.tx.register_entry(kind, entry_id)
    if entry is None:
        raise NotFound(kind, entry_id)
    must_see(actor, kind, entry_id, area=entry.area)
    return entry
