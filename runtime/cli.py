"""The command line, `citybrain` (the same as `python -m runtime`).

Exit 0 done, 1 failed, 2 wrong usage. `--json` where a program may read the answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from runtime import archive_cli, audit_cli, backup_cli, history_cli, letters_cli, push_cli
from runtime.cli_settings import AsJson, DataDir
from runtime.cli_settings import fail as _fail
from runtime.cli_settings import from_options as _settings
from runtime.cli_settings import running as _running
from runtime.settings import WrongSetting

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback in the log is for machines too
    help="城市大脑 / City Brain: sensing and emergency command.",
)
devices_app = typer.Typer(no_args_is_help=True, help="设备 / Devices of a running system.")
rules_app = typer.Typer(no_args_is_help=True, help="规则 / Rule documents.")
plans_app = typer.Typer(no_args_is_help=True, help="预案 / Plan documents.")
users_app = typer.Typer(no_args_is_help=True, help="用户 / Users.")
secrets_app = typer.Typer(no_args_is_help=True, help="密钥 / Secrets of this installation.")
_GROUPS = (
    ("devices", devices_app),
    ("rules", rules_app),
    ("plans", plans_app),
    ("users", users_app),
    ("secrets", secrets_app),
)
for name, sub in _GROUPS:
    app.add_typer(sub, name=name)
app.add_typer(audit_cli.app, name="audit")
app.add_typer(letters_cli.app, name="letters")
app.add_typer(history_cli.app, name="history")
app.add_typer(push_cli.app, name="push")
backup_cli.register(app)
archive_cli.register(app)

console = Console(stderr=True)
DEMO_SCENARIO = "lekima-night"
DEMO_SPEED = 60.0


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(1) from None


@app.command()
def up(
    demo: Annotated[bool, typer.Option("--demo", help="演示 / a fictional district on a typhoon night, 60x")] = False,
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="address that HTTPS listens on")] = None,
    port: Annotated[int | None, typer.Option(help="plain HTTP, on 127.0.0.1 only; 0 chooses one")] = None,
    https_port: Annotated[int | None, typer.Option(help="HTTPS; 0 chooses one")] = None,
    database: Annotated[str | None, typer.Option(help="auto, or a PostgreSQL URL")] = None,
    broker: Annotated[str | None, typer.Option(help="auto, or mqtt://host:port")] = None,
    speed: Annotated[float | None, typer.Option(help="city seconds per second (demo: 60)")] = None,
    clock: Annotated[str | None, typer.Option(help="real, scaled or stepped")] = None,
    simulator: Annotated[bool, typer.Option("--simulator/--no-simulator", help="run the demo's scenario")] = True,
    duty_desk: Annotated[
        bool, typer.Option("--duty-desk/--no-duty-desk", help="值班台由脚本扮演；关闭则由您来确认、核实、派单")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """启动 / Start broker, database and all roles under one supervisor; Ctrl-C ends everything."""
    from runtime.demo import demo_options
    from runtime.embedded.errors import EmbeddedError
    from runtime.logs import configure
    from runtime.screen import Screen
    from runtime.supervisor import DataDirectoryBusy, FirstStartFailed
    from runtime.up import Up

    options: dict[str, Any] = {
        "data_dir": data_dir, "host": host, "port": port, "https_port": https_port, "database": database,
        "broker": broker, "speed": speed, "clock": clock,
    }  # fmt: skip
    if demo:
        options = demo_options(options, simulator=simulator, duty_desk=duty_desk)
    settings = _settings(**options)
    configure(settings.log_level if not sys.stderr.isatty() else "warning", role="supervisor")
    screen = Screen(console, as_json=as_json, settings=settings)
    try:
        asyncio.run(Up(settings, progress=screen.progress).run(screen.ready))
    except (FirstStartFailed, DataDirectoryBusy, EmbeddedError, WrongSetting) as error:
        screen.close()
        _fail(str(error))
    finally:
        screen.close()


@app.command()
def worker(
    role: Annotated[str, typer.Argument(help="ingest, rules, store or command")], data_dir: DataDir = None
) -> None:
    """One role as a process of its own (the supervisor starts these)."""
    from runtime.roles import run_role

    if data_dir is None:
        _fail("worker needs --data-dir", 2)
    raise typer.Exit(run_role(role, data_dir.absolute()))


@app.command()
def simulate(
    scenario: str,
    data_dir: DataDir = None,
    devices: Annotated[int | None, typer.Option(help="at most so many devices")] = None,
    rate: Annotated[float | None, typer.Option(help="messages per second; default: the scenario's")] = None,
    speed: Annotated[float | None, typer.Option(help="refused if the running clock differs")] = None,
    seed: Annotated[int | None, typer.Option(help="default: the tenant's")] = None,
) -> None:
    """模拟 / Play a scenario against a running system, by MQTT and HTTP only."""
    from runtime.demo import run_simulation
    from runtime.logs import configure

    settings = _running(data_dir)
    if settings.real:
        _fail("a real tenant takes no simulated devices; start one with --demo", 2)
    configure(settings.log_level, role="simulator")
    _run(run_simulation(settings, scenario, devices=devices, rate=rate, speed=speed, seed=seed))


@app.command()
def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """体检 / Check database tier, broker, ports, fonts, browser assets, clock."""
    from runtime.doctor import run_checks

    checks = run_checks(_settings(data_dir=data_dir))
    if as_json:
        print(json.dumps([check.as_dict() for check in checks], ensure_ascii=False))
    else:
        table = Table("项目 / check", "结果 / result", "说明 / detail", show_lines=False)
        for check in checks:
            table.add_row(f"{check.title_zh} {check.title_en}", check.mark, f"{check.detail_zh}\n{check.detail_en}")
        Console().print(table)
    if any(check.failed for check in checks):
        raise typer.Exit(1)


@app.command(name="migrate")
def migrate_command(data_dir: DataDir = None, database: Annotated[str | None, typer.Option()] = None) -> None:
    """迁移 / Bring the database schema of this installation forward."""
    from runtime.admin import migrate_now

    settings = _running(data_dir) if database is None else _settings(data_dir=data_dir, database=database)
    for line in _run(migrate_now(settings)):
        console.print(line)


@devices_app.command("list")
def devices_list(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The register with the newest value of each datastream."""
    from runtime.admin import list_devices

    rows = _run(list_devices(_running(data_dir)))
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("device", "kind", "name", "status", "latest")
    for row in rows:
        latest = "  ".join(f"{k}={v}" for k, v in row["latest"].items())
        table.add_row(row["device_id"], row["kind"], row["name"], row["status"], latest)
    Console().print(table)


