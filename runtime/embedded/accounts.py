"""Mosquitto's password and ACL file, as the broker of last resort reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from devices.credentials import verify_password


@dataclass
class Accounts:
    """Mosquitto's password and ACL file, read again when they change."""

    password_file: Path
    acl_file: Path
    _read_at: tuple[int, int] = (0, 0)
    _hashes: dict[str, str] = field(default_factory=dict)
    _topics: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _patterns: list[tuple[str, str]] = field(default_factory=list)

    def refresh(self) -> None:
        stamps = (self.password_file.stat().st_mtime_ns, self.acl_file.stat().st_mtime_ns)
        if stamps == self._read_at:
            return
        self._read_at = stamps
        self._hashes = dict(line.split(":", 1) for line in self.password_file.read_text().split())
        self._topics, self._patterns, user = {}, [], ""
        for line in self.acl_file.read_text().splitlines():
            word, _, rest = line.strip().partition(" ")
            if word == "user":
                user = rest
            elif word == "topic":
                access, _, topic = rest.partition(" ")
                self._topics.setdefault(user, []).append((access, topic))
            elif word == "pattern":
                access, _, topic = rest.partition(" ")
                self._patterns.append((access, topic))

    def knows(self, username: str, password: str) -> bool:
        self.refresh()
        return username in self._hashes and verify_password(password, self._hashes[username])

    def allows(self, username: str, topic: str, access: str) -> bool:
        """Whether `username` may `read` or `write` a topic or a filter; a filter must lie within what is granted."""
        self.refresh()
        granted = [*self._topics.get(username, []), *((kind, t.replace("%u", username)) for kind, t in self._patterns)]
        return any(kind in (access, "readwrite") and within(topic, grant) for kind, grant in granted)


def within(topic: str, grant: str) -> bool:
    """Whether every topic that `topic` (perhaps a filter) means is also meant by the filter `grant`.

    >>> within("a/b/c", "a/+/c"), within("a/#", "a/+/c"), within("a/+/c/d", "a/+/#")
    (True, False, True)
    """
    asked, allowed = topic.split("/"), grant.split("/")
    for index, part in enumerate(allowed):
        if part == "#":
            return True
        if index >= len(asked) or asked[index] == "#":
            return False
        if part not in ("+", asked[index]):
            return False
    return len(asked) == len(allowed)
