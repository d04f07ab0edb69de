"""The wrong-clock rule: believed, history, or now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US
from ingest.clock_rule import ClockLimits, DeviceClock, Situation, Stamp, Verdict, judge, live
from stream.records import Source

S = 1_000_000
LIMITS = ClockLimits.of_seconds(tolerance_s=300, live_window_s=900, late_allowed_s=300)
NOW = LEKIMA_US
FAULT = Source.LIVE | Source.CLOCK_FAULT
HISTORY = Source.BACKFILL | Source.LATE
RECONNECTED = Situation(reconnected=True)


def one(ts_us: int | None, *, backfill: bool = False, situation: Situation = Situation(), now: int = NOW) -> Verdict:
    stamp = Stamp(ts_us=ts_us, receive_us=now, backfill=backfill)
    return judge(DeviceClock(), [stamp], LIMITS, situation)[1][0]


def many(ages_s: list[float], situation: Situation = Situation(), state: DeviceClock | None = None) -> list[Verdict]:
    stamps = [Stamp(ts_us=NOW - int(age * S), receive_us=NOW + i) for i, age in enumerate(ages_s)]
    return judge(state or DeviceClock(), stamps, LIMITS, situation)[1]


def test_a_plausible_stamp_is_believed() -> None:
    assert one(NOW - 299 * S) == Verdict(phenomenon_us=NOW - 299 * S, device_us=None, source=Source.LIVE)
    assert one(NOW + 299 * S).source == Source.LIVE


def test_no_stamp_is_now() -> None:
    assert one(None) == Verdict(phenomenon_us=NOW, device_us=None, source=Source.LIVE)


def test_1970_and_2099_count_now_and_keep_their_stamp() -> None:
    for ts_us in (0, 4_070_908_800_000_000):
        assert one(ts_us) == Verdict(phenomenon_us=NOW, device_us=ts_us, source=FAULT, clock_fault=True)


def test_marked_backfill_is_history_at_its_own_time() -> None:
    assert one(NOW - 86_400 * S, backfill=True).source == HISTORY
    assert one(NOW - 86_400 * S, backfill=True).phenomenon_us == NOW - 86_400 * S
    assert one(NOW - 10 * S, backfill=True).source == Source.BACKFILL


def test_backfill_from_the_future_does_not_stay_latest_for_ever() -> None:
    verdict = one(4_070_908_800_000_000, backfill=True)
    assert (verdict.phenomenon_us, verdict.source) == (NOW, Source.BACKFILL | Source.CLOCK_FAULT)


def test_three_increasing_stamps_after_a_reconnect_are_a_backlog_from_the_first_on() -> None:
    verdicts = many([3600, 3000, 2400, 1800, 200], RECONNECTED)
    assert [v.source for v in verdicts] == [HISTORY] * 4 + [Source.LIVE]
    assert verdicts[0].phenomenon_us == NOW - 3600 * S


def test_without_a_reconnect_or_with_two_or_unordered_it_is_a_wrong_clock() -> None:
    assert {v.source for v in many([3600, 3000, 2400])} == {FAULT}
    assert {v.source for v in many([3600, 3000], RECONNECTED)} == {FAULT}
    assert {v.source for v in many([2400, 3000, 3600], RECONNECTED)} == {FAULT}
    assert {v.source for v in many([600, 600, 600], RECONNECTED)} == {FAULT}


def test_a_backlog_that_comes_one_by_one_is_known_from_the_third_on_and_goes_on_after_the_window() -> None:
    state, sources = DeviceClock(), []
    for index, situation in enumerate([RECONNECTED] * 3 + [Situation()] * 2):
        stamp = Stamp(ts_us=NOW - (3600 - 60 * index) * S, receive_us=NOW + index * S)
        state, (verdict,) = judge(state, [stamp], LIMITS, situation)
        sources.append(verdict.source)
    assert sources == [FAULT, FAULT, HISTORY, HISTORY, HISTORY]


def test_a_wrong_clock_that_reconnects_is_no_backlog_since_it_does_not_gain_on_ours() -> None:
    state, sources = DeviceClock(), []
    for index in range(6):
        stamp = Stamp(ts_us=index * 10 * S, receive_us=NOW + index * 10 * S)  # 1970, one sample in ten seconds
        state, (verdict,) = judge(state, [stamp], LIMITS, RECONNECTED)
        sources.append(verdict.source)
    assert set(sources) == {FAULT}


def test_a_clock_that_fell_back_to_1970_is_no_backlog_even_in_one_array() -> None:
    stamps = [Stamp(ts_us=index * 60 * S, receive_us=NOW) for index in range(5)]
    for state in (DeviceClock(), DeviceClock(believed_us=NOW - 600 * S)):
        assert {v.source for v in judge(state, stamps, LIMITS, RECONNECTED)[1]} == {FAULT}


def test_a_backlog_begins_after_what_we_have_already() -> None:
    state = DeviceClock(believed_us=NOW - 1000 * S)
    assert {v.source for v in many([7200, 7100, 7000], RECONNECTED, state)} == {FAULT}
    assert {v.source for v in many([1200, 1100, 1000], RECONNECTED, state)} == {HISTORY}


def test_our_own_gap_explains_even_a_single_late_message() -> None:
    gap = Situation(reconnected=True, gap_from_us=NOW - 1800 * S)
    assert one(NOW - 1000 * S, situation=gap).source == HISTORY
    assert one(NOW - 2000 * S, situation=gap).source == HISTORY  # within the tolerance before the gap
    assert one(NOW - 7200 * S, situation=gap).source == FAULT
    assert one(NOW - 10 * S, situation=gap).source == Source.LIVE
    assert one(NOW + 400 * S, situation=gap).source == FAULT


def test_samples_timed_by_their_arrival_never_share_a_time() -> None:
    stamps = [Stamp(ts_us=ts, receive_us=NOW) for ts in (0, None, 60 * S, None)]
    verdicts = judge(DeviceClock(), stamps, LIMITS)[1]
    assert [v.phenomenon_us for v in verdicts] == [NOW, NOW + 1, NOW + 2, NOW + 3]


_stamps = st.lists(
    st.builds(
        Stamp,
        ts_us=st.none() | st.integers(NOW - 4000 * S, NOW + 4000 * S) | st.integers(0, 5_000_000_000 * S),
        receive_us=st.integers(NOW, NOW + 60 * S),
        backfill=st.booleans(),
    ),
    max_size=8,
).map(lambda stamps: sorted(stamps, key=lambda stamp: stamp.receive_us))
_situations = st.builds(Situation, reconnected=st.booleans(), gap_from_us=st.none() | st.integers(NOW - 4000 * S, NOW))
_clocks = st.builds(DeviceClock, believed_us=st.sampled_from([0, NOW - 500 * S]))


@given(stamps=_stamps, situation=_situations, state=_clocks)
def test_whatever_comes_the_law_holds(stamps: list[Stamp], situation: Situation, state: DeviceClock) -> None:
    after, verdicts = judge(state, stamps, LIMITS, situation)
    assert len(verdicts) == len(stamps)
    assert (after, verdicts) == judge(state, stamps, LIMITS, situation)
    for stamp, verdict in zip(stamps, verdicts, strict=True):
        live, history = bool(verdict.source & Source.LIVE), bool(verdict.source & Source.BACKFILL)
        assert live != history
        if live and (
            stamp.ts_us is None or verdict.clock_fault
        ):  # never silenced: it counts now, near its receive time
            assert 0 <= verdict.phenomenon_us - stamp.receive_us <= len(stamps) + 60 * S
        if live and not verdict.clock_fault and stamp.ts_us is not None:
            assert abs(stamp.receive_us - stamp.ts_us) <= LIMITS.tolerance_us
        assert verdict.clock_fault == (verdict.device_us is not None)
        assert verdict.phenomenon_us <= stamp.receive_us + LIMITS.tolerance_us + len(stamps) + 60 * S
        if not situation.reconnected and situation.gap_from_us is None and not stamp.backfill:
            assert live  # history needs a mark, a reconnect, or a gap of ours


@given(stamps=_stamps)
def test_a_steady_stream_is_judged_alike_however_it_is_cut(stamps: list[Stamp]) -> None:
    whole = judge(DeviceClock(), stamps, LIMITS)[1]
    state, cut = DeviceClock(), []
    for stamp in stamps:
        state, verdicts = judge(state, [stamp], LIMITS)
        cut += verdicts
    assert cut == whole


_STATES = st.builds(
    DeviceClock,
    run=st.integers(0, 5),
    last_ts_us=st.none() | st.integers(NOW - 9_000 * S, NOW),
    last_receive_us=st.integers(NOW - 9_000 * S, NOW),
    believed_us=st.sampled_from([0, NOW - 400 * S, NOW - S, NOW + 200 * S]),
    synthetic_us=st.sampled_from([0, NOW - S, NOW]),
)
_SITUATIONS = st.builds(Situation, reconnected=st.booleans(), gap_from_us=st.none() | st.just(NOW - 600 * S))


@given(_STATES, _SITUATIONS, st.integers(-301 * S, 301 * S) | st.sampled_from([-300 * S, 300 * S, 0, 250 * S]))
def test_the_lane_of_nearly_every_sample_says_what_the_rule_says(
    state: DeviceClock, situation: Situation, age_us: int
) -> None:
    stamp = Stamp(ts_us=NOW - age_us, receive_us=NOW)
    fast = live(state, NOW - age_us, NOW, LIMITS)
    if abs(age_us) > LIMITS.tolerance_us:
        assert fast is None
        return
    assert fast is not None
    after, (verdict,) = judge(state, [stamp], LIMITS, situation)
    assert fast == (after, verdict)
