"""Journal archives: old rows in a signed file that the chain runs through, so that they may leave the table.

A file is gzipped JSON lines: a header (tenant, first number, the hash before it), the rows as they stand with their hashes, and a
seal (last number and hash, rows, SHA-256 of all lines before, key, signature). The journal's row `archived` names file and hash.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from command_center.anchors import Signer, key_id, signature_holds
from command_center.chain import ZERO, Break, What
from command_center.model import JournalEntry

DOMAIN = b"citybrain.journal-archive.v1\n"
NAME = re.compile(r"journal-[a-z0-9_]+-(\d{12})-(\d{12})\.jsonl\.gz")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    citybrain: str = "journal-archive"
    v: int = 1
    tenant: str
    from_seq: int
    prev_hash: str


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    citybrain: str = "journal-archive-seal"
    tenant: str
    from_seq: int
    to_seq: int
    last_hash: str
    rows: int
    sha256: str
    key_id: str
    signature: str = ""


class ArchiveWriter:
    """Writes one file: `add` the rows in order, then `seal`. The file has its name only once it is whole."""

    def __init__(self, directory: Path, tenant: str, from_seq: int, to_seq: int, prev_hash: str) -> None:
        self.path = directory / f"journal-{tenant}-{from_seq:012d}-{to_seq:012d}.jsonl.gz"
        self._temporary = self.path.with_suffix(".tmp")
        self._file = gzip.open(self._temporary, "wb")  # noqa: SIM115 - closed by `seal` or `discard`
        self._hash = hashlib.sha256()
        self._tenant, self._from = tenant, from_seq
        self._rows, self._last = 0, (from_seq - 1, prev_hash)
        self._line(Header(tenant=tenant, from_seq=from_seq, prev_hash=prev_hash))

    def add(self, rows: Iterable[JournalEntry]) -> None:
        for row in rows:
            self._line(row)
            self._rows, self._last = self._rows + 1, (row.seq, row.hash or ZERO.hex())

    def seal(self, signer: Signer) -> Seal:
        seal = Seal(
            tenant=self._tenant,
            from_seq=self._from,
            to_seq=self._last[0],
            last_hash=self._last[1],
            rows=self._rows,
            sha256=self._hash.hexdigest(),
            key_id=signer.key_id,
        )
        signed = msgspec.structs.replace(seal, signature=signer.sign(DOMAIN, _facts(seal)))
        self._line(signed)
        self._file.close()
        self._temporary.replace(self.path)
        return signed

    def discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _line(self, value: Any) -> None:
        line = msgspec.json.encode(value) + b"\n"
        self._hash.update(line)
        self._file.write(line)


def _facts(seal: Seal) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(seal)
    del facts["signature"]
    return facts


def archive_files(directory: Path) -> list[Path]:
    """The archives of a directory, by their first number."""
    found = [path for path in directory.iterdir() if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name.rsplit("-", 2)[1:])


class ArchiveReader:
    """Reads one file, in order; afterwards `breaks` says what is wrong with the file itself."""

    def __init__(self, path: Path, keys: Sequence[Ed25519PublicKey]) -> None:
        self.path, self._keys = path, {key_id(key): key for key in keys}
        self.breaks: list[Break] = []
        self.seal: Seal | None = None

    def rows(self) -> Iterator[JournalEntry]:
        digest, count, seq = hashlib.sha256(), 0, 0
        try:
            with gzip.open(self.path, "rb") as file:
                for number, line in enumerate(file):
                    document = msgspec.json.decode(line)
                    if document.get("citybrain") == "journal-archive-seal":
                        self.seal = msgspec.convert(document, Seal)
                        break
                    digest.update(line)
                    if number:
                        row = msgspec.convert(document, JournalEntry)
                        count, seq = count + 1, row.seq
                        yield row
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            self._wrong(seq, f"cannot be read to its end: {error}")
            return
        self._check(digest.hexdigest(), count, seq)

    def _check(self, sha256: str, count: int, seq: int) -> None:
        seal = self.seal
        if seal is None:
            self._wrong(seq, "it has no seal: the file was cut off")
        elif (seal.sha256, seal.rows, seal.to_seq) != (sha256, count, seq):
            self._wrong(seq, "its lines are not those that were sealed")
        elif seal.key_id not in self._keys:
            self._wrong(seq, f"it is sealed with the key {seal.key_id}, which is not ours")
        elif not signature_holds(self._keys[seal.key_id], seal.signature, DOMAIN, _facts(seal)):
            self._wrong(seq, "the signature of its seal does not fit")

    def _wrong(self, seq: int, detail: str) -> None:
        self.breaks.append(Break(what=What.ARCHIVE_DIFFERS, seq=seq, detail=detail, anchor=self.path.name))
