"""`citybrain history import FILE`: history of another system through the HTTP door of a running installation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from command_center.observation_files import FileFormat
from runtime.admin import AdminError
from runtime.cli_settings import AsJson, DataDir, fail, running
from runtime.device_admin import admin_client
from runtime.settings import Settings

app = typer.Typer(no_args_is_help=True, help="历史数据 / History of observations.")
console = Console(stderr=True)
CHUNK = 1024 * 1024
SHOWN = 40
COUNTS = ("rows", "kept", "known", "refused")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, NDJSON or Parquet with the columns of the export")],
    form: Annotated[str, typer.Option("--format", help="csv, ndjson or parquet; default: the file's ending")] = "",
    reason: Annotated[str, typer.Option(help="for the journal")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """导入 / Complete history from a file; good rows are kept, wrong ones named; the same file twice changes nothing."""
    form = form or file.suffix.removeprefix(".").lower()
    if form not in list(FileFormat):
        fail(f"--format {form!r}: expected {', '.join(FileFormat)}", 2)
    if not file.is_file():
        fail(f"{file}: no such file", 2)
    shown = 0

    def tell(said: dict[str, Any]) -> None:
        nonlocal shown
        if as_json:
            print(json.dumps(said, ensure_ascii=False), flush=True)
        elif said["type"] == "refused":
            shown += 1
            if shown <= SHOWN:
                console.print(
                    f"第 {said['line']} 行 line {said['line']}: {said['field']}: expected {said['expected']}, got {said['got']}",
                    highlight=False,
                )
        else:
            console.print(f"{said['type']}: " + ", ".join(f"{name} {said[name]}" for name in COUNTS), highlight=False)

    try:
        last = asyncio.run(import_file(running(data_dir), file, FileFormat(form), reason=reason, tell=tell))
    except AdminError as error:
        fail(str(error))
    if last["type"] != "done":
        fail(f"{last.get('why', 'the answer was cut off')}; send the file again: what is kept is not kept twice")
    if last["refused"]:
        raise typer.Exit(1)


async def import_file(
    settings: Settings, file: Path, form: FileFormat, *, reason: str, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The last line of the answer; each line goes to `tell`. Raises AdminError."""
    params = {"format": form.value, "filename": file.name, "reason": reason or f"citybrain history import {file.name}"}
    headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
    said: dict[str, Any] = {"type": ""}
    async with admin_client(settings) as client:
        try:
            async with client.stream(
                "POST",
                "/api/v1/observations/import",
                params=params,
                content=_parts(file),
                headers=headers,
                timeout=None,
            ) as answer:
                if answer.status_code >= 400:
                    raise AdminError((await answer.aread()).decode("utf-8", "replace"))
                async for line in answer.aiter_lines():
                    said = json.loads(line)
                    tell(said)
        except httpx.TransportError as error:
            raise AdminError(f"the connection ended before the import did ({error}); send the file again") from error
    return said


async def _parts(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while part := await asyncio.to_thread(opened.read, CHUNK):
            yield part
