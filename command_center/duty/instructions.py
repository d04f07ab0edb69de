"""批示 of leaders as supervised tasks (督办): each addressee signs for it, reports, is checked and closed, with timers as rows.

Waits for people count machine time (the receipt, the repetition of a 督办); the due time that the leader wrote is the city's.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from command_center import incident_book as book
from command_center.duty import log
from command_center.duty.machines import INSTRUCTION, INSTRUCTION_OVER, UNREPORTED, least_far
from command_center.duty.model import (
    URGENCY_ZH,
    Addressee,
    AddresseeKind,
    Instruction,
    InstructionEvent,
    LogKind,
    Urgency,
)
from command_center.duty.model import InstructionState as P
from command_center.duty.roster import city_wall, wall_text
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, Role
from command_center.records import Timer
from command_center.work import Work

replace = msgspec.structs.replace
# Machine seconds until an addressee must have signed for it, then until the next 督办 about one that is overdue.
RECEIVE_S = {Urgency.URGENT: 300.0, Urgency.PRESSING: 900.0, Urgency.NORMAL: 3600.0}
SUPERVISE_S = {Urgency.URGENT: 1800.0, Urgency.PRESSING: 3600.0, Urgency.NORMAL: 14_400.0}
MAX_ADDRESSEES = 50
TIMERS = ("receive", "progress", "due")


class InstructionDraft(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    urgency: Urgency = Urgency.NORMAL
    addressees: list[tuple[AddresseeKind, str]]
    due_us: int | None = None
    incident_id: str = ""
    area: str = ""
    subject: str = ""


async def issue(work: Work, draft: InstructionDraft) -> Instruction:
    """Number, store, tell, and start the waits. Raises Invalid naming the addressee that does not exist."""
    if not draft.text.strip():
        raise Invalid("text: an instruction needs words")
    if not 0 < len(draft.addressees) <= MAX_ADDRESSEES:
        raise Invalid(f"addressees: 1 to {MAX_ADDRESSEES} expected, got {len(draft.addressees)}")
    if len(set(draft.addressees)) != len(draft.addressees):
        raise Invalid("addressees: one is named twice")
    if draft.due_us is not None and draft.due_us <= work.at_us:
        raise Invalid("due_us: lies in the past of the city")
    if draft.incident_id:
        await book.get(work, draft.incident_id)
    named = [await _addressee(work, n, kind, who) for n, (kind, who) in enumerate(draft.addressees, start=1)]
    year = city_wall(work.at_us).year
    instruction = Instruction(
        instruction_id=f"P-{year}-{await work.tx.next_number(f'instruction:{year}'):03d}",
        text=draft.text,
        urgency=draft.urgency,
        urgency_zh=URGENCY_ZH[draft.urgency],
        issued_by=work.actor.username,
        issued_us=work.at_us,
        due_us=draft.due_us,
        incident_id=draft.incident_id,
        area=draft.area,
        state=INSTRUCTION.start,
        state_zh=INSTRUCTION.zh[INSTRUCTION.start],
        open=True,
        changed_us=work.at_us,
        rev=1,
        subject=draft.subject,
        addressees=named,
    )
    await work.tx.insert_instruction(instruction)
    await work.journal("instruction", instruction.instruction_id, "issue", None, instruction)
    for addressee in named:
        await _wait(work, instruction, addressee, "receive", RECEIVE_S[draft.urgency])
        if draft.due_us is not None:
            await _at(work, instruction, addressee, "due", draft.due_us)
    to = "、".join(a.name for a in named)
    await _tell(
        work,
        instruction,
        "issue",
        f"{work.actor.username} 批示（{instruction.urgency_zh}）→ {to}，办结时限 {wall_text(draft.due_us) if draft.due_us else '未定'}",
        f"{work.actor.username} instructed {to}",
    )
    await log.write(
        work,
        LogKind.INSTRUCTION,
        f"批示 {instruction.instruction_id}（{instruction.urgency_zh}）致 {to}：{draft.text}",
        area=draft.area,
        incident_id=draft.incident_id,
        instruction_id=instruction.instruction_id,
        auto=True,
    )
    if draft.incident_id:
        note = f"批示 {instruction.instruction_id}：{draft.text}"
        await book.tell(work, draft.incident_id, "instruction", note, note, ref=instruction.instruction_id)
    return await show(work, instruction.instruction_id, "issue")


async def _addressee(work: Work, n: int, kind: AddresseeKind, who: str) -> Addressee:
    name = who
    if kind is AddresseeKind.USER:
        record = await work.tx.user(who)
        if record is None or not record.user.enabled:
            raise Invalid(f"addressees[{n - 1}]: user {who!r} does not exist or is disabled")
        name = record.user.name
    elif kind is AddresseeKind.UNIT:
        unit = await work.tx.unit(who)
        if unit is None:
            raise Invalid(f"addressees[{n - 1}]: unit {who!r} does not exist")
        name = unit.unit.name
    return Addressee(n=n, kind=kind, id=who, name=name, state_zh=INSTRUCTION.zh[P.ISSUED], changed_us=work.at_us)


async def get(work: Work, instruction_id: str) -> Instruction:
    found = await work.tx.instruction(instruction_id)
    if found is None:
        raise NotFound("instruction", instruction_id)
    return found


def is_addressee(actor: Actor, addressee: Addressee) -> bool:
    """The user himself, a member of the unit, somebody whose scope names the organisation."""
    match addressee.kind:
        case AddresseeKind.USER:
            return actor.username == addressee.id
        case AddresseeKind.UNIT:
            return bool(actor.unit_id) and actor.unit_id == addressee.id
        case AddresseeKind.ORGANISATION:
            return addressee.id in actor.scope.organisations


def may_answer(actor: Actor, addressee: Addressee) -> bool:
    """The desk may write down what a unit or an organisation said by telephone; a person's own receipt is his alone."""
    by_telephone = addressee.kind is not AddresseeKind.USER and actor.has(Role.OPERATOR, Role.LEADER)
    return is_addressee(actor, addressee) or by_telephone


