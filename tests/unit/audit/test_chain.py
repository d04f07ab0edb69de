"""The chain of the journal: whatever is done to a run of rows is found, and where."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center import chain
from command_center.chain import Break, Older, What, canonical, normal, verify
from command_center.model import JournalEntry

replace = msgspec.structs.replace

NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abä之", max_size=3), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text("abc", max_size=2), VALUES, max_size=3)


def an_entry(seq: int, **fields: Any) -> JournalEntry:
    base = JournalEntry(
        seq=seq,
        at_us=1_000 + seq,
        machine_us=2_000 + seq,
        actor="duty1",
        on_behalf_of="",
        entity="incident",
        entity_id=f"I-{seq}",
        action="verify",
        before=None,
        after={"n": seq},
        reason="电话核实",
    )
    return replace(base, **fields)


def linked(entries: list[JournalEntry], prev: str = chain.ZERO.hex()) -> list[JournalEntry]:
    rows = []
    for entry in entries:
        rows.append(chain.link(prev, entry))
        prev = rows[-1].hash
    return rows


def rows_of(n: int) -> list[JournalEntry]:
    return linked([an_entry(seq) for seq in range(1, n + 1)])


class Anchor(msgspec.Struct, frozen=True):
    seq: int
    hash: str
    count: int


def anchor_at(rows: list[JournalEntry], seq: int) -> tuple[str, Anchor]:
    return "anchor.json", Anchor(seq, rows[seq - 1].hash, seq)


def whats(breaks: list[Break]) -> list[tuple[What, int]]:
    return [(b.what, b.seq) for b in breaks]


def test_the_canonical_form_is_the_one_that_is_written_down() -> None:
    value = {"乙": [1, 1.5, None, True, False, -3.0], "a": "甲\n"}
    double = bytes.fromhex("3ff8000000000000")
    assert canonical(value) == b"m2:s1:as4:\xe7\x94\xb2\ns3:\xe4\xb9\x99l6:i1;d" + double + b"ntfi-3;"
    assert canonical(1e300) == b"d" + bytes.fromhex("7e37e43c8800759c")
    with pytest.raises(TypeError, match="bytes has no canonical form"):
        canonical({"a": b"raw"})


def test_the_hash_of_a_known_row_never_changes() -> None:
    """A journal of today is checked by the builds of later years."""
    assert rows_of(1)[0].hash == "b3a9762d35cccaef639c243d17a34720362b126e891c45dec1d8ee9182277f62"


@given(VALUES)
def test_a_value_reads_back_from_a_json_column_with_the_same_bytes(value: Any) -> None:
    """jsonb sorts keys, writes 1e3 as 1000 and 2.0 as 2.0, and forgets the sign of zero."""
    kept = normal(value)
    back = json.loads(msgspec.json.encode(kept), parse_float=_as_numeric)
    assert canonical(back) == canonical(kept)


def _as_numeric(text: str) -> float | int:
    """As PostgreSQL's numeric prints it and Python reads that: an exponent is written out."""
    from decimal import Decimal

    printed = format(Decimal(text), "f")
    return float(printed) if "." in printed else int(printed)


