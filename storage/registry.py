"""The truth of the register: devices, the numbers of their series, thresholds with author and approver, credentials.

Every change makes a revision. A revision is written here first and goes to the log as a `registry` control second;
`unappended` names what the log does not have yet, so that a crash between the two loses nothing.
Implements `command_center.ports.DeviceRegister`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from command_center.errors import Invalid
from devices.clock import Clock
from devices.documents import DeviceWrong, problems_of
from devices.models import DeviceModel
from devices.properties import ObservedProperty
from devices.registry import Datastream, Device, RegistryData
from storage.batch import to_json
from storage.database import Connection, Database, Row
from storage.statements import load
from storage.times import to_time, to_us

_SQL = load("registry")


class RegistryStore:
    """Writes of the register take turns by an advisory lock, in whatever process they run. Raises DatabaseUnavailable."""

    def __init__(self, database: Database, clock: Clock, models: Mapping[str, DeviceModel]) -> None:
        self._database = database
        self._clock = clock
        self._models = models

    async def load(self) -> RegistryData:
        """Everything that is registered, as the body of a full `registry` control."""
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["lock_registry"])  # one revision, not half of the next
            revision = await _revision(conn)
            devices, streams = await _read(conn, None)
        return RegistryData(revision=revision, full=True, devices=devices, datastreams=streams)

    async def device(self, device_id: str) -> Device | None:
        async with self._database.transaction() as conn:
            row = await (await conn.execute(_SQL["read_device"], {"device_id": device_id})).fetchone()
        return None if row is None else msgspec.convert(row["document"], Device)

    async def upsert(self, devices: Sequence[Device], *, author: str, approver: str = "", reason: str) -> RegistryData:
        """Register, change or bring back devices under one new revision; the change, as a control's body.

        A series that was known keeps its number. A change of model gives up the series that the new one does not name;
        a change of thresholds never does. Changed thresholds are recorded with author, approver and source.
        Raises Invalid (naming every wrong field of every device), before anything is written.
        """
        self._check(devices)
        async with self._database.transaction() as conn:
            return await self._upsert_on(conn, devices, author, approver, reason)

    async def device_within(self, tx: Any, device_id: str) -> Device | None:
        """A device as it stands inside the command centre's transaction `tx`; nobody changes the register until it ends."""
        await tx.connection.execute(_SQL["lock_registry"])
        row = await (await tx.connection.execute(_SQL["read_device"], {"device_id": device_id})).fetchone()
        return None if row is None else msgspec.convert(row["document"], Device)

    async def upsert_within(
        self, tx: Any, devices: Sequence[Device], *, author: str, approver: str = "", reason: str
    ) -> RegistryData:
        """As `upsert`, inside the command centre's transaction `tx` (of the same database): both or neither."""
        self._check(devices)
        return await self._upsert_on(tx.connection, devices, author, approver, reason)

    def _check(self, devices: Sequence[Device]) -> None:
        wrong = [f"{d.device_id}: {problem}" for d in devices for problem in problems_of(d, self._models)]
        if wrong:
            raise Invalid("; ".join(wrong)) from DeviceWrong(wrong)

    async def _upsert_on(
        self, conn: Connection, devices: Sequence[Device], author: str, approver: str, reason: str
    ) -> RegistryData:
        ids = [device.device_id for device in devices]
        revision = await self._new_revision(conn, author, reason)
        known = await _known(conn, ids)
        replaced = [i for i, row in known.items() if _gives_up(row, self._wanted(devices, i, row))]
        await conn.execute(_SQL["retire_datastreams"], {"device_ids": replaced})
        for device in devices:
            await self._write(conn, device, known.get(device.device_id), revision)
            await self._record_thresholds(conn, device, known, revision, author, approver, reason)
        written, streams = await _read(conn, ids)
        # The reader of a control first forgets `removed`, then takes `devices`: that is how a series goes.
        return RegistryData(revision=revision, devices=written, datastreams=streams, removed=replaced)

    async def remove(self, device_ids: Sequence[str], *, author: str, reason: str) -> RegistryData:
        """Take devices out of use. Their history and numbers stay; their credentials go."""
        async with self._database.transaction() as conn:
            revision = await self._new_revision(conn, author, reason)
            params = {"device_ids": list(device_ids), "revision": revision, "at": self._now()}
            rows = await (await conn.execute(_SQL["remove_devices"], params)).fetchall()
            await conn.execute(_SQL["drop_credentials"], {"device_ids": list(device_ids)})
        return RegistryData(revision=revision, removed=sorted(row["device_id"] for row in rows))

    async def since(self, revision: int) -> RegistryData:
        """What changed after a revision, as one change to the newest."""
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["lock_registry"])
            newest = await _revision(conn)
            return await self._delta(conn, revision, newest)

    async def unappended(self) -> list[RegistryData]:
        """What the log does not have yet: none, or one change that takes it to the newest revision."""
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["lock_registry"])
            bounds = await (await conn.execute(_SQL["unappended_bounds"])).fetchone()
            assert bounds is not None
            if bounds["newest"] == bounds["appended"]:
                return []
            return [await self._delta(conn, bounds["appended"], bounds["newest"])]

    async def mark_appended(self, revision: int) -> None:
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["mark_appended"], {"revision": revision})

    async def threshold_changes(self, device_id: str) -> list[dict[str, Any]]:
        """Who changed which thresholds of a device, newest first."""
        async with self._database.transaction() as conn:
            rows = await (await conn.execute(_SQL["threshold_changes"], {"device_id": device_id})).fetchall()
        return [{**{k: v for k, v in row.items() if k != "at"}, "at_us": to_us(row["at"])} for row in rows]

    async def set_credentials(self, hashes: Mapping[str, str]) -> None:
        """Password hashes by device id (`devices.credentials.hash_password`); a new one replaces the old."""
        params = [{"device_id": d, "password_hash": h, "at": self._now()} for d, h in sorted(hashes.items())]
        async with self._database.transaction() as conn:
            await conn.cursor().executemany(_SQL["upsert_credential"], params)

    async def credentials(self) -> list[tuple[str, str]]:
        """(device id, password hash) of every device that may connect, for the broker's password file."""
        async with self._database.transaction() as conn:
            rows = await (await conn.execute(_SQL["read_credentials"])).fetchall()
        return [(row["device_id"], row["password_hash"]) for row in rows]

    async def _new_revision(self, conn: Connection, author: str, reason: str) -> int:
        await conn.execute(_SQL["lock_registry"])
        revision = await _revision(conn) + 1
        params = {"revision": revision, "at": self._now(), "actor": author, "summary": reason}
        await conn.execute(_SQL["insert_revision"], params)
        return revision

    def _wanted(self, devices: Sequence[Device], device_id: str, known: Row) -> set[str]:
        device = next(d for d in devices if d.device_id == device_id)
        return {p.key for p in self._properties(device, known)}

    def _properties(self, device: Device, known: Row | None) -> list[ObservedProperty]:
        """The series that a device gets: what its model and register say, and what it had while the model is the same."""
        model = self._models[device.model]
        wanted = model.properties_of(device)
        if known is None or known["removed"] or known["model"] != device.model or "properties" in device.attributes:
            return wanted
        keys = {p.key for p in wanted} | set(known["properties"])
        return [p for p in model.properties.values() if p.key in keys]

    async def _write(self, conn: Connection, device: Device, known: Row | None, revision: int) -> None:
        await conn.execute(
            _SQL["upsert_device"],
            {
                "device_id": device.device_id,
                "model": device.model,
                "kind": device.kind,
                "vendor": device.vendor,
                "document": to_json(msgspec.to_builtins(device)),
                "revision": revision,
                "at": self._now(),
            },
        )
        interval_s = self._models[device.model].interval_of(device)
        await conn.cursor().executemany(
            _SQL["upsert_datastream"],
            [
                {
                    "device_id": device.device_id,
                    "property": prop.key,
                    "uom": prop.uom,
                    "kind": prop.kind,
                    "interval_s": interval_s,
                }
                for prop in self._properties(device, known)
            ],
        )

    async def _record_thresholds(
        self,
        conn: Connection,
        device: Device,
        known: Mapping[str, Row],
        revision: int,
        author: str,
        approver: str,
        reason: str,
    ) -> None:
        row = known.get(device.device_id)
        before: dict[str, Any] = row["document"].get("thresholds", {}) if row is not None else {}
        for prop in sorted(before.keys() | device.thresholds.keys()):
            now = device.thresholds.get(prop)
            if now == before.get(prop):
                continue
            await conn.execute(
                _SQL["record_thresholds"],
                {
                    "device_id": device.device_id,
                    "property": prop,
                    "revision": revision,
                    "thresholds": to_json(now or {}),
                    "previous": to_json(before[prop]) if prop in before else None,
                    "author": author,
                    "approver": approver,
                    "source": str((now or {}).get("source") or reason),
                    "at": self._now(),
                },
            )

    async def _delta(self, conn: Connection, after: int, newest: int) -> RegistryData:
        rows = await (await conn.execute(_SQL["changed_since"], {"revision": after})).fetchall()
        present = [row["device_id"] for row in rows if not row["removed"]]
        removed = [row["device_id"] for row in rows if row["removed"] or row["lost_series"]]
        devices, streams = await _read(conn, present)
        return RegistryData(revision=newest, devices=devices, datastreams=streams, removed=removed)

    def _now(self) -> Any:
        return to_time(self._clock.city_us())


def _gives_up(known: Row, wanted: set[str]) -> bool:
    return not known["removed"] and bool(set(known["properties"]) - wanted)


async def _revision(conn: Connection) -> int:
    row = await (await conn.execute(_SQL["current_revision"])).fetchone()
    return int(row["revision"]) if row is not None else 0


async def _known(conn: Connection, ids: list[str]) -> dict[str, Row]:
    rows = await (await conn.execute(_SQL["known_devices"], {"device_ids": ids})).fetchall()
    return {row["device_id"]: row for row in rows}


async def _read(conn: Connection, ids: list[str] | None) -> tuple[list[Device], list[Datastream]]:
    devices = await (await conn.execute(_SQL["read_devices"], {"device_ids": ids})).fetchall()
    streams = await (await conn.execute(_SQL["read_datastreams"], {"device_ids": ids})).fetchall()
    return [msgspec.convert(row["document"], Device) for row in devices], [Datastream(**row) for row in streams]
