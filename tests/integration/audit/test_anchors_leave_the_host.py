"""Anchors reach real sockets, wait on disk for those that are away, and prove what was rewritten."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from typer.testing import CliRunner

from citybrain_testing.api_rim import HandClock
from citybrain_testing.command import START_US
from command_center import chain
from command_center.anchors import Anchor, Why, parse_anchors, read_anchors
from command_center.chain import What
from command_center.model import JournalEntry
from command_center.ports import Store
from command_center.reality import NotReal
from runtime import audit
from runtime.admin import AdminError
from runtime.anchor_sinks import DiskQueue, Upstream, build_sinks
from runtime.anchors import OVERDUE_S, AnchorService, anchor_service, public_key_file
from runtime.cli import app
from runtime.secrets import service_secrets
from runtime.settings import Settings, WrongSetting, check, save
from storage.command import PostgresStore
from storage.command.journal import _entry
from storage.database import Database
from storage.memory.command import MemoryStore
from storage.migrate import migrate
from storage.statements import load

pytestmark = pytest.mark.database
replace = msgspec.structs.replace
DAY_US = 86_400_000_000


def an_entry(n: int, **fields: Any) -> JournalEntry:
    base = JournalEntry(
        seq=0, at_us=START_US + n, machine_us=START_US + n, actor="duty1", on_behalf_of="", entity="note",
        entity_id=f"N-{n}", action="write", before=None, after={"n": n}, reason="",
    )  # fmt: skip
    return replace(base, **fields)


async def write(store: Store, count: int, **fields: Any) -> None:
    async with store.write() as tx:
        for n in range(count):
            await tx.add_journal(an_entry(n, **fields))


def settings_of(tmp_path: Path, **fields: Any) -> Settings:
    data_dir = tmp_path / "data"
    (data_dir / "secrets").mkdir(parents=True, exist_ok=True)
    return check(Settings(data_dir=data_dir, tenant="cmd", **fields))


def a_service(settings: Settings, store: Store, clock: HandClock | None = None) -> AnchorService:
    clock = clock or HandClock(kind="real", rate=1.0)
    return anchor_service(settings, service_secrets(settings.secrets_dir), store, clock)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.02)


def test_every_kind_of_sink_takes_the_head_at_start_and_at_stop(
    tmp_path: Path, tcp_syslog: Any, udp_syslog: Any, upstream: Any
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    names = (
        f"file:{share}, tcp://127.0.0.1:{tcp_syslog.port}, udp://127.0.0.1:{udp_syslog.port}, "
        f"http://127.0.0.1:{upstream.port}/anchors"
    )
    settings = settings_of(tmp_path, anchor_sinks=names, anchor_token="t0ken")

    async def story() -> Anchor:
        store = MemoryStore()
        service = a_service(settings, store)
        await write(store, 5)
        running = asyncio.create_task(service.run())
        await until(lambda: len(service.report()["sinks"]) == 4 and not _waiting(service) and _taken(service) == 4)
        await write(store, 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        last = service.latest()
        assert last is not None
        return last

    last = asyncio.run(story())
    dropped = [anchor for _, anchor in read_anchors(share)]
    assert [(a.why, a.seq, a.count) for a in dropped] == [(Why.START, 5, 5), (Why.STOP, 7, 7)]
    assert dropped[-1] == last
    for receiver in (tcp_syslog, udp_syslog):
        assert receiver.arrived.wait(5)
        assert receiver.got[0].startswith(b"<133>1 20")
        assert b" citybrain " in receiver.got[0]
        assert parse_anchors(receiver.got[0].decode())[0] == dropped[0]
    assert [parse_anchors(body.decode())[0].seq for body in upstream.got] == [5, 7]
    assert upstream.headers[0]["authorization"] == "Bearer t0ken"


def _waiting(service: AnchorService) -> int:
    return sum(int(sink["waiting"]) for sink in service.report()["sinks"])


def _taken(service: AnchorService) -> int:
    return sum(sink["taken_us"] is not None for sink in service.report()["sinks"])


def test_what_a_sink_refuses_waits_on_disk_over_a_restart_and_is_told_after_two_hours(
    tmp_path: Path, upstream: Any
) -> None:
    settings = settings_of(tmp_path, anchor_sinks=f"http://127.0.0.1:{upstream.port}/a")
    clock = HandClock(kind="real", rate=1.0)

    async def one_run(refused: bool) -> AnchorService:
        upstream.answer = 503 if refused else 200
        seen = len(upstream.headers)
        service = a_service(settings, MemoryStore(), clock)
        running = asyncio.create_task(service.run())
        await until(lambda: len(upstream.headers) > seen and (refused or not _waiting(service)))
        clock.advance(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return service

    service = asyncio.run(one_run(True))
    assert _waiting(service) == 2
    assert service.troubles() == set()
    clock.advance(OVERDUE_S + 1)
    assert service.troubles() == {"anchor_overdue"}
    service = asyncio.run(one_run(False))
    assert _waiting(service) == 0
    assert len(upstream.got) == 4  # two that waited, and start and stop of this run
    assert service.troubles() == set()


def test_a_share_that_is_not_mounted_takes_nothing_and_is_not_made(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, anchor_sinks=f"file:{tmp_path}/gone")

    async def story() -> None:
        clock = HandClock(kind="real", rate=1.0)
        service = a_service(settings, MemoryStore(), clock)
        running = asyncio.create_task(service.run())
        await until(lambda: _waiting(service) == 1)
        clock.advance(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert _waiting(service) == 2

    asyncio.run(story())
    assert not (tmp_path / "gone").exists()


def test_the_queue_has_a_bound_and_counts_what_went(tmp_path: Path) -> None:
    signer = a_service(settings_of(tmp_path), MemoryStore())._signer
    queue = DiskQueue(tmp_path / "q", limit=3)
    for n in range(5):
        queue.put(signer.anchor(chain.EMPTY, tenant="t", kind="real", why=Why.HOURLY, city_us=n, machine_us=n))
    assert [path.name[:16] for path in queue.waiting()] == [f"{n:016d}" for n in (2, 3, 4)]
    assert queue.dropped == 2


def test_a_real_tenant_without_a_sink_says_so_and_another_need_not(tmp_path: Path) -> None:
    assert a_service(settings_of(tmp_path), MemoryStore()).troubles() == {"anchor_nowhere"}
    demo = settings_of(tmp_path, tenant_kind="demo")
    assert a_service(demo, MemoryStore()).troubles() == set()


def test_a_tenant_that_is_not_real_sends_its_anchors_over_no_network(tmp_path: Path) -> None:
    names = f"file:{tmp_path},udp://127.0.0.1:514,https://upstream.example/anchors"
    assert [s.name for s in build_sinks(settings_of(tmp_path, tenant_kind="demo", anchor_sinks=names))] == [
        f"file:{tmp_path}"
    ]
    with pytest.raises(NotReal):
        Upstream(settings_of(tmp_path, tenant_kind="exercise"), "https://x.example", "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ("ftp://x", "expected file:"),
        ("file:relative", "absolute"),
        ("udp://nohost", "host and port"),
        ("file:{data}/audit/x", "inside the data directory"),
    ],
)
def test_a_sink_that_cannot_be_is_refused_by_name(tmp_path: Path, names: str, why: str) -> None:
    settings = settings_of(tmp_path)
    with pytest.raises(WrongSetting, match=why):
        build_sinks(with_fields(settings, anchor_sinks=names.format(data=settings.data_dir)))


# -- the whole check, as `citybrain audit verify` does it


class Installation:
    """A journal in a real database, anchored into a share that is not this host's."""

    def __init__(self, tmp_path: Path, url: str) -> None:
        self.share = tmp_path / "share"
        self.share.mkdir()
        self.archives = tmp_path / "archives"
        self.archives.mkdir()
        self.url = url
        self.settings = settings_of(tmp_path, database=url, anchor_sinks=f"file:{self.share}")

    async def fill(self, *counts: int, **fields: Any) -> None:
        async with Database(self.url, "cmd") as database:
            await migrate(database, at_us=START_US, family="plain")
            store = PostgresStore(database)
            clock = HandClock(kind="real", rate=1.0)
            service = a_service(self.settings, store, clock)
            for count in counts:
                await write(store, count, **fields)
                clock.advance(1)
                await service.take(Why.HOURLY)
                for sink, queue, _ in service._sinks:
                    await service._deliver(sink, queue)

    def verify(self, **more: Any) -> audit.Report:
        return asyncio.run(audit.verify(self.settings, anchors=[self.share], **more))

    def tamper(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute("SET session_replication_role = replica")
            for statement in statements:
                conn.execute(statement.encode())

    def rewrite_from(self, seq: int) -> None:
        """What a clever owner of the database does: change a row and compute every hash anew from there on."""
        asyncio.run(self._rewrite_from(seq))

    async def _rewrite_from(self, seq: int) -> None:
        sql = load("command")
        async with Database(self.url, "cmd") as database, database.dedicated() as conn:
            await conn.execute("SET session_replication_role = replica")
            values = {"after": 0, "until": None, "limit": 10_000}
            rows = [_entry(row) for row in await (await conn.execute(sql["walk_journal"], values)).fetchall()]
            prev = rows[seq - 2].hash if seq > 1 else chain.ZERO.hex()
            for row in rows[seq - 1 :]:
                anew = chain.link(prev, replace(row, actor="nobody") if row.seq == seq else row)
                prev = anew.hash
                await conn.execute(
                    "UPDATE journal SET actor = %s, prev_hash = %s, hash = %s WHERE seq = %s",
                    (anew.actor, bytes.fromhex(anew.prev_hash), bytes.fromhex(anew.hash), anew.seq),
                )


@pytest.fixture
def installation(tmp_path: Path, fresh_url: Callable[[], str]) -> Installation:
    return Installation(tmp_path, fresh_url())


def whats(report: audit.Report) -> set[tuple[What, int]]:
    return {(b.what, b.seq) for b in report.breaks}


def test_an_untouched_journal_is_whole_and_meets_every_anchor(installation: Installation) -> None:
    asyncio.run(installation.fill(4, 3))
    report = installation.verify()
    assert report.ok
    assert (report.rows, report.anchors, report.anchors_checked) == (7, 2, 2)
    assert not report.on_this_host_only
    assert asyncio.run(audit.verify(installation.settings)).on_this_host_only


@pytest.mark.parametrize("seq", [1, 3, 7])
def test_the_whole_chain_rewritten_from_any_row_on_is_found_by_the_anchors(
    installation: Installation, seq: int
) -> None:
    asyncio.run(installation.fill(4, 3))
    installation.rewrite_from(seq)
    report = installation.verify()
    assert not report.ok
    assert whats(report) == {(What.ANCHOR_DIFFERS, anchored) for anchored in (4, 7) if anchored >= seq}
    assert all(b.anchor.startswith("anchor-cmd-") for b in report.breaks)


def test_a_tail_that_was_deleted_is_found_by_the_anchors(installation: Installation) -> None:
    asyncio.run(installation.fill(4, 3))
    installation.tamper("DELETE FROM cmd.journal WHERE seq > 5")
    assert whats(installation.verify()) == {(What.ANCHOR_MISSING, 7)}


def test_one_row_rewritten_is_found_without_any_anchor(installation: Installation) -> None:
    asyncio.run(installation.fill(4))
    installation.tamper("UPDATE cmd.journal SET actor = 'nobody' WHERE seq = 2")
    assert whats(installation.verify()) == {(What.CHANGED, 2)}


def test_a_forged_anchor_is_told_and_helps_nobody(installation: Installation, tmp_path: Path) -> None:
    asyncio.run(installation.fill(4, 3))
    path = min(installation.share.glob("*-000000000007-*"))
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "hash": "00" * 32}, separators=(",", ":")))
    assert whats(installation.verify()) == {(What.ANCHOR_FORGED, 7)}
    stranger = settings_of(tmp_path / "stranger")
    a_service(stranger, MemoryStore())
    report = installation.verify(keys=[public_key_file(stranger.data_dir)])
    assert {what for what, _ in whats(report)} == {What.ANCHOR_FORGED}


