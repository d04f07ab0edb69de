"""Which device fell silent. The expected set comes from the registry, time is log time, and there is never a storm.

One alarm per silent device; one for a gateway instead of its children; one for the network when many fall silent together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rules.context import GONE, NEVER, Episode, Place, Rows, Step, clock_text, episode_data, episode_from, seconds_us
from rules.documents import Absence, Document
from rules.transitions import COLOURS, Explanation, Input, Kind, Subject
from stream.records import ControlBody, EventBody

TIMERS, ROWS, CHANGES = 0, 1, 2
NETWORK = "network"  # subject of the alarm that stands for many
FINE, ALARMED, COVERED = 0, 1, 2  # covered: its gateway's or the network's alarm speaks for it


class AbsenceRule:
    def __init__(self, document: Document) -> None:
        self.adopt(document)
        self.status: dict[str, int] = {}  # device -> FINE (left out), ALARMED, COVERED
        self.problems: dict[str, str] = {}
        self.episodes: dict[str, Episode] = {}  # "device:ID", "gateway:ID", "network"
        self.activated_us = -1
        self._children: dict[str, list[str]] = {}
        self._expected: list[str] = []
        self._rows = np.empty(0, np.int64)
        self._shortest_us = NEVER  # the shortest time after which any device can count as silent
        self._due_us = 0

    def adopt(self, document: Document) -> None:
        if document.absence is None:
            raise ValueError(f"{document.id}: a new version must keep its template absence")
        self.document: Document = document
        self.rule: Absence = document.absence

    def configure(self, step: Step) -> None:
        if self.activated_us < 0:
            self.activated_us = step.at_us
        self._expect(step)
        expected = set(self._expected)
        for device_id in [d for d in self.status if d not in expected]:
            del self.status[device_id]
        for key in list(self.episodes):
            kind, _, identifier = key.partition(":")
            gone = (kind == "device" and identifier not in self.status) or (
                kind == "gateway" and identifier not in self._children
            )
            if gone:
                self._close(step, (CHANGES, 0), key, [GONE])
        self._due_us = step.at_us

    def _expect(self, step: Step) -> None:
        self._children = {}
        self._expected = []
        for device in step.registry.devices.values():
            if device.enabled and device.kind not in self.rule.except_kinds:
                self._expected.append(device.device_id)
                if device.gateway:
                    self._children.setdefault(device.gateway, []).append(device.device_id)
        self._rows = np.array([step.presence.index[d] for d in self._expected], np.int64)
        shortest_us = int(step.presence.interval_us[self._rows].min(initial=NEVER))
        self._shortest_us = min(NEVER, int(shortest_us * self.rule.after_intervals))

    # -- time ---------------------------------------------------------------------------------------------------------

    def advance(self, step: Step) -> None:
        if step.at_us < self._due_us or not len(self._rows):
            return
        deadlines = self._deadlines(step)
        silent_rows = np.flatnonzero(deadlines <= step.at_us)
        silent = [self._expected[k] for k in silent_rows.tolist()]
        fresh = [d for d in silent if d not in self.status]
        if fresh:
            self._declare(step, fresh, silent, dict(zip(self._expected, deadlines.tolist(), strict=True)))
        waiting = deadlines[deadlines > step.at_us]
        self._due_us = int(waiting.min(initial=NEVER))
        if any(d not in self.status for d in silent):
            self._due_us = step.at_us  # a child waits for what its gateway turns out to be

    def _deadlines(self, step: Step) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Log time at which each expected device counts as silent, (n,) int64."""
        presence, rows = step.presence, self._rows
        after = (presence.interval_us[rows] * self.rule.after_intervals).astype(np.int64)
        deadlines = np.maximum(presence.timer_us[rows] + after, presence.floor_us[rows])
        never = presence.heard_us[rows] < 0
        grace = np.maximum(presence.timer_us[rows], self.activated_us) + np.maximum(
            after, seconds_us(self.rule.grace_s)
        )
        due = np.where(never, np.maximum(deadlines, grace), np.maximum(deadlines, self.activated_us + after))
        return np.asarray(due, np.int64)

    def _declare(self, step: Step, fresh: list[str], silent: list[str], deadlines: dict[str, int]) -> None:
        """Newly silent devices: first those that a gateway explains, then one by one, or all together if they are many."""
        silent_set = set(silent)
        alone = []
        for device_id in fresh:
            gateway = step.registry.devices[device_id].gateway
            if gateway and self._gateway_silent(step, gateway, silent_set):
                self.status[device_id] = COVERED
                self._open(step, f"gateway:{gateway}", deadlines[device_id])
            elif gateway and self._gateway_doubtful(step, gateway, device_id):
                continue  # the gateway itself has not spoken since: wait for its own deadline
            else:
                alone.append(device_id)
        individually = [d for d in silent if self.status.get(d) == ALARMED]
        many = len(individually) + len(alone) > max(
            self.rule.storm_devices, int(self.rule.storm_share * len(self._expected))
        )
        storm = many or NETWORK in self.episodes
        for device_id in alone:
            self.status[device_id] = COVERED if storm else ALARMED
            if not storm:
                self._open(step, f"device:{device_id}", deadlines[device_id])
        if storm and alone:
            self._open(step, NETWORK, min(deadlines[d] for d in alone))

    def _gateway_heard(self, step: Step, gateway: str) -> int:
        """Log time at which the gateway or any of its children was last heard."""
        ids = [*self._children.get(gateway, []), gateway]
        rows = [step.presence.index[d] for d in ids if d in step.presence.index]
        return max((int(step.presence.timer_us[r]) for r in rows), default=-NEVER)

    def _gateway_silent(self, step: Step, gateway: str, silent: set[str]) -> bool:
        """All children of the gateway, and itself where it is a device, are silent. One child alone is just a device."""
        ids = [*self._children.get(gateway, []), *([gateway] if gateway in step.registry.devices else [])]
        return len(ids) > 1 and all(d in silent for d in ids)

    def _gateway_doubtful(self, step: Step, gateway: str, device_id: str) -> bool:
        row = step.presence.index[device_id]
        return (
            len(self._children.get(gateway, [])) > 1
            and self._gateway_heard(step, gateway) <= step.presence.timer_us[row] + step.presence.interval_us[row]
        )

    # -- signs of life ------------------------------------------------------------------------------------------------

    def observe(self, step: Step, rows: Rows) -> None:
        self._heard(step)

    def event(self, step: Step, body: EventBody) -> None:
        self._heard(step)

    def _heard(self, step: Step) -> None:
        # A first sign of life ends the long grace: the next silence may fall due earlier than what was planned.
        self._due_us = min(self._due_us, step.at_us + self._shortest_us)
        if self.status:
            self._returned(step)

    def _returned(self, step: Step) -> None:
        """Devices heard again, in the order of their rows: their alarm ends; what covered them ends with its last reason."""
        for row, number in enumerate(step.heard.tolist()):
            device_id = step.presence.ids[number] if number >= 0 else ""
            if device_id not in self.status:
                continue
            if self.status.pop(device_id) == ALARMED:
                self._close(step, (ROWS, row), f"device:{device_id}", [])
            self._due_us = min(self._due_us, step.at_us)
            gateway = step.registry.devices[device_id].gateway or device_id
            if f"gateway:{gateway}" in self.episodes:
                self._close(step, (ROWS, row), f"gateway:{gateway}", [])
                self._uncover(step, self._children.get(gateway, []))
            if NETWORK in self.episodes:
                covered = [d for d, status in self.status.items() if status == COVERED]
                if len(covered) <= self.rule.storm_devices:
                    self._close(step, (ROWS, row), NETWORK, [])
                    self._uncover(step, covered)

    def _uncover(self, step: Step, device_ids: list[str]) -> None:
        """What spoke for these is over: each gets one interval, then it counts by itself."""
        for device_id in device_ids:
            if self.status.get(device_id) == COVERED:
                del self.status[device_id]
                row = step.presence.index[device_id]
                step.presence.floor_us[row] = step.at_us + step.presence.interval_us[row]

    def retire(self, step: Step, flag: str) -> None:
        for key in list(self.episodes):
            self._close(step, (CHANGES, 0), key, [flag])

    def control(self, step: Step, body: ControlBody) -> None:
        """An operator acknowledges; only data, or the registry, ends it."""

    def resume(self, from_us: int, to_us: int) -> None:
        self.activated_us += max(0, to_us - from_us)
        self._due_us = to_us  # presence moved its times; look again

    def next_due(self) -> int:
        return self._due_us

    # -- output -------------------------------------------------------------------------------------------------------

    def _open(self, step: Step, key: str, since_us: int) -> None:
        if key in self.episodes:
            return
        episode = step.new_episode(key, since_us, COLOURS.index(self.rule.colour))
        self.episodes[key] = episode
        self._emit(step, (TIMERS, since_us), key, episode, Kind.RAISED, 0, since_us, [])

    def _close(self, step: Step, order: tuple[int, int], key: str, flags: list[str]) -> None:
        episode = self.episodes.pop(key)
        before, episode.level = episode.level, 0
        episode.n += 1
        self._emit(step, order, key, episode, Kind.CLEARED, before, step.at_us, flags)

    def _emit(
        self,
        step: Step,
        order: tuple[int, int],
        key: str,
        episode: Episode,
        kind: Kind,
        before: int,
        event_us: int,
        flags: list[str],
    ) -> None:
        what, _, identifier = key.partition(":")
        device = step.registry.devices.get(identifier)
        if what == "gateway":
            concerned = sorted(self._children.get(identifier, []))
            names = (device.name if device else identifier,) * 2
            names = (f"网关 {names[0]} ", f"Gateway {names[1]}")
        elif what == NETWORK:
            concerned = sorted(d for d, status in self.status.items() if status == COVERED)
            names = ("大面积设备", "Many devices")
        else:
            concerned = [identifier]
            names = (device.name if device else identifier,) * 2
        row = step.presence.index.get(identifier, -1)
        heard_us = int(step.presence.heard_us[row]) if row >= 0 else -1
        heard = heard_us if heard_us >= 0 else None
        place = Place.of(device) if device else Place(device_ids=[])
        step.emit(
            order,
            kind=kind,
            episode=episode,
            colour_before=before,
            event_time_us=event_us,
            subject=Subject(
                kind="area" if what == NETWORK else "device", id=identifier or NETWORK, name=names[0].strip()
            ),
            place=Place(device_ids=concerned[:100], area=place.area, lon=place.lon, lat=place.lat),
            explanation=Explanation(
                inputs=[Input(position=step.position, at_us=step.at_us, device_id=identifier, note="log time")],
                thresholds={"after_intervals": self.rule.after_intervals, "grace_s": self.rule.grace_s},
                threshold_source=self.document.source,
                registry_revision=step.registry.revision,
                condition_since_us=heard,
                facts={
                    "last_heard_us": heard,
                    "interval_s": float(step.presence.interval_us[row]) / 1e6 if row >= 0 else None,
                    "devices": len(concerned),
                    "expected": len(self._expected),
                },
            ),
            texts={
                "subject_zh": names[0],
                "subject_en": names[1],
                "device": identifier,
                "count": str(max(1, len(concerned))),
                "since_zh": clock_text(heard) if heard is not None else "登记以来",
                "since_en": clock_text(heard) if heard is not None else "registration",
            },
            flags=flags,
        )

    def dump(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "episodes": {key: episode_data(episode) for key, episode in self.episodes.items()},
            "activated_us": self.activated_us,
            "children": self._children,
            "expected": self._expected,
            "rows": self._rows,
            "shortest_us": self._shortest_us,
            "due_us": self._due_us,
        }

    def load(self, data: dict[str, Any]) -> None:
        self.status = data["status"]
        self.episodes = {key: episode_from(episode) for key, episode in data["episodes"].items()}
        self.activated_us, self._due_us = data["activated_us"], data["due_us"]
        self._shortest_us = data["shortest_us"]
        self._children, self._expected, self._rows = data["children"], data["expected"], data["rows"]
