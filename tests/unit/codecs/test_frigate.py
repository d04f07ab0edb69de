"""Frigate's reviews and objects: the documentation's examples, what is news and what is not, what is refused, and anything at all."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.frigate import activity
from devices.codecs.json_message import JsonMessageDecoder
from devices.codecs.seen import TYPES
from devices.codecs.station import Refused, Report, Said

# docs.frigate.video/integrations/mqtt, shortened
OBJECT: dict[str, Any] = {
    "id": "1607123955.475377-mxklsc",
    "camera": "front_door",
    "frame_time": 1607123962.082975,
    "label": "person",
    "sub_label": ["John Smith", 0.79],
    "top_score": 0.958984375,
    "false_positive": False,
    "start_time": 1607123955.475377,
    "end_time": None,
    "score": 0.87890625,
    "entered_zones": ["yard", "driveway"],
    "recognized_license_plate": "ABC12345",
}
REVIEW: dict[str, Any] = {
    "id": "1718987129.308396-fqk5ka",
    "camera": "front_cam",
    "start_time": 1718987129.308396,
    "end_time": None,
    "severity": "detection",
    "thumb_path": "/media/frigate/clips/review/thumb-front_cam-1718987129.308396-fqk5ka.webp",
    "data": {"detections": ["1718987128.947436-g92ztx"], "objects": ["person", "car"], "sub_labels": ["Bob"], "zones": ["front_yard"], "audio": []},
}  # fmt: skip


def of(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The state with fields changed; those of `data` too."""
    made = copy.deepcopy(state)
    for name, value in fields.items():
        (made["data"] if name in made.get("data", {}) else made)[name] = value
    return made


def message(phase: str, after: Any, before: Any = None) -> dict[str, Any]:
    return {"type": phase, "before": after if before is None else before, "after": after}


def pieces(document: Any, *levels: str) -> list[Report | Refused]:
    decoder = JsonMessageDecoder("frigate", activity)
    decoder.levels = levels
    decoder.feed(document if isinstance(document, bytes) else json.dumps(document).encode())
    return decoder.finish()


def report(document: Any, *levels: str) -> Report:
    (piece,) = pieces(document, *levels)
    assert isinstance(piece, Report)
    return piece


def refusal(document: Any) -> str:
    (piece,) = pieces(document)
    assert isinstance(piece, Refused)
    return piece.problems[0]


def types(document: Any) -> list[str]:
    return [one.type for one in report(document).happened]


def test_an_object_of_the_documentation() -> None:
    got = report(message("new", OBJECT))
    (one,) = got.happened
    assert (got.station, one.type, one.name, one.text) == ("front_door", "person", "person", "yard, driveway")
    assert (one.time_us, one.confidence) == (1_607_123_955_475_377, 0.958984375)
    assert one.data == {"state": "start", "zones": ["yard", "driveway"]}


def test_names_of_faces_and_plates_stay_where_they_are() -> None:
    said = str(report(message("new", OBJECT)).happened) + str(report(message("new", REVIEW)).happened)
    assert not any(word in said for word in ("John", "Bob", "ABC12345"))


def test_a_review_of_the_documentation() -> None:
    got = report(message("new", REVIEW))
    assert (got.station, [one.type for one in got.happened]) == ("front_cam", ["person", "vehicle"])
    assert {one.confidence for one in got.happened} == {None}
    assert got.happened[0].data == {"state": "start", "zones": ["front_yard"], "severity": "detection"}


def test_an_update_without_news_is_a_sign_of_life() -> None:
    for state in (OBJECT, REVIEW):
        got = report(message("update", of(state, frame_time=1607123970.0)))
        assert (got.said, got.happened) == (Said.HEARTBEAT, ())


def test_an_update_tells_what_is_new_in_it() -> None:
    more = of(REVIEW, objects=["person", "car", "smoke"])
    (one,) = report(message("update", more, REVIEW)).happened
    assert (one.type, one.time_us) == ("smoke", None)
    (one,) = report(message("update", OBJECT, of(OBJECT, false_positive=True))).happened
    assert (one.type, one.time_us) == ("person", 1_607_123_962_082_975)


def test_a_review_that_becomes_an_alert_is_told_again() -> None:
    alert = of(REVIEW, severity="alert")
    found = report(message("update", alert, REVIEW)).happened
    assert [(one.type, one.data["severity"]) for one in found] == [("person", "alert"), ("vehicle", "alert")]
    assert {one.id for one in found}.isdisjoint(one.id for one in report(message("new", REVIEW)).happened)


def test_a_false_positive_never_was() -> None:
    for phase in ("new", "update", "end"):
        assert types(message(phase, of(OBJECT, false_positive=True))) == []


