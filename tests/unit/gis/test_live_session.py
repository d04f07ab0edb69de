"""One viewer's conversation, without a socket: requests and time in, frames out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gis.hub import EventChannel, Hub, PastEvent, StateChannel
from gis.live import FRAME_BYTES, FRAME_MESSAGES, Grant, LiveSession

CITY_US = 1_565_352_000_000_000
TOKENS = {
    "desk": Grant(subject="duty1", channels={"obj": None, "alarm": None, "task": None}, expires_s=10_000.0),
    "unit": Grant(subject="unit-1", channels={"task": "unit-1"}, expires_s=10_000.0),
    "short": Grant(subject="duty1", channels={"obj": None, "alarm": None, "task": None}, expires_s=20.0),
    "dead": Grant(subject="duty1", channels={}, expires_s=0.5),
    "other": Grant(subject="duty1", channels={"obj": None}, expires_s=10_000.0),
}


class Talk:
    """A session with a clock in the hand. `say` speaks as the client, `hear` polls until nothing is due."""

    def __init__(self, kind: str = "wall", token: str | None = "desk", grant: Grant | None = None) -> None:
        self.hub = Hub("epoch-1")
        self.obj: StateChannel = self.hub.state("obj", ["id", "ver", "lon_e6", "lat_e6", "v"])
        self.alarm: EventChannel = self.hub.events("alarm", epoch="log-1")
        self.task: EventChannel = self.hub.events("task", epoch="db-1")
        self.now = 1.0
        self.woken = 0
        self.session = LiveSession(
            self.hub, TOKENS.get, session_id="s1", node="n1", now_s=self.now, grant=grant, on_wake=self._wake
        )
        if token is not None:
            self.say(type="hello", token=token, client={"name": "t", "ver": "1", "kind": kind}, lang="zh")
            self.hear()

    def _wake(self) -> None:
        self.woken += 1

    def say(self, **message: Any) -> None:
        self.session.receive(msgspec.json.encode([message]), self.now, CITY_US)

    def frames(self, buffered: int = 0) -> list[bytes]:
        found = []
        while (frame := self.session.poll(self.now, buffered)) is not None:
            found.append(frame)
        return found

    def hear(self, after_s: float = 0.0, buffered: int = 0) -> list[dict[str, Any]]:
        self.now += after_s
        return [message for frame in self.frames(buffered) for message in msgspec.json.decode(frame)]

    def put(self, name: str, value: Any = 1, lon: float = 121.4, lat: float = 28.6) -> None:
        self.obj.put(name, [value], t_us=CITY_US, lon=lon, lat=lat)

    def raise_(self, seq: int, name: str = "a", size: int = 0) -> None:
        data = {"id": name, "pad": "x" * size}
        self.alarm.publish(seq=seq, kind="raised", object_id=name, rev=seq, data=data, t_us=CITY_US)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [m["type"] for m in messages]


# -- hello -----------------------------------------------------------------------------------------------------------


def test_welcome_says_what_the_client_needs_to_know() -> None:
    talk = Talk(token=None)
    talk.say(type="hello", token="desk", client={"kind": "phone"})
    (welcome,) = talk.hear()
    assert welcome == {
        "type": "welcome",
        "session": "s1",
        "node": "n1",
        "time": CITY_US,
        "ping_s": 25.0,
        "limits": {"frame": FRAME_BYTES, "subs": 32, "hz": 0.5},
        "perms": ["alarm", "obj", "task"],
    }


@pytest.mark.parametrize("token", ["wrong", "dead", "", None, 5])
def test_without_a_good_token_there_is_only_a_bye(token: Any) -> None:
    talk = Talk(token=None)
    talk.say(type="hello", token=token)
    (bye,) = talk.hear()
    assert (bye["type"], bye["code"]) == ("bye", 3500)
    assert talk.session.closed == (3500, bye["reason"])


def test_the_cookie_stands_for_the_token() -> None:
    talk = Talk(token=None, grant=TOKENS["desk"])
    talk.say(type="hello", client={"kind": "wall"})
    assert kinds(talk.hear()) == ["welcome"]


def test_a_wrong_token_is_not_rescued_by_the_cookie() -> None:
    talk = Talk(token=None, grant=TOKENS["desk"])
    talk.say(type="hello", token="wrong")
    assert talk.hear()[0]["code"] == 3500


def test_hello_must_come_first_and_soon() -> None:
    early = Talk(token=None)
    early.say(type="sub", i=1, ch="alarm")
    assert early.hear()[0]["code"] == 3500
    silent = Talk(token=None)
    assert silent.hear(9.9) == []
    assert silent.session.due_s() == pytest.approx(11.0)
    assert silent.hear(0.2)[0]["code"] == 3502


@pytest.mark.parametrize("text", [b"{", b"[1]", b'{"no":"type"}', b"\xff\xfe", b'"' + b"x" * 20_000 + b'"', b"[[]]"])
def test_what_is_no_message_ends_the_talk_with_a_reason(text: bytes) -> None:
    talk = Talk()
    talk.session.receive(text, talk.now, CITY_US)
    (bye,) = talk.hear()
    assert (bye["type"], bye["code"]) == ("bye", 3501)
    talk.say(type="sub", i=1, ch="alarm")
    assert talk.hear() == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
requests = st.fixed_dictionaries(
    {"type": st.sampled_from(["hello", "auth", "sub", "view", "unsub", "seen", "pong", "x"])},
    optional={
        "i": anything,
        "ch": st.sampled_from(["obj", "alarm", "task"]) | anything,
        "sub": st.integers(0, 4) | anything,
        "bbox": st.lists(st.floats(-200, 200), min_size=4, max_size=4) | anything,
        "since": st.fixed_dictionaries({"epoch": st.sampled_from(["log-1", "epoch-1", "x"]), "seq": st.integers()})
        | anything,
        "hz": anything,
        "seq": anything,
        "token": st.sampled_from(sorted(TOKENS)) | anything,
        "client": anything,
    },
)


@given(st.lists(requests, max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_no_client_can_break_the_session(messages: list[Any], events: list[int]) -> None:
    talk = Talk()
    for n, message in enumerate(messages):
        talk.session.receive(msgspec.json.encode(message), talk.now, CITY_US)
        if n < len(events):
            talk.raise_(n + 1, f"a{events[n]}")
            talk.put(f"d{events[n]}", n)
        for frame in talk.frames():
            assert len(frame) <= FRAME_BYTES
            assert all(isinstance(m["type"], str) for m in msgspec.json.decode(frame))
        for wanted in talk.session.history_wanted():
            talk.session.history(wanted.sub, None)
        talk.now += 0.3


# -- subscriptions ---------------------------------------------------------------------------------------------------


def test_a_subscription_answers_then_shows_then_goes_on() -> None:
    talk = Talk()
    talk.put("d1")
    talk.say(type="sub", i=7, ch="obj")
    ok, snap = talk.hear()
    assert (ok["type"], ok["i"], ok["epoch"], ok["seq"], ok["recovered"]) == ("ok", 7, "epoch-1", 1, False)
    assert ok["schema"] == ["id", "ver", "lon_e6", "lat_e6", "v"]
    assert (snap["sub"], snap["seq"], snap["part"], snap["more"]) == (ok["sub"], 1, 0, False)
    assert snap["rows"] == [["d1", 1, 121_400_000, 28_600_000, 1]]
    talk.put("d1", 2)
    talk.obj.remove("d9", t_us=0)
    (delta,) = talk.hear(1.0)
    assert (delta["type"], delta["up"][0][4], delta["rm"], delta["seq"]) == ("delta", 2, [], 2)
    assert talk.hear(1.0) == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "sub", "i": 1, "ch": "nothing"}, 102),
        ({"type": "sub", "i": 1}, 102),
        ({"type": "sub", "i": 1, "ch": "obj", "bbox": [1, 2, 3]}, 107),
        ({"type": "sub", "i": 1, "ch": "obj", "bbox": [3, 0, 1, 1]}, 107),
        ({"type": "sub", "i": 1, "ch": "obj", "hz": 0}, 107),
        ({"type": "sub", "i": 1, "ch": "alarm", "since": {"epoch": "log-1"}}, 107),
        ({"type": "view", "i": 1, "sub": 99}, 107),
        ({"type": "unsub", "i": 1, "sub": 99}, 107),
        ({"type": "shout", "i": 1}, 107),
        ({"type": "hello", "i": 1, "token": "desk"}, 107),
        ({"type": "auth", "i": 1, "token": "wrong"}, 109),
    ],
)
def test_a_wrong_request_is_answered_by_its_number_and_hurts_nothing(message: dict[str, Any], code: int) -> None:
    talk = Talk()
    talk.say(**message)
    (error,) = talk.hear()
    assert (error["type"], error["i"], error["code"], error["temp"]) == ("err", 1, code, False)
    assert error["msg"]
    talk.say(type="sub", i=2, ch="obj")
    assert kinds(talk.hear()) == ["ok", "snap"]


def test_what_one_may_not_see_is_refused() -> None:
    talk = Talk(token="unit")
    talk.say(type="sub", i=1, ch="alarm")
    assert talk.hear()[0]["code"] == 103


def test_there_is_a_limit_of_subscriptions_and_of_unread_answers() -> None:
    talk = Talk()
    for i in range(33):
        talk.say(type="sub", i=i, ch="obj")
    assert [m["code"] for m in talk.hear() if m["type"] == "err"] == [106]
    for i in range(300):
        talk.say(type="unsub", i=i, sub=99)
    assert talk.session.closed is not None
    assert talk.session.closed[0] == 3013
    assert kinds(talk.hear()) == ["bye"]


def test_a_large_picture_comes_in_pages_that_fit_frames_and_deltas_follow_it() -> None:
    talk = Talk()
    for n in range(2_500):
        talk.put(f"d{n:04d}", "x" * 60)
    talk.say(type="sub", i=1, ch="obj")
    frames = talk.frames()
    assert max(map(len, frames)) <= FRAME_BYTES
    messages = [m for frame in frames for m in msgspec.json.decode(frame)]
    snaps = [m for m in messages if m["type"] == "snap"]
    assert [s["part"] for s in snaps] == list(range(len(snaps)))
    assert [s["more"] for s in snaps] == [True] * (len(snaps) - 1) + [False]
    assert [row[0] for s in snaps for row in s["rows"]] == [f"d{n:04d}" for n in range(2_500)]


def test_events_overtake_the_pages_of_a_large_picture() -> None:
    talk = Talk()
    talk.say(type="sub", i=1, ch="alarm")
    talk.hear()
    for n in range(2_500):
        talk.put(f"d{n:04d}", "x" * 60)
    talk.say(type="sub", i=2, ch="obj")
    first = talk.session.poll(talk.now)
    assert first is not None
    talk.raise_(1)
    later = talk.frames()
    where = [i for i, frame in enumerate(later) if b'"ev"' in frame]
    assert where
    assert where[0] < len(later) - 1, "the event did not wait for the last page"


def test_panning_sends_only_what_comes_in_and_what_goes_out() -> None:
    talk = Talk()
    talk.put("west", lon=121.0)
    talk.put("east", lon=122.0)
    talk.say(type="sub", i=1, ch="obj", bbox=[120.9, 28.5, 121.1, 28.7], zoom=12)
    ok, snap = talk.hear()
    assert [row[0] for row in snap["rows"]] == ["west"]
    talk.say(type="view", i=2, sub=ok["sub"], bbox=[121.9, 28.5, 122.1, 28.7], zoom=12)
    messages = talk.hear()
    assert [(m["type"], m.get("rm"), [r[0] for r in m.get("rows", [])]) for m in messages] == [
        ("delta", ["west"], []),
        ("ok", None, []),
        ("snap", None, ["east"]),
    ]
    talk.put("west", 5, lon=121.0)
    assert talk.hear(1.0) == [], "what is out of view costs nothing"
    talk.put("west", 6, lon=122.0)
    assert [row[0] for m in talk.hear(1.0) for row in m["up"]] == ["west"]


def test_after_unsub_nothing_more_comes() -> None:
    talk = Talk()
    talk.say(type="sub", i=1, ch="alarm")
    sub = talk.hear()[0]["sub"]
    talk.say(type="seen", sub=sub, seq=4)
    assert talk.session.seen() == {"alarm": 4}
    talk.say(type="unsub", i=2, sub=sub)
    talk.hear()
    talk.raise_(1)
    assert (talk.hear(), talk.woken) == ([], 0)


# -- resume ----------------------------------------------------------------------------------------------------------


def test_resuming_events_is_all_or_nothing() -> None:
    talk = Talk()
    for seq in (3, 5, 8):
        talk.raise_(seq, f"a{seq}")
    talk.say(type="sub", i=1, ch="alarm", since={"epoch": "log-1", "seq": 3})
    ok, *events = talk.hear()
    assert ok["recovered"] is True
    assert [e["seq"] for e in events] == [5, 8]
    talk.say(type="sub", i=2, ch="alarm", since={"epoch": "another", "seq": 3})
    ok, reset, snap = talk.hear()
    assert (ok["recovered"], reset["why"], len(snap["rows"])) == (False, "epoch", 3)


def past(*seqs: int) -> list[PastEvent]:
    return [PastEvent(seq, "raised", f"a{seq}", seq, {"id": f"a{seq}"}, 0) for seq in seqs]


@pytest.mark.parametrize("loaded", [past(3, 4), past(3, 4, 6), past(3), [], None])
def test_history_joins_the_ring_without_a_hole_or_not_at_all(loaded: list[PastEvent] | None) -> None:
    """Sequences may have holes (channels share the database's numbers): what was loaded is complete because it says so."""
    talk = Talk()
    talk.alarm.start_at(4)
    talk.raise_(6)
    talk.say(type="sub", i=1, ch="alarm", since={"epoch": "log-1", "seq": 2})
    assert talk.hear() == []
    (wanted,) = talk.session.history_wanted()
    assert (wanted.channel, wanted.since_seq) == ("alarm", 2)
    talk.raise_(7, "b")  # while it was being loaded
    talk.session.history(wanted.sub, loaded)
    messages = talk.hear()
    if loaded is None:
        assert kinds(messages) == ["ok", "reset", "snap"]
        assert messages[1]["why"] == "gap"
    else:
        assert messages[0]["recovered"] is True
        older = [e.seq for e in loaded if e.seq < 6]
        assert [m["seq"] for m in messages[1:]] == [*older, 6, 7]


def test_history_of_a_unit_is_its_own() -> None:
    talk = Talk(token="unit")
    talk.task.start_at(4)
    talk.say(type="sub", i=1, ch="task", since={"epoch": "db-1", "seq": 1})
    talk.hear()
    (wanted,) = talk.session.history_wanted()
    assert wanted.scope == "unit-1"
    found = [PastEvent(s, "x", f"T{s}", 1, {}, 0, owner=f"unit-{s % 2}") for s in (2, 3)]
    talk.session.history(wanted.sub, found)
    assert [m.get("id") for m in talk.hear()] == [None, "T3"]


def test_state_resumes_while_removals_are_remembered() -> None:
    talk = Talk()
    talk.put("d1")
    talk.put("d2")
    talk.obj.remove("d1", t_us=0)
    talk.say(type="sub", i=1, ch="obj", since={"epoch": "epoch-1", "seq": 2})
    ok, *rest = talk.hear()
    assert (ok["recovered"], rest) == (True, [])
    (delta,) = talk.hear(1.0)
    assert (delta["up"], delta["rm"]) == ([], ["d1"])
    talk.say(type="sub", i=2, ch="obj", since={"epoch": "before-the-restart", "seq": 2})
    assert kinds(talk.hear()) == ["ok", "reset", "snap"]


# -- pace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "hz"), [("wall", 2.0), ("phone", 0.5)])
def test_state_flows_at_the_pace_of_the_kind_and_only_the_newest(kind: str, hz: float) -> None:
    talk = Talk(kind)
    talk.say(type="sub", i=1, ch="obj")
    talk.hear()
    deltas = []
    for step in range(200):
        talk.put("d1", step)
        deltas += [m for m in talk.hear(0.1) if m["type"] == "delta"]
        talk.say(type="pong")
    assert len(deltas) == pytest.approx(20 * hz, abs=1)
    assert all(len(d["up"]) == 1 for d in deltas)


def test_an_event_goes_at_once_and_a_burst_shares_frames() -> None:
    talk = Talk()
    talk.say(type="sub", i=1, ch="alarm")
    talk.hear()
    talk.raise_(1)
    assert talk.woken == 1
    assert [m["seq"] for m in talk.hear()] == [1]
    for seq in range(2, 12):
        talk.raise_(seq)
    assert talk.hear() == [], "within the gathering time"
    assert talk.session.due_s() - talk.now <= 0.05
    frames = len(talk.frames())
    talk.now = talk.session.due_s()
    found = talk.frames()
    assert (frames, len(found)) == (0, 1)
    assert [m["seq"] for m in msgspec.json.decode(found[0])] == list(range(2, 12))


def test_frames_keep_their_bounds_whatever_is_sent() -> None:
    talk = Talk()
    talk.say(type="sub", i=1, ch="alarm")
    talk.hear()
    for seq in range(1, 901):
        talk.raise_(seq, f"a{seq}", size=400)
    frames = talk.frames()
    assert max(map(len, frames)) <= FRAME_BYTES
    assert max(len(msgspec.json.decode(f)) for f in frames) <= FRAME_MESSAGES
    assert [m["seq"] for f in frames for m in msgspec.json.decode(f)] == list(range(1, 901))


def test_a_full_transport_gets_events_but_no_state_and_is_told_once() -> None:
    talk = Talk()
    for i, channel in enumerate(("obj", "alarm")):
        talk.say(type="sub", i=i, ch=channel)
    talk.hear()
    talk.put("d1")
    talk.raise_(1)
    heard = talk.hear(1.0, buffered=300_000) + talk.hear(1.0, buffered=300_000)
    assert [m["type"] for m in heard] == ["ev", "note"]
    assert heard[1]["code"] == "degraded"
    assert kinds(talk.hear(0.5)) == ["delta"], "what was conflated meanwhile"


def test_a_full_transport_with_a_megabyte_of_events_is_cut() -> None:
    talk = Talk()
    talk.say(type="sub", i=1, ch="alarm")
    talk.hear()
    for seq in range(1, 60):
        talk.raise_(seq, size=20_000)
    (bye,) = talk.hear(0.0, buffered=300_000)
    assert (bye["type"], bye["code"]) == ("bye", 3008)


def test_a_viewer_that_the_ring_has_left_behind_is_cut_and_may_resume() -> None:
    talk = Talk()
    talk.say(type="sub", i=1, ch="alarm")
    talk.hear()
    for seq in range(1, 1_002):
        talk.raise_(seq)
    assert talk.hear()[-1]["code"] == 3008


def test_state_alone_never_cuts_anybody() -> None:
    talk = Talk()
    talk.say(type="sub", i=1, ch="obj")
    talk.hear()
    for step in range(5_000):
        talk.put(f"d{step % 50}", step)
    messages = talk.hear(5.0)
    assert talk.session.closed is None
    assert [len(m["up"]) for m in messages if m["type"] == "delta"] == [50]


def test_nothing_taken_for_ten_seconds_ends_it() -> None:
    talk = Talk("phone")
    assert talk.hear(9.0, buffered=1) == []
    assert talk.hear(1.5, buffered=1)[-1]["code"] == 3008


# -- heartbeat and expiry --------------------------------------------------------------------------------------------


def test_ping_and_pong() -> None:
    talk = Talk()
    assert kinds(talk.hear(10.0)) == ["ping"]
    talk.say(type="pong", t=1)
    assert kinds(talk.hear(9.9)) == []
    assert kinds(talk.hear(0.2)) == ["ping"]
    assert talk.session.due_s() == pytest.approx(talk.now + 8.0)
    assert talk.hear(8.0)[-1]["code"] == 3012


def test_a_token_ends_the_connection_when_it_ends_unless_it_is_renewed() -> None:
    talk = Talk(token="short")
    talk.say(type="auth", i=1, token="desk")
    assert kinds(talk.hear()) == ["ok"]
    for _ in range(3):
        talk.say(type="pong")
        talk.hear(8.0)
    assert talk.session.closed is None
    other = Talk(token="short")
    assert other.hear(19.0)[-1]["code"] == 3005


def test_other_permissions_need_a_new_connection() -> None:
    talk = Talk()
    talk.say(type="auth", i=1, token="other")
    assert talk.hear()[-1]["code"] == 3014


def test_the_first_reason_to_close_stands_and_nothing_follows_it() -> None:
    talk = Talk()
    talk.say(type="sub", i=1, ch="alarm")
    talk.session.close(3001, "shutdown", 500)
    talk.session.close(3004, "again")
    talk.raise_(1)
    messages = talk.hear()
    assert messages[-1] == {"type": "bye", "code": 3001, "reason": "shutdown", "retry_ms": 500}
    assert talk.hear(60.0) == []


# -- the whole -------------------------------------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abcd"), st.integers(0, 3)),
        st.tuples(st.just("remove"), st.sampled_from("abcd")),
        st.tuples(st.just("raise"), st.sampled_from("xyz")),
        st.tuples(st.just("wait"), st.sampled_from([0.05, 0.6, 3.0])),
        st.tuples(st.just("slow"), st.just(0)),
        st.tuples(st.just("reconnect"), st.just(0)),
    ),
    max_size=40,
)


