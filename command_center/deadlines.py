"""How long we wait for whom: deadlines and the duty chain, from `deadlines.yaml`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from command_center.errors import CommandError

DEADLINES_FILE = Path(__file__).parent / "deadlines.yaml"


class BadDeadlines(CommandError):
    """The document is wrong; the text names the field."""


class OnDuty(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    username: str
    name: str


class Deadlines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds of machine time, unless the name says otherwise in the document."""

    alarm_ack_s: dict[str, float]
    duty_chain: list[OnDuty]
    verify_incident_s: float
    task_delivered_s: float
    task_ack_s: dict[str, float]
    task_accept_s: float
    task_depart_s: float
    task_verify_s: float
    unit_wanted_s: float
    eta_grace_s: float
    eta_factor: float

    def on_duty(self, step: int) -> OnDuty:
        """Who is called at this step (0 = first). After the last person the chain starts again: somebody must answer."""
        return self.duty_chain[step % len(self.duty_chain)]


def load_deadlines(path: Path = DEADLINES_FILE) -> Deadlines:
    """Raises BadDeadlines naming what is wrong."""
    try:
        deadlines = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Deadlines)
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        raise BadDeadlines(f"{path.name}: {error}") from error
    for table in ("alarm_ack_s", "task_ack_s"):
        missing = {"red", "orange", "yellow", "blue"} - set(getattr(deadlines, table))
        if missing:
            raise BadDeadlines(f"{path.name}: {table} has no value for {', '.join(sorted(missing))}")
    if not deadlines.duty_chain:
        raise BadDeadlines(f"{path.name}: duty_chain is empty: nobody would be called")
    return deadlines
