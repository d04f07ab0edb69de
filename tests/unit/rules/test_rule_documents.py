"""Rule documents: what ships is valid, what is wrong is named with file, line and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules import documents
from rules.check import check
from rules.documents import DocumentWrong

GOOD = (documents.SHIPPED / "flood.underpass-depth.yaml").read_text(encoding="utf-8")


def test_every_rule_that_the_rooms_name_is_shipped() -> None:
    assert [d.id for d in documents.shipped()] == [
        "device.absence",
        "fire.alarm-unit",
        "flood.camera-waterlogging",
        "flood.river-stage",
        "flood.underpass-depth",
        "hazchem.gas",
        "rain.hourly",
        "typhoon.approach",
        "wind.gust",
    ]


def test_the_version_is_the_content_and_nothing_else(tmp_path: Path) -> None:
    before = documents.read(documents.SHIPPED / "flood.underpass-depth.yaml")
    file = tmp_path / "other-name.yaml"
    file.write_text("# another comment\n" + GOOD, encoding="utf-8")
    assert documents.read(file).version == before.version
    file.write_text(GOOD.replace("red: 0.50", "red: 0.51"), encoding="utf-8")
    assert documents.read(file).version != before.version


@pytest.mark.parametrize(
    ("old", "new", "line_of", "reason"),
    [
        ("template: level", "template: levels", "template:", "not one of level"),
        ("hazard: flood", "hazard: water", "hazard:", "not one of flood"),
        ("off_delay_s: 900", "off_delay_s: soon", "off_delay_s:", "Expected `float`"),
        ("off_delay_s: 900", "off_delay_s: -1", "off_delay_s:", "must be 0 or more"),
        ("direction: rise", "direction: up", "direction", "rise or fall"),
        ("red: 0.50", "purple: 0.50", "on:", "'purple' is not one of"),
        ("orange: 0.22", "orange: 0.30", "", "safe side of on"),
        ("yellow: 0.15", "yellow: 0.05", "", "safe side of on"),
        ("{value} {uom}，标准", "{valeu} {uom}，标准", "", "text names {valeu}"),
        ("jurisdiction", "jurisdiction", "", ""),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, line_of: str, reason: str) -> None:
    text = GOOD.replace(old, new)
    file = tmp_path / "rule.yaml"
    file.write_text(text, encoding="utf-8")
    if not reason:
        assert documents.read(file).id == "flood.underpass-depth"
        return
    with pytest.raises(DocumentWrong) as wrong:
        documents.read(file)
    assert reason in str(wrong.value)
    assert str(file) in str(wrong.value)
    if line_of:
        assert wrong.value.line is not None
        assert text.splitlines()[wrong.value.line - 1].strip().startswith(line_of)


def test_not_yaml_at_all_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "rule.yaml"
    file.write_text("id: a\n  b: [\n", encoding="utf-8")
    with pytest.raises(DocumentWrong) as wrong:
        documents.read(file)
    assert wrong.value.line == 2


def test_the_check_reads_directories_and_finds_an_id_twice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(GOOD, encoding="utf-8")
    good, twice = check([tmp_path])
    assert good.document is not None
    assert good.line.endswith(good.document.version)
    assert "stands in" in twice.line
    (missing,) = check([tmp_path / "none.yaml"])
    assert missing.problem is not None


def test_an_activation_needs_two_people() -> None:
    with pytest.raises(ValueError, match="another person"):
        documents.activation(documents.shipped(), author="a", approver="a", source="s")


def test_on_and_off_are_words_and_not_booleans() -> None:
    level = documents.read(documents.SHIPPED / "wind.gust.yaml").level
    assert level is not None
    assert set(level.on) == set(level.off) == {"blue", "yellow", "orange", "red"}
