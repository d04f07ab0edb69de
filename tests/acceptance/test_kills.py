"""`kill -9` of every process of ours, of the database and of the broker while the demonstration runs.

One system, killed at one place after another with time to recover in between; at last the supervisor itself. A probe
publishes beside the simulated devices and never repeats a record, so that what PUBACK promised can be told from what
`down/ack` promised. The figures stand in test-artifacts/kills.json.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest

from citybrain_testing.outcome import (
    Balance,
    balance,
    family,
    get,
    pages,
    stored_times,
    survivors,
    transition_faults,
    write_artifact,
)
from citybrain_testing.probing import Probe
from citybrain_testing.system import System, wait_for
from citybrain_testing.viewing import Viewer
from rules.transitions import Kind, Transition, decode
from stream.reader import LogReader
from stream.records import RecordKind

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

VICTIMS = ("store", "rules", "command", "ingest", "database", "broker")
RECOVERY_S = 90.0
BETWEEN_S = 4.0
FIRST_TASKS_S = 90.0
ORPHANS_S = 15.0
DRAIN_S = 20.0
FINISH_S = 90.0
EVERYTHING = 1_000_000
# The scenario's own faults: these two devices really fall silent that night.
SILENT_BY_SCRIPT = {"wg-kuqian", "rw-hills"}
ORDER = ("DRAFT", "ISSUED", "DELIVERED", "ACKED", "ACCEPTED", "EN_ROUTE", "ON_SCENE", "IN_PROGRESS", "REPORTED_DONE",
         "VERIFIED", "CLOSED")  # fmt: skip
PROBE = {
    "device_id": "probe-1",
    "model": "water-gauge-v1",
    "kind": "water_gauge",
    "name": "试验水位站",
    "lon": 121.44,
    "lat": 28.68,
    "attributes": {"properties": ["stage_m"]},
    "thresholds": {
        "stage_m": {
            "on": {"blue": 3.0, "yellow": 4.0, "orange": 5.0, "red": 6.0},
            "off": {"blue": 2.8, "yellow": 3.8, "orange": 4.8, "red": 5.8},
            "direction": "rise",
            "source": "测试台账",
        }
    },
}
HIGH_M = 5.5


@dataclass
class Story:
    """What was seen while one after another was killed."""

    recovery_s: dict[str, float] = field(default_factory=dict)
    killed_at_s: dict[str, float] = field(default_factory=dict)
    tasks: list[dict[str, str]] = field(default_factory=list)
    final_tasks: list[dict[str, Any]] = field(default_factory=list)
    alarm_after_kills_s: float = 0.0
    task_after_kills_s: float = 0.0
    transitions: list[Transition] = field(default_factory=list)
    probe_left_us: int = 0
    stored_transitions: dict[str, list[int]] = field(default_factory=dict)
    books: Balance | None = None
    probe_sent: int = 0
    probe_acked: int = 0
    probe_confirmed: int = 0
    lost_confirmed: list[int] = field(default_factory=list)
    lost_acked: list[int] = field(default_factory=list)
    lost_by_victim: dict[str, int] = field(default_factory=dict)
    screen_differs: list[str] = field(default_factory=list)
    viewer: dict[str, Any] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)
    orphans_gone_s: float = 0.0
    kept: dict[str, list[list[str]]] = field(default_factory=dict)
    again_s: float = 0.0


def _city_clock(client: httpx.Client) -> Callable[[], int]:
    """City time from one reading: the clock of a scaled tenant is machine time, multiplied."""
    clock, at_s = get(client, "/api/v1/clock"), time.monotonic()
    return lambda: int(clock["city_us"] + (time.monotonic() - at_s) * clock["rate"] * 1e6)


def _ready_since(system: System, killed_at_s: float) -> bool:
    """/readyz is green on a canary that started after the kill."""
    try:
        answer = httpx.get(f"{system.base_url}/readyz", timeout=5.0)
    except httpx.TransportError:
        return False
    age_s = answer.json()["checks"]["canary"]["age_s"]
    return answer.status_code == httpx.codes.OK and age_s is not None and age_s < time.monotonic() - killed_at_s


def _task_states(client: httpx.Client) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in pages(client, "/api/v1/tasks")}


def _kill_one_after_another(system: System, leader: httpx.Client, story: Story) -> None:
    for victim in VICTIMS:
        story.tasks.append(_task_states(leader))
        pid = system.kill(victim)
        at_s = time.monotonic()
        story.killed_at_s[victim] = at_s
        wait_for(f"{victim} is back", partial(_back, system, victim, pid), RECOVERY_S)
        wait_for(f"/readyz after {victim}", partial(_ready_since, system, at_s), RECOVERY_S)
        story.recovery_s[victim] = round(time.monotonic() - at_s, 1)
        time.sleep(BETWEEN_S)


def _back(system: System, victim: str, pid: int) -> bool:
    status = system.status()[victim]
    return bool(status["state"] == "up" and status["pid"] != pid)


def _log_transitions(system: System) -> list[Transition]:
    with LogReader(system.data_dir / "log") as reader:
        return [decode(record.body) for record in reader.tail(RecordKind.TRANSITION, EVERYTHING)]


def _screen_differences(leader: httpx.Client, viewer: Viewer) -> list[str]:
    """What the screen shows of open alarms and tasks, against what the database says now."""
    shown: dict[tuple[str, str], Any] = {}
    for seen in viewer.events():
        state = seen.data.get("colour") if seen.channel == "alarm" else seen.data.get("state")
        shown[seen.channel, seen.id] = state
    alarms = {a["alarm_id"]: a["colour"] for a in pages(leader, "/api/v1/alarms", state="open")}
    truth = {("alarm", alarm_id): colour for alarm_id, colour in alarms.items()}
    truth |= {("task", task_id): state for task_id, state in _task_states(leader).items()}
    return [f"{what}: {state}, shown {shown.get(what)}" for what, state in truth.items() if shown.get(what) != state]


def _the_loop_still_closes(leader: httpx.Client, probe: Probe, viewer: Viewer, story: Story) -> None:
    """After all kills: the probe's water rises, the alarm reaches the screen, and a task of before or after is finished."""
    closed = {task_id for task_id, state in _task_states(leader).items() if state == "CLOSED"}
    began = time.monotonic()
    probe.values = lambda seq: {"stage_m": HIGH_M}

    def alarmed() -> bool:
        return any(seen.data["device_ids"] == ["probe-1"] for seen in viewer.events("alarm"))

    def finished() -> bool:
        return any(s == "CLOSED" and t not in closed for t, s in _task_states(leader).items())

    wait_for("the probe's alarm is on the screen", alarmed, RECOVERY_S)
    story.alarm_after_kills_s = round(time.monotonic() - began, 1)
    wait_for("a task is finished", finished, FINISH_S, every_s=0.5)
    story.task_after_kills_s = round(time.monotonic() - began, 1)


