"""Rules on what a device itself says happened: a camera's waterlogging, latched until its own all-clear or an operator."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from devices.registry import Device
from rules.context import (
    CLOCK_FAULT,
    GONE,
    LATE,
    NEVER,
    RESET,
    TO_VERIFY,
    Episode,
    Place,
    Rows,
    Step,
    clock_text,
    episode_data,
    episode_from,
    number_text,
    seconds_us,
)
from rules.documents import CameraEvent, Document
from rules.transitions import COLOURS, Explanation, Input, Kind, Subject
from stream.records import ControlBody, EventBody

TIMERS, ROWS, CHANGES = 0, 1, 2
LATE_AFTER_US = 900 * 1_000_000  # contract.md section 2, live_window_s: an older event is history


class Watch(msgspec.Struct, kw_only=True):
    """One device of the rule. `off_due` runs after its all-clear; without one the alarm is latched."""

    device_id: str
    name: str
    area: str
    lon: float
    lat: float
    last_us: int = -NEVER  # phenomenon time of the newest event taken
    off_since: int = NEVER
    off_due: int = NEVER
    input: Input | None = None


class EventRule:
    def __init__(self, document: Document) -> None:
        self.adopt(document)
        self.watches: dict[str, Watch] = {}
        self.problems: dict[str, str] = {}
        self.episodes: dict[str, Episode] = {}
        self._due_us = NEVER

    def adopt(self, document: Document) -> None:
        if document.event is None:
            raise ValueError(f"{document.id}: a new version must keep its template event")
        self.document: Document = document
        self.rule: CameraEvent = document.event

    def configure(self, step: Step) -> None:
        if step.touched is not None and not any(self._concerns(step, d) for d in step.touched):
            self._schedule(step)
            return
        watches: dict[str, Watch] = {}
        for device in step.registry.devices.values():
            if self._watched(device):
                known = self.watches.get(device.device_id)
                watch = Watch(
                    device_id=device.device_id, name=device.name, area=device.area, lon=device.lon, lat=device.lat
                )
                if known is not None:
                    for name in ("last_us", "off_since", "off_due", "input"):
                        setattr(watch, name, getattr(known, name))
                watches[device.device_id] = watch
        for device_id in [d for d in self.episodes if d not in watches]:
            self._change(step, (CHANGES, 0), self.watches[device_id], 0, Kind.CLEARED, step.at_us, [GONE])
        self.watches = watches
        self._schedule(step)

    def _watched(self, device: Device) -> bool:
        return device.enabled and (not self.rule.kinds or device.kind in self.rule.kinds)

    def _concerns(self, step: Step, device_id: str) -> bool:
        device = step.registry.devices.get(device_id)
        return device_id in self.watches or (device is not None and self._watched(device))

    def event(self, step: Step, body: EventBody) -> None:
        watch = self.watches.get(body.device_id)
        what = body.data.get("type")
        if body.type != "device_event" or watch is None or what not in (self.rule.raised_by, self.rule.cleared_by):
            return
        step.evaluations += 1
        at = body.phenomenon_us if body.phenomenon_us is not None else body.receive_us
        episode = self.episodes.get(watch.device_id)
        flags = [TO_VERIFY]  # a picture was judged by a machine
        flags += [CLOCK_FAULT] if body.data.get("clock_fault") else []
        long_over = (
            body.retold and at < step.at_us - LATE_AFTER_US
        )  # a person put it in: news for the desk, and no more
        old = long_over or bool(body.data.get("backfill")) or at < body.receive_us - LATE_AFTER_US
        flags += [LATE] if old else []
        confidence, depth_m = _number(body.data.get("confidence")), _depth(body.data)
        heard = Input(
            position=step.position,
            at_us=step.at_us,
            device_id=watch.device_id,
            property=str(what),
            phenomenon_us=at,
            value=None if math.isnan(confidence) else confidence,
            note=body.id,
        )
        newer = at > watch.last_us and not long_over
        if what == self.rule.cleared_by:
            if newer and episode is not None:
                watch.off_since, watch.off_due = at, step.at_us + seconds_us(self.rule.off_delay_s)
                self._due_us = min(self._due_us, watch.off_due)
            if newer:
                watch.last_us, watch.input = at, heard
            return
        if newer:
            watch.last_us = at
        elif at < watch.last_us - LATE_AFTER_US:
            old = True
        watch.input = heard
        level = self._level(confidence, depth_m)
        if old and not newer:
            past = step.new_episode(f"{watch.device_id}|late|{body.id}", at, level)
            self._emit(step, (ROWS, 0), watch, past, Kind.LATE_EXCEEDANCE, 0, at, flags, confidence, depth_m)
            return
        watch.off_since = watch.off_due = NEVER
        before = episode.level if episode else 0
        if level > before:
            kind = Kind.LEVEL_UP if before else Kind.RAISED
            self._change(step, (ROWS, 0), watch, level, kind, at, flags, confidence, depth_m)

    def _level(self, confidence: float, depth_m: float) -> int:
        """The highest colour that the confidence or the depth reaches; an event without either counts as the lowest."""
        reached = [
            COLOURS.index(level.colour) for level in self.rule.levels if self._reaches(level, confidence, depth_m)
        ]
        return max(reached, default=min(COLOURS.index(level.colour) for level in self.rule.levels))

    @staticmethod
    def _reaches(level: Any, confidence: float, depth_m: float) -> bool:
        return bool(
            confidence >= level.min_confidence or (level.min_depth_m is not None and depth_m >= level.min_depth_m)
        )

    def advance(self, step: Step) -> None:
        if step.at_us < self._due_us:
            return
        for watch in self.watches.values():
            episode = self.episodes.get(watch.device_id)
            if episode is None:
                continue
            if watch.off_due <= step.at_us:
                due_us, since_us = watch.off_due, watch.off_since
                event_us = since_us + seconds_us(self.rule.off_delay_s)
                self._change(step, (TIMERS, due_us), watch, 0, Kind.CLEARED, event_us, [])
            else:
                self._overlay(step, (TIMERS, step.at_us), watch, episode)
        self._schedule(step)

    def _overlay(self, step: Step, order: tuple[int, int], watch: Watch, episode: Episode) -> None:
        silent = self._silent_from(step, watch.device_id) <= step.at_us
        if silent != episode.no_data:
            episode.no_data = silent
            kind = Kind.NO_DATA_ON if silent else Kind.NO_DATA_OFF
            self._change(step, order, watch, episode.level, kind, step.at_us, [])

    def _silent_from(self, step: Step, device_id: str) -> int:
        row = step.presence.index.get(device_id)
        return NEVER if row is None else step.presence.silent_from_us(row, self.rule.no_data_after_intervals)

    def observe(self, step: Step, rows: Rows) -> None:
        """A sign of life of a device whose alarm shows NO_DATA takes the overlay off."""
        for device_id, episode in list(self.episodes.items()):
            if episode.no_data:
                mine = np.flatnonzero(step.heard == step.presence.index[device_id])
                if len(mine):
                    self._overlay(step, (ROWS, int(mine[0])), self.watches[device_id], episode)

    def retire(self, step: Step, flag: str) -> None:
        for device_id in list(self.episodes):
            self._change(step, (CHANGES, 0), self.watches[device_id], 0, Kind.CLEARED, step.at_us, [flag])

    def control(self, step: Step, body: ControlBody) -> None:
        """`reset` opens the latch: the alarm clears now; a new event raises a new one."""
        if body.type != "reset":
            return
        for device_id, episode in list(self.episodes.items()):
            if episode.alarm_id == body.data.get("alarm_id"):
                self._change(step, (CHANGES, 0), self.watches[device_id], 0, Kind.CLEARED, step.at_us, [RESET])

    def resume(self, from_us: int, to_us: int) -> None:
        for watch in self.watches.values():
            if watch.off_due < NEVER:
                watch.off_due += max(0, to_us - from_us)
        self._due_us = to_us if self.episodes else NEVER

    def next_due(self) -> int:
        return self._due_us

    def _schedule(self, step: Step) -> None:
        dues = [NEVER]
        for device_id, episode in self.episodes.items():
            dues.append(self.watches[device_id].off_due)
            if not episode.no_data:
                dues.append(self._silent_from(step, device_id))
        self._due_us = min(dues)

    def _change(
        self,
        step: Step,
        order: tuple[int, int],
        watch: Watch,
        level: int,
        kind: Kind,
        event_us: int,
        flags: list[str],
        confidence: float = math.nan,
        depth_m: float = math.nan,
    ) -> None:
        episode = self.episodes.get(watch.device_id)
        before = episode.level if episode else 0
        if episode is None:
            episode = step.new_episode(watch.device_id, event_us, level)
            self.episodes[watch.device_id] = episode
        else:
            episode.n += 1
            episode.level = level
        episode.latched = bool(level) and watch.off_due == NEVER
        if level == 0:
            del self.episodes[watch.device_id]
            episode.no_data = False
            watch.off_since = watch.off_due = NEVER
        self._emit(step, order, watch, episode, kind, before, event_us, flags, confidence, depth_m)
        if level:
            self._schedule(step)

    def _emit(
        self,
        step: Step,
        order: tuple[int, int],
        watch: Watch,
        episode: Episode,
        kind: Kind,
        before: int,
        event_us: int,
        flags: list[str],
        confidence: float,
        depth_m: float,
    ) -> None:
        depth = None if math.isnan(depth_m) else depth_m
        step.emit(
            order,
            kind=kind,
            episode=episode,
            colour_before=before,
            event_time_us=event_us,
            subject=Subject(kind="device", id=watch.device_id, name=watch.name),
            place=Place(device_ids=[watch.device_id], area=watch.area, lon=watch.lon, lat=watch.lat),
            explanation=Explanation(
                inputs=[watch.input] if watch.input is not None else [],
                thresholds={"levels": [msgspec.to_builtins(level) for level in self.rule.levels]},
                threshold_source=self.document.source,
                registry_revision=step.registry.revision,
                off_delay_s=self.rule.off_delay_s,
                condition_since_us=event_us,
                facts={"confidence": None if math.isnan(confidence) else confidence, "depth_m": depth},
            ),
            texts={
                "subject": watch.name,
                "device": watch.device_id,
                "confidence": number_text(confidence),
                "depth": f"{number_text(depth)} m" if depth is not None else "-",
                "since": clock_text(event_us),
            },
            value=depth,
            uom="m" if depth is not None else "",
            flags=flags,
            propose_incident=self.document.propose_incident,
        )

    def dump(self) -> dict[str, Any]:
        return {
            "watches": {key: msgspec.to_builtins(watch) for key, watch in self.watches.items()},
            "episodes": {key: episode_data(episode) for key, episode in self.episodes.items()},
            "due_us": self._due_us,
        }

    def load(self, data: dict[str, Any]) -> None:
        self.watches = {key: msgspec.convert(watch, Watch) for key, watch in data["watches"].items()}
        self.episodes = {key: episode_from(episode) for key, episode in data["episodes"].items()}
        self._due_us = data["due_us"]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _depth(data: dict[str, Any]) -> float:
    values = data.get("values")
    return _number(values.get("depth_m")) if isinstance(values, dict) else math.nan
