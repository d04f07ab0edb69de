"""Frames of station protocols on `up/raw/...`: rows under the city's names, whose they are, what is answered, what is refused."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import events_of, registry_of, rows_of
from citybrain_testing.stations import hj212_device, hj212_frame, local
from devices.codecs import sl651
from devices.codecs.checksums import crc_modbus
from devices.codecs.hj212 import Hj212Decoder
from devices.codecs.senml import LABELS
from devices.codecs.sl651 import bcd_time
from devices.codecs.station import Report
from devices.models import load_models
from devices.registry import Datastream, Device
from devices.stations import sealed
from ingest.message import Message
from ingest.pipeline import Link, Outcome, Pipeline
from stream.records import EventBody, Quality, Record, Source

NOW = LEKIMA_US
LINK = Link(machine_s=100.0)
LOCAL_NOW = local()


def pipeline() -> Pipeline:
    devices = [
        hj212_device("dust", "MN-DUST", "dust-monitor-v1"),
        hj212_device("air", "MN-AIR", "air-station-v1"),
        hj212_device("gas", "MN-GAS", "gas-detector-v1", gateway="gw"),
        hj212_device("off", "MN-OFF", "dust-monitor-v1", enabled=False),
        Device(device_id="gw", model="gateway-v1", kind="gateway", name="gw", lon=121.4, lat=28.7),
    ]
    streams = [("dust", "pm25_ug_m3"), ("dust", "pm10_ug_m3"), ("air", "pm25_1h_ug_m3"), ("gas", "cl2_mg_m3")]
    datastreams = [
        Datastream(datastream=n, device_id=device, property=prop, uom="ug/m3")
        for n, (device, prop) in enumerate(streams, 1)
    ]
    return Pipeline("demo", registry_of(devices, datastreams), load_models())


def frame(cp: str, *, mn: str = "MN-DUST", **fields: Any) -> bytes:
    return hj212_frame(cp, mn=mn, **fields)


def message(payload: bytes, device: str = "dust", **fields: Any) -> Message:
    defaults: dict[str, Any] = {"packet_id": 9, "receive_us": NOW}
    return Message(topic=f"cb/v1/demo/{device}/up/raw/hj212", payload=payload, **(defaults | fields))


def send(*messages: Message, to: Pipeline | None = None) -> Outcome:
    return (to or pipeline()).process(messages, LINK)


def records(outcome: Outcome) -> list[Record]:
    return [
        Record(position=n, at_us=NOW + n, kind=new.kind, version=1, body=new.body)
        for n, new in enumerate(outcome.records)
    ]


def rows(outcome: Outcome) -> list[tuple[int, float, int, int]]:
    """(datastream, result, quality, source) of each row."""
    return [(row["datastream"], row["result"], row["quality"], row["source"]) for row in rows_of(records(outcome))]


def events(outcome: Outcome, kind: str) -> list[EventBody]:
    return events_of(records(outcome), kind)


def reason(outcome: Outcome) -> str:
    (letter,) = events(outcome, "dead_letter")
    return str(letter.data["reason"])


def answers(outcome: Outcome) -> list[tuple[str, str, int]]:
    """(topic, command, line) of each reply."""
    found = []
    for reply in outcome.replies:
        (report,) = Hj212Decoder().feed(reply.payload)
        assert isinstance(report, Report)
        found.append((reply.topic, report.command, reply.line))
    return found


GOOD = f"DataTime={LOCAL_NOW};a34004-Rtd=35.2,a34004-Flag=N;a34002-Rtd=61.0,a34002-Flag=D"


def test_values_become_rows_under_the_models_names_and_the_station_is_answered() -> None:
    outcome = send(message(frame(GOOD)))
    assert rows(outcome) == [(1, 35.2, Quality.GOOD, Source.LIVE), (2, 61.0, Quality.FAIL, Source.LIVE)]
    assert {row["phenomenon_us"] for row in rows_of(records(outcome))} == {NOW}
    assert answers(outcome) == [("cb/v1/demo/dust/down/raw/hj212", "9014", 0)]
    assert events(outcome, "dead_letter") == []


def test_several_frames_in_one_message_and_noise_between() -> None:
    later = GOOD.replace(LOCAL_NOW, "20190809080010").replace("35.2", "36.2")
    outcome = send(message(frame(GOOD) + b"AT\r\n" + frame(later)))
    assert [row[1] for row in rows(outcome)] == [35.2, 61.0, 36.2, 61.0]
    assert "expected ## and four digits" in reason(outcome)
    assert len(answers(outcome)) == 2


def test_the_mean_of_an_hour_is_stored_at_its_end_and_other_statistics_are_left_out() -> None:
    cp = "DataTime=20190809070000;a34004-Avg=35,a34004-Min=3,a34004-Max=90,a34004-Flag=N"
    outcome = send(message(frame(cp, mn="MN-AIR", cn="2061"), "air"))
    assert rows(outcome) == [(3, 35.0, Quality.GOOD, Source.LIVE)]
    assert rows_of(records(outcome))[0]["phenomenon_us"] == NOW
    assert events(outcome, "ingest_note") == []


def test_an_unknown_factor_is_shown_to_the_vendor_and_not_lost() -> None:
    (note,) = events(send(message(frame(f"{GOOD};a99054-Rtd=1.5"))), "ingest_note")
    assert note.data["values"] == {"hj212:2011/a99054-Rtd": 1.5}


@pytest.mark.parametrize("value", ["4.1", "0.0", "--", "77"])
def test_beyond_its_range_counts_as_at_least_full_scale(value: str) -> None:
    cp = f"DataTime={LOCAL_NOW};a21022-Rtd={value},a21022-Flag=T"
    ((_, result, quality, source),) = rows(send(message(frame(cp, mn="MN-GAS"), "gw")))
    assert result == max(58.0, 77.0 if value == "77" else 0.0), "full scale of the model is 58 mg/m3"
    assert quality == Quality.SUSPECT
    assert source & Source.OVER_RANGE


def test_what_the_station_has_not_is_told_when_it_changes() -> None:
    line = pipeline()
    gone = frame(f"DataTime={LOCAL_NOW};a34004-Rtd=--;a34002-Rtd=61")
    first = send(message(gone), to=line)
    assert [row[0] for row in rows(first)] == [2]
    assert [note.data["keys"] for note in events(first, "ingest_note")] == [["pm25_ug_m3"]]
    assert events(send(message(gone), to=line), "ingest_note") == []
    assert [note.data["keys"] for note in events(send(message(frame(GOOD)), to=line), "ingest_note")] == [[]]


@pytest.mark.parametrize(
    ("sent", "device", "says"),
    [
        (frame(GOOD, mn="MN-AIR"), "dust", "station 'MN-AIR' is not 'dust' and not bound to it"),
        (frame(GOOD, mn="NOBODY"), "dust", "station 'NOBODY' is not registered"),
        (frame(GOOD, pw="000000"), "dust", "station 'MN-DUST': wrong password"),
        (frame(GOOD), "gw", "station 'MN-DUST' is not 'gw' and not bound to it"),
        (frame(GOOD)[:-6] + b"0000\r\n", "dust", "checksum: expected"),
        (b"", "dust", "expected a frame of hj212, got 0 bytes"),
        (b"\r\n", "dust", "expected a frame of hj212, got 2 bytes"),
    ],
)
def test_what_is_refused_says_why_and_is_not_answered(sent: bytes, device: str, says: str) -> None:
    outcome = send(message(sent, device))
    assert rows(outcome) == []
    assert outcome.replies == []
    assert says in reason(outcome)


def test_a_disabled_station_is_refused_by_its_gateway_too() -> None:
    assert "disabled" in reason(send(message(frame(GOOD, mn="MN-OFF"), "off")))


def test_an_unknown_codec_names_those_that_are_known() -> None:
    outcome = send(Message(topic="cb/v1/demo/dust/up/raw/hj999", payload=b"x", packet_id=1, receive_us=NOW))
    assert "expected one of hj212" in reason(outcome)


def test_a_wrong_value_does_not_take_the_good_ones() -> None:
    outcome = send(message(frame(GOOD.replace("35.2", "3x"))))
    assert [row[0] for row in rows(outcome)] == [2]
    assert "values.pm25_ug_m3: expected number (ug/m3), got string '3x'" in reason(outcome)
    assert len(answers(outcome)) == 1, (
        "the frame is kept, as rows and as a dead letter: sending it again would not help"
    )


def test_a_wrong_clock_is_evaluated_now_and_set_right_in_the_stations_own_words() -> None:
    outcome = send(message(frame(GOOD.replace(LOCAL_NOW, "19700101080000"))))
    assert {row["phenomenon_us"] for row in rows_of(records(outcome))} == {NOW}
    assert all(row[3] & Source.CLOCK_FAULT for row in rows(outcome))
    assert [command for _, command, _ in answers(outcome)] == ["9014", "1012"]


def test_a_request_for_the_time_gets_it() -> None:
    outcome = send(message(frame("", cn="1013")))
    assert [command for _, command, _ in answers(outcome)] == ["9013", "1012"]
    assert b"SystemTime=20190809080000" in outcome.replies[1].payload


def test_backfill_is_history() -> None:
    outcome = send(message(frame(GOOD.replace(LOCAL_NOW, "20190808080000"), backfill=True, flag=9)))
    assert all(row[3] & Source.BACKFILL for row in rows(outcome))


def test_the_other_checksum_is_told_in_the_row() -> None:
    good = frame(GOOD)
    other = good[:-6] + b"%04X\r\n" % crc_modbus(good[6:-6])
    assert all(row[3] & Source.CRC_ALTERNATIVE for row in rows(send(message(other))))


def test_an_answer_of_the_station_is_noted() -> None:
    (note,) = events(send(message(frame("ExeRtn=1", cn="9012", flag=4))), "ingest_note")
    assert (note.data["reason"], note.data["command"], note.data["facts"]) == (
        "station_answer",
        "9012",
        {"ExeRtn": "1"},
    )


def test_a_duplicate_is_answered_again_and_not_stored_again() -> None:
    line = pipeline()
    send(message(frame(GOOD)), to=line)
    again = send(message(frame(GOOD), dup=True), to=line)
    assert again.records == []
    assert [command for _, command, _ in answers(again)] == ["9014"]


def test_a_session_gets_its_answers_on_its_own_line() -> None:
    assert answers(send(message(frame(GOOD), packet_id=0, line=7)))[0][2] == 7


class TestSl651:
    """Function 34 of a hydrological station: the level now, and the rain of the hour by five minutes."""

    STATION = "0011223344"

    def line(self) -> Pipeline:
        stations = {"sl651": {"station": self.STATION, "password": "03E8"}}
        plain = Device(
            device_id="hydro",
            model="hydro-station-v1",
            kind="water_gauge",
            name="hydro",
            lon=121.4,
            lat=28.7,
            attributes={"stations": stations},
        )
        streams = [
            Datastream(datastream=n, device_id="hydro", property=prop, uom="m")
            for n, prop in enumerate(("stage_m", "rain_5min_mm", "battery_v"), 1)
        ]
        return Pipeline("demo", registry_of([sealed(plain)], streams), load_models())

    def sent(self, elements: bytes, *, function: int = 0x34, first_us: int = NOW - 55 * 60_000_000) -> Message:
        station = bytes.fromhex(self.STATION)
        body = b"\x00\x07" + bcd_time(NOW, seconds=True) + b"\xf1\xf1" + station + b"\x48"
        body += b"\xf0\xf0" + bcd_time(first_us, seconds=False) + elements
        frame = sl651.Frame(
            up=True, centre=1, station=self.STATION, password="03E8", function=function, body=body, end=sl651.ETX
        )
        topic = "cb/v1/demo/hydro/up/raw/sl651"
        return Message(topic=topic, payload=sl651.encode(frame), packet_id=0, receive_us=NOW)

    def test_the_hour_comes_as_history_and_its_last_value_as_now(self) -> None:
        outcome = self.line().process([self.sent(b"\xf4\x60" + bytes(range(12)))], LINK)
        found = rows_of(records(outcome))
        assert [row["phenomenon_us"] for row in found] == [NOW - n * 300_000_000 for n in range(11, -1, -1)]
        assert [row["result"] for row in found] == [pytest.approx(n / 10) for n in range(12)]
        assert [bool(row["source"] & Source.BACKFILL) for row in found] == [True] * 11 + [False]
        assert not any(row["source"] & Source.CLOCK_FAULT for row in found)
        (reply,) = outcome.replies
        assert (reply.topic, sl651.open_frame(reply.payload).end) == ("cb/v1/demo/hydro/down/raw/sl651", sl651.EOT)

    def test_a_packet_is_kept_until_the_others_come_and_is_no_dead_letter(self) -> None:
        line = self.line()
        whole = self.sent(sl651.element("39", 5.31, digits=7, decimals=3), function=0x32, first_us=NOW)
        body = sl651.open_frame(whole.payload).body
        packets = [
            sl651.encode(
                sl651.Frame(
                    up=True,
                    centre=1,
                    station=self.STATION,
                    password="03E8",
                    function=0x32,
                    body=part,
                    end=sl651.ETX if number == 2 else sl651.ETB,
                    total=2,
                    sequence=number,
                )
            )
            for number, part in enumerate((body[:20], body[20:]), 1)
        ]
        first, second = (
            line.process([Message(topic=whole.topic, payload=packet, packet_id=0, receive_us=NOW)], LINK)
            for packet in packets
        )
        assert events(first, "dead_letter") == []
        (note,) = events(first, "ingest_note")
        assert note.data["reason"] == "packet_waits"
        assert first.replies == []
        assert rows(second) == [(1, 5.31, Quality.GOOD, Source.LIVE)]
        assert len(second.replies) == 1

    def test_a_wrong_clock_is_set_by_function_4a(self) -> None:
        elements = sl651.element("39", 5.31, digits=7, decimals=3)
        outcome = self.line().process([self.sent(elements, function=0x32, first_us=NOW - 40 * 86_400_000_000)], LINK)
        assert rows(outcome) == [(1, 5.31, Quality.GOOD, Source.LIVE | Source.CLOCK_FAULT)]
        assert [sl651.open_frame(reply.payload).function for reply in outcome.replies] == [0x32, 0x4A]


class TestSenml:
    """A gateway's pack: its own record, a bound child's, a stranger's; properties by their own names with their own units."""

    BASE = "urn:dev:mac:0024befffe804ff1:"

    def line(self) -> Pipeline:
        gateway = Device(device_id="gw", model="water-gauge-v1", kind="water_gauge", name="gw", lon=121.4, lat=28.7)
        child = Device(
            device_id="child",
            model="water-gauge-v1",
            kind="water_gauge",
            name="child",
            lon=121.4,
            lat=28.7,
            gateway="gw",
            attributes={"stations": {"senml": {"station": self.BASE}, "senml-cbor": {"station": self.BASE}}},
        )
        streams = [
            Datastream(datastream=n, device_id=device, property=prop, uom="m")
            for n, (device, prop) in enumerate((("gw", "stage_m"), ("child", "stage_m"), ("child", "battery_v")), 1)
        ]
        return Pipeline("demo", registry_of([gateway, child], streams), load_models())

    def sent(self, document: list[dict[str, Any]], codec: str = "senml", sender: str = "gw") -> Outcome:
        numbers = {label: number for number, label in LABELS.items()}
        packed = [{numbers[label]: value for label, value in record.items()} for record in document]
        payload = json.dumps(document).encode() if codec == "senml" else cbor2.dumps(packed)
        topic = f"cb/v1/demo/{sender}/up/raw/{codec}"
        return self.line().process([Message(topic=topic, payload=payload, packet_id=0, receive_us=NOW)], LINK)

    @pytest.mark.parametrize("codec", ["senml", "senml-cbor"])
    def test_each_record_goes_to_its_device(self, codec: str) -> None:
        document = [
            {"n": "stage_m", "u": "m", "v": 5.31},
            {"bn": self.BASE, "n": "stage_m", "u": "m", "v": 2.5, "t": -2},
            {"n": "battery_v", "u": "V", "v": 12.5},
        ]
        outcome = self.sent(document, codec)
        found = [(row["datastream"], row["result"], row["phenomenon_us"] - NOW) for row in rows_of(records(outcome))]
        assert sorted(found) == [(1, 5.31, 0), (2, 2.5, -2_000_000), (3, 12.5, 0)]
        assert outcome.replies == []

    def test_a_wrong_unit_is_refused_and_not_taken_for_the_right_one(self) -> None:
        outcome = self.sent([{"n": "stage_m", "u": "mm", "v": 5310}])
        assert rows(outcome) == []
        assert reason(outcome) == "stage_m: expected unit m, got 'mm'"

    def test_a_strangers_base_name_is_refused(self) -> None:
        assert "is not registered" in reason(self.sent([{"bn": "urn:dev:x:", "n": "stage_m", "v": 1}]))

    def test_a_wrong_clock_is_told_where_nothing_can_set_it(self) -> None:
        outcome = self.sent([{"n": "stage_m", "u": "m", "v": 5.31, "t": 300_000_000}])
        assert rows(outcome) == [(1, 5.31, Quality.GOOD, Source.LIVE | Source.CLOCK_FAULT)]
        assert [note.data["reason"] for note in events(outcome, "ingest_note")] == ["clock_is_wrong"]
        assert outcome.replies == []
