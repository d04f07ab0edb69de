"""Single findings of `citybrain doctor`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime import doctor
from runtime.doctor import Grade

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("year", "synchronised", "grade"),
    [(1970, True, Grade.FAILED), (2027, False, Grade.WARNING), (2027, True, Grade.OK), (2027, None, Grade.OK)],
)
def test_a_clock_from_1970_fails_and_a_free_running_one_is_told(
    year: int, synchronised: bool | None, grade: Grade
) -> None:
    assert doctor.clock(datetime(year, 1, 2, tzinfo=UTC), synchronised).grade is grade


def test_missing_pages_are_named(tmp_path: Path) -> None:
    (tmp_path / "wall.html").touch()
    check = doctor.browser_assets(tmp_path)
    assert check.failed
    assert "desk.html" in check.detail_en
    assert "wall.html" not in check.detail_en
    assert check.as_dict()["grade"] == "failed"


def test_every_page_of_the_source_is_looked_for() -> None:
    assert set(doctor.PAGES) == {page.name for page in (REPOSITORY / "web").glob("*.html")}


def test_chinese_fonts_are_found_by_name(tmp_path: Path) -> None:
    assert doctor.fonts([tmp_path, tmp_path / "absent"]).grade is Grade.WARNING
    (tmp_path / "truetype").mkdir()
    (tmp_path / "truetype" / "wqy-microhei.ttc").touch()
    assert doctor.fonts([tmp_path]).grade is Grade.OK


def test_a_log_bound_beyond_the_disk_is_told(tmp_path: Path) -> None:
    assert doctor.disk(tmp_path / "not" / "yet", 10**18).grade is Grade.WARNING
