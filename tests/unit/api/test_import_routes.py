"""The doors of import, export and address search: roles, scope, bad input, and what a file may not be."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import openpyxl
import pytest

from citybrain_testing.api_rim import PASSWORD, USERS, fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.importing import Importing, make_importing
from command_center.api.app import build_app
from command_center.api.middleware import MAX_UPLOAD_BYTES
from command_center.model import Role, User
from command_center.registers.addresses import AddressService, FixedPlaces
from gis.addresses import Place
from storage.memory.command import MemoryStore

CLERK = User(username="clerk1", name="登记员", roles=[Role.REGISTRAR])
OTHER = User(username="clerk2", name="登记员二", roles=[Role.REGISTRAR])
GOOD = "编号,名称,责任人电话,经度,纬度\nR1,东山水库,13805761234,121.45,28.68\nR2,西山水库,,121.46,28.69\n"
UPLOAD = "/api/v1/imports?kind=reservoir&filename=x.csv"
PLACES = [
    Place(entry_id="1", kind="underpass", name="解放路地道口", lon=121.45, lat=28.68, area="331002001"),
    Place(entry_id="2", kind="road", name="解放路", lon=121.46, lat=28.69, area="331002002"),
]


class People:
    async def verify(self, username: str, password: str) -> User | None:
        known = {**USERS, "clerk1": CLERK, "clerk2": OTHER}
        return known.get(username) if password == PASSWORD else None


@dataclass
class Door:
    client: AsgiClient
    world: Importing
    addresses: AddressService

    def headers(self, username: str = "clerk1") -> dict[str, str]:
        answer = self.client.post("/api/v1/sessions", json={"username": username, "password": PASSWORD})
        self.client.cookies.clear()
        return {"Authorization": f"Bearer {answer.json()['token']}"}


@pytest.fixture
def door() -> Iterator[Door]:
    world = make_importing(MemoryStore())
    addresses = AddressService([FixedPlaces(PLACES)])
    deps = fake_deps(users=People(), imports=world.imports, exports=world.exports, addresses=addresses)
    with AsgiClient(build_app(deps)) as client:
        yield Door(client, world, addresses)


def test_a_file_goes_all_the_way_through_the_doors(door: Door) -> None:
    me = door.headers()
    answer = door.client.post(UPLOAD, content=GOOD.encode(), headers=me)
    assert answer.status_code == 201, answer.text
    dry = answer.json()
    assert answer.headers["Location"] == f"/api/v1/imports/{dry['import_id']}"
    assert dry["counts"] == {"rows": 2, "new": 2, "changed": 0, "same": 0, "wrong": 0}
    assert {"source": "名称", "field": "name", "how": "exact"} in dry["columns"]
    assert set(dry["crs"]) >= {"declared", "detected", "used", "offset_m", "warning_zh", "warning_en"}
    seen = door.client.get(f"/api/v1/imports/{dry['import_id']}", headers=me)
    assert seen.json()["counts"] == dry["counts"]
    changed = door.client.put(
        f"/api/v1/imports/{dry['import_id']}", json={"columns": {"责任人电话": None}, "crs": "CGCS2000"}, headers=me
    )
    assert changed.json()["crs"]["used"] == "EPSG:4490"
    done = door.client.post(f"/api/v1/imports/{dry['import_id']}/commit", json={"reason": "汛前"}, headers=me)
    assert done.json() == {"created": 2, "changed": 0, "same": 0, "skipped": 0, "extra": {}}
    (job,) = door.client.get("/api/v1/imports", headers=me).json()["items"]
    assert (job["state"], job["done"]["created"], "sealed" in job) == ("COMMITTED", 2, False)


def test_an_export_is_marked_journalled_and_imports_without_a_difference(door: Door) -> None:
    me = door.headers()
    dry = door.client.post(UPLOAD, content=GOOD.encode(), headers=me).json()
    door.client.post(f"/api/v1/imports/{dry['import_id']}/commit", json={"reason": "a"}, headers=me)
    for name, kind in (
        ("xlsx", "spreadsheet"),
        ("csv", "csv"),
        ("geojson", "geo+json"),
        ("gpkg", "geopackage"),
        ("shp.zip", "zip"),
        ("yaml", "yaml"),
    ):
        answer = door.client.get(f"/api/v1/registers/reservoir/export?format={name}", headers=me)
        assert answer.status_code == 200, answer.text
        assert kind in answer.headers["content-type"]
        assert "attachment" in answer.headers["content-disposition"]
        back = door.client.post(f"/api/v1/imports?kind=reservoir&filename=x.{name}", content=answer.content, headers=me)
        assert back.json()["counts"]["same"] == 2, (name, back.text)
    book = openpyxl.load_workbook(io.BytesIO(door.client.get("/api/v1/registers/reservoir/export", headers=me).content))
    said = " ".join(str(cell.value) for row in book["说明 About"].iter_rows() for cell in row)
    assert "clerk1" in said
    assert "2019-08-09" in said
    assert "测试数据" in said

    async def journal() -> list[str]:
        async with door.world.world.store.read() as tx:
            return [entry.action for entry in await tx.journal("export", "", 20, None)]

    assert door.client.run(journal()) == ["export"] * 7


def test_a_blank_sheet_has_a_heading_for_every_field(door: Door) -> None:
    answer = door.client.get("/api/v1/registers/reservoir/template.xlsx", headers=door.headers())
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    head = [cell.value for cell in book["reservoir"][1]]
    assert head[:3] == ["编号", "名称", "等级"]
    assert head[-3:] == ["经度", "纬度", "几何"]
    assert "闸门" in book.sheetnames
    empty = door.client.post(
        "/api/v1/imports?kind=reservoir&filename=t.xlsx", content=answer.content, headers=door.headers()
    )
    assert empty.json()["counts"]["rows"] == 0


@pytest.mark.parametrize(
    ("content", "status", "slug"),
    [
        (b"\x7fELF\x00", 415, "unknown-format"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 415, "unknown-format"),
        (b"", 422, "file-wrong"),
        (b'a,b\n"open', 422, "file-wrong"),
    ],
)
def test_what_is_no_table_is_a_problem_that_says_what_was_expected(
    door: Door, content: bytes, status: int, slug: str
) -> None:
    answer = door.client.post(UPLOAD, content=content, headers=door.headers())
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:citybrain:problem:{slug}")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_file_above_the_cap_is_refused_by_its_announced_length(door: Door) -> None:
    answer = door.client.post(
        UPLOAD, content=b"x", headers={**door.headers(), "content-length": str(MAX_UPLOAD_BYTES + 1)}
    )
    assert answer.status_code == 413
    big = door.client.post(UPLOAD, content=b"a,b\n" + b"1,2\n" * 400_000, headers=door.headers())
    assert big.status_code == 413  # 400,000 rows: too many, though the file itself is small enough
    other = door.client.put("/api/v1/imports/x", content=b"x" * 1_100_000, headers=door.headers())
    assert other.status_code == 413  # only the upload takes more than a megabyte


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/imports?filename=x.csv",
        "/api/v1/imports?kind=reservoir",
        "/api/v1/imports?kind=Reservoir%20x&filename=x.csv",
        "/api/v1/imports?kind=reservoir&filename=x.csv&crs=mars",
        "/api/v1/imports?kind=reservoir&filename=x.csv&sheet=none",
    ],
)
def test_a_wrong_question_is_answered_with_what_was_expected(door: Door, path: str) -> None:
    answer = door.client.post(path, content=GOOD.encode(), headers=door.headers())
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_unknown_kinds_and_imports_do_not_exist(door: Door) -> None:
    me = door.headers()
    assert door.client.post("/api/v1/imports?kind=ufo&filename=x.csv", content=b"a,b", headers=me).status_code == 404
    assert door.client.get("/api/v1/imports/im-x", headers=me).status_code == 404
    assert door.client.get("/api/v1/registers/ufo/export", headers=me).status_code == 404
    assert door.client.get("/api/v1/registers/ufo/template.xlsx", headers=me).status_code == 404
    assert door.client.get("/api/v1/registers/reservoir/export?format=doc", headers=me).status_code == 422


@pytest.mark.parametrize("username", ["unit-1", "met", "vendor1"])
def test_who_may_not_import_or_export_is_refused(door: Door, username: str) -> None:
    me = door.headers(username)
    assert door.client.post(UPLOAD, content=GOOD.encode(), headers=me).status_code == 403
    assert door.client.get("/api/v1/registers/reservoir/export", headers=me).status_code == 403
    if username != "vendor1":
        assert door.client.get("/api/v1/imports", headers=me).status_code == 403
        assert door.client.get("/api/v1/registers/reservoir/template.xlsx", headers=me).status_code == 403


def test_another_persons_import_does_not_exist_for_me(door: Door) -> None:
    dry = door.client.post(UPLOAD, content=GOOD.encode(), headers=door.headers()).json()
    other = door.headers("clerk2")
    here = f"/api/v1/imports/{dry['import_id']}"
    assert door.client.get(here, headers=other).status_code == 404
    assert door.client.put(here, json={}, headers=other).status_code == 404
    assert door.client.post(f"{here}/commit", json={"reason": "x"}, headers=other).status_code == 404
    assert door.client.get("/api/v1/imports", headers=other).json()["items"] == []
    assert len(door.client.get("/api/v1/imports", headers=door.headers("admin")).json()["items"]) == 1


def test_an_address_is_found_by_characters_and_sound(door: Door) -> None:
    me = door.headers()
    assert door.client.get("/api/v1/addresses?q=解放路", headers=me).status_code == 503  # not built yet
    door.client.run(door.addresses.refresh())
    items = door.client.get("/api/v1/addresses?q=jiefanglu&lon=121.46&lat=28.69", headers=me).json()["items"]
    assert [i["name"] for i in items] == ["解放路", "解放路地道口"]
    assert set(items[0]) == {"name", "kind", "entry_id", "address", "lon", "lat", "area", "score"}
    for wrong in ("q=" + "x" * 300, "q=a&lon=200&lat=1", "q=a&lon=1", "q=a&limit=0", ""):
        assert door.client.get(f"/api/v1/addresses?{wrong}", headers=me).status_code == 422
    assert door.client.get("/api/v1/addresses?q=a", headers=door.headers("vendor1")).status_code == 403


def test_an_installation_without_these_parts_says_so() -> None:
    with AsgiClient(build_app(fake_deps(users=People()))) as client:
        token = client.post("/api/v1/sessions", json={"username": "clerk1", "password": PASSWORD}).json()["token"]
        me = {"Authorization": f"Bearer {token}"}
        for path in ("/api/v1/imports", "/api/v1/registers/reservoir/export", "/api/v1/addresses?q=a"):
            assert client.get(path, headers=me).status_code == 503
