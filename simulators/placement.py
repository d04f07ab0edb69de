"""Devices of the demo district: where they stand, what they measure, at which values they alarm.

Level tables are demo values in the form that the municipal plans use; each carries its source. River thresholds are
stages at given shares of the flood's peak flow (`river.LEVEL_FRACTIONS`), through each gauge's own rating curve.
"""

from __future__ import annotations

import math
from typing import Any

from shapely.geometry import Point

from devices.registry import Device
from simulators.catalogue import PLANTS, Plant, Tank
from simulators.river import RiverGauge, level_table
from simulators.roads import Network, Road
from simulators.shapes import XY, lonlat
from simulators.terrain import Terrain

AREA = "339900"
RING_M = 32.0  # detectors around a tank: GB/T 50493 asks for cover, not for a distance
VENDORS = {"haichuan": "海川水文仪表", "anxin": "安芯气体检测", "tianmu": "天目视讯", "qixiang": "启象气象"}
# Reporting intervals in city seconds. Three silent intervals are a NO_DATA, which at 60x must still be several machine
# seconds, or a busy demo machine would cry wolf.
INTERVAL_S = {
    "water_gauge": 300.0,
    "rain_wind_station": 300.0,
    "air_station": 600.0,
    "gas_detector": 180.0,
    "camera": 600.0,
}

_DEMO = "演示阈值表"
UNDERPASS_DEPTH_M = {"blue": 0.10, "yellow": 0.15, "orange": 0.27, "red": 0.50}
RAIN_1H_MM = {"blue": 20.0, "yellow": 30.0, "orange": 50.0, "red": 80.0}
GUST_MS = {"blue": 17.2, "yellow": 24.5, "orange": 32.7, "red": 41.5}
TIDE_M = {"blue": 2.60, "yellow": 3.00, "orange": 3.45, "red": 3.90}

RAIN_STATIONS: tuple[tuple[str, str, XY], ...] = (
    ("rw-town", "椒湾国家气象站", (-1_900.0, -3_800.0)),
    ("rw-north", "江北自动气象站", (-900.0, 4_000.0)),
    ("rw-valley", "西谷自动气象站", (-9_700.0, -4_700.0)),
    ("rw-hills", "上坪山自动气象站", (-12_700.0, 6_200.0)),
    ("rw-coast", "海塘自动气象站", (6_350.0, -5_200.0)),
    ("rw-cape", "岬门海岛气象站", (15_500.0, 5_900.0)),
)
_AIR_STATIONS: tuple[tuple[str, str, XY], ...] = (
    ("air-town", "市民广场空气站", (300.0, -2_700.0)),
    ("air-old", "老城空气站", (-1_700.0, 2_600.0)),
    ("air-park", "化工园区空气站", (8_500.0, 4_250.0)),
    ("air-bay", "湾头空气站", (4_250.0, 5_400.0)),
    ("air-west", "西山空气站", (-10_100.0, -700.0)),
)
# Share of the river's length from the hills to the bar; name of the section.
_MAIN_GAUGES: tuple[tuple[str, str, float], ...] = (
    ("wg-shangping", "上坪水文站", 0.14),
    ("wg-meiao", "梅岙水位站", 0.25),
    ("wg-xikou", "溪口水位站", 0.36),
    ("wg-xixi-bridge", "西溪大桥水位站", 0.45),
    ("wg-huancheng-w", "环城路大桥水位站", 0.555),
    ("wg-laocheng", "老城水位站", 0.64),
    ("wg-railway", "铁路桥水位站", 0.73),
    ("wg-renmin", "人民路大桥水位站", 0.79),
)
_TRIBUTARY_GAUGES: tuple[tuple[str, str, float], ...] = (
    ("wg-kuqian", "库前水位站", 0.22),
    ("wg-nanxi", "南溪水位站", 0.74),
)


def river_gauges() -> list[RiverGauge]:
    """The hydraulic side of each river gauge (no geometry)."""
    main = [
        RiverGauge(
            device_id=device_id,
            fraction=at,
            lag_s=2_700.0 * at,
            bed_m=round(22.0 * (1 - at) ** 1.6 + 0.4, 2),
            peak_depth_m=round(4.4 - 0.9 * at, 2),
            peak_flow_m3s=round(700.0 + 1_700.0 * at),
        )
        for device_id, _, at in _MAIN_GAUGES
    ]
    side = [
        RiverGauge(
            device_id=device_id,
            fraction=at,
            lag_s=1_100.0 * at,
            bed_m=round(30.0 * (1 - at) ** 1.5 + 4.0, 2),
            peak_depth_m=round(3.1 - 0.4 * at, 2),
            peak_flow_m3s=round(150.0 + 240.0 * at),
        )
        for device_id, _, at in _TRIBUTARY_GAUGES
    ]
    return main + side


