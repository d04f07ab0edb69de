"""Pushes to the real role `ingest` over real HTTP: what was answered 200 is in the log whatever kills the role, and who is turned away."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from citybrain_testing.logged import all_records, events_of, gauge, registry_of, rows_of, series
from citybrain_testing.servers import free_port
from devices.registry import Device
from runtime.context import clear_ready, ready_path
from runtime.push_door import set_secret
from runtime.settings import Settings, check, save
from runtime.tls import ensure_certificates
from runtime.up import start_clock
from stream.reader import LogReader
from stream.registry_cache import save_registry

WAIT_S = 30.0
SENDERS, MESSAGES = 4, 250
KILLS_AFTER_S = (0.5, 0.3, 0.7)
SOURCES = """
sources:
  - {name: aep, form: ctwing, device: gw, allow: [127.0.0.0/8]}
  - {name: far, form: ctwing, device: gw, allow: [192.0.2.0/24]}
  - {name: iotda, form: huawei, device: gw}
"""


class Role:
    """Role `ingest` as a process of its own, on a data directory made for it. Its broker is nowhere: pushes do not need one."""

    def __init__(self, folder: Path, *, scheme: str = "http", sources: str = SOURCES) -> None:
        port = free_port()
        document = folder / "sources.yaml"
        document.write_text(sources)
        settings = Settings(
            data_dir=folder / "data",
            tenant="demo",
            tenant_kind="test",
            broker="mqtt://127.0.0.1",
            broker_port=free_port(),
            push_listen=f"{scheme}://127.0.0.1:{port}",
            push_sources=str(document),
        )
        self.settings, self.url = check(settings), f"{scheme}://127.0.0.1:{port}"
        for directory in (settings.run_dir, settings.secrets_dir, settings.log_dir):
            directory.mkdir(parents=True)
        save(settings, settings.run_dir / "settings.json")
        start_clock(settings)
        with LogReader(settings.log_dir) as reader:
            save_registry(reader, registry_of([GATE, *GAUGES], [series(n, f"g{n}") for n in range(SENDERS)]), 0)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        clear_ready(self.settings.run_dir, "ingest")
        command = [sys.executable, "-m", "runtime", "worker", "ingest", "--data-dir", str(self.settings.data_dir)]
        with (self.settings.data_dir / "ingest.out").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        until(ready_path(self.settings.run_dir, "ingest").exists)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def output(self) -> bytes:
        return (self.settings.data_dir / "ingest.out").read_bytes()

    def records(self) -> list[Any]:
        return all_records(self.settings.log_dir)


GATE = Device(device_id="gw", model="gateway-v1", kind="gateway", name="gw", lon=121.4, lat=28.7)
GAUGES = [
    gauge(
        f"g{n}", gateway="gw", attributes={"stations": {"ctwing": {"station": f"d{n}"}, "huawei": {"station": f"d{n}"}}}
    )
    for n in range(SENDERS)
]


@contextmanager
def role(folder: Path, **options: Any) -> Iterator[Role]:
    made = Role(folder, **options)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def until(what: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def report(device: str, level: float, stamp_ms: int) -> bytes:
    document = {"messageType": "dataReport", "deviceId": device, "timestamp": stamp_ms, "payload": {"stage_m": level}}
    return json.dumps(document).encode()


class Platform(threading.Thread):
    """Pushes numbered readings as a platform does: again and again until the answer is 200."""

    def __init__(self, url: str, number: int, began_ms: int) -> None:
        super().__init__(name=f"platform-{number}")
        self._url, self._number, self._began_ms = url, number, began_ms
        self.answered: set[tuple[int, int]] = set()
        self.tries = 0

    def run(self) -> None:
        with httpx.Client(timeout=5.0) as client:
            for n in range(MESSAGES):
                stamp = self._began_ms + n
                body = report(f"d{self._number}", n / 100, stamp)
                deadline = time.monotonic() + WAIT_S
                while not self._posted(client, body) and time.monotonic() < deadline:
                    time.sleep(0.05)
                self.answered.add((self._number, stamp * 1000))

    def _posted(self, client: httpx.Client, body: bytes) -> bool:
        self.tries += 1
        try:
            return client.post(f"{self._url}/push/aep", content=body).status_code == 200
        except httpx.HTTPError:
            return False


def test_nothing_that_was_answered_is_missing_after_kill_9_of_the_role(tmp_path: Path) -> None:
    with role(tmp_path) as ingest:
        platforms = [Platform(ingest.url, n, time.time_ns() // 1_000_000 - 60_000) for n in range(SENDERS)]
        for platform in platforms:
            platform.start()
        missing: list[set[tuple[int, int]]] = []
        for after_s in KILLS_AFTER_S:
            time.sleep(after_s)
            ingest.kill()
            answered = {key for platform in platforms for key in set(platform.answered)}
            stored = {(row["datastream"], row["phenomenon_us"]) for row in rows_of(ingest.records())}
            missing.append(answered - stored)
            assert answered, "killed before anything was answered says nothing"
            ingest.start()
        for platform in platforms:
            platform.join(WAIT_S)
        keys = [(row["datastream"], row["phenomenon_us"]) for row in rows_of(ingest.records())]
    assert missing == [set()] * len(KILLS_AFTER_S)
    assert [len(platform.answered) for platform in platforms] == [MESSAGES] * SENDERS
    assert {key for platform in platforms for key in platform.answered} == set(keys)
    assert len(keys) == len(set(keys)), "what came again after a kill was known from the tail of the log"
    assert sum(platform.tries for platform in platforms) > SENDERS * MESSAGES, "the kills hit somebody"


def test_refusals_stand_in_the_log_and_bad_input_of_every_kind_leaves_the_door_open(tmp_path: Path) -> None:
    with role(tmp_path) as ingest, httpx.Client(base_url=ingest.url, timeout=10.0) as client:
        set_secret(ingest.settings, "iotda", "token-of-iotda-1")
        now_ms = time.time_ns() // 1_000_000
        asked = {
            "no secret yet": client.post("/push/iotda", content=b"{}").status_code,
            "unknown": client.post("/push/nobody", content=b"{}").status_code,
            "address": client.post("/push/far", content=b"{}").status_code,
            "large": client.post("/push/aep", content=b" " * 300_000).status_code,
            "method": client.get("/push/aep").status_code,
            "no json": client.post("/push/aep", content=b"\x00\xff").status_code,
            "stranger": client.post("/push/aep", content=report("nobody", 1.0, now_ms)).status_code,
            "good": client.post("/push/aep", content=report("d1", 1.0, now_ms)).status_code,
        }
        assert asked == {
            "no secret yet": 503,
            "unknown": 404,
            "address": 403,
            "large": 413,
            "method": 405,
            "no json": 200,
            "stranger": 200,
            "good": 200,
        }
        until(lambda: len(events_of(ingest.records(), "refusal")) >= 4)
        refusals = {event.data["reason"]: event.device_id for event in events_of(ingest.records(), "refusal")}
        assert refusals == {
            "push_unknown_source": "",
            "push_address": "gw",
            "push_too_large": "gw",
            "push_method": "gw",
        }
        letters = events_of(ingest.records(), "dead_letter")
        assert [(letter.device_id, letter.data["http"]) for letter in letters] == [("gw", True)] * 2
        assert [row["datastream"] for row in rows_of(ingest.records())] == [1]


def test_a_signed_push_over_tls(tmp_path: Path) -> None:
    made = Role(tmp_path, scheme="https")
    files = ensure_certificates(made.settings.data_dir, ["127.0.0.1"])
    token = set_secret(made.settings, "iotda")
    assert len(token) == 32, "the longest that IoTDA takes"
    try:
        made.start()
        now_s = time.time_ns() // 1_000_000_000
        stamp, nonce = str(now_s), "nonce-1"
        signed = hashlib.sha256("".join(sorted((token, stamp, nonce))).encode()).hexdigest()
        service = {"service_id": "Level", "properties": {"stage_m": 2.5}}
        pushed = {
            "resource": "device.property",
            "event": "report",
            "event_time": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s)),
            "notify_data": {"header": {"device_id": "d2"}, "body": {"services": [service]}},
        }
        headers = {"timestamp": stamp, "nonce": nonce, "signature": signed}
        with httpx.Client(verify=ssl.create_default_context(cafile=str(files.ca_pem)), timeout=10.0) as client:
            url = f"{made.url}/push/iotda"
            assert client.post(url, json=pushed, headers=headers).status_code == 200
            assert client.post(url, json=pushed, headers=headers).status_code == 200
            assert client.post(url, json=pushed | {"event": "x"}, headers=headers).status_code == 401
            assert client.post(url, json=pushed, headers=headers | {"signature": "0"}).status_code == 401
        notes = [note.data for note in events_of(made.records(), "ingest_note")]
        assert [note["values"] for note in notes if note["reason"] == "unregistered_keys"] == [
            {"huawei:Level.stage_m": 2.5}
        ]
    finally:
        made.kill()


def test_a_wrong_document_keeps_the_door_shut_and_the_role_alive(tmp_path: Path) -> None:
    with role(tmp_path, sources="sources: [{name: a, form: none, device: gw}]") as ingest:
        until(lambda: b"push_door_stays_shut" in ingest.output())
        assert ingest.alive
        assert ingest.records(), "it owns the log, and writes"


def test_an_address_that_is_taken_is_tried_again(tmp_path: Path) -> None:
    made = Role(tmp_path)
    try:
        with socket.create_server(("127.0.0.1", int(made.url.rpartition(":")[2]))):
            made.start()
            until(lambda: b"pushes_cannot_listen" in made.output())
            assert made.alive
        until(lambda: b"pushes_listen " in made.output() or b'"pushes_listen"' in made.output())
        answer = httpx.post(f"{made.url}/push/aep", content=report("d1", 1.0, time.time_ns() // 1_000_000))
        assert answer.status_code == 200
    finally:
        made.kill()
