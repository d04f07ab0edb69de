"""The outbox in memory: the twin of storage/command/outbox.py."""

from __future__ import annotations

from typing import Protocol

from command_center.outbox import Message, OutboxState


class _HasOutbox(Protocol):
    outbox: dict[str, Message]


class OutboxPart:
    """Mixin of the memory transaction; its state has a dict `outbox` by message id."""

    _s: _HasOutbox

    async def put_message(self, message: Message) -> bool:
        if any(known.key == message.key for known in self._s.outbox.values()):
            return False
        self._s.outbox[message.message_id] = message
        return True

    async def message(self, message_id: str) -> Message | None:
        return self._s.outbox.get(message_id)

    async def due_messages(self, machine_us: int, limit: int) -> list[Message]:
        due = [m for m in self._s.outbox.values() if m.state is OutboxState.QUEUED and m.next_us <= machine_us]
        return sorted(due, key=lambda m: (m.next_us, m.message_id))[:limit]

    async def move_message(self, message: Message, *, before: OutboxState, attempts: int) -> bool:
        known = self._s.outbox.get(message.message_id)
        if known is None or known.state is not before or known.attempts != attempts:
            return False
        self._s.outbox[message.message_id] = message
        return True
