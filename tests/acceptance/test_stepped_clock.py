"""A stepped clock: time stands until somebody advances it, and the answer comes when everybody has caught up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from citybrain_testing.system import System, running

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

HALF_HOUR_S = 1_860.0  # longer than the grace that devices get after their registration


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder: Path = tmp_path_factory.mktemp("stepped")
    with running(folder / "data", args=("--demo", "--no-simulator", "--clock", "stepped")) as up:
        yield up


@pytest.fixture
def admin(system: System) -> Iterator[httpx.Client]:
    with contextlib.closing(system.login("admin")) as client:
        yield client


def city_us(client: httpx.Client) -> int:
    return int(client.get("/api/v1/clock").json()["city_us"])


def test_time_moves_by_what_was_asked_and_by_nothing_else(admin: httpx.Client) -> None:
    before = city_us(admin)
    answer = admin.post("/api/v1/clock/advance", json={"seconds": 60})
    assert answer.status_code == httpx.codes.OK, answer.text
    assert city_us(admin) == before + 60_000_000


def test_a_step_backwards_is_refused(admin: httpx.Client) -> None:
    before = city_us(admin)
    assert admin.post("/api/v1/clock/advance", json={"seconds": -5}).status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert city_us(admin) == before


def test_silence_that_the_step_made_long_enough_is_an_alarm_when_the_answer_comes(admin: httpx.Client) -> None:
    """No device ever spoke here; the rules have seen the new time, and the domain has stored what they said."""
    assert admin.post("/api/v1/clock/advance", json={"seconds": HALF_HOUR_S}).status_code == httpx.codes.OK
    alarms = admin.get("/api/v1/alarms").json()["items"]
    assert {alarm["rule_id"] for alarm in alarms} == {"device.absence"}
