#!/usr/bin/env python3
"""What scripts/fresh-machine runs inside the bare machine: process 1 of its own process namespace, standard library alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
INSTALL_TIMEOUT_S = 900.0
START_TIMEOUT_S = 120.0
FIRST_ALARM_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
BASE = f"http://127.0.0.1:{os.environ.get('CITYBRAIN_PORT', '8480')}"


def say(text: str) -> None:
    print(f"fresh-machine: {text}", flush=True)


def call(path: str, body: dict[str, str] | None = None, token: str = "") -> bytes | None:
    """Answer of a request, or None while nobody answers or the answer is an error."""
    request = urllib.request.Request(BASE + path, data=None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            content: bytes = answer.read()
            return content
    except (urllib.error.URLError, OSError):
        return None


def until(what: str, timeout_s: float, condition: object, child: subprocess.Popen[bytes]) -> float:
    assert callable(condition)
    began = time.monotonic()
    while not condition():
        if child.poll() is not None:
            sys.exit(f"make demo ended with status {child.returncode} before: {what}")
        if time.monotonic() - began > timeout_s:
            child.kill()
            sys.exit(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.25)
    took = time.monotonic() - began
    say(f"{what}: after {took:.1f} s")
    return took


def others() -> list[str]:
    """Command lines of every process but ours; the ended are reaped on the way (we are process 1)."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        if int(place.name) == os.getpid():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if ") Z " not in (place / "stat").read_text():
                found.append(
                    (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:120]
                )
    return found


def alarms() -> int:
    """How many alarms the desk sees, through the public door with a generated login."""
    logins = next(CHECKOUT.glob("var/**/secrets/logins.json"), None)
    if logins is None:
        return 0
    password = json.loads(logins.read_text())["duty1"]
    session = call(
        "/api/v1/sessions",
        {"username": "duty1", "password": password if isinstance(password, str) else password["password"]},
    )
    if session is None:
        return 0
    answer = call("/api/v1/alarms?state=all", token=json.loads(session)["token"])
    return 0 if answer is None else len(json.loads(answer)["items"])


def demo_once(install_timeout_s: float) -> int:
    child = subprocess.Popen(["make", "demo"], cwd=CHECKOUT, start_new_session=True, stdin=subprocess.DEVNULL)
    until("ready (/readyz is green)", install_timeout_s, lambda: call("/readyz") is not None, child)
    until("the wall page loads", START_TIMEOUT_S, lambda: b"<script" in (call("/wall") or b""), child)
    until("the first alarm", FIRST_ALARM_TIMEOUT_S, lambda: alarms() > 0, child)
    seen = alarms()
    began = time.monotonic()
    os.killpg(child.pid, signal.SIGINT)
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        sys.exit(f"still running {STOP_TIMEOUT_S:g} s after Ctrl-C: {others()}")
    say(f"ended {time.monotonic() - began:.1f} s after Ctrl-C with status {child.returncode}")
    left = others()
    if left:
        sys.exit(f"processes left behind: {left}")
    return seen


def demo() -> None:
    seen = demo_once(INSTALL_TIMEOUT_S + START_TIMEOUT_S)
    say("starting again")
    again = demo_once(START_TIMEOUT_S)
    if again < seen:
        sys.exit(f"{seen} alarms before the restart, {again} after it: data was not kept")
    say(f"{seen} alarms before the restart, {again} after it")


def main() -> None:
    os.chdir(CHECKOUT)
    what = sys.argv[1]
    if what == "demo":
        demo()
    elif what == "bootstrap":
        sys.exit(subprocess.run(["python3", "scripts/bootstrap.py"], check=False).returncode)
    else:
        sys.exit(subprocess.run(["make", "test"], check=False).returncode)


if __name__ == "__main__":
    main()
