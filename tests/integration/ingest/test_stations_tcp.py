"""Stations over real TCP: answers after the fsync, who is let in, who is turned away, and kill -9 in the middle of it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from citybrain_testing.clocks import LEKIMA_US, RunningClock
from citybrain_testing.forgetful_disk import ForgetfulDisk
from citybrain_testing.logged import all_records, events_of, registry_of, rows_of
from citybrain_testing.servers import free_port, private_mosquitto
from citybrain_testing.stations import (
    Dialect,
    DialInStation,
    Hj212Dialect,
    Jt808Dialect,
    hj212_device,
    hj212_frame,
    jt808_position,
    local,
)
from devices.codecs import gb26875, jt808
from devices.models import load_models
from devices.registry import Datastream, Device, Registry
from devices.stations import StationIndex, sealed
from ingest import tcp_in
from ingest.doors import Listener
from ingest.pipeline import Link, Pipeline
from ingest.tcp_in import TcpInput
from stream.reader import LogReader
from stream.registry_cache import save_registry
from stream.writer import LogWriter

ROOT = Path(__file__).resolve().parents[3]
GOOD = f"DataTime={local()};a34004-Rtd=35.2,a34004-Flag=N"
WAIT_S = 40.0
PHONE, TERMINAL = "013306139197", "ABC1234"


def registry(**fields: Any) -> Registry:
    devices = [
        hj212_device("dust-1", "MN1", **fields),
        hj212_device("dust-2", "MN2"),
        hj212_device("far", "MN3", allow=["10.9.0.0/16"]),
        Device(
            device_id="fire-1",
            model="fire-alarm-unit-v1",
            kind="fire_alarm_unit",
            name="fire-1",
            lon=121.4,
            lat=28.7,
            attributes={"stations": {"gb26875": {"station": "000000000379"}}},
        ),
        sealed(
            Device(
                device_id="truck-1",
                model="hazmat-vehicle-v1",
                kind="hazmat_vehicle",
                name="truck-1",
                lon=121.4,
                lat=28.7,
                attributes={"stations": {"jt808": {"station": PHONE, "password": TERMINAL}}},
            )
        ),
    ]
    streams = [
        Datastream(datastream=n, device_id=d.device_id, property="pm25_ug_m3", uom="ug/m3")
        for n, d in enumerate(devices, 1)
    ]
    streams.append(Datastream(datastream=9, device_id="truck-1", property="speed_km_h", uom="km/h"))
    return registry_of(devices, streams)


@dataclass
class Door:
    """Listener, pipeline and log, as the service joins them."""

    tcp: TcpInput
    writer: LogWriter
    pipeline: Pipeline
    held: asyncio.Event  # clear: nothing is made durable
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        return self.tcp.addresses[0][1:]

    async def pump(self) -> None:
        while True:
            frames = await self.tcp.receive(100, 0.0)
            outcome = self.pipeline.process(frames, Link(machine_s=time.monotonic()))
            await self.held.wait()
            await self.writer.append_async(outcome.records)
            self.tcp.send(outcome.replies)

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address)


@asynccontextmanager
async def door(
    tmp_path: Path, *, networks: str = "127.0.0.0/8", codec: str = "hj212", **patience: float
) -> AsyncIterator[Door]:
    clock, known = RunningClock(LEKIMA_US), registry()
    with LogWriter(tmp_path / "log", clock) as writer:
        held = asyncio.Event()
        held.set()
        notes: list[tuple[str, dict[str, Any]]] = []
        connected: list[str] = []

        async def note(device: str, data: dict[str, Any]) -> None:
            notes.append((device, data))

        tcp = TcpInput(
            tenant="demo",
            listeners=[Listener(codec=codec, host="127.0.0.1", port=0)],
            networks=[ipaddress.ip_network(networks)],
            index=StationIndex(known),
            clock=clock,
            note=note,
            connected=connected.append,
            **patience,
        )
        opened = Door(tcp, writer, Pipeline("demo", known, load_models()), held, notes, connected)
        tasks = [asyncio.create_task(tcp.run()), asyncio.create_task(opened.pump())]
        try:
            await tcp.listening.wait()
            yield opened
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def logged(tmp_path: Path) -> list[tuple[int, float]]:
    return [(row["datastream"], row["result"]) for row in rows_of(all_records(tmp_path / "log"))]


def reasons(tmp_path: Path) -> list[tuple[str, str]]:
    letters = events_of(all_records(tmp_path / "log"), "dead_letter")
    return [(letter.device_id, str(letter.data["reason"])) for letter in letters]


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has ended the connection."""
    async with asyncio.timeout(5):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


