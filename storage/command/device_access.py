"""Passwords and certificates of devices (`command_center.device_access`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from command_center.device_access import DeviceCertificate
from storage.batch import clean, to_json
from storage.command.rows import Part, params, struct
from storage.times import to_time, to_us


class DeviceAccessRows(Part):
    async def put_device_hashes(self, hashes: Mapping[str, str], at_us: int) -> None:
        await self._run("put_device_hashes", {"hashes": to_json(dict(hashes)), "at": to_time(at_us)})

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
        if device_ids is None:
            rows = await self._all("list_device_certificates")
        else:
            rows = await self._all("device_certificates_of", {"device_ids": sorted(set(device_ids))})
        return [struct(DeviceCertificate, row) for row in rows]
