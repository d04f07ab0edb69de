"""Backup and restore of an installation with a database server of its own: what is checked, what is refused."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from citybrain_testing.api_rim import HandClock
from citybrain_testing.command import DUTY1, START_US, make_world, river, with_team
from citybrain_testing.servers import PrivatePostgres, private_postgres
from command_center.anchors import Why
from rules.transitions import Kind
from runtime.anchors import anchor_service, public_key_file
from runtime.backup import MANIFEST, Seal, backup, read_manifest
from runtime.backup_envelope import BackupError, Damaged, WrongKey
from runtime.restore import Keys, Restored, restore
from runtime.secrets import service_secrets, write_private
from runtime.settings import Settings, load, save
from runtime.up import prepare_directories
from storage.command import PostgresStore
from storage.database import Database
from storage.errors import StorageError
from storage.migrate import migrate
from stream.files import put_snapshot
from stream.reader import LogReader
from stream.records import TICK
from stream.writer import LogWriter

pytestmark = pytest.mark.database
WORD = "correct horse battery"
RECORDS = 300


def silent(what: str, done: int) -> None:
    """Nobody watches the progress of a test."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    with private_postgres() as server:
        yield server


class Old:
    """An installation with a log, a night's work in the database, an anchor, and a backup of all that."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.settings = Settings(
            data_dir=folder / "old", database=url, tenant="cmd", port=1, https_port=2, broker_port=18830
        )
        prepare_directories(self.settings)
        save(self.settings, self.settings.run_dir / "settings.json")
        (self.settings.run_dir / "ports.json").write_text('{"broker": 18830}')
        (self.settings.run_dir / "clock.json").write_text("{}")
        (self.settings.data_dir / "media" / "ab").mkdir(parents=True)
        (self.settings.data_dir / "media" / "ab" / "photo.jpg").write_bytes(b"\xff\xd8" + bytes(50_000))
        write_private(self.settings.secrets_dir / "logins.json", "{}")
        (self.settings.run_dir / "clock.json").unlink()
        self.share = folder / "share"

    async def live(self) -> None:
        clock = HandClock(kind="real", rate=1.0)
        writer = LogWriter(self.settings.log_dir, clock, required=("store",))
        try:
            for _ in range(RECORDS):
                writer.append([TICK])
            put_snapshot(self.settings.log_dir, "rules", 7, b"state")
            async with Database(self.url, "cmd") as database:
                await migrate(database, at_us=START_US, family="plain")
                store = PostgresStore(database)
                world = await with_team(make_world(store))
                await world.happen(river(), Kind.RAISED, "orange", 4.6)
                [incident], _ = await world.center.incidents(DUTY1)
                await world.center.verify(DUTY1, incident.incident_id)
                await anchor_service(self.settings, service_secrets(self.settings.secrets_dir), store, clock).take(
                    Why.HOURLY
                )
                self.path, self.manifest = await backup(
                    self.settings, self.share, Seal(passphrase=WORD), progress=silent
                )
        finally:
            writer.close()


@pytest.fixture(scope="module")
def old(postgres: PrivatePostgres, tmp_path_factory: pytest.TempPathFactory) -> Old:
    made = Old(tmp_path_factory.mktemp("backup"), postgres.fresh_database())
    asyncio.run(made.live())
    return made


def bring_back(old: Old, to: Path, url: str, source: Path | None = None, **keys: Any) -> Restored:
    return restore(
        source or old.path, to, Keys(**({"passphrase": WORD} | keys)), database=url, progress=silent
    )  # fmt: skip


def test_everything_is_there_again_and_the_journal_is_whole(
    old: Old, postgres: PrivatePostgres, tmp_path: Path
) -> None:
    url = postgres.fresh_database()
    done = bring_back(old, tmp_path / "new", url)
    assert (done.journal_whole, done.tenant, done.breaks) == (True, "cmd", [])
    assert done.anchors_checked == 1
    assert done.journal_rows > 3
    new, before = tmp_path / "new", old.settings.data_dir
    for name in (
        "secrets/secrets.json",
        "secrets/logins.json",
        "media/ab/photo.jpg",
        "run/ports.json",
        "audit/journal-public.pem",
    ):
        assert (new / name).read_bytes() == (before / name).read_bytes(), name
    assert not (new / "run" / "clock.json").exists()
    assert (new / "secrets" / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert new.stat().st_mode & 0o777 == 0o700
    settings = load(new / "run" / "settings.json")
    assert (settings.data_dir, settings.database, settings.broker_port) == (new, url, 18830)
    with LogReader(new / "log") as reader, LogReader(before / "log") as original:
        assert reader.read(0, 1000) == original.read(0, 1000)
        assert len(reader.read(0, 1000)) == RECORDS
        assert reader.get_snapshot("rules") == (7, b"state")
    goes_on = LogWriter(new / "log", HandClock(kind="real", rate=1.0))
    assert goes_on.append([TICK])[0].position == RECORDS + 1
    goes_on.close()


def test_a_directory_that_holds_anything_is_refused(old: Old, postgres: PrivatePostgres, tmp_path: Path) -> None:
    (tmp_path / "somebodys.txt").write_text("x")
    with pytest.raises(BackupError, match="not empty"):
        bring_back(old, tmp_path, postgres.fresh_database())
    with pytest.raises(BackupError, match="give --database URL"):
        restore(old.path, tmp_path / "new", Keys(passphrase=WORD), progress=silent)
    with pytest.raises(StorageError, match=r"has \d+ tables already"):
        bring_back(old, tmp_path / "new", old.url)


def test_only_the_right_passphrase_and_the_right_signature_open_it(
    old: Old, postgres: PrivatePostgres, tmp_path: Path
) -> None:
    url = postgres.fresh_database()
    with pytest.raises(WrongKey):
        bring_back(old, tmp_path / "new", url, passphrase="another long passphrase")
    stranger = replace(old.settings, data_dir=tmp_path / "stranger")
    prepare_directories(stranger)
    anchor_service(stranger, service_secrets(stranger.secrets_dir), None, HandClock())  # type: ignore[arg-type]
    with pytest.raises(Damaged, match="signature"):
        bring_back(old, tmp_path / "new", url, signed_by=public_key_file(stranger.data_dir))
    assert not (tmp_path / "new").exists()
    assert bring_back(
        old, tmp_path / "new", url, signed_by=public_key_file(old.settings.data_dir)
    ).journal_whole  # fmt: skip


@pytest.mark.parametrize("harm", ["part", "missing", "manifest", "no manifest", "other format"])
def test_a_backup_that_was_changed_is_found_before_anything_is_written(old: Old, tmp_path: Path, harm: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(old.path, copy)
    manifest = copy / MANIFEST
    part = copy / old.manifest.parts[3].file
    if harm == "part":
        raw = bytearray(part.read_bytes())
        raw[-1] ^= 1
        part.write_bytes(raw)
    elif harm == "missing":
        part.unlink()
    elif harm == "no manifest":
        manifest.unlink()
    else:
        document = json.loads(manifest.read_text())
        document["tenant" if harm == "manifest" else "format"] = "other" if harm == "manifest" else 99
        manifest.write_text(json.dumps(document))
    with pytest.raises(BackupError):
        bring_back(old, tmp_path / "new", "postgresql:///never-asked", source=copy)
    assert not (tmp_path / "new").exists()


def test_a_journal_that_was_rewritten_before_the_backup_is_told_at_the_restore(
    postgres: PrivatePostgres, tmp_path: Path
) -> None:
    victim = Old(tmp_path, postgres.fresh_database())
    asyncio.run(victim.live())
    with psycopg.connect(victim.url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("UPDATE cmd.journal SET actor = 'nobody' WHERE seq = 2")
    again = tmp_path / "again"
    path, _ = asyncio.run(backup(victim.settings, again, Seal(passphrase=WORD), progress=silent))
    done = bring_back(victim, tmp_path / "new", postgres.fresh_database(), source=path)
    assert not done.journal_whole
    assert [(b.what, b.seq) for b in done.breaks] == [("changed", 2)]


def test_a_backup_says_what_it_is_and_shows_no_secret(old: Old) -> None:
    manifest = read_manifest(old.path)
    assert (manifest.tenant, manifest.kind, manifest.log_head, manifest.embedded) == ("cmd", "real", RECORDS, False)
    assert manifest.journal.count == next(t.rows for t in manifest.database.tables if t.name == "journal")
    secret = json.loads((old.settings.secrets_dir / "secrets.json").read_text())["signing_key"].encode()
    for path in old.path.iterdir():
        content = path.read_bytes()
        assert secret not in content
        assert "椒江水位".encode() not in content
    assert not list(old.share.glob(".*"))


def test_a_backup_into_the_data_directory_or_of_a_dead_database_leaves_nothing(old: Old, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="inside the data directory"):
        asyncio.run(backup(old.settings, old.settings.data_dir / "b", Seal(passphrase=WORD), progress=silent))
    with pytest.raises(BackupError, match="at least 12"):
        asyncio.run(backup(old.settings, tmp_path, Seal(passphrase="short"), progress=silent))
    away = replace(old.settings, database="postgresql://127.0.0.1:1/nothing?connect_timeout=1")
    with pytest.raises(Exception, match="unavailable"):
        asyncio.run(backup(away, tmp_path, Seal(passphrase=WORD), progress=silent))
    assert list(tmp_path.iterdir()) == []
