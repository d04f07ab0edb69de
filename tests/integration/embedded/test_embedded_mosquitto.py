"""The private Mosquitto, really started: what it lets through, what it refuses and counts, what it keeps over kill -9."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from citybrain_testing.servers import PrivateMosquitto, free_port, private_mosquitto
from devices.credentials import hash_password
from ingest.refusals import LogTail, RefusalParser
from runtime.embedded.mosquitto import BrokerKind, MosquittoBroker

pytestmark = pytest.mark.broker

INGEST = "service.ingest"
TIMEOUT_S = 20.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateMosquitto]:
    with private_mosquitto(accounts={"g1": "one", "g2": "two"}, data_dir=tmp_path) as server:
        yield server


def client(broker: PrivateMosquitto, tool: str, user: str, *arguments: str, stdin: str | None = None) -> str:
    """Run a client program as `user` to its end; gives all that it printed."""
    login = ["-h", broker.host, "-p", str(broker.port), "-u", user, "-P", broker.password(user)]
    argv = [tool, *login, "-q", "1", *arguments]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return done.stdout + done.stderr


def subscribe_and_leave(broker: PrivateMosquitto) -> None:
    """Leave a session of ingest behind, so that the broker queues for it."""
    client(broker, "mosquitto_sub", INGEST, "-c", "-i", "ingest", "-t", "cb/v1/demo/+/up/#", "-E")


def publish(broker: PrivateMosquitto, count: int) -> None:
    lines = "".join(f"{json.dumps({'seq': number})}\n" for number in range(count))
    client(broker, "mosquitto_pub", "g1", "-t", "cb/v1/demo/g1/up/telemetry", "-l", stdin=lines)


def drain(broker: PrivateMosquitto, count: int) -> list[int]:
    """The queued messages that come after a reconnect, `seq` of each."""
    topic = "cb/v1/demo/+/up/#"
    out = client(broker, "mosquitto_sub", INGEST, "-c", "-i", "ingest", "-t", topic, "-C", str(count), "-W", "10")
    return [json.loads(line)["seq"] for line in out.splitlines() if line.startswith("{")]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_it_runs_without_privileges(broker: PrivateMosquitto) -> None:
    assert "CapEff:\t0000000000000000" in Path(f"/proc/{broker.pid}/status").read_text()


def test_a_device_reaches_ingest_and_nobody_elses_topics(broker: PrivateMosquitto) -> None:
    subscribe_and_leave(broker)
    foreign = client(broker, "mosquitto_pub", "g1", "-V", "5", "-t", "cb/v1/demo/g2/up/telemetry", "-m", '{"seq":7}')
    assert "Not authorized" in foreign
    client(broker, "mosquitto_pub", "g1", "-t", "cb/v1/other/g1/up/telemetry", "-m", '{"seq":8}')
    publish(broker, 1)
    assert drain(broker, 1) == [0], "the foreign messages must not have come first"


def test_a_device_hears_nothing_that_is_meant_for_another(broker: PrivateMosquitto) -> None:
    """Mosquitto accepts any subscription and filters what it delivers, so the delivery is what counts."""
    session = ["-c", "-i", "g1", "-t", "cb/v1/demo/+/down/#"]
    client(broker, "mosquitto_sub", "g1", *session, "-E")
    for device in ("g2", "g1"):
        client(broker, "mosquitto_pub", INGEST, "-t", f"cb/v1/demo/{device}/down/cmd", "-m", f"for {device}")
    assert client(broker, "mosquitto_sub", "g1", *session, "-C", "1", "-W", "10").strip() == "for g1"


def test_refusals_are_counted_by_device_and_reason(broker: PrivateMosquitto) -> None:
    tail, parser = LogTail(broker.broker.log_file), RefusalParser()
    client(broker, "mosquitto_pub", "g1", "-t", "cb/v1/demo/g2/up/telemetry", "-m", "{}")
    client(broker, "mosquitto_pub", "g2", "-t", "cb/v1/demo/g2/up/telemetry", "-s", stdin="x" * 300_000)
    broker.passwords["g1"] = "wrong"
    client(broker, "mosquitto_pub", "g1", "-t", "cb/v1/demo/g1/up/telemetry", "-m", "{}")
    seen: list[tuple[str, str]] = []

    def all_seen() -> bool:
        seen.extend((refusal.reason, refusal.username) for refusal in parser.parse(tail.read()))
        return len(seen) == 3

    until(all_seen, "three refusals")
    assert seen == [("acl_denied", "g1"), ("packet_too_large", "g2"), ("login_refused", "")]


def test_more_than_mosquittos_default_of_a_thousand_messages_is_kept(broker: PrivateMosquitto) -> None:
    subscribe_and_leave(broker)
    publish(broker, 3000)
    assert drain(broker, 3000) == list(range(3000))


def test_a_session_saved_now_survives_kill_9_with_its_queue(broker: PrivateMosquitto) -> None:
    subscribe_and_leave(broker)
    publish(broker, 500)
    store = broker.broker.data_dir / "store" / "mosquitto.db"
    broker.save_now()
    until(store.exists, "the store is written")
    until(lambda: b'{"seq": 499}' in store.read_bytes(), "the last message stands in the store")
    broker.kill()
    broker.start()
    assert drain(broker, 500) == list(range(500))


def test_a_new_device_gets_in_within_a_second(broker: PrivateMosquitto) -> None:
    subscribe_and_leave(broker)
    broker.add_accounts({"g3": "three"})
    until(
        lambda: client(broker, "mosquitto_pub", "g3", "-t", "cb/v1/demo/g3/up/telemetry", "-m", '{"seq":3}') == "",
        "the new device is let in",
    )
    assert 3 in drain(broker, 1)


def test_mosquitto_is_unpacked_from_debians_packages_without_being_installed(tmp_path: Path) -> None:
    broker = MosquittoBroker(tmp_path, port=free_port(), tenant="demo")
    program = broker.locate(search_installed=False, last_resort=False)
    assert program.kind is BrokerKind.UNPACKED
    assert program.executable.is_relative_to(tmp_path)
    assert program.keeps_promises
    broker.prepare([("g1", hash_password("one", salt=b"0123456789ab"))])
    child = subprocess.Popen(broker.argv(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    try:
        broker.wait_ready(TIMEOUT_S)
        topic = "cb/v1/demo/g1/up/telemetry"
        login = ["-p", str(broker.port), "-u", "g1", "-P", "one"]
        subprocess.run(["mosquitto_pub", *login, "-q", "1", "-t", topic, "-m", "x"], check=True, timeout=TIMEOUT_S)
    finally:
        child.terminate()
        assert child.wait(TIMEOUT_S) == 0
    again = MosquittoBroker(tmp_path, port=broker.port, tenant="demo")
    assert again.locate(search_installed=False, download=False, last_resort=False).kind is BrokerKind.UNPACKED


def test_reload_is_sent_at_most_once_a_second(broker: PrivateMosquitto) -> None:
    assert broker.broker.reload(broker.pid)
    assert not broker.broker.reload(broker.pid)


def test_our_hash_is_mosquittos_own(tmp_path: Path) -> None:
    """The tool `mosquitto_passwd` checks nothing, so the broker is asked: above; here the form is compared."""
    tool = shutil.which("mosquitto_passwd")
    assert tool is not None
    target = tmp_path / "passwords"
    subprocess.run([tool, "-b", "-c", str(target), "g1", "one"], check=True, capture_output=True, timeout=TIMEOUT_S)
    theirs = target.read_text().strip().removeprefix("g1:").split("$")
    ours = hash_password("one", salt=b"0123456789ab").split("$")
    assert theirs[1:3] == ours[1:3]
    assert [len(part) for part in theirs[3:]] == [len(part) for part in ours[3:]]
