"""What a backup's archive may put where: files and folders, inside, and nothing else."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest

from runtime.backup_envelope import Damaged
from runtime.restore import _extract


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> tarfile.TarFile:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    out.seek(0)
    return tarfile.open(fileobj=out, mode="r|")


def member(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o666, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.linkname, made.mtime = kind, mode, link, 1_565_355_600
    return made


def unpack(tar: tarfile.TarFile, folder: Path) -> None:
    with tar:
        for one in tar:
            _extract(tar, one, folder)


def test_a_file_comes_back_with_its_folder_time_and_its_owners_rights(tmp_path: Path) -> None:
    unpack(archive((member("media/2019/a b.jpg"), b"picture"), (member("empty", tarfile.DIRTYPE), b"")), tmp_path)
    found = tmp_path / "media" / "2019" / "a b.jpg"
    assert found.read_bytes() == b"picture"
    assert stat.S_IMODE(found.stat().st_mode) == 0o644, "nobody else writes"
    assert found.stat().st_mtime == 1_565_355_600
    assert (tmp_path / "empty").is_dir()


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("/etc/outside"),
        member("media/../../outside"),
        member("link", tarfile.SYMTYPE, link="/etc/passwd"),
        member("hard", tarfile.LNKTYPE, link="secrets/key"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda one: one.name,
)
def test_links_devices_and_places_outside_are_refused(bad: tarfile.TarInfo, tmp_path: Path) -> None:
    inside = tmp_path / "data"
    with pytest.raises(Damaged):
        unpack(archive((bad, b"")), inside)
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="twice"):
        unpack(archive((member("settings.json"), b"1"), (member("settings.json"), b"2")), tmp_path)