def _reckon(system: System, leader: httpx.Client, probe: Probe, story: Story) -> None:
    """Observations, alarms and tasks once everything has settled."""
    story.probe_sent, story.probe_acked, story.probe_confirmed = len(probe.sent), len(probe.acked), len(probe.confirmed)
    ledger = system.data_dir / "simulator" / "ledger.jsonl"
    copy = system.data_dir / "ledger-then.jsonl"
    copy.write_bytes(ledger.read_bytes())  # what is confirmed later may not be stored yet
    time.sleep(BETWEEN_S)
    with contextlib.closing(system.login("admin")) as admin:
        stored = stored_times(admin, 0, 2**53)
    story.books = balance(copy, stored)
    there = {at_us // 1000 for at_us in stored["probe-1", "stage_m"]}
    story.lost_confirmed = [seq for seq in sorted(probe.confirmed) if probe.sent[seq] not in there]
    story.lost_acked = [seq for seq in sorted(probe.acked) if probe.sent[seq] not in there]
    for seq in story.lost_acked:
        before = [victim for victim, at_s in story.killed_at_s.items() if probe.acked[seq] <= at_s + RECOVERY_S]
        story.lost_by_victim[before[0]] = story.lost_by_victim.get(before[0], 0) + 1
    for alarm in pages(leader, "/api/v1/alarms", state="all"):
        rows = get(leader, f"/api/v1/alarms/{alarm['alarm_id']}")["transitions"]
        story.stored_transitions[alarm["alarm_id"]] = [row["n"] for row in rows]
    story.transitions = _log_transitions(system)  # after the database: the scenario goes on, and the log is ahead of it
    story.final_tasks = pages(leader, "/api/v1/tasks")


def _kept(system: System) -> dict[str, list[str]]:
    with contextlib.closing(system.login("leader1")) as leader:
        return {
            "alarms": [a["alarm_id"] for a in pages(leader, "/api/v1/alarms", state="all")],
            "incidents": [i["incident_id"] for i in pages(leader, "/api/v1/incidents")],
            "tasks": [t["task_id"] for t in pages(leader, "/api/v1/tasks")],
        }


def _kill_the_supervisor(system: System, story: Story) -> None:
    kept = _kept(system)
    processes = family(system.pid)
    system.kill_supervisor()
    at_s = time.monotonic()
    with contextlib.suppress(AssertionError):
        wait_for("orphans end", lambda: not survivors(processes, system.data_dir), ORPHANS_S)
    story.orphans_gone_s = round(time.monotonic() - at_s, 1)
    story.orphans = survivors(processes, system.data_dir)
    at_s = time.monotonic()
    system.start()
    story.again_s = round(time.monotonic() - at_s, 1)
    after = _kept(system)
    story.kept = {what: [names, after[what]] for what, names in kept.items()}
    with contextlib.closing(system.login("leader1")) as leader:
        wait_for("the devices are back", partial(_devices_online, leader), RECOVERY_S)


def _devices_online(leader: httpx.Client) -> bool:
    """All but the probe, which has left for good, and the scenario's own silent ones."""
    offline = {d["device_id"] for d in pages(leader, "/api/v1/devices") if d["status"] != "online"}
    return offline <= SILENT_BY_SCRIPT | {"probe-1", "canary-1"}


def _tell(system: System, story: Story) -> None:
    with (
        contextlib.closing(system.login("leader1")) as leader,
        contextlib.closing(system.login("admin")) as admin,
        Viewer(lambda: system.live(leader)) as viewer,
    ):
        answer = admin.post("/api/v1/devices", json=PROBE)
        answer.raise_for_status()
        ready = system.ready
        with Probe(
            host=ready["broker_host"],
            port=ready["broker_port"],
            tenant=ready["tenant"],
            device_id="probe-1",
            password=answer.json()["credential"],
            city_us=_city_clock(leader),
        ) as probe:
            wait_for("tasks under way", lambda: "EN_ROUTE" in _task_states(leader).values(), FIRST_TASKS_S)
            _kill_one_after_another(system, leader, story)
            _the_loop_still_closes(leader, probe, viewer, story)
            wait_for("the screen shows what is", lambda: not _screen_differences(leader, viewer), DRAIN_S, every_s=0.5)
            story.probe_left_us = _city_clock(leader)()
        _reckon(system, leader, probe, story)
        story.screen_differs = []
        story.viewer = {
            "connections": viewer.connections,
            "recovered": viewer.recovered,
            "resets": viewer.resets,
            "errors": viewer.errors,
        }


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    system = System(tmp_path_factory.mktemp("kills") / "data", env={"CITYBRAIN_DEV_STACK": ""})
    system.start()
    story = Story()
    try:
        _tell(system, story)
        _kill_the_supervisor(system, story)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{system.logs()}") from error
    finally:
        system.stop()
        facts = {k: v for k, v in asdict(story).items() if k not in ("transitions", "stored_transitions", "tasks")}
        write_artifact("kills.json", facts | {"final_tasks": len(story.final_tasks), "kept": bool(story.kept)})
    return story


def test_everything_comes_back_by_itself(story: Story) -> None:
    assert list(story.recovery_s) == list(VICTIMS)
    assert max(story.recovery_s.values()) < RECOVERY_S


def test_no_acknowledged_observation_is_missing(story: Story) -> None:
    assert story.books is not None
    assert story.books.confirmed > 1_000
    assert (story.books.lost, story.books.duplicates) == (0, 0)
    assert story.lost_confirmed == []


def test_only_the_broker_may_lose_what_it_acknowledged(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    lost, acked, confirmed = len(story.lost_acked), story.probe_acked, story.probe_confirmed
    with capsys.disabled():  # the figure is for whoever runs the tests
        sys.stdout.write(f"\nkills: {lost} PUBACKed-only of {acked} records lost; {confirmed} confirmed, none lost\n")
    assert story.probe_acked > 500
    assert set(story.lost_by_victim) <= {"broker"}


def test_no_alarm_is_raised_twice(story: Story) -> None:
    assert transition_faults(story.transitions) == []
    seen = Counter((t.alarm_id, t.n) for t in story.transitions)
    assert [key for key, count in seen.items() if count > 1] == []


def test_the_database_has_the_transitions_of_the_log(story: Story) -> None:
    numbers: dict[str, list[int]] = {}
    for transition in story.transitions:
        if transition.kind is not Kind.LATE_EXCEEDANCE:
            numbers.setdefault(transition.alarm_id, []).append(transition.n)
    for alarm_id, stored in story.stored_transitions.items():
        assert sorted(stored) == numbers[alarm_id][: len(stored)]


def test_no_task_is_lost_or_doubled_or_goes_back(story: Story) -> None:
    final = {task["task_id"]: task["state"] for task in story.final_tasks}
    for earlier, later in itertools.pairwise([*story.tasks, final]):
        assert set(earlier) <= set(later)
        back = {
            task_id: (state, later[task_id])
            for task_id, state in earlier.items()
            if state in ORDER and later[task_id] in ORDER and ORDER.index(later[task_id]) < ORDER.index(state)
        }
        assert back == {}
    drafted = Counter((t["incident_id"], t["title_zh"], t["place"]) for t in story.final_tasks)
    assert [what for what, count in drafted.items() if count > 1] == []
    assert story.task_after_kills_s > 0


def test_no_storm_of_missing_data_follows_our_own_downtime(story: Story) -> None:
    silent = [
        t
        for t in story.transitions
        if t.at_us < story.probe_left_us
        and ((t.rule_id == "device.absence" and t.kind is Kind.RAISED) or t.kind is Kind.NO_DATA_ON)
    ]
    unexpected = [f"{t.kind} {t.rule_id} {t.subject.id}" for t in silent if not set(t.device_ids) <= SILENT_BY_SCRIPT]
    assert unexpected == []


def test_a_screen_goes_on_after_the_command_centre_died(story: Story) -> None:
    assert story.viewer["connections"] >= 2
    assert story.screen_differs == []


def test_a_killed_supervisor_takes_its_children_along_and_the_next_start_goes_on(story: Story) -> None:
    assert story.orphans == []
    assert story.kept
    for what, (before, after) in story.kept.items():
        assert set(before) <= set(after), what
        assert len(after) == len(set(after)), what
