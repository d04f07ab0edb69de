"""Requests to other agencies: we ask or notify, their dispatcher signs for it (签收) and commits or refuses.

We never order their units: a task goes to one of them only after the request was COMMITTED.
"""

from __future__ import annotations

import msgspec

from command_center import incident_book as book
from command_center import units
from command_center.errors import Conflict, Invalid, NotFound
from command_center.machines import REQUEST, RequestState
from command_center.model import Authority, Task, Unit
from command_center.records import Request
from command_center.work import Work

replace = msgspec.structs.replace


async def ask(work: Work, task: Task, unit: Unit) -> Request:
    """A request in state REQUESTED, told in the timeline. Asking the same unit twice returns the open request."""
    for known in await work.tx.requests(task.incident_id):
        same = known.task_id == task.task_id and known.unit_id == unit.unit_id
        if same and known.state in (RequestState.REQUESTED, RequestState.SIGNED):
            return known
    number = await work.tx.next_number(f"request:{task.incident_id}")
    notify = unit.authority is Authority.NOTIFY
    request = Request(
        request_id=f"{task.incident_id}-R{number:02d}",
        task_id=task.task_id,
        incident_id=task.incident_id,
        unit_id=unit.unit_id,
        kind=unit.authority.value,
        state=REQUEST.start,
        asked_us=work.at_us,
        changed_us=work.at_us,
        asked_by=work.actor.username,
    )
    await work.tx.insert_request(request)
    await work.journal("request", request.request_id, "ask", None, request)
    await book.tell(
        work,
        task.incident_id,
        "request",
        f"{'通报' if notify else '协调请求'}：{unit.name}，{task.title_zh}，待对方签收",
        f"{'Notified' if notify else 'Asked'} {unit.name}: {task.title_en}, waiting for their signature",
        ref=request.request_id,
    )
    return request


async def answer(work: Work, request_id: str, to: RequestState, signed_by: str, comment: str) -> Request:
    """What the other agency's dispatcher said. The caller hands the task over when it is COMMITTED."""
    old = await work.tx.request(request_id)
    if old is None:
        raise NotFound("request", request_id)
    if to is RequestState.COMMITTED and old.kind == Authority.NOTIFY.value:
        raise Invalid(f"request {request_id} only tells {old.unit_id}: it can be signed for, not committed")
    REQUEST.advance(request_id, old.state, to)
    new = replace(
        old, state=to, signed_by=signed_by or old.signed_by, comment=comment, changed_us=work.at_us, rev=old.rev + 1
    )
    if not await work.tx.update_request(new, rev=old.rev):
        raise Conflict(f"request {request_id} was changed by somebody else meanwhile; reload it")
    await work.journal("request", request_id, to.value, old, new, comment)
    unit = (await units.get(work, old.unit_id)).unit
    await book.tell(
        work,
        old.incident_id,
        "request",
        f"{unit.name} {REQUEST.zh[to]}（{new.signed_by}）{'：' + comment if comment else ''}",
        f"{unit.name} {to.value} ({new.signed_by}){': ' + comment if comment else ''}",
        ref=request_id,
    )
    return new
