"""One person at one screen: a browser window, and all that it complained about. For tests in a real Chromium."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect

from citybrain_testing.outcome import ARTIFACTS
from citybrain_testing.system import System

CHROMIUM = "/usr/bin/chromium"
OFFICE = {"width": 1366, "height": 768}
WIDE = {"width": 1920, "height": 1080}
ACT_MS = 60_000  # a busy disk holds every fsync, and with it every answer
WATCH_CSP = "addEventListener('securitypolicyviolation', e => console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI))"
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"


@dataclass(kw_only=True)
class Window:
    """`allowed`: statuses of answers that the test calls for on purpose; the browser notes each as an error. Two always are:
    401, the first answer without a login, and 503, a busy server that says to come back later (`press` does).
    """

    page: Page
    system: System
    allowed: tuple[int, ...] = ()
    host: str = "127.0.0.1"  # what the browser calls the system: security keys want a name
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.add_init_script(WATCH_CSP)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        statuses = "|".join(map(str, (401, 503, *self.allowed)))
        by_design = re.search(rf"status of ({statuses})", text)
        if (kind == "error" and not by_design) or "Content Security Policy" in text:
            where = getattr(message, "location", {}).get("url", "")
            self.complaints.append(f"{kind}: {text} {where}")

    def _request(self, request: object) -> None:
        url = urlsplit(getattr(request, "url", ""))
        if url.scheme not in {"blob", "data"}:  # made by the page itself
            self.hosts.add(url.netloc)

    @property
    def base_url(self) -> str:
        return self.system.base_url.replace("127.0.0.1", self.host, 1)

    def password(self, path: str, username: str) -> None:
        """Ask for a page, be sent to the login page, give name and password there."""
        self.page.goto(self.base_url + path)
        expect(self.page.get_by_test_id("login-form")).to_be_visible(timeout=ACT_MS)
        self.page.fill("input[name=username]", username)
        self.page.fill("input[name=password]", self.system.secret("logins")[username])
        self.click("login-submit")

    def inside(self, path: str) -> None:
        """Wait until the login is through, then stand on `path`."""
        self.page.wait_for_url(lambda url: "/login" not in url, timeout=ACT_MS)
        self.open(path)

    def login(self, path: str, username: str) -> None:
        self.password(path, username)
        self.inside(path)

    def open(self, path: str) -> None:
        if self.page.url.split("#")[0] != self.base_url + path:
            self.page.goto(self.base_url + path)

    def click(self, testid: str) -> None:
        self.page.get_by_test_id(testid).click()

    def press(self, testid: str) -> None:
        """Press a button that goes away when it is done; again when a busy server said to come back later (503)."""
        button = self.page.get_by_test_id(testid)
        for attempts_left in reversed(range(5)):
            button.click()
            try:
                expect(button).to_have_count(0, timeout=ACT_MS / 2)
            except AssertionError:
                if not attempts_left:
                    raise
            else:
                return

    def fill(self, testid: str, text: str) -> None:
        self.page.get_by_test_id(testid).fill(text)

    def fits(self) -> bool:
        """Nothing stands out to the right of the screen."""
        return int(self.page.evaluate(TOO_WIDE)) <= 0

    def picture(self, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / name)


def new_page(chromium: Browser, size: dict[str, int] = OFFICE) -> Page:
    """A page that shares no cookie with any other."""
    context = chromium.new_context(
        viewport={"width": size["width"], "height": size["height"]}, locale="zh-CN", timezone_id="Asia/Shanghai"
    )
    context.set_default_timeout(ACT_MS)
    return context.new_page()