def test_old_rows_go_into_an_archive_and_the_chain_runs_through_it(installation: Installation) -> None:
    wall_us = audit.city_clock(installation.settings).machine_us()
    old, young = wall_us - 500 * DAY_US, wall_us - 100 * DAY_US
    asyncio.run(installation.fill(5, machine_us=old))
    asyncio.run(installation.fill(3, machine_us=young))
    done = asyncio.run(audit.archive(installation.settings, installation.archives, actor="cli:root", drop=True))
    assert done is not None
    assert (done.from_seq, done.to_seq, done.rows, done.dropped) == (1, 5, 5, 5)
    whole = installation.verify(archives=installation.archives)
    assert whole.ok, whole.breaks
    assert (whole.rows, whole.archives, whole.anchors_checked) == (9, 1, 2)
    without = installation.verify()  # the archive is elsewhere: the checkpoint vouches for what is gone
    assert without.ok, without.breaks
    assert (without.rows, without.head.count) == (4, 9)
    again = asyncio.run(audit.archive(installation.settings, installation.archives, actor="cli:root", drop=True))
    assert again is None  # what is left is younger than the setting says
    asyncio.run(installation.fill(2))
    assert installation.verify(archives=installation.archives).ok


def test_rows_younger_than_six_months_are_never_archived_or_dropped(installation: Installation) -> None:
    wall_us = audit.city_clock(installation.settings).machine_us()
    asyncio.run(installation.fill(5, machine_us=wall_us - 183 * DAY_US))
    impatient = with_fields(installation.settings, journal_keep_days=1.0)
    with pytest.raises(WrongSetting, match="at least 184"):
        check(impatient)
    assert asyncio.run(audit.archive(impatient, installation.archives, actor="cli:root", drop=True)) is None
    with pytest.raises(AdminError, match="outside the data directory"):
        asyncio.run(audit.archive(impatient, installation.settings.data_dir, actor="cli:root", drop=True))


