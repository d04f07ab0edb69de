"""Tasks: drafted by a plan, issued by a person or by an approved plan, carried out by units, checked and closed by the desk.

Every step goes through the task machine, with history, journal and the unit's status in the same transaction. A task of
ours is offered to the nearest capable unit; one that is declined or not answered in time is offered to the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from command_center import closures as road_closures
from command_center import incident_book as book
from command_center import requests, units
from command_center.authority import Act, may_be_automatic
from command_center.dispatch import Demand, assign_jointly, candidates, travel_times_s
from command_center.errors import Conflict, IllegalTransition, Invalid, NotFound
from command_center.machines import IMPLIED, INCIDENT_VERIFIED, TASK, TASK_OVER
from command_center.model import Authority, Candidate, Closure, Incident, Task, TaskHistory, TaskState, Unit
from command_center.places import Place
from command_center.plans import PlanTask
from command_center.records import TaskRecord, Timer, UnitRecord
from command_center.work import Work
from rules.transitions import Transition

replace = msgspec.structs.replace

# What a responder may do with its own task; the rest is the desk's.
BY_UNIT = frozenset(
    {
        TaskState.DELIVERED,
        TaskState.ACKED,
        TaskState.ACCEPTED,
        TaskState.DECLINED,
        TaskState.EN_ROUTE,
        TaskState.ON_SCENE,
        TaskState.IN_PROGRESS,
        TaskState.REPORTED_DONE,
        TaskState.PARTIAL,
        TaskState.FAILED,
    }
)
NEEDS_REASON = frozenset({TaskState.DECLINED, TaskState.FAILED, TaskState.PARTIAL})
# The unit is done with it, whatever the desk does next.
FREES_UNIT = frozenset(
    {TaskState.REPORTED_DONE, TaskState.PARTIAL, TaskState.FAILED, TaskState.RECALLED, TaskState.SUPERSEDED}
)
# A receipt that arrives after a later step says nothing new.
_ORDER = (TaskState.ISSUED, TaskState.DELIVERED, TaskState.ACKED, TaskState.ACCEPTED)


async def get(work: Work, task_id: str) -> TaskRecord:
    record = await work.tx.task(task_id)
    if record is None:
        raise NotFound("task", task_id)
    return record


async def draft(work: Work, incident: Incident, transition: Transition) -> None:
    """What the plan asks for this alarm, each thing once; pre-authorised tasks of an approved plan go out at once."""
    plan = work.env.plans.get(incident.kind)
    go: list[str] = []
    known = {r.origin for r in await work.tx.tasks(incident_id=incident.incident_id)}
    for wanted in plan.fitting(transition) if plan else []:
        origin = f"{wanted.id}:{transition.subject.id if wanted.per == 'alarm' else ''}"
        if origin in known:
            continue
        place = _place(work, wanted, transition)
        number = await work.tx.next_number(f"task:{incident.incident_id}")
        record = _drafted(work, incident, wanted, place, origin, number, transition)
        if not await work.tx.insert_task(record):
            continue
        await work.journal("task", record.task.task_id, "draft", None, record.task, f"{incident.plan_id} {wanted.id}")
        await work.event("task", "draft", record.task.task_id, record.task.rev, record.task)
        if may_be_automatic(Act.TASK_OWN, pre_authorised=record.pre_authorised):
            go.append(record.task.task_id)
    if go and plan is not None and plan.approval is not None:
        await issue(work, incident.incident_id, go, why=f"预案授权 {plan.approval.document}")


def _drafted(
    work: Work, incident: Incident, wanted: PlanTask, place: Place, origin: str, number: int, transition: Transition
) -> TaskRecord:
    at_place = "" if place.name in transition.title_zh else f"（{place.name}）"
    return TaskRecord(
        task=Task(
            task_id=f"{incident.incident_id}-T{number:02d}",
            incident_id=incident.incident_id,
            title_zh=f"{wanted.title.zh}{at_place}",
            title_en=wanted.title.en,
            detail_zh=wanted.detail.zh,
            detail_en=wanted.detail.en,
            capability=wanted.capability,
            state=TaskState.DRAFT,
            state_zh=TASK.zh[TaskState.DRAFT],
            unit_id="",
            unit_name="",
            unit_authority="",
            lon=place.lon,
            lat=place.lat,
            place=place.name,
            due_us=work.at_us + round(wanted.due_min * 60e6),
            issued_us=None,
            changed_us=work.at_us,
            rev=1,
            area=incident.area,
            hazard=incident.kind,
        ),
        origin=origin,
        pre_authorised=wanted.pre_authorised,
    )


def _place(work: Work, wanted: PlanTask, transition: Transition) -> Place:
    """Where the task is: at the alarm, or at the nearest place of the layer that the plan names."""
    lon = work.env.centre[0] if transition.lon is None else transition.lon
    lat = work.env.centre[1] if transition.lat is None else transition.lat
    if wanted.place.startswith("nearest:"):
        found = work.env.places.nearest(wanted.place.removeprefix("nearest:"), lon, lat)
        if found is not None:
            return found
    return Place(name=transition.subject.name, lon=lon, lat=lat)


async def issue(work: Work, incident_id: str, task_ids: Sequence[str] | None, *, why: str = "") -> list[Task]:
    """Issue drafts (all, or those named) and give them jointly to the nearest capable units of our own.

    A task for which nobody is free is issued without a unit, prompted, and tried again. Naming a task that is issued
    already is no error. Raises NotFound, IllegalTransition for one that is over.
    """
    drafts = []
    for record in await _named(work, incident_id, task_ids):
        if record.task.state is not TaskState.DRAFT:
            if record.task.state in TASK_OVER:
                raise IllegalTransition("task", record.task.task_id, record.task.state, "issue")
            continue
        drafts.append(await _step(work, record, TaskState.ISSUED, why, issued_us=work.at_us))
    given = await give_jointly(work, drafts)
    if drafts:
        names_zh = "、".join(r.task.title_zh for r in given)
        await book.tell(
            work,
            incident_id,
            "tasks",
            f"{work.actor.username} 下达任务：{names_zh}{'（' + why + '）' if why else ''}",
            f"{work.actor.username} issued: {'; '.join(r.task.title_en for r in given)}",
        )
    return [r.task for r in await _named(work, incident_id, task_ids) if r.task.state is not TaskState.DRAFT]


async def _named(work: Work, incident_id: str, task_ids: Sequence[str] | None) -> list[TaskRecord]:
    of_incident = {r.task.task_id: r for r in await work.tx.tasks(incident_id=incident_id)}
    if task_ids is None:
        return [r for r in of_incident.values() if r.task.state not in TASK_OVER or r.task.state is TaskState.DRAFT]
    missing = [t for t in task_ids if t not in of_incident]
    if missing:
        raise NotFound("task", missing[0])
    return [of_incident[t] for t in dict.fromkeys(task_ids)]


def must_be_verified(incident: Incident) -> None:
    """A person's tasks go out only for a verified incident; before that only what an approved plan pre-authorises."""
    if incident.state not in INCIDENT_VERIFIED:
        raise IllegalTransition("incident", incident.incident_id, incident.state, "issue tasks (verify it first)")


