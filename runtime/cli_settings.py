"""What every command of the command line shares: finding the installation, failing in one voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from runtime.settings import Settings, WrongSetting, from_environment, load

console = Console(stderr=True)
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="where everything is kept")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]
DEMO_DATA_DIR = Path("var/demo")


def fail(message: str, code: int = 1) -> NoReturn:
    console.print(f"[red]错误 / error:[/] {message}", highlight=False)
    raise typer.Exit(code)


def from_options(**options: Any) -> Settings:
    try:
        return from_environment(**options)
    except WrongSetting as error:
        fail(str(error), 2)


def running(data_dir: Path | None) -> Settings:
    """The settings of an installation that was started once."""
    directory = from_options(data_dir=data_dir).data_dir
    candidates = [directory] if data_dir else [directory, DEMO_DATA_DIR.absolute()]
    for candidate in candidates:
        path = candidate / "run" / "settings.json"
        if path.exists():
            return load(path)
    fail(f"{candidates[0]} has never been started: run `citybrain up` first, or give --data-dir")
