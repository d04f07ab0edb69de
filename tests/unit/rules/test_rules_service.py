"""The service around the engine: what is in the log is not said again, what is missing is, and a lost log is loud."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from citybrain_testing.rules_world import STAGE, Recorder, at, detector, gauge
from rules.engine import EngineState, StateUnreadable, dump, load, step, step_all
from rules.explain import explain
from rules.service import SNAPSHOT, RulesService
from rules.transitions import Transition, decode
from stream.errors import LogBusy
from stream.records import Appended, NewRecord, Record, RecordKind


class Clock:
    kind = "stepped"
    rate = 0.0

    def __init__(self) -> None:
        self.ns = 0

    def city_us(self) -> int:
        return at(0)

    def machine_ns(self) -> int:
        self.ns += 1_000_000
        return self.ns

    def machine_us(self) -> int:
        return self.ns // 1000


class MemoryLog:
    """Reader and appender over one list, with keys as the real log has them."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records: list[Record] = []
        self.keys: dict[str, int] = {}
        self.snapshots: dict[str, tuple[int, bytes]] = {}
        self.full = False
        self.committed: dict[str, int] = {}
        self.appends = 0
        self.busy = 0
        for record in records:
            self.put(record.kind, record.body, record.at_us)

    def put(self, kind: RecordKind, body: bytes, at_us: int | None = None) -> int:
        last = self.records[-1].at_us if self.records else at(-100)
        position = len(self.records) + 1
        self.records.append(
            Record(position=position, at_us=at_us if at_us is not None else last, kind=kind, version=1, body=body)
        )
        return position

    def head(self) -> int:
        return len(self.records)

    def read(self, after: int, max_rows: int) -> list[Record]:
        return self.records[after : after + max_rows]

    async def wait_async(self, after: int, timeout_s: float) -> bool:
        await asyncio.sleep(0)
        return self.head() > after

    def commit(self, cursor: str, position: int) -> None:
        self.committed[cursor] = position

    def put_snapshot(self, name: str, position: int, blob: bytes) -> bool:
        if self.full:
            return False
        self.snapshots[name] = (position, blob)
        return True

    def get_snapshot(self, name: str) -> tuple[int, bytes] | None:
        return self.snapshots.get(name)

    async def append(self, items: Sequence[NewRecord]) -> list[Appended]:
        if self.busy:
            self.busy -= 1
            raise LogBusy(1, 1)
        self.appends += len(items)
        answers = []
        for item in items:
            assert item.key is not None
            known = self.keys.get(item.key)
            position = known if known is not None else self.put(item.kind, item.body)
            self.keys[item.key] = position
            answers.append(Appended(position=position, at_us=0, duplicate=known is not None))
        return answers

    def transitions(self) -> list[Transition]:
        return [decode(record.body) for record in self.records if record.kind == RecordKind.TRANSITION]


def night() -> list[Record]:
    log = Recorder()
    log.registry(at(-10), 1, [gauge("g1", 1), gauge("g2", 2), detector("d1", 11), detector("d2", 12)])
    log.rules(at(-9), "flood.river-stage", "hazchem.gas", "device.absence")
    for minute in range(30):
        value = 1.5 + minute * 0.15
        log.obs(at(minute * 60), *({"datastream": n, "value": value} for n in (1, 2, 11, 12)))
        log.tick(at(minute * 60 + 30))
    return log.records


async def drained(log: MemoryLog, service: RulesService) -> None:
    """Run until every input that the log has is stepped, then stop."""
    task = asyncio.create_task(service.run())
    inputs = max(record.position for record in log.records if record.kind != RecordKind.TRANSITION)
    while service.state.position < inputs and not task.done():
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_transitions_are_appended_once_in_order_and_kept_in_a_snapshot() -> None:
    log = MemoryLog(night())
    expected = step_all(EngineState(), log.records)
    asyncio.run(drained(log, RulesService(log, log, Clock())))
    assert log.transitions() == expected
    assert {str(t.rule_id) for t in expected} >= {"flood.river-stage", "hazchem.gas"}
    position, blob = log.snapshots[SNAPSHOT]
    assert load(blob).position == position == log.committed[SNAPSHOT]


