"""Level rules: four colours with on and off thresholds, on-delay and off-delay, per datastream.

Up: a level holds once the value was at or over its `on` for the on-delay; levels may be skipped. Down: one level at a
time, once the value stood at or under the level's `off` for the off-delay. Two drivers, whichever comes first: a sample
whose phenomenon time proves the delay, or the deadline in log time. A gap longer than `max_gap` freezes both.

What may lower an alarm is less than what may raise it: a late row, a row flagged FAIL, a reading beyond the safe end of
the range may raise, and never lower; a missing value does nothing at all (reference/rule-engines.md 4.2-4.5, design.md 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from devices.registry import Datastream, Device
from rules.context import (
    GONE,
    HISTORY,
    NEVER,
    RESET,
    SECOND_US,
    Episode,
    Place,
    Rows,
    Step,
    clock_text,
    episode_data,
    episode_from,
    flags_of,
    number_text,
    seconds_us,
    to_input,
)
from rules.documents import ALARM_COLOURS, Document, Level, Select, level_table
from rules.kernel import BUSY, LEVELS, LOWERING, PLAIN, LevelColumns
from rules.presence import lookup_table
from rules.transitions import COLOURS, Explanation, Kind, Subject
from stream.records import RETOLD, ControlBody, EventBody, Quality, Source

# A backlog's crossing waits for its newest value: this long after its last row, at most this long after its first.
SETTLE_US, SETTLE_MAX_US = 5 * SECOND_US, 60 * SECOND_US
TIMERS, ROWS, CHANGES = 0, 1, 2

Sample = tuple[int, int, int, float, int, int]  # position, at_us, phenomenon_us, value, quality, source


class LevelRule:
    """All instances of one `level` document."""

    def __init__(self, document: Document) -> None:
        if document.level is None or document.select is None:
            raise ValueError(f"{document.id} is not a level rule")
        self.document = document
        self.level: Level = document.level
        self.select: Select = document.select
        self.columns = LevelColumns()
        self.rows: dict[int, int] = {}  # datastream -> instance, for ever
        self.active: set[int] = set()
        self.thresholds: dict[int, dict[str, Any]] = {}  # instance -> what is in force, for the explanation
        self.episodes: dict[int, Episode] = {}
        self.starts: dict[int, dict[int, Sample]] = {}  # instance -> level (0 = down) -> the sample at t0
        self.about: dict[int, tuple[Subject, Place, str]] = {}  # instance -> subject, place, uom; kept when it leaves
        self.problems: dict[str, str] = {}  # device/property -> why its own thresholds were refused
        self._number_of: dict[str, int] = {}  # device -> its active datastream
        self._lookup = np.full(1, -1, np.int32)
        self._next_due = NEVER

    # -- parameters ---------------------------------------------------------------------------------------------------

    def configure(self, step: Step) -> None:
        wanted: dict[int, tuple[Device, Datastream, dict[str, Any]]] = {}
        devices = step.registry.devices
        about = list(devices) if step.touched is None else list(step.touched)
        for device in (devices[d] for d in about if d in devices):
            stream = step.registry.datastream_of(device.device_id, self.select.property)
            if stream is None or not device.enabled or (self.select.kinds and device.kind not in self.select.kinds):
                continue
            thresholds = self._thresholds(device, stream)
            if thresholds is not None:
                wanted[stream.datastream] = (device, stream, thresholds)
        fresh = [number for number in wanted if number not in self.rows]
        first = self.columns.size
        self.columns.grow(len(fresh))
        for offset, number in enumerate(fresh):
            self.rows[number] = first + offset
            self.columns.datastream[first + offset] = number
            self.columns.timer_at[first + offset] = step.at_us
        before = self.active if step.touched is None else {self._number_of[d] for d in about if d in self._number_of}
        for number in sorted(before - wanted.keys()):
            self._leave(step, self.rows[number], GONE)
        self.active = (self.active - before) | wanted.keys()
        for device_id in list(self._number_of) if step.touched is None else about:
            self._number_of.pop(device_id, None)
        for device, stream, thresholds in wanted.values():
            self._number_of[device.device_id] = stream.datastream
            i = self.rows[stream.datastream]
            subject = Subject(kind="datastream", id=f"{device.device_id}/{stream.property}", name=device.name)
            self.about[i] = (subject, Place.of(device), stream.uom)
            self.columns.excluded_until[i] = maintenance_until(device)
            if self.thresholds.get(i) != thresholds:
                self._change(step, i, thresholds)
            self._refresh(i, step.at_us)
        self._index()

    def _thresholds(self, device: Device, stream: Datastream) -> dict[str, Any] | None:
        """What is in force for one series: the device's own table as a whole, else the document's; None = not watched."""
        own = device.thresholds.get(self.select.property)
        base = {
            "on": dict(self.level.on),
            "off": dict(self.level.off),
            "direction": self.level.direction,
            "on_delay_s": self.level.on_delay_s,
            "off_delay_s": self.level.off_delay_s,
            "source": self.document.source,
            "interval_s": stream.interval_s,
        }
        where = f"{device.device_id}/{self.select.property}"
        self.problems.pop(where, None)
        if own is not None:
            try:
                return base | _own_table(own, self.level)
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                self.problems[where] = str(error)
                row = self.rows.get(stream.datastream)
                if row in self.thresholds:  # a table that cannot be used changes nothing; it is shown
                    return self.thresholds[row]
        return base if base["on"] else None

    def _change(self, step: Step, i: int, thresholds: dict[str, Any]) -> None:
        columns = self.columns
        before = self.thresholds.get(i)
        self.thresholds[i] = thresholds
        sign = 1.0 if thresholds["direction"] == "rise" else -1.0
        columns.sign[i] = sign
        for k, colour in enumerate(ALARM_COLOURS):
            columns.on[k, i] = sign * thresholds["on"].get(colour, math.nan)
            columns.off[k, i] = sign * thresholds["off"].get(colour, math.nan)
        columns.on_delay[i] = seconds_us(thresholds["on_delay_s"])
        columns.off_delay[i] = seconds_us(thresholds["off_delay_s"])
        columns.max_gap[i] = seconds_us(thresholds["interval_s"] * self.level.max_gap_intervals)
        columns.no_data_after[i] = seconds_us(thresholds["interval_s"] * self.level.no_data_after_intervals)
        if before is not None and columns.last_pos[i] >= 0:
            self._rebase(step, i)

    def _rebase(self, step: Step, i: int) -> None:
        """New thresholds over the last value: what a person decided acts now, up through the on-delay, down at once.

        Down not while the series is silent: the last value then says nothing about now.
        """
        columns = self.columns
        level = int(columns.level[i])
        sample = self._last(i)
        x = self._signed(i, sample[3])
        target = max(self._up(i, x), self._hold(i, x, LEVELS))
        self._unset_up(i, 0)
        self._unset_down(i)
        if target > level:
            for k in range(level + 1, target + 1):
                self._start_up(i, k, sample, step.at_us)
            if columns.on_delay[i] == 0:
                self._to_level(step, (CHANGES, i), i, target, sample[2], Kind.REBASED)
        elif level and (target == level or columns.no_data[i]):
            self._to_level(step, (CHANGES, i), i, level, step.at_us, Kind.REBASED)
        elif level:
            self._to_level(step, (CHANGES, i), i, target, step.at_us, Kind.REBASED)

    def _leave(self, step: Step, i: int, flag: str) -> None:
        """The series left the registry or its device was disabled: a person's act, so an open alarm ends."""
        self._unset_up(i, 0)
        self._unset_down(i)
        self.columns.settle_due[i] = self.columns.settle_from[i] = NEVER
        if i in self.episodes:
            self._to_level(step, (CHANGES, i), i, 0, step.at_us, Kind.CLEARED, extra_flags=[flag])
        self._refresh(i, step.at_us)

    def _index(self) -> None:
        numbers = np.array(sorted(self.active), np.int64)
        self._lookup = lookup_table(numbers, np.array([self.rows[n] for n in numbers.tolist()], np.int64))
        self._next_due = int(self.columns.due.min(initial=NEVER))

    # -- inputs -------------------------------------------------------------------------------------------------------

    def observe(self, step: Step, rows: Rows) -> None:
        instance = self._lookup.take(rows.datastream, mode="clip")
        mine = np.flatnonzero(instance >= 0)
        if not len(mine):
            return
        step.evaluations += len(mine)
        if len(mine) == len(instance):
            i, p, v, q, s = instance, rows.phenomenon_us, rows.result, rows.quality, rows.source
        else:
            i, p, v = instance[mine], rows.phenomenon_us[mine], rows.result[mine]
            q, s = rows.quality[mine], rows.source[mine]
        for row in self.columns.take_calm(i, p, v, q, s, step.position, step.at_us).tolist():
            sample = (step.position, step.at_us, int(p[row]), float(v[row]), int(q[row]), int(s[row]))
            self._row(step, int(mine[row]), int(i[row]), sample)

    def advance(self, step: Step) -> None:
        if step.at_us < self._next_due:
            return
        due = np.flatnonzero(self.columns.due <= step.at_us)
        for i in self.columns.still_due(due, step.at_us).tolist():
            self._fire(step, i)
            self._refresh(i, step.at_us)
        self._next_due = int(self.columns.due.min(initial=NEVER))

    def next_due(self) -> int:
        return self._next_due

    def event(self, step: Step, body: EventBody) -> None:
        """Level rules watch observations only."""

    def control(self, step: Step, body: ControlBody) -> None:
        """`reset` closes an alarm whose series is silent; one that has data follows its data."""
        if body.type != "reset":
            return
        for i, episode in self.episodes.items():
            if episode.alarm_id == body.data.get("alarm_id") and self.columns.no_data[i]:
                self._unset_up(i, 0)
                self._unset_down(i)
                self._to_level(step, (CHANGES, i), i, 0, step.at_us, Kind.CLEARED, extra_flags=[RESET])
                self._refresh(i, step.at_us)
                return

    def retire(self, step: Step, flag: str) -> None:
        for i in list(self.episodes):
            self._leave(step, i, flag)

    def resume(self, from_us: int, to_us: int) -> None:
        columns, moved = self.columns, max(0, to_us - from_us)
        for name in ("up_due", "dn_due", "settle_due", "settle_from"):
            column = getattr(columns, name)
            column[column < NEVER] += moved
        interval = columns.no_data_after / self.level.no_data_after_intervals
        grace = to_us + interval.astype(np.int64) - columns.no_data_after
        np.maximum(columns.timer_at + moved, grace, out=columns.timer_at)
        for i in range(columns.size):
            self._refresh(i, from_us)

    # -- one row, in order --------------------------------------------------------------------------------------------

    def _row(self, step: Step, row: int, i: int, sample: Sample) -> None:
        columns = self.columns
        sample = full_scale(sample)
        _, at_us, p, value, quality, source = sample
        x = self._signed(i, value)
        if quality == Quality.MISSING or math.isnan(x) or at_us < columns.excluded_until[i]:
            return
        last_p = int(columns.last_p[i])
        if p == last_p and value == columns.last_v[i]:
            return  # the same sample again
        order = (ROWS, row)
        too_late = p <= last_p and p < at_us - seconds_us(self.level.late_allowed_s)
        if source & HISTORY or too_late:
            self._history(step, order, i, sample, x)
        elif p <= last_p:
            self._late(step, order, i, sample, x)
        else:
            self._live(step, order, i, sample, x)
        self._refresh(i, step.at_us)

    def _live(self, step: Step, order: tuple[int, int], i: int, sample: Sample, x: float) -> None:
        columns = self.columns
        _, at_us, p, _, quality, source = sample
        self._freeze(i, at_us, p)
        previous = self._last(i)
        self._remember(i, sample)
        columns.timer_at[i] = at_us
        columns.settle_due[i] = columns.settle_from[i] = NEVER
        if columns.no_data[i]:
            columns.no_data[i] = False
            self._overlay(step, order, i, Kind.NO_DATA_OFF, at_us, previous)
        safe_end = Source.UNDER_RANGE if columns.sign[i] > 0 else Source.OVER_RANGE
        weak = quality == Quality.FAIL or bool(source & safe_end)
        level = int(columns.level[i])
        target = max(self._up(i, x), self._hold(i, x, level))
        for k in range(level + 1, LEVELS + 1):
            if target >= k:
                self._start_up(i, k, sample, at_us)
            elif not weak:
                columns.up_since[k - 1, i] = columns.up_due[k - 1, i] = NEVER
        ripe = [k for k in range(level + 1, LEVELS + 1) if p - columns.up_since[k - 1, i] >= columns.on_delay[i]]
        if ripe:
            since = int(columns.up_since[ripe[-1] - 1, i])
            self._raise(step, order, i, ripe[-1], since + int(columns.on_delay[i]))
        elif target < level and not weak:
            if columns.dn_since[i] == NEVER:
                columns.dn_since[i], columns.dn_due[i] = p, at_us + columns.off_delay[i]
                self.starts.setdefault(i, {})[0] = sample
            while columns.dn_since[i] < NEVER and p - columns.dn_since[i] >= columns.off_delay[i]:
                self._lower(step, order, i, target)
        else:  # back over the off threshold, or a row that may not lower: the off-delay begins anew
            self._unset_down(i)

    def _late(self, step: Step, order: tuple[int, int], i: int, sample: Sample, x: float) -> None:
        """A row out of order: it may raise or start an on-delay; it never lowers, cancels or rewinds anything."""
        columns = self.columns
        level, up = int(columns.level[i]), self._up(i, x)
        for k in range(level + 1, up + 1):
            self._start_up(i, k, sample, sample[1])
        if up > level and columns.on_delay[i] == 0:
            self._raise(step, order, i, up, sample[2], late=True)

    def _history(self, step: Step, order: tuple[int, int], i: int, sample: Sample, x: float) -> None:
        """Backfill: a crossing is news for the desk (迟到超限); the newest value decides, once the backlog has settled. One that a
        person put in decides only while it is no older than a series' newest value may be: last week's flood is over."""
        columns = self.columns
        _, at_us, p, _, _, source = sample
        level, up = int(columns.level[i]), self._up(i, x)
        # A backlog is one excursion while its rows follow each other; after a gap the story begins anew.
        follows = abs(p - int(columns.history_p[i])) <= columns.max_gap[i]
        known = int(columns.history_level[i]) if follows else 0
        columns.history_level[i], columns.history_p[i] = known, p
        if up > max(level, known):
            columns.history_level[i] = up
            self._late_exceedance(step, order, i, sample, up)
        elif known:
            columns.history_level[i] = self._hold(i, x, known)
        if source & RETOLD and p < at_us - int(columns.max_gap[i]):
            return
        if p > columns.last_p[i]:
            self._remember(i, sample)
            self._unset_down(i)
            if up > level:
                if columns.settle_from[i] == NEVER:
                    columns.settle_from[i] = at_us
                columns.settle_due[i] = min(at_us + SETTLE_US, int(columns.settle_from[i]) + SETTLE_MAX_US)
            else:
                columns.settle_due[i] = columns.settle_from[i] = NEVER

    def _fire(self, step: Step, i: int) -> None:
        """Everything that is due for one instance, in the order in which it fell due."""
        columns, at_us = self.columns, step.at_us
        key_us = 0
        while True:
            frozen_after = int(columns.timer_at[i] + columns.max_gap[i])
            level = int(columns.level[i])
            due: list[tuple[int, int, int]] = []  # time, kind (ups first, highest level first), level
            due += [(int(columns.up_due[k, i]), 0, -(k + 1)) for k in range(level, LEVELS)]
            due.append((int(columns.dn_due[i]), 1, 0))
            due = [entry for entry in due if entry[0] <= frozen_after]
            due.append((int(columns.settle_due[i]), 2, 0))
            if level and not columns.no_data[i]:
                due.append((int(columns.timer_at[i] + columns.no_data_after[i]), 3, 0))
            time_us, kind, rank = min(due)
            if time_us > at_us:
                return
            key_us = max(key_us, time_us)  # an overlay long due may follow a raise: the episode's numbers stay in order
            order = (TIMERS, key_us)
            if kind == 0:
                since = int(columns.up_since[-rank - 1, i])
                self._raise(step, order, i, -rank, since + int(columns.on_delay[i]))
            elif kind == 1:
                last = self._last(i)
                x = self._signed(i, last[3])
                self._lower(step, order, i, max(self._up(i, x), self._hold(i, x, level)))
            elif kind == 2:
                self._settled(step, order, i)
            else:
                columns.no_data[i] = True
                self._overlay(step, order, i, Kind.NO_DATA_ON, time_us, self._last(i))

    def _settled(self, step: Step, order: tuple[int, int], i: int) -> None:
        columns = self.columns
        columns.settle_due[i] = columns.settle_from[i] = NEVER
        sample = self._last(i)
        up, level = self._up(i, self._signed(i, sample[3])), int(columns.level[i])
        if up > level:
            for k in range(level + 1, up + 1):
                self._start_up(i, k, sample, step.at_us)
            self._raise(step, order, i, up, sample[2], late=True)

    # -- changes of level ---------------------------------------------------------------------------------------------

    def _raise(
        self, step: Step, order: tuple[int, int], i: int, level: int, event_us: int, *, late: bool = False
    ) -> None:
        self._unset_down(i)
        kind = Kind.LEVEL_UP if i in self.episodes else Kind.RAISED
        self._to_level(step, order, i, level, event_us, kind, late=late)

    def _lower(self, step: Step, order: tuple[int, int], i: int, target: int) -> None:
        """One defined level down; the off-delay of the next one begins where this one ended."""
        columns = self.columns
        level = int(columns.level[i]) - 1
        while level > target and math.isnan(columns.on[level - 1, i]):
            level -= 1
        event_us = int(columns.dn_since[i] + columns.off_delay[i])
        start = self.starts.get(i, {}).get(0)
        self._to_level(step, order, i, level, event_us, Kind.LEVEL_DOWN if level else Kind.CLEARED)
        if level > target:
            columns.dn_since[i] = event_us
            columns.dn_due[i] += columns.off_delay[i]
            if start is not None:
                self.starts.setdefault(i, {})[0] = start
        else:
            self._unset_down(i)

    def _to_level(
        self,
        step: Step,
        order: tuple[int, int],
        i: int,
        level: int,
        event_us: int,
        kind: Kind,
        *,
        late: bool = False,
        extra_flags: list[str] | None = None,
    ) -> None:
        columns = self.columns
        before = int(columns.level[i])
        subject = self.about[i][0]
        episode = self.episodes.get(i)
        if episode is None:
            episode = step.new_episode(subject.id, event_us, level)
            kind = Kind.RAISED
            self.episodes[i] = episode
        else:
            episode.n += 1
            episode.level = level
            if level == 0:
                kind = Kind.CLEARED
        if level == 0:
            del self.episodes[i]
            columns.no_data[i] = False
        episode.no_data = bool(columns.no_data[i])
        start = self.starts.get(i, {}).get(level if level > before else 0)
        flags = flags_of(int(columns.last_q[i]), int(columns.last_src[i]), late=late)
        if start is not None and level > before:
            flags += [flag for flag in flags_of(start[4], start[5]) if flag not in flags]
        columns.level[i] = level
        self._unset_up(i, 0, level)
        self._emit(step, order, i, episode, kind, before, event_us, start, flags + (extra_flags or []))

    def _overlay(self, step: Step, order: tuple[int, int], i: int, kind: Kind, event_us: int, previous: Sample) -> None:
        episode = self.episodes[i]
        episode.n += 1
        episode.no_data = kind == Kind.NO_DATA_ON
        self._emit(step, order, i, episode, kind, episode.level, event_us, previous, [])

    def _late_exceedance(self, step: Step, order: tuple[int, int], i: int, sample: Sample, level: int) -> None:
        subject = self.about[i][0]
        episode = step.new_episode(f"{subject.id}|late|{COLOURS[level]}", sample[2], level)
        flags = flags_of(sample[4], sample[5], late=True)
        self._emit(step, order, i, episode, Kind.LATE_EXCEEDANCE, 0, sample[2], sample, flags, sample)

    def _emit(
        self,
        step: Step,
        order: tuple[int, int],
        i: int,
        episode: Episode,
        kind: Kind,
        before: int,
        event_us: int,
        start: Sample | None,
        flags: list[str],
        last: Sample | None = None,
    ) -> None:
        columns, thresholds = self.columns, self.thresholds[i]
        number = int(columns.datastream[i])
        last = last or self._last(i)
        inputs = [to_input(step.registry, number, last, "last")] if last[0] >= 0 else []
        if start is not None and start != last:
            inputs.insert(0, to_input(step.registry, number, start, "t0"))
        shown = COLOURS[max(episode.level, before)]
        crossed = thresholds["off" if episode.level < before else "on"].get(shown)
        subject, place, uom = self.about[i]
        step.emit(
            order,
            kind=kind,
            episode=episode,
            colour_before=before,
            event_time_us=event_us,
            subject=subject,
            place=place,
            explanation=Explanation(
                inputs=inputs,
                thresholds={name: thresholds[name] for name in ("on", "off", "direction")},
                threshold_source=str(thresholds["source"]),
                registry_revision=step.registry.revision,
                on_delay_s=thresholds["on_delay_s"],
                off_delay_s=thresholds["off_delay_s"],
                condition_since_us=start[2] if start else None,
            ),
            texts={
                "subject": subject.name,
                "device": place.device_ids[0],
                "property": self.select.property,
                "value": number_text(last[3]),
                "uom": uom,
                "threshold": number_text(crossed),
                "since": clock_text(start[2] if start else event_us),
            },
            value=last[3] if last[0] >= 0 else None,
            uom=uom,
            flags=flags,
            propose_incident=self.document.propose_incident,
        )

    # -- small parts --------------------------------------------------------------------------------------------------

    def _signed(self, i: int, value: float) -> float:
        """The value with up as the dangerous side."""
        return value * float(self.columns.sign[i])

    def _up(self, i: int, x: float) -> int:
        on = self.columns.on
        return max((k + 1 for k in range(LEVELS) if x >= on[k, i]), default=0)

    def _hold(self, i: int, x: float, level: int) -> int:
        off = self.columns.off
        return max((k + 1 for k in range(level) if x > off[k, i]), default=0)

    def _last(self, i: int) -> Sample:
        c = self.columns
        return (
            int(c.last_pos[i]),
            int(c.last_at[i]),
            int(c.last_p[i]),
            float(c.last_v[i]),
            int(c.last_q[i]),
            int(c.last_src[i]),
        )

    def _remember(self, i: int, sample: Sample) -> None:
        c = self.columns
        c.last_pos[i], c.last_at[i], c.last_p[i], c.last_v[i], c.last_q[i], c.last_src[i] = sample

    def _freeze(self, i: int, at_us: int, p: int) -> None:
        """Take a gap out of the running delays: they go on where the data stopped telling."""
        c = self.columns
        if c.last_pos[i] < 0:
            return
        gap_at = at_us - int(c.timer_at[i] + c.max_gap[i])
        gap_p = p - int(c.last_p[i] + c.max_gap[i])
        for k in range(LEVELS):
            if c.up_since[k, i] < NEVER:
                c.up_due[k, i] += max(0, gap_at)
                c.up_since[k, i] += max(0, gap_p)
        if c.dn_since[i] < NEVER:
            c.dn_due[i] += max(0, gap_at)
            c.dn_since[i] += max(0, gap_p)

    def _start_up(self, i: int, k: int, sample: Sample, at_us: int) -> None:
        c = self.columns
        if c.up_since[k - 1, i] == NEVER:
            c.up_since[k - 1, i], c.up_due[k - 1, i] = sample[2], at_us + c.on_delay[i]
            self.starts.setdefault(i, {})[k] = sample

    def _unset_up(self, i: int, above: int, upto: int = LEVELS) -> None:
        self.columns.up_since[above:upto, i] = NEVER
        self.columns.up_due[above:upto, i] = NEVER

    def _unset_down(self, i: int) -> None:
        self.columns.dn_since[i] = self.columns.dn_due[i] = NEVER

    def _refresh(self, i: int, now_us: int) -> None:
        """Derived columns after any change of one instance: the calm band, the mode, the next deadline."""
        c = self.columns
        level = int(c.level[i])
        ups = [k for k in range(level, LEVELS) if not math.isnan(c.on[k, i])]
        c.hi[i] = c.on[ups[0], i] if ups else np.inf
        c.lo[i] = c.off[level - 1, i] if level else -np.inf
        pending = bool((c.up_since[:, i] < NEVER).any()) or bool(c.settle_due[i] < NEVER)
        lowering = bool(c.dn_since[i] < NEVER)
        special = pending or c.no_data[i] or c.excluded_until[i] > 0
        c.mode[i] = BUSY if special else LOWERING if lowering else PLAIN
        if not pending and not lowering:
            self.starts.pop(i, None)
        frozen_after = int(c.timer_at[i] + c.max_gap[i])
        # A deadline beyond the allowed gap stays as a lower bound until it is reached: calm rows move timer_at without
        # coming by here. Once reached it is frozen, and the row that ends the gap is never calm.
        dues = [int(c.dn_due[i]), *(int(due) for due in c.up_due[:, i])]
        dues = [due for due in dues if not frozen_after < due <= now_us]
        dues.append(int(c.settle_due[i]))
        if level and not c.no_data[i]:
            dues.append(int(c.timer_at[i] + c.no_data_after[i]))
        c.due[i] = min(dues)
        self._next_due = min(self._next_due, int(c.due[i]))

    # -- new version, snapshot ----------------------------------------------------------------------------------------

    def adopt(self, document: Document) -> None:
        """A new version of the same rule: state stays; `configure` then evaluates what changed again."""
        if document.level is None or document.select is None:
            raise ValueError(f"{document.id}: a new version must keep its template level")
        self.document, self.level, self.select = document, document.level, document.select

    def dump(self) -> dict[str, Any]:
        return {
            "columns": self.columns.dump(),
            "rows": self.rows,
            "active": sorted(self.active),
            "thresholds": self.thresholds,
            "episodes": {i: episode_data(episode) for i, episode in self.episodes.items()},
            "starts": self.starts,
            "about": {i: msgspec.to_builtins(about) for i, about in self.about.items()},
            "problems": dict(sorted(self.problems.items())),
        }

    def load(self, data: dict[str, Any]) -> None:
        self.columns.load(data["columns"])
        self.rows = data["rows"]
        self.active = set(data["active"])
        self.thresholds = data["thresholds"]
        self.episodes = {i: episode_from(episode) for i, episode in data["episodes"].items()}
        self.starts = {
            i: {k: msgspec.convert(sample, Sample) for k, sample in starts.items()}
            for i, starts in data["starts"].items()
        }
        self.about = {i: msgspec.convert(about, tuple[Subject, Place, str]) for i, about in data["about"].items()}
        self.problems = data["problems"]
        self._number_of = {self.about[self.rows[n]][0].id.partition("/")[0]: n for n in self.active}
        self._index()


