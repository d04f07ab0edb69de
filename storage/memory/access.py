"""The memory twin of storage/command/access.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from command_center.access.records import ApiKey, Approval, ApprovalState, IncidentRole, SecondFactor, SecurityKey
from command_center.records import UserRecord

replace = msgspec.structs.replace


class AccessState(Protocol):
    """What the twin keeps."""

    users: dict[str, UserRecord]
    incident_roles: dict[str, IncidentRole]
    second_factors: dict[str, SecondFactor]
    security_keys: dict[str, SecurityKey]
    api_keys: dict[str, ApiKey]
    approvals: dict[str, Approval]


class AccessRows:
    _s: AccessState

    async def incident_roles(self, *, incident_id: str = "", username: str = "") -> list[IncidentRole]:
        found = [
            r
            for r in self._s.incident_roles.values()
            if incident_id in ("", r.incident_id) and username in ("", r.username)
        ]
        return sorted(found, key=lambda r: (r.from_us, r.role_id))

    async def insert_incident_role(self, role: IncidentRole) -> None:
        self._s.incident_roles[role.role_id] = role

    async def end_incident_role(self, role_id: str, at_us: int, by: str) -> bool:
        role = self._s.incident_roles.get(role_id)
        if role is None or role.ended_us is not None:
            return False
        self._s.incident_roles[role_id] = replace(role, ended_us=at_us, ended_by=by)
        return True

    async def users_changed_since(self, machine_us: int) -> list[UserRecord]:
        return [self._s.users[u] for u in sorted(self._s.users) if self._s.users[u].changed_us >= machine_us]

    async def touch_logins(self, at_machine_us: Mapping[str, int]) -> None:
        for username, at_us in at_machine_us.items():
            known = self._s.users.get(username)
            if known is not None and (known.last_login_us or 0) < at_us:
                self._s.users[username] = replace(known, last_login_us=at_us)

    async def second_factor(self, username: str) -> SecondFactor | None:
        return self._s.second_factors.get(username)

    async def second_factors(self) -> list[str]:
        return sorted(u for u, factor in self._s.second_factors.items() if factor.confirmed)

    async def put_second_factor(self, factor: SecondFactor) -> None:
        self._s.second_factors[factor.username] = factor

    async def security_keys(self, username: str) -> list[SecurityKey]:
        found = [key for key in self._s.security_keys.values() if key.username == username]
        return sorted(found, key=lambda key: (key.created_machine_us, key.key_id))

    async def insert_security_key(self, key: SecurityKey) -> bool:
        return self._s.security_keys.setdefault(key.key_id, key) is key

    async def drop_security_key(self, username: str, key_id: str) -> bool:
        known = self._s.security_keys.get(key_id)
        return known is not None and known.username == username and self._s.security_keys.pop(key_id) is known

    async def use_security_key(self, key_id: str, sign_count: int, machine_us: int) -> None:
        if (known := self._s.security_keys.get(key_id)) is not None:
            count = max(known.sign_count, sign_count)
            self._s.security_keys[key_id] = replace(known, sign_count=count, last_used_machine_us=machine_us)

    async def drop_second_factor(self, username: str) -> bool:
        for key in await self.security_keys(username):
            del self._s.security_keys[key.key_id]
        return self._s.second_factors.pop(username, None) is not None

    async def use_totp_step(self, username: str, step: int) -> bool:
        known = self._s.second_factors.get(username)
        if known is None or known.last_step >= step:
            return False
        self._s.second_factors[username] = replace(known, last_step=step)
        return True

    async def use_recovery_code(self, username: str, hashed: str) -> bool:
        known = self._s.second_factors.get(username)
        if known is None or not known.confirmed or hashed not in known.recovery:
            return False
        self._s.second_factors[username] = replace(known, recovery=[h for h in known.recovery if h != hashed])
        return True

    async def api_keys(self) -> list[ApiKey]:
        return [self._s.api_keys[k] for k in sorted(self._s.api_keys)]

    async def insert_api_key(self, key: ApiKey) -> None:
        self._s.api_keys[key.key_id] = key

    async def revoke_api_key(self, key_id: str, machine_us: int, by: str) -> bool:
        key = self._s.api_keys.get(key_id)
        if key is None or key.revoked_machine_us is not None:
            return False
        self._s.api_keys[key_id] = replace(key, revoked_machine_us=machine_us, revoked_by=by)
        return True

    async def touch_api_keys(self, at_machine_us: Mapping[str, int]) -> None:
        for key_id, at_us in at_machine_us.items():
            key = self._s.api_keys.get(key_id)
            if key is not None and (key.last_used_machine_us or 0) < at_us:
                self._s.api_keys[key_id] = replace(key, last_used_machine_us=at_us)

    async def approval(self, approval_id: str) -> Approval | None:
        return self._s.approvals.get(approval_id)

    async def approvals(self, states: Sequence[ApprovalState], limit: int, before: str = "") -> list[Approval]:
        found = [
            a
            for a in self._s.approvals.values()
            if (not states or a.state in states) and (not before or a.approval_id < before)
        ]
        return sorted(found, key=lambda a: a.approval_id, reverse=True)[:limit]

    async def open_approval(self, kind: str, subject: str) -> Approval | None:
        pending = ApprovalState.PENDING
        found = [a for a in self._s.approvals.values() if (a.kind, a.subject, a.state) == (kind, subject, pending)]
        return found[0] if found else None

    async def insert_approval(self, approval: Approval) -> None:
        self._s.approvals[approval.approval_id] = approval

    async def update_approval(self, approval: Approval, *, rev: int, states: Sequence[ApprovalState]) -> bool:
        current = self._s.approvals.get(approval.approval_id)
        if current is None or current.rev != rev or current.state not in states:
            return False
        self._s.approvals[approval.approval_id] = approval
        return True
