"""A video platform that is not one: what wvp-GB28181-pro answers over HTTP, with pictures and films that are drawn here.

It listens on 127.0.0.1 and says of itself that it is simulated. `Faults` make it slow, silent or wrong, as platforms are.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

WIDTH, HEIGHT, FPS = 64, 48, 5
WHEN = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
SIMULATED = b'{"simulated":true}'


@dataclass
class Faults:
    """What goes wrong, until it is taken back."""

    status: int = 0  # every call answers so
    refuses: str = ""  # every call but the login answers code 100 with these words
    says: bytes = b""  # every call but the login answers these bytes
    silent: bool = False  # calls are taken and not answered, until it is taken back
    breaks_off: bool = False  # a download ends in its middle
    forgets_logins: bool = False  # once: tokens given so far no longer hold
    poses_as_real: bool = False  # it does not say that it is simulated
    foreign_file: bool = False  # its recordings lie on a host of another's


@dataclass
class SimulatedPlatform:
    """One platform with one account; `channels` are pairs of device and channel number."""

    username: str = "city"
    password: str = "word"  # noqa: S105
    channels: set[tuple[str, str]] = field(default_factory=set)
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)  # paths, as asked
    port: int = 0
    _tokens: set[str] = field(default_factory=set)
    _count: int = 0
    _progress: dict[str, int] = field(default_factory=dict)
    _awake: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[SimulatedPlatform]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                platform._answer(self)

            def log_message(self, *_: object) -> None:
                """Tests look at `calls`."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="video-platform")
        thread.start()
        try:
            yield self
        finally:
            self._awake.set()
            server.shutdown()
            server.server_close()
            thread.join()

    # -- answers

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.calls.append(parts.path)
        if self.faults.silent:
            self._awake.wait(30)
            return
        if self.faults.status:
            _send(handler, self.faults.status, b"<html>away</html>", "text/html")
        elif parts.path == "/simulated" and not self.faults.poses_as_real:
            _send(handler, 200, SIMULATED, "application/json")
        elif parts.path == "/api/user/login":
            self._login(handler, query)
        elif parts.path.startswith("/mediaserver/"):
            self._file(handler, parts.path)
        elif self._known(handler):
            self._call(handler, parts.path.split("/")[1:], query)
        else:
            _say(handler, None, code=401, said="请登录后重新请求", status=401)

    def _login(self, handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        word = hashlib.md5(self.password.encode(), usedforsecurity=False).hexdigest()
        if (query.get("username"), query.get("password")) != (self.username, word):
            _say(handler, None, code=100, said="用户名或密码错误")
            return
        self._count += 1
        token = f"token-{self._count}"
        self._tokens.add(token)
        _say(handler, {"username": self.username, "accessToken": token})

    def _known(self, handler: BaseHTTPRequestHandler) -> bool:
        if self.faults.forgets_logins:
            self._tokens.clear()
            self.faults.forgets_logins = False
        return handler.headers.get("access-token") in self._tokens

    def _call(self, handler: BaseHTTPRequestHandler, path: list[str], query: dict[str, str]) -> None:
        if self.faults.says:
            _send(handler, 200, self.faults.says, "application/json")
            return
        if self.faults.refuses:
            _say(handler, None, code=100, said=self.faults.refuses)
            return
        match path:
            case ["api", "play", "snap"]:
                self._of_channel(handler, query.get("deviceId", ""), query.get("channelId", ""), self._snap)
            case ["api", "device", "query", "snap", _, channel] if "mark" in query:
                _send(handler, 200, picture(channel, int(query["mark"][-4:])), "image/png")
            case ["api", "play", "start", device, channel]:
                self._of_channel(handler, device, channel, lambda d, c: self._stream(f"{d}_{c}"))
            case ["api", "front-end", "preset", "query", device, channel]:
                names = {1: "桥下", 2: "闸门"}
                rows = [{"presetId": str(n), "presetName": name} for n, name in names.items()]
                self._of_channel(handler, device, channel, lambda _, __: rows)
            case ["api", "front-end", "preset", "call", device, channel] if query.get("presetId") in ("1", "2"):
                self._of_channel(handler, device, channel, lambda _, __: None)
            case ["api", "play", "stop", device, channel]:
                _say(handler, {"deviceId": device, "channelId": channel})
            case ["api", "playback", "start", device, channel] if _span(query):
                start = re.sub(r"\D", "", query["startTime"])
                self._of_channel(handler, device, channel, lambda d, c: self._stream(f"{d}_{c}_{start}"))
            case ["api", "gb_record", "download", "start", device, channel] if (
                _span(query) and "downloadSpeed" in query
            ):
                self._count += 1
                stream = f"{device}_{channel}_{self._count}"
                self._of_channel(handler, device, channel, lambda _, __: self._stream(stream))
            case ["api", "gb_record", "download", "progress", _, _, stream]:
                self._said_progress(handler, stream)
            case ["api", "playback" | "gb_record", *_] if "stop" in path:
                _say(handler, None)
            case _:
                _say(handler, None, code=400, said="参数或方法错误")

    def _of_channel(self, handler: BaseHTTPRequestHandler, device: str, channel: str, made: Any) -> None:
        if (device, channel) in self.channels:
            _say(handler, made(device, channel))
        else:
            _say(handler, None, code=100, said="通道不存在")

    def _snap(self, device: str, channel: str) -> str:
        self._count += 1
        return f"/opt/wvp/snap/{device}_{channel}_2019080923{self._count:04d}.jpg"

    def _stream(self, stream: str) -> dict[str, Any]:
        at = f"127.0.0.1:{self.port}/rtp/{stream}"
        return {
            "app": "rtp",
            "stream": stream,
            "flv": f"http://{at}.live.flv",
            "ws_flv": f"ws://{at}.live.flv",
            "hls": f"http://{at}/hls.m3u8",
            "rtsp": f"rtsp://{at}",
            "rtc": f"http://127.0.0.1:{self.port}/index/api/webrtc?app=rtp&stream={stream}&type=play",
            "mediaServerId": "simulated",
            "progress": 0.0,
        }

    def _said_progress(self, handler: BaseHTTPRequestHandler, stream: str) -> None:
        """Half of it at the first question, all of it at the second."""
        asked = self._progress[stream] = self._progress.get(stream, 0) + 1
        found = self._stream(stream) | {"progress": min(1.0, asked / 2)}
        if asked > 1:
            host = "files.example" if self.faults.foreign_file else f"127.0.0.1:{self.port}"
            path = f"http://{host}/mediaserver/{stream}.avi"
            found["downLoadFilePath"] = {"httpPath": path, "httpsPath": None}
        _say(handler, found)

    def _file(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        whole = film(path.split("_")[1])
        _send(handler, 200, whole, "video/x-msvideo", cut=len(whole) // 2 if self.faults.breaks_off else None)


def _span(query: dict[str, str]) -> bool:
    return all(WHEN.fullmatch(query.get(name, "")) for name in ("startTime", "endTime"))


def _say(
    handler: BaseHTTPRequestHandler, data: object, *, code: int = 0, said: str = "成功", status: int = 200
) -> None:
    body = json.dumps({"code": code, "msg": said, "data": data}, ensure_ascii=False).encode()
    _send(handler, status, body, "application/json")


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, *, cut: int | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body if cut is None else body[:cut])


# -- pictures and films: water that rises, in the colour of the channel


def _rows(channel: str, n: int) -> Iterator[bytes]:
    """Rows of RGB pixels, from the top."""
    tint = zlib.crc32(channel.encode())
    sky = bytes((tint & 0x7F, tint >> 8 & 0x7F, 0x80 | tint >> 16 & 0x7F)) * WIDTH
    water = bytes((0x30, 0x50, 0x90)) * WIDTH
    stage = HEIGHT // 2 + n % (HEIGHT // 2)
    for y in range(HEIGHT):
        yield water if HEIGHT - y <= stage else sky


def picture(channel: str, n: int) -> bytes:
    """A PNG: the `n`th picture of a camera."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row for row in _rows(channel, n))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def film(channel: str, frames: int = 10) -> bytes:
    """An AVI of uncompressed pictures (rows from the bottom, blue first, as its kind wants them)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    def listed(kind: bytes, data: bytes) -> bytes:
        return chunk(b"LIST", kind + data)

    size = WIDTH * HEIGHT * 3
    main = struct.pack("<14I", 1_000_000 // FPS, size * FPS, 0, 0, frames, 0, 1, size, WIDTH, HEIGHT, 0, 0, 0, 0)
    head = b"vidsDIB " + struct.pack(
        "<IHHIIIIIIIIHHHH", 0, 0, 0, 0, 1, FPS, 0, frames, size, 0, size, 0, 0, WIDTH, HEIGHT
    )
    form = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 24, 0, size, 0, 0, 0, 0)
    pictures = [b"".join(reversed([row[::-1] for row in _rows(channel, n)])) for n in range(frames)]
    streams = listed(b"hdrl", chunk(b"avih", main) + listed(b"strl", chunk(b"strh", head) + chunk(b"strf", form)))
    movie = listed(b"movi", b"".join(chunk(b"00db", one) for one in pictures))
    return chunk(b"RIFF", b"AVI " + streams + movie)