def full_scale(sample: Sample) -> Sample:
    """A reading without a number but beyond the range counts as beyond full scale on that side."""
    position, at_us, p, value, quality, source = sample
    if math.isnan(value) and source & Source.OVER_RANGE:
        value = math.inf
    elif math.isnan(value) and source & Source.UNDER_RANGE:
        value = -math.inf
    return position, at_us, p, value, quality, source


def _own_table(own: Mapping[str, Any], default: Level) -> dict[str, Any]:
    """A device's thresholds, checked. A missing `off` side gets a deadband of 1 % of the span of `on`."""
    direction = str(own.get("direction", default.direction))
    on = {str(colour): float(value) for colour, value in own["on"].items()}
    if not on:
        raise ValueError("on: names no colour")
    off = {str(colour): float(value) for colour, value in own.get("off", {}).items()}
    if not off:
        band = 0.01 * ((max(on.values()) - min(on.values())) or abs(max(on.values())) or 1.0)
        off = {colour: value - band if direction == "rise" else value + band for colour, value in on.items()}
    level_table(on, off, direction)
    table: dict[str, Any] = {"on": on, "off": off, "direction": direction}
    for name in ("on_delay_s", "off_delay_s"):
        if name in own:
            table[name] = float(own[name])
            if not 0 <= table[name] < math.inf:
                raise ValueError(f"{name}: must be 0 or more, got {own[name]}")
    if own.get("source"):
        table["source"] = str(own["source"])
    return table


def maintenance_until(device: Device) -> int:
    """Log time until which a device's samples are excluded: `attributes.maintenance` {author, until_us}, both required."""
    entry = device.attributes.get("maintenance")
    if isinstance(entry, Mapping) and entry.get("author") and isinstance(entry.get("until_us"), int):
        return int(entry["until_us"])
    return 0
