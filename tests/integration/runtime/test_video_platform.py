"""The adapter against the simulated platform over real HTTP, and clips into real files and a real database."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from citybrain_testing.command import DUTY1
from citybrain_testing.fetch_until_killed import life
from citybrain_testing.servers import PrivatePostgres, private_postgres
from citybrain_testing.watching import CHANNEL, INCIDENT_ID, OTHER, VideoWorld, video_world
from command_center.video.clips import ClipFetcher, ClipService
from command_center.video.model import ClipState, Preset, Purpose, VideoClip
from command_center.video.ports import ClipTooLarge, NoRoom, PlatformAway, PlatformRefused
from devices.video import VideoChannel
from runtime import video
from runtime.settings import Settings, check
from runtime.video import ClipFolder, WvpPlatform
from simulators.video import SimulatedPlatform, film
from storage.command import PostgresStore
from storage.database import Database

HERE = msgspec.convert(CHANNEL, VideoChannel)
NOWHERE = msgspec.convert(OTHER, VideoChannel)
FROM_US, TO_US = 1_565_362_800_000_000, 1_565_362_860_000_000  # 23:00 in the city
GB = 1024**3
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def platform() -> Iterator[SimulatedPlatform]:
    made = SimulatedPlatform(channels={(HERE.device, HERE.channel)})
    with made.running():
        yield made


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "PROGRESS_EVERY_S", 0.01)
    monkeypatch.setattr(video, "PREPARE_S", 0.5)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    with private_postgres() as server:
        yield server


def adapter(platform: SimulatedPlatform, password: str = "word", **more: float) -> WvpPlatform:
    return WvpPlatform(None, platform.url, platform.username, password, **more)  # type: ignore[arg-type]


def test_live_playback_and_stop_speak_as_the_platform_does(platform: SimulatedPlatform) -> None:
    async def body() -> None:
        wvp = adapter(platform)
        live = await wvp.play(HERE)
        assert live.stream == f"{HERE.device}_{HERE.channel}"
        assert set(live.urls) == {"flv", "ws_flv", "hls", "rtc"}, "what a browser plays; no rtsp"
        back = await wvp.playback(HERE, FROM_US, TO_US)
        assert back.stream.endswith("_20190809230000"), "the city's wall time"
        await wvp.stop(HERE, Purpose.LIVE, live.stream)
        await wvp.stop(HERE, Purpose.PLAYBACK, back.stream)

    asyncio.run(body())
    where = f"{HERE.device}/{HERE.channel}"
    assert platform.calls == [
        "/simulated",
        "/api/user/login",
        f"/api/play/start/{where}",
        f"/api/playback/start/{where}",
        f"/api/play/stop/{where}",
        f"/api/playback/stop/{where}/{HERE.device}_{HERE.channel}_20190809230000",
    ]


def test_a_snapshot_is_a_picture_that_was_taken_for_it(platform: SimulatedPlatform) -> None:
    content, kind = asyncio.run(adapter(platform).snapshot(HERE))
    assert (content[:4], kind) == (b"\x89PNG", "image/png")


def test_presets_are_listed_and_called(platform: SimulatedPlatform) -> None:
    async def body() -> None:
        wvp = adapter(platform)
        assert await wvp.presets(HERE) == [Preset(preset=1, name="桥下"), Preset(preset=2, name="闸门")]
        await wvp.turn(HERE, 2)
        with pytest.raises(PlatformRefused):
            await wvp.turn(HERE, 3)
        platform.faults.says = (
            b'{"code":0,"data":[{"presetId":"0"},{"presetId":7},[],{"presetId":"x"},{"presetId":999}]}'
        )
        assert await wvp.presets(HERE) == [Preset(preset=7, name="")]

    asyncio.run(body())


def test_a_login_that_has_ended_is_made_again(platform: SimulatedPlatform) -> None:
    async def body() -> None:
        wvp = adapter(platform)
        await wvp.play(HERE)
        platform.faults.forgets_logins = True
        await wvp.play(HERE)

    asyncio.run(body())
    assert platform.calls.count("/api/user/login") == 2


def test_what_the_platform_refuses_is_said_in_its_words(platform: SimulatedPlatform) -> None:
    with pytest.raises(PlatformRefused, match="通道不存在"):
        asyncio.run(adapter(platform).play(NOWHERE))
    with pytest.raises(PlatformRefused, match="login"):
        asyncio.run(adapter(platform, "wrong").play(HERE))
    platform.faults.refuses = "see http://10.1.2.3:18080"
    with pytest.raises(PlatformRefused, match=r"^code 100$"):
        asyncio.run(adapter(platform).snapshot(HERE))


@pytest.mark.parametrize(
    "says",
    [
        b"<html>",
        b'{"code":0,"msg":"\xff"}',
        b"[" * 100_000,
        b"[]",
        b'{"code":0}',
        b'{"code":0,"data":[]}',
        b'{"code":0,"data":{"stream":7}}',
        b'{"code":0,"data":{"stream":"s"}}',
        b'{"code":0,"data":{"stream":"s","hls":"http://[","flv":"javascript:alert(1)"}}',
        b'{"code":0,"data":{"stream":"s","downLoadFilePath":{"httpPath":"http://["}}}',
        b'{"code":0,"data":{"stream":"s","downLoadFilePath":{"httpPath":"file:///etc/passwd"}}}',
        b'{"code":0,"data":{"stream":"s","downLoadFilePath":{"httpPath":"http://127.0.0.1:x/"}}}',
        b'{"code":"0","msg":{}}',
        b'{"code":0,"data":"../../x"}',
        b'{"code":401}',
        b"x" * 1_100_000,
    ],
)
def test_odd_answers_of_the_platform_are_refused(platform: SimulatedPlatform, tmp_path: Path, says: bytes) -> None:
    platform.faults.says = says

    async def body() -> None:
        wvp = adapter(platform)
        for asked in (wvp.play(HERE), wvp.playback(HERE, FROM_US, TO_US), wvp.snapshot(HERE)):
            with pytest.raises((PlatformAway, PlatformRefused)):
                await asked
        with pytest.raises((PlatformAway, PlatformRefused)):
            await fetched(wvp, ClipFolder(tmp_path, GB))

    asyncio.run(body())
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_say_that_it_is_simulated_is_told_no_secret(platform: SimulatedPlatform) -> None:
    platform.faults.poses_as_real = True
    with pytest.raises(PlatformRefused, match="not the simulator"):
        asyncio.run(adapter(platform).play(HERE))
    assert platform.calls == ["/simulated"]


def test_a_real_tenants_adapter_does_not_ask_for_that(platform: SimulatedPlatform) -> None:
    proof = check(Settings(tenant_kind="real")).real_tenant()
    asyncio.run(WvpPlatform(proof, platform.url, "city", "word").play(HERE))
    assert platform.calls[0] == "/api/user/login"


def test_a_platform_that_is_away_or_silent_costs_a_named_time(
    platform: SimulatedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.faults.status = 503
    with pytest.raises(PlatformAway, match="503"):
        asyncio.run(adapter(platform).play(HERE))
    platform.faults.status = 0
    monkeypatch.setattr(video, "ANSWER_S", 0.2)
    platform.faults.silent = True
    begun = time.monotonic()
    with pytest.raises(PlatformAway):
        asyncio.run(adapter(platform, play_s=0.2).play(HERE))
    assert time.monotonic() - begun < 3
    gone = SimulatedPlatform(port=1)
    with pytest.raises(PlatformAway, match="ConnectError"):
        asyncio.run(adapter(gone).play(HERE))


async def fetched(wvp: WvpPlatform, files: ClipFolder, most: int = GB) -> tuple[int, str]:
    async with wvp.recording(HERE, FROM_US, TO_US) as parts:
        return await files.keep("C-1", parts, most)


def test_a_recording_is_prepared_downloaded_and_kept_whole(platform: SimulatedPlatform, tmp_path: Path) -> None:
    files, whole = ClipFolder(tmp_path / "clips", GB), film(HERE.channel)
    for _ in range(2):
        assert asyncio.run(fetched(adapter(platform), files)) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert b"".join(files.open("C-1")) == whole
    assert [p.name for p in (tmp_path / "clips").iterdir()] == ["C-1"]
    assert (tmp_path / "clips" / "C-1").stat().st_mode & 0o777 == 0o600
    assert any("/download/stop/" in call for call in platform.calls)


def test_what_broke_off_or_lies_elsewhere_or_is_too_large_leaves_no_file(
    platform: SimulatedPlatform, tmp_path: Path
) -> None:
    files = ClipFolder(tmp_path, GB)
    platform.faults.breaks_off = True
    with pytest.raises(PlatformAway):
        asyncio.run(fetched(adapter(platform), files))
    platform.faults.breaks_off, platform.faults.foreign_file = False, True
    with pytest.raises(PlatformRefused, match="video_media_hosts"):
        asyncio.run(fetched(adapter(platform), files))
    platform.faults.foreign_file = False
    with pytest.raises(ClipTooLarge):
        asyncio.run(fetched(adapter(platform), files, most=1000))
    with pytest.raises(NoRoom):
        asyncio.run(fetched(adapter(platform), ClipFolder(tmp_path, 1000)))
    with pytest.raises(NoRoom):
        asyncio.run(fetched(adapter(platform), ClipFolder(tmp_path, GB, free=lambda _: 2 * GB)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_and_odd_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 100)

    async def some() -> AsyncIterator[bytes]:
        yield b"y"

    with pytest.raises(NoRoom, match="100 bytes are kept"):
        asyncio.run(ClipFolder(tmp_path, 100).keep("C-1", some(), GB))
    for name in ("../x", "", "a/b", "x.tmp"):
        with pytest.raises(FileNotFoundError):
            ClipFolder(tmp_path, GB).open(name)
    (tmp_path / "C-2.tmp").write_bytes(b"half")
    asyncio.run(ClipFolder(tmp_path, GB).drop_unfinished())
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


@asynccontextmanager
async def whole_way(
    url: str, platform: SimulatedPlatform, folder: Path
) -> AsyncIterator[tuple[VideoWorld, ClipFetcher, ClipService]]:
    async with video_world(url) as world:
        store, env = world.devices.store, world.devices.env
        files = ClipFolder(folder, GB)
        yield (
            world,
            ClipFetcher(store, env, lambda _: None, files, adapter(platform)),
            ClipService(store, env, lambda _: None, files, platform=True),
        )


@pytest.mark.database
def test_a_clip_comes_over_http_into_a_file_although_the_platform_was_away(
    postgres: PrivatePostgres, platform: SimulatedPlatform, tmp_path: Path
) -> None:
    async def body() -> None:
        async with whole_way(postgres.fresh_database(), platform, tmp_path) as (world, fetcher, clips):
            to_us = world.now_us
            clip = await clips.ask(DUTY1, INCIDENT_ID, "cam-1", to_us - 60_000_000, to_us, "留证")
            platform.faults.status = 503
            assert await fetcher.run_due() == 1
            waiting = await world.clip(clip.clip_id)
            assert (waiting.state, waiting.error) == (ClipState.REQUESTED, "it answers 503")
            platform.faults.status = 0
            world.devices.clock.step(60)
            assert await fetcher.run_due() == 1
            stored = await world.clip(clip.clip_id)
            whole = film(HERE.channel)
            assert (stored.state, stored.size) == (ClipState.STORED, len(whole))
            _, parts = await clips.download(DUTY1, clip.clip_id, "移交")
            assert hashlib.sha256(b"".join(parts)).hexdigest() == stored.sha256

    asyncio.run(body())


@pytest.mark.database
@pytest.mark.parametrize("step", ["asked", "written", "renamed"])
def test_killed_with_sigkill_at_any_step_a_clip_is_kept_once(
    postgres: PrivatePostgres, platform: SimulatedPlatform, tmp_path: Path, step: str
) -> None:
    """A child fetches and kills itself in the middle; the next life ends what it began."""
    url, folder = postgres.fresh_database(), tmp_path / "clips"

    async def ask() -> str:
        async with whole_way(url, platform, folder) as (world, _, clips):
            to_us = world.now_us
            return (await clips.ask(DUTY1, INCIDENT_ID, "cam-1", to_us - 60_000_000, to_us, "x")).clip_id

    clip_id = asyncio.run(ask())
    argv = [sys.executable, "-m", "citybrain_testing.fetch_until_killed", url, platform.url, str(folder), step]
    child = subprocess.run(argv, capture_output=True, timeout=60, check=False, cwd=ROOT)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert asyncio.run(life(url, platform.url, folder, "")) == 1

    async def look() -> VideoClip | None:
        async with Database(url, "cmd") as database, PostgresStore(database).read() as tx:
            return await tx.video_clip(clip_id)

    stored, whole = asyncio.run(look()), film(HERE.channel)
    assert stored is not None
    assert (stored.state, stored.sha256, stored.tries) == (ClipState.STORED, hashlib.sha256(whole).hexdigest(), 2)
    assert [p.name for p in folder.iterdir()] == [clip_id]
    assert (folder / clip_id).read_bytes() == whole
