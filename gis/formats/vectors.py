"""GeoPackage and zipped Shapefile through GDAL. Call this only inside the limited child (`gis.formats.limited`)."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FieldError, GeometryError

from gis.crs import WGS84, UnknownCrs, crs_code
from gis.formats.archives import open_archive, read_member
from gis.formats.sheet import FileWrong, Sheet, check_size

GPKG_MAGIC = b"SQLite format 3\x00"
SIDECAR = ".citybrain.json"  # full column names, exact values: what a DBF has no room for
_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg", SIDECAR)
_GDAL = (DataSourceError, DataLayerError, FieldError, GeometryError, ValueError, RuntimeError, OSError, UnicodeError)


def read_gpkg(content: bytes) -> list[Sheet]:
    """Every layer of a GeoPackage. Raises FileWrong."""
    if not content.startswith(GPKG_MAGIC):
        raise FileWrong("不是 GeoPackage", "not a GeoPackage: it does not begin as an SQLite file")
    try:
        with warnings.catch_warnings():  # GDAL says that the file in memory has no file extension
            warnings.simplefilter("ignore", RuntimeWarning)
            names = [str(row[0]) for row in pyogrio.list_layers(content)]
            return [_layer(content, name, tuple(names), "utf-8") for name in names]
    except _GDAL as error:
        raise FileWrong("GeoPackage 已损坏或无法读取", f"GDAL cannot read this GeoPackage: {error}") from error


def read_shp_zip(content: bytes) -> list[Sheet]:
    """Every Shapefile of a zip, in whatever folder. Text by .cpg, else UTF-8 where that fits, else GB18030. Raises FileWrong."""
    with open_archive(content) as archive:
        layers = _layers_of(archive)
        if not layers:
            raise FileWrong("压缩包里没有 .shp 文件", "no .shp file in this archive")
        names = tuple(layers)
        return [_shapefile(archive, name, parts, names) for name, parts in layers.items()]


def _layers_of(archive: zipfile.ZipFile) -> dict[str, dict[str, str]]:
    """layer name -> {suffix: member}. Names in GBK, as Chinese Windows packs them, are read as such."""
    stems: dict[str, dict[str, str]] = {}
    for info in archive.infolist():
        lower = info.filename.lower()
        suffix = next((s for s in _PARTS if lower.endswith(s)), None)
        if suffix and not info.is_dir() and "__macosx" not in lower:
            stems.setdefault(info.filename[: -len(suffix)], {})[suffix] = info.filename
    found = {}
    for stem, parts in sorted(stems.items()):
        if ".shp" in parts:
            name = stem.rsplit("/", 1)[-1]
            found[_chinese(name) if name not in found else stem] = parts
    return found


def _chinese(name: str) -> str:
    try:
        return name.encode("cp437").decode("gb18030")
    except UnicodeError:
        return name


def _shapefile(archive: zipfile.ZipFile, name: str, parts: dict[str, str], names: tuple[str, ...]) -> Sheet:
    files = {suffix: read_member(archive, member) for suffix, member in parts.items()}
    if missing := [suffix for suffix in (".dbf", ".shx") if suffix not in files]:
        raise FileWrong(
            f"{name} 缺少 {'、'.join(missing)}：请把同名的 .shp .shx .dbf .prj 一起压缩",
            f"{name}: {' and '.join(missing)} missing; zip .shp, .shx, .dbf and .prj together",
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as flat:  # one layer, ASCII names, no folders: whatever the archive called them
        for suffix in (".shp", ".shx", ".dbf", ".prj"):
            if suffix in files:
                flat.writestr(f"layer{suffix}", files[suffix])
    encoding = dbf_encoding(files[".dbf"], files.get(".cpg", b""))
    try:
        sheet = _layer(packed.getvalue(), "layer", names, encoding)
    except _GDAL as error:
        raise FileWrong(f"Shapefile {name} 已损坏或无法读取", f"GDAL cannot read {name}: {error}") from error
    sheet = _with_sidecar(sheet, files)
    return replace(sheet, name=name, sheets=names)


def _with_sidecar(sheet: Sheet, files: dict[str, bytes]) -> Sheet:
    """Full names and exact values of our own export, as long as nobody edited the table since."""
    if SIDECAR not in files:
        return sheet
    try:
        side = json.loads(files[SIDECAR])
        names, rows, digest = side["columns"], side["rows"], side["dbf_sha256"]
        fits = digest == sha256(files[".dbf"]).hexdigest() and len(rows) == len(sheet.rows)
        columns = tuple(names.get(c, c) for c in sheet.columns)
        exact = [tuple(row) for row in rows] if fits and all(len(r) == len(columns) for r in rows) else sheet.rows
    except (ValueError, KeyError, TypeError):
        return sheet
    return replace(sheet, columns=columns, rows=exact)


def dbf_encoding(dbf: bytes, cpg: bytes) -> str:
    """Python's name of the encoding of a DBF's texts."""
    said = cpg.decode("ascii", "ignore").strip().lower().replace("-", "").replace("_", "")
    if said in ("utf8", "65001"):
        return "utf-8"
    if said in ("gbk", "936", "cp936", "gb2312", "gb18030", "ansi936", "54936", "euccn"):
        return "gb18030"
    if said in ("big5", "950", "cp950"):
        return "big5hkscs"
    for encoding in ("utf-8", "gb18030"):
        try:
            (dbf[32 : int.from_bytes(dbf[8:10], "little")] + b"\n" + dbf[int.from_bytes(dbf[8:10], "little") :]).decode(
                encoding
            )
        except UnicodeDecodeError:
            continue
        return encoding
    return "gb18030"  # cut texts end in half a character; what does not decode becomes a replacement character


def _layer(content: bytes, name: str, names: tuple[str, ...], encoding: str) -> Sheet:
    """One layer. A DBF is read as Latin-1, which loses no byte, and decoded here: GDAL's own guess is wrong for Chinese."""
    dbf = not content.startswith(GPKG_MAGIC)
    options: dict[str, Any] = {"encoding": "ISO-8859-1"} if dbf else {}
    facts = pyogrio.read_info(content, layer=name, force_feature_count=True, **options)
    check_size(max(0, int(facts["features"])), len(facts["fields"]))
    meta, fids, geometries, fields = pyogrio.raw.read(
        content, layer=name, return_fids=True, force_2d=True, datetime_as_string=True, **options
    )
    columns = tuple(_text(c, dbf, encoding) for c in meta["fields"])
    table = [[_value(v, dbf, encoding) for v in column] for column in fields]
    rows: list[tuple[Any, ...]] = list(zip(*table, strict=True)) if table else [()] * len(fids)
    shapes = _shapes(geometries, len(rows))
    numbers = [int(fid) + (1 if dbf else 0) for fid in fids]
    return Sheet(
        columns=columns,
        rows=rows,
        numbers=numbers,
        geometries=shapes,
        crs=_crs(meta["crs"]) if shapes else "",
        name=name,
        sheets=names,
    )


