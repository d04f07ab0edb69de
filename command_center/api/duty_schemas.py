"""Bodies of duty requests. Times are city microseconds since 1970."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Header, Path
from pydantic import Field

from command_center.api.problems import Problem
from command_center.api.schemas import Body, Identifier, Needed, Text
from command_center.duty.model import AddresseeKind, LogKind, Urgency

FAR_US = 4_102_444_800_000_000  # 2100: beyond it a time is a slip of the keyboard
Micros = Annotated[int, Field(ge=0, le=FAR_US)]
Area = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{0,32}$")]
Ref = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{0,96}$")]
Name = Annotated[str, Field(max_length=64)]
Phone = Annotated[str, Field(pattern=r"^[0-9+*() -]{0,32}$")]  # with stars: the masked number that was shown
PathId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,96}$")]
IfMatch = Annotated[str, Header(alias="If-Match", max_length=40)]


def revision(if_match: str) -> int:
    """The revision that the caller saw. Raises Problem 428 without one: an edit in the dark overwrites somebody's."""
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 18:
        raise Problem(428, "if-match-required", 'send the header If-Match with the rev that you saw, as If-Match: "3"')
    return int(text)


class PostBody(Body):
    post: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    zh: Annotated[str, Field(min_length=1, max_length=40)]
    en: Annotated[str, Field(max_length=60)] = ""
    step: Annotated[int, Field(ge=0, le=1000)]
    required: bool = True
    hand_over: bool = False
    hazards: Annotated[list[Identifier], Field(max_length=20)] = []


class PostsBody(Body):
    posts: Annotated[list[PostBody], Field(min_length=1, max_length=40)]
    reason: Text = ""


class ShiftBody(Body):
    post: Identifier
    username: Ref = ""
    name: Name = ""
    phone: Phone = ""
    area: Area = ""
    from_us: Micros
    to_us: Micros
    reason: Text = ""


class GenerateBody(Body):
    post: Identifier
    usernames: Annotated[list[Identifier], Field(min_length=1, max_length=100)]
    area: Area = ""
    start_us: Micros
    shift_hours: Annotated[float, Field(ge=1, le=168, allow_inf_nan=False)]
    until_us: Micros
    reason: Text = ""


class ReassignBody(Body):
    to: Identifier
    kind: Literal["swap", "leave"] = "swap"
    reason: Needed


class AbsenceBody(Body):
    username: Identifier
    from_us: Micros
    to_us: Micros
    reason: Needed


class HandoverBody(Body):
    post: Identifier
    to_user: Identifier
    area: Area = ""
    substitute_reason: Text = ""
    remarks: Text = ""


class RemarksBody(Body):
    remarks: Text


class SignBody(Body):
    comment: Text = ""
    substitute_reason: Text = ""


class LogBody(Body):
    kind: LogKind
    text: Needed
    area: Area = ""
    alarm_id: Ref = ""
    incident_id: Ref = ""
    instruction_id: Ref = ""
    corrects: Ref = ""


class AddresseeBody(Body):
    kind: AddresseeKind
    id: Identifier


class InstructionBody(Body):
    text: Needed
    urgency: Urgency = Urgency.NORMAL
    addressees: Annotated[list[AddresseeBody], Field(min_length=1, max_length=50)]
    due_us: Micros | None = None
    incident_id: Ref = ""
    area: Area = ""
    subject: Annotated[str, Field(max_length=200)] = ""


class AnswerBody(Body):
    comment: Text = ""
    n: Annotated[int, Field(ge=1, le=50)] | None = None
