"""The register of devices: the truth is in the database, every change goes to the log as a `registry` control.

Database first, log second, then the mark that it was appended: a revision whose control did not reach the log is appended at
the next start or the next change. Reading a control twice changes nothing, so appending twice is harmless.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import structlog

from command_center.authority import Action, must_see, require
from command_center.device_care.model import Maintenance
from command_center.device_rights import device_for, sees
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, Role
from command_center.ports import Append, DeviceRegister
from command_center.work import Work
from devices.credentials import DEVICE_ID
from devices.documents import threshold_problems
from devices.models import load_models
from devices.registry import Device, Registry, RegistryData
from devices.stations import taken_numbers, with_known_passwords
from gis.points import check_lonlat
from stream.records import ControlBody, control

log = structlog.get_logger(__name__)
# What decides whether and where a device's readings alarm: a vendor changes none of it on a device that is registered.
CITY_FIELDS = ("enabled", "kind", "model", "group", "area", "interval_s")
CITY_ATTRIBUTES = (
    "maintenance",
    "road_edges",
    "video",
)  # samples that the rules exclude; roads that it closes; whose picture it shows


class RegisterService:
    """The only writer of the register. `registry` is the live copy of this process, kept by the follower."""

    def __init__(
        self,
        register: DeviceRegister,
        append: Append,
        registry: Registry,
        *,
        changed: Callable[[Iterable[str]], None] = lambda device_ids: None,
    ) -> None:
        """`changed` is told which devices may have been disabled, brought back or removed: the broker must learn of it."""
        self._register, self._append, self._registry = register, append, registry
        self._changed = changed
        self._models = load_models()
        self._lock = asyncio.Lock()  # revisions reach the log in their order

    async def flush(self) -> int:
        """Append every revision whose control is not in the log yet; call at start. Returns how many."""
        async with self._lock:
            return await self._flush(SYSTEM_NAME)

    async def save_device(self, actor: Actor, device: Device) -> Device:
        """Register a device or change one. Thresholds change only by approval.

        Raises Forbidden (a vendor registers its own only), Invalid.
        """
        device = self._allowed(actor, device)
        self._check_bindings([device], own_firm_only=not actor.has(Role.ADMIN))
        return await self._save(actor, device, approver="", reason="register")

    async def save_rows(self, actor: Actor, devices: Sequence[Device], *, reason: str) -> int:
        """Rows of a file: new devices and changed ones, all or none, each as `save_device` would take it. Returns the revision.

        Raises Forbidden, Invalid.
        """
        listed = [self._allowed(actor, device) for device in devices]
        self._check_bindings(listed, own_firm_only=not actor.has(Role.ADMIN))
        async with self._lock:
            change = await self._register.upsert(listed, author=actor.username, approver="", reason=reason)
            await self._flush(actor.username)
        return change.revision

    def _allowed(self, actor: Actor, device: Device) -> Device:
        """The device as this actor may register it. Raises Forbidden, Invalid."""
        require(actor, Action.REGISTER_DEVICE, area=device.area)
        check_device(device)
        known = self._registry.devices.get(device.device_id)
        device = with_known_passwords(device, known)
        if known is not None:
            must_see(actor, "device", device.device_id, area=known.area)  # nobody draws one out of another's area
        admin = actor.has(Role.ADMIN)
        foreign = device.vendor != actor.vendor or (known is not None and known.vendor != actor.vendor)
        if foreign and not admin:
            raise Forbidden(actor.username, f"register {device.device_id}", "vendors register their own devices")
        if not admin and (names := _left_to_the_city(known, device)):
            raise Forbidden(
                actor.username, f"change {', '.join(names)} of {device.device_id}", "an administrator does that"
            )
        if known is not None:
            return msgspec.structs.replace(device, thresholds=known.thresholds)
        if not admin:
            return msgspec.structs.replace(device, thresholds={})  # a vendor does not decide when the city alarms
        return device

    async def save_devices(self, actor: Actor, devices: list[Device], *, reason: str) -> int:
        """Many at once, with their thresholds: import by an administrator. Returns the new revision."""
        require(actor, Action.IMPORT_DEVICES)
        for device in devices:
            check_device(device)
            require(actor, Action.IMPORT_DEVICES, area=device.area)
        self._check_bindings(devices)
        async with self._lock:
            change = await self._register.upsert(devices, author=actor.username, approver="", reason=reason)
            await self._flush(actor.username)
        return change.revision

    async def import_devices(self, actor: Actor, devices: list[Device], *, reason: str) -> int:
        """As `save_devices`, for devices that are new: an import never changes what is watched already.

        Raises Conflict naming the ids that are registered or named twice.
        """
        times = Counter(device.device_id for device in devices)
        taken = sorted(i for i, n in times.items() if n > 1 or i in self._registry.devices)
        if taken:
            raise Conflict(f"registered already, or named twice: {', '.join(taken)}")
        return await self.save_devices(actor, devices, reason=reason)

    def checked_thresholds(self, device_id: str, prop: str, thresholds: dict[str, Any]) -> Device:
        """The device whose thresholds these may become. Raises Invalid naming every wrong field, NotFound."""
        check_thresholds(thresholds)
        device = self._registry.devices.get(device_id)
        if device is None:
            raise NotFound("device", device_id)
        if self._registry.datastream_of(device_id, prop) is None:
            raise Invalid(f"property: {device_id} has no datastream {prop!r}")
        return device

    def property_name(self, device: Device, prop: str) -> tuple[str, str]:
        """What people call it, Chinese and English; the key where no model says."""
        model = self._models.get(device.model)
        known = model.properties.get(prop) if model else None
        return (known.name_zh or prop, known.name_en or prop) if known else (prop, prop)

    async def write_thresholds(
        self,
        work: Work,
        device_id: str,
        prop: str,
        thresholds: dict[str, Any],
        *,
        author: str,
        approver: str,
        source: str,
    ) -> int:
        """New alarm thresholds of one property, inside the approval that decided them; none takes them away. Returns the
        registry revision; call `flush` after the commit. Raises NotFound."""
        device = await self._register.device_within(work.tx, device_id)
        if device is None:
            raise NotFound("device", device_id)
        merged = {key: value for key, value in device.thresholds.items() if key != prop}
        if thresholds:
            merged[prop] = {**thresholds, "source": source}
        change = await self._register.upsert_within(
            work.tx,
            [msgspec.structs.replace(device, thresholds=merged)],
            author=author,
            approver=approver,
            reason=f"thresholds of {prop}: {source}",
        )
        return change.revision

    def children(self, actor: Actor, device_id: str) -> list[Device]:
        """The devices that a gateway speaks for, by id. Raises Forbidden, NotFound."""
        gateway = device_for(actor, Action.READ_CARE, self._registry, device_id)
        bound = [d for d in self._registry.devices.values() if d.gateway == gateway.device_id]
        return sorted((d for d in bound if sees(actor, Action.READ_CARE, d)), key=lambda d: d.device_id)

    def _check_bindings(self, devices: Sequence[Device], *, own_firm_only: bool = False) -> None:
        """What ingest will believe (a gateway speaks for the devices that are bound to it) must be possible: the gateway is
        there, of a model that can, and not bound to another itself, so there is no circle; and a station number in a frame
        means one device. Raises Invalid naming each."""
        fresh = {device.device_id: device for device in devices}
        speaking = {d.gateway for d in self._registry.devices.values() if d.gateway and d.device_id not in fresh}
        speaking |= {d.gateway for d in devices if d.gateway}
        wrong = taken_numbers(self._registry, devices)
        for device in devices:
            known = self._registry.devices.get(device.device_id)
            model = self._models.get(device.model)
            if device.device_id in speaking and (device.gateway or model is None or not model.gateway):
                why = f"is bound to {device.gateway} itself" if device.gateway else f"{device.model} is no gateway"
                wrong.append(f"{device.device_id}: devices are bound to it as their gateway, but it {why}")
            if not device.gateway or (known is not None and known.gateway == device.gateway):
                continue
            gateway = fresh.get(device.gateway) or self._registry.devices.get(device.gateway)
            if gateway is None:
                wrong.append(f"{device.device_id}: gateway {device.gateway!r} is not registered")
            elif gateway.gateway or not (model := self._models.get(gateway.model)) or not model.gateway:
                wrong.append(f"{device.device_id}: {device.gateway} cannot be a gateway (model {gateway.model})")
            elif own_firm_only and gateway.vendor != device.vendor:
                wrong.append(f"{device.device_id}: gateway {device.gateway!r} is another firm's")
        if wrong:
            raise Invalid("; ".join(dict.fromkeys(wrong)))

    async def set_maintenance(self, actor: Actor, device_id: str, window: Maintenance | None, *, reason: str) -> None:
        """A window in which the rules leave a device's samples out (`attributes.maintenance`), or its end. Raises Forbidden,
        NotFound."""
        device = device_for(actor, Action.MAINTENANCE, self._registry, device_id)
        attributes = {k: v for k, v in device.attributes.items() if k != "maintenance"}
        if window is not None:
            attributes["maintenance"] = msgspec.to_builtins(window)
        changed = msgspec.structs.replace(device, attributes=attributes)
        await self._save(actor, changed, approver="", reason=reason)

    async def _save(self, actor: Actor, device: Device, *, approver: str, reason: str) -> Device:
        async with self._lock:
            await self._register.upsert([device], author=actor.username, approver=approver, reason=reason)
            await self._flush(actor.username)
        return device

    async def _flush(self, actor: str) -> int:
        waiting = sorted(await self._register.unappended(), key=lambda change: change.revision)
        for change in waiting:
            turned = self._turned(change)  # before it is in the log: whoever follows that shares our registry
            await self._append.append([registry_control(change, actor)])
            await self._register.mark_appended(change.revision)
            self._registry.apply(change)
            if turned:
                self._changed(turned)
            log.info("registry_appended", revision=change.revision, devices=len(change.devices))
        return len(waiting)

    def _turned(self, change: RegistryData) -> list[str]:
        """Devices that go or that may connect no more, or again."""
        known = self._registry.devices
        return [
            *(d.device_id for d in change.devices if d.device_id in known and known[d.device_id].enabled != d.enabled),
            *change.removed,
        ]


SYSTEM_NAME = "system"


def registry_control(change: RegistryData, actor: str) -> Any:
    """The `registry` control of a revision; its id makes a second append harmless."""
    body = ControlBody(id=f"registry-{change.revision}", type="registry", actor=actor, data=msgspec.to_builtins(change))
    return control(body)


def _left_to_the_city(known: Device | None, device: Device) -> list[str]:
    """Fields that a vendor's document would change, or attributes that it would bring, and that are not its to decide."""
    names = [name for name in CITY_FIELDS if known is not None and getattr(known, name) != getattr(device, name)]
    had = known.attributes if known is not None else {}
    return names + [f"attributes.{n}" for n in CITY_ATTRIBUTES if device.attributes.get(n) != had.get(n)]


def check_device(device: Device) -> None:
    """Raises Invalid naming the field."""
    if not DEVICE_ID.fullmatch(device.device_id):
        raise Invalid(f"device_id {device.device_id!r}: expected {DEVICE_ID.pattern}")
    if not device.name.strip():
        raise Invalid("name: a device needs one")
    try:
        check_lonlat(device.lon, device.lat)
    except ValueError as error:
        raise Invalid(str(error)) from error
    for thresholds in device.thresholds.values():
        check_thresholds(thresholds)


def check_thresholds(thresholds: dict[str, Any]) -> None:
    """Thresholds of one property as `devices.documents` wants them. Raises Invalid naming every wrong field."""
    if problems := list(threshold_problems(thresholds)):
        raise Invalid("; ".join(problems))
