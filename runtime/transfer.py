"""`citybrain import` and `citybrain export`: files through the HTTP door of a running installation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from runtime.admin import ADMIN, AdminError
from runtime.secrets import read_json
from runtime.settings import Settings

TIMEOUT_S = 300.0  # a workbook of 200,000 rows is parsed and compared in this time on two cores
CHUNK = 256 * 1024
SHOWN_PROBLEMS = 40


class Wrong(AdminError):
    """The file has wrong rows; nothing was written. `dry_run` is the answer of the door."""

    def __init__(self, dry_run: dict[str, Any]) -> None:
        super().__init__(f"{dry_run['counts']['wrong']} 行有误，未写入任何内容 / rows are wrong, nothing was written")
        self.dry_run = dry_run


@asynccontextmanager
async def _door(settings: Settings, username: str = ADMIN) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is logged in. Raises AdminError when nobody answers or the login is refused."""
    logins: dict[str, str] = read_json(settings.secrets_dir / "logins.json") or {}
    if username not in logins:
        raise AdminError(f"no password of {username!r} in {settings.secrets_dir / 'logins.json'}: use the web page")
    base = f"http://127.0.0.1:{settings.port}"
    async with httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S, trust_env=False) as client:
        try:
            login = await client.post("/api/v1/sessions", json={"username": username, "password": logins[username]})
            if login.status_code >= 400:
                raise AdminError(f"login as {username!r} was refused: {_detail(login)}")
            client.headers["Authorization"] = f"Bearer {login.json()['token']}"
            yield client
        except httpx.TransportError as error:
            raise AdminError(
                f"{base} does not answer: is the system running? ({error or type(error).__name__})"
            ) from error


async def import_file(
    settings: Settings,
    kind: str,
    file: Path,
    *,
    crs: str = "",
    sheet: str = "",
    reason: str = "",
    skip_wrong: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """`{dry_run: DryRun, committed: {...} or null}`. Raises Wrong where rows are wrong, AdminError for everything else."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AdminError(f"{file}: {error.strerror}") from error
    query = {"kind": kind, "filename": file.name, "crs": crs, "sheet": sheet}
    async with _door(settings) as client:
        sent = await client.post(
            "/api/v1/imports",
            params={k: v for k, v in query.items() if v},
            content=_sending(content, progress),
            headers={"Content-Length": str(len(content)), "Content-Type": "application/octet-stream"},
        )
        found = _answer(sent)
        if dry_run:
            return {"dry_run": found, "committed": None}
        if found["counts"]["wrong"] and not skip_wrong:
            raise Wrong(found)
        done = await client.post(
            f"/api/v1/imports/{found['import_id']}/commit",
            json={"reason": reason or f"citybrain import {file.name}", "skip_wrong": skip_wrong},
        )
        return {"dry_run": found, "committed": _answer(done)}


async def _sending(content: bytes, progress: Callable[[int, int], None]) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]
        progress(min(len(content), start + CHUNK), len(content))


async def export_file(
    settings: Settings,
    kind: str,
    fmt: str,
    out: Path,
    *,
    clear: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Write the export beside its place and move it there whole. `{file, bytes, export_id}`. Raises AdminError."""
    async with _door(settings) as client:
        params = {"format": fmt, "clear": "true" if clear else "false"}
        async with client.stream("GET", f"/api/v1/registers/{kind}/export", params=params) as answer:
            if answer.status_code >= 400:
                await answer.aread()
                raise AdminError(_detail(answer))
            total = int(answer.headers.get("content-length", 0))
            parts, size = [], 0
            async for part in answer.aiter_bytes():
                parts.append(part)
                size += len(part)
                progress(size, total)
            export_id = answer.headers.get("x-export-id", "")
    partial = out.with_name(out.name + ".part")
    try:
        partial.write_bytes(b"".join(parts))
        partial.replace(out)
    except OSError as error:
        raise AdminError(f"{out}: {error.strerror}") from error
    return {"file": str(out), "bytes": size, "export_id": export_id}


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.status_code >= 400:
        raise AdminError(_detail(response))
    found: dict[str, Any] = response.json()
    return found


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json().get("detail") or response.text)
    except ValueError:
        return f"{response.status_code} {response.text[:200]}"


def print_dry_run(console: Console, found: dict[str, Any]) -> None:
    """For people: counts, the coordinate system where something is odd about it, and the first wrong cells."""
    counts = found["counts"]
    console.print(
        f"{found['filename']}: {counts['rows']} 行 rows, 新增 new {counts['new']}, 变更 changed {counts['changed']}, "
        f"相同 same {counts['same']}, 有误 wrong {counts['wrong']}",
        highlight=False,
    )
    if found["crs"]["warning_zh"]:
        console.print(
            f"[yellow]{found['crs']['warning_zh']}[/]\n[yellow]{found['crs']['warning_en']}[/]", highlight=False
        )
    if not found["problems"]:
        return
    table = Table("行 row", "列 column", "内容 value", "问题 problem")
    for problem in found["problems"][:SHOWN_PROBLEMS]:
        said = f"{problem['zh']}\n{problem['en']}"
        table.add_row(str(problem["row"]), problem["column"], problem["value"], said)
    console.print(table)
    if len(found["problems"]) > SHOWN_PROBLEMS:
        console.print(f"… {len(found['problems']) - SHOWN_PROBLEMS} more; --json lists them", highlight=False)
