"""GB/T 26875.3: published frames, damage in every byte, cuts at every place, the options of vendors, and the way down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs import gb26875
from devices.codecs.gb26875 import (
    Frame,
    Gb26875Decoder,
    WrongFrame,
    confirmation,
    encode,
    open_frame,
    time_tag,
    time_us,
)
from devices.codecs.station import Group, Reading, Refused, Report, Said

HEAD = "4040 0100 0101 203A091A090C 790300000000 385B01000000 "  # serial 1, 2012-09-26 09:58:32, from 377 to 015B38
DOWN = "4040 0100 0101 203A091A090C 385B01000000 790300000000 "
EVENT = "023A091A090C"  # 09:58:02

# Examples of a vendor in ActorLancer/GB-T-26875.3.2011-rs, "GB26875文档.md".
FIRE = bytes.fromhex(HEAD + "3000 02 0201 0101280A00020002 00" + "20" * 30 + "00" + EVENT + "46 2323")
POWER = bytes.fromhex(HEAD + "0900 02 150108" + EVENT + "42 2323")
DUTY = bytes.fromhex(HEAD + "0A00 02 18012001" + EVENT + "5F 2323")
VERSION = bytes.fromhex(HEAD + "0400 02 19010101 C7 2323")
TIME = bytes.fromhex(HEAD + "0800 02 1C01" + EVENT + "40 2323")
REPLY = bytes.fromhex(HEAD + "0900 05 150108" + EVENT + "45 2323")
DENIED = bytes.fromhex("4040 0100 0101 233A091A090C 790300000000 385B01000000 0000 06 AE 2323")
SYNC = bytes.fromhex(DOWN + "0800 01 5A01" + EVENT + "7D 2323")
CONFIRMED = bytes.fromhex("4040 0100 0101 233A091A090C 385B01000000 790300000000 0000 03 AB 2323")
# A frame in the tests of shootingfans/codec_gb26875_3_2011 (codec/reader_decoder_test.go).
SMOKE = bytes.fromhex(
    "4040 0000 0101 180D11160A14 000000000000 060504030201 3000 02 0201 0103 00 D9000600 0200"
    "A3C1C7F8A3B1B2E3DFC8B2B8D7DFC0C8" + "00" * 15 + "301213010814 68 2323"
)
MINIMAL = bytes.fromhex("404001000101040009020715000000000000000000000000000003312323")  # reference notes, section 6.5
VECTORS = {
    "fire": FIRE,
    "power": POWER,
    "duty": DUTY,
    "version": VERSION,
    "time": TIME,
    "reply": REPLY,
    "denied": DENIED,
    "confirmed": CONFIRMED,
    "sync": SYNC,
    "smoke": SMOKE,
    "minimal": MINIMAL,
}
# Application data in codec_test.go of the same: made up there, each with the values that it has to give.
SYSTEMS = bytes.fromhex("0102 01020402040009020715 0D030501050009020715")
TEXT = "37C2A53032CAD2BBE1D2E9CAD2D1CCB8D0" + "00" * 14  # "7楼02室会议室烟感"
COMPONENTS = bytes.fromhex("0202 010279010203040402" + TEXT + "040009020715 0D0379030405060501" + TEXT + "050009020715")
ANALOGUES = bytes.fromhex("0302 0102280102030403 2003 040009020715 0D03790304050602 0150 050009020715")
TRANSMITTER = bytes.fromhex("1501 08 040009020715")
STATION, CENTRE = "000000000379", "000000015B38"


def us(text: str) -> int:
    """Of an ISO time with its zone."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


FOUR, FIVE = us("2021-07-02T09:00:04+08:00"), us("2021-07-02T09:00:05+08:00")
EVENT_US = us("2012-09-26T09:58:02+08:00")


def decoded(data: bytes, **settings: Any) -> list[Report | Refused]:
    decoder = Gb26875Decoder(**settings)
    return [*decoder.feed(data), *decoder.finish()]