async def give_jointly(work: Work, records: Sequence[TaskRecord]) -> list[TaskRecord]:
    """Offer issued tasks to units, one unit each, least total travel time; the unserved get a prompt and a timer."""
    if not records:
        return []
    ranked = {r.task.task_id: await rank_units(work, r) for r in records}
    chosen = assign_jointly(ranked)
    result = []
    for record in records:
        candidate = chosen.get(record.task.task_id)
        if candidate is None:
            result.append(await _wait_for_unit(work, record))
        else:
            result.append(await _offer(work, record, candidate.unit, candidate.eta_s))
    return result


async def rank_units(work: Work, record: TaskRecord) -> list[Candidate]:
    return candidates(
        demand_of(record), await work.tx.units(), await open_closures(work), work.env.roads, work.env.clock.city_us()
    )


def demand_of(record: TaskRecord) -> Demand:
    task = record.task
    return Demand(
        task_id=task.task_id,
        capability=task.capability,
        lon=task.lon,
        lat=task.lat,
        refused_units=frozenset(record.refused_units),
    )


async def open_closures(work: Work) -> list[Closure]:
    return road_closures.with_live_depth(work.env, await work.tx.closures(), work.env.clock.city_us())


async def _offer(work: Work, record: TaskRecord, unit: Unit, eta_s: float | None) -> TaskRecord:
    """The task goes to this unit: ISSUED, waiting for the phone to fetch it."""
    taken = await units.take(work, unit.unit_id, record.task.task_id)
    task = replace(
        record.task, unit_id=taken.unit_id, unit_name=taken.name, unit_authority=taken.authority.value, eta_s=eta_s
    )
    stored = await _store(work, record, replace(record, task=task), "assign", f"to {taken.unit_id}")
    await work.person_timer(_timer_id(task.task_id), "task", task.task_id, work.env.deadlines.task_delivered_s)
    return stored


