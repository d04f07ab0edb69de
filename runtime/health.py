"""What this installation knows about its own health: children, canary, readiness, and the banners that screens show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from runtime.canary import Canary

EVERY_S = 1.0
NAMES = {
    "database": ("数据库", "database"),
    "broker": ("消息代理", "broker"),
    "ingest": ("接入", "ingest"),
    "rules": ("规则引擎", "rule engine"),
    "store": ("入库", "storage"),
    "simulator": ("模拟器", "simulator"),
}


class Banners(Protocol):
    def banner(self, identifier: str, kind: str, *, active: bool, zh: str = "", en: str = "") -> None: ...


class Health:
    """Reads the supervisor's status file and the canary; `readiness` answers /readyz."""

    def __init__(self, run_dir: Path, canary: Canary, *, last_resort_broker: bool) -> None:
        self._path = run_dir / "status.json"
        self._canary = canary
        self._last_resort_broker = last_resort_broker
        self._children: dict[str, Any] = {}

    def readiness(self) -> Mapping[str, Any]:
        """Ready only while the canary flies from broker to hub and no child of ours is down."""
        down = self.down()
        return {
            "ready": self._canary.green and not down,
            "checks": {
                "canary": self._canary.report(),
                "children": {name: child["state"] for name, child in self._children.items()},
                "down": down,
            },
        }

    def down(self) -> list[str]:
        return [
            name
            for name, child in self._children.items()
            if child["state"] in ("waiting", "starting") and child["restarts"]
        ]

    def board(self) -> Mapping[str, Any]:
        """Rows for `kpi/board`."""
        broker = self._children.get("broker", {"state": "up"})
        return {"broker": {"up": broker["state"] == "up", "guaranteed": not self._last_resort_broker}}

    async def run(self, banners: Callable[[], Banners]) -> None:
        """Tell the screens who is down, until cancelled."""
        if self._last_resort_broker:
            text = ("消息代理为 amqtt，不保证送达", "The broker is amqtt: delivery is not guaranteed")
            banners().banner("broker-amqtt", "broker_drop", active=True, zh=text[0], en=text[1])
        while True:
            if self._path.exists():
                self._children = json.loads(self._path.read_text())
            down = set(self.down())
            for name, (zh, en) in NAMES.items():
                banners().banner(
                    f"child-{name}",
                    "child_down",
                    active=name in down,
                    zh=f"{zh}进程中断，正在自动恢复",
                    en=f"The {en} is down and being restarted",
                )
            await asyncio.sleep(EVERY_S)