def _device(device_id: str, kind: str, name: str, at: XY, vendor: str, **rest: Any) -> Device:
    lon, lat = lonlat(*at)
    return Device(
        device_id=device_id,
        model=f"{kind.replace('_', '-')}-v1",
        kind=kind,
        name=name,
        lon=lon,
        lat=lat,
        area=AREA,
        vendor=vendor,
        interval_s=INTERVAL_S[kind],
        **rest,
    )


def _rising(levels: dict[str, float], margin: float, source: str) -> dict[str, Any]:
    """A threshold document: off below on by `margin`, held for 30 min (hazards.md B1)."""
    return {
        "on": levels,
        "off": {colour: round(value - margin, 3) for colour, value in levels.items()},
        "direction": "rise",
        "on_delay_s": 0,
        "off_delay_s": 1800,
        "source": source,
    }


def _water_gauges(terrain: Terrain, network: Network) -> list[Device]:
    hydraulic = {gauge.device_id: gauge for gauge in river_gauges()}
    devices = []
    for line, river, sites in (
        (terrain.river, "椒湾江", _MAIN_GAUGES),
        (terrain.tributary, "南溪", _TRIBUTARY_GAUGES),
    ):
        for device_id, name, at in sites:
            point = line.interpolate(at, normalized=True)
            gauge = hydraulic[device_id]
            devices.append(
                _device(
                    device_id,
                    "water_gauge",
                    name,
                    (point.x, point.y),
                    "haichuan",
                    thresholds={
                        "stage_m": _rising(
                            level_table(gauge), 0.10, f"{_DEMO}：蓝≈警戒以下，黄≈警戒水位，橙≈保证水位，红≈历史最高"
                        )
                    },
                    attributes={
                        "river": river,
                        "datum": "1985国家高程基准",
                        "gauge_zero_m": gauge.bed_m,
                        "property": "stage_m",
                    },
                )
            )
    devices.append(
        _device(
            "wg-tide",
            "water_gauge",
            "椒湾潮位站",
            (4_350.0, -780.0),
            "haichuan",
            thresholds={"stage_m": _rising(TIDE_M, 0.10, f"{_DEMO}：四色警戒潮位（形式按 GB/T 17839）")},
            attributes={"river": "椒湾口", "datum": "1985国家高程基准", "tidal": True, "property": "stage_m"},
        )
    )
    for number, road in enumerate(network.underpasses, start=1):
        devices.append(
            _device(
                f"wg-underpass-{number}",
                "water_gauge",
                f"{road.underpass}积水计",
                road.middle,
                "haichuan",
                thresholds={
                    "depth_m": _rising(
                        UNDERPASS_DEPTH_M, 0.03, f"{_DEMO}：0.15 m 为 GB 50014 道路积水限值，0.27 m 车辆熄火"
                    )
                },
                attributes={"datum": "路面最低点", "road_edges": [road.road_id], "property": "depth_m"},
            )
        )
    return devices


def _stations() -> list[Device]:
    rain = [
        _device(
            device_id,
            "rain_wind_station",
            name,
            at,
            "qixiang",
            thresholds={
                "rain_1h_mm": _rising(RAIN_1H_MM, 4.0, f"{_DEMO}：20 mm/h 为短时强降水"),
                "gust_3s_ms": _rising(GUST_MS, 2.0, f"{_DEMO}：阵风 8、10、12、14 级（GB/T 28591 下限）"),
            },
            attributes={"anemometer_height_m": 10.0},
        )
        for device_id, name, at in RAIN_STATIONS
    ]
    return rain + [_device(device_id, "air_station", name, at, "qixiang") for device_id, name, at in _AIR_STATIONS]


_GAS = {
    # substance: key, first, second, deadband in mg/m3; pairs of GB/T 50493-2019 (100 % and 200 % of the exposure limit)
    "chlorine": ("cl2_mg_m3", 1.0, 2.0, 0.2),
    "ammonia": ("nh3_mg_m3", 20.0, 40.0, 4.0),
}


