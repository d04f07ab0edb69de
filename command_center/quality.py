"""The loop of data quality (数据质量问题发现、反馈、整改闭环): what is wrong with the data now, whose it is, and how far its mending is.

Nothing is stored of a problem: it is there while its check finds it. What people do about it stands where they do it: for a device
its repair ticket, for an entry the register itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from command_center.authority import MATRIX, Action, require
from command_center.device_care.model import Ticket, TicketState
from command_center.device_rights import sees
from command_center.errors import Invalid
from command_center.model import Actor
from command_center.ports import Store
from command_center.registers.service import EntryRegister, EntryView
from command_center.work import Env
from devices.registry import Device

DAY_US = 86_400_000_000
REFUSED_DAYS = 1  # dead letters and refusals of this long count
CLOSED_DAYS = 30
SILENT = ("no_data", "offline")
MAX_LIMIT = 1_000
CANARY = "canary"
NOT_CHECKED = frozenset({"area", "address"})  # groups of kinds with nobody to answer for a number


class Check(StrEnum):
    """What is looked for, in the order of the board."""

    SILENT = "silent"
    CLOCK = "clock"
    SUSPECT = "suspect"
    REFUSED = "refused"
    CALIBRATION = "calibration"
    ENTRY = "entry"
    UNVERIFIED = "unverified"


CHECK_ZH = {
    Check.SILENT: "断数离线",
    Check.CLOCK: "时钟异常",
    Check.SUSPECT: "数值存疑",
    Check.REFUSED: "报文被拒",
    Check.CALIBRATION: "校准逾期",
    Check.ENTRY: "登记不全",
    Check.UNVERIFIED: "本季未核实",
}


class Stage(StrEnum):
    """How far it is: nobody was told, somebody mends it, it is said to be mended and the check still finds it."""

    FOUND = "found"  # 发现
    FED_BACK = "fed_back"  # 反馈
    MENDED = "mended"  # 整改


_STAGE = {
    TicketState.OPEN: Stage.FED_BACK,
    TicketState.ASSIGNED: Stage.FED_BACK,
    TicketState.IN_PROGRESS: Stage.FED_BACK,
    TicketState.REPORTED: Stage.MENDED,
    TicketState.CHECKED: Stage.MENDED,
}
OPEN_TICKETS = tuple(_STAGE)


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the database of observations says of a device: series whose newest value is flagged, messages that were not taken."""

    device_id: str
    suspect: int = 0  # newest value flagged above 2
    clock: int = 0  # newest value came with a wrong clock
    refused: int = 0  # dead letters and refusals since
    last_refused_us: int | None = None


class Facts(Protocol):
    async def device_facts(self, since_us: int) -> list[DeviceFacts]:
        """Of devices with anything to say, by id; dead letters and refusals received since then. Raises Unavailable."""
        ...


class QualityProblem(msgspec.Struct, frozen=True, kw_only=True):
    """`problem_id` is the same for as long as it is found. `whose`: the firm of a device, the organisation of an entry."""

    problem_id: str
    check: Check
    check_zh: str
    zh: str
    en: str
    subject: str  # device, or a kind of the registers
    subject_id: str
    name: str
    area: str
    whose: str
    stage: Stage
    since_us: int | None = None
    ticket_id: str = ""
    ticket_state_zh: str = ""
    due_us: int | None = None
    overdue: bool = False  # 督办: the ticket's date has passed


class QualityBoard(msgspec.Struct, frozen=True, kw_only=True):
    """One page of problems, and the counts of all that the filters leave. `closed`: tickets that ended well in the last 30 days."""

    items: list[QualityProblem]
    next: str | None
    at_us: int
    total: int
    by_check: dict[str, int]
    by_stage: dict[str, int]
    by_whose: dict[str, int]
    overdue: int
    closed: int


