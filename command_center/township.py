"""What one area sees of itself (乡镇驾驶舱): alarms, incidents, tasks, objects at risk, devices, data quality, duty, instructions.

Everything comes from the rooms' own doors, so it is what the asker may see, and a part that his roles do not reach is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from command_center.authority import MATRIX, Action, require
from command_center.device_rights import sees
from command_center.duty.model import Chain, Instruction
from command_center.duty.service import DutyService
from command_center.errors import NotFound
from command_center.model import Actor, Alarm, Incident, Task, Unit
from command_center.quality import QualityService
from command_center.registers import seasons
from command_center.registers.ports import EntryQuery
from command_center.registers.service import EntryRegister
from gis.areas import level_of

T = TypeVar("T")
PAGE = 500
SHOWN = 30  # of each list; the counts are of everything
GRADE = "grade"
COLOURS = ("red", "orange", "yellow", "blue")


class KindCount(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of one kind in the area. `grades` counts them by their four-colour grade, where the kind has one."""

    kind: str
    zh: str
    en: str
    group: str
    count: int
    unverified: int
    grades: dict[str, int] = {}


class QualityCount(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    overdue: int
    by_check: dict[str, int]


class AreaSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Lists hold the first 30 (alarms the gravest, the others the newest), counts everything. A part is None where the asker's roles do not read it."""

    code: str
    name: str
    level: str
    at_us: int
    alarms_by_colour: dict[str, int] | None
    alarms: list[Alarm] | None
    incidents_open: int | None
    incidents: list[Incident] | None
    tasks_by_state: dict[str, int] | None
    tasks: list[Task] | None
    units_by_status: dict[str, int] | None
    objects: list[KindCount]
    devices_by_status: dict[str, int] | None
    quality: QualityCount | None
    duty: Chain | None
    instructions_open: int | None
    instructions_overdue: int | None
    instructions: list[Instruction] | None


class Centre(Protocol):
    """What is asked of the command centre."""

    async def alarms(
        self, actor: Actor, *, state: str = "open", limit: int = 200, cursor: str = ""
    ) -> tuple[list[Alarm], str | None]: ...
    async def incidents(
        self, actor: Actor, *, state: str = "", limit: int = 100, cursor: str = ""
    ) -> tuple[list[Incident], str | None]: ...
    async def tasks(
        self, actor: Actor, *, unit_id: str = "", state: str = "", incident_id: str = "", limit: int = 200
    ) -> list[Task]: ...
    async def units(self, actor: Actor) -> list[Unit]: ...


class Township:
    """`status_of`: online, offline, no_data or unknown, from the live picture."""

    def __init__(
        self,
        centre: Centre,
        entries: EntryRegister,
        duty: DutyService,
        quality: QualityService,
        status_of: Callable[[str], str],
    ) -> None:
        self._centre, self._entries, self._duty = centre, entries, duty
        self._quality, self._status_of = quality, status_of

    async def summary(self, actor: Actor, code: str) -> AreaSummary:
        """Raises Forbidden, NotFound for an area that does not exist or is not wholly the actor's."""
        require(actor, Action.READ_REGISTERS)
        async with self._entries.store.read() as tx:
            index = await self._entries.engine.areas.index(tx)
        if code not in index.areas or not actor.scope.covers(area=code):
            raise NotFound("area", code)

        def here(items: Sequence[T], area_of: Callable[[T], str]) -> list[T]:
            return [item for item in items if area_of(item).startswith(code)]

        alarms = incidents = tasks = units = instructions = None
        if _may(actor, Action.READ_ALARMS):
            alarms = here(await _pages(lambda c: self._centre.alarms(actor, limit=PAGE, cursor=c)), lambda a: a.area)
            alarms.sort(key=lambda a: (COLOURS.index(a.colour) if a.colour in COLOURS else len(COLOURS), -a.raised_us))
        if _may(actor, Action.READ_INCIDENTS):
            found = await _pages(lambda c: self._centre.incidents(actor, state="open", limit=PAGE, cursor=c))
            incidents = here(found, lambda i: i.area)
        if _may(actor, Action.READ_TASKS):
            tasks = here(await self._centre.tasks(actor, state="open", limit=PAGE), lambda t: t.area)
        if _may(actor, Action.READ_UNITS):
            units = here(await self._centre.units(actor), lambda u: u.area)
        if _may(actor, Action.READ_INSTRUCTIONS):
            orders = await _pages(lambda c: self._duty.instructions(actor, open_only=True, limit=PAGE, cursor=c))
            instructions = here(orders, lambda i: i.area)
        return AreaSummary(
            code=code,
            name=index.name(code),
            level=level_of(code),
            at_us=self._entries.env.clock.city_us(),
            alarms_by_colour=None if alarms is None else _colours(alarms),
            alarms=None if alarms is None else alarms[:SHOWN],
            incidents_open=None if incidents is None else len(incidents),
            incidents=None if incidents is None else incidents[:SHOWN],
            tasks_by_state=None if tasks is None else dict(Counter(t.state.value for t in tasks)),
            tasks=None if tasks is None else tasks[:SHOWN],
            units_by_status=None if units is None else dict(Counter(u.status.value for u in units)),
            objects=await self._objects(actor, code),
            devices_by_status=self._devices(actor, code),
            quality=await self._quality_of(actor, code),
            duty=await self._duty.chain(actor, code) if _may(actor, Action.READ_DUTY) else None,
            instructions_open=None if instructions is None else len(instructions),
            instructions_overdue=None if instructions is None else sum(_overdue(i) for i in instructions),
            instructions=None if instructions is None else instructions[:SHOWN],
        )

    async def _objects(self, actor: Actor, code: str) -> list[KindCount]:
        kinds = [k for k in self._entries.engine.kinds.values() if k.group in ("risk", "resource")]
        query = EntryQuery(
            kinds=[k.kind for k in kinds],
            area=code,
            areas=list(actor.scope.areas),
            organisations=list(actor.scope.organisations),
        )
        checked = [k.kind for k in kinds if k.verify]
        since = seasons.starts(seasons.load_seasons(), self._entries.env.clock.city_us())
        async with self._entries.store.read() as tx:
            counts = await tx.register_total(query)
            stale = await tx.register_total(msgspec.structs.replace(query, kinds=checked, unverified=since))
        found = []
        for kind in kinds:
            if not (count := counts.get(kind.kind, 0)):
                continue
            grades: Counter[str] = Counter()
            if kind.field(GRADE) is not None:
                entries = await self._entries.everything(actor, kind.kind)
                grades.update(str(e.values.get(GRADE) or "") for e in entries if e.area.startswith(code))
            found.append(
                KindCount(
                    kind=kind.kind,
                    zh=kind.zh,
                    en=kind.en,
                    group=kind.group,
                    count=count,
                    unverified=stale.get(kind.kind, 0),
                    grades={colour: grades[colour] for colour in COLOURS if grades[colour]},
                )
            )
        return found

    def _devices(self, actor: Actor, code: str) -> dict[str, int] | None:
        if not _may(actor, Action.READ_DEVICES):
            return None
        registry = self._entries.env.registry
        return dict(
            Counter(
                self._status_of(device.device_id)
                for device in registry.devices.values()
                if device.enabled and device.area.startswith(code) and sees(actor, Action.READ_DEVICES, device)
            )
        )

    async def _quality_of(self, actor: Actor, code: str) -> QualityCount | None:
        if not _may(actor, Action.READ_CARE):
            return None
        board = await self._quality.board(actor, area=code, limit=1)
        return QualityCount(total=board.total, overdue=board.overdue, by_check=board.by_check)


def _may(actor: Actor, action: Action) -> bool:
    return bool(actor.roles & MATRIX[action])


def _overdue(instruction: Instruction) -> bool:
    return any(addressee.overdue for addressee in instruction.addressees)


def _colours(alarms: Sequence[Alarm]) -> dict[str, int]:
    counts = Counter(alarm.colour for alarm in alarms)
    return {colour: counts[colour] for colour in COLOURS if counts[colour]}


async def _pages(page: Callable[[str], Awaitable[tuple[list[T], str | None]]]) -> list[T]:
    found: list[T] = []
    cursor: str | None = ""
    while cursor is not None:
        items, cursor = await page(cursor)
        found += items
    return found
