"""Tickets: what a browser holds to look through a camera. Signed, for one user, one camera, one purpose, until a time.

A ticket alone opens nothing: it is shown together with the login of the same user, whose rights are asked again.
"""

from __future__ import annotations

import hashlib

import msgspec
from itsdangerous import BadSignature, URLSafeSerializer

from command_center.video.model import Purpose


class Ticket(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Times of the login's side are machine time, those of the recording city time."""

    number: str
    username: str
    device_id: str
    purpose: Purpose
    begun_us: int
    until_us: int
    from_us: int | None = None
    to_us: int | None = None


class Tickets:
    def __init__(self, key: bytes, *, tenant: str) -> None:
        self._serializer = URLSafeSerializer(
            key, salt=f"citybrain-video:{tenant}", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def sign(self, ticket: Ticket) -> str:
        text = self._serializer.dumps(msgspec.to_builtins(ticket))
        return text.decode() if isinstance(text, bytes) else text

    def read(self, text: str) -> Ticket | None:
        """None for one that is forged, changed or of another tenant. Whether it still holds, the caller asks."""
        try:
            return msgspec.convert(self._serializer.loads(text), Ticket)
        except (BadSignature, msgspec.ValidationError):
            return None
