"""A load generator for the broker: many connections, one process, messages at a rate, QoS 1, nothing but counting.

    python -m benchmarks.flood SETTINGS.json      {host, port, tenant, shape, senders: [[user, password, [devices]]], rate, seconds}

Shape *gateways*: each sender speaks for its devices (`up/gw/telemetry`, one device a message); *direct*: each device for itself.
With `wait` it begins at a line on its input, and ends at the line `end`. Every message has three values and a stamp of the moment at which it was written. A sender keeps at most WINDOW messages
unacknowledged. The last line is JSON: sent, acked, seconds, slow (share of ticks that came late).
"""

from __future__ import annotations

import itertools
import json
import random
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulators.mqtt_light import connect_packet

TICK_S = 0.004
BURST = 50  # messages in one write
AT_ONCE = 2_000  # messages between two looks at what came back
WINDOW = 2_000
GRACE_S = 20.0  # for the last acknowledgements


@dataclass(slots=True)
class Sender:
    """One connection."""

    line: socket.socket
    messages: Iterator[tuple[bytes, bytes, bytes]]  # head, what stands before the stamp, what stands after it
    out: bytearray = field(default_factory=bytearray)
    packet_id: int = 0
    sent: int = 0
    acked_bytes: int = 0

    @property
    def open(self) -> int:
        return self.sent - self.acked_bytes // 4


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    rng = random.Random(settings.get("seed", 1))
    senders = [_connect(settings, sender, rng) for sender in settings["senders"]]
    ended = threading.Event()
    print("connected", flush=True)
    if settings.get("wait"):
        sys.stdin.readline()
        threading.Thread(target=_listen, args=(ended,), daemon=True).start()
    print(json.dumps(run(senders, settings["rate"], settings["seconds"], ended)))


def _listen(ended: threading.Event) -> None:
    for line in sys.stdin:  # an end of the input is not the word
        if line.strip() == "end":
            ended.set()


def run(senders: list[Sender], rate: float, seconds: float, ended: threading.Event) -> dict[str, Any]:
    """Send at `rate` messages a second over all senders in turn, for `seconds` or until `ended`."""
    selector = selectors.DefaultSelector()
    for sender in senders:
        selector.register(sender.line, selectors.EVENT_READ, sender)
    began = time.monotonic()
    sent = turn = late = ticks = 0
    while (now := time.monotonic()) < began + seconds and not ended.is_set():
        due = min(int((now - began) * rate) - sent, AT_ONCE)
        stamp = b"%d" % (time.time_ns() // 1_000_000)
        blocked = 0
        while due > 0 and blocked < len(senders):
            sender = senders[turn % len(senders)]
            turn += 1
            if sender.open >= WINDOW or len(sender.out) > 1 << 18:
                blocked += 1
                continue
            count = max(1, min(due // len(senders), BURST))
            for _ in range(count):
                _append(sender, stamp)
            sent += count
            due -= count
            _flush(sender)
        _drain(selector, 0)
        ticks += 1
        left = TICK_S - (time.monotonic() - now)
        late += left < 0
        if left > 0:
            _drain(selector, left)
    end = time.monotonic() + GRACE_S
    while any(sender.open or sender.out for sender in senders) and time.monotonic() < end:
        for sender in senders:
            _flush(sender)
        _drain(selector, 0.01)
    acked = sum(sender.acked_bytes // 4 for sender in senders)
    return {
        "sent": sent,
        "acked": acked,
        "seconds": round(time.monotonic() - began, 2),
        "slow": round(late / max(1, ticks), 3),
    }


def _append(sender: Sender, stamp: bytes) -> None:
    head, before, after = next(sender.messages)
    sender.packet_id = sender.packet_id % 65_535 + 1
    sender.out += head + struct.pack(">H", sender.packet_id) + before + stamp + after
    sender.sent += 1


def _flush(sender: Sender) -> None:
    if not sender.out:
        return
    try:
        written = sender.line.send(sender.out)
    except BlockingIOError:
        return
    del sender.out[:written]


def _drain(selector: selectors.BaseSelector, timeout_s: float) -> None:
    for key, _ in selector.select(timeout_s):
        sender: Sender = key.data
        data = sender.line.recv(65_536)  # nothing but PUBACKs: four bytes each
        if not data:
            raise ConnectionResetError("the broker closed a connection")
        sender.acked_bytes += len(data)


def _connect(settings: dict[str, Any], sender: list[Any], rng: random.Random) -> Sender:
    user, password, devices = sender
    line = socket.create_connection((settings["host"], settings["port"]), timeout=15)
    line.sendall(connect_packet(user, user, password))
    answer = line.recv(4)
    if answer[3:] != b"\0":
        raise ConnectionError(f"the broker refused {user}: {answer!r}")
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setblocking(False)
    return Sender(line, _messages(settings["tenant"], user, devices, rng))


def _messages(tenant: str, user: str, devices: list[str], rng: random.Random) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Endless; each device in its turn with a slowly changing stage."""
    topic = f"cb/v1/{tenant}/{user}/up/" + ("telemetry" if devices == [user] else "gw/telemetry")
    prepared = []
    for device in devices:
        stage, battery = rng.uniform(1, 2), rng.uniform(12, 13)
        for step in range(
            4
        ):  # of a quiet river: a wave of centimetres, which no test of the quality control finds strange
            values = f'"values":{{"stage_m":{stage + 0.01 * step:.3f},"depth_m":0.0,"battery_v":{battery - 0.01 * step:.2f}}}'
            before, after = '{"ts":', "," + values + "}"
            if devices != [user]:
                before, after = f'{{"{device}":[{before}', f"{after}]}}"
            name = topic.encode()
            size = 2 + len(name) + 2 + len(before) + 13 + len(after)
            length = bytes([size]) if size < 128 else bytes([size % 128 | 0x80, size // 128])
            prepared.append((b"\x32" + length + struct.pack(">H", len(name)) + name, before.encode(), after.encode()))
    order = [prepared[device * 4 + turn] for turn in range(4) for device in range(len(devices))]
    return itertools.cycle(order)


if __name__ == "__main__":
    main()