def run(scenario: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), WAIT_S))


def test_a_frame_is_answered_once_it_is_on_disk_and_not_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(tmp_path) as opened:
            opened.held.clear()
            reader, writer = await opened.dial()
            frame = hj212_frame(GOOD, mn="MN1")
            writer.write(frame[:50])
            await writer.drain()
            writer.write(frame[50:])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(10), 0.3)
            assert logged(tmp_path) == []
            opened.held.set()
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
            assert b"ST=91;CN=9014;" in answer
            assert logged(tmp_path) == [(1, 35.2)]
            assert opened.connected == ["dust-1"]
            writer.close()

    run(scenario)


def test_a_fire_is_confirmed_once_it_is_on_disk(tmp_path: Path) -> None:
    """GB/T 26875.3: command 3 with the frame's serial number, after the fsync; a frame in two pieces."""
    item = bytes([1, 1, 40]) + (3).to_bytes(4, "little") + (0b10).to_bytes(2, "little") + b"\0" * 31
    data = bytes([2, 1]) + item + gb26875.time_tag(LEKIMA_US)
    wanted = {"source": "000000000379", "destination": "0" * 12, "version": 0x0101, "time": gb26875.time_tag(LEKIMA_US)}
    sent = gb26875.encode(gb26875.Frame(serial=9, command=gb26875.DATA, data=data, **wanted))

    async def scenario() -> None:
        async with door(tmp_path, codec="gb26875") as opened:
            opened.held.clear()
            reader, writer = await opened.dial()
            writer.write(sent[:20])
            await writer.drain()
            writer.write(sent[20:])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(10), 0.3)
            opened.held.set()
            answer = gb26875.open_frame(await asyncio.wait_for(reader.readuntil(b"##"), 5))
            assert (answer.command, answer.serial) == (gb26875.CONFIRM, 9)
            (fire,) = events_of(all_records(tmp_path / "log"), "device_event")
            assert (fire.device_id, fire.data["type"], fire.phenomenon_us) == ("fire-1", "fire_alarm", LEKIMA_US)
            writer.close()

    run(scenario)


def vehicle_frame(message_id: int, body: bytes = b"", serial: int = 1) -> bytes:
    return jt808.encode(message_id, PHONE, serial, body)


def vehicle_registration(terminal: str) -> bytes:
    return bytes(4) + b"maker" + bytes(20) + terminal.encode().ljust(7, b"\0") + b"\x01A12345"


async def heard(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Message and body of the platform's next frame."""
    await asyncio.wait_for(reader.readuntil(b"\x7e"), 5)
    frame = jt808.open_frame(b"\x7e" + await asyncio.wait_for(reader.readuntil(b"\x7e"), 5))
    return frame.message_id, frame.body


def test_a_vehicle_registers_shows_its_code_and_is_believed_from_then_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(tmp_path, codec="jt808") as opened:
            reader, writer = await opened.dial()
            writer.write(vehicle_frame(jt808.REGISTER, vehicle_registration(TERMINAL)))
            message_id, body = await heard(reader)
            assert (message_id, body[:3]) == (jt808.REGISTER_ANSWER, bytes.fromhex("0001 00"))
            assert opened.connected == [], "who asks for a code has not shown it"
            writer.write(vehicle_frame(jt808.AUTH, body[3:], 2))
            assert await heard(reader) == (jt808.PLATFORM_ANSWER, bytes.fromhex("0002 0102 00"))
            assert opened.connected == ["truck-1"]
            opened.held.clear()
            writer.write(
                vehicle_frame(jt808.LOCATION, jt808_position(LEKIMA_US, speed=366), 3)
                + vehicle_frame(jt808.HEARTBEAT, b"", 4)
            )
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(10), 0.3)
            opened.held.set()
            assert await heard(reader) == (jt808.PLATFORM_ANSWER, bytes.fromhex("0003 0200 00"))
            assert (9, 36.6) in logged(tmp_path)
            assert await heard(reader) == (jt808.PLATFORM_ANSWER, bytes.fromhex("0004 0002 00"))
            writer.close()

    run(scenario)
    assert reasons(tmp_path) == []


