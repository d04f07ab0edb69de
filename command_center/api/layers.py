"""Static map layers: GeoJSON files of a directory, checked when they are loaded, served with an ETag."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from command_center.api.answers import page, with_etag
from command_center.api.auth import ask
from command_center.api.system_routes import deps_of
from command_center.authority import Action
from command_center.errors import NotFound
from gis.features import collection, feature_from_geojson

router = APIRouter(prefix="/api/v1", tags=["layers"])


@dataclass(frozen=True, slots=True)
class _Layer:
    body: bytes
    etag: str
    title_zh: str
    title_en: str
    features: int


class StaticLayers:
    """`{layer}.geojson` of a directory. Raises ValueError naming file and feature that is not GeoJSON in WGS 84."""

    def __init__(self, directory: Path) -> None:
        self._layers = {path.stem: self._load(path) for path in sorted(directory.glob("*.geojson"))}

    @staticmethod
    def _load(path: Path) -> _Layer:
        document = msgspec.json.decode(path.read_bytes())
        try:
            features = [feature_from_geojson(f) for f in document["features"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name}: {error}") from error
        extra = {key: document[key] for key in ("attribution", "title_zh", "title_en") if key in document}
        body = msgspec.json.encode({**collection(features), **extra})
        etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        titles = (str(document.get("title_zh", path.stem)), str(document.get("title_en", path.stem)))
        return _Layer(body, etag, *titles, len(features))

    def names(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "layer": name,
                "title_zh": layer.title_zh,
                "title_en": layer.title_en,
                "features": layer.features,
                "etag": layer.etag,
            }
            for name, layer in self._layers.items()
        ]

    def geojson(self, layer: str) -> tuple[bytes, str] | None:
        found = self._layers.get(layer)
        return None if found is None else (found.body, found.etag)


@router.get("/layers")
async def layers(request: Request) -> Response:
    ask(request, Action.READ_LAYERS)
    found = deps_of(request).layers
    return page([] if found is None else list(found.names()))


@router.get("/layers/{layer}.geojson")
async def layer_geojson(request: Request, layer: str) -> Response:
    """A layer as a GeoJSON FeatureCollection (RFC 7946)."""
    ask(request, Action.READ_LAYERS)
    layers_ = deps_of(request).layers
    found = None if layers_ is None else layers_.geojson(layer)
    if found is None:
        raise NotFound("layer", layer)
    body, etag = found
    return with_etag(request, body, "application/geo+json", etag)
