"""People and keys of machines: the security administrator's doors, which the auditor may look through."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from command_center.access.keys import KeyService, described
from command_center.access.people import PeopleService
from command_center.access.records import ApiKey
from command_center.access.scope import Scope
from command_center.api.account_routes import factors_of
from command_center.api.answers import page, reply
from command_center.api.auth import ask
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import ChangedUser, NewKey, NewUser, Reason, ScopeBody
from command_center.api.system_routes import deps_of
from command_center.authority import Action
from command_center.errors import Invalid, Unavailable
from command_center.model import Role, User

router = APIRouter(prefix="/api/v1", tags=["users"], route_class=IdempotentRoute)
SECRET = {"Cache-Control": "no-store"}
IfMatch = Annotated[str, Header(alias="If-Match", max_length=40)]


def _people(request: Request) -> PeopleService:
    found = deps_of(request).people
    if found is None:
        raise Unavailable("the register of users is not reachable")
    return found


def _roles(names: list[str]) -> list[Role]:
    try:
        return [Role(name) for name in names]
    except ValueError as error:
        raise Invalid(f"roles: {error}; expected some of {', '.join(role.value for role in Role)}") from error


def _scope(body: ScopeBody) -> Scope:
    return Scope(areas=tuple(body.areas), organisations=tuple(body.organisations), hazards=tuple(body.hazards))


@router.get("/users")
async def users(request: Request) -> Response:
    """Everybody, by name; telephone numbers masked."""
    return page(await _people(request).list(ask(request, Action.READ_USERS)))


@router.get("/users/{username}")
async def user(request: Request, username: str) -> Response:
    found = await _people(request).get(ask(request, Action.READ_USERS), username)
    return reply(found, headers={"ETag": f'"{found.rev}"'})


@router.post("/users", status_code=201)
async def add_user(request: Request, body: NewUser) -> Response:
    """A new person. The answer shows the password once; it is generated unless given."""
    actor = ask(request, Action.USERS)
    user = User(
        username=body.username,
        name=body.name,
        roles=_roles(body.roles),
        unit_id=body.unit_id,
        vendor=body.vendor,
        phone=body.phone,
        area=body.area,
        scope=_scope(body.scope),
    )
    person, word = await _people(request).create(actor, user, body.password)
    return reply({"user": person, "password": word}, 201, {**SECRET, "Location": f"/api/v1/users/{person.username}"})


@router.put("/users/{username}")
async def change_user(request: Request, username: str, body: ChangedUser, if_match: IfMatch = "") -> Response:
    """Change name, roles, unit, vendor, telephone number, scope: what is left out stays. Counts at once, also in open sessions.
    Nobody changes himself."""
    actor = ask(request, Action.USERS)
    rev = if_match.strip().removeprefix("W/").strip('"')
    if rev and not rev.isdigit():
        raise Invalid(f"If-Match {if_match!r}: expected the `rev` of the user")
    given: dict[str, Any] = body.model_dump(exclude_none=True, exclude={"reason"})
    if "roles" in given:
        given["roles"] = _roles(given["roles"])
    found = await _people(request).change(actor, username, given, reason=body.reason, rev=int(rev) if rev else None)
    return reply(found, headers={"ETag": f'"{found.rev}"'})


@router.post("/users/{username}/password")
async def reset_password(request: Request, username: str) -> Response:
    """A new generated password, shown once. The person's sessions end."""
    actor = ask(request, Action.USERS)
    word = await _people(request).reset_password(actor, username)
    return reply({"username": username, "password": word}, headers=SECRET)


@router.post("/users/{username}/disable")
async def disable_user(request: Request, username: str, body: Reason) -> Response:
    """The person's sessions and live connections end at once."""
    actor = ask(request, Action.USERS)
    return reply(await _people(request).set_enabled(actor, username, enabled=False, reason=body.comment))


@router.post("/users/{username}/enable")
async def enable_user(request: Request, username: str, body: Reason) -> Response:
    actor = ask(request, Action.USERS)
    return reply(await _people(request).set_enabled(actor, username, enabled=True, reason=body.comment))


@router.delete("/users/{username}/sessions", status_code=204)
async def end_sessions(request: Request, username: str) -> Response:
    """Log somebody out everywhere."""
    actor = ask(request, Action.USERS)
    await _people(request).end_sessions(actor, username)
    return Response(status_code=204)


@router.post("/users/{username}/totp/reset", status_code=204)
async def reset_totp(request: Request, username: str, body: Reason) -> Response:
    """A lost phone: the second factor is taken away, and set up anew at the next login."""
    actor = ask(request, Action.USERS)
    await factors_of(request).reset(actor, username, body.comment)
    return Response(status_code=204)


# -- keys of machines --------------------------------------------------------------------------------------------------


def _keys(request: Request) -> KeyService:
    found = deps_of(request).keys
    if found is None:
        raise Unavailable("the register of API keys is not reachable")
    return found


def _shown(request: Request, key: ApiKey) -> dict[str, object]:
    return {**described(key), "last_used_machine_us": _keys(request).ring.last_used_us(key)}


@router.get("/api-keys")
async def api_keys(request: Request) -> Response:
    """Keys with their last use; never the secret, which nobody has."""
    found = await _keys(request).list(ask(request, Action.READ_API_KEYS))
    return page([_shown(request, key) for key in found])


@router.post("/api-keys", status_code=201)
async def add_api_key(request: Request, body: NewKey) -> Response:
    """A machine's key. The answer shows it once: `Authorization: Bearer cbk_...`."""
    actor = ask(request, Action.API_KEYS)
    key, token = await _keys(request).create(
        actor,
        name=body.name,
        roles=_roles(body.roles),
        days=body.days,
        scope=_scope(body.scope),
        vendor=body.vendor,
        unit_id=body.unit_id,
    )
    return reply({"key": _shown(request, key), "token": token}, 201, SECRET)


@router.delete("/api-keys/{key_id}", status_code=204)
async def revoke_api_key(request: Request, key_id: str) -> Response:
    """In effect when the answer comes, live connections included."""
    actor = ask(request, Action.API_KEYS)
    await _keys(request).revoke(actor, key_id)
    return Response(status_code=204)
