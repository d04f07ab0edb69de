"""Sessions: a signed token names one, and a book in memory says whether it still stands and what it may.

The book is mirrored to a file beside the data, not to the database: people stay logged in, are logged out and change roles
while the database is down, and a restart (or `kill -9`) forgets nobody. It is a list of who may, not of who may not: when the
file is lost, everybody logs in again. Times are machine wall time: a scaled city clock must not end a session early.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog
from itsdangerous import BadSignature, URLSafeSerializer

from command_center.access.policy import AccessPolicy
from command_center.access.scope import EVERYWHERE, Scope
from command_center.api import metrics
from command_center.model import Actor, Role, User
from devices.clock import Clock

log = structlog.get_logger(__name__)

MAX_OF_USER = 50  # the oldest ends: a script that logs in anew for each request must not fill the book
SAVE_SEEN_S = 60.0  # use is written down this often; ends and beginnings at once
CLIENT_CHARS = 120


class Entry(msgspec.Struct, kw_only=True):
    """One session as it is kept. `since_us` moves when its own holder changes the password: that ends the others."""

    sid: str
    username: str
    name: str
    roles: list[Role]
    unit_id: str
    vendor: str
    scope: Scope = EVERYWHERE
    second_factor: bool = False
    issued_us: int
    since_us: int
    seen_us: int
    expires_us: int
    address: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who a token stands for, and until when (machine wall microseconds)."""

    sid: str
    actor: Actor
    name: str
    expires_us: int
    second_factor: bool = False

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
        if self.actor.scope != EVERYWHERE:
            found["scope"] = msgspec.to_builtins(self.actor.scope)
        if self.actor.lacks_second_factor:
            found["second_factor_missing"] = True
        return found


