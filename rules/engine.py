"""The engine: a deterministic function over log records. `step(state, record)` changes the state and returns transitions.

Time is the log's: a record first moves every timer to its append time, then acts. Live work, replay, back-test and the
explanation of an alarm all run this one function. Nothing here reads a clock, a file or the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from devices.registry import Registry, RegistryData, registry_data, touched
from hazards.bulletins import Bulletin
from rules.absence import AbsenceRule
from rules.context import RETIRED, Episode, Evaluator, Place, Rows, Step, episode_data, episode_from
from rules.documents import Absence, Document, DocumentWrong, Text, parse
from rules.events import EventRule
from rules.gas import GasRule
from rules.levels import LevelRule
from rules.presence import Presence
from rules.transitions import Explanation, Input, Kind, Subject, Transition
from rules.typhoon import TyphoonRule
from stream.records import (
    RETOLD,
    ControlBody,
    EventBody,
    ObsBatch,
    Record,
    RecordKind,
    as_batch,
    as_control,
    as_event,
    as_resume,
)

STATE_SCHEMA = 1
EVALUATORS: dict[str, Callable[[Document], Evaluator]] = {
    "level": LevelRule,
    "gas": GasRule,
    "event": EventRule,
    "typhoon": TyphoonRule,
    "absence": AbsenceRule,
}
HEALTH_PHASE = 9
YELLOW = 2
# A rule that fails is an alarm of its own, so that somebody sees that nobody watches.
HEALTH = Document(
    id="system.rule-health",
    template="absence",
    hazard="device",
    source="style.md: a failing rule is marked unhealthy and shown while the others go on",
    title=Text(zh="规则 {subject} 停止运行", en="Rule {subject} has stopped"),
    detail=Text(zh="原因：{property}", en="reason: {property}"),
    absence=Absence(),
)


class StateUnreadable(ValueError):
    """A snapshot of another schema or a damaged one: the state must be built again from the log."""


@dataclass(slots=True)
class ActiveRule:
    document: Document
    version: str
    evaluator: Evaluator
    error: str = ""  # why it stopped; "" = healthy


@dataclass(slots=True)
class EngineState:
    """Everything that the next step depends on."""

    registry: Registry = field(default_factory=Registry)
    presence: Presence = field(default_factory=Presence)
    rules: dict[str, ActiveRule] = field(default_factory=dict)  # by rule id, kept sorted
    stopped: dict[str, Episode] = field(default_factory=dict)  # open alarms about rules that failed
    position: int = 0
    at_us: int = 0
    late_ids: set[str] = field(default_factory=set)  # of the present log time only, so no snapshot needs it
    packed_registry: tuple[int, bytes] = (-1, b"")  # revision, encoded: a snapshot every few seconds packs it once
    evaluations: int = 0  # counters: not part of the state that decides
    refused_controls: int = 0


def step(state: EngineState, record: Record) -> list[Transition]:
    """Evaluate one record. Transitions come numbered (`ordinal`) in a fixed order: timers, rows, changes.

    A TRANSITION record is an output and changes nothing. A control that cannot be read is refused and counted; a rule that
    raises is stopped and alarmed, the others go on.
    """
    if record.kind == RecordKind.TRANSITION:
        return []
    # Records of one log time are one moment: time passes before its first, so that cuts between them change nothing.
    later = record.at_us > state.at_us
    state.position, state.at_us = record.position, record.at_us
    now = Step(
        position=record.position,
        at_us=record.at_us,
        registry=state.registry,
        presence=state.presence,
        late_ids=state.late_ids,
    )
    if record.kind == RecordKind.RESUME:
        body = as_resume(record)
        state.presence.resume(body.from_us, body.to_us)
        _each(state, now, lambda rule: rule.resume(body.from_us, body.to_us))
    if later:
        state.late_ids.clear()
        _each(state, now, lambda rule: rule.advance(now) if record.at_us >= rule.next_due() else None)
    if record.kind == RecordKind.OBS:
        _observe(state, now, as_batch(record))
    elif record.kind == RecordKind.EVENT:
        _event(state, now, as_event(record))
    elif record.kind == RecordKind.CONTROL:
        _control(state, now, as_control(record))
    state.evaluations += now.evaluations
    if not now.out:
        return []
    now.out.sort(key=lambda entry: entry[0])
    return [msgspec.structs.replace(transition, ordinal=k) for k, (_, transition) in enumerate(now.out)]


def step_all(state: EngineState, records: Iterable[Record]) -> list[Transition]:
    """The batch form: all transitions of these records, in order."""
    return [transition for record in records for transition in step(state, record)]


def _observe(state: EngineState, now: Step, batch: ObsBatch) -> None:
    if not len(batch):
        return
    rows = Rows(batch)
    # What a person put in tells of the past: the device itself may be as silent as before.
    now.heard = np.where((rows.source & RETOLD) != 0, np.int32(-1), state.presence.devices_of(rows.datastream))
    state.presence.hear(now.heard, now.at_us)
    _each(state, now, lambda rule: rule.observe(now, rows))


def _event(state: EngineState, now: Step, body: EventBody) -> None:
    number = state.presence.index.get(body.device_id, -1)
    alive = body.type in ("device_event", "device_attr", "cmd_reply") or (
        body.type == "device_state" and body.data.get("online") is True
    )
    if number >= 0 and alive and not body.retold:
        now.heard = np.array([number], np.int32)
        state.presence.hear(now.heard, now.at_us)
    _each(state, now, lambda rule: rule.event(now, body))


def _control(state: EngineState, now: Step, body: ControlBody) -> None:
    try:
        if body.type == "registry":
            data = registry_data(body.data)
            if data.revision > state.registry.revision:
                state.registry.apply(data)
                now.touched = touched(data)
                state.presence.configure(state.registry, now.at_us, now.touched)
                for rule_id in list(state.rules):
                    _configure(state, now, rule_id)
        elif body.type == "rules":
            for entry in body.data.get("activate", []):
                _activate(state, now, entry)
            for rule_id in body.data.get("retire", []):
                _retire(state, now, str(rule_id))
        elif body.type == "bulletin":
            msgspec.convert(body.data["bulletin"], Bulletin)  # refused here, so that a bad bulletin stops no rule
            _each(state, now, lambda rule: rule.control(now, body))
        else:
            _each(state, now, lambda rule: rule.control(now, body))
        if body.type == "reset":
            for name in [n for n, e in state.stopped.items() if e.alarm_id == body.data.get("alarm_id")]:
                _recovered(state, now, name)
    except (msgspec.ValidationError, DocumentWrong, KeyError, TypeError) as error:
        state.refused_controls += 1
        _report(state, now, f"control {body.type} {body.id}", str(error))


def _activate(state: EngineState, now: Step, entry: dict[str, Any]) -> None:
    """Put a rule in force. The same id and template keep their state; another template begins anew."""
    document = parse(entry["document"], str(entry.get("rule_id")))
    if entry.get("version") != document.version:
        raise DocumentWrong(
            document.id, None, f"version {entry.get('version')} is not its content's {document.version}"
        )
    known = state.rules.get(document.id)
    if known is not None and (known.error or known.document.template != document.template):
        _retire(state, now, document.id)
        known = None
    if known is None:
        known = ActiveRule(document, document.version, EVALUATORS[document.template](document))
        state.rules = dict(sorted((state.rules | {document.id: known}).items()))
    else:
        known.evaluator.adopt(document)
        known.document, known.version = document, document.version
    _configure(state, now, document.id)
    if not known.error:
        _recovered(state, now, document.id)


def _configure(state: EngineState, now: Step, rule_id: str) -> None:
    """Hand a rule the registry, and show each device threshold that it had to refuse."""
    _guarded(state, now, rule_id, lambda rule: rule.configure(now))
    problems = {f"{rule_id} {where}": why for where, why in sorted(state.rules[rule_id].evaluator.problems.items())}
    for name, why in problems.items():
        _report(state, now, name, why)
    for name in [n for n in state.stopped if n.startswith(f"{rule_id} ") and n not in problems]:
        _recovered(state, now, name)


def _retire(state: EngineState, now: Step, rule_id: str) -> None:
    if rule_id in state.rules:
        active = state.rules[rule_id]
        active.error = ""  # also a stopped rule closes what it has open
        _guarded(state, now, rule_id, lambda rule: rule.retire(now, RETIRED))
        del state.rules[rule_id]


def _each(state: EngineState, now: Step, act: Callable[[Evaluator], None]) -> None:
    for rule_id in list(state.rules):
        _guarded(state, now, rule_id, act)


def _guarded(state: EngineState, now: Step, rule_id: str, act: Callable[[Evaluator], None]) -> None:
    active = state.rules[rule_id]
    if active.error:
        return
    now.rule, now.version = active.document, active.version
    try:
        act(active.evaluator)
    except Exception as error:  # noqa: BLE001 - whatever fails in one rule must not silence the others (style.md, Errors)
        active.error = f"{type(error).__name__}: {error}"
        _report(state, now, rule_id, active.error)


def _report(state: EngineState, now: Step, name: str, reason: str) -> None:
    """Raise (once) the alarm that a rule, or a control, could not be used."""
    now.rule, now.version = HEALTH, HEALTH.version
    if name in state.stopped:
        return
    episode = now.new_episode(name, now.at_us, YELLOW)
    state.stopped[name] = episode
    _emit_health(now, episode, Kind.RAISED, 0, name, reason)


def _recovered(state: EngineState, now: Step, name: str) -> None:
    episode = state.stopped.pop(name, None)
    if episode is not None:
        now.rule, now.version = HEALTH, HEALTH.version
        episode.n, episode.level = episode.n + 1, 0
        _emit_health(now, episode, Kind.CLEARED, YELLOW, name, "")


def _emit_health(now: Step, episode: Episode, kind: Kind, before: int, name: str, reason: str) -> None:
    now.emit(
        (HEALTH_PHASE, 0),
        kind=kind,
        episode=episode,
        colour_before=before,
        event_time_us=now.at_us,
        subject=Subject(kind="area", id=name, name=name),
        place=Place(device_ids=[]),
        explanation=Explanation(
            inputs=[Input(position=now.position, at_us=now.at_us, note=reason)],
            thresholds={},
            registry_revision=now.registry.revision,
        ),
        texts={"subject": name, "property": reason},
    )


# -- snapshots --------------------------------------------------------------------------------------------------------


def dump(state: EngineState) -> bytes:
    """The whole state; `load(dump(state))` steps on bit for bit."""
    data = {
        "schema": STATE_SCHEMA,
        "position": state.position,
        "at_us": state.at_us,
        "registry": msgspec.Raw(_packed_registry(state)),
        "presence": state.presence.dump(),
        "rules": [
            [msgspec.to_builtins(rule.document), rule.version, rule.error, rule.evaluator.dump()]
            for rule in state.rules.values()
        ],
        "stopped": {name: episode_data(episode) for name, episode in state.stopped.items()},
    }
    packed = msgspec.msgpack.encode(data, enc_hook=_pack_array)
    squeezed: bytes = pa.compress(packed, codec="lz4", asbytes=True)
    return len(packed).to_bytes(8, "little") + squeezed


def _packed_registry(state: EngineState) -> bytes:
    if state.packed_registry[0] != state.registry.revision:
        state.packed_registry = state.registry.revision, msgspec.msgpack.encode(state.registry.snapshot())
    return state.packed_registry[1]


def load(blob: bytes) -> EngineState:
    """The state of a snapshot. Raises StateUnreadable."""
    try:
        size = int.from_bytes(blob[:8], "little")
        data = _unpack_arrays(msgspec.msgpack.decode(pa.decompress(blob[8:], size, codec="lz4", asbytes=True)))
    except (ValueError, OSError, OverflowError, MemoryError, msgspec.MsgspecError) as error:
        raise StateUnreadable(f"damaged snapshot: {error}") from error
    if data.get("schema") != STATE_SCHEMA:
        raise StateUnreadable(f"snapshot schema {data.get('schema')!r}, expected {STATE_SCHEMA}")
    state = EngineState(registry=Registry.from_data(msgspec.convert(data["registry"], RegistryData)))
    state.position, state.at_us = data["position"], data["at_us"]
    state.presence.load(data["presence"], state.registry)
    for builtins, version, failure, inner in data["rules"]:
        document = parse(builtins)
        evaluator = EVALUATORS[document.template](document)
        evaluator.load(inner)
        state.rules[document.id] = ActiveRule(document, version, evaluator, failure)
    state.stopped = {name: episode_from(episode) for name, episode in data["stopped"].items()}
    return state


_ARRAY = "\0nd"  # no key of ours begins with NUL


def _pack_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {_ARRAY: [value.dtype.str, list(value.shape), np.ascontiguousarray(value).tobytes()]}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot put a {type(value).__name__} into a snapshot")


def _unpack_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            dtype, shape, data = value[_ARRAY]
            return np.frombuffer(data, dtype).reshape(shape).copy()
        return {key: _unpack_arrays(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_unpack_arrays(inner) for inner in value]
    return value
