"""Appending through the owner's socket: same answers, in order, once, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from citybrain_testing.clocks import ManualClock
from citybrain_testing.logged import all_records
from stream.owner import AppendClient, AppendServer, LogRefused
from stream.records import TICK, Appended, ControlBody, NewRecord, RecordKind, control
from stream.sqlite_log import LogFull, LogWriter


@asynccontextmanager
async def serving(server: AppendServer) -> AsyncIterator[None]:
    task = asyncio.create_task(server.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_a_client_gets_the_answers_of_the_writer_and_the_owner_hears_of_controls_once(tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []

    def hear(body: ControlBody, appended: Appended) -> None:
        heard.append((body.id, appended.position))

    async def scene() -> None:
        deep = tmp_path / ("d" * 120)  # longer than a socket address may be
        with LogWriter(deep, ManualClock()) as writer:
            path = deep / "append.sock"
            async with serving(AppendServer(writer, path, on_control=hear)), AppendClient(path) as client:
                ack = control(ControlBody(id="ack-1", type="ack", actor="duty1", data={"alarm_id": "a"}))
                first = await client.append([TICK, ack])
                again = await client.append([ack])
                assert [a.position for a in first] == [1, 2]
                assert (again[0].position, again[0].duplicate) == (2, True)
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                await client.commit("store", 2)
                await client.append([TICK])
            assert (deep / "cursors" / "store").read_text() == "2"

    asyncio.run(scene())
    assert heard == [("ack-1", 2)]


def test_what_was_not_answered_is_sent_again_to_the_next_owner_and_stands_in_the_log_once(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "append.sock"
        with LogWriter(tmp_path, ManualClock()) as writer:
            async with AppendClient(path) as client:
                async with serving(AppendServer(writer, path)):
                    await client.append([TICK])
                waiting = [asyncio.create_task(client.append([TICK, TICK])) for _ in range(20)]
                await asyncio.sleep(0.02)
                async with serving(AppendServer(writer, path)):
                    answers = await asyncio.gather(*waiting)
                    client._writer.close()  # type: ignore[union-attr]  # the link is cut on purpose
                    (after,) = await client.append([TICK])
        assert [a.position for pair in answers for a in pair] == list(range(2, 42))
        assert after.position == 42
        assert client.reconnects >= 1

    asyncio.run(scene())
    assert len(all_records(tmp_path)) == 42


def test_a_full_log_is_told_to_the_client_by_name(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "append.sock"
        with LogWriter(tmp_path, ManualClock(), max_bytes=1_000, required=("store",)) as writer:
            async with serving(AppendServer(writer, path)), AppendClient(path) as client:
                with pytest.raises(LogFull, match="of 1000 bytes used"):
                    await client.append([NewRecord(kind=RecordKind.EVENT, body=b"x" * 2_000)])

    asyncio.run(scene())


def test_a_closed_log_is_told_to_the_client(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "append.sock"
        writer = LogWriter(tmp_path, ManualClock())
        async with serving(AppendServer(writer, path)), AppendClient(path) as client:
            await client.append([TICK])
            writer.close()
            with pytest.raises(LogRefused, match="closed") as refused:
                await client.append([TICK])
            assert refused.value.kind == "LogClosed"

    asyncio.run(scene())


def test_nobody_answers_within_the_time_that_the_caller_gave(tmp_path: Path) -> None:
    async def scene() -> None:
        async with AppendClient(tmp_path / "append.sock") as client:
            with pytest.raises(TimeoutError):
                await client.append([TICK], timeout_s=0.05)

    asyncio.run(scene())