@pytest.mark.parametrize("harm", ["row", "cut", "resealed"])
def test_a_changed_archive_is_found(installation: Installation, harm: str) -> None:
    import gzip

    wall_us = audit.city_clock(installation.settings).machine_us()
    asyncio.run(installation.fill(5, machine_us=wall_us - 500 * DAY_US))
    done = asyncio.run(audit.archive(installation.settings, installation.archives, actor="cli:root", drop=False))
    assert done is not None
    path = Path(done.file)
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    if harm == "row":
        lines[2] = lines[2].replace(b"duty1", b"duty2")
    elif harm == "cut":
        del lines[-1]
    else:
        lines[-1] = lines[-1].replace(b'"rows":5', b'"rows":4')
    path.write_bytes(gzip.compress(b"".join(lines)))
    found = installation.verify(archives=installation.archives)
    assert What.ARCHIVE_DIFFERS in {b.what for b in found.breaks}
    assert ((What.CHANGED, 2) in whats(found)) == (harm == "row")


def test_the_signing_key_is_made_once_and_its_public_half_exported(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    one, two = (a_service(settings, MemoryStore()).public_pem() for _ in range(2))
    assert one == two == public_key_file(settings.data_dir).read_text()
    assert len(base64.b64decode(service_secrets(settings.secrets_dir).journal_key)) == 32


def test_the_command_line_ends_with_1_and_names_row_and_anchor(installation: Installation) -> None:
    asyncio.run(installation.fill(4, 3))
    installation.settings.run_dir.mkdir()
    save(installation.settings, installation.settings.run_dir / "settings.json")
    argv = ["audit", "verify", "--data-dir", str(installation.settings.data_dir), "--anchors", str(installation.share)]
    whole = CliRunner().invoke(app, [*argv, "--json"])
    assert (whole.exit_code, json.loads(whole.stdout)["anchors_checked"]) == (0, 2)
    head = CliRunner().invoke(app, ["audit", "head", "--data-dir", str(installation.settings.data_dir)])
    assert head.stdout.split()[0] == "7"
    installation.rewrite_from(6)
    broken = CliRunner().invoke(app, [*argv, "--json"])
    assert broken.exit_code == 1
    [only] = json.loads(broken.stdout)["breaks"]
    assert (only["what"], only["seq"]) == ("anchor_differs", 7)
    assert only["anchor"].startswith("anchor-cmd-000000000007-")
    nowhere = CliRunner().invoke(app, [*argv[:-1], "/no/such/directory"])
    assert nowhere.exit_code == 1
