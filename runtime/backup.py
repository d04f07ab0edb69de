"""`citybrain backup`: database, log, files and keys of a running installation, consistent with each other, sealed, streamed.

The order makes it consistent: first the database's snapshot with its cursors, then the log, whose cut therefore reaches at least
as far; after a restore each consumer reads on from its cursor and finds everything that was acknowledged. The manifest is
written last and the directory renamed when whole: what has its name is a backup.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from command_center.anchors import Signer, key_id, load_public, signature_holds
from command_center.chain import Head
from runtime.admin import city_clock, open_database
from runtime.anchors import signer_of
from runtime.backup_envelope import BackupError, Damaged, PartWriter, wrap_for_passphrase, wrap_for_recipient
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.secrets import service_secrets
from runtime.settings import Settings
from storage.database import Database
from storage.dump import DumpFacts, dumping
from stream.backup import LogCut, copy_log
from stream.files import sync_directory

DOMAIN = b"citybrain.backup.v1\n"
MANIFEST = "manifest.json"
FILES = "files.tar"
FORMAT = 1
# Made anew at every start, or carried in parts of their own.
LEFT_OUT = frozenset({"postgres", "log", "logs", "broker", "programs", "mosquitto", "packages"})
LEFT_OUT_OF_RUN = (".pid", ".sock", ".ready", ".prom", ".position", ".lock", ".tmp")
RUN_ONCE = frozenset({"children.json", "status.json", "clock.json", "clock.step", "lock"})
Progress = Callable[[str, int], None]
"""(what is being done, bytes of it so far)."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    file: str
    size: int
    sha256: str
    plain_bytes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says about itself, readable without its key. Signed by the installation's journal key."""

    citybrain: str = "backup"
    format: int = FORMAT
    tenant: str
    kind: str
    release: str
    city_us: int
    machine_us: int
    embedded: bool  # the database was ours, so that a restore makes one
    database: DumpFacts
    log_first: int
    log_head: int
    log_at_us: int
    journal: Head
    envelope: dict[str, Any]
    parts: list[Part]
    key_id: str
    public_key: str
    signature: str = ""


def release() -> str:
    try:
        return version("citybrain")
    except PackageNotFoundError:
        return "source"


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """For whom: exactly one of the two."""

    passphrase: str = ""
    recipient: Path | None = None

    def envelope(self, data_key: bytes) -> dict[str, Any]:
        if self.recipient is not None:
            return wrap_for_recipient(data_key, self.recipient)
        return wrap_for_passphrase(data_key, self.passphrase)


async def backup(settings: Settings, to: Path, seal: Seal, *, progress: Progress) -> tuple[Path, Manifest]:
    """Make one backup below `to`; returns its directory. Raises BackupError, StorageError, LogError, OSError.

    Nothing is stopped; the database sees one reader, the log is read beside its writer.
    """
    if to.resolve().is_relative_to(settings.data_dir):
        raise BackupError(
            f"{to} lies inside the data directory: a backup belongs on another disk, better on another host"
        )
    to.mkdir(parents=True, exist_ok=True)
    clock = city_clock(settings)
    machine_us = clock.machine_us()
    stamp = datetime.fromtimestamp(machine_us / 1e6, UTC).strftime("%Y%m%dT%H%M%SZ")
    final = to / f"citybrain-{settings.tenant}-{stamp}"
    partial = final.with_name(f".{final.name}.partial")
    data_key = os.urandom(32)
    envelope = seal.envelope(data_key)  # a wrong key file is found before an hour of copying
    if final.exists() or partial.exists():
        raise BackupError(f"{final} is there already")
    partial.mkdir(mode=0o700)
    try:
        parts = Parts(partial, data_key, progress)
        async with open_database(settings) as database:
            facts, journal = await _dump(database, parts)
            cut = _copy_log(settings, parts, facts)
        _copy_files(settings, parts)
        manifest = _sign(
            Manifest(
                tenant=settings.tenant,
                kind=settings.tenant_kind,
                release=release(),
                city_us=clock.city_us(),
                machine_us=machine_us,
                embedded=_embedded(settings),
                database=facts,
                log_first=cut.first,
                log_head=cut.head,
                log_at_us=cut.at_us,
                journal=journal,
                envelope=envelope,
                parts=parts.done,
                key_id="",
                public_key="",
            ),
            signer_of(service_secrets(settings.secrets_dir)),
        )
        _write_manifest(partial, manifest)
        partial.rename(final)
        sync_directory(to)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return final, manifest


