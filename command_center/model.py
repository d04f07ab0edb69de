"""The nouns of the command centre, in the shape in which they travel to screens (docs/interfaces.md section 8)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from command_center.access.scope import EVERYWHERE, Scope


class Role(StrEnum):
    OPERATOR = "operator"  # 值班员
    LEADER = "leader"  # 带班领导
    RESPONDER = "responder"  # 队员
    VENDOR = "vendor"  # 设备厂商
    ANALYST = "analyst"  # 分析员
    ADMIN = "admin"  # 系统管理员
    MET = "met"  # machine account of the meteorological bureau's feed
    REGISTRAR = "registrar"  # 登记员: keeps the registers
    SECURITY = "security"  # 安全管理员: people, roles, keys; cannot run the system nor touch the audit
    AUDITOR = "auditor"  # 审计员: reads the journal and its proofs, changes nothing
    COMMANDER = "commander"  # 指挥长: acts in the incidents that are given to him
    SCENE = "scene"  # 现场指挥: acts at the incidents that are given to him
    ISSUER = "issuer"  # 信息发布审签人
    LIAISON = "liaison"  # 部门联络员: signs for requests to his own agency's unit
    GRID = "grid"  # 网格员
    UPSTREAM = "upstream"  # 上级平台: machine account that reads


class Authority(StrEnum):
    DIRECT = "direct"  # 直接调度
    REQUEST = "request"  # 协调请求
    NOTIFY = "notify"  # 仅通报


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts. `system` acts for the engine and for timers; `on_behalf_of` is the unit or person acted for."""

    username: str
    roles: frozenset[Role] = frozenset()
    unit_id: str = ""
    vendor: str = ""
    on_behalf_of: str = ""
    scope: Scope = EVERYWHERE
    lacks_second_factor: bool = False  # the policy wants one of somebody with these roles, and the login had none

    def has(self, *roles: Role) -> bool:
        return bool(self.roles.intersection(roles))


SYSTEM = Actor(username="system")


