"""SL 651: the verified vectors, damage in every byte, cuts at every place, batches, packets, ASCII, and the way down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs import sl651
from devices.codecs.checksums import crc_modbus
from devices.codecs.sl651 import ETB, ETX, Frame, Sl651Decoder, bcd_time, element, encode, encode_ascii, open_frame
from devices.codecs.station import Group, Reading, Refused, Report, Said

HEARTBEAT = bytes.fromhex("7E7E01001234567812342F0008020003591011155111036BCA")
HEARTBEAT_2 = bytes.fromhex("7E7E00987654321012342F0008027E0822101110074703C3AE")
RIVER = bytes.fromhex(
    "7E7E05001122334403E832002B020034170718110016F1F1001122334448F0F01707181100201900004026190000403923000104903812109903A421"
)
RIVER_ACK = bytes.fromhex("7E7E00112233440503E8328008020034170718110018044D91")
GATE = bytes.fromhex(
    "7e7e0040590235c2123432002b020002241111102942f1f140590235c25af0f02411111029762aff00000172772aff00000021782200000152"
    "03bb93"
)
RAIN = bytes.fromhex(
    "7e7e011090330853a00032004d020121260202182021f1f1109033085350f0f026020218202219000000272b0000000000392300000134371b"
    "000000302b000004300020190000001f1900000026190000001a19000000381211530388ad"
)
VECTORS = {"heartbeat": HEARTBEAT, "heartbeat 2": HEARTBEAT_2, "river": RIVER, "gate": GATE, "rain": RAIN}
STATION_ID, CLASS = "0011223344", "48"


def us(text: str) -> int:
    """Of an ISO time with its zone."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def decoded(data: bytes) -> list[Report | Refused]:
    decoder = Sl651Decoder()
    return [*decoder.feed(data), *decoder.finish()]


def report(data: bytes) -> Report:
    (piece,) = decoded(data)
    assert isinstance(piece, Report), piece
    return piece


def body(elements: bytes, *, time: str = "2017-07-18T11:00:00+08:00") -> bytes:
    """Serial number, send time, station, class, observation time, elements."""
    sent, station = bcd_time(us(time), seconds=True), bytes.fromhex(STATION_ID)
    observed = b"\xf0\xf0" + bcd_time(us(time), seconds=False)
    return b"\x00\x07" + sent + b"\xf1\xf1" + station + bytes.fromhex(CLASS) + observed + elements


def frame(elements: bytes, **fields: Any) -> bytes:
    plain = Frame(up=True, centre=5, station=STATION_ID, password="03E8", function=0x32, body=body(elements), end=ETX)
    return encode(replace(plain, **fields))


def readings(elements: bytes) -> tuple[Reading, ...]:
    (group,) = report(frame(elements)).groups
    return group.readings


class TestVectors:
    def test_a_river_station(self) -> None:
        got = report(RIVER)
        assert (got.said, got.station, got.password, got.command, got.category) == (
            Said.DATA,
            "0011223344",
            "03E8",
            "32",
            "48",
        )
        assert got.groups == (
            Group(
                us("2017-07-18T11:00:00+08:00"),
                (Reading("20", 4.0), Reading("26", 4.0), Reading("39", 10.49), Reading("38", 10.99)),
            ),
        )
        assert got.facts == {"centre": "05", "serial": 0x34}
        assert got.problems == ()

    def test_negative_values_have_a_leading_ff(self) -> None:
        (group,) = report(GATE).groups
        assert group.readings == (Reading("76", -1.72), Reading("77", -0.21), Reading("78", 1.52))
        assert group.time_us == us("2024-11-11T10:29:00+08:00")

    def test_a_rain_station(self) -> None:
        (group,) = report(RAIN).groups
        values = {reading.name: reading.value for reading in group.readings}
        # The notes that the vector comes from say 0.430 for element 30; its bytes are 302B 0000043000: three decimals, so 43.
        assert (values["39"], values["27"], values["30"], values["38"]) == (0.134, 0.0, 43.0, 11.53)
        assert group.time_us == us("2026-02-02T18:20:00+08:00")
        assert report(RAIN).category == "50"

    @pytest.mark.parametrize(("raw", "station"), [(HEARTBEAT, "0012345678"), (HEARTBEAT_2, "9876543210")])
    def test_a_heartbeat_is_not_answered(self, raw: bytes, station: str) -> None:
        got = report(raw)
        assert (got.said, got.station, got.password, got.answer) == (Said.HEARTBEAT, station, "1234", None)

    def test_the_acknowledgement_has_the_form_of_the_vector_and_the_messages_own_time(self) -> None:
        answer, vector = open_frame(report(RIVER).answer or b""), open_frame(RIVER_ACK)
        assert (answer.up, answer.station, answer.centre, answer.password) == (False, "0011223344", 5, "03E8")
        assert (answer.function, answer.end, len(answer.body)) == (vector.function, vector.end, len(vector.body))
        assert answer.body == bytes.fromhex("0034170718110016")
        assert encode(vector) == RIVER_ACK

    @pytest.mark.parametrize("name", VECTORS)
    def test_what_was_read_is_written_again_byte_by_byte(self, name: str) -> None:
        assert encode(open_frame(VECTORS[name])) == VECTORS[name]


