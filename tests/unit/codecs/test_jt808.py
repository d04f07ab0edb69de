"""JT/T 808: published frames, damage in every byte, cuts at every place, divided messages, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs import jt808
from devices.codecs.checksums import xor_sum
from devices.codecs.jt808 import Frame, Jt808Decoder, WrongFrame, encode, encode_frame, open_frame
from devices.codecs.station import Decoder, Group, Reading, Refused, Report, Said

# 0102 "169344" (ygfgit/jt-808-protocol) and 0200 (calculated from a published head): reference notes, section 6.6.
AUTH = bytes.fromhex("7e010200060200000000150026313639333434397e")
LOCATION = bytes.fromhex("7E0200001C013306139197080400000000000C000302315C4406F57BD40020000000C6230501000034BE7E")
# SmallChi/JT808: README and tests of the messages. The first has an escaped 7E and 7D.
ESCAPED = bytes.fromhex(
    "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C00001810151010100104000000640202007D01137E"
)
BATCH = bytes.fromhex(
    "7E0704005311223344556622B80002000026000000010000000200BA7F0E07E4F11C0028003C0000180715101010010400000064020200370026"
    "000000020000000100CB735507E6A32300290036007818071510103001040000006002020042D47E"
)
REGISTER = bytes.fromhex(
    "7E0100002D000123456789000A002800323132333430736D616C6C6368693132333030303030303030304348493132333001D4C1413132333435"
    "BA7E"
)
REGISTER_2019 = bytes.fromhex(
    "7E010040540100000000000123456789000A00280032303030303030303132333430303030303030303030303030303030303030736D616C6C63"
    "686931323330303030303030303030303030303030303030303030303043484931323301D4C1413132333435B27E"
)
ANSWER = bytes.fromhex("7E0001000501234567890004B303E8000200D37E")
# Manual of a GPS lock (huabaotelematics.com), with private additions.
LOCK = bytes.fromhex(
    "7E0200005200200260432300A400020000000C00020158B91B06CB7061004600000059210922163758010400000001030200002504000000"
    "01300111310110E30100D51B022002604323279593786160001220000012342795937861580012867E"
)
# cuteLittleDevil/go-jt808, tests of the models: 2013 and 2019.
HEARTBEAT = bytes.fromhex("7e000200000123456789017fff0a7e")
HEARTBEAT_2019 = bytes.fromhex("7e000240000100000000017299841738ffff027e")
AUTH_2019 = bytes.fromhex(
    "7e0102402f010000000001729984173800000b3137323939383431373338313233343536373839303132333435332e372e3135000000000000"
    "0000000000000000227e"
)
BLIND_ITEM = "001c000004000000080006eeb6ad02633df7013800030063200707192359"
BLIND = bytes.fromhex(f"7e0704005d0123456789017fff000301{BLIND_ITEM * 3}067e")
BLIND_2019 = bytes.fromhex(f"7e0704405d0100000000017299841738ffff000301{BLIND_ITEM * 3}0e7e")
# hylexus/xtream-codec.
BATCH_2019 = bytes.fromhex(
    "7e0704403f01000000000139123443290000000200001c000000010000000101d907f2073d336c029a00210059241029213903001c0000000100"
    "00000101d907f3073d336d03090043005a241029213903f87e"
)
LOCATION_2019 = bytes.fromhex(
    "7E0200402D01000000000139123443210000003000000040000101CD41C2072901B00929029A005A23042821314101040000029B020200430302"
    "0309300163897E"
)
VECTORS = {
    "auth": AUTH,
    "location": LOCATION,
    "escaped": ESCAPED,
    "batch": BATCH,
    "register": REGISTER,
    "register 2019": REGISTER_2019,
    "answer": ANSWER,
    "lock": LOCK,
    "heartbeat": HEARTBEAT,
    "heartbeat 2019": HEARTBEAT_2019,
    "auth 2019": AUTH_2019,
    "blind": BLIND,
    "blind 2019": BLIND_2019,
    "batch 2019": BATCH_2019,
    "location 2019": LOCATION_2019,
}
# What platforms sent.
PLATFORM_ANSWER = bytes.fromhex("7E80010005012345678900000A0064020000617E")  # SmallChi/JT808
PLATFORM_ANSWER_2019 = bytes.fromhex("7e8001400501000000000172998417380000ffff000200867e")  # go-jt808
REGISTER_ANSWER = bytes.fromhex("7E81000009012345678900000A006400313233343536687E")  # SmallChi/JT808
REGISTER_ANSWER_2019 = bytes.fromhex(  # developer.aliyun.com/article/1669671
    "7E8100401701000000000002234567890000000000 6E75676D5152563461786C4C476A6A6F6E413D3D137E".replace(" ", "")
)
DOWN = {
    "8001": PLATFORM_ANSWER,
    "8001 2019": PLATFORM_ANSWER_2019,
    "8100": REGISTER_ANSWER,
    "8100 2019": REGISTER_ANSWER_2019,
}
PHONE = "013306139197"
POSITION = open_frame(LOCATION).body


def us(text: str) -> int:
    """Of an ISO time with its zone."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def decoded(data: bytes, **settings: Any) -> list[Report | Refused]:
    decoder = Jt808Decoder(**settings)
    return [*decoder.feed(data), *decoder.finish()]


