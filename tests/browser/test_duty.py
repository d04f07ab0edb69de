"""Duty in a real browser: a leader plans, the board says who is called, two officers hand over with two logins, a leader instructs.

The system runs `citybrain up --demo --no-duty-desk`. The tests are one shift in the order in which they stand; pictures stay in
test-artifacts/.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from citybrain_testing.browser import ACT_MS, OFFICE, WIDE, Window, new_page
from citybrain_testing.system import System

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

CHINA = timedelta(hours=8)
EXPERT = "外聘专家张工"
ORDER = "沿江堤防每小时巡查一次，发现险情立即上报。"


@dataclass(kw_only=True)
class Desk(Window):
    """A window on the duty pages."""

    def tab(self, name: str) -> None:
        self.click(f"tab-{name}")

    def choose(self, testid: str, text: str) -> None:
        """Type into a box that offers choices and take the first one."""
        box = self.page.get_by_test_id(testid)
        box.click()
        box.fill(text)
        expect(self.page.locator(".combo-list [role=option]").first).to_contain_text(text, timeout=ACT_MS)
        box.press("Enter")

    def city_time(self) -> datetime:
        """City time on the city's wall, as the page shows it."""
        us = int(self.page.get_by_test_id("city-time").get_attribute("data-city-us") or "0")
        return datetime.fromtimestamp(us / 1e6, UTC) + CHINA


def _desk(chromium: Browser, system: System, username: str, size: dict[str, int] = OFFICE) -> Desk:
    desk = Desk(page=new_page(chromium, size), system=system)
    desk.login("/duty", username)
    return desk


@pytest.fixture(scope="module")
def leader(chromium: Browser, system: System) -> Desk:
    return _desk(chromium, system, "leader1", WIDE)


@pytest.fixture(scope="module")
def goes(chromium: Browser, system: System) -> Desk:
    return _desk(chromium, system, "duty1")


@pytest.fixture(scope="module")
def comes(chromium: Browser, system: System) -> Desk:
    return _desk(chromium, system, "duty2")