class TestElements:
    @pytest.mark.parametrize(
        ("value", "digits", "decimals"), [(10.49, 7, 3), (-1.72, 7, 2), (0.0, 5, 1), (-0.001, 7, 3), (9999.999, 7, 3)]
    )
    def test_there_and_back(self, value: float, digits: int, decimals: int) -> None:
        (reading,) = readings(element("39", value, digits=digits, decimals=decimals))
        assert (reading.name, reading.quality) == ("39", None)
        assert reading.value == pytest.approx(value, abs=1e-9)

    @given(st.integers(-9_999_999, 9_999_999), st.integers(0, 4))
    def test_every_number_comes_back(self, scaled: int, decimals: int) -> None:
        (reading,) = readings(element("39", scaled / 10**decimals, digits=8, decimals=decimals))
        assert reading.value == pytest.approx(scaled / 10**decimals, abs=10**-decimals / 2)

    def test_a_value_that_does_not_fit_is_not_written(self) -> None:
        with pytest.raises(ValueError, match=r"39: 12345.0 does not fit N\(3,1\)"):
            element("39", 12345.0, digits=3, decimals=1)

    @pytest.mark.parametrize("data", ["ffffffff", "aaaaaaaa"])
    def test_invalid_is_missing(self, data: str) -> None:
        assert readings(bytes.fromhex("3923" + data)) == (Reading("39", None, 9),)

    def test_what_is_no_bcd_is_named_and_costs_nothing_else(self) -> None:
        got = report(frame(bytes.fromhex("39230001b490") + element("38", 10.99, digits=4, decimals=2)))
        assert got.groups[0].readings == (Reading("39", None, 9), Reading("38", 10.99))
        assert got.problems == ("39: expected BCD digits, got 0001b490",)

    def test_an_extended_identifier_keeps_both_bytes(self) -> None:
        assert readings(bytes.fromhex("ff11120512")) == (Reading("FF11", 5.12),)

    def test_the_state_word_is_no_bcd(self) -> None:
        assert readings(bytes.fromhex("4520800000a4")) == (Reading("45", float(0x800000A4)),)

    def test_five_minute_rain_is_twelve_readings_that_end_their_periods(self) -> None:
        slots = bytes([0, 5, 254, 255, *range(8)])
        groups = report(frame(b"\xf4\x60" + slots, function=0x34)).groups
        first = us("2017-07-18T11:00:00+08:00")
        assert [group.time_us for group in groups] == [first + n * 300_000_000 for n in range(12)]
        assert [group.readings[0].value for group in groups[:4]] == [0.0, 0.5, 25.4, None]

    def test_five_minute_levels_are_hex_and_not_bcd(self) -> None:
        slots = (0x0419).to_bytes(2) + b"\xff\xff" + b"".join(n.to_bytes(2) for n in range(10))
        groups = report(frame(b"\xf5\xc0" + slots, function=0x34)).groups
        assert [group.readings[0].value for group in groups[:3]] == [10.49, None, 0.0]

    def test_equal_steps_run_to_the_end(self) -> None:
        elements = bytes.fromhex("0418000100" + "3923" + "00001000" + "00001100" + "00001200")
        groups = report(frame(elements, function=0x31)).groups
        first = us("2017-07-18T11:00:00+08:00")
        assert [(g.time_us, g.readings[0].value) for g in groups] == [
            (first, 1.0),
            (first + 3_600_000_000, 1.1),
            (first + 7_200_000_000, 1.2),
        ]

    def test_several_observation_times(self) -> None:
        later = b"\xf0\xf0" + bytes.fromhex("1707181200") + element("39", 2.0, digits=7, decimals=3)
        groups = report(frame(element("39", 1.0, digits=7, decimals=3) + later)).groups
        assert [(g.time_us, g.readings[0].value) for g in groups] == [
            (us("2017-07-18T11:00:00+08:00"), 1.0),
            (us("2017-07-18T12:00:00+08:00"), 2.0),
        ]

    @pytest.mark.parametrize(
        ("elements", "says"),
        [
            ("3923000104", "39: 4 bytes declared, 3 there"),
            ("39", "elements: 39 ends before its definition"),
            ("3903", "39: 0 bytes declared, 0 there"),
            ("f0f01713990000", "F0F0: expected YYMMDDHHmm in BCD, got 1713990000"),
        ],
    )
    def test_a_torn_element_is_named_and_those_before_it_stay(self, elements: str, says: str) -> None:
        got = report(frame(element("38", 10.99, digits=4, decimals=2) + bytes.fromhex(elements)))
        assert got.groups[0].readings == (Reading("38", 10.99),)
        assert got.problems == (says,)
        assert got.answer is not None

    def test_a_picture_is_not_kept_and_so_not_acknowledged(self) -> None:
        got = report(frame(b"\xf3\xf3" + b"\xff\xd8picture", function=0x36))
        assert got.answer is None
        assert "F3 holds 9 bytes" in got.problems[0]

    def test_a_manual_report_keeps_its_text(self) -> None:
        assert report(frame(b"\xf2\xf2" + "水位正常".encode("gb18030"), function=0x35)).facts["text"] == "水位正常"

    def test_another_station_inside_is_told(self) -> None:
        content = body(b"").replace(bytes.fromhex(STATION_ID), bytes.fromhex("0099999999"))
        assert report(frame(b"", body=content)).facts["station_inside"] == "0099999999"

    @pytest.mark.parametrize("function", [0x43, 0x46, 0x50, 0xE0])
    def test_a_function_that_is_not_ours_is_a_notice_with_its_bytes(self, function: int) -> None:
        got = report(frame(b"", function=function, body=b"\x00\x07" + bytes(6) + b"\x12\x34"))
        assert (got.said, got.facts["hex"], got.groups) == (Said.NOTICE, "1234", ())


