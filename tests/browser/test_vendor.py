"""设备接入 in a real browser: a vendor registers a device, connects it, and sees at once what came in and what was refused and why.

The system runs `citybrain up --demo --no-duty-desk`. Pictures stay in test-artifacts/.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from playwright.sync_api import Browser, expect

from citybrain_testing.browser import ACT_MS, OFFICE, WIDE, Window, new_page
from citybrain_testing.outcome import get
from citybrain_testing.system import System, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

DEVICE = "new-gauge-7"
WAIT_S = 20.0


@pytest.fixture(scope="module")
def vendor(chromium: Browser, system: System) -> Window:
    with contextlib.closing(system.login("vendor1")) as door:
        document = {
            "device_id": DEVICE,
            "model": "water-gauge-v1",
            "name": "新装水位站七号",
            "lon": 121.44,
            "lat": 28.68,
            "area": "339900",
            "attributes": {"properties": ["stage_m", "battery_v"]},
        }
        door.post("/api/v1/devices", json=document).raise_for_status()
    window = Window(page=new_page(chromium, WIDE), system=system)
    window.login("/vendor", "vendor1")
    return window


def publish(system: System, password: str, *payloads: bytes | dict[str, Any]) -> None:
    """As the device itself, at QoS 1."""
    ready = system.ready
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=DEVICE, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(DEVICE, password)
    client.connect(ready["broker_host"], ready["broker_port"])
    client.loop_start()
    try:
        wait_for("connected", client.is_connected, WAIT_S)
        for payload in payloads:
            body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            topic = f"cb/v1/{ready['tenant']}/{DEVICE}/up/telemetry"
            client.publish(topic, body, qos=1).wait_for_publish(WAIT_S)
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_vendor_sees_its_own_devices_only(vendor: Window, system: System) -> None:
    with contextlib.closing(system.login("admin")) as admin:
        everyone = get(admin, "/api/v1/devices", limit=500)["items"]
    with contextlib.closing(system.login("vendor1")) as door:
        own = get(door, "/api/v1/devices", limit=500)["items"]
    assert 0 < len(own) < len(everyone)
    expect(vendor.page.get_by_test_id("vendor-count")).to_contain_text(f"共 {len(own)} 台", timeout=ACT_MS)


def test_a_new_device_is_connected_with_the_password_that_the_page_shows_once(vendor: Window, system: System) -> None:
    vendor.page.get_by_test_id("vendor-search").fill("七号")
    vendor.page.get_by_test_id("vendor-devices").get_by_text("新装水位站七号").click()
    expect(vendor.page.get_by_test_id("vendor-detail")).to_contain_text("从未收到数据", timeout=ACT_MS)
    vendor.click("tab-access")
    expect(vendor.page.get_by_test_id("vendor-sample")).to_contain_text(f"/{DEVICE}/up/telemetry")
    vendor.click("vendor-rotate")
    vendor.page.get_by_test_id("rotate-reason").fill("首次接入")
    vendor.press("rotate-send")
    password = vendor.page.get_by_test_id("rotate-secret").inner_text().strip()
    vendor.page.get_by_test_id("rotate-dialog").get_by_role("button", name="已记下").click()
    assert len(password) >= 16
    time.sleep(2.0)  # the broker reads a new credential within about a second
    now_ms = get_city_ms(system)
    publish(
        system,
        password,
        {"ts": now_ms, "seq": 1, "values": {"stage_m": 2.31, "battery_v": 12.6}},
        {"ts": now_ms + 1, "values": {"stage_m": "high"}},
        {"ts": now_ms + 2, "values": {"stage_m": 140.0, "colour": 7}},
        b'{"ts": 1,',
    )
    vendor.click("tab-messages")
    messages = vendor.page.get_by_test_id("vendor-messages")
    expect(messages).to_contain_text("2.31", timeout=ACT_MS)
    expect(messages).to_contain_text("超量程", timeout=ACT_MS)
    assert vendor.fits()
    vendor.picture("vendor-messages-1920x1080.png")


def get_city_ms(system: System) -> int:
    with contextlib.closing(system.login("vendor1")) as door:
        return int(get(door, "/api/v1/clock")["city_us"]) // 1000


def test_what_was_refused_says_why_beside_what_was_sent(vendor: Window) -> None:
    vendor.click("tab-refused")
    letters = vendor.page.get_by_test_id("vendor-letters")
    expect(letters).to_contain_text("values.stage_m: expected number (m), got string 'high'", timeout=ACT_MS)
    expect(letters).to_contain_text("not valid JSON")
    expect(letters).to_contain_text('{"ts": 1,')
    vendor.picture("vendor-refused-1920x1080.png")
    vendor.click("tab-notes")
    expect(vendor.page.get_by_test_id("vendor-notes")).to_contain_text("未登记的属性，值已保留但不入库：colour")


def test_the_checklist_turns_green_where_the_system_checks_by_itself(vendor: Window) -> None:
    vendor.click("tab-checklist")
    received = vendor.page.get_by_test_id("vendor-checklist").locator("li.ok")
    expect(received.first).to_be_visible(timeout=ACT_MS)
    vendor.picture("vendor-checklist-1920x1080.png")


def test_an_operator_looks_at_any_device_on_a_small_screen(chromium: Browser, system: System) -> None:
    operator = Window(page=new_page(chromium, OFFICE), system=system)
    operator.login("/vendor", "leader1")
    operator.page.get_by_test_id("vendor-devices").locator("[role=row]").nth(2).click()
    expect(operator.page.get_by_test_id("vendor-figures")).to_be_visible(timeout=ACT_MS)
    assert operator.fits()
    operator.picture("vendor-1366x768.png")
    operator.page.close()
