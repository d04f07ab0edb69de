"""Any file of a format that we know: which format it is by its first bytes, its sheets, and files made of sheets."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from gis.formats import tables, vectors, writers
from gis.formats.sheet import MAX_FILE_BYTES, FileTooLarge, FileWrong, Format, Sheet, UnknownFormat

EXPECTED_ZH = "支持 XLSX、CSV、GeoJSON、YAML、GeoPackage（.gpkg）和压缩的 Shapefile（.zip）"
EXPECTED_EN = "expected XLSX, CSV, GeoJSON, YAML, GeoPackage (.gpkg) or a zipped Shapefile (.zip)"
OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def sniff(content: bytes, filename: str) -> Format:
    """The format by its bytes; the name's ending only tells texts apart. Raises UnknownFormat, FileTooLarge, FileWrong."""
    if len(content) > MAX_FILE_BYTES:
        raise FileTooLarge(
            f"文件 {len(content) // 1_048_576} MB，最多 {MAX_FILE_BYTES // 1_048_576} MB",
            f"the file has {len(content)} bytes; at most {MAX_FILE_BYTES}",
        )
    if not content.strip():
        raise FileWrong("文件是空的", "the file is empty")
    if content.startswith(vectors.GPKG_MAGIC):
        return Format.GPKG
    if content.startswith(b"PK"):
        return _zip_kind(content)
    if content.startswith(OLD_EXCEL):
        raise UnknownFormat(
            "这是旧版 Excel（.xls），请另存为 .xlsx", f"this is an old .xls workbook: save it as .xlsx; {EXPECTED_EN}"
        )
    return _text_kind(content, filename.lower())


def _zip_kind(content: bytes) -> Format:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [n.lower() for n in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FileWrong("压缩包已损坏，无法打开", f"the archive is broken: {error}") from error
    if "xl/workbook.xml" in names:
        return Format.XLSX
    if any(n.endswith(".shp") for n in names):
        return Format.SHP_ZIP
    raise UnknownFormat(
        f"压缩包里既没有工作簿也没有 .shp。{EXPECTED_ZH}",
        f"this archive holds neither a workbook nor a .shp; {EXPECTED_EN}",
    )


def _text_kind(content: bytes, filename: str) -> Format:
    head = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if b"\x00" in content[:4096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnknownFormat(f"无法识别的文件。{EXPECTED_ZH}", f"a file of an unknown kind; {EXPECTED_EN}")
    if filename.endswith((".yaml", ".yml")):
        return Format.YAML
    if filename.endswith((".geojson", ".json")) or (head == b"{" and b'"features"' in content):
        return Format.GEOJSON
    if filename.endswith((".csv", ".txt", ".tsv")) or (b"," in content or b"\t" in content or b";" in content):
        return Format.CSV
    raise UnknownFormat(f"无法识别的文件。{EXPECTED_ZH}", f"a file of an unknown kind; {EXPECTED_EN}")


def read(content: bytes, fmt: Format, known: frozenset[str] = frozenset()) -> list[Sheet]:
    """Every sheet or layer of the file. In the limited child for bytes from outside (`gis.formats.limited`). Raises FileWrong.

    `known`: headings that the caller would recognise (`gis.formats.sheet.plain`); they help to find the header row.
    """
    if fmt is Format.XLSX:
        return tables.read_xlsx(content, known)
    if fmt is Format.CSV:
        return tables.read_csv(content, known)
    if fmt is Format.GEOJSON:
        return tables.read_geojson(content)
    if fmt is Format.YAML:
        return tables.read_yaml(content)
    if fmt is Format.GPKG:
        return vectors.read_gpkg(content)
    return vectors.read_shp_zip(content)


def write(sheets: Sequence[Sheet], fmt: Format, columns: Sequence[writers.Column] = ()) -> bytes:
    """A file of the format. XLSX and YAML take several sheets, the others the first. `columns` describes the first for XLSX."""
    first = sheets[0]
    if fmt is Format.XLSX:
        return writers.write_xlsx(sheets, columns)
    if fmt is Format.CSV:
        return writers.write_csv(first)
    if fmt is Format.GEOJSON:
        return writers.write_geojson(first)
    if fmt is Format.YAML:
        return writers.write_yaml(sheets)
    if fmt is Format.GPKG:
        return vectors.write_gpkg(first)
    return vectors.write_shp_zip(first)
