"""What seals a backup: only the right key opens it, and whatever is changed is found before it is used."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import backup_envelope as envelope
from runtime.backup_envelope import (
    BackupError,
    Blocks,
    Damaged,
    PartWriter,
    WrongKey,
    make_identity,
    read_part,
    unwrap,
    wrap_for_passphrase,
    wrap_for_recipient,
)

KEY = bytes(range(32))
WORD = "correct horse battery"


def part(path: Path, data: bytes, name: str = "log/x") -> Path:
    with PartWriter(path, KEY, name) as writer:
        writer.write(data)
    assert envelope.file_sha256(path) == writer.sha256
    assert path.stat().st_size == writer.size
    return path


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, envelope.CHUNK - 1, envelope.CHUNK, 3 * envelope.CHUNK + 7])
def test_a_part_reads_back_as_it_was_written(tmp_path: Path, size: int) -> None:
    path = part(tmp_path / "p", noise(size))
    assert b"".join(read_part(path, KEY, "log/x")) == noise(size)


def test_what_packs_a_thousand_times_is_not_held_in_memory_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p"
    with PartWriter(path, KEY, "x") as writer:
        for _ in range(20):
            writer.write(bytes(envelope.CHUNK))
    blocks = [len(block) for block in read_part(path, KEY, "x")]
    assert sum(blocks) == 20 * envelope.CHUNK
    assert max(blocks) <= envelope.BLOCK_MAX
    assert path.stat().st_size < envelope.CHUNK


def test_nothing_of_the_content_is_in_the_file(tmp_path: Path) -> None:
    assert b"secret" not in part(tmp_path / "p", b"secret" * 1000).read_bytes()


@settings(max_examples=20, deadline=None)
@given(at=st.integers(0, 2999), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    path = part(tmp_path_factory.mktemp("flip") / "p", noise(3000))
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    path.write_bytes(raw)
    with pytest.raises(Damaged):
        list(read_part(path, KEY, "log/x"))


def chunks(raw: bytes) -> list[bytes]:
    found = []
    while raw:
        size = 4 + int.from_bytes(raw[:4], "big")
        found.append(raw[:size])
        raw = raw[size:]
    return found


@pytest.mark.parametrize("harm", ["cut", "half", "swapped", "twice", "longer"])
def test_chunks_can_be_neither_cut_off_nor_exchanged(tmp_path: Path, harm: str) -> None:
    path = part(tmp_path / "p", noise(2 * envelope.CHUNK + 9))
    one, two, *rest = chunks(path.read_bytes())
    harmed = {
        "cut": [one, two],
        "half": [one, two, rest[0][:9]],
        "swapped": [two, one, *rest],
        "twice": [one, one, two, *rest],
        "longer": [one, two, *rest, rest[-1]],
    }
    path.write_bytes(b"".join(harmed[harm]))
    with pytest.raises(Damaged):
        list(read_part(path, KEY, "log/x"))


def test_a_part_put_in_anothers_place_does_not_open(tmp_path: Path) -> None:
    path = part(tmp_path / "p", b"x", name="database/journal")
    with pytest.raises(Damaged):
        list(read_part(path, KEY, "database/app_user"))
    with pytest.raises(Damaged, match="missing"):
        list(read_part(tmp_path / "gone", KEY, "x"))


def test_a_passphrase_opens_what_it_sealed_and_another_does_not() -> None:
    sealed = wrap_for_passphrase(KEY, WORD)
    assert unwrap(sealed, passphrase=WORD) == KEY
    with pytest.raises(WrongKey, match="does not open"):
        unwrap(sealed, passphrase=WORD + "!")
    with pytest.raises(WrongKey, match="sealed with a passphrase"):
        unwrap(sealed)
    with pytest.raises(WrongKey, match="out of range"):
        unwrap({**sealed, "n": 2**30}, passphrase=WORD)
    with pytest.raises(BackupError, match="at least 12"):
        wrap_for_passphrase(KEY, "short")
    assert wrap_for_passphrase(KEY, WORD) != sealed


def test_only_the_recipients_private_key_opens_what_was_sealed_for_it(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.key", tmp_path / "other.key"
    public = make_identity(mine)
    make_identity(other)
    assert stat.S_IMODE(mine.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        make_identity(mine)
    sealed = wrap_for_recipient(KEY, public)
    assert unwrap(sealed, identity=mine) == KEY
    with pytest.raises(WrongKey, match="does not open"):
        unwrap(sealed, identity=other)
    with pytest.raises(WrongKey, match=sealed["recipient"]):
        unwrap(sealed, passphrase=WORD)
    with pytest.raises(BackupError, match="X25519 public key"):
        wrap_for_recipient(KEY, mine)
    with pytest.raises(WrongKey, match="X25519 private key"):
        unwrap(sealed, identity=public)


def test_blocks_are_read_as_a_file() -> None:
    file = Blocks(iter([b"ab", b"", b"cdef", b"g"]))
    assert [file.read(3), file.read(1), file.read(), file.read(5)] == [b"abc", b"d", b"efg", b""]
