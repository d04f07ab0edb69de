"""Named places of the demo district, in local metres: villages, shelters, stations, plants, tanks, sites of devices."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.shapes import XY


@dataclass(frozen=True, slots=True, kw_only=True)
class Tank:
    tank_id: str
    name: str
    substance: str  # chlorine, ammonia, methanol
    substance_zh: str
    tonnes: float
    at: XY


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    plant_id: str
    name: str
    name_en: str
    phone: str  # its control room: the first call at a gas alarm
    centre: XY
    size_m: XY
    tanks: tuple[Tank, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Quarters of field units."""

    station_id: str
    name: str
    at: XY


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSpec:
    unit_id: str
    name: str
    kind: str
    station: str
    capabilities: tuple[str, ...]
    authority: str = "direct"
    wading_depth_m: float = 0.30
    phone: str = ""


VILLAGES: tuple[tuple[str, str, XY, int], ...] = (
    ("石塘村", "Shitang", (-9_300.0, -8_300.0), 640),
    ("溪口村", "Xikou", (-9_600.0, 4_350.0), 910),
    ("上坪村", "Shangping", (-12_900.0, 5_600.0), 480),
    ("梅岙村", "Mei'ao", (-13_100.0, 700.0), 560),
    ("西山村", "Xishan", (-10_400.0, -900.0), 830),
    ("库前村", "Kuqian", (-10_200.0, -5_500.0), 390),
    ("山根村", "Shangen", (-5_600.0, 6_400.0), 720),
    ("横塘村", "Hengtang", (-4_700.0, -7_900.0), 1_340),
    ("东浦村", "Dongpu", (2_700.0, -7_500.0), 1_560),
    ("三塘村", "Santang", (5_400.0, -6_300.0), 1_120),
    ("海门村", "Haimen", (5_650.0, -3_350.0), 2_050),
    ("北岸村", "Bei'an", (-3_300.0, 6_300.0), 880),
    ("湾头村", "Wantou", (4_300.0, 5_700.0), 1_210),
    ("盐场村", "Yanchang", (7_000.0, 5_150.0), 970),
    ("岬门渔村", "Jiamen", (14_450.0, 4_900.0), 1_480),
)
SHELTERS: tuple[tuple[str, XY, int], ...] = (
    ("椒湾中学避灾安置中心", (-2_900.0, -3_350.0), 1_800),
    ("城东小学避灾点", (2_150.0, -2_950.0), 900),
    ("江北体育馆避灾中心", (1_300.0, 3_600.0), 2_400),
    ("老城文化中心避灾点", (-2_700.0, 2_350.0), 650),
    ("横塘村文化礼堂避灾点", (-4_450.0, -7_650.0), 420),
    ("湾头小学避灾点", (4_500.0, 5_450.0), 520),
)
STATIONS: tuple[Station, ...] = (
    Station(station_id="station-central", name="椒湾特勤消防救援站", at=(-3_500.0, -2_500.0)),
    Station(station_id="station-north", name="江北消防救援站", at=(-2_350.0, 3_300.0)),
    Station(station_id="station-flood", name="区防汛物资仓库", at=(1_350.0, -3_700.0)),
    Station(station_id="station-hospital", name="椒湾区人民医院急救站", at=(1_050.0, -1_500.0)),
    Station(station_id="station-police", name="交警椒湾大队", at=(-900.0, -3_150.0)),
    Station(station_id="station-port", name="湾北海事码头", at=(12_150.0, 4_300.0)),
)
PLANTS: tuple[Plant, ...] = (
    Plant(
        plant_id="plant-wanjiang",
        name="湾江氯碱厂",
        name_en="Wanjiang Chlor-Alkali",
        phone="0576-0000-1109",
        centre=(9_050.0, 3_620.0),
        size_m=(620.0, 400.0),
        tanks=(
            Tank(
                tank_id="tank-cl2-1",
                name="1号液氯储罐",
                substance="chlorine",
                substance_zh="氯气",
                tonnes=60.0,
                at=(9_010.0, 3_650.0),
            ),
            Tank(
                tank_id="tank-cl2-2",
                name="2号液氯储罐",
                substance="chlorine",
                substance_zh="氯气",
                tonnes=60.0,
                at=(9_150.0, 3_665.0),
            ),
        ),
    ),
    Plant(
        plant_id="plant-haifeng",
        name="海丰制冷化工厂",
        name_en="Haifeng Refrigeration Chemicals",
        phone="0576-0000-1110",
        centre=(10_150.0, 4_010.0),
        size_m=(560.0, 340.0),
        tanks=(
            Tank(
                tank_id="tank-nh3-1",
                name="液氨储罐",
                substance="ammonia",
                substance_zh="氨气",
                tonnes=40.0,
                at=(10_130.0, 4_020.0),
            ),
        ),
    ),
    Plant(
        plant_id="plant-dongwan",
        name="东湾甲醇仓储",
        name_en="Dongwan Methanol Storage",
        phone="0576-0000-1111",
        centre=(11_000.0, 4_230.0),
        size_m=(520.0, 320.0),
        tanks=(
            Tank(
                tank_id="tank-meoh-1",
                name="甲醇储罐A",
                substance="methanol",
                substance_zh="甲醇",
                tonnes=300.0,
                at=(10_930.0, 4_240.0),
            ),
            Tank(
                tank_id="tank-meoh-2",
                name="甲醇储罐B",
                substance="methanol",
                substance_zh="甲醇",
                tonnes=300.0,
                at=(11_070.0, 4_250.0),
            ),
        ),
    ),
)
UNITS: tuple[UnitSpec, ...] = (
    UnitSpec(unit_id="unit-hazmat-1", name="特勤危化品处置一队", kind="hazmat", station="station-central", capabilities=("hazmat", "evacuation")),
    UnitSpec(unit_id="unit-hazmat-2", name="江北危化品处置队", kind="hazmat", station="station-north", capabilities=("hazmat",)),
    UnitSpec(unit_id="unit-fire-1", name="特勤站消防一中队", kind="fire", station="station-central", capabilities=("evacuation", "flood_rescue"), wading_depth_m=0.50),
    UnitSpec(unit_id="unit-fire-2", name="江北站消防中队", kind="fire", station="station-north", capabilities=("evacuation", "flood_rescue"), wading_depth_m=0.50),
    UnitSpec(unit_id="unit-flood-1", name="防汛抢险一队", kind="flood", station="station-flood", capabilities=("flood_rescue", "pumping"), wading_depth_m=0.80),
    UnitSpec(unit_id="unit-flood-2", name="防汛抢险二队", kind="flood", station="station-flood", capabilities=("flood_rescue", "pumping"), wading_depth_m=0.80),
    UnitSpec(unit_id="unit-medical-1", name="120急救一组", kind="medical", station="station-hospital", capabilities=("medical",)),
    UnitSpec(unit_id="unit-medical-2", name="120急救二组", kind="medical", station="station-hospital", capabilities=("medical",)),
    UnitSpec(unit_id="unit-patrol-1", name="城东街道巡查组", kind="patrol", station="station-flood", capabilities=("patrol", "evacuation", "traffic_control")),
    UnitSpec(unit_id="unit-patrol-2", name="江北街道巡查组", kind="patrol", station="station-north", capabilities=("patrol", "evacuation", "traffic_control")),
    UnitSpec(unit_id="unit-patrol-3", name="区综合执法巡查组", kind="patrol", station="station-police", capabilities=("patrol", "traffic_control")),
    UnitSpec(unit_id="unit-patrol-4", name="湾北园区巡查组", kind="patrol", station="station-port", capabilities=("patrol", "traffic_control")),
    UnitSpec(unit_id="unit-police-1", name="交警一中队", kind="police", station="station-police", capabilities=("traffic_control", "evacuation"), authority="request"),
    UnitSpec(unit_id="unit-marine-1", name="海事巡逻艇组", kind="patrol", station="station-port", capabilities=("patrol",), authority="notify"),
)  # fmt: skip
