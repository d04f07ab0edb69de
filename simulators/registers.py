"""The generated district as rows of its registers: what a clerk of a real district would have in her spreadsheets. Pure.

Everything is fictional: persons by chance from common names, telephones 13800000xxx, which belong to nobody who could be called
from here (a demo reaches no recipient outside). Rows are plain documents `{entry_id, values, lon?, lat?, geometry?}` by kind, in
the order in which they must go in: what is pointed at comes before what points at it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import shapely
import shapely.ops
from shapely.geometry import MultiPoint, Point, Polygon, box, mapping
from shapely.geometry.base import BaseGeometry

from gis.features import Feature
from simulators.catalogue import PLANTS, SHELTERS, STATIONS, UNITS, VILLAGES
from simulators.district import NAME_ZH, District
from simulators.placement import AREA
from simulators.shapes import XY, lonlat, plane_xy, to_lonlat

Row = dict[str, Any]
FICTIONAL = "虚构（演示数据）"
STREETS: tuple[tuple[str, str, XY], ...] = (
    ("001", "城西街道", (-7_500.0, -4_500.0)),
    ("002", "城东街道", (1_500.0, -4_200.0)),
    ("003", "江北街道", (-3_000.0, 4_200.0)),
    ("004", "湾北街道", (8_500.0, 4_200.0)),
    ("005", "岬门镇", (15_000.0, 5_600.0)),
)
_TOWNS: tuple[tuple[str, XY], ...] = (
    ("市民广场社区", (300.0, -2_700.0)),
    ("新城社区", (-2_600.0, -3_600.0)),
    ("老城社区", (-1_700.0, 2_600.0)),
    ("江滨社区", (1_300.0, 3_500.0)),
    ("园区社区", (9_600.0, 3_800.0)),
)
_FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"
_GIVEN = [
    "建国",
    "秀英",
    "伟",
    "芳",
    "海波",
    "敏",
    "志强",
    "丽娟",
    "军",
    "静",
    "国平",
    "晓燕",
    "立新",
    "春梅",
    "永康",
    "雪峰",
    "振华",
    "玉兰",
    "文斌",
    "小平",
]
_SUBSTANCES = {
    "chlorine": ("液氯", "1017", "7782-50-5"),
    "ammonia": ("液氨", "1005", "7664-41-7"),
    "methanol": ("甲醇", "1230", "67-56-1"),
}
_TEAM_TYPE = {
    "fire": "fire",
    "hazmat": "hazmat",
    "flood": "flood",
    "medical": "medical",
    "police": "police",
    "patrol": "patrol",
}
_OWNER_OF_STATION = {
    "station-central": "org-fire",
    "station-north": "org-fire",
    "station-flood": "org-water",
    "station-hospital": "org-hospital",
    "station-police": "org-police",
    "station-port": "org-marine",
}
_ORGANISATIONS: tuple[tuple[str, str, str], ...] = (
    ("org-district", "椒湾区人民政府", "government"),
    ("org-emergency", "椒湾区应急管理局", "government"),
    ("org-water", "椒湾区水利局", "government"),
    ("org-resources", "椒湾区自然资源局", "government"),
    ("org-works", "椒湾区市政工程管理处", "institution"),
    ("org-education", "椒湾区教育局", "government"),
    ("org-fishery", "椒湾区渔业管理站", "institution"),
    ("org-fire", "椒湾区消防救援大队", "rescue"),
    ("org-police", "椒湾区交警大队", "government"),
    ("org-marine", "椒湾海事处", "government"),
    ("org-hospital", "椒湾区人民医院", "institution"),
)


def register_rows(district: District) -> dict[str, list[Row]]:
    """Rows by kind, in the order of their references; `unit` rows are the field units."""
    people = _People()
    areas = _areas(district)
    villages = district.features()["villages"]
    streets = [
        (f"org-street-{code}", f"{name}办事处" if name.endswith("街道") else f"{name}人民政府")
        for code, name, _ in STREETS
    ]
    organisations = [
        *(_row(i, None, name=n, type=t, remarks=FICTIONAL) for i, n, t in _ORGANISATIONS),
        *(_row(i, None, name=n, type="street", parent="org-district", remarks=FICTIONAL) for i, n in streets),
        *(_row(f"org-{p.plant_id}", None, name=p.name, type="enterprise", duty_phone=p.phone) for p in PLANTS),
    ]
    for n, organisation in enumerate(organisations):
        organisation["values"].setdefault("duty_phone", f"0576-0000-{4000 + n}")
    found: dict[str, list[Row]] = {"area": areas, "organisation": organisations, "contact": people.rows}
    found["shelter"] = _shelters(people)
    found["flood_village"] = [_village(f, people) for f in villages]
    found["reservoir"] = [_reservoir(district, people)]
    found["dyke"] = _dykes(district, people)
    found["slope"] = [_slope(people)]
    found["underpass"] = [_underpass(f, people) for f in district.features()["underpasses"]]
    found["plant"] = [_plant(district, plant.plant_id, people) for plant in PLANTS]
    found["harbour"] = [_harbour(people)]
    found["boat"] = _boats(people)
    found["school"] = _schools(people)
    found["hospital"] = [_hospital(people)]
    found["team"] = _teams(district, people)
    found["vehicle"] = _vehicles()
    found["material"] = _materials(people)
    found["expert"] = _experts()
    found["agency"] = _agencies()
    found["drill"] = _drills(people)
    found["isolation_distance"] = _distances()
    found["report_route"] = _routes()
    found["patrol_duty"] = _visits(found)
    found["address"] = _addresses(district)
    found["unit"] = [_unit(unit) for unit in district.units()]
    return found


class _People:
    """Persons as they are needed: each has a name of his own and a telephone that is nobody's."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        pairs = [f + g for g, f in itertools.product(_GIVEN, _FAMILY)]
        self._names: Iterator[str] = iter(pairs[::7] + pairs[1::7])

    def one(self, organisation: str, post: str, duties: str = "") -> str:
        """A new person's id."""
        n = len(self.rows) + 1
        values = {
            "name": next(self._names),
            "phone": f"13800000{n:03d}",
            "organisation": organisation,
            "post": post,
            "duties": duties,
            "remarks": FICTIONAL,
        }
        self.rows.append({"entry_id": f"c-{n:03d}", "values": values})
        self.rows[-1]["values"]["area"] = AREA
        return f"c-{n:03d}"

    def pair(self, organisation: str, what: str) -> dict[str, str]:
        """Owner and the two who answer for something of his."""
        return {
            "owner": organisation,
            "contact_a": self.one(organisation, "分管负责人", f"{what}行政责任人"),
            "contact_b": self.one(organisation, "工作人员", f"{what}巡查责任人"),
        }


