"""A Parquet file as lines of JSON, read by a limited child while they are taken: a file of any size in bounded memory.

The format is binary, deep and compressed, so that a crafted file must not be read by a process that has anything to lose: the child
confines itself first, as `gis.formats.child` does, gets the file as its stdin and writes lines to a pipe.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gis.formats.sheet import FileWrong

ROOT = Path(__file__).resolve().parents[2]
BATCH_ROWS = 5_000
CPU_S = 3_600
GROUP_BYTES = 512 * 1024**2  # of one row group, unpacked: it is read as a whole
LINE_MAX = 1024**2
WRONG = 3  # exit code of a file that the child refuses in words


def lines(file: IO[bytes]) -> Iterator[bytes]:
    """One line of JSON for each row, in order. `file` is a real file, from its beginning. Raises FileWrong, also after some lines.
    Closing the iterator ends the child."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); from gis.formats.parquet_lines import main; main()"],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"},
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        while line := process.stdout.readline(LINE_MAX):
            yield line
        said = process.stderr.read(100_000).decode("utf-8", "replace").strip().splitlines()
        code = process.wait()
        if code == WRONG and said:
            zh, en = json.loads(said[-1])
            raise FileWrong(zh, en)
        if code:
            raise FileWrong(
                "Parquet 文件无法读取：内容已损坏或超出限制",
                f"the Parquet file cannot be read: broken, or beyond the limits (exit {code})",
            )
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def main() -> None:
    """The child: stdin is the file."""
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    from gis.formats.child import confine_resources, confine_syscalls

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    confine_syscalls()
    confine_resources(write_bytes=0, cpu_s=CPU_S)
    encoder = msgspec.json.Encoder()
    try:
        with pq.ParquetFile(sys.stdin.buffer) as file:
            _check(file)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                sys.stdout.buffer.write(encoder.encode_lines(_rows(batch)))
    except FileWrong as error:
        _refuse(error.zh, error.en)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        _refuse("不是可读的 Parquet 文件", f"not a Parquet file that can be read: {str(error)[:200]}")
    sys.stdout.buffer.flush()


def _refuse(zh: str, en: str) -> None:
    sys.stdout.buffer.flush()
    sys.stderr.write(json.dumps([zh, en]) + "\n")
    raise SystemExit(WRONG)


def _check(file: Any) -> None:
    """Raises FileWrong for row groups that would not fit, and for times that do not say where they are."""
    import pyarrow as pa

    groups = (file.metadata.row_group(n) for n in range(file.metadata.num_row_groups))
    if any(group.total_byte_size > GROUP_BYTES for group in groups):
        raise FileWrong(
            f"行组过大：每组解压后至多 {GROUP_BYTES // 1024**2} MiB",
            f"a row group is too large: at most {GROUP_BYTES // 1024**2} MiB unpacked",
        )
    for field in file.schema_arrow:
        if pa.types.is_timestamp(field.type) and field.type.tz is None:
            raise FileWrong(f"{field.name}：时间没有时区", f"{field.name}: a time without a zone")


def _rows(batch: Any) -> list[dict[str, Any]]:
    import pyarrow as pa

    columns = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_timestamp(field.type):
            micros = column.cast(pa.timestamp("us", tz="UTC"))
            columns[field.name] = pa.compute.strftime(micros, format="%Y-%m-%dT%H:%M:%SZ").to_pylist()
        else:
            columns[field.name] = column.to_pylist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
