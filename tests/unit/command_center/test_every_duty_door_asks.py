"""Every method of the duty service that people reach asks the authority table before it does anything."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from citybrain_testing.command import START_US
from citybrain_testing.duty import HOUR_US, a_desk
from command_center.duty.instructions import InstructionDraft
from command_center.duty.model import DEFAULT_POSTS, AddresseeKind, InstructionState, LogEntry, LogKind
from command_center.duty.service import DutyService
from command_center.duty.shifts import ShiftDraft
from command_center.errors import Forbidden
from command_center.model import Actor, Role
from storage.memory.command import MemoryStore

METHODS = [
    name
    for name, method in vars(DutyService).items()
    if not name.startswith("_") and "actor" in inspect.signature(method).parameters
]
VALUES: dict[str, Any] = {
    "posts": DEFAULT_POSTS,
    "usernames": ["duty1"],
    "rev": 1,
    "from_us": START_US,
    "start_us": START_US,
    "to_us": START_US + HOUR_US,
    "until_us": START_US + HOUR_US,
    "shift_us": HOUR_US,
    "entry": LogEntry(entry_id="", at_us=0, actor="", kind=LogKind.CALL, kind_zh="", text="x"),
    "day": "20190809",
}
DRAFTS: dict[str, Any] = {
    "instruct": InstructionDraft(text="x", addressees=[(AddresseeKind.USER, "duty1")]),
    "add_shift": ShiftDraft(post="tech", username="duty1", from_us=START_US, to_us=START_US + HOUR_US),
    "change_shift": ShiftDraft(post="tech", username="duty1", from_us=START_US, to_us=START_US + HOUR_US),
}
OBJECTS = {
    "shift": "S-20190809-2300-tech",
    "handover": "H-20190809-001",
}  # they exist: the area is asked once it is known


def _arguments(name: str) -> dict[str, Any]:
    values = VALUES | {
        "draft": DRAFTS.get(name),
        "to": "duty2" if name == "reassign_shift" else InstructionState.RECEIVED,
        "shift_id": OBJECTS["shift"],
        "handover_id": OBJECTS["handover"],
    }
    parameters = list(inspect.signature(getattr(DutyService, name)).parameters.values())[2:]  # after self and actor
    return {p.name: values.get(p.name, "x") for p in parameters if p.default is inspect.Parameter.empty}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("roles", [frozenset(), frozenset({Role.VENDOR})], ids=["nobody", "vendor"])
def test_who_has_no_role_for_duty_is_refused(name: str, roles: frozenset[Role]) -> None:
    async def story() -> None:
        desk = await a_desk(MemoryStore())
        await desk.shift("duty1", "tech", 0, 1)
        leaving = Actor(username="duty1", roles=frozenset({Role.OPERATOR}))
        await desk.duty.draft_handover(leaving, "tech", "", "duty2", substitute_reason="x")
        actor = Actor(username="somebody", roles=roles, vendor="acme" if roles else "")
        with pytest.raises(Forbidden):
            await getattr(desk.duty, name)(actor, **_arguments(name))

    asyncio.run(story())
