"""Kinds of registered objects as documents: fields, labels, checks. Adding a kind is adding a file in `kinds/`.

`_blocks.yaml` holds groups of fields that many kinds share (who answers for it, inspection, devices); a document names the
blocks that it takes. A document that is wrong stops the start, naming file, field and reason.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Literal

import msgspec
import yaml

from command_center.errors import CommandError
from command_center.registers.targets import Field
from command_center.registers.values import FORMATS, READERS, read_values

Group = Literal["area", "people", "risk", "resource", "address"]
DEVICE_KINDS = ("device", "camera")  # refs that point into the register of devices
LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # a quarter of a second less at each start, where libyaml is there


class KindWrong(CommandError):
    """A document that cannot be used; the text names file, field and reason."""


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of object. Every kind has a text field `name`; `owner`, where there is one, is the organisation of scopes."""

    kind: str
    zh: str
    en: str
    group: Group
    located: Literal["no", "point", "any"]
    source: str  # what the fields follow: law, standard, plan
    fields: list[Field]
    position_required: bool = False
    ordered: list[list[str]] = []  # marks that should rise from first to last; a wrong order is a warning
    distinct: list[list[str]] = []  # refs that must not be the same person
    expected: list[str] = []  # a warning when missing
    datum_for: list[str] = []  # levels that mean nothing without `datum`
    formats: dict[str, str] = {}  # key (or `rows.key`) -> name of the check in values.FORMATS
    organisation: str = ""  # key of the field that says whose it is; "self" for organisations
    statement: bool = False  # a risk statement is signed each day
    verify: bool = True  # its numbers are checked each season

    def field(self, key: str) -> Field | None:
        return next((f for f in self.fields if f.key == key), None)

    def refs(self) -> Iterator[Field]:
        return (f for f in self.fields if f.type in ("ref", "refs"))


@functools.cache
def load_kinds() -> Mapping[str, Kind]:
    """The shipped kinds by id, in the order of the pages: areas, people, risk, resources, addresses. Raises KindWrong."""
    folder = files("command_center.registers").joinpath("kinds")
    texts = {
        entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    }
    return kinds_from(texts)


