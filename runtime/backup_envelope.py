"""How a backup is sealed: a fresh data key, wrapped for a passphrase or for somebody's X25519 key; parts as encrypted streams.

A part is compressed (zlib), cut into chunks of 1 MiB and sealed with AES-256-GCM under a key of its own (HKDF of the data key and
the part's name). The nonce is the chunk's number and a mark on the last one, so that chunks can be neither exchanged nor cut off.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

CHUNK = 1 << 20
BLOCK_MAX = 4 * CHUNK  # an empty page of SQLite packs a thousand times
COMPRESSION = 1  # COPY text halves five times at level 1; higher levels cost the core that alarms need
KEY_BYTES = 32
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 16, 8, 1  # 64 MiB and a quarter of a second for each guess
WRAP_NONCE = bytes(12)  # every wrapping key is used once
PASSPHRASE_LEAST = 12


class BackupError(Exception):
    """A backup that cannot be made or restored; the text says why."""


class WrongKey(BackupError):
    """The passphrase or key does not open this backup."""


class Damaged(BackupError):
    """A part that is not what was written."""


# -- who can open it


def make_identity(path: Path) -> Path:
    """A new X25519 key: the private half at `path` (0600), the public half beside it as `.pub`. Raises FileExistsError."""
    key = X25519PrivateKey.generate()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = path.with_suffix(path.suffix + ".pub")
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def wrap_for_passphrase(data_key: bytes, passphrase: str) -> dict[str, Any]:
    """The envelope that the manifest carries. Raises BackupError for a passphrase that is too short."""
    if len(passphrase) < PASSPHRASE_LEAST:
        raise BackupError(f"passphrase: expected at least {PASSPHRASE_LEAST} characters")
    salt = os.urandom(16)
    sealed = AESGCM(_scrypt(passphrase, salt)).encrypt(WRAP_NONCE, data_key, b"passphrase")
    return {"kind": "scrypt", "salt": _b64(salt), "n": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P, "sealed": _b64(sealed)}


def wrap_for_recipient(data_key: bytes, recipient: Path) -> dict[str, Any]:
    """The envelope for the owner of an X25519 key. Raises BackupError for a file that is none."""
    public = _public(recipient)
    ephemeral = X25519PrivateKey.generate()
    raw = ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    sealed = AESGCM(_agreed(ephemeral.exchange(public), raw, public)).encrypt(WRAP_NONCE, data_key, b"x25519")
    return {"kind": "x25519", "recipient": _fingerprint(public), "ephemeral": _b64(raw), "sealed": _b64(sealed)}


def unwrap(envelope: dict[str, Any], *, passphrase: str = "", identity: Path | None = None) -> bytes:
    """The data key. Raises WrongKey, naming what the backup wants."""
    if envelope["kind"] == "scrypt":
        if not passphrase:
            raise WrongKey("this backup is sealed with a passphrase")
        key, what = _scrypt(passphrase, _raw(envelope["salt"]), int(envelope["n"])), b"passphrase"
    else:
        if identity is None:
            raise WrongKey(f"this backup is sealed for the key {envelope['recipient']}: give its private file")
        private = _private(identity)
        ephemeral = _raw(envelope["ephemeral"])
        shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        key, what = _agreed(shared, ephemeral, private.public_key()), b"x25519"
    try:
        return AESGCM(key).decrypt(WRAP_NONCE, _raw(envelope["sealed"]), what)
    except InvalidTag as error:
        raise WrongKey("the passphrase or key does not open this backup") from error


def _scrypt(passphrase: str, salt: bytes, n: int = SCRYPT_N) -> bytes:
    if not 1 << 14 <= n <= 1 << 20:
        raise WrongKey(f"envelope: scrypt n={n} is out of range")
    return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=SCRYPT_R, p=SCRYPT_P).derive(passphrase.encode())


def _agreed(shared: bytes, ephemeral: bytes, recipient: X25519PublicKey) -> bytes:
    raw = recipient.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return HKDF(SHA256(), KEY_BYTES, salt=ephemeral + raw, info=b"citybrain.backup.recipient.v1").derive(shared)


def _public(path: Path) -> X25519PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, OSError) as error:
        raise BackupError(f"{path}: expected an X25519 public key (PEM): {error}") from error
    if not isinstance(key, X25519PublicKey):
        raise BackupError(f"{path}: expected an X25519 public key, got {type(key).__name__}")
    return key


def _private(path: Path) -> X25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, OSError) as error:
        raise WrongKey(f"{path}: expected an X25519 private key (PEM): {error}") from error
    if not isinstance(key, X25519PrivateKey):
        raise WrongKey(f"{path}: expected an X25519 private key, got {type(key).__name__}")
    return key


def _fingerprint(key: X25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


# -- parts


def _part_key(data_key: bytes, name: str) -> AESGCM:
    info = b"citybrain.backup.part.v1/" + name.encode()
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(data_key))


def _nonce(number: int, last: bool) -> bytes:
    return struct.pack(">QxxxB", number, last)


class PartWriter:
    """A part being written: compressed, sealed, hashed, on disk when closed. One chunk in memory."""

    def __init__(self, path: Path, data_key: bytes, name: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("xb")
        self._key, self._name = _part_key(data_key, name), name
        self._compress = zlib.compressobj(COMPRESSION)
        self._buffer, self._number = bytearray(), 0
        self._hash = hashlib.sha256()
        self.plain_bytes, self.size = 0, 0

    def write(self, data: bytes) -> int:
        self.plain_bytes += len(data)
        self._buffer += self._compress.compress(data)
        while len(self._buffer) > CHUNK:
            self._seal(bytes(self._buffer[:CHUNK]), last=False)
            del self._buffer[:CHUNK]
        return len(data)

    def copy(self, path: Path) -> None:
        with path.open("rb") as source:
            while block := source.read(CHUNK):
                self.write(block)

    def close(self) -> None:
        if self._file.closed:
            return
        self._buffer += self._compress.flush()
        while len(self._buffer) > CHUNK:
            self._seal(bytes(self._buffer[:CHUNK]), last=False)
            del self._buffer[:CHUNK]
        self._seal(bytes(self._buffer), last=True)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        sealed = self._key.encrypt(_nonce(self._number, last), chunk, self._name.encode())
        record = struct.pack(">I", len(sealed)) + sealed
        self._hash.update(record)
        self._file.write(record)
        self._number, self.size = self._number + 1, self.size + len(record)


def read_part(path: Path, data_key: bytes, name: str) -> Iterator[bytes]:
    """The part's content, block by block. Raises Damaged before a changed chunk is handed out, and at a missing end."""
    key, expand, number, last = _part_key(data_key, name), zlib.decompressobj(), 0, False
    try:
        with path.open("rb") as file:
            while header := file.read(4):
                if last or len(header) < 4:
                    raise Damaged(f"{name}: goes on after its end")
                size = int.from_bytes(header, "big")
                sealed = file.read(min(size, 2 * CHUNK))
                if len(sealed) != size:
                    raise Damaged(f"{name}: chunk {number} is shorter than it says")
                chunk, last = _open(key, sealed, number, name)
                number += 1
                while chunk and (block := expand.decompress(chunk, BLOCK_MAX)):
                    chunk = expand.unconsumed_tail
                    yield block
    except FileNotFoundError as error:
        raise Damaged(f"{name}: the file {path.name} is missing") from error
    except zlib.error as error:
        raise Damaged(f"{name}: {error}") from error
    if not last or not expand.eof:
        raise Damaged(f"{name}: was cut off after chunk {number}")


def _open(key: AESGCM, sealed: bytes, number: int, name: str) -> tuple[bytes, bool]:
    for last in (False, True):
        try:
            return key.decrypt(_nonce(number, last), sealed, name.encode()), last
        except InvalidTag:
            continue
    raise Damaged(f"{name}: chunk {number} is not what was written")


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


class Blocks:
    """A stream of blocks as a file that can be read, for `tarfile`."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, b""

    def read(self, size: int = -1) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while size < 0 or have < size:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            have += len(block)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]
