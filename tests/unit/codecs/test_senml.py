"""SenML: the examples of RFC 8428 in both forms, base fields, relative times, what is refused, and anything at all."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs import senml
from devices.codecs.senml import SenmlDecoder
from devices.codecs.station import Group, Reading, Refused, Report

# RFC 8428 section 5.1.2 and 5.1.3, and their base names.
MULTIPLE = [
    {"bn": "urn:dev:ow:10e2073a01080063:", "n": "voltage", "u": "V", "v": 120.1},
    {"n": "current", "u": "A", "v": 1.2},
]
MORE = [
    {
        "bn": "urn:dev:ow:10e2073a0108006:",
        "bt": 1.276020076001e09,
        "bu": "A",
        "bver": 5,
        "n": "voltage",
        "u": "V",
        "v": 120.1,
    },
    {"n": "current", "t": -5, "v": 1.2},
    {"n": "current", "t": -4, "v": 1.3},
]
# RFC 8428 section 6, the CBOR example: seven records of the same station.
CBOR_EXAMPLE = bytes.fromhex(
    "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a"
    "22fb41d303a15b00106223614120050067766f6c74616765016156 02fb405e066666666666".replace(" ", "")
    + "a3006763757272656e740624"
    "02fb3ff3333333333333a3006763757272656e74062302fb3ff4cccccccccccd"
    "a3006763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00"
    "a3006763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333"
)


def decoded(document: Any, *, cbor: bool = False) -> list[Report | Refused]:
    raw = (
        document if isinstance(document, bytes) else (cbor2.dumps(document) if cbor else json.dumps(document).encode())
    )
    decoder = SenmlDecoder(cbor=cbor)
    half = len(raw) // 2
    assert decoder.feed(raw[:half]) == decoder.feed(raw[half:]) == []
    return decoder.finish()


def report(document: Any, *, cbor: bool = False) -> Report:
    (piece,) = decoded(document, cbor=cbor)
    assert isinstance(piece, Report), piece
    return piece


def problem(document: Any, *, cbor: bool = False) -> str:
    (piece,) = decoded(document, cbor=cbor)
    assert isinstance(piece, Refused), piece
    return piece.problems[0]


class TestExamples:
    def test_base_name_is_whose_and_name_is_what(self) -> None:
        got = report(MULTIPLE)
        assert got.station == "urn:dev:ow:10e2073a01080063:"
        assert got.groups == (Group(None, (Reading("voltage", 120.1, unit="V"), Reading("current", 1.2, unit="A"))),)
        assert got.answer is None

    def test_base_time_and_base_unit_hold(self) -> None:
        got = report(MORE)
        at = 1_276_020_076_001_000
        assert got.groups == (
            Group(at, (Reading("voltage", 120.1, unit="V"),)),
            Group(at - 5_000_000, (Reading("current", 1.2, unit="A"),)),
            Group(at - 4_000_000, (Reading("current", 1.3, unit="A"),)),
        )

    def test_the_cbor_example(self) -> None:
        got = report(CBOR_EXAMPLE, cbor=True)
        at = 1_276_020_076_001_000
        values = {group.time_us: [(r.name, r.value) for r in group.readings] for group in got.groups}
        assert values == {
            at: [("voltage", 120.1), ("current", 1.7)],
            **{at - n * 1_000_000: [("current", pytest.approx(1.7 - n / 10))] for n in range(1, 6)},
        }

    @pytest.mark.parametrize("document", [MULTIPLE, MORE])
    def test_both_forms_say_the_same(self, document: list[dict[str, Any]]) -> None:
        numbers = {label: number for number, label in senml.LABELS.items()}
        packed = [{numbers[label]: value for label, value in record.items()} for record in document]
        assert report(packed, cbor=True).groups == report(document).groups

    def test_relative_times_say_how_far_they_lie(self) -> None:
        got = report([{"n": "a", "v": 1, "t": -2}, {"n": "a", "v": 2}])
        assert got.groups == (
            Group(None, (Reading("a", 1.0),), offset_us=-2_000_000),
            Group(None, (Reading("a", 2.0),)),
        )
        assert got.station == "", "the sender's own"

    def test_texts_bools_base_values_and_sums(self) -> None:
        document = [
            {"bn": "x:", "bv": 10, "bs": 5, "n": "level", "v": 0.5},
            {"n": "same"},
            {"n": "door", "vb": True},
            {"n": "state", "vs": "on"},
            {"n": "energy", "s": 7, "v": 1},
        ]
        (group,) = report(document).groups
        assert group.readings == (
            Reading("level", 10.5),
            Reading("same", 10.0),
            Reading("door", 1.0),
            Reading("state", "on"),
            Reading("energy", 11.0),
            Reading("energy.sum", 12.0),
        )

    def test_one_pack_may_speak_for_many(self) -> None:
        pieces = decoded(
            [{"bn": "a:", "n": "x", "v": 1}, {"bn": "b:", "n": "x", "v": 2}, {"bn": "a:", "n": "y", "v": 3}]
        )
        assert [
            (p.station, [r.name for g in p.groups for r in g.readings]) for p in pieces if isinstance(p, Report)
        ] == [
            ("a:", ["x", "y"]),
            ("b:", ["x"]),
        ]


class TestRefusals:
    @pytest.mark.parametrize(
        ("document", "says"),
        [
            (b"", ""),
            (b"{", "not valid JSON"),
            ({}, "expected a non-empty array of records, got dict"),
            ([], "expected a non-empty array of records"),
            ([1], "[0]: expected a record, got int"),
            ([{"n": "x", "v": "1"}], "[0].v: expected a finite number, got str '1'"),
            ([{"n": "x", "v": True}], "[0].v: expected a finite number"),
            ([{"n": 5, "v": 1}], "[0].n: expected a text"),
            ([{"n": "x", "vb": 1}], "[0].vb: expected true or false"),
            ([{"bver": 11, "n": "x", "v": 1}], "[0].bver: expected a version up to 10, got int '11'"),
            ([{"n": "x", "v": 1, "new_": 2}], "[0].new_: must be understood"),
            ([{"n": "x" * 300, "v": 1}], "[0].n: expected a text of at most 256"),
            ([{"n": "x", "v": 1}] * 10_001, "at most 10000 records"),
        ],
    )
    def test_a_pack_that_cannot_be_read_says_why(self, document: Any, says: str) -> None:
        if document == b"":
            assert decoded(document) == []
        else:
            assert says in problem(document)

    def test_a_record_that_says_nothing_does_not_take_the_others(self) -> None:
        got = report([{"n": "a"}, {"n": "b", "vd": "AQ"}, {"n": "c", "v": 1, "vs": "x"}, {"v": 4}, {"n": "d", "v": 1}])
        assert [reading.name for group in got.groups for reading in group.readings] == ["d"]
        assert got.problems == (
            "[0]: a: expected v, vs, vb or s",
            "[1]: vd: data are not stored here",
            "[2]: expected one of v, vs, vb, vd, got v, vs",
            "[3]: expected a name (n, or bn)",
        )

    def test_a_record_of_base_fields_alone_is_right(self) -> None:
        got = report([{"bn": "a:", "bt": 1.5e9}, {"n": "x", "v": 1}])
        assert got.problems == ()
        assert got.groups[0].time_us == 1_500_000_000_000_000

    def test_too_many_bytes(self) -> None:
        assert "at most 262144 bytes" in problem(b" " * 300_000)

    @given(st.binary(max_size=300), st.booleans())
    def test_any_bytes(self, raw: bytes, cbor: bool) -> None:
        for piece in decoded(raw, cbor=cbor):
            assert isinstance(piece, Report) or piece.problems

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*senml.LABELS.values(), "x"]), inner)
            ),
            max_leaves=20,
        ),
        st.booleans(),
    )
    def test_any_document(self, document: Any, cbor: bool) -> None:
        raw = cbor2.dumps(document) if cbor else json.dumps(document).encode()
        assert decoded(raw, cbor=cbor)

    @pytest.mark.parametrize(
        "raw", [b"\x9f" * 5000, b"\x81" * 5000, b"\xbf" * 5000, b"\xc2" * 900, b"\x9b\x7f" + b"\xff" * 7]
    )
    def test_deep_and_huge_cbor_is_refused(self, raw: bytes) -> None:
        assert "not valid CBOR" in problem(raw, cbor=True)
