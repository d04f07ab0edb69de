"""The journal's door: who reads it, what a reading leaves, and what a bad question is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from citybrain_testing.api_rim import FakeUsers, HandClock, an_audit, fake_deps
from citybrain_testing.asgi_client import AsgiClient
from command_center.access.scope import Scope
from command_center.api.app import build_app
from command_center.errors import Forbidden
from command_center.journal import JournalQuery
from command_center.model import Actor, JournalEntry, Role, User
from storage.memory.command import MemoryStore

CITY_US = 1_565_352_000_000_000
PEOPLE = {
    "auditor1": User(username="auditor1", name="审计员", roles=[Role.AUDITOR]),
    "admin": User(username="admin", name="系统管理员", roles=[Role.ADMIN]),
    "security1": User(username="security1", name="安全管理员", roles=[Role.SECURITY]),
}


class People(FakeUsers):
    async def verify(self, username: str, password: str) -> User | None:
        return PEOPLE.get(username)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def client(store: MemoryStore) -> Iterator[AsgiClient]:
    deps = fake_deps(users=People(), audit=an_audit(store), clock=HandClock())
    with AsgiClient(build_app(deps)) as client:
        client.run(_fill(store))
        yield client


async def _fill(store: MemoryStore) -> None:
    for n in range(5):
        entry = JournalEntry(
            seq=0, at_us=CITY_US + n * 60_000_000, machine_us=n, actor=f"duty{n % 2}", on_behalf_of="unit-1" if n == 3 else "",
            entity="task", entity_id=f"T-{n}", action="accept" if n else "issue", before=None, after={"n": n}, reason="",
        )  # fmt: skip
        async with store.write() as tx:
            await tx.add_journal(entry)


def get(client: AsgiClient, path: str, username: str = "auditor1") -> Any:
    login = client.post("/api/v1/sessions", json={"username": username, "password": "x"}).json()
    return client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {login['token']}"})


def seqs(answer: Any) -> list[int]:
    return [item["seq"] for item in answer.json()["items"] if item["action"] != "read"]


def test_rows_show_their_hash_and_pages_follow_each_other(client: AsgiClient) -> None:
    first = get(client, "/journal?entity=task&limit=3").json()
    assert [item["seq"] for item in first["items"]] == [5, 4, 3]
    assert first["items"][0]["prev_hash"] == first["items"][1]["hash"]
    second = get(client, f"/journal?entity=task&limit=3&cursor={first['next']}").json()
    assert [item["seq"] for item in second["items"]] == [2, 1]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("actor=duty1", [4, 2]),
        ("actor=unit-1", [4]),
        ("action=issue", [1]),
        ("entity_id=T-2", [3]),
        ("from=2019-08-09T12:01:00Z&to=2019-08-09T12:03:00Z", [3, 2]),
        ("from=2019-08-09T20:04:00%2B08:00", [5]),
    ],
)
def test_the_journal_is_filtered_by_what_who_and_when(client: AsgiClient, query: str, found: list[int]) -> None:
    assert seqs(get(client, f"/journal?{query}")) == found


def test_reading_the_journal_is_itself_in_the_journal(client: AsgiClient) -> None:
    get(client, "/journal?actor=duty1")
    newest = get(client, "/journal?action=read").json()["items"][0]
    assert (newest["actor"], newest["entity"], newest["action"]) == ("auditor1", "journal", "read")
    assert newest["after"] == {"actor": "duty1", "rows": 2}


@pytest.mark.parametrize(
    ("path", "username", "status"),
    [
        ("/journal", "admin", 200),
        ("/journal", "security1", 403),
        ("/audit/head", "admin", 200),
        ("/audit/head", "security1", 403),
        ("/audit/verify", "auditor1", 200),
        ("/audit/verify", "admin", 403),
    ],
)
def test_who_may_read_the_journal_and_its_proof(client: AsgiClient, path: str, username: str, status: int) -> None:
    assert get(client, path, username).status_code == status


def test_who_is_limited_to_an_area_reads_no_row_since_rows_have_none(store: MemoryStore) -> None:
    street = Actor(username="street1", roles=frozenset({Role.LEADER}), scope=Scope(areas=("331002001",)))
    with pytest.raises(Forbidden, match="outside your scope"):
        asyncio.run(an_audit(store).read(street, JournalQuery()))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=2000", "limit"),
        ("from=yesterday", "from"),
        ("from=2019-08-09T12:00:00", "from"),
        ("cursor=abc", "cursor"),
        ("from=2019-08-09T12:00:00Z&to=2019-08-09T11:00:00Z", "to"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_which_part(client: AsgiClient, query: str, field: str) -> None:
    answer = get(client, f"/journal?{query}")
    assert answer.status_code in (400, 422)
    assert field in answer.text


def test_the_head_is_the_newest_rows_number_and_hash(client: AsgiClient) -> None:
    newest = get(client, "/journal?limit=1").json()["items"][0]
    head = get(client, "/audit/head").json()["head"]
    assert head["seq"] == newest["seq"] + 1  # the reading itself
    assert head["count"] == head["seq"]


def test_a_check_of_the_last_rows_says_from_where_and_finds_what_was_changed(
    client: AsgiClient, store: MemoryStore
) -> None:
    whole = get(client, "/audit/verify").json()
    assert (whole["ok"], whole["from_seq"], whole["rows"], whole["breaks"]) == (True, 1, 5, [])
    part = get(client, "/audit/verify?last=2").json()
    assert (part["ok"], part["from_seq"], part["rows"]) == (True, 5, 2)
    rows = store._state.journal
    rows[1] = msgspec.structs.replace(rows[1], actor="nobody")
    broken = get(client, "/audit/verify").json()
    assert not broken["ok"]
    assert [(b["what"], b["seq"]) for b in broken["breaks"]] == [("changed", 2)]
