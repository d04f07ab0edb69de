"""The door through which platforms push over HTTP: its sources with their secrets, and the server.

Secrets stand in `secrets/push.json` (0600), made by `citybrain push secret NAME`, and count from the next start of role `ingest`. A document
or an address that cannot be used keeps this door shut, and nothing else: the role owns the log, and the other inputs go on.
"""

from __future__ import annotations

import asyncio
import json
import secrets as random_secrets
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from ingest import metrics
from ingest.doors import PushAddress
from ingest.push_sources import PushSource, SourcesWrong, parse_sources
from runtime.secrets import read_json, write_json
from runtime.serving import server
from runtime.settings import Settings

FILE = "push.json"
SECRET_BYTES = 16  # 32 characters: the longest that IoTDA takes as a token
LISTEN_AGAIN_S = 5.0
CONNECTIONS_MAX = 500  # a platform keeps a few open; each may hold a body of 256 KiB

log = structlog.get_logger()


def read_sources(settings: Settings) -> tuple[PushSource, ...]:
    """The sources of the document that the settings name; () where they name none. Raises SourcesWrong."""
    if not settings.push_sources:
        return ()
    path = Path(settings.push_sources)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourcesWrong(str(path), [f"cannot be read: {error}"]) from error
    return parse_sources(text, known_secrets(settings), file=path.name)


def known_secrets(settings: Settings) -> Mapping[str, str]:
    """By source. Raises SourcesWrong."""
    path = settings.secrets_dir / FILE
    try:
        found = read_json(path)
    except (OSError, json.JSONDecodeError) as error:
        raise SourcesWrong(str(path), [f"cannot be read: {type(error).__name__}"]) from error
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(secret, str) for secret in found.values()):
        raise SourcesWrong(str(path), ["expected an object of secrets by source"])
    return found


def set_secret(settings: Settings, name: str, secret: str = "") -> str:
    """The secret of a source from the next start on; a new one where none is given. Raises SourcesWrong."""
    made = secret or random_secrets.token_hex(SECRET_BYTES)
    write_json(settings.secrets_dir / FILE, {**known_secrets(settings), name: made})
    return made


def open_sources(settings: Settings) -> tuple[PushSource, ...]:
    """Who may push; () where nobody may, or where the document is wrong, which the log and the metrics say."""
    if not settings.push_listen:
        return ()
    try:
        sources = read_sources(settings)
    except SourcesWrong as error:
        metrics.PUSHED.labels("", "document_wrong").inc()
        log.error("push_door_stays_shut", why=str(error))  # noqa: TRY400 - the reason says it all
        return ()
    for source in sources:
        if not source.open:
            log.warning("push_source_without_secret", source=source.name, do=f"citybrain push secret {source.name}")
    return sources


async def serve(app: Any, address: PushAddress, data_dir: Path) -> None:
    """Until cancelled. An address that cannot be listened at is tried again and again: it must not stop the other inputs."""
    tls = data_dir / "tls"
    cert, key = (tls / "server.pem", tls / "server.key") if address.tls else (None, None)
    listening = await _listen(address, cert, key)
    log.info("pushes_listen", host=address.host, port=address.port, tls=address.tls)
    with listening:
        door = server(app, host=address.host, port=address.port, cert=cert, key=key, limit=CONNECTIONS_MAX)
        await door.serve(sockets=[listening])


async def _listen(address: PushAddress, cert: Path | None, key: Path | None) -> socket.socket:
    while True:
        try:
            if cert is not None:
                ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                    cert, key
                )  # an OSError where it cannot
            return _bound(address)
        except OSError as error:
            metrics.PUSHED.labels("", "cannot_listen").inc()
            log.warning("pushes_cannot_listen", where=f"{address.host}:{address.port}", why=str(error))
            await asyncio.sleep(LISTEN_AGAIN_S)


def _bound(address: PushAddress) -> socket.socket:
    """Ours, since uvicorn ends the process where an address is taken."""
    family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