def report(data: bytes, **settings: Any) -> Report:
    (piece,) = decoded(data, **settings)
    assert isinstance(piece, Report), piece
    return piece


def refusal(data: bytes, **settings: Any) -> Refused:
    (piece,) = decoded(data, **settings)
    assert isinstance(piece, Refused), piece
    return piece


def made(data: bytes, *, command: int = 2, checksum: Any = "sum", **fields: Any) -> bytes:
    tag = bytes.fromhex("203A091A090C")
    frame = Frame(serial=7, source=STATION, destination=CENTRE, command=command, time=tag, data=data)
    return encode(replace(frame, **fields), checksum=checksum)


def component(state: int = 2, *, number: int = 1, address: int = 2, at: str = "040009020715") -> bytes:
    head = bytes([1, address, 40]) + number.to_bytes(4, "little") + state.to_bytes(2, "little")
    return head + bytes.fromhex(TEXT + at)


class TestVectors:
    def test_a_fire_that_a_component_reports(self) -> None:
        got = report(FIRE)
        assert (got.said, got.station, got.command) == (Said.DATA, "000000000379", "2/2")
        assert (got.crc_alternative, got.problems) == (False, ())
        assert got.groups == (Group(EVENT_US, (Reading("2/1.1-40-131082", 2.0),)),), "zone 10, position 2"
        assert got.facts == {"serial": 1, "version": "0101", "destination": "000000015B38", "type": 2}

    def test_the_frame_of_a_device_with_its_text(self) -> None:
        got = report(SMOKE)
        assert (got.station, got.facts["destination"]) == ("000000000000", "010203040506")
        assert got.groups == (Group(us("2020-08-01T19:18:48+08:00"), (Reading("2/1.3-0-393433", 2.0),)),)
        assert got.facts["descriptions"] == {"2/1.3-0-393433": "Ａ区１层呷哺走廊"}

    def test_the_state_of_the_transmitter(self) -> None:
        got = report(POWER)
        assert got.groups == (Group(EVENT_US, (Reading("21", 8.0),)),)

    def test_states_of_systems(self) -> None:
        assert report(made(SYSTEMS)).groups == (
            Group(FOUR, (Reading("1/1.2", float(0x0204)),)),
            Group(FIVE, (Reading("1/13.3", float(0x0105)),)),
        )

    def test_states_of_components(self) -> None:
        got = report(made(COMPONENTS))
        first, second = f"2/1.2-121-{0x04030201}", f"2/13.3-121-{0x06050403}"
        assert got.groups == (
            Group(FOUR, (Reading(first, float(0x0204)),)),
            Group(FIVE, (Reading(second, float(0x0105)),)),
        )
        assert got.facts["descriptions"] == {first: "7楼02室会议室烟感", second: "7楼02室会议室烟感"}

    def test_analogue_values_are_in_their_unit(self) -> None:
        assert report(made(ANALOGUES)).groups == (
            Group(FOUR, (Reading(f"3/1.2-40-{0x04030201}/3", 80.0, unit="℃"),)),
            Group(FIVE, (Reading(f"3/13.3-121-{0x06050403}/2", 204.81, unit="m"),)),
        )

    def test_the_transmitters_own_example(self) -> None:
        assert report(made(TRANSMITTER)).groups == (Group(FOUR, (Reading("21", 8.0),)),)

    @pytest.mark.parametrize(
        ("frame", "command", "kind", "data"),
        [
            (DUTY, "2/24", 24, "18012001023a091a090c"),
            (VERSION, "2/25", 25, "19010101"),
            (TIME, "2/28", 28, "1c01023a091a090c"),
        ],
    )
    def test_other_types_are_notices_in_hex(self, frame: bytes, command: str, kind: int, data: str) -> None:
        got = report(frame)
        assert (got.said, got.command, got.groups) == (Said.NOTICE, command, ())
        assert got.facts == {"serial": 1, "version": "0101", "destination": CENTRE, "type": kind, "hex": data}

    def test_a_frame_without_data_is_a_heartbeat(self) -> None:
        got = report(made(b""))
        assert (got.said, got.command, got.groups) == (Said.HEARTBEAT, "2", ())
        assert open_frame(got.answer or b"").command == 3

    @pytest.mark.parametrize(
        ("frame", "command"),
        [(REPLY, "5/21"), (DENIED, "6"), (CONFIRMED, "3"), (MINIMAL, "3"), (made(b"", command=6), "6")],
    )
    def test_an_answer_is_never_answered(self, frame: bytes, command: str) -> None:
        got = report(frame)
        assert (got.said, got.command, got.answer, got.groups) == (Said.ANSWER, command, None, ())

    @pytest.mark.parametrize("command", [0, 1, 4, 7, 127, 128, 255])
    def test_other_commands_are_notices_without_an_answer(self, command: int) -> None:
        got = report(made(b"\x5a\x01\x00", command=command))
        assert (got.said, got.command, got.answer) == (Said.NOTICE, f"{command}/90", None)
        assert got.facts["hex"] == "5a0100"

    @pytest.mark.parametrize("name", VECTORS)
    def test_what_was_read_is_written_again_byte_by_byte(self, name: str) -> None:
        assert encode(open_frame(VECTORS[name])) == VECTORS[name]


