"""What a caller says becomes a place: characters, pinyin, initials, slips, house numbers, what is near."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gis.addresses import AddressIndex, Place, normal, spelled


def a_place(entry_id: str, name: str, *, kind: str = "address", lon: float = 121.45, **fields: object) -> Place:
    return Place(entry_id=entry_id, kind=kind, name=name, lon=lon, lat=28.68, **fields)  # type: ignore[arg-type]


NAMES = (
    "解放路地道口",
    "解放路",
    "解放路12号",
    "解放路14号",
    "解放路112号",
    "海滨村",
    "海滨村3组12号",
    "海滨村12组3号",
    "人民路",
)
INDEX = AddressIndex([a_place(str(n), name) for n, name in enumerate(NAMES)])


def first(query: str, index: AddressIndex = INDEX) -> str:
    hits = index.search(query)
    return hits[0].place.name if hits else ""


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("解放路地道口", "解放路地道口"),
        ("jiefanglu", "解放路"),
        ("JieFangLu DiDaoKou", "解放路地道口"),
        ("jflddk", "解放路地道口"),
        ("海滨村 3 组 12 号", "海滨村3组12号"),
        ("海滨村三组十二号", "海滨村3组12号"),
        ("解放路地到口", "解放路地道口"),  # a homophone
        ("海宾村", "海滨村"),
        ("就在人民路附近", "人民路"),
        ("解放路１２号", "解放路12号"),
        ("解放路一百一十二号", "解放路112号"),
        ("解放路12", "解放路12号"),
    ],
)
def test_what_is_said_finds_what_is_meant(said: str, meant: str) -> None:
    assert first(said) == meant


def test_a_house_number_that_is_not_registered_offers_its_neighbours_before_others() -> None:
    found = [h.place.name for h in INDEX.search("解放路13号")]
    assert {"解放路12号", "解放路14号"} <= set(found[:3])
    assert "解放路112号" not in found[:3]


def test_an_alias_and_an_address_find_their_place() -> None:
    index = AddressIndex([a_place("1", "第一人民医院", aliases=("一医", "红十字医院"), address="人民路 8 号")])
    for said in ("一医", "红十字医院", "人民路8号"):
        assert first(said, index) == "第一人民医院"


def test_of_two_places_of_one_name_the_nearer_comes_first_and_likeness_still_wins() -> None:
    index = AddressIndex(
        [
            a_place("west", "东山村", lon=121.40),
            a_place("east", "东山村", lon=121.50),
            a_place("x", "西山村", lon=121.50),
        ]
    )
    assert next(h.place.entry_id for h in index.search("东山村", near=(121.50, 28.68))) == "east"
    assert [h.place.entry_id for h in index.search("东山村", near=(121.40, 28.68))][:2] == ["west", "east"]


@pytest.mark.parametrize("said", ["", "   ", "，。！", "?"])
def test_a_query_without_a_letter_finds_nothing(said: str) -> None:
    assert INDEX.search(said) == []


def test_an_empty_index_and_no_results_wanted_are_fine() -> None:
    assert AddressIndex([]).search("解放路") == []
    assert INDEX.search("解放路", limit=0) == []


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_the_search(said: str) -> None:
    hits = INDEX.search(said, near=(121.45, 28.68), limit=5)
    assert len(hits) <= 5
    assert all(0.0 <= h.score <= 1.0 for h in hits)
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


def test_changes_lie_over_the_index_and_the_old_one_stays_as_it_was() -> None:
    changed = INDEX.with_changes([a_place("8", "疏港大道"), a_place("20", "葭沚老街")], [("address", "5")])
    assert (first("人民路", changed), first("人民路")) == (first("人民路", changed), "人民路")
    assert first("人民路", changed) != "人民路"  # entry 8 has another name now
    assert first("jiazhilaojie", changed) == "葭沚老街"
    assert "海滨村" not in [h.place.name for h in changed.search("海滨村")]
    assert (len(changed), len(INDEX)) == (len(NAMES) + 1 - 1, len(NAMES))
    again = AddressIndex(changed.everything())
    assert {h.place.name for h in again.search("葭沚")} == {h.place.name for h in changed.search("葭沚")}


def test_a_removed_change_is_gone_too() -> None:
    changed = INDEX.with_changes([a_place("20", "葭沚老街")]).with_changes([], [("address", "20")])
    assert first("葭沚老街", changed) != "葭沚老街"
    assert len(changed) == len(NAMES)


@settings(deadline=None)
@given(st.text(st.sampled_from("一二三四五六七八九十百海滨村组号路0123456789 "), max_size=20))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normal(normal(text)) == normal(text)
    assert all(len(part) <= 200 for part in spelled(normal(text)))
