"""Broker credentials of devices and of our own processes: password hashes, Mosquitto's password file and its ACL file.

One register drives both files (contract.md section 3): a line per identity in the password file, and a fixed handful
of *pattern* lines in the ACL, so that 100,000 devices need no ACL line of their own. The username of a device is its
device id; usernames of our own processes contain a dot, which a device id cannot, so no device can claim one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping

from devices.dialects import answer_rules, device_rules

DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # fullmatch
TENANT = re.compile(r"[a-z][a-z0-9_]{0,47}")  # also a database schema name, hence no dash and no capital
SALT_BYTES = 12  # what mosquitto_passwd 2.0 draws
ITERATIONS = 101  # the default of mosquitto_passwd 2.0; device passwords are random 128 bit, not chosen by people

# What each of our own processes may do on the broker, by service; {tenant} is literal in the file.
SERVICE_TOPICS: dict[str, tuple[str, ...]] = {
    "ingest": ("read cb/v1/{tenant}/+/up/#", "write cb/v1/{tenant}/+/down/#", "read $SYS/#"),
    "command": ("write cb/v1/{tenant}/+/down/cmd", "read $SYS/#"),
    "monitor": ("read $SYS/#",),
}


class WrongIdentity(ValueError):
    """A username or tenant that would break the broker's files or the topic tree."""

    def __init__(self, what: str, value: str, expected: str) -> None:
        super().__init__(f"{what} {value!r} is not allowed: expected {expected}")
        self.what = what
        self.value = value


def may_use_topic(tenant: str, username: str, topic: str, *, write: bool) -> bool:
    """What the ACL file says, for a broker that asks: may `username` publish to a topic, or subscribe to a filter?"""
    if write and ("+" in topic or "#" in topic):
        return False
    wanted = "write" if write else "read"
    if username.startswith("service."):
        rules = [rule.format(tenant=tenant).split(" ", 1) for rule in SERVICE_TOPICS.get(username[8:], ())]
        return any(kind == wanted and covers(pattern, topic) for kind, pattern in rules)
    own = f"cb/v1/{tenant}/{username}/{'up' if write else 'down'}/#"
    return bool(DEVICE_ID.fullmatch(username)) and covers(own, topic)


def covers(pattern: str, topic: str) -> bool:
    """Whether every topic that `topic` (a topic or a filter) stands for matches `pattern` (MQTT 5, 4.7).

    >>> covers("cb/v1/t/g1/down/#", "cb/v1/t/g1/down/+"), covers("cb/v1/t/+/down/cmd", "cb/v1/t/#")
    (True, False)
    """
    wanted, given = pattern.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position == len(given):
            return wanted[position:] == ["#"]  # `a/#` is about `a` too
        if given[position] == "#" or level not in ("+", given[position]):
            return False
    return len(given) == len(wanted)


def service_username(service: str) -> str:
    """The broker username of one of our own processes. Raises WrongIdentity for a service that has no topics."""
    if service not in SERVICE_TOPICS:
        raise WrongIdentity("service", service, "one of " + ", ".join(sorted(SERVICE_TOPICS)))
    return f"service.{service}"


def hash_password(password: str, *, salt: bytes, iterations: int = ITERATIONS) -> str:
    """A line's second half in Mosquitto's password file: `$7$iterations$salt$hash`, PBKDF2 with SHA-512, 64 bytes.

    Source: eclipse/mosquitto 2.0 `apps/mosquitto_passwd`, `lib/password_mosq` (hash type 7); checked against the real
    tool by a test. The caller draws `salt` (SALT_BYTES random bytes), since nothing below runtime draws randomness.
    """
    if not password:
        raise WrongIdentity("password", "", "at least one character")
    if len(salt) < SALT_BYTES:
        raise ValueError(f"salt has {len(salt)} bytes, expected at least {SALT_BYTES}")
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, dklen=64)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def verify_password(password: str, hashed: str) -> bool:
    """Whether `password` belongs to a `$7$` hash; a hash of another form is never a match."""
    parts = hashed.split("$")
    if len(parts) != 5 or parts[0] or parts[1] != "7" or not parts[2].isdigit():
        return False
    salt = base64.b64decode(parts[3])
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, int(parts[2]), dklen=64)
    return hmac.compare_digest(base64.b64encode(digest).decode(), parts[4])


def password_text(entries: Iterable[tuple[str, str]]) -> str:
    """Mosquitto's password file from (username, hash) pairs, sorted by username.

    Raises WrongIdentity for a username that is neither a device id nor one of our services, or that occurs twice.
    """
    services = {service_username(service) for service in SERVICE_TOPICS}
    lines: dict[str, str] = {}
    for username, hashed in entries:
        if username not in services and not DEVICE_ID.fullmatch(username):
            raise WrongIdentity("username", username, f"{DEVICE_ID.pattern} or service.NAME")
        if username in lines:
            raise WrongIdentity("username", username, "each username once")
        if not hashed.startswith("$7$") or any(char.isspace() for char in hashed):
            raise WrongIdentity("password hash of", username, "the form $7$iterations$salt$hash")
        lines[username] = f"{username}:{hashed}\n"
    return "".join(lines[username] for username in sorted(lines))


def account_lines(accounts: Mapping[str, str]) -> Iterator[str]:
    """The password file of accounts that are known to be well formed (our register's own), in no order: Mosquitto wants none,
    and sorting and checking 100,000 names costs more than writing them."""
    return (f"{username}:{hashed}\n" for username, hashed in accounts.items())


def acl_text(tenant: str, services: Iterable[str], denied: Iterable[str] = (), *, dialects: bool = False) -> str:
    """Mosquitto's ACL file: our services by name, and one pattern pair under which every device owns its own subtree.

    `denied`: devices that may do nothing although a connection of theirs may last (by certificate: the broker asks for it at
    the handshake only). Measured on 2.0.11: `topic deny #` of a user goes before the patterns and takes effect on SIGHUP.

    A device writes below `.../{its username}/up/` and reads below `.../{its username}/down/`, nothing else; the tenant
    is literal, so a device of another tenant that knows this broker is refused too. `services` are keys of
    SERVICE_TOPICS. `dialects`: the broker rewrites topics of other platforms (`devices.dialects`), so these are open too; where a
    topic names the device it must be the username, and where it does not the rewriting takes the username.
    """
    if not TENANT.fullmatch(tenant):
        raise WrongIdentity("tenant", tenant, TENANT.pattern)
    blocks = []
    for service in services:
        username = service_username(service)
        topics = [f"topic {rule.format(tenant=tenant)}" for rule in SERVICE_TOPICS[service]]
        if dialects and service == "ingest":
            topics += [f"topic {rule}" for rule in answer_rules()]
        blocks.append("\n".join([f"user {username}", *topics]))
    blocks += [f"user {device_id}\ntopic deny #" for device_id in sorted(denied)]
    blocks.append(f"pattern write cb/v1/{tenant}/%u/up/#\npattern read cb/v1/{tenant}/%u/down/#")
    blocks += ["\n".join(device_rules())] if dialects else []
    return "\n\n".join(blocks) + "\n"