def test_nothing_of_a_session_is_believed_before_its_code_or_after_a_wrong_one(tmp_path: Path) -> None:
    def position(serial: int) -> bytes:
        return vehicle_frame(jt808.LOCATION, jt808_position(LEKIMA_US, speed=serial * 10), serial)

    async def scenario() -> None:
        async with door(tmp_path, codec="jt808") as opened:
            reader, writer = await opened.dial()
            writer.write(position(1) + vehicle_frame(jt808.REGISTER, vehicle_registration("GUESSED"), 2))
            writer.write(vehicle_frame(jt808.AUTH, b"of another platform", 3) + position(4))
            assert await heard(reader) == (jt808.PLATFORM_ANSWER, bytes.fromhex("0003 0102 01"))
            writer.write(vehicle_frame(jt808.AUTH, TERMINAL.encode(), 5) + position(6))
            assert await heard(reader) == (jt808.PLATFORM_ANSWER, bytes.fromhex("0005 0102 00"))
            assert await heard(reader) == (jt808.PLATFORM_ANSWER, bytes.fromhex("0006 0200 00"))
            writer.write(vehicle_frame(jt808.AUTH, b"wrong", 7) + position(8))
            assert await heard(reader) == (jt808.PLATFORM_ANSWER, bytes.fromhex("0007 0102 01"))
            while len(reasons(tmp_path)) < 6:
                await asyncio.sleep(0.05)
            writer.close()

    run(scenario)
    assert [result for stream, result in logged(tmp_path) if stream == 9] == [6.0]
    station = f"jt808 station '{PHONE}': "
    wrong = "wrong code in 0102: expected that of its registration"
    assert reasons(tmp_path) == [
        ("truck-1", station + why)
        for why in (
            "expected its code first, got 0200",
            "wrong password: expected it as the terminal ID of 0100",
            wrong,
            "expected its code first, got 0200",
            wrong,
            "expected its code first, got 0200",
        )
    ]


def test_a_stranger_with_a_vehicles_number_does_not_end_its_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(tmp_path, codec="jt808") as opened:
            first, one = await opened.dial()
            one.write(vehicle_frame(jt808.AUTH, TERMINAL.encode()))
            await heard(first)
            second, two = await opened.dial()
            two.write(
                vehicle_frame(jt808.AUTH, b"wrong")
                + vehicle_frame(jt808.LOCATION, jt808_position(LEKIMA_US, speed=999), 2)
            )
            assert (await heard(second))[1][-1] == jt808.FAILURE
            one.write(vehicle_frame(jt808.LOCATION, jt808_position(LEKIMA_US, speed=100), 2))
            assert await heard(first) == (jt808.PLATFORM_ANSWER, bytes.fromhex("0002 0200 00"))
            assert opened.notes == []
            one.close()
            two.close()

    run(scenario)
    assert [result for stream, result in logged(tmp_path) if stream == 9] == [10.0]


def test_two_stations_do_not_get_each_others_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(tmp_path) as opened:
            lines = [await opened.dial() for _ in range(2)]
            for number, (_, writer) in enumerate(lines, 1):
                writer.write(hj212_frame(GOOD, mn=f"MN{number}"))
            for number, (reader, writer) in enumerate(lines, 1):
                assert f"MN=MN{number};".encode() in await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
                writer.close()

    run(scenario)