def _shapes(geometries: Any, count: int) -> list[Any]:
    if geometries is None:
        return []
    shapes = shapely.from_wkb(geometries, on_invalid="ignore")
    found = [None if g is None or g.is_empty else g for g in np.atleast_1d(shapes).tolist()]
    return found if len(found) == count and any(g is not None for g in found) else []


def _text(value: str, dbf: bool, encoding: str) -> str:
    return value.encode("latin-1", "replace").decode(encoding, "replace").strip("\x00 ") if dbf else value


def _value(value: Any, dbf: bool, encoding: str) -> Any:
    """A plain Python cell. A missing number comes from GDAL as NaN."""
    if value is None:
        return None
    if isinstance(value, str):
        return _text(value, dbf, encoding).strip() or None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.hex()
    return None if value != value else value  # NaN and NaT differ from themselves


def _crs(text: str | None) -> str:
    """A code of `gis.crs`. No .prj: WGS 84 is not assumed, "" lets the clerk say it. Raises FileWrong for one that we do not turn."""
    if not text:
        return ""
    try:
        found = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise FileWrong(
            "文件声明的坐标系无法识别", f"the file's coordinate system is not understood: {error}"
        ) from error
    number = found.to_epsg(min_confidence=60)
    try:
        return crs_code(f"EPSG:{number}")
    except UnknownCrs as error:
        if found.is_geographic and "2000" in found.name and "China" in found.name:
            return "EPSG:4490"
        if found.is_geographic and "84" in found.name:
            return WGS84
        raise FileWrong(f"文件的坐标系 {found.name} 不支持", str(error)) from error


# --- writing


def write_gpkg(sheet: Sheet) -> bytes:
    """One layer; any mixture of geometries, rows without one among them."""
    out = io.BytesIO()
    fields = [_field(sheet.rows, i) for i in range(len(sheet.columns))]
    marks = {"dataset_metadata": {f"NOTE_{n}": note for n, note in enumerate(sheet.notes, 1)}} if sheet.notes else {}
    _write(out, sheet, "GPKG", sheet.name or "data", fields, **marks)
    return out.getvalue()


