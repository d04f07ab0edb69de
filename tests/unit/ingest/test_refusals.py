"""The broker's log, as Mosquitto 2.0.11 really writes it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from citybrain_testing.clocks import ManualClock
from citybrain_testing.logged import gauge, registry_of
from ingest.refusals import LogTail, Refusal, RefusalParser, RefusalService
from stream.records import EventBody, NewRecord

# Captured from mosquitto 2.0.11 (Debian 12), log_type error warning notice information debug.
CAPTURED = b"""\
2026-11-21T07:25:23: New connection from 127.0.0.1:45582 on port 18992.
2026-11-21T07:25:23: New client connected from 127.0.0.1:45582 as cid1 (p2, c1, k60, u'dev1').
2026-11-21T07:25:23: No will message specified.
2026-11-21T07:25:23: Sending CONNACK to cid1 (0, 0)
2026-11-21T07:25:23: Denied PUBLISH from cid1 (d0, q1, r0, m1, 'cb/v1/t/dev2/up/telemetry', ... (1 bytes))
2026-11-21T07:25:23: Sending PUBACK to cid1 (m1, rc135)
2026-11-21T07:25:23: New client connected from 127.0.0.1:45584 as cid2 (p2, c1, k60, u'dev1').
2026-11-21T07:25:23: Client cid2 disconnected due to oversize packet.
2026-11-21T07:25:23: Received PUBLISH from dev1 (d0, q1, r0, m1, 'cb/v1/t/dev1/up/telemetry', ... (1 bytes))
2026-11-21T07:25:23: Sending CONNACK to 127.0.0.1 (0, 5)
2026-11-21T07:25:23: Client <unknown> disconnected, not authorised.
"""


def test_each_refusal_is_found_and_the_client_id_becomes_a_device() -> None:
    found = RefusalParser().parse(CAPTURED)
    assert [(r.reason, r.username, r.client_id, r.topic) for r in found] == [
        ("acl_denied", "dev1", "cid1", "cb/v1/t/dev2/up/telemetry"),
        ("packet_too_large", "dev1", "cid2", ""),
        ("login_refused", "", "<unknown>", ""),
    ]


def service(path: Path) -> RefusalService:
    async def append(records: list[NewRecord]) -> None: ...

    return RefusalService(path, ManualClock(), registry_of([gauge("dev1")], []), append)


def test_refusals_are_counted_for_each_device_and_reason(tmp_path: Path) -> None:
    denied = Refusal(reason="acl_denied", username="dev1", client_id="cid1", topic="a", detail="d")
    stranger = Refusal(reason="acl_denied", username="ghost", client_id="x", topic="a", detail="d")
    records = service(tmp_path / "none").records([denied, stranger, denied])
    bodies = [msgspec.json.decode(record.body, type=EventBody) for record in records]
    assert [(b.type, b.device_id, b.data["count"]) for b in bodies] == [("refusal", "dev1", 2), ("refusal", "", 1)]


def test_the_tail_gives_whole_lines_once_and_survives_a_cut_and_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "mosquitto.log"
    tail = LogTail(path, trim_bytes=20)
    assert tail.read() == b""
    with path.open("ab") as file:
        file.write(b"one\ntw")
        file.flush()
        assert tail.read() == b"one\n"
        file.write(b"o\n")
        file.flush()
        assert tail.read() == b"two\n"
        file.write(b"a line that is long enough\n")
        file.flush()
        assert tail.read() == b"a line that is long enough\n"
        assert path.stat().st_size == 0  # read to its end and longer than the bound: cut
        file.write(b"after\n")
        file.flush()
        assert tail.read() == b"after\n"
    path.rename(tmp_path / "mosquitto.log.1")
    path.write_bytes(b"new file\n")
    assert tail.read() == b"new file\n"
    assert tail.read() == b""