@devices_app.command("check")
def devices_check(device: str, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """What was received from a device, what was flagged, what was refused and why."""
    from runtime.admin import check_device, print_check

    report = _run(check_device(_running(data_dir), device))
    if report is None:
        _fail(f"device {device!r} is not in the register")
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        print_check(Console(), report)


@devices_app.command("add")
def devices_add(document: Path, data_dir: DataDir = None) -> None:
    """Register the device(s) of a YAML or JSON document; prints each credential once."""
    from runtime.admin import AdminError, add_devices

    try:
        issued = _run(add_devices(_running(data_dir), document))
    except AdminError as error:
        _fail(str(error))
    print(json.dumps(issued, ensure_ascii=False))


@devices_app.command("import")
def devices_import(
    document: Path,
    reason: Annotated[str, typer.Option(help="why, for the record")] = "import",
    data_dir: DataDir = None,
) -> None:
    """Register many new devices of a YAML or JSON document; prints their credentials by id once."""
    from runtime.admin import AdminError
    from runtime.device_admin import import_devices

    try:
        issued = _run(import_devices(_running(data_dir), document, reason=reason))
    except AdminError as error:
        _fail(str(error))
    print(json.dumps(issued, ensure_ascii=False))


@devices_app.command("credentials")
def devices_credentials(
    device: str,
    rotate: Annotated[bool, typer.Option("--rotate", help="换发 / a new password; the old one ends at once")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="吊销 / no password and no certificate any more")] = False,
    reason: Annotated[str, typer.Option(help="why, for the record")] = "",
    data_dir: DataDir = None,
) -> None:
    """凭证 / Since when and with what a device may connect; issue anew or revoke."""
    from runtime.admin import AdminError
    from runtime.device_admin import credentials

    if rotate and revoke:
        _fail("--rotate or --revoke, not both", 2)
    try:
        found = _run(credentials(_running(data_dir), device, rotate=rotate, revoke=revoke, reason=reason))
    except AdminError as error:
        _fail(str(error))
    print(json.dumps(found, ensure_ascii=False))


