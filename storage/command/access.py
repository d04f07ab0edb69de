"""Roles in an incident, logins, second factors, keys of machines and approvals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from command_center.access.records import ApiKey, Approval, ApprovalState, IncidentRole, SecondFactor, SecurityKey
from command_center.records import UserRecord
from storage.batch import clean
from storage.command.rows import Part, params, struct
from storage.command.work import user_record
from storage.times import to_time


class AccessRows(Part):
    async def incident_roles(self, *, incident_id: str = "", username: str = "") -> list[IncidentRole]:
        values = {"incident_id": clean(incident_id), "username": clean(username)}
        return [struct(IncidentRole, row) for row in await self._all("list_incident_roles", values)]

    async def insert_incident_role(self, role: IncidentRole) -> None:
        await self._run("insert_incident_role", params(role))

    async def end_incident_role(self, role_id: str, at_us: int, by: str) -> bool:
        return await self._one("end_incident_role", {"role_id": role_id, "at": to_time(at_us), "by": by}) is not None

    async def users_changed_since(self, machine_us: int) -> list[UserRecord]:
        return [
            user_record(row, self._sealer)
            for row in await self._all("users_changed_since", {"since": to_time(machine_us)})
        ]

    async def touch_logins(self, at_machine_us: Mapping[str, int]) -> None:
        for username, at_us in sorted(at_machine_us.items()):
            await self._run("touch_login", {"username": username, "at": to_time(at_us)})

    async def second_factor(self, username: str) -> SecondFactor | None:
        row = await self._one("read_second_factor", {"username": clean(username)})
        return None if row is None else struct(SecondFactor, row)

    async def second_factors(self) -> list[str]:
        return [row["username"] for row in await self._all("confirmed_second_factors")]

    async def put_second_factor(self, factor: SecondFactor) -> None:
        await self._run("put_second_factor", params(factor))

    async def security_keys(self, username: str) -> list[SecurityKey]:
        return [struct(SecurityKey, row) for row in await self._all("security_keys", {"username": clean(username)})]

    async def insert_security_key(self, key: SecurityKey) -> bool:
        return await self._one("insert_security_key", params(key)) is not None

    async def drop_security_key(self, username: str, key_id: str) -> bool:
        values = {"username": username, "key_id": clean(key_id)}
        return await self._one("drop_security_key", values) is not None

    async def use_security_key(self, key_id: str, sign_count: int, machine_us: int) -> None:
        await self._run("use_security_key", {"key_id": key_id, "sign_count": sign_count, "at": to_time(machine_us)})

    async def drop_second_factor(self, username: str) -> bool:
        return await self._one("drop_second_factor", {"username": username}) is not None

    async def use_totp_step(self, username: str, step: int) -> bool:
        return await self._one("use_totp_step", {"username": username, "step": step}) is not None

    async def use_recovery_code(self, username: str, hashed: str) -> bool:
        return await self._one("use_recovery_code", {"username": username, "hashed": hashed}) is not None

    async def api_keys(self) -> list[ApiKey]:
        return [struct(ApiKey, row) for row in await self._all("list_api_keys")]

    async def insert_api_key(self, key: ApiKey) -> None:
        await self._run("insert_api_key", params(key))

    async def revoke_api_key(self, key_id: str, machine_us: int, by: str) -> bool:
        values = {"key_id": clean(key_id), "at": to_time(machine_us), "by": by}
        return await self._one("revoke_api_key", values) is not None

    async def touch_api_keys(self, at_machine_us: Mapping[str, int]) -> None:
        for key_id, at_us in sorted(at_machine_us.items()):
            await self._run("touch_api_key", {"key_id": key_id, "at": to_time(at_us)})

    async def approval(self, approval_id: str) -> Approval | None:
        row = await self._one("read_approval", {"approval_id": clean(approval_id)})
        return None if row is None else struct(Approval, row)

    async def approvals(self, states: Sequence[ApprovalState], limit: int, before: str = "") -> list[Approval]:
        values = {"states": [s.value for s in states], "limit": limit, "before": clean(before)}
        return [struct(Approval, row) for row in await self._all("list_approvals", values)]

    async def open_approval(self, kind: str, subject: str) -> Approval | None:
        row = await self._one("open_approval", {"kind": kind, "subject": clean(subject)})
        return None if row is None else struct(Approval, row)

    async def insert_approval(self, approval: Approval) -> None:
        await self._run("insert_approval", params(approval))

    async def update_approval(self, approval: Approval, *, rev: int, states: Sequence[ApprovalState]) -> bool:
        values = params(approval, old_rev=rev, states=[s.value for s in states])
        return await self._one("update_approval", values) is not None