async def _wait_for_unit(work: Work, record: TaskRecord) -> TaskRecord:
    task_id = record.task.task_id
    known = await work.tx.timer(_timer_id(task_id))
    if known is None or not known.data.get("told"):
        await book.tell(
            work,
            record.task.incident_id,
            "prompt",
            f"任务“{record.task.title_zh}”暂无可派队伍（{record.task.capability}），持续寻找",
            f"No unit is free for {record.task.title_en} ({record.task.capability}); still looking",
            ref=task_id,
        )
    await work.person_timer(_timer_id(task_id), "task", task_id, work.env.deadlines.unit_wanted_s, data={"told": True})
    return record


async def assign(work: Work, task_id: str, unit_id: str) -> Task:
    """A person chooses the unit. Another agency's unit gets a request instead and the task waits for their answer."""
    record = await get(work, task_id)
    must_be_verified(await book.get(work, record.task.incident_id))
    chosen = await units.get(work, unit_id)
    if record.task.unit_id == unit_id and record.task.state not in TASK_OVER:
        return record.task
    if record.task.capability not in chosen.unit.capabilities:
        raise Invalid(f"unit {unit_id} lacks the capability {record.task.capability}")
    if chosen.unit.authority is not Authority.DIRECT:
        await requests.ask(work, record.task, chosen.unit)
        return (await get(work, task_id)).task
    return (await hand_over(work, record, chosen, "assigned by hand")).task


async def hand_over(work: Work, record: TaskRecord, chosen: UnitRecord, why: str) -> TaskRecord:
    """Give a draft or an issued task to this unit, taking it from the one that had it and has not accepted yet."""
    task = record.task
    if task.state is TaskState.DRAFT:
        record = await _step(work, record, TaskState.ISSUED, why, issued_us=work.at_us)
    elif task.state is not TaskState.ISSUED or task.unit_id:
        record = await _take_back(work, record, why)
    eta = travel_times_s(work.env.roads, [chosen.unit], task.lon, task.lat, await open_closures(work))
    seconds = eta[chosen.unit.unit_id]
    offered = await _offer(work, record, chosen.unit, seconds if seconds != float("inf") else None)
    await book.tell(
        work,
        task.incident_id,
        "assign",
        f"任务“{task.title_zh}”派给 {chosen.unit.name}",
        f"{task.title_en} given to {chosen.unit.name}",
        ref=task.task_id,
    )
    return offered


