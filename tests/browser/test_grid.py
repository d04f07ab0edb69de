"""网格 in a real browser: a grid worker reports from a phone without a network, the desk joins and answers, a visit is made once.

The system runs `citybrain up --demo --no-duty-desk`. The tests are one story in the order in which they stand.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from citybrain_testing.browser import ACT_MS, OFFICE, Window, new_page
from citybrain_testing.system import System

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

PHONE = {"width": 390, "height": 844}
HERE = {"longitude": 121.452, "latitude": 28.671}
SEEN = "校门口路面积水，车辆无法通行"
ALLOWED = (403,)  # a grid worker's map asks for outlines of the registers, which are not his


@pytest.fixture(scope="module")
def walker(chromium: Browser, system: System) -> Window:
    page = new_page(chromium, PHONE)
    page.context.grant_permissions(["geolocation"], origin=system.base_url)
    page.context.set_geolocation(HERE)  # type: ignore[arg-type]  # a plain dict is what it takes
    window = Window(page=page, system=system, allowed=ALLOWED)
    window.login("/grid", "grid1")
    return window


@pytest.fixture(scope="module")
def desk(chromium: Browser, system: System) -> Window:
    window = Window(page=new_page(chromium, OFFICE), system=system)
    window.login("/grid", "duty1")
    return window


def _report(window: Window, words: str) -> None:
    window.click("grid-tab-new")
    window.click("kind-water")
    window.fill("grid-words", words)
    window.click("grid-here")
    expect(window.page.get_by_test_id("grid-point")).to_contain_text("121.45200", timeout=ACT_MS)


def test_what_is_reported_without_a_network_is_sent_when_there_is_one_once(walker: Window) -> None:
    _report(walker, SEEN)
    walker.page.wait_for_timeout(800)  # the map draws where it is
    walker.picture("grid-report-390x844.png")
    assert walker.fits()
    walker.page.context.set_offline(True)
    walker.click("grid-file")
    expect(walker.page.get_by_test_id("grid-mine")).to_contain_text("待发送", timeout=ACT_MS)
    expect(walker.page.get_by_test_id("grid-sync")).to_have_attribute("data-waiting", "1")
    walker.page.context.set_offline(False)
    expect(walker.page.get_by_test_id("grid-sync")).to_have_attribute("data-waiting", "0", timeout=ACT_MS)
    mine = walker.page.get_by_test_id("grid-mine")
    expect(mine).to_contain_text("G-", timeout=ACT_MS)
    expect(mine.get_by_text(SEEN)).to_have_count(1)


def test_the_desk_joins_what_is_the_same_and_parts_it_again(walker: Window, desk: Window) -> None:
    _report(walker, "校门口积水（第二人上报）")
    walker.click("grid-file")
    expect(walker.page.get_by_test_id("grid-mine")).to_contain_text("第二人上报", timeout=ACT_MS)
    desk.page.get_by_test_id("grid-desk").get_by_text("第二人上报").click(timeout=ACT_MS)
    desk.click("grid-join")
    expect(desk.page.get_by_test_id("grid-sheet")).to_contain_text("已并入", timeout=ACT_MS)
    expect(desk.page.get_by_test_id("grid-desk")).to_contain_text("另有 1 人上报", timeout=ACT_MS)
    desk.click("grid-unjoin")
    expect(desk.page.get_by_test_id("grid-similar")).to_be_visible(timeout=ACT_MS)
    desk.click("grid-join")
    expect(desk.page.get_by_test_id("grid-desk")).to_contain_text("另有 1 人上报", timeout=ACT_MS)


def test_each_organisation_signs_and_answers_and_the_reporter_sees_the_end(walker: Window, desk: Window) -> None:
    desk.page.get_by_test_id("grid-desk").get_by_text(SEEN).click()
    sheet = desk.page.get_by_test_id("grid-sheet")
    expect(sheet).to_contain_text("椒湾区水利局", timeout=ACT_MS)
    expect(sheet).to_contain_text("椒湾区市政工程管理处")
    for result in ("已抽排", "已封闭道路"):
        sheet.get_by_test_id("grid-sign").first.click()
        expect(sheet.get_by_test_id("grid-result")).to_be_visible(timeout=ACT_MS)
        desk.fill("grid-comment", result)
        desk.picture("grid-desk-1366x768.png")
        sheet.get_by_test_id("grid-result").first.click()
        expect(sheet).to_contain_text(result, timeout=ACT_MS)
    expect(sheet).to_contain_text("已封闭道路", timeout=ACT_MS)
    walker.click("grid-tab-new")
    walker.click("grid-tab-mine")
    expect(walker.page.get_by_test_id("grid-mine")).to_contain_text("已办结", timeout=ACT_MS)


def test_one_visit_answers_everybody_who_wants_it(walker: Window) -> None:
    walker.click("grid-tab-visits")
    school = walker.page.get_by_test_id("grid-visit").filter(has_text="椒湾中学 学校")
    expect(school).to_contain_text("椒湾区教育局、椒湾区水利局", timeout=ACT_MS)
    school.locator(".visit-head").click()
    items = school.locator(".item")
    expect(items).to_have_count(4)  # 应急照明 stands in both lists, once here
    for n in range(4):
        items.nth(n).get_by_test_id("item-bad" if n == 1 else "item-ok").click()
    school.get_by_test_id("item-note").fill("消防栓被货物挡住")
    walker.picture("grid-visit-390x844.png")
    school.get_by_test_id("visit-done").click()
    expect(walker.page.get_by_test_id("grid-visit").filter(has_text="椒湾中学 学校")).to_have_count(0, timeout=ACT_MS)
    offline = "ERR_INTERNET_DISCONNECTED"  # the browser notes what the story asked for
    assert [complaint for complaint in walker.complaints if offline not in complaint] == []
