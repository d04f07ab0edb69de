"""`citybrain audit`: the whole journal checked against anchors and archives; its head; archiving what is old."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from command_center import chain
from command_center.anchors import check_anchors, key_id, load_public, read_anchors
from command_center.archives import ArchiveReader, ArchiveWriter, archive_files
from command_center.audit import WALK_ROWS
from command_center.chain import Break, Head, Verifier, What
from command_center.model import JournalEntry
from command_center.ports import Tx
from runtime.admin import AdminError, city_clock, open_database
from runtime.anchors import kept_anchors, public_keys, signer_of
from runtime.secrets import service_secrets
from runtime.settings import JOURNAL_KEEP_LEAST_DAYS, Settings
from storage.command import PostgresStore

DAY_US = 86_400 * 1_000_000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` found. `on_this_host_only`: the anchors were this host's own copies, which its owner could have changed."""

    ok: bool
    tenant: str
    head: Head
    rows: int
    archives: int
    anchors: int
    anchors_checked: int
    on_this_host_only: bool
    keys: list[str]
    breaks: list[Break]


async def verify(
    settings: Settings,
    *,
    anchors: Sequence[Path] = (),
    archives: Path | None = None,
    keys: Sequence[Path] = (),
) -> Report:
    """Read archives and table from the first row to the last. Raises AdminError when something cannot be read at all."""
    public = [load_public(path.read_bytes()) for path in keys] or public_keys(settings.data_dir)
    if not public:
        raise AdminError("no public key: give --key, or a data directory whose system has been started")
    for directory in anchors:
        if not directory.is_dir():
            raise AdminError(f"{directory}: expected a directory of anchors")
    found = [entry for directory in anchors for entry in read_anchors(directory)] or kept_anchors(settings.data_dir)
    good, forged = check_anchors(found, public, settings.tenant)
    verifier = Verifier(good)
    readers = [ArchiveReader(path, public) for path in (archive_files(archives) if archives else [])]
    for reader in readers:
        verifier.extend(reader.rows())
    seals: dict[str, str] = {}
    async with open_database(settings) as database, PostgresStore(database).read() as tx:
        await _feed_table(verifier, tx, seals)
    breaks = [*forged, *(b for r in readers for b in _against_journal(r, seals)), *verifier.finish()]
    return Report(
        ok=not breaks,
        tenant=settings.tenant,
        head=verifier.head,
        rows=verifier.rows,
        archives=len(readers),
        anchors=len(found),
        anchors_checked=verifier.anchors_checked,
        on_this_host_only=not anchors,
        keys=[key_id(key) for key in public],
        breaks=breaks,
    )


async def _feed_table(verifier: Verifier, tx: Tx, seals: dict[str, str]) -> None:
    after = verifier.head.seq  # rows that an archive held already may still stand in the table
    while rows := await tx.journal_walk(after, WALK_ROWS):
        verifier.extend(rows)
        after = rows[-1].seq
    for row in await tx.checkpoints():
        seals[str((row.after or {}).get("file"))] = str((row.after or {}).get("sha256"))


def _against_journal(reader: ArchiveReader, seals: dict[str, str]) -> list[Break]:
    """What is wrong with the file, and whether it is the one that the journal names."""
    seal = reader.seal
    named = seals.get(reader.path.name)
    if reader.breaks or seal is None or named == seal.sha256:
        return reader.breaks
    detail = "the journal names no such archive" if named is None else "the journal names another file of this name"
    return [Break(what=What.ARCHIVE_DIFFERS, seq=seal.to_seq, detail=detail, anchor=reader.path.name)]


async def head(settings: Settings) -> dict[str, Any]:
    """The end of the chain and the newest anchor that this host keeps."""
    async with open_database(settings) as database, PostgresStore(database).read() as tx:
        end = await tx.journal_head()
    kept = kept_anchors(settings.data_dir)
    return {"head": msgspec.to_builtins(end), "anchor": msgspec.to_builtins(kept[-1][1]) if kept else None}


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    from_seq: int
    to_seq: int
    rows: int
    dropped: int


async def archive(settings: Settings, directory: Path, *, actor: str, drop: bool) -> Archived | None:
    """Write rows older than `journal_keep_days` into a signed file; None: there are none. With `drop` they leave the table.

    Never touches rows younger than six months, whatever the setting says. The row that names the file is written in the same
    transaction in which the rows go; a crash before it leaves a file that nothing names, and every row.
    """
    if not directory.is_dir() or directory.is_relative_to(settings.data_dir):
        raise AdminError(f"{directory}: expected a directory outside the data directory")
    clock = city_clock(settings)
    keep_days = max(settings.journal_keep_days, JOURNAL_KEEP_LEAST_DAYS)
    signer = signer_of(service_secrets(settings.secrets_dir))
    async with open_database(settings) as database:
        store = PostgresStore(database)
        async with store.read() as tx:
            until = await tx.journal_until(clock.machine_us() - round(keep_days * DAY_US))
            last = (await tx.checkpoints())[-1:]
            done = int((last[0].after or {})["to_seq"]) if last else 0
            before = int((last[0].after or {})["count"]) if last else 0
            if until <= done:
                return None
            [first] = await tx.journal_walk(done, 1)
            prev = first.prev_hash or chain.ZERO.hex()
            writer = ArchiveWriter(directory, settings.tenant, first.seq, until, prev)
            try:
                after = done
                while rows := await tx.journal_walk(after, WALK_ROWS, until):
                    writer.add(rows)
                    after = rows[-1].seq
                seal = writer.seal(signer)
            except BaseException:
                writer.discard()
                raise
        reader = ArchiveReader(writer.path, [signer.public])  # what was written is read again before anything goes
        if sum(1 for _ in reader.rows()) != seal.rows or reader.breaks:
            raise AdminError(f"{writer.path}: does not read back as it was written: {reader.breaks}")
        facts = {
            "file": writer.path.name,
            "from_seq": seal.from_seq,
            "to_seq": seal.to_seq,
            "last_hash": seal.last_hash,
            "rows": seal.rows,
            "count": before + seal.rows,
            "sha256": seal.sha256,
            "dropped": drop,
        }
        async with store.write() as tx:
            await tx.add_journal(_checkpoint(facts, actor, clock.city_us(), clock.machine_us(), keep_days))
            dropped = await tx.drop_archived(seal.to_seq) if drop else 0
    return Archived(file=str(writer.path), from_seq=seal.from_seq, to_seq=seal.to_seq, rows=seal.rows, dropped=dropped)


def _checkpoint(facts: dict[str, Any], actor: str, at_us: int, machine_us: int, keep_days: float) -> JournalEntry:
    return JournalEntry(
        seq=0,
        at_us=at_us,
        machine_us=machine_us,
        actor=actor,
        on_behalf_of="",
        entity=chain.JOURNAL,
        entity_id=str(facts["file"]),
        action=chain.ARCHIVED,
        before=None,
        after=facts,
        reason=f"older than {keep_days:g} days",
    )
