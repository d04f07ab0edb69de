"""Incidents: opened 待核实 by alarms with draft tasks of the plan, verified, controlled and ended by people.

An alarm joins the open incident of its kind and place instead of opening another; joining is always told in the timeline,
so that grouping never hides a new member or a rise in level.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from command_center import incident_book as book
from command_center import tasks
from command_center.duty import log as duty_log
from command_center.duty.model import LogKind
from command_center.errors import IllegalTransition, Invalid
from command_center.machines import INCIDENT, INCIDENT_OPEN, TASK_OVER
from command_center.model import Incident, IncidentState, TaskState
from command_center.plans import Call, incident_kind
from command_center.records import AlarmRecord, AlarmSide, Timer
from command_center.registers.plants import control_room
from command_center.work import Work, city_date
from rules.transitions import Kind, Transition, rank

replace = msgspec.structs.replace
AREA_DIGITS = 6  # county or district of an administrative code (GB/T 2260)
KIND_ZH = {"typhoon": "台风", "flood": "洪涝", "hazchem": "危化品", "other": "其他"}
KIND_EN = {"typhoon": "Typhoon", "flood": "Flood", "hazchem": "Hazardous chemical", "other": "Other"}

_NEWS = {
    Kind.RAISED: ("告警", "Alarm"),
    Kind.LEVEL_UP: ("告警升级", "Alarm level up"),
    Kind.LEVEL_DOWN: ("告警降级", "Alarm level down"),
    Kind.CLEARED: ("告警解除", "Alarm cleared"),
    Kind.NO_DATA_ON: ("断数", "No data"),
    Kind.NO_DATA_OFF: ("数据恢复", "Data again"),
    Kind.REBASED: ("阈值变更", "Thresholds changed"),
    Kind.MEMBER: ("又一测点报警", "Another detector joined"),
}

PLANT = "plant_control_room"


async def follow(work: Work, record: AlarmRecord, transition: Transition) -> AlarmSide:
    """What a transition means for incidents. Returns the alarm's side, linked where it joined or opened one."""
    side = record.side
    linked = await work.tx.incident(side.incident_id) if side.incident_id else None
    if linked is not None and linked.state in INCIDENT_OPEN:
        await _news(work, linked, record, transition)
        return side
    if transition.kind in (Kind.CLEARED, Kind.NO_DATA_ON, Kind.NO_DATA_OFF, Kind.LEVEL_DOWN):
        return side
    kind = incident_kind(transition)
    if not kind or (linked is not None and not transition.rises):
        return side  # a rejected or ended incident comes back only as a new one, and only for a rise
    group = group_key(work, kind, transition)
    incident = await work.tx.open_incident(group)
    if incident is None:
        incident = await _open(work, kind, group, transition)
    side = replace(side, rev=side.rev + 1, incident_id=incident.incident_id)
    await work.tx.put_side(side)  # before the incident is read again: its alarm list counts this one
    await _news(work, incident, AlarmRecord(condition=record.condition, side=side), transition)
    return side


def group_key(work: Work, kind: str, transition: Transition) -> str:
    """Alarms with the same key share an incident: a site for chemicals, a district for water, the storm's area for wind."""
    area = transition.area[:AREA_DIGITS]
    if kind != "hazchem":
        return f"{kind}:{area}"
    if transition.subject.kind == "site":
        return f"{kind}:{transition.subject.id}"
    sites = {work.env.registry.devices[d].group for d in transition.device_ids if d in work.env.registry.devices}
    site = min(sites - {""}, default="")
    return f"{kind}:{site or area}"


async def _open(work: Work, kind: str, group: str, transition: Transition) -> Incident:
    date = city_date(work.at_us)
    number = await work.tx.next_number(f"incident:{date}")
    plan = work.env.plans.get(kind)
    incident = Incident(
        incident_id=f"I-{date}-{number:03d}",
        kind=kind,
        title_zh=f"{KIND_ZH.get(kind, kind)}事件：{transition.title_zh or transition.subject.name}",
        title_en=f"{KIND_EN.get(kind, kind)}: {transition.title_en or transition.subject.name}",
        state=INCIDENT.start,
        state_zh=INCIDENT.zh[INCIDENT.start],
        lon=transition.lon,
        lat=transition.lat,
        area=transition.area,
        colour=transition.colour,
        opened_us=work.at_us,
        changed_us=work.at_us,
        rev=1,
        plan_id=plan.plan_id if plan else "",
        plan_version=plan.version if plan else "",
    )
    await work.tx.insert_incident(incident, group)
    await work.journal(
        "incident", incident.incident_id, "open", None, book.slim(incident), f"alarm {transition.alarm_id}"
    )
    await work.note(
        incident.incident_id,
        "opened",
        f"告警自动生成事件，待核实（预案 {incident.plan_id or '无'}）",
        f"Opened by an alarm, to be verified (plan {incident.plan_id or 'none'})",
        ref=transition.alarm_id,
    )
    opened = f"事件 {incident.incident_id} 建立（待核实）：{incident.title_zh}"
    await duty_log.write(
        work, LogKind.INCIDENT, opened, area=incident.area, incident_id=incident.incident_id, auto=True
    )
    for call in plan.calls if plan else []:
        zh, en = await _whom(work, call, transition)
        await work.note(incident.incident_id, "call", call.text.zh + zh, call.text.en + en, ref=call.to)
    await work.person_timer(
        f"verify:{incident.incident_id}", "incident_verify", incident.incident_id, work.env.deadlines.verify_incident_s
    )
    return incident


