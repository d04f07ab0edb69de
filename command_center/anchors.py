"""Anchors: the head of the journal's chain, signed, as it was at a moment. What has left the host cannot be rewritten with it.

An anchor travels as one line of JSON, alone in a file, in a syslog message or in a request; `read_anchors` finds the lines
again in whatever a receiver has kept. The signature is Ed25519 over the canonical bytes of the other fields.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from command_center.chain import Break, Head, What, canonical
from command_center.errors import CommandError

DOMAIN = b"citybrain.anchor.v1\n"
START = '{"citybrain":"anchor"'  # what a line of ours begins with, whatever a syslog server writes before it
SUFFIX = ".json"


class Why(StrEnum):
    START = "start"
    HOURLY = "hourly"
    STOP = "stop"


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """A signed head. Times in microseconds; `kind` says whether the tenant is real."""

    citybrain: str = "anchor"
    v: int = 1
    tenant: str
    kind: str
    why: Why
    seq: int
    hash: str
    count: int
    city_us: int
    machine_us: int
    key_id: str
    signature: str = ""

    @property
    def line(self) -> bytes:
        return msgspec.json.encode(self)

    @property
    def file_name(self) -> str:
        """Sorts by the row it names, then by when it was signed."""
        return f"anchor-{self.tenant}-{self.seq:012d}-{self.machine_us:016d}{SUFFIX}"


class KeyWrong(CommandError):
    """A file that is no Ed25519 public key."""


class Signer:
    """The installation's key. `seed`: 32 bytes that never leave `secrets/` unless sealed."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key()
        self.key_id = key_id(self.public)

    @property
    def public_pem(self) -> str:
        return self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, domain: bytes, facts: Mapping[str, Any]) -> str:
        """Base64 of the signature over `domain` and the canonical bytes of the facts."""
        return base64.b64encode(self._key.sign(domain + canonical(facts))).decode()

    def anchor(self, head: Head, *, tenant: str, kind: str, why: Why, city_us: int, machine_us: int) -> Anchor:
        anchor = Anchor(
            tenant=tenant,
            kind=kind,
            why=why,
            seq=head.seq,
            hash=head.hash,
            count=head.count,
            city_us=city_us,
            machine_us=machine_us,
            key_id=self.key_id,
        )
        return msgspec.structs.replace(anchor, signature=self.sign(DOMAIN, _facts(anchor)))


def key_id(key: Ed25519PublicKey) -> str:
    """Names a key: 16 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def load_public(pem: bytes) -> Ed25519PublicKey:
    """Raises KeyWrong."""
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise KeyWrong(f"expected an Ed25519 public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyWrong(f"expected an Ed25519 public key, got {type(key).__name__}")
    return key


def signature_holds(key: Ed25519PublicKey, signature: str, domain: bytes, facts: Mapping[str, Any]) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), domain + canonical(facts))
    except (InvalidSignature, ValueError):
        return False
    return True


def _facts(anchor: Anchor) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(anchor)
    del facts["signature"]
    return facts


def check_anchors(
    found: Iterable[tuple[str, Anchor]], keys: Sequence[Ed25519PublicKey], tenant: str
) -> tuple[list[tuple[str, Anchor]], list[Break]]:
    """Those that one of our keys signed for this tenant, and a break for each other one."""
    by_id = {key_id(key): key for key in keys}
    good, breaks = [], []
    for source, anchor in found:
        key = by_id.get(anchor.key_id)
        if anchor.tenant != tenant:
            breaks.append(_forged(source, anchor, f"it is of tenant {anchor.tenant!r}, not {tenant!r}"))
        elif key is None:
            breaks.append(_forged(source, anchor, f"it is signed with the key {anchor.key_id}, which is not ours"))
        elif not signature_holds(key, anchor.signature, DOMAIN, _facts(anchor)):
            breaks.append(_forged(source, anchor, "its signature does not fit what it says"))
        else:
            good.append((source, anchor))
    return good, breaks


def _forged(source: str, anchor: Anchor, detail: str) -> Break:
    return Break(what=What.ANCHOR_FORGED, seq=anchor.seq, detail=detail, anchor=source)


def parse_anchors(text: str) -> list[Anchor]:
    """Every anchor in a text: JSON files, JSON lines, the file of a syslog server. A line of ours that is damaged is left to
    `check_anchors` where it still parses, and passed over where it does not."""
    decoder, found = json.JSONDecoder(), []
    for line in text.splitlines():
        at = line.find(START)
        if at < 0:
            continue
        try:
            document, _ = decoder.raw_decode(line, at)
            found.append(msgspec.convert(document, Anchor))
        except (ValueError, msgspec.ValidationError):
            continue
    return found


def seq_in_name(name: str) -> int | None:
    """The row that a file of ours names; None for a file of another name, which must be read."""
    parts = name.removesuffix(SUFFIX).rsplit("-", 2)
    ours = name.startswith("anchor-") and name.endswith(SUFFIX) and len(parts) == 3 and parts[1].isdigit()
    return int(parts[1]) if ours else None


def _before(name: str, after: int) -> bool:
    seq = seq_in_name(name)
    return after > 0 and seq is not None and seq <= after


def read_anchors(directory: Path, *, after: int = 0) -> list[tuple[str, Anchor]]:
    """(file name, anchor) of every anchor in the files of a directory, by file name; those of rows up to `after` are left out."""
    return [
        (str(path.relative_to(directory)), anchor)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith(".tmp") and not _before(path.name, after)
        for anchor in parse_anchors(path.read_text(encoding="utf-8", errors="replace"))
        if not after or anchor.seq > after
    ]
