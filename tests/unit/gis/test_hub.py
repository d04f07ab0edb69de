"""The hub: a stale picture plus its deltas is the fresh picture; events are ordered, complete and resumable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gis.hub import RING_EVENTS, EventChannel, Hub, StateChannel, StateView, chunked
from gis.tiles import covering

Rows = dict[str, list[Any]]
OWNERS = ("", "acme", "zeta")
# A few places some tiles apart, so that moves cross the edges of the viewport below.
PLACES = ((121.40, 28.60), (121.45, 28.65), (121.80, 28.90), (122.50, 29.40))
VIEW = (121.38, 28.58, 121.47, 28.67)

changes = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.sampled_from("abcdef"),
            st.sampled_from(PLACES),
            st.integers(0, 2),
            st.sampled_from(OWNERS),
        ),
        st.tuples(st.just("remove"), st.sampled_from("abcdef")),
    ),
    max_size=30,
)
filters = st.tuples(st.sampled_from([None, "acme"]), st.sampled_from([None, covering(VIEW, ring=0)]))


def layer() -> StateChannel:
    return Hub("e").state("obj/device", ["id", "ver", "lon_e6", "lat_e6", "value"])


def apply(channel: StateChannel, steps: list[Any]) -> None:
    for n, step in enumerate(steps):
        if step[0] == "remove":
            channel.remove(step[1], t_us=n)
        else:
            _, name, (lon, lat), value, owner = step
            channel.put(name, [value], t_us=n, lon=lon, lat=lat, owner=owner)


def snapshot(channel: StateChannel, view: StateView, ids: list[str]) -> Rows:
    return {row[0]: row for row in map(msgspec.json.decode, channel.page(view, ids))}


def with_deltas(picture: Rows, bodies: list[bytes] | None) -> Rows:
    """What a client does: by version, so that overlap does no harm."""
    assert bodies is not None
    result = dict(picture)
    for body in bodies:
        message = msgspec.json.decode(b"{" + body)
        for row in message["up"]:
            if row[0] not in result or result[row[0]][1] <= row[1]:
                result[row[0]] = row
        for name in message["rm"]:
            result.pop(name, None)
    return result


def fresh(channel: StateChannel, view: StateView) -> Rows:
    other, ids = channel.subscribe(view.scope, view.viewport)
    return snapshot(channel, other, ids)


@given(before=changes, during=changes, after=changes, seen=filters)
def test_a_stale_picture_plus_its_deltas_is_the_fresh_picture(
    before: list[Any], during: list[Any], after: list[Any], seen: Any
) -> None:
    channel = layer()
    apply(channel, before)
    view, ids = channel.subscribe(*seen)
    apply(channel, during)  # between registration and the page: rows are read when the page is sent
    picture = snapshot(channel, view, ids)
    picture = with_deltas(picture, channel.deltas(view))
    apply(channel, after)
    assert with_deltas(picture, channel.deltas(view)) == fresh(channel, view)


@given(steps=st.lists(changes, max_size=5), seen=filters)
def test_however_often_a_viewer_is_told_it_ends_at_the_same_picture(steps: list[list[Any]], seen: Any) -> None:
    channel = layer()
    often, seldom = (channel.subscribe(*seen)[0] for _ in range(2))
    picture: Rows = {}
    for step in steps:
        apply(channel, step)
        picture = with_deltas(picture, channel.deltas(often))
    assert picture == with_deltas({}, channel.deltas(seldom)) == fresh(channel, often)


@given(before=changes, after=changes, scope=st.sampled_from([None, "acme"]))
def test_a_moved_viewport_sends_only_the_difference_and_ends_right(
    before: list[Any], after: list[Any], scope: str | None
) -> None:
    channel = layer()
    apply(channel, before)
    view, ids = channel.subscribe(scope, None)
    picture = snapshot(channel, view, ids)
    apply(channel, after)
    picture = with_deltas(picture, channel.deltas(view))
    had = set(picture)
    came, gone = channel.look(view, covering(VIEW, ring=0))
    assert set(gone) <= had
    assert not had.intersection(came)
    for name in gone:
        del picture[name]
    picture |= snapshot(channel, view, came)
    assert picture == fresh(channel, view)
    came, _ = channel.look(view, None)
    picture |= snapshot(channel, view, came)
    assert picture == fresh(channel, view)


@given(changes)
def test_nobody_sees_a_row_of_another_owner(steps: list[Any]) -> None:
    channel = layer()
    view, _ = channel.subscribe("acme")
    shown: list[Any] = []
    for step in steps:
        apply(channel, [step])
        bodies = channel.deltas(view)
        assert bodies is not None
        for body in bodies:
            shown += [row[0] for row in msgspec.json.decode(b"{" + body)["up"]]
        assert all(channel.rows[name].owner == "acme" for name in shown)
        shown.clear()


def test_what_repeats_itself_is_no_change() -> None:
    channel = layer()
    assert channel.put("a", [1], t_us=1, lon=121.0, lat=28.0)
    assert not channel.put("a", [1], t_us=2, lon=121.0, lat=28.0)
    assert (channel.seq, channel.unchanged) == (1, 1)
    assert not channel.remove("never-there", t_us=3)


def test_viewers_at_one_cursor_share_one_encoding() -> None:
    channel = layer()
    views = [channel.subscribe()[0] for _ in range(3)]
    channel.put("a", [1], t_us=1, lon=121.0, lat=28.0)
    first, second, third = (channel.deltas(view) for view in views)
    assert first is second is third
    assert channel.deltas(views[0]) == []


def test_a_viewer_that_missed_forgotten_removals_needs_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gis.hub.MAX_TOMBSTONES", 2)
    channel = layer()
    view, _ = channel.subscribe()
    for name in "abcd":
        channel.put(name, [1], t_us=1, lon=121.0, lat=28.0)
        channel.remove(name, t_us=2)
    assert channel.deltas(view) is None
    assert channel.tombstones_dropped == 2
    assert not channel.can_resume(0)
    assert channel.can_resume(channel.seq)


def test_a_position_that_is_none_is_refused_where_it_is_put() -> None:
    with pytest.raises(ValueError, match="longitude"):
        layer().put("a", [], t_us=0, lon=float("nan"), lat=1.0)
    with pytest.raises(ValueError, match="two numbers"):
        layer().put("a", [], t_us=0)


def test_a_large_delta_is_cut_into_messages() -> None:
    channel = layer()
    view, _ = channel.subscribe()
    for n in range(3_000):
        channel.put(f"d{n}", ["x" * 50], t_us=n, lon=121.0, lat=28.0)
    bodies = channel.deltas(view)
    assert bodies is not None
    assert max(map(len, bodies)) < 50_000
    assert len(with_deltas({}, bodies)) == 3_000
    assert [len(c) for c in chunked([b"x" * 10] * 5, 22)] == [2, 2, 1]


def test_a_board_row_has_no_place() -> None:
    board = Hub("e").state("kpi/board", ["id", "ver", "value"], spatial=False)
    board.put("clock", [{"city_us": 5}], t_us=1)
    board.put("nothing", [], t_us=1)
    assert [msgspec.json.decode(r.data) for r in board.rows.values()] == [
        ["clock", 1, {"city_us": 5}],
        ["nothing", 2],
    ]
    view, ids = board.subscribe(None, covering(VIEW))
    assert len(board.page(view, ids)) == 2


def test_a_channel_exists_once() -> None:
    hub = Hub("e")
    hub.events("alarm")
    with pytest.raises(ValueError, match="alarm"):
        hub.state("alarm", [])


# -- events ----------------------------------------------------------------------------------------------------------


def alarms() -> EventChannel:
    return Hub("e").events("alarm", epoch="log-1")


def send(channel: EventChannel, seq: int, name: str = "a", **more: Any) -> None:
    more = {"kind": "raised", "rev": seq, "data": {"id": name, "at": seq}, "t_us": seq} | more
    channel.publish(seq=seq, object_id=name, **more)


def taken(channel: EventChannel, view: Any, limit: int = 10**6) -> list[dict[str, Any]]:
    return [msgspec.json.decode(m) for m in channel.take(view, 10**9, limit)]


@given(
    seqs=st.lists(st.integers(1, 60), min_size=1, max_size=60),
    cut=st.integers(0, 60),
    steps=st.lists(st.integers(1, 5)),
)
def test_a_viewer_that_resumes_misses_nothing(seqs: list[int], cut: int, steps: list[int]) -> None:
    """Sequences with holes, repetitions and overtaking: whatever a viewer had when it left, what follows completes it."""
    channel = alarms()
    whole, _ = channel.subscribe()
    for n, seq in enumerate(seqs):
        send(channel, seq, data={"n": n})
    everything = taken(channel, whole)
    assert [m["data"]["n"] for m in everything] == list(range(len(seqs)))
    assert [m["seq"] for m in everything] == sorted(m["seq"] for m in everything)

    had = everything[: min(cut, len(everything))]
    view = channel.resume(had[-1]["seq"] if had else 0)
    assert view is not None
    rest: list[dict[str, Any]] = []
    for limit in [*steps, 10**6]:
        rest += taken(channel, view, limit)
    numbers = [m["data"]["n"] for m in had] + [m["data"]["n"] for m in rest]
    assert set(numbers) == set(range(len(seqs)))
    assert [m["data"]["n"] for m in rest] == sorted(m["data"]["n"] for m in rest)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(0, 40))
def test_a_ring_that_was_written_down_resumes_like_the_one_it_came_from(seqs: list[int], kept: int) -> None:
    channel = alarms()
    for n, seq in enumerate(seqs):
        send(channel, seq, data={"n": n})
    again = alarms()
    again.restore(*channel.dump(kept))
    assert again.seq == channel.seq
    for since in range(61):
        view, before = again.resume(since), channel.resume(since)
        if view is not None:
            assert before is not None
            assert taken(again, view) == taken(channel, before)


def test_a_full_ring_says_when_it_cannot_resume() -> None:
    channel = alarms()
    early, _ = channel.subscribe()
    for seq in range(1, RING_EVENTS + 11):
        send(channel, seq)
    assert channel.evicted == 10
    assert channel.lost(early)
    assert channel.resume(9) is None
    view = channel.resume(10)
    assert view is not None
    assert len(taken(channel, view)) == RING_EVENTS


def test_a_viewer_that_is_ahead_of_a_restarted_server_waits() -> None:
    channel = alarms()
    send(channel, 5)
    view = channel.resume(7)
    assert view is not None
    for seq in (6, 7, 8):
        send(channel, seq)
    assert [m["seq"] for m in taken(channel, view)] == [8]


def test_the_owner_that_loses_an_object_hears_that_it_is_gone_and_no_more() -> None:
    channel = alarms()
    mine, _ = channel.subscribe("unit-1")
    send(channel, 1, "T1", owner="unit-1", data={"secret": 1})
    send(channel, 2, "T1", owner="unit-2", data={"secret": 2})
    send(channel, 3, "T1", owner="unit-2", data={"secret": 3})
    found = taken(channel, mine)
    assert [(m["seq"], m["kind"]) for m in found] == [(1, "raised"), (2, "removed")]
    assert found[1]["data"] == {"id": "T1"}
    assert channel.subscribe("unit-1")[1] == []


def test_what_is_over_leaves_the_snapshot_with_its_event() -> None:
    channel = alarms()
    send(channel, 1)
    send(channel, 2, "b")
    send(channel, 3, keep=False)
    view, ids = channel.subscribe()
    assert [msgspec.json.decode(row)["id"] for row in channel.page(view, ids)] == ["b"]


def test_a_page_shows_the_object_as_it_is_when_the_page_is_sent() -> None:
    channel = alarms()
    send(channel, 1)
    view, ids = channel.subscribe()
    send(channel, 2, data={"id": "a", "at": 2})
    assert msgspec.json.decode(channel.page(view, ids)[0])["at"] == 2
    assert [m["seq"] for m in taken(channel, view)] == [2], "and again as an event: applied by rev, it does no harm"


def test_a_backlog_knows_its_size_and_wakes_those_who_wait() -> None:
    channel = alarms()
    woken: list[int] = []
    leave = channel.on_event(lambda: woken.append(1))
    view, _ = channel.subscribe()
    send(channel, 1)
    send(channel, 2)
    assert channel.behind(view) == 2
    size = channel.behind_bytes(view)
    assert size == sum(len(m) for m in channel.take(view, 10**9, 10))
    assert (channel.behind(view), channel.behind_bytes(view)) == (0, 0)
    leave()
    send(channel, 3)
    assert len(woken) == 2


def test_history_that_happened_elsewhere_is_not_pretended() -> None:
    channel = alarms()
    send(channel, 1)
    late, _ = channel.subscribe()
    send(channel, 2)
    channel.skip_to(10)
    assert channel.lost(late)
    assert channel.resume(2) is None
    assert channel.resume(10) is not None
    channel.skip_to(4)
    assert channel.seq == 10
