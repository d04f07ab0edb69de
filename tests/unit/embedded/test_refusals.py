"""Meaning of the broker's log lines (captured from Mosquitto 2.0.11)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.embedded.refusals import Refusal, RefusalReader, RefusalReason

AT = "2026-11-21T07:20:10: "
CONNECTED = AT + "New client connected from 127.0.0.1:41864 as auto-9BB7 (p5, c1, k60, u'g1').\n"
DENIED = AT + "Denied PUBLISH from auto-9BB7 (d0, q1, r0, m1, 'cb/v1/demo/g2/up/telemetry', ... (12 bytes))\n"
OVERSIZE = AT + "Client auto-9BB7 disconnected due to oversize packet.\n"
UNAUTHORISED = AT + "Client <unknown> disconnected, not authorised.\n"
GOOD = AT + "Received PUBLISH from auto-9BB7 (d0, q1, r0, m1, 'cb/v1/demo/g1/up/telemetry', ... (1 bytes))\n"
ALL = CONNECTED + GOOD + DENIED + OVERSIZE + UNAUTHORISED
MEANT = [
    Refusal(reason=RefusalReason.FOREIGN_TOPIC, username="g1", topic="cb/v1/demo/g2/up/telemetry", size_bytes=12),
    Refusal(reason=RefusalReason.TOO_LARGE, username="g1"),
    Refusal(reason=RefusalReason.NOT_AUTHORISED, username=""),
]


def test_each_refusal_names_the_device_that_logged_in(tmp_path: Path) -> None:
    log = tmp_path / "mosquitto.log"
    log.write_text(ALL)
    reader = RefusalReader(log)
    assert reader.poll() == MEANT
    assert reader.poll() == []


def test_no_log_yet_means_no_refusal(tmp_path: Path) -> None:
    assert RefusalReader(tmp_path / "absent").poll() == []


@given(cut=st.integers(0, len(ALL)))
def test_a_line_that_was_half_written_is_read_whole_later(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = folder / "mosquitto.log"
    log.write_text(ALL[:cut])
    reader = RefusalReader(log)
    before = reader.poll()
    with log.open("a") as stream:
        stream.write(ALL[cut:])
    assert before + reader.poll() == MEANT


def test_the_log_is_cut_back_and_reading_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "mosquitto.log"
    log.write_text(CONNECTED + GOOD * 100)
    reader = RefusalReader(log, cut_at_bytes=1000)
    assert reader.poll() == []
    assert log.stat().st_size == 0
    with log.open("a") as stream:
        stream.write(DENIED)
    assert reader.poll() == MEANT[:1]


def test_a_log_that_someone_else_cut_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "mosquitto.log"
    log.write_text(CONNECTED + GOOD)
    reader = RefusalReader(log)
    reader.poll()
    log.write_text(DENIED)
    assert reader.poll() == MEANT[:1]
