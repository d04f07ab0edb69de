"""Messages to people outside: written in the transaction that causes them, sent afterwards, never twice, never from what is not real.

A message is a row. Its recipient is sealed; its key makes a replayed transaction write it once. The sender reads what is due and
gives it to a sink. In a tenant that is not real the only sink that can be made is `Swallow`: the factory takes a proof that only
the settings of a real tenant give (`command_center/reality.py`), and the sinks that reach out ask for it again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, final

import msgspec
import structlog

from command_center.access.personal import Sealer, Unsealable
from command_center.errors import IllegalTransition, Unavailable
from command_center.reality import NotReal, RealTenant, require_real
from devices.clock import Clock

log = structlog.get_logger(__name__)
replace = msgspec.structs.replace

ATTEMPTS_MAX = 8  # 1 s, 2 s, ... about four minutes: after that a person must be reached otherwise, and is told so
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 60.0
BATCH = 50
EVERY_S = 0.5
SEND_TIMEOUT_S = 15.0  # one channel's turn; then the next one (design.md section 1)
TENANT_WORDS = {"demo": "【演示】", "exercise": "【演练】", "test": "【测试】"}


class OutboxState(StrEnum):
    QUEUED = "QUEUED"
    SENT = "SENT"  # a sink has taken it
    DELIVERED = "DELIVERED"  # the other side says that the person has it
    FAILED = "FAILED"
    SWALLOWED = "SWALLOWED"  # the tenant is not real: recorded, sent nowhere


class Happened(StrEnum):
    TAKEN = "taken"
    REFUSED = "refused"
    GIVEN_UP = "given up"
    CONFIRMED = "confirmed"
    BOUNCED = "bounced"
    SWALLOWED = "swallowed"


TRANSITIONS: Mapping[tuple[OutboxState, Happened], OutboxState] = {
    (OutboxState.QUEUED, Happened.TAKEN): OutboxState.SENT,
    (OutboxState.QUEUED, Happened.REFUSED): OutboxState.QUEUED,
    (OutboxState.QUEUED, Happened.GIVEN_UP): OutboxState.FAILED,
    (OutboxState.QUEUED, Happened.SWALLOWED): OutboxState.SWALLOWED,
    (OutboxState.SENT, Happened.CONFIRMED): OutboxState.DELIVERED,
    (OutboxState.SENT, Happened.BOUNCED): OutboxState.FAILED,
}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one person. `recipient` is sealed for the place `outbox/{message_id}`; times are machine time but `at_us`."""

    message_id: str
    key: str  # one message per key, whatever is replayed
    kind: str
    entity: str
    entity_id: str
    recipient: str
    text: str
    state: OutboxState = OutboxState.QUEUED
    attempts: int = 0
    at_us: int
    next_us: int
    changed_us: int
    sink: str = ""
    error: str = ""


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a sink must reach. In clear only between unsealing and sending."""

    username: str
    name: str = ""
    phone: str = ""


class OutboxTx(Protocol):
    """The outbox's part of `command_center.ports.Tx`."""

    async def put_message(self, message: Message) -> bool:
        """False when a message with this key stands already."""
        ...

    async def message(self, message_id: str) -> Message | None: ...
    async def due_messages(self, machine_us: int, limit: int) -> list[Message]: ...
    async def move_message(self, message: Message, *, before: OutboxState, attempts: int) -> bool:
        """False when it is no longer in that state with so many attempts: somebody else was here."""
        ...


class _Store(Protocol):
    def read(self) -> Any: ...
    def write(self) -> Any: ...


def advance(message: Message, happened: Happened, machine_us: int, *, sink: str = "", error: str = "") -> Message:
    """The message after something happened to it. Raises IllegalTransition."""
    state = TRANSITIONS.get((message.state, happened))
    if state is None:
        raise IllegalTransition("message", message.message_id, message.state, happened)
    attempts = message.attempts + (happened in (Happened.TAKEN, Happened.REFUSED, Happened.GIVEN_UP))
    wait_s = min(RETRY_FIRST_S * 2**message.attempts, RETRY_MAX_S) if happened is Happened.REFUSED else 0.0
    return replace(
        message,
        state=state,
        attempts=attempts,
        next_us=machine_us + round(wait_s * 1e6),
        changed_us=machine_us,
        sink=sink or message.sink,
        error=error,
    )


# -- writing


