"""数据质量 in a real browser: the board finds what is wrong in the demo, feeds one back to its firm, and leads to the register.

The system runs `citybrain up --demo --no-duty-desk`. Pictures stay in test-artifacts/.
"""

from __future__ import annotations

import contextlib

import pytest
from playwright.sync_api import Browser, expect

from citybrain_testing.browser import ACT_MS, OFFICE, WIDE, Window, new_page
from citybrain_testing.outcome import get
from citybrain_testing.system import System

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

CALIBRATION = {
    "calibrated": "2018-08-01T00:00:00Z",
    "calibrated_by": "市计量院",
    "certificate": "JL-2018-0731",
    "due": "2019-08-01T00:00:00Z",
    "offsets": {},
}


@pytest.fixture(scope="module")
def overdue(system: System) -> str:
    """A gauge whose calibration is past its date: a problem that does not go by itself."""
    with contextlib.closing(system.login("admin")) as admin:
        devices = get(admin, "/api/v1/devices", kind="water_gauge", limit=1)["items"]
        device_id = str(devices[0]["device_id"])
        admin.post(f"/api/v1/devices/{device_id}/calibrations", json=CALIBRATION).raise_for_status()
    return device_id


@pytest.fixture(scope="module")
def leader(chromium: Browser, system: System, overdue: str) -> Window:
    window = Window(page=new_page(chromium, WIDE), system=system)
    window.login("/quality", "leader1")
    return window


def test_the_board_counts_and_lists_what_is_wrong(leader: Window, overdue: str) -> None:
    expect(leader.page.get_by_test_id("quality-total").locator("b")).not_to_have_text("0", timeout=ACT_MS)
    leader.click("check-calibration")
    expect(leader.page.get_by_test_id("quality")).to_contain_text("校准已逾期", timeout=ACT_MS)
    assert leader.fits()


def test_a_problem_is_fed_back_and_shows_its_ticket(leader: Window, overdue: str) -> None:
    leader.page.get_by_test_id("quality").get_by_text("校准已逾期").first.click()
    leader.click("quality-tell")
    leader.page.get_by_test_id("ticket-dialog").wait_for()
    leader.picture("quality-ticket-1920x1080.png")
    leader.press("ticket-send")
    card = leader.page.get_by_test_id("quality-card")
    expect(card).to_contain_text("已反馈", timeout=ACT_MS)
    expect(card).to_contain_text("WX-")
    expect(leader.page.get_by_test_id("stage-fed_back").locator("b")).not_to_have_text("0", timeout=ACT_MS)
    leader.click("check-calibration")
    leader.picture("quality-1920x1080.png")


def test_an_entry_is_mended_in_the_register(chromium: Browser, system: System, overdue: str) -> None:
    clerk = Window(page=new_page(chromium, OFFICE), system=system)
    clerk.login("/quality", "clerk1")
    clerk.click("check-unverified")
    rows = clerk.page.get_by_test_id("quality").locator("[role=row]")
    expect(rows.filter(has_text="校准逾期")).to_have_count(0, timeout=ACT_MS)
    rows.nth(1).click()
    clerk.picture("quality-1366x768.png")
    assert clerk.fits()
    clerk.click("quality-mend")
    clerk.page.wait_for_url("**/registers?*", timeout=ACT_MS)
    clerk.page.close()


def test_a_firm_sees_its_own_devices_only(chromium: Browser, system: System, overdue: str) -> None:
    vendor = Window(page=new_page(chromium, OFFICE), system=system)
    vendor.login("/quality", "vendor1")
    vendor.page.get_by_test_id("quality").wait_for()
    expect(vendor.page.get_by_test_id("check-unverified").locator("b")).to_have_text("0", timeout=ACT_MS)
    expect(vendor.page.get_by_test_id("check-entry").locator("b")).to_have_text("0")
    vendor.page.close()