class Sessions:
    """Issues, reads, lists and ends sessions. `file` None: nothing is kept over a restart (tests)."""

    def __init__(
        self, key: bytes, clock: Clock, *, tenant: str, policy: AccessPolicy = AccessPolicy(), file: Path | None = None
    ) -> None:
        if len(key) < 32:
            raise ValueError(f"signing key of {len(key)} bytes, at least 32 expected")
        self._key, self._clock, self._policy = key, clock, policy
        self._serializer = URLSafeSerializer(
            key, salt=f"citybrain-session:{tenant}", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._file = file
        self._on_revoke: list[Callable[[str], None]] = []
        self._saved_us = 0
        self.logins: dict[str, int] = {}  # newest login by user, until somebody writes them down (`take_logins`)
        self._entries: dict[str, Entry] = self._load()

    # -- beginnings ------------------------------------------------------------------------------------------------

    def issue(
        self, user: User, *, second_factor: bool = False, address: str = "", client: str = ""
    ) -> tuple[str, Session]:
        now_us = self._clock.machine_us()
        entry = Entry(
            sid=secrets.token_urlsafe(16),
            username=user.username,
            name=user.name,
            roles=sorted(user.roles),
            unit_id=user.unit_id,
            vendor=user.vendor,
            scope=user.scope,
            second_factor=second_factor,
            issued_us=now_us,
            since_us=now_us,
            seen_us=now_us,
            expires_us=now_us + round(self._policy.sessions.lifetime_h * 3600e6),
            address=address,
            client=client[:CLIENT_CHARS],
        )
        for oldest in self._of(user.username)[: -(MAX_OF_USER - 1)]:
            self._end(oldest.sid, "too many")
        self._forget_expired()
        self._entries[entry.sid] = entry
        self.logins[user.username] = now_us
        self._save()
        token = self._serializer.dumps({"s": entry.sid, "u": user.username})
        return (token.decode() if isinstance(token, bytes) else token), self._session(entry)

    # -- asking ----------------------------------------------------------------------------------------------------

    def read(self, token: str) -> Session | None:
        """The session, or None for a token that is forged, of another tenant, ended, expired or idle for too long."""
        try:
            payload = self._serializer.loads(token)
        except BadSignature:
            return None
        entry = self._entries.get(str(payload.get("s"))) if isinstance(payload, dict) else None
        if entry is None or entry.username != payload.get("u"):
            return None
        if not self._stands(entry):
            self._end(entry.sid, "expired")
            self._save()
            return None
        return self._session(entry)

    def use(self, token: str) -> Session | None:
        """As `read`, and it counts as use."""
        session = self.read(token)
        if session is not None:
            self.touch(session.sid)
        return session

    def touch(self, sid: str) -> None:
        entry = self._entries.get(sid)
        if entry is None:
            return
        now_us = self._clock.machine_us()
        entry.seen_us = now_us
        if now_us - self._saved_us > SAVE_SEEN_S * 1e6:
            self._save()

    @property
    def lifetime_s(self) -> float:
        return self._policy.sessions.lifetime_h * 3600

    def live_is_use(self, session: Session) -> bool:
        return self._policy.sessions.live_is_use(session.actor.roles)

    def stands(self, sid: str) -> bool:
        entry = self._entries.get(sid)
        return entry is not None and self._stands(entry)

    def of_user(self, username: str) -> list[Entry]:
        """What stands, newest first."""
        return [e for e in reversed(self._of(username)) if self._stands(e)]

    def owner_of(self, sid: str) -> str | None:
        entry = self._entries.get(sid)
        return None if entry is None else entry.username

    def csrf(self, session: Session) -> str:
        return hmac.new(self._key, f"csrf:{session.sid}".encode(), hashlib.sha256).hexdigest()

    def csrf_matches(self, session: Session, given: str) -> bool:
        return hmac.compare_digest(self.csrf(session).encode(), given.encode("utf-8", "replace"))

    # -- ends and changes ------------------------------------------------------------------------------------------

    def revoke(self, session: Session) -> None:
        """End a session everywhere, its live connections included."""
        self.end(session.sid)

    def end(self, sid: str) -> bool:
        """False when there is no such session."""
        if not self._end(sid, "ended"):
            return False
        self._save()
        return True

    def end_all(self, username: str, *, but: str = "") -> int:
        """End a user's sessions, except the one named; returns how many."""
        ended = [e.sid for e in self._of(username) if e.sid != but]
        for sid in ended:
            self._end(sid, "ended")
        if ended:
            self._save()
        return len(ended)

    def user_changed(self, user: User, *, password_us: int = 0, keep: str = "") -> None:
        """Take over what the register says of a user now. Called after the change, and again by whoever watches the register:
        a second time changes nothing. Sessions of a disabled user, and those older than the password, end; `keep` names the one
        that changed it. Changed roles or scope count from the next request on; live connections start again."""
        dirty = False
        for entry in self._of(user.username):
            if entry.sid == keep:
                entry.since_us = max(entry.since_us, password_us)
                dirty = True
            if not user.enabled or entry.since_us < password_us:
                dirty = self._end(entry.sid, "disabled" if not user.enabled else "password") or dirty
                continue
            now = (sorted(user.roles), user.unit_id, user.vendor, user.scope)
            if (entry.roles, entry.unit_id, entry.vendor, entry.scope) != now:
                entry.roles, entry.unit_id, entry.vendor, entry.scope = now
                dirty = True
                self._tell(entry.sid)
            if entry.name != user.name:
                entry.name, dirty = user.name, True
        if dirty:
            self._save()

    def on_revoke(self, notify: Callable[[str], None]) -> None:
        """`notify(sid)` when a session ends or may something else: its live connections must begin anew."""
        self._on_revoke.append(notify)

    def given_second_factor(self, sid: str) -> None:
        """The session's holder has just shown a code: it need not begin anew."""
        entry = self._entries.get(sid)
        if entry is not None:
            entry.second_factor = True
            self._save()

    def take_logins(self) -> dict[str, int]:
        """Newest logins since the last call, by user (machine us)."""
        found, self.logins = self.logins, {}
        return found

    # -- inside ----------------------------------------------------------------------------------------------------

    def _session(self, entry: Entry) -> Session:
        actor = Actor(
            username=entry.username,
            roles=frozenset(entry.roles),
            unit_id=entry.unit_id,
            vendor=entry.vendor,
            scope=entry.scope,
            lacks_second_factor=self._policy.wants_second_factor(entry.roles) and not entry.second_factor,
        )
        return Session(
            sid=entry.sid,
            actor=actor,
            name=entry.name,
            expires_us=entry.expires_us,
            second_factor=entry.second_factor,
        )

    def _stands(self, entry: Entry) -> bool:
        now_us = self._clock.machine_us()
        return now_us < min(entry.expires_us, entry.seen_us + round(self._policy.sessions.idle_s(entry.roles) * 1e6))

    def _of(self, username: str) -> list[Entry]:
        """Oldest first."""
        return [e for e in self._entries.values() if e.username == username]

    def _end(self, sid: str, why: str) -> bool:
        if self._entries.pop(sid, None) is None:
            return False
        metrics.SESSIONS_ENDED.labels(why=why).inc()
        self._tell(sid)
        return True

    def _tell(self, sid: str) -> None:
        for notify in self._on_revoke:
            notify(sid)

    def _forget_expired(self) -> None:
        for sid in [e.sid for e in self._entries.values() if not self._stands(e)]:
            self._end(sid, "expired")

    def _save(self) -> None:
        self._saved_us = self._clock.machine_us()
        if self._file is None:
            return
        temporary = self._file.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        temporary.write_bytes(msgspec.json.encode(list(self._entries.values())))
        temporary.replace(self._file)

    def _load(self) -> dict[str, Entry]:
        if self._file is None or not self._file.exists():
            return {}
        try:
            kept: Iterable[Entry] = msgspec.json.decode(self._file.read_bytes(), type=list[Entry])
        except msgspec.DecodeError as error:
            log.warning("sessions_unreadable", file=self._file.name, error=str(error))
            return {}
        now_us = self._clock.machine_us()
        found = {}
        for entry in kept:
            entry.seen_us = now_us  # we were away, not they
            if entry.expires_us > now_us:
                found[entry.sid] = entry
        return found