class Outbox:
    """Puts messages into the transaction of whoever causes them. `kind` is the tenant's."""

    def __init__(self, sealer: Sealer, kind: str) -> None:
        self._sealer, self._prefix = sealer, TENANT_WORDS.get(kind, "")

    def opened(self, sealed: str, place: str) -> str:
        """A number that was sealed elsewhere, on its way into a message, where it is sealed again. Raises Unsealable."""
        return self._sealer.unseal(sealed, place)

    async def put(
        self,
        tx: OutboxTx,
        *,
        key: str,
        kind: str,
        entity: str,
        entity_id: str,
        to: Recipient,
        text: str,
        at_us: int,
        machine_us: int,
    ) -> bool:
        """Queue a message; False when this key was queued before. What is not real says so in its first word."""
        message_id = hashlib.blake2b(key.encode(), digest_size=10).hexdigest()
        sealed = self._sealer.seal(msgspec.json.encode(to).decode(), place(message_id))
        return await tx.put_message(
            Message(
                message_id=message_id,
                key=key,
                kind=kind,
                entity=entity,
                entity_id=entity_id,
                recipient=sealed,
                text=self._prefix + text,
                at_us=at_us,
                next_us=machine_us,
                changed_us=machine_us,
            )
        )


def place(message_id: str) -> str:
    return f"outbox/{message_id}"


# -- sending


class NotSent(Exception):
    """A sink did not take the message; it is tried again."""


class Sink(Protocol):
    """Sends one message; returns when the other side has taken it. Raises NotSent. Sending twice must do no harm there: the
    message's id goes along."""

    name: str

    async def send(self, message: Message, to: Recipient) -> None: ...


@final
class Swallow:
    """The sink of every tenant that is not real: takes everything, tells nobody."""

    name = "swallow"

    async def send(self, message: Message, to: Recipient) -> None:
        """Nothing leaves."""


class RealSink:
    """What every sink that reaches outside is built on: it cannot be made without the proof of a real tenant."""

    name = ""

    def __init__(self, proof: RealTenant) -> None:
        self._tenant = require_real(proof).tenant

    async def send(self, message: Message, to: Recipient) -> None:
        raise NotImplementedError


def sink_for(kind: str, proof: RealTenant | None, build: Callable[[RealTenant], RealSink | None]) -> Sink | None:
    """The sink of a tenant. `build` is called for a real one only, with its proof; it may give None: nothing is set up yet.

    Raises NotReal when a tenant that is not real comes with a proof, or a builder gives something else than it may.
    """
    if kind != "real":
        if proof is not None:
            raise NotReal(f"a tenant of kind {kind!r} has no use for a proof of a real one")
        return Swallow()
    made = build(require_real(proof))
    if made is not None and not isinstance(made, RealSink):
        raise NotReal(f"{type(made).__name__} reaches outside without asking for the proof")
    return made


class Sender:
    """Takes what is due to the sink, oldest first. One per tenant, in the role `command`.

    A crash between sending and the mark sends again, with the same id. A sink that is None leaves everything queued.
    """

    def __init__(self, store: _Store, clock: Clock, sealer: Sealer, sink: Sink | None) -> None:
        self._store, self._clock, self._sealer, self._sink = store, clock, sealer, sink

    async def run(self) -> None:
        while True:
            try:
                done = await self.step()
            except Unavailable:
                done = 0
            await asyncio.sleep(0 if done == BATCH else EVERY_S)

    async def step(self) -> int:
        """Send what is due; returns how many messages were looked at. Raises Unavailable."""
        if self._sink is None:
            return 0
        async with self._store.read() as tx:
            due: Sequence[Message] = await tx.due_messages(self._clock.machine_us(), BATCH)
        for message in due:
            after = await self._try(message, self._sink)
            async with self._store.write() as tx:
                await tx.move_message(after, before=message.state, attempts=message.attempts)
        return len(due)

    async def _try(self, message: Message, sink: Sink) -> Message:
        try:
            to = msgspec.json.decode(self._sealer.unseal(message.recipient, place(message.message_id)), type=Recipient)
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await sink.send(message, to)
        except (NotSent, TimeoutError) as error:
            last = message.attempts + 1 >= ATTEMPTS_MAX
            log.warning("message_not_sent", message=message.message_id, kind=message.kind, sink=sink.name, last=last)
            happened = Happened.GIVEN_UP if last else Happened.REFUSED
            return advance(message, happened, self._clock.machine_us(), sink=sink.name, error=_words(error))
        except (Unsealable, msgspec.MsgspecError) as error:
            return advance(message, Happened.GIVEN_UP, self._clock.machine_us(), sink=sink.name, error=_words(error))
        happened = Happened.SWALLOWED if isinstance(sink, Swallow) else Happened.TAKEN
        return advance(message, happened, self._clock.machine_us(), sink=sink.name)


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:300]
