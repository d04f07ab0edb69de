"""A security key in a real browser: Chromium's virtual authenticator is added to a second factor, opens a login, and is removed.

The system runs `citybrain up --demo --no-duty-desk`; the page is called by the name localhost, since keys are for names.
"""

from __future__ import annotations

import pyotp
import pytest
from playwright.sync_api import Browser, CDPSession, expect

from citybrain_testing.browser import ACT_MS, OFFICE, Window, new_page
from citybrain_testing.system import System

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

USER = "analyst1"
KEY = {
    "protocol": "ctap2",
    "transport": "usb",
    "hasResidentKey": False,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def with_key(window: Window) -> tuple[CDPSession, str]:
    """Plug a key in: the browser's developer tools have one in software."""
    tools = window.page.context.new_cdp_session(window.page)
    tools.send("WebAuthn.enable")
    return tools, tools.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})["authenticatorId"]


def test_a_key_is_added_opens_a_login_and_is_removed(chromium: Browser, system: System) -> None:
    window = Window(page=new_page(chromium, OFFICE), system=system, host="localhost", allowed=(404,))
    tools, key = with_key(window)
    window.login("/admin", USER)
    window.click("tab-account")
    window.click("totp-begin")
    secret = window.page.get_by_test_id("totp-secret").inner_text().replace(" ", "")
    window.fill("totp-code", pyotp.TOTP(secret).now())
    window.click("totp-confirm")
    window.click("recovery-done")
    window.fill("key-name", "值班室 USB 密钥")
    window.click("key-add")
    expect(window.page.get_by_test_id("security-key")).to_contain_text("值班室 USB 密钥", timeout=ACT_MS)
    window.picture("account-security-key-1366x768.png")
    assert len(tools.send("WebAuthn.getCredentials", {"authenticatorId": key})["credentials"]) == 1

    window.click("logout")
    window.page.wait_for_url("**/login*", timeout=ACT_MS)
    window.password("/admin", USER)
    expect(window.page.get_by_test_id("login-key")).to_be_visible(timeout=ACT_MS)
    window.picture("login-key-1366x768.png")
    window.click("login-key")
    window.inside("/admin")
    window.click("tab-account")
    expect(window.page.get_by_test_id("security-key")).to_contain_text("最近使用", timeout=ACT_MS)

    window.click("key-remove")
    expect(window.page.get_by_test_id("security-key")).to_have_count(0, timeout=ACT_MS)
    window.click("logout")
    window.page.wait_for_url("**/login*", timeout=ACT_MS)
    window.password("/admin", USER)
    expect(window.page.get_by_test_id("login-otp")).to_be_visible(timeout=ACT_MS)
    expect(window.page.get_by_test_id("login-key")).to_have_count(0)
    assert window.complaints == []


def test_by_an_address_no_key_is_offered(chromium: Browser, system: System) -> None:
    window = Window(page=new_page(chromium, OFFICE), system=system)
    with_key(window)
    window.password("/admin", USER)
    expect(window.page.get_by_test_id("login-otp")).to_be_visible(timeout=ACT_MS)
    expect(window.page.get_by_test_id("login-key")).to_have_count(0)