def _row(entry_id: str, at: XY | None, geometry: BaseGeometry | None = None, **values: Any) -> Row:
    row: Row = {"entry_id": entry_id, "values": {k: v for k, v in values.items() if v not in ("", None)}}
    if at is not None:
        row["lon"], row["lat"] = at
    if geometry is not None:
        row["geometry"] = mapping(shapely.set_precision(geometry, 1e-6, mode="pointwise"))
    return row


# --- areas


def _areas(district: District) -> list[Row]:
    """County, streets, communities and grids with outlines that tile the district."""
    (whole,) = district.features()["district"]
    outline = shapely.transform(
        whole.geometry, lambda xy: shapely.get_coordinates(MultiPoint([plane_xy(*p) for p in xy]))
    )
    rows = [_row(AREA, None, whole.geometry, name=NAME_ZH)]
    streets = _tiles(outline, [at for _, _, at in STREETS])
    homes = [(name, at) for name, _, at, _ in VILLAGES] + list(_TOWNS)
    for (suffix, name, _), street in zip(STREETS, streets, strict=True):
        code = AREA + suffix
        rows.append(_row(code, None, to_lonlat(street), name=name))
        inside = [(n, at) for n, at in homes if street.contains(Point(at))]
        for n, ((home, _), part) in enumerate(
            zip(inside, _tiles(street, [at for _, at in inside]), strict=True), start=1
        ):
            village = f"{code}{n:03d}"
            rows.append(_row(village, None, to_lonlat(part), name=home))
            rows += [
                _row(f"{village}{g:03d}", None, to_lonlat(half), name=f"{home}第{g}网格")
                for g, half in enumerate(_halves(part), start=1)
            ]
    return rows