@devices_app.command("certificate")
def devices_certificate(
    device: str,
    days: Annotated[int, typer.Option(help="how long it is good for")] = 397,
    out: Annotated[Path, typer.Option(help="folder for ID.pem, ID.key and ca.pem")] = Path(),
    data_dir: DataDir = None,
) -> None:
    """证书 / Issue a client certificate with the device's id as common name; an earlier one ends."""
    from runtime.admin import AdminError
    from runtime.device_admin import certificate

    try:
        made = _run(certificate(_running(data_dir), device, days=days, folder=out))
    except AdminError as error:
        _fail(str(error))
    print(json.dumps(made, ensure_ascii=False))


@rules_app.command("check")
def rules_check(files: list[Path], as_json: AsJson = False) -> None:
    """Refuse a wrong rule document with file, line and reason."""
    from rules.check import check

    _report([checked.line for checked in check(files) if checked.problem], as_json)


@rules_app.command("activate")
def rules_activate(
    files: list[Path],
    author: Annotated[str, typer.Option(help="who wrote the change")],
    approver: Annotated[str, typer.Option(help="who approved it; not the author")],
    source: Annotated[str, typer.Option(help="the document that the thresholds come from")],
    data_dir: DataDir = None,
) -> None:
    """Activate rule documents: a control record of the running system, with author, approver and source."""
    from runtime.admin import AdminError, activate_rules

    try:
        lines = _run(activate_rules(_running(data_dir), files, author=author, approver=approver, source=source))
    except AdminError as error:
        _fail(str(error))
    for line in lines:
        console.print(line, highlight=False)


@plans_app.command("check")
def plans_check(files: list[Path], as_json: AsJson = False) -> None:
    """Refuse a wrong plan document with file, line and reason."""
    from command_center.plans import check_files

    _report(check_files(files), as_json)


def _report(problems: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(problems, ensure_ascii=False))
    for problem in problems if not as_json else []:
        console.print(problem, highlight=False)
    if problems:
        raise typer.Exit(1)


@users_app.command("add")
def users_add(username: str, name: str, roles: list[str], data_dir: DataDir = None) -> None:
    """A new user with a generated password, printed once."""
    from runtime.admin import AdminError, add_user

    try:
        word = _run(add_user(_running(data_dir), username, name, roles))
    except AdminError as error:
        _fail(str(error))
    print(json.dumps({"username": username, "password": word}))


@users_app.command("passwd")
def users_passwd(username: str, data_dir: DataDir = None) -> None:
    """A new generated password for a user, printed once."""
    from runtime.admin import AdminError, reset_password

    try:
        word = _run(reset_password(_running(data_dir), username))
    except AdminError as error:
        _fail(str(error))
    print(json.dumps({"username": username, "password": word}))


