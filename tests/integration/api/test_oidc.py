"""Logging in at an identity provider that really listens: code, PKCE, signature, groups."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import uvicorn

from citybrain_testing.access_world import AccessWorld, access_world
from citybrain_testing.oidc_provider import Provider
from command_center.access.oidc import GroupRule, OidcConfig, identity_of, load_oidc
from command_center.api.app import build_app
from command_center.errors import Forbidden
from command_center.model import Role
from runtime.oidc import OidcProvider

OURS = "https://city.test"
CALLBACK = f"{OURS}/api/v1/oidc/callback"
PERSON = {"sub": "u-17", "name": "周岚", "groups": ["duty", "choir"], "amr": ["pwd", "otp"]}
GROUPS = (
    GroupRule(group="duty", roles=(Role.OPERATOR,), areas=("339900001",)),
    GroupRule(group="chiefs", roles=(Role.LEADER,)),
)


@dataclass
class Stand:
    world: AccessWorld
    provider: Provider
    browser: httpx.AsyncClient
    outside: httpx.AsyncClient

    async def press_the_button(self, **cookies: str) -> httpx.Response:
        """From our login page to the provider and back; our answer to the callback."""
        to_provider = await self.browser.get("/api/v1/oidc/login")
        assert to_provider.status_code == 302
        back = await self.outside.get(to_provider.headers["location"])
        assert back.status_code == 302, back.text
        return await self.browser.get(back.headers["location"])


@asynccontextmanager
async def stand() -> AsyncIterator[Stand]:
    world = await access_world()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        now_s = world.world.clock.machine_us() // 1_000_000
        provider = Provider("city", "hush", CALLBACK, now_s, issuer=issuer, claims=dict(PERSON))
        config = OidcConfig(issuer=issuer, client_id="city", redirect_uri=CALLBACK, groups=GROUPS)
        deps = replace(world.app.state.deps, oidc=OidcProvider(config, "hush", world.world.clock))
        server = uvicorn.Server(uvicorn.Config(provider.app(), log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        ours = httpx.ASGITransport(app=build_app(deps), client=("10.1.2.3", 40000))
        async with (
            httpx.AsyncClient(transport=ours, base_url=OURS) as browser,
            httpx.AsyncClient(timeout=20.0) as outside,
        ):
            try:
                yield Stand(world, provider, browser, outside)
            finally:
                server.should_exit = True
                await serving


def story(work: Any) -> None:
    async def run() -> None:
        async with stand() as found:
            await work(found)

    asyncio.run(run())


def test_groups_there_are_roles_and_areas_here() -> None:
    async def work(stand: Stand) -> None:
        answer = await stand.press_the_button()
        assert answer.status_code == 200, answer.text
        assert "samesite=strict" in answer.headers["set-cookie"].lower()
        me = (await stand.browser.get("/api/v1/me")).json()["user"]
        assert (me["name"], me["roles"], me["scope"]) == ("周岚", ["operator"], {"areas": ["339900001"]})
        assert me["username"].startswith("oidc-")
        assert len((await stand.browser.get("/api/v1/alarms")).json()["items"]) == 1
        first = me["username"]
        stand.provider.claims = {**PERSON, "groups": ["chiefs"]}
        stand.provider.rotate()  # a key that we have not seen
        assert (await stand.press_the_button()).status_code == 200
        me = (await stand.browser.get("/api/v1/me")).json()["user"]
        assert (me["username"], me["roles"]) == (first, ["leader"])
        assert "second_factor_missing" not in me  # the provider says that it asked for two
        assert await stand.world.users.verify(first, "!") is None  # no password of ours opens it

    story(work)


def test_who_is_in_no_group_or_disabled_here_stays_out() -> None:
    async def work(stand: Stand) -> None:
        assert (await stand.press_the_button()).status_code == 200
        username = (await stand.browser.get("/api/v1/me")).json()["user"]["username"]
        await stand.world.users.set_enabled(username, enabled=False)
        refused = await stand.press_the_button()
        assert (refused.status_code, "disabled" in refused.text) == (403, True)
        stand.provider.claims = {**PERSON, "sub": "u-18", "groups": "choir"}
        refused = await stand.press_the_button()
        assert (refused.status_code, "groups" in refused.text) == (403, True)

    story(work)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"nonce": "another"},
        {"aud": "another"},
        {"iss": "https://elsewhere.test"},
        {"exp": 1},
        {"sub": None},
    ],
    ids=lambda s: next(iter(s)),
)
def test_an_id_token_that_does_not_hold_opens_nothing(spoilt: dict[str, Any]) -> None:
    async def work(stand: Stand) -> None:
        stand.provider.spoil = spoilt
        answer = await stand.press_the_button()
        assert answer.status_code == 403, answer.text
        assert "cb_session" not in answer.headers.get("set-cookie", "")

    story(work)


def test_a_callback_that_this_browser_did_not_begin_is_refused() -> None:
    async def work(stand: Stand) -> None:
        to_provider = await stand.browser.get("/api/v1/oidc/login")
        back = (await stand.outside.get(to_provider.headers["location"])).headers["location"]
        stand.browser.cookies.clear()  # somebody else's browser, with a link that was sent to it
        assert (await stand.browser.get(back)).status_code == 400
        to_provider = await stand.browser.get("/api/v1/oidc/login")
        back = (await stand.outside.get(to_provider.headers["location"])).headers["location"]
        assert (await stand.browser.get(back)).status_code == 200
        assert (await stand.browser.get(back)).status_code == 400  # once
        to_provider = await stand.browser.get("/api/v1/oidc/login")
        back = (await stand.outside.get(to_provider.headers["location"])).headers["location"]
        stand.world.world.clock.step(601)
        assert (await stand.browser.get(back)).status_code == 400  # too late

    story(work)


def test_a_provider_that_is_away_is_said_to_be_and_local_logins_go_on() -> None:
    async def work() -> None:
        world = await access_world()
        config = OidcConfig(issuer="http://127.0.0.1:1", client_id="c", redirect_uri=CALLBACK, groups=GROUPS)
        deps = replace(world.app.state.deps, oidc=OidcProvider(config, "", world.world.clock))
        transport = httpx.ASGITransport(app=build_app(deps))
        async with httpx.AsyncClient(transport=transport, base_url=OURS) as browser:
            assert (await browser.get("/api/v1/oidc/login")).status_code == 503
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=world.app), base_url=OURS) as browser:
            assert (await browser.get("/api/v1/oidc/login")).status_code == 404  # none is set up

    asyncio.run(work())


def test_a_configuration_that_is_wrong_is_refused_by_name() -> None:
    good = "issuer: https://id.test\nclient_id: c\nredirect_uri: https://city.test/cb\ngroups: [{group: g, roles: [operator]}]"
    config = load_oidc(good)
    assert config.groups[0].roles == (Role.OPERATOR,)
    for bad, says in (
        (good.replace("https://id.test", "http://id.test"), "issuer"),
        (good.replace("operator", "king"), "king"),
        (good.replace("[{group: g, roles: [operator]}]", "[]"), "groups"),
        (good + "\nextra: 1", "extra"),
    ):
        with pytest.raises(ValueError, match=says):
            load_oidc(bad)
    with pytest.raises(Forbidden):
        identity_of(config, {"sub": "x"})