async def move(
    work: Work,
    task_id: str,
    to: TaskState,
    comment: str,
    device_time_us: int | None,
    position: tuple[float, float] | None,
) -> Task:
    """One step. What the task has behind it already is answered with the task as it is: retries and late receipts are normal.

    Raises IllegalTransition, Invalid (a reason is missing, a position is wrong).
    """
    record = await get(work, task_id)
    state = record.task.state
    if to in (TaskState.DRAFT, TaskState.ISSUED):
        raise IllegalTransition("task", task_id, state, f"to {to.value} (use issue or assign)")
    if state is to or (to in _ORDER and state in _ORDER and _ORDER.index(to) < _ORDER.index(state)):
        return record.task
    if to is TaskState.DELIVERED and state not in (TaskState.DRAFT, *_ORDER):
        return record.task
    if to in NEEDS_REASON and not comment.strip():
        raise Invalid(f"comment: a reason is needed for {to.value}")
    if to in BY_UNIT and not record.task.unit_id:
        raise IllegalTransition("task", task_id, state, f"to {to.value} (no unit has it)")
    if position is not None:
        fix_us = device_time_us if device_time_us is not None else work.at_us
        await units.position(work, record.task.unit_id, *position, None, None, fix_us)
    for between in IMPLIED.get((state, to), ()):
        record = await _step(work, record, between, "", device_time_us=device_time_us)
    record = await _step(work, record, to, comment, device_time_us=device_time_us)
    if to is TaskState.IN_PROGRESS and state in FREES_UNIT:
        await units.take(work, record.task.unit_id, task_id)  # it had left; refused when it has another task by now
    await _after(work, record, to, comment)
    return (await get(work, task_id)).task


async def _after(work: Work, record: TaskRecord, to: TaskState, comment: str) -> None:
    """What follows from a step: the unit, the next timer, the timeline, the next offer."""
    task = record.task
    if to in FREES_UNIT or to is TaskState.DECLINED:
        await units.release(work, task.unit_id, task.task_id, f"task {to.value}")
    else:
        await units.follow_task(work, task.unit_id, task.task_id, to)
    await _next_timer(work, record)
    if to in (TaskState.DELIVERED, TaskState.ACKED, TaskState.IN_PROGRESS):
        await book.touch(work, task.incident_id, kind="task")
        return
    who = task.unit_name or work.actor.username
    await book.tell(
        work,
        task.incident_id,
        "task",
        f"{who}：{task.title_zh} {TASK.zh[to]}{'（' + comment + '）' if comment else ''}",
        f"{who}: {task.title_en} {to.value}{' (' + comment + ')' if comment else ''}",
        ref=task.task_id,
    )
    if to is TaskState.DECLINED:
        await reoffer(work, record, f"declined: {comment}")


async def reoffer(work: Work, record: TaskRecord, why: str) -> None:
    """Take the task back and offer it to the next best unit; when all have refused, start over with all of them."""
    refused = [*record.refused_units, record.task.unit_id] if record.task.unit_id else record.refused_units
    record = replace(record, refused_units=list(dict.fromkeys(refused)))
    record = await _take_back(work, record, why)
    record = (await give_jointly(work, [record]))[0]
    if not record.task.unit_id and record.refused_units:
        cleared = replace(record, refused_units=[])
        await _store(work, record, cleared, "refusals_forgotten", "everybody capable has refused or is busy")


async def _take_back(work: Work, record: TaskRecord, why: str) -> TaskRecord:
    await units.release(work, record.task.unit_id, record.task.task_id, f"taken back: {why}")
    return await _step(work, record, TaskState.ISSUED, why, unit_id="", unit_name="", unit_authority="", eta_s=None)


async def stop_all(work: Work, incident_id: str, to: TaskState, why: str) -> None:
    """End what is still going on or drafted: RECALLED when the incident is rejected, SUPERSEDED when it ends."""
    for record in await work.tx.tasks(incident_id=incident_id):
        if TASK.allows(record.task.state, to):
            stopped = await _step(work, record, to, why)
            await units.release(work, stopped.task.unit_id, stopped.task.task_id, f"task {to.value}")
            await work.tx.drop_timer(_timer_id(stopped.task.task_id))


