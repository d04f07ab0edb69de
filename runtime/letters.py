"""Ingest's pipeline in role `command`, where dead letters are put in again. Implements `command_center.letters.LetterReader`.

It runs in a thread, against a register of its own that is read from the log as ingest reads it: the live one changes meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from command_center.letters import Letter, Reread
from devices.clock import Clock
from devices.models import load_models
from ingest.clock_rule import delivery_slack_s
from ingest.recall import Recall, not_replayable
from stream.reader import LogReader
from stream.registry_cache import load_registry


class PipelineReader:
    """`revision` of the live register: when it has moved on, the copy is read anew."""

    def __init__(self, tenant: str, log_dir: Path, clock: Clock, revision: Callable[[], int]) -> None:
        self._tenant, self._log_dir, self._clock, self._revision = tenant, log_dir, clock, revision
        self._models = load_models()
        self._recall: Recall | None = None
        self._read_at = -1

    async def read(self, letters: Sequence[Letter], *, anew: bool) -> Sequence[Reread]:
        revision = self._revision()
        if anew or revision != self._read_at:
            self._recall = None
        self._read_at = revision
        return await asyncio.to_thread(self._read, letters)

    def _read(self, letters: Sequence[Letter]) -> list[Reread]:
        if self._recall is None:
            with LogReader(self._log_dir) as reader:
                registry, _ = load_registry(reader)
            slack_s = delivery_slack_s(self._clock.rate)
            self._recall = Recall(self._tenant, registry, self._models, delivery_slack_s=slack_s)
        return [_reread(self._recall, letter) for letter in letters]


def _reread(recall: Recall, letter: Letter) -> Reread:
    refused = not_replayable(letter.topic, letter.payload, letter.reasons, truncated=letter.truncated)
    if refused or letter.payload is None:
        return Reread(refused=refused)
    found = recall.read(letter.topic, letter.payload, letter.receive_us, by_tcp=letter.by_tcp)
    return Reread(rows=found.rows, events=found.events, wrong=found.wrong)
