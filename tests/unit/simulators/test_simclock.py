"""City time at a client: reckoned on from the best answer, moved by a jump and not by a slow answer."""

from __future__ import annotations

import asyncio

import pytest

from simulators.simclock import SimClock


class _Server:
    """Answers like `GET /api/v1/clock`, with a trip time that the test sets; moves the client's machine clock."""

    token = "t"

    def __init__(self) -> None:
        self.machine_s = 100.0
        self.origin_us = 1_565_355_600_000_000
        self.trip_s = 0.02
        self.kind = "scaled"

    async def get(self, path: str) -> dict[str, object]:
        assert path == "/api/v1/clock"
        self.machine_s += self.trip_s * 0.9  # the answer is read late in the trip
        city_us = self.true_us()
        self.machine_s += self.trip_s * 0.1
        return {"city_us": city_us, "kind": self.kind, "tenant": "demo", "rate": 60.0}

    def true_us(self) -> int:
        return self.origin_us + round((self.machine_s - 100.0) * 60e6)


def clock_of(server: _Server, monkeypatch: pytest.MonkeyPatch) -> SimClock:
    clock = SimClock(server)  # type: ignore[arg-type]
    monkeypatch.setattr(SimClock, "machine_s", staticmethod(lambda: server.machine_s))
    return clock


def test_a_slow_answer_does_not_move_a_good_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _Server()
    clock = clock_of(server, monkeypatch)
    asyncio.run(clock.sync())
    before = clock.city_us()
    server.trip_s = 3.0
    asyncio.run(clock.sync())
    assert clock.city_us() - before == pytest.approx(3.0 * 60e6, abs=1)
    assert clock.city_us() == pytest.approx(server.true_us(), abs=60e6 * 0.02)


def test_a_quicker_answer_makes_it_better(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _Server()
    server.trip_s = 1.0
    clock = clock_of(server, monkeypatch)
    asyncio.run(clock.sync())
    server.trip_s = 0.002
    asyncio.run(clock.sync())
    assert clock.city_us() == pytest.approx(server.true_us(), abs=60e6 * 0.002)


def test_a_clock_that_was_stopped_and_resumed_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _Server()
    clock = clock_of(server, monkeypatch)
    asyncio.run(clock.sync())
    server.origin_us -= 600_000_000  # the system was down: it goes on where its log ended
    asyncio.run(clock.sync())
    assert clock.city_us() == pytest.approx(server.true_us(), abs=60e6 * 0.03)


def test_a_stepped_clock_stands_between_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _Server()
    server.kind = "stepped"
    clock = clock_of(server, monkeypatch)
    asyncio.run(clock.sync())
    stood = clock.city_us()
    server.machine_s += 50.0
    assert clock.city_us() == stood