class Parts:
    """Numbered files of one backup."""

    def __init__(self, directory: Path, data_key: bytes, progress: Progress) -> None:
        self._directory, self._key, self._progress = directory, data_key, progress
        self.done: list[Part] = []

    @contextmanager
    def part(self, name: str) -> Iterator[PartWriter]:
        path = self._directory / f"{len(self.done):04d}.part"
        self._progress(name, 0)
        with PartWriter(path, self._key, name) as writer:
            yield writer
        self._progress(name, writer.plain_bytes)
        self.done.append(
            Part(name=name, file=path.name, size=writer.size, sha256=writer.sha256, plain_bytes=writer.plain_bytes)
        )


async def _dump(database: Database, parts: Parts) -> tuple[DumpFacts, Head]:
    async with dumping(database) as dump:
        for table, _ in dump.tables:
            with parts.part(f"database/{table}") as writer:
                await dump.copy(table, writer)
        return dump.facts(), await dump.journal_head()


def _copy_log(settings: Settings, parts: Parts, facts: DumpFacts) -> LogCut:
    def put(name: str, path: Path) -> None:
        with parts.part(f"log/{name}") as writer:
            writer.copy(path)

    with tempfile.TemporaryDirectory(prefix="citybrain-backup-", dir=settings.run_dir) as scratch:
        cut = copy_log(settings.log_dir, Path(scratch), put, needed=min(facts.cursors.values(), default=0))
    behind = {name: position for name, position in facts.cursors.items() if position > cut.head}
    if behind:
        raise BackupError(
            f"the log ends at {cut.head}, before the database's cursors {behind}: they are not of one run"
        )
    return cut


def _copy_files(settings: Settings, parts: Parts) -> None:
    """Keys, settings, certificates, layers, anchors, media, archives: whatever else lies in the data directory."""
    with (
        parts.part(FILES) as writer,
        tarfile.open(fileobj=cast(Any, writer), mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _files(settings.data_dir):
            try:
                tar.add(path, arcname=str(path.relative_to(settings.data_dir)), recursive=False)
            except FileNotFoundError:
                continue  # a queued anchor that was sent meanwhile


def _files(data_dir: Path) -> Iterator[Path]:
    for path in sorted(data_dir.rglob("*")):
        inside = path.relative_to(data_dir)
        if inside.parts[0] in LEFT_OUT or path.is_symlink() or not (path.is_file() or path.is_dir()):
            continue
        if inside.parts[0] == "run" and not _of_every_run(inside):
            continue
        if path.name.endswith(".tmp"):
            continue
        yield path


def _of_every_run(inside: Path) -> bool:
    """Whether a file of `run/` means anything to the next run."""
    if len(inside.parts) == 1:
        return True
    return len(inside.parts) == 2 and inside.name not in RUN_ONCE and not inside.name.endswith(LEFT_OUT_OF_RUN)


def _embedded(settings: Settings) -> bool:
    """Whether the database is a private one of this data directory."""
    place = EmbeddedPostgres(settings.data_dir)
    return (place.cluster / "PG_VERSION").exists() and str(place.run_dir) in settings.database


def _facts(manifest: Manifest) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(msgspec.json.encode(manifest))
    del facts["signature"]
    return facts


def _sign(manifest: Manifest, signer: Signer) -> Manifest:
    named = msgspec.structs.replace(manifest, key_id=signer.key_id, public_key=signer.public_pem)
    return msgspec.structs.replace(named, signature=signer.sign(DOMAIN, _facts(named)))


def _write_manifest(directory: Path, manifest: Manifest) -> None:
    path = directory / MANIFEST
    with path.open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    sync_directory(directory)


def read_manifest(directory: Path, *, key: Ed25519PublicKey | None = None) -> Manifest:
    """The manifest, its signature checked: against `key` where one is given, else against the key that it names itself.

    Raises BackupError for a directory that is none, Damaged for one that was changed.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise BackupError(f"{directory}: expected a backup, there is no {MANIFEST} (one that was interrupted has none)")
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise Damaged(f"{path}: {error}") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{path}: format {manifest.format}, this build reads {FORMAT}")
    by = key or load_public(manifest.public_key.encode())
    if key_id(by) != manifest.key_id or not signature_holds(by, manifest.signature, DOMAIN, _facts(manifest)):
        raise Damaged(f"{path}: its signature does not hold with the key {key_id(by)}")
    return manifest
