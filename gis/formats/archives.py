"""Zip archives from outside: measured before anything in them is unpacked."""

from __future__ import annotations

import io
import zipfile
import zlib

from gis.formats.sheet import FileTooLarge, FileWrong

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
MAX_MEMBER_BYTES = 256 * 1024 * 1024
MAX_RATIO = 200  # honest spreadsheets pack 5 to 30 times; a bomb a thousand
RATIO_FROM_BYTES = 20 * 1024 * 1024  # below this a high ratio hurts nobody: a column of equal cells packs well
MAX_MEMBERS = 5_000


def open_archive(content: bytes) -> zipfile.ZipFile:
    """The archive, if its directory promises nothing monstrous. Reading a member still stops at what was promised: zipfile
    raises when a member unpacks to another size. Raises FileWrong, FileTooLarge."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FileWrong("压缩包已损坏，无法打开", f"the archive is broken: {error}") from error
    members = archive.infolist()
    unpacked = sum(m.file_size for m in members)
    largest = max((m.file_size for m in members), default=0)
    if len(members) > MAX_MEMBERS or unpacked > MAX_UNPACKED_BYTES or largest > MAX_MEMBER_BYTES:
        raise FileTooLarge(
            f"压缩包解开后过大（{len(members)} 个文件，{unpacked // 1_048_576} MB，最多 {MAX_UNPACKED_BYTES // 1_048_576} MB），已拒绝",
            f"the archive would unpack to {len(members)} files and {unpacked // 1_048_576} MB; "
            f"at most {MAX_MEMBERS} and {MAX_UNPACKED_BYTES // 1_048_576} MB",
        )
    if unpacked > RATIO_FROM_BYTES and unpacked > MAX_RATIO * len(content):
        raise FileTooLarge(
            "压缩比异常（疑似压缩炸弹），已拒绝",
            f"the archive unpacks to {unpacked // max(1, len(content))} times its size: refused as a zip bomb",
        )
    if any(m.flag_bits & 0x1 for m in members):
        raise FileWrong("压缩包有密码，请先去掉密码", "the archive is encrypted: remove the password first")
    return archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One member, at most as long as the directory said. Raises FileWrong."""
    promised = archive.getinfo(name).file_size
    try:
        with archive.open(name) as member:
            content = member.read(promised + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise FileWrong(f"压缩包中的 {name} 已损坏", f"{name} in the archive is broken: {error}") from error
    if len(content) > promised:
        raise FileTooLarge(f"{name} 的大小与目录不符", f"{name} is longer than the archive's directory says")
    return content
