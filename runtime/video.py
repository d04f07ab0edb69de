"""The video platform as wvp-GB28181-pro speaks HTTP, and the place where clips are kept.

Paths and fields as the controllers of wvp-GB28181-pro have them (docs/decisions/0023-video.md says which versions were read). A real
platform takes the proof of a real tenant. Elsewhere only the simulated one is spoken to: on this machine, and only after it has said
that it is one, before anything secret is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, quote, urlsplit

import httpx
import msgspec

from command_center.reality import RealTenant, require_real
from command_center.video.model import Media, Preset, Purpose
from command_center.video.ports import ClipTooLarge, NoRoom, PlatformAway, PlatformRefused
from devices.video import VideoChannel
from runtime.secrets import read_json
from runtime.settings import Settings, WrongSetting

CONNECT_S, ANSWER_S = 3.0, 5.0
PLAY_S = 20.0  # the platform calls the camera by SIP first: its own limit is about 18 s
PREPARE_S = 1800.0  # until a recording has come from the recorder to the platform, at four times its speed
PROGRESS_EVERY_S = 1.0
SILENT_S = 30.0  # a download without a byte
PICTURE_MAX_BYTES = 8 * 1024**2
ANSWER_MAX_BYTES = 1024**2
SPEED = "4"
CHINA = timedelta(hours=8)
MEDIA = (
    "flv",
    "https_flv",
    "ws_flv",
    "wss_flv",
    "fmp4",
    "https_fmp4",
    "ws_fmp4",
    "wss_fmp4",
    "hls",
    "https_hls",
    "rtc",
    "rtcs",
)
SCHEMES = ("http", "https", "ws", "wss", "webrtc")
HERE = ("127.0.0.1", "::1")
KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
DISK_LEAST_FREE = 2 * 1024**3  # the log and the database need it more
PRESET_MAX = 255  # GB/T 28181 A.3
BLOCK = 256 * 1024


class WvpPlatform:
    """A `command_center.video.ports.Platform`. `proof` None: only for the simulator, see `build`."""

    def __init__(
        self,
        proof: RealTenant | None,
        url: str,
        username: str,
        password: str,
        *,
        media_hosts: frozenset[str] = frozenset(),
        play_s: float = PLAY_S,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise WrongSetting(f"video_url={url!r}: expected http(s)://HOST[:PORT]")
        self._simulator_only = proof is None
        if proof is not None:
            require_real(proof)
        elif parts.hostname not in HERE:
            raise WrongSetting(
                f"video_url={url!r}: a tenant that is not real speaks to the simulator on 127.0.0.1 only"
            )
        self._url, self._play_s = url.rstrip("/"), play_s
        self._username = username
        self._word = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()  # how wvp wants it
        self._hosts = media_hosts | {parts.hostname}
        self._token = ""

    async def play(self, channel: VideoChannel) -> Media:
        return _media(await self._get(f"/api/play/start/{_where(channel)}", within_s=self._play_s))

    async def playback(self, channel: VideoChannel, from_us: int, to_us: int) -> Media:
        span = _span(from_us, to_us)
        return _media(await self._get(f"/api/playback/start/{_where(channel)}", span, within_s=self._play_s))

    async def stop(self, channel: VideoChannel, purpose: Purpose, stream: str) -> None:
        path = f"/api/play/stop/{_where(channel)}"
        if purpose is Purpose.PLAYBACK:
            path = f"/api/playback/stop/{_where(channel)}/{quote(stream, safe='')}"
        await self._get(path)

    async def snapshot(self, channel: VideoChannel) -> tuple[bytes, str]:
        """The platform takes a picture into a file and says its name; the file is got by its mark."""
        named = {"deviceId": channel.device, "channelId": channel.channel}
        made = await self._get("/api/play/snap", named, within_s=self._play_s)
        name = re.split(r"[\\/]", made)[-1] if isinstance(made, str) else ""
        mark = name.removeprefix(f"{channel.device}_{channel.channel}_").removesuffix(".jpg")
        if not re.fullmatch(r"[0-9A-Za-z-]{1,40}", mark):
            raise PlatformRefused("it made no snapshot")
        picture = await self._bytes(f"/api/device/query/snap/{_where(channel)}", {"mark": mark})
        for magic, kind in KINDS.items():
            if picture.startswith(magic):
                return picture, kind
        raise PlatformRefused("its snapshot is no picture")

    async def presets(self, channel: VideoChannel) -> list[Preset]:
        return _presets(await self._get(f"/api/front-end/preset/query/{_where(channel)}"))

    async def turn(self, channel: VideoChannel, preset: int) -> None:
        await self._get(f"/api/front-end/preset/call/{_where(channel)}", {"presetId": str(preset)})

    @contextlib.asynccontextmanager
    async def recording(self, channel: VideoChannel, from_us: int, to_us: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Let the platform get it from the recorder, wait for that, then download it."""
        where = _where(channel)
        asked = _span(from_us, to_us) | {"downloadSpeed": SPEED}
        stream = _text(await self._get(f"/api/gb_record/download/start/{where}", asked, within_s=35.0), "stream")
        try:
            url = await self._prepared(where, stream)
            async with self._client() as client:
                try:
                    patience, plain = httpx.Timeout(SILENT_S, connect=CONNECT_S), {"Accept-Encoding": "identity"}
                    async with client.stream("GET", url, timeout=patience, headers=plain) as answer:
                        if answer.status_code != 200:
                            raise PlatformRefused(f"its file answers {answer.status_code}")
                        yield _whole(answer)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise PlatformAway(f"download: {type(error).__name__}") from error
        finally:
            with contextlib.suppress(PlatformAway, PlatformRefused):  # it has ended by itself, or the platform is away
                await self._get(f"/api/gb_record/download/stop/{where}/{quote(stream, safe='')}")

    async def _prepared(self, where: str, stream: str) -> str:
        """The file's address, once the platform has all of it."""
        path = f"/api/gb_record/download/progress/{where}/{quote(stream, safe='')}"
        try:
            async with asyncio.timeout(PREPARE_S):
                while True:
                    found = await self._get(path)
                    files = found.get("downLoadFilePath") if isinstance(found, Mapping) else None
                    if isinstance(files, Mapping):
                        return self._allowed([files.get(n) for n in ("httpPath", "httpsPath")])
                    await asyncio.sleep(PROGRESS_EVERY_S)
        except TimeoutError as error:
            raise PlatformAway(f"no file within {PREPARE_S:g} s") from error

    def _allowed(self, urls: list[Any]) -> str:
        """The first that lies on the platform's host or one that the settings name: we fetch from nowhere else on its word."""
        for url in urls:
            parts = _split(url)
            if parts is not None and parts.scheme in ("http", "https") and parts.hostname in self._hosts:
                return str(url)
        raise PlatformRefused("its file lies on a host that video_media_hosts does not name")

    # -- one request

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), follow_redirects=False, trust_env=False
        )

    async def _get(self, path: str, query: Mapping[str, str] | None = None, *, within_s: float = ANSWER_S) -> Any:
        """`data` of the answer. Logs in first where it must, and again when the login has ended."""
        body = await self._bytes(path, query, within_s=within_s)
        return _data(body)

    async def _bytes(self, path: str, query: Mapping[str, str] | None = None, *, within_s: float = ANSWER_S) -> bytes:
        try:
            async with asyncio.timeout(within_s + CONNECT_S), self._client() as client:
                for attempt in (1, 2):
                    if not self._token or attempt == 2:
                        await self._login(client)
                    status, body = await self._asked(client, path, query, within_s)
                    if status != 401 and not _login_ended(body):
                        break
                else:
                    self._token = ""
                    raise PlatformRefused("our login is not accepted")
        except TimeoutError as error:
            raise PlatformAway(f"no answer within {within_s:g} s") from error
        except httpx.HTTPError as error:
            raise PlatformAway(type(error).__name__) from error
        if status >= 500:
            raise PlatformAway(f"it answers {status}")
        if status != 200:
            raise PlatformRefused(f"it answers {status}")
        return body

    async def _asked(
        self, client: httpx.AsyncClient, path: str, query: Mapping[str, str] | None, within_s: float
    ) -> tuple[int, bytes]:
        headers = {"access-token": self._token} if self._token else {}
        timeout = httpx.Timeout(within_s, connect=CONNECT_S)
        async with client.stream(
            "GET", self._url + path, params=dict(query or {}), headers=headers, timeout=timeout
        ) as answer:
            most = PICTURE_MAX_BYTES if "/snap/" in path else ANSWER_MAX_BYTES
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > most:
                    raise PlatformRefused(f"its answer is longer than {most} bytes")
            return answer.status_code, bytes(body)

    async def _login(self, client: httpx.AsyncClient) -> None:
        self._token = ""
        if self._simulator_only:
            status, body = await self._asked(client, "/simulated", None, ANSWER_S)
            if status >= 500:
                raise PlatformAway(f"it answers {status}")
            if status != 200 or body != b'{"simulated":true}':
                raise PlatformRefused("this tenant is not real, and what answers is not the simulator")
        status, body = await self._asked(
            client, "/api/user/login", {"username": self._username, "password": self._word}, ANSWER_S
        )
        if status >= 500:
            raise PlatformAway(f"it answers {status}")
        try:
            self._token = _text(_data(body), "accessToken")
        except PlatformRefused as error:
            raise PlatformRefused("our login is not accepted") from error


