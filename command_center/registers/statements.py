"""安全风险研判与承诺: the risk statement that a plant's responsible person signs each day (应急〔2018〕74号).

Signed is signed: nothing is ever changed. What was wrong gets another edition of the same day, numbered, under its own signature.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from command_center.errors import Conflict, Invalid
from command_center.registers.kinds import Kind
from command_center.registers.ports import Statement
from command_center.registers.values import CITY_ZONE
from command_center.registers.writing import journal_name
from command_center.work import Work

GRADES = ("red", "orange", "yellow", "blue")
LATE_DAYS = 1  # a statement is of its day; the night shift may sign yesterday's


async def sign(work: Work, kind: Kind, entry_id: str, *, day: str, grade: str, text: str) -> Statement:
    """The day's statement or its next edition. Raises Invalid for a wrong day or grade, Conflict for the same words again."""
    if grade not in GRADES:
        raise Invalid(f"grade {grade!r}: expected one of {', '.join(GRADES)}")
    if not text.strip():
        raise Invalid("text: what the day's risk is and what is done about it")
    editions = await work.tx.statements_of_day(kind.kind, entry_id, day)
    _check_day(day, today(work.at_us), corrects=bool(editions))
    if editions and (editions[0].grade, editions[0].text) == (grade, text.strip()):
        raise Conflict(f"the statement of {day} says this already: edition {editions[0].edition}")
    user = await work.tx.user(work.actor.username)
    statement = Statement(
        kind=kind.kind,
        entry_id=entry_id,
        day=day,
        edition=editions[0].edition + 1 if editions else 1,
        grade=grade,
        text=text.strip(),
        signed_by=work.actor.username,
        signed_name=user.user.name if user else "",
        signed_us=work.at_us,
        machine_us=work.machine_us,
    )
    if not await work.tx.add_statement(statement):
        raise Conflict(f"edition {statement.edition} of {day} was signed by somebody else meanwhile; load again")
    before = editions[0] if editions else None
    await work.journal(
        journal_name(kind), entry_id, "correct_statement" if before else "sign_statement", before, statement
    )
    return statement


def today(city_us: int) -> date:
    return datetime.fromtimestamp(city_us / 1e6, CITY_ZONE).date()


def _check_day(day: str, now: date, *, corrects: bool) -> None:
    try:
        wanted = date.fromisoformat(day) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", day) else None
    except ValueError:
        wanted = None
    if wanted is None:
        raise Invalid(f"date {day!r}: expected a day as {now.isoformat()}")
    if wanted > now:
        raise Invalid(f"date {day}: today is {now.isoformat()}; a day that has not come has no statement")
    if not corrects and wanted < now - timedelta(days=LATE_DAYS):
        raise Invalid(
            f"date {day}: a first statement is signed on its day or the day after, today is {now.isoformat()}"
        )
