"""Who is asking: a session's token or a machine's key, the CSRF header, a brake on guessing, and what each role may see live.

Sessions stand in `command_center/api/sessions.py`, keys in `command_center/access/keys.py`; both work while the database is
down. What an actor may do is asked of `command_center.authority` alone: `ask`.
"""

from __future__ import annotations

from collections import OrderedDict
from urllib.parse import urlsplit

from fastapi import Request
from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from command_center import incident_roles
from command_center.access import keys as api_keys
from command_center.access.keys import KeyRing
from command_center.access.scope import EVERYWHERE
from command_center.api.limits import WriteLimiter
from command_center.api.problems import Problem
from command_center.api.sessions import Session, Sessions
from command_center.authority import MATRIX, Action, require
from command_center.model import Actor, Role
from devices.clock import Clock
from gis.live import Grant
from gis.sight import Seen, Sight

COOKIE = "cb_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
NO_OWNER = "\x00"  # the scope of somebody who should have a unit or a firm and has none: matches no row


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


def read_credential(app: Starlette, token: str) -> Session | None:
    """The session of a token, or of a machine's key, which has one for as long as it opens. Counts as use."""
    if token.startswith(api_keys.PREFIX):
        ring: KeyRing = app.state.keys
        key = ring.read(token)
        if key is None:
            return None
        return Session(
            sid=key_sid(key.key_id), actor=api_keys.actor_of(key), name=key.name, expires_us=key.expires_machine_us
        )
    sessions: Sessions = app.state.sessions
    return sessions.use(token)


def key_sid(key_id: str) -> str:
    return f"key:{key_id}"


def session_of(connection: HTTPConnection) -> tuple[Session, bool] | None:
    """The session of a request and whether it came by cookie. A bearer token that is wrong is not rescued by a cookie."""
    header = connection.headers.get("authorization", "")
    if header:
        scheme, _, token = header.partition(" ")
        found = read_credential(connection.app, token.strip()) if scheme.lower() == "bearer" else None
        return (found, False) if found else None
    cookie = connection.cookies.get(COOKIE)
    found = connection.app.state.sessions.use(cookie) if cookie else None
    return (found, True) if found else None


def address_of(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""


async def require_session(request: Request) -> Session:
    """The one dependency that every route outside the open list has. 401 without login, 403 without the CSRF header, 429 for
    who writes too fast."""
    if getattr(request.state, "session", None) is not None:
        asked: Session = (
            request.state.session
        )  # the idempotent route asks before the dependency does: one write, one token
        return asked
    found = session_of(request)
    if found is None:
        raise Problem(401, "login-required", "log in first", headers={"WWW-Authenticate": "Bearer"})
    session, by_cookie = found
    if request.method not in SAFE_METHODS:
        sessions: Sessions = request.app.state.sessions
        if by_cookie and not sessions.csrf_matches(session, request.headers.get(CSRF_HEADER, "")):
            raise Problem(403, "csrf", f"header {CSRF_HEADER} is missing or wrong; GET /api/v1/me tells it")
        limiter: WriteLimiter = request.app.state.limiter
        limiter.take(session.actor.username, address_of(request))
    request.state.session = session
    return session


def actor_of(request: Request) -> Actor:
    session: Session = request.state.session
    return session.actor


def ask(request: Request, action: Action) -> Actor:
    """The actor, if the matrix lets one of his roles do this somewhere; where, the method behind the route asks. Raises
    Forbidden."""
    actor = actor_of(request)
    require(actor, action)
    return actor


def could(request: Request, action: Action) -> Actor:
    """As `ask`, for what a role in one incident may allow too: the command centre asks which he holds."""
    actor = actor_of(request)
    incident_roles.could(actor, action)
    return actor


_EVENTS = ("alarm", "incident", "task", "instruction")
_BY_AREA = ("obj/device", "obj/unit", "obj/closure", *_EVENTS)
_HAZARDS = frozenset(("alarm", "incident", "task"))  # what has a hazard of its own
_READS = {
    "obj/device": Action.READ_DEVICES,
    "obj/unit": Action.READ_UNITS,
    "obj/closure": Action.READ_CLOSURES,
    "alarm": Action.READ_ALARMS,
    "incident": Action.READ_INCIDENTS,
    "task": Action.READ_TASKS,
    "instruction": Action.READ_INSTRUCTIONS,
}
_WIDE = frozenset(Role) - {Role.RESPONDER, Role.LIAISON, Role.VENDOR, Role.MET, Role.SECURITY, Role.AUDITOR}


def channels_of(actor: Actor) -> dict[str, Seen]:
    """Live channels by role and scope. The strictest role never narrows a wider one; a crew sees its own tasks wherever it is sent.

    A board's figures and a typhoon have no area: they are for everybody who watches.
    """
    found: dict[str, Seen] = {}
    limits = None if actor.scope == EVERYWHERE else actor.scope
    for channel in _BY_AREA:
        if not actor.roles & MATRIX[_READS[channel]]:
            continue
        if channel == "obj/device" and not actor.roles - {Role.VENDOR, Role.MET}:
            if actor.has(Role.VENDOR):
                found[channel] = actor.vendor or NO_OWNER
        elif channel in ("task", "obj/unit", "instruction") and not actor.roles & _WIDE:
            found[channel] = actor.unit_id or NO_OWNER
        elif limits is None:
            found[channel] = None
        else:
            found[channel] = Sight(areas=limits.areas, hazards=limits.hazards if channel in _HAZARDS else ())
    if actor.roles & MATRIX[Action.READ_INCIDENTS]:
        found |= {"obj/typhoon": None, "kpi/board": None}
    if actor.has(Role.MET):
        found["obj/typhoon"] = None
    if actor.roles & MATRIX[Action.READ_DEVICES]:
        found["sys"] = None
    return found


def grant_of(session: Session, clock: Clock) -> Grant:
    """What the live session is told. Its expiry is moved from wall to monotonic machine time."""
    left_s = (session.expires_us - clock.machine_us()) / 1e6
    return Grant(
        subject=session.actor.username,
        channels=channels_of(session.actor),
        expires_s=clock.machine_ns() / 1e9 + left_s,
    )


def page_origin(request: Request) -> str:
    """The origin of the page that asks, which a security key signs; it must be the host that was asked. Raises Problem 403."""
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Problem(
            403, "foreign-origin", "security keys are for pages of this system: the header Origin is not its own"
        )
    return origin


def origin_is_ours(connection: HTTPConnection, allowed: list[str]) -> bool:
    """Browsers send Origin with every websocket handshake; another site's page must not ride on our cookie."""
    origin = connection.headers.get("origin")
    if origin is None:
        return False
    if origin in allowed:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc == connection.headers.get("host", "")
