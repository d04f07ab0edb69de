"""Who looks through which camera: rights, a reason, a line in the journal, and a ticket for minutes.

The line is written before anything is given; a view that cannot be journalled does not take place. The platform's addresses go to who
shows a ticket that holds, together with the login that it was given to, and whose rights still stand; its credentials go to nobody.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import structlog

from command_center import incident_roles, metrics
from command_center.authority import Action, require
from command_center.device_rights import device_for
from command_center.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from command_center.journal import JournalQuery
from command_center.model import Actor, JournalEntry
from command_center.ports import Emit, Store
from command_center.video.model import VIEW, Media, OpenedMedia, Preset, Purpose, VideoView, Viewing
from command_center.video.ports import Platform, PlatformAway, PlatformRefused
from command_center.video.tickets import Ticket, Tickets
from command_center.work import Env, working
from devices.video import VideoChannel, channel_of

log = structlog.get_logger(__name__)
T = TypeVar("T")

TICKET_S = 300.0
LONGEST_S = 4 * 3600.0  # of one view with all its extensions: afterwards a new reason is asked
PLAYBACK_MAX_S = 6 * 3600.0
OPEN_MAX = 200  # streams that we have asked for and not ended; a wall of screens has a few dozen
SWEEP_S = 5.0
PATH = "/api/v1/video/"


class VideoService:
    """`platform` None: none is set up. `channels` and their streams are remembered until their tickets end; after a restart the
    platform ends by itself what nobody watches."""

    def __init__(self, store: Store, env: Env, emit: Emit, tickets: Tickets, platform: Platform | None) -> None:
        self._store, self._env, self._emit = store, env, emit
        self._tickets, self._platform = tickets, platform
        self._open: dict[str, _Stream] = {}  # by ticket number

    async def ask(
        self,
        actor: Actor,
        device_id: str,
        purpose: Purpose,
        *,
        reason: str,
        incident_id: str = "",
        from_us: int | None = None,
        to_us: int | None = None,
    ) -> Viewing:
        """Leave to look, journalled. Raises Forbidden, NotFound, Invalid, Unavailable (no platform)."""
        device = device_for(actor, Action.VIEW_VIDEO, self._env.registry, device_id)
        self._needed()
        reason = reason.strip()
        if not reason and not incident_id:
            raise Invalid("reason: why the camera is looked through, or incident_id: for which incident")
        if channel_of(device) is None:
            raise Invalid(f"{device_id} stands at no video platform (attributes.video)")
        if purpose is Purpose.PLAYBACK:
            check_span(from_us, to_us, self._env.clock.city_us(), PLAYBACK_MAX_S)
        elif from_us is not None or to_us is not None:
            raise Invalid("from, to: for playback only")
        now_us = self._env.clock.machine_us()
        ticket = Ticket(
            number=secrets.token_urlsafe(12),
            username=actor.username,
            device_id=device_id,
            purpose=purpose,
            begun_us=now_us,
            until_us=now_us + round(TICKET_S * 1e6),
            from_us=from_us,
            to_us=to_us,
        )
        await self._journal(actor, ticket, purpose.value, reason, incident_id, device.area)
        metrics.VIDEO_VIEWS.labels(purpose.value).inc()
        return self._viewing(ticket)

    async def extend(self, actor: Actor, text: str) -> Viewing:
        """A new ticket in place of one that still holds, journalled. Raises NotFound, Forbidden, Conflict (looked for too long)."""
        ticket, _, area = self._held(actor, text)
        now_us = self._env.clock.machine_us()
        if now_us - ticket.begun_us > LONGEST_S * 1e6:
            raise Conflict(f"this view began more than {LONGEST_S / 3600:g} h ago: begin another one, with its reason")
        longer = msgspec.structs.replace(ticket, until_us=now_us + round(TICKET_S * 1e6))
        await self._journal(actor, longer, "extend", "", "", area)
        if (stream := self._open.get(ticket.number)) is not None:
            stream.until_us = longer.until_us
        return self._viewing(longer)

    async def media(self, actor: Actor, text: str) -> OpenedMedia:
        """Where the picture is to be had. Raises NotFound, Forbidden, Invalid (a snapshot), Unavailable."""
        ticket, channel, _ = self._held(actor, text)
        if ticket.purpose is Purpose.SNAPSHOT:
            raise Invalid("a snapshot is a picture: ask below /picture")
        stream = self._open.get(ticket.number)
        if stream is None:
            if len(self._open) >= OPEN_MAX:
                raise Unavailable(f"{OPEN_MAX} streams are open already", 30)
            stream = _Stream(ticket, channel, await self._of_platform(lambda p: self._play(p, ticket, channel)))
            self._open[ticket.number] = stream
        return OpenedMedia(
            device_id=ticket.device_id, purpose=ticket.purpose, until_us=ticket.until_us, urls=stream.media.urls
        )

    async def picture(self, actor: Actor, text: str) -> tuple[bytes, str]:
        """The snapshot and its media type. Raises NotFound, Forbidden, Invalid (no snapshot's ticket), Unavailable."""
        ticket, channel, _ = self._held(actor, text)
        if ticket.purpose is not Purpose.SNAPSHOT:
            raise Invalid(f"this ticket is for {ticket.purpose.value}, not for a snapshot")
        return await self._of_platform(lambda p: p.snapshot(channel))

    async def end(self, actor: Actor, text: str) -> None:
        """Who has seen enough says so. Raises NotFound, Forbidden."""
        ticket, _, _ = self._held(actor, text)
        if (stream := self._open.pop(ticket.number, None)) is not None:
            await self._stop(stream)

    async def presets(self, actor: Actor, device_id: str) -> list[Preset]:
        """Directions that the camera knows. Raises Forbidden, NotFound, Invalid, Unavailable."""
        channel = self._to_turn(actor, device_id)
        return await self._of_platform(lambda p: p.presets(channel))

    async def turn(self, actor: Actor, device_id: str, preset: int, reason: str) -> None:
        """Turn the camera by way of the platform, journalled before it is asked. The command `preset_goto` turns cameras that speak
        MQTT. Raises as `presets`."""
        channel = self._to_turn(actor, device_id)
        if not reason.strip():
            raise Invalid("reason: why the camera is turned")
        self._needed()
        async with working(self._store, self._env, self._emit, actor) as work:
            await work.journal("device", device_id, "preset_goto", None, {"preset": preset}, reason.strip())
        await self._of_platform(lambda p: p.turn(channel, preset))

    async def views(
        self, actor: Actor, query: JournalQuery, *, limit: int = 200, before: int | None = None
    ) -> tuple[list[VideoView], str | None]:
        """The viewing log, newest first, and the cursor of the next page; reading it is journalled. Raises Forbidden."""
        require(actor, Action.READ_VIEWS, area="")
        query = msgspec.structs.replace(query, entity=VIEW)
        async with working(self._store, self._env, self._emit, actor) as work:
            found = await work.tx.journal_page(query, limit, before)
            what = {**msgspec.to_builtins(query), "rows": len(found)}
            await work.journal("journal", "", "read", None, what)
        return [_view(row) for row in found], str(found[-1].seq) if len(found) == limit else None

    async def run(self) -> None:
        """Until cancelled: end streams whose tickets have."""
        while True:
            await asyncio.sleep(SWEEP_S)
            await self.sweep()

    async def sweep(self) -> int:
        """How many were ended."""
        now_us = self._env.clock.machine_us()
        over = [number for number, stream in self._open.items() if stream.until_us <= now_us]
        for number in over:
            if (stream := self._open.pop(number, None)) is not None:  # its user may end it while another one is ended
                await self._stop(stream)
        metrics.VIDEO_OPEN.set(len(self._open))
        return len(over)

    # -- inside

    def _held(self, actor: Actor, text: str) -> tuple[Ticket, VideoChannel, str]:
        """A ticket that holds, its camera's channel and area. Rights are asked now: a role that was taken away opens nothing."""
        require(actor, Action.VIEW_VIDEO)
        ticket = self._tickets.read(text)
        if ticket is None or ticket.username != actor.username:
            raise NotFound("video ticket", "")
        device = device_for(actor, Action.VIEW_VIDEO, self._env.registry, ticket.device_id)
        if ticket.until_us <= self._env.clock.machine_us():
            raise Forbidden(actor.username, Action.VIEW_VIDEO.value, "this ticket has ended; ask for another one")
        channel = channel_of(device)
        if channel is None:
            raise NotFound("video ticket", "")
        return ticket, channel, device.area

    def _to_turn(self, actor: Actor, device_id: str) -> VideoChannel:
        device = device_for(actor, Action.TURN_CAMERA, self._env.registry, device_id)
        channel = channel_of(device)
        if channel is None:
            raise Invalid(f"{device_id} stands at no video platform (attributes.video)")
        return channel

    async def _journal(
        self, actor: Actor, ticket: Ticket, action: str, reason: str, incident_id: str, area: str
    ) -> None:
        what = {
            "ticket": ticket.number,
            "incident_id": incident_id,
            "area": area,
            "from_us": ticket.from_us,
            "to_us": ticket.to_us,
        }
        async with working(self._store, self._env, self._emit, actor) as work:
            if incident_id:
                await incident_roles.ask(work, Action.READ_INCIDENTS, incident_id)
            await work.journal(VIEW, ticket.device_id, action, None, what, reason)

    def _viewing(self, ticket: Ticket) -> Viewing:
        last = "picture" if ticket.purpose is Purpose.SNAPSHOT else "media"
        return Viewing(
            url=f"{PATH}{self._tickets.sign(ticket)}/{last}",
            device_id=ticket.device_id,
            purpose=ticket.purpose,
            until_us=ticket.until_us,
            from_us=ticket.from_us,
            to_us=ticket.to_us,
        )

    def _needed(self) -> Platform:
        if self._platform is None:
            raise Unavailable("no video platform is set up (video_url)", 3600)
        return self._platform

    async def _of_platform(self, ask: Callable[[Platform], Awaitable[T]]) -> T:
        """Raises Unavailable, in words that say what is away and name no address."""
        try:
            return await ask(self._needed())
        except PlatformAway as error:
            log.warning("video_platform_away", reason=str(error))
            raise Unavailable(f"the video platform does not answer: {error}", 10) from error
        except PlatformRefused as error:
            raise Unavailable(f"the video platform does not give this picture: {error}", 30) from error

    @staticmethod
    async def _play(platform: Platform, ticket: Ticket, channel: VideoChannel) -> Media:
        if ticket.from_us is not None and ticket.to_us is not None:
            return await platform.playback(channel, ticket.from_us, ticket.to_us)
        return await platform.play(channel)

    async def _stop(self, stream: _Stream) -> None:
        """A live stream is everybody's who looks through the camera: it ends with the last of them."""
        if any(other.media.stream == stream.media.stream for other in self._open.values()) or self._platform is None:
            return
        try:
            await self._platform.stop(stream.channel, stream.ticket.purpose, stream.media.stream)
        except (PlatformAway, PlatformRefused) as error:
            log.warning("video_stream_not_ended", device=stream.ticket.device_id, reason=str(error))


class _Stream:
    """A stream that the platform gave for a ticket."""

    def __init__(self, ticket: Ticket, channel: VideoChannel, media: Media) -> None:
        self.ticket, self.channel, self.media = ticket, channel, media
        self.until_us = ticket.until_us


def check_span(from_us: int | None, to_us: int | None, now_us: int, longest_s: float) -> tuple[int, int]:
    """A span of the past. Raises Invalid."""
    if from_us is None or to_us is None:
        raise Invalid("from, to: both are needed")
    if not from_us < to_us:
        raise Invalid("to: expected a time after `from`")
    if to_us > now_us:
        raise Invalid("to: lies in the future, nothing of it has been recorded")
    if to_us - from_us > longest_s * 1e6:
        raise Invalid(f"to: expected at most {longest_s / 60:g} min after `from`")
    return from_us, to_us


def _view(row: JournalEntry) -> VideoView:
    what: dict[str, Any] = row.after or {}
    return VideoView(
        seq=row.seq,
        at_us=row.at_us,
        actor=row.actor,
        on_behalf_of=row.on_behalf_of,
        action=row.action,
        device_id=row.entity_id,
        reason=row.reason,
        incident_id=what.get("incident_id") or "",
        from_us=what.get("from_us"),
        to_us=what.get("to_us"),
    )
