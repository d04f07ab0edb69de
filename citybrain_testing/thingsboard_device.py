"""A device program as a vendor of ThingsBoard devices writes it: tb-mqtt-client and nothing of ours. Runs in `.venv-thingsboard`.

    thingsboard_device.py HOST PORT USERNAME PASSWORD

Reads lines of JSON: `{"do": "telemetry", "with": {...}}`, and answers each with a line: `ok`, or what went wrong.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from tb_gateway_mqtt import TBGatewayMqttClient

WAIT_S = 10.0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def published(info: Any) -> str:
    """Whether the broker has acknowledged it."""
    code = int(info.get())
    return "ok" if code == 0 else f"refused {code}"


def act(client: TBGatewayMqttClient, do: str, given: Any) -> str:
    match do:
        case "telemetry":
            return published(client.send_telemetry(given))
        case "attributes":
            return published(client.send_attributes(given))
        case "connect":
            return published(client.gw_connect_device(given))
        case "gateway":
            name, values = given
            return published(client.gw_send_telemetry(name, values))
        case "stay":
            time.sleep(given)
            return "ok" if client.is_connected() else "lost"
    return f"unknown: {do}"


def main() -> None:
    host, port, username, password = sys.argv[1:]
    client = TBGatewayMqttClient(host, int(port), username, password, client_id=username)
    client.connect(timeout=WAIT_S)
    until = time.monotonic() + WAIT_S
    while not client.is_connected() and time.monotonic() < until:
        time.sleep(0.05)
    say("connected" if client.is_connected() else "no connection")
    for line in sys.stdin:
        order = json.loads(line)
        say(act(client, order["do"], order["with"]))
    client.disconnect()
    client.stop()


if __name__ == "__main__":
    main()
