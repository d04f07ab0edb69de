"""Dry runs as rows: the same on the memory twin and on PostgreSQL, and guarded in SQL besides."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import psycopg
import pytest

from citybrain_testing.command import START_US
from citybrain_testing.command_store import command_store
from citybrain_testing.importing import CLERK, make_importing
from command_center.ports import Store
from command_center.registers.import_columns import Column
from command_center.registers.import_ports import ImportJob, ImportState
from storage.command import PostgresStore
from storage.errors import StorageError

replace = msgspec.structs.replace


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Any:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Any) -> None:
        async with command_store(url) as store:
            await story(store)

    return lambda story: asyncio.run(body(story))


def a_job(number: int = 1, **fields: Any) -> ImportJob:
    job = ImportJob(
        import_id=f"im-{number}",
        kind="reservoir",
        filename="水库.xlsx",
        format="xlsx",
        sha256="a" * 64,
        size=9,
        sheet="Sheet1",
        crs="",
        columns=[Column(source="名称", field="name", how="exact"), Column(source="?", field=None)],
        state=ImportState.DRY,
        owner="clerk1",
        created_us=START_US + number,
        changed_us=START_US + number,
        counts={"rows": 1},
        sealed="p1:k:xx",
    )
    return replace(job, **fields)


def test_a_dry_run_comes_back_as_it_was_and_the_list_leaves_the_file_out(run: Any) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            for number in (1, 2):
                await tx.insert_import(a_job(number))
            await tx.insert_import(a_job(3, owner="clerk2"))
        async with store.read() as tx:
            assert await tx.import_job("im-1") == a_job(1)
            assert await tx.import_job("im-9") is None
            assert await tx.imports("clerk1", 10) == [a_job(2, sealed=""), a_job(1, sealed="")]
            assert [j.import_id for j in await tx.imports("", 2)] == ["im-3", "im-2"]

    run(story)


def test_only_a_dry_run_changes(run: Any) -> None:
    async def story(store: Store) -> None:
        over = a_job(1, state=ImportState.COMMITTED, sealed="", done={"created": 1}, reason="汛前")
        async with store.write() as tx:
            await tx.insert_import(a_job(1))
            assert await tx.update_import(a_job(1, crs="GCJ-02"), states=[ImportState.DRY])
            assert await tx.update_import(over, states=[ImportState.DRY])
            assert not await tx.update_import(a_job(1), states=[ImportState.DRY])
            assert await tx.import_job("im-1") == over

    run(story)


@pytest.mark.database
def test_the_database_itself_lets_no_finished_import_change_or_keep_its_file(fresh_url: Any) -> None:
    async def story() -> None:
        async with command_store(fresh_url()) as store:
            assert isinstance(store, PostgresStore)
            async with store.write() as tx:
                await tx.insert_import(a_job(1))
            with pytest.raises((psycopg.Error, StorageError), match="file_only_while_dry"):
                async with store.write() as tx:
                    await tx.update_import(a_job(1, state=ImportState.EXPIRED), states=[ImportState.DRY])
            async with store.write() as tx:
                await tx.update_import(a_job(1, state=ImportState.EXPIRED, sealed=""), states=[ImportState.DRY])
            with pytest.raises((psycopg.Error, StorageError), match="changes no more"):
                async with store.write() as tx:
                    await tx.update_import(a_job(1), states=[ImportState.EXPIRED])

    asyncio.run(story())


def test_an_import_lives_over_a_restart_and_expires_by_its_timer(run: Any) -> None:
    text = "编号,名称,经度,纬度\nR1,东山水库,121.45,28.68\n".encode()

    async def story(store: Store) -> None:
        before = make_importing(store)
        kept = await before.imports.start(CLERK, kind="reservoir", filename="x.csv", content=text)
        left = await before.imports.start(CLERK, kind="reservoir", filename="y.csv", content=text)
        after = make_importing(store, target=before.target)
        await after.imports.look(CLERK, kept.import_id)
        done, _ = await after.imports.commit(CLERK, kept.import_id, reason="汛前")
        assert done.created == 1
        await after.world.later(25 * 3600)
        async with store.read() as tx:
            jobs = {j.import_id: (await tx.import_job(j.import_id)) for j in await tx.imports("clerk1", 10)}
        assert {i: (j.state.value, j.sealed) for i, j in jobs.items() if j} == {
            kept.import_id: ("COMMITTED", ""),
            left.import_id: ("EXPIRED", ""),
        }

    run(story)
