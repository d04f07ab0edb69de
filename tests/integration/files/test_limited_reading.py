"""The child that parses files from outside: what it may do, what it may not, and that nothing it meets harms us."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest
import shapely

from gis.formats import limited
from gis.formats.sheet import FileTooLarge, FileWrong, Format, Sheet

ROOT = Path(__file__).resolve().parents[3]
WANTED = Sheet(
    columns=("编号", "名称"),
    rows=[(f"R{i}", f"水库{i}") for i in range(30)],
    numbers=range(1, 31),
    geometries=[shapely.Point(121.4 + i / 1000, 28.6) for i in range(30)],
    crs="EPSG:4490",
    name="水库",
)


@pytest.mark.parametrize("fmt", list(Format))
def test_every_format_passes_through_the_child(fmt: Format) -> None:
    async def there_and_back() -> Sheet:
        content = await limited.write_limited([WANTED], fmt)
        return (await limited.read_limited(content, fmt))[0]

    assert asyncio.run(there_and_back()).rows == WANTED.rows


def confined(code: str) -> str:
    """What Python code prints after the child's confinement."""
    setup = "from gis.formats import child; child.confine_syscalls(); child.confine_resources(write_bytes=0)\n"
    done = subprocess.run(
        [sys.executable, "-c", setup + code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_the_child_has_no_socket_and_starts_no_program() -> None:
    assert "PermissionError" in confined("import socket; socket.socket()")
    assert "PermissionError" in confined("import subprocess; subprocess.run(['/bin/true'])")


def test_the_child_writes_no_file(tmp_path: Path) -> None:
    target = tmp_path / "made"
    said = confined(
        f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); f = open({str(target)!r}, 'wb'); f.write(b'x' * 99); f.flush()"
    )
    assert "File too large" in said
    assert target.read_bytes() == b""


def test_the_child_cannot_take_the_memory_of_the_machine() -> None:
    assert "MemoryError" in confined("bytearray(8 * 1024**3)")


def test_a_file_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileTooLarge, match="split the file"):
        asyncio.run(limited._ask(limited.Job(what="read", format=Format.CSV), b"a,b\n1,2\n", wall_s=0.001))


def test_a_parser_that_dies_is_a_clear_error_and_not_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited.sys, "executable", "/bin/false")
    with pytest.raises(FileWrong, match="could not be processed"):
        asyncio.run(limited.read_limited(b"a,b\n1,2\n", Format.CSV))


@pytest.mark.parametrize("fmt", [Format.GPKG, Format.SHP_ZIP, Format.XLSX])
def test_random_damage_gives_a_table_or_an_error_and_never_harm(fmt: Format) -> None:
    seed = 20190809
    draw = random.Random(seed)

    async def damage() -> None:
        whole = await limited.write_limited([WANTED], fmt)
        for _ in range(6):
            broken = bytearray(whole)
            for _ in range(draw.randrange(1, 40)):
                broken[draw.randrange(len(broken))] = draw.randrange(256)
            try:
                found = await limited.read_limited(bytes(broken[: draw.randrange(len(broken) // 2, len(broken))]), fmt)
            except FileWrong:
                continue
            else:
                assert all(isinstance(sheet, Sheet) for sheet in found), f"seed {seed}"

    asyncio.run(damage())