async def _whom(work: Work, call: Call, transition: Transition) -> tuple[str, str]:
    """Name and number behind a call to the plant: of the registered plant that the detectors belong to, else from the
    detectors' own documents; "" where the call is to somebody else."""
    if call.to != PLANT:
        return "", ""
    devices = [d for i in transition.device_ids if (d := work.env.registry.devices.get(i)) is not None]
    registered = await control_room(work.tx, devices)
    if registered is not None:
        return f"：{' '.join(registered)}", f" ({', '.join(registered)})"
    for device in devices:
        phone = device.attributes.get("plant_phone")
        if phone:
            name = device.attributes.get("site_name") or device.group
            return f"：{name} {phone}", f" ({name}, {phone})"
    return "：登记册中没有电话", " (no number in the register)"


async def _news(work: Work, incident: Incident, record: AlarmRecord, transition: Transition) -> None:
    """Tell the timeline, raise the incident's colour, draft what the plan asks for this alarm."""
    zh, en = _NEWS.get(transition.kind, ("告警", "Alarm"))
    value = f"（{transition.value:g} {transition.uom}）" if transition.value is not None else ""
    await work.note(
        incident.incident_id,
        "alarm",
        f"{zh}：{transition.title_zh}{value}{''.join('【' + f + '】' for f in transition.flags)}",
        f"{en}: {transition.title_en}{' (' + format(transition.value, 'g') + ' ' + transition.uom + ')' if value else ''}",
        ref=transition.alarm_id,
    )
    if transition.kind not in (Kind.CLEARED, Kind.LEVEL_DOWN, Kind.NO_DATA_ON, Kind.NO_DATA_OFF):
        await tasks.draft(work, incident, transition)
    colour = max(incident.colour, record.condition.peak_colour, key=rank)
    await book.touch(work, incident.incident_id, kind="alarm", colour=colour)


async def move(work: Work, incident_id: str, to: IncidentState, action: str, comment: str = "") -> Incident:
    """One step of the incident machine, journalled and told. Raises IllegalTransition, Conflict."""
    current = await book.get(work, incident_id)
    INCIDENT.advance(incident_id, current.state, to, action)
    zh = f"{work.actor.username} 将事件置为{INCIDENT.zh[to]}{'：' + comment if comment else ''}"
    en = f"{work.actor.username}: {action}{': ' + comment if comment else ''}"
    await work.note(incident_id, "state", zh, en)
    changed = replace(current, state=to, state_zh=INCIDENT.zh[to], rev=current.rev + 1, changed_us=work.at_us)
    await work.journal("incident", incident_id, action, book.slim(current), book.slim(changed), comment)
    return await book.store(work, current, changed, action)


async def verify(work: Work, incident_id: str, comment: str) -> Incident:
    await work.tx.drop_timer(f"verify:{incident_id}")
    return await move(work, incident_id, IncidentState.OPEN, "verify", comment)


async def reject(work: Work, incident_id: str, comment: str) -> Incident:
    if not comment.strip():
        raise Invalid("comment: a reason is needed to reject an incident")
    await work.tx.drop_timer(f"verify:{incident_id}")
    incident = await move(work, incident_id, IncidentState.REJECTED, "reject", comment)
    await tasks.stop_all(work, incident_id, TaskState.RECALLED, comment)
    return await book.touch(work, incident.incident_id, kind="reject")


async def close(work: Work, incident_id: str, comment: str) -> Incident:
    """TERMINATED. Raises IllegalTransition while a task is open or a linked alarm is firing."""
    current = await book.get(work, incident_id)
    open_tasks = [r.task.task_id for r in await work.tx.tasks(incident_id=incident_id) if r.task.state not in TASK_OVER]
    if open_tasks:
        raise IllegalTransition("incident", incident_id, current.state, f"close (open tasks: {', '.join(open_tasks)})")
    firing = [
        a.condition.last.title_en or a.condition.alarm_id
        for a in await work.tx.alarms_of(incident_id)
        if a.condition.firing
    ]
    if firing:
        raise IllegalTransition(
            "incident", incident_id, current.state, f"close (alarms still firing: {', '.join(firing)})"
        )
    await move(work, incident_id, IncidentState.TERMINATED, "close", comment)
    await tasks.stop_all(work, incident_id, TaskState.SUPERSEDED, "incident ended")
    ended = f"事件 {incident_id} 处置结束：{current.title_zh}{'（' + comment + '）' if comment else ''}"
    await duty_log.write(work, LogKind.INCIDENT, ended, area=current.area, incident_id=incident_id, auto=True)
    return await book.touch(work, incident_id, kind="close")


async def verify_overdue(work: Work, timer: Timer) -> None:
    """Nobody verified in time: a prompt in the timeline, again after each deadline."""
    await work.tx.drop_timer(timer.timer_id)
    incident = await work.tx.incident(timer.entity_id)
    if incident is None or incident.state is not IncidentState.VERIFYING:
        return
    waited_s = work.env.deadlines.verify_incident_s
    await book.tell(
        work,
        incident.incident_id,
        "prompt",
        f"督办：事件 {waited_s / 60:g} 分钟未核实",
        f"Supervision: not verified within {waited_s / 60:g} min",
    )
    await work.person_timer(timer.timer_id, timer.kind, timer.entity_id, waited_s)


def states_named(names: Sequence[str]) -> list[IncidentState]:
    """Raises Invalid for a code that does not exist."""
    try:
        return [IncidentState(name) for name in names]
    except ValueError as error:
        raise Invalid(f"state: {error}") from error
