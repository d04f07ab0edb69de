"""Stations of a test: HJ 212 devices in the register, their frames, and one that dials in and resends until it is answered."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from citybrain_testing.clocks import LEKIMA_US
from devices.codecs.hj212 import Frame, Hj212Decoder, encode
from devices.codecs.station import Report, Said
from devices.models import load_models
from devices.registry import Device
from devices.stations import sealed

PASSWORD = "123456"  # noqa: S105 - of stations that do not exist
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


class DialInStation(threading.Thread):
    """Sends `frames` readings, one for each second, and repeats each until it was answered (9014): what a data logger does."""

    def __init__(self, address: tuple[str, int], mn: str, frames: int, *, timeout_s: float = 2.0) -> None:
        super().__init__(name=mn)
        self._address, self._mn, self._timeout_s = address, mn, timeout_s
        self._waiting = list(range(frames))
        self.answered: set[int] = set()
        self.dialled = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while self._waiting and not self.stop.is_set():
            try:
                with socket.create_connection(self._address, timeout=self._timeout_s) as line:
                    self.dialled += 1
                    self._talk(line)
            except OSError:
                time.sleep(0.05)

    def _talk(self, line: socket.socket) -> None:
        decoder = Hj212Decoder()
        while self._waiting and not self.stop.is_set():
            window = self._waiting[:WINDOW]
            line.sendall(b"".join(self._frame(number) for number in window))
            open_frames = set(window)
            while open_frames:
                data = line.recv(4096)
                if not data:
                    return
                for piece in decoder.feed(data):
                    if isinstance(piece, Report) and piece.said is Said.ANSWER and b"CN=9014" in piece.raw:
                        number = int(piece.raw.split(b"QN=", 1)[1].split(b";", 1)[0][:17])
                        open_frames.discard(number)
                        self.answered.add(number)
                        if number in self._waiting:
                            self._waiting.remove(number)

    def _frame(self, number: int) -> bytes:
        cp = f"DataTime={local(number)};a34004-Rtd={number}"
        return hj212_frame(cp, mn=self._mn, qn=f"{number:017d}")