def _hours(desk: Desk) -> None:
    """From an hour ago for thirty hours: at sixty times as fast that is half an hour of the test."""
    now = desk.city_time()
    desk.fill("shift-from", (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"))
    desk.fill("shift-to", (now + timedelta(hours=30)).strftime("%Y-%m-%dT%H:%M"))


def test_a_leader_names_the_districts_own_post(leader: Desk) -> None:
    leader.tab("roster")
    leader.click("posts")
    leader.page.get_by_test_id("posts-dialog").wait_for()
    leader.click("post-add")
    leader.fill("post-zh-post_1", "防汛专班")
    leader.picture("duty-posts.png")
    leader.click("posts-save")
    expect(leader.page.get_by_test_id("roster-grid")).to_contain_text("防汛专班", timeout=ACT_MS)


def test_a_leader_adds_a_shift_and_the_grid_shows_it(leader: Desk) -> None:
    leader.tab("roster")
    expect(leader.page.get_by_test_id("roster-grid")).to_be_visible(timeout=ACT_MS)
    leader.click("add-shift")
    leader.page.get_by_test_id("shift-post").select_option("duty_chief")
    leader.choose("shift-person", "duty2")
    _hours(leader)
    leader.picture("duty-shift-1920x1080.png")
    leader.press("shift-save")
    expect(leader.page.get_by_test_id("shift-dialog")).to_have_count(0, timeout=ACT_MS)
    chiefs = leader.page.locator('tr[data-post="duty_chief"] [data-username="duty2"]')
    expect(chiefs.first).to_be_visible(timeout=ACT_MS)
    leader.picture("duty-roster-1920x1080.png")


def test_somebody_without_an_account_is_called_by_his_telephone_which_the_board_hides(leader: Desk, goes: Desk) -> None:
    leader.click("add-shift")
    leader.page.get_by_test_id("shift-post").select_option("tech")
    leader.page.get_by_test_id("shift-outside").check()
    leader.fill("shift-name", EXPERT)
    leader.fill("shift-phone", "13805761234")
    _hours(leader)
    leader.press("shift-save")
    expect(leader.page.locator('tr[data-post="tech"]', has_text=EXPERT)).to_be_visible(timeout=ACT_MS)
    goes.page.reload()
    called = goes.page.get_by_test_id("on-duty-tech")
    expect(called).to_contain_text(EXPERT, timeout=ACT_MS)
    expect(called).to_contain_text("138****1234")
    expect(goes.page.locator('[data-testid^="on-duty-"][data-order="1"]')).to_be_visible()
    goes.picture("duty-today-1366x768.png")


def test_an_operator_may_not_plan(goes: Desk) -> None:
    goes.tab("roster")
    expect(goes.page.get_by_test_id("roster-grid")).to_be_visible(timeout=ACT_MS)
    expect(goes.page.get_by_test_id("add-shift")).to_be_disabled()
    goes.picture("duty-roster-1366x768.png")


def test_the_officer_who_goes_drafts_and_signs_first(goes: Desk) -> None:
    goes.tab("handovers")
    goes.click("draft-handover")
    goes.page.get_by_test_id("draft-post").select_option("duty_chief")
    goes.choose("draft-to", "duty2")
    goes.fill("draft-remarks", "滨江路下穿积水，正在抽排。")
    goes.picture("duty-draft-1366x768.png")
    goes.press("draft-submit")
    sheet = goes.page.get_by_test_id("handover-sheet")
    expect(sheet).to_have_attribute("data-state", "DRAFT", timeout=ACT_MS)
    goes.press("sign")
    expect(sheet).to_have_attribute("data-state", "SIGNED_OUT", timeout=ACT_MS)
    expect(goes.page.get_by_test_id("sign")).to_have_count(0)  # nobody signs twice


def test_the_officer_who_comes_signs_with_a_login_of_his_own(comes: Desk) -> None:
    expect(comes.page.get_by_test_id("mine").get_by_role("link").first).to_be_visible(timeout=ACT_MS)
    comes.tab("handovers")
    sheet = comes.page.get_by_test_id("handover-sheet")
    expect(sheet).to_have_attribute("data-state", "SIGNED_OUT", timeout=ACT_MS)
    expect(sheet).to_contain_text("滨江路下穿积水，正在抽排。")
    comes.press("sign")
    expect(sheet).to_have_attribute("data-state", "SIGNED_IN", timeout=ACT_MS)
    for side in ("out", "in"):
        expect(comes.page.get_by_test_id(f"signature-{side}")).to_have_attribute("data-signed", "true")
    comes.picture("duty-handover-1366x768.png")


def test_the_log_takes_an_entry_and_corrects_it_by_another(comes: Desk) -> None:
    comes.tab("log")
    comes.click("kind-call")
    comes.fill("log-text", "上塘村来电：低洼户 12 户待转移。")
    comes.click("log-write")
    entry = comes.page.locator('[data-testid^="log-L-"]', has_text="低洼户 12 户待转移").first
    expect(entry).to_be_visible(timeout=ACT_MS)
    entry.get_by_role("button").click()
    comes.fill("log-text", "上塘村来电：低洼户 21 户待转移。")
    comes.click("log-write")
    expect(comes.page.locator(".entries .corrected", has_text="12 户")).to_be_visible(timeout=ACT_MS)
    comes.picture("duty-log-1366x768.png")


def test_an_instruction_is_signed_for_reported_checked_and_closed(leader: Desk, comes: Desk) -> None:
    leader.tab("instructions")
    leader.click("issue-instruction")
    leader.fill("order-text", ORDER)
    leader.choose("order-to", "duty2")
    leader.press("order-issue")
    sheet = leader.page.get_by_test_id("instruction-sheet")
    expect(sheet).to_contain_text(ORDER, timeout=ACT_MS)
    number = str(sheet.get_attribute("data-instruction"))
    comes.page.goto(f"{comes.system.base_url}/duty#/instructions/{number}")
    mine = comes.page.get_by_test_id("addressee-1")
    comes.press("step-receive-1")
    expect(mine).to_have_attribute("data-state", "RECEIVED", timeout=ACT_MS)
    comes.click("step-report-1")
    comes.fill("reason", "已巡查一遍，无险情。")
    comes.press("reason-submit")
    expect(mine).to_have_attribute("data-state", "REPORTED", timeout=ACT_MS)
    expect(comes.page.get_by_test_id("step-check-1")).to_have_count(0)  # nobody checks his own report
    comes.picture("duty-instruction-1366x768.png")
    leader.press("step-check-1")
    leader.press("step-close-1")
    expect(sheet).to_have_attribute("data-state", "CLOSED", timeout=ACT_MS)
    leader.picture("duty-instruction-1920x1080.png")


def test_nothing_complained_nobody_else_was_asked_and_all_fits(
    leader: Desk, goes: Desk, comes: Desk, system: System
) -> None:
    for desk in (leader, goes, comes):
        for name in ("today", "roster", "handovers", "log", "instructions"):
            desk.tab(name)
            desk.page.wait_for_timeout(300)
            assert desk.fits(), name
        assert desk.complaints == []
        assert desk.hosts == {urlsplit(system.base_url).netloc}
