"""Looking through cameras and clips for incidents: the same stories on the memory twin and on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import msgspec
import psycopg
import pytest

from citybrain_testing.command import ADMIN, DUTY1, DUTY2, LEADER, responder
from citybrain_testing.devices_world import ACME
from citybrain_testing.watching import (
    ELSEWHERE_ID,
    FILM_SHA256,
    INCIDENT_ID,
    PNG,
    Killed,
    VideoWorld,
    ticket_of,
    video_world,
)
from command_center.access.scope import Scope
from command_center.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from command_center.journal import JournalQuery
from command_center.model import Actor, Role
from command_center.video import clips as clips_module
from command_center.video.clips import ClipService
from command_center.video.model import ENDS, VIDEO_CLIP, ClipState, Purpose, VideoClip
from command_center.video.ports import ClipTooLarge, NoRoom, PlatformAway, PlatformRefused
from command_center.video.service import TICKET_S, VideoService
from command_center.video.tickets import Tickets
from storage.command import PostgresStore

replace = msgspec.structs.replace
Story = Callable[[VideoWorld], Awaitable[None]]
Run = Callable[[Story], None]
S = ClipState
P = Purpose
MINUTE_US = 60_000_000
SECURITY = Actor(username="security", roles=frozenset({Role.SECURITY}))
AUDITOR = Actor(username="auditor", roles=frozenset({Role.AUDITOR}))
ELSEWHERE = Actor(username="duty9", roles=frozenset({Role.OPERATOR}), scope=Scope(areas=("3310030",)))
EVERYTHING = JournalQuery()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Run:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Story) -> None:
        async with video_world(url) as world:
            await story(world)

    return lambda story: asyncio.run(body(story))


async def asked(world: VideoWorld, minutes: int = 5, **more: str) -> VideoClip:
    to_us = world.now_us - MINUTE_US
    incident_id, device_id = more.get("incident_id", INCIDENT_ID), more.get("device_id", "cam-1")
    return await world.clips.ask(DUTY1, incident_id, device_id, to_us - minutes * MINUTE_US, to_us, "留证")


def test_who_looks_says_why_and_it_stands_in_the_log(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        live = await world.video.ask(DUTY1, "cam-1", P.LIVE, reason="看积水")
        hour_us = 3600 * 1_000_000
        await world.video.ask(
            LEADER,
            "cam-2",
            P.PLAYBACK,
            reason="",
            incident_id=INCIDENT_ID,
            from_us=world.now_us - hour_us,
            to_us=world.now_us,
        )
        assert world.platform.asked == [], "nothing is asked of the platform before the ticket is shown"
        opened = await world.video.media(DUTY1, ticket_of(live.url))
        assert opened.urls == {"hls": "http://media.city/rtp/34020000001310000001.m3u8"}
        assert opened.until_us == live.until_us == world.devices.clock.machine_us() + round(TICKET_S * 1e6)
        views, following = await world.video.views(SECURITY, EVERYTHING, limit=1)
        (second,) = views
        assert (second.actor, second.action, second.incident_id) == ("leader1", "playback", INCIDENT_ID)
        assert (second.from_us, second.to_us) == (world.now_us - hour_us, world.now_us)
        rest, _ = await world.video.views(AUDITOR, EVERYTHING, before=int(following or 0))
        assert [(v.actor, v.device_id, v.action, v.reason) for v in rest] == [("duty1", "cam-1", "live", "看积水")]
        only, _ = await world.video.views(AUDITOR, JournalQuery(entity_id="cam-2"))
        assert [v.device_id for v in only] == ["cam-2"]
        for actor in (DUTY1, LEADER, ADMIN, replace(AUDITOR, scope=Scope(areas=("3310",)))):
            with pytest.raises(Forbidden):
                await world.video.views(actor, EVERYTHING)

    run(story)


def test_a_ticket_opens_for_its_user_its_purpose_and_its_minutes(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        ask, clock = world.video.ask, world.devices.clock
        snap = ticket_of((await ask(DUTY1, "cam-1", P.SNAPSHOT, reason="看")).url)
        assert await world.video.picture(DUTY1, snap) == (PNG, "image/png")
        with pytest.raises(Invalid, match="snapshot"):
            await world.video.media(DUTY1, snap)
        live = ticket_of((await ask(DUTY1, "cam-1", P.LIVE, reason="看")).url)
        with pytest.raises(Invalid, match="live"):
            await world.video.picture(DUTY1, live)
        for text in (live[:-2], live + "x", "", "a.b", snap.split(".")[0] + "." + live.split(".")[1]):
            with pytest.raises(NotFound):
                await world.video.media(DUTY1, text)
        with pytest.raises(NotFound):
            await world.video.media(DUTY2, live)
        with pytest.raises(Forbidden):
            await world.video.media(replace(DUTY1, roles=frozenset({Role.ANALYST})), live)
        with pytest.raises(NotFound):
            await world.video.media(replace(DUTY1, scope=ELSEWHERE.scope), live)
        other = Tickets(b"t" * 32, tenant="other")
        foreign = VideoService(world.devices.store, world.devices.env, lambda _: None, other, world.platform)
        with pytest.raises(NotFound):
            await foreign.media(DUTY1, live)
        clock.step(TICKET_S - 1)
        longer = await world.video.extend(DUTY1, live)
        clock.step(2)
        with pytest.raises(Forbidden, match="ended"):
            await world.video.media(DUTY1, live)
        assert (await world.video.media(DUTY1, ticket_of(longer.url))).device_id == "cam-1"
        for _ in range(47):  # four hours are 48 times five minutes
            clock.step(TICKET_S - 5)
            longer = await world.video.extend(DUTY1, ticket_of(longer.url))
        clock.step(TICKET_S - 5)
        with pytest.raises(Conflict, match="4 h ago"):
            await world.video.extend(DUTY1, ticket_of(longer.url))
        assert (await world.journal("video_view", "cam-1"))[:3] == ["snapshot", "live", "extend"]

    run(story)


def test_a_stream_ends_with_the_last_ticket_of_it(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        tickets = []
        for actor in (DUTY1, DUTY2):
            text = ticket_of((await world.video.ask(actor, "cam-1", P.LIVE, reason="看")).url)
            await world.video.media(actor, text)
            await world.video.media(actor, text)
            tickets.append(text)
        assert world.platform.asked == ["play", "play"], "a ticket that is shown again is the same view"
        await world.video.end(DUTY1, tickets[0])
        assert "stop live" not in world.platform.asked
        assert await world.video.sweep() == 0
        world.devices.clock.step(TICKET_S + 1)
        assert await world.video.sweep() == 1
        assert world.platform.asked[-1] == "stop live"
        world.platform.fails = PlatformAway("gone")
        assert await world.video.sweep() == 0

    run(story)


def test_what_is_wrong_is_named_and_nothing_is_logged_of_it(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        ask, now_us = world.video.ask, world.now_us
        for device_id, purpose, more, why in (
            ("cam-1", P.LIVE, {"reason": " "}, "reason"),
            ("cam-bare", P.LIVE, {"reason": "x"}, "no video platform"),
            ("wl-1", P.LIVE, {"reason": "x"}, "no video platform"),
            ("cam-1", P.LIVE, {"reason": "x", "from_us": 1, "to_us": 2}, "playback only"),
            ("cam-1", P.PLAYBACK, {"reason": "x"}, "both are needed"),
            ("cam-1", P.PLAYBACK, {"reason": "x", "from_us": 5, "to_us": 5}, "after `from`"),
            ("cam-1", P.PLAYBACK, {"reason": "x", "from_us": now_us, "to_us": now_us + 1}, "future"),
            ("cam-1", P.PLAYBACK, {"reason": "x", "from_us": now_us - 2**40, "to_us": now_us}, "at most 360 min"),
        ):
            with pytest.raises(Invalid, match=why):
                await ask(DUTY1, device_id, purpose, **more)  # type: ignore[arg-type]
        for actor, device_id, error in (
            (ADMIN, "cam-1", Forbidden),
            (ACME, "cam-1", Forbidden),
            (responder("unit-1"), "cam-1", Forbidden),
            (SECURITY, "cam-1", Forbidden),
            (ELSEWHERE, "cam-1", NotFound),
            (DUTY1, "nobody", NotFound),
        ):
            with pytest.raises(error):
                await ask(actor, device_id, P.LIVE, reason="x")
        with pytest.raises(NotFound):
            await ask(DUTY1, "cam-1", P.LIVE, reason="", incident_id="I-none")
        with pytest.raises(NotFound):
            await ask(ELSEWHERE, "cam-z", P.LIVE, reason="", incident_id=INCIDENT_ID)
        assert (await world.video.views(SECURITY, EVERYTHING))[0] == []

    run(story)


def test_a_platform_that_is_away_or_not_there_is_said_so(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        live = ticket_of((await world.video.ask(DUTY1, "cam-1", P.LIVE, reason="x")).url)
        for fails in (PlatformAway("no answer within 20 s"), PlatformRefused("通道不存在")):
            world.platform.fails = fails
            with pytest.raises(Unavailable, match=str(fails)):
                await world.video.media(DUTY1, live)
        world.platform.fails = None
        assert (await world.video.media(DUTY1, live)).urls
        store, env = world.devices.store, world.devices.env
        none = VideoService(store, env, lambda _: None, Tickets(b"t" * 32, tenant="test"), None)
        with pytest.raises(Unavailable, match="video_url"):
            await none.ask(DUTY1, "cam-1", P.LIVE, reason="x")
        no_clips = ClipService(store, env, lambda _: None, None, platform=False)
        with pytest.raises(Unavailable, match="video_url"):
            await no_clips.ask(DUTY1, INCIDENT_ID, "cam-1", 1, 2, "x")
        await none.end(DUTY1, live)

    run(story)


def test_a_camera_is_turned_with_a_reason(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        for actor in (DUTY1, LEADER, ADMIN):
            assert [p.preset for p in await world.video.presets(actor, "cam-1")] == [1]
            await world.video.turn(actor, "cam-1", 1, "看桥下")
        assert world.platform.asked.count("turn 1") == 3
        for actor, device_id, reason, error in (
            (ACME, "cam-1", "x", Forbidden),
            (AUDITOR, "cam-1", "x", Forbidden),
            (ELSEWHERE, "cam-1", "x", NotFound),
            (DUTY1, "cam-bare", "x", Invalid),
            (DUTY1, "cam-1", " ", Invalid),
        ):
            with pytest.raises(error):
                await world.video.turn(actor, device_id, 1, reason)
        assert world.platform.asked.count("turn 1") == 3
        async with world.devices.store.read() as tx:
            rows = [e for e in await tx.journal("device", "cam-1", 10, None) if e.action == "preset_goto"]
        assert (rows[0].actor, rows[0].after, rows[0].reason) == ("admin", {"preset": 1}, "看桥下")
        assert len(rows) == 3

    run(story)


def test_a_clip_is_asked_for_fetched_and_taken_out(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        clip = await asked(world)
        assert (clip.state, clip.state_zh, clip.clip_id.startswith(f"{INCIDENT_ID}-V001-")) == (
            S.REQUESTED,
            "待取回",
            True,
        )
        with pytest.raises(Conflict, match="REQUESTED"):
            await world.clips.download(DUTY1, clip.clip_id, "移交")
        assert await world.fetcher.run_due() == 1
        assert await world.fetcher.run_due() == 0
        stored = await world.clip(clip.clip_id)
        assert (stored.state, stored.size, stored.sha256, stored.tries) == (S.STORED, 15, FILM_SHA256, 1)
        assert await world.clips.of_incident(DUTY1, INCIDENT_ID) == ([stored], None)
        found, parts = await world.clips.download(LEADER, clip.clip_id, "移交")
        assert (found, b"".join(parts)) == (stored, b"a film of water")
        ((export, *_), _) = await world.video.views(AUDITOR, JournalQuery(action="export"))
        assert (export.actor, export.device_id, export.reason) == ("leader1", "cam-1", "移交")
        assert (export.incident_id, export.from_us, export.to_us) == (INCIDENT_ID, clip.from_us, clip.to_us)
        assert await world.journal("video_clip", clip.clip_id) == ["request", "stored"]
        async with world.devices.store.read() as tx:
            told = [entry.text_zh for entry in await tx.timeline(INCIDENT_ID, 10)]
        assert told == ["调取录像：水位站cam-1", "录像已保存：cam-1"]
        world.files.files.clear()
        with pytest.raises(NotFound):
            await world.clips.download(LEADER, clip.clip_id, "移交")

    run(story)


def test_who_may_ask_for_a_clip_and_take_it_out(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        clip = await asked(world)
        await world.fetcher.run_due()
        now_us = world.now_us
        for actor, error in (
            (ADMIN, Forbidden),
            (responder("u"), Forbidden),
            (AUDITOR, Forbidden),
            (ELSEWHERE, NotFound),
        ):
            with pytest.raises(error):
                await world.clips.ask(actor, INCIDENT_ID, "cam-1", now_us - 2, now_us - 1, "x")
            with pytest.raises(error):
                await world.clips.download(actor, clip.clip_id, "x")
        with pytest.raises(NotFound):
            await world.clips.of_incident(ELSEWHERE, INCIDENT_ID)
        with pytest.raises(NotFound):
            await world.clips.ask(ELSEWHERE, INCIDENT_ID, "cam-z", now_us - 2, now_us - 1, "x")
        with pytest.raises(NotFound):
            await world.clips.ask(DUTY1, "I-none", "cam-1", now_us - 2, now_us - 1, "x")
        with pytest.raises(Invalid, match="at most 60 min"):
            await asked(world, minutes=61)
        with pytest.raises(Invalid, match="no video platform"):
            await asked(world, device_id="cam-bare")
        with pytest.raises(Invalid, match="reason"):
            await world.clips.download(DUTY1, clip.clip_id, "  ")
        with pytest.raises(NotFound):
            await world.clips.download(DUTY1, "none", "x")

    run(story)


def test_a_platform_that_is_away_is_asked_again_less_and_less_often_until_it_is_too_late(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        clip = await asked(world)
        world.platform.fails = PlatformAway("ConnectError")
        at: list[int] = []
        for second in range(200):
            if await world.fetcher.run_due():
                at.append(second)
            world.devices.clock.step(1)
        assert at == [0, 10, 30, 70, 150]
        waiting = await world.clip(clip.clip_id)
        assert (waiting.state, waiting.error, waiting.tries) == (S.REQUESTED, "ConnectError", 5)
        world.devices.clock.step(clips_module.KEPT_S)
        assert await world.fetcher.run_due() == 1
        assert (await world.clip(clip.clip_id)).state is S.EXPIRED
        assert len(world.platform.asked) == 5, "what is too late is not asked for"
        assert await world.journal("video_clip", clip.clip_id) == ["request", "expired"]

    run(story)


@pytest.mark.parametrize(
    ("platform", "files", "state", "tries"),
    [
        (PlatformRefused("无录像"), None, S.FAILED, 5),
        (None, ClipTooLarge("more than 1 bytes"), S.FAILED, 1),
        (None, NoRoom("no room"), S.REQUESTED, 5),
        (None, OSError(28, "No space left on device"), S.REQUESTED, 5),
        (PlatformAway("away"), None, S.REQUESTED, 5),
    ],
)
def test_what_cannot_be_had_ends_and_what_may_come_waits(
    run: Run, platform: Exception | None, files: Exception | None, state: ClipState, tries: int
) -> None:
    async def story(world: VideoWorld) -> None:
        clip = await asked(world)
        world.platform.fails, world.files.fails = platform, files
        for _ in range(5):
            await world.fetcher.run_due()
            world.devices.clock.step(600)
        after = await world.clip(clip.clip_id)
        assert (after.state, after.tries, bool(after.error)) == (state, tries, True)
        world.platform.fails = world.files.fails = None
        await world.fetcher.run_due()
        assert (await world.clip(clip.clip_id)).state is (state if state in ENDS else S.STORED)

    run(story)


@pytest.mark.parametrize("where", ["before the platform", "in the download", "before the row"])
def test_killed_at_any_step_a_clip_is_kept_once(run: Run, where: str) -> None:
    async def story(world: VideoWorld) -> None:
        clip = await asked(world)
        if where == "before the platform":
            assert await world.fetcher._begin(clip) is not None
        else:
            world.platform.dies, world.files.dies = (1, False) if where == "in the download" else (None, True)
            with pytest.raises(Killed):
                await world.fetcher.run_due()
        assert (await world.clip(clip.clip_id)).state is S.FETCHING
        assert await world.fetcher.run_due() == 0
        after = world.restarted()
        assert await after.fetcher.take_back() == 1
        assert await after.fetcher.run_due() == 1
        stored = await after.clip(clip.clip_id)
        assert (stored.state, stored.sha256, stored.tries, stored.error) == (S.STORED, FILM_SHA256, 2, "")
        assert list(after.files.files) == [clip.clip_id]
        assert await after.fetcher.take_back() == 0
        assert await after.journal("video_clip", clip.clip_id) == ["request", "stored"]

    run(story)


def test_a_camera_that_left_the_platform_fails_its_clips(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        clip = await asked(world)
        camera = world.devices.registry.devices["cam-1"]
        world.devices.registry.devices["cam-1"] = replace(camera, attributes={})
        await world.fetcher.run_due()
        assert (await world.clip(clip.clip_id)).state is S.FAILED

    run(story)


def test_lists_have_pages_states_and_a_bound(run: Run) -> None:
    async def story(world: VideoWorld) -> None:
        made = [await asked(world) for _ in range(3)]
        first, following = await world.clips.of_incident(DUTY1, INCIDENT_ID, limit=2)
        assert [c.clip_id for c in first] == [made[2].clip_id, made[1].clip_id]
        rest, end = await world.clips.of_incident(DUTY1, INCIDENT_ID, limit=2, cursor=following or "")
        assert ([c.clip_id for c in rest], end) == ([made[0].clip_id], None)
        await world.fetcher.run_due()
        stored, _ = await world.clips.of_incident(DUTY1, INCIDENT_ID, states=[S.STORED])
        assert [c.clip_id for c in stored] == [made[0].clip_id], "what was asked for first comes first"
        assert await world.clips.of_incident(DUTY1, ELSEWHERE_ID) == ([], None)
        for _ in range(clips_module.OPEN_MAX - 2):
            await asked(world)
        with pytest.raises(Conflict, match="waits for 50"):
            await asked(world)
        async with world.devices.store.write() as tx:
            assert not await tx.update_video_clip(made[1], rev=2, states=[S.REQUESTED])
            assert not await tx.update_video_clip(made[1], rev=1, states=[S.FETCHING])

    run(story)


@pytest.mark.database
def test_the_database_refuses_what_no_clip_may_be(fresh_url: Callable[[], str]) -> None:
    """Every pair of states against the table of the machine; what was asked never changes."""

    async def body() -> None:
        async with video_world(fresh_url()) as world:
            store = world.devices.store
            assert isinstance(store, PostgresStore)
            for source, to in itertools.product(S, S):
                clip = await asked(world)
                way = {S.REQUESTED: [], S.FETCHING: [S.FETCHING], S.EXPIRED: [S.EXPIRED]}.get(
                    source, [S.FETCHING, source]
                )
                for state in way:
                    clip = moved(clip, state)
                    async with store.write() as tx:
                        assert await tx.update_video_clip(clip, rev=clip.rev - 1, states=list(S))
                allowed = source is to or VIDEO_CLIP.allows(source, to)
                assert await can(world, clip, to) is allowed, f"{source} -> {to}"
                async with store.write() as tx:
                    for left in await tx.video_clips(INCIDENT_ID, states=[S.REQUESTED]):
                        assert await tx.update_video_clip(moved(left, S.EXPIRED), rev=left.rev, states=list(S))
                    for left in await tx.video_clips(INCIDENT_ID, states=[S.FETCHING]):
                        assert await tx.update_video_clip(moved(left, S.FAILED), rev=left.rev, states=list(S))
            clip = await asked(world)
            for change in ("reason = 'other'", "from_at = from_at - interval '1 s'", "device_id = 'cam-2'"):
                with pytest.raises(psycopg.errors.CheckViolation):
                    await changed(store, f"UPDATE video_clip SET {change} WHERE clip_id = %s", clip.clip_id)  # noqa: S608
            with pytest.raises(psycopg.Error, match=r"refused|append"):
                await changed(store, "DELETE FROM video_clip WHERE clip_id = %s", clip.clip_id)

    asyncio.run(body())


async def changed(store: PostgresStore, statement: str, clip_id: str) -> None:
    async with store.write() as tx:
        await tx.connection.execute(statement, (clip_id,))  # type: ignore[attr-defined]


def moved(clip: VideoClip, to: ClipState) -> VideoClip:
    ended = clip.asked_us if to in ENDS else None
    size, sha256 = (5, "0" * 64) if to is S.STORED else (0, "")
    return replace(clip, state=to, ended_us=ended, size=size, sha256=sha256, rev=clip.rev + 1)


async def can(world: VideoWorld, clip: VideoClip, to: ClipState) -> bool:
    """Whether the database lets the row go there, asked past our own table."""
    try:
        async with world.devices.store.write() as tx:
            return await tx.update_video_clip(moved(clip, to), rev=clip.rev, states=[clip.state])
    except psycopg.errors.CheckViolation:
        return False
