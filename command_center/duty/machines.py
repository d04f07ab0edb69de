"""The state machines of duty: hand-over, and an instruction as a supervised task (督办), one per addressee."""

from __future__ import annotations

from typing import Any

from command_center.duty.model import HandoverState as H
from command_center.duty.model import InstructionState as P
from command_center.machines import Machine

HANDOVER: Machine[H] = Machine(
    name="handover",
    name_zh="交接班",
    start=H.DRAFT,
    moves={
        H.DRAFT: frozenset({H.SIGNED_OUT, H.WITHDRAWN}),
        H.SIGNED_OUT: frozenset({H.SIGNED_IN, H.WITHDRAWN}),
        H.SIGNED_IN: frozenset(),
        H.WITHDRAWN: frozenset(),
    },
    zh={H.DRAFT: "草拟", H.SIGNED_OUT: "交班已签", H.SIGNED_IN: "接班已签", H.WITHDRAWN: "撤回"},
)

INSTRUCTION: Machine[P] = Machine(
    name="instruction",
    name_zh="批示（督办）",
    start=P.ISSUED,
    moves={
        P.ISSUED: frozenset({P.RECEIVED, P.RECALLED}),
        P.RECEIVED: frozenset({P.IN_PROGRESS, P.REPORTED, P.RECALLED}),
        P.IN_PROGRESS: frozenset({P.REPORTED, P.RECALLED}),
        P.REPORTED: frozenset({P.CHECKED, P.RETURNED, P.RECALLED}),
        # The check found it undone: back to work.
        P.RETURNED: frozenset({P.IN_PROGRESS, P.REPORTED, P.RECALLED}),
        P.CHECKED: frozenset({P.CLOSED, P.RETURNED}),
        P.CLOSED: frozenset(),
        P.RECALLED: frozenset(),
    },
    zh={
        P.ISSUED: "下达",
        P.RECEIVED: "签收",
        P.IN_PROGRESS: "办理中",
        P.REPORTED: "反馈",
        P.RETURNED: "退回",
        P.CHECKED: "核查",
        P.CLOSED: "办结",
        P.RECALLED: "撤回",
    },
)
INSTRUCTION_OVER = frozenset({P.CLOSED, P.RECALLED})
# The addressee still owes a report in these: reminders and 督办 go on.
UNREPORTED = frozenset({P.ISSUED, P.RECEIVED, P.IN_PROGRESS, P.RETURNED})
_PROGRESS = (P.ISSUED, P.RECEIVED, P.RETURNED, P.IN_PROGRESS, P.REPORTED, P.CHECKED)

MACHINES: tuple[Machine[Any], ...] = (HANDOVER, INSTRUCTION)


def least_far(states: list[P]) -> P:
    """The state of an instruction: that of its addressee who is least far; recalled ones count only when all are.

    >>> least_far([P.CLOSED, P.RECEIVED]).value, least_far([P.CLOSED, P.RECALLED]).value, least_far([P.RECALLED]).value
    ('RECEIVED', 'CLOSED', 'RECALLED')
    """
    going = [s for s in states if s not in INSTRUCTION_OVER]
    if going:
        return min(going, key=_PROGRESS.index)
    return P.CLOSED if P.CLOSED in states else P.RECALLED
