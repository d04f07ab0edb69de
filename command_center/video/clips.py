"""Clips for an incident: asked for as a row, fetched by a loop, kept as a file, before the platform writes over them.

The row is the queue. A clip is marked FETCHING before the platform is asked and STORED after its file is on the disk; what a crash
leaves FETCHING goes back to REQUESTED at the next start and is fetched again into the same file. So it is kept once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import structlog

from command_center import incident_book as book
from command_center import incident_roles, metrics
from command_center.authority import Action, must_see, require
from command_center.device_rights import device_for
from command_center.errors import Conflict, Invalid, NotFound, Unavailable
from command_center.model import SYSTEM, Actor
from command_center.ports import Emit, Store
from command_center.sensitive import EXPORT
from command_center.video.model import CLIP, ENDS, OPEN, VIDEO_CLIP, VIEW, ClipState, VideoClip
from command_center.video.ports import ClipFiles, ClipTooLarge, NoRoom, Platform, PlatformAway, PlatformRefused
from command_center.video.service import check_span
from command_center.work import Env, Work, working
from devices.video import channel_of

log = structlog.get_logger(__name__)
replace = msgspec.structs.replace
S = ClipState

CLIP_MAX_S = 3600.0
CLIP_MAX_BYTES = 2 * 1024**3  # an hour at 4 Mbit/s is 1.8 GB
OPEN_MAX = 50  # of one incident: more than this is a mistake, and the disk is shared
KEPT_S = (
    72 * 3600.0
)  # how long we go on asking (machine time): recorders commonly hold a week or more, a platform that was away is back by then
EVERY_S = 1.0
AGAIN_FIRST_S, AGAIN_MAX_S = 5.0, 600.0
REFUSALS_MAX = 5  # a recorder's search fails now and then; five times over two and a half minutes is an answer
FETCH_MAX_S = 3600.0  # of one try
DOWN_AGAIN_S = 2.0


class ClipService:
    """What people do with clips. `files` and `platform` None: there is no video platform."""

    def __init__(self, store: Store, env: Env, emit: Emit, files: ClipFiles | None, *, platform: bool) -> None:
        self._store, self._env, self._emit, self._files = store, env, emit, files
        self._platform = platform

    async def ask(
        self, actor: Actor, incident_id: str, device_id: str, from_us: int, to_us: int, reason: str
    ) -> VideoClip:
        """Have a recording fetched. Raises Forbidden, NotFound, Invalid, Conflict (too many), Unavailable (no platform)."""
        require(actor, Action.REQUEST_CLIP)
        device = device_for(actor, Action.VIEW_VIDEO, self._env.registry, device_id)
        if not self._platform:
            raise Unavailable("no video platform is set up (video_url)", 3600)
        if channel_of(device) is None:
            raise Invalid(f"device_id: {device_id} stands at no video platform (attributes.video)")
        check_span(from_us, to_us, self._env.clock.city_us(), CLIP_MAX_S)
        async with working(self._store, self._env, self._emit, actor) as work:
            await incident_roles.ask(work, Action.REQUEST_CLIP, incident_id)
            if len(await work.tx.video_clips(incident_id, states=OPEN, limit=OPEN_MAX)) >= OPEN_MAX:
                raise Conflict(f"{incident_id} waits for {OPEN_MAX} clips already")
            number = await work.tx.next_number(f"{CLIP}:{incident_id}")
            # A database that went back to a backup must not give a number out again: its file stands on the disk.
            tail = work.machine_us // 1000 & 0xFFFFFF
            clip = VideoClip(
                clip_id=f"{incident_id}-V{number:03d}-{tail:06x}",
                incident_id=incident_id,
                device_id=device_id,
                area=device.area,
                from_us=from_us,
                to_us=to_us,
                reason=reason.strip(),
                state=S.REQUESTED,
                state_zh=VIDEO_CLIP.zh[S.REQUESTED],
                asked_by=actor.username,
                asked_us=work.at_us,
                until_us=work.machine_us + round(KEPT_S * 1e6),
                next_us=work.machine_us,
                changed_us=work.at_us,
            )
            await work.tx.insert_video_clip(clip)
            await work.journal(CLIP, clip.clip_id, "request", None, clip, clip.reason)
            zh, en = f"调取录像：{device.name}", f"recording of {device.name} asked for"
            await book.tell(work, incident_id, "video", zh, en, clip.clip_id)
        return clip

    async def of_incident(
        self, actor: Actor, incident_id: str, *, states: Sequence[ClipState] = (), limit: int = 200, cursor: str = ""
    ) -> tuple[list[VideoClip], str | None]:
        """Newest first, and the cursor of the next page. Raises Forbidden, NotFound."""
        async with working(self._store, self._env, self._emit, actor) as work:
            await incident_roles.ask(work, Action.READ_INCIDENTS, incident_id)
            found = await work.tx.video_clips(incident_id, states=states, limit=limit + 1, before=cursor)
        return found[:limit], found[limit - 1].clip_id if len(found) > limit else None

    async def download(self, actor: Actor, clip_id: str, reason: str) -> tuple[VideoClip, Iterator[bytes]]:
        """The file, journalled as an export before a byte of it goes out. Raises Forbidden, NotFound, Invalid, Conflict (not stored)."""
        require(actor, Action.EXPORT_CLIP)
        if not reason.strip():
            raise Invalid("reason: why the recording is taken out")
        async with working(self._store, self._env, self._emit, actor) as work:
            clip = await work.tx.video_clip(clip_id)
            if clip is None:
                raise NotFound("video clip", clip_id)
            must_see(actor, "video clip", clip_id, area=clip.area)
            await incident_roles.ask(work, Action.READ_INCIDENTS, clip.incident_id)
            if clip.state is not S.STORED or self._files is None:
                raise Conflict(f"{clip_id} is {clip.state.value}: there is no file")
            what = {"clip_id": clip_id, "incident_id": clip.incident_id, "from_us": clip.from_us, "to_us": clip.to_us}
            what |= {"size": clip.size, "sha256": clip.sha256}
            await work.journal(VIEW, clip.device_id, EXPORT, None, what, reason.strip())
            try:
                parts = await asyncio.to_thread(self._files.open, clip_id)
            except FileNotFoundError as error:
                raise NotFound("file of video clip", clip_id) from error
        metrics.VIDEO_VIEWS.labels(EXPORT).inc()
        return clip, parts


class ClipFetcher:
    """One per tenant, in the role `command`."""

    def __init__(self, store: Store, env: Env, emit: Emit, files: ClipFiles, platform: Platform) -> None:
        self._store, self._env, self._emit = store, env, emit
        self._files, self._platform = files, platform

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        begun = False
        while True:
            try:
                if not begun:
                    await self.take_back()
                    begun = True
                done = await self.run_due()
            except Unavailable as error:
                log.warning("clips_wait", reason=str(error))
                begun = False  # how the last one ended may not have been written down
                await asyncio.sleep(DOWN_AGAIN_S)
                continue
            await asyncio.sleep(0 if done else EVERY_S)

    async def take_back(self) -> int:
        """What an earlier life of this process had in hand is to be fetched again; returns how many."""
        await self._files.drop_unfinished()
        async with working(self._store, self._env, self._emit, SYSTEM) as work:
            left = await work.tx.clips_in_hand()
            for clip in left:
                await step(work, clip, S.REQUESTED, next_us=work.machine_us, error="interrupted")
        return len(left)

    async def run_due(self) -> int:
        """Fetch one clip that is due; 0 when there is none. Raises Unavailable. One at a time: recorders give few streams."""
        async with self._store.read() as tx:
            due = await tx.clips_to_fetch(self._env.clock.machine_us(), 1)
        if not due:
            return 0
        begun = await self._begin(due[0])
        if begun is not None:
            await self._fetch(begun)
        return 1

    async def _begin(self, clip: VideoClip) -> VideoClip | None:
        async with working(self._store, self._env, self._emit, SYSTEM) as work:
            if work.machine_us >= clip.until_us:
                await step(work, clip, S.EXPIRED)
                return None
            return await step(work, clip, S.FETCHING, tries=clip.tries + 1)

    async def _fetch(self, clip: VideoClip) -> None:
        device = self._env.registry.devices.get(clip.device_id)
        channel = None if device is None else channel_of(device)
        if channel is None:
            await self._mark(clip, S.FAILED, error="the camera stands at no video platform any more")
            return
        try:
            async with asyncio.timeout(FETCH_MAX_S):
                async with self._platform.recording(channel, clip.from_us, clip.to_us) as parts:
                    size, sha256 = await self._files.keep(clip.clip_id, parts, CLIP_MAX_BYTES)
        except PlatformRefused as error:
            refusals = clip.refusals + 1
            state = S.FAILED if refusals >= REFUSALS_MAX else S.REQUESTED
            await self._mark(clip, state, error=str(error), refusals=refusals)
        except ClipTooLarge as error:
            await self._mark(clip, S.FAILED, error=str(error))
        except (PlatformAway, NoRoom, OSError, TimeoutError) as error:
            await self._mark(clip, S.REQUESTED, error=str(error) or type(error).__name__)
        else:
            await self._mark(clip, S.STORED, size=size, sha256=sha256, error="")

    async def _mark(self, clip: VideoClip, to: ClipState, **fields: Any) -> None:
        async with working(self._store, self._env, self._emit, SYSTEM) as work:
            if to is S.REQUESTED:
                wait_s = min(AGAIN_FIRST_S * 2 ** min(clip.tries, 10), AGAIN_MAX_S)
                fields["next_us"] = work.machine_us + round(wait_s * 1e6)
            await step(work, clip, to, **fields)


async def step(work: Work, clip: VideoClip, to: ClipState, **fields: Any) -> VideoClip | None:
    """Move it in the machine, journalled; an end is told in the incident. None: somebody else did meanwhile."""
    VIDEO_CLIP.advance(clip.clip_id, clip.state, to)
    after = replace(
        clip,
        state=to,
        state_zh=VIDEO_CLIP.zh[to],
        ended_us=work.at_us if to in ENDS else None,
        changed_us=work.at_us,
        rev=clip.rev + 1,
        **fields,
    )
    if not await work.tx.update_video_clip(after, rev=clip.rev, states=[clip.state]):
        return None
    metrics.VIDEO_CLIPS.labels(to.value).inc()
    if to in ENDS:
        # Tries are figures and a row that says how often; the journal has the request and the end.
        await work.journal(CLIP, clip.clip_id, to.value.lower(), clip, after, after.error)
        zh, en = f"录像{after.state_zh}：{clip.device_id}", f"recording of {clip.device_id}: {to.value.lower()}"
        await book.tell(work, clip.incident_id, "video", zh, en, clip.clip_id)
    return after
