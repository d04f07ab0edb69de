"""What the command line does with a running installation: look into its database, or act through its HTTP door."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from command_center.errors import CommandError
from command_center.model import Role, User
from command_center.users import UserService
from devices.clock import Clock
from devices.models import load_models
from rules.documents import DocumentWrong, activation, read
from runtime.clock import RealClock, open_clock
from runtime.secrets import ROTATIONS, password, read_json
from runtime.settings import Settings
from storage.command import PostgresStore
from storage.database import Database
from storage.errors import StorageError
from storage.history import HistoryStore
from storage.migrate import migrate
from storage.registry import RegistryStore
from stream.owner import AppendClient
from stream.records import ControlBody, control

HTTP_TIMEOUT_S = 30.0
APPEND_TIMEOUT_S = 10.0
ADMIN = "admin"


class AdminError(Exception):
    """What was asked for could not be done; the text says why."""


def _clock(settings: Settings) -> Clock:
    return open_clock(settings.run_dir) if (settings.run_dir / "clock.json").exists() else RealClock()


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    try:
        async with Database(settings.database, settings.tenant) as database:
            yield database
    except StorageError as error:
        raise AdminError(str(error)) from error


# For the other commands of this room.
city_clock, open_database = _clock, _database


async def migrate_now(settings: Settings) -> list[str]:
    """Bring the schema forward; a line per migration that was applied."""
    async with _database(settings) as database:
        done = await migrate(database, at_us=_clock(settings).city_us())
    return [f"{m.number:04d} {m.name}" for m in done] or ["the schema is up to date"]


async def list_devices(settings: Settings) -> list[dict[str, Any]]:
    async with _database(settings) as database:
        register = await RegistryStore(database, _clock(settings), load_models()).load()
        history = HistoryStore(database)
        latest: dict[str, dict[str, Any]] = {}
        for value in await history.latest():
            latest.setdefault(value.device_id, {})[value.property] = value.text or value.result
        online = {row["device_id"]: row["online"] for row in await history.device_states()}
    return [
        {
            "device_id": d.device_id,
            "kind": d.kind,
            "name": d.name,
            "status": _status(online.get(d.device_id)),
            "latest": latest.get(d.device_id, {}),
        }
        for d in sorted(register.devices, key=lambda d: d.device_id)
    ]


def _status(online: bool | None) -> str:
    return "unknown" if online is None else "online" if online else "offline"


async def check_device(settings: Settings, device_id: str) -> dict[str, Any] | None:
    """What became of a device's messages; None for a device that is not registered."""
    async with _database(settings) as database:
        device = await RegistryStore(database, _clock(settings), load_models()).device(device_id)
        report = await HistoryStore(database).check(device_id)
    seen = report["dead_lettered"] or report["refused"]
    return report if device is not None or seen else None


def print_check(console: Console, report: dict[str, Any]) -> None:
    """The report for people: numbers first, then what was refused and why."""
    counts = (
        "received",
        "flagged",
        "clock_fault",
        "backfilled",
        "conflicts",
        "dead_lettered",
        "refused",
        "clock_offset_s",
    )
    table = Table(title=str(report["device_id"]), show_header=False)
    for name in counts:
        table.add_row(name, str(report[name]))
    console.print(table)
    for title, rows, columns in (
        ("收到 last messages", report["last_messages"], ("receive_us", "property", "result", "quality", "flags")),
        ("死信 dead letters", report["dead_letters"], ("receive_us", "reason", "text")),
        ("被代理拒绝 refused by the broker", report["refusals"], ("receive_us", "reason", "count", "detail")),
        ("未登记的属性 notes", report["notes"], ("receive_us", "reason", "values")),
    ):
        if not rows:
            continue
        listing = Table(*columns, title=title)
        for row in rows:
            facts = {**row.get("data", {}), **row}
            listing.add_row(*(_cell(name, facts.get(name)) for name in columns))
        console.print(listing)


def _cell(name: str, value: Any) -> str:
    if name.endswith("_us") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1e6, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return "" if value is None else str(value)[:120]


