"""What may be sent down to a device."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from devices.commands import (
    ACTUATOR_LIFETIME_US,
    HARMLESS_LIFETIME_US,
    ActuatorCircumstances,
    CommandRefused,
    actuator_refusals,
    as_sent,
    goto_preset,
    harmless,
    move_actuator,
    set_clock,
    set_interval,
)

SCHEMAS = Path(__file__).parents[3] / "devices" / "schemas"


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


def test_a_harmless_command_is_built_by_its_name() -> None:
    for method, params, sent in (
        ("clock_set", {}, {"ts": 5_000}),
        ("interval_set", {"interval_s": 30}, {"interval_s": 30.0}),
        ("preset_goto", {"preset": 3}, {"preset": 3}),
    ):
        command = harmless("c1", method, params, now_us=5_000_000)
        assert (command.method, command.params) == (method, sent)
    for method, params, why in (
        ("siren.start", {}, "unknown method"),
        ("interval_set", {}, "interval_s: interval_set needs it"),
        ("interval_set", {"interval_s": True}, "expected a number"),
        ("preset_goto", {"preset": 1, "speed": 2}, "speed: preset_goto has no such parameter"),
        ("clock_set", {"ts": 1}, "ts: clock_set has no such parameter"),
    ):
        with pytest.raises(CommandRefused, match=why):
            harmless("c1", method, params, now_us=0)


def test_a_clock_set_says_the_time_of_its_sending_and_nothing_else_changes_on_the_way() -> None:
    clock, interval = set_clock("c1", now_us=0), set_interval("c2", 30, now_us=0)
    assert as_sent(clock, 7_000_900) == msgspec.structs.replace(clock, params={"ts": 7_000})
    assert as_sent(interval, 7_000_900) is interval


def test_a_camera_turns_to_a_preset_that_can_exist() -> None:
    schema = json.loads(SCHEMAS.joinpath("cmd.json").read_text(encoding="utf-8"))
    command = goto_preset("p1", 255, now_us=0)
    jsonschema.validate(msgspec.to_builtins(command), schema)
    assert (command.method, command.params) == ("preset_goto", {"preset": 255})
    assert command.expires_at == HARMLESS_LIFETIME_US // 1000
    for wrong in (0, 256, -1, True, 1.5):
        with pytest.raises(CommandRefused, match="whole number"):
            goto_preset("p", wrong, now_us=0)  # type: ignore[arg-type]


def test_an_actuator_refusal_names_every_reason_at_once() -> None:
    nothing = ActuatorCircumstances(enabled=False, device_online=False, remote=None, feedback=None)
    with pytest.raises(CommandRefused) as refused:
        move_actuator("c", "siren", "start", nothing, now_us=0)
    for word in ("switched off", "offline", "remote", "feedback", "name each", "two persons"):
        assert any(word in reason for reason in refused.value.reasons), word


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
