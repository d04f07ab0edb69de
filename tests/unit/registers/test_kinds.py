"""Kinds are documents; a wrong one stops the start and says where."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from command_center.registers.kinds import KindWrong, kinds_from, load_kinds
from command_center.registers.values import is_blank

GOOD: dict[str, Any] = {
    "kind": "well",
    "zh": "水井",
    "en": "Well",
    "group": "risk",
    "located": "point",
    "source": "a test",
    "fields": [{"key": "name", "zh": "名称", "en": "Name", "required": True}],
}
NAME = GOOD["fields"][0]


def load(**changes: Any) -> Any:
    return kinds_from({"well.yaml": yaml.safe_dump({**GOOD, **changes}, allow_unicode=True)})


def test_the_shipped_kinds_are_those_of_the_issue() -> None:
    assert set(load_kinds()) == {
        *("area", "organisation", "contact", "address"),
        *("reservoir", "dyke", "sluice", "slope", "underpass", "flood_village", "construction_site", "boat", "harbour"),
        *(
            "plant",
            "school",
            "hospital",
            "shelter",
            "team",
            "vehicle",
            "material",
            "expert",
            "agency",
            "drill",
            "isolation_distance",
            "report_route",
            "patrol_duty",
        ),
    }


@pytest.mark.parametrize("kind", [k for k in load_kinds().values() if k.group == "risk"], ids=lambda k: k.kind)
def test_every_object_at_risk_has_owner_two_persons_position_and_inspection(kind: Any) -> None:
    keys = {f.key: f for f in kind.fields}
    assert {"owner", "contact_a", "contact_b", "inspected_on"} <= set(keys)
    assert keys["contact_a"].required
    assert ["contact_a", "contact_b"] in kind.distinct
    assert kind.located != "no"
    assert kind.organisation == "owner"


@pytest.mark.parametrize("kind", load_kinds().values(), ids=lambda k: k.kind)
def test_no_heading_means_two_fields_of_one_kind(kind: Any) -> None:
    headings: dict[str, str] = {}
    for field in kind.fields:
        for word in dict.fromkeys([field.zh, field.en, field.key, *field.aliases]):
            assert headings.setdefault(word, field.key) == field.key, word


def test_whose_telephone_is_a_persons_is_sealed() -> None:
    kinds = load_kinds()
    for kind in ("contact", "expert"):
        assert all(f.personal for f in kinds[kind].fields if f.type == "phone")
    assert not is_blank(kinds["plant"].source)


def test_a_kind_may_be_added_by_a_document() -> None:
    assert load()["well"].zh == "水井"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"group": "water"}, "water"),
        ({"colour": "red"}, "colour"),
        ({"kind": "spring"}, "another name"),
        ({"source": " "}, "source"),
        ({"fields": []}, "name"),
        ({"fields": [NAME, NAME]}, "twice"),
        ({"fields": [{**NAME, "personal": True}]}, "not personal"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "typ": "number"}]}, "typ"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "type": "numbr"}]}, "numbr"),
        ({"fields": [NAME, {"key": "X", "zh": "甲", "en": "X"}]}, "lower-case"),
        ({"fields": [NAME, {"key": "x", "zh": "", "en": "X"}]}, "label"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "type": "choice"}]}, "choices"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "type": "ref"}]}, "ref"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "type": "ref", "ref": "moon"}]}, "moon"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "type": "phone"}]}, "public"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "type": "number", "personal": True}]}, "personal"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "type": "date", "example": "soon"}]}, "example"),
        ({"fields": [NAME, {"key": "x", "zh": "甲", "en": "X", "type": "rows"}]}, "rows"),
        ({"ordered": [["a", "b"]]}, "a, b"),
        ({"formats": {"name": "isbn"}}, "isbn"),
        ({"blocks": ["duty"]}, "duty"),
        ({"organisation": "owner"}, "owner"),
    ],
)
def test_a_wrong_document_is_refused_by_file_and_reason(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(KindWrong, match=r"well\.yaml") as refused:
        load(**changes)
    assert said in str(refused.value)


def test_what_is_no_yaml_is_said_so() -> None:
    with pytest.raises(KindWrong, match=r"well\.yaml: not YAML"):
        kinds_from({"well.yaml": "a: [b"})
    with pytest.raises(KindWrong, match="expected a mapping"):
        kinds_from({"well.yaml": "- a"})