class Client:
    """What a page does with the stream."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}
        self.events: list[int] = []
        self.position: dict[str, dict[str, Any]] = {}
        self._channels: dict[int, str] = {}

    def take(self, messages: list[dict[str, Any]]) -> None:
        for m in messages:
            handler: Callable[[dict[str, Any]], None] | None = getattr(self, f"_{m['type']}", None)
            if handler is not None:
                handler(m)

    def _ok(self, m: dict[str, Any]) -> None:
        self._channels[m["sub"]] = m["ch"]
        if not m["recovered"]:
            self.position[m["ch"]] = {"epoch": m["epoch"], "seq": m["seq"]}

    def _reset(self, m: dict[str, Any]) -> None:
        assert m["why"] in ("gap", "epoch")

    def _snap(self, m: dict[str, Any]) -> None:
        if m["ch"] == "obj":
            if m["part"] == 0:
                self.rows = {}
            self.rows |= {row[0]: row for row in m["rows"]}
            self.position["obj"]["seq"] = m["seq"]

    def _delta(self, m: dict[str, Any]) -> None:
        for row in m["up"]:
            if row[0] not in self.rows or self.rows[row[0]][1] <= row[1]:
                self.rows[row[0]] = row
        for name in m["rm"]:
            self.rows.pop(name, None)
        self.position["obj"]["seq"] = m["seq"]

    def _ev(self, m: dict[str, Any]) -> None:
        self.events.append(m["seq"])
        self.position["alarm"]["seq"] = m["seq"]


@settings(max_examples=60)
@given(steps)
def test_whatever_happens_a_page_ends_with_the_picture_and_every_event_once(script: list[Any]) -> None:
    talk, client = Talk(), Client()
    for i, channel in enumerate(("obj", "alarm")):
        talk.say(type="sub", i=i, ch=channel)
    client.take(talk.hear())
    seq = 0
    for step in script:
        match step[0]:
            case "put":
                talk.put(step[1], step[2])
            case "remove":
                talk.obj.remove(step[1], t_us=0)
            case "raise":
                seq += 3
                talk.raise_(seq, step[1])
            case "wait":
                client.take(talk.hear(step[1]))
                talk.say(type="pong")
            case "slow":
                client.take(talk.hear(0.6, buffered=300_000))
                talk.say(type="pong")
            case "reconnect":
                talk.session.leave()
                talk.session = LiveSession(talk.hub, TOKENS.get, session_id="s2", node="n1", now_s=talk.now)
                talk.say(type="hello", token="desk", client={"kind": "wall"})
                for i, channel in enumerate(("obj", "alarm")):
                    talk.say(type="sub", i=i, ch=channel, since=client.position[channel])
    client.take(talk.hear(1.0))
    talk.say(type="pong")
    client.take(talk.hear(1.0))
    assert {i: row[1:] for i, row in client.rows.items()} == {
        i: msgspec.json.decode(row.data)[1:] for i, row in talk.obj.rows.items()
    }
    assert client.events == list(range(3, seq + 1, 3))
