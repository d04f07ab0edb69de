"""The state machines of the command centre: one transition table each, as data, and one pure function that reads them.

A table maps a state to the states it may move to. The SQL says the same again (`WHERE state = ANY(...)` with the list that
`sources_of` gives), and a test draws the tables into `docs/states.md`. Codes: reference/command-dispatch.md 5.1-5.3, 2.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from command_center.errors import IllegalTransition
from command_center.model import IncidentState as I
from command_center.model import TaskState as T
from command_center.model import UnitStatus as U

S = TypeVar("S", bound=StrEnum)


class OperatorSide(StrEnum):
    """What people did about an alarm. The condition (colour, cleared) belongs to `rules` and is not in here."""

    UNACKED = "UNACKED"
    ACKED = "ACKED"
    SHELVED = "SHELVED"


class RequestState(StrEnum):
    """A request to another agency: its dispatcher signs for it; we never order its units."""

    REQUESTED = "REQUESTED"
    SIGNED = "SIGNED"
    COMMITTED = "COMMITTED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True, slots=True)
class Machine(Generic[S]):
    """A named transition table. `start` is where an entity begins; states without successors are final."""

    name: str
    name_zh: str
    start: S
    moves: Mapping[S, frozenset[S]]
    zh: Mapping[S, str]

    def allows(self, state: S, to: S) -> bool:
        return to in self.moves[state]

    def advance(self, identifier: str, state: S, to: S, event: str = "") -> S:
        """The new state. Raises IllegalTransition naming the entity, where it is and what was asked."""
        if not self.allows(state, to):
            raise IllegalTransition(self.name, identifier, state.value, event or f"to {to.value}")
        return to

    def sources_of(self, to: S) -> list[S]:
        """States from which `to` is legal, in table order: what the SQL guard lists."""
        return [state for state, targets in self.moves.items() if to in targets]


def _table(rows: Mapping[S, Iterable[S]]) -> dict[S, frozenset[S]]:
    return {state: frozenset(targets) for state, targets in rows.items()}


INCIDENT: Machine[I] = Machine(
    name="incident",
    name_zh="事件",
    start=I.VERIFYING,
    moves=_table(
        {
            I.REPORTED: [I.VERIFYING, I.REJECTED],
            I.VERIFYING: [I.OPEN, I.REJECTED, I.MERGED],
            I.REJECTED: [],  # a rise in level of its alarm opens a new incident; this one keeps its reason
            I.MERGED: [I.VERIFYING],  # merging is reversible
            I.OPEN: [I.GRADED, I.RESPONDING, I.CONTROLLED, I.TERMINATED, I.MERGED],
            I.GRADED: [I.RESPONDING, I.CONTROLLED, I.TERMINATED],
            I.RESPONDING: [I.CONTROLLED, I.TERMINATED],
            I.CONTROLLED: [I.RESPONDING, I.OPEN, I.TERMINATED],
            I.TERMINATED: [I.RECOVERY, I.REVIEW, I.OPEN],
            I.RECOVERY: [I.REVIEW, I.OPEN],
            I.REVIEW: [I.ARCHIVED, I.OPEN],
            I.ARCHIVED: [],
        }
    ),
    zh={
        I.REPORTED: "接报",
        I.VERIFYING: "待核实",
        I.REJECTED: "不受理",
        I.MERGED: "并案",
        I.OPEN: "立案",
        I.GRADED: "定级",
        I.RESPONDING: "响应",
        I.CONTROLLED: "受控",
        I.TERMINATED: "处置结束",
        I.RECOVERY: "善后",
        I.REVIEW: "复盘评估",
        I.ARCHIVED: "归档",
    },
)
INCIDENT_OPEN = (I.REPORTED, I.VERIFYING, I.OPEN, I.GRADED, I.RESPONDING, I.CONTROLLED)  # an alarm may join these
INCIDENT_VERIFIED = (I.OPEN, I.GRADED, I.RESPONDING, I.CONTROLLED)  # tasks may be issued in these

_STOP = [T.RECALLED, T.SUPERSEDED]
_TASK: dict[T, list[T]] = {
    T.DRAFT: [T.ISSUED, *_STOP],
    # ISSUED again from these: the task is offered to another unit.
    T.ISSUED: [T.ISSUED, T.DELIVERED, T.EXPIRED, *_STOP],
    T.DELIVERED: [T.ACKED, T.ACCEPTED, T.DECLINED, T.ISSUED, T.EXPIRED, *_STOP],
    T.ACKED: [T.ACCEPTED, T.DECLINED, T.ISSUED, T.EXPIRED, *_STOP],
    T.ACCEPTED: [T.EN_ROUTE, T.ON_SCENE, T.SUSPENDED, T.FAILED, *_STOP],
    T.DECLINED: [T.ISSUED, *_STOP],
    T.EN_ROUTE: [T.ON_SCENE, T.SUSPENDED, T.FAILED, *_STOP],
    T.ON_SCENE: [T.IN_PROGRESS, T.REPORTED_DONE, T.SUSPENDED, T.PARTIAL, T.FAILED, *_STOP],
    T.IN_PROGRESS: [T.REPORTED_DONE, T.SUSPENDED, T.PARTIAL, T.FAILED, *_STOP],
    T.REPORTED_DONE: [T.VERIFIED, T.IN_PROGRESS],  # back to work when the check finds it undone
    T.VERIFIED: [T.CLOSED],
    T.CLOSED: [],
    T.PARTIAL: [T.IN_PROGRESS, T.CLOSED, T.SUPERSEDED],
    T.FAILED: [T.ISSUED, T.CLOSED, T.SUPERSEDED],
    T.SUSPENDED: [T.ACCEPTED, T.EN_ROUTE, T.IN_PROGRESS, *_STOP],
    T.RECALLED: [],
    T.SUPERSEDED: [],
    T.EXPIRED: [T.ISSUED, *_STOP],
}
TASK: Machine[T] = Machine(
    name="task",
    name_zh="任务",
    start=T.DRAFT,
    moves=_table(_TASK),
    zh={
        T.DRAFT: "草拟",
        T.ISSUED: "下达",
        T.DELIVERED: "送达",
        T.ACKED: "签收",
        T.ACCEPTED: "受领",
        T.DECLINED: "谢绝",
        T.EN_ROUTE: "赶赴途中",
        T.ON_SCENE: "到场",
        T.IN_PROGRESS: "处置中",
        T.REPORTED_DONE: "反馈",
        T.VERIFIED: "核查",
        T.CLOSED: "办结",
        T.PARTIAL: "部分完成",
        T.FAILED: "未完成",
        T.SUSPENDED: "暂停",
        T.RECALLED: "撤回",
        T.SUPERSEDED: "已替代",
        T.EXPIRED: "逾期",
    },
)
# A task here neither blocks the end of its incident nor holds a unit. A draft was never issued: it blocks nothing.
TASK_OVER = frozenset({T.CLOSED, T.RECALLED, T.SUPERSEDED, T.DRAFT})
# A receipt that the phone could not send separately: what a tap implies when it arrives first.
IMPLIED: Mapping[tuple[T, T], tuple[T, ...]] = {
    (T.ISSUED, T.ACKED): (T.DELIVERED,),
    (T.ISSUED, T.ACCEPTED): (T.DELIVERED,),
    (T.ISSUED, T.DECLINED): (T.DELIVERED,),
}

_IDLE = [U.IN_QTRS, U.AVAIL_MOBILE, U.STANDBY]
_UNIT: dict[U, list[U]] = {
    U.OFF: [U.IN_QTRS, U.AVAIL_MOBILE],
    U.IN_QTRS: [U.AVAIL_MOBILE, U.STANDBY, U.DISPATCHED, U.BREAK, U.OOS, U.OFF],
    U.AVAIL_MOBILE: [U.IN_QTRS, U.STANDBY, U.DISPATCHED, U.RETURNING, U.BREAK, U.OOS, U.OFF],
    U.STANDBY: [U.IN_QTRS, U.AVAIL_MOBILE, U.DISPATCHED, U.RETURNING, U.BREAK, U.OOS],
    U.DISPATCHED: [U.ACKED, U.EN_ROUTE, U.RETURNING, *_IDLE],
    U.ACKED: [U.EN_ROUTE, U.STAGING, U.ON_SCENE, U.RETURNING, *_IDLE],
    U.EN_ROUTE: [U.STAGING, U.ON_SCENE, U.ACKED, U.RETURNING, U.AVAIL_MOBILE],
    U.STAGING: [U.EN_ROUTE, U.ON_SCENE, U.RETURNING, U.AVAIL_MOBILE],
    U.ON_SCENE: [U.WORKING, U.TRANSPORT, U.RETURNING, U.AVAIL_MOBILE, U.ACKED],
    U.WORKING: [U.ON_SCENE, U.TRANSPORT, U.RETURNING, U.AVAIL_MOBILE, U.ACKED],
    U.TRANSPORT: [U.AT_DEST, U.RETURNING, U.AVAIL_MOBILE],
    U.AT_DEST: [U.RETURNING, U.AVAIL_MOBILE],
    U.RETURNING: [U.DISPATCHED, U.BREAK, U.OOS, *_IDLE],
    U.BREAK: [*_IDLE, U.OFF, U.OOS],
    U.OOS: [*_IDLE, U.OFF],
}
UNIT: Machine[U] = Machine(
    name="unit",
    name_zh="队伍",
    start=U.IN_QTRS,
    moves=_table(_UNIT),
    zh={
        U.OFF: "休班",
        U.IN_QTRS: "在位备勤",
        U.AVAIL_MOBILE: "在途可派",
        U.STANDBY: "前置待命",
        U.DISPATCHED: "已派单未签收",
        U.ACKED: "已签收",
        U.EN_ROUTE: "赶赴途中",
        U.STAGING: "集结点",
        U.ON_SCENE: "到场",
        U.WORKING: "处置中",
        U.TRANSPORT: "转运",
        U.AT_DEST: "抵达",
        U.RETURNING: "归建",
        U.BREAK: "轮休",
        U.OOS: "不可用",
    },
)
UNIT_AVAILABLE = (U.IN_QTRS, U.AVAIL_MOBILE, U.STANDBY, U.RETURNING)
# A unit sets these itself only while it has no task; with a task its status follows the task.
UNIT_BY_HAND = frozenset({*_IDLE, U.RETURNING, U.BREAK, U.OOS, U.OFF, U.STAGING, U.TRANSPORT, U.AT_DEST})
UNIT_OF_TASK: Mapping[T, U] = {
    T.ISSUED: U.DISPATCHED,
    T.DELIVERED: U.DISPATCHED,
    T.ACKED: U.ACKED,
    T.ACCEPTED: U.ACKED,
    T.EN_ROUTE: U.EN_ROUTE,
    T.ON_SCENE: U.ON_SCENE,
    T.IN_PROGRESS: U.WORKING,
}

ALARM: Machine[OperatorSide] = Machine(
    name="alarm",
    name_zh="告警（人工侧）",
    start=OperatorSide.UNACKED,
    moves=_table(
        {
            OperatorSide.UNACKED: [OperatorSide.ACKED, OperatorSide.SHELVED],
            # A rise in level takes the acknowledgement back: it was given to the lower colour.
            OperatorSide.ACKED: [OperatorSide.ACKED, OperatorSide.SHELVED, OperatorSide.UNACKED],
            OperatorSide.SHELVED: [OperatorSide.UNACKED, OperatorSide.ACKED, OperatorSide.SHELVED],
        }
    ),
    zh={OperatorSide.UNACKED: "未确认", OperatorSide.ACKED: "已确认", OperatorSide.SHELVED: "已搁置"},
)

_R = RequestState
REQUEST: Machine[RequestState] = Machine(
    name="request",
    name_zh="协调请求",
    start=_R.REQUESTED,
    moves=_table(
        {
            _R.REQUESTED: [_R.SIGNED, _R.COMMITTED, _R.REFUSED, _R.WITHDRAWN],
            _R.SIGNED: [_R.COMMITTED, _R.REFUSED, _R.WITHDRAWN],
            _R.COMMITTED: [],
            _R.REFUSED: [],
            _R.WITHDRAWN: [],
        }
    ),
    zh={
        _R.REQUESTED: "待签收",
        _R.SIGNED: "已签收",
        _R.COMMITTED: "同意支援",
        _R.REFUSED: "不能支援",
        _R.WITHDRAWN: "撤回",
    },
)


def draw(machine: Machine[S]) -> str:
    """The machine as a Markdown section with a Mermaid diagram; the same text for the same table."""
    lines = [f"## {machine.name} {machine.name_zh}", "", "| state | 中文 | may move to |", "|---|---|---|"]
    for state, targets in machine.moves.items():
        shown = ", ".join(t.value for t in sorted(targets, key=lambda t: t.value)) or "(final)"
        lines.append(f"| {state.value} | {machine.zh[state]} | {shown} |")
    lines += ["", "```mermaid", "stateDiagram-v2", f"    [*] --> {machine.start.value}"]
    for state, targets in machine.moves.items():
        lines += [f"    {state.value} --> {t.value}" for t in sorted(targets, key=lambda t: t.value)]
        if not targets:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join([*lines, "```", ""])


def draw_all() -> str:
    """The whole of docs/states.md."""
    head = (
        "# State machines of the command centre\n\n"
        "Drawn from `command_center/machines.py` by `python -m command_center.machines > docs/states.md`; a test compares.\n"
    )
    # Their tables are made of this module's Machine.
    from command_center.device_commands.model import DEVICE_COMMAND
    from command_center.duty.machines import MACHINES as DUTY
    from command_center.video.model import VIDEO_CLIP

    parts = [draw(INCIDENT), draw(TASK), draw(UNIT), draw(ALARM), draw(REQUEST), *(draw(m) for m in DUTY)]
    parts += [draw(DEVICE_COMMAND), draw(VIDEO_CLIP)]
    return head + "\n" + "\n".join(parts)


if __name__ == "__main__":
    import sys

    sys.stdout.write(draw_all())
