"""What takes two persons: one proposes, another decides with his own login, and the kind's executor does it in the same
transaction as the decision.

```
PENDING --approve--> EXECUTED       PENDING --reject--> REJECTED
PENDING --withdraw (the proposer)--> WITHDRAWN      PENDING --nobody decided--> EXPIRED
```
An emergency change is applied when it is proposed. It stays PENDING: a second person confirms it (EXECUTED) or takes it back
(REJECTED), and if nobody does until its city time is up, a timer takes it back (EXPIRED).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from command_center.access.records import Approval, ApprovalState
from command_center.authority import MATRIX, Action, may, must_see, require
from command_center.errors import Conflict, Forbidden, IllegalTransition, Invalid, NotFound
from command_center.model import Actor
from command_center.ports import Emit, Store
from command_center.records import Timer
from command_center.work import Env, Work, working

EXPIRES_H = 72.0  # machine time: a weekend; a proposal that nobody decides is proposed anew
EMERGENCY_MAX_H = 24.0  # city time
TIMER, EMERGENCY_TIMER = "approval", "approval_emergency"

TRANSITIONS: Mapping[tuple[ApprovalState, str], ApprovalState] = {
    (ApprovalState.PENDING, "approve"): ApprovalState.EXECUTED,
    (ApprovalState.PENDING, "reject"): ApprovalState.REJECTED,
    (ApprovalState.PENDING, "withdraw"): ApprovalState.WITHDRAWN,
    (ApprovalState.PENDING, "expire"): ApprovalState.EXPIRED,
}

replace = msgspec.structs.replace


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal as its kind understood it: checked, with what stands now."""

    subject: str
    area: str
    title_zh: str
    title_en: str
    payload: dict[str, Any]
    before: dict[str, Any]


class Kind(Protocol):
    """What can be proposed. Registered by name with `Approvals`."""

    name: str
    propose: Action
    decide: Action
    override: Action | None  # who may do it at once in an emergency; None: nobody

    async def prepare(self, actor: Actor, subject: str, payload: Mapping[str, Any]) -> Prepared:
        """Check it all. Raises Invalid, NotFound, Forbidden."""
        ...

    async def apply(self, work: Work, approval: Approval, values: Mapping[str, Any], approver: str) -> dict[str, Any]:
        """Make it so, inside the transaction of the decision; `values` is the payload, or `before` where it is taken back.
        Returns what to show as the result."""
        ...

    async def settle(self) -> None:
        """After the commit: what must leave the database. Must be harmless to repeat, and somebody repeats it."""
        ...