@app.command(name="import")
def import_command(
    kind: Annotated[str, typer.Argument(help="kind of register: reservoir, contact, unit, shift, device, address ...")],
    file: Annotated[Path, typer.Argument(help="XLSX, CSV, GeoJSON, YAML, GeoPackage or zipped Shapefile")],
    crs: Annotated[
        str, typer.Option(help="WGS84, 4490, 4549, GCJ-02, BD-09; default: what the file says or looks like")
    ] = "",
    sheet: Annotated[str, typer.Option(help="sheet or layer; default: the one that fits best")] = "",
    reason: Annotated[str, typer.Option(help="for the journal")] = "",
    skip_wrong: Annotated[bool, typer.Option("--skip-wrong", help="leave wrong rows out and write the others")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would happen")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """导入 / Import a file into a register of a running system; importing it twice changes nothing."""
    from runtime.admin import AdminError
    from runtime.transfer import Wrong, import_file, print_dry_run

    if not file.is_file():
        _fail(f"{file}: no such file", 2)
    settings = _running(data_dir)
    with _bar("导入 import", as_json) as progress:
        options = {"crs": crs, "sheet": sheet, "reason": reason, "skip_wrong": skip_wrong, "dry_run": dry_run}
        try:
            found = _run(import_file(settings, kind, file, progress=progress, **options))  # type: ignore[arg-type]
        except Wrong as error:
            found, wrong = {"dry_run": error.dry_run, "committed": None}, str(error)
        except AdminError as error:
            _fail(str(error))
        else:
            wrong = ""
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        print_dry_run(console, found["dry_run"])
        if found["committed"]:
            console.print(f"已写入 / written: {json.dumps(found['committed'], ensure_ascii=False)}", highlight=False)
    if wrong:
        _fail(wrong)
    if dry_run and found["dry_run"]["counts"]["wrong"]:
        raise typer.Exit(1)


@app.command(name="export")
def export_command(
    kind: Annotated[str, typer.Argument(help="kind of register")],
    out: Annotated[Path, typer.Option(help="where to write it")],
    file_format: Annotated[str, typer.Option("--format", help="xlsx, csv, geojson, gpkg, shp.zip or yaml")] = "xlsx",
    clear: Annotated[
        bool, typer.Option("--clear", help="personal data in clear, for who may read it; journalled")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """导出 / Export a register of a running system; the export is watermarked and journalled."""
    from gis.formats.sheet import Format
    from runtime.admin import AdminError
    from runtime.transfer import export_file

    if file_format not in list(Format):
        _fail(f"--format {file_format!r}: expected {', '.join(Format)}", 2)
    if not out.absolute().parent.is_dir():
        _fail(f"--out {out}: the folder does not exist", 2)
    with _bar("导出 export", as_json) as progress:
        try:
            found = _run(export_file(_running(data_dir), kind, file_format, out, clear=clear, progress=progress))
        except AdminError as error:
            _fail(str(error))
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        console.print(f"{found['file']}: {found['bytes']} bytes, {found['export_id']}", highlight=False)


@contextmanager
def _bar(title: str, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar where a terminal is there."""
    if as_json or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total or None)


@users_app.command("list")
def users_list(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Everybody, with roles."""
    from runtime.admin import list_users

    rows = _run(list_users(_running(data_dir)))
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("user", "name", "roles", "enabled")
    for row in rows:
        table.add_row(row["username"], row["name"], ", ".join(row["roles"]), "yes" if row["enabled"] else "NO")
    Console().print(table)


@users_app.command("disable")
def users_disable(username: str, data_dir: DataDir = None) -> None:
    """停用 / The user's sessions end within a second."""
    _switch(data_dir, username, enabled=False)


@users_app.command("enable")
def users_enable(username: str, data_dir: DataDir = None) -> None:
    """启用 / The user may log in again."""
    _switch(data_dir, username, enabled=True)


def _switch(data_dir: Path | None, username: str, *, enabled: bool) -> None:
    from runtime.admin import AdminError, enable_user

    try:
        _run(enable_user(_running(data_dir), username, enabled=enabled))
    except AdminError as error:
        _fail(str(error))


@secrets_app.command("rotate")
def secrets_rotate(
    name: Annotated[str, typer.Argument(help="signing-key, personal-key or metrics-token")], data_dir: DataDir = None
) -> None:
    """更换 / Generate a new secret; the next start uses it."""
    from runtime.admin import AdminError, rotate_secret

    try:
        console.print(rotate_secret(_running(data_dir), name), highlight=False)
    except AdminError as error:
        _fail(str(error))


def main() -> None:
    app()
