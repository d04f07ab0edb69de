"""What a device says about a command, as the log has it, and the end of a command that nobody answered.

The log decides what was in time: a reply counts when it was appended before the expiry. Replies to nothing we know, in another
device's name, after the end or against an earlier word are not obeyed; the first one about a command is noted with it, the rest is
counted: a device that repeats itself must not fill the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from command_center import metrics
from command_center.device_commands.model import DEVICE_COMMAND, ENTITY, OPEN, CommandState, DeviceCommand
from command_center.work import Work
from stream.records import EventBody

log = structlog.get_logger(__name__)
replace = msgspec.structs.replace

REPLY = "cmd_reply"  # `EventBody.type`
RESULT_CHARS = 500
WORDS: Mapping[str, CommandState] = {
    "received": CommandState.RECEIVED,
    "executed": CommandState.EXECUTED,
    "failed": CommandState.FAILED,
}


async def follow_reply(work: Work, body: EventBody) -> None:
    """Take one reply over. `work.at_us` is when it was appended to the log."""
    to = WORDS.get(str(body.data.get("state")))
    command = await work.tx.device_command(body.id)
    if command is None or to is None:
        # Also what answers the clock-sets that ingest sends by itself: they stand in no row.
        metrics.DEVICE_COMMAND_REPLIES.labels("unknown").inc()
        log.debug("reply_to_no_command", device=body.device_id, command=body.id)
        return
    if body.device_id != command.device_id:
        await _note(work, command, "other_device", f"{body.device_id} answered in its place ({to.value.lower()})")
    elif command.state is to or (to is CommandState.RECEIVED and command.state in (WORDS["executed"], WORDS["failed"])):
        metrics.DEVICE_COMMAND_REPLIES.labels("duplicate").inc()
    elif command.state is CommandState.EXPIRED or work.at_us > command.expires_us:
        await _note(work, command, "late", f"{to.value.lower()} after its expiry")
    elif not DEVICE_COMMAND.allows(command.state, to):
        await _note(work, command, "contradiction", f"{to.value.lower()} after {command.state.value.lower()}")
    else:
        metrics.DEVICE_COMMAND_REPLIES.labels("obeyed").inc()
        await step(work, command, to, result=_words(body.data.get("result")))


async def end_of_time(work: Work, command_id: str) -> None:
    """The command has expired, if it is still open."""
    command = await work.tx.device_command(command_id)
    if command is not None and command.state in OPEN:
        await step(work, command, CommandState.EXPIRED)


async def step(work: Work, command: DeviceCommand, to: CommandState, **fields: Any) -> DeviceCommand | None:
    """Move it in the machine, journalled. None: somebody else did meanwhile. Raises IllegalTransition."""
    DEVICE_COMMAND.advance(command.command_id, command.state, to)
    ended = not DEVICE_COMMAND.moves[to]
    after = replace(
        command,
        state=to,
        state_zh=DEVICE_COMMAND.zh[to],
        received_us=work.at_us if to is CommandState.RECEIVED else command.received_us,
        ended_us=work.at_us if ended else None,
        changed_us=work.at_us,
        rev=command.rev + 1,
        **fields,
    )
    if not await work.tx.update_device_command(after, rev=command.rev, states=[command.state]):
        return None
    if ended:
        await work.tx.drop_timer(f"{ENTITY}:{command.command_id}")
    await work.journal(ENTITY, command.command_id, to.value.lower(), command, after, after.result if ended else "")
    metrics.DEVICE_COMMANDS.labels(command.method, to.value).inc()
    return after


async def _note(work: Work, command: DeviceCommand, why: str, text: str) -> None:
    metrics.DEVICE_COMMAND_REPLIES.labels(why).inc()
    if command.note:
        return
    after = replace(command, note=text, rev=command.rev + 1)
    if await work.tx.update_device_command(after, rev=command.rev, states=[command.state]):
        await work.journal(ENTITY, command.command_id, "reply not obeyed", None, {"note": text}, text)


def _words(result: Any) -> str:
    """Whatever the device has to say, as text that a person reads and a row can hold."""
    if result is None:
        return ""
    text = result if isinstance(result, str) else msgspec.json.encode(result).decode()
    return text[:RESULT_CHARS]
