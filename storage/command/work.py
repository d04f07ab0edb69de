"""Cursor, counters, idempotency keys, timers, live events and users."""

from __future__ import annotations

import msgspec

from command_center.access.personal import Sealer, is_sealed
from command_center.model import Change, User
from command_center.records import Timer, UserRecord
from storage.batch import clean
from storage.command.rows import SQL, Part, jsonb, params, struct
from storage.database import Row
from storage.times import opt_time, opt_us, to_time, to_us


class WorkRows(Part):
    async def cursor(self, name: str) -> int:
        row = await self._one("read_cursor", {"name": name})
        return 0 if row is None else int(row["position"])

    async def set_cursor(self, name: str, position: int, at_us: int) -> None:
        await self._run("set_cursor", {"name": name, "position": position, "at": to_time(at_us)})

    async def next_number(self, scope: str) -> int:
        row = await self._one("next_number", {"scope": scope})
        assert row is not None
        return int(row["value"])

    async def remember(self, actor: str, key: str, fingerprint: str, at_us: int) -> str | None:
        key = clean(key)
        row = await self._one("read_key", {"actor": actor, "key": key})
        if row is not None:
            return str(row["fingerprint"])
        values = {"actor": actor, "key": key, "fingerprint": fingerprint, "at": to_time(at_us)}
        await self._run("keep_key", values)
        return None

    async def put_timer(self, timer: Timer) -> None:
        await self._run("put_timer", params(timer))

    async def drop_timer(self, timer_id: str) -> None:
        await self._run("drop_timer", {"timer_id": timer_id})

    async def timer(self, timer_id: str) -> Timer | None:
        row = await self._one("read_timer", {"timer_id": timer_id})
        return None if row is None else struct(Timer, row)

    async def due_timers(self, machine_us: int, city_us: int, limit: int) -> list[Timer]:
        values = {"machine_at": to_time(machine_us), "city_at": to_time(city_us), "limit": limit}
        return [struct(Timer, row) for row in await self._all("due_timers", values)]


class LiveRows(Part):
    async def add_live(self, change: Change) -> int:
        row = await self._one("add_live", params(change))
        assert row is not None
        return int(row["seq"])

    async def live_since(self, channel: str, seq: int, limit: int) -> list[Change]:
        rows = await self._all("live_since", {"channel": channel, "seq": seq, "limit": limit})
        return [struct(Change, row) for row in rows]

    async def live_head(self) -> int:
        row = await self._one("live_head")
        return 0 if row is None else int(row["seq"])

    async def forget(self, live_before_us: int, keys_before_us: int) -> int:
        live = await self._conn.execute(SQL["drop_live"], {"before": to_time(live_before_us)})
        keys = await self._conn.execute(SQL["drop_keys"], {"before": to_time(keys_before_us)})
        return live.rowcount + keys.rowcount


class UserRows(Part):
    async def user(self, username: str) -> UserRecord | None:
        row = await self._one("read_user", {"username": clean(username)})
        return None if row is None else user_record(row, self._sealer)

    async def users(self) -> list[UserRecord]:
        return [user_record(row, self._sealer) for row in await self._all("list_users")]

    async def seal_users(self) -> int:
        """Write those again whose number the current key did not seal. Raises ValueError without a sealer."""
        if self._sealer is None:
            raise ValueError("no key to seal with")
        rows = await self._all("list_users")
        stale = [row for row in rows if not self._sealer.is_current(row["document"].get("phone", ""))]
        for row in stale:
            await self.put_user(user_record(row, self._sealer))
        return len(stale)

    async def put_user(self, record: UserRecord) -> None:
        values = {
            "username": record.user.username,
            "document": jsonb(msgspec.to_builtins(_sealed(record.user, self._sealer))),
            "password_hash": record.password_hash,
            "failures": record.failures,
            "locked_until_machine_at": opt_time(record.locked_until_us),
            "changed_machine_at": to_time(record.changed_us),
            "password_machine_at": to_time(record.password_us),
        }
        await self._run("put_user", values)


def _place(username: str) -> str:
    return f"user/{username}/phone"


def _sealed(user: User, sealer: Sealer | None) -> User:
    """Raises ValueError for a number in clear that nobody can seal."""
    if not user.phone or is_sealed(user.phone):
        return user
    if sealer is None:
        raise ValueError(f"user {user.username!r}: the telephone number would be stored in clear")
    return msgspec.structs.replace(user, phone=sealer.seal(user.phone, _place(user.username)))


def _opened(user: User, sealer: Sealer | None) -> User:
    if sealer is None or not is_sealed(user.phone):
        return user
    return msgspec.structs.replace(user, phone=sealer.unseal(user.phone, _place(user.username)))


def user_record(row: Row, sealer: Sealer | None) -> UserRecord:
    return UserRecord(
        user=_opened(msgspec.convert(row["document"], User), sealer),
        password_hash=row["password_hash"],
        failures=row["failures"],
        locked_until_us=opt_us(row["locked_until_machine_at"]),
        changed_us=to_us(row["changed_machine_at"]),
        last_login_us=opt_us(row["last_login_machine_at"]),
        password_us=opt_us(row["password_machine_at"]) or 0,
    )
