"""The typhoon rule: where an official track will be nearest to each area, and when. Ours is advice (研判).

Evaluated on each `bulletin` control, and every ten minutes of log time upward only. A level holds when the track, as issued, comes within `within_km` during the next
`within_h` (what is passed and still near counts as now). It is kept until the storm is outside the ring by the release factor.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from devices.registry import Registry
from hazards.bulletins import Bulletin
from hazards.tracks import HOUR_US, MinuteTrack, carried_on, circle_arrival_us, closest_approach, minute_track
from rules.context import Episode, Place, Rows, Step, clock_text, episode_data, episode_from, number_text
from rules.documents import Document, Typhoon
from rules.transitions import COLOURS, Explanation, Input, Kind, Subject
from stream.records import ControlBody, EventBody

NEVER = 2**62
TIMERS, CONTROLS = 0, 2
AGAIN_US = HOUR_US // 6  # the narrowest ring asks for 6 h: ten minutes are fine enough
FORCES = (7, 10, 12)


class TyphoonRule:
    def __init__(self, document: Document) -> None:
        self.adopt(document)
        self.problems: dict[str, str] = {}
        self.episodes: dict[str, Episode] = {}  # "storm/area"
        self.issued: dict[str, int] = {}  # storm -> issue time of the newest bulletin that was evaluated
        self.current: dict[str, tuple[int, int, Bulletin]] = {}  # storm -> position, append time, newest bulletin
        self._due_us = NEVER
        self.superseded = 0

    def adopt(self, document: Document) -> None:
        if document.typhoon is None:
            raise ValueError(f"{document.id}: a new version must keep its template typhoon")
        self.document: Document = document
        self.typhoon: Typhoon = document.typhoon

    def control(self, step: Step, body: ControlBody) -> None:
        if body.type != "bulletin":
            return
        bulletin = msgspec.convert(body.data["bulletin"], Bulletin)
        if not bulletin.track:
            return
        if bulletin.issued_us < self.issued.get(bulletin.storm_id, -NEVER):
            self.superseded += 1  # the newer bulletin has seen what this one says
            return
        self.issued[bulletin.storm_id] = bulletin.issued_us
        self.current[bulletin.storm_id] = (step.position, step.at_us, bulletin)
        self._due_us = min(self._due_us, step.at_us + AGAIN_US)
        self._assess(step, (CONTROLS, 0), step.position, step.at_us, bulletin, lower=True)

    def advance(self, step: Step) -> None:
        """Between bulletins time alone brings a storm nearer: the last bulletin may raise again, never lower."""
        if step.at_us < self._due_us:
            return
        due_us, self._due_us = self._due_us, step.at_us + AGAIN_US
        for position, at_us, bulletin in list(self.current.values()):
            self._assess(step, (TIMERS, due_us), position, at_us, bulletin, lower=False)

    def _assess(
        self, step: Step, order: tuple[int, int], position: int, at_us: int, bulletin: Bulletin, *, lower: bool
    ) -> None:
        fixes = carried_on(bulletin.track, self.typhoon.persistence_h)
        track = minute_track(fixes)
        extrapolated = len(fixes) > 0 and fixes[-1].time_us > max(point.time_us for point in bulletin.track)
        for area, lon, lat in area_points(step.registry, self.typhoon.area_digits):
            step.evaluations += 1
            place = Place(device_ids=[], area=area, lon=lon, lat=lat)
            source = Input(
                position=position,
                at_us=at_us,
                phenomenon_us=bulletin.issued_us,
                uom="km",
                note=f"{bulletin.issuer} {bulletin.name_en} {bulletin.number}",
            )
            self._evaluate(step, order, bulletin, track, place, source, extrapolated, lower)

    def _evaluate(
        self,
        step: Step,
        order: tuple[int, int],
        bulletin: Bulletin,
        track: MinuteTrack,
        place: Place,
        source: Input,
        extrapolated: bool,
        lower: bool,
    ) -> None:
        key = f"{bulletin.storm_id}/{place.area}"
        lon, lat = place.lon or 0.0, place.lat or 0.0
        ahead = _from(track, step.at_us)
        distance = ahead.distance_km(lon, lat)
        episode = self.episodes.get(key)
        before = episode.level if episode else 0
        target = max(
            self._reached(step, ahead, distance, 1.0),
            min(before, self._reached(step, ahead, distance, self.typhoon.release_factor)),
        )
        leaving = bool(distance[-1] > distance[0] and np.argmin(distance) == 0)
        if target == 0 and before and not leaving:
            target = 1 if any(ring.colour == "blue" for ring in self.typhoon.rings) else before
        nearest = closest_approach(ahead, lon, lat)
        arrivals = {force: circle_arrival_us(ahead, lon, lat, force) for force in FORCES}
        if target == before or (target < before and not lower):
            return
        if episode is None:
            episode = step.new_episode(key, step.at_us, target)
            self.episodes[key] = episode
            kind = Kind.RAISED
        else:
            episode.n += 1
            kind = Kind.LEVEL_UP if target > before else Kind.LEVEL_DOWN if target else Kind.CLEARED
            episode.level = target
        if target == 0:
            del self.episodes[key]
        name = self.typhoon.area_names.get(place.area)
        facts: dict[str, Any] = {
            "nearest_km": nearest.distance_km,
            "nearest_us": nearest.time_us,
            "now_km": float(distance[0]),
            "leaving": leaving,
            "extrapolated": extrapolated,
            "storm_id": bulletin.storm_id,
            "bulletin_id": bulletin.bulletin_id,
            "arrivals_us": {str(force): arrivals[force] for force in FORCES},
            "point": [lon, lat],
        }
        step.emit(
            order,
            kind=kind,
            episode=episode,
            colour_before=before,
            event_time_us=step.at_us,
            subject=Subject(kind="area", id=place.area, name=name.zh if name else place.area),
            place=place,
            explanation=Explanation(
                inputs=[msgspec.structs.replace(source, value=nearest.distance_km)],
                thresholds={"rings": [msgspec.to_builtins(ring) for ring in self.typhoon.rings]},
                threshold_source=self.document.source,
                registry_revision=step.registry.revision,
                condition_since_us=step.at_us,
                facts=facts,
            ),
            texts={
                "subject_zh": name.zh if name else place.area,
                "subject_en": name.en if name else place.area,
                "storm_zh": bulletin.name_zh,
                "storm_en": bulletin.name_en,
                "issuer": bulletin.issuer,
                "number": str(bulletin.number),
                "distance": number_text(round(nearest.distance_km, 1)),
                "nearest_time": clock_text(nearest.time_us)[:-3],
                "arrival_zh": _arrival(arrivals, "{}级风圈 {} 到达", "未给出风圈或不进入风圈"),
                "arrival_en": _arrival(arrivals, "force {} circle arrives {}", "no wind circle given or none reaches"),
            },
            value=nearest.distance_km,
            uom="km",
            propose_incident=self.document.propose_incident if target >= COLOURS.index("orange") else "",
        )

    def _reached(self, step: Step, ahead: MinuteTrack, distance: Any, factor: float) -> int:
        """The highest level whose ring the track enters in time, rings widened by `factor`; 0 if none."""
        level = 0
        for ring in self.typhoon.rings:
            in_time = ahead.time_us <= step.at_us + round(ring.within_h * HOUR_US)
            in_time[0] = True  # where the storm is now always counts, also when the bulletin starts a little ahead
            if bool((distance[in_time] <= ring.within_km * factor).any()):
                level = max(level, COLOURS.index(ring.colour))
        return level

    def configure(self, step: Step) -> None:
        """Areas are read from the registry at each bulletin."""

    def observe(self, step: Step, rows: Rows) -> None:
        """Observations play no part."""

    def event(self, step: Step, body: EventBody) -> None:
        """Events play no part."""

    def retire(self, step: Step, flag: str) -> None:
        for key, episode in list(self.episodes.items()):
            del self.episodes[key]
            storm, _, area = key.partition("/")
            before, episode.level = episode.level, 0
            episode.n += 1
            name = self.typhoon.area_names.get(area)
            step.emit(
                (CONTROLS, 0),
                kind=Kind.CLEARED,
                episode=episode,
                colour_before=before,
                event_time_us=step.at_us,
                subject=Subject(kind="area", id=area, name=name.zh if name else area),
                place=Place(device_ids=[], area=area),
                explanation=Explanation(
                    inputs=[Input(position=step.position, at_us=step.at_us, note="rules")],
                    thresholds={},
                    registry_revision=step.registry.revision,
                ),
                texts={"subject": name.zh if name else area, "storm": storm},
                flags=[flag],
            )

    def resume(self, from_us: int, to_us: int) -> None:
        """No timers that downtime could shorten."""

    def next_due(self) -> int:
        return self._due_us

    def dump(self) -> dict[str, Any]:
        return {
            "episodes": {key: episode_data(episode) for key, episode in self.episodes.items()},
            "issued": self.issued,
            "superseded": self.superseded,
            "current": {storm: [p, at, msgspec.to_builtins(b)] for storm, (p, at, b) in self.current.items()},
            "due_us": self._due_us,
        }

    def load(self, data: dict[str, Any]) -> None:
        self.episodes = {key: episode_from(episode) for key, episode in data["episodes"].items()}
        self.issued, self.superseded = data["issued"], data["superseded"]
        self.current = {storm: (p, at, msgspec.convert(b, Bulletin)) for storm, (p, at, b) in data["current"].items()}
        self._due_us = data["due_us"]


def area_points(registry: Registry, digits: int) -> list[tuple[str, float, float]]:
    """(area, lon, lat) of every area with an enabled device: the mean position of its devices."""
    members: dict[str, list[str]] = {}
    for device in registry.devices.values():
        if device.enabled and device.area and device.kind != "canary":
            members.setdefault(device.area[:digits], []).append(device.device_id)
    points: list[tuple[str, float, float]] = []
    for area in sorted(members):
        ids = sorted(members[area])
        lon = sum(registry.devices[d].lon for d in ids) / len(ids)
        lat = sum(registry.devices[d].lat for d in ids) / len(ids)
        points.append((area, lon, lat))
    return points


def _from(track: MinuteTrack, now_us: int) -> MinuteTrack:
    """The part of a track from now on; a track that ends before now keeps its last step."""
    start = min(int(np.searchsorted(track.time_us, now_us)), len(track.time_us) - 1)
    return MinuteTrack(
        track.time_us[start:],
        track.lon[start:],
        track.lat[start:],
        {force: radii[start:] for force, radii in track.radii_km.items()},
    )


def _arrival(arrivals: dict[int, int | None], form: str, none: str) -> str:
    """The strongest circle that arrives, in words."""
    for force in reversed(FORCES):
        time_us = arrivals[force]
        if time_us is not None:
            return form.format(force, clock_text(time_us)[:-3])
    return none
