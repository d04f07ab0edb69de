"""Reports, what each organisation does about them, and visits."""

from __future__ import annotations

import functools
from enum import StrEnum
from importlib.resources import files

import msgspec
import yaml

from command_center.machines import Machine


class ReportState(StrEnum):
    OPEN = "OPEN"
    JOINED = "JOINED"
    CLOSED = "CLOSED"


class ReceiptState(StrEnum):
    SENT = "SENT"
    SIGNED = "SIGNED"
    DONE = "DONE"


_R, _S = ReportState, ReceiptState
REPORT: Machine[ReportState] = Machine(
    name="report",
    name_zh="网格事件",
    start=_R.OPEN,
    moves={
        _R.OPEN: frozenset({_R.JOINED, _R.CLOSED}),
        _R.JOINED: frozenset({_R.OPEN}),  # joining is reversible
        _R.CLOSED: frozenset({_R.OPEN}),
    },
    zh={_R.OPEN: "处置中", _R.JOINED: "已并入", _R.CLOSED: "已办结"},
)
RECEIPT: Machine[ReceiptState] = Machine(
    name="report at an organisation",
    name_zh="事件分送",
    start=_S.SENT,
    moves={_S.SENT: frozenset({_S.SIGNED}), _S.SIGNED: frozenset({_S.DONE}), _S.DONE: frozenset()},
    zh={_S.SENT: "已分送", _S.SIGNED: "已签收", _S.DONE: "已反馈"},
)


class EventKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`urgent` kinds stand first on the desk. See `kinds.yaml` for the rest."""

    kind: str
    zh: str
    en: str
    near_m: float
    within_min: float
    sign_min: float
    urgent: bool


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What one organisation does about a report. `authority`: direct, request or notify (仅通报: nothing is asked of it)."""

    organisation_id: str
    organisation: str
    authority: str
    state: ReceiptState
    state_zh: str
    sent_us: int
    signed_by: str = ""
    signed_us: int | None = None
    result: str = ""
    done_us: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`client_id` makes a report that is sent twice one. `witnesses`: how many further reports were joined to this one."""

    report_id: str
    client_id: str
    kind: str
    kind_zh: str
    urgent: bool
    text: str
    lon: float
    lat: float
    address: str
    area: str
    reported_by: str
    reported_us: int
    state: ReportState
    state_zh: str
    joined_to: str
    witnesses: int
    receipts: list[Receipt]
    closed_comment: str
    changed_us: int
    rev: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    item: str
    ok: bool
    note: str = ""


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One visit, for everybody who asks for one of this object. `distance_m` from the object, None without a position."""

    visit_id: str
    client_id: str
    subject: str  # kind/id of the entry
    area: str
    visited_by: str
    visited_us: int
    lon: float | None
    lat: float | None
    distance_m: float | None
    organisations: list[str]
    answers: list[Answer]
    findings: int


class DueVisit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that is due: the union of what every organisation wants looked at. `last_us` None: nobody was ever there."""

    subject: str
    kind_zh: str
    name: str
    area: str
    lon: float | None
    lat: float | None
    organisations: list[str]
    checklist: list[str]
    every_days: int  # the shortest of theirs
    last_us: int | None
    due_us: int
    overdue: bool


@functools.cache
def event_kinds() -> dict[str, EventKind]:
    """By code, in the order of the file."""
    text = files("command_center.grid").joinpath("kinds.yaml").read_text(encoding="utf-8")
    return {one.kind: one for one in msgspec.convert(yaml.safe_load(text), list[EventKind])}
