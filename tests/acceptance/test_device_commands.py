"""Commands down to devices through the public doors: a real broker, simulated devices, a role that is killed in between."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from citybrain_testing.outcome import get
from citybrain_testing.system import System, running, wait_for
from simulators.client import Session
from simulators.devices import Broker, SimDevice, Stats
from simulators.district import generate
from simulators.ledger import Ledger
from simulators.scenario import load
from simulators.sensors import Instrument
from simulators.simclock import SimClock
from simulators.world import World

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

WAIT_S = 30.0
CLOCK_LIFETIME_S = 60.0
NEVER_ON, LATE, PROMPT, CAMERA = "wg-laocheng", "rw-town", "air-bay", "cam-underpass-1"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(
        tmp_path_factory.mktemp("commands") / "data",
        # At the machine's speed: at 60x the ten minutes of a command are ten seconds.
        args=("--demo", "--no-simulator", "--speed", "1"),
        env={"CITYBRAIN_DEV_STACK": ""},
    ) as started:
        yield started


@pytest.fixture(scope="module")
def admin(system: System) -> Iterator[httpx.Client]:
    with contextlib.closing(system.login("admin")) as client:
        yield client


@pytest.fixture(scope="module")
def world() -> World:
    return World(load("lekima-night"), generate())


class Box:
    """A simulated device that is switched on within a `with`, in a thread of its own."""

    def __init__(self, system: System, world: World, device_id: str, folder: Path) -> None:
        self._system, self._world, self._device_id, self._folder = system, world, device_id, folder
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(),))
        self._ended: asyncio.Event | None = None
        self.device: SimDevice | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._ended is not None
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        self._loop.close()

    @property
    def interval_s(self) -> float:
        """Between two samples, as the instrument has it."""
        assert self.device is not None
        instrument = self.device.instrument
        first = instrument.next_sample_us(self._world.scenario.start_us)
        return (instrument.next_sample_us(first) - first) / 1e6

    @property
    def executed(self) -> int:
        assert self.device is not None
        return self.device.obedience.executed

    async def _live(self) -> None:
        self._ended = asyncio.Event()
        device = next(d for d in self._world.district.devices() if d.device_id == self._device_id)
        async with Session(self._system.base_url, "admin", self._system.secret("logins")["admin"]) as session:
            clock = SimClock(session)
            await clock.sync()
            with Ledger(self._folder / f"{self._device_id}.jsonl") as ledger:
                self.device = SimDevice(
                    instrument=Instrument(device, self._world, 1),
                    clock=clock,
                    broker=Broker(host=self._system.ready["broker_host"], port=int(self._system.ready["broker_port"])),
                    tenant=clock.tenant,
                    password=self._system.secret("devices")[self._device_id],
                    ledger=ledger,
                    stats=Stats(),
                    start_us=self._world.scenario.start_us,
                )
                running = asyncio.create_task(self.device.run())
                self._ready.set()
                await self._ended.wait()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


def ask(client: httpx.Client, device_id: str, method: str, **params: Any) -> dict[str, Any]:
    answer = client.post(
        f"/api/v1/devices/{device_id}/commands", json={"method": method, "params": params, "reason": "验收"}
    )
    assert answer.status_code == 201, answer.text
    command: dict[str, Any] = answer.json()
    assert command["state"] == "QUEUED"
    return command


def reached(client: httpx.Client, command: dict[str, Any], state: str, timeout_s: float = WAIT_S) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = get(client, f"/api/v1/commands/{command['command_id']}")
        return found if found["state"] == state else None

    return wait_for(f"{command['command_id']} is {state}", look, timeout_s, every_s=0.2)


def steps(system: System, command: dict[str, Any]) -> list[str]:
    with contextlib.closing(system.login("leader1")) as leader:
        found = get(leader, "/api/v1/journal", entity="device_command", entity_id=command["command_id"])
    return [entry["action"] for entry in found["items"]][::-1]


def test_an_interval_is_set_and_the_device_reports_at_it(
    system: System, admin: httpx.Client, world: World, tmp_path: Path
) -> None:
    with Box(system, world, PROMPT, tmp_path) as box:
        wait_for(
            "the device is heard",
            lambda: get(admin, f"/api/v1/devices/{PROMPT}")["status"] == "online",
            WAIT_S,
        )
        assert box.interval_s == 300.0
        command = ask(admin, PROMPT, "interval_set", interval_s=7)
        done = reached(admin, command, "EXECUTED")
        assert (done["note"], done["error"]) == ("", "")
        assert done["asked_us"] <= done["ended_us"] < done["expires_us"]
        assert (box.interval_s, box.executed) == (7.0, 1)
        assert steps(system, command) in (
            ["queue", "sent", "executed"],
            ["queue", "executed"],
        )  # an answer may be faster
        assert get(admin, f"/api/v1/devices/{PROMPT}/commands", state=["QUEUED", "SENT", "RECEIVED"])["items"] == []
        assert get(admin, f"/api/v1/devices/{PROMPT}/commands")["items"] == [done]


def test_an_operator_turns_a_camera(system: System, world: World, tmp_path: Path) -> None:
    with contextlib.closing(system.login("duty1")) as desk, Box(system, world, CAMERA, tmp_path) as box:
        command = ask(desk, CAMERA, "preset_goto", preset=3)  # perhaps before it is heard: then it waits
        reached(desk, command, "EXECUTED")
        assert box.device is not None
        assert box.device.preset == 3


def test_who_comes_back_is_told_what_waited_even_over_a_kill_of_ours(
    system: System, admin: httpx.Client, world: World, tmp_path: Path
) -> None:
    command = ask(admin, LATE, "interval_set", interval_s=11)
    before = system.kill("command")

    def again() -> bool:
        with contextlib.suppress(httpx.HTTPError, KeyError):
            return system.children()["command"] != before and admin.get("/healthz").is_success
        return False

    wait_for("the role is back", again, 60.0)
    assert reached(admin, command, "QUEUED")["sends"] == 0
    with Box(system, world, LATE, tmp_path) as box:
        done = reached(admin, command, "EXECUTED")
        assert (box.interval_s, box.executed) == (11.0, 1)
        assert done["sends"] <= 1


def test_a_device_that_never_comes_lets_its_command_expire(system: System, admin: httpx.Client) -> None:
    command = ask(admin, NEVER_ON, "clock_set")
    over = reached(admin, command, "EXPIRED", CLOCK_LIFETIME_S + WAIT_S)
    assert (over["sends"], over["sent_us"]) == (0, None)
    assert over["ended_us"] >= command["expires_us"]
    assert steps(system, command) == ["queue", "expired"]


def test_what_moves_something_is_refused_with_every_condition(system: System) -> None:
    with contextlib.closing(system.login("leader1")) as leader:
        answer = leader.post(f"/api/v1/devices/{NEVER_ON}/commands", json={"method": "siren.start", "reason": "验收"})
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:citybrain:problem:refused"
        assert len(answer.json()["errors"]) >= 5
        assert get(leader, f"/api/v1/devices/{NEVER_ON}/commands")["items"][0]["method"] == "clock_set"
