"""The ways out of a real tenant that exist so far: a POST to a URL of the allow-list, and a file for another program.

SMS and 浙政钉 adapters will stand beside them. Each is a `RealSink`, which cannot be made without the proof of a real tenant.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec

from command_center.outbox import Message, NotSent, RealSink, Recipient
from command_center.reality import RealTenant
from runtime.settings import Settings, WrongSetting

TIMEOUT_S = 10.0
SIGNATURE = "X-CityBrain-Signature"


def letter(tenant: str, message: Message, to: Recipient) -> bytes:
    """What goes out, as JSON: never more than the other side needs to reach the person."""
    return msgspec.json.encode(
        {
            "id": message.message_id,
            "tenant": tenant,
            "kind": message.kind,
            "text": message.text,
            "to": msgspec.to_builtins(to),
            "at_us": message.at_us,
        }
    )


class Webhook(RealSink):
    """POST with `X-CityBrain-Signature: sha256=HMAC(key, body)`; tries the URLs of the list in order. Redirects are not followed."""

    def __init__(self, proof: RealTenant, urls: list[str], key: str, *, verify: ssl.SSLContext | bool = True) -> None:
        super().__init__(proof)
        wrong = [url for url in urls if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname]
        if wrong or not urls:
            raise WrongSetting(f"outbox_webhooks: {', '.join(wrong) or 'none given'}: expected http(s) URLs")
        self.name = f"webhook:{urlsplit(urls[0]).hostname}"
        self._urls, self._key, self._verify = urls, key.encode(), verify

    async def send(self, message: Message, to: Recipient) -> None:
        body = letter(self._tenant, message, to)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.message_id,
            SIGNATURE: "sha256=" + hmac.new(self._key, body, hashlib.sha256).hexdigest(),
        }
        last = ""
        async with httpx.AsyncClient(timeout=TIMEOUT_S, verify=self._verify, follow_redirects=False) as client:
            for url in self._urls:
                try:
                    answer = await client.post(url, content=body, headers=headers)
                except httpx.HTTPError as error:
                    last = f"{urlsplit(url).hostname}: {type(error).__name__}"
                    continue
                if answer.is_success:
                    return
                last = f"{urlsplit(url).hostname}: HTTP {answer.status_code}"
        raise NotSent(last)


class FileOut(RealSink):
    """One JSON file per message in a directory that another program empties; a message that is sent again replaces itself."""

    def __init__(self, proof: RealTenant, directory: Path) -> None:
        super().__init__(proof)
        self.name = f"file:{directory}"
        self._directory = directory

    async def send(self, message: Message, to: Recipient) -> None:
        await asyncio.to_thread(self._write, message.message_id, letter(self._tenant, message, to))

    def _write(self, message_id: str, body: bytes) -> None:
        path = self._directory / f"{message_id}.json"
        temporary = path.with_suffix(".tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise NotSent(f"{self._directory}: {error}") from error


def build(settings: Settings, key: str, proof: RealTenant) -> RealSink | None:
    """What the settings name; None: nothing is set up, messages wait. Raises WrongSetting."""
    urls = settings.outbox_webhooks.replace(",", " ").split()
    if urls:
        return Webhook(proof, urls, key)
    if settings.outbox_file:
        directory = Path(settings.outbox_file)
        if not directory.is_absolute():
            raise WrongSetting(f"outbox_file={settings.outbox_file!r}: expected an absolute path")
        return FileOut(proof, directory)
    return None
