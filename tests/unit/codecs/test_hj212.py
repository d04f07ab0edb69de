"""HJ 212: the verified vectors, what the field sends, damage in every byte, cuts at every place, and the way down."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs import hj212
from devices.codecs.hj212 import Frame, Hj212Decoder, encode, parse_segment
from devices.codecs.station import Group, Reading, Refused, Report, Said

QUERY = b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&1C80\r\n"
AIR = (
    b"##0317QN=20191012133710130;ST=22;CN=2011;PW=123456;MN=Y80110010000010;Flag=4;CP=&&DataTime=20191012133710;"
    b"a21005-Rtd=0.00,a21005-Flag=N;a21004-Rtd=0.00,a21004-Flag=N;a21007-Rtd=0.033,a21007-Flag=N;a21006-Rtd=0.036,"
    b"a21006-Flag=N;a21001-Rtd=25.40,a21001-Flag=N;a21003-Rtd=101.94,a21003-Flag=N;a21002-Rtd=49.20,a21002-Flag=N&&cc01\r\n"
)
OLD = (
    b"##0139ST=32;CN=2011;PW=123456;MN=LD130133000015;CP=&&DataTime=20160824003817000;"
    b"B01-Rtd=36.91;011-Rtd=231.0,011-Flag=N;060-Rtd=1.803,060-Flag=N&&4980\r\n"
)
DUST = (
    b"##0170QN=20160801085857223;ST=22;CN=2011;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&DataTime=20160801085857;"
    b"a34004-Rtd=35.2,a34004-Flag=N;a34002-Rtd=61.0,a34002-Flag=N&&59C0\r\n"
)
MODBUS = (
    b"##0137ST=32;CN=2011;PW=123456;MN=C201801010001;Flag=5;CP=&&DataTime=20180611090000;"
    b"a34002-Rtd=30.1,a34002-Flag=N;a21026-Rtd=0.5,a21026-Flag=N&&ED94\r\n"
)
OF_2025 = b"##0087QN=20240601085857223;ST=32;CN=1011;PW=123456;MN=010000A8900016F000169DC0;Flag=9;CP=&&&&2200\r\n"
BACKFILL = (
    b"##0145QN=20160801085857223;ST=22;CN=2011;PW=123456;MN=010000A8900016F000169DC0;Flag=9;RF=1;"
    b"CP=&&DataTime=20160801085857;a34004-Rtd=35.2,a34004-Flag=N&&8BC1\r\n"
)
DATA_ANSWER = b"##0087QN=20160801085857223;ST=91;CN=9014;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&&&3240\r\n"
REQUEST_ANSWER = (
    b"##0094QN=20160801085857223;ST=91;CN=9011;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&QnRtn=1&&1B00\r\n"
)
RESULT = (
    b"##0095QN=20160801085857223;ST=91;CN=9012;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&ExeRtn=1&&6240\r\n"
)
VECTORS = {
    "query": QUERY,
    "air": AIR,
    "old": OLD,
    "dust": DUST,
    "modbus": MODBUS,
    "2025": OF_2025,
    "backfill": BACKFILL,
    "9014": DATA_ANSWER,
    "9011": REQUEST_ANSWER,
    "9012": RESULT,
}


def us(text: str) -> int:
    """Of an ISO time with its zone."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def decoded(data: bytes, **settings: object) -> list[Report | Refused]:
    decoder = Hj212Decoder(**settings)  # type: ignore[arg-type]
    return [*decoder.feed(data), *decoder.finish()]


def report(data: bytes, **settings: object) -> Report:
    (piece,) = decoded(data, **settings)
    assert isinstance(piece, Report), piece
    return piece


def refusal(data: bytes) -> Refused:
    (piece,) = decoded(data)
    assert isinstance(piece, Refused), piece
    return piece


def made(cp: str, *, cn: str = "2011", flag: int | None = 5, **fields: object) -> bytes:
    qn = "20160801085857223"
    return encode(Frame(qn=qn, st="22", cn=cn, pw="123456", mn="MN1", flag=flag, cp=cp, **fields))  # type: ignore[arg-type]


