"""The truth of the register: devices, the numbers of their series, thresholds with author and approver, credentials.

Every change makes a revision. A revision is written here first and goes to the log as a `registry` control second;
`unappended` names what the log does not have yet, so that a crash between the two loses nothing.
Implements `command_center.ports.DeviceRegister`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from command_center.errors import Invalid
from devices.clock import Clock
from devices.documents import DeviceWrong, problems_of
from devices.models import DeviceModel
from devices.properties import ObservedProperty
from devices.registry import Datastream, Device, RegistryData
from storage.batch import to_json
from storage.command.journal import JournalRows
from storage.database import Connection, Database, Row
from storage.register_journal import Chain, journal_devices, lock_journal
from storage.statements import load
from storage.times import to_time, to_us

_SQL = load("registry")
PART_DEVICES = 1_000  # in one revision, so that a control record stays below a megabyte and no follower stalls on one


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
        """Register, change or bring back devices, all or none; the change, as a control's body. More than PART_DEVICES get
        several revisions. Of a device that is named twice the last counts.

        A series that was known keeps its number. A change of model gives up the series that the new one does not name;
        a change of thresholds never does. Changed thresholds are recorded with author, approver and source.
        Raises Invalid (naming every wrong field of every device), before anything is written.
        """
        self._check(devices)
        async with self._database.transaction() as conn:
            await lock_journal(conn)
            return await self._upsert_on(conn, JournalRows(conn), devices, author, approver, reason)

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
        return await self._upsert_on(tx.connection, tx, devices, author, approver, reason)

    def _check(self, devices: Sequence[Device]) -> None:
        wrong = [f"{d.device_id}: {problem}" for d in devices for problem in problems_of(d, self._models)]
        if wrong:
            raise Invalid("; ".join(wrong)) from DeviceWrong(wrong)

    async def _upsert_on(
        self, conn: Connection, journal: Chain, devices: Sequence[Device], author: str, approver: str, reason: str
    ) -> RegistryData:
        devices = list({device.device_id: device for device in devices}.values())
        parts = [
            await self._upsert_part(conn, journal, devices[first : first + PART_DEVICES], author, approver, reason)
            for first in range(0, max(1, len(devices)), PART_DEVICES)
        ]
        # The reader of a control first forgets `removed`, then takes `devices`: that is how a series goes.
        return RegistryData(
            revision=parts[-1].revision,
            devices=[device for part in parts for device in part.devices],
            datastreams=[stream for part in parts for stream in part.datastreams],
            removed=[device_id for part in parts for device_id in part.removed],
        )

    async def _upsert_part(
        self, conn: Connection, journal: Chain, devices: Sequence[Device], author: str, approver: str, reason: str
    ) -> RegistryData:
        ids = [device.device_id for device in devices]
        revision = await self._new_revision(conn, author, reason)
        known = await _known(conn, ids)
        wanted = {d.device_id: self._properties(d, known.get(d.device_id)) for d in devices}
        replaced = [i for i, row in known.items() if _gives_up(row, {p.key for p in wanted[i]})]
        await conn.execute(_SQL["retire_datastreams"], {"device_ids": replaced})
        at = self._now()
        await conn.execute(_SQL["upsert_devices"], {"revision": revision, "at": at, "rows": _rows(devices)})
        await conn.execute(_SQL["upsert_datastreams"], {"rows": self._stream_rows(devices, wanted)})
        changes = [change for d in devices for change in _threshold_changes(d, known.get(d.device_id), reason)]
        if changes:
            who = {"revision": revision, "author": author, "approver": approver, "at": at}
            await conn.execute(_SQL["record_thresholds"], who | {"rows": to_json(changes)})
        written, streams = await _read(conn, ids)
        why = f"{reason} (approver {approver})" if approver else reason
        after = {device.device_id: msgspec.to_builtins(device) for device in devices}
        await journal_devices(journal, self._clock, known, after, author=author, reason=why)
        return RegistryData(revision=revision, devices=written, datastreams=streams, removed=replaced)

    async def remove(self, device_ids: Sequence[str], *, author: str, reason: str) -> RegistryData:
        """Take devices out of use. Their history and numbers stay; their credentials go."""
        async with self._database.transaction() as conn:
            await lock_journal(conn)
            revision = await self._new_revision(conn, author, reason)
            known = await _known(conn, list(device_ids))
            params = {"device_ids": list(device_ids), "revision": revision, "at": self._now()}
            rows = await (await conn.execute(_SQL["remove_devices"], params)).fetchall()
            await conn.execute(_SQL["drop_credentials"], {"device_ids": list(device_ids)})
            gone = {row["device_id"]: None for row in rows}
            await journal_devices(JournalRows(conn), self._clock, known, gone, author=author, reason=reason)
        return RegistryData(revision=revision, removed=sorted(row["device_id"] for row in rows))

    async def since(self, revision: int) -> RegistryData:
        """What changed after a revision, as one change to the newest."""
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["lock_registry"])
            newest = await _revision(conn)
            return await _delta(conn, revision, newest)

    async def unappended(self) -> list[RegistryData]:
        """What the log does not have yet, oldest first: none, or changes of about PART_DEVICES devices each, the last of which
        takes it to the newest revision."""
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["lock_registry"])
            bounds = await (await conn.execute(_SQL["unappended_bounds"])).fetchone()
            assert bounds is not None
            if bounds["newest"] == bounds["appended"]:
                return []
            cuts = await _cuts(conn, bounds["appended"], bounds["newest"])
            return [await _delta(conn, after, upto) for after, upto in pairwise([bounds["appended"], *cuts])]

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
        params = {"hashes": to_json(dict(hashes)), "at": self._now()}
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["upsert_credentials"], params)

    async def credentials(self, device_ids: Sequence[str] | None = None) -> list[tuple[str, str]]:
        """(device id, password hash) of the devices that may connect, of all or of those named, for the password file."""
        async with self._database.transaction() as conn:
            if device_ids is None:
                rows = await (await conn.execute(_SQL["read_credentials"])).fetchall()
            else:
                named = {"device_ids": list(device_ids)}
                rows = await (await conn.execute(_SQL["read_credentials_of"], named)).fetchall()
        return [(row["device_id"], row["password_hash"]) for row in rows]

    async def usable(self, device_ids: Collection[str]) -> set[str]:
        """Those of the devices that are registered and enabled."""
        if not device_ids:
            return set()
        async with self._database.transaction() as conn:
            rows = await (await conn.execute(_SQL["usable_devices"], {"device_ids": sorted(device_ids)})).fetchall()
        return {row["device_id"] for row in rows}

    async def _new_revision(self, conn: Connection, author: str, reason: str) -> int:
        await conn.execute(_SQL["lock_registry"])
        revision = await _revision(conn) + 1
        params = {"revision": revision, "at": self._now(), "actor": author, "summary": reason}
        await conn.execute(_SQL["insert_revision"], params)
        return revision

    def _properties(self, device: Device, known: Row | None) -> list[ObservedProperty]:
        """The series that a device gets: what its model and register say, and what it had while the model is the same."""
        model = self._models[device.model]
        wanted = model.properties_of(device)
        if known is None or known["removed"] or known["model"] != device.model or "properties" in device.attributes:
            return wanted
        keys = {p.key for p in wanted} | set(known["properties"])
        return [p for p in model.properties.values() if p.key in keys]

    def _stream_rows(self, devices: Sequence[Device], wanted: Mapping[str, Sequence[ObservedProperty]]) -> str:
        """Rows as one JSON text: PostgreSQL takes that ten times as fast as psycopg writes arrays."""
        rows = [(d, prop) for d in devices for prop in wanted[d.device_id]]
        return to_json(
            [
                {
                    "ordinal": ordinal,
                    "device_id": d.device_id,
                    "property": prop.key,
                    "uom": prop.uom,
                    "kind": prop.kind,
                    "interval_s": self._models[d.model].interval_of(d),
                }
                for ordinal, (d, prop) in enumerate(rows)
            ]
        )

    def _now(self) -> Any:
        return to_time(self._clock.city_us())


def _rows(devices: Sequence[Device]) -> str:
    return to_json(
        [
            {
                "device_id": d.device_id,
                "model": d.model,
                "kind": d.kind,
                "vendor": d.vendor,
                "document": msgspec.to_builtins(d),
            }
            for d in devices
        ]
    )


def _threshold_changes(device: Device, known: Row | None, reason: str) -> Iterator[dict[str, Any]]:
    """A row for each property whose thresholds are not what they were."""
    before: dict[str, Any] = known["document"].get("thresholds", {}) if known is not None else {}
    for prop in sorted(before.keys() | device.thresholds.keys()):
        now = device.thresholds.get(prop)
        if now != before.get(prop):
            yield {
                "device_id": device.device_id,
                "property": prop,
                "thresholds": now or {},
                "previous": before.get(prop),
                "source": str((now or {}).get("source") or reason),
            }


async def _cuts(conn: Connection, after: int, newest: int) -> list[int]:
    """Revisions, the last one the newest, between which about PART_DEVICES devices each were touched."""
    rows = await (await conn.execute(_SQL["changes_by_revision"], {"revision": after, "newest": newest})).fetchall()
    cuts: list[int] = []
    held, last = 0, after
    for row in rows:
        if held and held + row["devices"] > PART_DEVICES:
            cuts.append(last)
            held = 0
        held, last = held + row["devices"], int(row["revision"])
    return [*cuts, newest]


async def _delta(conn: Connection, after: int, newest: int) -> RegistryData:
    rows = await (await conn.execute(_SQL["changed_since"], {"revision": after, "newest": newest})).fetchall()
    present = [row["device_id"] for row in rows if not row["removed"]]
    removed = [row["device_id"] for row in rows if row["removed"] or row["lost_series"]]
    devices, streams = await _read(conn, present)
    return RegistryData(revision=newest, devices=devices, datastreams=streams, removed=removed)


def _gives_up(known: Row, wanted: set[str]) -> bool:
    return not known["removed"] and bool(set(known["properties"]) - wanted)


async def _revision(conn: Connection) -> int:
    row = await (await conn.execute(_SQL["current_revision"])).fetchone()
    return int(row["revision"]) if row is not None else 0


async def _known(conn: Connection, ids: list[str]) -> dict[str, Row]:
    rows = await (await conn.execute(_SQL["known_devices"], {"device_ids": ids})).fetchall()
    return {row["device_id"]: row for row in rows}


async def _read(conn: Connection, ids: list[str] | None) -> tuple[list[Device], list[Datastream]]:
    if ids is None:
        devices = await (await conn.execute(_SQL["read_devices"])).fetchall()
        streams = await (await conn.execute(_SQL["read_datastreams"])).fetchall()
    else:
        named = {"device_ids": ids}
        devices = await (await conn.execute(_SQL["read_devices_of"], named)).fetchall()
        streams = await (await conn.execute(_SQL["read_datastreams_of"], named)).fetchall()
    return [msgspec.convert(row["document"], Device) for row in devices], [Datastream(**row) for row in streams]