class QualityService:
    """`status_of`: online, offline, no_data or unknown, from the live picture, which leaves our own downtime out."""

    def __init__(
        self,
        store: Store,
        env: Env,
        entries: EntryRegister,
        facts: Facts,
        status_of: Callable[[str], str],
    ) -> None:
        self._store, self._env, self._entries = store, env, entries
        self._facts, self._status_of = facts, status_of

    async def board(
        self,
        actor: Actor,
        *,
        check: str = "",
        area: str = "",
        whose: str = "",
        stage: str = "",
        limit: int = 200,
        cursor: str = "",
    ) -> QualityBoard:
        """What the actor may see: a vendor its own devices', entries only who reads the registers.

        Raises Forbidden, Invalid for a filter that is none, Unavailable.
        """
        require(actor, Action.READ_CARE)
        _known("check", check, Check)
        _known("stage", stage, Stage)
        if area and not area.isalnum():
            raise Invalid(f"area {area!r}: expected an area code or its beginning")
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid(f"limit {limit}: expected 1 to {MAX_LIMIT}")
        now_us = self._env.clock.city_us()
        tickets, closed = await self._tickets(actor, now_us)
        everything = [*await self._of_devices(actor, tickets, now_us), *await self._of_entries(actor)]
        found = [
            problem
            for problem in everything
            if check in ("", problem.check)
            and problem.area.startswith(area)
            and whose in ("", problem.whose)
            and stage in ("", problem.stage)
        ]
        ids = [problem.problem_id for problem in found]
        start = ids.index(cursor) + 1 if cursor in ids else 0
        shown = found[start : start + limit]
        return QualityBoard(
            items=shown,
            next=shown[-1].problem_id if start + limit < len(found) else None,
            at_us=now_us,
            total=len(found),
            by_check={name.value: count for name in Check if (count := sum(p.check is name for p in found))},
            by_stage={name.value: sum(p.stage is name for p in found) for name in Stage},
            by_whose=dict(Counter(p.whose for p in found).most_common()),
            overdue=sum(p.overdue for p in found),
            closed=closed,
        )

    # -- devices

    async def _tickets(self, actor: Actor, now_us: int) -> tuple[dict[str, Ticket], int]:
        """The newest open ticket of each device, and how many ended well in the last days."""
        registry = self._env.registry
        async with self._store.read() as tx:
            open_ = await _all_tickets(tx, OPEN_TICKETS)
            ended = await _all_tickets(tx, (TicketState.CLOSED,), since_us=now_us - CLOSED_DAYS * DAY_US)
        seen = {d for d in registry.devices if sees(actor, Action.READ_CARE, registry.devices[d])}
        by_device: dict[str, Ticket] = {}
        for ticket in open_:  # newest first
            by_device.setdefault(ticket.device_id, ticket)
        return by_device, sum(ticket.device_id in seen for ticket in ended)

    async def _of_devices(self, actor: Actor, tickets: dict[str, Ticket], now_us: int) -> list[QualityProblem]:
        registry = self._env.registry
        facts = {f.device_id: f for f in await self._facts.device_facts(now_us - REFUSED_DAYS * DAY_US)}
        async with self._store.read() as tx:
            due = {c.device_id: c.due_us for c in await tx.calibrations_due(now_us)}
        found: list[QualityProblem] = []
        for device_id in registry.ordered():
            device = registry.devices[device_id]
            if not device.enabled or device.kind == CANARY or not sees(actor, Action.READ_CARE, device):
                continue
            said = facts.get(device_id, DeviceFacts(device_id=device_id))
            for check, zh, en, since_us in self._checked(device, said, due.get(device_id)):
                found.append(_of_device(device, tickets.get(device_id), now_us, check, zh, en, since_us))
        order = list(Check)
        return sorted(found, key=lambda p: (order.index(p.check), p.subject_id))

    def _checked(
        self, device: Device, said: DeviceFacts, due_us: int | None
    ) -> Iterator[tuple[Check, str, str, int | None]]:
        if (status := self._status_of(device.device_id)) in SILENT:
            zh = "离线：设备或网关断开连接" if status == "offline" else "断数：超过三个上报周期没有数据"
            yield Check.SILENT, zh, f"{status}: nothing arrives", None
        if said.clock:
            yield Check.CLOCK, "设备时间与接收时间相差过大，请校时", "its clock is wrong: set it", None
        if said.suspect:
            zh, en = (
                f"{said.suspect} 项最新数值带可疑或错误标记",
                f"the newest value of {said.suspect} series is flagged",
            )
            yield Check.SUSPECT, zh, en, None
        if said.refused:
            zh, en = (
                f"近 24 小时 {said.refused} 条报文未被接收",
                f"{said.refused} messages of the last 24 h were not taken",
            )
            yield Check.REFUSED, zh, en, said.last_refused_us
        if due_us is not None:
            yield Check.CALIBRATION, "校准已逾期", "its calibration is overdue", due_us

    # -- registers

    async def _of_entries(self, actor: Actor) -> list[QualityProblem]:
        if not actor.roles & MATRIX[Action.READ_REGISTERS]:
            return []
        found: list[QualityProblem] = []
        for kind in self._entries.engine.kinds.values():
            if kind.group in NOT_CHECKED:
                continue
            for entry in await self._entries.everything(actor, kind.kind):
                found += _of_entry(entry, kind.organisation, kind.zh)
        order = list(Check)
        return sorted(found, key=lambda p: (order.index(p.check), p.subject, p.subject_id))