def test_the_end_has_its_own_time_and_type() -> None:
    got = report(message("end", of(REVIEW, end_time=1718987150.5, objects=["person", "car", "bus"], audio=["scream"])))
    assert [(one.type, one.data["state"]) for one in got.happened] == [
        ("person_ended", "end"), ("vehicle_ended", "end"), ("sound_heard_ended", "end"),
    ]  # fmt: skip
    assert {one.time_us for one in got.happened} == {1_718_987_150_500_000}


@pytest.mark.parametrize(
    ("label", "kind"),
    [("fire", "fire"), ("Smoke", "smoke"), ("person-verified", "person"), ("umbrella", "object_seen")],
)
def test_labels_become_types(label: str, kind: str) -> None:
    assert types(message("new", of(OBJECT, label=label))) == [kind]


@pytest.mark.parametrize("levels", [("reviews",), ("events",)])
def test_its_own_levels_are_read(levels: tuple[str, ...]) -> None:
    assert report(message("new", REVIEW), *levels).happened


@pytest.mark.parametrize(
    ("levels", "payload"),
    [(("available",), b"online"), (("stats",), b"{}"), (("door", "person", "snapshot"), b"\xff\xd8"), (("x",), b"")],
)
def test_what_else_it_publishes_is_no_news(levels: tuple[str, ...], payload: bytes) -> None:
    got = report(payload, *levels)
    assert (got.said, got.happened, got.problems) == (Said.HEARTBEAT, (), ())


def test_a_text_of_a_language_model_is_no_news() -> None:
    assert report({"type": "genai", "after": {"data": {}}}).happened == ()


def test_a_wrong_number_is_named_and_costs_no_event() -> None:
    got = report(message("new", of(OBJECT, top_score=95, start_time="now", entered_zones=7)))
    assert [(one.type, one.time_us, one.confidence) for one in got.happened] == [("person", None, None)]
    assert got.problems == (
        "zones: expected an array of names, got number 7",
        "start_time: expected seconds since 1970, got string 'now'",
        "top_score: expected a number from 0 to 1, got number 95",
    )


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "payload: expected an object, got array"),
        ({"type": "new"}, "after: expected an object, got nothing"),
        ({"type": "old", "after": OBJECT}, "type: expected one of new, update, end, got string 'old'"),
        (message("new", of(OBJECT, camera="")), "camera: expected a text of 1 to 128 characters, got string ''"),
        (message("new", of(OBJECT, id=7)), "id: expected a text of 1 to 128 characters, got number 7"),
        (message("new", of(OBJECT, label=None)), "label: expected a text of 1 to 128 characters, got nothing"),
        (message("new", of(REVIEW, severity="grave")), "after: expected label, or severity as one of alert, detection, got string 'grave'"),
        (message("new", {**REVIEW, "data": []}), "data: expected an object, got array"),
        (message("new", of(REVIEW, objects="person")), "data.objects: expected an array of at most 50 labels, got string 'person'"),
        (message("new", of(REVIEW, objects=["a"] * 51)), "data.objects: expected an array of at most 50 labels, got array"),
        (message("new", of(REVIEW, audio=[None])), "data.audio[0]: expected a text of 1 to 128 characters, got nothing"),
        (b"online", "payload: not valid JSON"),
    ],
)  # fmt: skip
def test_what_is_refused(document: Any, problem: str) -> None:
    assert refusal(document).startswith(problem)


def test_a_before_that_cannot_be_read_costs_no_event() -> None:
    assert types(message("update", OBJECT, {"id": 7})) == ["person"]
    assert types(message("update", OBJECT, [])) == ["person"]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["new", "update", "end", "alert", "person", "id"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*OBJECT, *REVIEW, "type", "before", "after", "objects", "zones", "audio"]), inner, max_size=6
        )
    ),
    max_leaves=16,
)  # fmt: skip


class TestNothingBreaksIt:
    @given(st.binary(max_size=200))
    def test_any_bytes(self, payload: bytes) -> None:
        assert payload == b"" or pieces(payload)

    @given(st.sampled_from(["new", "update", "end"]), st.sampled_from([OBJECT, REVIEW]), st.data())
    def test_any_change_is_a_report_or_a_reason(self, phase: str, state: dict[str, Any], data: st.DataObject) -> None:
        changed = of(state, **{data.draw(st.sampled_from([*state, *state.get("data", {})])): data.draw(_ANY)})
        before = data.draw(st.sampled_from([state, changed]) | _ANY)
        (piece,) = pieces({"type": phase, "before": before, "after": changed})
        if isinstance(piece, Refused):
            assert piece.problems[0]
            return
        for one in piece.happened:
            assert one.type.removesuffix("_ended") in TYPES
            assert one.confidence is None or 0 <= one.confidence <= 1

    @given(_ANY)
    def test_any_document_is_a_report_or_a_reason(self, document: Any) -> None:
        assert len(pieces(document)) == 1
