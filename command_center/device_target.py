"""Devices as rows of a file: what the one import wizard fills (`command_center.registers.targets.ImportTarget`, kind `device`).

New devices come with their thresholds and get a credential each, shown once in `extra`. A device that is registered already is
changed, but for its thresholds: those take an author and an approver, so a row that would change them is a problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from command_center.authority import Action, require
from command_center.device_rights import of_own_firm
from command_center.model import Actor, Role
from command_center.registers.targets import Choice, Committed, Field, Problem, Row
from devices.documents import COLOURS, problems_of
from devices.models import DeviceModel, load_models
from devices.registry import Device, Registry
from rules.documents import shipped

COLOUR_ZH = {"blue": "蓝色", "yellow": "黄色", "orange": "橙色", "red": "红色"}
STEP_ZH = {"first": "一级", "second": "二级"}
SOURCE = "source"
_PLAIN = ("name", "model", "vendor", "area", "gateway", "group", "interval_s")


class Rows(Protocol):
    """The register (`command_center.device_register.RegisterService`)."""

    async def save_rows(self, actor: Actor, devices: Sequence[Device], *, reason: str) -> int: ...


class Issue(Protocol):
    """Credentials (`command_center.device_access.DeviceAccess`)."""

    async def issue_new(self, actor: Actor, device_ids: Sequence[str], *, reason: str) -> dict[str, str]: ...


class DeviceTarget:
    """`registry` is the live copy of this process."""

    kind = "device"
    located: Literal["no", "point", "any"] = "point"

    def __init__(self, rows: Rows, access: Issue, registry: Registry) -> None:
        self._rows, self._access, self._registry = rows, access, registry
        self._models = load_models()
        self._thresholds = dict(_threshold_columns(self._models))
        self.fields: Sequence[Field] = list(_fields(self._models, self._thresholds))

    async def current(self, actor: Actor, ids: Sequence[str]) -> Mapping[str, Row]:
        """Raises Forbidden. Devices of another firm or area are left out: `check` says that they are not the actor's."""
        require(actor, Action.REGISTER_DEVICE)
        found = {}
        for device_id in ids:
            device = self._registry.devices.get(device_id)
            if device is not None and self._is_mine(actor, device):
                found[device_id] = self._row(device)
        return found

    async def rows(self, actor: Actor, clear: bool = False) -> list[Row]:
        """Every device that the actor may register, for an export; a device has nothing personal. Raises Forbidden."""
        require(actor, Action.REGISTER_DEVICE)
        devices = (self._registry.devices[device_id] for device_id in self._registry.ordered())
        return [self._row(device) for device in devices if self._is_mine(actor, device)]

    async def check(self, actor: Actor, rows: Sequence[Row]) -> Sequence[Problem]:
        """Everything that the register would refuse, by row and column. Raises Forbidden."""
        require(actor, Action.REGISTER_DEVICE)
        ids: dict[str, int] = {}
        problems: list[Problem] = []
        named = {row.entry_id: row for row in rows}
        for row in rows:
            if row.entry_id in ids:
                said = f"与第 {ids[row.entry_id]} 行编号相同", f"the same id as in row {ids[row.entry_id]}"
                problems.append(_problem(row, "entry_id", row.entry_id, *said))
            ids.setdefault(row.entry_id, row.row)
            problems += self._problems(actor, row, named)
        return problems

    async def commit(self, actor: Actor, rows: Sequence[Row], *, reason: str) -> Committed:
        """Raises Invalid, Forbidden, Unavailable. The register's revision and the credentials' entry are journalled by those."""
        require(actor, Action.REGISTER_DEVICE)
        known = self._registry.devices
        devices = [self._device(actor, row) for row in rows]
        changed = [d for d in devices if d.device_id in known and self._merged(d) != known[d.device_id]]
        new = [d for d in devices if d.device_id not in known]
        credentials: dict[str, str] = {}
        if new or changed:
            await self._rows.save_rows(actor, [*new, *changed], reason=reason)
        if new:
            credentials = await self._access.issue_new(actor, [d.device_id for d in new], reason=reason)
        same = len(devices) - len(new) - len(changed)
        extra = {"credentials": credentials} if credentials else {}
        return Committed(created=len(new), changed=len(changed), same=same, extra=extra)

    # -- a row and a device

    def _row(self, device: Device) -> Row:
        values: dict[str, Any] = {name: getattr(device, name) for name in _PLAIN}
        values = {name: value for name, value in values.items() if value not in ("", None)}
        sources = dict.fromkeys(str(t["source"]) for t in device.thresholds.values() if t.get("source"))
        if sources:
            values[SOURCE] = "; ".join(sources)
        for key, (prop, step) in self._thresholds.items():
            table = device.thresholds.get(prop, {})
            value = table.get(step) if step in STEP_ZH else table.get("on", {}).get(step)
            if value is not None:
                values[key] = value
        return Row(row=0, entry_id=device.device_id, values=values, lon=device.lon, lat=device.lat)

    def _device(self, actor: Actor, row: Row) -> Device:
        """The device that a row stands for. What the file has no column for stays as it is."""
        known = self._registry.devices.get(row.entry_id)
        values = {name: row.values[name] for name in _PLAIN if row.values.get(name) not in ("", None)}
        if not actor.has(Role.ADMIN):
            values["vendor"] = actor.vendor
        model = self._models.get(str(values.get("model", "" if known is None else known.model)))
        kind = "" if model is None else model.kind
        where = {} if row.lon is None or row.lat is None else {"lon": row.lon, "lat": row.lat}
        if known is not None:
            cleared: dict[str, Any] = {
                n: "" for n in ("gateway", "group") if n in row.values and row.values[n] in ("", None)
            }
            return msgspec.structs.replace(known, **{**cleared, **values, **where, "kind": kind})
        blank: dict[str, Any] = {"device_id": row.entry_id, "model": "", "name": "", "lon": 0.0, "lat": 0.0}
        return Device(**{**blank, **values, **where, "kind": kind, "thresholds": self._table(row)})

    def _merged(self, device: Device) -> Device:
        return msgspec.structs.replace(device, thresholds=self._registry.devices[device.device_id].thresholds)

    def _table(self, row: Row) -> dict[str, dict[str, Any]]:
        """Thresholds by property from their columns."""
        found: dict[str, dict[str, Any]] = {}
        for key, (prop, step) in self._thresholds.items():
            value = row.values.get(key)
            if value in ("", None):
                continue
            table = found.setdefault(prop, {"source": str(row.values.get(SOURCE) or "")})
            if step in STEP_ZH:
                table[step] = float(value)
            else:
                table.setdefault("on", {})[step] = float(value)
        return found

    # -- what is wrong with a row

    def _problems(self, actor: Actor, row: Row, named: Mapping[str, Row]) -> Iterator[Problem]:
        known = self._registry.devices.get(row.entry_id)
        if known is not None and not self._is_mine(actor, known):
            yield _problem(
                row, "entry_id", row.entry_id, "该编号属于其他厂商或区域", "this id is another firm's or area's"
            )
            return
        if known is None and (row.lon is None or row.lat is None):
            yield _problem(row, "", "", "缺少经纬度", "a new device needs a position")
            return
        try:
            device = self._device(actor, row)
        except (TypeError, ValueError) as error:
            yield _problem(row, "", "", f"无法读取：{error}", str(error))
            return
        if not actor.scope.covers(area=device.area):
            yield _problem(row, "area", device.area, "不在您的管辖范围内", "lies outside your scope")
        for text in problems_of(device, self._models):
            column = text.split(" ", 1)[0].rstrip(":")
            yield _problem(row, _column_of(column), str(row.values.get(column, "")), f"登记表不接受：{text}", text)
        yield from self._threshold_problems(actor, row, known)
        yield from self._gateway_problems(row, device, named)

    def _threshold_problems(self, actor: Actor, row: Row, known: Device | None) -> Iterator[Problem]:
        wanted = self._table(row)
        if not wanted:
            return
        if known is not None:
            before = self._row(known).values
            for key in self._thresholds:
                given = row.values.get(key)
                if given not in ("", None) and given != before.get(key):
                    zh = f"已登记设备的阈值不能由导入修改（现为 {before.get(key, '无')}）：请走双人审批"
                    en = f"thresholds of a registered device change by approval, not by import (now {before.get(key)})"
                    yield _problem(row, key, str(given), zh, en)
        elif not actor.has(Role.ADMIN):
            yield _problem(row, "", "", "厂商不能设定告警阈值", "a vendor does not decide when the city alarms")
        elif not str(row.values.get(SOURCE) or "").strip():
            yield _problem(row, SOURCE, "", "设定阈值须注明依据文件", "name the document that the thresholds come from")

    def _gateway_problems(self, row: Row, device: Device, named: Mapping[str, Row]) -> Iterator[Problem]:
        if not device.gateway:
            return
        known = self._registry.devices.get(device.gateway)
        model_id = named[device.gateway].values.get("model") if device.gateway in named else None
        model = self._models.get(str(model_id or (known.model if known is not None else "")))
        if model is None:
            yield _problem(row, "gateway", device.gateway, "网关未登记", "this gateway is not registered")
        elif not model.gateway:
            yield _problem(row, "gateway", device.gateway, "该型号不能作网关", f"{model.model_id} is no gateway")

    def _is_mine(self, actor: Actor, device: Device) -> bool:
        return of_own_firm(actor, Action.REGISTER_DEVICE, device.vendor) and actor.scope.covers(area=device.area)


