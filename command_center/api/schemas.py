"""Bodies of requests. pydantic lives only here: behind this door values are the command centre's own types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    model_validator,
)

from command_center.access.approvals import EMERGENCY_MAX_H
from command_center.access.keys import MAX_DAYS
from command_center.api.plain import why_not
from command_center.device_access import DEFAULT_CERTIFICATE_DAYS, MAX_CERTIFICATE_DAYS
from command_center.device_care.model import Origin
from command_center.incident_roles import MAX_HOURS
from command_center.letters import LETTERS_MAX
from command_center.machines import RequestState
from command_center.model import UnitStatus
from command_center.service import SHELVE_MAX_MINUTES
from command_center.video.model import Purpose

MAX_TEXT = 2_000
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Needed = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,96}$")]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]


def _aware(value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise ValueError("time must carry a zone, as in 2019-08-09T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("time lies beyond the years 1 to 9999") from error


Instant = Annotated[datetime, AfterValidator(_aware)]


def microseconds(value: datetime) -> int:
    """Exact microseconds since 1970 of an aware time."""
    delta = value - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def iso(us: int) -> str:
    """City microseconds as people read them: ISO 8601 with Z."""
    seconds, micros = divmod(us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{micros:06d}Z"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, data: Any) -> Any:
        if (why := why_not(data)) is not None:
            raise ValueError(why)
        return data


class Login(Body):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)
    username: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]
    otp: Annotated[str, Field(max_length=32)] = ""
    key: dict[str, Any] | None = None  # what a security key answered (`POST /sessions/key` gave the options)


class Advance(Body):
    seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Comment(Body):
    comment: Text = ""


class Reason(Body):
    comment: Needed


class Shelve(Body):
    minutes: Annotated[float, Field(gt=0, le=SHELVE_MAX_MINUTES, allow_inf_nan=False)]
    comment: Needed


class Note(Body):
    text: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    comment: Annotated[str, Field(max_length=MAX_TEXT)] = ""


class IssueTasks(Body):
    task_ids: Annotated[list[Identifier], Field(max_length=200)] | None = None


class Assign(Body):
    unit_id: Identifier


class RequestAnswer(Body):
    state: Literal[RequestState.SIGNED, RequestState.COMMITTED, RequestState.REFUSED, RequestState.WITHDRAWN]
    signed_by: Annotated[str, Field(max_length=120)] = ""
    comment: Text = ""


class TaskMove(Body):
    comment: Text = ""
    device_time: Instant | None = None
    lon: Longitude | None = None
    lat: Latitude | None = None


class Position(Body):
    lon: Longitude
    lat: Latitude
    heading: Annotated[float, Field(ge=0, le=360, allow_inf_nan=False)] | None = None
    speed_ms: Annotated[float, Field(ge=0, le=150, allow_inf_nan=False)] | None = None
    ts: Annotated[int, Field(ge=0)] | None = Field(None, description="milliseconds since 1970, city time")


class Status(Body):
    status: UnitStatus


class CloseRoad(Body):
    edges: Annotated[list[Identifier], Field(min_length=1, max_length=500)]
    reason: Needed
    depth_m: Annotated[float, Field(ge=0, le=50, allow_inf_nan=False)] | None = None
    minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60, allow_inf_nan=False)] | None = None
    evidence: Text = ""


class Thresholds(Body):
    property: Identifier
    thresholds: dict[str, Any]
    source: Needed
    approver: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{0,96}$")] = (
        ""  # whom to ask; anybody with the right may decide
    )
    reason: Text = ""
    emergency: bool = False
    hours: Annotated[float, Field(gt=0, le=EMERGENCY_MAX_H, allow_inf_nan=False)] = EMERGENCY_MAX_H


class DeviceImport(Body):
    devices: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1_000)]
    reason: Needed


# Devices: credentials and the broker's questions


class ReplayLetters(Body):
    """Which dead letters to put in again; what is left out does not matter. `match`: part of a reason; `reason`: why, for the journal."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, populate_by_name=True)

    device: Annotated[str, Field(max_length=64)] = ""
    match: Annotated[str, Field(max_length=200)] = ""
    codec: Annotated[str, Field(max_length=64)] = ""
    since: Annotated[Instant | None, Field(alias="from")] = None  # received at or after
    to: Instant | None = None  # received before
    dry_run: bool = False
    limit: Annotated[int, Field(ge=1, le=LETTERS_MAX)] = LETTERS_MAX
    cursor: Annotated[str, Field(max_length=200)] = ""
    reason: Text = ""


class WhyCredential(Body):
    reason: Text = ""


class CertificateRequest(Body):
    days: Annotated[int, Field(ge=1, le=MAX_CERTIFICATE_DAYS)] = DEFAULT_CERTIFICATE_DAYS
    reason: Text = ""


class _FromBroker(BaseModel):
    """A broker sends what it knows besides (client id, address, ...): left out."""

    model_config = ConfigDict(extra="ignore")
    username: Annotated[str | None, Field(max_length=256)] = None


class BrokerLogin(_FromBroker):
    password: Annotated[str | None, Field(max_length=1_024)] = None


class BrokerTopic(BaseModel):
    model_config = ConfigDict(extra="ignore")
    topic: Annotated[str, Field(max_length=1_024)]


class BrokerAcl(_FromBroker):
    topic: Annotated[str, Field(max_length=1_024)] = ""
    topics: Annotated[list[BrokerTopic], Field(max_length=100)] = []
    action: Annotated[str, Field(max_length=20)] = ""