class _Tickets(Protocol):
    async def tickets(
        self, *, device_id: str = "", states: Sequence[TicketState] = (), limit: int = 200, before: str = ""
    ) -> list[Ticket]: ...


async def _all_tickets(tx: _Tickets, states: Sequence[TicketState], since_us: int = 0) -> list[Ticket]:
    """Newest first, changed since then. Numbers begin with the day of opening: a page that is all older ends the search."""
    found: list[Ticket] = []
    before = ""
    while rows := await tx.tickets(states=states, limit=MAX_LIMIT, before=before):
        found += [ticket for ticket in rows if ticket.changed_us >= since_us]
        if len(rows) < MAX_LIMIT:
            break
        before = rows[-1].ticket_id
    return found


def _of_device(
    device: Device, ticket: Ticket | None, now_us: int, check: Check, zh: str, en: str, since_us: int | None
) -> QualityProblem:
    return QualityProblem(
        problem_id=f"{check}/device/{device.device_id}",
        check=check,
        check_zh=CHECK_ZH[check],
        zh=zh,
        en=en,
        subject="device",
        subject_id=device.device_id,
        name=device.name,
        area=device.area,
        whose=device.vendor,
        stage=Stage.FOUND if ticket is None else _STAGE[ticket.state],
        since_us=since_us,
        ticket_id="" if ticket is None else ticket.ticket_id,
        ticket_state_zh="" if ticket is None else ticket.state_zh,
        due_us=None if ticket is None else ticket.due_us,
        overdue=ticket is not None and ticket.due_us is not None and ticket.due_us < now_us,
    )


def _of_entry(entry: EntryView, owner: str, kind_zh: str) -> Iterable[QualityProblem]:
    organisation = str(entry.values.get(owner, "")) if owner and owner != "self" else ""
    whose = entry.refs.get("organisation", {}).get(organisation) or organisation
    wrong: list[tuple[Check, str, str]] = []
    if entry.warnings:
        zh, en = ("；".join(w.zh for w in entry.warnings), "; ".join(w.en for w in entry.warnings))
        wrong.append((Check.ENTRY, zh, en))
    if not entry.verified:
        wrong.append((Check.UNVERIFIED, f"{kind_zh}的联系电话本季无人核实", "nobody checked its numbers this season"))
    for check, zh, en in wrong:
        yield QualityProblem(
            problem_id=f"{check}/{entry.kind}/{entry.entry_id}",
            check=check,
            check_zh=CHECK_ZH[check],
            zh=zh,
            en=en,
            subject=entry.kind,
            subject_id=entry.entry_id,
            name=str(entry.values.get("name", entry.entry_id)),
            area=entry.area,
            whose=whose,
            stage=Stage.FOUND,
        )


def _known(name: str, value: str, codes: type[StrEnum]) -> None:
    if value and value not in list(codes):
        raise Invalid(f"{name} {value!r}: expected one of {', '.join(codes)}")
