"""The wall and the phone in a real browser: somebody sits at the duty desk, the devices and units are the scenario's.

The system runs `citybrain up --demo --no-duty-desk`. The tests are one evening in the order in which they stand; pictures stay
in test-artifacts/.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from citybrain_testing.outcome import ARTIFACTS
from citybrain_testing.system import System

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

CHROMIUM = "/usr/bin/chromium"
WALL = {"width": 3840, "height": 1080}
DESK = {"width": 1920, "height": 1080}
PHONE = {"width": 390, "height": 844}
ALARM_MS = 60_000
ACT_MS = 60_000  # a busy disk holds every fsync, and with it every answer
MOVE_MS = 60_000
WATCH_CSP = "addEventListener('securitypolicyviolation', e => console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI))"
MOVED = """([selector, lon, lat]) => {
    const unit = document.querySelector(selector);
    return unit !== null && (unit.dataset.lon !== lon || unit.dataset.lat !== lat);
}"""


@dataclass
class Station:
    """One browser window with everything that it complained about."""

    page: Page
    system: System
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.add_init_script(WATCH_CSP)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _console(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if kind == "error" or "Content Security Policy" in text:
            self.complaints.append(f"{kind}: {text}")

    def login(self, path: str, username: str) -> None:
        """Ask for a page, be sent to the login page, log in there."""
        self.page.goto(self.system.base_url + path)
        expect(self.page.get_by_test_id("login-form")).to_be_visible(timeout=ACT_MS)
        self.page.fill("input[name=username]", username)
        self.page.fill("input[name=password]", self.system.secret("logins")[username])
        self.page.get_by_test_id("login-submit").click()
        self.page.wait_for_url(lambda url: "/login" not in url, timeout=ACT_MS)
        if urlsplit(self.page.url).path != path:
            self.page.goto(self.system.base_url + path)

    def picture(self, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / name)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(
        tmp_path_factory.mktemp("browser") / "data",
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


def _station(chromium: Browser, system: System, size: dict[str, int], *, phone: bool = False) -> Station:
    context = chromium.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        locale="zh-CN",
        timezone_id="Asia/Shanghai",
        is_mobile=phone,
        has_touch=phone,
    )
    context.set_default_timeout(ACT_MS)
    return Station(context.new_page(), system)


@pytest.fixture(scope="module")
def wall(chromium: Browser, system: System) -> Station:
    station = _station(chromium, system, WALL)
    station.login("/wall", "duty1")
    return station


@pytest.fixture(scope="module")
def phone(chromium: Browser, system: System) -> Station:
    return _station(chromium, system, PHONE, phone=True)


def _attribute(station: Station, selector: str, name: str) -> str:
    value = station.page.locator(selector).first.get_attribute(name)
    assert value is not None, f"{selector} has no {name}"
    return value


def test_the_wall_says_that_it_is_a_demonstration(wall: Station) -> None:
    expect(wall.page.get_by_test_id("banner")).to_contain_text("演示")
    expect(wall.page.get_by_test_id("link")).to_have_attribute("data-state", "open", timeout=ACT_MS)


def test_the_clock_runs_sixty_times_as_fast(wall: Station) -> None:
    clock = '[data-testid="clock"]'
    began, before = time.monotonic(), int(_attribute(wall, clock, "data-city-us"))
    wall.page.wait_for_timeout(2_000)
    passed_us = int(_attribute(wall, clock, "data-city-us")) - before
    assert 0.7 < passed_us / ((time.monotonic() - began) * 60e6) < 1.3


def test_an_alarm_is_seen_and_acknowledged_with_the_key(wall: Station) -> None:
    first = wall.page.locator('[data-testid^="alarm-"][data-acked="false"][data-state="firing"]').first
    expect(first).to_be_visible(timeout=ALARM_MS)
    expect(wall.page.get_by_test_id("incident-panel")).to_have_attribute("data-state", "VERIFYING", timeout=ALARM_MS)
    wall.picture("wall-3840x1080-alarm.png")
    first.get_by_role("button").first.click()
    alarm = first.get_attribute("data-testid")
    wall.page.locator("body").press("a")
    expect(wall.page.get_by_test_id(str(alarm))).to_have_attribute("data-acked", "true", timeout=ACT_MS)


def test_the_event_is_verified_and_its_tasks_are_issued(wall: Station) -> None:
    panel = wall.page.get_by_test_id("incident-panel")
    incident = panel.get_attribute("data-incident")
    wall.page.get_by_test_id("verify").click()
    expect(panel).to_have_attribute("data-state", "OPEN", timeout=ACT_MS)
    assert panel.get_attribute("data-incident") == incident
    wall.page.get_by_test_id("issue").click()
    drafts = wall.page.locator(f'[data-testid^="task-{incident}"][data-state="DRAFT"]')
    expect(drafts).to_have_count(0, timeout=ACT_MS)
    expect(wall.page.locator(f'[data-testid^="task-{incident}"]').first).to_be_visible()


def test_a_unit_moves_on_the_map(wall: Station) -> None:
    driving = wall.page.locator('[data-testid^="unit-"][data-status="EN_ROUTE"]').first
    expect(driving).to_be_visible(timeout=MOVE_MS)
    unit = driving.get_attribute("data-testid")
    selector = f'[data-testid="{unit}"]'
    lon, lat = _attribute(wall, selector, "data-lon"), _attribute(wall, selector, "data-lat")
    before = wall.page.get_by_test_id("map").screenshot()
    wall.page.wait_for_function(MOVED, arg=[selector, lon, lat], timeout=MOVE_MS)
    wall.page.wait_for_timeout(500)
    assert wall.page.get_by_test_id("map").screenshot() != before
    wall.picture("wall-3840x1080.png")


def test_the_phone_shows_the_unit_its_task(wall: Station, phone: Station) -> None:
    busy = wall.page.locator('[data-testid^="unit-"]:not([data-task=""])').first
    expect(busy).to_be_visible(timeout=MOVE_MS)
    unit, task = str(busy.get_attribute("data-testid")), busy.get_attribute("data-task")
    phone.login("/field", unit.removeprefix("unit-"))
    expect(phone.page.get_by_test_id(f"task-{task}")).to_be_visible(timeout=ACT_MS)
    expect(phone.page.get_by_test_id("pending")).to_have_attribute("data-count", "0")
    phone.page.wait_for_timeout(1_500)  # tiles of the route map
    phone.picture("field-390x844.png")


def test_the_desk_fits_an_ordinary_screen(chromium: Browser, system: System) -> None:
    desk = _station(chromium, system, DESK)
    desk.login("/desk", "leader1")
    expect(desk.page.get_by_test_id("banner")).to_contain_text("演示")
    expect(desk.page.locator('[data-testid^="alarm-"]').first).to_be_visible(timeout=ACT_MS)
    desk.page.wait_for_timeout(2_000)
    wide = desk.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    desk.picture("desk-1920x1080.png")
    assert wide <= 0
    assert (desk.complaints, desk.hosts) == ([], {urlsplit(system.base_url).netloc})


def test_nothing_complained_and_nobody_else_was_asked(wall: Station, phone: Station, system: System) -> None:
    # The first answer of a page that is asked for without a login is 401 by design; the browser notes it as an error.
    allowed = re.compile(r"401 \(Unauthorized\)")
    for station in (wall, phone):
        assert [text for text in station.complaints if not allowed.search(text)] == []
        assert station.hosts == {urlsplit(system.base_url).netloc}
