"""An entry of a register, and what is done to its values: sealing, masking, comparing, pointing at other entries. Pure.

In this package an entry is *clear* unless a name says otherwise. It is sealed on its way into the store and unsealed on its way
out, each personal value at its own place (`contact/K-17/phone`), so that a copied value opens nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import shapely
from shapely.geometry import shape

from command_center.access.personal import Sealer, Unsealable, mask_name, mask_phone
from command_center.errors import Invalid
from command_center.registers.kinds import Kind
from command_center.registers.targets import Field

ENTRY_ID = re.compile(r"[\w][\w.\-]{0,63}")  # any script: clerks number their objects 椒江-001
RESERVED_IDS = frozenset({"template.xlsx", "export", "unverified"})  # words of our own addresses
HIDDEN = "****"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One registered object. `area` "" is unknown; `geometry` is GeoJSON in WGS 84 where there is more than a point."""

    kind: str
    entry_id: str
    name: str
    area: str = ""
    lon: float | None = None
    lat: float | None = None
    geometry: dict[str, Any] | None = None
    values: dict[str, Any] = {}
    verified_us: int | None = None  # city time: when somebody checked its numbers
    verified_by: str = ""
    rev: int = 1
    changed_us: int = 0
    changed_by: str = ""


class Link(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """That an entry's field points at something: another entry, a device, a camera."""

    kind: str
    entry_id: str
    field: str
    target_kind: str
    target_id: str


def organisation_of(kind: Kind, entry: Entry) -> str | None:
    """Whose it is, for scopes: "" where nobody is named, None where this kind belongs to no organisation."""
    if kind.organisation == "self":
        return entry.entry_id
    return str(entry.values.get(kind.organisation, "")) if kind.organisation else None


def links_of(kind: Kind, entry: Entry) -> list[Link]:
    targets = [(field, value) for field in kind.refs() if (value := entry.values.get(field.key))]
    return [
        Link(kind=entry.kind, entry_id=entry.entry_id, field=field.key, target_kind=field.ref, target_id=target)
        for field, value in targets
        for target in ([value] if isinstance(value, str) else value)
    ]


def same(old: Entry, new: Entry) -> bool:
    """Whether a change would change nothing that a person wrote."""
    return _written(old) == _written(new)


def _written(entry: Entry) -> tuple[object, ...]:
    return (entry.name, entry.area, entry.lon, entry.lat, entry.geometry, entry.values)


def difference(old: Entry | None, new: Entry | None) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What the journal keeps of a change: the members that differ, before and after. Give it sealed entries."""
    if old is None or new is None:
        return _document(old), _document(new)
    before, after = _document(old) or {}, _document(new) or {}
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return {k: before[k] for k in keys if k in before}, {k: after[k] for k in keys if k in after}


def _document(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    place = {"name": entry.name, "area": entry.area, "lon": entry.lon, "lat": entry.lat, "geometry": entry.geometry}
    return {**{k: v for k, v in place.items() if v is not None}, **{f"values.{k}": v for k, v in entry.values.items()}}


# --- personal values

Change = Callable[[Field, str, str], str]
"""(field, value, place) -> what stands there instead."""


def _walk(fields: Sequence[Field], values: Mapping[str, Any], place: str, change: Change) -> dict[str, Any]:
    """The values with each personal text changed; the rest as it is."""
    found = dict(values)
    for field in fields:
        if field.key not in found:
            continue
        value, here = found[field.key], f"{place}/{field.key}"
        if field.type == "rows":
            found[field.key] = [_walk(field.fields, row, f"{here}/{n}", change) for n, row in enumerate(value)]
        elif field.personal:
            found[field.key] = change(field, value, here)
    return found


def has_personal(kind: Kind) -> bool:
    return any(f.personal or any(inner.personal for inner in f.fields) for f in kind.fields)


def seal(kind: Kind, entry: Entry, sealer: Sealer) -> Entry:
    return _changed(kind, entry, lambda _, text, place: sealer.seal(text, place))


def unseal(kind: Kind, entry: Entry, sealer: Sealer) -> Entry:
    """Raises Unsealable."""
    return _changed(kind, entry, lambda _, text, place: sealer.unseal(text, place))


def mask(kind: Kind, entry: Entry) -> Entry:
    return _changed(kind, entry, lambda field, text, _: masked(field, text))


def _changed(kind: Kind, entry: Entry, change: Change) -> Entry:
    if not has_personal(kind):
        return entry
    values = _walk(kind.fields, entry.values, f"{kind.kind}/{entry.entry_id}", change)
    return msgspec.structs.replace(entry, values=values)


def hide(kind: Kind, entry: Entry) -> Entry:
    """Every personal value as stars, whatever it is: what cannot be opened is not shown."""
    return _changed(kind, entry, lambda *_: HIDDEN)


def masked(field: Field, text: str) -> str:
    """What stands on the screen of who may not read it."""
    if field.type == "phone":
        return mask_phone(text)
    return mask_name(text) if field.key == "name" else HIDDEN


def personal_keys(kind: Kind, values: Mapping[str, Any]) -> list[str]:
    """Which values of these are personal, by key."""
    found: list[str] = []

    def note(_: Field, text: str, place: str) -> str:
        found.append(place.lstrip("/"))
        return text

    _walk(kind.fields, values, "", note)
    return found


def keep_masked(kind: Kind, raw: Mapping[str, Any], old: Entry) -> dict[str, Any]:
    """What was sent, where a mask that we showed ourselves stands for the value behind it.

    A page or an exported sheet holds `138****1234`; sending it back changes the number as little as looking at it did.
    """
    return _unmasked(kind.fields, raw, old.values)


def _unmasked(fields: Sequence[Field], raw: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(raw)
    for field in fields:
        given, before = found.get(field.key), old.get(field.key)
        if field.type == "rows" and isinstance(given, list) and isinstance(before, list):
            found[field.key] = [
                _unmasked(field.fields, row, before[n]) if n < len(before) and isinstance(row, Mapping) else row
                for n, row in enumerate(given)
            ]
        elif field.personal and isinstance(given, str) and before and given.strip() == masked(field, before):
            found[field.key] = before
    return found


def masked_journal(kind: Kind, entry_id: str, document: Mapping[str, Any] | None, sealer: Sealer) -> Any:
    """A journalled before or after, personal values masked; one that no key opens any more is hidden."""
    if document is None:
        return None
    values = {k.removeprefix("values."): v for k, v in document.items() if k.startswith("values.")}

    def shown(field: Field, text: str, place: str) -> str:
        try:
            return masked(field, sealer.unseal(text, place))
        except Unsealable:
            return HIDDEN

    opened = _walk(kind.fields, values, f"{kind.kind}/{entry_id}", shown)
    rest = {k: v for k, v in document.items() if not k.startswith("values.")}
    return {**rest, **{f"values.{k}": v for k, v in opened.items()}}


# --- searching and places


def search_text(kind: Kind, entry: Entry) -> str:
    """What a search goes through, in lower case: id, name and every text that is not personal. For clear or sealed entries."""
    words = [entry.entry_id, entry.name, *_words(kind.fields, entry.values)]
    return " ".join(dict.fromkeys(words)).lower()


def _words(fields: Sequence[Field], values: Mapping[str, Any]) -> Iterator[str]:
    for field in fields:
        value = values.get(field.key)
        if value is None or field.personal:
            continue
        if field.type in ("text", "long_text", "phone", "ref"):
            yield str(value)
        elif field.type == "refs":
            yield from value
        elif field.type in ("choice", "choices"):
            chosen = [value] if isinstance(value, str) else value
            yield from (c.zh for c in field.choices if c.value in chosen)
        elif field.type == "rows":
            for row in value:
                yield from _words(field.fields, row)


def check_id(entry_id: str) -> str:
    """Raises Invalid for what cannot be an id."""
    if not ENTRY_ID.fullmatch(entry_id) or entry_id in RESERVED_IDS:
        raise Invalid(
            f"entry_id {entry_id!r}: expected 1 to 64 letters, digits, - _ . and no word of our own addresses"
        )
    return entry_id


def middle(geometry: Mapping[str, Any]) -> tuple[float, float]:
    """A position on the thing itself: half way along a line, inside an area. Raises ValueError naming what is wrong."""
    try:
        drawn = shape(geometry)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise ValueError(f"not GeoJSON: {error}") from error
    if drawn.is_empty:
        raise ValueError("the geometry is empty")
    west, south, east, north = drawn.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError(f"not degrees of longitude and latitude: bounds {west:g} {south:g} {east:g} {north:g}")
    if drawn.geom_type in ("Polygon", "MultiPolygon") and not drawn.is_valid:
        raise ValueError(f"the outline crosses itself: {shapely.is_valid_reason(drawn)}")
    point = drawn.interpolate(0.5, normalized=True) if drawn.geom_type == "LineString" else drawn.representative_point()
    return round(float(point.x), 7), round(float(point.y), 7)
