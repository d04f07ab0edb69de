"""乡镇驾驶舱 in a real browser: one area at a glance, and a risk that becomes a supervised task shown at the object and in the cockpit.

The system runs `citybrain up --demo --no-duty-desk`. The tests are one story in the order in which they stand.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from citybrain_testing.browser import ACT_MS, WIDE, Window, new_page
from citybrain_testing.system import System

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

ORDER = "今晚停止装卸，逐罐排查阀门并报告。"


@pytest.fixture(scope="module")
def leader(chromium: Browser, system: System) -> Window:
    window = Window(page=new_page(chromium, WIDE), system=system)
    window.login("/town", "leader1")
    return window


def test_a_district_is_seen_at_a_glance(leader: Window) -> None:
    expect(leader.page.get_by_test_id("town-name")).to_have_text("椒湾示范区", timeout=ACT_MS)
    expect(leader.page.get_by_test_id("town-alarms").locator("b")).not_to_have_text("0", timeout=ACT_MS)
    expect(leader.page.get_by_test_id("town-objects")).to_contain_text("重大危险源企业")
    expect(leader.page.get_by_test_id("town-duty")).to_contain_text("值班员")
    assert leader.fits()


def test_a_risk_becomes_a_supervised_task_that_stands_at_the_object(leader: Window) -> None:
    leader.open("/registers?kind=plant")
    leader.page.get_by_test_id("entries").get_by_text("氯碱", exact=False).first.click()
    leader.click("tab-supervised")
    leader.click("supervise")
    text = leader.page.get_by_test_id("order-text")
    expect(text).to_have_value("湾江氯碱厂：")
    text.fill(f"湾江氯碱厂：{ORDER}")
    box = leader.page.get_by_test_id("order-to")
    box.click()
    box.fill("duty2")
    expect(leader.page.locator(".combo-list [role=option]").first).to_contain_text("duty2", timeout=ACT_MS)
    box.press("Enter")
    leader.press("order-issue")
    expect(leader.page.get_by_test_id("supervised")).to_contain_text(ORDER, timeout=ACT_MS)
    leader.picture("supervised-1920x1080.png")


def test_the_cockpit_of_its_street_shows_it_and_another_does_not(leader: Window) -> None:
    leader.open("/town?area=339900004")
    expect(leader.page.get_by_test_id("town-order-list")).to_contain_text(ORDER, timeout=ACT_MS)
    leader.page.wait_for_timeout(800)  # the map glides to the street
    leader.picture("town-street-1920x1080.png")
    leader.open("/town?area=339900002")
    expect(leader.page.get_by_test_id("town-name")).to_have_text("城东街道", timeout=ACT_MS)
    expect(leader.page.get_by_test_id("town-objects")).to_contain_text("避灾安置点", timeout=ACT_MS)
    expect(leader.page.get_by_test_id("town-order-list")).not_to_contain_text(ORDER)
    leader.open("/town")
    expect(leader.page.get_by_test_id("town-alarms").locator("b")).not_to_have_text("0", timeout=ACT_MS)
    leader.page.wait_for_timeout(800)
    leader.picture("town-1920x1080.png")
    assert leader.complaints == []