def kinds_from(texts: Mapping[str, str]) -> Mapping[str, Kind]:
    """Kinds from documents by file name, with `_blocks.yaml` among them. Raises KindWrong."""
    documents = {name: _parsed(name, text) for name, text in texts.items()}
    blocks = documents.pop("_blocks.yaml", {})
    kinds = [_kind(name, document, blocks) for name, document in sorted(documents.items())]
    found = {kind.kind: kind for kind in kinds}
    for kind in kinds:
        _check_refs(kind, found)
    order: list[str] = list(Group.__args__)  # type: ignore[attr-defined]
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1].group), item[0])))


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        document = yaml.load(text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise KindWrong(f"{name}: not YAML: {error}") from error
    if not isinstance(document, dict):
        raise KindWrong(f"{name}: expected a mapping")
    return document


def _kind(name: str, document: dict[str, Any], blocks: Mapping[str, Any]) -> Kind:
    document = dict(document)
    taken = document.pop("blocks", [])
    if missing := [b for b in taken if b not in blocks]:
        raise KindWrong(f"{name}: blocks: {', '.join(missing)} is not in _blocks.yaml")
    fields = [*document.get("fields", []), *(f for b in taken for f in blocks[b])]
    try:
        kind = msgspec.convert({**document, "fields": [_field(name, f) for f in fields]}, Kind)
    except msgspec.ValidationError as error:
        raise KindWrong(f"{name}: {error}") from error
    if f"{kind.kind}.yaml" != name:
        raise KindWrong(f"{name}: kind: {kind.kind!r} stands in a file of another name")
    _check(name, kind)
    return kind


def _field(name: str, raw: object) -> dict[str, Any]:
    """A field's document with the short forms written out: `choices: {value: [zh, en, colour?]}`."""
    if not isinstance(raw, dict):
        raise KindWrong(f"{name}: fields: expected mappings, got {raw!r}")
    raw = dict(raw)
    if unknown := sorted(set(raw) - set(Field.__struct_fields__)):
        raise KindWrong(f"{name}: {raw.get('key')}: unknown member {', '.join(unknown)}")
    choices = raw.get("choices", [])
    if isinstance(choices, dict):
        raw["choices"] = [
            {"value": str(value), "zh": words[0], "en": words[1], "colour": words[2] if len(words) > 2 else ""}
            for value, words in choices.items()
        ]
    raw["fields"] = [_field(name, inner) for inner in raw.get("fields", [])]
    return raw


def _check(name: str, kind: Kind) -> None:
    """Raises KindWrong for the first thing that does not hold together."""
    keys = [f.key for f in kind.fields]
    if twice := sorted({k for k in keys if keys.count(k) > 1}):
        raise KindWrong(f"{name}: {', '.join(twice)} is there twice")
    title = kind.field("name")
    if title is None or not title.required or title.type != "text" or title.personal:
        raise KindWrong(f"{name}: name: every kind has a required text field `name` that is not personal")
    if not kind.source.strip():
        raise KindWrong(f"{name}: source: what do the fields follow?")
    named = [*(k for group in kind.ordered + kind.distinct for k in group), *kind.expected, *kind.datum_for]
    named += [kind.organisation] if kind.organisation not in ("", "self") else []
    named += ["datum"] if kind.datum_for else []
    if unknown := [k for k in named if k not in keys]:
        raise KindWrong(f"{name}: {', '.join(unknown)} is no field of {kind.kind}")
    for key, form in kind.formats.items():
        head, _, tail = key.partition(".")
        field = kind.field(head)
        inner = [f.key for f in field.fields] if field else []
        if field is None or (tail and tail not in inner) or form not in FORMATS:
            raise KindWrong(f"{name}: formats: {key}: {form} names no field or no check of {', '.join(FORMATS)}")
    for field in kind.fields:
        _check_field(f"{name}: {field.key}", field)


def _check_field(where: str, field: Field) -> None:
    if not field.key.isidentifier() or field.key != field.key.lower():
        raise KindWrong(f"{where}: key: expected lower-case letters, digits and _")
    if not field.zh or not field.en:
        raise KindWrong(f"{where}: a label in Chinese and in English is needed")
    if (field.type in ("choice", "choices")) != bool(field.choices):
        raise KindWrong(f"{where}: choices belong to choice and choices, which need them")
    if (field.type in ("ref", "refs")) != bool(field.ref):
        raise KindWrong(f"{where}: ref belongs to ref and refs, which need it")
    if (field.type == "rows") != bool(field.fields):
        raise KindWrong(f"{where}: fields belong to rows, which need them")
    if field.personal and field.type not in ("text", "long_text", "phone", "rows"):
        raise KindWrong(f"{where}: personal: only texts and telephone numbers are sealed")
    if field.type == "phone" and not field.personal and "public" not in field.help_en:
        raise KindWrong(f"{where}: a telephone is personal, or its help_en says that it is a public number")
    if field.example and field.type != "rows":
        plain = msgspec.structs.replace(field, required=False)
        if wrong := read_values([plain], {field.key: field.example})[1]:
            raise KindWrong(f"{where}: example: {wrong[0].en}")
    for inner in field.fields:
        if inner.type in ("rows", "ref", "refs") or inner.type not in READERS:
            raise KindWrong(f"{where}: {inner.key}: {inner.type} cannot stand inside rows")
        _check_field(f"{where}: {inner.key}", inner)


def _check_refs(kind: Kind, kinds: Mapping[str, Kind]) -> None:
    for field in kind.refs():
        if field.ref not in kinds and field.ref not in DEVICE_KINDS:
            raise KindWrong(f"{kind.kind}.yaml: {field.key}: ref: {field.ref!r} is no kind of ours")
