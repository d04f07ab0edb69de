"""History that a person brings as a file: each row judged as a live value is, and told as backfill.

A row's stamps were judged when it was received: here they are only asked to be possible. Its flags stay, and ours make them worse
where they are; the tests of quality control that need memory do not judge history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from devices.models import DeviceModel
from devices.observation_rows import FileRow, RefusedRow
from devices.registry import Registry
from ingest import values
from ingest.clock_rule import ClockLimits, limits_of
from ingest.pipeline import DEFAULT_LIMITS
from ingest.quality import QualityControl
from ingest.routes import Route, Routes
from ingest.rows import Row
from stream.records import OBS_SCHEMA, RETOLD, ObsBatch, Quality, Source

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUALITIES = frozenset(int(flag) for flag in Quality)
SOURCE_MAX = 2**16 - 1
# What a row's own source says of how it reached the system that recorded it; of ours it says that it was imported.
_WAYS = int(Source.LIVE | Source.BACKFILL) | RETOLD
_IMPORTED = int(Source.BACKFILL | Source.IMPORT)


class _Refused(Exception):
    def __init__(self, field: str, expected: str, got: Any) -> None:
        super().__init__(field)
        self.field, self.expected, self.got = field, expected, got


class HistoryRows:
    """Judges rows against one registry. Not thread-safe. `retention_us`: what is older would not be kept."""

    def __init__(
        self,
        registry: Registry,
        models: Mapping[str, DeviceModel],
        *,
        retention_us: int,
        delivery_slack_s: float = 0.0,
    ) -> None:
        self._registry, self._routes = registry, Routes(registry, models)
        self._control = QualityControl(registry, models)
        self._retention_us, self._slack_us = retention_us, int(delivery_slack_s * 1e6)
        self._limits = limits_of(models)

    def judge(self, rows: Sequence[FileRow], now_us: int) -> tuple[ObsBatch | None, list[RefusedRow]]:
        """The good rows, in their order, and why the others are refused. `now_us`: city time."""
        good: list[Row] = []
        refused: list[RefusedRow] = []
        for row in rows:
            try:
                good.append(self._row(row, now_us))
            except _Refused as error:
                refused.append(RefusedRow(row.line, error.field, error.expected, error.got))
        if not good:
            return None, refused
        columns: dict[str, Any] = dict(zip(OBS_SCHEMA.names, zip(*good, strict=True), strict=True))
        stream, at_us, source = (
            np.array(columns[name], np.int64) for name in ("datastream", "phenomenon_us", "source")
        )
        flags, found, _ = self._control.control(stream, at_us, source, np.array(columns["result"], np.float64))
        if found.any():
            columns["quality"] = values.worst(np.array(columns["quality"], np.uint8), flags)
            columns["source"] = (source | found).astype(np.uint16)
        return ObsBatch.from_columns(columns), refused

    def _row(self, row: FileRow, now_us: int) -> Row:
        device = self._registry.devices.get(row.device_id)
        if device is None:
            raise _Refused("device_id", "a registered device", row.device_id)
        routes = self._routes.of(device)
        route = routes.get(row.property)
        if route is None:
            raise _Refused("property", f"one of {', '.join(sorted(routes)) or 'none'}", row.property)
        if row.uom and row.uom != route.stream.uom:
            raise _Refused("uom", route.stream.uom, row.uom)
        receive_us = now_us if row.receive_us is None else row.receive_us
        phenomenon_us = self._stamp(row, receive_us, now_us, self._limits.get(device.model, DEFAULT_LIMITS))
        quality, source = self._marks(row)
        checked = _checked(row, route, quality)
        source = (source & ~_WAYS) | int(checked.source) | _IMPORTED
        return (
            route.partition, route.datastream, phenomenon_us, row.device_us, receive_us,
            checked.result, checked.text, checked.quality, source, None, None,
        )  # fmt: skip

    def _stamp(self, row: FileRow, receive_us: int, now_us: int, limits: ClockLimits) -> int:
        """The phenomenon time, where it is possible."""
        ahead_us = limits.tolerance_us + self._slack_us
        if row.phenomenon_us is None:
            raise _Refused("phenomenon_time", "a time", None)
        if receive_us > now_us + ahead_us:
            raise _Refused("receive_time", f"not after {_iso(now_us)}, which is now", _iso(receive_us))
        if row.phenomenon_us > receive_us + ahead_us:
            expected = f"at most {ahead_us / 1e6:g} s after its receive_time {_iso(receive_us)}"
            raise _Refused("phenomenon_time", expected, _iso(row.phenomenon_us))
        if row.phenomenon_us < now_us - self._retention_us:
            expected = f"not before {_iso(now_us - self._retention_us)}: what is older is not kept"
            raise _Refused("phenomenon_time", expected, _iso(row.phenomenon_us))
        return row.phenomenon_us

    @staticmethod
    def _marks(row: FileRow) -> tuple[int, int]:
        if row.quality not in QUALITIES:
            raise _Refused("quality", f"one of {', '.join(map(str, sorted(QUALITIES)))}", row.quality)
        source = row.source or 0
        if source > SOURCE_MAX:
            raise _Refused("source", f"0 to {SOURCE_MAX}", source)
        return row.quality, source


def _checked(row: FileRow, route: Route, quality: int) -> values.Checked:
    kind = route.stream.kind
    if kind == "text":
        if row.result is not None:
            raise _Refused("result", "nothing: the property is a text", row.result)
        value: Any = row.text or ""  # a CSV cannot tell a text without characters from none
    else:
        if row.text:
            raise _Refused("text", f"nothing: the property is a {kind}", row.text[:120])
        value = row.result
    try:
        return values.check(row.property, value, route.stream, route.model, quality)
    except values.WrongValue as error:
        expected, _, got = str(error).removeprefix(f"values.{row.property}: expected ").partition(", got ")
        raise _Refused("text" if kind == "text" else "result", expected, got) from error


def _iso(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")
