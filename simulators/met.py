"""The bureau's feed: posts typhoon bulletins at their issue times.

The track is the best track, known only afterwards: its later points are marked as forecast and the text says 演示用后报, so
that nobody takes a hindcast for skill.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from simulators.client import Refused, Session
from simulators.scenario import Scenario, iso
from simulators.simclock import SimClock
from simulators.weather import Storm

log = structlog.get_logger()

CHECK_EVERY_S = 0.5  # machine seconds
PAST_H = 60.0  # of track behind the storm
AVERAGING_S = 600  # JMA: 10-min mean
ISSUER = "演示气象台（数据：RSMC Tokyo 最佳路径）"
R7_KM, R10_KM, R12_KM = 350.0, 140.0, 60.0  # of Lekima on that evening, CMA bulletins (reference/hazards.md A3)


def bulletin(scenario: Scenario, storm: Storm, index: int) -> dict[str, Any]:
    """The `index`-th bulletin of the scenario in the JSON form of `hazards.bulletins.Bulletin`."""
    doc = scenario.typhoon
    issued_us = scenario.start_us + round(doc.bulletin_hours[index] * 3.6e9)
    number = doc.first_number + index
    earliest_us, latest_us = issued_us - PAST_H * 3.6e9, issued_us + doc.forecast_h * 3.6e9
    times = [f.time_us for f in storm.fixes if earliest_us <= f.time_us <= latest_us]
    times = sorted({*times, issued_us})
    lon, lat, pressure, wind = storm.at(times)
    track = []
    for k, time_us in enumerate(times):
        point: dict[str, Any] = {
            "time_us": time_us,
            "lon": round(float(lon[k]), 2),
            "lat": round(float(lat[k]), 2),
            "pressure_hpa": round(float(pressure[k])),
            "wind_ms": round(float(wind[k]), 1),
            "analysis": time_us <= issued_us,
        }
        if time_us == issued_us:
            point |= {"r7_km": [R7_KM] * 4, "r10_km": [R10_KM] * 4, "r12_km": [R12_KM] * 4}
        track.append(point)
    return {
        "bulletin_id": f"{doc.storm_id}-{number}",
        "storm_id": doc.storm_id,
        "number": number,
        "issuer": ISSUER,
        "issued_us": issued_us,
        "name_zh": doc.name.zh,
        "name_en": doc.name.en,
        "averaging_s": AVERAGING_S,
        "track": track,
        "text_zh": f"台风“{doc.name.zh}”第{number}号通报（{iso(issued_us)}）。演示用后报：预报点取自最佳路径，非实际预报。",
        "text_en": f"Typhoon {doc.name.en}, bulletin {number} ({iso(issued_us)}). Hindcast for demonstration: forecast points come from the best track.",
        "kind": "typhoon",
    }


class MetOffice:
    """Posts what is due; after a restart only the newest overdue bulletin, as a feed would show it."""

    def __init__(self, scenario: Scenario, storm: Storm, session: Session, clock: SimClock) -> None:
        self._scenario, self._storm, self._session, self._clock = scenario, storm, session, clock
        self.posted = 0

    async def run(self) -> None:
        hours = self._scenario.typhoon.bulletin_hours
        start_us = self._scenario.start_us
        following = 0
        while following < len(hours):
            due = [n for n in range(following, len(hours)) if start_us + hours[n] * 3.6e9 <= self._clock.city_us()]
            if due:
                await self._post(due[-1])
                following = due[-1] + 1
            await asyncio.sleep(CHECK_EVERY_S)
        await asyncio.Event().wait()  # the night is over for the bureau; ends with the run

    async def _post(self, index: int) -> None:
        body = bulletin(self._scenario, self._storm, index)
        try:
            await self._session.post("/api/v1/bulletins", body, key=body["bulletin_id"])
            self.posted += 1
            log.info("bulletin_posted", number=body["number"])
        except Refused as refused:
            log.warning("bulletin_refused", number=body["number"], why=str(refused))
