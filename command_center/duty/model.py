"""The nouns of duty: posts, shifts, absences, hand-overs, the duty log, instructions. Times are city time."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

US_PER_S = 1_000_000
US_PER_HOUR = 3600 * US_PER_S
US_PER_DAY = 24 * US_PER_HOUR


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post of the duty desk. `step` is its place in the order of calling; a `required` post that nobody holds is a gap."""

    post: str
    zh: str
    en: str
    step: int
    required: bool = True
    hand_over: bool = False  # its shifts end with a hand-over that two people sign
    hazards: list[str] = []  # called about these only; empty: about everything


# Until a district has posts of its own. Source: municipal plans, reference/command-dispatch.md 5.6.
DEFAULT_POSTS = (
    Post(post="duty_officer", zh="值班员", en="Duty officer", step=1, hand_over=True),
    Post(post="deputy", zh="副值班", en="Deputy duty officer", step=2, required=False),
    Post(post="duty_chief", zh="值班长", en="Duty chief", step=3, required=False, hand_over=True),
    Post(post="duty_leader", zh="带班领导", en="Leader on duty", step=4),
    Post(post="tech", zh="技术保障", en="Technical support", step=5, required=False),
)


class Colleague(msgspec.Struct, frozen=True, kw_only=True):
    """An account that a roster can name: no telephone number, no roles."""

    username: str
    name: str
    area: str = ""


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody holds a post for an area from `from_us` (inclusive) to `to_us` (exclusive).

    A user of ours by `username`, or a named contact with a telephone. `phone` is sealed here and everywhere below the service;
    `phone_mask` is what anybody may see.
    """

    shift_id: str
    post: str
    username: str = ""
    name: str = ""
    phone: str = ""
    phone_mask: str = ""
    area: str = ""  # administrative code; "" is the whole district
    from_us: int
    to_us: int
    rev: int = 1

    def covers(self, city_us: int) -> bool:
        return self.from_us <= city_us < self.to_us

    def meets(self, other: Shift) -> bool:
        return self.from_us < other.to_us and other.from_us < self.to_us

    @property
    def person(self) -> str:
        """Who it is, whether an account or not: two shifts of one person have the same."""
        return self.username or self.name


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """Leave: the person is not called, whatever the roster says."""

    absence_id: str
    username: str
    from_us: int
    to_us: int
    reason: str


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody holds a required post. `to_us` None: nobody after `from_us` is planned at all."""

    post: str
    zh: str
    en: str
    area: str
    from_us: int
    to_us: int | None
    text_zh: str = ""
    text_en: str = ""


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Two shifts at the same time: one person twice (`person`), or two people on one post and area (`post`)."""

    kind: str
    shift_ids: list[str]
    from_us: int
    to_us: int
    text_zh: str
    text_en: str


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the chain. `phone` is masked unless it was read in clear."""

    step: int
    post: str
    post_zh: str
    username: str
    name: str
    phone: str = ""
    area: str = ""
    shift_id: str = ""
    until_us: int | None = None


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Who is called, in order. `last_resort`: nobody of the roster is there; these are the names of `deadlines.yaml`."""

    area: str
    at_us: int
    chain: list[Called]
    gaps: list[Gap] = []
    last_resort: bool = False


class HandoverState(StrEnum):
    DRAFT = "DRAFT"
    SIGNED_OUT = "SIGNED_OUT"
    SIGNED_IN = "SIGNED_IN"
    WITHDRAWN = "WITHDRAWN"


class OpenItem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the next shift takes over, as it stood when the hand-over was drafted."""

    kind: str  # alarm, incident, task, instruction, no_data, shelved, banner
    ref: str
    text_zh: str
    text_en: str
    area: str = ""
    state: str = ""
    colour: str = ""
    until_us: int | None = None


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    side: str  # out, in
    username: str
    name: str
    at_us: int
    comment: str = ""


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """交接班. `open_items` is a snapshot and never changes after the draft; `summary` counts it by kind."""

    handover_id: str
    post: str
    area: str
    shift_id: str  # of the person who leaves; "" when there is none in the roster
    from_user: str
    to_user: str
    substitute_reason: str
    state: HandoverState
    state_zh: str
    remarks: str
    summary: dict[str, int]
    open_items: list[OpenItem]
    signatures: list[Signature]
    created_us: int
    changed_us: int
    rev: int