def mine(instruction: Instruction, actor: Actor, n: int | None) -> Addressee:
    """The addressee for whom the actor answers: number `n`, or the only one that he may answer for."""
    if n is not None:
        addressee = _numbered(instruction, n)
        if not may_answer(actor, addressee):
            raise Forbidden(actor.username, "answer this instruction", f"it is for {addressee.name} to answer")
        return addressee
    own = [a for a in instruction.addressees if is_addressee(actor, a)]
    own = own or [a for a in instruction.addressees if may_answer(actor, a)]
    if not own:
        raise Forbidden(actor.username, "answer this instruction", "you are not among its addressees")
    if len(own) > 1:
        raise Invalid(f"n: {instruction.instruction_id} has several addressees that you may answer for; say which")
    return own[0]


def _numbered(instruction: Instruction, n: int) -> Addressee:
    found = next((a for a in instruction.addressees if a.n == n), None)
    if found is None:
        raise Invalid(f"n {n}: {instruction.instruction_id} has addressees 1 to {len(instruction.addressees)}")
    return found


def targets(instruction: Instruction, n: int | None, to: P) -> list[Addressee]:
    """Those who may move to `to`: number `n`, or all that can. Empty never: then the first one says why not."""
    if n is not None:
        return [_numbered(instruction, n)]
    return [a for a in instruction.addressees if INSTRUCTION.allows(a.state, to)] or instruction.addressees[:1]


async def move(
    work: Work, instruction: Instruction, addressees: Sequence[Addressee], to: P, comment: str = ""
) -> Instruction:
    """One step for each of these addressees, guarded by the table and again in SQL; timers follow. Returns it as it is then."""
    for before in addressees:
        INSTRUCTION.advance(f"{instruction.instruction_id}/{before.n}", before.state, to)
        after = _stepped(work, before, to, comment)
        if not await work.tx.update_addressee(instruction.instruction_id, after, states=INSTRUCTION.sources_of(to)):
            raise Conflict(f"{instruction.instruction_id}/{before.n} was changed by somebody else meanwhile; reload it")
        key = f"{instruction.instruction_id}/{before.n}"
        await work.journal("instruction", key, to.value.lower(), before, after, comment)
        await _timers(work, instruction, after)
        by = f"{work.actor.username} 代 " if work.actor.on_behalf_of else ""
        words = f"：{comment}" if comment else ""
        zh = f"{by or work.actor.username + ' '}{before.name} {INSTRUCTION.zh[to]}{words}"
        en = f"{work.actor.username}: {before.name} {to.value}{': ' + comment if comment else ''}"
        await _tell(work, instruction, to.value.lower(), zh, en, before.n)
    return await _settled(work, instruction, to.value.lower())


def _stepped(work: Work, before: Addressee, to: P, comment: str) -> Addressee:
    return replace(
        before,
        state=to,
        state_zh=INSTRUCTION.zh[to],
        report=comment if to is P.REPORTED else before.report,
        received_us=work.at_us if to is P.RECEIVED else before.received_us,
        reported_us=work.at_us if to is P.REPORTED else before.reported_us,
        changed_us=work.at_us,
    )


async def _settled(work: Work, instruction: Instruction, kind: str) -> Instruction:
    """The whole follows its addressees; screens get it under the next number."""
    current = await get(work, instruction.instruction_id)
    state = least_far([a.state for a in current.addressees])
    after = replace(
        current,
        state=state,
        state_zh=INSTRUCTION.zh[state],
        open=state not in INSTRUCTION_OVER,
        changed_us=work.at_us,
        rev=current.rev + 1,
    )
    if not await work.tx.update_instruction(after, rev=current.rev):
        raise Conflict(f"{current.instruction_id} was changed by somebody else meanwhile; reload it")
    return await show(work, current.instruction_id, kind)


