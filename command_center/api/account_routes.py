"""One's own account: sessions, password, second factor."""

from __future__ import annotations

import segno
from fastapi import APIRouter, Request
from starlette.responses import Response

from command_center.access.factors import SecondFactors
from command_center.access.records import SecurityKey
from command_center.access.security_keys import SecurityKeys
from command_center.api.answers import page, reply
from command_center.api.auth import ask, page_origin
from command_center.api.schemas import Code, NewPassword, NewSecurityKey, iso
from command_center.api.sessions import Entry, Session, Sessions
from command_center.api.system_routes import deps_of
from command_center.authority import Action
from command_center.errors import Forbidden, NotFound, Unavailable
from command_center.model import Actor

router = APIRouter(prefix="/api/v1", tags=["account"])
SECRET = {"Cache-Control": "no-store"}


def _me(request: Request) -> tuple[Actor, Session]:
    session: Session = request.state.session
    return ask(request, Action.OWN_ACCOUNT), session


def _sessions(request: Request) -> Sessions:
    found: Sessions = request.app.state.sessions
    return found


def factors_of(request: Request) -> SecondFactors:
    found = deps_of(request).factors
    if found is None:
        raise Unavailable("second factors are not reachable")
    return found


@router.get("/me/sessions")
async def my_sessions(request: Request) -> Response:
    """Where one is logged in, newest first."""
    actor, session = _me(request)
    return page([_shown(entry, session.sid) for entry in _sessions(request).of_user(actor.username)])


def _shown(entry: Entry, own: str) -> dict[str, object]:
    return {
        "sid": entry.sid,
        "current": entry.sid == own,
        "issued_at": iso(entry.issued_us),
        "seen_at": iso(entry.seen_us),
        "expires_at": iso(entry.expires_us),
        "address": entry.address,
        "client": entry.client,
        "second_factor": entry.second_factor,
    }


@router.delete("/me/sessions", status_code=204)
async def end_my_other_sessions(request: Request) -> Response:
    """End all of one's sessions but this one."""
    actor, session = _me(request)
    _sessions(request).end_all(actor.username, but=session.sid)
    return Response(status_code=204)


@router.delete("/sessions/{sid}", status_code=204)
async def end_session(request: Request, sid: str) -> Response:
    """End one session: one's own, or with the right to manage users anybody's."""
    actor, _ = _me(request)
    owner = _sessions(request).owner_of(sid)
    if owner is None:
        raise NotFound("session", sid)
    if owner != actor.username:
        try:
            ask(request, Action.USERS)
        except Forbidden as error:
            raise NotFound("session", sid) from error
    _sessions(request).end(sid)
    return Response(status_code=204)


@router.post("/me/password", status_code=204)
async def change_password(request: Request, body: NewPassword) -> Response:
    """The other sessions end."""
    actor, session = _me(request)
    people = deps_of(request).people
    if people is None:
        raise Unavailable("the register of users is not reachable")
    await people.change_password(actor, body.old, body.new, sid=session.sid)
    return Response(status_code=204)


@router.post("/me/totp", status_code=201)
async def begin_totp(request: Request) -> Response:
    """A new secret, as text and as a code to scan, shown once. It counts after `/me/totp/confirm`."""
    actor, _ = _me(request)
    secret, uri = await factors_of(request).begin(actor)
    return reply(
        {"secret": secret, "uri": uri, "qr_svg": segno.make(uri, error="m").svg_inline(scale=5, border=2)}, 201, SECRET
    )


@router.post("/me/totp/confirm")
async def confirm_totp(request: Request, body: Code) -> Response:
    """The first code of the phone. Answers with the recovery codes, shown once; this session has its second factor now."""
    actor, session = _me(request)
    codes = await factors_of(request).confirm(actor, body.code)
    _sessions(request).given_second_factor(session.sid)
    return reply({"recovery_codes": codes}, headers=SECRET)


@router.delete("/me/totp", status_code=204)
async def drop_totp(request: Request) -> Response:
    """Give it up, from a session that was opened with it."""
    actor, session = _me(request)
    await factors_of(request).give_up(actor, given=session.second_factor)
    return Response(status_code=204)


# -- security keys -----------------------------------------------------------------------------------------------------


def security_keys_of(request: Request) -> SecurityKeys:
    found = deps_of(request).security_keys
    if found is None:
        raise Unavailable("security keys are not reachable")
    return found


@router.get("/me/keys")
async def my_keys(request: Request) -> Response:
    """One's own security keys, oldest first."""
    actor, _ = _me(request)
    return page([_key(key) for key in await security_keys_of(request).list(actor)])


def _key(key: SecurityKey) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "rp_id": key.rp_id,
        "created_at": iso(key.created_machine_us),
        "last_used_at": None if key.last_used_machine_us is None else iso(key.last_used_machine_us),
    }


@router.post("/me/keys/options")
async def begin_key(request: Request) -> Response:
    """Options for `navigator.credentials.create`, from a session that was opened with the second factor."""
    actor, session = _me(request)
    options = await security_keys_of(request).begin(actor, page_origin(request), given=session.second_factor)
    return reply(options, headers=SECRET)


@router.post("/me/keys", status_code=201)
async def add_key(request: Request, body: NewSecurityKey) -> Response:
    """What the browser made of the options: from now on a login can be answered with this key."""
    actor, _ = _me(request)
    key = await security_keys_of(request).add(actor, page_origin(request), body.name, body.credential)
    return reply(_key(key), 201)


@router.delete("/me/keys/{key_id}", status_code=204)
async def remove_key(request: Request, key_id: str) -> Response:
    """From a session that was opened with the second factor."""
    actor, session = _me(request)
    await security_keys_of(request).remove(actor, key_id, given=session.second_factor)
    return Response(status_code=204)