def _gas_detectors() -> list[Device]:
    devices: list[Device] = []
    for plant in PLANTS:
        for tank in plant.tanks:
            if tank.substance in _GAS:
                devices += _ring(plant, tank, count=4)
    plant = PLANTS[0]
    for number, (dx, dy) in enumerate(((-300.0, 60.0), (280.0, 130.0)), start=1):
        devices.append(
            _detector(
                f"gd-fence-{number}",
                f"{plant.name}厂界{number}号",
                (plant.centre[0] + dx, plant.centre[1] + dy),
                plant,
                plant.tanks[0],
            )
        )
    return devices


def _ring(plant: Plant, tank: Tank, *, count: int) -> list[Device]:
    """Detectors around a tank, the quadrants turned so that a leak rarely meets one head-on."""
    found = []
    for k in range(count):
        angle = 2 * math.pi * (k + 0.2) / count
        at = (tank.at[0] + RING_M * math.cos(angle), tank.at[1] + RING_M * math.sin(angle))
        found.append(
            _detector(
                f"gd-{tank.tank_id.removeprefix('tank-')}-{k + 1}",
                f"{tank.name}{'东北西南'[k]}侧探测器",
                at,
                plant,
                tank,
            )
        )
    return found


def _detector(device_id: str, name: str, at: XY, plant: Plant, tank: Tank) -> Device:
    key, first, second, deadband = _GAS[tank.substance]
    return _device(
        device_id,
        "gas_detector",
        name,
        at,
        "anxin",
        group=f"{plant.plant_id}-{tank.substance}",
        thresholds={key: {"first": first, "second": second, "deadband": deadband, "source": "GB/T 50493-2019 第5.5条"}},
        attributes={
            "substance": tank.substance,
            "substance_zh": tank.substance_zh,
            "site_name": plant.name,
            "plant": plant.name,
            "plant_id": plant.plant_id,
            "plant_phone": plant.phone,
            "tank": tank.tank_id,
            "property": key,
        },
    )


def _cameras(terrain: Terrain, network: Network) -> list[Device]:
    cameras: list[Device] = []

    def add(device_id: str, name: str, at: XY, **attributes: Any) -> None:
        cameras.append(_device(device_id, "camera", name, at, "tianmu", attributes=attributes))

    for number, road in enumerate(network.underpasses, start=1):
        x, y = road.middle
        add(f"cam-underpass-{number}", f"{road.underpass}摄像机", (x + 25.0, y + 18.0), road_edges=[road.road_id])
    for number, road in enumerate(network.bridges, start=1):
        add(f"cam-bridge-{number}", f"{road.bridge}摄像机", _end(road), road_edges=[road.road_id])
    for number, (name, at) in enumerate(
        (
            ("湾江氯碱罐区摄像机", (8_960.0, 3_700.0)),
            ("海丰液氨罐区摄像机", (10_090.0, 4_060.0)),
            ("园区东门摄像机", (11_350.0, 4_350.0)),
            ("海塘一号摄像机", (6_700.0, -5_050.0)),
            ("海塘二号摄像机", (7_000.0, -7_250.0)),
            ("岬门渔港摄像机", (14_850.0, 4_780.0)),
            ("市民广场摄像机", (350.0, -2_500.0)),
            ("商业街摄像机", (-1_900.0, -1_900.0)),
            ("老城十字街摄像机", (-900.0, 2_800.0)),
            ("长途客运站摄像机", (2_300.0, -3_900.0)),
            ("梅岙山洪沟摄像机", (-12_700.0, 1_500.0)),
            ("库前水库摄像机", (-10_700.0, -5_950.0)),
            ("西谷口摄像机", (-8_700.0, -4_800.0)),
        ),
        start=1,
    ):
        add(f"cam-{number:02d}", name, at)
    return cameras


def _end(road: Road) -> XY:
    point: Point = road.line.interpolate(0.1, normalized=True)
    return point.x + 15.0, point.y


def place_devices(terrain: Terrain, network: Network) -> list[Device]:
    """Every device of the district, sorted by kind and place as listed above."""
    return [*_water_gauges(terrain, network), *_stations(), *_gas_detectors(), *_cameras(terrain, network)]
