"""Stations of a test: HJ 212 devices in the register, their frames, and one that dials in and resends until it is answered."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from citybrain_testing.clocks import LEKIMA_US
from devices.codecs import jt808, sl651
from devices.codecs.hj212 import Frame, Hj212Decoder, encode
from devices.codecs.station import Report, Said
from devices.models import load_models
from devices.registry import Device
from devices.stations import sealed

PASSWORD = "123456"  # noqa: S105 - of stations that do not exist
SL651_PASSWORD = "03E8"  # noqa: S105
WINDOW = 20  # frames under way at once


def hj212_device(device_id: str, mn: str, model: str = "dust-monitor-v1", **fields: Any) -> Device:
    """A device that is bound to a station number, with the password of every frame below."""
    allow = fields.pop("allow", [])
    stations = {"hj212": {"station": mn, "password": PASSWORD, **({"allow": allow} if allow else {})}}
    plain = Device(
        device_id=device_id,
        model=model,
        kind=load_models()[model].kind,
        name=device_id,
        lon=121.4,
        lat=28.7,
        attributes={"stations": stations},
        **fields,
    )
    return sealed(plain)


def local(offset_s: float = 0.0) -> str:
    """LEKIMA_US and so many seconds, as HJ 212 writes it."""
    at = datetime.fromtimestamp(LEKIMA_US / 1e6, UTC) + timedelta(hours=8, seconds=offset_s)
    return at.strftime("%Y%m%d%H%M%S")


def hj212_frame(cp: str, *, mn: str, cn: str = "2011", pw: str = PASSWORD, flag: int = 5, **fields: Any) -> bytes:
    qn = fields.pop("qn", f"{local()}000")
    return encode(Frame(qn=qn, st="39", cn=cn, pw=pw, mn=mn, flag=flag, cp=cp, **fields))


class Dialect(Protocol):
    """What a station of a test says and understands; readings are numbered from 0."""

    def time_us(self, number: int) -> int:
        """The phenomenon time of a reading."""
        ...

    def frame(self, number: int) -> bytes: ...

    def begin(self) -> None:
        """A new connection."""
        ...

    def answered(self, data: bytes) -> list[int]:
        """The numbers that these bytes of the centre answer."""
        ...


class Hj212Dialect:
    """Second data (2011) with a number a second from `begin_us` on; the QN is the number, 9014 echoes it."""

    def __init__(self, mn: str, begin_us: int = LEKIMA_US) -> None:
        self._mn, self._begin_us = mn, begin_us
        self.begin()

    def begin(self) -> None:
        self._decoder = Hj212Decoder()

    def time_us(self, number: int) -> int:
        return self._begin_us + number * 1_000_000

    def frame(self, number: int) -> bytes:
        at = datetime.fromtimestamp(self.time_us(number) / 1e6, UTC) + timedelta(hours=8)
        cp = f"DataTime={at.strftime('%Y%m%d%H%M%S')};a34004-Rtd={number}"
        return hj212_frame(cp, mn=self._mn, qn=f"{number:017d}")

    def answered(self, data: bytes) -> list[int]:
        return [
            int(piece.raw.split(b"QN=", 1)[1].split(b";", 1)[0][:17])
            for piece in self._decoder.feed(data)
            if isinstance(piece, Report) and piece.said is Said.ANSWER and b"CN=9014" in piece.raw
        ]


class Sl651Dialect:
    """Added reports (33) of the stage with a number a minute from `begin_us` on; the serial is the number, the answer echoes it."""

    def __init__(self, station: str, begin_us: int, *, password: str = SL651_PASSWORD) -> None:
        self._station, self._begin_us, self._password = station, begin_us // 60_000_000 * 60_000_000, password
        self.begin()

    def begin(self) -> None:
        self._buffer = b""

    def time_us(self, number: int) -> int:
        return self._begin_us + number * 60_000_000

    def frame(self, number: int) -> bytes:
        at_us = self.time_us(number)
        body = number.to_bytes(2) + sl651.bcd_time(at_us, seconds=True)
        body += (
            b"\xf1\xf1" + bytes.fromhex(self._station) + b"\x48" + b"\xf0\xf0" + sl651.bcd_time(at_us, seconds=False)
        )
        body += sl651.element("39", 1 + number / 1000, digits=7, decimals=3)
        return sl651.encode(
            sl651.Frame(
                up=True,
                centre=1,
                station=self._station,
                password=self._password,
                function=0x33,
                body=body,
                end=sl651.ETX,
            )
        )

    def answered(self, data: bytes) -> list[int]:
        self._buffer += data
        numbers = []
        while len(self._buffer) >= sl651.HEAD:
            try:
                frame = sl651.open_frame(self._buffer)
            except sl651.WrongFrame:
                break  # its end is still to come
            self._buffer = self._buffer[frame.size :]
            if frame.end == sl651.EOT and frame.function == 0x33:
                numbers.append(int.from_bytes(frame.body[:2]))
        return numbers


def jt808_position(at_us: int, *, speed: int = 0, alarm: int = 0, status: int = jt808.FIXED) -> bytes:
    """Body of a position (0200) at 28.68 N 121.44 E, 32 m, towards 198 degrees; speed in tenths of km/h."""
    at = datetime.fromtimestamp(at_us / 1e6, UTC) + timedelta(hours=8)
    numbers = (alarm, 4), (status, 4), (28_680_000, 4), (121_440_000, 4), (32, 2), (speed, 2), (198, 2)
    return b"".join(number.to_bytes(size) for number, size in numbers) + bytes.fromhex(at.strftime("%y%m%d%H%M%S"))


class Jt808Dialect:
    """Positions with a number a second from `begin_us` on, in tenths of km/h and as the serial; each connection begins with the code."""

    def __init__(self, phone: str, code: str, begin_us: int = LEKIMA_US) -> None:
        self._phone, self._code, self._begin_us = phone, code, begin_us
        self.begin()

    def begin(self) -> None:
        self._buffer = b""
        self._shown = False

    def time_us(self, number: int) -> int:
        return self._begin_us + number * 1_000_000

    def frame(self, number: int) -> bytes:
        login = b"" if self._shown else jt808.encode(jt808.AUTH, self._phone, 0xFFFF, self._code.encode())
        self._shown = True
        body = jt808_position(self.time_us(number), speed=number)
        return login + jt808.encode(jt808.LOCATION, self._phone, number, body)

    def answered(self, data: bytes) -> list[int]:
        *whole, self._buffer = (self._buffer + data).split(jt808.FLAG)
        frames = [jt808.open_frame(jt808.FLAG + one + jt808.FLAG) for one in whole if one]
        good = jt808.LOCATION.to_bytes(2) + bytes([jt808.SUCCESS])
        return [int.from_bytes(frame.body[:2]) for frame in frames if frame.body[2:] == good]


class DialInStation(threading.Thread):
    """Sends `frames` readings and repeats each until it was answered, over as many connections as it takes: a data logger.

    `pace_s`: the seconds between two readings; 0: all are there at once.
    """

    def __init__(
        self, address: tuple[str, int], dialect: Dialect, frames: int, *, pace_s: float = 0.0, timeout_s: float = 2.0
    ) -> None:
        super().__init__(name="station")
        self._address, self.dialect, self._timeout_s = address, dialect, timeout_s
        self._waiting = list(range(frames))
        self._pace_s, self._began_s = pace_s, time.monotonic()
        self.shown: set[int] = set()  # sent at least once
        self.answered: set[int] = set()
        self.dialled = 0
        self.stop = threading.Event()

    def run(self) -> None:
        self._began_s = time.monotonic()
        while self._waiting and not self.stop.is_set():
            try:
                with socket.create_connection(self._address, timeout=self._timeout_s) as line:
                    self.dialled += 1
                    self.dialect.begin()
                    self._talk(line)
            except OSError:
                time.sleep(0.05)

    def _talk(self, line: socket.socket) -> None:
        while self._waiting and not self.stop.is_set():
            window = self._due()
            if not window:
                time.sleep(0.05)
                continue
            self.shown.update(window)
            line.sendall(b"".join(self.dialect.frame(number) for number in window))
            open_frames = set(window)
            while open_frames:
                data = line.recv(4096)
                if not data:
                    return
                for number in self.dialect.answered(data):
                    open_frames.discard(number)
                    self.answered.add(number)
                    if number in self._waiting:
                        self._waiting.remove(number)

    def _due(self) -> list[int]:
        if not self._pace_s:
            return self._waiting[:WINDOW]
        so_far = (time.monotonic() - self._began_s) / self._pace_s
        return [number for number in self._waiting[:WINDOW] if number <= so_far]
