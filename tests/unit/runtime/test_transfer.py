"""`citybrain import` and `citybrain export`: what they say, what they write, how they end."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import shapely
from typer.testing import CliRunner, Result

from citybrain_testing.api_rim import PASSWORD, fake_deps
from citybrain_testing.importing import Importing, make_importing
from command_center.api.app import build_app
from gis.features import Feature
from runtime import cli, importing, transfer
from storage.memory.command import MemoryStore

GOOD = "编号,名称,坝高,经度,纬度\nR1,东山水库,35,121.45,28.68\n"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importing:
    found = make_importing(MemoryStore())
    app = build_app(fake_deps(imports=found.imports, exports=found.exports))
    client = functools.partial(httpx.AsyncClient, transport=httpx.ASGITransport(app=app))
    monkeypatch.setattr(transfer.httpx, "AsyncClient", client)
    (tmp_path / "logins.json").write_text(json.dumps({"admin": PASSWORD}))
    (tmp_path / "logins.json").chmod(0o600)
    settings: Any = SimpleNamespace(secrets_dir=tmp_path, port=1)
    monkeypatch.setattr(cli, "_running", lambda _: settings)
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "水库.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_is_imported_and_exported_and_both_end_with_nought(world: Importing, tmp_path: Path) -> None:
    done = run("import", "reservoir", file(tmp_path, GOOD), "--json", "--crs", "WGS84")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["committed"] == {"created": 1, "changed": 0, "same": 0, "skipped": 0, "extra": {}}
    assert world.target.commits == ["citybrain import 水库.csv"]
    out = tmp_path / "out.geojson"
    done = run("export", "reservoir", "--format", "geojson", "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["features"][0]["properties"]["name"] == "东山水库"
    assert json.loads(done.stdout)["bytes"] == out.stat().st_size


def test_wrong_rows_end_with_one_and_write_nothing_unless_left_out(world: Importing, tmp_path: Path) -> None:
    path = file(tmp_path, GOOD + "R2,西山水库,高,121.45,28.68\n")
    assert run("import", "reservoir", path, "--dry-run").exit_code == 1
    done = run("import", "reservoir", path)
    assert done.exit_code == 1
    assert "坝高" in done.output
    assert world.target.rows == {}
    assert run("import", "reservoir", path, "--skip-wrong").exit_code == 0
    assert set(world.target.rows) == {"R1"}


def test_a_dry_run_writes_nothing(world: Importing, tmp_path: Path) -> None:
    done = run("import", "reservoir", file(tmp_path, GOOD), "--dry-run")
    assert done.exit_code == 0, done.output
    assert "新增 new 1" in done.output
    assert world.target.rows == {}


def test_wrong_usage_ends_with_two_and_a_refusal_with_one(world: Importing, tmp_path: Path) -> None:
    assert run("import", "reservoir", str(tmp_path / "none.csv")).exit_code == 2
    assert run("export", "reservoir", "--format", "doc", "--out", str(tmp_path / "x")).exit_code == 2
    assert run("export", "reservoir", "--out", str(tmp_path / "no" / "x")).exit_code == 2
    refused = run("import", "ufo", file(tmp_path, GOOD))
    assert refused.exit_code == 1
    assert "ufo" in refused.output
    assert run("import", "reservoir", file(tmp_path, GOOD), "--crs", "mars").exit_code == 1
    assert run("export", "ufo", "--out", str(tmp_path / "x")).exit_code == 1
    assert not (tmp_path / "x").exists()


def test_a_system_that_does_not_run_is_said(tmp_path: Path, world: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    client = functools.partial(httpx.AsyncClient.func, transport=httpx.MockTransport(away))  # type: ignore[attr-defined]
    monkeypatch.setattr(transfer.httpx, "AsyncClient", client)
    done = run("import", "reservoir", file(tmp_path, GOOD))
    assert done.exit_code == 1
    assert "is the system running?" in done.output.replace("\n", " ")


def a_feature(number: int, name: str, geometry: Any) -> Feature:
    return Feature(feature_id=str(number), geometry=geometry, properties={"name": name} if name else {})


def test_named_things_of_the_map_are_places_and_a_road_is_one() -> None:
    layers = {
        "roads": [
            a_feature(1, "解放路", shapely.LineString([(121.4, 28.6), (121.41, 28.6)])),
            a_feature(2, "解放路", shapely.LineString([(121.41, 28.6), (121.42, 28.6)])),
            a_feature(3, "", shapely.LineString([(121.4, 28.6), (121.4, 28.7)])),
        ],
        "villages": [a_feature(4, "海滨村", shapely.Point(121.5, 28.7))],
        "district": [a_feature(5, "示范区", shapely.box(121.3, 28.5, 121.6, 28.8))],
    }
    places = importing.layer_places(layers)
    assert {(p.kind, p.name) for p in places} == {("roads", "解放路"), ("villages", "海滨村")}
    road = next(p for p in places if p.kind == "roads")
    assert road.lat == 28.6
    assert 121.4 < road.lon < 121.42
