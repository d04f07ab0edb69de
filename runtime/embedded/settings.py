"""The server settings on which the no-loss claim rests: one table, used by the embedded servers, the dev stack and compose.

`deploy/postgresql.conf` and `deploy/mosquitto.conf` are written from here (`python -m runtime.embedded.settings`), and a test
compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

# Same on every tier and in compose. What is left out keeps PostgreSQL's default, above all fsync and synchronous_commit.
POSTGRES: Mapping[str, str] = {
    "max_connections": "100",
    "max_locks_per_transaction": "512",  # a query over all chunks takes a lock for each chunk and each index
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",  # a checkpoint every few minutes under load, not every few seconds
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "jit": "off",  # our queries are short; compiling one costs more than running it
}

TIMESCALE: Mapping[str, str] = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    # Rollups and retention are our own jobs in city time; no policy exists for a worker to run, and a connected scheduler
    # makes CREATE DATABASE .. TEMPLATE fail.
    "timescaledb.max_background_workers": "0",
}

# One client's backlog may grow to this many bytes before the broker drops; the supervisor alarms at half of it.
MAX_QUEUED_BYTES = 512 * 1024 * 1024
MAX_PACKET_BYTES = 256 * 1024

MOSQUITTO: Mapping[str, str] = {
    "per_listener_settings": "false",
    "allow_anonymous": "false",
    "persistence": "true",
    "autosave_interval": "30",
    # No bound by number: the default of 1,000 lost 19,000 of 20,000 while nobody listened. Not 0, which means the same but on 2.0.11
    # cuts every client off that publishes to a topic it may not use.
    "max_queued_messages": "2000000000",
    "max_queued_bytes": str(MAX_QUEUED_BYTES),
    "max_inflight_messages": "16384",  # several batches that ingest fsyncs before it acknowledges
    "max_packet_size": str(MAX_PACKET_BYTES),
    "set_tcp_nodelay": "true",
    "sys_interval": "5",
    "connection_messages": "true",
    "log_timestamp": "true",
    "log_timestamp_format": "%Y-%m-%dT%H:%M:%S",
}
LOG_TYPES = ("error", "warning", "notice", "information")
# Without the plugin (`tell_refusals.c`) Mosquitto tells of a foreign topic only at this level, together with lines for every message:
# in `make bench NAME=ingest` the broker takes 13.2 us of CPU a message with it and 8.1 without, and writes 0.5 KB of log.
REFUSALS_LOG_TYPE = "debug"


def postgres_conf(*, timescale: bool) -> str:
    """Lines for a `postgresql.conf`; everything is quoted, which PostgreSQL takes for any type."""
    table = {**POSTGRES, **(TIMESCALE if timescale else {})}
    return "".join(f"{name} = '{value}'\n" for name, value in table.items())


def mosquitto_conf(
    extra: Mapping[str, str],
    *,
    tell_refusals: bool = True,
    plugin: Path | None = None,
    tenant: str = "",
    rewrite: Path | None = None,
) -> str:
    """A `mosquitto.conf`: the table above, then what differs from place to place (listener, files).

    `plugin`: `tell_refusals.c` compiled; the debug log is not needed then. It has to know the `tenant`. `rewrite`: the rules by
    which it rewrites the topics of other platforms' devices.
    """
    kinds = (*LOG_TYPES, REFUSALS_LOG_TYPE) if tell_refusals and plugin is None else LOG_TYPES
    extra = {**extra, **({"plugin": str(plugin), "plugin_opt_tenant": tenant} if plugin else {})}
    extra = {**extra, **({"plugin_opt_rewrite": str(rewrite)} if plugin and rewrite else {})}
    lines = [f"{name} {value}\n" for name, value in {**MOSQUITTO, **extra}.items()]
    return "".join(lines + [f"log_type {kind}\n" for kind in kinds])


class TlsFile(StrEnum):
    """What the listener for certificates reads, by the file's name."""

    DEVICES = "devices-ca.pem"
    REVOKED = "devices-revoked.pem"
    CERTIFICATE = "server.pem"
    KEY = "server.key"


def tls_listener(listener: str, folder: str) -> str:
    """A second listener, for devices with a certificate: their common name is their username, so the one pattern ACL holds.

    Measured on 2.0.11: SIGHUP reads the revocation list again for new handshakes.
    """
    options = {
        "listener": listener,
        "cafile": f"{folder}/{TlsFile.DEVICES}",
        "certfile": f"{folder}/{TlsFile.CERTIFICATE}",
        "keyfile": f"{folder}/{TlsFile.KEY}",
        "crlfile": f"{folder}/{TlsFile.REVOKED}",
        "require_certificate": "true",
        "use_identity_as_username": "true",
        "tls_version": "tlsv1.2",
    }
    return "".join(f"{name} {value}\n" for name, value in options.items())


COMPOSE_MOSQUITTO: Mapping[str, str] = {
    "listener": "1883",
    "persistence_location": "/mosquitto/data/",
    "password_file": "/mosquitto/credentials/password_file",
    "acl_file": "/mosquitto/credentials/acl_file",
    "log_dest": "file /mosquitto/log/mosquitto.log",
}
GENERATED_NOTE = (
    "# Written by `python -m runtime.embedded.settings`; a test compares. Change runtime/embedded/settings.py.\n"
)


def deploy_files() -> dict[str, str]:
    """Name in `deploy/` -> content."""
    return {
        "postgresql.conf": GENERATED_NOTE + "listen_addresses = '*'\n" + postgres_conf(timescale=True),
        "mosquitto.conf": GENERATED_NOTE
        + mosquitto_conf(COMPOSE_MOSQUITTO)
        + tls_listener("8883", "/mosquitto/credentials"),
    }


def main() -> None:
    """Write the files of `deploy/`."""
    folder = Path(__file__).resolve().parents[2] / "deploy"
    for name, content in deploy_files().items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