async def add_devices(settings: Settings, document: Path) -> list[dict[str, Any]]:
    """Register the devices of a YAML or JSON document through the HTTP door; the answers hold the credentials."""
    loaded = yaml.safe_load(document.read_text(encoding="utf-8"))
    devices = loaded if isinstance(loaded, list) else loaded.get("devices", [loaded])
    logins: dict[str, str] = read_json(settings.secrets_dir / "logins.json") or {}
    if ADMIN not in logins:
        raise AdminError(
            f"no password of {ADMIN!r} in {settings.secrets_dir / 'logins.json'}: use POST /api/v1/devices"
        )
    answers = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=HTTP_TIMEOUT_S) as client:
        login = await client.post("/api/v1/sessions", json={"username": ADMIN, "password": logins[ADMIN]})
        if login.status_code >= 400:
            raise AdminError(f"login as {ADMIN!r} was refused: {login.text}")
        headers = {"Authorization": f"Bearer {login.json()['token']}"}
        for device in devices:
            answer = await client.post("/api/v1/devices", json=device, headers=headers)
            if answer.status_code >= 400:
                raise AdminError(f"{device.get('device_id')}: {answer.text}")
            answers.append(answer.json())
    return answers


async def activate_rules(
    settings: Settings, files: list[Path], *, author: str, approver: str, source: str
) -> list[str]:
    """Append the activation to the running log; a line per document. Raises AdminError; two persons are needed."""
    if not author or not approver or author == approver:
        raise AdminError("author and approver must be two persons")
    if not source.strip():
        raise AdminError("source: name the document that the thresholds come from")
    try:
        documents = [read(file) for file in files]
    except DocumentWrong as error:
        raise AdminError(str(error)) from error
    data = activation(documents, author=author, approver=approver, source=source)
    body = ControlBody(id=f"rules-{secrets.token_hex(8)}", type="rules", actor=author, data=data)
    try:
        async with AppendClient(settings.append_socket) as client:
            (appended,) = await client.append([control(body)], timeout_s=APPEND_TIMEOUT_S)
    except TimeoutError as error:
        raise AdminError("the log's owner does not answer: is the system running?") from error
    return [f"{document.id} {document.version} @ {appended.position}" for document in documents]


async def add_user(settings: Settings, username: str, name: str, roles: list[str]) -> str:
    """Create a user; returns the generated password."""
    word = password()
    try:
        wanted = [Role(role) for role in roles]
    except ValueError as error:
        raise AdminError(f"{error}; expected {', '.join(role.value for role in Role)}") from error
    async with _database(settings) as database:
        service = UserService(PostgresStore(database), _clock(settings))
        try:
            await service.create(User(username=username, name=name, roles=wanted), word)
        except CommandError as error:
            raise AdminError(str(error)) from error
    return word


async def list_users(settings: Settings) -> list[dict[str, Any]]:
    """Everybody, without secrets."""
    async with _database(settings) as database:
        found = await UserService(PostgresStore(database), _clock(settings)).list()
    return [
        {"username": u.username, "name": u.name, "roles": [r.value for r in u.roles], "enabled": u.enabled}
        for u in found
    ]


async def enable_user(settings: Settings, username: str, *, enabled: bool) -> None:
    """A running system ends the sessions of a disabled user within a second."""
    async with _database(settings) as database:
        try:
            await UserService(PostgresStore(database), _clock(settings)).set_enabled(username, enabled=enabled)
        except CommandError as error:
            raise AdminError(str(error)) from error


def rotate_secret(settings: Settings, name: str) -> str:
    """A new signing key, personal key or metrics token; what that means, for people. Raises AdminError."""
    try:
        return ROTATIONS[name](settings.secrets_dir)
    except KeyError:
        raise AdminError(f"secret {name!r}: expected one of {', '.join(sorted(ROTATIONS))}") from None


async def reset_password(settings: Settings, username: str) -> str:
    """A new generated password for a user."""
    word = password()
    async with _database(settings) as database:
        try:
            await UserService(PostgresStore(database), _clock(settings)).set_password(username, word)
        except CommandError as error:
            raise AdminError(str(error)) from error
    return word