def _tiles(outline: BaseGeometry, seeds: list[XY]) -> list[BaseGeometry]:
    """The outline shared out: each seed gets what is nearest to it."""
    if len(seeds) == 1:
        return [outline]
    cells = shapely.voronoi_polygons(MultiPoint(seeds), extend_to=box(*outline.bounds).buffer(1_000.0)).geoms
    owned = {seed: next(cell for cell in cells if cell.covers(Point(seed))) for seed in seeds}
    return [_areal(owned[seed].intersection(outline)) for seed in seeds]


def _halves(outline: BaseGeometry) -> list[BaseGeometry]:
    west, south, east, north = outline.bounds
    middle = (west + east) / 2
    parts = [box(west, south, middle, north), box(middle, south, east, north)]
    return [_areal(outline.intersection(part)) for part in parts]


def _areal(geometry: BaseGeometry) -> BaseGeometry:
    """Only the polygons of what an intersection left."""
    parts = [part for part in getattr(geometry, "geoms", [geometry]) if isinstance(part, Polygon) and part.area > 1.0]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


# --- objects at risk


def _street_of(at: XY) -> str:
    """The street office whose seat is nearest."""
    x, y = plane_xy(*at)
    code = min(STREETS, key=lambda s: (s[2][0] - x) ** 2 + (s[2][1] - y) ** 2)[0]
    return f"org-street-{code}"


def _nearest_shelter(at: XY) -> str:
    x, y = plane_xy(*at)
    order = sorted(range(len(SHELTERS)), key=lambda n: (SHELTERS[n][1][0] - x) ** 2 + (SHELTERS[n][1][1] - y) ** 2)
    return f"shelter-{order[0] + 1}"


def _inner(geometry: BaseGeometry) -> XY:
    point = geometry.representative_point()
    return round(point.x, 6), round(point.y, 6)


def _village(feature: Feature, people: _People) -> Row:
    at, name, residents = _inner(feature.geometry), feature.properties["name_zh"], int(feature.properties["population"])
    return _row(
        feature.feature_id,
        at,
        feature.geometry,
        name=name,
        residents=residents,
        households=residents // 3,
        evacuees=residents // 4,
        vulnerable=residents // 20,
        route=f"{name}村口集合，沿村道乘车至避灾点",
        shelter=_nearest_shelter(at),
        alarm_means=["speaker", "gong", "door"],
        inspected_on="2019-06-18",
        **people.pair(_street_of(at), name),
    )


def _reservoir(district: District, people: _People) -> Row:
    lake = next(f for f in district.features()["river"] if f.feature_id == "reservoir-1")
    return _row(
        "reservoir-1",
        _inner(lake.geometry),
        name="库前水库",
        scale="small_1",
        capacity_wan_m3=260,
        catchment_km2=4.8,
        limit_m=41.5,
        normal_m=42.0,
        design_m=44.1,
        check_m=45.0,
        crest_m=46.2,
        datum="cgvd85",
        downstream_people=1_200,
        technical=people.one("org-water", "工程师", "库前水库技术责任人"),
        devices=["wg-kuqian"],
        cameras=["cam-12"],
        inspected_on="2019-07-30",
        **people.pair("org-water", "库前水库"),
    )