# Devices: the care that is taken of them


class CalibrationBody(Body):
    calibrated: Instant
    calibrated_by: Needed
    certificate: Annotated[str, Field(min_length=1, max_length=120)]
    due: Instant | None = None
    offsets: Annotated[dict[Identifier, Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=50)] = {}
    comment: Text = ""


class MaintenanceBody(Body):
    until: Instant
    reason: Needed


class TicketBody(Body):
    title: Annotated[str, Field(min_length=1, max_length=200)]
    detail: Text = ""
    origin: Origin = Origin.HAND
    due: Instant | None = None


class TicketMove(Body):
    comment: Text = ""
    assignee: Annotated[str, Field(max_length=120)] = ""


# As it was said: "30" is no number, and true is not 1.
Parameter = StrictBool | StrictInt | StrictFloat | Annotated[str, Field(strict=True, max_length=64)]


class DeviceCommandBody(Body):
    """`method`: clock_set, interval_set or preset_goto; anything else is refused with the reasons."""

    method: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31})?$")]
    params: Annotated[dict[str, Parameter], Field(max_length=8)] = {}
    reason: Needed


class ViewBody(Body):
    """`reason` or `incident_id` is needed; `from` and `to` (city time) are for playback."""

    purpose: Purpose
    reason: Text = ""
    incident_id: Annotated[str, Field(max_length=96)] = ""
    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None


class TurnBody(Body):
    preset: Annotated[int, Field(strict=True, ge=1, le=255)]
    reason: Needed


class ClipBody(Body):
    """A span of city time, at most an hour."""

    device_id: Identifier
    since: Annotated[Instant, Field(alias="from")]
    until: Annotated[Instant, Field(alias="to")]
    reason: Text = ""


class AcceptanceItem(Body):
    ok: bool
    value: Annotated[str, Field(max_length=500)] = ""


class AcceptanceAnswers(Body):
    items: Annotated[dict[Identifier, AcceptanceItem], Field(max_length=50)] = {}
    sign: bool = False

    @model_validator(mode="after")
    def _something(self) -> AcceptanceAnswers:
        if not self.items and not self.sign:
            raise ValueError("expected items, or sign: true")
        return self


Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
RoleName = Annotated[str, Field(max_length=40)]
Code_ = Annotated[str, Field(min_length=1, max_length=32)]
Area = Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,32}$")]
Password = Annotated[str, Field(max_length=256)]


class ScopeBody(Body):
    """Limits; an empty list limits nothing."""

    areas: Annotated[list[Area], Field(max_length=200)] = []
    organisations: Annotated[list[Identifier], Field(max_length=200)] = []
    hazards: Annotated[list[Identifier], Field(max_length=20)] = []


class NewUser(Body):
    username: Username
    name: Annotated[str, Field(min_length=1, max_length=120)]
    roles: Annotated[list[RoleName], Field(min_length=1, max_length=12)]
    unit_id: Annotated[str, Field(max_length=96)] = ""
    vendor: Annotated[str, Field(max_length=96)] = ""
    phone: Annotated[str, Field(max_length=40)] = ""
    area: Annotated[str, Field(max_length=32)] = ""
    scope: ScopeBody = ScopeBody()
    password: Password = ""


class ChangedUser(Body):
    """What is left out stays."""

    name: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    roles: Annotated[list[RoleName], Field(min_length=1, max_length=12)] | None = None
    unit_id: Annotated[str, Field(max_length=96)] | None = None
    vendor: Annotated[str, Field(max_length=96)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None
    area: Annotated[str, Field(max_length=32)] | None = None
    scope: ScopeBody | None = None
    reason: Text = ""


class NewPassword(Body):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)
    old: Annotated[str, Field(min_length=1, max_length=256)]
    new: Annotated[str, Field(min_length=1, max_length=256)]


class KeyLogin(Body):
    """Password first: the options tell which keys a person has."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)
    username: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class NewSecurityKey(Body):
    name: Annotated[str, Field(min_length=1, max_length=60)]
    credential: dict[str, Any]


class Code(Body):
    code: Code_


class NewKey(Body):
    name: Annotated[str, Field(min_length=1, max_length=120)]
    roles: Annotated[list[RoleName], Field(min_length=1, max_length=12)]
    days: Annotated[float, Field(gt=0, le=MAX_DAYS, allow_inf_nan=False)] = 365
    scope: ScopeBody = ScopeBody()
    vendor: Annotated[str, Field(max_length=96)] = ""
    unit_id: Annotated[str, Field(max_length=96)] = ""


class NewProposal(Body):
    kind: Identifier
    subject: Annotated[str, Field(min_length=1, max_length=200)]
    payload: dict[str, Any]
    source: Needed
    reason: Text = ""
    approver: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{0,96}$")] = ""
    emergency: bool = False
    hours: Annotated[float, Field(gt=0, le=EMERGENCY_MAX_H, allow_inf_nan=False)] = EMERGENCY_MAX_H


class Decision(Body):
    approve: bool
    comment: Text = ""


class GiveRole(Body):
    username: Username
    role: Literal["commander", "scene"]
    hours: Annotated[float, Field(gt=0, le=MAX_HOURS, allow_inf_nan=False)] = 12


TaskVerb = Literal[
    "deliver", "ack", "accept", "decline", "depart", "arrive", "start", "done", "verify", "close", "recall"
]
