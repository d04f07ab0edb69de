"""Static map layers and versioned documents (rules, plans, models) in the database."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
from shapely.geometry import shape

from devices.clock import Clock
from gis.features import Feature, feature_to_geojson
from storage.batch import to_json
from storage.database import Database
from storage.statements import load
from storage.times import to_time, to_us

_SQL = load("features")


class LayerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A layer and the tag of its content: equal tags, equal features."""

    layer: str
    etag: str
    features: int
    changed_us: int


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One version of something that people write. A version never changes once it is stored."""

    kind: str
    document_id: str
    version: str
    body: dict[str, Any]
    author: str
    source: str
    at_us: int


class VersionTaken(ValueError):
    """This version of the document is there already with another content."""

    def __init__(self, kind: str, document_id: str, version: str) -> None:
        super().__init__(f"{kind} {document_id} version {version} exists with another content; give it a new version")


class FeatureStore:
    """Layers are replaced as a whole: readers see the old one or the new one. Raises DatabaseUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put_layer(self, layer: str, features: Sequence[Feature]) -> LayerInfo:
        """Replace a layer. Features of the same content give the same tag, in whatever order. Raises ValueError when an
        id is there twice."""
        documents = sorted((feature_to_geojson(feature) for feature in features), key=lambda d: str(d["id"]))
        ids = [document["id"] for document in documents]
        twice = sorted({str(i) for i, j in itertools.pairwise(ids) if i == j})
        if twice:
            raise ValueError(f"layer {layer}: feature ids are there twice: {', '.join(twice)}")
        etag = hashlib.sha256(msgspec.json.encode(documents, order="sorted")).hexdigest()[:32]
        at = to_time(self._clock.city_us())
        async with self._database.transaction() as conn:
            params = {"layer": layer, "etag": etag, "features": len(documents), "at": at}
            await conn.execute(_SQL["upsert_layer"], params)
            await conn.execute(_SQL["clear_layer"], {"layer": layer})
            await conn.cursor().executemany(
                _SQL["insert_feature"],
                [
                    {
                        "layer": layer,
                        "feature_id": document["id"],
                        "geometry": to_json(document["geometry"]),
                        "properties": to_json(document["properties"]),
                    }
                    for document in documents
                ],
            )
        return LayerInfo(layer=layer, etag=etag, features=len(documents), changed_us=to_us(at))

    async def get_layer(self, layer: str) -> tuple[LayerInfo, list[Feature]] | None:
        """A layer with its tag, features by id; None when there is none."""
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["one_picture"])  # or a writer could commit between tag and features
            row = await (await conn.execute(_SQL["read_layer"], {"layer": layer})).fetchone()
            if row is None:
                return None
            rows = await (await conn.execute(_SQL["read_features"], {"layer": layer})).fetchall()
        return _info(row), [
            Feature(feature_id=r["feature_id"], geometry=shape(r["geometry"]), properties=r["properties"]) for r in rows
        ]

    async def layers(self) -> list[LayerInfo]:
        async with self._database.transaction() as conn:
            return [_info(row) for row in await (await conn.execute(_SQL["list_layers"])).fetchall()]

    async def put_document(self, document: Document) -> bool:
        """Keep a version; False when the very same is there already. Raises VersionTaken."""
        params = msgspec.structs.asdict(document) | {"body": to_json(document.body), "at": to_time(document.at_us)}
        async with self._database.transaction() as conn:
            if await (await conn.execute(_SQL["insert_document"], params)).fetchone() is not None:
                return True
            row = await (await conn.execute(_SQL["read_document"], params)).fetchone()
        if row is None or row["body"] != msgspec.json.decode(params["body"]):
            raise VersionTaken(document.kind, document.document_id, document.version)
        return False

    async def documents(self, kind: str) -> list[Document]:
        """All versions of a kind, the newest of each first."""
        async with self._database.transaction() as conn:
            rows = await (await conn.execute(_SQL["list_documents"], {"kind": kind})).fetchall()
        return [Document(**{k: v for k, v in row.items() if k != "at"}, at_us=to_us(row["at"])) for row in rows]


def _info(row: dict[str, Any]) -> LayerInfo:
    return LayerInfo(
        layer=row["layer"], etag=row["etag"], features=row["features"], changed_us=to_us(row["changed_at"])
    )