def _dykes(district: District, people: _People) -> list[Row]:
    coasts = {f.feature_id: f for f in district.features()["coast"]}
    (whole,) = district.features()["district"]
    line = coasts["coast-1"].geometry
    gauges = {d.device_id: d for d in district.devices()}
    tide, town = gauges["wg-tide"], gauges["wg-laocheng"]
    wall = _row(
        "dyke-sea-1",
        _on_land(line, whole.geometry),
        line.simplify(0.0005),
        name="椒湾标准海塘",
        type="sea",
        grade=2,
        river="椒湾",
        guard_m=2.6,
        warning_m=3.0,
        guaranteed_m=3.9,
        crest_m=6.2,
        datum="cgvd85",
        devices=["wg-tide"],
        cameras=["cam-04", "cam-05"],
        inspected_on="2019-07-22",
        **people.pair("org-water", "海塘"),
    )
    bank = _row(
        "dyke-river-1",
        (town.lon, town.lat),
        name="椒湾江老城段江堤",
        type="river",
        grade=3,
        river="椒湾江",
        guard_m=5.9,
        warning_m=6.54,
        guaranteed_m=7.06,
        crest_m=8.3,
        datum="cgvd85",
        devices=["wg-laocheng", "wg-renmin"],
        cameras=["cam-bridge-5"],
        inspected_on="2019-07-22",
        **people.pair("org-water", "江堤"),
    )
    assert tide.attributes["datum"] == town.attributes["datum"]  # their marks stand on one datum
    return [wall, bank]


def _on_land(line: BaseGeometry, land: BaseGeometry) -> XY:
    """A point of the shore that lies inside the district's outline."""
    middle = line.interpolate(0.5, normalized=True)
    inside = shapely.ops.nearest_points(land.buffer(-0.0001), middle)[0]
    return round(inside.x, 6), round(inside.y, 6)


def _slope(people: _People) -> Row:
    at = lonlat(-12_730.0, 1_500.0)
    return _row(
        "slope-1",
        at,
        name="梅岙山洪沟泥石流隐患点",
        type="debris_flow",
        scale="small",
        people=46,
        households=15,
        rain_24h_mm=120,
        route="沿村道向东至梅岙桥头",
        shelter=_nearest_shelter(at),
        cameras=["cam-11"],
        devices=["wg-meiao"],
        observer=people.one(_street_of(at), "群测群防员", "梅岙山洪沟巡查"),
        inspected_on="2019-07-05",
        **people.pair("org-resources", "地灾点"),
    )


def _underpass(feature: Feature, people: _People) -> Row:
    name = str(feature.properties["name_zh"])
    return _row(
        feature.feature_id,
        (feature.geometry.x, feature.geometry.y),
        name=name,
        road=name.removesuffix("下穿"),
        warn_depth_m=0.15,
        close_depth_m=0.27,
        pump_m3h=900,
        barrier="manual",
        devices=[feature.properties["device_id"]],
        cameras=[feature.properties["camera_id"]],
        inspected_on="2019-07-15",
        **people.pair("org-works", name),
    )


def _plant(district: District, plant_id: str, people: _People) -> Row:
    plant = next(p for p in PLANTS if p.plant_id == plant_id)
    yard = next(f for f in district.features()["chem_park"] if f.feature_id == plant_id)
    detectors = [d for d in district.devices() if d.group.startswith(f"{plant_id}-")]
    tanks = []
    for tank in plant.tanks:
        substance, un_number, cas = _SUBSTANCES[tank.substance]
        tanks.append(
            {"name": tank.name, "substance": substance, "un_number": un_number, "cas": cas, "capacity_t": tank.tonnes}
        )
    toxic = plant.tanks[0].substance != "methanol"
    return _row(
        plant_id,
        lonlat(*plant.centre),
        yard.geometry,
        name=plant.name,
        grade="red" if toxic else "orange",
        hazard_level="2" if toxic else "3",
        control_room_phone=plant.phone,
        site=detectors[0].group if detectors else "",
        devices=[d.device_id for d in detectors],
        cameras={"plant-wanjiang": ["cam-01"], "plant-haifeng": ["cam-02"]}.get(plant_id),
        tanks=tanks,
        staff=160,
        inspected_on="2019-08-01",
        **people.pair(f"org-{plant_id}", plant.name),
    )


def _harbour(people: _People) -> Row:
    return _row(
        "harbour-jiamen",
        lonlat(14_900.0, 4_800.0),
        name="岬门渔港",
        berths=180,
        wind_level=12,
        duty_phone="0576-0000-4100",
        cameras=["cam-06"],
        inspected_on="2019-07-28",
        **people.pair("org-fishery", "岬门渔港"),
    )