def _problem(row: Row, column: str, value: str, zh: str, en: str) -> Problem:
    """`column` is the key of a field: the engine knows under which heading it stands in the file."""
    return Problem(row=row.row, column=column, value=value, zh=zh, en=en)


def _column_of(name: str) -> str:
    head = name.split(".")
    return (
        ""
        if head[0] in ("thresholds", "attributes")
        else {"device_id": "entry_id", "kind": "model"}.get(head[0], head[0])
    )


def _threshold_columns(models: Mapping[str, DeviceModel]) -> Iterator[tuple[str, tuple[str, str]]]:
    """(column key, (property, step)) of every property that a shipped rule watches and a model measures."""
    measured = {key for model in models.values() for key in model.properties}
    for document in shipped():
        if document.level is not None and document.select is not None and document.select.property in measured:
            for colour in COLOURS:
                yield f"{document.select.property}.{colour}", (document.select.property, colour)
        if document.gas is not None:
            for prop in document.gas.substances:
                for step in STEP_ZH:
                    yield f"{prop}.{step}", (prop, step)


def _fields(models: Mapping[str, DeviceModel], thresholds: Mapping[str, tuple[str, str]]) -> Iterator[Field]:
    choices = [Choice(value=m.model_id, zh=m.name_zh, en=m.name_en) for m in models.values() if m.kind != "canary"]
    yield Field(
        key="name", zh="名称", en="Name", required=True, aliases=["设备名称", "站名", "测站名称"], example="桥头水位站"
    )
    yield Field(
        key="model", zh="型号", en="Model", type="choice", required=True, choices=choices, aliases=["设备型号", "类型"]
    )
    yield Field(key="vendor", zh="厂商", en="Vendor", aliases=["厂家", "供应商"])
    yield Field(key="area", zh="区域", en="Area", type="area", aliases=["行政区划", "区划代码", "所属区域"])
    yield Field(key="gateway", zh="网关", en="Gateway", type="ref", ref="device", aliases=["网关编号", "所属网关"])
    yield Field(key="group", zh="分组", en="Group", aliases=["站点", "装置"], help_zh="同组探测器互相佐证", help_en="Detectors of a group vote together")  # fmt: skip
    yield Field(key="interval_s", zh="上报间隔", en="Interval", type="number", uom="s", minimum=1, maximum=86_400, aliases=["上报间隔(秒)", "采集间隔"])  # fmt: skip
    for key, (prop, step) in thresholds.items():
        found = next(m.properties[prop] for m in models.values() if prop in m.properties)
        zh = COLOUR_ZH.get(step) or STEP_ZH[step]
        yield Field(
            key=key,
            zh=f"{found.name_zh} {zh}",
            en=f"{found.name_en} {step}",
            type="number",
            uom=found.uom,
            aliases=[f"{prop} {zh}", f"{prop} {step}", f"{found.name_zh}{zh}", f"{found.name_zh}{zh}阈值"],
        )
    yield Field(key=SOURCE, zh="阈值依据", en="Source of the thresholds", aliases=["依据文件", "依据"])
