"""Secrets: generated at first start, kept in `secrets/` (0700), never in the repository, never a default.

`secrets.json` holds what processes of ours need (signing key, passwords of the broker's service accounts); `devices.json` and
`logins.json` exist only in tenants that are not real, where the simulators and the person in front of the demo need them.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from command_center.access.personal import Sealer
from devices.credentials import SERVICE_TOPICS

# No look-alikes: people type the demo's passwords from a terminal.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class ServiceSecrets(msgspec.Struct, frozen=True, kw_only=True):
    signing_key: str
    broker: dict[str, str]  # password of each of our services at the broker
    canary: str  # password of the device `canary-1`
    metrics_token: str
    broker_hook: str  # what another broker shows when it asks about devices
    personal_keys: dict[str, str]  # base64 of 32 bytes each by key id: what personal data is sealed with
    personal_current: str  # the key that seals; the others still open
    journal_key: str  # base64 of 32 bytes: the Ed25519 key that signs the journal's head
    outbox_key: str  # signs what the outbox posts to webhooks (HMAC-SHA256)


def password(length: int = 12) -> str:
    """A password of about 59 bits at the default length."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def write_private(path: Path, text: str) -> None:
    """Replace the file's content; readable by the owner only, never half written."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, data: Any) -> None:
    write_private(path, json.dumps(data, ensure_ascii=False, indent=1))


def read_json(path: Path) -> Any:
    """The file's content, or None where there is none."""
    return json.loads(path.read_text()) if path.exists() else None


def service_secrets(directory: Path) -> ServiceSecrets:
    """Ours, generated at the first call; what an earlier release did not have yet is added."""
    path = directory / "secrets.json"
    data = read_json(path) or {}
    missing = {name: made for name, made in _fresh().items() if name not in data}
    if missing:
        write_json(path, data | missing)
    return msgspec.convert(data | missing, ServiceSecrets)


def sealer_of(secrets: ServiceSecrets) -> Sealer:
    """What seals personal data at rest."""
    keys = {name: base64.b64decode(key) for name, key in secrets.personal_keys.items()}
    return Sealer(keys, secrets.personal_current)


def _fresh() -> dict[str, Any]:
    return {
        "signing_key": secrets.token_urlsafe(48),
        "broker": {name: secrets.token_urlsafe(24) for name in SERVICE_TOPICS},
        "canary": secrets.token_urlsafe(24),
        "metrics_token": secrets.token_urlsafe(24),
        "broker_hook": secrets.token_urlsafe(24),
        "personal_keys": {"k1": base64.b64encode(secrets.token_bytes(32)).decode()},
        "personal_current": "k1",
        "journal_key": base64.b64encode(secrets.token_bytes(32)).decode(),
        "outbox_key": secrets.token_urlsafe(32),
    }


def _rotate_signing_key(directory: Path) -> str:
    _replace(directory, signing_key=secrets.token_urlsafe(48))
    return "签名密钥已更换，重启后所有人需重新登录 / new signing key: after a restart everybody logs in again"


def _rotate_metrics_token(directory: Path) -> str:
    _replace(directory, metrics_token=secrets.token_urlsafe(24))
    return "监控令牌已更换，重启后生效 / new metrics token: in effect after a restart"


def _rotate_personal_key(directory: Path) -> str:
    """The old keys stay: what they sealed opens until it is written again."""
    known = service_secrets(directory)
    number = 1 + max(int(name.removeprefix("k")) for name in known.personal_keys)
    keys = known.personal_keys | {f"k{number}": base64.b64encode(secrets.token_bytes(32)).decode()}
    _replace(directory, personal_keys=keys, personal_current=f"k{number}")
    return f"新密钥 k{number} 用于加密，旧密钥仍可解密，重启后生效 / k{number} seals from the next start on, older keys still open"


def _replace(directory: Path, **changes: Any) -> None:
    service_secrets(directory)  # what is missing is generated first
    path = directory / "secrets.json"
    write_json(path, read_json(path) | changes)


ROTATIONS: Mapping[str, Callable[[Path], str]] = {
    "signing-key": _rotate_signing_key,
    "personal-key": _rotate_personal_key,
    "metrics-token": _rotate_metrics_token,
}
