"""What only a real database shows: append-only tables, two processes at once, outages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from citybrain_testing.command import (
    DUTY1,
    DUTY2,
    START_US,
    Episode,
    make_world,
    river,
    with_team,
)
from citybrain_testing.command_store import command_store
from citybrain_testing.servers import private_postgres
from command_center.errors import CommandError, Unavailable
from command_center.model import IncidentState
from rules import transitions
from rules.transitions import Kind
from storage.command import PostgresStore
from storage.database import Database
from storage.migrate import migrate
from stream.records import NewRecord, RecordKind

pytestmark = pytest.mark.database
APPEND_ONLY = ("journal", "incident_timeline", "task_history", "alarm_transition")


def test_what_is_append_only_refuses_to_change(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()

    async def story() -> None:
        async with command_store(url) as store:
            world = await with_team(make_world(store))
            await world.happen(river(), Kind.RAISED, "orange", 4.6)
            [incident], _ = await world.center.incidents(DUTY1)
            await world.center.verify(DUTY1, incident.incident_id)
            await world.center.issue_tasks(DUTY1, incident.incident_id)

    asyncio.run(story())
    statements = {
        "journal": ("UPDATE cmd.journal SET reason = 'x'", "DELETE FROM cmd.journal"),
        "incident_timeline": ("UPDATE cmd.incident_timeline SET actor = 'x'", "DELETE FROM cmd.incident_timeline"),
        "task_history": ("UPDATE cmd.task_history SET actor = 'x'", "DELETE FROM cmd.task_history"),
        "alarm_transition": ("UPDATE cmd.alarm_transition SET kind = 'x'", "DELETE FROM cmd.alarm_transition"),
    }
    assert tuple(statements) == APPEND_ONLY
    with psycopg.connect(url, autocommit=True) as conn:
        for table, tries in statements.items():
            for statement in (*tries, f"TRUNCATE cmd.{table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"{table} is append-only"):
                    conn.execute(statement.encode())


def test_two_processes_verify_at_once_and_one_wins(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()

    async def story() -> None:
        async with command_store(url) as store, Database(url, "cmd") as other_database:
            world = await with_team(make_world(store))
            await world.happen(river(), Kind.RAISED, "red", 5.5)
            [incident], _ = await world.center.incidents(DUTY1)
            other = make_world(PostgresStore(other_database), clock=world.clock, log=world.log)
            results = await asyncio.gather(
                world.center.verify(DUTY1, incident.incident_id),
                other.center.verify(DUTY2, incident.incident_id),
                return_exceptions=True,
            )
            assert sorted(isinstance(r, CommandError) for r in results) == [False, True]
            assert (await world.center.incident(DUTY1, incident.incident_id))[0].state is IncidentState.OPEN

    asyncio.run(story())


def test_two_followers_on_one_log_open_one_incident(fresh_url: Callable[[], str]) -> None:
    """A process that was thought dead and lives on must not do things twice."""
    url = fresh_url()

    async def story() -> None:
        async with command_store(url) as store, Database(url, "cmd") as other_database:
            world = await with_team(make_world(store))
            other = make_world(PostgresStore(other_database), clock=world.clock, log=world.log)
            for position in range(1, 9):
                episode = Episode(
                    rule_id="flood.river-stage",
                    hazard="flood",
                    device_id="wg-river",
                    title="x",
                    subject_id=f"s{position}",
                )
                made = episode.goes(Kind.RAISED, "orange", 4.6, position, START_US + position)
                world.log.put(NewRecord(kind=RecordKind.TRANSITION, body=transitions.encode(made), key=made.key))
            await asyncio.gather(world.drain(), other.drain())
            [incident], _ = await world.center.incidents(DUTY1)
            assert len(incident.alarm_ids) == 8
            assert len([e for e in incident.timeline if e.kind == "alarm"]) == 8

    asyncio.run(story())


@pytest.mark.slow
def test_a_killed_database_comes_back_and_everything_goes_on() -> None:
    with private_postgres() as server:
        url = server.fresh_database()

        async def story() -> None:
            async with Database(url, "cmd", acquire_timeout_s=1.0) as database:
                await migrate(database, at_us=START_US, family="plain")
                world = await with_team(make_world(PostgresStore(database)))
                follower = asyncio.create_task(world.follower.run())
                timers = asyncio.create_task(world.timers.run())
                try:
                    server.kill()
                    made = river().goes(Kind.RAISED, "orange", 4.6, 1, START_US)
                    world.log.put(NewRecord(kind=RecordKind.TRANSITION, body=transitions.encode(made), key=made.key))
                    assert await world.center.acknowledge(DUTY1, made.alarm_id) == 2
                    with pytest.raises(Unavailable):
                        await world.center.units(DUTY1)
                    await asyncio.to_thread(server.start)
                    async with asyncio.timeout(30):
                        while world.follower.position < 2:
                            await asyncio.sleep(0.05)
                    [incident], _ = await world.center.incidents(DUTY1)
                    assert incident.alarm_ids == [made.alarm_id]
                    alarm, _ = await world.center.alarm(DUTY1, made.alarm_id)
                    assert alarm.acked is not None
                    assert not timers.done()
                finally:
                    follower.cancel()
                    timers.cancel()
                    await asyncio.gather(follower, timers, return_exceptions=True)

        asyncio.run(story())
