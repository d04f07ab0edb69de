"""What takes two persons, in a real browser: one login proposes another threshold, another approves it; an emergency waits in red.

The system runs `citybrain up --demo --no-duty-desk`. The tests are one morning in the order in which they stand; pictures stay in
test-artifacts/.
"""

from __future__ import annotations

import pyotp
import pytest
from playwright.sync_api import Browser, expect

from citybrain_testing.browser import ACT_MS, Window, new_page
from citybrain_testing.system import System

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

ALLOWED = (403,)  # what a role may not read is left out
SOURCE = "区防指〔2019〕12 号"


def _window(chromium: Browser, system: System) -> Window:
    return Window(page=new_page(chromium), system=system, allowed=ALLOWED)


def _desk(chromium: Browser, system: System, username: str) -> Window:
    desk = _window(chromium, system)
    desk.login("/admin", username)
    return desk


@pytest.fixture(scope="module")
def author(chromium: Browser, system: System) -> Window:
    return _desk(chromium, system, "leader1")


@pytest.fixture(scope="module")
def approver(chromium: Browser, system: System) -> Window:
    return _desk(chromium, system, "leader2")


def _propose(desk: Window, by: float, *, emergency: bool = False) -> str:
    """Lower the last value of a water gauge; returns the number of the proposal."""
    desk.click("propose")
    device = desk.page.get_by_test_id("threshold-device")
    device.click()
    device.fill("水")
    if emergency:  # another gauge: about one there is at most one open proposal
        expect(desk.page.locator(".combo-list [role=option]").nth(1)).to_contain_text("水", timeout=ACT_MS)
        device.press("ArrowDown")
    device.press("Enter")  # at once: it means the first gauge that is found, whatever the list showed before
    level = desk.page.get_by_test_id("level-on.red")
    level.fill(f"{float(level.input_value()) + by:.3f}")
    desk.fill("threshold-source", SOURCE)
    if emergency:
        desk.page.get_by_test_id("threshold-emergency").check()
        desk.fill("threshold-reason", "下穿已封闭，提高报警值以免反复报警")
    desk.picture("approval-emergency-1366x768.png" if emergency else "approval-propose-1366x768.png")
    desk.press("threshold-propose")
    expect(desk.page.get_by_test_id("propose-dialog")).to_have_count(0, timeout=ACT_MS)
    sheet = desk.page.get_by_test_id("approval-sheet")
    expect(sheet).to_contain_text(SOURCE, timeout=ACT_MS)
    expect(sheet).to_have_attribute("data-state", "PENDING", timeout=ACT_MS)
    return str(sheet.get_attribute("data-approval"))


def test_a_proposal_shows_what_would_change_and_its_author_cannot_decide_it(author: Window) -> None:
    _propose(author, 0.02)
    lines = author.page.locator('[data-testid="diff"] tbody tr')
    expect(lines).to_have_count(1)
    expect(lines.first).to_have_attribute("data-path", "on.red")
    expect(author.page.get_by_test_id("approve")).to_have_count(0)


def test_another_person_approves_it_and_it_is_done(author: Window, approver: Window) -> None:
    number = str(author.page.get_by_test_id("approval-sheet").get_attribute("data-approval"))
    approver.page.get_by_test_id(f"approval-{number}").click()
    expect(approver.page.get_by_test_id("diff")).to_contain_text("红", timeout=ACT_MS)
    approver.click("reject")
    expect(approver.page.get_by_test_id("failure")).to_be_visible()  # a rejection needs words
    approver.fill("decide-comment", "与文件一致，同意")
    approver.picture("approval-decide-1366x768.png")
    approver.click("approve")
    expect(approver.page.get_by_test_id(f"approval-{number}")).to_have_attribute(
        "data-state", "EXECUTED", timeout=ACT_MS
    )


