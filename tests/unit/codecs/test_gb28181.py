"""Alarms of GB/T 28181 cameras in JSON: platforms' spellings, words, what is refused, and anything at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.gb28181 import ALARMS, alarm
from devices.codecs.json_message import JsonMessageDecoder
from devices.codecs.seen import TYPES
from devices.codecs.station import Refused, Report

CHANNEL = "34020000001320000001"
# The fields of wvp-GB28181-pro's DeviceAlarmNotify; 2024-01-31 02:00:00 UTC
WVP = {
    "deviceId": "34020000001110000001",
    "channelId": CHANNEL,
    "alarmPriority": "1",
    "alarmMethod": 5,
    "alarmTime": "2024-01-31 10:00:00",
    "alarmDescription": "东门入侵",
    "longitude": 121.44,
    "latitude": 28.68,
    "alarmType": 6,
}
MANSCDP = {
    "Notify": {
        "CmdType": "Alarm",
        "SN": "17",
        "DeviceID": CHANNEL,
        "AlarmPriority": "4",
        "AlarmMethod": "5",
        "AlarmTime": "2024-01-31T10:00:00",
        "Info": {"AlarmType": "10", "AlarmTypeParam": {"EventType": "1"}},
    }
}
AT_US = 1_706_666_400_000_000


def pieces(document: Any) -> list[Report | Refused]:
    decoder = JsonMessageDecoder("gb28181-alarm", alarm)
    decoder.feed(document if isinstance(document, bytes) else json.dumps(document).encode())
    return decoder.finish()


def report(document: Any) -> Report:
    (piece,) = pieces(document)
    assert isinstance(piece, Report)
    return piece


def test_a_platforms_alarm() -> None:
    got = report(WVP)
    (one,) = got.happened
    assert (got.station, one.type, one.name, one.text) == (CHANNEL, "intrusion", "5.6", "东门入侵")
    assert (one.time_us, one.confidence) == (AT_US, None)
    assert one.data == {"state": "start", "priority": 1, "values": {"lon": 121.44, "lat": 28.68}}


def test_the_standards_own_names() -> None:
    got = report(MANSCDP)
    (one,) = got.happened
    assert (got.station, one.type, one.name, one.time_us) == (CHANNEL, "crowd", "5.10", AT_US)
    assert one.data == {"state": "start", "priority": 4}


def test_a_short_message_has_a_text_and_no_word() -> None:
    got = report({"gbId": CHANNEL, "alarmSn": 3, "alarmType": 0, "alarmDescription": "报警"})
    assert [(one.type, one.name, one.text) for one in got.happened] == [("camera_alarm", "-.-", "报警")]


@pytest.mark.parametrize(("method", "kind", "word"), [(m, k, word) for (m, k), word in ALARMS.items()])
def test_method_and_type_give_the_word(method: int, kind: int, word: str) -> None:
    for written in (int, str):
        document = {"device_id": CHANNEL, "alarm_method": written(method), "alarm_type": written(kind)}
        assert [one.type for one in report(document).happened] == [word]
    assert word in TYPES


@pytest.mark.parametrize(("method", "kind"), [(1, None), (2, None), (5, 1), (5, 9), (5, 77), (7, 1)])
def test_what_has_no_word_is_an_alarm_of_the_camera(method: int, kind: int | None) -> None:
    got = report({"DeviceID": CHANNEL, "AlarmMethod": method, "AlarmType": kind})
    assert [(one.type, one.name) for one in got.happened] == [("camera_alarm", f"{method}.{kind or '-'}")]


def test_what_is_wrong_beside_an_alarm_is_named_and_costs_it_nothing() -> None:
    got = report({**WVP, "alarmTime": "soon", "alarmPriority": 9, "latitude": 91, "alarmDescription": 7})
    (one,) = got.happened
    assert (one.type, one.time_us, one.text, one.data) == ("intrusion", None, "", {"state": "start"})
    assert got.problems == (
        "AlarmPriority: expected a number from 1 to 4, got number 9",
        "latitude: expected degrees from -90 to 90, got number 91",
        "AlarmTime: expected a time like 2024-01-31T10:00:00, got string 'soon'",
    )


def test_nowhere_is_no_place() -> None:
    assert "values" not in report({**WVP, "longitude": 0.0, "latitude": 0.0}).happened[0].data


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "payload: expected an object, got array"),
        ({"Notify": 7}, "Notify: expected an object, got number 7"),
        ({**WVP, "CmdType": "Catalog"}, "CmdType: expected Alarm, got string 'Catalog'"),
        ({"alarmMethod": 5}, "DeviceID: expected 20 digits, got nothing"),
        ({**WVP, "channelId": "cam-1"}, "DeviceID: expected 20 digits, got string 'cam-1'"),
        ({**WVP, "channelId": int(CHANNEL)}, "DeviceID: expected 20 digits, got number"),
        ({**WVP, "alarmMethod": 12}, "AlarmMethod: expected a number from 1 to 7, got number 12"),
        ({**WVP, "alarmMethod": True}, "AlarmMethod: expected a number from 1 to 7, got bool true"),
        ({**WVP, "alarmType": "six"}, "AlarmType: expected a number from 1 to 99, got string 'six'"),
        (b"<Notify/>", "payload: not valid JSON"),
    ],
)
def test_what_is_refused(document: Any, problem: str) -> None:
    (piece,) = pieces(document)
    assert isinstance(piece, Refused)
    assert piece.problems[0].startswith(problem)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([CHANNEL, "5", "Alarm"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WVP, "Notify", "Info", "CmdType"]), inner, max_size=6)
    ),
    max_leaves=12,
)  # fmt: skip


class TestNothingBreaksIt:
    @given(st.binary(max_size=200))
    def test_any_bytes(self, payload: bytes) -> None:
        assert payload == b"" or pieces(payload)

    @given(_ANY)
    def test_any_document_is_a_report_or_a_reason(self, document: Any) -> None:
        assert len(pieces(document)) == 1

    @given(st.sampled_from(sorted(WVP)), _ANY)
    def test_any_change_is_a_report_or_a_reason(self, field: str, value: Any) -> None:
        (piece,) = pieces({**WVP, field: value})
        if isinstance(piece, Refused):
            assert piece.problems[0]
        else:
            assert [one.type in TYPES for one in piece.happened] == [True]