class LogKind(StrEnum):
    CALL = "call"
    PAPER = "paper"
    INSTRUCTION = "instruction"
    PATROL = "patrol"
    WEATHER = "weather"
    OTHER = "other"
    SHIFT = "shift"  # by itself: who came and went
    HANDOVER = "handover"
    INCIDENT = "incident"


LOG_ZH = {
    LogKind.CALL: "来电",
    LogKind.PAPER: "来文",
    LogKind.INSTRUCTION: "指令",
    LogKind.PATROL: "巡查",
    LogKind.WEATHER: "天气",
    LogKind.OTHER: "其他",
    LogKind.SHIFT: "换班",
    LogKind.HANDOVER: "交接班",
    LogKind.INCIDENT: "事件",
}
BY_HAND = (LogKind.CALL, LogKind.PAPER, LogKind.INSTRUCTION, LogKind.PATROL, LogKind.WEATHER, LogKind.OTHER)


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of 值班日志. Never changed; a correction is a new entry whose `corrects` names the old one."""

    entry_id: str
    at_us: int
    actor: str
    kind: LogKind
    kind_zh: str
    text: str
    area: str = ""
    alarm_id: str = ""
    incident_id: str = ""
    instruction_id: str = ""
    corrects: str = ""
    auto: bool = False


class InstructionState(StrEnum):
    ISSUED = "ISSUED"
    RECEIVED = "RECEIVED"
    IN_PROGRESS = "IN_PROGRESS"
    REPORTED = "REPORTED"
    RETURNED = "RETURNED"
    CHECKED = "CHECKED"
    CLOSED = "CLOSED"
    RECALLED = "RECALLED"


class Urgency(StrEnum):
    URGENT = "urgent"  # 特急
    PRESSING = "pressing"  # 加急
    NORMAL = "normal"  # 平件


URGENCY_ZH = {Urgency.URGENT: "特急", Urgency.PRESSING: "加急", Urgency.NORMAL: "平件"}


class AddresseeKind(StrEnum):
    USER = "user"
    UNIT = "unit"
    ORGANISATION = "organisation"


class Addressee(msgspec.Struct, frozen=True, kw_only=True):
    """One who must answer, with his own state: each addressee of an instruction is a supervised task of its own."""

    n: int
    kind: AddresseeKind
    id: str
    name: str = ""
    state: InstructionState = InstructionState.ISSUED
    state_zh: str = ""
    report: str = ""
    overdue: bool = False  # was not reported when it was due; stays, as a fact
    received_us: int | None = None
    reported_us: int | None = None
    changed_us: int = 0


class InstructionEvent(msgspec.Struct, frozen=True, kw_only=True):
    at_us: int
    actor: str
    kind: str
    text_zh: str
    text_en: str
    n: int = 0  # addressee; 0: all


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """批示, numbered by year. `state` is that of the addressee who is least far."""

    instruction_id: str
    text: str
    urgency: Urgency
    urgency_zh: str
    issued_by: str
    issued_us: int
    due_us: int | None
    incident_id: str
    area: str
    state: InstructionState
    state_zh: str
    open: bool
    changed_us: int
    rev: int
    subject: str = ""  # what it is about: `kind/id` of an entry of the registers
    addressees: list[Addressee] = []
    timeline: list[InstructionEvent] = []


class DutyNow(msgspec.Struct, frozen=True, kw_only=True):
    """What the board shows: who is on duty now, which posts nobody holds, which hand-overs are late."""

    at_us: int
    on_duty: list[Called]
    gaps: list[Gap]
    late_handovers: list[str]
    last_resort: bool

    def as_row(self) -> dict[str, Any]:
        """Without the time of looking, so that a row that says the same is no news to the screens."""
        row: dict[str, Any] = msgspec.to_builtins(self)
        del row["at_us"]
        return row
