"""The wrong-clock rule (design.md section 2): when was a sample true, and does it speak about now or about the past?

* A plausible stamp (within the model's tolerance of our clock) is believed.
* `bf: true`, or a monotone backlog after a reconnect, is history: believed, marked BACKFILL.
* Every other stamp is a wrong clock: the sample counts now, at its receive time, marked CLOCK_FAULT; the device's stamp is
  kept and the device is sent the right time. A wrong clock never silences a live alarm.

A *backlog* is at least three strictly increasing stamps within 60 s of a reconnect that run faster than our clock: samples of
a wrong clock also increase, but by as much as ours does between them. And it begins after what the device has already sent
with a good clock (or, while we know of nothing, within the last week): a clock that fell back to 1970 is no backlog. Stamps that lie in a gap of our own (broker or
ingest was down, so the message waited) are such a backlog from the first sample on, since we know why it is late.

Pure: state in, state out. The state is small and need not survive a restart: after one, the gap of our own covers what
waited, and the device's next reconnect is told by its retained state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from stream.records import Source

BACKLOG_MIN = 3  # stamps that make a backlog (contract.md section 2)
RECONNECT_WINDOW_S = 60.0  # machine seconds: reconnecting is the machine's business on every clock
BACKLOG_MAX_US = 7 * 86_400_000_000  # unmarked history older than this is taken for a wrong clock
# Machine seconds that a message may be on its way; on a clock of 60x they are five minutes of city time.
DELIVERY_S = 5.0
GAIN = 2  # a backlog's stamps advance at least this many times as fast as our clock


def delivery_slack_s(rate: float) -> float:
    """City time that a message may be on its way on a clock of this rate, beyond what a device's own clock is allowed."""
    return DELIVERY_S * max(0.0, rate - 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockLimits:
    """Of a device model, in city microseconds."""

    tolerance_us: int
    live_window_us: int
    late_allowed_us: int

    @classmethod
    def of_seconds(cls, *, tolerance_s: float, live_window_s: float, late_allowed_s: float) -> ClockLimits:
        return cls(
            tolerance_us=int(tolerance_s * 1e6),
            live_window_us=int(live_window_s * 1e6),
            late_allowed_us=int(late_allowed_s * 1e6),
        )


class Allowances(Protocol):
    """What a device model says of its devices' clocks."""

    @property
    def clock_tolerance_s(self) -> float: ...
    @property
    def live_window_s(self) -> float: ...
    @property
    def late_allowed_s(self) -> float: ...


def limits_of(models: Mapping[str, Allowances], *, slack_s: float = 0.0) -> dict[str, ClockLimits]:
    """By model id. `slack_s` widens every tolerance: on a fast city clock a message's way to us takes minutes."""
    return {
        model_id: ClockLimits.of_seconds(
            tolerance_s=model.clock_tolerance_s + slack_s,
            live_window_s=model.live_window_s,
            late_allowed_s=model.late_allowed_s,
        )
        for model_id, model in models.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What is known of one sample before it is judged."""

    ts_us: int | None  # the device's own; None: it sent none
    receive_us: int
    backfill: bool = False  # the device said so


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`phenomenon_us` is what the log gets; `device_us` the device's own stamp where it differs."""

    phenomenon_us: int
    device_us: int | None
    source: Source
    clock_fault: bool = False


class DeviceClock(msgspec.Struct, kw_only=True, gc=False):
    """What the rule remembers of one device. Only `ingest.lane` changes one in place, for a stamp that `live` would believe."""

    run: int = 0  # strictly increasing late stamps in a row since the reconnect that gain on our clock
    last_ts_us: int | None = None
    last_receive_us: int = 0
    believed_us: int = 0  # the newest stamp that was live and plausible
    synthetic_us: int = 0  # the last receive time that stood in for a stamp: the next one must differ
    revealed: int = (
        0  # samples of earlier calls, the last ones, that this call's have shown to be the beginning of a backlog
    )


FRESH = DeviceClock()


class Situation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the connection says: `reconnected` within the last 60 s; `gap_from_us` since when messages may have waited."""

    reconnected: bool = False
    gap_from_us: int | None = None


STEADY = Situation()


_LIVE, _LIVE_LATE = Source.LIVE, Source.LIVE | Source.LATE


def live(state: DeviceClock, ts_us: int, receive_us: int, limits: ClockLimits) -> tuple[DeviceClock, Verdict] | None:
    """`judge` for the sample that nearly every sample is: one with a plausible stamp and not marked backfill. None: look closer.

    A plausible stamp is believed whatever the connection says, so neither situation nor backlog matters here.
    """
    age_us = receive_us - ts_us
    if not -limits.tolerance_us <= age_us <= limits.tolerance_us:
        return None
    verdict = Verdict(
        phenomenon_us=ts_us, device_us=None, source=_LIVE_LATE if age_us > limits.late_allowed_us else _LIVE
    )
    believed_us = state.believed_us
    return DeviceClock(
        last_ts_us=ts_us,
        last_receive_us=receive_us,
        believed_us=max(believed_us, ts_us),
        synthetic_us=state.synthetic_us,
    ), verdict


def judge(
    state: DeviceClock, stamps: Sequence[Stamp], limits: ClockLimits, situation: Situation = STEADY
) -> tuple[DeviceClock, list[Verdict]]:
    """Verdicts for samples of one device, in the order in which they came.

    The samples are looked at together: the first two of a backlog are known as such when the third is among them. Where it
    comes in a later call, they have been judged as a wrong clock's by then, and `revealed` of the state says how many they are.
    """
    runs, goes_on = _runs(state, stamps, limits, situation)
    verdicts: list[Verdict] = []
    for index, stamp in enumerate(stamps):
        verdict = _verdict(stamp, limits, situation, backlog=runs[index] >= BACKLOG_MIN)
        if verdict.phenomenon_us == stamp.receive_us and verdict.phenomenon_us != stamp.ts_us:
            verdict, state = _apart(verdict, state)
        elif verdict.source & Source.LIVE and verdict.phenomenon_us > state.believed_us:
            state = msgspec.structs.replace(state, believed_us=verdict.phenomenon_us)
        verdicts.append(verdict)
    revealed = state.run if goes_on and state.run < BACKLOG_MIN <= runs[0] else 0
    return _remember(state, stamps, runs, revealed), verdicts


def _verdict(stamp: Stamp, limits: ClockLimits, situation: Situation, *, backlog: bool) -> Verdict:
    if stamp.ts_us is None:
        source = Source.BACKFILL if stamp.backfill else Source.LIVE
        return Verdict(phenomenon_us=stamp.receive_us, device_us=None, source=source)
    age_us = stamp.receive_us - stamp.ts_us
    ahead = age_us < -limits.tolerance_us
    late = Source.LATE if age_us > limits.late_allowed_us else Source(0)
    if not ahead and (stamp.backfill or backlog or _waited(stamp.ts_us, limits, situation, age_us)):
        return Verdict(phenomenon_us=stamp.ts_us, device_us=None, source=Source.BACKFILL | late)
    if abs(age_us) <= limits.tolerance_us:
        return Verdict(phenomenon_us=stamp.ts_us, device_us=None, source=Source.LIVE | late)
    # History cannot lie ahead of us: what is marked so stays history, but its own stamp would stay "latest" for ever.
    source = (Source.BACKFILL if stamp.backfill else Source.LIVE) | Source.CLOCK_FAULT
    return Verdict(phenomenon_us=stamp.receive_us, device_us=stamp.ts_us, source=source, clock_fault=True)


def _waited(ts_us: int, limits: ClockLimits, situation: Situation, age_us: int) -> bool:
    """Whether our own gap explains the age: the stamp lies in it, and is too old to be believed without it."""
    if situation.gap_from_us is None or age_us <= limits.tolerance_us:
        return False
    return ts_us >= situation.gap_from_us - limits.tolerance_us


def _runs(
    state: DeviceClock, stamps: Sequence[Stamp], limits: ClockLimits, situation: Situation
) -> tuple[list[int], bool]:
    """For each sample, how long the backlog run is that it belongs to (0: none), ends included; whether the first goes on
    with a run of earlier calls."""
    lengths: list[int] = []
    run, last_ts_us, last_receive_us = state.run, state.last_ts_us, state.last_receive_us
    for stamp in stamps:
        if not _could_be_backlog(stamp, state, limits) or not (situation.reconnected or run >= BACKLOG_MIN):
            run = 0
        elif run and last_ts_us is not None and stamp.ts_us is not None and last_ts_us < stamp.ts_us:
            gained = stamp.ts_us - last_ts_us > GAIN * max(0, stamp.receive_us - last_receive_us)
            run = run + 1 if gained else 1
        else:
            run = 1
        lengths.append(run)
        last_ts_us, last_receive_us = stamp.ts_us, stamp.receive_us
    goes_on = bool(lengths) and lengths[0] > 1
    for index in range(len(lengths) - 2, -1, -1):
        if 0 < lengths[index] < lengths[index + 1]:
            lengths[index] = lengths[index + 1]  # the third tells of the first two
    return lengths, goes_on


def _could_be_backlog(stamp: Stamp, state: DeviceClock, limits: ClockLimits) -> bool:
    """Late, and newer than what we have of this device already."""
    if stamp.ts_us is None or stamp.receive_us - stamp.ts_us <= limits.tolerance_us:
        return False
    begins_us = state.believed_us - limits.tolerance_us if state.believed_us else stamp.receive_us - BACKLOG_MAX_US
    return stamp.ts_us > begins_us


def _remember(state: DeviceClock, stamps: Sequence[Stamp], runs: Sequence[int], revealed: int) -> DeviceClock:
    if not stamps:
        return state
    last = stamps[-1]
    return msgspec.structs.replace(
        state, run=runs[-1], last_ts_us=last.ts_us, last_receive_us=last.receive_us, revealed=revealed
    )


def _apart(verdict: Verdict, state: DeviceClock) -> tuple[Verdict, DeviceClock]:
    """Two samples timed by their arrival must not share a time: the second would be lost as a duplicate of the first."""
    at_us = max(verdict.phenomenon_us, state.synthetic_us + 1)
    return msgspec.structs.replace(verdict, phenomenon_us=at_us), msgspec.structs.replace(state, synthetic_us=at_us)