def _boats(people: _People) -> list[Row]:
    pair = people.pair("org-fishery", "渔船")
    return [
        _row(f"boat-{n}", None, name=f"浙椒渔{10_000 + 37 * n}", type="fishing", length_m=24 + n, crew=6 + n % 3, harbour="harbour-jiamen", wind_level=8, area=f"{AREA}005", **pair)
        for n in range(1, 9)
    ]  # fmt: skip


def _schools(people: _People) -> list[Row]:
    names = (
        ("椒湾中学", "secondary", 1_650, 420, 0),
        ("城东小学", "primary", 980, 0, 1),
        ("湾头小学", "primary", 430, 0, 5),
    )
    return [
        _row(
            f"school-{n}",
            lonlat(SHELTERS[at][1][0] + 60.0, SHELTERS[at][1][1] + 40.0),
            name=name,
            type=kind,
            pupils=pupils,
            boarders=boarders or None,
            inspected_on="2019-06-28",
            **people.pair("org-education", name),
        )
        for n, (name, kind, pupils, boarders, at) in enumerate(names, start=1)
    ]


def _hospital(people: _People) -> Row:
    home = next(s for s in STATIONS if s.station_id == "station-hospital")
    return _row(
        "hospital-1",
        lonlat(*home.at),
        name="椒湾区人民医院",
        type="hospital",
        beds=620,
        icu_beds=24,
        decontamination=True,
        power_hours=12,
        duty_phone="0576-0000-4120",
        inspected_on="2019-06-20",
        **people.pair("org-hospital", "医院"),
    )


# --- resources


def _shelters(people: _People) -> list[Row]:
    return [
        _row(
            f"shelter-{n}",
            lonlat(*at),
            name=name,
            capacity=capacity,
            level="county" if capacity >= 1_000 else "street",
            flood_safe=True,
            wind_safe=True,
            state="ready",
            owner=_street_of(lonlat(*at)),
            contact_a=people.one(_street_of(lonlat(*at)), "避灾点管理员", name),
        )
        for n, (name, at, capacity) in enumerate(SHELTERS, start=1)
    ]


def _teams(district: District, people: _People) -> list[Row]:
    where = {unit["unit_id"]: (unit["lon"], unit["lat"], unit["phone"]) for unit in district.units()}
    rows = []
    for spec in UNITS:
        lon, lat, phone = where[spec.unit_id]
        owner = _OWNER_OF_STATION[spec.station]
        rows.append(
            _row(
                f"team-{spec.unit_id.removeprefix('unit-')}",
                (lon, lat),
                name=spec.name,
                type=_TEAM_TYPE[spec.kind],
                capabilities=list(spec.capabilities),
                people=8,
                ready_minutes=5,
                duty_phone=phone,
                state="ready",
                owner=owner,
                contact_a=people.one(owner, "队长", spec.name),
            )
        )
    return rows


def _vehicles() -> list[Row]:
    kinds = {"fire": "fire", "hazmat": "hazmat", "flood": "pump", "medical": "ambulance"}
    homes = {s.station_id: s for s in STATIONS}
    return [
        _row(
            f"vehicle-{n}",
            lonlat(*homes[spec.station].at),
            name=f"{spec.name}车辆",
            plate=f"浙J·演{n:04d}",
            type=kinds[spec.kind],
            wading_depth_m=spec.wading_depth_m,
            ppe_grade="A" if spec.kind == "hazmat" else None,
            team=f"team-{spec.unit_id.removeprefix('unit-')}",
            state="ready",
            owner=_OWNER_OF_STATION[spec.station],
        )
        for n, spec in enumerate((s for s in UNITS if s.kind in kinds), start=1)
    ]


def _materials(people: _People) -> list[Row]:
    keeper = people.one("org-water", "仓库管理员", "区防汛物资仓库")
    at = lonlat(*next(s for s in STATIONS if s.station_id == "station-flood").at)
    stock = (
        ("编织袋", "挡水", 20_000, "只"),
        ("移动水泵", "排涝", 12, "台"),
        ("救生衣", "救生", 400, "件"),
        ("橡皮艇", "救生", 8, "艘"),
        ("应急照明灯", "照明", 30, "台"),
        ("碱液（中和剂）", "危化", 6, "吨"),
    )
    return [
        _row(f"material-{n}", at, name=name, category=category, store="区防汛物资仓库", quantity=quantity, uom=uom, checked_on="2019-07-01", state="ready", owner="org-water", contact_a=keeper)
        for n, (name, category, quantity, uom) in enumerate(stock, start=1)
    ]  # fmt: skip


