"""Instruments, bulletins, ways, load schedules: the pure parts of those who act."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hazards.bulletins import Bulletin
from simulators.district import generate
from simulators.ledger import Entry, Ledger, read_ledger
from simulators.load import schedule
from simulators.met import bulletin
from simulators.mqtt_light import _length, connect_packet, publish_packet
from simulators.scenario import load
from simulators.sensors import Instrument
from simulators.units import Way
from simulators.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return World(load("lekima-night"), generate())


def test_two_instruments_with_one_seed_read_the_same(world: World) -> None:
    device = next(d for d in world.district.devices() if d.device_id == "wg-renmin")
    at_us = world.scenario.start_us + 3_600_000_000
    one, two = Instrument(device, world, 5), Instrument(device, world, 5)
    assert [one.read(at_us + k) for k in range(5)] == [two.read(at_us + k) for k in range(5)]
    assert one.read(at_us)["stage_m"] == pytest.approx(float(world.value("wg-renmin", "stage_m", at_us)), abs=0.05)


def test_every_device_reads_only_properties_of_its_model(world: World) -> None:
    from devices.models import load_models

    models = load_models()
    for device in world.district.devices():
        read = Instrument(device, world, 1).read(world.scenario.start_us)
        known = models[device.model].properties
        assert set(read) <= set(known), device.device_id
        assert read


def test_sampling_moments_go_on_without_gap_or_repeat(world: World) -> None:
    for device in world.district.devices()[::7]:
        instrument = Instrument(device, world, 1)
        moments = [instrument.next_sample_us(world.scenario.start_us)]
        for _ in range(5):
            moments.append(instrument.next_sample_us(moments[-1]))
        steps = {b - a for a, b in pairwise(moments)}
        assert len(steps) == 1
        assert world.scenario.start_us < moments[0] <= world.scenario.start_us + steps.pop()


def test_bulletins_have_the_shape_that_the_hazard_room_reads(world: World) -> None:
    for index in range(len(world.scenario.typhoon.bulletin_hours)):
        issued = msgspec.convert(bulletin(world.scenario, world.storm, index), Bulletin)
        assert issued.number == world.scenario.typhoon.first_number + index
        assert "演示用后报" in issued.text_zh
        assert all(p.analysis == (p.time_us <= issued.issued_us) for p in issued.track)
        assert any(not p.analysis for p in issued.track)
        assert [p.time_us for p in issued.track] == sorted(p.time_us for p in issued.track)


points = st.tuples(st.floats(121.2, 121.7), st.floats(28.5, 28.9))


@given(st.lists(points, min_size=2, max_size=12), st.floats(0, 1))
def test_a_way_starts_at_its_start_and_ends_at_its_end(line: list[tuple[float, float]], share: float) -> None:
    way = Way(line)
    assert way.at(way.length_m + 10.0)[0] == line[-1]
    (lon, lat), heading = way.at(way.length_m * share)
    assert 121.19 < lon < 121.71
    assert 28.49 < lat < 28.91
    assert 0 <= heading <= 360


def test_a_schedule_keeps_its_rate_and_puts_alarms_at_random_phases() -> None:
    slots = schedule(1_000, 500.0, 30.0, 200, 5.0, seed=3)
    assert len(slots) == pytest.approx(15_000, rel=0.03)
    assert [s.at_s for s in slots] == sorted(s.at_s for s in slots)
    first_alarm: dict[int, float] = {}
    for slot in slots:
        if slot.alarm:
            first_alarm.setdefault(slot.device, slot.at_s)
    assert len(first_alarm) == 200
    assert min(first_alarm.values()) >= 5.0
    assert slots == schedule(1_000, 500.0, 30.0, 200, 5.0, seed=3)


def test_a_schedule_refuses_more_than_one_message_per_device_and_second() -> None:
    with pytest.raises(ValueError, match="more than one message"):
        schedule(10, 11.0, 5.0, 1, 0.0, seed=1)
    with pytest.raises(ValueError, match="alarms need"):
        schedule(10, 5.0, 5.0, 11, 0.0, seed=1)


@given(st.integers(0, 268_435_455))
def test_a_remaining_length_reads_back(size: int) -> None:
    value, shift = 0, 0
    for byte in _length(size):
        value |= (byte & 0x7F) << shift
        shift += 7
    assert value == size


def test_packets_are_those_of_the_specification() -> None:
    # MQTT 3.1.1, sections 3.1 and 3.3: protocol name, level 4, user name + password + clean session, keep alive 600 s.
    assert connect_packet("d", "u", "p") == b"\x10\x13\x00\x04MQTT\x04\xc2\x02\x58\x00\x01d\x00\x01u\x00\x01p"
    assert publish_packet("a/b", b"x", 10) == b"\x32\x08\x00\x03a/b\x00\x0ax"


def test_a_ledger_survives_being_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    entry = Entry(device_id="wg-1", seq=7, ts_ms=1_565_355_600_000, keys=["stage_m"])
    with Ledger(path) as ledger:
        ledger.confirm(entry)
        assert ledger.confirmed == 1
    with path.open("ab") as file:
        file.write(b'{"device_id":"wg-1","se')
    assert list(read_ledger(path)) == [entry]