def test_what_is_wrong_on_a_line_is_told_and_costs_the_good_frames_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(tmp_path) as opened:
            reader, writer = await opened.dial()
            good = hj212_frame(GOOD, mn="MN1")
            writer.write(b"GET / HTTP/1.0\r\n\r\n" + hj212_frame(GOOD, mn="MN2", pw="999999") + good[:-8] + b"ZZ\r\n")
            writer.write(hj212_frame(GOOD, mn="MN3") + hj212_frame(GOOD, mn="NOBODY") + good)
            assert b"MN=MN1;" in await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
            writer.close()

    run(scenario)
    assert logged(tmp_path) == [(1, 35.2)]
    found = reasons(tmp_path)
    assert [device for device, _ in found] == ["tcp-hj212", "dust-2", "dust-1", "far", "tcp-hj212"]
    for (_, reason), says in zip(
        found,
        [
            "expected ## and four digits",
            "wrong password",
            "checksum",
            "came from 127.0.0.1, expected 10.9.0.0/16",
            "station 'NOBODY' is not registered",
        ],
        strict=True,
    ):
        assert says in reason


def test_an_address_that_is_taken_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_in, "LISTEN_AGAIN_S", 0.1)

    async def scenario() -> None:
        taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        tcp = TcpInput(
            tenant="demo",
            listeners=[Listener(codec="hj212", host="127.0.0.1", port=port)],
            networks=[],
            index=StationIndex(registry()),
            clock=RunningClock(LEKIMA_US),
            note=lambda device, data: asyncio.sleep(0),
            connected=lambda device: None,
        )
        running = asyncio.create_task(tcp.run())
        await asyncio.sleep(0.3)
        assert not running.done()
        assert not tcp.listening.is_set()
        taken.close()
        await taken.wait_closed()
        await tcp.listening.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(scenario)


def test_a_network_that_is_not_named_is_turned_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(tmp_path, networks="10.0.0.0/8") as opened:
            reader, writer = await opened.dial()
            assert await closed(reader)
            writer.close()

    run(scenario)


def test_a_second_session_of_a_station_ends_the_first_and_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(tmp_path) as opened:
            first, one = await opened.dial()
            one.write(hj212_frame(GOOD, mn="MN1"))
            await asyncio.wait_for(first.readuntil(b"\r\n"), 5)
            second, two = await opened.dial()
            two.write(hj212_frame(GOOD, mn="MN1"))
            await asyncio.wait_for(second.readuntil(b"\r\n"), 5)
            assert await closed(first)
            assert [(device, data["reason"]) for device, data in opened.notes] == [("dust-1", "duplicate_session")]
            one.close()
            two.close()

    run(scenario)


def test_a_wrong_password_does_not_end_the_real_stations_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(tmp_path) as opened:
            first, one = await opened.dial()
            one.write(hj212_frame(GOOD, mn="MN1"))
            await asyncio.wait_for(first.readuntil(b"\r\n"), 5)
            _, two = await opened.dial()
            two.write(hj212_frame(GOOD, mn="MN1", pw="000000"))
            two.write_eof()
            one.write(hj212_frame(GOOD.replace("35.2", "36.2"), mn="MN1"))
            await asyncio.wait_for(first.readuntil(b"\r\n"), 5)
            assert opened.notes == []
            one.close()
            two.close()

    run(scenario)


def test_a_peer_that_is_no_station_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_in, "REFUSED_MAX", 5)

    async def scenario() -> None:
        async with door(tmp_path, first_frame_s=0.3, idle_s=0.6) as opened:
            silent, one = await opened.dial()
            noisy, two = await opened.dial()
            for _ in range(20):
                two.write(b"noise")
                await asyncio.sleep(0.01)
            assert await closed(noisy)
            assert await closed(silent), "no frame in time"
            late, three = await opened.dial()
            three.write(hj212_frame(GOOD, mn="MN1"))
            await asyncio.wait_for(late.readuntil(b"\r\n"), 5)
            assert await closed(late), "silent for too long"
            for writer in (one, two, three):
                writer.close()

    run(scenario)


