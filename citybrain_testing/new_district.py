"""The files that a district brings on its first day: what its clerks have in their spreadsheets, as they would write them.

A fictional county: boundary, three streets, villages and grids as GeoJSON; organisations, contacts, gauges, objects at
risk, units and the month's roster as XLSX with Chinese headings. Everything follows from a seed; telephone numbers are fictional.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl

COUNTY, NAME = "331099", "新湾县"
WEST, SOUTH, WIDTH, HEIGHT = 121.20, 28.80, 0.24, 0.16  # degrees
STREETS = ("城关街道", "江口街道", "海门镇")
VILLAGES = ("东村", "西村", "新屋村", "桥头村")
GAUGES, CONTACTS = 20, 30
FAMILY, GIVEN = "王李张刘陈杨黄赵吴周", ("建国", "志强", "海燕", "秀英", "伟民", "晓东", "春梅", "国庆")


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    code: str
    name: str
    west: float
    width: float

    @property
    def middle(self) -> tuple[float, float]:
        return self.west + self.width / 2, SOUTH + HEIGHT / 2


def streets() -> list[Street]:
    """Side by side from west to east."""
    width = WIDTH / len(STREETS)
    return [
        Street(code=f"{COUNTY}{n:03d}", name=name, west=WEST + (n - 1) * width, width=width)
        for n, name in enumerate(STREETS, 1)
    ]


def _box(code: str, name: str, west: float, south: float, width: float, height: float) -> dict[str, Any]:
    ring = [[west, south], [west + width, south], [west + width, south + height], [west, south + height], [west, south]]
    return {
        "type": "Feature",
        "properties": {"代码": code, "名称": name},
        "geometry": {"type": "Polygon", "coordinates": [[[round(x, 6), round(y, 6)] for x, y in ring]]},
    }


def areas() -> dict[str, Any]:
    """County, streets, villages and two grids a village, as one FeatureCollection."""
    features = [_box(COUNTY, NAME, WEST, SOUTH, WIDTH, HEIGHT)]
    for street in streets():
        features.append(_box(street.code, street.name, street.west, SOUTH, street.width, HEIGHT))
        height = HEIGHT / len(VILLAGES)
        for number, village in enumerate(VILLAGES, 1):
            code, south = f"{street.code}{number:03d}", SOUTH + (number - 1) * height
            features.append(_box(code, f"{street.name}{village}", street.west, south, street.width, height))
            half = street.width / 2
            for grid in (1, 2):
                west = street.west + (grid - 1) * half
                features.append(_box(f"{code}{grid:03d}", f"{village}第{grid}网格", west, south, half, height))
    return {"type": "FeatureCollection", "features": features}


class NewDistrict:
    """Rows by kind and the files made of them. `day` is the city date on which the roster begins."""

    def __init__(self, day: datetime, *, people: Mapping[str, str], seed: int = 7) -> None:
        """`people`: name by username, in the order in which they share the desk."""
        self._rng = random.Random(seed)
        self._day, self._people = day, people

    def _somewhere(self, street: Street) -> tuple[float, float]:
        rng = self._rng
        lon = street.west + street.width * rng.uniform(0.05, 0.95)
        return round(lon, 6), round(SOUTH + HEIGHT * rng.uniform(0.05, 0.95), 6)

    def organisations(self) -> list[dict[str, Any]]:
        names = ("县水利局", "县应急管理局", "县住建局", *(f"{street}办事处" for street in STREETS))
        return [{"编号": f"ORG-{n:02d}", "名称": name, "区域": COUNTY} for n, name in enumerate(names, 1)]

    def contacts(self) -> list[dict[str, Any]]:
        rng = self._rng
        return [
            {
                "编号": f"P-{n:03d}",
                "姓名": rng.choice(FAMILY) + rng.choice(GIVEN),
                "手机": f"138000{n:05d}",
                "单位": f"ORG-{1 + n % 6:02d}",
                "区域": streets()[n % 3].code,
            }
            for n in range(1, CONTACTS + 1)
        ]

    def gauges(self) -> list[dict[str, Any]]:
        """River gauges with thresholds of their own."""
        rows = []
        for n in range(1, GAUGES + 1):
            street = streets()[n % 3]
            lon, lat = self._somewhere(street)
            rows.append(
                {
                    "设备编号": f"wg-{n:03d}",
                    "名称": f"{street.name}{n}号水位站",
                    "型号": "water-gauge-v1",
                    "厂商": "示例厂商",
                    "经度": lon,
                    "纬度": lat,
                    "区域": street.code,
                    "stage_m 蓝色": 3.0,
                    "stage_m 黄色": 3.5,
                    "stage_m 橙色": 4.0,
                    "stage_m 红色": 4.5,
                    "阈值依据": "新湾水利〔2026〕7号",
                }
            )
        return rows

    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """Fifty objects at risk by kind; A and B answer for each."""
        named = {
            "reservoir": ("水库", 10),
            "slope": ("地灾点", 15),
            "underpass": ("下穿通道", 5),
            "flood_village": ("低洼村", 20),
        }
        found: dict[str, list[dict[str, Any]]] = {}
        for kind, (word, count) in named.items():
            for n in range(1, count + 1):
                street = streets()[n % 3]
                lon, lat = self._somewhere(street)
                person = self._rng.randrange(CONTACTS - 1) + 1
                found.setdefault(kind, []).append(
                    {
                        "编号": f"{kind[:2].upper()}-{n:03d}",
                        "名称": f"{street.name}{n}号{word}",
                        "经度": lon,
                        "纬度": lat,
                        "权属单位": f"ORG-{1 + n % 6:02d}",
                        "责任人A": f"P-{person:03d}",
                        "责任人B": f"P-{person + 1:03d}",
                    }
                )
        return found

    def units(self) -> list[dict[str, Any]]:
        kinds = (("fire", "消防", "flood_rescue"), ("flood", "防汛", "pumping"), ("police", "交警", "traffic_control"))
        rows = []
        for n in range(1, 6):
            kind, word, capability = kinds[n % 3]
            lon, lat = streets()[n % 3].middle
            rows.append(
                {
                    "编号": f"unit-{kind}-{n}",
                    "名称": f"{word}{n}队",
                    "类型": kind,
                    "调度权限": "直接调度",
                    "能力": capability,
                    "经度": lon,
                    "纬度": lat,
                    "区域": COUNTY,
                    "涉水深度": 0.6,
                }
            )
        return rows

    def roster(self, days: int = 7) -> list[dict[str, Any]]:
        """Two shifts a day at the desk, taken in turn, and the leader round the clock; from midnight of `day` on."""
        *desk, leader = self._people
        rows = []
        for n in range(days):
            date = (self._day + timedelta(days=n)).strftime("%Y-%m-%d")
            for half, (start, end) in enumerate((("00:00", "12:00"), ("12:00", "24:00"))):
                who = desk[(2 * n + half) % len(desk)]
                rows.append({"日期": date, "岗位": "值班员", "账号": who, "开始": start, "结束": end, "区域": COUNTY})
            rows.append(
                {"日期": date, "岗位": "带班领导", "账号": leader, "开始": "00:00", "结束": "24:00", "区域": COUNTY}
            )
        return rows

    def write(self, folder: Path) -> dict[str, Path]:
        """All files, by kind, in the order in which they go in: what is referred to comes first."""
        tables: dict[str, Sequence[Mapping[str, Any]]] = {
            "organisation": self.organisations(),
            "contact": self.contacts(),
            "device": self.gauges(),
            **self.objects(),
            "unit": self.units(),
            "shift": self.roster(),
        }
        files = {"area": folder / "areas.geojson"}
        files["area"].write_text(json.dumps(areas(), ensure_ascii=False), encoding="utf-8")
        for kind, rows in tables.items():
            files[kind] = folder / f"{kind}.xlsx"
            write_sheet(files[kind], f"{NAME} {kind}", rows)
        return files


def write_sheet(path: Path, title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """A workbook as a clerk makes it: a title over all columns, the headings below it, then the rows."""
    listed = list(rows)
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append([title])
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=len(listed[0]))
    sheet.append(list(listed[0]))
    for row in listed:
        sheet.append(list(row.values()))
    book.save(path)
