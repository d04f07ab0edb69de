"""Start the dev stack's servers in the background and print, as JSON, how to reach and to end them.

Called by `scripts/dev-stack start`; the servers outlive this process.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from devices.credentials import SALT_BYTES, SERVICE_TOPICS, hash_password, service_username
from runtime.embedded.mosquitto import MosquittoBroker
from runtime.embedded.postgres import EmbeddedPostgres

READY_TIMEOUT_S = 60.0
TENANT = "dev"


def _launch(argv: list[str], output: Path) -> int:
    with output.open("ab") as stream:
        child = subprocess.Popen(
            argv, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True
        )
    return child.pid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(data_dir: Path, stack: Path, broker_port: int) -> dict[str, object]:
    """Start both; gives pids, conninfo, and the broker's address with a password for each service and for device `dev-1`."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = EmbeddedPostgres(data_dir, dev_stack=stack)
    database.prepare()
    broker = MosquittoBroker(data_dir, port=broker_port or _free_port(), tenant=TENANT)
    passwords = {name: secrets.token_urlsafe(12) for name in [*map(service_username, SERVICE_TOPICS), "dev-1"]}
    broker.prepare(
        (name, hash_password(word, salt=secrets.token_bytes(SALT_BYTES))) for name, word in passwords.items()
    )
    pids = {
        "postgres": _launch(database.argv(end_with_parent=False), data_dir / "postgres.out"),
        "mosquitto": _launch(broker.argv(end_with_parent=False), data_dir / "mosquitto.out"),
    }
    database.wait_ready(READY_TIMEOUT_S)
    database.ensure_database()
    broker.wait_ready(READY_TIMEOUT_S)
    return {
        "pids": pids,
        "database": database.url(),
        "tier": database.locate().label,
        "broker": {"host": broker.host, "port": broker.port, "tenant": TENANT, "accounts": passwords},
    }


def main() -> None:
    """`python -m runtime.embedded.stack DATA STACK PORT`."""
    data_dir, stack, port = sys.argv[1:4]
    sys.stdout.write(json.dumps(start(Path(data_dir), Path(stack), int(port))) + "\n")


if __name__ == "__main__":
    main()
