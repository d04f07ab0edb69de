"""`citybrain audit ...` on the terminal."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from command_center.anchors import KeyWrong
from runtime.admin import AdminError
from runtime.cli_settings import AsJson, DataDir, fail, running

app = typer.Typer(no_args_is_help=True, help="审计 / The journal's chain: check it, read its head, archive old rows.")
console = Console(stderr=True)


@app.command()
def verify(
    data_dir: DataDir = None,
    anchors: Annotated[list[Path] | None, typer.Option(help="directory of anchors that others kept")] = None,
    archives: Annotated[Path | None, typer.Option(help="directory of archived rows")] = None,
    key: Annotated[list[Path] | None, typer.Option(help="public key (PEM) that others kept")] = None,
    as_json: AsJson = False,
) -> None:
    """校验 / Check every row against its hash, the row before it, and the anchors. Exit 1 on any break."""
    from runtime import audit

    try:
        report = asyncio.run(audit.verify(running(data_dir), anchors=anchors or (), archives=archives, keys=key or ()))
    except (AdminError, KeyWrong, OSError) as error:
        fail(str(error))
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        for broken in report.breaks:
            where = f" ({broken.anchor})" if broken.anchor else ""
            console.print(f"[red]{broken.what}[/] 第 {broken.seq} 行 / row {broken.seq}: {broken.detail}{where}")
        if report.on_this_host_only:
            console.print("[yellow]只对照了本机保存的存证 / only anchors kept on this host were compared[/]")
        word = "[green]完整 / whole[/]" if report.ok else "[red]断链 / broken[/]"
        console.print(
            f"{word}: {report.rows} rows, head {report.head.seq} {report.head.hash[:16]}, "
            f"{report.anchors_checked} of {report.anchors} anchors met, {report.archives} archives",
            highlight=False,
        )
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def head(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """链头 / The newest row's number and hash, and the newest anchor."""
    from runtime import audit

    try:
        found = asyncio.run(audit.head(running(data_dir)))
    except AdminError as error:
        fail(str(error))
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        print(f"{found['head']['seq']} {found['head']['hash']} {found['head']['count']}")


@app.command()
def archive(
    to: Annotated[Path, typer.Option("--to", help="directory outside the data directory")],
    data_dir: DataDir = None,
    drop: Annotated[bool, typer.Option("--drop", help="and let the archived rows leave the table")] = False,
    as_json: AsJson = False,
) -> None:
    """归档 / Write rows older than CITYBRAIN_JOURNAL_KEEP_DAYS into a signed file; never rows younger than six months."""
    from runtime import audit

    try:
        done = asyncio.run(audit.archive(running(data_dir), to.absolute(), actor=f"cli:{getpass.getuser()}", drop=drop))
    except (AdminError, OSError) as error:
        fail(str(error))
    if as_json:
        print(msgspec.json.encode(done).decode())
    elif done is None:
        console.print("没有到期的记录 / no row is old enough")
    else:
        console.print(f"{done.file}: {done.rows} rows, {done.dropped} dropped", highlight=False)
