"""Does the whole loop close, and is anything lost on the way?

Plays `lekima-night` headless against a `citybrain up` of its own, through the public doors only, then compares what the
system says (HTTP) with what really happened (the truth file) and with what the devices were promised (their ledger).

    python -m benchmarks.loop            the whole night at 60x: about six minutes
    QUICK=1 python -m benchmarks.loop    90 minutes of it at 180x: under a minute
    SPEED=120 python -m benchmarks.loop  another speed

The speed is bounded by the rules of the game: a device sends one message per machine second, and three silent reporting
intervals of the fastest device (180 s) are a NO_DATA: at 120x that is a second and a half, and a machine of two cores cries
wolf (`no_data_alarms` tells: 16 there). So 60x is the highest speed at which what the system says is about the city. The last line is JSON; `minutes` are medians in city time, in which people (machine seconds) look
slower the faster the clock runs.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from citybrain_testing.outcome import balance, get, pages, raised_twice, stored_times
from citybrain_testing.system import System
from simulators.district import generate
from simulators.runner import simulate
from simulators.scenario import Scenario, load
from simulators.truth import Danger, read_truth
from simulators.world import World

SCENARIO = "lekima-night"
FULL_SPEED, QUICK_SPEED, QUICK_MIN = 60.0, 180.0, 90.0
QUICK_PACE = 0.4
SETTLE_S = 5.0  # machine seconds after the last message, for store and command to come up with the log
SLACK_US = 15 * 60_000_000  # of city time: an alarm this near a danger belongs to it
VERIFIED_STATES = ("OPEN", "GRADED", "RESPONDING", "CONTROLLED", "TERMINATED", "RECOVERY", "REVIEW", "ARCHIVED")
ENDED_STATES = ("TERMINATED", "RECOVERY", "REVIEW", "ARCHIVED")


def main() -> None:
    quick = bool(os.environ.get("QUICK"))
    speed = float(os.environ.get("SPEED") or (QUICK_SPEED if quick else FULL_SPEED))
    night = load(SCENARIO)
    world = World(night, generate(night.seed))
    folder = Path(tempfile.mkdtemp(prefix="cb-loop-"))
    began = time.monotonic()
    system = System(folder / "data", args=("--demo", "--no-simulator", "--speed", f"{speed:g}"), answers_checked=False)
    try:
        system.start()
        print(
            f"ready after {time.monotonic() - began:.1f} s on {platform.machine()}, {os.cpu_count()} cores, {speed:g}x"
        )
        until_us = min(night.end_us, _city_us(system) + round(QUICK_MIN * 60e6)) if quick else night.end_us
        sent = asyncio.run(_play(system, world, until_us, QUICK_PACE if quick else 1.0, folder))
        time.sleep(SETTLE_S)
        result = _measure(system, night, until_us, folder) | {"speed": speed, "quick": quick, **sent}
        result["seconds"] = round(time.monotonic() - began, 1)
    except BaseException:
        print(system.logs(), file=sys.stderr)
        raise
    finally:
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, ensure_ascii=False))


async def _play(system: System, world: World, until_us: int, pace: float, folder: Path) -> dict[str, int]:
    stats = await simulate(
        world.scenario,
        world=world,
        base_url=system.base_url,
        broker_host=system.ready["broker_host"],
        broker_port=system.ready["broker_port"],
        tenant=system.ready["tenant"],
        logins=system.secret("logins"),
        credentials=system.secret("devices"),
        ledger_path=folder / "ledger.jsonl",
        truth_path=folder / "truth.json",
        pace=pace,
        until_us=until_us,
        progress=lambda text: print(text, flush=True),
    )
    return {"records_sent": stats.sent, "records_confirmed": stats.confirmed, "records_resent": stats.resent}


def _measure(system: System, night: Scenario, until_us: int, folder: Path) -> dict[str, Any]:
    with contextlib.closing(system.login("leader1")) as leader, contextlib.closing(system.login("admin")) as admin:
        alarms = [get(leader, f"/api/v1/alarms/{a['alarm_id']}") for a in pages(leader, "/api/v1/alarms", state="all")]
        incidents = [get(leader, f"/api/v1/incidents/{i['incident_id']}") for i in pages(leader, "/api/v1/incidents")]
        truth = read_truth(folder / "truth.json")
        stored = stored_times(admin, night.start_us - SLACK_US, until_us + SLACK_US)
        letters = pages(admin, "/api/v1/dead-letters")
    books = balance(folder / "ledger.jsonl", stored)
    tasks = [task for incident in incidents for task in incident["tasks"]]
    return {
        "alarms": _by_hazard_and_colour(alarms),
        **_against_truth(alarms, truth, until_us),
        "no_data_alarms": sum(a["hazard"] == "device" for a in alarms),
        "raised_twice": raised_twice(alarms),
        "incidents_opened": len(incidents),
        "incidents_verified": sum(i["state"] in VERIFIED_STATES for i in incidents),
        "incidents_closed": sum(i["state"] in ENDED_STATES for i in incidents),
        "tasks_done": sum(t["state"] in ("VERIFIED", "CLOSED") for t in tasks),
        "minutes": _minutes(alarms, incidents, tasks),
        "lost": books.lost,
        "duplicates": books.duplicates,
        "valid_dead_lettered": sum(_valid(letter) for letter in letters),
        "valid_but_dead": [letter for letter in letters if _valid(letter)][:5],
        "dead_letters": len(letters),
    }


# --- doors


def _city_us(system: System) -> int:
    with contextlib.closing(system.login("leader1")) as client:
        return int(get(client, "/api/v1/clock")["city_us"])


# --- what came of it


def _by_hazard_and_colour(alarms: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    table: dict[str, Counter[str]] = {}
    for alarm in alarms:
        table.setdefault(alarm["hazard"], Counter())[alarm["peak_colour"]] += 1
    return {hazard: dict(counts) for hazard, counts in sorted(table.items())}


def _belongs(alarm: dict[str, Any], danger: Danger) -> bool:
    """Same hazard, same place, and the alarm rose while the danger was there."""
    if alarm["hazard"] != danger.hazard:
        return False
    same_place = not danger.devices or bool(set(alarm["device_ids"]) & set(danger.devices))
    return same_place and danger.explains(alarm["raised_us"], SLACK_US)


def _against_truth(alarms: list[dict[str, Any]], truth: list[Danger], until_us: int) -> dict[str, Any]:
    """Share of the clear dangers that were alarmed, and alarms that no danger explains.

    Marginal dangers, and those that began just before the end, explain an alarm but are not missed without one.
    """
    clear = [danger for danger in truth if not danger.marginal and danger.from_us < until_us - SLACK_US]
    missed = [danger for danger in clear if not any(_belongs(alarm, danger) for alarm in alarms)]
    hazards = [alarm for alarm in alarms if alarm["hazard"] != "device"]
    false = [alarm for alarm in hazards if not any(_belongs(alarm, danger) for danger in truth)]
    return {
        "dangers": len(clear),
        "matched_truth": round(1 - len(missed) / len(clear), 4) if clear else 1.0,
        "missed": [f"{danger.hazard} {danger.subject}" for danger in missed],
        "false_alarms": len(false),
        "false": [f"{alarm['hazard']} {alarm['subject']['id']} {alarm['colour']}" for alarm in false],
    }


def _minutes(
    alarms: list[dict[str, Any]], incidents: list[dict[str, Any]], tasks: list[dict[str, Any]]
) -> dict[str, float | None]:
    """Median city minutes at each arrow of the loop."""

    def median(spans_us: list[int]) -> float | None:
        return round(statistics.median(spans_us) / 60e6, 2) if spans_us else None

    def stage(task: dict[str, Any], state: str) -> int | None:
        return next((step["at_us"] for step in task["history"] if step["to"] == state), None)

    def between(first: str, second: str) -> list[int]:
        pairs = [(stage(task, first), stage(task, second)) for task in tasks]
        return [b - a for a, b in pairs if a is not None and b is not None]

    real = [alarm for alarm in alarms if alarm["hazard"] != "device"]
    return {
        "observation_to_alarm": median([a["raised_us"] - a["event_time_us"] for a in real]),
        "alarm_to_acknowledged": median([span for a in real if (span := _until_acked(a)) is not None]),
        "incident_to_verified": median(_steps(incidents, "立案")),
        "issued_to_accepted": median(between("ISSUED", "ACCEPTED")),
        "accepted_to_on_scene": median(between("ACCEPTED", "ON_SCENE")),
        "on_scene_to_done": median(between("ON_SCENE", "REPORTED_DONE")),
        "done_to_checked": median(between("REPORTED_DONE", "VERIFIED")),
        "incident_to_closed": median(_steps(incidents, "处置结束")),
    }


def _until_acked(alarm: dict[str, Any]) -> int | None:
    """From the last rise before the acknowledgement that stands: a rise asks for a new one."""
    if not alarm["acked"]:
        return None
    acked_us = int(alarm["acked"]["at_us"])
    rises = [int(t["at_us"]) for t in alarm["transitions"] if t["kind"] in ("raised", "level_up")]
    return acked_us - max((at_us for at_us in rises if at_us <= acked_us), default=alarm["raised_us"])


def _steps(incidents: list[dict[str, Any]], state_zh: str) -> list[int]:
    """City time from the opening of each incident to its entry into a state, from the timeline."""
    spans = []
    for incident in incidents:
        for entry in incident["timeline"]:
            if entry["kind"] == "state" and f"置为{state_zh}" in entry["text_zh"]:
                spans.append(entry["at_us"] - incident["opened_us"])
                break
    return spans


def _valid(letter: dict[str, Any]) -> bool:
    """Whether a dead letter was a good telemetry message after all."""
    raw = letter.get("raw")
    if not raw:
        return False
    with contextlib.suppress(ValueError):
        body = json.loads(base64.b64decode(raw))
        items = body if isinstance(body, list) else [body]
        return all(isinstance(item, dict) and isinstance(item.get("values"), dict) for item in items)
    return False


if __name__ == "__main__":
    main()
