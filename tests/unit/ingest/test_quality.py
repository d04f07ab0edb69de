"""Quality control: each test of QARTOD finds what it is for, batches do not matter, and nothing that it says silences an alarm."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import gauge, registry_of, series
from devices.models import DeviceModel, load_models
from devices.properties import AttenuatedSpec, FlatSpec, MonthsSpec, QualitySpec, SpikeSpec
from devices.registry import Registry
from ingest.quality import QualityControl, Spike
from stream.records import Quality, Source

S = 1_000_000
LIVE, BACKFILL = int(Source.LIVE), int(Source.BACKFILL)
MODELS = load_models()


def control(spec: QualitySpec, *, devices: int = 1, attributes: dict[str, Any] | None = None) -> QualityControl:
    """Of `stage_m` of so many gauges, datastreams 1, 2, ..."""
    return QualityControl(*world(spec, devices=devices, attributes=attributes))


def world(
    spec: QualitySpec, *, devices: int = 1, attributes: dict[str, Any] | None = None
) -> tuple[Registry, dict[str, DeviceModel]]:
    model = MODELS["water-gauge-v1"]
    stage = msgspec.structs.replace(model.properties["stage_m"], quality=spec)
    models = {"water-gauge-v1": msgspec.structs.replace(model, properties={**model.properties, "stage_m": stage})}
    gauges = [gauge(f"g{n}", attributes=attributes or {}) for n in range(1, devices + 1)]
    return registry_of(gauges, [series(n, f"g{n}") for n in range(1, devices + 1)]), models


def judged(
    made: QualityControl, values: list[float], *, step_s: float = 60.0, source: int = LIVE, stream: int = 1, start_us: int = LEKIMA_US
) -> tuple[list[int], list[Source], list[Spike]]:  # fmt: skip
    """One series, one value every `step_s`, in one batch."""
    n = len(values)
    times = start_us + np.arange(n) * int(step_s * S)
    flags, found, spikes = made.control(np.full(n, stream), times, np.full(n, source), values)
    return flags.tolist(), [Source(int(bits)) for bits in found], spikes


def test_a_change_that_is_too_fast_is_suspect_at_once_and_a_slow_one_is_not() -> None:
    made = control(QualitySpec(rate_per_min=0.3))
    flags, found, _ = judged(made, [2.0, 2.25, 2.5, 3.5, 3.6, 3.4])
    assert flags == [1, 1, 1, 3, 1, 1]
    assert found[3] == Source.RATE_OF_CHANGE


def test_the_first_value_of_a_series_has_nothing_before_it() -> None:
    made = control(QualitySpec(rate_per_min=0.01, flat=FlatSpec(eps=0.0, suspect_s=1)))
    assert judged(made, [50.0])[0] == [1]


def test_a_flat_line_is_suspect_and_then_fails_until_it_moves() -> None:
    made = control(QualitySpec(flat=FlatSpec(eps=0.01, suspect_s=180, fail_s=300)))
    flags, found, _ = judged(made, [2.0, 2.005, 2.0, 2.01, 2.0, 2.0, 2.1, 2.1])
    assert flags == [1, 1, 1, 3, 3, 4, 1, 1]
    assert found[3] == Source.FLAT_LINE


def test_a_slow_drift_is_no_flat_line_although_each_step_is_small() -> None:
    made = control(QualitySpec(flat=FlatSpec(eps=0.01, suspect_s=180)))
    assert set(judged(made, [2.0 + n * 0.006 for n in range(20)])[0]) == {1}


def test_a_gas_may_rest_at_zero_but_not_elsewhere() -> None:
    spec = QualitySpec(flat=FlatSpec(eps=0.1, suspect_s=120, not_at=0.0))
    assert set(judged(control(spec), [0.0, 0.05, 0.0, 0.0, 0.0])[0]) == {1}
    assert judged(control(spec), [5.0] * 4)[0] == [1, 1, 3, 3]


def test_what_the_season_does_not_know_is_suspect_also_in_backfill() -> None:
    spec = QualitySpec(climatology=[MonthsSpec(months=[6, 7, 8], range=(1.0, 6.0))], user_range=(0.0, 9.0))
    for source in (LIVE, BACKFILL):
        flags, found, _ = judged(control(spec), [3.0, 0.5, 9.5], source=source)  # August
        assert (flags, found[1]) == ([1, 3, 3], Source.CLIMATOLOGY)
        assert found[2] == Source.CLIMATOLOGY | Source.USER_RANGE
    winter = LEKIMA_US + 120 * 86_400 * S
    assert judged(control(spec), [0.5], start_us=winter)[0] == [1]


def test_the_month_is_the_citys() -> None:
    spec = QualitySpec(climatology=[MonthsSpec(months=[9], range=(5.0, 6.0))])
    september = 1_567_267_200 * S  # 2019-09-01 00:00 in China
    assert judged(control(spec), [1.0], start_us=september - S)[0] == [1]
    assert judged(control(spec), [1.0], start_us=september)[0] == [3]


def test_a_signal_that_has_become_weak_is_suspect_after_a_whole_window() -> None:
    made = control(QualitySpec(attenuated=AttenuatedSpec(window_s=600, min_range=0.5)))
    lively = [2.0 + (n % 2) for n in range(20)]
    weak = [2.0 + 0.1 * (n % 2) for n in range(30)]
    flags, _, _ = judged(made, lively + weak)
    assert set(flags[:20]) == {1}
    assert flags[-1] == 3
    assert flags.index(3) > 24, "not while the window still holds what was lively"


def test_a_spike_is_told_once_its_other_side_is_known_and_a_step_is_none() -> None:
    spec = QualitySpec(spike=SpikeSpec(suspect=0.5, fail=3.0))
    _, _, spikes = judged(control(spec), [2.0, 2.0, 3.0, 2.1, 2.0, 9.0, 2.0, 2.0])
    assert [(s.value, s.quality, s.phenomenon_us) for s in spikes] == [
        (3.0, Quality.SUSPECT, LEKIMA_US + 120 * S),
        (9.0, Quality.FAIL, LEKIMA_US + 300 * S),
    ]
    assert judged(control(spec), [2.0, 2.0, 6.0, 6.0, 6.1])[2] == []


def test_a_neighbour_contradicts_only_while_it_is_fresh() -> None:
    beside = {"neighbours": {"stage_m": {"device": "g2", "limit": 0.5}}}
    made = control(QualitySpec(), devices=2, attributes=beside)
    judged(made, [2.0], stream=2)
    assert judged(made, [2.2], start_us=LEKIMA_US + S)[0] == [1]
    flags, found, _ = judged(made, [4.0], start_us=LEKIMA_US + 60 * S)
    assert (flags, found) == ([3], [Source.NEIGHBOUR])
    assert judged(made, [4.0], start_us=LEKIMA_US + 3_600 * S)[0] == [1]


def test_backfill_and_what_comes_late_do_not_disturb_the_memory() -> None:
    made = control(QualitySpec(rate_per_min=0.3))
    judged(made, [2.0, 2.0])
    assert judged(made, [90.0], source=BACKFILL, start_us=LEKIMA_US + 90 * S)[0] == [1]
    assert judged(made, [90.0], start_us=LEKIMA_US + 30 * S)[0] == [1], "older than what is known: not judged"
    assert judged(made, [2.1], start_us=LEKIMA_US + 120 * S)[0] == [1]


def test_series_without_tests_texts_and_missing_numbers_are_left_alone() -> None:
    made = control(QualitySpec(rate_per_min=0.1))
    flags, found, _ = made.control(
        np.array([1, 99, 1, 1]), LEKIMA_US + np.arange(4) * S, np.full(4, LIVE), np.array([1.0, 5.0, np.inf, np.nan])
    )
    assert (flags.tolist(), found.tolist()) == ([1, 1, 1, 1], [0, 0, 0, 0])


def test_a_change_of_the_register_keeps_what_is_known_of_a_series() -> None:
    registry, models = world(QualitySpec(rate_per_min=0.3))
    made = QualityControl(registry, models)
    judged(made, [2.0])
    registry.revision += 1
    assert judged(made, [9.0], start_us=LEKIMA_US + 60 * S)[0] == [3]


FULL = QualitySpec(
    user_range=(0.0, 6.0),
    rate_per_min=0.5,
    spike=SpikeSpec(suspect=0.4, fail=1.5),
    flat=FlatSpec(eps=0.02, suspect_s=100, fail_s=200),
    attenuated=AttenuatedSpec(window_s=300, min_range=0.2),
    climatology=[MonthsSpec(months=[8], range=(1.0, 5.0))],
)


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(-20, 90), st.sampled_from([0.5, 2.0, 2.01, 2.6, 4.0, 7.0]), st.booleans()),
        max_size=60,
    ),
    st.sets(st.integers(0, 60)),
)  # fmt: skip
def test_however_the_stream_is_cut_the_flags_are_the_same(
    rows: list[tuple[int, int, float, bool]], cuts: set[int]
) -> None:
    beside = {"neighbours": {"stage_m": {"device": "g3", "limit": 1.0}}}

    def run(bounds: list[int], *, restarts: bool = False) -> list[tuple[int, int]]:
        made, told = control(FULL, devices=3, attributes=beside), []
        spikes: list[Spike] = []
        for first, last in itertools.pairwise(bounds):
            part = rows[first:last]
            if not part:
                continue
            if restarts:
                blob, made = made.dump(), control(FULL, devices=3, attributes=beside)
                made.restore(blob)
            stream = np.array([s for s, _, _, _ in part])
            at = np.array([t for _, t, _, _ in times[first:last]])
            source = np.array([BACKFILL if old else LIVE for _, _, _, old in part])
            flags, found, more = made.control(
                stream, at, source, np.array([value for _, _, value, _ in part], np.float64)
            )
            told += list(zip(flags.tolist(), found.tolist(), strict=True))
            spikes += more
        return [*told, *sorted((s.datastream, s.phenomenon_us) for s in spikes)]

    at_us, times = LEKIMA_US, []
    for stream, step_s, value, old in rows:
        at_us += step_s * S
        times.append((stream, at_us, value, old))
    whole = run([0, len(rows)])
    assert run(sorted({0, len(rows)} | {cut for cut in cuts if cut < len(rows)})) == whole
    assert run(list(range(len(rows) + 1))) == whole
    assert run(sorted({0, len(rows)} | {cut for cut in cuts if cut < len(rows)}), restarts=True) == whole


def test_what_is_not_a_dump_is_refused_and_leaves_nothing() -> None:
    made = control(FULL)
    judged(made, [2.0])
    blob = made.dump()
    for wrong in (b"", b"text", blob[:-30], blob[: len(blob) // 2]):
        fresh = control(FULL)
        with pytest.raises(ValueError, match="quality control"):
            fresh.restore(wrong)
        assert judged(fresh, [9.0])[0] == [3]  # by the user range alone: nothing is before it


def test_the_models_that_come_with_the_build_say_what_they_test() -> None:
    tested = {
        (model.model_id, p.key) for model in MODELS.values() for p in model.properties.values() if p.quality is not None
    }
    assert ("water-gauge-v1", "stage_m") in tested
    assert ("rain-wind-station-v1", "rain_5min_mm") in tested