def _experts() -> list[Row]:
    people = (
        ("沈立群", "危险化学品", "org-emergency"),
        ("方远", "水利工程", "org-water"),
        ("韩松", "地质灾害", "org-resources"),
    )
    return [
        _row(f"expert-{n}", None, name=name, field=field, title="高级工程师", phone=f"13800000{900 + n}", owner=owner, state="ready", area=AREA, remarks=FICTIONAL)
        for n, (name, field, owner) in enumerate(people, start=1)
    ]  # fmt: skip


def _agencies() -> list[Row]:
    return [
        _row("agency-fire", None, name="椒湾区消防救援大队", authority="direct", duty_phone="119", functions="灭火、危化品处置、水域救援", owner="org-fire", area=AREA),
        _row("agency-police", None, name="椒湾区交警大队", authority="request", duty_phone="0576-0000-2012", functions="交通管制", answer_minutes=5, owner="org-police", area=AREA),
        _row("agency-marine", None, name="椒湾海事处", authority="notify", duty_phone="0576-0000-2013", functions="海上交通安全", owner="org-marine", area=AREA),
    ]  # fmt: skip


def _routes() -> list[Row]:
    routes = (
        ("water", "积水内涝", "org-water", "request"),
        ("water", "积水内涝", "org-works", "direct"),
        ("landslide", "滑坡落石", "org-resources", "request"),
        ("gas", "异味泄漏", "org-fire", "direct"),
        ("gas", "异味泄漏", "org-emergency", "direct"),
        ("fire", "火情烟雾", "org-fire", "direct"),
        ("road", "道路受阻", "org-police", "request"),
        ("road", "道路受阻", "org-works", "direct"),
        ("structure", "房屋构筑物险情", "org-emergency", "direct"),
        ("people", "人员被困求助", "org-fire", "direct"),
        ("people", "人员被困求助", "org-police", "notify"),
        ("facility", "公共设施损坏", "org-works", "direct"),
    )
    return [
        _row(f"route-{n}", None, name=f"{zh}分送", event=event, organisation=organisation, authority=authority, remarks=FICTIONAL)
        for n, (event, zh, organisation, authority) in enumerate(routes, start=1)
    ]  # fmt: skip


def _visits(found: dict[str, list[Row]]) -> list[Row]:
    """Two organisations want the schools visited, one the shelters: who walks there once answers all of them."""
    wanted = [
        *(("school", row, "org-education", 30, "围墙与操场\n消防栓\n应急照明") for row in found["school"]),
        *(("school", row, "org-water", 7, "排水口\n应急照明") for row in found["school"]),
        *(("shelter", row, "org-emergency", 14, "门锁与钥匙\n物资清点\n应急照明") for row in found["shelter"]),
    ]
    return [
        _row(f"visit-{n}", None, name=f"{row['values']['name']}走访", subject=f"{kind}/{row['entry_id']}", organisation=organisation, every_days=days, checklist=items, remarks=FICTIONAL)
        for n, (kind, row, organisation, days, items) in enumerate(wanted, start=1)
    ]  # fmt: skip


def _distances() -> list[Row]:
    """Numbers of no guidebook's edition, so that the demo can draw; a real city loads the edition that it uses."""
    edition = "演示数值，不是任何版本的指南，不得用于实战"
    table = (
        ("氯", "1017", "small", 60, 0.3, 1.2),
        ("氯", "1017", "large", 500, 3.0, 8.0),
        ("氨", "1005", "small", 30, 0.1, 0.2),
        ("氨", "1005", "large", 150, 0.8, 2.0),
    )
    return [
        _row(f"distance-{un}-{spill}", None, name=name, un_number=un, spill=spill, isolate_m=isolate_m, day_km=day_km, night_km=night_km, edition=edition, remarks=FICTIONAL)
        for name, un, spill, isolate_m, day_km, night_km in table
    ]  # fmt: skip


