"""What `citybrain devices ...` does through the HTTP door of a running installation, as its administrator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml

from runtime.admin import ADMIN, HTTP_TIMEOUT_S, AdminError
from runtime.secrets import read_json, write_private
from runtime.settings import Settings

PART_DEVICES, PART_BYTES = 1_000, 900_000  # of one request: what the door takes


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Logged in as the administrator. Raises AdminError."""
    logins: dict[str, str] = read_json(settings.secrets_dir / "logins.json") or {}
    if ADMIN not in logins:
        raise AdminError(f"no password of {ADMIN!r} in {settings.secrets_dir / 'logins.json'}: use the HTTP door")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=HTTP_TIMEOUT_S) as client:
        login = await send(client, "POST", "/sessions", json={"username": ADMIN, "password": logins[ADMIN]})
        client.headers["Authorization"] = f"Bearer {login['token']}"
        yield client


async def send(client: httpx.AsyncClient, method: str, path: str, **options: Any) -> Any:
    try:
        answer = await client.request(method, f"/api/v1{path}", **options)
    except httpx.TransportError as error:
        raise AdminError(f"nobody answers at {client.base_url}: is the system running? ({error})") from error
    if answer.status_code >= 400:
        raise AdminError(f"{method} {path}: {answer.text}")
    return answer.json() if answer.content else None


async def credentials(settings: Settings, device_id: str, *, rotate: bool, revoke: bool, reason: str) -> dict[str, Any]:
    """The state of a device's credentials, a new password (`rotate`), or none any more (`revoke`). Raises AdminError."""
    path = f"/devices/{device_id}/credentials"
    async with admin_client(settings) as client:
        if rotate:
            found = await send(client, "POST", path, json={"reason": reason})
        elif revoke:
            found = await send(client, "DELETE", path, params={"reason": reason or "revoked on the command line"})
        else:
            found = await send(client, "GET", path)
    return dict(found)


async def certificate(settings: Settings, device_id: str, *, days: int, folder: Path) -> dict[str, Any]:
    """A client certificate: `ID.pem`, `ID.key` (0600) and `ca.pem` in `folder`. Raises AdminError."""
    async with admin_client(settings) as client:
        made = await send(client, "POST", f"/devices/{device_id}/certificate", json={"days": days})
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / f"{device_id}.key", made["key_pem"])
    (folder / f"{device_id}.pem").write_text(made["certificate_pem"])
    (folder / "ca.pem").write_text(made["ca_pem"])
    files = [str(folder / name) for name in (f"{device_id}.pem", f"{device_id}.key", "ca.pem")]
    return {"certificate": made["certificate"], "port": made["port"], "files": files}


async def import_devices(settings: Settings, document: Path, *, reason: str) -> dict[str, str]:
    """New devices of a YAML or JSON document, in parts of a thousand; their passwords by id. Raises AdminError.

    Each part is all or none: a part that is refused names what is wrong, and the parts before it stay registered.
    """
    try:
        loaded = yaml.safe_load(document.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise AdminError(f"{document}: {error}") from error
    devices = loaded.get("devices") if isinstance(loaded, dict) else loaded
    if not isinstance(devices, list) or not devices:
        raise AdminError(f"{document}: expected a list of devices, or `devices:` with one")
    issued: dict[str, str] = {}
    async with admin_client(settings) as client:
        for part in _parts(devices):
            try:
                body = {"devices": part, "reason": reason}
                issued |= (await send(client, "POST", "/devices/import", json=body))["credentials"]
            except AdminError as error:
                kept = (
                    f"; {len(issued)} before it are registered: {', '.join(sorted(issued)[:3])} ..." if issued else ""
                )
                raise AdminError(f"{error}{kept}") from error
    return issued


def _parts(devices: list[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    size = 0
    for device in devices:
        length = len(msgspec.json.encode(device))
        if part and (len(part) == PART_DEVICES or size + length > PART_BYTES):
            yield part
            part, size = [], 0
        part.append(device)
        size += length
    if part:
        yield part