def kill_ingest_thrice(
    tmp_path: Path,
    frames: int,
    disk: ForgetfulDisk | None = None,
    *,
    codec: str = "hj212",
    dialects: Sequence[Dialect] = (),
) -> list[DialInStation]:
    """Stations (two of HJ 212 if not told) that dial in to an ingest process which is killed three times; over, when each has had its
    answers or gave up."""
    port = free_port()
    with LogReader(tmp_path / "log") as reader:
        save_registry(reader, registry(), 0)
    with private_mosquitto(accounts={}) as broker:
        access = {"host": broker.host, "port": broker.port, "username": "service.ingest"}
        document = {
            "city_us": LEKIMA_US,
            "directory": str(tmp_path / "log"),
            "tenant": broker.tenant,
            "broker": {**access, "password": broker.password("service.ingest")},
            "subscribed": str(tmp_path / "subscribed"),
            "stations": [{"codec": codec, "host": "127.0.0.1", "port": port}],
        }
        (tmp_path / "settings.json").write_text(json.dumps(document))
        command = [sys.executable, "-m", "citybrain_testing.ingest_until_killed", str(tmp_path / "settings.json")]
        environment = disk.environment() if disk else None
        speaking = dialects or [Hj212Dialect(f"MN{n}") for n in (1, 2)]
        stations = [DialInStation(("127.0.0.1", port), dialect, frames) for dialect in speaking]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)

        process = start()
        for station in stations:
            station.start()
        for after_s in (0.3, 0.1, 0.2):
            before, deadline = [len(station.answered) for station in stations], time.monotonic() + WAIT_S
            while [len(station.answered) for station in stations] == before and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(after_s)
            process.kill()
            process.wait()
            if disk:
                disk.forget()
            process = start()
        for station in stations:
            station.join(WAIT_S)
            station.stop.set()
        process.kill()
        process.wait()
        if disk:
            disk.forget()
    return stations


def in_the_log(tmp_path: Path) -> dict[int, set[float]]:
    found: dict[int, set[float]] = {}
    for row in rows_of(all_records(tmp_path / "log")):
        found.setdefault(row["datastream"], set()).add(row["result"])
    return found


@pytest.mark.broker
def test_every_answered_frame_is_in_the_log_after_kill_9_of_ingest(tmp_path: Path) -> None:
    frames = 3_000
    stations = kill_ingest_thrice(tmp_path, frames)
    assert [len(station.answered) for station in stations] == [frames, frames]
    assert all(station.dialled >= 3 for station in stations), "the kills were in the middle"
    assert in_the_log(tmp_path) == {n: {float(i) for i in range(frames)} for n in (1, 2)}


@pytest.mark.broker
def test_every_answered_position_is_in_the_log_after_kill_9_of_ingest(tmp_path: Path) -> None:
    """A vehicle shows its code again in each connection, and what it was not answered for it sends again."""
    frames = 1_500
    (vehicle,) = kill_ingest_thrice(tmp_path, frames, codec="jt808", dialects=[Jt808Dialect(PHONE, TERMINAL)])
    assert len(vehicle.answered) == frames
    assert vehicle.dialled >= 3, "the kills were in the middle"
    assert in_the_log(tmp_path) == {9: {i / 10 for i in range(frames)}}


@pytest.mark.compiler
@pytest.mark.broker
def test_every_answered_frame_is_in_the_log_when_the_disk_forgets_what_was_not_fsynced(tmp_path: Path) -> None:
    frames = 3_000
    disk = ForgetfulDisk(tmp_path / "log", tmp_path)
    stations = kill_ingest_thrice(tmp_path, frames, disk)
    assert [len(station.answered) for station in stations] == [frames, frames]
    assert all(station.dialled >= 3 for station in stations), "the kills were in the middle"
    assert in_the_log(tmp_path) == {n: {float(i) for i in range(frames)} for n in (1, 2)}


@pytest.mark.compiler
@pytest.mark.broker
def test_a_disk_that_lies_about_fsync_loses_answered_frames(tmp_path: Path) -> None:
    """The control of the test above: were an answer sent without an fsync, it would be seen."""
    disk = ForgetfulDisk(tmp_path / "log", tmp_path, lies=True)
    stations = kill_ingest_thrice(tmp_path, 3_000, disk)
    kept = {1: set[float](), 2: set[float]()} | in_the_log(tmp_path)
    assert any(float(i) not in kept[n] for n, station in enumerate(stations, 1) for i in station.answered)
