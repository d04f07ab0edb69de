"""What the store keeps for access: roles in an incident, second factors, keys of machines, approvals.

`_machine_us` is machine wall time (logins, keys), any other `_us` city time (the city's story).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from command_center.access.scope import EVERYWHERE, Scope
from command_center.model import Role


class IncidentRole(msgspec.Struct, frozen=True, kw_only=True):
    """One assignment. `ended_us` is set when it was taken back before `until_us`."""

    role_id: str  # {incident_id}-P{nn}
    incident_id: str
    username: str
    role: Role
    from_us: int
    until_us: int
    given_by: str
    ended_us: int | None = None
    ended_by: str = ""

    def holds(self, at_us: int) -> bool:
        return self.from_us <= at_us < self.until_us and self.ended_us is None


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True):
    """A person's TOTP secret (sealed) and recovery codes (hashed). It counts once a code of it was shown (`confirmed`)."""

    username: str
    secret: str  # sealed for the place user/{username}/totp
    confirmed: bool
    last_step: int  # of the last code taken: a code opens once
    recovery: list[str]  # hashes of the codes that are left
    changed_machine_us: int


class SecurityKey(msgspec.Struct, frozen=True, kw_only=True):
    """A person's WebAuthn key. `key_id` and `public_key` (COSE) are base64url; `rp_id` is the host name that it is for."""

    key_id: str
    username: str
    name: str
    rp_id: str
    public_key: str
    sign_count: int
    created_machine_us: int
    last_used_machine_us: int | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A machine's key; of its secret only a hash is kept."""

    key_id: str
    name: str
    secret_hash: str
    roles: list[Role]
    created_by: str
    created_machine_us: int
    expires_machine_us: int
    scope: Scope = EVERYWHERE
    vendor: str = ""
    unit_id: str = ""
    revoked_machine_us: int | None = None
    revoked_by: str = ""
    last_used_machine_us: int | None = None


class ApprovalState(StrEnum):
    PENDING = "PENDING"  # 待审批
    EXECUTED = "EXECUTED"  # 已批准并执行
    REJECTED = "REJECTED"  # 已驳回
    WITHDRAWN = "WITHDRAWN"  # 已撤回
    EXPIRED = "EXPIRED"  # 已过期


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal that takes a second person. `emergency`: it was applied already and waits for its confirmation."""

    approval_id: str
    kind: str
    subject: str
    area: str
    title_zh: str
    title_en: str
    payload: dict[str, Any]
    before: dict[str, Any]
    source: str
    reason: str
    state: ApprovalState
    proposed_by: str
    proposed_us: int
    expires_us: int  # machine wall time: it waits for a person
    asked: str = ""  # whom the proposer asked; anybody with the right may decide
    emergency: bool = False
    until_us: int | None = None  # city time at which an unconfirmed emergency change goes back
    decided_by: str = ""
    decided_us: int | None = None
    comment: str = ""
    result: dict[str, Any] = {}
    rev: int = 1