class Approvals:
    """Proposes, decides, withdraws and expires."""

    def __init__(self, store: Store, env: Env, emit: Emit, *kinds: Kind) -> None:
        self._store, self._env, self._emit = store, env, emit
        self._kinds = {kind.name: kind for kind in kinds}

    @property
    def handlers(self) -> Mapping[str, Callable[[Work, Timer], Awaitable[None]]]:
        """For the timer service."""
        return {TIMER: self._expired, EMERGENCY_TIMER: self._expired}

    async def propose(
        self,
        actor: Actor,
        kind_name: str,
        subject: str,
        payload: Mapping[str, Any],
        *,
        source: str,
        reason: str = "",
        asked: str = "",
        emergency_h: float | None = None,
    ) -> Approval:
        """Raises Invalid, NotFound, Forbidden, Conflict (one about this subject is pending)."""
        kind = self._kind(kind_name)
        require(actor, kind.propose)
        if not source.strip():
            raise Invalid("source: the document that the change comes from")
        prepared = await kind.prepare(actor, subject, payload)
        require(actor, kind.propose, area=prepared.area)
        if emergency_h is not None:
            self._check_emergency(actor, kind, emergency_h, reason)
        async with working(self._store, self._env, self._emit, actor) as work:
            await self._check_asked(work, kind, asked)
            if (known := await work.tx.open_approval(kind_name, prepared.subject)) is not None:
                raise Conflict(f"{known.approval_id} about {prepared.subject} is pending: decide or withdraw it first")
            approval = await self._insert(work, kind, prepared, source, reason, asked, emergency_h)
        if approval.emergency:
            await kind.settle()
        return approval

    async def decide(self, actor: Actor, approval_id: str, *, approve: bool, comment: str = "") -> Approval:
        """Raises NotFound, Forbidden (no right, or one's own), IllegalTransition, Conflict (what it started from has changed),
        Invalid (a rejection without words)."""
        if not approve and not comment.strip():
            raise Invalid("comment: a rejection needs a reason")
        async with working(self._store, self._env, self._emit, actor) as work:
            before, kind = await self._visible(work, approval_id)
            require(actor, kind.decide, area=before.area)
            if actor.username == before.proposed_by:
                raise Forbidden(actor.username, kind.decide.value, "proposer and decider must be two persons")
            after = _moved(before, "approve" if approve else "reject", work, actor.username, comment)
            if approve and not before.emergency:
                await self._check_unchanged(kind, before, before.before)
                after = replace(after, result=await kind.apply(work, before, before.payload, actor.username))
            elif before.emergency and not approve:
                after = replace(after, result=await self._take_back(work, kind, before, actor.username))
            await self._store_decision(work, before, after)
        await kind.settle()
        return after

    async def withdraw(self, actor: Actor, approval_id: str, comment: str = "") -> Approval:
        """The proposer's second thought; an emergency change is taken back with it. Raises as `decide`."""
        async with working(self._store, self._env, self._emit, actor) as work:
            before, kind = await self._visible(work, approval_id)
            if actor.username != before.proposed_by:
                raise Forbidden(actor.username, "withdraw a proposal", "only who proposed it withdraws it")
            after = _moved(before, "withdraw", work, "", comment)
            if before.emergency:
                after = replace(after, result=await self._take_back(work, kind, before, ""))
            await self._store_decision(work, before, after)
        await kind.settle()
        return after

    async def list(
        self, actor: Actor, *, state: str = "", limit: int = 100, cursor: str = ""
    ) -> tuple[list[Approval], str | None]:
        """Newest first, those in the actor's area. `state`: a code, or empty for all."""
        require(actor, Action.READ_APPROVALS)
        try:
            states = [ApprovalState(s) for s in state.split(",") if s]
        except ValueError as error:
            raise Invalid(f"state: {error}") from error
        async with self._store.read() as tx:
            found = await tx.approvals(states, limit, cursor)
        shown = [a for a in found if self._shows(actor, a)]
        return shown, found[-1].approval_id if len(found) == limit else None

    async def get(self, actor: Actor, approval_id: str) -> Approval:
        require(actor, Action.READ_APPROVALS)
        async with self._store.read() as tx:
            found = await tx.approval(approval_id)
        if found is None or not self._shows(actor, found):
            raise NotFound("approval", approval_id)
        return found

    # -- inside ----------------------------------------------------------------------------------------------------

    def _shows(self, actor: Actor, approval: Approval) -> bool:
        return approval.proposed_by == actor.username or actor.scope.covers(area=approval.area)

    def _kind(self, name: str) -> Kind:
        if name not in self._kinds:
            raise Invalid(f"kind {name!r}: expected one of {', '.join(sorted(self._kinds)) or 'none'}")
        return self._kinds[name]

    async def _visible(self, work: Work, approval_id: str) -> tuple[Approval, Kind]:
        # By role first: what is there is not told to who could not read it.
        if not any(may(work.actor, kind.decide) or may(work.actor, kind.propose) for kind in self._kinds.values()):
            raise Forbidden(work.actor.username, "decide a proposal", "no role of yours decides any kind of them")
        approval = await work.tx.approval(approval_id)
        if approval is None:
            raise NotFound("approval", approval_id)
        if approval.proposed_by != work.actor.username:
            must_see(work.actor, "approval", approval_id, area=approval.area)
        return approval, self._kind(approval.kind)

    @staticmethod
    def _check_emergency(actor: Actor, kind: Kind, hours: float, reason: str) -> None:
        if kind.override is None:
            raise Invalid(f"emergency: {kind.name} is never done by one person")
        require(actor, kind.override)
        if not 0 < hours <= EMERGENCY_MAX_H:
            raise Invalid(f"hours: {hours:g} is not in 0..{EMERGENCY_MAX_H:g}")
        if not reason.strip():
            raise Invalid("reason: an emergency change needs one")

    @staticmethod
    async def _check_asked(work: Work, kind: Kind, asked: str) -> None:
        if not asked:
            return
        if asked == work.actor.username:
            raise Invalid("approver: author and approver must be two persons")
        record = await work.tx.user(asked)
        roles = MATRIX[kind.decide]
        if record is None or not record.user.enabled or not roles.intersection(record.user.roles):
            raise Invalid(f"approver {asked!r}: expected a user who is {', '.join(sorted(roles))}")

    async def _insert(
        self,
        work: Work,
        kind: Kind,
        prepared: Prepared,
        source: str,
        reason: str,
        asked: str,
        emergency_h: float | None,
    ) -> Approval:
        approval_id = f"A-{await work.tx.next_number('approval'):06d}"
        expires_us = work.machine_us + round(EXPIRES_H * 3600e6)
        approval = Approval(
            approval_id=approval_id,
            kind=kind.name,
            subject=prepared.subject,
            area=prepared.area,
            title_zh=prepared.title_zh,
            title_en=prepared.title_en,
            payload=prepared.payload,
            before=prepared.before,
            source=source,
            reason=reason,
            state=ApprovalState.PENDING,
            proposed_by=work.actor.username,
            proposed_us=work.at_us,
            expires_us=expires_us,
            asked=asked,
            emergency=emergency_h is not None,
            until_us=None if emergency_h is None else work.at_us + round(emergency_h * 3600e6),
        )
        if approval.emergency:
            result = await kind.apply(work, approval, approval.payload, "")
            approval = replace(approval, result=result)
        await work.tx.insert_approval(approval)
        await work.journal("approval", approval_id, "propose", None, approval, reason or source)
        if approval.until_us is not None:
            await work.city_timer(_timer_id(approval_id), EMERGENCY_TIMER, approval_id, approval.until_us)
        else:
            await work.person_timer(_timer_id(approval_id), TIMER, approval_id, EXPIRES_H * 3600)
        return approval

    async def _expired(self, work: Work, timer: Timer) -> None:
        """Nobody decided: a proposal lapses, an emergency change goes back to what stood before."""
        await work.tx.drop_timer(timer.timer_id)
        before = await work.tx.approval(timer.entity_id)
        if before is None or before.state is not ApprovalState.PENDING:
            return
        after = _moved(before, "expire", work, "", "")
        if before.emergency:
            after = replace(after, result=await self._take_back(work, self._kind(before.kind), before, ""))
        await self._store_decision(work, before, after)

    async def _take_back(self, work: Work, kind: Kind, approval: Approval, approver: str) -> dict[str, Any]:
        try:
            await self._check_unchanged(kind, approval, approval.payload)
        except Conflict as error:
            return {"kept": str(error)}  # somebody changed it meanwhile by a way of his own: that stands
        return await kind.apply(work, approval, approval.before, approver)

    @staticmethod
    async def _check_unchanged(kind: Kind, approval: Approval, expected: Mapping[str, Any]) -> None:
        now = await kind.prepare(Actor(username="system"), approval.subject, approval.payload)
        if now.before != expected:
            raise Conflict(f"{approval.subject} was changed since {approval.approval_id} was proposed: propose it anew")

    @staticmethod
    async def _store_decision(work: Work, before: Approval, after: Approval) -> None:
        if not await work.tx.update_approval(after, rev=before.rev, states=[before.state]):
            raise Conflict(f"approval {before.approval_id} was decided by somebody else meanwhile; reload it")
        await work.tx.drop_timer(_timer_id(before.approval_id))
        await work.journal("approval", before.approval_id, after.state.value.lower(), before, after, after.comment)


def _moved(approval: Approval, event: str, work: Work, by: str, comment: str) -> Approval:
    state = TRANSITIONS.get((approval.state, event))
    if state is None:
        raise IllegalTransition("approval", approval.approval_id, approval.state.value, event)
    return replace(approval, state=state, decided_by=by, decided_us=work.at_us, comment=comment, rev=approval.rev + 1)


def _timer_id(approval_id: str) -> str:
    return f"approval:{approval_id}"
