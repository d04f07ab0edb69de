"""A disk that forgets what was not fsynced: `kill -9` alone keeps the page cache, a power cut does not.

`environment()` makes a process write below one folder through `forgetful_disk.c`; once the process is dead, `forget()` takes back
every write that no fsync followed, and the shared-memory files of SQLite, which live in memory.
"""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")
_ENTRY = struct.Struct("=IIQQQ")  # synced, bytes of the path, size before, offset, bytes of the old content


class ForgetfulDisk:
    """The shim over `folder`. `lies`: an fsync is not believed, so everything is forgotten. Needs a C compiler."""

    def __init__(self, folder: Path, workshop: Path, *, lies: bool = False) -> None:
        self.folder, self._lies = folder.resolve(), lies
        self._library, self._journal = workshop / "forgetful_disk.so", workshop / "forgetful.journal"
        command = ["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)

    def environment(self) -> dict[str, str]:
        """The environment for the process whose writes are watched."""
        told = {
            "LD_PRELOAD": str(self._library),
            "FORGETFUL_DIR": str(self.folder),
            "FORGETFUL_JOURNAL": str(self._journal),
        }
        return {**os.environ, **told, **({"FORGETFUL_LIES": "1"} if self._lies else {})}

    def forget(self) -> int:
        """Take back what was not fsynced; the bytes of writes that were taken back. Only while no process writes."""
        pending: dict[str, list[tuple[int, int, bytes]]] = {}
        whole, at = self._journal.read_bytes() if self._journal.exists() else b"", 0
        while at + _ENTRY.size <= len(whole):
            synced, path_bytes, size, offset, old_bytes = _ENTRY.unpack_from(whole, at)
            at += _ENTRY.size
            path = whole[at : at + path_bytes].decode()
            at += path_bytes
            if at + old_bytes > len(whole):
                break  # killed while it wrote this entry, so before the write itself
            if synced:
                pending.pop(path, None)
            else:
                pending.setdefault(path, []).append((size, offset, whole[at : at + old_bytes]))
            at += old_bytes
        self._journal.unlink(missing_ok=True)
        forgotten = sum(self._restore(Path(path), writes) for path, writes in pending.items())
        for shared in self.folder.glob("*-shm"):
            shared.unlink()
        return forgotten

    def _restore(self, path: Path, writes: list[tuple[int, int, bytes]]) -> int:
        if not path.exists():
            return 0
        before = path.read_bytes()
        with path.open("r+b") as file:
            for size, offset, old in reversed(writes):
                file.seek(offset)
                file.write(old)
                file.truncate(size)
        after = path.read_bytes()
        return abs(len(before) - len(after)) + sum(a != b for a, b in zip(before, after, strict=False))
