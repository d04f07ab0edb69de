"""One word for one thing (docs/glossary.md): on the screens, in the state machines, in rules and plans."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from command_center.duty.machines import HANDOVER, INSTRUCTION
from command_center.machines import INCIDENT, TASK, UNIT, Machine

ROOT = Path(__file__).parents[2]
ZH: dict[str, str] = json.loads((ROOT / "web/src/core/zh-CN.json").read_text(encoding="utf-8"))
EN: dict[str, str] = json.loads((ROOT / "web/src/core/en.json").read_text(encoding="utf-8"))
GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")

# A string of the screens -> the glossary's word that it must use.
WORDS = {
    "alarms.title": "告警",
    "alarms.ack": "确认",
    "alarms.shelved": "搁置",
    "alarms.calling": "叫应",
    "flag.no_data": "断数",
    "flag.unstored": "未入库",
    "flag.unverified": "待核实",
    "flag.clock": "时钟异常",
    "link.stale": "数据过期",
    "incidents.title": "事件",
    "incident.tasks": "任务",
    "units.title": "队伍",
    "authority.direct": "直接调度",
    "authority.request": "协调请求",
    "authority.notify": "仅通报",
    "detector.first": "一级",
    "typhoon.ours": "研判",
    "taskState.DELIVERED": "送达",
    "taskState.ACKED": "签收",
    "taskState.ACCEPTED": "受领",
    "taskState.REPORTED_DONE": "反馈",
    "taskState.VERIFIED": "核查",
    "incidentState.REVIEW": "复盘评估",
    "duty.chain": "叫应",
    "duty.supervised": "督办",
    "orderState.RECEIVED": "签收",
    "orderState.REPORTED": "反馈",
    "orderState.CHECKED": "核查",
    "orderState.CLOSED": "办结",
    "openItem.no_data": "断数",
    "openItem.shelved": "搁置",
}


@pytest.mark.parametrize(("key", "word"), WORDS.items())
def test_a_screen_uses_the_glossarys_word(key: str, word: str) -> None:
    assert word in ZH[key]
    assert word in GLOSSARY


@pytest.mark.parametrize(
    ("machine", "prefix"),
    [
        (TASK, "taskState"),
        (INCIDENT, "incidentState"),
        (UNIT, "unit"),
        (HANDOVER, "handoverState"),
        (INSTRUCTION, "orderState"),
    ],
)
def test_a_state_has_one_name_on_screens_and_in_messages(machine: Machine[Any], prefix: str) -> None:
    assert {state.value: word for state, word in machine.zh.items()} == {
        state.value: ZH[f"{prefix}.{state.value}"] for state in machine.zh
    }


def test_both_languages_say_the_same_things() -> None:
    assert set(ZH) == set(EN)


def test_what_is_ours_is_never_called_a_warning() -> None:
    """预警 is what the authorities issue; ours is a 研判, a 告警 or reaches a criterion (design.md section 2)."""
    assert [key for key, text in ZH.items() if "预警" in text and "官方" not in text] == []
    for path in [*(ROOT / "rules/documents").glob("*.yaml"), *(ROOT / "command_center/plans").glob("*.yaml")]:
        ours = [line for line in path.read_text(encoding="utf-8").splitlines() if not re.match(r"\s*(#|source:)", line)]
        assert [line for line in ours if "预警" in line and "官方" not in line] == [], path.name


def test_no_level_is_shown_as_a_bare_number() -> None:
    """A numeric rank stays internal: no string puts a number beside 级 or level."""
    assert [key for key, text in (ZH | EN).items() if re.search(r"\{\w+\}\s*级|级别?\s*\{|level \{", text)] == []
