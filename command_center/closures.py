"""Road closures: by people, and by themselves when an underpass floods.

Unknown depth is a closed road. An automatic closure ends by an operator's hand, or when the alarm behind it clears (which
`rules` does only on fresh data below the off threshold), never because data stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from command_center.authority import Action, must_see, require
from command_center.dispatch import WADING_M
from command_center.errors import Conflict, Invalid, NotFound
from command_center.model import Closure
from command_center.records import Timer
from command_center.work import Env, Work
from rules.context import NOT_BY_DATA
from rules.transitions import COLOURS, Kind, Transition, rank
from stream.records import EventBody, Quality

replace = msgspec.structs.replace
CAMERA_EVENT = "waterlogging"
CAMERA_RULE = "flood.camera-waterlogging"
DEPTH_PROPERTY_UOM = "m"
LIVE_DEPTH_MAX_AGE_US = 15 * 60 * 1_000_000  # three missed five-minute reports; older is unknown


async def close_by_hand(
    work: Work, edges: Sequence[str], reason: str, depth_m: float | None, minutes: float | None, evidence: str
) -> Closure:
    """Raises Invalid for a road that does not exist, no reason, or a depth or duration that makes no sense; Forbidden outside
    the actor's area."""
    known = set(work.env.roads.road_ids)
    unknown = [edge for edge in edges if edge not in known]
    if not edges or unknown:
        raise Invalid(f"edges: expected ids of roads, got {unknown or 'none'}")
    if not reason.strip():
        raise Invalid("reason: a closure needs one")
    if depth_m is not None and not 0 <= depth_m < 50:
        raise Invalid(f"depth_m: {depth_m} is not a depth in metres; leave it out when it is unknown")
    if minutes is not None and not minutes > 0:
        raise Invalid(f"minutes: {minutes} is not above 0")
    lon, lat = _where(work.env, edges)
    area = await work.env.area_of(work.tx, lon, lat)
    require(work.actor, Action.CLOSE_ROAD, area=area)
    number = await work.tx.next_number("closure")
    closure = Closure(
        closure_id=f"C-{number:05d}",
        edges=list(edges),
        reason=reason,
        lon=lon,
        lat=lat,
        depth_m=depth_m,
        since_us=work.at_us,
        expires_us=None if minutes is None else work.at_us + round(minutes * 60e6),
        author=work.actor.username,
        evidence=evidence,
        area=area,
    )
    await _put(work, None, closure, source="", action="close_road")
    if closure.expires_us is not None:
        await work.city_timer(f"closure:{closure.closure_id}", "closure_expiry", closure.closure_id, closure.expires_us)
    return closure


async def reopen(work: Work, closure_id: str, why: str = "") -> None:
    closure = await work.tx.closure(closure_id)
    if closure is None:
        raise NotFound("closure", closure_id)
    must_see(work.actor, "closure", closure_id, area=closure.area)
    if not await work.tx.end_closure(closure_id, work.at_us, work.actor.username):
        raise Conflict(f"closure {closure_id} has been ended already")
    await work.tx.drop_timer(f"closure:{closure_id}")
    await work.journal("closure", closure_id, "reopen_road", closure, None, why)
    work.state("closure", closure_id, work.at_us, closure, removed=True)


async def expired(work: Work, timer: Timer) -> None:
    """A person's closure had an end; that person decided it when closing."""
    await work.tx.drop_timer(timer.timer_id)
    if await work.tx.closure(timer.entity_id) is not None:
        await reopen(work, timer.entity_id, "expired as its author said")


async def follow_transition(work: Work, transition: Transition) -> None:
    """Close, deepen or reopen the roads that the alarm's devices watch."""
    if transition.kind is Kind.LATE_EXCEEDANCE:
        return
    for device_id in transition.device_ids:
        device = work.env.registry.devices.get(device_id)
        edges = watched_edges(device.attributes) if device else []
        if not edges or not _about_water(transition):
            continue
        source = f"device:{device_id}"
        old = await work.tx.open_closure_of(source)
        if transition.kind is Kind.CLEARED:
            # A reset, a device or a rule that was taken out of service is no measurement: a person opens the road.
            if old is not None and not transition.no_data and NOT_BY_DATA.isdisjoint(transition.flags):
                await reopen(work, old.closure_id, f"alarm {transition.alarm_id} cleared by fresh data")
            continue
        depth_m = depth_bound_m(transition)
        if old is None and depth_m is not None and depth_m <= WADING_M:
            continue
        await _automatic(
            work, source, old, edges, depth_m, transition.title_zh, transition.alarm_id, transition.input_position
        )