def _where(channel: VideoChannel) -> str:
    return f"{channel.device}/{channel.channel}"


def _span(from_us: int, to_us: int) -> dict[str, str]:
    """In the platform's own form: the city's wall time, without a zone."""
    return {"startTime": _wall(from_us), "endTime": _wall(to_us)}


def _wall(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=us // 1_000_000) + CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _login_ended(body: bytes) -> bool:
    found = _decoded(body) if body.startswith(b"{") else None
    return isinstance(found, dict) and found.get("code") == 401


def _data(body: bytes) -> Any:
    found = _decoded(body)
    if not isinstance(found, dict) or "code" not in found:
        raise PlatformAway("its answer is not as we know it")
    if found["code"] != 0:
        said = found.get("msg")
        raise PlatformRefused(said[:100] if isinstance(said, str) and "://" not in said else f"code {found['code']}")
    return found.get("data")


def _text(data: Any, name: str) -> str:
    value = data.get(name) if isinstance(data, Mapping) else None
    if not isinstance(value, str) or not value:
        raise PlatformRefused(f"its answer has no {name}")
    return value


def _presets(data: Any) -> list[Preset]:
    """What can be called; a camera lists empty places too."""
    names: dict[int, str] = {}
    for row in data if isinstance(data, list) else []:
        number = str(row.get("presetId")) if isinstance(row, Mapping) else ""
        if re.fullmatch(r"[0-9]{1,3}", number) and 1 <= int(number) <= PRESET_MAX:
            name = row.get("presetName")
            names[int(number)] = name[:64] if isinstance(name, str) else ""
    return [Preset(preset=number, name=name) for number, name in sorted(names.items())]


def _split(url: object) -> SplitResult | None:
    """None for what is no address: a platform may say anything."""
    try:
        return urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return None


def _media(data: Any) -> Media:
    stream = _text(data, "stream")
    urls = {n: data[n] for n in MEDIA if (parts := _split(data.get(n))) is not None and parts.scheme in SCHEMES}
    if not urls:
        raise PlatformRefused("it names no address of the picture")
    return Media(urls=urls, stream=stream)


async def _whole(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The file's bytes, as many as were announced."""
    announced, got = answer.headers.get("content-length"), 0
    async for part in answer.aiter_raw():
        got += len(part)
        yield part
    if got == 0 or (announced is not None and got != int(announced)):
        raise PlatformAway(f"its file broke off after {got} bytes")


class ClipFolder:
    """A `command_center.video.ports.ClipFiles`: one file for each clip, complete or not there."""

    def __init__(
        self, folder: Path, max_bytes: int, *, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    ) -> None:
        self._folder, self._max_bytes, self._free = folder, max_bytes, free

    async def keep(self, clip_id: str, parts: AsyncIterator[bytes], max_bytes: int) -> tuple[int, str]:
        path = self._path(clip_id)
        part_path = path.with_name(path.name + ".tmp")
        room = await asyncio.to_thread(self._room)
        digest, size = hashlib.sha256(), 0
        file = await asyncio.to_thread(_create, part_path)
        try:
            async for part in parts:
                size += len(part)
                _check_size(size, max_bytes, room)
                digest.update(part)
                await asyncio.to_thread(file.write, part)
            await asyncio.to_thread(_finish, file, path)
        except BaseException:
            file.close()
            part_path.unlink(missing_ok=True)
            raise
        return size, digest.hexdigest()

    def open(self, clip_id: str) -> Iterator[bytes]:
        return _parts(self._path(clip_id).open("rb"))

    async def drop_unfinished(self) -> None:
        await asyncio.to_thread(self._drop)

    def _drop(self) -> None:
        for path in self._folder.glob("*.tmp"):
            path.unlink(missing_ok=True)

    def _room(self) -> int:
        """Raises NoRoom."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        used = sum(path.stat().st_size for path in self._folder.iterdir())
        room = min(self._max_bytes - used, self._free(self._folder) - DISK_LEAST_FREE)
        if room <= 0:
            raise NoRoom(f"no room for clips: {used} bytes are kept, video_clips_max_bytes or the disk allows no more")
        return room

    def _path(self, clip_id: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,96}", clip_id):
            raise FileNotFoundError(clip_id)
        return self._folder / clip_id


def _check_size(size: int, max_bytes: int, room: int) -> None:
    if size > max_bytes:
        raise ClipTooLarge(f"the recording has more than {max_bytes} bytes")
    if size > room:
        raise NoRoom(f"no room for clips: {room} bytes are left of video_clips_max_bytes or of the disk")


def _create(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _finish(file: IO[bytes], path: Path) -> None:
    """On the disk before it has its name, and its name on the disk before anybody hears of it."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    path.with_name(path.name + ".tmp").replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(BLOCK):
            yield part


def build(settings: Settings) -> WvpPlatform | None:
    """What the settings name; None: no platform. Raises WrongSetting."""
    if not settings.video_url:
        return None
    path = settings.secrets_dir / "video.json"
    known = read_json(path) or {}
    if not isinstance(known, dict) or not all(isinstance(known.get(n), str) for n in ("username", "password")):
        raise WrongSetting(f'{path}: expected {{"username": ..., "password": ...}} of the video platform')
    proof = settings.real_tenant() if settings.real else None
    hosts = frozenset(settings.video_media_hosts.replace(",", " ").split())
    return WvpPlatform(proof, settings.video_url, known["username"], known["password"], media_hosts=hosts)
