"""Named places that a plan may point at: the nearest shelter, village, underpass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gis.features import Feature
from gis.points import haversine_m


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    name: str
    lon: float
    lat: float
    place_id: str = ""


class Places:
    """Layers of static features, asked for the nearest one. Immutable."""

    def __init__(self, layers: Mapping[str, Iterable[Feature]]) -> None:
        self._layers = {
            layer: [
                Place(
                    name=str(feature.properties.get("name_zh") or feature.properties.get("name") or feature.feature_id),
                    lon=float(feature.geometry.representative_point().x),
                    lat=float(feature.geometry.representative_point().y),
                    place_id=feature.feature_id,
                )
                for feature in features
            ]
            for layer, features in layers.items()
        }

    def nearest(self, layer: str, lon: float, lat: float) -> Place | None:
        """The nearest place of a layer by air, ties by id; None when the layer is unknown or empty."""
        found = self._layers.get(layer, [])
        return min(found, key=lambda p: (float(haversine_m(p.lon, p.lat, lon, lat)), p.place_id), default=None)
