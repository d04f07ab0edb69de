"""Calibrations, repair tickets and acceptance checklists, in the shape in which they travel to screens. Times are city time."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from command_center.device_commands.model import DeviceCommand
from command_center.machines import Machine


class TicketState(StrEnum):
    OPEN = "OPEN"
    ASSIGNED = "ASSIGNED"
    IN_PROGRESS = "IN_PROGRESS"
    REPORTED = "REPORTED"
    CHECKED = "CHECKED"
    CLOSED = "CLOSED"
    REJECTED = "REJECTED"


_S = TicketState
TICKET: Machine[TicketState] = Machine(
    name="repair ticket",
    name_zh="维修工单",
    start=_S.OPEN,
    moves={
        _S.OPEN: frozenset({_S.ASSIGNED, _S.REJECTED}),
        _S.ASSIGNED: frozenset({_S.IN_PROGRESS, _S.REJECTED}),
        _S.IN_PROGRESS: frozenset({_S.REPORTED}),
        _S.REPORTED: frozenset({_S.CHECKED, _S.IN_PROGRESS}),  # back: it is not mended
        _S.CHECKED: frozenset({_S.CLOSED}),
        _S.CLOSED: frozenset(),
        _S.REJECTED: frozenset(),
    },
    zh={
        _S.OPEN: "待派单",
        _S.ASSIGNED: "已派单",
        _S.IN_PROGRESS: "处理中",
        _S.REPORTED: "已报完",
        _S.CHECKED: "已核查",
        _S.CLOSED: "已关闭",
        _S.REJECTED: "不受理",
    },
)
TICKET_ENDED = (TicketState.CLOSED, TicketState.REJECTED)


class TicketVerb(StrEnum):
    """What a person asks for; `MOVES` says where it leads."""

    ASSIGN = "assign"
    START = "start"
    REPORT = "report"
    CHECK = "check"
    RETURN = "return"
    CLOSE = "close"
    REJECT = "reject"


MOVES: dict[TicketVerb, TicketState] = {
    TicketVerb.ASSIGN: _S.ASSIGNED,
    TicketVerb.START: _S.IN_PROGRESS,
    TicketVerb.REPORT: _S.REPORTED,
    TicketVerb.CHECK: _S.CHECKED,
    TicketVerb.RETURN: _S.IN_PROGRESS,
    TicketVerb.CLOSE: _S.CLOSED,
    TicketVerb.REJECT: _S.REJECTED,
}
# `start` and `return` lead to the same state from different ones: who mends starts, who checks sends back.
FROM: dict[TicketVerb, tuple[TicketState, ...]] = {
    verb: tuple(
        s for s in TICKET.sources_of(to) if (s is _S.REPORTED) == (verb in (TicketVerb.RETURN, TicketVerb.CHECK))
    )
    for verb, to in MOVES.items()
}


class Origin(StrEnum):
    HAND = "hand"
    NO_DATA = "no_data"  # proposed because the device is silent


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """One calibration. `offsets` are what the reference said minus what the device said, by property, in its canonical uom: a
    record for who judges a series; readings are stored as they came."""

    calibration_id: str
    device_id: str
    calibrated_us: int
    calibrated_by: str  # laboratory or person
    certificate: str  # its number
    due_us: int | None  # when the next one is due
    offsets: dict[str, float]
    comment: str
    recorded_by: str
    recorded_us: int


class TicketStep(msgspec.Struct, frozen=True, kw_only=True):
    at_us: int
    source: str = msgspec.field(name="from")
    to: str
    actor: str
    comment: str = ""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A repair or maintenance job on one device."""

    ticket_id: str
    device_id: str
    vendor: str  # the firm that answers for the device
    area: str
    origin: Origin
    title: str
    detail: str
    state: TicketState
    state_zh: str
    assignee: str  # firm or team that does it
    reported_by: str  # who said that it is mended: somebody else checks
    opened_by: str
    opened_us: int
    due_us: int | None
    changed_us: int
    rev: int
    history: list[TicketStep] = []


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody put down for one item of a checklist."""

    ok: bool
    value: str
    by: str
    at_us: int


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    by: str
    at_us: int


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """接入验收单 of one device: two signatures of two persons accept it. Anything that changes takes the signatures away."""

    device_id: str
    checklist: str
    answers: dict[str, Answer] = {}
    vendor: Signature | None = None
    city: Signature | None = None
    changed_us: int = 0
    rev: int = 0

    @property
    def accepted(self) -> bool:
        return self.vendor is not None and self.city is not None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was received from a device, for the items that nobody has to tick."""

    received: int = 0
    last_receive_us: int | None = None
    clock_offset_us: int | None = None


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the checklist as it stands now."""

    key: str
    zh: str
    en: str
    automatic: bool
    ok: bool
    value: str
    by: str = ""
    at_us: int | None = None


class AcceptanceView(msgspec.Struct, frozen=True, kw_only=True):
    device_id: str
    checklist: str
    accepted: bool
    mark_zh: str  # 未验收 or 已验收: marking only, it never keeps an alarm back
    items: list[ItemView]
    vendor: Signature | None
    city: Signature | None
    rev: int


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """A window in which the device's samples do not alarm. Both author and end are there, always."""

    author: str
    until_us: int
    reason: str = ""


class Care(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is done for one device."""

    device_id: str
    calibrations: list[Calibration]  # newest first
    calibration_due_us: int | None
    tickets: list[Ticket]  # newest first
    acceptance: AcceptanceView
    maintenance: Maintenance | None
    commands: list[DeviceCommand] = []  # that have not ended yet, newest first


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A device that is silent and has no open ticket."""

    device_id: str
    name: str
    vendor: str
    area: str
    status: str
    title_zh: str
    title_en: str
