"""What a simulated device does with commands: once each, never late, never half."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.obedience import KEEP_REPLIES, Obedience

NOW_US = 1_700_000_000_000_000


def a_device() -> tuple[Obedience, list[Any]]:
    done: list[Any] = []

    def interval(params: Mapping[str, Any]) -> None:
        if params.get("interval_s") != 30:
            raise ValueError(f"interval_s {params.get('interval_s')!r}: expected 30")
        done.append(params["interval_s"])

    return Obedience({"interval_set": interval, "clock_set": lambda params: done.append("clock")}), done


def command(command_id: str, **more: Any) -> dict[str, Any]:
    whole = {"id": command_id, "method": "interval_set", "params": {"interval_s": 30}, "expires_at": NOW_US // 1000}
    return {**whole, **more}


def test_a_repeated_command_is_answered_again_and_done_once() -> None:
    device, done = a_device()
    first = device.obey(command("a"), NOW_US)
    assert first == {"state": "executed", "ts": NOW_US // 1000}
    assert device.obey(command("a"), NOW_US + 5_000_000) == first
    assert (done, device.executed, device.repeated) == ([30], 1, 1)
    device.obey(command("b"), NOW_US)
    assert done == [30, 30], "another id is another command"


def test_a_late_command_is_not_done_but_a_late_clock_set_is() -> None:
    device, done = a_device()
    late_us = NOW_US + 1_000
    assert device.obey(command("a"), late_us)["state"] == "failed"
    assert device.obey(command("b", method="clock_set"), late_us)["state"] == "executed"
    assert done == ["clock"]


def test_an_unknown_method_and_wrong_parameters_fail_with_the_reason() -> None:
    device, done = a_device()
    assert "valve.open" in device.obey(command("a", method="valve.open"), NOW_US)["result"]
    assert "interval_s" in device.obey(command("b", params={"interval_s": "x"}), NOW_US)["result"]
    assert "interval_s" in device.obey(command("c", params=None), NOW_US)["result"]
    assert not done
    assert not device.executed


def test_the_memory_is_bounded_and_keeps_the_newest() -> None:
    device, done = a_device()
    for n in range(KEEP_REPLIES + 1):
        device.obey(command(f"c{n}"), NOW_US)
    device.obey(command(f"c{KEEP_REPLIES}"), NOW_US)
    assert len(done) == KEEP_REPLIES + 1
    assert device.repeated == 1