class TestVectors:
    def test_realtime_values_with_their_flags(self) -> None:
        got = report(AIR)
        assert (got.said, got.station, got.password, got.command) == (Said.DATA, "Y80110010000010", "123456", "2011")
        assert got.answer is None, "Flag=4 wants none"
        assert not got.crc_alternative
        (group,) = got.groups
        assert group.time_us == us("2019-10-12T13:37:10+08:00")
        assert {r.name: r.value for r in group.readings} == {
            "2011/a21005-Rtd": 0.0,
            "2011/a21004-Rtd": 0.0,
            "2011/a21007-Rtd": 0.033,
            "2011/a21006-Rtd": 0.036,
            "2011/a21001-Rtd": 25.4,
            "2011/a21003-Rtd": 101.94,
            "2011/a21002-Rtd": 49.2,
        }
        assert {r.quality for r in group.readings} == {1}

    def test_2005_without_qn_and_flag_gets_the_codes_of_today(self) -> None:
        got = report(OLD)
        assert got.station == "LD130133000015"
        assert got.answer is None
        (group,) = got.groups
        assert group.time_us == us("2016-08-24T00:38:17+08:00")
        assert group.readings == (
            Reading("2011/w00000-Rtd", 36.91),
            Reading("2011/w01018-Rtd", 231.0, 1),
            Reading("2011/w21003-Rtd", 1.803, 1),
        )

    def test_data_are_answered_with_9014_that_echoes_qn(self) -> None:
        assert report(DUST).answer == DATA_ANSWER

    def test_2025_backfill_is_marked_and_answered_in_its_version(self) -> None:
        got = report(BACKFILL)
        assert got.backfill
        answer = report(got.answer or b"")
        assert (answer.said, answer.command, b"Flag=8" in answer.raw) == (Said.ANSWER, "9014", True)

    def test_a_modbus_checksum_is_taken_and_told(self) -> None:
        got = report(MODBUS)
        assert got.crc_alternative
        assert [r.value for r in got.groups[0].readings] == [30.1, 0.5]

    @pytest.mark.parametrize(
        ("frame", "command", "facts"),
        [
            (QUERY, "1062", {"RtdInterval": "30"}),
            (OF_2025, "1011", {}),
            (REQUEST_ANSWER, "9011", {"QnRtn": "1"}),
            (RESULT, "9012", {"ExeRtn": "1"}),
        ],
    )
    def test_commands_and_answers_come_as_facts(self, frame: bytes, command: str, facts: dict[str, str]) -> None:
        got = report(frame)
        assert (got.command, got.facts, got.groups) == (command, facts, ())

    def test_an_answer_is_never_answered(self) -> None:
        asking = encode(Frame(qn="20160801085857223", st="91", cn="9012", pw="1", mn="MN1", flag=5, cp="ExeRtn=1"))
        assert report(asking).answer is None

    @pytest.mark.parametrize("frame", [QUERY, DUST, BACKFILL, OF_2025, DATA_ANSWER, REQUEST_ANSWER, RESULT])
    def test_what_was_read_is_written_again_byte_by_byte(self, frame: bytes) -> None:
        assert encode(parse_segment(frame[6:-6])) == frame


