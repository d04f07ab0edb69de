"""Field units: their register, position and status. With a task, the status follows the task; without one, the unit says it."""

from __future__ import annotations

import msgspec

from command_center.errors import Conflict, IllegalTransition, Invalid, NotFound
from command_center.machines import UNIT, UNIT_AVAILABLE, UNIT_BY_HAND, UNIT_OF_TASK
from command_center.model import TaskState, Unit, UnitStatus
from command_center.records import UnitRecord
from command_center.work import Work
from gis.points import check_lonlat

replace = msgspec.structs.replace
FUTURE_FIX_US = 5 * 60 * 1_000_000  # a phone's clock may be this much ahead of the city's


async def get(work: Work, unit_id: str) -> UnitRecord:
    record = await work.tx.unit(unit_id)
    if record is None:
        raise NotFound("unit", unit_id)
    return record


async def register(work: Work, unit: Unit, reason: str = "") -> Unit:
    """A new unit, or new master data of a known one (status, position and task stay). Idempotent."""
    check_position(unit.lon, unit.lat)
    old = await work.tx.unit(unit.unit_id)
    if old is None:
        record = UnitRecord(unit=unit, rev=1, idle_status=unit.status)
        if not await work.tx.insert_unit(record):
            raise Conflict(f"unit {unit.unit_id} was registered by somebody else meanwhile")
        await work.journal("unit", unit.unit_id, "register", None, unit, reason)
        work.state("unit", unit.unit_id, 1, unit)
        return unit
    merged = replace(
        old.unit,
        name=unit.name,
        kind=unit.kind,
        authority=unit.authority,
        capabilities=unit.capabilities,
        wading_depth_m=unit.wading_depth_m,
        area=unit.area,
        phone=unit.phone,
    )
    if merged == old.unit:
        return merged
    await work.journal("unit", unit.unit_id, "register", old.unit, merged, reason)
    return await _store(work, old, replace(old, unit=merged))


async def position(
    work: Work,
    unit_id: str,
    lon: float,
    lat: float,
    heading: float | None,
    speed_ms: float | None,
    ts_us: int | None,
) -> Unit:
    """A new fix. Not journalled (the track table keeps it); an older fix than the known one only completes the track."""
    check_position(lon, lat)
    fix_us = work.at_us if ts_us is None else min(ts_us, work.at_us + FUTURE_FIX_US)
    old = await get(work, unit_id)
    await work.tx.add_unit_fix(unit_id, fix_us, lon, lat, heading, speed_ms)
    if old.unit.fix_us is not None and fix_us < old.unit.fix_us:
        return old.unit
    unit = replace(old.unit, lon=lon, lat=lat, heading=heading, speed_ms=speed_ms, fix_us=fix_us)
    return await _store(work, old, replace(old, unit=unit))


async def status(work: Work, unit_id: str, to: UnitStatus) -> Unit:
    """The unit's own word about itself. Raises IllegalTransition while a task decides, or for an edge that does not exist."""
    old = await get(work, unit_id)
    if to is old.unit.status:
        return old.unit
    if old.unit.task_id or to not in UNIT_BY_HAND:
        why = f"to {to.value} by hand while on {old.unit.task_id}" if old.unit.task_id else f"to {to.value} by hand"
        raise IllegalTransition("unit", unit_id, old.unit.status, why)
    UNIT.advance(unit_id, old.unit.status, to)
    return await set_status(work, old, to, task_id="", why="reported")


async def take(work: Work, unit_id: str, task_id: str) -> Unit:
    """The unit is dispatched to a task. Raises IllegalTransition when it is not free."""
    old = await get(work, unit_id)
    if old.unit.task_id or old.unit.status not in UNIT_AVAILABLE:
        raise IllegalTransition("unit", unit_id, old.unit.status, f"dispatch to {task_id}")
    UNIT.advance(unit_id, old.unit.status, UnitStatus.DISPATCHED)
    idle = UnitStatus.AVAIL_MOBILE if old.unit.status is UnitStatus.RETURNING else old.unit.status
    return await set_status(
        work, replace(old, idle_status=idle), UnitStatus.DISPATCHED, task_id=task_id, why=f"dispatched to {task_id}"
    )


async def follow_task(work: Work, unit_id: str, task_id: str, to: TaskState) -> None:
    """The unit's status after its task moved; a unit that meanwhile has another task is left alone."""
    old = await work.tx.unit(unit_id)
    wanted = UNIT_OF_TASK.get(to)
    if old is None or wanted is None or old.unit.task_id != task_id or old.unit.status is wanted:
        return
    if UNIT.allows(old.unit.status, wanted):
        await set_status(work, old, wanted, task_id=task_id, why=f"task {to.value}")


async def release(work: Work, unit_id: str, task_id: str, why: str) -> None:
    """The unit is free: back where it was when it never left, else on its way home."""
    old = await work.tx.unit(unit_id)
    if old is None or old.unit.task_id != task_id:
        return
    left = old.unit.status not in (UnitStatus.DISPATCHED, UnitStatus.ACKED)
    await set_status(work, old, UnitStatus.RETURNING if left else old.idle_status, task_id="", why=why)


async def set_status(work: Work, old: UnitRecord, to: UnitStatus, *, task_id: str, why: str) -> Unit:
    unit = replace(old.unit, status=to, task_id=task_id)
    await work.journal("unit", unit.unit_id, "status", old.unit, unit, why)
    return await _store(work, old, replace(old, unit=unit))


async def _store(work: Work, old: UnitRecord, new: UnitRecord) -> Unit:
    new = replace(new, rev=old.rev + 1)
    if not await work.tx.update_unit(new, rev=old.rev, statuses=[old.unit.status]):
        raise Conflict(f"unit {new.unit.unit_id} was changed by somebody else meanwhile; reload it")
    work.state("unit", new.unit.unit_id, new.rev, new.unit)
    return new.unit


def check_position(lon: float, lat: float) -> None:
    """Raises Invalid for what is not a position in WGS 84 degrees."""
    try:
        check_lonlat(lon, lat)
    except ValueError as error:
        raise Invalid(str(error)) from error
