"""Layers, versioned documents, partitions ahead and retention behind."""

from __future__ import annotations

from typing import Any

import pytest
import shapely

from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, obs, told
from command_center.letters import LetterFilter
from gis.features import Feature
from storage.database import Database
from storage.features import Document, FeatureStore, VersionTaken
from storage.history import HistoryStore
from storage.maintenance import Maintenance
from storage.rollups import RollupJob
from storage.writer import StoreService

DAY_US = 86_400 * SECOND_US
DAY_S = 86_400.0


def place(feature_id: str, lon: float = 121.4) -> Feature:
    return Feature(feature_id=feature_id, geometry=shapely.Point(lon, 28.7), properties={"name": "村"})


def test_a_layer_is_replaced_as_a_whole_and_its_tag_follows_its_content(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = FeatureStore(database, StillClock())
        first = await store.put_layer("villages", [place("b"), place("a")])
        again = await store.put_layer("villages", [place("a"), place("b")])
        assert first.etag == again.etag
        moved = await store.put_layer("villages", [place("a", 121.5)])
        assert moved.etag != first.etag
        found = await store.get_layer("villages")
        assert found is not None
        info, features = found
        assert (info, [(f.feature_id, f.geometry.x, dict(f.properties)) for f in features]) == (
            moved,
            [("a", 121.5, {"name": "村"})],
        )
        assert await store.get_layer("nothing") is None
        assert await store.layers() == [moved]
        with pytest.raises(ValueError, match="twice: a"):
            await store.put_layer("villages", [place("a"), place("a")])

    in_database(work)


def test_a_version_of_a_document_never_changes(in_database: Any) -> None:
    async def work(database: Database) -> None:
        store = FeatureStore(database, StillClock())
        rule = Document(kind="rule", document_id="r", version="1", body={"on": 1}, author="a", source="s", at_us=T0_US)
        other = Document(kind="rule", document_id="r", version="1", body={"on": 2}, author="a", source="s", at_us=T0_US)
        assert await store.put_document(rule)
        assert not await store.put_document(rule)
        with pytest.raises(VersionTaken, match="rule r version 1"):
            await store.put_document(other)
        assert await store.documents("rule") == [rule]

    in_database(work)


def test_retention_follows_city_time_and_drops_whole_weeks(in_database: Any) -> None:
    async def work(database: Database) -> None:
        clock, log = StillClock(), MemoryLog()
        rows = [{"datastream": 1, "phenomenon_us": T0_US - d * DAY_US, "result": float(d)} for d in range(60)]
        log.append(obs(rows), told("dead_letter", "d", T0_US - 40 * DAY_US, data={"reason": "old"}))
        log.append(told("dead_letter", "d", T0_US, data={"reason": "new"}))
        await StoreService(database, log, clock, retention_s=90 * DAY_S).drain(log.head())
        history = HistoryStore(database)
        assert (await history.totals())["observations"] == 60
        maintenance = Maintenance(database, clock, retention_s=30 * DAY_S)
        early = await maintenance.once()
        assert early["partitions"] == 0, "not before their rollups are made"
        await RollupJob(database, clock).all()
        done = await maintenance.once()
        left = await history.history(1, 0, T0_US + DAY_US)
        assert done["partitions"] > 0
        assert T0_US - 37 * DAY_US <= left[0].phenomenon_us <= T0_US - 30 * DAY_US
        assert len(left) == (T0_US - left[0].phenomenon_us) // DAY_US + 1, "nothing younger than the bound is gone"
        letters, _ = await history.dead_letters(LetterFilter(), 10, "")
        assert [letter["reason"] for letter in letters] == ["new"]
        assert (await maintenance.once())["partitions"] == 0
        assert early["partitions_made"] == (3 if await database.tier() == "plain" else 0) - (
            1 if await database.tier() == "plain" else 0
        ), "this week is there, the next two are made"

    in_database(work)


def test_the_writer_makes_a_partition_again_that_retention_dropped(in_database: Any) -> None:
    async def work(database: Database) -> None:
        clock, log = StillClock(), MemoryLog()
        old = {"datastream": 1, "phenomenon_us": T0_US - 50 * DAY_US, "result": 1.0}
        log.append(obs([old]))
        store = StoreService(database, log, clock, retention_s=90 * DAY_S)
        await store.drain(1)
        await RollupJob(database, clock).all()
        await Maintenance(database, clock, retention_s=30 * DAY_S).once()
        log.append(obs([old | {"phenomenon_us": old["phenomenon_us"] + 1}]))
        await store.drain(2)
        assert len(await HistoryStore(database).history(1, 0, T0_US)) == 1

    in_database(work)
