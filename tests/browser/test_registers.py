"""The registers in a real browser: a clerk brings files, mends what is wrong, and the duty desk checks the numbers.

The system runs `citybrain up --demo`. The tests are one morning in the order in which they stand; pictures stay in test-artifacts/.
`clerk1` keeps the registers, `duty1` calls people.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, FilePayload, expect

from citybrain_testing.browser import ACT_MS, OFFICE, WIDE, Window, new_page
from citybrain_testing.system import System
from gis.crs import GCJ02, from_wgs84

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

# What the tests do wrong on purpose.
ALLOWED = (409, 422)

PEOPLE = """编号,姓名,手机号码,岗位,旧系统编号
B-901,林春燕,13805761901,网格员,77
B-902,赵海涛,13805761902,副主任,78
B-903,钱根土,1380576190,巡查员,79
B-904,吴阿明,13805761904,巡查员,80
"""
SHELTERS = [(f"BN-{n}", f"浏览器试验避灾点{n}", 121.430 + 0.006 * n, 28.660 + 0.004 * n) for n in range(1, 9)]


def _shelter_sheet(crs: str) -> str:
    lines = ["编号,名称,容纳人数,经度,纬度"]
    for entry_id, name, lon, lat in SHELTERS:
        x, y = from_wgs84([lon], [lat], crs)
        lines.append(f"{entry_id},{name},300,{x[0]:.7f},{y[0]:.7f}")
    return "\n".join(lines) + "\n"


def _file(name: str, text: str) -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode()}


@dataclass(kw_only=True)
class Office(Window):
    """A window on the registers."""

    def number(self, testid: str, name: str) -> int:
        return int(self.page.get_by_test_id(testid).get_attribute(name) or "-1")

    def loaded(self) -> None:
        """The list has come whole."""
        expect(self.page.get_by_test_id("count")).to_have_attribute("data-whole", "true", timeout=ACT_MS)

    def bring(self, kind: str, file: FilePayload, crs: str = "") -> None:
        """Into the wizard with a file."""
        self.open(f"/registers?view=import&kind={kind}")
        expect(self.page.get_by_test_id("import-kind")).to_have_value(kind, timeout=ACT_MS)
        if crs:
            self.page.get_by_test_id("import-crs").select_option(crs)
        self.page.get_by_test_id("import-file").set_input_files(file)
        expect(self.page.get_by_test_id("wizard")).not_to_have_attribute("data-step", "file", timeout=ACT_MS)

    def until_found(self, words: str) -> None:
        """The address search takes new places in within some seconds."""
        end = time.monotonic() + ACT_MS / 1000
        while time.monotonic() < end:
            answer = self.page.request.get(
                f"{self.system.base_url}/api/v1/addresses", params={"q": words, "limit": "1"}
            )
            if answer.ok and [item["name"] for item in answer.json()["items"]] == [words]:
                return
            self.page.wait_for_timeout(500)
        raise AssertionError(f"no address {words!r}")


def _office(chromium: Browser, system: System, username: str, size: dict[str, int] = OFFICE) -> Office:
    office = Office(page=new_page(chromium, size), system=system, allowed=ALLOWED)
    office.login("/registers", username)
    return office


@pytest.fixture(scope="module")
def clerk(chromium: Browser, system: System) -> Office:
    return _office(chromium, system, "clerk1")


@pytest.fixture(scope="module")
def desk(chromium: Browser, system: System) -> Office:
    return _office(chromium, system, "duty1", WIDE)


def test_the_page_shows_kinds_a_table_and_a_map_and_fits_an_office_screen(clerk: Office) -> None:
    expect(clerk.page.get_by_test_id("banner")).to_contain_text("演示")
    expect(clerk.page.get_by_test_id("kind-plant")).to_be_visible(timeout=ACT_MS)
    clerk.loaded()
    assert clerk.fits()
    clerk.picture("registers-1366x768.png")


def test_a_file_of_people_is_checked_before_anything_is_written(clerk: Office) -> None:
    before = clerk.number("kind-contact", "data-count")
    clerk.bring("contact", _file("网格人员.csv", PEOPLE))
    clerk.click("next")
    expect(clerk.page.get_by_test_id("counts")).to_have_attribute("data-wrong", "1", timeout=ACT_MS)
    assert clerk.number("counts", "data-new") == 3
    wrong = clerk.page.get_by_test_id("problems").locator("[data-row]")
    expect(wrong).to_have_count(1)
    expect(wrong).to_contain_text("手机号码")
    expect(wrong).to_contain_text("1380576190")
    clerk.picture("import-check-1366x768.png")
    clerk.page.reload()
    expect(clerk.page.get_by_test_id("counts")).to_have_attribute("data-new", "3", timeout=ACT_MS)
    assert clerk.number("kind-contact", "data-count") == before


def test_what_is_wrong_is_left_out_only_when_the_clerk_says_so_and_gives_a_reason(clerk: Office) -> None:
    commit = clerk.page.get_by_test_id("commit")
    expect(commit).to_be_disabled()
    clerk.page.get_by_test_id("skip-wrong").check()
    commit.click()
    expect(clerk.page.get_by_test_id("error-import-reason")).to_be_visible()
    clerk.fill("import-reason", "2019 年汛前网格人员普查")
    commit.click()
    done = clerk.page.get_by_test_id("import-done")
    expect(done).to_have_attribute("data-created", "3", timeout=ACT_MS)
    expect(done).to_have_attribute("data-skipped", "1")
    clerk.click("to-list")
    clerk.loaded()
    clerk.fill("search", "B-90")
    expect(clerk.page.locator("[data-row]")).to_have_count(3, timeout=ACT_MS)


def test_the_same_file_again_changes_nothing(clerk: Office) -> None:
    clerk.bring("contact", _file("网格人员.csv", PEOPLE))
    clerk.click("next")
    counts = clerk.page.get_by_test_id("counts")
    expect(counts).to_have_attribute("data-same", "3", timeout=ACT_MS)
    assert (clerk.number("counts", "data-new"), clerk.number("counts", "data-changed")) == (0, 0)
    expect(clerk.page.get_by_test_id("commit")).to_be_disabled()


def test_positions_are_seen_on_the_map_before_they_are_written(clerk: Office) -> None:
    clerk.bring("shelter", _file("避灾点.csv", _shelter_sheet("EPSG:4326")), "EPSG:4326")
    expect(clerk.page.get_by_test_id("crs-fine")).to_be_visible(timeout=ACT_MS)
    expect(clerk.page.get_by_test_id("register-map")).to_have_attribute("data-count", str(len(SHELTERS)))
    clerk.click("next")
    expect(clerk.page.get_by_test_id("wizard")).to_have_attribute("data-step", "columns")
    clerk.picture("import-columns-1366x768.png")
    clerk.click("next")
    expect(clerk.page.get_by_test_id("counts")).to_have_attribute("data-new", str(len(SHELTERS)), timeout=ACT_MS)
    clerk.fill("import-reason", "避灾点普查")
    clerk.click("commit")
    expect(clerk.page.get_by_test_id("import-done")).to_have_attribute(
        "data-created", str(len(SHELTERS)), timeout=ACT_MS
    )


def test_the_typical_mix_up_of_coordinates_is_noticed_and_put_right(clerk: Office) -> None:
    """The same places picked on a Chinese web map and declared as GPS lie some 500 m off; read as what they are, they are the same."""
    clerk.until_found(SHELTERS[-1][1])
    clerk.bring("shelter", _file("避灾点-高德.csv", _shelter_sheet(GCJ02)), "EPSG:4326")
    warning = clerk.page.get_by_test_id("crs-warning")
    expect(warning).to_have_attribute("data-detected", GCJ02, timeout=ACT_MS)
    assert 300 < float(warning.get_attribute("data-offset") or math.nan) < 700
    clerk.page.wait_for_timeout(800)  # the map's flight
    clerk.picture("import-crs-warning-1366x768.png")
    clerk.click("crs-apply")
    expect(clerk.page.get_by_test_id("crs-fine")).to_be_visible(timeout=ACT_MS)
    clerk.click("next")
    clerk.click("next")
    expect(clerk.page.get_by_test_id("counts")).to_have_attribute("data-same", str(len(SHELTERS)), timeout=ACT_MS)


def test_a_row_and_its_mark_on_the_map_are_one(clerk: Office) -> None:
    clerk.open("/registers?kind=shelter")
    clerk.loaded()
    clerk.fill("search", "浏览器试验")
    expect(clerk.page.locator("[data-row]")).to_have_count(len(SHELTERS), timeout=ACT_MS)
    clerk.page.locator('[data-row="BN-3"]').click()
    expect(clerk.page.get_by_test_id("detail")).to_have_attribute("data-entry", "BN-3", timeout=ACT_MS)
    expect(clerk.page.get_by_test_id("register-map")).to_have_attribute("data-selected", "BN-3")
    clerk.page.get_by_test_id("entries").locator(".table-scroll").press("ArrowDown")
    expect(clerk.page.get_by_test_id("detail")).to_have_attribute("data-entry", "BN-4", timeout=ACT_MS)
    clerk.picture("registers-detail-1366x768.png")


def test_what_is_wrong_stands_beside_its_field(clerk: Office) -> None:
    clerk.open("/registers?view=edit&kind=contact&id=B-901")
    expect(clerk.page.get_by_test_id("entry-form")).to_be_visible(timeout=ACT_MS)
    clerk.fill("input-phone", "12345678901234")
    clerk.fill("input-reason", "换号")
    clerk.click("save")
    expect(clerk.page.get_by_test_id("error-phone")).to_contain_text("手机", timeout=ACT_MS)
    clerk.picture("registers-form-error-1366x768.png")
    clerk.fill("input-phone", "13905761901")
    clerk.click("save")
    expect(clerk.page.get_by_test_id("detail")).to_have_attribute("data-rev", "2", timeout=ACT_MS)
    clerk.click("tab-history")
    expect(clerk.page.get_by_test_id("history")).to_contain_text("换号", timeout=ACT_MS)


def test_two_clerks_at_one_entry_see_both_versions(chromium: Browser, system: System, clerk: Office) -> None:
    other = _office(chromium, system, "clerk1")
    for office in (clerk, other):
        office.open("/registers?view=edit&kind=shelter&id=BN-1")
        expect(office.page.get_by_test_id("entry-form")).to_be_visible(timeout=ACT_MS)
    other.fill("input-capacity", "450")
    other.fill("input-reason", "扩建")
    other.click("save")
    expect(other.page.get_by_test_id("detail")).to_have_attribute("data-rev", "2", timeout=ACT_MS)
    clerk.fill("input-capacity", "380")
    clerk.fill("input-remarks", "东门进出")
    clerk.fill("input-reason", "复核")
    clerk.click("save")
    expect(clerk.page.get_by_test_id("conflict")).to_contain_text("450", timeout=ACT_MS)
    expect(clerk.page.get_by_test_id("choose-capacity-mine")).to_be_checked()
    clerk.picture("registers-conflict-1366x768.png")
    clerk.page.get_by_test_id("choose-capacity-theirs").check()
    clerk.click("conflict-save")
    expect(clerk.page.get_by_test_id("detail")).to_have_attribute("data-rev", "3", timeout=ACT_MS)
    expect(clerk.page.locator('[data-value="capacity"]')).to_contain_text("450")
    expect(clerk.page.locator('[data-value="remarks"]')).to_contain_text("东门进出")
    other.page.context.close()
    assert other.complaints == []


def test_a_place_is_put_on_the_map_by_a_click(clerk: Office) -> None:
    clerk.open("/registers?view=new&kind=shelter")
    clerk.fill("input-name", "新建试验避灾点")
    clerk.fill("input-capacity", "120")
    clerk.click("save")
    expect(clerk.page.get_by_test_id("error-lon")).to_be_visible()
    clerk.page.wait_for_timeout(800)  # tiles and the map's first view
    clerk.page.get_by_test_id("register-map").click()
    expect(clerk.page.get_by_test_id("input-lon")).to_have_value(re.compile(r"^121\.\d{6}$"))
    clerk.picture("registers-new-1366x768.png")
    clerk.click("save")
    expect(clerk.page.get_by_test_id("detail")).to_have_attribute("data-rev", "1", timeout=ACT_MS)
    entry = clerk.page.get_by_test_id("detail").get_attribute("data-entry")
    clerk.click("remove")
    clerk.click("reason-submit")
    expect(clerk.page.get_by_test_id("failure")).to_be_visible()  # no removal without a reason
    clerk.fill("reason", "误登记")
    clerk.press("reason-submit")
    expect(clerk.page.get_by_test_id("detail")).to_have_count(
        0, timeout=ACT_MS
    )  # done: the list is back, and its search is empty
    clerk.loaded()
    clerk.fill("search", str(entry))
    expect(clerk.page.locator("[data-row]")).to_have_count(0, timeout=ACT_MS)


def test_the_desk_reads_a_number_in_clear_and_says_that_it_is_right(desk: Office) -> None:
    desk.open("/registers?kind=contact&id=B-902")
    phone = desk.page.locator('[data-value="phone"]')
    expect(phone).to_have_text("138****1902", timeout=ACT_MS)
    desk.click("show-phone")
    expect(phone).to_have_text("13805761902", timeout=ACT_MS)
    desk.picture("registers-clear-1920x1080.png")
    desk.click("open-unverified")
    desk.loaded()
    desk.picture("registers-unverified-1920x1080.png")
    desk.fill("search", "赵海涛")
    desk.click("verify-B-902")
    expect(desk.page.get_by_test_id("verify-B-902")).to_have_count(0, timeout=ACT_MS)
    desk.open("/registers?kind=contact&id=B-902")
    desk.click("tab-history")
    expect(desk.page.get_by_test_id("history")).to_contain_text("核实", timeout=ACT_MS)
    expect(desk.page.get_by_test_id("history")).to_contain_text("查看完整号码")


def test_a_plants_leak_zones_are_drawn_as_advice_with_who_is_inside(desk: Office) -> None:
    desk.open("/registers?kind=plant")
    desk.loaded()
    desk.page.get_by_test_id("entries").get_by_text("氯碱", exact=False).first.click()
    desk.click("tab-zones")
    zones = desk.page.get_by_test_id("zones")
    expect(zones).to_contain_text("须人确认", timeout=ACT_MS)
    expect(zones).to_contain_text("UN 1017")
    expect(zones).to_contain_text("不得用于实战")
    desk.click("spill-large")
    expect(desk.page.get_by_test_id("zone-inside").locator("li").first).to_be_visible(timeout=ACT_MS)
    desk.page.wait_for_timeout(800)  # the map glides to the zone
    desk.picture("leak-zones-1920x1080.png")


def test_the_register_leaves_as_a_file(desk: Office) -> None:
    desk.open("/registers?kind=shelter")
    desk.loaded()
    desk.click("export")
    with desk.page.expect_download(timeout=ACT_MS) as download:
        desk.click("export-csv")
    path = download.value.path()
    text = path.read_bytes().decode("utf-8-sig")
    assert all(name in text for _, name, _, _ in SHELTERS)


def test_the_other_language_is_one_click_away(desk: Office) -> None:
    desk.click("lang")
    expect(desk.page.get_by_test_id("nav-registers")).to_have_text("Registers", timeout=ACT_MS)
    desk.loaded()
    desk.picture("registers-en-1920x1080.png")
    desk.click("lang")
    expect(desk.page.get_by_test_id("nav-registers")).to_have_text("登记册", timeout=ACT_MS)


def test_nothing_complained_and_nobody_else_was_asked(clerk: Office, desk: Office, system: System) -> None:
    for office in (clerk, desk):
        assert office.complaints == []
        assert office.hosts == {urlsplit(system.base_url).netloc}
    assert parse_qs(urlsplit(clerk.page.url).query).get("kind") == ["shelter"]
