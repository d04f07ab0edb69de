"""The programs of docs/samples while nobody confirms: a PUBACK alone is nothing, they send again until `down/ack` has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from citybrain_testing import samples
from citybrain_testing.ingesting import ingesting
from citybrain_testing.logged import all_records, events_of, gauge, registry_of, rows_of, series
from citybrain_testing.servers import PrivateMosquitto, private_mosquitto

pytestmark = [pytest.mark.broker, pytest.mark.compiler]

UNCONFIRMED_S = 2.5
END_S = 60.0


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateMosquitto]:
    with private_mosquitto(accounts={f"g-{language}": "pw" for language in samples.LANGUAGES}) as server:
        yield server


@pytest.mark.parametrize("language", samples.LANGUAGES)
def test_a_record_is_sent_again_until_it_is_confirmed(tmp_path: Path, broker: PrivateMosquitto, language: str) -> None:
    """Ingest has never been there: what was published before it came is lost at the broker, acknowledged as it was."""
    device = f"g-{language}"
    program = samples.start(
        language,
        tmp_path,
        {
            "CITY_HOST": broker.host,
            "CITY_PORT": str(broker.port),
            "CITY_TENANT": broker.tenant,
            "CITY_DEVICE": device,
            "CITY_PASSWORD": "pw",
            "CITY_RESEND_S": "1",
        },
    )
    assert program.stdin is not None
    program.stdin.write("5.31\n")
    program.stdin.flush()

    async def scene() -> None:
        registry = registry_of([gauge(f"g-{one}") for one in samples.LANGUAGES], [series(1, device)])
        await asyncio.sleep(UNCONFIRMED_S)
        assert program.poll() is None, "it waits"
        async with ingesting(tmp_path, broker, registry, city_us=time.time_ns() // 1000) as bench:
            out, err = await asyncio.to_thread(program.communicate, timeout=END_S)
            assert (program.returncode, out) == (0, "confirmed 1\n"), err
            found = all_records(bench.writer.directory)
        assert {(row["result"], row["seq"]) for row in rows_of(found)} == {(5.31, 1)}
        assert events_of(found, "dead_letter") == []

    try:
        asyncio.run(scene())
    finally:
        program.kill()
        program.communicate()
