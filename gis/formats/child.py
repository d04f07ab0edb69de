"""The limited child: confines itself, then reads one job from stdin and answers on stdout.

Order matters: libraries are imported first (they open files and start threads), then limits and the seccomp filter come down, and
only then is the content read.
"""

from __future__ import annotations

import ctypes
import platform
import resource
import struct
import sys

import msgspec

from gis.formats import files
from gis.formats.limited import (
    CPU_S,
    MEMORY_BYTES,
    OUTPUT_BYTES,
    WRITE_BYTES,
    Answer,
    Job,
    Refused,
    Sheets,
    ToWrite,
    Written,
    from_wire,
    to_wire,
)
from gis.formats.sheet import FileWrong
from gis.formats.writers import Column

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
# (AUDIT_ARCH, socket, socketpair, connect, execve, execveat, ptrace): what parsing a file never needs.
_FORBIDDEN = {
    "x86_64": (0xC000003E, (41, 53, 42, 59, 322, 101)),
    "aarch64": (0xC00000B7, (198, 199, 203, 221, 281, 117)),
}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EPERM, _KILL = 0x7FFF0000, 0x00050001, 0x80000000


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def main() -> None:
    confine_syscalls()
    line = sys.stdin.buffer.readline(1_000_000)
    job = msgspec.json.decode(line, type=Job)
    confine_resources(write_bytes=WRITE_BYTES if job.what == "write" else 0)
    answer = _answer(job, sys.stdin.buffer.read())
    out = msgspec.msgpack.encode(answer)
    if len(out) > OUTPUT_BYTES:
        out = msgspec.msgpack.encode(
            Refused(kind="FileTooLarge", zh="表格展开后过大", en="the table is too large when unpacked")
        )
    sys.stdout.buffer.write(out)
    sys.stdout.buffer.flush()


def _answer(job: Job, content: bytes) -> Answer:
    try:
        if job.what == "read":
            return Sheets(sheets=[to_wire(s) for s in files.read(content, job.format, frozenset(job.known))])
        asked = msgspec.msgpack.decode(content, type=ToWrite)
        columns = [msgspec.convert(c, Column) for c in asked.columns]
        return Written(content=files.write([from_wire(s) for s in asked.sheets], job.format, columns))
    except FileWrong as error:
        return Refused(kind=type(error).__name__, zh=error.zh, en=error.en)
    except MemoryError:
        return Refused(
            kind="FileTooLarge", zh="文件展开后超出内存限制", en="the file needs more memory than a file is given"
        )


def confine_resources(*, write_bytes: int, cpu_s: int = CPU_S) -> None:
    """Memory, CPU, no core dump; no file may grow beyond `write_bytes` (pipes are no files)."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, write_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(limit, (value, value))


def confine_syscalls() -> None:
    """No socket, no program, no tracing, for this process and what it might start. Raises OSError where that cannot be had."""
    arch, forbidden = _FORBIDDEN.get(platform.machine(), (0, ()))
    if not arch:
        raise OSError(f"no seccomp table for {platform.machine()}: files from outside are not read on this machine")
    program = _bpf(arch, forbidden)
    buffer = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    filter_ = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp filter")


def _bpf(arch: int, forbidden: tuple[int, ...]) -> bytes:
    """Another architecture's calls kill; the forbidden ones fail with EPERM; the rest passes."""
    count = len(forbidden)
    steps = [
        (_LOAD, 0, 0, 4),  # seccomp_data.arch
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # seccomp_data.nr
    ]
    steps += [(_EQUAL, count - i, 0, number) for i, number in enumerate(forbidden)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
