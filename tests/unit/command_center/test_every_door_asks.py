"""Every method of the facade asks the authority table before it does anything (design.md section 2, "Who decides")."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from citybrain_testing.command import make_world
from command_center.errors import Forbidden
from command_center.facade import CommandFacade
from command_center.machines import RequestState
from command_center.model import Actor, Role, TaskState, UnitStatus
from storage.memory.command import MemoryStore

METHODS = [name for name in vars(CommandFacade) if not name.startswith("_")]
VALUES: dict[str, Any] = {
    "limit": 1,
    "minutes": 5.0,
    "depth_m": None,
    "lon": 121.0,
    "lat": 28.0,
    "bulletin": {},
    "edges": ["h-2-2"],
    "status": UnitStatus.OFF,
    "alarm_id": "a" * 16,
}


def _arguments(name: str) -> dict[str, Any]:
    parameters = list(inspect.signature(getattr(CommandFacade, name)).parameters.values())[2:]  # after self and actor
    values = VALUES | {"to": RequestState.SIGNED if name == "answer_request" else TaskState.ACCEPTED}
    return {p.name: values.get(p.name, "x") for p in parameters if p.default is inspect.Parameter.empty}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("roles", [frozenset(), frozenset({Role.VENDOR})], ids=["nobody", "vendor"])
def test_who_has_no_role_for_it_is_refused(name: str, roles: frozenset[Role]) -> None:
    center = make_world(MemoryStore()).center
    actor = Actor(username="somebody", roles=roles, vendor="acme" if roles else "")
    with pytest.raises(Forbidden):
        asyncio.run(getattr(center, name)(actor, **_arguments(name)))


def test_the_facade_is_the_whole_of_what_people_can_do() -> None:
    """A method of the centre that takes an actor and is in no facade would be a door without a lock."""
    center = type(make_world(MemoryStore()).center)
    takes_actor = {
        name
        for name, method in vars(center).items()
        if not name.startswith("_") and "actor" in inspect.signature(method).parameters
    }
    assert takes_actor - set(METHODS) == {"register_unit"}  # for filling a tenant; it asks as well