def _drills(people: _People) -> list[Row]:
    director = people.one("org-emergency", "副局长", "分管应急指挥")
    flood_teams, hazmat_teams = (
        [f"team-{spec.unit_id.removeprefix('unit-')}" for spec in UNITS if wanted in spec.capabilities]
        for wanted in ("flood_rescue", "hazmat")
    )
    port = lonlat(*next(s for s in STATIONS if s.station_id == "station-flood").at)
    flood = {
        "plan": "椒湾区防汛防台应急预案（2019 版）", "form": "field", "held_on": "2019-05-14", "next_due": "2020-05-31",
        "people": 126, "objects": "城东下穿立交、岬门镇避灾安置", "scenario": "台风登陆前 12 小时，下穿立交积水，沿江两村转移。",
        "evaluation": "指令传达和转移及时；下穿立交封闭偏慢。", "grade": "fair",
        "participants": [
            {"organisation": "椒湾区应急管理局", "part": "指挥协调", "count": 18},
            {"organisation": "椒湾区水利局", "part": "巡查抢险", "count": 42},
            {"organisation": "岬门镇人民政府", "part": "人员转移", "count": 66},
        ],
        "problems": [
            {"problem": "立交积水 15 分钟后才封闭", "measure": "水位站告警直通交警值班室", "organisation": "椒湾区市政工程管理处", "due": "2019-07-31", "done_on": "2019-07-10"},
            {"problem": "避灾点物资台账与实物不符", "measure": "逐点盘点", "organisation": "椒湾区应急管理局", "due": "2019-07-15"},
        ],
    }  # fmt: skip
    chlorine = {
        "plan": "椒湾区危险化学品事故应急预案（2018 版）", "form": "tabletop", "held_on": "2019-03-20", "next_due": "2020-03-31",
        "people": 31, "objects": "化工园区氯碱装置", "scenario": "液氯储罐阀门泄漏，下风向学校疏散。",
        "evaluation": "与园区控制室的联络不畅，疏散范围判断用时过长。", "grade": "pass",
        "participants": [
            {"organisation": "椒湾区消防救援大队", "part": "处置", "count": 12},
            {"organisation": "化工园区管委会", "part": "疏散", "count": 19},
        ],
        "problems": [{"problem": "控制室值班电话无人接听", "measure": "增设应急专线", "organisation": "化工园区管委会", "due": "2019-06-30", "done_on": "2019-06-12"}],
    }  # fmt: skip
    return [
        _row("drill-1", port, name="防汛防台综合演练", owner="org-emergency", director=director, teams=flood_teams, remarks=FICTIONAL, **flood),
        _row("drill-2", None, name="液氯泄漏桌面推演", owner="org-emergency", director=director, teams=hazmat_teams, area=AREA, remarks=FICTIONAL, **chlorine),
    ]  # fmt: skip


def _addresses(district: District) -> list[Row]:
    layers = district.features()
    (whole,) = layers["district"]
    rows = [
        _row(p.feature_id, (p.geometry.x, p.geometry.y), name=p.properties["name_zh"], type="place")
        for p in layers["places"]
        if whole.geometry.contains(p.geometry)
    ]
    seen: set[str] = set()
    for road in layers["roads"]:
        name = str(road.properties.get("name_zh") or "")
        middle = road.geometry.interpolate(0.5, normalized=True)
        if name and name not in seen and whole.geometry.contains(middle):
            seen.add(name)
            rows.append(
                _row(f"addr-{road.feature_id}", (round(middle.x, 6), round(middle.y, 6)), name=name, type="road")
            )
    return rows


def _unit(unit: dict[str, Any]) -> Row:
    keys = ("name", "kind", "authority", "capabilities", "wading_depth_m", "area", "phone")
    return {
        "entry_id": unit["unit_id"],
        "lon": unit["lon"],
        "lat": unit["lat"],
        "values": {key: unit[key] for key in keys},
    }
