"""The live picture: what log records and committed changes make of the hub's channels."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from citybrain_testing.api_rim import CITY_US, HandClock, a_registry, a_task, a_unit, an_alarm, an_incident
from command_center.duty.model import (
    Addressee,
    AddresseeKind,
    Called,
    DutyNow,
    Gap,
    Instruction,
    InstructionState,
    Urgency,
)
from command_center.model import Change, Closure, EscalationState, IncidentState, TaskState
from command_center.picture import PictureFollower, past_event
from devices.registry import Datastream, Device, RegistryData, as_data
from gis.hub import EventChannel, Hub, StateChannel
from hazards.bulletins import Bulletin, TrackPoint
from rules.transitions import Explanation, Input, Kind, Subject, Transition, encode
from stream import records as r
from stream.errors import LogTrimmed
from stream.records import ControlBody, EventBody, NewRecord, ObsBatch, Record, RecordKind

S = 1_000_000


class FakeLog:
    """Records in memory, positions from 1, snapshots beside them."""

    def __init__(self, first: int = 1) -> None:
        self.records: list[Record] = []
        self.first = first
        self.snapshots: dict[str, tuple[int, bytes]] = {}

    def append(self, new: NewRecord, at_us: int) -> int:
        position = self.first + len(self.records)
        self.records.append(Record(position=position, at_us=at_us, kind=new.kind, version=1, body=new.body))
        return position

    def read(self, after: int, max_rows: int) -> list[Record]:
        if 0 < after < self.first - 1:
            raise LogTrimmed(after, self.first)
        return [x for x in self.records if x.position > after][:max_rows]

    async def wait_async(self, after: int, timeout_s: float) -> bool:
        return False

    def commit(self, cursor: str, position: int) -> None:
        return None

    def put_snapshot(self, name: str, position: int, blob: bytes) -> bool:
        self.snapshots[name] = (position, blob)
        return True

    def get_snapshot(self, name: str) -> tuple[int, bytes] | None:
        return self.snapshots.get(name)


class Stage:
    """A picture over a fake log; `do` lets it read everything."""

    def __init__(self, log: FakeLog | None = None, clock: HandClock | None = None) -> None:
        self.log = log or FakeLog()
        self.clock = clock or HandClock()
        self.stored: int | None = 10**9
        self.hub = Hub("epoch")
        self.picture = PictureFollower(
            self.log,
            self.hub,
            a_registry(),
            self.log,
            self.clock,
            run_id="run-1",
            stored_position=lambda: self.stored,
            health=lambda: {"broker": {"up": True}},
        )

    def do(self) -> None:
        async def read_all() -> None:
            while await self.picture.step():
                pass

        asyncio.run(read_all())

    def later(self, machine_s: float) -> None:
        self.clock.advance(machine_s)
        self.do()

    def append(self, new: NewRecord) -> int:
        return self.log.append(new, self.clock.city)

    def state(self, name: str) -> dict[str, list[Any]]:
        channel = self.hub.channels[name]
        assert isinstance(channel, StateChannel)
        return {i: msgspec.json.decode(row.data) for i, row in channel.rows.items()}

    def events(self, name: str) -> EventChannel:
        channel = self.hub.channels[name]
        assert isinstance(channel, EventChannel)
        return channel

    def sent(self, name: str) -> list[dict[str, Any]]:
        """All events of the ring, oldest first."""
        view = self.events(name).resume(self.events(name).floor_seq)
        assert view is not None
        return [msgspec.json.decode(m) for m in self.events(name).take(view, 10**9, 10**6)]

    def snapshot(self, name: str) -> dict[str, Any]:
        return {i: msgspec.json.decode(o.data) for i, o in self.events(name).objects.items()}


@pytest.fixture
def stage() -> Stage:
    found = Stage()
    asyncio.run(found.picture.restore())
    return found


def transition(kind: Kind = Kind.RAISED, n: int = 1, colour: str = "orange", **changes: Any) -> Transition:
    found = Transition(
        alarm_id="a" * 16,
        n=n,
        kind=kind,
        input_position=1,
        ordinal=0,
        at_us=CITY_US,
        event_time_us=CITY_US,
        rule_id="flood.river-stage",
        rule_version="1",
        hazard="flood",
        subject=Subject(kind="datastream", id="7", name="一号水位站"),
        colour=colour,
        device_ids=["gauge-1"],
        lon=121.45,
        lat=28.68,
        explanation=Explanation(inputs=[Input(position=1, at_us=CITY_US)], thresholds={}),
    )
    return msgspec.structs.replace(found, **changes)


def log_transition(stage: Stage, found: Transition) -> int:
    return stage.append(NewRecord(kind=RecordKind.TRANSITION, body=encode(found)))


def log_control(stage: Stage, type_: str, data: dict[str, Any], actor: str = "duty1") -> int:
    return stage.append(
        r.control(ControlBody(id=f"{type_}-{len(stage.log.records)}", type=type_, actor=actor, data=data))
    )


def log_obs(stage: Stage, *rows: tuple[int, int, float], source: int = 1) -> int:
    """(datastream, phenomenon_us, result)"""
    columns = {
        "partition": [0] * len(rows),
        "datastream": [row[0] for row in rows],
        "phenomenon_us": [row[1] for row in rows],
        "receive_us": [stage.clock.city] * len(rows),
        "result": [row[2] for row in rows],
        "quality": [1] * len(rows),
        "source": [source] * len(rows),
    }
    return stage.append(r.observations(ObsBatch.from_columns(columns)))


def column(stage: Stage, device_id: str, name: str) -> Any:
    channel = stage.hub.channels["obj/device"]
    assert isinstance(channel, StateChannel)
    return stage.state("obj/device")[device_id][channel.schema.index(name)]


def change(channel: str, data: Any, seq: int = 0, **more: Any) -> Change:
    plain = msgspec.to_builtins(data)
    identifier = more.pop("id", "") or next(iter(plain.values()))
    return Change(
        channel=channel,
        seq=seq,
        at_us=CITY_US,
        kind=more.pop("kind", "upsert"),
        id=identifier,
        rev=plain.get("rev", 0),
        data=plain,
        **more,
    )


# -- devices ---------------------------------------------------------------------------------------------------------


def test_every_registered_device_stands_on_the_map_before_it_was_ever_heard(stage: Stage) -> None:
    stage.do()
    assert column(stage, "gauge-1", "status") == "unknown"
    assert stage.state("obj/device")["gauge-1"][2:4] == [121_450_000, 28_680_000]


def test_a_device_is_online_when_heard_and_without_data_after_three_intervals(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US, 4.2))
    stage.do()
    assert column(stage, "gauge-1", "status") == "online"
    assert column(stage, "gauge-1", "values") == {"stage_m": [4.2, 1, CITY_US]}
    stage.clock.advance(4)  # 240 city seconds at 60x; the interval is 60 s
    stage.append(r.TICK)
    stage.do()
    assert column(stage, "gauge-1", "status") == "no_data"


def test_our_own_downtime_is_not_the_devices_silence(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US, 4.2))
    stage.clock.advance(60)
    stage.append(r.resume(CITY_US, stage.clock.city))
    stage.do()
    assert column(stage, "gauge-1", "status") == "online"


def test_the_last_will_makes_a_device_offline_until_it_speaks_again(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US, 4.2))
    body = EventBody(type="device_state", device_id="gauge-1", receive_us=CITY_US, data={"online": False})
    stage.append(r.event(body))
    stage.do()
    assert column(stage, "gauge-1", "status") == "offline"
    log_obs(stage, (7, CITY_US + S, 4.3))
    stage.later(1)
    assert column(stage, "gauge-1", "status") == "online"


def test_what_a_person_puts_in_is_shown_and_is_no_sign_of_life(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US - S, 4.2), source=int(r.Source.BACKFILL | r.Source.IMPORT))
    told = EventBody(type="device_event", device_id="gauge-1", receive_us=CITY_US, data={"type": "x"}, retold=True)
    stage.append(r.event(told))
    stage.do()
    assert column(stage, "gauge-1", "status") == "unknown"
    assert column(stage, "gauge-1", "values") == {"stage_m": [4.2, 1, CITY_US - S]}


def test_an_older_value_does_not_replace_the_latest(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US, 4.2), (7, CITY_US - S, 1.0))
    log_obs(stage, (7, CITY_US - 2 * S, 2.0))
    stage.do()
    assert stage.picture.latest_of("gauge-1") == {"stage_m": [4.2, 1, CITY_US]}


def test_a_device_shows_the_worst_of_its_open_alarms(stage: Stage) -> None:
    log_transition(stage, transition())
    log_transition(stage, transition(alarm_id="b" * 16, colour="red"))
    stage.do()
    assert column(stage, "gauge-1", "colour") == "red"
    log_transition(stage, transition(Kind.CLEARED, 2, "", alarm_id="b" * 16))
    stage.later(1)
    assert column(stage, "gauge-1", "colour") == "orange"


def test_an_absence_alarm_shows_the_device_without_data(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US, 4.2))
    log_transition(stage, transition(no_data=True))
    stage.do()
    assert column(stage, "gauge-1", "status") == "no_data"


def test_a_device_that_leaves_the_registry_leaves_the_map(stage: Stage) -> None:
    stage.do()
    new = Device(device_id="g2", model="m", kind="water_gauge", name="二号", lon=121.0, lat=28.0)
    log_control(stage, "registry", as_data(2, [new], [], ["gauge-1"]))
    stage.later(1)
    assert set(stage.state("obj/device")) == {"cam-1", "g2"}


def test_our_own_probe_is_on_no_map_but_its_beat_is_seen() -> None:
    stage = Stage()
    probe = Device(device_id="canary", model="canary-v1", kind="canary", name="probe", lon=121.0, lat=28.0)
    beat = Datastream(datastream=99, device_id="canary", property="beat", uom="1")
    data = RegistryData(revision=2, devices=[probe], datastreams=[beat])
    log_control(stage, "registry", msgspec.to_builtins(data))
    stage.do()
    log_obs(stage, (99, CITY_US, 1.0))
    stage.do()
    assert stage.picture.latest_of("canary")["beat"][0] == 1.0
    assert "canary" not in stage.state("obj/device")


# -- alarms ----------------------------------------------------------------------------------------------------------


def test_an_alarm_is_sent_with_its_log_position_and_stays_in_the_snapshot(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US, 4.2))
    position = log_transition(stage, transition())
    stage.do()
    (event,) = stage.sent("alarm")
    assert (event["seq"], event["kind"], event["data"]["colour"]) == (position, "raised", "orange")
    assert event["data"]["stored"] is True
    assert list(stage.snapshot("alarm")) == ["a" * 16]


def test_a_cleared_alarm_waits_for_its_acknowledgement(stage: Stage) -> None:
    log_transition(stage, transition())
    log_transition(stage, transition(Kind.CLEARED, 2, ""))
    stage.do()
    assert stage.snapshot("alarm")["a" * 16]["state"] == "cleared"
    log_control(stage, "ack", {"alarm_id": "a" * 16, "comment": "收到"})
    stage.do()
    assert stage.sent("alarm")[-1]["kind"] == "ack"
    assert stage.sent("alarm")[-1]["data"]["acked"]["by"] == "duty1"
    assert stage.snapshot("alarm") == {}


def test_a_rise_takes_the_acknowledgement_back(stage: Stage) -> None:
    log_transition(stage, transition())
    log_control(stage, "ack", {"alarm_id": "a" * 16})
    log_transition(stage, transition(Kind.LEVEL_UP, 2, "red"))
    stage.do()
    assert stage.snapshot("alarm")["a" * 16]["acked"] is None


def test_a_late_exceedance_is_an_event_and_no_open_alarm(stage: Stage) -> None:
    log_transition(stage, transition(Kind.LATE_EXCEEDANCE))
    stage.do()
    assert stage.sent("alarm")[0]["data"]["state"] == "cleared"
    assert stage.snapshot("alarm") == {}
    assert stage.picture.open_alarms() == []


def test_without_the_database_an_alarm_is_marked_and_the_mark_is_taken_back(stage: Stage) -> None:
    stage.stored = None
    position = log_transition(stage, transition())
    stage.do()
    stage.later(4)
    assert stage.snapshot("alarm")["a" * 16]["stored"] is False
    assert stage.state("kpi/board")["unstored"][2] == 1
    assert stage.state("kpi/board")["database"][2] == {"up": False}
    log_transition(stage, transition(alarm_id="b" * 16))
    stage.later(1)
    assert stage.snapshot("alarm")["b" * 16]["stored"] is False, (
        "while it is known to be down, new alarms are marked at once"
    )
    stage.stored = position + 1
    stage.later(1)
    assert stage.sent("alarm")[-1]["kind"] == "stored"
    assert {a["stored"] for a in stage.snapshot("alarm").values()} == {True}


def test_an_escalation_comes_from_the_database_side_and_does_not_undo_the_log(stage: Stage) -> None:
    log_transition(stage, transition())
    log_control(stage, "ack", {"alarm_id": "a" * 16})
    stage.do()
    stored = an_alarm(escalation=EscalationState(step=1, to="leader1"), incident_id="I-1")
    stage.picture.on_change(change("alarm_side", stored))
    stage.picture.on_change(change("alarm_side", stored))
    event = stage.sent("alarm")[-1]
    assert (event["kind"], event["data"]["incident_id"]) == ("link", "I-1")
    assert event["data"]["escalation"]["to"] == "leader1"
    assert event["data"]["acked"]["by"] == "duty1"
    assert len(stage.sent("alarm")) == 3


def test_a_cleared_alarm_that_nobody_acknowledged_leaves_after_a_day(stage: Stage) -> None:
    log_transition(stage, transition())
    log_transition(stage, transition(Kind.CLEARED, 2, ""))
    stage.do()
    stage.clock.advance(24 * 60 + 10)
    stage.append(r.TICK)
    stage.do()
    assert stage.snapshot("alarm") == {}


# -- the command centre's side ---------------------------------------------------------------------------------------


def test_incidents_tasks_units_and_closures_follow_the_commits(stage: Stage) -> None:
    picture = stage.picture
    picture.on_change(change("incident", an_incident(), 5, kind="opened"))
    picture.on_change(change("task", a_task(), 6, kind="issued"))
    picture.on_change(change("unit", a_unit(speed_ms=3.5, heading=90.0)))
    closure = Closure(
        closure_id="C1",
        edges=["r1"],
        reason="积水",
        lon=121.4,
        lat=28.6,
        depth_m=None,
        since_us=CITY_US,
        expires_us=None,
        author="duty1",
    )
    picture.on_change(change("closure", closure))
    assert stage.snapshot("incident")["I-20190809-001"]["state"] == "VERIFYING"
    assert stage.events("task").objects["I-20190809-001-T01"].owner == "unit-1"
    assert stage.state("obj/unit")["unit-1"][4:7] == [90.0, 350, "IN_QTRS"]
    assert stage.state("obj/closure")["C1"][4:6] == ["积水", None]
    picture.on_change(change("closure", closure, removed=True))
    picture.on_change(change("task", a_task(state=TaskState.CLOSED), 7))
    picture.on_change(change("incident", an_incident(state=IncidentState.ARCHIVED), 8))
    assert (stage.snapshot("incident"), stage.snapshot("task"), stage.state("obj/closure")) == ({}, {}, {})


def test_a_draft_belongs_to_nobody(stage: Stage) -> None:
    assert past_event(change("task", a_task(state=TaskState.DRAFT), 6)).owner == ""
    assert past_event(change("task", a_task(), 6)).owner == "unit-1"
    assert past_event(change("incident", an_incident(), 6)).owner == ""
    stage.picture.on_change(change("task", a_task(state=TaskState.DRAFT), 6))
    assert stage.events("task").objects["I-20190809-001-T01"].owner == ""


def test_what_the_database_holds_replaces_what_is_older_and_keeps_what_is_newer(stage: Stage) -> None:
    picture = stage.picture
    picture.on_change(change("task", a_task(rev=5, state=TaskState.ACCEPTED), 9))
    picture.on_change(change("task", a_task("gone", rev=1), 10))
    picture.load_domain(8, [an_incident()], [a_task(rev=4)], [a_unit()], [])
    assert {i: t["state"] for i, t in stage.snapshot("task").items()} == {"I-20190809-001-T01": "ACCEPTED"}
    assert list(stage.snapshot("incident")) == ["I-20190809-001"]


def test_the_typhoon_stands_where_its_newest_bulletin_saw_it(stage: Stage) -> None:
    def bulletin(number: int, lon: float) -> dict[str, Any]:
        track = [
            TrackPoint(time_us=CITY_US, lon=lon, lat=27.0, wind_ms=50.0, pressure_hpa=935.0),
            TrackPoint(time_us=CITY_US + S, lon=lon - 1, lat=28.0, wind_ms=45.0, analysis=False),
        ]
        found = Bulletin(
            bulletin_id=f"b{number}",
            storm_id="1909",
            number=number,
            issuer="CMA",
            issued_us=CITY_US + number,
            name_zh="利奇马",
            name_en="Lekima",
            averaging_s=120,
            track=track,
        )
        return {"bulletin": msgspec.to_builtins(found)}

    log_control(stage, "bulletin", bulletin(2, 123.0), "met")
    log_control(stage, "bulletin", bulletin(1, 125.0), "met")
    stage.do()
    row = stage.state("obj/typhoon")["1909"]
    assert row[2:7] == [123_000_000, 27_000_000, "利奇马", "Lekima", 50.0]
    assert row[-1][1] == [CITY_US + S, 122_000_000, 28_000_000, 45.0, 0]


def test_a_banner_stands_until_it_is_taken_back(stage: Stage) -> None:
    stage.picture.banner("rules", "child_down", active=False)
    stage.picture.banner("rules", "child_down", active=True, zh="规则进程停止", en="rules is down")
    stage.picture.banner("rules", "child_down", active=True, zh="规则进程停止", en="rules is down")
    assert stage.snapshot("sys")["rules"]["text_zh"] == "规则进程停止"
    stage.picture.banner("rules", "child_down", active=False)
    assert stage.snapshot("sys") == {}
    assert len(stage.sent("sys")) == 2


def test_the_board_counts_and_tells_the_age_of_the_data_in_machine_time(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US, 4.2))
    stage.do()
    stage.later(3)
    board = {name: row[2] for name, row in stage.state("kpi/board").items()}
    assert board["link"]["age_s"] == 3.0
    assert board["clock"] == {"city_us": stage.clock.city, "rate": 60.0, "kind": "scaled"}
    assert board["devices_online"] == {"online": 1, "offline": 0, "no_data": 0, "unknown": 1, "total": 2}
    assert board["broker"] == {"up": True}


# -- restart ---------------------------------------------------------------------------------------------------------


def channels_of(stage: Stage) -> dict[str, Any]:
    """What a new screen would see, without versions and without the ages that pass."""
    found: dict[str, Any] = {
        name: {i: row[2:] for i, row in stage.state(name).items()}
        for name in ("obj/device", "obj/unit", "obj/closure", "obj/typhoon")
    }
    return found | {name: stage.snapshot(name) for name in ("alarm", "incident", "task")}


def test_a_restart_shows_the_same_picture_without_a_database(stage: Stage) -> None:
    log_obs(stage, (7, CITY_US, 4.2))
    log_transition(stage, transition())
    stage.do()
    stage.picture.on_change(change("task", a_task(), 6))
    stage.picture.on_change(change("unit", a_unit()))
    asyncio.run(stage.picture.save())
    log_control(stage, "ack", {"alarm_id": "a" * 16})
    stage.later(1)

    again = Stage(stage.log, stage.clock)
    again.stored = None
    assert asyncio.run(again.picture.restore())
    again.do()
    assert channels_of(again) == channels_of(stage)
    since = again.events("alarm").resume(2)
    assert since is not None, "a screen that saw everything up to the snapshot resumes"
    assert [m["seq"] for m in map(msgspec.json.decode, again.events("alarm").take(since, 10**6, 100))] == [3]
    assert again.events("alarm").epoch == stage.events("alarm").epoch


def test_a_snapshot_that_cannot_be_read_is_left_alone(stage: Stage) -> None:
    stage.log.put_snapshot("picture", 5, b"\xff not msgpack")
    again = Stage(stage.log)
    assert asyncio.run(again.picture.restore()) is False
    again.do()


def test_a_picture_older_than_the_log_goes_on_with_what_is_kept() -> None:
    stage = Stage(FakeLog(first=1_000))
    stage.picture.position = 5
    position = log_transition(stage, transition())
    stage.do()
    assert stage.picture.position == position


def test_a_record_that_cannot_be_read_is_left_out_and_the_rest_goes_on(stage: Stage) -> None:
    stage.append(NewRecord(kind=RecordKind.TRANSITION, body=b"{broken"))
    stage.append(NewRecord(kind=RecordKind.CONTROL, body=b'{"id":"1","type":"bulletin","actor":"x","data":{}}'))
    log_transition(stage, transition())
    stage.do()
    assert len(stage.sent("alarm")) == 1


def test_the_active_rules_are_those_of_the_last_activation_and_survive_a_restart() -> None:
    row = {
        "rule_id": "flood.river-stage",
        "version": "1",
        "document": {},
        "author": "a",
        "approver": "b",
        "source": "s",
    }
    stage = Stage()

    def control(identifier: str, data: dict[str, Any]) -> None:
        stage.log.append(r.control(ControlBody(id=identifier, type="rules", actor="a", data=data)), CITY_US)

    control("1", {"activate": [row, {**row, "rule_id": "wind.gust"}], "retire": []})
    control("2", {"activate": [{**row, "version": "2"}], "retire": ["wind.gust"]})
    asyncio.run(_step_and_save(stage))
    again = Stage(stage.log)
    asyncio.run(again.picture.restore())
    for picture in (stage.picture, again.picture):
        assert [(x["rule_id"], x["version"], x["position"]) for x in picture.active_rules()] == [
            ("flood.river-stage", "2", 2)
        ]


async def _step_and_save(stage: Stage) -> None:
    await stage.picture.step()
    await stage.picture.save()


# --- duty


def an_instruction(**changes: Any) -> Instruction:
    found = Instruction(
        instruction_id="P-2019-001",
        text="立即排查",
        urgency=Urgency.URGENT,
        urgency_zh="特急",
        issued_by="leader1",
        issued_us=CITY_US,
        due_us=None,
        incident_id="",
        area="",
        state=InstructionState.ISSUED,
        state_zh="下达",
        open=True,
        changed_us=CITY_US,
        rev=1,
        addressees=[Addressee(n=1, kind=AddresseeKind.UNIT, id="unit-1")],
    )
    return msgspec.structs.replace(found, **changes)


def on_duty(*gaps: Gap) -> DutyNow:
    officer = Called(step=0, post="duty_officer", post_zh="值班员", username="duty1", name="林晓", phone="138****0001")
    return DutyNow(at_us=CITY_US, on_duty=[officer], gaps=list(gaps), late_handovers=[], last_resort=False)


def test_an_instruction_is_live_until_it_is_closed_and_belongs_to_its_only_unit(stage: Stage) -> None:
    stage.picture.on_change(change("instruction", an_instruction(), 5))
    assert stage.sent("instruction")[-1]["data"]["instruction_id"] == "P-2019-001"
    assert stage.events("instruction").objects["P-2019-001"].owner == "unit-1"
    desk = Addressee(n=2, kind=AddresseeKind.USER, id="duty1")
    both = an_instruction(addressees=[*an_instruction().addressees, desk])
    assert past_event(change("instruction", both, 6)).owner == ""  # what others were told is not the unit's to see
    assert past_event(change("instruction", an_instruction(), 6)).owner == "unit-1"
    stage.picture.on_change(change("instruction", an_instruction(rev=2, open=False), 6))
    assert stage.snapshot("instruction") == {}


def test_a_post_that_nobody_holds_is_a_banner_until_somebody_does(stage: Stage) -> None:
    gap = Gap(
        post="duty_officer",
        zh="值班员",
        en="Duty officer",
        area="",
        from_us=1,
        to_us=2,
        text_zh="值班员无人在岗",
        text_en="No one on duty",
    )
    stage.picture.on_change(change("duty", on_duty(gap)))
    assert stage.snapshot("sys")["duty_gap"]["text_zh"] == "值班员无人在岗"
    assert stage.picture.banners() == [
        {"id": "duty_gap", "kind": "duty_gap", "text_zh": "值班员无人在岗", "text_en": "No one on duty"}
    ]
    stage.picture.put_board()
    row = stage.state("kpi/board")["duty"]
    assert row[2]["gaps"][0]["post"] == "duty_officer"
    assert "at_us" not in row[2]  # looking again is no news
    stage.picture.on_change(change("duty", on_duty()))
    assert stage.snapshot("sys") == {}
    stage.picture.put_board()
    assert stage.state("kpi/board")["duty"][2]["on_duty"][0]["username"] == "duty1"


def test_who_is_on_duty_and_what_was_instructed_survive_a_restart_without_the_database(stage: Stage) -> None:
    stage.picture.on_change(change("instruction", an_instruction(), 5))
    stage.picture.on_change(change("duty", on_duty()))
    asyncio.run(stage.picture.save())
    again = Stage(log=stage.log, clock=stage.clock)
    assert asyncio.run(again.picture.restore())
    again.picture.put_board()
    assert again.state("kpi/board")["duty"][2]["on_duty"][0]["name"] == "林晓"
    assert list(again.snapshot("instruction")) == ["P-2019-001"]
    again.picture.load_instructions(9, [an_instruction(instruction_id="P-2019-002")])
    assert list(again.snapshot("instruction")) == ["P-2019-002"]
    assert again.events("instruction").seq == 9
