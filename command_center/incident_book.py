"""Incidents as rows: read, count up, tell, publish. What an incident *means* stands in incidents.py."""

from __future__ import annotations

import msgspec

from command_center.errors import Conflict, NotFound
from command_center.model import Incident
from command_center.work import LIVE_TIMELINE, Work

replace = msgspec.structs.replace


async def tell(work: Work, incident_id: str, kind: str, zh: str, en: str, ref: str = "") -> None:
    """A timeline entry that screens see at once."""
    await work.note(incident_id, kind, zh, en, ref)
    await touch(work, incident_id, kind=kind)


async def touch(work: Work, incident_id: str, *, kind: str, colour: str | None = None) -> Incident:
    """Count the revision up and publish; for changes around an incident that leave its state alone."""
    current = await get(work, incident_id)
    changed = replace(
        current, rev=current.rev + 1, changed_us=work.at_us, colour=current.colour if colour is None else colour
    )
    return await store(work, current, changed, kind)


async def get(work: Work, incident_id: str) -> Incident:
    incident = await work.tx.incident(incident_id)
    if incident is None:
        raise NotFound("incident", incident_id)
    return incident


async def store(work: Work, before: Incident, after: Incident, kind: str) -> Incident:
    if not await work.tx.update_incident(after, rev=before.rev, states=[before.state]):
        raise Conflict(f"incident {before.incident_id} was changed by somebody else meanwhile; reload it")
    if work.gathering:
        work.gathered[after.incident_id] = kind
        return after
    return await _show(work, after.incident_id, kind)


async def show_gathered(work: Work) -> None:
    """Publish each incident that was touched, once: a storm's alarms join one incident by the dozen."""
    for incident_id, kind in work.gathered.items():
        await _show(work, incident_id, kind)
    work.gathered.clear()


async def _show(work: Work, incident_id: str, kind: str) -> Incident:
    shown = await with_timeline(work, incident_id, LIVE_TIMELINE)
    await work.event("incident", kind, incident_id, shown.rev, shown)
    return shown


async def with_timeline(work: Work, incident_id: str, limit: int) -> Incident:
    incident = await get(work, incident_id)
    return replace(incident, timeline=await work.tx.timeline(incident_id, limit))


def slim(incident: Incident) -> Incident:
    """For the journal: without timeline, which has rows of its own."""
    return replace(incident, timeline=[])
