"""The latest values of the live picture: batches are taken by column, whoever asks sees each row's effect."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import gauge, registry_of, series
from command_center.picture import DEVICE_SCHEMA
from command_center.picture_devices import DeviceBoard
from gis.hub import Hub
from stream.records import RETOLD, EventBody, ObsBatch

STREAMS = [series(1), series(2, prop="battery_v"), series(3, prop="state_text", kind="text"), series(4, "g2")]
UNKNOWN = 9
DEVICES = [gauge("g1"), gauge("g2")]
AT = LEKIMA_US

ROWS = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 4, UNKNOWN]), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=12
)


def board() -> DeviceBoard:
    return DeviceBoard(registry_of(DEVICES, STREAMS), Hub(epoch="e").state("obj/device", DEVICE_SCHEMA))


def batch(rows: list[tuple[int, int, int]], source: int = 1) -> ObsBatch:
    texts = [f"w{value}" if number == 3 else None for number, _, value in rows]
    columns: dict[str, Any] = {
        "partition": [0] * len(rows),
        "datastream": [number for number, _, _ in rows],
        "phenomenon_us": [AT + time for _, time, _ in rows],
        "receive_us": [AT] * len(rows),
        "result": [None if number == 3 else float(value) for number, _, value in rows],
        "text": texts,
        "quality": [1 + value % 4 for _, _, value in rows],
        "source": [source] * len(rows),
    }
    return ObsBatch.from_columns(columns)


@given(batches=st.lists(st.tuples(ROWS, st.booleans()), min_size=1, max_size=6))
def test_of_each_series_the_newest_row_counts_and_of_equals_the_later(
    batches: list[tuple[list[tuple[int, int, int]], bool]],
) -> None:
    seen, expected, heard = board(), dict[int, tuple[int, Any, int]](), dict[str, int]()
    for number, (rows, asked) in enumerate(batches):
        seen.observations(batch(rows), AT + number)
        for stream, time, value in rows:
            if stream != UNKNOWN and time >= expected.get(stream, (-1, 0, 0))[0]:
                expected[stream] = (time, f"w{value}" if stream == 3 else float(value), 1 + value % 4)
            if stream != UNKNOWN:
                heard["g2" if stream == 4 else "g1"] = AT + number
        if asked:
            seen.status_of("g1")
    told = {(s.device_id, s.property): s.datastream for s in STREAMS}
    latest = {
        told[device, prop]: tuple(found) for device in ("g1", "g2") for prop, found in seen.latest_of(device).items()
    }
    assert latest == {stream: (value, quality, AT + time) for stream, (time, value, quality) in expected.items()}
    assert {device: live.seen_us for device, live in seen.live.items()} == heard


def test_a_device_that_says_goodbye_after_its_values_is_offline_and_before_them_it_is_not() -> None:
    seen = board()
    gone = EventBody(type="device_state", device_id="g1", receive_us=AT, data={"online": False})
    seen.observations(batch([(1, 0, 1)]), AT)
    seen.event(gone, AT)
    assert seen.status_of("g1") == "offline"
    seen.observations(batch([(1, 1, 1)]), AT + 1)
    assert seen.status_of("g1") == "online"


def test_what_a_person_puts_in_brings_nobody_back_also_between_live_rows_that_were_told_before() -> None:
    seen = board()
    seen.observations(batch([(1, 0, 1)]), AT)
    assert seen.status_of("g1") == "online"
    gone = EventBody(type="device_state", device_id="g1", receive_us=AT, data={"online": False})
    seen.event(gone, AT)
    seen.observations(batch([(1, 1, 7), (2, 0, 3)], RETOLD), AT + 1)
    assert seen.status_of("g1") == "offline"
    assert seen.live["g1"].seen_us == AT
    assert seen.latest_of("g1")["stage_m"][0] == 7.0
