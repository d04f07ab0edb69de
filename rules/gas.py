"""Gas: one site (device group) and substance is one alarm; its detectors vote.

One detector at its own first or second alarm raises at once. A second one within 60 s, or both in alarm together, raises
the level by one and proposes the incident. A detector that is silent while in alarm stays in alarm: it may have burned.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from rules.context import (
    GONE,
    HISTORY,
    NEVER,
    RESET,
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
from rules.documents import Document, Gas
from rules.levels import SETTLE_US, full_scale, maintenance_until
from rules.presence import lookup_table
from rules.transitions import COLOURS, Explanation, Kind, Subject
from stream.records import RETOLD, ControlBody, EventBody, Quality, Source

TIMERS, ROWS, CHANGES = 0, 1, 2
Sample = tuple[int, int, int, float, int, int]
NO_SAMPLE: Sample = (-1, 0, -NEVER, math.nan, 0, 0)


class Detector(msgspec.Struct, kw_only=True):
    """One detector of a site. `level` is its own alarm: 0 none, 1 一级, 2 二级. Times in microseconds."""

    datastream: int
    device_id: str
    name: str
    lon: float
    lat: float
    area: str
    uom: str
    interval_us: int
    first: float
    second: float
    deadband: float
    source: str
    excluded_until: int = 0
    level: int = 0
    since_us: int = -NEVER  # phenomenon time at which its present or last alarm began
    last: Sample = NO_SAMPLE
    start: Sample = NO_SAMPLE  # the sample of `since_us`
    timer_at: int = 0
    settle_due: int = NEVER
    history_level: int = 0  # highest alarm of the backlog excursion in hand
    history_p: int = -NEVER


class Site(msgspec.Struct, kw_only=True):
    key: str  # group/property
    name: str
    property: str
    detectors: dict[int, Detector] = {}
    corroborated: bool = False  # stays until no detector is in alarm
    members: list[int] = []  # datastreams whose alarm this episode has shown
    off_since: int = NEVER  # phenomenon time since which the votes stand below the level
    off_due: int = NEVER


class GasRule:
    def __init__(self, document: Document) -> None:
        self.adopt(document)
        self.sites: dict[str, Site] = {}
        self.episodes: dict[str, Episode] = {}
        self.problems: dict[str, str] = {}
        self._site_of: dict[int, str] = {}
        self._lookup = np.full(1, -1, np.int32)
        self._due_us = NEVER

    def adopt(self, document: Document) -> None:
        if document.gas is None:
            raise ValueError(f"{document.id}: a new version must keep its template gas")
        self.document: Document = document
        self.gas: Gas = document.gas

    # -- parameters ---------------------------------------------------------------------------------------------------

    def configure(self, step: Step) -> None:
        if step.touched is not None and not self._concerns(step, step.touched):
            for one in [one for key, one in self.sites.items() if key in self.episodes]:
                self._rebase(step, one, set())
            self._schedule()
            return
        old = {d.datastream: d for site in self.sites.values() for d in site.detectors.values()}
        wanted: dict[int, tuple[str, str, Detector]] = {}
        for device in step.registry.devices.values():
            for prop, substance in self.gas.substances.items():
                stream = step.registry.datastream_of(device.device_id, prop)
                if stream is None or not device.enabled:
                    continue
                group = device.group or device.device_id
                first, second, deadband = substance.first, substance.second, substance.deadband
                source = self.document.source
                own = device.thresholds.get(prop)
                where = f"{device.device_id}/{prop}"
                self.problems.pop(where, None)
                if own is not None:
                    try:
                        first, second, deadband = _own_alarms(own, deadband)
                        source = str(own.get("source") or source)
                    except (TypeError, ValueError, KeyError, AttributeError) as error:
                        self.problems[where] = str(error)
                known = old.get(stream.datastream)
                fresh = Detector(
                    datastream=stream.datastream,
                    device_id=device.device_id,
                    name=device.name,
                    lon=device.lon,
                    lat=device.lat,
                    area=device.area,
                    uom=stream.uom,
                    interval_us=seconds_us(stream.interval_s),
                    first=first,
                    second=second,
                    deadband=deadband,
                    source=source,
                    excluded_until=maintenance_until(device),
                    timer_at=step.at_us,
                )
                if known is not None:
                    for name in (
                        "level",
                        "since_us",
                        "last",
                        "start",
                        "timer_at",
                        "settle_due",
                        "history_level",
                        "history_p",
                    ):
                        setattr(fresh, name, getattr(known, name))
                wanted[stream.datastream] = (f"{group}/{prop}", prop, fresh)
        sites: dict[str, Site] = {}
        for number in sorted(wanted):
            key, prop, detector = wanted[number]
            site = sites.get(key)
            if site is None:
                kept = self.sites.get(key)
                site = kept if kept is not None else Site(key=key, name="", property=prop)
                device = step.registry.devices[detector.device_id]
                site.name = str(device.attributes.get("site_name") or key.rsplit("/", 1)[0])
                site.detectors = {}
                sites[key] = site
            site.detectors[number] = detector
        for key in [key for key in self.episodes if key not in sites]:
            self._gone(step, key)
        self.sites = sites
        self._site_of = {number: key for number, (key, _, _) in wanted.items()}
        for site in sites.values():
            self._rebase(step, site, {n for n in site.detectors if n in old and _changed(old[n], site.detectors[n])})
        numbers = np.array(sorted(self._site_of), np.int64)
        self._lookup = lookup_table(numbers, np.arange(len(numbers)))
        self._schedule()

    def _concerns(self, step: Step, device_ids: tuple[str, ...]) -> bool:
        """Whether any of these devices is, or has become, a detector of ours."""
        ours = {d.device_id for site in self.sites.values() for d in site.detectors.values()}
        return any(
            device_id in ours or any(step.registry.datastream_of(device_id, p) for p in self.gas.substances)
            for device_id in device_ids
        )

    def _rebase(self, step: Step, site: Site, changed: set[int]) -> None:
        """New detector alarms act on the last reading at once."""
        for number in sorted(changed):
            detector = site.detectors[number]
            if detector.last[0] >= 0:
                level = max(_up(detector, detector.last), _hold(detector, detector.last))
                if level > detector.level and detector.level == 0:
                    detector.since_us, detector.start = detector.last[2], detector.last
                detector.level = level
        if site.key in self.episodes or changed:
            self._judge(step, (CHANGES, 0), site, Kind.REBASED if changed else None, step.at_us)

    def _gone(self, step: Step, key: str) -> None:
        site = self.sites[key]
        self._to_level(step, (CHANGES, 0), site, 0, Kind.CLEARED, step.at_us, [GONE])

    # -- inputs -------------------------------------------------------------------------------------------------------

    def observe(self, step: Step, rows: Rows) -> None:
        mine = np.flatnonzero(self._lookup.take(rows.datastream, mode="clip") >= 0)
        step.evaluations += len(mine)
        for row in mine.tolist():
            number = int(rows.datastream[row])
            sample = (
                step.position,
                step.at_us,
                int(rows.phenomenon_us[row]),
                float(rows.result[row]),
                int(rows.quality[row]),
                int(rows.source[row]),
            )
            self._row(step, row, self.sites[self._site_of[number]], number, sample)

    def _row(self, step: Step, row: int, site: Site, number: int, sample: Sample) -> None:
        detector = site.detectors[number]
        sample = full_scale(sample)
        _, at_us, p, value, quality, source = sample
        missing = quality == Quality.MISSING or math.isnan(value)
        if missing or at_us < detector.excluded_until or (p == detector.last[2] and value == detector.last[3]):
            return
        order = (ROWS, row)
        newer = p > detector.last[2]
        up = _up(detector, sample)
        if source & HISTORY or (not newer and p < at_us - seconds_us(self.gas.late_allowed_s)):
            self._history(step, order, site, detector, sample, up, newer)
            return
        weak = quality == Quality.FAIL or bool(source & Source.UNDER_RANGE)
        if newer:
            if self._silent_from(detector) <= at_us and site.off_due < NEVER:
                # After a silence the off-delay begins anew: what was in the air meanwhile nobody knows.
                site.off_since, site.off_due = p, at_us + seconds_us(self.gas.off_delay_s)
            detector.last = sample
            detector.timer_at = at_us
            detector.settle_due = NEVER
            level = max(up, _hold(detector, sample))
            level = max(level, detector.level) if weak else level
        else:
            level = max(up, detector.level)
        self._set(detector, level, sample)
        self._overlay(step, order, site)
        self._judge(step, order, site, None, p, late=not newer)

    def _set(self, detector: Detector, level: int, sample: Sample) -> None:
        if level and not detector.level:
            detector.since_us, detector.start = sample[2], sample
        detector.level = level

    def _history(
        self, step: Step, order: tuple[int, int], site: Site, detector: Detector, sample: Sample, up: int, newer: bool
    ) -> None:
        """Backfill: a crossing is an event 迟到超限; if the newest value is still over, the alarm rises once it settles. What a
        person put in is the newest value only while it is no older than one may be."""
        gap_us = round(detector.interval_us * self.gas.no_data_after_intervals)
        known = detector.history_level if abs(sample[2] - detector.history_p) <= gap_us else 0
        detector.history_level, detector.history_p = up if up > known or up == 0 else known, sample[2]
        if up > max(detector.level, known):
            colour = COLOURS.index(self.gas.second if up == 2 else self.gas.first)
            episode = step.new_episode(f"{site.key}/{detector.device_id}|late|{sample[2]}", sample[2], colour)
            self._emit(step, order, site, episode, Kind.LATE_EXCEEDANCE, 0, sample[2], [detector], sample, True, [])
        stale = sample[5] & RETOLD and sample[2] < step.at_us - gap_us
        if newer and not stale:
            detector.last = sample
            detector.settle_due = step.at_us + SETTLE_US if up > detector.level else NEVER
            self._due_us = min(self._due_us, detector.settle_due)

    def _judge(
        self,
        step: Step,
        order: tuple[int, int],
        site: Site,
        kind: Kind | None,
        event_us: int,
        *,
        late: bool = False,
    ) -> None:
        """Count the votes and move the site's level: up at once, down one level after each off-delay."""
        alarmed = [d for d in site.detectors.values() if d.level]
        episode = self.episodes.get(site.key)
        before = episode.level if episode else 0
        if not alarmed:
            site.corroborated = False
        elif not site.corroborated:
            site.corroborated = len(alarmed) > 1 or self._second_within(site, alarmed[0])
        target = self._target(site, alarmed)
        joined = [d for d in alarmed if d.datastream not in site.members]
        if target > before:
            site.off_since = site.off_due = NEVER
            self._to_level(step, order, site, target, kind, event_us, [], late=late)
        elif target == before:
            site.off_since = site.off_due = NEVER
            if before and (joined or kind is not None):
                self._to_level(step, order, site, before, kind or Kind.MEMBER, event_us, [], late=late)
        else:
            if joined:
                self._to_level(step, order, site, before, Kind.MEMBER, event_us, [], late=late)
            if site.off_since == NEVER:
                site.off_since, site.off_due = event_us, step.at_us + seconds_us(self.gas.off_delay_s)
            self._due_us = min(self._due_us, site.off_due)

    def _second_within(self, site: Site, alarmed: Detector) -> bool:
        """Another detector's alarm began within the time, even if it is over again."""
        within = seconds_us(self.gas.corroborate_within_s)
        others = [d for d in site.detectors.values() if d.datastream != alarmed.datastream]
        return any(abs(d.since_us - alarmed.since_us) <= within for d in others)

    def _target(self, site: Site, alarmed: list[Detector]) -> int:
        if not alarmed:
            return 0
        worst = max(d.level for d in alarmed)
        base = COLOURS.index(self.gas.second if worst == 2 else self.gas.first)
        return min(base + int(site.corroborated), len(COLOURS) - 1)

    # -- timers -------------------------------------------------------------------------------------------------------

    def advance(self, step: Step) -> None:
        if step.at_us < self._due_us:
            return
        now = (TIMERS, step.at_us)  # one key for all timers of a site: its transitions keep the order of their numbers
        for site in self.sites.values():
            for detector in site.detectors.values():
                if detector.settle_due <= step.at_us:
                    detector.settle_due = NEVER
                    self._set(detector, max(detector.level, _up(detector, detector.last)), detector.last)
                    self._judge(step, now, site, None, detector.last[2], late=True)
            while site.off_due <= step.at_us and site.key in self.episodes and not self._frozen(site):
                self._lower(step, now, site)
            self._overlay(step, now, site)
        self._schedule()

    def _frozen(self, site: Site) -> bool:
        """The off-delay waits while a detector of the episode tells nothing: its gas may still be there."""
        silent = [self._silent_from(d) for d in site.detectors.values() if d.datastream in site.members]
        return any(due < site.off_due for due in silent)

    def _lower(self, step: Step, order: tuple[int, int], site: Site) -> None:
        target = self._target(site, [d for d in site.detectors.values() if d.level])
        level = self.episodes[site.key].level - 1
        if 0 < level < COLOURS.index(self.gas.first):
            level = 0
        due_us = site.off_due
        off_us = seconds_us(self.gas.off_delay_s)
        event_us = site.off_since + off_us
        if level > target:
            site.off_since, site.off_due = event_us, due_us + off_us
        else:
            site.off_since = site.off_due = NEVER
        kind = Kind.LEVEL_DOWN if level else Kind.CLEARED
        self._to_level(step, order, site, level, kind, event_us, [])

    def _silent_from(self, detector: Detector) -> int:
        return detector.timer_at + round(detector.interval_us * self.gas.no_data_after_intervals)

    def _overlay(self, step: Step, order: tuple[int, int], site: Site) -> None:
        """NO_DATA while a detector of the episode is silent; the level stays."""
        episode = self.episodes.get(site.key)
        if episode is None:
            return
        shown = [d for d in site.detectors.values() if d.datastream in site.members]
        silent = any(self._silent_from(d) <= step.at_us for d in shown)
        if silent != episode.no_data:
            episode.no_data = silent
            kind = Kind.NO_DATA_ON if silent else Kind.NO_DATA_OFF
            self._to_level(step, order, site, episode.level, kind, step.at_us, [])

    def _schedule(self) -> None:
        dues = [NEVER]
        for site in self.sites.values():
            dues += [d.settle_due for d in site.detectors.values()]
            episode = self.episodes.get(site.key)
            if episode is None:
                continue
            if not self._frozen(site):
                dues.append(site.off_due)
            if not episode.no_data:
                dues += [self._silent_from(d) for d in site.detectors.values() if d.datastream in site.members]
        self._due_us = min(dues)

    def next_due(self) -> int:
        return self._due_us

    def resume(self, from_us: int, to_us: int) -> None:
        moved = max(0, to_us - from_us)
        for site in self.sites.values():
            if site.off_due < NEVER:
                site.off_due += moved
            for d in site.detectors.values():
                grace = to_us + d.interval_us - round(d.interval_us * self.gas.no_data_after_intervals)
                d.timer_at = max(d.timer_at + moved, grace)
                if d.settle_due < NEVER:
                    d.settle_due += moved
        self._schedule()

    def control(self, step: Step, body: ControlBody) -> None:
        """`reset` closes an alarm whose detectors in alarm are all silent; one that measures follows its readings."""
        if body.type != "reset":
            return
        for key, episode in list(self.episodes.items()):
            site = self.sites[key]
            alarmed = [d for d in site.detectors.values() if d.level]
            silent = all(self._silent_from(d) <= step.at_us for d in alarmed)
            if episode.alarm_id == body.data.get("alarm_id") and episode.no_data and silent:
                for detector in alarmed:
                    detector.level = 0
                site.corroborated = False
                self._to_level(step, (CHANGES, 0), site, 0, Kind.CLEARED, step.at_us, [RESET])
        self._schedule()

    def retire(self, step: Step, flag: str) -> None:
        for key in list(self.episodes):
            self._to_level(step, (CHANGES, 0), self.sites[key], 0, Kind.CLEARED, step.at_us, [flag])

    def event(self, step: Step, body: EventBody) -> None:
        """Detectors report by observations; a contact's event is for the desk."""

    # -- output -------------------------------------------------------------------------------------------------------

    def _to_level(
        self,
        step: Step,
        order: tuple[int, int],
        site: Site,
        level: int,
        kind: Kind | None,
        event_us: int,
        flags: list[str],
        *,
        late: bool = False,
    ) -> None:
        episode = self.episodes.get(site.key)
        before = episode.level if episode else 0
        alarmed = [d for d in site.detectors.values() if d.level]
        if episode is None:
            episode = step.new_episode(site.key, event_us, level)
            self.episodes[site.key] = episode
            kind = Kind.RAISED
        else:
            episode.n += 1
            episode.level = level
            kind = Kind.CLEARED if level == 0 else kind or (Kind.LEVEL_UP if level > before else Kind.LEVEL_DOWN)
        site.members = sorted({*site.members, *(d.datastream for d in alarmed)})
        shown = [d for d in site.detectors.values() if d.datastream in site.members]
        if level == 0:
            del self.episodes[site.key]
            episode.no_data = False
            site.members = []
            site.off_since = site.off_due = NEVER
        self._emit(step, order, site, episode, kind, before, event_us, shown, None, late, flags)
        if level and not episode.no_data:
            self._due_us = min([self._due_us, *(self._silent_from(d) for d in shown)])

    def _emit(
        self,
        step: Step,
        order: tuple[int, int],
        site: Site,
        episode: Episode,
        kind: Kind,
        before: int,
        event_us: int,
        shown: list[Detector],
        only: Sample | None,
        late: bool,
        extra: list[str],
    ) -> None:
        samples = [(d, only if only is not None else d.last) for d in shown]
        highest = max((sample[3] for _, sample in samples if sample[0] >= 0), default=math.nan)
        flags: list[str] = []
        for detector, sample in samples:
            own = flags_of(sample[4], sample[5], late=late) if detector.level or only is not None else []
            flags += [flag for flag in own if flag not in flags]
        inputs = []
        for detector, sample in samples:
            if only is None and detector.start not in (NO_SAMPLE, sample):
                inputs.append(to_input(step.registry, detector.datastream, detector.start, "t0"))
            inputs.append(to_input(step.registry, detector.datastream, sample, "last"))
        first = min(shown, key=lambda d: (d.since_us if d.level else NEVER, d.datastream))
        substance = self.gas.substances.get(site.property)
        began = [d.since_us for d in shown if d.level]
        step.emit(
            order,
            kind=kind,
            episode=episode,
            colour_before=before,
            event_time_us=event_us,
            subject=Subject(kind="site", id=site.key, name=site.name),
            place=Place(device_ids=[d.device_id for d in shown], area=first.area, lon=first.lon, lat=first.lat),
            explanation=Explanation(
                inputs=inputs,
                thresholds={d.device_id: {"first": d.first, "second": d.second, "deadband": d.deadband} for d in shown},
                threshold_source="；".join(dict.fromkeys(d.source for d in shown)),
                registry_revision=step.registry.revision,
                off_delay_s=self.gas.off_delay_s,
                condition_since_us=min(began) if began else None,
                facts={
                    "votes": {d.device_id: d.level for d in shown},
                    "corroborated": site.corroborated,
                    "within_s": self.gas.corroborate_within_s,
                },
            ),
            texts={
                "subject": site.name,
                "substance_zh": substance.zh if substance else site.property,
                "substance_en": substance.en if substance else site.property,
                "count": str(len([d for d in shown if d.level]) or len(shown)),
                "devices": "、".join(d.name for d in shown),
                "value": number_text(highest),
                "uom": first.uom,
                "property": site.property,
                "since": clock_text(min(began)) if began else clock_text(event_us),
            },
            value=None if math.isnan(highest) else highest,
            uom=first.uom,
            flags=flags + extra,
            propose_incident=self.document.propose_incident if site.corroborated else "",
        )

    # -- snapshot -----------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        return {
            "sites": {key: msgspec.to_builtins(site) for key, site in self.sites.items()},
            "episodes": {key: episode_data(episode) for key, episode in self.episodes.items()},
            "problems": dict(sorted(self.problems.items())),
            "due_us": self._due_us,
        }

    def load(self, data: dict[str, Any]) -> None:
        self.sites = {key: msgspec.convert(site, Site) for key, site in data["sites"].items()}
        self.episodes = {key: episode_from(episode) for key, episode in data["episodes"].items()}
        self.problems, self._due_us = data["problems"], data["due_us"]
        self._site_of = {number: key for key, site in self.sites.items() for number in site.detectors}
        numbers = np.array(sorted(self._site_of), np.int64)
        self._lookup = lookup_table(numbers, np.arange(len(numbers)))


def _up(detector: Detector, sample: Sample) -> int:
    return 2 if sample[3] >= detector.second else 1 if sample[3] >= detector.first else 0


def _hold(detector: Detector, sample: Sample) -> int:
    """The detector's present alarm, as far as the deadband keeps it."""
    if detector.level == 2 and sample[3] > detector.second - detector.deadband:
        return 2
    return 1 if detector.level and sample[3] > detector.first - detector.deadband else 0


def _changed(a: Detector, b: Detector) -> bool:
    return (a.first, a.second, a.deadband) != (b.first, b.second, b.deadband)


def _own_alarms(own: dict[str, Any], deadband: float) -> tuple[float, float, float]:
    first, second = float(own["first"]), float(own["second"])
    deadband = float(own.get("deadband", min(deadband, first / 2)))
    if not 0 < deadband < first < second < math.inf:
        raise ValueError(f"must hold 0 < deadband < first < second, got {deadband}, {first}, {second}")
    return first, second, deadband
