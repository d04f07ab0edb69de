"""Wires the import of history: ingest's rules for values at today's register, and how far the rules have come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from command_center.history_import import HistoryImport
from command_center.ports import Append, Emit, Store
from command_center.work import Env
from devices.models import load_models
from ingest.clock_rule import delivery_slack_s
from ingest.history import HistoryRows
from runtime.context import RoleContext
from runtime.roles.rules import position_path
from storage.letters import LetterStore
from stream.reader import LogReader
from stream.registry_cache import load_registry

DAY_US = 86_400_000_000
POLL_S = 0.1


def build(
    context: RoleContext, known: LetterStore, append: Append, store: Store, env: Env, emit: Emit
) -> HistoryImport:
    return HistoryImport(
        known=known,
        append=append,
        store=store,
        env=env,
        emit=emit,
        judge=_judge_of(context),
        followed=_followed(context),
    )


def _judge_of(context: RoleContext) -> Callable[[], HistoryRows]:
    settings, models = context.settings, load_models()

    def judge() -> HistoryRows:
        with LogReader(settings.log_dir) as reader:
            registry, _ = load_registry(reader)
        return HistoryRows(
            registry,
            models,
            retention_us=int(settings.retention_days * DAY_US),
            delivery_slack_s=delivery_slack_s(context.clock.rate),
        )

    return judge


def _followed(context: RoleContext) -> Callable[[int], Awaitable[None]]:
    path = position_path(context.settings.run_dir)

    async def followed(position: int) -> None:
        while not path.exists() or int(path.read_text() or 0) < position:
            await asyncio.sleep(POLL_S)

    return followed