class TestTimes:
    @pytest.mark.parametrize(
        ("cn", "period_s"), [("2011", 0), ("2051", 600), ("2061", 3600), ("2031", 86400), ("2041", 86400), ("2021", 0)]
    )
    def test_aggregates_carry_their_start_and_come_out_with_their_end(self, cn: str, period_s: int) -> None:
        (group,) = report(made("DataTime=20160801080000;a34004-Avg=35.2", cn=cn)).groups
        assert group.time_us == us("2016-08-01T08:00:00+08:00") + period_s * 1_000_000
        assert group.readings[0].name == f"{cn}/a34004-Avg"

    def test_the_minute_period_is_the_stations(self) -> None:
        (group,) = report(made("DataTime=20160801080000;a34004-Avg=1", cn="2051"), min_interval_s=60).groups
        assert group.time_us == us("2016-08-01T08:01:00+08:00")

    def test_a_sample_time_is_its_factors_own(self) -> None:
        cp = "DataTime=20160801080000;w01018-SampleTime=20160801073000,w01018-Rtd=9;w01001-Rtd=7.2"
        groups = report(made(cp)).groups
        assert groups == (
            Group(us("2016-08-01T07:30:00+08:00"), (Reading("2011/w01018-Rtd", 9.0),)),
            Group(us("2016-08-01T08:00:00+08:00"), (Reading("2011/w01001-Rtd", 7.2),)),
        )

    def test_packets_of_a_divided_frame_share_the_first_ones_time(self) -> None:
        first = made("DataTime=20160801080000;a34004-Rtd=1", flag=7, pnum=2, pno=1)
        second = made("a34002-Rtd=2", flag=7, pnum=2, pno=2)
        one, two = decoded(first + second)
        assert isinstance(one, Report)
        assert isinstance(two, Report)
        assert one.groups[0].time_us == two.groups[0].time_us == us("2016-08-01T08:00:00+08:00")
        assert report(second).groups[0].time_us is None, "alone it has none, and none is invented"

    @pytest.mark.parametrize("text", ["20161301000000", "2016", "", "二零一六", "20160801080000Z"])
    def test_a_time_that_is_none_is_named_and_costs_no_value(self, text: str) -> None:
        got = report(made(f"DataTime={text};a34004-Rtd=900"))
        assert got.groups == (Group(None, (Reading("2011/a34004-Rtd", 900.0),)),)
        assert got.problems[0].startswith("DataTime: expected YYYYMMDDhhmmss, got ")


class TestValues:
    def test_flags_worsen_and_never_remove(self) -> None:
        cp = ";".join(f"a3400{i}-Rtd=5,a3400{i}-Flag={flag}" for i, flag in enumerate("NFMSDCTBx"))
        readings = report(made(f"DataTime=20160801080000;{cp}")).groups[0].readings
        assert [r.value for r in readings] == [5.0] * 9
        assert [r.quality for r in readings] == [1, 4, 3, 3, 4, 3, 3, 4, 3]
        assert [r.over for r in readings] == [flag == "T" for flag in "NFMSDCTBx"]

    @pytest.mark.parametrize("text", ["", "--", "null", "NaN", "None"])
    def test_a_missing_value_is_missing(self, text: str) -> None:
        assert report(made(f"DataTime=20160801080000;a34004-Rtd={text}")).groups[0].readings[0].value is None

    @pytest.mark.parametrize("text", ["abc", "1.2.3", "35.2x", "inf", "1e999", "-1e999"])
    def test_a_value_that_is_no_number_is_kept_as_text(self, text: str) -> None:
        assert report(made(f"DataTime=20160801080000;a34004-Rtd={text}")).groups[0].readings[0].value == text

    def test_private_names_and_semicolons_of_the_field(self) -> None:
        got = report(made("DataTime=20160801080000;PM25-Rtd=35; TEM-Rtd = x;WD-Rtd=90;"))
        assert [r.name for r in got.groups[0].readings] == ["2011/a34004-Rtd", "2011/a01008-Rtd"]
        assert got.problems == ("CP: expected factor-Suffix=value, got 'TEM-Rtd = x'",)

    def test_a_text_in_chinese(self) -> None:
        (group,) = report(made("DataTime=20160801080000;i12001-Info=校准中", cn="2021")).groups
        assert group.readings == (Reading("2021/i12001-Info", "校准中"),)