async def expired(work: Work, timer: Timer) -> None:
    """A task's timer: look where the task stands and do what its table says."""
    await work.tx.drop_timer(timer.timer_id)
    record = await work.tx.task(timer.entity_id)
    if record is None:
        return
    task, limits = record.task, work.env.deadlines
    if task.state is TaskState.ISSUED and not task.unit_id:
        await work.tx.put_timer(timer)  # keeps that the desk was told once
        await give_jointly(work, [record])
    elif task.state is TaskState.ISSUED and not timer.data.get("prompted"):
        await _prompt(work, task, f"{limits.task_delivered_s:g} 秒未送达，改用电话通知", "not delivered, use the phone")
        remaining_s = max(1.0, await _ack_limit_s(work, task) - limits.task_delivered_s)
        await work.person_timer(timer.timer_id, "task", task.task_id, remaining_s, data={"prompted": True})
    elif task.state in (TaskState.ISSUED, TaskState.DELIVERED, TaskState.ACKED):
        await _prompt(work, task, "超时未受领，改派下一支队伍", "not accepted in time, offered to the next unit")
        await reoffer(work, record, "no answer in time")
    elif task.state is TaskState.ACCEPTED:
        await _prompt(work, task, "受领后未出发", "accepted but has not left")
    elif task.state is TaskState.EN_ROUTE:
        await _prompt(work, task, "超过预计到达时间", "later than expected")
    elif task.state is TaskState.REPORTED_DONE:
        await _prompt(work, task, "督办：反馈后未核查", "supervision: reported done, not checked")
        await work.person_timer(timer.timer_id, "task", task.task_id, limits.task_verify_s)


async def _next_timer(work: Work, record: TaskRecord) -> None:
    """One timer a task: for what is expected next."""
    task, limits = record.task, work.env.deadlines
    timer_id = _timer_id(task.task_id)
    waits = {
        TaskState.DELIVERED: await _ack_limit_s(work, task),
        TaskState.ACKED: limits.task_accept_s,
        TaskState.ACCEPTED: limits.task_depart_s,
        TaskState.REPORTED_DONE: limits.task_verify_s,
    }
    if task.state in waits:
        await work.person_timer(timer_id, "task", task.task_id, waits[task.state])
    elif task.state is TaskState.EN_ROUTE and task.eta_s is not None:
        late_s = task.eta_s + max(limits.eta_grace_s, (limits.eta_factor - 1) * task.eta_s)
        await work.city_timer(timer_id, "task", task.task_id, work.at_us + round(late_s * 1e6))
    else:
        await work.tx.drop_timer(timer_id)


async def _ack_limit_s(work: Work, task: Task) -> float:
    incident = await work.tx.incident(task.incident_id)
    limits = work.env.deadlines.task_ack_s
    return limits.get(incident.colour if incident else "", limits["blue"])


async def _prompt(work: Work, task: Task, zh: str, en: str) -> None:
    await book.tell(
        work,
        task.incident_id,
        "prompt",
        f"{task.unit_name}：{task.title_zh}，{zh}",
        f"{task.unit_name}: {task.title_en}: {en}",
        ref=task.task_id,
    )


async def _step(
    work: Work,
    record: TaskRecord,
    to: TaskState,
    comment: str,
    *,
    device_time_us: int | None = None,
    **fields: object,
) -> TaskRecord:
    """Move the task in the machine and store it with its history."""
    before = record.task
    TASK.advance(before.task_id, before.state, to)
    task = replace(before, state=to, state_zh=TASK.zh[to], **fields)
    step = TaskHistory(
        at_us=work.at_us, source=before.state.value, to=to.value, actor=work.actor.username, comment=comment
    )
    await work.tx.add_task_history(task.task_id, step, device_time_us)
    task = replace(task, history=[*before.history, step])
    return await _store(work, record, replace(record, task=task), to.value, comment)


async def _store(work: Work, before: TaskRecord, after: TaskRecord, action: str, why: str) -> TaskRecord:
    current = await get(work, after.task.task_id)
    task = replace(after.task, rev=current.task.rev + 1, changed_us=work.at_us)
    after = replace(after, task=task)
    if not await work.tx.update_task(after, rev=before.task.rev, states=[before.task.state]):
        raise Conflict(f"task {task.task_id} was changed by somebody else meanwhile; reload it")
    await work.journal("task", task.task_id, action, replace(before.task, history=[]), replace(task, history=[]), why)
    await work.event("task", action, task.task_id, task.rev, task)
    return after


def _timer_id(task_id: str) -> str:
    return f"task:{task_id}"