class TestPackets:
    def parts(self, count: int = 3) -> list[bytes]:
        whole = body(b"".join(element("39", float(n), digits=7, decimals=3) for n in range(30)))
        size = -(-len(whole) // count)
        pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
        return [
            frame(b"", body=piece, total=count, sequence=n, end=ETX if n == count else ETB)
            for n, piece in enumerate(pieces, 1)
        ]

    def test_packets_are_one_message(self) -> None:
        got = report(b"".join(self.parts()))
        assert [reading.value for reading in got.groups[0].readings] == [float(n) for n in range(30)]
        assert report(got.raw) == got, "its bytes say the same again"

    def test_a_lost_packet_is_named_and_nothing_is_acknowledged(self) -> None:
        first, _, last = self.parts()
        (piece,) = decoded(first + last)
        assert isinstance(piece, Refused)
        assert piece.problems == ("packets: 2 of 3 did not come",)

    def test_a_length_that_leaves_the_three_bytes_out_is_taken(self) -> None:
        packet = self.parts(2)[0]
        length = int.from_bytes(packet[11:13]) - 3
        covered = packet[:11] + length.to_bytes(2) + packet[13:-2]
        other = covered + crc_modbus(covered).to_bytes(2)
        assert open_frame(other).body == open_frame(packet).body

    def test_memory_is_bounded(self) -> None:
        decoder = Sl651Decoder()
        for n in range(200):
            decoder.feed(frame(b"", body=bytes(4000), total=4000, sequence=2 + n, end=ETB, function=0x36))
            decoder.feed(frame(b"", body=bytes(9), total=9, sequence=2, end=ETB, station=f"{n:010d}"))
        assert len(decoder._parts) <= sl651.PARTS_MAX
        assert sum(len(b) for parts in decoder._parts.values() for b, _ in parts.values()) <= 2 * sl651.PARTS_BYTES


class TestAscii:
    TEXT = b"0007170718110016ST 0011223344 48 TT 1707181100 Z 10.49 VT 10.99 PJ -0.5 XX 3 Q MMMM"

    def sent(self, text: bytes = TEXT) -> bytes:
        return encode_ascii(
            Frame(up=True, centre=5, station=STATION_ID, password="03E8", function=0x32, body=text, end=ETX)
        )

    def test_the_same_readings_as_in_hex(self) -> None:
        got = report(self.sent())
        assert (got.station, got.password, got.category) == (STATION_ID, "03E8", "48")
        (group,) = got.groups
        assert group.time_us == us("2017-07-18T11:00:00+08:00")
        assert group.readings == (
            Reading("39", 10.49),
            Reading("38", 10.99),
            Reading("20", -0.5),
            Reading("XX", 3.0),
            Reading("27", None, 9),
        )

    def test_it_is_answered_in_ascii(self) -> None:
        answer = open_frame(report(self.sent()).answer or b"")
        assert (answer.ascii, answer.up, answer.body) == (True, False, b"0007170718110016")

    def test_every_wrong_byte_is_refused(self) -> None:
        good = self.sent()
        for at in range(len(good)):
            for value in (good[at] ^ 1, good[at] ^ 0x20, 0x7E, 0x01):
                bad = good[:at] + bytes([value]) + good[at + 1 :]
                if value != good[at] and bad.upper() != good.upper():
                    assert not [p for p in decoded(bad) if isinstance(p, Report) and p.groups != report(good).groups], (
                        at
                    )

    def test_wrong_words_are_named(self) -> None:
        got = report(self.sent(b"0007170718110016ST 0011223344 48 TT 17071 Z ten VT"))
        assert got.problems == (
            "TT: expected YYMMDDHHmm, got '17071'",
            "Z: expected a number, got 'ten'",
            "VT: expected a value after it",
        )


class TestDamage:
    @pytest.mark.parametrize("name", VECTORS)
    def test_every_wrong_byte_is_refused(self, name: str) -> None:
        raw = VECTORS[name]
        for at in range(len(raw)):
            for value in range(256):
                if value == raw[at]:
                    continue
                pieces = decoded(raw[:at] + bytes([value]) + raw[at + 1 :])
                assert not [piece for piece in pieces if isinstance(piece, Report)], (at, value)
                assert all(piece.problems for piece in pieces if isinstance(piece, Refused))
                assert pieces

    @pytest.mark.parametrize("name", VECTORS)
    def test_a_cut_at_any_place_changes_nothing(self, name: str) -> None:
        raw = VECTORS[name]
        for at in range(len(raw) + 1):
            decoder = Sl651Decoder()
            assert [*decoder.feed(raw[:at]), *decoder.feed(raw[at:]), *decoder.finish()] == [report(raw)]

    @pytest.mark.parametrize("lost", range(1, 30))
    def test_a_frame_that_lost_its_end_does_not_take_the_next_one(self, lost: int) -> None:
        stations = [p.station for p in decoded(RIVER[:-lost] + GATE + RAIN) if isinstance(p, Report)]
        assert stations == ["40590235C2", "1090330853"]

    def test_noise_between_frames(self) -> None:
        pieces = decoded(b"\0\xff" + RIVER + b"+CSQ: 20\r\n\x01" + RAIN + b"\r\n" + HEARTBEAT)
        assert [type(piece) for piece in pieces] == [Refused, Report, Refused, Report, Report]

    def test_a_frame_of_the_centre_is_refused(self) -> None:
        (piece,) = decoded(RIVER_ACK)
        assert isinstance(piece, Refused)
        assert piece.problems == ("direction: expected a frame from a station, got one from a centre",)

    @given(st.lists(st.binary(max_size=200), max_size=8))
    def test_nothing_crashes_and_little_is_kept(self, chunks: list[bytes]) -> None:
        decoder = Sl651Decoder()
        pieces = [piece for chunk in chunks for piece in decoder.feed(chunk)]
        assert len(decoder._buffer) <= sl651.BODY_MAX + 64
        pieces += decoder.finish()
        assert all(piece.problems for piece in pieces if isinstance(piece, Refused))

    @given(st.binary(max_size=120), st.sampled_from(sorted(sl651.DATA)))
    def test_any_elements_under_a_right_checksum_do_not_crash(self, elements: bytes, function: int) -> None:
        assert all(isinstance(piece, Report | Refused) for piece in decoded(frame(elements, function=function)))

    @given(st.text(max_size=80))
    def test_any_text_under_a_right_checksum_does_not_crash(self, text: str) -> None:
        content = b"0007170718110016" + text.encode("gb18030", errors="replace")
        raw = encode_ascii(
            Frame(up=True, centre=5, station=STATION_ID, password="03E8", function=0x32, body=content, end=ETX)
        )
        assert decoded(raw)


class TestDown:
    def test_the_clock_is_set_in_local_time(self) -> None:
        sent = open_frame(Sl651Decoder().set_clock(report(RIVER), us("2019-08-09T22:00:01+08:00")))
        assert (sent.function, sent.up, sent.centre, sent.password) == (0x4A, False, 5, "03E8")
        assert sent.body == bytes.fromhex("0000190809220001")
        assert sent.end == sl651.ENQ

    def test_too_long_a_body_is_not_written(self) -> None:
        with pytest.raises(ValueError, match="at most 4095 bytes"):
            frame(b"", body=bytes(5000))
