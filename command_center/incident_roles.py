"""Roles for one incident: 指挥长 and 现场指挥 of this incident, from .. until, given by a leader.

The account keeps the roles that it has; what the role allows in its incident is `authority.INCIDENT_MATRIX`. It carries its own
scope: whoever is given an incident sees it, wherever it lies. Times are city time: a role is part of the incident's story.
"""

from __future__ import annotations

from command_center import incident_book as book
from command_center.access.records import IncidentRole
from command_center.authority import INCIDENT_MATRIX, INCIDENT_ROLES, MATRIX, Action, may, must_see, require
from command_center.errors import Conflict, Invalid, NotFound
from command_center.model import Actor, Incident, Role
from command_center.ports import Tx
from command_center.work import Work

MAX_HOURS = 24.0 * 14  # a fortnight: whatever takes longer is given again, by somebody who looks at it


async def held(tx: Tx, actor: Actor, incident_id: str, at_us: int) -> frozenset[Role]:
    """Roles that the actor holds in the incident now."""
    if not actor.roles:
        return frozenset()
    rows = await tx.incident_roles(incident_id=incident_id, username=actor.username)
    return frozenset(row.role for row in rows if row.holds(at_us))


async def incidents_of(tx: Tx, actor: Actor, at_us: int) -> list[str]:
    """Incidents in which the actor holds a role now."""
    rows = await tx.incident_roles(username=actor.username) if actor.roles else []
    return sorted({row.incident_id for row in rows if row.holds(at_us)})


def could(actor: Actor, action: Action) -> None:
    """Before anything is read: Forbidden for one whom neither his roles nor a role in an incident could let do this."""
    if action not in INCIDENT_MATRIX or not may(actor, Action.READ_INCIDENTS):
        require(actor, action)


async def ask(work: Work, action: Action, incident_id: str) -> Incident:
    """The incident, if the actor sees it and may do this in it. Raises NotFound, Forbidden."""
    incident = await book.get(work, incident_id)
    roles = await held(work.tx, work.actor, incident_id, work.at_us)
    must_see(work.actor, "incident", incident_id, area=incident.area, hazard=incident.kind, held=roles)
    require(work.actor, action, held=roles)
    return incident


async def give(work: Work, incident_id: str, username: str, role: Role, hours: float) -> IncidentRole:
    """Make a user commander or scene commander of the incident. Raises Invalid, NotFound, Conflict, Forbidden."""
    await ask(work, Action.GIVE_INCIDENT_ROLE, incident_id)
    if role not in INCIDENT_ROLES:
        raise Invalid(f"role {role.value!r}: expected {' or '.join(sorted(INCIDENT_ROLES))}")
    if not 0 < hours <= MAX_HOURS:
        raise Invalid(f"hours: {hours:g} is not in 0..{MAX_HOURS:g}")
    record = await work.tx.user(username)
    if record is None or not record.user.enabled:
        raise NotFound("user", username)
    if not set(record.user.roles) & MATRIX[Action.READ_INCIDENTS]:
        raise Invalid(f"username: {username} has no role that reads incidents")
    known = await work.tx.incident_roles(incident_id=incident_id)
    if any(r.username == username and r.role is role and r.holds(work.at_us) for r in known):
        raise Conflict(f"{username} is {role.value} of {incident_id} already")
    given = IncidentRole(
        role_id=f"{incident_id}-P{len(known) + 1:02d}",
        incident_id=incident_id,
        username=username,
        role=role,
        from_us=work.at_us,
        until_us=work.at_us + round(hours * 3600e6),
        given_by=work.actor.username,
    )
    await work.tx.insert_incident_role(given)
    await work.journal("incident", incident_id, "give_role", None, given)
    zh = {Role.COMMANDER: "指挥长", Role.SCENE: "现场指挥"}[role]
    name = record.user.name
    await book.tell(work, incident_id, "role", f"{name} 任{zh}", f"{name} is {role.value} now", given.role_id)
    return given


async def end(work: Work, incident_id: str, role_id: str) -> None:
    """Take a role back: a leader, or who holds it. Raises NotFound, Conflict, Forbidden."""
    rows = {row.role_id: row for row in await work.tx.incident_roles(incident_id=incident_id)}
    if role_id not in rows:
        raise NotFound("role", role_id)
    row = rows[role_id]
    if row.username != work.actor.username:
        await ask(work, Action.GIVE_INCIDENT_ROLE, incident_id)
    if not await work.tx.end_incident_role(role_id, work.at_us, work.actor.username):
        raise Conflict(f"role {role_id} has ended already")
    await work.journal("incident", incident_id, "end_role", row, None)
    await book.tell(
        work, incident_id, "role", f"{row.username} 不再任职", f"{row.username} is {row.role.value} no more", role_id
    )


async def of_incident(work: Work, incident_id: str) -> list[IncidentRole]:
    await ask(work, Action.READ_INCIDENTS, incident_id)
    return await work.tx.incident_roles(incident_id=incident_id)