class TestDamage:
    @pytest.mark.parametrize("name", VECTORS)
    def test_every_wrong_byte_is_refused_or_changes_nothing(self, name: str) -> None:
        frame = VECTORS[name]
        right = report(frame)
        for at in range(len(frame)):
            for value in (*range(0, 256, 3), frame[at] ^ 0x20, frame[at] ^ 1, ord("#"), ord("&"), ord("0"), ord("9")):
                if value == frame[at]:
                    continue
                pieces = decoded(frame[:at] + bytes([value]) + frame[at + 1 :])
                believed = [piece for piece in pieces if isinstance(piece, Report)]
                for piece in believed:
                    same = (piece.groups, piece.station, piece.command, piece.facts, piece.backfill)
                    assert same == (right.groups, right.station, right.command, right.facts, right.backfill), (
                        at,
                        value,
                    )
                assert believed or any(piece.problems for piece in pieces), (at, value)

    @pytest.mark.parametrize("name", VECTORS)
    def test_a_cut_at_any_place_changes_nothing(self, name: str) -> None:
        frame = VECTORS[name]
        for at in range(len(frame) + 1):
            decoder = Hj212Decoder()
            pieces = [*decoder.feed(frame[:at]), *decoder.feed(frame[at:]), *decoder.finish()]
            assert pieces == decoded(frame), at

    def test_a_damaged_frame_does_not_take_its_neighbours(self) -> None:
        damaged = DUST.replace(b"35.2", b"95.2")
        one, bad, two = decoded(AIR + damaged + OLD)
        assert isinstance(one, Report)
        assert isinstance(two, Report)
        assert isinstance(bad, Refused)
        assert bad.problems[0].startswith("checksum: expected ")
        assert bad.station == "010000A8900016F000169DC0"

    @pytest.mark.parametrize("lost", range(1, 20))
    def test_a_frame_that_lost_its_end_does_not_take_the_next_one(self, lost: int) -> None:
        pieces = decoded(DUST[:-lost] + AIR + OLD)
        stations = [piece.station for piece in pieces if isinstance(piece, Report)]
        assert stations[-2:] == ["Y80110010000010", "LD130133000015"]

    @pytest.mark.parametrize("length", [b"0001", b"0160", b"0999", b"4096", b"9999"])
    def test_a_wrong_length_does_not_swallow_the_next_frame(self, length: bytes) -> None:
        wrong = b"##" + length + DUST[6:]
        decoder = Hj212Decoder()
        pieces = [*decoder.feed(wrong + AIR), *decoder.finish()]
        assert [piece.station for piece in pieces if isinstance(piece, Report)] == ["Y80110010000010"]
        assert any(isinstance(piece, Refused) and "length" in piece.problems[0] for piece in pieces)

    @pytest.mark.parametrize("off", [-2, 2])
    def test_a_length_that_is_off_by_the_line_end_is_taken(self, off: int) -> None:
        assert report(b"##%04d" % (170 + off) + DUST[6:]).groups == report(DUST).groups

    def test_without_line_end_and_with_noise_between(self) -> None:
        pieces = decoded(b"\0\0" + DUST.rstrip() + AIR.rstrip() + b"\r\nAT+CSQ\r\n" + OLD)
        assert [type(piece) for piece in pieces] == [Report, Report, Refused, Report]

    def test_a_frame_that_never_ends_is_named(self) -> None:
        assert "170 declared makes a frame of 180 bytes, but only 90 came" in refusal(DUST[:90]).problems[0]

    @pytest.mark.parametrize(
        ("segment", "names"),
        [
            (b"ST=22;CN=2011;MN=A;Flag=5;CP=&&x", "expected ...;CP=&&...&&"),
            (b"ST=22;CN=2011;Flag=5;CP=&&&&", "MN missing"),
            (b"ST=22;CN=20;MN=A;CP=&&&&", "CN: expected"),
            (b"ST=22;CN=2011;MN=A;Flag=x;CP=&&&&", "Flag: expected an integer"),
            (b"ST=22;CN=2011;MN=A;MN=B;CP=&&&&", "MN: is there twice"),
            (b"ST=22;CN=2011;MN=A;XX=1;CP=&&&&", "expected QN, ST"),
        ],
    )
    def test_a_right_checksum_over_a_wrong_grammar_is_refused(self, segment: bytes, names: str) -> None:
        frame = b"##%04d%s%04X\r\n" % (len(segment), segment, hj212.crc_hj212(segment))
        assert names in refusal(frame).problems[0]

    @given(st.lists(st.binary(max_size=300), max_size=8))
    def test_nothing_crashes_and_little_is_kept(self, chunks: list[bytes]) -> None:
        decoder = Hj212Decoder()
        pieces = [piece for chunk in chunks for piece in decoder.feed(chunk)]
        assert len(decoder._buffer) <= hj212.LENGTH_MAX + 64
        pieces += decoder.finish()
        assert all(piece.problems for piece in pieces if isinstance(piece, Refused))

    @given(st.lists(st.sampled_from([*VECTORS.values(), b"##0170", b"#", b"&&1C80\r\n"]), max_size=6), st.data())
    def test_however_the_bytes_are_cut_the_pieces_are_the_same(self, parts: list[bytes], data: st.DataObject) -> None:
        whole = b"".join(parts)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        decoder = Hj212Decoder()
        reports: list[Report | Refused] = []
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            reports += decoder.feed(whole[start:end])
        reports += decoder.finish()
        good = [piece.raw.strip() for piece in reports if isinstance(piece, Report)]
        assert good == [piece.raw.strip() for piece in decoded(whole) if isinstance(piece, Report)]

    def test_a_long_silence_of_frames_keeps_the_buffer_small(self) -> None:
        decoder = Hj212Decoder()
        for _ in range(200):
            decoder.feed(b"##4096" + b"x" * 500)
        assert len(decoder._buffer) <= hj212.LENGTH_MAX + 64