class TestAnswers:
    @pytest.mark.parametrize("name", ["fire", "power", "duty", "version", "time", "smoke"])
    def test_data_are_confirmed_with_serial_version_and_time_of_their_own(self, name: str) -> None:
        asked = open_frame(VECTORS[name])
        got = open_frame(report(VECTORS[name]).answer or b"")
        assert (got.command, got.data, got.serial, got.version, got.time) == (3, b"", asked.serial, 0x0101, asked.time)
        assert (got.source, got.destination) == (asked.destination, asked.source)

    def test_the_confirmation_is_the_vendors_but_for_its_time(self) -> None:
        answer = open_frame(report(FIRE).answer or b"")
        assert encode(replace(answer, time=bytes.fromhex("233A091A090C"))) == CONFIRMED
        assert confirmation(open_frame(FIRE)) == answer

    def test_the_answer_has_the_checksum_of_the_question(self) -> None:
        answer = report(made(TRANSMITTER, checksum="xor"), checksum="xor").answer or b""
        assert open_frame(answer, checksum="xor").command == 3

    def test_setting_the_clock_is_the_vendors_frame(self) -> None:
        frame = Gb26875Decoder().set_clock(report(FIRE), EVENT_US + 700_000)
        got = open_frame(frame)
        assert replace(got, serial=1, time=bytes.fromhex("203A091A090C")) == open_frame(SYNC)
        assert got.time == bytes.fromhex(EVENT), "sent when it says"
        assert got.serial == EVENT_US // 1_000_000 & 0xFFFF

    def test_setting_the_clock_follows_the_options(self) -> None:
        decoder = Gb26875Decoder(checksum="xor", bcd_time=True)
        got = open_frame(decoder.set_clock(report(FIRE), EVENT_US), checksum="xor")
        assert got.data == bytes.fromhex("5A01 025809260912")


