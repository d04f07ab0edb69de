"""The same frames give the same alarms: however they are cut, wherever the engine restarts, with people acting between."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citybrain_testing.rules_world import STAGE, Recorder, at, builtins, camera, detector, gauge
from rules.engine import EngineState, dump, load, step
from rules.transitions import Transition, fold
from stream.records import ObsBatch, Record, RecordKind, Source, as_batch, observations

LIVE, BACK = int(Source.LIVE), int(Source.LIVE | Source.BACKFILL)
SOURCES = [LIVE, LIVE, LIVE, LIVE, LIVE, BACK, LIVE | int(Source.CLOCK_FAULT), LIVE | int(Source.OVER_RANGE)]
RULES = ("flood.river-stage", "flood.camera-waterlogging", "hazchem.gas", "device.absence")

row = st.fixed_dictionaries(
    {
        "datastream": st.sampled_from([1, 1, 1, 2, 3, 11, 12, 13, 21, 99]),
        "value": st.sampled_from([0.0, 0.7, 0.9, 1.5, 1.9, 2.0, 2.1, 2.9, 3.0, 3.5, 4.2, 5.5, math.nan]),
        "age_s": st.sampled_from([0, 0, 0, 0, 1, 20, 90, 400, 5000]),
        "quality": st.sampled_from([1, 1, 1, 2, 3, 4, 9]),
        "source": st.sampled_from(SOURCES),
    }
)
happening = st.one_of(
    st.tuples(st.just("obs"), st.lists(row, min_size=1, max_size=12)),
    st.tuples(st.just("obs"), st.lists(row, min_size=1, max_size=12)),
    st.tuples(st.just("tick"), st.none()),
    st.tuples(st.just("camera"), st.tuples(st.sampled_from(["waterlogging", "waterlogging_cleared"]), st.floats(0, 1))),
    st.tuples(st.just("resume"), st.sampled_from([50, 4000])),
)
story = st.lists(
    st.tuples(st.sampled_from([1, 5, 30, 61, 200, 700]), happening),
    min_size=3,
    max_size=25,
)


def thresholds(**change: Any) -> dict[str, Any]:
    return {"thresholds": {"stage_m": STAGE | change}}


def told(events: list[tuple[int, tuple[str, Any]]], on_delay_s: float) -> list[Record]:
    """A story as records: registry and rules first; an acknowledge and a threshold change in its middle."""
    log = Recorder()
    delayed = thresholds(on_delay_s=on_delay_s)
    members = [gauge("g1", 1, **delayed), gauge("g2", 2), gauge("g3", 3, gateway="gw"), camera("c1", 21, gateway="gw")]
    log.registry(at(-20), 1, [*members, *(detector(f"d{k}", 10 + k) for k in (1, 2, 3))])
    log.rules(at(-19), *RULES)
    now = 0.0
    for number, (wait, (what, payload)) in enumerate(events):
        now += wait
        if what == "obs":
            log.obs(at(now), *({**r, "p": at(now - r["age_s"])} for r in payload))
        elif what == "tick":
            log.tick(at(now))
        elif what == "camera":
            log.event(at(now), "c1", {"type": payload[0], "confidence": payload[1]})
        else:
            log.resume(at(now + payload), at(now), at(now + payload))
            now += payload
        if number == len(events) // 2:
            log.control(at(now + 0.1), "ack", {"alarm_id": "0" * 16, "comment": "收到"})
            changed = thresholds(on={"blue": 1.0, "orange": 3.2}, off={"blue": 0.8, "orange": 2.9})
            log.registry(at(now + 0.2), 2, [gauge("g1", 1, **changed)])
    log.ticks(now + 1, now + 4000, 97)
    return log.records


def evaluated(records: list[Record], restarts: frozenset[int] = frozenset()) -> list[Transition]:
    state = EngineState()
    found = []
    for number, record in enumerate(records):
        if number in restarts:
            blob = dump(state)
            state = load(blob)
            assert dump(state) == blob
        found += step(state, record)
    return found


def without_positions(transitions: list[Transition]) -> list[dict[str, Any]]:
    plain = builtins(transitions)
    for transition in plain:
        del transition["input_position"], transition["ordinal"]
        for heard in transition["explanation"]["inputs"]:
            del heard["position"]
    return plain  # type: ignore[no-any-return]


def cut(records: list[Record], choose: Any) -> list[Record]:
    """The same rows in other records: each observation record in pieces, with the log time that it had."""
    pieces: list[Record] = []
    for record in records:
        batches = [record.body]
        if record.kind == RecordKind.OBS:
            whole: ObsBatch = as_batch(record)
            at_rows = sorted({0, len(whole), *choose(st.lists(st.integers(0, len(whole)), max_size=3))})
            batches = [observations(whole.slice(a, b)).body for a, b in pairwise(at_rows)]
        for body in batches:
            pieces.append(Record(position=len(pieces) + 1, at_us=record.at_us, kind=record.kind, version=1, body=body))
    return pieces


slow = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(events=story, on_delay_s=st.sampled_from([0, 45]), data=st.data())
def test_frames_cut_into_other_batches_give_the_same_transitions(
    events: list[tuple[int, tuple[str, Any]]], on_delay_s: float, data: st.DataObject
) -> None:
    records = told(events, on_delay_s)
    assert without_positions(evaluated(cut(records, data.draw))) == without_positions(evaluated(records))


@slow
@given(events=story, on_delay_s=st.sampled_from([0, 45]), data=st.data())
def test_a_restart_at_any_point_gives_the_same_transitions_bit_for_bit(
    events: list[tuple[int, tuple[str, Any]]], on_delay_s: float, data: st.DataObject
) -> None:
    records = told(events, on_delay_s)
    restarts = data.draw(st.frozensets(st.integers(0, len(records) - 1), max_size=5))
    assert builtins(evaluated(records, restarts)) == builtins(evaluated(records))


@slow
@given(events=story, on_delay_s=st.sampled_from([0, 45]))
def test_episodes_are_numbered_without_gaps_and_end_once(
    events: list[tuple[int, tuple[str, Any]]], on_delay_s: float
) -> None:
    conditions: dict[str, Any] = {}
    keys = set()
    for transition in evaluated(told(events, on_delay_s)):
        assert transition.key not in keys
        keys.add(transition.key)
        before = conditions.get(transition.alarm_id)
        assert transition.n == (before.n + 1 if before else 1)
        assert before is None or (before.firing and before.colour == transition.colour_before)
        conditions[transition.alarm_id] = fold(before, transition)


@slow
@given(
    colours=st.lists(st.sampled_from([2.5, 3.5, 4.5, 5.5]), min_size=1, max_size=4),
    silence=st.lists(st.sampled_from([1, 60, 600, 40_000]), min_size=1, max_size=30),
    nothing=st.sampled_from(["tick", "missing", "nan"]),
)
def test_missing_data_never_clears(colours: list[float], silence: list[int], nothing: str) -> None:
    log = Recorder()
    log.registry(at(-20), 1, [gauge("g1", 1)])
    log.rules(at(-19), "flood.river-stage")
    now = 0.0
    for value in colours:
        now += 60
        log.obs(at(now), {"datastream": 1, "value": value})
    for wait in silence:
        now += wait
        if nothing == "tick":
            log.tick(at(now))
        else:
            quality = 9 if nothing == "missing" else 1
            log.obs(at(now), {"datastream": 1, "value": 0.0 if quality == 9 else math.nan, "quality": quality})
    kinds = {str(t.kind) for t in evaluated(log.records)}
    assert kinds <= {"raised", "level_up", "no_data_on"}


@slow
@given(
    value=st.sampled_from([2.0, 3.3, 5.0, 1e9]),
    quality=st.sampled_from([1, 2, 3, 4]),
    flags=st.sampled_from([0, Source.CLOCK_FAULT, Source.OVER_RANGE, Source.CRC_ALTERNATIVE, Source.LATE]),
)
def test_no_flag_suppresses_a_rise(value: float, quality: int, flags: int) -> None:
    def colours(row: dict[str, Any]) -> list[str]:
        log = Recorder()
        log.registry(at(-20), 1, [gauge("g1", 1)])
        log.rules(at(-19), "flood.river-stage")
        log.obs(at(0), {"datastream": 1, "value": 1.0})
        log.obs(at(60), row)
        return [t.colour for t in evaluated(log.records)]

    plain = colours({"datastream": 1, "value": value})
    assert colours({"datastream": 1, "value": value, "quality": quality, "source": LIVE | int(flags)}) == plain != []
