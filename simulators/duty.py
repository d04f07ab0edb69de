"""The scripted duty desk: one person acknowledges alarms, one works the incidents, the leader ends them.

All over HTTP with their own accounts, at the pace of people (machine seconds): each does one thing at a time, the worst
first. What the server refuses is left for the next round; the list then tells what is to do.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import structlog

from simulators.client import LiveEar, Refused, Session

log = structlog.get_logger()

LOOK_EVERY_S = 2.0  # machine seconds between looks when nothing stirs
NOTICE_S = (1.5, 3.0)  # from showing to touching
ACT_S = (0.4, 0.9)  # between two touches
RANK = {"red": 0, "orange": 1, "yellow": 2, "blue": 3, "": 4}
KIND_RANK = {"hazchem": 0, "flood": 1, "typhoon": 2}
OVER = ("CLOSED", "RECALLED", "SUPERSEDED", "DRAFT")
WAITING = ("REPORTED", "VERIFYING")
ENDED = ("REJECTED", "MERGED", "TERMINATED", "RECOVERY", "REVIEW", "ARCHIVED")


async def _pause(rng: random.Random, span_s: tuple[float, float], pace: float) -> None:
    await asyncio.sleep(rng.uniform(*span_s) * pace)


@dataclass(slots=True, kw_only=True)
class Acknowledger:
    """duty1: reads the alarm queue and acknowledges."""

    session: Session
    ear: LiveEar
    rng: random.Random
    pace: float = 1.0  # of the person: 0.5 takes half the time
    acked: int = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ear.run(), name="live duty1")
            while True:
                waiting = await self._waiting()
                if not waiting:
                    await self.ear.wait(LOOK_EVERY_S)
                    continue
                await _pause(self.rng, NOTICE_S, self.pace)
                for alarm in waiting[:8]:
                    await self._acknowledge(alarm)
                    await _pause(self.rng, ACT_S, self.pace)

    async def _waiting(self) -> list[dict[str, Any]]:
        answer = await self.session.get("/api/v1/alarms", state="open", limit=200)
        waiting = [a for a in answer["items"] if a.get("acked") is None and a["state"] == "firing"]
        return sorted(waiting, key=lambda a: (RANK.get(a["colour"], 4), a["raised_us"]))

    async def _acknowledge(self, alarm: dict[str, Any]) -> None:
        try:
            await self.session.post(f"/api/v1/alarms/{alarm['alarm_id']}/ack", {"comment": "值班员已知悉"})
            self.acked += 1
        except Refused as refused:
            log.info("ack_refused", alarm=alarm["alarm_id"], why=str(refused))


@dataclass(slots=True, kw_only=True)
class IncidentDesk:
    """duty2 verifies incidents, issues their tasks and checks what units report; `leader` ends what is over."""

    session: Session
    leader: Session
    ear: LiveEar
    rng: random.Random
    pace: float = 1.0
    verified: int = 0
    issued: int = 0
    checked: int = 0
    closed: int = 0
    _refused_close: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ear.run(), name="live duty2")
            while True:
                acted = 0
                for incident in await self._open():
                    try:
                        acted += await self._work(incident)
                    except Refused as refused:
                        log.info("desk_refused", incident=incident["incident_id"], why=str(refused))
                if not acted:
                    await self.ear.wait(LOOK_EVERY_S)

    async def _open(self) -> list[dict[str, Any]]:
        answer = await self.session.get("/api/v1/incidents", limit=100)
        found = [i for i in answer["items"] if i["state"] not in ENDED]
        # What waits for a yes or no comes before what is under way.
        return sorted(
            found,
            key=lambda i: (
                i["state"] not in WAITING,
                KIND_RANK.get(i["kind"], 3),
                RANK.get(i["colour"], 4),
                i["opened_us"],
            ),
        )

    async def _work(self, incident: dict[str, Any]) -> int:
        """One round over an incident; the number of touches."""
        incident_id = incident["incident_id"]
        acted = 0
        if incident["state"] in WAITING:
            await _pause(self.rng, NOTICE_S, self.pace)
            await self.session.post(f"/api/v1/incidents/{incident_id}/verify", {"comment": "电话核实属实"})
            self.verified += 1
            acted += 1
        tasks = await self._tasks(incident_id)
        drafts = [t["task_id"] for t in tasks if t["state"] in ("DRAFT", "EXPIRED", "DECLINED")]
        if drafts:
            await _pause(self.rng, ACT_S, self.pace)
            await self.session.post(
                f"/api/v1/incidents/{incident_id}/tasks/issue",
                {"task_ids": drafts},
                key=f"{incident_id}-{'-'.join(drafts)[-120:]}",
            )
            self.issued += len(drafts)
            acted += 1
        for task in tasks:
            acted += await self._check(task)
        return acted + await self._end(incident_id)

    async def _tasks(self, incident_id: str) -> list[dict[str, Any]]:
        answer = await self.session.get("/api/v1/tasks", incident=incident_id)
        return list(answer["items"])

    async def _check(self, task: dict[str, Any]) -> int:
        """A task that its unit reports done is checked, then closed."""
        path = f"/api/v1/tasks/{task['task_id']}"
        state = task["state"]
        if state not in ("REPORTED_DONE", "VERIFIED", "PARTIAL", "FAILED"):
            return 0
        if state == "REPORTED_DONE":
            await _pause(self.rng, ACT_S, self.pace)
            await self.session.post(f"{path}/verify", {"comment": "视频核查通过"})
        await self.session.post(f"{path}/close", {"comment": "办结"})
        self.checked += 1
        return 1

    async def _end(self, incident_id: str) -> int:
        """Close when nothing is open and nothing fires. The server has the last word."""
        detail = await self.session.get(f"/api/v1/incidents/{incident_id}")
        if detail["state"] in ENDED or detail["state"] in WAITING:
            return 0
        tasks_open = any(t["state"] not in OVER for t in detail["tasks"])
        drafts = any(t["state"] == "DRAFT" for t in detail["tasks"])
        firing = any(a["state"] == "firing" for a in detail["alarms"])
        if not detail["tasks"] or tasks_open or drafts or firing:
            return 0
        await _pause(self.rng, NOTICE_S, self.pace)
        if detail["state"] != "CONTROLLED":
            await self.leader.post(f"/api/v1/incidents/{incident_id}/controlled", {"comment": "现场已受控"})
        await self.leader.post(f"/api/v1/incidents/{incident_id}/close", {"comment": "告警解除、任务办结，处置结束"})
        self.closed += 1
        log.info("incident_closed", incident=incident_id)
        return 1