class User(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    name: str
    roles: list[Role]
    unit_id: str = ""
    vendor: str = ""
    phone: str = ""
    area: str = ""
    enabled: bool = True
    scope: Scope = EVERYWHERE


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    by: str
    at_us: int
    comment: str = ""


class EscalationState(msgspec.Struct, frozen=True, kw_only=True):
    """Who is being called about an alarm that nobody acknowledged. `due_us` is machine wall time of the next step."""

    step: int
    to: str
    to_name: str = ""
    due_us: int | None = None
    post: str = ""  # of the roster; "": from the district's last-resort chain
    phone: str = ""  # masked; in clear by /duty/now


class AlarmSubject(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    id: str
    name: str


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm episode: the condition from `rules`, the operator's side from here."""

    alarm_id: str
    rule_id: str
    rule_version: str
    hazard: str
    subject: AlarmSubject
    device_ids: list[str]
    area: str
    lon: float | None
    lat: float | None
    colour: str
    peak_colour: str
    no_data: bool
    latched: bool
    state: str  # firing, cleared
    title_zh: str
    title_en: str
    detail_zh: str
    detail_en: str
    value: float | None
    uom: str
    flags: list[str]
    raised_us: int
    event_time_us: int
    changed_us: int
    cleared_us: int | None
    n: int
    acked: Ack | None = None
    shelved_until_us: int | None = None
    incident_id: str = ""
    stored: bool = True  # False: 未入库, the database has not got it yet
    escalation: EscalationState | None = None


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    at_us: int
    actor: str
    kind: str
    text_zh: str
    text_en: str
    ref: str = ""


class IncidentState(StrEnum):
    """Codes of reference/command-dispatch.md section 5.2; an automatic incident starts in VERIFYING 待核实."""

    REPORTED = "REPORTED"
    VERIFYING = "VERIFYING"
    REJECTED = "REJECTED"
    MERGED = "MERGED"
    OPEN = "OPEN"
    GRADED = "GRADED"
    RESPONDING = "RESPONDING"
    CONTROLLED = "CONTROLLED"
    TERMINATED = "TERMINATED"
    RECOVERY = "RECOVERY"
    REVIEW = "REVIEW"
    ARCHIVED = "ARCHIVED"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    incident_id: str
    kind: str  # typhoon, flood, hazchem, other
    title_zh: str
    title_en: str
    state: IncidentState
    state_zh: str
    lon: float | None
    lat: float | None
    area: str
    colour: str
    opened_us: int
    changed_us: int
    rev: int
    alarm_ids: list[str] = []
    plan_id: str = ""
    plan_version: str = ""
    timeline: list[TimelineEntry] = []
    task_counts: dict[str, int] = {}


class TaskState(StrEnum):
    """Codes of reference/command-dispatch.md section 5.3."""

    DRAFT = "DRAFT"
    ISSUED = "ISSUED"
    DELIVERED = "DELIVERED"
    ACKED = "ACKED"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    EN_ROUTE = "EN_ROUTE"
    ON_SCENE = "ON_SCENE"
    IN_PROGRESS = "IN_PROGRESS"
    REPORTED_DONE = "REPORTED_DONE"
    VERIFIED = "VERIFIED"
    CLOSED = "CLOSED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    SUSPENDED = "SUSPENDED"
    RECALLED = "RECALLED"
    SUPERSEDED = "SUPERSEDED"
    EXPIRED = "EXPIRED"


class TaskHistory(msgspec.Struct, frozen=True, kw_only=True):
    at_us: int
    source: str = msgspec.field(name="from")
    to: str
    actor: str
    comment: str = ""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    task_id: str
    incident_id: str
    title_zh: str
    title_en: str
    detail_zh: str
    detail_en: str
    capability: str
    state: TaskState
    state_zh: str
    unit_id: str
    unit_name: str
    unit_authority: str
    lon: float
    lat: float
    place: str
    due_us: int | None
    issued_us: int | None
    changed_us: int
    rev: int
    eta_s: float | None = None
    history: list[TaskHistory] = []
    area: str = ""  # of its incident
    hazard: str = ""  # kind of its incident


class UnitStatus(StrEnum):
    """Codes of reference/command-dispatch.md section 2.9."""

    OFF = "OFF"
    IN_QTRS = "IN_QTRS"
    AVAIL_MOBILE = "AVAIL_MOBILE"
    STANDBY = "STANDBY"
    DISPATCHED = "DISPATCHED"
    ACKED = "ACKED"
    EN_ROUTE = "EN_ROUTE"
    STAGING = "STAGING"
    ON_SCENE = "ON_SCENE"
    WORKING = "WORKING"
    TRANSPORT = "TRANSPORT"
    AT_DEST = "AT_DEST"
    RETURNING = "RETURNING"
    BREAK = "BREAK"
    OOS = "OOS"


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    unit_id: str
    name: str
    kind: str  # fire, hazmat, flood, medical, police, patrol
    authority: Authority
    capabilities: list[str]
    status: UnitStatus
    lon: float
    lat: float
    heading: float | None = None
    speed_ms: float | None = None
    fix_us: int | None = None  # city time of the position
    task_id: str = ""
    wading_depth_m: float = 0.30  # deepest water it may drive through; more only by its registered wading depth
    area: str = ""
    phone: str = ""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A unit considered for a task. `eta_s` None: not reachable over open roads."""

    unit: Unit
    eta_s: float | None
    capable: bool
    available: bool
    reasons_zh: list[str]
    reasons_en: list[str]


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """A road that units may not use. `depth_m` None means unknown, which is closed for everyone."""

    closure_id: str
    edges: list[str]
    reason: str
    lon: float
    lat: float
    depth_m: float | None
    since_us: int
    expires_us: int | None
    author: str
    evidence: str = ""  # alarm id, event id or a person's words
    area: str = ""


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    at_us: int
    machine_us: int
    actor: str
    on_behalf_of: str
    entity: str
    entity_id: str
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str = ""
    prev_hash: str = ""  # hex; of the row before it (command_center/chain.py)
    hash: str = ""  # hex; "" for a row from before the chain


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What the command centre publishes after a commit. `seq` comes from the database and orders the event channels.

    channel `incident` and `task` carry the whole object in `data`; `unit`, `closure` and `alarm_side` (acknowledgement, link and
    escalation as stored) are state: latest wins. `removed` marks an object that is gone.
    """

    channel: str
    seq: int
    at_us: int
    kind: str
    id: str
    rev: int
    data: dict[str, Any]
    removed: bool = False