async def show(work: Work, instruction_id: str, kind: str) -> Instruction:
    shown = await get(work, instruction_id)
    await work.event("instruction", kind, instruction_id, shown.rev, shown)
    return shown


async def _tell(work: Work, instruction: Instruction, kind: str, zh: str, en: str, n: int = 0) -> None:
    event = InstructionEvent(at_us=work.at_us, actor=work.actor.username, kind=kind, text_zh=zh, text_en=en, n=n)
    await work.tx.add_instruction_event(instruction.instruction_id, event)


# --- timers


def _timer_id(instruction_id: str, n: int, what: str) -> str:
    return f"instruction:{instruction_id}/{n}:{what}"


async def _wait(work: Work, instruction: Instruction, addressee: Addressee, what: str, after_s: float) -> None:
    identifier = _timer_id(instruction.instruction_id, addressee.n, what)
    data = {"n": addressee.n, "what": what}
    await work.person_timer(identifier, "instruction", instruction.instruction_id, after_s, data)


async def _at(work: Work, instruction: Instruction, addressee: Addressee, what: str, due_us: int) -> None:
    await work.tx.put_timer(
        Timer(
            timer_id=_timer_id(instruction.instruction_id, addressee.n, what),
            kind="instruction",
            entity_id=instruction.instruction_id,
            clock="city",
            due_us=due_us,
            data={"n": addressee.n, "what": what},
        )
    )


async def _timers(work: Work, instruction: Instruction, addressee: Addressee) -> None:
    """What a step means for the waits."""
    await work.tx.drop_timer(_timer_id(instruction.instruction_id, addressee.n, "receive"))
    if addressee.state not in UNREPORTED:
        for what in ("progress", "due"):
            await work.tx.drop_timer(_timer_id(instruction.instruction_id, addressee.n, what))
    elif addressee.state is P.RECEIVED and instruction.due_us is not None and instruction.due_us > work.at_us:
        # Half of the time that is left: early enough to help, late enough not to nag.
        await _at(work, instruction, addressee, "progress", work.at_us + (instruction.due_us - work.at_us) // 2)
    elif addressee.state is P.RETURNED and instruction.due_us is not None:
        await _at(work, instruction, addressee, "due", max(instruction.due_us, work.at_us + 1))


async def expired(work: Work, timer: Timer) -> None:
    """A wait is over: 督办 to the leader for a receipt or a report that is missing, a reminder halfway."""
    await work.tx.drop_timer(timer.timer_id)
    instruction = await work.tx.instruction(timer.entity_id)
    if instruction is None:
        return
    addressee = _numbered(instruction, int(timer.data["n"]))
    what = str(timer.data["what"])
    if what == "receive" and addressee.state is P.ISSUED:
        wait_s = RECEIVE_S[instruction.urgency]
        zh = f"督办：{addressee.name} {wait_s / 60:g} 分钟未签收批示，请 {instruction.issued_by} 过问"
        en = f"Supervision: {addressee.name} has not signed for it within {wait_s / 60:g} min; {instruction.issued_by}, please ask"
        await _prompt(work, instruction, addressee, zh, en)
        await _wait(work, instruction, addressee, "receive", wait_s)
    elif what == "progress" and addressee.state in UNREPORTED:
        zh = f"提醒：{addressee.name} 办理时限已过半，{wall_text(instruction.due_us)} 前请反馈"
        en = f"Reminder: {addressee.name}, half of the time is gone"
        await _prompt(work, instruction, addressee, zh, en, kind="reminder")
    elif what == "due" and addressee.state in UNREPORTED:
        await _overdue(work, instruction, addressee)


async def _overdue(work: Work, instruction: Instruction, addressee: Addressee) -> None:
    if not addressee.overdue:
        late = replace(addressee, overdue=True, changed_us=work.at_us)
        await work.tx.update_addressee(instruction.instruction_id, late, states=[addressee.state])
        key = f"{instruction.instruction_id}/{addressee.n}"
        await work.journal("instruction", key, "overdue", addressee, late)
    zh = f"督办：{addressee.name} 逾期未反馈（时限 {wall_text(instruction.due_us)}），请 {instruction.issued_by} 过问"
    en = f"Supervision: {addressee.name} is overdue; {instruction.issued_by}, please ask"
    await _prompt(work, instruction, addressee, zh, en)
    await _wait(work, instruction, addressee, "due", SUPERVISE_S[instruction.urgency])


async def _prompt(
    work: Work, instruction: Instruction, addressee: Addressee, zh: str, en: str, *, kind: str = "prompt"
) -> None:
    await _tell(work, instruction, kind, zh, en, addressee.n)
    if instruction.incident_id and kind == "prompt":
        await book.tell(work, instruction.incident_id, "prompt", zh, en, ref=instruction.instruction_id)
    await _settled(work, instruction, kind)
