"""值班日志: numbered per day, append-only; a correction is a new entry that names the old one."""

from __future__ import annotations

from collections.abc import Sequence

from command_center.duty.model import BY_HAND, LOG_ZH, LogEntry, LogKind
from command_center.duty.roster import city_wall
from command_center.errors import Invalid, NotFound
from command_center.work import Work, city_date


async def write(
    work: Work,
    kind: LogKind,
    text: str,
    *,
    area: str = "",
    alarm_id: str = "",
    incident_id: str = "",
    instruction_id: str = "",
    corrects: str = "",
    auto: bool = False,
) -> LogEntry:
    """Append one entry under the next number of the city's day, journalled."""
    date = city_date(work.at_us)
    entry = LogEntry(
        entry_id=f"L-{date}-{await work.tx.next_number(f'duty_log:{date}'):03d}",
        at_us=work.at_us,
        actor=work.actor.username,
        kind=kind,
        kind_zh=LOG_ZH[kind],
        text=text,
        area=area,
        alarm_id=alarm_id,
        incident_id=incident_id,
        instruction_id=instruction_id,
        corrects=corrects,
        auto=auto,
    )
    await work.tx.add_log_entry(entry)
    await work.journal("duty_log", entry.entry_id, "write", None, entry, "by itself" if auto else "")
    return entry


async def write_by_hand(work: Work, entry: LogEntry) -> LogEntry:
    """A person's entry. Raises Invalid for a kind that only we write, no words, or a link that leads nowhere."""
    if entry.kind not in BY_HAND:
        raise Invalid(f"kind {entry.kind.value!r}: expected one of {', '.join(k.value for k in BY_HAND)}")
    if not entry.text.strip():
        raise Invalid("text: an entry needs words")
    await _links_exist(work, entry)
    return await write(
        work,
        entry.kind,
        entry.text,
        area=entry.area,
        alarm_id=entry.alarm_id,
        incident_id=entry.incident_id,
        instruction_id=entry.instruction_id,
        corrects=entry.corrects,
    )


async def _links_exist(work: Work, entry: LogEntry) -> None:
    tx = work.tx
    if entry.alarm_id and await tx.alarm(entry.alarm_id) is None:
        raise NotFound("alarm", entry.alarm_id)
    if entry.incident_id and await tx.incident(entry.incident_id) is None:
        raise NotFound("incident", entry.incident_id)
    if entry.instruction_id and await tx.instruction(entry.instruction_id) is None:
        raise NotFound("instruction", entry.instruction_id)
    if entry.corrects and await tx.log_entry(entry.corrects) is None:
        raise NotFound("log entry", entry.corrects)


FORMULA = frozenset("=+-@\t\r")
COLUMNS = ("编号", "时间", "类别", "记录人", "内容", "关联", "更正")


def rows(entries: Sequence[LogEntry]) -> list[list[str]]:
    """The sheet of a day, oldest first, under `COLUMNS`."""
    return [
        [
            e.entry_id,
            city_wall(e.at_us).strftime("%Y-%m-%d %H:%M:%S"),
            e.kind_zh,
            e.actor,
            e.text,
            " ".join(ref for ref in (e.alarm_id, e.incident_id, e.instruction_id) if ref),
            e.corrects,
        ]
        for e in sorted(entries, key=lambda e: e.entry_id)
    ]


def safe_rows(entries: Sequence[LogEntry]) -> list[list[str]]:
    """`rows` for a spreadsheet: a cell that would be a formula begins with an apostrophe."""
    return [["'" + cell if cell[:1] in FORMULA else cell for cell in row] for row in rows(entries)]


def as_text(day: str, entries: Sequence[LogEntry]) -> str:
    """A day as plain lines, for printing and for the archive."""
    lines = [f"值班日志 {day}", ""]
    for number, at, kind, actor, text, refs, corrects in rows(entries):
        tail = f"（关联 {refs}）" if refs else ""
        lines.append(f"{number} {at[11:]} 【{kind}】{f'更正 {corrects}：' if corrects else ''}{text}{tail}  {actor}")
    return "\n".join([*lines, "", f"共 {len(entries)} 条", ""])


def as_markdown(day: str, entries: Sequence[LogEntry]) -> str:
    head = [f"# 值班日志 {day}", "", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    body = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows(entries)]
    return "\n".join([*head, *body, ""])


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
