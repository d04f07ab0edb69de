"""The whole system as a child process, driven through its doors: for acceptance tests and benchmarks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from websockets.sync.client import ClientConnection, connect

from citybrain_testing.documented import Documented

T = TypeVar("T")

READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
ROOT = Path(__file__).resolve().parents[1]


class NotReadyInTime(Exception):
    """`citybrain up` said nothing of being ready; the text has what it said."""


class System:
    """One `citybrain up`. Use `start()`/`stop()`, or `running(...)` as a context."""

    def __init__(
        self,
        data_dir: Path,
        *,
        args: Sequence[str] = ("--demo",),
        env: dict[str, str] | None = None,
        answers_checked: bool = True,
    ) -> None:
        self.data_dir, self.answers_checked = data_dir, answers_checked
        self._documented: Documented | None = None
        self._args = [*args, "--data-dir", str(data_dir), "--port", "0", "--https-port", "0", "--json"]
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self.output = data_dir.parent / f"{data_dir.name}.out"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> dict[str, Any]:
        """Start and wait for `ready`. Raises NotReadyInTime with the output."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runtime", "up", *self._args],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and self._process.poll() is None:
            for line in self.output.read_text(errors="replace").splitlines():
                if line.startswith("ready "):
                    self.ready = json.loads(line.removeprefix("ready "))
                    return self.ready
            time.sleep(POLL_S)
        text = self.output.read_text(errors="replace")
        self.stop()
        raise NotReadyInTime(text[-6000:] + self.logs())

    def stop(self) -> float:
        """Ctrl-C; returns the seconds until it was gone. Raises subprocess.TimeoutExpired after 15 s (and kills it)."""
        process = self._process
        if process is None or process.poll() is not None:
            return 0.0
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return time.monotonic() - began

    def kill_supervisor(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def children(self) -> dict[str, int]:
        """pid by name of everything that the supervisor started, itself included."""
        rows = json.loads((self.data_dir / "run" / "children.json").read_text())
        return {row["name"]: row["pid"] for row in rows}

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads((self.data_dir / "run" / "status.json").read_text())
        return status

    def kill(self, name: str) -> int:
        """`kill -9` of one child; returns the pid that died."""
        pid = self.children()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def logs(self, lines: int = 12) -> str:
        """The last lines of every child's log."""
        texts = []
        for path in sorted((self.data_dir / "logs").glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            texts.append(f"\n--- {path.name}\n" + "\n".join(tail))
        return "".join(texts)

    # --- the doors

    @property
    def base_url(self) -> str:
        url: str = self.ready["http"]
        return url

    def secret(self, name: str) -> Any:
        return json.loads((self.data_dir / "secrets" / f"{name}.json").read_text())

    def login(self, username: str) -> httpx.Client:
        """A client with the user's bearer token. An answer that the system's own document does not have is an AssertionError."""
        hooks = {"response": [self._held]} if self.answers_checked else {}
        client = httpx.Client(base_url=self.base_url, timeout=20.0, event_hooks=hooks)
        body = {"username": username, "password": self.secret("logins")[username]}
        answer = client.post("/api/v1/sessions", json=body)
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client

    def _held(self, answer: httpx.Response) -> None:
        if self._documented is None:
            self._documented = Documented(httpx.get(f"{self.base_url}/openapi.json", timeout=20.0).json())
        answer.read()
        if complaint := self._documented.complaint_about(answer):
            raise AssertionError(f"{answer.request.method} {answer.request.url}: not as documented: {complaint}")

    @contextmanager
    def live(self, client: httpx.Client) -> Iterator[ClientConnection]:
        """A websocket that has said hello with the client's token."""
        token = client.headers["Authorization"].removeprefix("Bearer ")
        hello = {
            "type": "hello",
            "token": token,
            "client": {"name": "test", "ver": "1", "kind": "console"},
            "lang": "zh",
        }
        with connect(self.base_url.replace("http", "ws", 1) + "/api/v1/live", max_size=2**22) as socket:
            socket.send(json.dumps([hello]))
            yield socket


@contextmanager
def running(
    data_dir: Path, *, args: Sequence[str] = ("--demo",), env: dict[str, str] | None = None
) -> Iterator[System]:
    system = System(data_dir, args=args, env=env)
    system.start()
    try:
        yield system
    finally:
        system.stop()


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float, *, every_s: float = POLL_S) -> T:
    """The first answer of `look` that is not None (or False); AssertionError naming `what` after the timeout."""
    end = time.monotonic() + timeout_s
    last: Any = None
    while time.monotonic() < end:
        last = look()
        if last is not None and last is not False:
            return last  # type: ignore[no-any-return]
        time.sleep(every_s)
    raise AssertionError(f"not within {timeout_s} s: {what} (last: {last!r})")
