"""Vehicles with hazardous goods (JT/T 808): positions under the city's names, whose code is believed, alarms told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import events_of, registry_of, rows_of
from devices.codecs import jt808
from devices.codecs.jt808 import AGAIN_US, AUTH, BATCH, HEARTBEAT, LOCATION, REGISTER, Jt808Decoder, encode, open_frame
from devices.codecs.station import Report
from devices.models import load_models
from devices.registry import Datastream, Device, Registry
from devices.stations import sealed, session_code
from ingest.message import Message
from ingest.pipeline import Link, Outcome, Pipeline
from ingest.recall import Recall
from stream.records import EventBody, Record, Source

NOW = LEKIMA_US
PHONE, OTHER, OPEN = "013306139197", "013306139198", "013306139199"
TERMINAL = "ABC1234"  # the terminal ID is the password
FIXED = 0b10


def vehicle(device_id: str, phone: str, **station: Any) -> Device:
    return sealed(
        Device(
            device_id=device_id,
            model="hazmat-vehicle-v1",
            kind="hazmat_vehicle",
            name=device_id,
            lon=121.4,
            lat=28.7,
            gateway="gw",
            attributes={"stations": {"jt808": {"station": phone, **station}}},
        )
    )


DEVICES = [
    vehicle("truck", PHONE, password=TERMINAL),
    vehicle("tanker", OTHER, password="XYZ9876"),
    vehicle("open", OPEN),
    Device(device_id="gw", model="gateway-v1", kind="gateway", name="gw", lon=121.4, lat=28.7),
]


def registry() -> Registry:
    keys = [(d, p) for d in ("truck", "tanker") for p in ("lon", "lat", "speed_km_h", "direction_deg")]
    streams = [
        Datastream(datastream=n, device_id=device, property=key, uom="deg") for n, (device, key) in enumerate(keys, 1)
    ]
    return registry_of(DEVICES, streams)


def pipeline() -> Pipeline:
    return Pipeline("demo", registry(), load_models())


def position(
    at_us: int = NOW, *, alarm: int = 0, status: int = FIXED, lat: float = 28.68, lon: float = 121.44
) -> bytes:
    """Body of 0200: 36.6 km/h towards 198 degrees."""
    numbers = (alarm, 4), (status, 4), (round(lat * 1e6), 4), (round(lon * 1e6), 4), (32, 2), (366, 2), (198, 2)
    at = datetime.fromtimestamp(at_us / 1e6, UTC) + timedelta(hours=8)
    return b"".join(number.to_bytes(size) for number, size in numbers) + bytes.fromhex(at.strftime("%y%m%d%H%M%S"))


def registration(terminal: str = TERMINAL) -> bytes:
    return bytes(4) + b"maker" + b"model".ljust(20, b"\0") + terminal.encode().ljust(7, b"\0") + b"\x01" + b"A12345"


def batch(*positions: bytes, kind: int) -> bytes:
    return len(positions).to_bytes(2) + bytes([kind]) + b"".join(len(p).to_bytes(2) + p for p in positions)


def frame(message_id: int, body: bytes = b"", phone: str = PHONE, serial: int = 7) -> bytes:
    return encode(message_id, phone, serial, body)


def send(
    payload: bytes, device: str = "truck", *, to: Pipeline | None = None, at_us: int = NOW, **more: Any
) -> Outcome:
    topic = f"cb/v1/demo/{device}/up/raw/jt808"
    message = Message(topic=topic, payload=payload, packet_id=9, receive_us=at_us, **more)
    return (to or pipeline()).process([message], Link(machine_s=100.0))


def records(outcome: Outcome) -> list[Record]:
    return [
        Record(position=n, at_us=NOW + n, kind=new.kind, version=1, body=new.body)
        for n, new in enumerate(outcome.records)
    ]


def events(outcome: Outcome, kind: str) -> list[EventBody]:
    return events_of(records(outcome), kind)


def answer(outcome: Outcome) -> tuple[int, bytes]:
    (reply,) = outcome.replies
    got = open_frame(reply.payload)
    return got.message_id, got.body


def reason(outcome: Outcome) -> str:
    (letter,) = events(outcome, "dead_letter")
    return str(letter.data["reason"])


def told(outcome: Outcome) -> list[str]:
    return [event.data["type"] for event in events(outcome, "device_event")]


def test_a_position_becomes_four_series_and_is_answered() -> None:
    outcome = send(frame(LOCATION, position()))
    rows = [(row["datastream"], row["result"], row["phenomenon_us"]) for row in rows_of(records(outcome))]
    at = NOW // 1_000_000 * 1_000_000
    assert sorted(rows) == [(1, 121.44, at), (2, 28.68, at), (3, 36.6, at), (4, 198.0, at)]
    assert answer(outcome) == (0x8001, bytes.fromhex("0007 0200 00"))
    assert events(outcome, "ingest_note") == [], "what the model ignores is no note"


def test_a_heartbeat_is_answered_and_nothing_else() -> None:
    outcome = send(frame(HEARTBEAT))
    assert answer(outcome) == (0x8001, bytes.fromhex("0007 0002 00"))
    assert outcome.records == []


def test_a_position_without_a_fix_is_bad_and_kept() -> None:
    quality = {row["datastream"]: row["quality"] for row in rows_of(records(send(frame(LOCATION, position(status=0)))))}
    assert quality == {1: 4, 2: 4, 3: 1, 4: 1}


@pytest.mark.parametrize(("kind", "backfill"), [(0, False), (1, True)])
def test_a_batch_is_backfill_by_its_kind(kind: int, backfill: bool) -> None:
    body = batch(position(NOW - 20_000_000), position(NOW - 10_000_000, lat=28.69), kind=kind)
    rows = rows_of(records(send(frame(BATCH, body))))
    latest = {row["source"] & int(Source.BACKFILL) > 0 for row in rows if row["result"] == 28.69}
    assert (len(rows), latest) == (8, {backfill})


def test_a_registration_gets_a_code_that_its_login_has_to_show() -> None:
    to = pipeline()
    code = session_code(DEVICES[0], "jt808")
    assert answer(send(frame(REGISTER, registration()), to=to)) == (0x8100, b"\0\7\0" + code.encode())
    assert answer(send(frame(AUTH, code.encode()), to=to)) == (0x8001, bytes.fromhex("0007 0102 00"))
    assert len(code) == 20
    assert code != session_code(DEVICES[1], "jt808")


def test_the_password_itself_is_a_code_too() -> None:
    assert answer(send(frame(AUTH, TERMINAL.encode())))[1][-1] == 0


def test_a_new_password_ends_the_old_code() -> None:
    assert session_code(vehicle("truck", PHONE, password="NEW"), "jt808") != session_code(DEVICES[0], "jt808")


@pytest.mark.parametrize("code", [PHONE, "", "XYZ9876", "0" * 20, "\u4eac"])
def test_a_wrong_code_is_refused_and_told_so_that_the_terminal_registers_again(code: str) -> None:
    outcome = send(frame(AUTH, code.encode("gb18030") or b"\0"))
    assert reason(outcome) == f"jt808 station '{PHONE}': wrong code in 0102: expected that of its registration"
    assert answer(outcome) == (0x8001, bytes.fromhex("0007 0102 01"))


def test_who_does_not_know_the_terminal_id_gets_no_code() -> None:
    outcome = send(frame(REGISTER, registration("GUESSED")))
    assert "wrong password: expected it as the terminal ID of 0100" in reason(outcome)
    assert outcome.replies == []


def test_without_a_password_any_terminal_of_the_number_is_given_its_code() -> None:
    to = pipeline()
    message_id, body = answer(send(frame(REGISTER, registration("ANY"), OPEN), "open", to=to))
    assert (message_id, body[2]) == (0x8100, 0)
    assert answer(send(frame(AUTH, body[3:], OPEN), "open", to=to))[1][-1] == 0
    assert "wrong code" in reason(send(frame(AUTH, b"another", OPEN), "open", to=to))


def test_a_gateway_registers_a_child_with_the_childs_own_code() -> None:
    _, body = answer(send(frame(REGISTER, registration()), "gw"))
    assert body[3:].decode() == session_code(DEVICES[0], "jt808")
    assert "is not 'tanker' and not bound to it" in reason(send(frame(LOCATION, position()), "tanker"))


def test_no_code_stands_in_a_note() -> None:
    (note,) = events(send(frame(AUTH, TERMINAL.encode())), "ingest_note")
    assert TERMINAL not in str(note.data)


ALARMS = [
    ("vehicle_emergency", 0, "紧急报警"),
    ("vehicle_collision", 29, "碰撞预警"),
    ("vehicle_rollover", 30, "侧翻预警"),
]


@pytest.mark.parametrize(("kind", "bit", "text"), ALARMS)
def test_an_accident_is_an_event_with_its_place(kind: str, bit: int, text: str) -> None:
    (event,) = events(send(frame(LOCATION, position(alarm=1 << bit))), "device_event")
    assert event.device_id == "truck"
    assert {k: event.data[k] for k in ("type", "component", "text", "confidence")} == {
        "type": kind, "component": str(bit), "text": text, "confidence": 1.0,
    }  # fmt: skip
    assert event.data["values"] == {"lon": 121.44, "lat": 28.68, "speed_km_h": 36.6}


def test_the_other_alarm_bits_are_no_events() -> None:
    others = 0xFFFFFFFF & ~sum(1 << bit for _, bit, _ in ALARMS)
    assert told(send(frame(LOCATION, position(alarm=others)))) == []


def test_an_alarm_without_a_fix_has_no_place() -> None:
    (event,) = events(send(frame(LOCATION, position(alarm=1, status=0))), "device_event")
    assert "values" not in event.data


def test_an_alarm_that_stands_is_told_once_and_again_after_a_while() -> None:
    to = pipeline()
    found = []
    for after_us in (0, 10_000_000, AGAIN_US - 1_000_000, AGAIN_US, AGAIN_US + 10_000_000):
        at = NOW + after_us
        found.append(told(send(frame(LOCATION, position(at, alarm=1)), to=to, at_us=at)))
    assert found == [["vehicle_emergency"], [], [], ["vehicle_emergency"], []]


def test_an_alarm_that_ended_is_told_when_it_comes_again() -> None:
    to = pipeline()
    found = [told(send(frame(LOCATION, position(NOW + n, alarm=bit)), to=to)) for n, bit in enumerate((1, 0, 1))]
    assert found == [["vehicle_emergency"], [], ["vehicle_emergency"]]


def test_an_alarm_from_a_blind_area_is_history_and_does_not_silence_the_present() -> None:
    to = pipeline()
    past = [position(NOW - n * 10_000_000, alarm=1) for n in (3, 2, 1)]
    (event,) = events(send(frame(BATCH, batch(*past, kind=1)), to=to), "device_event")
    assert event.data["backfill"] is True
    assert told(send(frame(LOCATION, position(alarm=1)), to=to)) == ["vehicle_emergency"]


def test_a_wrong_clock_does_not_silence_the_button() -> None:
    (event,) = events(send(frame(LOCATION, position(NOW - 400 * 86_400_000_000, alarm=1))), "device_event")
    assert (event.phenomenon_us, event.data["clock_fault"]) == (NOW, True)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (frame(LOCATION, position())[:-2] + b"\0\x7e", "checksum"),
        (frame(LOCATION, b"short"), "location: expected at least 28 bytes, got 5"),
        (frame(0x8001, b"\0\0\0\0\0"), "direction"),
        (frame(LOCATION, position(), "099999999999"), "is not registered"),
        (b"", "expected a frame of jt808, got 0 bytes"),
    ],
)
def test_what_is_wrong_is_refused_with_a_reason(payload: bytes, why: str) -> None:
    outcome = send(payload)
    assert why in reason(outcome)
    assert outcome.replies == []


def test_the_memory_of_alarms_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jt808, "TOLD_MAX", 3)
    decoder = Jt808Decoder()
    for number in range(10):
        (report,) = decoder.feed(frame(LOCATION, position(alarm=1), f"{number}"))
        assert isinstance(report, Report)
        assert len(report.happened) == 1
    assert len(decoder._told) == 3


@given(st.binary(max_size=80), st.sampled_from([REGISTER, AUTH, HEARTBEAT, LOCATION, BATCH, 0x0900]))
def test_any_body_ends_as_records_with_a_reason_or_an_answer(body: bytes, message_id: int) -> None:
    outcome = send(frame(message_id, body))
    assert outcome.records or outcome.replies
    for letter in events(outcome, "dead_letter"):
        assert letter.data["reason"]


def test_a_position_that_was_refused_without_its_code_is_not_put_in_again_as_if_it_had_been_shown() -> None:
    payload = frame(LOCATION, position())
    topic = "cb/v1/demo/truck/up/raw/jt808"
    by_tcp = Recall("demo", registry(), load_models()).read(topic, payload, NOW, by_tcp=True)
    assert by_tcp.rows is None
    assert ["expected its code first" in reason for reason in by_tcp.wrong] == [True]
    by_broker = Recall("demo", registry(), load_models()).read(topic, payload, NOW)
    assert by_broker.rows is not None
    assert len(by_broker.rows) == 4