class TestOptions:
    def test_a_checksum_by_exclusive_or_is_taken_where_it_is_said_and_told(self) -> None:
        frame = made(TRANSMITTER, checksum="xor")
        got = report(frame, checksum="xor")
        assert (got.crc_alternative, got.groups) == (True, (Group(FOUR, (Reading("21", 8.0),)),))
        assert frame != made(TRANSMITTER)

    def test_the_other_checksum_is_refused_with_a_hint(self) -> None:
        xor = made(TRANSMITTER, checksum="xor")
        right, told = made(TRANSMITTER)[-3], xor[-3]
        problem = refusal(xor).problems[0]
        assert problem.startswith(f"checksum: expected {right:02X} (sum), got {told:02X}, which is the XOR; the frame")
        problem = refusal(made(TRANSMITTER), checksum="xor").problems[0]
        assert problem.startswith(f"checksum: expected {told:02X} (XOR), got {right:02X}, which is the sum; the frame")

    def test_an_unknown_checksum_is_refused_by_name(self) -> None:
        with pytest.raises(ValueError, match="checksum: expected sum or xor, got 'crc'"):
            Gb26875Decoder(checksum="crc")  # type: ignore[arg-type]

    def test_times_may_be_bcd(self) -> None:
        data = bytes.fromhex("1501 08 025809260912")
        assert report(made(data), bcd_time=True).groups == (Group(EVENT_US, (Reading("21", 8.0),)),)

    @pytest.mark.parametrize(
        ("bcd", "tag"),
        [
            (False, "000000000000"),
            (False, "3c0000010115"),
            (False, "00001e1d0215"),
            (False, "000000010164"),
            (False, "ffffffffffff"),
            (True, "023A091A090C"),
            (True, "000000310221"),
            (True, "600000010121"),
        ],
    )
    def test_a_time_that_is_none_is_named_and_costs_no_state(self, bcd: bool, tag: str) -> None:
        got = report(made(bytes.fromhex("150102" + tag)), bcd_time=bcd)
        assert got.groups == (Group(None, (Reading("21", 2.0),)),)
        form = "BCD" if bcd else "binary"
        assert got.problems == (f"21: expected a time ({form} s m h D M Y), got {tag.lower()}",)
        assert got.answer is not None

    @given(
        st.integers(us("2000-01-01T00:00:00+08:00") // 10**6, us("2099-12-31T23:59:59+08:00") // 10**6), st.booleans()
    )
    def test_times_there_and_back(self, second: int, bcd: bool) -> None:
        assert time_us(time_tag(second * 10**6 + 999_999, bcd=bcd), bcd=bcd) == second * 10**6


class TestObjects:
    def test_objects_of_one_time_share_a_group(self) -> None:
        later = component(0, number=3, at="050009020715")
        data = bytes([2, 4]) + component(2, number=1) + component(4, number=2) + later + component(1, address=3)
        groups = report(made(data)).groups
        assert groups == (
            Group(FOUR, (Reading("2/1.2-40-1", 2.0), Reading("2/1.2-40-2", 4.0), Reading("2/1.3-40-1", 1.0))),
            Group(FIVE, (Reading("2/1.2-40-3", 0.0),)),
        )

    @pytest.mark.parametrize(
        ("data", "readings", "problem"),
        [
            (bytes([2, 2]) + component(), 1, "data: expected 2 objects of 46 bytes, got 1"),
            (bytes([2, 1]) + component() + component(4), 1, "data: expected 1 objects of 46 bytes, got 2"),
            (
                bytes([2, 2]) + component() + component()[:45],
                1,
                "data: expected 2 objects of 46 bytes, got 1 and 45 bytes",
            ),
            (TRANSMITTER + b"\0", 1, "data: expected 1 objects of 7 bytes, got 1 and 1 bytes"),
        ],
    )
    def test_a_count_that_does_not_agree_keeps_whole_objects(self, data: bytes, readings: int, problem: str) -> None:
        got = report(made(data))
        assert sum(len(group.readings) for group in got.groups) == readings
        assert got.problems == (problem,)
        assert got.answer is not None

    @pytest.mark.parametrize(
        "data", [b"\x02", b"\x02\x01", bytes([2, 1]) + component()[:45], bytes([2, 0]) + component()]
    )
    def test_data_without_an_object_are_refused_and_so_not_confirmed(self, data: bytes) -> None:
        got = refusal(made(data))
        assert got.problems[0].startswith("data: expected at least one object, got none")
        assert got.station == STATION

    @pytest.mark.parametrize(
        ("quantity", "wire", "value", "unit"),
        [
            (1, "0900", 9.0, ""),
            (2, "ffff", -0.01, "m"),
            (3, "0080", -3276.8, "℃"),
            (4, "0500", 0.5, "MPa"),
            (6, "ff7f", 3276.7, "%LEL"),
            (12, "0300", 3.0, "m/s"),
            (0, "feff", -2.0, ""),
            (200, "0a00", 10.0, ""),
        ],
    )
    def test_quantities_are_signed_and_scaled(self, quantity: int, wire: str, value: float, unit: str) -> None:
        data = bytes.fromhex(f"0301 0102280102030 4{quantity:02x}{wire}040009020715".replace(" ", ""))
        ((reading,),) = (group.readings for group in report(made(data)).groups)
        assert (reading.value, reading.unit) == (value, unit)
        assert reading.name.endswith(f"/{quantity}")

    def test_a_text_that_is_none_does_no_harm(self) -> None:
        item = component()
        got = report(made(bytes([2, 1]) + item[:9] + b"\xff\x81" + bytes(29) + item[40:]))
        assert "�" in got.facts["descriptions"]["2/1.2-40-1"]

    def test_twenty_two_components_are_the_most_of_one_frame(self) -> None:
        items = b"".join(component(number=n) for n in range(22))
        got = report(made(bytes([2, 22]) + items))
        assert len(got.groups[0].readings) == 22


class TestDamage:
    @pytest.mark.parametrize("name", VECTORS)
    def test_no_wrong_byte_is_believed(self, name: str) -> None:
        frame = VECTORS[name]
        for at in range(len(frame)):
            for value in {*range(0, 256, 5), frame[at] ^ 1, frame[at] ^ 0x20, 0x40, 0x23} - {frame[at]}:
                pieces = decoded(frame[:at] + bytes([value]) + frame[at + 1 :])
                assert pieces, (at, value)
                assert all(isinstance(piece, Refused) and piece.problems for piece in pieces), (at, value)

    @pytest.mark.parametrize("name", VECTORS)
    def test_a_cut_at_any_place_changes_nothing(self, name: str) -> None:
        frame = VECTORS[name]
        for at in range(len(frame) + 1):
            decoder = Gb26875Decoder()
            assert [*decoder.feed(frame[:at]), *decoder.feed(frame[at:]), *decoder.finish()] == decoded(frame), at

    @pytest.mark.parametrize("name", VECTORS)
    def test_a_damaged_frame_does_not_take_its_neighbours(self, name: str) -> None:
        frame = VECTORS[name]
        for at in range(len(frame)):
            for value in {0x00, 0x40, 0x23, 0x04, frame[at] ^ 0xFF} - {frame[at]}:
                pieces = decoded(POWER + frame[:at] + bytes([value]) + frame[at + 1 :] + FIRE)
                one, *bad, two = pieces
                assert isinstance(one, Report), (at, value)
                assert isinstance(two, Report), (at, value)
                assert (one.raw, two.raw) == (POWER, FIRE)
                assert bad, (at, value)
                assert all(isinstance(piece, Refused) for piece in bad), (at, value)

    @pytest.mark.parametrize("lost", range(1, len(FIRE)))
    def test_a_frame_that_lost_its_end_or_its_beginning_does_not_take_the_next_ones(self, lost: int) -> None:
        for rest in (FIRE[:-lost], FIRE[lost:]):
            pieces = decoded(POWER + rest + DUTY + SMOKE)
            assert [piece.raw for piece in pieces if isinstance(piece, Report)] == [POWER, DUTY, SMOKE]

    @pytest.mark.parametrize("length", [1, 40, 47, 49, 78, 200, 1024, 1025, 0xFFFF])
    def test_a_wrong_length_does_not_hold_back_the_next_frame(self, length: int) -> None:
        wrong = FIRE[:24] + length.to_bytes(2, "little") + FIRE[26:]
        decoder = Gb26875Decoder()
        pieces = decoder.feed(wrong + POWER)
        assert [piece.raw for piece in pieces if isinstance(piece, Report)] == [POWER], "without waiting for more"
        problems = [piece.problems[0] for piece in pieces if isinstance(piece, Refused)]
        assert problems
        assert any(name in problems[0] for name in ("length: ", "expected ## behind", "checksum: "))

    def test_marks_inside_the_data_end_nothing(self) -> None:
        inside = component()[:9] + b"@@##\r\n##@@" + bytes(21) + component()[40:]
        frame = made(bytes([2, 1]) + inside)
        for at in range(len(frame)):
            decoder = Gb26875Decoder()
            pieces = [*decoder.feed(frame[:at]), *decoder.feed(frame[at:]), *decoder.finish()]
            assert [piece.raw for piece in pieces if isinstance(piece, Report)] == [frame], at
            assert len(pieces) == 1, at

    def test_a_serial_number_that_looks_like_a_mark(self) -> None:
        frame = made(TRANSMITTER, serial=0x4040)
        (got,) = decoded(frame)
        assert isinstance(got, Report)
        assert [piece.raw for piece in decoded(b"@" + frame) if isinstance(piece, Report)] == [frame]

    def test_noise_between_frames_is_named_and_line_ends_are_not(self) -> None:
        pieces = decoded(b"\r\n" + FIRE + b"\0\0" + POWER + b"hello @ you" + SMOKE + b"\r\n")
        assert [type(piece) for piece in pieces] == [Report, Report, Refused, Report]
        assert pieces[2] == Refused(b"hello @ you", ("frame: expected @@, got 'hello @ you'",))

    def test_a_frame_that_never_ends_is_named(self) -> None:
        got = refusal(FIRE[:60])
        assert "length: 48 declared makes a frame of 78 bytes, but only 60 came" in got.problems[0]
        assert got.station == STATION
        assert "frame: expected at least 30 bytes, got 20" in refusal(FIRE[:20]).problems[0]

    @pytest.mark.parametrize(
        ("frame", "problem"),
        [
            (POWER[:-3] + b"\x43##", "checksum: expected 42 (sum), got 43;"),
            (POWER[:-2] + b"#$", "frame: expected ## behind 9 bytes of data, got 2324"),
            (POWER[:24] + b"\x01\x04" + POWER[26:], "length: expected at most 1024, got 1025"),
        ],
    )
    def test_refusals_say_what_was_expected_and_what_came(self, frame: bytes, problem: str) -> None:
        got = refusal(frame)
        assert problem in got.problems[0]
        assert got.station == STATION

    @given(st.lists(st.binary(max_size=300), max_size=8))
    def test_nothing_crashes_and_little_is_kept(self, chunks: list[bytes]) -> None:
        self.fed(chunks)

    @given(
        st.lists(
            st.sampled_from([b"@", b"@@", b"##", b"\x00", FIRE[:24], b"\x00\x04", b"\x30\x00\x02", POWER, b"@" * 40]),
            max_size=40,
        )
    )
    def test_nothing_crashes_on_what_looks_like_frames(self, chunks: list[bytes]) -> None:
        self.fed(chunks)

    def fed(self, chunks: list[bytes]) -> None:
        decoder = Gb26875Decoder()
        pieces: list[Report | Refused] = []
        for chunk in chunks:
            pieces += decoder.feed(chunk)
            assert len(decoder._buffer) < gb26875.HEAD + gb26875.DATA_MAX + gb26875.TAIL
        pieces += decoder.finish()
        assert all(piece.problems for piece in pieces if isinstance(piece, Refused))
        assert not decoder._buffer
        kept = b"".join(piece.raw for piece in pieces)
        assert kept.translate(None, b"\0\r\n ") == b"".join(chunks).translate(None, b"\0\r\n "), (
            "nothing is lost or doubled"
        )

    @given(st.integers(0, 255), st.binary(max_size=gb26875.DATA_MAX), st.booleans(), st.sampled_from(["sum", "xor"]))
    def test_any_data_of_any_command_are_read_or_refused(
        self, command: int, data: bytes, bcd: bool, checksum: str
    ) -> None:
        frame = made(data, command=command, checksum=checksum)
        assert open_frame(frame, checksum=checksum).data == data  # type: ignore[arg-type]
        for kind in (1, 2, 3, 21, 24):
            pieces = decoded(made(bytes([kind]) + data[1:], checksum=checksum), checksum=checksum, bcd_time=bcd)
            assert len(pieces) == 1
            assert isinstance(pieces[0], Report) or pieces[0].problems

    @given(
        st.lists(st.sampled_from([*VECTORS.values(), FIRE[:40], FIRE[30:], b"@@", b"@", b"noise"]), max_size=6),
        st.data(),
    )
    def test_however_the_bytes_are_cut_the_reports_are_the_same(self, parts: list[bytes], data: st.DataObject) -> None:
        whole = b"".join(parts)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        decoder = Gb26875Decoder()
        pieces: list[Report | Refused] = []
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            pieces += decoder.feed(whole[start:end])
        pieces += decoder.finish()
        expected = [piece for piece in decoded(whole) if isinstance(piece, Report)]
        assert [piece for piece in pieces if isinstance(piece, Report)] == expected

    @given(st.lists(st.sampled_from([FIRE, POWER, SMOKE, DUTY, VERSION]), min_size=1, max_size=6), st.data())
    def test_whole_frames_are_found_whatever_is_cut_off_between_them(
        self, frames: list[bytes], data: st.DataObject
    ) -> None:
        stream = b""
        for frame in frames:
            torn = data.draw(st.sampled_from([FIRE, SMOKE, TIME]))
            stream += torn[: data.draw(st.integers(0, len(torn) - 1))] + frame
        assert [piece.raw for piece in decoded(stream) if isinstance(piece, Report)] == frames

    def test_a_stream_of_starts_keeps_the_buffer_and_the_pieces_small(self) -> None:
        decoder = Gb26875Decoder()
        pieces = decoder.feed(b"@" * 100_000)
        assert len(pieces) == 1
        assert len(decoder._buffer) <= gb26875.HEAD + gb26875.DATA_MAX + gb26875.TAIL
        for _ in range(200):
            decoder.feed(FIRE[:24] + b"\x00\x04\x02" + b"x" * 500)
            assert len(decoder._buffer) <= gb26875.HEAD + gb26875.DATA_MAX + gb26875.TAIL
        assert [piece.raw for piece in decoder.feed(POWER) if isinstance(piece, Report)] == [POWER]


class TestEncode:
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"data": bytes(1025)}, "data: expected at most 1024 bytes, got 1025"),
            ({"source": "0379"}, "source: expected 6 bytes, got 2"),
            ({"destination": "0" * 14}, "destination: expected 6 bytes, got 7"),
            ({"time": b""}, "time: expected 6 bytes, got 0"),
        ],
    )
    def test_what_does_not_fit_is_not_written(self, change: dict[str, Any], problem: str) -> None:
        with pytest.raises(ValueError, match=problem):
            encode(replace(open_frame(POWER), **change))

    @pytest.mark.parametrize(
        ("raw", "problem"),
        [
            (b"", "expected at least 30 bytes, got 0"),
            (b"x" + POWER[1:], "frame: expected @@, got 'x@'"),
            (POWER + b"x", "frame: expected nothing behind ##, got 'x'"),
            (POWER[:-1], "length: 9 declared makes a frame of 39 bytes, but only 38 came"),
        ],
    )
    def test_what_is_no_frame_is_not_opened(self, raw: bytes, problem: str) -> None:
        with pytest.raises(WrongFrame, match=problem):
            open_frame(raw)