def test_an_emergency_is_in_force_and_stands_in_red_until_a_second_person_confirms_it(
    author: Window, approver: Window
) -> None:
    number = _propose(author, 0.03, emergency=True)
    expect(author.page.get_by_test_id("emergency")).to_be_visible(timeout=ACT_MS)
    approver.page.reload()
    first = approver.page.locator('[data-testid^="approval-A"]').first
    expect(first).to_have_attribute("data-emergency", "true", timeout=ACT_MS)  # above all that can wait
    expect(first).to_have_attribute("data-state", "PENDING")
    approver.page.get_by_test_id(f"approval-{number}").click()
    expect(approver.page.get_by_test_id("emergency")).to_be_visible()
    approver.picture("approval-unconfirmed-1366x768.png")
    approver.click("approve")
    expect(approver.page.get_by_test_id(f"approval-{number}")).to_have_attribute(
        "data-state", "EXECUTED", timeout=ACT_MS
    )
    expect(approver.page.get_by_test_id("emergency")).to_have_count(0)


def test_who_sets_up_a_second_factor_is_asked_for_a_code_at_the_next_login(
    approver: Window, chromium: Browser, system: System
) -> None:
    approver.click("tab-account")
    approver.click("totp-begin")
    expect(approver.page.get_by_test_id("qr")).to_be_visible(timeout=ACT_MS)
    secret = approver.page.get_by_test_id("totp-secret").inner_text().replace(" ", "")
    approver.picture("account-second-factor-1366x768.png")
    approver.fill("totp-code", pyotp.TOTP(secret).now())
    approver.click("totp-confirm")
    codes = approver.page.locator('[data-testid="recovery"] li')
    expect(codes).to_have_count(10, timeout=ACT_MS)
    recovery = codes.first.inner_text().replace(" ", "")
    again = _window(chromium, system)
    again.password("/admin", "leader2")
    expect(again.page.get_by_test_id("login-otp")).to_be_visible(timeout=ACT_MS)
    again.picture("login-code-1366x768.png")
    again.fill("login-otp", "000000")
    again.click("login-submit")
    expect(again.page.get_by_test_id("login-error")).not_to_be_empty(timeout=ACT_MS)
    again.fill("login-otp", recovery)  # the code of this half minute was used to set it up, and opens once
    again.click("login-submit")
    again.inside("/admin")
    expect(again.page.get_by_test_id("user")).to_be_visible(timeout=ACT_MS)
    assert again.complaints == []


def test_a_security_administrator_gives_an_account_whose_password_is_shown_once(
    chromium: Browser, system: System
) -> None:
    desk = _desk(chromium, system, "security")
    desk.click("tab-users")
    desk.click("add-user")
    desk.fill("user-name", "值班员 试用")
    desk.fill("user-username", "duty9")
    desk.page.get_by_test_id("role-operator").check()
    expect(desk.page.get_by_test_id("role-auditor")).to_be_disabled()  # who audits changes nothing
    desk.picture("users-add-1366x768.png")
    desk.click("user-save")
    password = desk.page.get_by_test_id("secret").inner_text()
    assert len(password) >= 12
    desk.click("secret-close")
    desk.fill("user-search", "duty9")
    expect(desk.page.locator('[data-row="duty9"]')).to_be_visible(timeout=ACT_MS)
    desk.picture("users-1366x768.png")
    assert desk.complaints == []


def test_the_auditor_finds_the_approval_in_the_journal_and_the_chain_whole(chromium: Browser, system: System) -> None:
    desk = _desk(chromium, system, "auditor")
    desk.click("tab-audit")
    desk.fill("journal-entity", "approval")
    desk.click("journal-ask")
    rows = desk.page.locator('[data-testid="journal"] [data-row]')
    expect(rows.first).to_contain_text("approval", timeout=ACT_MS)
    rows.first.click()
    expect(desk.page.get_by_test_id("journal-row")).to_be_visible()
    desk.click("verify-chain")
    expect(desk.page.get_by_test_id("verdict")).to_have_attribute("data-ok", "true", timeout=ACT_MS)
    desk.picture("audit-1366x768.png")
    assert desk.complaints == []


def test_nothing_complained(author: Window, approver: Window) -> None:
    for desk in (author, approver):
        for name in ("approvals", "system", "account"):
            desk.click(f"tab-{name}")
            desk.page.wait_for_timeout(300)
            assert desk.fits(), name
        assert desk.complaints == []