class TestSm4:
    KEY = bytes.fromhex("0123456789abcdeffedcba9876543210")

    def test_the_published_vector_of_the_cipher(self) -> None:
        clear = b"CP=&&" + self.KEY + b"&&"  # GB/T 32907-2016, example 1: the key encrypts itself
        assert hj212.encrypt(clear, self.KEY)[5:-2].hex() == "681edf34d206965e86b3e94f536e4246"

    def test_there_and_back_with_a_clear_rest_and_a_checksum_of_the_clear_text(self) -> None:
        frame = parse_segment(DUST[6:-6])
        sent = encode(frame, key=self.KEY)
        assert b"a34004" not in sent
        assert sent.endswith(DUST[-6:]), "the checksum is of the clear text"
        keys = {frame.mn: self.KEY}
        assert report(sent, key_of=keys.get).groups == report(DUST).groups

    def test_without_or_with_a_wrong_key_nothing_is_believed(self) -> None:
        sent = encode(parse_segment(DUST[6:-6]), key=self.KEY)
        assert not [piece for piece in decoded(sent) if isinstance(piece, Report)]
        wrong = decoded(sent, key_of=lambda _: bytes(16))
        assert not [piece for piece in wrong if isinstance(piece, Report)]

    def test_a_line_end_inside_the_cipher_text_is_not_the_frames_end(self) -> None:
        keys = {"MN1": self.KEY}
        area = hj212.decrypt(b"CP=&&" + b"&&1234\r\n........" + b"&&", self.KEY)[5:-2]
        segment = b"ST=22;CN=2011;PW=1;MN=MN1;Flag=9;CP=&&" + area + b"&&"
        sent = b"##%04d%s%04X\r\n" % (len(segment), hj212.encrypt(segment, self.KEY), hj212.crc_hj212(segment))
        (piece,) = decoded(sent, key_of=keys.get)
        assert isinstance(piece, Report | Refused)
        assert b"&&1234\r\n" in sent
        assert piece.raw.strip() == sent.strip()


class TestDown:
    def test_the_clock_is_set_in_local_time(self) -> None:
        frame = hj212.set_clock("MN1", st="22", password="123456", now_us=us("2019-08-09T22:00:01.25+08:00"))
        got = report(frame)
        assert (got.command, got.facts) == ("1012", {"SystemTime": "20190809220001"})
        assert b"QN=20190809220001250;" in frame

    def test_a_request_for_the_time_is_a_notice_with_9013(self) -> None:
        got = report(made("", cn="1013"))
        assert got.said is Said.CLOCK_REQUEST
        assert report(got.answer or b"").command == "9013"

    def test_a_heartbeat(self) -> None:
        got = report(made("", cn="9015", flag=9))
        assert (got.said, got.groups) == (Said.HEARTBEAT, ())

    def test_too_long_a_frame_is_not_written(self) -> None:
        with pytest.raises(ValueError, match="at most 4096 bytes"):
            made("a" * 5000)
