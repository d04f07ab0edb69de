"""Cut the offline base map from the Natural Earth extracts (public domain) to what the pages draw.

    python web/dev/basemap.py SOURCE_DIRECTORY web/public/assets/basemap

Near the East China coast every vertex stays; farther out lines are simplified, since there they are only seen at
typhoon scale. No boundary lines by intent (see the README beside the output).
"""

import json
import sys
from pathlib import Path

import shapely
from shapely.geometry import box, mapping, shape

FAR = box(108, 12, 145, 42)
NEAR = box(119.5, 26.5, 124, 31.5)
FAR_TOLERANCE_DEG = 0.012
FAR_ISLAND_MIN_DEG2 = 0.01


def read(source: Path, name: str) -> list[dict]:
    return json.loads((source / f"{name}.geojson").read_text(encoding="utf-8"))["features"]


def write(target: Path, name: str, rows: list[tuple[object, dict]]) -> None:
    features = []
    for geometry, properties in rows:
        if geometry.is_empty:
            continue
        geometry = shapely.set_precision(geometry, 1e-4, mode="pointwise")
        features.append({"type": "Feature", "geometry": mapping(geometry), "properties": properties})
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, separators=(",", ":"))
    (target / f"{name}.geojson").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{name}: {len(features)} features, {len(text.encode()) // 1000} KB\n")


# The source has no Chinese name for two cities, and labels Ningde with the name of its district.
NAMES_ZH = {"Changting": "长汀", "Shuyang": "沭阳", "蕉城区": "宁德"}


def names(properties: dict) -> dict:
    name_en = properties.get("NAME_EN") or properties["NAME"]
    name_zh = properties.get("NAME_ZH") or name_en
    name_zh = NAMES_ZH.get(name_zh, name_zh)
    return {"zh": name_zh.removesuffix("市"), "en": name_en, "pop": properties.get("POP_MAX") or 0}


def main(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    land = shapely.unary_union([shapely.make_valid(shape(f["geometry"])) for f in read(source, "nwpac_land_10m")])
    near = land.intersection(NEAR)
    far = land.difference(NEAR).intersection(FAR).simplify(FAR_TOLERANCE_DEG)
    parts = [p for p in shapely.get_parts(far) if p.geom_type == "Polygon" and p.area > FAR_ISLAND_MIN_DEG2]
    islands = [shape(f["geometry"]) for f in read(source, "nwpac_minor_islands_10m")]
    near_islands = [p for p in islands if p.intersects(NEAR)]
    write(target, "land", [(p, {}) for p in [*parts, *shapely.get_parts(near), *near_islands]])
    rivers = [(shape(f["geometry"]).simplify(0.005), {}) for f in read(source, "eastchina_rivers_10m")]
    lakes = [(shape(f["geometry"]).simplify(0.005), {}) for f in read(source, "eastchina_lakes_10m")]
    write(target, "inland_water", rivers + lakes)
    places = [(shape(f["geometry"]), names(f["properties"])) for f in read(source, "eastchina_places_10m")]
    write(target, "cities", places)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
