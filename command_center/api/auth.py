"""Who is asking: signed session tokens, the CSRF header, a brake on guessing, and what each role may see live.

A token is signed, not stored, so people stay logged in while the database is down; logging out puts its id on a revocation
list that is kept beside the data. Times here are machine time: a scaled city clock must not end a session early.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import HTTPConnection

from command_center.api.problems import Problem
from command_center.errors import Forbidden
from command_center.model import Actor, Role, User
from devices.clock import Clock
from gis.live import Grant

COOKIE = "cb_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
NO_OWNER = "\x00"  # the scope of somebody who should have a unit or a firm and has none: matches no row


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who a token stands for, and until when (machine wall microseconds)."""

    sid: str
    actor: Actor
    name: str
    expires_us: int

    def user(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "username": self.actor.username,
            "name": self.name,
            "roles": sorted(self.actor.roles),
        }
        if self.actor.unit_id:
            found["unit_id"] = self.actor.unit_id
        if self.actor.vendor:
            found["vendor"] = self.actor.vendor
        return found


class Sessions:
    """Issues, reads and revokes tokens."""

    def __init__(self, key: bytes, clock: Clock, *, tenant: str, lifetime_s: float, revocations: Path | None) -> None:
        if len(key) < 32:
            raise ValueError(f"signing key of {len(key)} bytes, at least 32 expected")
        self._key, self._clock, self._tenant = key, clock, tenant
        self._lifetime_us = int(lifetime_s * 1e6)
        self._serializer = URLSafeSerializer(
            key, salt=f"citybrain-session:{tenant}", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._file = revocations
        self._revoked: dict[str, int] = self._load()
        self._on_revoke: list[Callable[[str], None]] = []

    def issue(self, user: User) -> tuple[str, Session]:
        session = Session(
            sid=secrets.token_urlsafe(16),
            actor=Actor(username=user.username, roles=frozenset(user.roles), unit_id=user.unit_id, vendor=user.vendor),
            name=user.name,
            expires_us=self._clock.machine_us() + self._lifetime_us,
        )
        payload = {
            "s": session.sid,
            "u": user.username,
            "n": user.name,
            "r": sorted(user.roles),
            "t": user.unit_id,
            "v": user.vendor,
            "e": session.expires_us,
        }
        token = self._serializer.dumps(payload)
        return (token.decode() if isinstance(token, bytes) else token), session

    def read(self, token: str) -> Session | None:
        """The session, or None for a token that is forged, of another tenant, expired or revoked."""
        try:
            payload = self._serializer.loads(token)
        except BadSignature:
            return None
        if payload["e"] <= self._clock.machine_us() or payload["s"] in self._revoked:
            return None
        return Session(
            sid=payload["s"],
            actor=Actor(
                username=payload["u"],
                roles=frozenset(Role(r) for r in payload["r"]),
                unit_id=payload["t"],
                vendor=payload["v"],
            ),
            name=payload["n"],
            expires_us=payload["e"],
        )

    def csrf(self, session: Session) -> str:
        return hmac.new(self._key, f"csrf:{session.sid}".encode(), hashlib.sha256).hexdigest()

    def csrf_matches(self, session: Session, given: str) -> bool:
        return hmac.compare_digest(self.csrf(session).encode(), given.encode("utf-8", "replace"))

    def revoke(self, session: Session) -> None:
        """End a session everywhere, its live connections included; kept until it would have expired anyway."""
        now_us = self._clock.machine_us()
        self._revoked = {sid: until for sid, until in self._revoked.items() if until > now_us}
        self._revoked[session.sid] = session.expires_us
        if self._file is not None:
            temporary = self._file.with_suffix(".tmp")
            temporary.write_text(json.dumps(self._revoked))
            temporary.replace(self._file)
        for notify in self._on_revoke:
            notify(session.sid)

    def on_revoke(self, notify: Callable[[str], None]) -> None:
        self._on_revoke.append(notify)

    def _load(self) -> dict[str, int]:
        if self._file is None or not self._file.exists():
            return {}
        return {str(sid): int(until) for sid, until in json.loads(self._file.read_text()).items()}


class LoginGuard:
    """Slows guessing: after five wrong passwords for a name from one address, that pair waits; an address has a budget too.

    The pair, not the name alone: otherwise anybody could lock the duty officer out.
    """

    PAIR_FAILURES = 5
    ADDRESS_FAILURES = 60
    WINDOW_S = 300.0
    MAX_KEYS = 10_000  # keep latest; a forgotten key starts at zero

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], list[float]] = OrderedDict()
        self.refused = 0

    def _now_s(self) -> float:
        return self._clock.machine_ns() / 1e9

    def check(self, username: str, address: str) -> None:
        """Raises Problem 429 with Retry-After while the pair or the address has to wait."""
        for key, limit in (((username, address), self.PAIR_FAILURES), (("", address), self.ADDRESS_FAILURES)):
            recent = self._recent(key)
            if len(recent) >= limit:
                self.refused += 1
                wait_s = max(1, round(recent[0] + self.WINDOW_S - self._now_s()))
                raise Problem(
                    429,
                    "too-many-logins",
                    f"too many wrong passwords; try again in {wait_s} s",
                    headers={"Retry-After": str(wait_s)},
                )

    def _recent(self, key: tuple[str, str]) -> list[float]:
        since = self._now_s() - self.WINDOW_S
        return [t for t in self._failures.get(key, []) if t > since]

    def failed(self, username: str, address: str) -> None:
        for key in ((username, address), ("", address)):
            self._failures[key] = [*self._recent(key), self._now_s()][-self.ADDRESS_FAILURES :]
            self._failures.move_to_end(key)
        while len(self._failures) > self.MAX_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, username: str, address: str) -> None:
        self._failures.pop((username, address), None)


