"""How long a device may be silent, and what may be sent down to it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from devices.commands import (
    ACTUATOR_LIFETIME_US,
    ActuatorCircumstances,
    CommandRefused,
    actuator_refusals,
    move_actuator,
    set_clock,
    set_interval,
)
from devices.liveness import (
    clock_is_plausible,
    gap_allowed_us,
    is_live,
    is_silent,
    silence_allowed_us,
    silence_deadline_us,
)
from devices.models import load_models
from devices.registry import Device

S = 1_000_000
MODEL = load_models()["water-gauge-v1"]
GAUGE = Device(device_id="g", model="water-gauge-v1", kind="water_gauge", name="g", lon=0.0, lat=0.0)
SCHEMAS = Path(__file__).parents[3] / "devices" / "schemas"


def test_silence_is_counted_in_the_devices_own_intervals() -> None:
    assert silence_allowed_us(GAUGE, MODEL) == gap_allowed_us(GAUGE, MODEL) == 180 * S
    assert silence_allowed_us(msgspec.structs.replace(GAUGE, interval_s=10.0), MODEL) == 30 * S
    assert not is_silent(280 * S, 100 * S, allowed_us=180 * S)
    assert is_silent(280 * S + 1, 100 * S, allowed_us=180 * S)


@pytest.mark.parametrize(
    ("downtimes", "deadline_s"),
    [
        ([], 280),
        ([(150, 250)], 280 + 100 + 60),
        ([(0, 100)], 280),  # over before the last report
        ([(50, 150)], 280 + 50 + 60),  # the report came through while we were coming up
        ([(300, 400)], 280),  # silent already
        ([(150, 250), (400, 500)], 280 + 100 + 60 + 100 + 60),
        ([(150, 250), (440, 500)], 280 + 100 + 60),
    ],
)
def test_our_own_downtime_is_not_the_devices_silence(downtimes: list[tuple[int, int]], deadline_s: int) -> None:
    found = silence_deadline_us(
        100 * S, allowed_us=180 * S, grace_us=60 * S, downtimes=[(a * S, b * S) for a, b in downtimes]
    )
    assert found == deadline_s * S


def test_a_stamp_is_believed_within_the_models_tolerance_and_old_samples_are_not_live() -> None:
    assert clock_is_plausible(0, 300 * S, MODEL)
    assert not clock_is_plausible(0, 300 * S + 1, MODEL)
    assert clock_is_plausible(300 * S, 0, MODEL)
    assert is_live(0, 900 * S, MODEL)
    assert not is_live(0, 900 * S + 1, MODEL)


def test_harmless_commands_have_the_published_shape() -> None:
    schema = json.loads(SCHEMAS.joinpath("cmd.json").read_text(encoding="utf-8"))
    for command in (set_clock("c1", now_us=5_000_000), set_interval("c2", 30, now_us=0)):
        jsonschema.validate(msgspec.to_builtins(command), schema)
    assert set_clock("c1", now_us=5_000_999).params == {"ts": 5_000}
    for wrong in (0.0, 1e9, float("nan")):
        with pytest.raises(CommandRefused):
            set_interval("c", wrong, now_us=0)
    with pytest.raises(CommandRefused, match="command id"):
        set_clock("a b", now_us=0)


ALL_HOLDS = ActuatorCircumstances(
    enabled=True, device_online=True, remote=True, feedback=True, selected_by="a", executed_by="b", select_age_us=0
)


def test_an_actuator_moves_only_when_every_line_of_the_table_holds() -> None:
    command = move_actuator("c", "pump", "start", ALL_HOLDS, now_us=0)
    assert command.expires_at == ACTUATOR_LIFETIME_US // 1000
    for change in (
        {"enabled": False},
        {"device_online": False},
        {"remote": None},
        {"remote": False},
        {"feedback": None},
        {"selected_by": ""},
        {"executed_by": "a"},
        {"select_age_us": ACTUATOR_LIFETIME_US + 1},
        {"select_age_us": -1},
    ):
        circumstances = dataclasses.replace(ALL_HOLDS, **change)
        assert actuator_refusals("pump", circumstances), change
        with pytest.raises(CommandRefused):
            move_actuator("c", "pump", "start", circumstances, now_us=0)


def test_a_plants_valve_is_never_moved() -> None:
    with pytest.raises(CommandRefused, match="control room"):
        move_actuator("c", "valve", "close", ALL_HOLDS, now_us=0)
    assert actuator_refusals("rocket", ALL_HOLDS)
