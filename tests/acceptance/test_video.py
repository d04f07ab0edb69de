"""Looking through a camera of a whole running system that has the simulated video platform beside it; the platform goes away."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from citybrain_testing.system import System, running
from citybrain_testing.watching import CHANNEL
from simulators.video import SimulatedPlatform

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

CAMERA = {
    "device_id": "cam-video-1",
    "model": "camera-v1",
    "kind": "camera",
    "name": "桥下",
    "lon": 121.4,
    "lat": 28.6,
    "area": "331002001",
    "attributes": {"video": CHANNEL},
}


@pytest.fixture(scope="module")
def platform() -> Iterator[SimulatedPlatform]:
    made = SimulatedPlatform(channels={(CHANNEL["device"], CHANNEL["channel"])})
    with made.running():
        yield made


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, platform: SimulatedPlatform) -> Iterator[System]:
    data_dir: Path = tmp_path_factory.mktemp("video") / "data"
    (data_dir / "secrets").mkdir(parents=True, mode=0o700)
    account = {"username": platform.username, "password": platform.password}
    (data_dir / "secrets" / "video.json").write_text(json.dumps(account))
    env = {"CITYBRAIN_DEV_STACK": "", "CITYBRAIN_VIDEO_URL": platform.url}
    with running(data_dir, args=("--demo", "--no-simulator", "--speed", "1"), env=env) as started:
        yield started


def test_a_desk_sees_a_camera_and_is_told_when_the_platform_is_away(
    system: System, platform: SimulatedPlatform
) -> None:
    with contextlib.ExitStack() as stack:
        admin, desk, auditor = (
            stack.enter_context(contextlib.closing(system.login(name))) for name in ("admin", "duty1", "auditor")
        )
        assert admin.post("/api/v1/devices", json=CAMERA).status_code == 201
        asked = {"purpose": "snapshot", "reason": "看积水"}
        viewing = desk.post(f"/api/v1/devices/{CAMERA['device_id']}/video", json=asked)
        assert viewing.status_code == 201, viewing.text
        url = viewing.json()["url"]
        shown = desk.get(url)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
        platform.faults.status = 502
        away = desk.get(url)
        platform.faults.status = 0
        assert (away.status_code, away.headers["content-type"]) == (503, "application/problem+json")
        assert "does not answer" in away.json()["detail"]
        assert platform.url not in away.text
        assert desk.get("/api/v1/me").status_code == httpx.codes.OK
        log = auditor.get("/api/v1/video-views").json()["items"]
        assert [(v["actor"], v["action"], v["reason"]) for v in log] == [("duty1", "snapshot", "看积水")]
