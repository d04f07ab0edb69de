"""`citybrain backup`, `citybrain restore`, `citybrain backup-key` on the terminal."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from command_center.anchors import KeyWrong
from runtime.cli_settings import AsJson, fail, from_options, running

console = Console(stderr=True)
PassphraseFile = Annotated[Path | None, typer.Option(help="file whose first line is the passphrase")]


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command(name="backup-key")(backup_key)
    app.command()(restore)


def backup(
    to: Annotated[Path, typer.Option("--to", help="directory on another disk, better a share of another host")],
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="the installation")] = None,
    recipient_key: Annotated[
        Path | None, typer.Option(help="public key that can open it (`citybrain backup-key`)")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """备份 / Database, log, files and keys of a running installation, sealed; nothing is stopped."""
    from runtime.admin import AdminError
    from runtime.backup import Seal
    from runtime.backup import backup as make
    from runtime.backup_envelope import BackupError
    from storage.errors import StorageError
    from stream.errors import LogError

    if recipient_key is not None and passphrase_file is not None:
        fail("give --recipient-key or --passphrase-file, not both", 2)
    seal = Seal(recipient=recipient_key, passphrase="" if recipient_key else _passphrase(passphrase_file, twice=True))
    began = time.monotonic()
    try:
        with _shown(as_json) as show:
            path, manifest = asyncio.run(make(running(data_dir), to.absolute(), seal, progress=show))
    except (AdminError, BackupError, StorageError, LogError, OSError) as error:
        fail(str(error))
    facts = {
        "path": str(path),
        "tenant": manifest.tenant,
        "bytes": sum(part.size for part in manifest.parts),
        "parts": len(manifest.parts),
        "rows": sum(table.rows for table in manifest.database.tables),
        "log_head": manifest.log_head,
        "journal": msgspec.to_builtins(manifest.journal),
        "machine_us": manifest.machine_us,
        "city_us": manifest.city_us,
        "seconds": round(time.monotonic() - began, 1),
    }
    if as_json:
        print(msgspec.json.encode(facts).decode())
    else:
        console.print(
            f"{path}: {facts['rows']} 行 rows, 日志到 log to {manifest.log_head}, "
            f"{facts['bytes'] / 1e6:.1f} MB, {facts['seconds']} s",
            highlight=False,
        )


def backup_key(path: Path) -> None:
    """备份密钥 / A new key pair: PATH opens backups (keep it off this host), PATH.pub seals them."""
    from runtime.backup_envelope import make_identity

    try:
        public = make_identity(path)
    except OSError as error:
        fail(str(error))
    console.print(
        f"{path}（私钥，移到别处保存 / private: keep it elsewhere），{public}（公钥 / public）", highlight=False
    )


def restore(
    source: Path,
    data_dir: Annotated[Path, typer.Option("--data-dir", help="an empty directory")],
    identity: Annotated[Path | None, typer.Option(help="private key that the backup was sealed for")] = None,
    passphrase_file: PassphraseFile = None,
    signed_by: Annotated[Path | None, typer.Option(help="public key of the journal that others kept")] = None,
    database: Annotated[str, typer.Option(help="load into this server instead of a private one")] = "",
    start: Annotated[bool, typer.Option("--start", help="and go on as it was")] = False,
    as_json: AsJson = False,
) -> None:
    """恢复 / A backup onto an empty machine; checks every part, and the journal, before it says that it is done."""
    from runtime.backup import read_manifest
    from runtime.backup_envelope import BackupError
    from runtime.embedded.errors import EmbeddedError
    from runtime.restore import Keys
    from runtime.restore import restore as bring_back
    from storage.errors import StorageError

    began = time.monotonic()
    try:
        sealed = read_manifest(source).envelope["kind"]
        word = _passphrase(passphrase_file, twice=False) if sealed == "scrypt" else ""
        keys = Keys(passphrase=word, identity=identity, signed_by=signed_by)
        stack = from_options().dev_stack
        with _shown(as_json) as show:
            done = bring_back(source, data_dir, keys, database=database, dev_stack=stack, progress=show)
    except (BackupError, StorageError, EmbeddedError, KeyWrong, OSError) as error:
        fail(str(error))
    if as_json:
        print(
            msgspec.json.encode({**msgspec.to_builtins(done), "seconds": round(time.monotonic() - began, 1)}).decode()
        )
    for broken in done.breaks:
        console.print(f"[red]审计链 / journal: row {broken.seq}: {broken.what}: {broken.detail}[/]", highlight=False)
    if not done.journal_whole:
        fail("the journal's chain does not hold; the data is restored for inspection, and was not started")
    if not as_json:
        console.print(
            f"{done.data_dir}: {done.rows} 行 rows, 日志到 log to {done.log_head}, 审计 journal {done.journal_rows} 完整 whole",
            highlight=False,
        )
    if start:
        _start(data_dir.absolute(), external=bool(database), as_json=as_json)


def _start(data_dir: Path, *, external: bool, as_json: bool) -> None:
    """Go on as the backed-up installation ran: same tenant, clock, ports."""
    from dataclasses import replace

    from runtime.logs import configure
    from runtime.screen import Screen
    from runtime.settings import load
    from runtime.supervisor import FirstStartFailed
    from runtime.up import Up

    settings = load(data_dir / "run" / "settings.json")
    if not external:
        settings = replace(settings, database="auto")
    configure(settings.log_level if not sys.stderr.isatty() else "warning", role="supervisor")
    screen = Screen(console, as_json=as_json, settings=settings)
    try:
        asyncio.run(Up(settings, progress=screen.progress).run(screen.ready))
    except FirstStartFailed as error:
        fail(str(error))
    finally:
        screen.close()


def _passphrase(file: Path | None, *, twice: bool) -> str:
    """From a file's first line, or typed; there is no default."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").splitlines()[0]
        except (OSError, IndexError) as error:
            fail(f"--passphrase-file {file}: {error or 'it is empty'}", 2)
    if not sys.stdin.isatty():
        fail("give --recipient-key or --passphrase-file: there is no terminal to type a passphrase at", 2)
    word: str = typer.prompt("备份口令 / passphrase", hide_input=True, confirmation_prompt=twice)
    return word


@contextmanager
def _shown(as_json: bool) -> Iterator[_Show]:
    if as_json or not console.is_terminal:
        yield _Show(None)
        return
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as bar:
        yield _Show(bar)


class _Show:
    """One line that says what is being done and how much has gone by."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar, self._bytes = bar, 0
        self._task = bar.add_task("") if bar is not None else None

    def __call__(self, what: str, done: int) -> None:
        self._bytes += done
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=f"{what}  {self._bytes / 1e6:.0f} MB")