@given(VALUES, VALUES)
def test_two_values_share_their_bytes_only_when_they_are_equal(one: Any, other: Any) -> None:
    same = canonical(one) == canonical(other)
    assert same == (_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    """For comparison: True is not 1, but 1.0 is."""
    if isinstance(value, bool) or value is None:
        return ("literal", value)
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def test_what_json_has_no_number_for_becomes_null() -> None:
    assert normal({"a": math.nan, "b": math.inf, "c": (2.0, -0.0), 3: "x"}) == {
        "a": None,
        "b": None,
        "c": [2, 0],
        "3": "x",
    }


@given(st.lists(DOCUMENTS, max_size=6))
def test_an_untouched_journal_has_nothing_wrong(documents: list[dict[str, Any]]) -> None:
    rows = linked([an_entry(n, after=normal(d)) for n, d in enumerate(documents, 1)])
    assert verify(rows, [anchor_at(rows, seq) for seq in range(1, len(rows) + 1)]) == []


FIELDS = {
    "at_us": 1, "machine_us": 1, "actor": "x", "on_behalf_of": "x", "entity": "x", "entity_id": "x", "action": "x",
    "before": {"x": 1}, "after": None, "reason": "x",
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_change_of_any_column_is_found_at_its_row(field: str) -> None:
    rows = rows_of(5)
    rows[2] = replace(rows[2], **{field: FIELDS[field]})
    assert whats(verify(rows)) == [(What.CHANGED, 3)]


@given(st.data())
def test_a_removed_row_is_found_at_the_row_after_it(data: st.DataObject) -> None:
    rows = rows_of(8)
    gone = data.draw(st.integers(0, 6))
    del rows[gone]
    found = whats(verify(rows))
    if gone == 0:
        assert found == [(What.NO_BEGINNING, 2)]
    else:
        assert found == [(What.REMOVED, gone + 2), (What.UNLINKED, gone + 2)]


@given(st.integers(0, 6))
def test_a_removed_row_is_found_also_when_the_others_are_numbered_anew(gone: int) -> None:
    rows = rows_of(8)
    rows = rows[:gone] + [replace(row, seq=row.seq - 1) for row in rows[gone + 1 :]]
    assert What.CHANGED in {b.what for b in verify(rows)}


@given(st.integers(1, 7))
def test_an_inserted_row_is_found(at: int) -> None:
    rows = rows_of(8)
    forged = chain.link(rows[at - 1].hash, an_entry(at + 1, actor="intruder"))
    found = verify([*rows[:at], forged, *rows[at:]])
    assert (What.UNLINKED, at + 1) in whats(found)


@given(st.integers(0, 6))
def test_two_rows_in_each_others_place_are_found(at: int) -> None:
    rows = rows_of(8)
    rows[at], rows[at + 1] = rows[at + 1], rows[at]
    assert verify(rows)


@given(st.integers(1, 8), st.integers(1, 8))
def test_a_chain_written_anew_from_any_row_on_is_found_by_an_anchor_behind_it(changed: int, anchored: int) -> None:
    rows = rows_of(8)
    anchor = anchor_at(rows, anchored)
    before = rows[: changed - 1]
    forged = [replace(r, reason="never happened" if r.seq == changed else r.reason) for r in rows[changed - 1 :]]
    anew = [*before, *linked(forged, before[-1].hash if before else chain.ZERO.hex())]
    assert verify(anew) == []  # without anchors it looks whole: that is why they leave the host
    found = whats(verify(anew, [anchor]))
    assert found == ([(What.ANCHOR_DIFFERS, anchored)] if anchored >= changed else [])


@given(st.integers(0, 7))
def test_a_tail_that_was_cut_off_is_found_by_an_anchor(kept: int) -> None:
    rows = rows_of(8)
    assert whats(verify(rows[:kept], [anchor_at(rows, 8)])) == [(What.ANCHOR_MISSING, 8)]


def test_a_row_without_a_hash_after_the_beginning_is_found() -> None:
    rows = rows_of(3)
    rows[1] = replace(rows[1], hash="", prev_hash="")
    assert (What.UNHASHED, 2) in whats(verify(rows))


def older_and_chain() -> list[JournalEntry]:
    older = [an_entry(seq) for seq in (1, 2, 4)]  # identity columns leave gaps
    facts = Older()
    for entry in older:
        facts.add(entry)
    genesis = an_entry(5, entity=chain.JOURNAL, action=chain.BEGINS, after=facts.facts())
    return [*older, *linked([genesis, an_entry(6)])]


def test_rows_older_than_the_chain_are_held_by_its_first_row() -> None:
    assert verify(older_and_chain()) == []
    changed = older_and_chain()
    changed[1] = replace(changed[1], reason="x")
    assert whats(verify(changed)) == [(What.OLDER_ROWS, 5)]
    assert whats(verify(older_and_chain()[1:])) == [(What.OLDER_ROWS, 5)]
    assert whats(verify([*older_and_chain()[:3], *rows_of(1)])) == [(What.OLDER_ROWS, 1)]


def archived_to(rows: list[JournalEntry], to_seq: int) -> list[JournalEntry]:
    """The journal after rows up to `to_seq` went into an archive, which a new row says."""
    after = {"to_seq": to_seq, "last_hash": rows[to_seq - 1].hash, "count": to_seq}
    checkpoint = an_entry(len(rows) + 1, entity=chain.JOURNAL, action=chain.ARCHIVED, after=after)
    return [*rows, chain.link(rows[-1].hash, checkpoint)]


def test_rows_that_an_archive_took_may_be_gone_and_the_rest_still_holds() -> None:
    rows = archived_to(rows_of(6), 4)
    assert verify(rows, [anchor_at(rows, 5)]) == []
    assert verify(rows[4:], [anchor_at(rows, 5), anchor_at(rows, 2)]) == []
    assert whats(verify(rows[3:])) == [(What.NO_BEGINNING, 4)]  # more rows are there than the archive's end says
    assert whats(verify(rows[5:])) == [(What.NO_BEGINNING, 6)]  # row 5 is in no archive
    assert (What.ANCHOR_MISSING, 9) in whats(verify(rows[4:], [("a", Anchor(9, "00", 9))]))


def test_a_chain_broken_everywhere_is_not_listed_to_its_end() -> None:
    rows = [replace(row, reason="x") for row in rows_of(chain.BREAKS_MAX + 50)]
    assert len(verify(rows)) == chain.BREAKS_MAX
