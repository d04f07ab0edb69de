"""The register: revisions in order, numbers for life, and nothing that a crash between database and log could lose."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from citybrain_testing.storing import T0_US, StillClock
from command_center.errors import Conflict, Invalid
from devices.models import load_models
from devices.registry import Device, Registry, RegistryData
from storage.command import PostgresStore
from storage.database import Database
from storage.registry import PART_DEVICES, RegistryStore

ON = {"on": {"red": 5.0}, "source": "防汛预案"}


def gauge(device_id: str, **fields: Any) -> Device:
    plain = {"model": "water-gauge-v1", "kind": "water_gauge", "name": "g", "lon": 121.4, "lat": 28.7}
    return msgspec.convert(plain | {"device_id": device_id} | fields, Device)


def same(a: Registry, b: Registry) -> bool:
    return (a.revision, a.devices, a.datastreams) == (b.revision, b.devices, b.datastreams)


def test_followers_of_the_changes_hold_what_the_database_holds(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = RegistryStore(database, StillClock(), load_models())
        follower = Registry()

        async def follow(change: RegistryData) -> None:
            follower.apply(msgspec.convert(msgspec.to_builtins(change), RegistryData))
            assert same(follower, Registry.from_data(await store.load()))

        await follow(await store.upsert([gauge("a"), gauge("b", thresholds={"stage_m": ON})], author="x", reason="r"))
        stage = follower.datastream_of("a", "stage_m")
        assert {s.property for s in follower.datastreams_of("b")} == {"stage_m", "battery_v"}
        await follow(await store.upsert([gauge("a", thresholds={"stage_m": ON})], author="x", approver="y", reason="r"))
        assert follower.datastream_of("a", "depth_m") is not None, "a threshold never takes a series away"
        camera = msgspec.structs.replace(gauge("a"), model="camera-v1", kind="camera")
        await follow(await store.upsert([camera], author="x", reason="another device at the same place"))
        assert {s.property for s in follower.datastreams_of("a")} == {"fps"}
        await follow(await store.upsert([gauge("a")], author="x", reason="back"))
        assert follower.datastream_of("a", "stage_m") == stage, "a series keeps its number for life"
        await follow(await store.remove(["b", "unknown"], author="x", reason="scrapped"))
        assert set(follower.devices) == {"a"}
        await follow(await store.upsert([gauge("b", interval_s=5.0)], author="x", reason="back"))
        assert {s.interval_s for s in follower.datastreams_of("b")} == {5.0}

        late = Registry.from_data(RegistryData(revision=0, full=True))
        late.apply(await store.since(0))
        assert same(late, follower)

    in_database(work)


def test_what_the_log_does_not_have_is_remembered(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = RegistryStore(database, StillClock(), load_models())
        assert await store.unappended() == []
        first = await store.upsert([gauge("a")], author="x", reason="r")
        await store.mark_appended(first.revision)
        assert await store.unappended() == []
        follower = Registry.from_data(await store.load())
        await store.upsert([gauge("b"), gauge("c")], author="x", reason="crash before the log")
        last = await store.remove(["a"], author="x", reason="and again")
        (change,) = await store.unappended()
        assert change.revision == last.revision
        follower.apply(change)
        assert same(follower, Registry.from_data(await store.load()))
        await store.mark_appended(change.revision)
        assert await store.unappended() == []

    in_database(work)


def test_changes_made_at_once_get_revisions_of_their_own(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = RegistryStore(database, StillClock(), load_models())
        changes = await asyncio.gather(*(store.upsert([gauge(f"d{i}")], author="x", reason="r") for i in range(12)))
        assert sorted(change.revision for change in changes) == list(range(1, 13))
        numbers = [s.datastream for s in (await store.load()).datastreams]
        assert len(set(numbers)) == len(numbers) == 36

    in_database(work)


def test_thresholds_are_recorded_with_who_and_from_where(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = RegistryStore(database, StillClock(), load_models())
        await store.upsert([gauge("a", thresholds={"stage_m": ON})], author="seed", reason="import")
        higher = {"on": {"red": 6.0}, "source": "2019 修编"}
        await store.upsert([gauge("a", thresholds={"stage_m": higher})], author="x", approver="y", reason="r")
        await store.upsert([gauge("a", thresholds={"stage_m": higher}, name="new name")], author="x", reason="r")
        newest, oldest = await store.threshold_changes("a")
        assert (newest["author"], newest["approver"], newest["source"]) == ("x", "y", "2019 修编")
        assert (newest["thresholds"], newest["previous"]) == (higher, ON)
        assert (oldest["previous"], oldest["at_us"]) == (None, T0_US)

    in_database(work)


def test_a_wrong_device_changes_nothing_and_every_problem_is_named(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = RegistryStore(database, StillClock(), load_models())
        with pytest.raises(Invalid, match=r"b: lon 500.*c: model 'x'"):
            await store.upsert([gauge("a"), gauge("b", lon=500.0), gauge("c", model="x")], author="x", reason="r")
        assert (await store.load()).revision == 0
        assert await store.device("a") is None

    in_database(work)


def test_credentials_go_with_the_device(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = RegistryStore(database, StillClock(), load_models())
        await store.upsert([gauge("a"), gauge("b"), gauge("c", enabled=False)], author="x", reason="r")
        await store.set_credentials({"a": "h1", "b": "h2", "c": "h3"})
        await store.set_credentials({"a": "h4"})
        assert await store.credentials() == [("a", "h4"), ("b", "h2")]
        await store.remove(["b"], author="x", reason="r")
        await store.upsert([gauge("b")], author="x", reason="back, with a new credential to come")
        assert await store.credentials() == [("a", "h4")]

    in_database(work)


def test_thousands_at_once_become_changes_of_bounded_size(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = RegistryStore(database, StillClock(), load_models())
        many = [gauge(f"m{k:04}", thresholds={"stage_m": ON}) for k in range(2 * PART_DEVICES + 10)]
        written = await store.upsert(many, author="x", approver="y", reason="import")
        assert (written.revision, len(written.devices), len(written.datastreams)) == (3, len(many), 2 * len(many))
        changes = await store.unappended()
        assert [len(c.devices) for c in changes] == [PART_DEVICES, PART_DEVICES, 10]
        follower = Registry()
        for change in changes:
            follower.apply(change)
            await store.mark_appended(change.revision)
        assert same(follower, Registry.from_data(await store.load()))
        assert (await store.threshold_changes("m2000"))[0]["source"] == "防汛预案"
        again = await store.upsert([gauge("a"), gauge("b", name="h"), gauge("b")], author="x", reason="b twice")
        assert [d.name for d in again.devices] == ["g", "g"], "of a device that is named twice the last counts"
        with pytest.raises(Invalid, match="model"):
            await store.upsert([gauge("c"), gauge("d", model="none")], author="x", reason="all or none")
        assert await store.device("c") is None

    in_database(work)


def test_writing_a_device_again_draws_no_new_number(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = RegistryStore(database, StillClock(), load_models())
        for _ in range(5):
            await store.upsert([gauge("a")], author="x", reason="again")
        last = await store.upsert([gauge("b")], author="x", reason="new")
        assert min(s.datastream for s in last.datastreams) <= 4, "tables in memory are as long as the highest number"

    in_database(work)


def test_a_change_within_a_transaction_of_the_command_side_is_undone_with_it(in_database: Any) -> None:
    """An approval and what it approves are one: when the decision is not stored, the register has not changed."""

    async def work(database: Database) -> None:
        register, store = RegistryStore(database, StillClock(), load_models()), PostgresStore(database)
        await register.upsert([gauge("a")], author="x", reason="register")

        async def change(*, fail: bool) -> None:
            async with store.write() as tx:
                device = await register.device_within(tx, "a")
                assert device is not None
                higher = msgspec.structs.replace(device, thresholds={"stage_m": ON})
                await register.upsert_within(tx, [higher], author="x", approver="y", reason="r")
                if fail:
                    raise Conflict("decided by somebody else meanwhile")

        with pytest.raises(Conflict):
            await change(fail=True)
        assert (await register.load()).revision == 1
        assert await register.threshold_changes("a") == []
        await change(fail=False)
        assert (await register.load()).revision == 2
        (recorded,) = await register.threshold_changes("a")
        assert (recorded["author"], recorded["approver"]) == ("x", "y")
        assert [c.revision for c in await register.unappended()] == [2]

    in_database(work)