def session_of(connection: HTTPConnection) -> tuple[Session, bool] | None:
    """The session of a request and whether it came by cookie. A bearer token that is wrong is not rescued by a cookie."""
    sessions: Sessions = connection.app.state.sessions
    header = connection.headers.get("authorization", "")
    if header:
        scheme, _, token = header.partition(" ")
        found = sessions.read(token.strip()) if scheme.lower() == "bearer" else None
        return (found, False) if found else None
    cookie = connection.cookies.get(COOKIE)
    found = sessions.read(cookie) if cookie else None
    return (found, True) if found else None


async def require_session(request: Request) -> Session:
    """The one dependency that every route outside the open list has. 401 without login, 403 without the CSRF header."""
    found = session_of(request)
    if found is None:
        raise Problem(401, "login-required", "log in first", headers={"WWW-Authenticate": "Bearer"})
    session, by_cookie = found
    sessions: Sessions = request.app.state.sessions
    if (
        by_cookie
        and request.method not in SAFE_METHODS
        and not sessions.csrf_matches(session, request.headers.get(CSRF_HEADER, ""))
    ):
        raise Problem(403, "csrf", f"header {CSRF_HEADER} is missing or wrong; GET /api/v1/me tells it")
    request.state.session = session
    return session


def actor_of(request: Request) -> Actor:
    session: Session = request.state.session
    return session.actor


def only(request: Request, action: str, *roles: Role) -> Actor:
    """The actor, if one of the roles is his. Raises Forbidden naming the action and who may."""
    actor = actor_of(request)
    if not actor.has(*roles):
        raise Forbidden(actor.username, action, f"this takes {' or '.join(sorted(roles))}")
    return actor


def refuse(request: Request, action: str, *roles: Role) -> Actor:
    """The actor, unless all his roles are among those that may not."""
    actor = actor_of(request)
    if not actor.roles - set(roles):
        raise Forbidden(actor.username, action, f"not open to {', '.join(sorted(actor.roles)) or 'nobody'}")
    return actor


_STATE = ("obj/device", "obj/unit", "obj/closure", "obj/typhoon", "kpi/board")
_EVENTS = ("alarm", "incident", "task", "instruction", "sys")
_EVERYTHING: dict[str, str | None] = dict.fromkeys((*_STATE, *_EVENTS))


def channels_of(actor: Actor) -> dict[str, str | None]:
    """Live channels by role: None sees everything, a text only rows of that owner. The strictest role never narrows a wider one."""
    if actor.has(Role.OPERATOR, Role.LEADER, Role.ANALYST, Role.ADMIN):
        return dict(_EVERYTHING)
    found: dict[str, str | None] = {}
    if actor.has(Role.VENDOR):
        found |= {"obj/device": actor.vendor or NO_OWNER, "sys": None}
    if actor.has(Role.MET):
        found |= {"obj/typhoon": None, "sys": None}
    if actor.has(Role.RESPONDER):
        own = actor.unit_id or NO_OWNER
        found |= _EVERYTHING | {"task": own, "obj/unit": own, "instruction": own}
    return found


def grant_of(session: Session, clock: Clock) -> Grant:
    """What the live session is told. Its expiry is moved from wall to monotonic machine time."""
    left_s = (session.expires_us - clock.machine_us()) / 1e6
    return Grant(
        subject=session.actor.username,
        channels=channels_of(session.actor),
        expires_s=clock.machine_ns() / 1e9 + left_s,
    )


def origin_is_ours(connection: HTTPConnection, allowed: list[str]) -> bool:
    """Browsers send Origin with every websocket handshake; another site's page must not ride on our cookie."""
    origin = connection.headers.get("origin")
    if origin is None:
        return False
    if origin in allowed:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc == connection.headers.get("host", "")
