"""Where anchors go: a directory on another machine's share, a syslog server, an upstream platform; each behind a queue on disk.

A sink takes one line or raises `NotTaken`. Network sinks ask for the proof of a real tenant: anchors of a demonstration would
only confuse whoever keeps the real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from command_center.anchors import Anchor
from command_center.reality import RealTenant, require_real
from runtime.settings import Settings, WrongSetting

QUEUE_MAX = 1_000  # six weeks of hourly anchors; the newest vouches for all rows before it
SEND_TIMEOUT_S = 10.0
LOCAL0_NOTICE = 16 * 8 + 5  # RFC 5424 priority: facility local0, severity notice
BOM = b"\xef\xbb\xbf"


class NotTaken(Exception):
    """The sink did not take the anchor; it stays in the queue."""


class Sink(Protocol):
    name: str

    async def send(self, anchor: Anchor) -> None:
        """Returns when the other side has it, as far as its protocol can tell. Raises NotTaken."""
        ...


class FileDrop:
    """A directory that is not on this host: a mounted share. It is never made here: a share that is not mounted must not
    become a directory of ours."""

    def __init__(self, directory: Path) -> None:
        self.name = f"file:{directory}"
        self.directory = directory

    async def send(self, anchor: Anchor) -> None:
        await asyncio.to_thread(self._write, anchor)

    def _write(self, anchor: Anchor) -> None:
        path = self.directory / anchor.file_name
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(anchor.line + b"\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise NotTaken(f"{self.directory}: {error}") from error


class Syslog:
    """RFC 5424 over UDP (which tells nothing of its arrival) or TCP with octet counting (RFC 6587)."""

    def __init__(self, proof: RealTenant, transport: str, host: str, port: int) -> None:
        require_real(proof)
        self.name = f"{transport}://{host}:{port}"
        self._transport, self._host, self._port = transport, host, port

    async def send(self, anchor: Anchor) -> None:
        message = syslog_message(anchor, socket.gethostname())
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                if self._transport == "udp":
                    await self._send_udp(message)
                else:
                    await self._send_tcp(message)
        except (OSError, TimeoutError) as error:
            raise NotTaken(f"{self.name}: {error or type(error).__name__}") from error

    async def _send_udp(self, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(self._host, self._port)
        )
        transport.sendto(message)
        await asyncio.sleep(0)  # the datagram leaves before the socket is closed
        transport.close()

    async def _send_tcp(self, message: bytes) -> None:
        _, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(b"%d " % len(message) + message)
        await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def syslog_message(anchor: Anchor, host: str) -> bytes:
    """`<133>1 TIME HOST citybrain PID ANCHOR - BOM json`."""
    time = datetime.fromtimestamp(anchor.machine_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
    header = f"<{LOCAL0_NOTICE}>1 {time} {host or '-'} citybrain {os.getpid()} ANCHOR - "
    return header.encode() + BOM + anchor.line


class Upstream:
    """POST of the JSON line with a bearer token; any 2xx has taken it. Redirects are not followed."""

    def __init__(self, proof: RealTenant, url: str, token: str, *, verify: ssl.SSLContext | bool = True) -> None:
        require_real(proof)
        self.name = url
        self._url, self._token, self._verify = url, token, verify

    async def send(self, anchor: Anchor) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{anchor.seq}-{anchor.machine_us}"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            async with httpx.AsyncClient(timeout=SEND_TIMEOUT_S, verify=self._verify) as client:
                answer = await client.post(self._url, content=anchor.line, headers=headers)
        except httpx.HTTPError as error:
            raise NotTaken(f"{self._url}: {error or type(error).__name__}") from error
        if not answer.is_success:
            raise NotTaken(f"{self._url}: HTTP {answer.status_code}")


def build_sinks(settings: Settings) -> list[Sink]:
    """The sinks that the setting `anchor_sinks` names; in a tenant that is not real only directories. Raises WrongSetting."""
    sinks: list[Sink] = []
    for word in settings.anchor_sinks.replace(",", " ").split():
        kind, _, rest = word.partition(":")
        if kind == "file":
            sinks.append(FileDrop(_outside(Path(rest), settings.data_dir)))
        elif kind in ("udp", "tcp", "http", "https"):
            if settings.real:
                sinks.append(_network(settings.real_tenant(), word, settings.anchor_token))
        else:
            raise WrongSetting(
                f"anchor_sinks: {word!r}: expected file:/directory, udp://host:port, tcp://host:port or https://..."
            )
    return sinks


def _network(proof: RealTenant, word: str, token: str) -> Sink:
    parts = urlsplit(word)
    if not parts.hostname or (parts.scheme in ("udp", "tcp") and not parts.port):
        raise WrongSetting(f"anchor_sinks: {word!r}: expected host and port")
    if parts.scheme in ("udp", "tcp"):
        assert parts.port is not None
        return Syslog(proof, parts.scheme, parts.hostname, parts.port)
    return Upstream(proof, word, token)


def _outside(directory: Path, data_dir: Path) -> Path:
    if not directory.is_absolute():
        raise WrongSetting(f"anchor_sinks: file:{directory}: expected an absolute path")
    if directory.is_relative_to(data_dir):
        raise WrongSetting(f"anchor_sinks: file:{directory} lies inside the data directory, so it is on this host")
    return directory


class DiskQueue:
    """Anchors that a sink has not taken yet, as files; oldest first. At the bound the oldest goes, counted in `dropped`."""

    def __init__(self, directory: Path, *, limit: int = QUEUE_MAX) -> None:
        self._directory, self._limit = directory, limit
        self.dropped = 0
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, anchor: Anchor) -> None:
        path = self._directory / f"{anchor.machine_us:016d}-{anchor.seq:012d}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(anchor.line + b"\n")
        temporary.replace(path)
        for old in self.waiting()[: -self._limit]:
            old.unlink(missing_ok=True)
            self.dropped += 1

    def waiting(self) -> list[Path]:
        return sorted(self._directory.glob("*.json"))
