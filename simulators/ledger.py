"""What the system confirmed end to end, as the devices themselves wrote it down: the other side of `lost`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record for which `down/ack` came. `ts_ms` is the device's own stamp, which a faulty clock makes wrong."""

    device_id: str
    seq: int
    ts_ms: int
    keys: list[str]
    clock_fault: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


class Ledger:
    """Appends a line for each confirmed record; unbuffered towards the kernel, so that a kill loses nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = path.open("ab", buffering=0) if path else None
        self.confirmed = 0

    def confirm(self, entry: Entry) -> None:
        self.confirmed += 1
        if self._file is not None:
            self._file.write(_encoder.encode(entry) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def read_ledger(path: Path) -> Iterator[Entry]:
    """The entries in order; a last line that a kill cut short is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _decoder.decode(line)
