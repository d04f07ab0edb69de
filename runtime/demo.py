"""The demonstration: which settings it runs with, and how its simulators are started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from runtime.secrets import read_json
from runtime.settings import Settings, WrongSetting
from simulators.runner import simulate
from simulators.scenario import iso, load

SCENARIO = "lekima-night"
DATA_DIR = Path("var/demo")
SPEED = 60.0


def demo_options(options: dict[str, Any], *, simulator: bool, duty_desk: bool = True) -> dict[str, Any]:
    """The options of `up --demo`: what the caller left open is the demonstration's."""
    kind = options.get("clock") or "scaled"
    speed = options.get("speed") or SPEED
    return {
        **options,
        "data_dir": options.get("data_dir") or DATA_DIR,
        "tenant": "demo",
        "tenant_kind": "demo",
        "clock": kind,
        "speed": 1.0 if kind == "real" else speed,
        "start": iso(load(SCENARIO).start_us),
        "simulate": SCENARIO,
        "simulator": simulator,
        "duty_desk": duty_desk,
    }


async def run_simulation(
    settings: Settings,
    scenario: str,
    *,
    devices: int | None,
    rate: float | None,
    speed: float | None,
    seed: int | None,
) -> None:
    """Play a scenario against the running system of `settings`. Raises WrongSetting when `speed` is not the clock's."""
    if speed is not None and speed != settings.speed:
        raise WrongSetting(f"speed={speed}: the clock of this tenant runs at {settings.speed}; start it with --speed")
    console = Console(stderr=True)
    await simulate(
        load(scenario),
        base_url=f"http://127.0.0.1:{settings.port}",
        broker_host=settings.broker_host,
        broker_port=settings.broker_port,
        tenant=settings.tenant,
        logins=read_json(settings.secrets_dir / "logins.json"),
        credentials=read_json(settings.secrets_dir / "devices.json"),
        seed=settings.seed if seed is None else seed,
        devices=devices,
        rate=rate,
        desk=settings.duty_desk,
        ledger_path=settings.data_dir / "simulator" / "ledger.jsonl",
        truth_path=settings.data_dir / "simulator" / "truth.json",
        progress=lambda text: console.print(text, highlight=False),
    )
