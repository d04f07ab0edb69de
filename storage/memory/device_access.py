"""Passwords and certificates of devices in memory: the twin of storage/command/device_access.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from command_center.device_access import DeviceCertificate


@dataclass(slots=True)
class AccessMemory:
    hashes: dict[str, tuple[str, int]] = field(default_factory=dict)  # device -> password hash, since when
    certificates: dict[str, DeviceCertificate] = field(default_factory=dict)  # by serial

    def __copy__(self) -> AccessMemory:
        return AccessMemory(dict(self.hashes), dict(self.certificates))


class DeviceAccessMemory:
    _access: AccessMemory

    async def put_device_hashes(self, hashes: Mapping[str, str], at_us: int) -> None:
        self._access.hashes.update({device_id: (hashed, at_us) for device_id, hashed in hashes.items()})

    async def drop_device_hash(self, device_id: str) -> bool:
        return self._access.hashes.pop(device_id, None) is not None

    async def device_password_since(self, device_id: str) -> int | None:
        found = self._access.hashes.get(device_id)
        return None if found is None else found[1]

    async def put_device_certificate(self, certificate: DeviceCertificate) -> None:
        self._access.certificates[certificate.serial] = certificate

    async def revoke_device_certificates(self, device_id: str, machine_us: int) -> list[str]:
        held = self._access.certificates
        gone = sorted(s for s, c in held.items() if c.device_id == device_id and c.revoked_machine_us is None)
        for serial in gone:
            held[serial] = msgspec.structs.replace(held[serial], revoked_machine_us=machine_us)
        return gone

    async def device_certificates(self, device_ids: Sequence[str] | None = None) -> list[DeviceCertificate]:
        found = [c for c in self._access.certificates.values() if device_ids is None or c.device_id in device_ids]
        return sorted(found, key=lambda c: (-c.issued_machine_us, c.serial))
