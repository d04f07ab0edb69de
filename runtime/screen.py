"""What the terminal shows while the system starts, and when it is ready."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from runtime.secrets import read_json
from runtime.settings import Settings

if TYPE_CHECKING:
    from runtime.up import Ready

STEPS = {
    "database": "数据库 / database",
    "district": "登记示范区 / registering the demonstration district",
    "broker": "消息代理 / MQTT broker",
    "ingest": "接入 / ingest",
    "rules": "规则 / rules",
    "store": "入库 / storage",
    "command": "指挥 / command centre",
    "canary": "金丝雀走通全链路 / waiting for the canary to fly from broker to screen",
    "stopping": "正在停止 / stopping",
}
ROLES_ZH = {
    "operator": "值班员", "leader": "带班领导", "responder": "队员", "vendor": "设备厂商", "analyst": "分析员",
    "admin": "系统管理员", "security": "安全管理员", "auditor": "审计员", "met": "气象接口",
}  # fmt: skip


class Screen:
    """Progress lines on stderr; at `ready` a panel for people, and one `ready {json}` line for programs."""

    def __init__(self, console: Console, *, as_json: bool, settings: Settings) -> None:
        self._console = console
        self._as_json = as_json
        self._settings = settings
        self._status = None if as_json or not console.is_terminal else console.status("启动 / starting")
        if self._status is not None:
            self._status.start()

    def progress(self, step: str) -> None:
        text = STEPS.get(step, step)
        if self._status is not None:
            self._status.update(text)
        self._console.print(f"  [dim]·[/] {text}", highlight=False)

    def ready(self, ready: Ready) -> None:
        self.close()
        if self._as_json or not self._console.is_terminal:
            print(f"ready {json.dumps(asdict(ready), ensure_ascii=False)}", flush=True)
        self._console.print(self._panel(ready))

    def _panel(self, ready: Ready) -> Panel:
        table = Table.grid(padding=(0, 2))
        table.add_row("大屏 wall", f"[bold]{ready.wall}[/]")
        table.add_row("单兵 field", f"{ready.http}/field")
        table.add_row("HTTPS", f"{ready.https}/wall   (证书 CA: {ready.https}/ca)")
        table.add_row("MQTT", f"{ready.broker_host}:{ready.broker_port}")
        table.add_row("数据 data", ready.data_dir)
        for username, word, role in self._logins():
            table.add_row(f"登录 {role}", f"{username}  /  {word}")
        table.add_row("", f"全部登录 all logins: {ready.logins}" if not self._settings.real else "")
        table.add_row("", "Ctrl-C 停止 / stops everything; 再次启动保留数据 / starting again keeps the data")
        return Panel(
            table, title=f"城市大脑就绪 / City Brain is ready ({ready.seconds} s)", border_style="green", expand=False
        )

    def _logins(self) -> list[tuple[str, str, str]]:
        logins: dict[str, str] = read_json(self._settings.secrets_dir / "logins.json") or {}
        shown = ("duty1", "leader1", "admin") if not self._settings.real else ("admin", "security", "auditor")
        units = [name for name in logins if name.startswith("unit-")][:1]
        names = {
            "duty1": ROLES_ZH["operator"],
            "leader1": ROLES_ZH["leader"],
            "admin": ROLES_ZH["admin"],
            "security": ROLES_ZH["security"],
            "auditor": ROLES_ZH["auditor"],
        }
        return [(n, logins[n], names.get(n, ROLES_ZH["responder"])) for n in [*shown, *units] if n in logins]

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
