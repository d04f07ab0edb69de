"""A change of the register costs what it is about: the rules look at those devices alone, and come to what a look at all says."""

from __future__ import annotations

import random
from typing import Any

import pytest

from citybrain_testing.rules_world import STAGE, Member, Recorder, at, builtins, camera, detector, gauge
from rules import engine
from rules.engine import EngineState, dump, load, step
from stream.records import Record

RULES = ("flood.river-stage", "flood.camera-waterlogging", "hazchem.gas", "device.absence")
ON = {"blue": 1.0, "orange": 3.2}
OFF = {"blue": 0.8, "orange": 2.9}


def any_member(rng: random.Random) -> Member:
    k = rng.randrange(1, 6)
    change: dict[str, Any] = {"enabled": rng.random() > 0.2, "name": rng.choice(["东", "西"])}
    kind = rng.random()
    if kind < 0.6:
        if rng.random() < 0.5:
            change["thresholds"] = {"stage_m": STAGE | {"on": ON, "off": OFF} if rng.random() < 0.7 else {"on": 3}}
        if rng.random() < 0.3:
            change["attributes"] = {"maintenance": {"author": "x", "until_us": at(rng.randrange(0, 3000))}}
        return gauge(f"g{k}", k, gateway=rng.choice(["", "gw"]), **change)
    if kind < 0.85:
        return detector(f"d{k}", 10 + k, group=rng.choice(["park", "port"]), **change)
    return camera(f"c{k}", 20 + k, **change)


def story(rng: random.Random) -> list[Record]:
    log = Recorder()
    log.registry(at(-20), 1, [gauge("g1", 1), gauge("g2", 2), detector("d1", 11), detector("d2", 12), camera("c1", 21)])
    log.rules(at(-19), *RULES)
    now, revision = 0.0, 1
    for _ in range(40):
        now += rng.choice([1, 5, 30, 61, 200])
        what = rng.random()
        if what < 0.45:
            rows = [{"datastream": rng.choice([1, 2, 3, 11, 12, 13, 21]), "value": rng.choice([0.5, 1.5, 3.4, 4.2])}]
            log.obs(at(now), *rows)
        elif what < 0.55:
            log.event(at(now), "c1", {"type": rng.choice(["waterlogging", "waterlogging_cleared"]), "confidence": 0.9})
        elif what < 0.65:
            log.tick(at(now))
        else:
            revision += 1
            members = {m[0].device_id: m for m in (any_member(rng) for _ in range(rng.randrange(0, 3)))}
            gone = [f"{rng.choice('gd')}{rng.randrange(1, 6)}"] if rng.random() < 0.3 else []
            log.registry(at(now), revision, members.values(), gone)
    log.ticks(now + 1, now + 2000, 97)
    return log.records


def told(records: list[Record]) -> tuple[list[Any], bytes]:
    state, found = EngineState(), []
    for number, record in enumerate(records):
        if number == len(records) // 2:
            state = load(dump(state))
        found += [builtins(t) for t in step(state, record)]
    return found, dump(state)


@pytest.mark.parametrize("seed", range(30))
def test_looking_at_the_devices_of_a_change_says_what_looking_at_all_says(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = story(random.Random(seed))
    few, kept = told(records)
    monkeypatch.setattr(engine, "touched", lambda data: None)
    everything, whole = told(records)
    assert few == everything
    assert kept == whole
    assert few, "a story in which nothing happens proves nothing"
