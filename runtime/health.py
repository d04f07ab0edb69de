"""What this installation knows about its own health: children, canary, readiness, and the banners that screens show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from devices.clock import Clock
from runtime.canary import Canary
from runtime.embedded.settings import MAX_QUEUED_BYTES
from runtime.metrics import reported

EVERY_S = 1.0
NAMES = {
    "database": ("数据库", "database"),
    "broker": ("消息代理", "broker"),
    "ingest": ("接入", "ingest"),
    "rules": ("规则引擎", "rule engine"),
    "store": ("入库", "storage"),
    "simulator": ("模拟器", "simulator"),
}


HALF = 0.5  # of a bound: early enough for a person to make room
RECENT_S = 1_800.0  # machine seconds that a loss stays on the screens after it was last counted
SYSTEM = {
    "clock_behind": (
        "系统时钟回退：时间按单调时钟继续，请校时",
        "The system clock fell back: time goes on by the monotonic clock",
    ),
    "log_filling": ("日志空间已用超过一半", "The log has used more than half of its space"),
    "log_full": (
        "日志已满或磁盘拒绝写入：暂停接收，设备端保留数据",
        "The log is full: nothing is acknowledged, devices keep their data",
    ),
    "broker_backlog": ("消息代理积压超过上限的一半", "The broker's backlog is above half of its bound"),
    "broker_drop": ("消息代理丢弃了消息", "The broker has dropped messages"),
    "anchor_overdue": (
        "审计链两小时未送出本机：检查存证接收端",
        "The journal's head has not left this host for two hours: look at the receivers",
    ),
    "anchor_nowhere": (
        "审计链没有本机以外的存证接收端（CITYBRAIN_ANCHOR_SINKS）",
        "The journal's head is sent nowhere off this host (CITYBRAIN_ANCHOR_SINKS)",
    ),
}


class Banners(Protocol):
    def banner(self, identifier: str, kind: str, *, active: bool, zh: str = "", en: str = "") -> None: ...


class Health:
    """Reads the supervisor's status file and the canary; `readiness` answers /readyz."""

    def __init__(
        self,
        run_dir: Path,
        canary: Canary,
        *,
        last_resort_broker: bool,
        clock: Clock,
        log_max_bytes: int,
        more: Callable[[], set[str]] = set,
    ) -> None:
        """`more`: further names of SYSTEM that hold now, told by a service of this process."""
        self._run_dir, self._more = run_dir, more
        self._path = run_dir / "status.json"
        self._clock, self._log_max_bytes = clock, log_max_bytes
        self._losses: dict[str, tuple[float, int]] = {}  # metric -> its count, machine time until which that is shown
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

    def troubles(self) -> set[str]:
        """Which of SYSTEM hold now (contract.md sections 1 to 3)."""
        log_bytes = self._reported("citybrain_log_bytes")
        holds = {
            "clock_behind": bool(getattr(self._clock, "behind", False)),
            "log_filling": log_bytes >= HALF * self._log_max_bytes,
            "log_full": self._grew("citybrain_log_refused_total", '{why="LogFull"}', shown_s=10 * EVERY_S),
            "broker_backlog": self._reported("citybrain_broker_store_bytes") >= HALF * MAX_QUEUED_BYTES,
            "broker_drop": self._grew("citybrain_broker_dropped_messages", shown_s=RECENT_S),
        }
        return {name for name, active in holds.items() if active} | self._more()

    def _reported(self, name: str, labels: str = "") -> float:
        return reported(self._run_dir, "ingest", name, labels) or 0.0

    def _grew(self, name: str, labels: str = "", *, shown_s: float) -> bool:
        """Whether a count rose lately; one that fell belongs to a new process and begins anew."""
        now_ns, count = self._clock.machine_ns(), self._reported(name, labels)
        before, until_ns = self._losses.get(name, (0.0, 0))
        if count > before:
            until_ns = now_ns + int(shown_s * 1e9)
        self._losses[name] = (count, until_ns)
        return now_ns < until_ns

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
            troubles = self.troubles()
            for name, (zh, en) in SYSTEM.items():
                banners().banner(f"system-{name}", name, active=name in troubles, zh=zh, en=en)
            await asyncio.sleep(EVERY_S)
