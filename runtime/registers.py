"""Registering a device for the HTTP door: the register, and the credential that is shown once.

Implements `command_center.api.deps.Registers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from command_center.device_access import DeviceAccess
from command_center.device_register import RegisterService
from command_center.errors import Invalid
from command_center.model import Actor
from devices.documents import DeviceWrong, parse_device
from devices.models import load_models
from devices.registry import Device


class Registers:
    def __init__(self, service: RegisterService, access: DeviceAccess) -> None:
        self._service, self._access = service, access
        self._models = load_models()

    async def add_device(self, actor: Actor, document: Mapping[str, Any]) -> tuple[Device, str]:
        """The device and its password; "" where it had one and keeps it: a corrected name must not cut a device off.

        Raises Invalid naming every wrong field, Forbidden.
        """
        try:
            device = parse_device(dict(document), self._models)
        except DeviceWrong as error:
            raise Invalid(str(error)) from error
        saved = await self._service.save_device(actor, device)
        if await self._access.has_password(saved.device_id):
            return saved, ""
        issued = await self._access.issue_new(actor, [saved.device_id], reason="register")
        return saved, issued.get(saved.device_id, "")

    async def import_devices(
        self, actor: Actor, documents: Sequence[Mapping[str, Any]], *, reason: str
    ) -> tuple[int, Mapping[str, str]]:
        """The revision and the passwords by device id. Raises Invalid naming every wrong field, Conflict, Forbidden."""
        devices = await asyncio.to_thread(self._parsed, documents)  # a thousand take longer than the loop may wait
        revision = await self._service.import_devices(actor, devices, reason=reason)
        return revision, await self._access.issue_new(actor, [d.device_id for d in devices], reason=reason)

    def _parsed(self, documents: Sequence[Mapping[str, Any]]) -> list[Device]:
        devices: list[Device] = []
        wrong: list[str] = []
        for number, document in enumerate(documents):
            try:
                devices.append(parse_device(dict(document), self._models))
            except DeviceWrong as error:
                wrong.append(f"devices[{number}]: {error}")
        if wrong:
            raise Invalid("; ".join(wrong))
        return devices

    def children(self, actor: Actor, device_id: str) -> list[Device]:
        return self._service.children(actor, device_id)
