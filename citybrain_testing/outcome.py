"""What came of a run, asked at the public doors and compared with what the devices were promised."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rules.transitions import Kind, Transition
from runtime.supervisor import start_time
from simulators.ledger import read_ledger

ARTIFACTS = Path(__file__).resolve().parents[1] / "test-artifacts"
PAGE = 10_000


def write_artifact(name: str, content: Any) -> Path:
    """Keep evidence as JSON under test-artifacts/."""
    ARTIFACTS.mkdir(exist_ok=True)
    path = ARTIFACTS / name
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, default=str), encoding="utf-8")
    return path


# --- HTTP


def get(client: httpx.Client, path: str, **params: Any) -> Any:
    answer = client.get(path, params=params)
    answer.raise_for_status()
    return answer.json()


def pages(client: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    """All items of a paged list."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = get(client, path, **params, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page.get("next") or ""
        if not cursor:
            return items


Stored = dict[tuple[str, str], list[int]]


def stored_times(
    admin: httpx.Client, from_us: int, to_us: int, *, only: Callable[[str], bool] = lambda device_id: True
) -> Stored:
    """(device, property) -> phenomenon times in the database."""
    found: Stored = {}
    for device in pages(admin, "/api/v1/devices"):
        for stream in device["datastreams"] if only(device["device_id"]) else ():
            times: list[int] = []
            at_us = from_us
            while True:
                path = f"/api/v1/datastreams/{stream['datastream']}/observations"
                rows = get(admin, path, **{"from": at_us, "to": to_us, "limit": PAGE})["items"]
                times += [int(row["phenomenon_us"]) for row in rows]
                if len(rows) < PAGE:
                    break
                at_us = times[-1] + 1
            found[device["device_id"], stream["property"]] = times
    return found


# --- the ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The devices' ledger against the database: confirmed values, those missing, those there twice."""

    confirmed: int
    lost: int
    duplicates: int


def balance(ledger: Path, stored: Stored) -> Balance:
    """A record of a device whose clock was wrong is stored at its receive time: those are counted, not matched by time."""
    by_time = {key: Counter(times) for key, times in stored.items()}
    confirmed = lost = 0
    faulty: Counter[tuple[str, str]] = Counter()
    expected: dict[tuple[str, str], set[int]] = {}
    for entry in read_ledger(ledger):
        for key in entry.keys:
            pair = entry.device_id, key
            confirmed += 1
            if entry.clock_fault:
                faulty[pair] += 1
            else:
                expected.setdefault(pair, set()).add(entry.ts_ms * 1000)
                lost += entry.ts_ms * 1000 not in by_time.get(pair, {})
    for pair, count in faulty.items():
        others = sum(at_us not in expected.get(pair, set()) for at_us in stored.get(pair, []))
        lost += max(0, count - others)
    twice = sum(n - 1 for counts in by_time.values() for n in counts.values())
    return Balance(confirmed=confirmed, lost=lost, duplicates=twice)


# --- alarms


def raised_twice(alarms: Iterable[dict[str, Any]]) -> int:
    """Episodes of one rule and subject that overlap in time: an alarm raised while it was firing already."""
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for alarm in alarms:
        key = alarm["rule_id"], alarm["subject"]["id"]
        spans.setdefault(key, []).append((alarm["raised_us"], alarm["cleared_us"] or 2**62))
    twice = 0
    for episodes in spans.values():
        episodes.sort()
        twice += sum(later[0] < earlier[1] for earlier, later in itertools.pairwise(episodes))
    return twice


def transition_faults(transitions: Iterable[Transition]) -> list[str]:
    """What must not be in a log of transitions: a number used twice or left out, a raise of what is raised already."""
    faults: list[str] = []
    numbers: dict[str, int] = {}
    open_episode: dict[tuple[str, str], str] = {}
    for transition in transitions:
        name = f"{transition.rule_id} {transition.subject.id} {transition.alarm_id}"
        if transition.kind is Kind.LATE_EXCEEDANCE:
            continue
        expected = numbers.get(transition.alarm_id, 0) + 1
        if transition.n != expected:
            faults.append(f"{name}: number {transition.n} ({transition.kind}), expected {expected}")
        numbers[transition.alarm_id] = max(transition.n, expected)
        subject = transition.rule_id, transition.subject.id
        if transition.kind is Kind.RAISED:
            if subject in open_episode:
                faults.append(f"{name}: raised while {open_episode[subject]} is open")
            open_episode[subject] = transition.alarm_id
        elif transition.kind is Kind.CLEARED:
            open_episode.pop(subject, None)
    return faults


# --- processes


def family(root: int) -> dict[int, int]:
    """pid -> start time of a process and everything below it, and of the sessions that they lead."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(folder.name))
    found: dict[int, int] = {}
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        started = start_time(pid)
        if started is not None:
            found[pid] = started
        waiting += parents.get(pid, [])
    return found


def survivors(processes: dict[int, int], data_dir: Path) -> list[str]:
    """Those of `processes` that still live, and whatever else on this machine names the data directory."""
    left = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        pid = int(folder.name)
        started = start_time(pid)
        if started is None:
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        ours = f"{data_dir} " in f"{command} " or f"{data_dir}/" in command
        if processes.get(pid) == started or ours:
            left.append(f"{pid} {command[:120]}")
    return left
