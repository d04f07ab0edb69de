"""Signs the head of the journal at start, at stop and at least hourly, keeps it here and sends it off the host.

Runs in the role `command`. Machine time throughout: how long nothing has left the host does not depend on the city's clock.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import Counter, Gauge

from command_center.anchors import Anchor, Signer, Why, load_public, parse_anchors, read_anchors
from command_center.errors import Unavailable
from command_center.ports import Store
from devices.clock import Clock
from runtime.anchor_sinks import DiskQueue, NotTaken, Sink, build_sinks
from runtime.secrets import ServiceSecrets, read_json, write_json, write_private
from runtime.settings import Settings

log = structlog.get_logger()

OVERDUE_S = 7_200.0  # two missed hours: one sink that is restarted is no alarm
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 60.0
DATABASE_RETRY_S = 2.0
STOP_TIMEOUT_S = 2.0  # the ordered stop has a deadline; what is not sent by then goes at the next start
KEPT_MAX = 10_000  # on this host, a year of hours; whoever needs older ones asks the sinks

TAKEN = Counter("citybrain_anchors_taken", "Anchors that a sink has taken", ["sink"])
REFUSED = Counter("citybrain_anchors_refused", "Attempts that a sink refused", ["sink"])
DROPPED = Counter("citybrain_anchors_dropped", "Anchors that went from a full queue", ["sink"])
WAITING = Gauge("citybrain_anchors_waiting", "Anchors that wait for a sink", ["sink"])


def audit_dir(data_dir: Path) -> Path:
    return data_dir / "audit"


def public_key_file(data_dir: Path) -> Path:
    return audit_dir(data_dir) / "journal-public.pem"


def signer_of(secrets: ServiceSecrets) -> Signer:
    return Signer(base64.b64decode(secrets.journal_key))


def public_keys(data_dir: Path) -> list[Ed25519PublicKey]:
    """The keys that this installation signs with and has signed with (`journal-public*.pem`)."""
    return [load_public(path.read_bytes()) for path in sorted(audit_dir(data_dir).glob("journal-public*.pem"))]


class AnchorService:
    """Implements `command_center.audit.Anchors`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        signer: Signer,
        *,
        data_dir: Path,
        tenant: str,
        kind: str,
        sinks: Sequence[Sink],
        every_s: float,
    ) -> None:
        self.tenant = tenant
        self._store, self._clock, self._signer, self._kind, self._every_s = store, clock, signer, kind, every_s
        self._data_dir, self._folder = data_dir, audit_dir(data_dir) / "anchors"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(public_key_file(data_dir), signer.public_pem)
        self._sinks = [(sink, self._queue(sink), asyncio.Event()) for sink in sinks]
        self._taken_file = audit_dir(data_dir) / "taken.json"
        self._taken: dict[str, int] = read_json(self._taken_file) or {}
        self._since_us = self._taken.setdefault("since", clock.machine_us())
        write_json(self._taken_file, self._taken)  # a restart does not begin the two hours anew
        self._latest: Anchor | None = None

    def _queue(self, sink: Sink) -> DiskQueue:
        name = hashlib.sha256(sink.name.encode()).hexdigest()[:16]
        return DiskQueue(audit_dir(self._data_dir) / "queue" / name)

    async def run(self) -> None:
        """Until cancelled; then one last anchor, within two seconds."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take_for_ever(), name="anchors-take")
                for sink, queue, waits in self._sinks:
                    group.create_task(self._deliver_for_ever(sink, queue, waits), name=f"anchors-{sink.name}")
        finally:
            with contextlib.suppress(TimeoutError, Unavailable, OSError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self.take(Why.STOP)
                    await asyncio.gather(*(self._deliver(sink, queue) for sink, queue, _ in self._sinks))

    async def _take_for_ever(self) -> None:
        why = Why.START
        while True:
            try:
                await self.take(why)
            except (Unavailable, OSError) as error:  # a full disk must not end the process that people work with
                log.warning("journal_not_anchored", why=str(error))
                await asyncio.sleep(DATABASE_RETRY_S)
                continue
            why = Why.HOURLY
            await asyncio.sleep(self._every_s)

    async def take(self, why: Why) -> Anchor:
        """Sign the head as it is now, keep it, and put it into every queue. Raises Unavailable."""
        async with self._store.read() as tx:
            head = await tx.journal_head()
        anchor = self._signer.anchor(
            head,
            tenant=self.tenant,
            kind=self._kind,
            why=why,
            city_us=self._clock.city_us(),
            machine_us=self._clock.machine_us(),
        )
        await asyncio.to_thread(self._keep, anchor)
        for sink, queue, waits in self._sinks:
            before = queue.dropped
            queue.put(anchor)
            DROPPED.labels(sink.name).inc(queue.dropped - before)
            WAITING.labels(sink.name).set(len(queue.waiting()))
            waits.set()
        log.info("journal_anchored", why=why, seq=head.seq, sinks=len(self._sinks))
        return anchor

    def _keep(self, anchor: Anchor) -> None:
        write_private(self._folder / anchor.file_name, anchor.line.decode() + "\n")
        for old in sorted(self._folder.glob("*.json"))[:-KEPT_MAX]:
            old.unlink(missing_ok=True)
        self._latest = anchor

    async def _deliver_for_ever(self, sink: Sink, queue: DiskQueue, waits: asyncio.Event) -> None:
        retry_s = RETRY_FIRST_S
        while True:
            waits.clear()
            if await self._deliver(sink, queue):
                retry_s = RETRY_FIRST_S
                await waits.wait()
            else:
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_MAX_S)

    async def _deliver(self, sink: Sink, queue: DiskQueue) -> bool:
        """Send what waits, oldest first; False when the sink refuses one."""
        for path in queue.waiting():
            for anchor in parse_anchors(path.read_text()):
                try:
                    await sink.send(anchor)
                except (NotTaken, OSError) as error:
                    REFUSED.labels(sink.name).inc()
                    log.warning("anchor_not_taken", sink=sink.name, waiting=len(queue.waiting()), why=str(error))
                    return False
                TAKEN.labels(sink.name).inc()
                self._taken[sink.name] = self._clock.machine_us()
                write_json(self._taken_file, self._taken)
            path.unlink(missing_ok=True)
            WAITING.labels(sink.name).set(len(queue.waiting()))
        return True

    # -- what others ask

    def troubles(self) -> set[str]:
        """Which of `runtime.health.SYSTEM` hold: nothing has left the host for two hours, or nothing can."""
        if not self._sinks:
            return {"anchor_nowhere"} if self._kind == "real" else set()
        return {"anchor_overdue"} if self.overdue else set()

    @property
    def overdue(self) -> bool:
        last_us = max(self._taken.get(sink.name, self._since_us) for sink, _, _ in self._sinks) if self._sinks else 0
        return bool(self._sinks) and self._clock.machine_us() - last_us > OVERDUE_S * 1e6

    def report(self) -> Mapping[str, Any]:
        sinks = [
            {
                "name": sink.name,
                "waiting": len(queue.waiting()),
                "dropped": queue.dropped,
                "taken_us": self._taken.get(sink.name),
            }
            for sink, queue, _ in self._sinks
        ]
        return {"sinks": sinks, "overdue": self.overdue, "off_host": bool(sinks)}

    def latest(self) -> Anchor | None:
        return self._latest

    def kept(self, after: int) -> list[tuple[str, Anchor]]:
        return kept_anchors(self._data_dir, after=after)

    def keys(self) -> list[Ed25519PublicKey]:
        return public_keys(self._data_dir)

    def public_pem(self) -> str:
        return self._signer.public_pem


def kept_anchors(data_dir: Path, *, after: int = 0) -> list[tuple[str, Anchor]]:
    """Those that this host keeps itself, oldest first. Whoever owns the host can change them: others keep the proof."""
    return read_anchors(audit_dir(data_dir) / "anchors", after=after)


def anchor_service(settings: Settings, secrets: ServiceSecrets, store: Store, clock: Clock) -> AnchorService:
    return AnchorService(
        store,
        clock,
        signer_of(secrets),
        data_dir=settings.data_dir,
        tenant=settings.tenant,
        kind=settings.tenant_kind,
        sinks=build_sinks(settings),
        every_s=settings.anchor_every_s,
    )
