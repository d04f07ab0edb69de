"""Bytes from outside are parsed in a subprocess that cannot harm us: bounded memory, CPU time and wall time, no file written, no
socket, no new program. What comes back is data; a parser that dies gives a clear error.

The child confines itself before it reads a byte (`gis.formats.child`); where the kernel has no seccomp it refuses to work.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import shapely

from gis.formats.sheet import FileTooLarge, FileWrong, Format, Sheet
from gis.formats.writers import Column

MEMORY_BYTES = 3 * 1024**3  # address space; a workbook of 200,000 rows needs 1 GB
CPU_S = 110
WALL_S = 120.0
OUTPUT_BYTES = 512 * 1024**2
WRITE_BYTES = 512 * 1024**2  # a file that the writing child may make in its temporary directory
PARALLEL = 2  # children at once: an import must not starve the alarms of the machine
ROOT = Path(__file__).resolve().parents[2]

# Everything that GDAL could open but we never ask for: a crafted file must not choose its parser.
OTHER_DRIVERS = (
    "PCIDSK,PDS4,VICAR,PDF,MBTiles,EEDA,OGCAPI,GDALG,MapInfo File,LVBAG,S57,DGN,OGR_VRT,CSV,GML,GPX,LIBKML,KML,GeoJSON,GeoJSONSeq,"
    "ESRIJSON,TopoJSON,OGR_GMT,SQLite,WAsP,OpenFileGDB,DXF,FlatGeobuf,GeoRSS,VFK,PGDUMP,OSM,GPSBabel,OGR_PDS,WFS,OAPIF,EDIGEO,Idrisi,"
    "ODS,XLSX,Elasticsearch,Carto,AmigoCloud,SXF,Selafin,JML,PLSCENES,CSW,VDV,MVT,NGW,MapML,GTFS,PMTiles,JSONFG,MiraMonVector,ADBC,"
    "AVCBin,AVCE00,AIVector,HTTP,netCDF,HDF5,VRT,WMS,WMTS,WCS"
)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is asked, one line of JSON before the content."""

    what: str  # read, write
    format: Format
    known: list[str] = []


class WireSheet(msgspec.Struct, frozen=True, kw_only=True):
    columns: list[str]
    rows: list[list[Any]]
    numbers: list[int]
    geometries: list[bytes | None]  # WKB
    crs: str
    name: str
    sheets: list[str]
    notes: list[str]


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    kind: str
    zh: str
    en: str


class Sheets(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    sheets: list[WireSheet]


class Written(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    content: bytes


class ToWrite(msgspec.Struct, frozen=True, kw_only=True):
    sheets: list[WireSheet]
    columns: list[dict[str, Any]]


Answer = Refused | Sheets | Written
DATE, DATETIME = "\x01d", "\x01t"  # a date among texts: readers strip control characters, so no text begins so


async def read_limited(content: bytes, fmt: Format, known: frozenset[str] = frozenset()) -> list[Sheet]:
    """As `files.read`, in a child. Raises FileWrong, FileTooLarge; never what a broken file did to its parser."""
    answer = await _ask(Job(what="read", format=fmt, known=sorted(known)), content)
    if not isinstance(answer, Sheets):
        raise FileWrong("读取文件失败", "the reader gave no table")
    return await asyncio.to_thread(lambda: [from_wire(s) for s in answer.sheets])


async def write_limited(sheets: Sequence[Sheet], fmt: Format, columns: Sequence[Column] = ()) -> bytes:
    """As `files.write`, in a child: a large workbook does not stop the loop. Raises FileWrong."""
    body = ToWrite(
        sheets=[to_wire(s) for s in sheets],
        columns=[
            {"heading": c.heading, "note": c.note, "choices": c.choices, "required": c.required, "width": c.width}
            for c in columns
        ],
    )
    answer = await _ask(Job(what="write", format=fmt), msgspec.msgpack.encode(body))
    if not isinstance(answer, Written):
        raise FileWrong("生成文件失败", "the writer gave no file")
    return answer.content


_turns: dict[int, asyncio.Semaphore] = {}


def _turn() -> asyncio.Semaphore:
    """One per event loop (tests have many)."""
    loop = id(asyncio.get_running_loop())
    if loop not in _turns:
        _turns.clear()
        _turns[loop] = asyncio.Semaphore(PARALLEL)
    return _turns[loop]


async def _ask(job: Job, content: bytes, wall_s: float = WALL_S) -> Answer:
    async with _turn():
        with tempfile.TemporaryDirectory(prefix="citybrain-file-") as folder:
            code, out, err = await _run(folder, msgspec.json.encode(job) + b"\n" + content, wall_s)
    if code is None:
        raise FileTooLarge(
            f"处理超过 {wall_s:g} 秒，已终止；请拆分文件",
            f"took longer than {wall_s:g} s and was stopped: split the file",
        )
    if code != 0 or not out:
        tail = err.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise FileWrong(
            "文件无法处理：内容已损坏或超出内存、时间限制",
            f"the file could not be processed: broken, or beyond the limits of memory and time (exit {code}{': ' + tail[0][:200] if tail else ''})",
        )
    answer = await asyncio.to_thread(msgspec.msgpack.decode, out, type=Answer)
    if isinstance(answer, Refused):
        raise (FileTooLarge if answer.kind == "FileTooLarge" else FileWrong)(answer.zh, answer.en)
    return answer  # type: ignore[no-any-return]


async def _run(folder: str, content: bytes, wall_s: float) -> tuple[int | None, bytes, bytes]:
    """(exit code or None on time-out, output, errors)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from gis.formats.child import main; main()",
        cwd=folder,
        env={
            "LC_ALL": "C.UTF-8",
            "TMPDIR": folder,
            "GDAL_SKIP": OTHER_DRIVERS,
            "OGR_SKIP": OTHER_DRIVERS,
            "OPENBLAS_NUM_THREADS": "1",
            "CPL_DEBUG": "OFF",
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(wall_s):
            out, err = await process.communicate(content)
    except TimeoutError:
        return None, b"", b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out[:OUTPUT_BYTES], err


def to_wire(sheet: Sheet) -> WireSheet:
    return WireSheet(
        columns=list(sheet.columns),
        rows=[[_out(v) for v in row] for row in sheet.rows],
        numbers=list(sheet.numbers),
        geometries=[None if g is None else shapely.to_wkb(g) for g in sheet.geometries],
        crs=sheet.crs,
        name=sheet.name,
        sheets=list(sheet.sheets),
        notes=list(sheet.notes),
    )


def from_wire(wire: WireSheet) -> Sheet:
    return Sheet(
        columns=tuple(wire.columns),
        rows=[tuple(_back(v) for v in row) for row in wire.rows],
        numbers=wire.numbers,
        geometries=[None if g is None else shapely.from_wkb(g) for g in wire.geometries],
        crs=wire.crs,
        name=wire.name,
        sheets=tuple(wire.sheets),
        notes=tuple(wire.notes),
    )


def _out(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return DATETIME + value.isoformat()
    if isinstance(value, dt.date):
        return DATE + value.isoformat()
    if isinstance(value, dt.time):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)
    return value


def _back(value: Any) -> Any:
    if isinstance(value, str) and value[:1] == "\x01":
        if value.startswith(DATE):
            return dt.date.fromisoformat(value[2:])
        if value.startswith(DATETIME):
            return dt.datetime.fromisoformat(value[2:])
    return value
