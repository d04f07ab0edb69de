from __future__ import annotations

from pathlib import Path
from typing import cast

from runtime.canary import Canary
from runtime.health import RECENT_S, SYSTEM, Health


class _Clock:
    kind = "real"
    rate = 1.0

    def __init__(self) -> None:
        self.now_ns, self.behind = 0, False

    def machine_ns(self) -> int:
        return self.now_ns

    def machine_us(self) -> int:
        return self.now_ns // 1000

    def city_us(self) -> int:
        return self.now_ns // 1000


def _health(run_dir: Path) -> tuple[Health, _Clock]:
    clock = _Clock()
    canary = cast(Canary, None)  # asked only by /readyz
    return Health(run_dir, canary, last_resort_broker=False, clock=clock, log_max_bytes=1000), clock  # type: ignore[arg-type]


def _says(run_dir: Path, *lines: str) -> None:
    (run_dir / "ingest.prom").write_text("# HELP x\n" + "\n".join(lines) + "\n")


def test_nothing_is_wrong_before_anybody_has_reported(tmp_path: Path) -> None:
    assert _health(tmp_path)[0].troubles() == set()


def test_a_clock_that_fell_back_is_told(tmp_path: Path) -> None:
    health, clock = _health(tmp_path)
    clock.behind = True
    assert health.troubles() == {"clock_behind"}
    assert SYSTEM["clock_behind"][0].startswith("系统时钟回退")


def test_log_and_broker_are_told_at_half_of_their_bounds(tmp_path: Path) -> None:
    health, _ = _health(tmp_path)
    _says(tmp_path, "citybrain_log_bytes 499.0", "citybrain_broker_store_bytes 1000.0")
    assert health.troubles() == set()
    _says(tmp_path, "citybrain_log_bytes 500.0", f"citybrain_broker_store_bytes {256 * 1024**2}.0")
    assert health.troubles() == {"log_filling", "broker_backlog"}


def test_a_full_log_is_told_while_it_refuses(tmp_path: Path) -> None:
    health, clock = _health(tmp_path)
    _says(tmp_path, 'citybrain_log_refused_total{why="LogFull"} 3.0')
    assert health.troubles() == {"log_full"}
    clock.now_ns += 60 * 10**9
    assert health.troubles() == set()


def test_messages_that_the_broker_dropped_stay_on_the_screens_for_half_an_hour(tmp_path: Path) -> None:
    health, clock = _health(tmp_path)
    _says(tmp_path, "citybrain_broker_dropped_messages 7.0")
    assert health.troubles() == {"broker_drop"}
    clock.now_ns += int(RECENT_S * 1e9) - 1
    assert health.troubles() == {"broker_drop"}
    clock.now_ns += 1
    assert health.troubles() == set()