def write_shp_zip(sheet: Sheet) -> bytes:
    """One Shapefile per kind of geometry, UTF-8 with .cpg; what DBF cannot hold stands exactly in a sidecar."""
    short = short_names(sheet.columns)
    base = sheet.name or "data"
    if not sheet.geometries:  # the format has no table without shapes: every shape is a null shape
        sheet = replace(sheet, geometries=[None] * len(sheet.rows), crs=sheet.crs or WGS84)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix, part in _by_kind(sheet):
            stem = f"{base}{suffix}"
            for ending, body in _shapefile_parts(replace(part, columns=short)).items():
                archive.writestr(stem + ending, body)
                if ending == ".dbf":
                    archive.writestr(stem + SIDECAR, _sidecar(part, short, body))
        for number, note in enumerate(sheet.notes):
            archive.writestr(f"NOTE-{number + 1}.txt", note)
    return packed.getvalue()


def _sidecar(sheet: Sheet, short: Sequence[str], dbf: bytes) -> bytes:
    side = {
        "columns": dict(zip(short, sheet.columns, strict=True)),
        "dbf_sha256": sha256(dbf).hexdigest(),
        "rows": [[v.isoformat() if hasattr(v, "isoformat") else v for v in row] for row in sheet.rows],
    }
    return json.dumps(side, ensure_ascii=False).encode()


def _by_kind(sheet: Sheet) -> list[tuple[str, Sheet]]:
    """Points, lines and areas apart; rows without geometry go with the first of them."""
    kinds = [_kind(g) for g in sheet.geometries] or [""] * len(sheet.rows)
    present = sorted({k for k in kinds if k})
    if len(present) <= 1:
        return [("", sheet)]
    found = []
    for kind in present:
        take = [i for i, k in enumerate(kinds) if k == kind or (not k and kind == present[0])]
        part = replace(
            sheet,
            rows=[sheet.rows[i] for i in take],
            numbers=[sheet.numbers[i] for i in take],
            geometries=[sheet.geometries[i] for i in take],
        )
        found.append((f"_{kind}", part))
    return found


def _kind(geometry: Any) -> str:
    if geometry is None:
        return ""
    name = geometry.geom_type
    return "point" if "Point" in name else "line" if "Line" in name else "area"


def short_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Names of at most ten ASCII characters, unique without regard to case."""
    found: list[str] = []
    for number, column in enumerate(columns, 1):
        plain = "".join(c for c in column if c.isascii() and (c.isalnum() or c == "_"))[:10] or f"c{number}"
        while plain.lower() in (n.lower() for n in found):
            plain = f"{plain[:6]}_{number}"
        found.append(plain)
    return tuple(found)


def _shapefile_parts(sheet: Sheet) -> dict[str, bytes]:
    """The driver writes files only; the child's temporary directory is its own."""
    fields = [_narrow(_field(sheet.rows, i)) for i in range(len(sheet.columns))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.shp"
        _write(str(path), sheet, "ESRI Shapefile", "layer", fields, encoding="UTF-8")
        return {file.suffix: file.read_bytes() for file in sorted(path.parent.iterdir())}


def _field(rows: Sequence[Sequence[Any]], index: int) -> Any:
    """A typed column: all whole, all numbers, else text; None stays missing."""
    values = [row[index] for row in rows]
    present = [v for v in values if v is not None]
    if present and all(type(v) is int and abs(v) < 2**53 for v in present):
        return np.array([np.nan if v is None else float(v) for v in values]) if None in values else np.array(values)
    if present and all(type(v) in (int, float) for v in present):
        return np.array([np.nan if v is None else float(v) for v in values])
    texts = [None if v is None else v.isoformat() if hasattr(v, "isoformat") else str(v) for v in values]
    return np.array(texts, dtype=object)


def _narrow(column: Any) -> Any:
    """DBF texts hold 254 bytes: cut at a character."""
    if column.dtype != object:
        return column
    cut = [None if v is None else v.encode()[:254].decode("utf-8", "ignore") for v in column]
    return np.array(cut, dtype=object)


def _write(out: io.BytesIO | str, sheet: Sheet, driver: str, layer: str, fields: Sequence[Any], **options: Any) -> None:
    shapes = list(sheet.geometries) or None
    kinds = {g.geom_type for g in sheet.geometries if g is not None}
    wkb = None if shapes is None else np.array([None if g is None else shapely.to_wkb(g) for g in shapes], dtype=object)
    kind = None if wkb is None else next(iter(kinds)) if len(kinds) == 1 else _multi(kinds, driver)
    pyogrio.raw.write(
        out,
        wkb,
        list(fields),
        np.array(sheet.columns, dtype=object),
        layer=layer,
        driver=driver,
        geometry_type=kind,
        crs=(sheet.crs or WGS84) if wkb is not None else None,
        promote_to_multi=False,
        **options,
    )


def _multi(kinds: set[str], driver: str) -> str:
    if driver == "GPKG" or not kinds:
        return "Unknown" if driver == "GPKG" else "Point"
    return (
        "Polygon"
        if any("Polygon" in k for k in kinds)
        else "LineString"
        if any("Line" in k for k in kinds)
        else "Point"
    )
