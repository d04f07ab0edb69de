"""`citybrain push ...`: the document of those who may push over HTTP, and their secrets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ingest.push_sources import PushSource, SourcesWrong, parse_sources
from runtime.cli_settings import AsJson, DataDir, fail, running
from runtime.push_door import FILE, known_secrets, read_sources, set_secret

app = typer.Typer(no_args_is_help=True, help="HTTP 推送 / Platforms that push over HTTP.")
console = Console(stderr=True)
SECRET_MIN, SECRET_MAX = 8, 128  # what a person may bring along


@app.command()
def check(
    document: Annotated[Path | None, typer.Argument(help="a document instead of the one that is set")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """检查 / Read the document of sources and show who may push, as which device and with which signature."""
    settings = running(data_dir)
    try:
        if document is None:
            sources = read_sources(settings)
        else:
            sources = parse_sources(document.read_text(encoding="utf-8"), known_secrets(settings), file=document.name)
    except (SourcesWrong, OSError, UnicodeDecodeError) as error:
        fail(str(error))
    if as_json:
        print(json.dumps([_told(source) for source in sources], ensure_ascii=False))
        return
    for source in sources:
        told = _told(source)
        console.print("  ".join(f"{key}={value}" for key, value in told.items()), highlight=False)
    if not sources:
        console.print("没有来源 / no sources: CITYBRAIN_PUSH_SOURCES is empty", highlight=False)


@app.command("secret")
def secret_(
    name: Annotated[str, typer.Argument(help="of the source")],
    data_dir: DataDir = None,
    given: Annotated[bool, typer.Option("--stdin", help="read it from standard input")] = False,
) -> None:
    """密钥 / Make a new secret for a source, or take one over; it is shown once and counts from the next start."""
    settings = running(data_dir)
    word = sys.stdin.readline().strip() if given else ""
    if given and not SECRET_MIN <= len(word) <= SECRET_MAX:
        fail(f"secret: expected a line of {SECRET_MIN} to {SECRET_MAX} characters")
    try:
        if name not in {source.name for source in read_sources(settings)}:
            fail(f"source {name!r} is not in the document that CITYBRAIN_PUSH_SOURCES names")
        made = set_secret(settings, name, word)
    except SourcesWrong as error:
        fail(str(error))
    console.print(f"已写入 / written to secrets/{FILE}, 重启后生效 / in effect after a restart", highlight=False)
    if not given:
        print(made)


def _told(source: PushSource) -> dict[str, str]:
    return {
        "path": f"/push/{source.name}",
        "device": source.device,
        "codec": source.codec,
        "signature": source.signature,
        "allow": " ".join(str(network) for network in source.networks) or "any",
        "secret": "not needed" if source.open and not source.secret else "set" if source.secret else "missing",
    }
