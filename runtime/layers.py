"""Static map layers as files in the data directory: written from the database, read without it."""

from __future__ import annotations

import json
from pathlib import Path

from devices.clock import Clock
from gis.features import Feature, collection, feature_from_geojson
from runtime.centre import load_layers
from storage.database import Database

TITLES = {
    "district": ("示范区界", "District"),
    "coast": ("海岸线", "Coast line"),
    "sea": ("海域", "Sea"),
    "river": ("河流", "Rivers"),
    "roads": ("道路", "Roads"),
    "bridges": ("桥梁", "Bridges"),
    "underpasses": ("下穿通道", "Underpasses"),
    "villages": ("村庄", "Villages"),
    "chem_park": ("化工园区", "Chemical park"),
    "shelters": ("避灾安置点", "Shelters"),
    "stations": ("驻地", "Quarters of units"),
    "places": ("地名", "Places"),
    "landuse": ("用地", "Land use"),
    "railway": ("铁路", "Railway"),
}


async def export_layers(database: Database, clock: Clock, directory: Path) -> None:
    """One `{layer}.geojson` for each layer of the database; a file is replaced as a whole."""
    directory.mkdir(exist_ok=True)
    for name, features in (await load_layers(database, clock)).items():
        zh, en = TITLES.get(name, (name, name))
        document = {**collection(features), "title_zh": zh, "title_en": en}
        temporary = directory / f"{name}.tmp"
        temporary.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
        temporary.replace(directory / f"{name}.geojson")


def read_layers(directory: Path) -> dict[str, list[Feature]]:
    """Every exported layer by name; empty before the first export."""
    return {
        path.stem: [feature_from_geojson(f) for f in json.loads(path.read_text())["features"]]
        for path in sorted(directory.glob("*.geojson"))
    }
