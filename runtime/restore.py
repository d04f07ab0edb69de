"""`citybrain restore`: a backup onto an empty machine, checked before, while and after.

The data directory must be empty, the database's schema too. Every part is compared with the manifest before anything is
written; the journal's chain is verified against the anchors that came along before anybody is told that it worked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import msgspec

from command_center.anchors import check_anchors, load_public
from command_center.audit import feed
from command_center.chain import Break, Verifier
from runtime.anchors import kept_anchors, public_keys
from runtime.backup import FILES, Manifest, Part, Progress, read_manifest
from runtime.backup_envelope import BackupError, Blocks, Damaged, file_sha256, read_part, unwrap
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.settings import Settings, load, save
from storage.command import PostgresStore
from storage.database import Database
from storage.dump import load as load_dump
from stream.backup import end_of

DATABASE_READY_S = 60.0
DATABASE_STOP_S = 30.0


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    data_dir: str
    tenant: str
    kind: str
    rows: int
    log_head: int
    journal_rows: int
    journal_whole: bool
    anchors_checked: int
    breaks: list[Break]


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What opens the backup, and the public key that its signature must hold with (None: the one that it names)."""

    passphrase: str = ""
    identity: Path | None = None
    signed_by: Path | None = None


def restore(
    source: Path, data_dir: Path, keys: Keys, *, database: str = "", dev_stack: str = "", progress: Progress
) -> Restored:
    """Blocks until it is done; call it from the main thread (the private database ends with the thread that started it).

    `database`: a server of one's own instead of a private one. Raises BackupError, StorageError, OSError.
    """
    data_dir = data_dir.absolute()
    if data_dir.exists() and any(data_dir.iterdir()):
        raise BackupError(f"{data_dir} is not empty: a restore needs a directory of its own")
    signed_by = load_public(keys.signed_by.read_bytes()) if keys.signed_by else None
    manifest = read_manifest(source, key=signed_by)
    if not manifest.embedded and not database:
        raise BackupError("this backup is of an installation with a database server of its own: give --database URL")
    data_key = unwrap(manifest.envelope, passphrase=keys.passphrase, identity=keys.identity)
    _compare(source, manifest, progress)
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    parts = {part.name: part for part in manifest.parts}
    _restore_files(source, parts, data_key, data_dir, progress)
    _restore_log(source, manifest, data_key, data_dir, progress)
    settings = _settings(data_dir, database, dev_stack)
    with _database(settings, embedded=not database) as url:
        settings = replace(settings, database=url)
        done = asyncio.run(_load(settings, source, manifest, data_key, progress))
    save(settings, settings.run_dir / "settings.json")
    return done


def _compare(source: Path, manifest: Manifest, progress: Progress) -> None:
    """Every part is there and is what the manifest says. Raises Damaged."""
    for part in manifest.parts:
        progress("verify", part.size)
        path = source / _inside(part.file)
        if not path.is_file():
            raise Damaged(f"{part.name}: the file {part.file} is missing")
        if file_sha256(path) != part.sha256:
            raise Damaged(f"{part.name}: {part.file} is not the file that was written")


def _restore_files(source: Path, parts: dict[str, Part], data_key: bytes, data_dir: Path, progress: Progress) -> None:
    progress(FILES, 0)
    blocks = Blocks(read_part(source / parts[FILES].file, data_key, FILES))
    with tarfile.open(fileobj=cast(Any, blocks), mode="r|") as tar:
        for member in tar:
            _extract(tar, member, data_dir)
    while blocks.read(1 << 20):  # to the last chunk: an end that was cut off is found there
        pass
    for directory in (data_dir / "secrets", data_dir / "run", data_dir / "log", data_dir / "logs"):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o700)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, data_dir: Path) -> None:
    """A file or folder of the installation, writable by its owner alone. By hand: `extract(filter="data")` is not in Debian 12's
    Python (3.11.2). Raises Damaged for a link, a device or a place outside."""
    path = data_dir / _inside(member.name)
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise Damaged(f"{member.name!r} is neither a file nor a folder")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Damaged(f"{member.name!r} is there twice") from error
    with open(descriptor, "wb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(0o600 | member.mode & 0o755)
    os.utime(path, (member.mtime, member.mtime))


def _restore_log(source: Path, manifest: Manifest, data_key: bytes, data_dir: Path, progress: Progress) -> None:
    for part in manifest.parts:
        if not part.name.startswith("log/"):
            continue
        progress(part.name, part.plain_bytes)
        path = data_dir / "log" / _inside(part.name.removeprefix("log/"))
        path.parent.mkdir(exist_ok=True, mode=0o700)
        with path.open("xb") as file:
            for block in read_part(source / part.file, data_key, part.name):
                file.write(block)
    found = end_of(data_dir / "log")
    if found != manifest.log_head:
        raise Damaged(f"the log ends at {found}, the manifest says {manifest.log_head}")


def _inside(name: str) -> Path:
    """A relative path that stays where it is put. Raises Damaged."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise Damaged(f"{name!r} would leave the directory")
    return Path(path)


def _settings(data_dir: Path, database: str, dev_stack: str) -> Settings:
    """The installation's own settings, at the new place: same tenant, ports, clock; the database is found anew."""
    path = data_dir / "run" / "settings.json"
    kept = load(path)
    return replace(kept, data_dir=data_dir, database=database or "auto", dev_stack=dev_stack)


@contextlib.contextmanager
def _database(settings: Settings, *, embedded: bool) -> Iterator[str]:
    """The server to load into: a private one that runs as long as the block, or the one that was given."""
    if not embedded:
        yield settings.database
        return
    server = EmbeddedPostgres(settings.data_dir, dev_stack=Path(settings.dev_stack) if settings.dev_stack else None)
    server.locate()
    server.prepare()
    with (settings.data_dir / "logs" / "restore-database.log").open("ab") as output:
        child = subprocess.Popen(server.argv(), stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/")
    try:
        server.wait_ready(DATABASE_READY_S)
        server.ensure_database()
        yield server.url()
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(DATABASE_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


async def _load(settings: Settings, source: Path, manifest: Manifest, data_key: bytes, progress: Progress) -> Restored:
    parts = {part.name: part for part in manifest.parts}

    def rows_of(table: str) -> Iterator[bytes]:
        part = parts[f"database/{table}"]
        progress(part.name, part.plain_bytes)
        return read_part(source / part.file, data_key, part.name)

    async with Database(settings.database, settings.tenant) as database:
        await load_dump(database, manifest.database, rows_of, at_us=manifest.city_us)
        good, forged = check_anchors(_of_the_dump(settings, manifest), public_keys(settings.data_dir), settings.tenant)
        verifier = Verifier(good)
        async with PostgresStore(database).read() as tx:
            await feed(verifier, tx, 0)
    breaks = [*forged, *verifier.finish()]
    return Restored(
        data_dir=str(settings.data_dir),
        tenant=settings.tenant,
        kind=settings.tenant_kind,
        rows=sum(table.rows for table in manifest.database.tables),
        log_head=manifest.log_head,
        journal_rows=verifier.rows,
        journal_whole=not breaks,
        anchors_checked=verifier.anchors_checked,
        breaks=breaks,
    )


def _of_the_dump(settings: Settings, manifest: Manifest) -> list[Any]:
    """Anchors kept beside the data; one that was signed after the database's snapshot names rows that came after it."""
    return [
        (source, anchor) for source, anchor in kept_anchors(settings.data_dir) if anchor.seq <= manifest.journal.seq
    ]
