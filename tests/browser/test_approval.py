"""What takes two persons, in a real browser: one login proposes another threshold, another approves it; an emergency waits in red.

The system runs `citybrain up --demo --no-duty-desk`. The tests are one morning in the order in which they stand; pictures stay in
test-artifacts/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from citybrain_testing.outcome import ARTIFACTS
from citybrain_testing.system import System

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

CHROMIUM = "/usr/bin/chromium"
OFFICE = {"width": 1366, "height": 768}
ACT_MS = 60_000  # a busy disk holds every fsync, and with it every answer
WATCH_CSP = "addEventListener('securitypolicyviolation', e => console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI))"
# 401: the first answer without a login, and the one that asks for a code. 403: what a role may not read is left out.
ALLOWED = re.compile(r"status of (401|403)")
SOURCE = "区防指〔2019〕12 号"


@dataclass
class Desk:
    """One login in a browser of its own, with everything that it complained about."""

    page: Page
    system: System
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(WATCH_CSP)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _console(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if (kind == "error" and not ALLOWED.search(text)) or "Content Security Policy" in text:
            self.complaints.append(f"{kind}: {text}")

    def password(self, path: str, username: str) -> None:
        """Ask for a page, be sent to the login page, give name and password there."""
        self.page.goto(self.system.base_url + path)
        expect(self.page.get_by_test_id("login-form")).to_be_visible(timeout=ACT_MS)
        self.page.fill("input[name=username]", username)
        self.page.fill("input[name=password]", self.system.secret("logins")[username])
        self.click("login-submit")

    def inside(self, path: str) -> None:
        self.page.wait_for_url(lambda url: "/login" not in url, timeout=ACT_MS)
        if urlsplit(self.page.url).path != path:
            self.page.goto(self.system.base_url + path)

    def click(self, testid: str) -> None:
        self.page.get_by_test_id(testid).click()

    def fill(self, testid: str, text: str) -> None:
        self.page.get_by_test_id(testid).fill(text)

    def picture(self, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / name)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(
        tmp_path_factory.mktemp("approval") / "data",
        args=("--demo", "--no-duty-desk"),
        env={"CITYBRAIN_DEV_STACK": ""},
    )
    system.start()
    yield system
    system.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def _window(chromium: Browser, system: System) -> Desk:
    context = chromium.new_context(
        viewport={"width": OFFICE["width"], "height": OFFICE["height"]}, locale="zh-CN", timezone_id="Asia/Shanghai"
    )
    context.set_default_timeout(ACT_MS)
    return Desk(context.new_page(), system)


def _desk(chromium: Browser, system: System, username: str) -> Desk:
    desk = _window(chromium, system)
    desk.password("/admin", username)
    desk.inside("/admin")
    return desk


@pytest.fixture(scope="module")
def author(chromium: Browser, system: System) -> Desk:
    return _desk(chromium, system, "leader1")


@pytest.fixture(scope="module")
def approver(chromium: Browser, system: System) -> Desk:
    return _desk(chromium, system, "duty1")


def _propose(desk: Desk, by: float, *, emergency: bool = False) -> str:
    """Lower the last value of a water gauge; returns the number of the proposal."""
    desk.click("propose")
    device = desk.page.get_by_test_id("threshold-device")
    device.click()
    device.fill("水")
    expect(desk.page.locator(".combo-list [role=option]").nth(1)).to_be_visible(timeout=ACT_MS)
    if emergency:  # another gauge: about one there is at most one open proposal
        device.press("ArrowDown")
    device.press("Enter")
    level = desk.page.get_by_test_id("level-on.red")
    level.fill(f"{float(level.input_value()) + by:.3f}")
    desk.fill("threshold-source", SOURCE)
    if emergency:
        desk.page.get_by_test_id("threshold-emergency").check()
        desk.fill("threshold-reason", "下穿已封闭，提高报警值以免反复报警")
    desk.picture("approval-emergency-1366x768.png" if emergency else "approval-propose-1366x768.png")
    desk.click("threshold-propose")
    expect(desk.page.get_by_test_id("propose-dialog")).to_have_count(0, timeout=ACT_MS)
    sheet = desk.page.get_by_test_id("approval-sheet")
    expect(sheet).to_contain_text(SOURCE, timeout=ACT_MS)
    expect(sheet).to_have_attribute("data-state", "PENDING", timeout=ACT_MS)
    return str(sheet.get_attribute("data-approval"))


def test_a_proposal_shows_what_would_change_and_its_author_cannot_decide_it(author: Desk) -> None:
    _propose(author, 0.02)
    lines = author.page.locator('[data-testid="diff"] tbody tr')
    expect(lines).to_have_count(1)
    expect(lines.first).to_have_attribute("data-path", "on.red")
    expect(author.page.get_by_test_id("approve")).to_have_count(0)


def test_another_person_approves_it_and_it_is_done(author: Desk, approver: Desk) -> None:
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
    author: Desk, approver: Desk
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
    approver: Desk, chromium: Browser, system: System
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
    again.password("/admin", "duty1")
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


def test_nothing_complained(author: Desk, approver: Desk) -> None:
    for desk in (author, approver):
        for name in ("approvals", "system", "account"):
            desk.click(f"tab-{name}")
            desk.page.wait_for_timeout(300)
            assert desk.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        assert desk.complaints == []
