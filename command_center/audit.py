"""Reading the journal and checking it, for people: who may, and that their reading is journalled too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from command_center import chain
from command_center.anchors import Anchor, check_anchors
from command_center.authority import Action, require
from command_center.chain import Break, Head, Verifier
from command_center.cursors import row_number
from command_center.errors import Invalid
from command_center.journal import JournalQuery, JournalTx
from command_center.model import Actor, JournalEntry
from command_center.ports import Emit, Store
from command_center.sensitive import READ
from command_center.work import Env, working

PAGE_MAX = 1_000
WALK_ROWS = 2_000
LAST_DEFAULT, LAST_MAX = 20_000, 200_000  # rows that a check behind the HTTP door reads; the command line reads all


class Anchors(Protocol):
    """What the anchor service of this process knows (`runtime.anchors.AnchorService`)."""

    tenant: str

    def latest(self) -> Anchor | None:
        """The newest one that this process has signed."""
        ...

    def kept(self, after: int) -> Sequence[tuple[str, Anchor]]:
        """(where, anchor) of those that this host has kept, of rows above `after`. Reads files: call it from a thread."""
        ...

    def keys(self) -> Sequence[Ed25519PublicKey]: ...
    def public_pem(self) -> str: ...
    def report(self) -> Mapping[str, Any]:
        """`{sinks: [{name, waiting, dropped, taken_us}], overdue, off_host}`."""
        ...


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of the chain found. `from_seq` above 1: older rows were not read."""

    ok: bool
    from_seq: int
    head: Head
    rows: int
    anchors_checked: int
    breaks: list[Break]


class AuditService:
    """`anchors` None: this process signs none (a tenant that is being filled, tests)."""

    def __init__(self, store: Store, env: Env, emit: Emit, anchors: Anchors | None = None) -> None:
        self._store, self._env, self._emit, self._anchors = store, env, emit, anchors

    async def read(
        self, actor: Actor, query: JournalQuery, *, limit: int = 200, cursor: str = ""
    ) -> tuple[list[JournalEntry], str | None]:
        """Newest first; `cursor` is the number of the last row seen. The reading itself becomes a row.

        Rows have no area, so a person limited to areas reads none. Raises Forbidden, Invalid.
        """
        require(actor, Action.JOURNAL, area="")
        before = row_number(cursor)
        if not 1 <= limit <= PAGE_MAX:
            raise Invalid(f"limit {limit}: expected 1 to {PAGE_MAX}")
        async with working(self._store, self._env, self._emit, actor) as work:
            found = await work.tx.journal_page(query, limit, before)
            what = {**msgspec.to_builtins(query), "rows": len(found)}
            await work.journal(chain.JOURNAL, "", READ, None, what)
        return found, str(found[-1].seq) if len(found) == limit else None

    async def head(self, actor: Actor) -> dict[str, Any]:
        """The end of the chain now, and the newest anchor with what became of it."""
        require(actor, Action.AUDIT_HEAD)
        async with self._store.read() as tx:
            head = await tx.journal_head()
        answer: dict[str, Any] = {"head": msgspec.to_builtins(head), "anchor": None, "public_key": ""}
        if self._anchors is not None:
            answer["anchor"] = msgspec.to_builtins(self._anchors.latest())
            answer |= {"public_key": self._anchors.public_pem(), **self._anchors.report()}
        return answer

    async def verify(self, actor: Actor, *, last: int = LAST_DEFAULT) -> Finding:
        """Check the newest `last` rows against each other and against the anchors that this host has kept. Journalled."""
        require(actor, Action.AUDIT_VERIFY)
        if not 1 <= last <= LAST_MAX:
            raise Invalid(f"last {last}: expected 1 to {LAST_MAX}")
        async with self._store.read() as tx:
            finding = await self._check(tx, last)
        async with working(self._store, self._env, self._emit, actor) as work:
            what = {"rows": finding.rows, "head": finding.head.seq, "breaks": len(finding.breaks)}
            await work.journal(chain.JOURNAL, "", "verify", None, what)
        return finding

    async def _check(self, tx: JournalTx, last: int) -> Finding:
        head = await tx.journal_head()
        start = max(0, head.seq - last)
        good, forged = await asyncio.to_thread(self._checked_anchors, start)
        before = await tx.journal_walk(start - 1, 1, start) if start else []
        verifier = Verifier(good, after=before[0] if before else None)
        await feed(verifier, tx, start if before else 0)
        breaks = [*forged, *verifier.finish()]
        return Finding(
            ok=not breaks,
            from_seq=start + 1 if before else 1,
            head=verifier.head,
            rows=verifier.rows,
            anchors_checked=verifier.anchors_checked,
            breaks=breaks,
        )

    def _checked_anchors(self, start: int) -> tuple[list[tuple[str, Anchor]], list[Break]]:
        if self._anchors is None:
            return [], []
        return check_anchors(self._anchors.kept(start), self._anchors.keys(), self._anchors.tenant)


async def feed(verifier: Verifier, tx: JournalTx, after: int) -> None:
    """Give the verifier every row above `after`, some thousand at a time."""
    while rows := await tx.journal_walk(after, WALK_ROWS):
        verifier.extend(rows)
        after = rows[-1].seq