async def follow_event(work: Work, body: EventBody, position: int) -> None:
    """A camera that reports standing water closes its road at once: depth unknown, so closed for everyone."""
    if body.type != "device_event" or body.data.get("type") != CAMERA_EVENT or body.retold:
        return
    device = work.env.registry.devices.get(body.device_id)
    edges = watched_edges(device.attributes) if device else []
    if device is None or not edges:
        return
    source = f"device:{body.device_id}"
    old = await work.tx.open_closure_of(source)
    if old is None:
        await _automatic(
            work, source, None, edges, None, f"{device.name} 摄像机识别积水", body.id or body.device_id, position
        )


def watched_edges(attributes: dict[str, Any]) -> list[str]:
    edges = attributes.get("road_edges", [])
    return [str(edge) for edge in edges] if isinstance(edges, list) else []


def depth_bound_m(transition: Transition) -> float | None:
    """How deep the water may be until the next transition tells more; None = unknown.

    Between transitions the water goes on rising unseen up to the next threshold, so that threshold is the depth to plan
    with; above the highest there is no bound. Cameras and silent gauges know no depth.
    """
    if transition.no_data or transition.value is None or transition.uom != DEPTH_PROPERTY_UOM or transition.flags:
        return None
    if transition.rule_id == CAMERA_RULE:
        return None
    on = transition.explanation.thresholds.get("on", {})
    if not isinstance(on, dict):
        return None
    higher = [float(on[c]) for c in COLOURS if on.get(c) is not None and rank(c) > rank(transition.colour)]
    return max(transition.value, min(higher)) if higher else None


def with_live_depth(env: Env, closures: Sequence[Closure], now_us: int) -> list[Closure]:
    """Automatic closures with the depth that their gauge shows now, where that is fresh; others as they are.

    A fresh reading that is flagged (suspect, out of range, failed) is no depth: the road is closed for everybody.
    """
    if env.live_depth is None:
        return list(closures)
    shown = []
    for closure in closures:
        found = env.live_depth(device_of(closure)) if device_of(closure) else None
        if found is None or now_us - found[2] > LIVE_DEPTH_MAX_AGE_US:
            shown.append(closure)
            continue
        depth_m, quality, _ = found
        shown.append(replace(closure, depth_m=depth_m if quality < Quality.SUSPECT else None))
    return shown


def device_of(closure: Closure) -> str:
    """The device behind an automatic closure; "" for one that a person made."""
    return closure.closure_id.removeprefix("C-").rpartition("-")[0]


def _about_water(transition: Transition) -> bool:
    return transition.hazard == "flood"


async def _automatic(
    work: Work,
    source: str,
    old: Closure | None,
    edges: list[str],
    depth_m: float | None,
    reason: str,
    evidence: str,
    position: int,
) -> None:
    if old is not None:
        if old.depth_m != depth_m:
            await _put(work, old, replace(old, depth_m=depth_m, reason=reason, evidence=evidence), source, "depth")
        return
    lon, lat = _where(work.env, edges)
    device = work.env.registry.devices[source.removeprefix("device:")]
    closure = Closure(
        closure_id=f"C-{device.device_id}-{position}",  # the same in a replay
        edges=edges,
        reason=reason,
        lon=device.lon or lon,
        lat=device.lat or lat,
        depth_m=depth_m,
        since_us=work.at_us,
        expires_us=None,
        author=work.actor.username,
        evidence=evidence,
        area=device.area,
    )
    await _put(work, None, closure, source, "close_road")


async def _put(work: Work, before: Closure | None, closure: Closure, source: str, action: str) -> None:
    await work.tx.put_closure(closure, source)
    await work.journal("closure", closure.closure_id, action, before, closure, closure.reason)
    work.state("closure", closure.closure_id, work.at_us, closure)  # city time is its revision


def _where(env: Env, edges: Sequence[str]) -> tuple[float, float]:
    """Where the sign stands: the middle of the first road that the graph knows, else the centre of the district."""
    return env.roads.middle_of(edges[0]) or env.centre
