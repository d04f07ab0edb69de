"""The ground truth of a scenario: which dangers there were, where, when and how bad, from the noise-free world.

Own code on purpose: a crossing is found here by a plain search on the physical series, with no hysteresis, delay or
quality rule, so that a fault in the alarm engine cannot hide in its own mirror.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from devices.registry import Device
from gis.points import haversine_m
from simulators.placement import AREA
from simulators.shapes import LAT0, LON0
from simulators.world import World

FloatArray = npt.NDArray[np.float64]

COLOURS = ("blue", "yellow", "orange", "red")
STEP_S = 10.0
NEAR_KM = 150.0  # a typhoon whose centre comes nearer than this is a danger to the district
WARN_H = 24.0  # from this long before the closest approach
HAZARD_OF = {"stage_m": "flood", "depth_m": "flood", "rain_1h_mm": "rain", "gust_3s_ms": "wind"}
# A peak so near the threshold, or so short, that noise decides: neither a miss nor a false alarm.
MARGIN_SHARE = 0.04
MARGIN_S = 300.0
CAMERA_SEES_M = 0.15


class Danger(msgspec.Struct, frozen=True, kw_only=True):
    """One danger. `levels`: [colour, from_us] as it grew; `marginal` dangers count neither way. On a slow rise noise reaches the
    threshold before the world does: from `near_us` on (within MARGIN_SHARE of it) an alarm is early, and not false."""

    hazard: str
    subject: str
    devices: list[str]
    colour: str
    from_us: int
    to_us: int
    place: str
    lon: float
    lat: float
    levels: list[tuple[str, int]]
    marginal: bool = False
    near_us: int | None = None  # None: as from_us

    def explains(self, at_us: int, slack_us: int) -> bool:
        """Whether something raised at `at_us` was raised while the danger was there."""
        begun_us = self.from_us if self.near_us is None else self.near_us
        return begun_us - slack_us <= at_us <= self.to_us + slack_us


def dangers(world: World) -> list[Danger]:
    """All dangers between the scenario's start and end, by time."""
    times = np.arange(world.scenario.start_us, world.scenario.end_us, STEP_S * 1e6)
    found = [*_typhoon(world, times), *_gas(world)]
    for device in world.district.devices():
        for prop, hazard in HAZARD_OF.items():
            if prop in device.thresholds:
                values = world.value(device.device_id, prop, times)
                found += _levels(device, hazard, times, values, device.thresholds[prop]["on"])
        if device.device_id.startswith("cam-underpass-"):
            depth = world.value(device.device_id, "water_depth_m", times)
            found += _levels(device, "flood", times, depth, {"yellow": CAMERA_SEES_M})
    return sorted(found, key=lambda danger: (danger.from_us, danger.subject))


def write_truth(world: World, path: Path) -> list[Danger]:
    """The truth file: scenario, seed, and the dangers."""
    found = dangers(world)
    document: dict[str, Any] = {
        "scenario": world.scenario.id,
        "seed": world.scenario.seed,
        "start_us": world.scenario.start_us,
        "end_us": world.scenario.end_us,
        "dangers": found,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    return found


def read_truth(path: Path) -> list[Danger]:
    """Raises msgspec.ValidationError for a file of another form."""
    document = msgspec.json.decode(path.read_bytes())
    return msgspec.convert(document["dangers"], list[Danger])


def spells(times: FloatArray, over: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[from, to) in microseconds of each unbroken run of True; `times` ascending with a constant step."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], over, [False]]).astype(np.int8)))
    step_us = float(times[1] - times[0])
    return [(int(times[a]), int(times[b - 1] + step_us)) for a, b in edges.reshape(-1, 2)]


def _levels(device: Device, hazard: str, times: FloatArray, values: FloatArray, on: dict[str, float]) -> list[Danger]:
    """Spells over the lowest level, each with the moments at which it reached the higher ones."""
    marks = [(colour, on[colour]) for colour in COLOURS if colour in on]
    lowest = marks[0][1]
    near = spells(times, values >= lowest * (1.0 - MARGIN_SHARE))
    found = []
    for start_us, end_us in _joined(spells(times, values >= lowest)):
        inside = (times >= start_us) & (times < end_us)
        grown = [
            (colour, int(times[inside & (values >= mark)][0]))
            for colour, mark in marks
            if bool((inside & (values >= mark)).any())
        ]
        peak = float(values[inside].max())
        found.append(
            Danger(
                hazard=hazard,
                subject=device.device_id,
                devices=[device.device_id],
                colour=grown[-1][0],
                from_us=start_us,
                to_us=end_us,
                place=device.name,
                lon=device.lon,
                lat=device.lat,
                levels=grown,
                marginal=peak < lowest * (1.0 + MARGIN_SHARE) or end_us - start_us < MARGIN_S * 1e6,
                near_us=next(a for a, b in near if a <= start_us < b),
            )
        )
    return found


JOIN_US = 2 * 3_600_000_000  # two spells nearer than this are one danger with a lull in it


def _joined(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for start_us, end_us in found:
        if out and start_us - out[-1][1] <= JOIN_US:
            out[-1] = (out[-1][0], end_us)
        else:
            out.append((start_us, end_us))
    return out


def _gas(world: World) -> list[Danger]:
    """One danger per site and substance: colour yellow from the first alarm value at one detector, red from the second one's."""
    leak, doc = world.leak, world.scenario.leak
    if leak is None or doc is None:
        return []
    times = np.arange(leak.start_us, leak.stop_us + 300e6, 2e6)
    sites: dict[str, list[Device]] = {}
    for device in world.district.devices():
        if doc.property in device.thresholds:
            sites.setdefault(device.group, []).append(device)
    found = []
    for group, members in sites.items():
        over = np.array(
            [world.value(d.device_id, doc.property, times) >= d.thresholds[doc.property]["first"] for d in members]
        )
        if not over.any():
            continue
        onsets = sorted((int(times[row][0]), d) for row, d in zip(over, members, strict=True) if row.any())
        levels = [("yellow", onsets[0][0])] + ([("red", onsets[1][0])] if len(onsets) > 1 else [])
        first = onsets[0][1]
        found.append(
            Danger(
                hazard="hazchem",
                subject=group,
                devices=[device.device_id for _, device in onsets],
                colour=levels[-1][0],
                from_us=onsets[0][0],
                to_us=int(times[over.any(axis=0)][-1]),
                place=str(first.attributes.get("plant", first.name)),
                lon=first.lon,
                lat=first.lat,
                levels=levels,
            )
        )
    return found


def _typhoon(world: World, times: FloatArray) -> list[Danger]:
    wide = np.arange(times[0], times[-1] + 24 * 3.6e9, 60e6)
    lon, lat, _, _ = world.storm.at(wide)
    km = haversine_m(lon, lat, LON0, LAT0) / 1000.0
    closest = int(np.argmin(km))
    if km[closest] > NEAR_KM:
        return []
    at_us = int(wide[closest])
    from_us = max(int(times[0]), at_us - round(WARN_H * 3.6e9))
    return [
        Danger(
            hazard="typhoon",
            subject=world.scenario.typhoon.storm_id,
            devices=[],
            colour="red",
            from_us=from_us,
            to_us=int(times[-1]),
            place=AREA,
            lon=LON0,
            lat=LAT0,
            levels=[("red", from_us)],
        )
    ]
