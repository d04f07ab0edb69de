"""Personal data: encrypted where it is stored, masked where the reader's role does not need it.

A sealed text is `p1:{key id}:{base64 of nonce, ciphertext, tag}`: AES-256-GCM, a new nonce each time, the place of use as
associated data, so that a value copied into another row does not open. Keys rotate: the newest seals, all open.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from command_center.errors import CommandError

VERSION = "p1"
NONCE_BYTES = 12
KEY_BYTES = 32


class Unsealable(CommandError):
    """A sealed text that none of our keys opens, or that was sealed for another place."""


class Sealer:
    """`keys`: 32 bytes each by key id; the one named `current` seals. Raises ValueError for a key of another length."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        wrong = [name for name, key in keys.items() if len(key) != KEY_BYTES]
        if wrong or current not in keys:
            raise ValueError(
                f"keys {', '.join(wrong) or 'without ' + current}: expected {KEY_BYTES} bytes and a current one"
            )
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self._current = current

    def seal(self, text: str, place: str) -> str:
        """`place` names where it will stand (`contact/K-17/phone`). An empty text stays empty: there is nothing to hide."""
        if not text:
            return ""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._current].encrypt(nonce, text.encode(), place.encode())
        return f"{VERSION}:{self._current}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def unseal(self, sealed: str, place: str) -> str:
        """The text. Raises Unsealable."""
        if not sealed:
            return ""
        version, _, rest = sealed.partition(":")
        name, _, body = rest.partition(":")
        if version != VERSION or name not in self._keys:
            raise Unsealable(f"{place}: sealed with an unknown key {name!r}")
        raw = base64.urlsafe_b64decode(body)
        try:
            return self._keys[name].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode()).decode()
        except InvalidTag as error:
            raise Unsealable(f"{place}: the sealed value does not belong here or was changed") from error

    def is_current(self, sealed: str) -> bool:
        """False for what a rotation should seal again."""
        return not sealed or sealed.startswith(f"{VERSION}:{self._current}:")


def is_sealed(text: str) -> bool:
    """Whether a text is what `Sealer.seal` makes; no telephone number is (`check_user` refuses a colon in one)."""
    return text.startswith(f"{VERSION}:")


def mask_phone(phone: str) -> str:
    """What a screen shows to who may not call: the first three and last four digits of a mobile number, else the last two.

    >>> mask_phone("13805761234"), mask_phone("0576-88881234"), mask_phone("")
    ('138****1234', '****34', '')
    """
    digits = "".join(c for c in phone if c.isdigit())
    if not digits:
        return ""
    return f"{digits[:3]}****{digits[-4:]}" if len(digits) == 11 and digits[0] == "1" else f"****{digits[-2:]}"


def mask_name(name: str) -> str:
    """A person's family name and stars.

    >>> mask_name("王建国"), mask_name("")
    ('王**', '')
    """
    return name[:1] + "*" * (len(name) - 1)
