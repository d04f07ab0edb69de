"""Passwords and certificates of devices (`command_center.device_access`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from command_center.device_access import DeviceCertificate
from storage.batch import clean
from storage.command.rows import Part, params, struct
from storage.times import to_time, to_us


class DeviceAccessRows(Part):
    async def put_device_hashes(self, hashes: Mapping[str, str], at_us: int) -> None:
        ids = sorted(hashes)
        values = {"device_ids": ids, "hashes": [hashes[i] for i in ids], "at": to_time(at_us)}
        await self._run("put_device_hashes", values)

    async def drop_device_hash(self, device_id: str) -> bool:
        return await self._one("drop_device_hash", {"device_id": clean(device_id)}) is not None

    async def device_password_since(self, device_id: str) -> int | None:
        row = await self._one("read_device_password", {"device_id": clean(device_id)})
        return None if row is None else to_us(row["created_at"])

    async def put_device_certificate(self, certificate: DeviceCertificate) -> None:
        await self._run("put_device_certificate", params(certificate))

    async def revoke_device_certificates(self, device_id: str, machine_us: int) -> list[str]:
        values = {"device_id": clean(device_id), "machine_at": to_time(machine_us)}
        return sorted(row["serial"] for row in await self._all("revoke_device_certificates", values))

    async def device_certificates(self, device_ids: Sequence[str] | None = None) -> list[DeviceCertificate]:
        values = {"device_ids": None if device_ids is None else list(device_ids)}
        return [struct(DeviceCertificate, row) for row in await self._all("list_device_certificates", values)]