def report(data: bytes, **settings: Any) -> Report:
    (piece,) = decoded(data, **settings)
    assert isinstance(piece, Report), piece
    return piece


def refusal(data: bytes) -> Refused:
    (piece,) = decoded(data)
    assert isinstance(piece, Refused), piece
    return piece


def made(message_id: int, body: bytes, *, serial: int = 7, **fields: Any) -> bytes:
    return encode_frame(Frame(message_id=message_id, phone=PHONE, serial=serial, body=body, **fields))


def position(*, status: int = 2, lat: int = 30_000_000, lon: int = 120_000_000, extra: bytes = b"") -> bytes:
    """POSITION with another status, place and additions."""
    return POSITION[:4] + status.to_bytes(4) + lat.to_bytes(4) + lon.to_bytes(4) + POSITION[16:] + extra


def batch(*items: bytes, kind: int = 0, count: int | None = None) -> bytes:
    head = (len(items) if count is None else count).to_bytes(2) + bytes([kind])
    return head + b"".join(len(item).to_bytes(2) + item for item in items)


def packets(body: bytes, size: int, *, serial: int = 7, message_id: int = 0x0704, step: int = 1) -> list[bytes]:
    """A message in packets of at most `size` bytes."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return [
        made(message_id, part, serial=(serial + step * n) & 0xFFFF, total=len(parts), number=n + 1)
        for n, part in enumerate(parts)
    ]


def values(group: Group) -> dict[str, float | str | None]:
    return {reading.name: reading.value for reading in group.readings}


class TestVectors:
    def test_a_position(self) -> None:
        got = report(LOCATION)
        assert (got.said, got.station, got.command) == (Said.DATA, "013306139197", "0200")
        assert (got.backfill, got.password, got.problems) == (False, None, ())
        (group,) = got.groups
        assert group.time_us == us("2023-05-01T00:00:34+08:00")
        assert group.readings == (
            Reading("lat", 36.789316),
            Reading("lon", 116.751316),
            Reading("alt_m", 32.0),
            Reading("speed_kmh", 0.0),
            Reading("dir_deg", 198.0),
            Reading("alarm", 0.0),
            Reading("status", float(0xC0003)),
            Reading("fixed", 1.0),
        )

    def test_escapes_and_additions(self) -> None:
        got = report(ESCAPED)
        assert got.facts == {"serial": 126}
        (group,) = got.groups
        assert group.time_us == us("2018-10-15T10:10:10+08:00")
        assert values(group) == {
            "lat": 12.222222,
            "lon": 132.444444,
            "alt_m": 40.0,
            "speed_kmh": 6.0,
            "dir_deg": 0.0,
            "alarm": 1.0,
            "status": 2.0,
            "fixed": 1.0,
            "mileage_km": 10.0,
            "fuel_l": 12.5,
        }

    def test_additions_that_are_not_known_stay_as_hex(self) -> None:
        got = report(LOCK)
        (group,) = got.groups
        assert values(group) | {"alarm": 131072.0, "mileage_km": 0.1, "rssi": 17.0, "satellites": 16.0} == values(group)
        assert got.facts == {
            "serial": 164,
            "25": "00000001",
            "E3": "00",
            "D5": "022002604323279593786160001220000012342795937861580012",
        }
        assert got.problems == ()

    def test_a_position_of_2019(self) -> None:
        got = report(LOCATION_2019)
        assert got.station == "00000000013912344321", "twenty digits, all of them"
        (group,) = got.groups
        assert group.time_us == us("2023-04-28T21:31:41+08:00")
        assert values(group) | {"fuel_l": 6.7, "recorder_speed_kmh": 77.7, "rssi": 99.0} == values(group)

    def test_a_batch_has_a_group_for_each_position(self) -> None:
        got = report(BATCH)
        assert (got.said, got.backfill, got.facts) == (Said.DATA, False, {"serial": 8888, "kind": 0})
        first, second = got.groups
        assert (first.time_us, second.time_us) == (us("2018-07-15T10:10:10+08:00"), us("2018-07-15T10:10:30+08:00"))
        assert values(first) | {"lat": 12.222222, "fuel_l": 5.5} == values(first)
        assert values(second) | {"lat": 13.333333, "lon": 132.555555, "mileage_km": 9.6} == values(second)
        assert [reading.quality for reading in first.readings[:2]] == [None, None]
        assert [reading.quality for reading in second.readings[:2]] == [4, 4], "its status says that it is not fixed"
        assert [values(group)["alt_m"] for group in report(BATCH_2019).groups] == [666.0, 777.0]

    @pytest.mark.parametrize("frame", [BLIND, BLIND_2019])
    def test_a_batch_from_a_blind_area_is_backfill(self, frame: bytes) -> None:
        got = report(frame)
        assert (got.backfill, got.facts["kind"], len(got.groups)) == (True, 1, 3)
        assert got.groups[2].time_us == us("2020-07-07T19:23:59+08:00")
        assert got.problems[0] == "1/lat: expected at most 90 degrees, got 116.307629", (
            "the test's author mixed them up"
        )

    def test_a_registration_of_2013(self) -> None:
        got = report(REGISTER)
        assert (got.said, got.station, got.command) == (Said.REGISTRATION, "000123456789", "0100")
        assert got.password == got.facts["terminal"]
        assert got.facts == {
            "serial": 10,
            "province": 40,
            "city": 50,
            "maker": "12340",
            "model": "smallchi123000000000",
            "terminal": "CHI1230",
            "plate_color": 1,
            "plate": "粤A12345",
        }

    def test_a_registration_of_2019(self) -> None:
        got = report(REGISTER_2019)
        assert got.station == "00000000000123456789"
        assert got.facts["maker"] == "00000001234"
        assert got.facts["model"] == "smallchi123".rjust(30, "0")
        assert got.facts["terminal"] == "CHI123".rjust(30, "0")
        assert got.facts["plate"] == "粤A12345"

    def test_a_registration_of_2011_is_told_by_its_length(self) -> None:
        body = bytes.fromhex("00280032") + b"12340" + b"MODEL-11" + b"CHI1230" + b"\x01" + "粤A12345".encode("gbk")
        got = report(made(0x0100, body))
        assert (got.facts["model"], got.facts["terminal"], got.facts["plate"]) == ("MODEL-11", "CHI1230", "粤A12345")

    def test_authentication_shows_the_code_as_password_and_nowhere_else(self) -> None:
        got = report(AUTH)
        assert (got.said, got.station, got.command) == (Said.LOGIN, "020000000015", "0102")
        assert (got.password, got.facts) == ("169344", {"serial": 38})
        newer = report(AUTH_2019)
        assert newer.password == "17299841738"
        assert newer.facts == {"serial": 0, "imei": "123456789012345", "software": "3.7.15"}

    def test_a_heartbeat(self) -> None:
        got = report(HEARTBEAT)
        assert (got.said, got.station, got.groups) == (Said.HEARTBEAT, "012345678901", ())
        assert report(HEARTBEAT_2019).said is Said.HEARTBEAT

    @pytest.mark.parametrize("name", [*VECTORS, *DOWN])
    def test_what_was_read_is_written_again_byte_by_byte(self, name: str) -> None:
        frame = (VECTORS | DOWN)[name]
        assert encode_frame(open_frame(frame)) == frame

    def test_frames_of_platforms_are_written_as_others_write_them(self) -> None:
        assert encode(0x8001, "012345678900", 10, bytes.fromhex("0064020000")) == PLATFORM_ANSWER
        assert encode(0x8001, "17299841738", 0, bytes.fromhex("ffff000200"), version_2019=True) == PLATFORM_ANSWER_2019
        assert encode(0x8100, "12345678900", 10, b"\x00\x64\x00123456") == REGISTER_ANSWER


class TestAnswers:
    def answer(self, frame: bytes, **settings: Any) -> Frame:
        answer = report(frame, **settings).answer
        assert answer is not None
        return open_frame(answer)

    @pytest.mark.parametrize("name", ["auth", "location", "escaped", "batch", "heartbeat", "blind"])
    def test_the_general_answer_echoes_serial_and_message(self, name: str) -> None:
        asked, got = open_frame(VECTORS[name]), self.answer(VECTORS[name])
        assert (got.message_id, got.phone, got.serial, got.version) == (0x8001, asked.phone, asked.serial, None)
        assert got.body == asked.serial.to_bytes(2) + asked.message_id.to_bytes(2) + b"\0"

    @pytest.mark.parametrize("name", ["heartbeat 2019", "auth 2019", "batch 2019"])
    def test_a_terminal_of_2019_is_answered_in_its_edition(self, name: str) -> None:
        got = self.answer(VECTORS[name])
        assert (got.version, len(got.phone)) == (1, 20)

    def test_the_answer_is_escaped(self) -> None:
        answer = report(ESCAPED).answer or b""
        assert answer.count(b"\x7e") == 2
        assert b"\x7d\x02" in answer

    @pytest.mark.parametrize("frame", [REGISTER, REGISTER_2019])
    def test_a_registration_is_answered_with_the_auth_code(self, frame: bytes) -> None:
        phone = open_frame(frame).phone
        got = self.answer(frame)
        assert (got.message_id, got.serial, got.body) == (0x8100, 10, b"\x00\x0a\x00" + phone.encode())
        given = self.answer(frame, auth_code=lambda of: f"code-{of[-4:]}-京")
        assert given.body == b"\x00\x0a\x00code-6789-" + "京".encode("gbk")

    def test_an_answer_is_never_answered(self) -> None:
        got = report(ANSWER)
        assert (got.said, got.answer) == (Said.ANSWER, None)
        assert got.facts == {"serial": 1203, "answers": 1000, "message": "0002", "result": 0}
        assert report(made(0x0001, b"\0")).answer is None

    def test_a_logout_and_what_is_not_known_are_notices_with_an_answer(self) -> None:
        logout = report(made(0x0003, b""))
        assert (logout.said, logout.facts) == (Said.NOTICE, {"serial": 7})
        assert self.answer(made(0x0003, b"")).body == bytes.fromhex("0007000300")
        other = report(made(0x0900, b"\xf0hello"))
        assert (other.said, other.command, other.facts["hex"]) == (Said.NOTICE, "0900", "f068656c6c6f")
        assert self.answer(made(0x0900, b"\xf0hello")).body == bytes.fromhex("0007090000")

    @pytest.mark.parametrize("name", DOWN)
    def test_what_a_platform_says_is_refused_and_not_answered(self, name: str) -> None:
        assert "direction: expected a message of a terminal, got 8" in refusal(DOWN[name]).problems[0]

    def test_there_is_no_clock_to_set(self) -> None:
        decoder: Decoder = Jt808Decoder()
        assert decoder.set_clock(report(LOCATION), us("2023-05-01T00:00:34+08:00")) is None


class TestPositions:
    @pytest.mark.parametrize(
        ("status", "lat", "lon"), [(2, 30.0, 120.0), (6, -30.0, 120.0), (10, 30.0, -120.0), (14, -30.0, -120.0)]
    )
    def test_south_and_west_are_negative(self, status: int, lat: float, lon: float) -> None:
        (group,) = report(made(0x0200, position(status=status))).groups
        assert (values(group)["lat"], values(group)["lon"]) == (lat, lon)

    def test_without_a_fix_the_place_is_bad_and_everything_is_there(self) -> None:
        (group,) = report(made(0x0200, position(status=0, extra=b"\x31\x01\x02"))).groups
        assert group.readings[:2] == (Reading("lat", 30.0, 4), Reading("lon", 120.0, 4))
        assert {reading.quality for reading in group.readings[2:]} == {None}
        assert values(group) | {"fixed": 0.0, "satellites": 2.0, "alt_m": 32.0} == values(group)

    def test_coordinates_of_the_secrecy_plug_in_are_suspect(self) -> None:
        (group,) = report(made(0x0200, position(status=2 | 32))).groups
        assert [reading.quality for reading in group.readings[:2]] == [3, 3]

    def test_a_place_that_is_none_is_named(self) -> None:
        got = report(made(0x0200, position(lat=90_000_001, lon=180_000_000)))
        assert got.problems == ("lat: expected at most 90 degrees, got 90.000001",)
        assert [reading.quality for reading in got.groups[0].readings[:2]] == [4, None]

    def test_a_time_that_is_none_is_named_and_costs_no_value(self) -> None:
        got = report(made(0x0200, POSITION[:22] + bytes(6)))
        assert got.groups[0].time_us is None
        assert got.problems == ("time: expected BCD YYMMDDhhmmss, got 000000000000",)
        assert values(got.groups[0])["lat"] == 36.789316

    def test_in_a_batch_a_position_without_a_time_is_left_out(self) -> None:
        timeless = POSITION[:22] + bytes.fromhex("2313010000ff")
        got = report(made(0x0704, batch(POSITION, timeless, kind=1)))
        assert [group.time_us for group in got.groups] == [us("2023-05-01T00:00:34+08:00")]
        assert got.problems == (
            "2/time: expected BCD YYMMDDhhmmss, got 2313010000ff",
            "2: left out, when it was true is not known",
        )
        alone = report(made(0x0704, batch(timeless)))
        assert (alone.groups, len(alone.problems)) == ((), 2)
        assert alone.answer is not None, "sent again, it would be as timeless"

    @pytest.mark.parametrize(
        ("extra", "facts", "problem"),
        [
            ("0102000a", {"01": "000a"}, "01: expected 4 bytes, got 2"),
            ("300105300107", {"30": "07"}, "30: is there twice"),
            ("2504000000", {}, "25: expected an addition of 4 bytes, 3 are left"),
            ("25", {}, "25: expected an addition of 0 bytes, 0 are left"),
            ("e50101e50102", {"E5": "01,02"}, None),
            ("e500", {"E5": ""}, None),
        ],
    )
    def test_additions_of_another_form(self, extra: str, facts: dict[str, str], problem: str | None) -> None:
        got = report(made(0x0200, position(extra=bytes.fromhex(extra))))
        assert got.facts == {"serial": 7, **facts}
        assert got.problems == (() if problem is None else (problem,))
        assert values(got.groups[0])["lat"] == 30.0

    def test_additions_in_a_batch_carry_the_number_of_their_position(self) -> None:
        got = report(made(0x0704, batch(position(extra=b"\xe1\x01\x05"), position(extra=b"\xe1\x01\x06"))))
        assert got.facts == {"serial": 7, "kind": 0, "1/E1": "05", "2/E1": "06"}

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (batch(POSITION, count=3), "batch: 3 positions declared, 1 came"),
            (batch(POSITION, kind=2), "batch: expected kind 0 (live) or 1 (blind area), got 2"),
            (batch(POSITION) + b"\x00", "batch: expected a position of 0 bytes, 0 are left"),
            (batch(POSITION) + b"\x00\x1c\x01", "batch: expected a position of 28 bytes, 1 are left"),
            (batch(POSITION, POSITION[:20]), "2: location: expected at least 28 bytes, got 20"),
        ],
    )
    def test_a_batch_that_does_not_add_up_keeps_what_can_be_read(self, body: bytes, problem: str) -> None:
        got = report(made(0x0704, body))
        assert len(got.groups) == 1
        assert problem in got.problems

    @pytest.mark.parametrize(
        ("message_id", "body", "problem"),
        [
            (0x0200, POSITION[:27], "0200: location: expected at least 28 bytes, got 27"),
            (0x0704, b"\x00\x01", "0704: batch: expected count and kind in 3 bytes, got 2"),
            (0x0704, batch(POSITION[:20]), "0704: batch: expected at least one position, got none; 1: location"),
            (0x0100, bytes(24), "0100: registration: expected at least 25 bytes, got 24"),
            (0x0102, b"", "0102: authentication: expected a code, got an empty body"),
        ],
    )
    def test_a_message_of_which_nothing_can_be_read_is_refused(
        self, message_id: int, body: bytes, problem: str
    ) -> None:
        got = refusal(made(message_id, body))
        assert got.problems[0].startswith(problem)
        assert got.station == PHONE

    def test_an_authentication_of_2019_whose_lengths_do_not_agree_is_refused(self) -> None:
        wrong = encode(0x0102, "1", 1, b"\x05" + bytes(5 + 15), version_2019=True)
        assert "expected a code of 5 bytes, 15 of IMEI and 20 of software version" in refusal(wrong).problems[0]


class TestDamage:
    @pytest.mark.parametrize("name", VECTORS)
    def test_no_wrong_byte_is_believed(self, name: str) -> None:
        frame = VECTORS[name]
        for at in range(len(frame)):
            for value in {*range(0, 256, 5), frame[at] ^ 1, frame[at] ^ 0x20, 0x7D, 0x7E, 1, 2} - {frame[at]}:
                pieces = decoded(frame[:at] + bytes([value]) + frame[at + 1 :])
                assert pieces, (at, value)
                assert all(isinstance(piece, Refused) and piece.problems for piece in pieces), (at, value)

    @pytest.mark.parametrize("name", VECTORS)
    def test_a_cut_at_any_place_changes_nothing(self, name: str) -> None:
        frame = VECTORS[name]
        for at in range(len(frame) + 1):
            decoder = Jt808Decoder()
            assert [*decoder.feed(frame[:at]), *decoder.feed(frame[at:]), *decoder.finish()] == decoded(frame), at

    @pytest.mark.parametrize("name", VECTORS)
    def test_a_damaged_frame_does_not_take_its_neighbours(self, name: str) -> None:
        frame = VECTORS[name]
        for at in range(len(frame)):
            for value in {0x00, 0x7E, 0x7D, frame[at] ^ 0xFF} - {frame[at]}:
                pieces = decoded(AUTH + frame[:at] + bytes([value]) + frame[at + 1 :] + HEARTBEAT)
                one, *bad, two = pieces
                assert isinstance(one, Report), (at, value)
                assert isinstance(two, Report), (at, value)
                assert (one.raw, two.raw) == (AUTH, HEARTBEAT)
                assert bad, (at, value)
                assert all(isinstance(piece, Refused) for piece in bad), (at, value)

    def test_a_boundary_that_is_lost_between_two_frames_costs_nothing(self) -> None:
        raws = [piece.raw for piece in decoded(AUTH + LOCATION[:-1] + HEARTBEAT + LOCATION[1:])]
        assert raws == [AUTH, LOCATION, HEARTBEAT, LOCATION]

    @pytest.mark.parametrize("lost", range(2, len(LOCATION)))
    def test_a_frame_that_lost_its_end_or_its_beginning_does_not_take_the_next_one(self, lost: int) -> None:
        for rest in (LOCATION[:-lost], LOCATION[lost:]):
            pieces = decoded(AUTH + rest + HEARTBEAT + BATCH)
            raws = [piece.raw for piece in pieces if isinstance(piece, Report)]
            assert raws == [AUTH, HEARTBEAT, BATCH]

    def test_frames_may_share_their_boundary_and_noise_is_named(self) -> None:
        pieces = decoded(b"\r\n" + AUTH[:-1] + HEARTBEAT + b"\0\r\n" + LOCATION + b"AT+CSQ\r\n" + BATCH + b"\r\n")
        assert [type(piece) for piece in pieces] == [Report, Report, Report, Refused, Report]
        assert pieces[0].raw == AUTH
        assert "expected at least 13 bytes between two 7E, got 8" in pieces[3].problems[0]

    def test_noise_before_the_first_frame_is_named(self) -> None:
        noise, frame = decoded(b"\x28hello" + AUTH)
        assert isinstance(frame, Report)
        assert noise == Refused(b"(hello", ("frame: expected 7E, got '(hello'",))

    def test_a_frame_that_never_ends_is_named(self) -> None:
        got = refusal(LOCATION[:-1])
        assert got.problems[0].startswith("frame: expected a 7E at its end, but only ")
        assert (got.raw, got.station) == (LOCATION[:-1], "013306139197")

    def test_a_refusal_says_whose_the_frame_seems_to_be(self) -> None:
        assert refusal(LOCATION.replace(b"\x02\x31\x5c", b"\x02\x31\x5d")).station == "013306139197"
        assert refusal(BATCH_2019.replace(b"\x03\xf8", b"\x03\xf9")).station == "00000000013912344329"

    @pytest.mark.parametrize(
        ("frame", "problem"),
        [
            (LOCATION.replace(b"\xbe\x7e", b"\xbf\x7e"), "checksum: expected BE (XOR of header and body), got BF"),
            (ESCAPED.replace(b"\x7d\x02", b"\x7d\x03"), "escape: expected 7D01 or 7D02, got 7D03"),
            (AUTH[:-1] + b"\x7d\x7e", "escape: expected 7D01 or 7D02, got 7D;"),
            (
                made(0x0200, POSITION, encryption=1),
                "encryption: expected a body in clear (bits 10-12 zero), got 1 (RSA)",
            ),
            (made(0x0200, POSITION, encryption=4), "got 4 (unknown)"),
            (made(0x0200, POSITION, total=3, number=4), "packets: expected a number from 1 to 3, got 4"),
            (made(0x0200, POSITION, total=3, number=0), "packets: expected a number from 1 to 3, got 0"),
            (made(0x0200, POSITION, total=2000, number=1), "packets: expected at most 1024 in one message, got 2000"),
        ],
    )
    def test_refusals_say_what_was_expected_and_what_came(self, frame: bytes, problem: str) -> None:
        assert problem in refusal(frame).problems[0]

    @pytest.mark.parametrize(
        ("plain", "problem"),
        [
            ("0200000201330613919700010102ff", "length: 2 declared, but 3 bytes came behind 12 bytes of header"),
            ("02000004013306139197000101", "length: 4 declared, but 1 bytes came"),
            ("02004000013306139197000101020304", "header: expected 17 bytes by its properties, got 16"),
            ("02002001013306139197000101", "header: expected 16 bytes by its properties, got 13"),
            ("020000000133061391a70001", "phone: expected BCD digits, got 0133061391A7"),
        ],
    )
    def test_a_right_checksum_over_a_wrong_header_is_refused(self, plain: str, problem: str) -> None:
        content = bytes.fromhex(plain)
        frame = b"\x7e" + content + bytes([xor_sum(content)]) + b"\x7e"
        assert problem in refusal(frame).problems[0]

    @given(st.lists(st.binary(max_size=300), max_size=8))
    def test_nothing_crashes_and_little_is_kept(self, chunks: list[bytes]) -> None:
        self.fed(chunks)

    @given(st.lists(st.sampled_from([b"\x7e", b"\x7d", b"\x00", b"\x02\x00\x60\x00", b"~" + b"0" * 40]), max_size=60))
    def test_nothing_crashes_on_what_looks_like_frames(self, chunks: list[bytes]) -> None:
        self.fed(chunks)

    def fed(self, chunks: list[bytes]) -> None:
        decoder = Jt808Decoder()
        pieces = [piece for chunk in chunks for piece in decoder.feed(chunk)]
        assert len(decoder._buffer) <= jt808.SEGMENT_MAX
        pieces += decoder.finish()
        assert all(piece.problems for piece in pieces if isinstance(piece, Refused))
        assert decoder._buffer == b""

    @given(st.integers(0, 0x7FFF), st.binary(max_size=jt808.BODY_MAX), st.booleans())
    def test_any_body_of_any_message_is_read_or_refused(self, message_id: int, body: bytes, newer: bool) -> None:
        frame = encode(message_id, "13306139197", 9, body, version_2019=newer)
        opened = open_frame(frame)
        assert (opened.message_id, opened.body, encode_frame(opened)) == (message_id, body, frame)
        for known in (0x0001, 0x0100, 0x0102, 0x0200, 0x0704):
            (piece,) = decoded(encode(known, "13306139197", 9, body, version_2019=newer))
            assert isinstance(piece, Report) or piece.problems

    @given(
        st.lists(st.sampled_from([*VECTORS.values(), LOCATION[:20], b"\x7e", b"noise", b"\r\n"]), max_size=6), st.data()
    )
    def test_however_the_bytes_are_cut_the_pieces_are_the_same(self, parts: list[bytes], data: st.DataObject) -> None:
        whole = b"".join(parts)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        decoder = Jt808Decoder()
        pieces: list[Report | Refused] = []
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            pieces += decoder.feed(whole[start:end])
        assert [*pieces, *decoder.finish()] == decoded(whole)

    def test_a_stream_without_a_boundary_keeps_the_buffer_small(self) -> None:
        decoder = Jt808Decoder()
        pieces = [piece for _ in range(100) for piece in decoder.feed(b"\x7e" + b"x" * 200 + b"y" * 9000)]
        assert len(decoder._buffer) <= jt808.SEGMENT_MAX
        assert any("expected 7E within 2090 bytes" in piece.problems[0] for piece in pieces)
        assert [piece.raw for piece in decoder.feed(AUTH + HEARTBEAT) if isinstance(piece, Report)] == [AUTH, HEARTBEAT]

    def test_the_longest_frame_of_escapes_alone_is_read(self) -> None:
        frame = encode_frame(Frame(message_id=0x0900, phone="0" * 20, serial=0x7E7E, body=b"\x7e" * 1023, version=1))
        decoder = Jt808Decoder()
        pieces = [piece for byte in frame for piece in decoder.feed(bytes([byte]))]
        assert [type(piece) for piece in pieces] == [Report]


class TestDivided:
    BODY = batch(*[position(lat=30_000_000 + n) for n in range(40)], kind=1)

    def test_packets_are_joined_and_answered_once(self) -> None:
        sent = packets(self.BODY, 300)
        assert len(sent) == 5
        decoder = Jt808Decoder()
        assert [piece for frame in sent[:-1] for piece in decoder.feed(frame)] == []
        (got,) = decoder.feed(sent[-1])
        assert isinstance(got, Report)
        assert (len(got.groups), got.backfill, got.problems) == (40, True, ())
        assert values(got.groups[39])["lat"] == 30.000039
        assert open_frame(got.answer or b"").body == bytes.fromhex("000b070400"), "of the packet that came last"
        assert not decoder._parts

    def test_the_raw_bytes_of_a_joined_message_say_the_same_again(self) -> None:
        sent = packets(self.BODY, 300)
        got = report(b"".join([sent[1], sent[0], *sent[2:]]))
        assert got.raw == b"".join([sent[1], sent[0], *sent[2:]])
        assert report(got.raw) == got

    def test_order_repetition_and_other_messages_between_do_not_matter(self) -> None:
        sent = packets(self.BODY, 300)
        mixed = [sent[3], HEARTBEAT, sent[0], sent[0], sent[4], LOCATION, sent[1], sent[3], sent[2]]
        *others, last = decoded(b"".join(mixed))
        assert [piece.raw for piece in others] == [HEARTBEAT, LOCATION]
        assert isinstance(last, Report)
        assert last.groups == report(b"".join(sent)).groups

    def test_serial_numbers_may_turn_over_or_stand_still(self) -> None:
        whole = report(b"".join(packets(self.BODY, 300)))
        for serial, step in ((0xFFFE, 1), (7, 0)):
            assert report(b"".join(packets(self.BODY, 300, serial=serial, step=step))).groups == whole.groups

    def test_packets_of_two_messages_are_never_mixed(self) -> None:
        old, new = packets(self.BODY, 300, serial=7), packets(self.BODY[:-1] + b"\x35", 300, serial=50)
        forgotten, got = decoded(old[0] + b"".join(new))
        assert isinstance(forgotten, Refused)
        assert forgotten.problems == (
            "packets: expected all 5 of message 0704, but 2, 3, 4, 5 of 5 did not come before another message began",
        )
        assert (forgotten.raw, forgotten.station) == (old[0], PHONE)
        assert isinstance(got, Report)
        assert got.raw == b"".join(new)

    def test_a_lost_packet_is_made_good_by_sending_the_message_again(self) -> None:
        sent = packets(self.BODY, 300)
        damaged = sent[2].replace(b"\x01", b"\x02", 1)
        pieces = decoded(b"".join([*sent[:2], damaged, *sent[3:]]) + b"".join(sent))
        assert [type(piece) for piece in pieces] == [Refused, Report]
        again = packets(self.BODY, 300, serial=90)
        pieces = decoded(b"".join([*sent[:2], *sent[3:]]) + b"".join(again))
        assert [type(piece) for piece in pieces] == [Refused, Report]
        assert "but 3 of 5 did not come" in pieces[0].problems[0]

    def test_packets_wait_over_the_end_of_a_message_of_a_broker(self) -> None:
        decoder = Jt808Decoder()
        pieces = [piece for frame in packets(self.BODY, 300) for piece in [*decoder.feed(frame), *decoder.finish()]]
        assert [type(piece) for piece in pieces] == [Report]

    def test_one_packet_of_one_is_a_whole_message(self) -> None:
        got = report(made(0x0200, POSITION, total=1, number=1))
        assert values(got.groups[0])["lat"] == 36.789316

    def test_more_than_a_few_unfinished_messages_are_forgotten_from_the_oldest(self) -> None:
        decoder = Jt808Decoder()
        pieces: list[Report | Refused] = []
        for n in range(10):
            pieces += decoder.feed(made(0x0800 + n, b"x", total=2, number=1))
        assert [piece.raw for piece in pieces] == [made(0x0800 + n, b"x", total=2, number=1) for n in range(6)]
        assert "2 of 2 did not come before more than 4 messages" in pieces[0].problems[0]
        assert len(decoder._parts) == 4
        (got,) = decoder.feed(made(0x0809, b"y", serial=8, total=2, number=2))
        assert isinstance(got, Report)
        assert got.facts["hex"] == b"xy".hex()

    def test_a_message_that_is_too_long_is_forgotten(self) -> None:
        decoder = Jt808Decoder()
        pieces: list[Report | Refused] = []
        most = 0
        for frame in packets(bytes(1000 * 1023), 1023, message_id=0x0801):
            pieces += decoder.feed(frame)
            most = max(most, sum(waiting.size for waiting in decoder._parts.values()))
        assert most <= jt808.PARTS_BYTES
        assert pieces
        assert all(isinstance(piece, Refused) and "bytes would have waited" in piece.problems[0] for piece in pieces)

    @given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=4))
    def test_any_order_gives_the_same_message(self, order: list[int], repeated: list[int]) -> None:
        sent = packets(self.BODY, 300)
        before_last = [sent[n] for n in (*order[:-1], *(n for n in repeated if n != order[-1]))]
        got = report(b"".join([*before_last, sent[order[-1]]]))
        assert got.groups == report(b"".join(sent)).groups


class TestEncode:
    @pytest.mark.parametrize(
        ("phone", "body", "problem"),
        [
            ("1", bytes(1024), "body: expected at most 1023 bytes, got 1024"),
            ("1234567890123", b"", "phone: expected 12 digits, got '1234567890123'"),
            ("12a", b"", "phone: expected 12 digits"),
            ("", b"", None),
        ],
    )
    def test_what_does_not_fit_is_not_written(self, phone: str, body: bytes, problem: str | None) -> None:
        if problem is None:
            assert open_frame(encode(0x0002, phone, 1, body)).phone == "0" * 12
            return
        with pytest.raises(ValueError, match=problem):
            encode(0x0002, phone, 1, body)

    @pytest.mark.parametrize("raw", [b"", b"\x7e", AUTH[1:], AUTH[:-1], b"\x7e\x7e"])
    def test_what_is_no_frame_is_not_opened(self, raw: bytes) -> None:
        with pytest.raises(WrongFrame, match="frame: expected"):
            open_frame(raw)