def test_a_snapshot_that_the_disk_does_not_take_stops_no_rule_and_holds_the_log() -> None:
    log = MemoryLog(night())
    expected = step_all(EngineState(), log.records)
    log.full = True
    asyncio.run(drained(log, RulesService(log, log, Clock())))
    assert log.transitions() == expected
    assert (log.snapshots, SNAPSHOT in log.committed) == ({}, False)


def test_a_restart_appends_only_what_is_missing() -> None:
    whole = MemoryLog(night())
    asyncio.run(drained(whole, RulesService(whole, whole, Clock())))
    expected = [t.key for t in whole.transitions()]
    for kept in (0, 1, 4, len(expected)):
        log = MemoryLog(night())
        for transition in whole.transitions()[:kept]:
            record = next(r for r in whole.records if r.position == whole.keys[transition.key])
            log.keys[transition.key] = log.put(record.kind, record.body)
        service = RulesService(log, log, Clock())
        asyncio.run(drained(log, service))
        assert [t.key for t in log.transitions()] == expected
        assert (service.mismatches, log.appends) == (0, len(expected) - kept)


def test_a_second_run_from_the_snapshot_says_nothing_again() -> None:
    log = MemoryLog(night())
    asyncio.run(drained(log, RulesService(log, log, Clock())))
    before = log.appends
    service = RulesService(log, log, Clock())
    asyncio.run(drained(log, service))
    assert (log.appends, service.mismatches) == (before, 0)


def test_an_append_that_the_log_refuses_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rules.service.APPEND_BACK_OFF_S", (0.0,))
    log = MemoryLog(night())
    log.busy = 3
    asyncio.run(drained(log, RulesService(log, log, Clock())))
    assert log.transitions() == step_all(EngineState(), [r for r in log.records if r.kind != RecordKind.TRANSITION])


def test_a_transition_in_the_log_that_replay_does_not_say_is_counted() -> None:
    log = MemoryLog(night())
    asyncio.run(drained(log, RulesService(log, log, Clock())))
    log.snapshots.clear()
    position = next(p for p, r in enumerate(log.records) if r.kind == RecordKind.TRANSITION)
    body = log.records[position].body.replace(b'"yellow"', b'"red"', 1)
    log.records[position] = Record(
        position=position + 1, at_us=log.records[position].at_us, kind=RecordKind.TRANSITION, version=1, body=body
    )
    service = RulesService(log, log, Clock())
    asyncio.run(drained(log, service))
    assert service.mismatches == 1


def test_a_log_that_ends_before_the_snapshot_is_stepped_from_its_beginning() -> None:
    log = MemoryLog(night())
    state = EngineState()
    state.position = 10_000
    log.snapshots[SNAPSHOT] = (10_000, dump(state))
    asyncio.run(drained(log, RulesService(log, log, Clock())))
    assert log.transitions()


def test_a_damaged_snapshot_is_refused() -> None:
    blob = dump(EngineState())
    for wrong in (b"", b"12345678", blob[:-3], blob[:8] + b"\0" * 50):
        with pytest.raises(StateUnreadable):
            load(wrong)


def test_an_alarm_is_proven_from_the_log_and_a_changed_one_is_not() -> None:
    log = MemoryLog(night())
    asyncio.run(drained(log, RulesService(log, log, Clock())))
    alarm = [t for t in log.transitions() if t.alarm_id == log.transitions()[0].alarm_id]
    assert explain(alarm, log).proven
    other = [msgspec.structs.replace(alarm[0], value=9.9), *alarm[1:]]
    assert not explain(other, log).proven


def test_an_alarm_is_proven_from_a_snapshot_taken_before_it() -> None:
    records = night()
    state = EngineState()
    for record in records[:3]:
        step(state, record)
    blob = dump(state)
    found = [t for record in records[3:] for t in step(state, record)]
    log = MemoryLog(records)
    alarm = [t for t in found if t.alarm_id == found[0].alarm_id]
    proof = explain(alarm, log, snapshot=blob)
    assert proof.proven
    assert proof.from_position == 3


def test_rules_know_their_thresholds_in_the_explanation() -> None:
    found = [t for t in step_all(EngineState(), night()) if t.rule_id == "flood.river-stage"]
    assert found[0].explanation.thresholds["on"] == STAGE["on"]
