"""`citybrain letters ...`: dead letters of a running installation, through its HTTP door."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from runtime.admin import AdminError
from runtime.cli_settings import AsJson, DataDir, fail, running
from runtime.device_admin import admin_client, send
from runtime.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="死信 / Messages that were refused: list them, put them in again after a mend."
)
console = Console(stderr=True)

Device = Annotated[str, typer.Option(help="of this device")]
Words = Annotated[str, typer.Option("--reason", help="part of the reason")]
Codec = Annotated[str, typer.Option(help="of frames on up/raw/CODEC; json: our own payloads")]
Since = Annotated[str, typer.Option("--from", help="received at or after (ISO 8601 with zone)")]
Until = Annotated[str, typer.Option("--to", help="received before")]
PAGE = 500
SUMS = ("matched", "taken", "partly", "still_wrong", "not_replayable", "already", "rows", "events")


@app.command("list")
def list_(
    device: Device = "",
    reason: Words = "",
    codec: Codec = "",
    since: Since = "",
    to: Until = "",
    limit: Annotated[int, typer.Option(help="at most so many, the newest")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """列出 / What was refused and why, newest first."""
    asked = {"device": device, "reason": reason, "codec": codec, "from": since, "to": to}
    rows = _do(letters(running(data_dir), {k: v for k, v in asked.items() if v}, limit))
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("position", "received", "device", "reason", "replayed")
    for row in rows:
        table.add_row(str(row["position"]), _time(row["receive_us"]), row["device_id"], row["reason"], row["replayed"])
    Console().print(table)


@app.command()
def replay(
    device: Device = "",
    match: Words = "",
    codec: Codec = "",
    since: Since = "",
    to: Until = "",
    why: Annotated[str, typer.Option("--why", help="what was mended, for the journal")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would happen")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """重放 / Put refused messages in again with today's register and codecs, as history; a second time changes nothing."""
    asked = {"device": device, "match": match, "codec": codec, "from": since, "to": to, "reason": why}
    body = {key: value for key, value in asked.items() if value} | {"dry_run": dry_run}
    done = _do(put_in_again(running(data_dir), body))
    if as_json:
        print(json.dumps(done, ensure_ascii=False))
        return
    head = "试算 dry run" if dry_run else "已重放 replayed"
    console.print(f"{head}: " + ", ".join(f"{name} {done[name]}" for name in SUMS), highlight=False)
    if done["letters"]:
        table = Table("position", "device", "outcome", "reason")
        for row in done["letters"]:
            table.add_row(str(row["position"]), row["device_id"], row["outcome"], "; ".join(row["reasons"][:3]))
        console.print(table)


async def letters(settings: Settings, asked: dict[str, str], limit: int) -> list[dict[str, Any]]:
    """The newest letters that fit. Raises AdminError."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    async with admin_client(settings) as client:
        while cursor is not None and len(found) < limit:
            page = {**asked, "limit": min(PAGE, limit - len(found)), "cursor": cursor}
            answer = await send(client, "GET", "/dead-letters", params=page)
            found, cursor = found + answer["items"], answer["next"]
    return found


async def put_in_again(settings: Settings, body: dict[str, Any]) -> dict[str, Any]:
    """Call after call until there are no more; sums, and the letters that the calls named. Raises AdminError: what went in
    before it has gone in, and the same command does the rest."""
    total: Counter[str] = Counter(dict.fromkeys(SUMS, 0))
    named: list[dict[str, Any]] = []
    cursor: str | None = ""
    async with admin_client(settings) as client:
        while cursor is not None:
            done = await send(client, "POST", "/dead-letters/replay", json={**body, "limit": PAGE, "cursor": cursor})
            total.update({name: done[name] for name in SUMS})
            named += done["letters"]
            cursor = done["next"]
    return {**total, "dry_run": bool(body.get("dry_run")), "letters": named}


def _do(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except AdminError as error:
        fail(str(error))


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")
