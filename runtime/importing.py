"""Wires import, export and address search: targets, the sealer, and what coordinates are compared with."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from command_center.access.personal import Sealer
from command_center.ports import Emit, Store
from command_center.registers.addresses import AddressService, FixedPlaces, PlaceSource
from command_center.registers.exports import ExportService, RowsOf
from command_center.registers.imports import Geography, ImportService
from command_center.registers.targets import ImportTarget
from command_center.work import Env
from gis.addresses import AddressIndex, Place
from gis.features import Feature
from runtime.context import RoleContext

NAMELESS = frozenset(
    {"district", "coast", "sea", "landuse"}
)  # layers whose names are no places that a caller would say
Layers = Mapping[str, Sequence[Feature]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Importing:
    imports: ImportService
    exports: ExportService
    addresses: AddressService


def build(
    context: RoleContext,
    store: Store,
    env: Env,
    emit: Emit,
    layers: Layers,
    *,
    sealer: Sealer,
    targets: Mapping[str, ImportTarget],
    rows_of: RowsOf,
    sources: Sequence[PlaceSource] = (),
) -> Importing:
    """`targets` by kind; `rows_of` asks the registers for an export; `sources` are registers with named places."""
    addresses = AddressService([FixedPlaces(layer_places(layers)), *sources])
    return Importing(
        imports=ImportService(
            store=store,
            env=env,
            emit=emit,
            sealer=sealer,
            targets=targets,
            geography=geography_of(layers, addresses),
        ),
        exports=ExportService(
            store=store,
            env=env,
            emit=emit,
            targets=targets,
            rows_of=rows_of,
            tenant=context.settings.tenant,
            tenant_kind=context.settings.tenant_kind,
        ),
        addresses=addresses,
    )


def layer_places(layers: Layers) -> list[Place]:
    """Named things of the map. A road is many pieces of one name: it is found once, in its middle."""
    found: dict[tuple[str, str], Place] = {}
    for layer, features in layers.items():
        if layer in NAMELESS:
            continue
        for name, shapes in _by_name(features).items():
            point = _middle(shapes)
            found[layer, name] = Place(entry_id=f"{layer}/{name}", kind=layer, name=name, lon=point.x, lat=point.y)
    return list(found.values())


def _by_name(features: Sequence[Feature]) -> dict[str, list[BaseGeometry]]:
    found: dict[str, list[BaseGeometry]] = {}
    for feature in features:
        name = str(feature.properties.get("name") or feature.properties.get("name_zh") or "").strip()
        if name:
            found.setdefault(name, []).append(feature.geometry)
    return found


def _middle(shapes: Sequence[BaseGeometry]) -> shapely.Point:
    """A position on the thing itself, near its middle."""
    whole = shapely.GeometryCollection(list(shapes))
    nearest = min(shapes, key=whole.envelope.centroid.distance)
    if nearest.geom_type == "LineString":
        return nearest.interpolate(0.5, normalized=True)
    return nearest.representative_point()


def geography_of(layers: Layers, addresses: AddressService) -> Callable[[], Awaitable[Geography]]:
    """The district's outline, and everything whose name is its own: roads of the map whole, other places as points."""
    outline = [f.geometry for f in layers.get("district", ()) if "Polygon" in f.geometry.geom_type]
    boundary = shapely.union_all(outline) if outline else None
    roads = {name: shapely.GeometryCollection(shapes) for name, shapes in _by_name(layers.get("roads", ())).items()}
    cached: tuple[AddressIndex | None, Geography] = (None, Geography(boundary=boundary, references=roads))

    async def ask() -> Geography:
        nonlocal cached
        index = addresses.index
        if index is not None and index is not cached[0]:
            places = await asyncio.to_thread(_references, index.everything(), roads)
            cached = (index, Geography(boundary=boundary, references=places))
        return cached[1]

    return ask


def _references(places: Sequence[Place], roads: Mapping[str, BaseGeometry]) -> dict[str, BaseGeometry]:
    count = Counter(place.name for place in places)
    points = {p.name: shapely.Point(p.lon, p.lat) for p in places if count[p.name] == 1}
    return {**points, **roads}
