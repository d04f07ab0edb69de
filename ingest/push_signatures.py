"""Who pushes: the signatures of platforms, one row each in `SCHEMES`. Pure: a request, the source's secret and the time in, a verdict out.

| scheme | what is compared | covers the body | source |
|---|---|---|---|
| `onenet` | `msg_signature` (or `signature`) of the body = base64(md5(token + nonce + msg)); of the GET that checks an address likewise | `msg`, not time | open.iot.10086.cn, HTTP push, developer's guide; OneNET's Java receiver |
| `huawei` | header `signature` = hex(sha256(token, timestamp and nonce, sorted and joined)) | no | support.huaweicloud.com, IoTDA, token of an HTTP action |
| `hmac` | header `X-Signature` = hex(hmac-sha256(secret, X-Timestamp + "." + body)) | yes | ours, for adapters and small programs |
| `token` | query `token`, or `Authorization: Bearer` | no | ours: a word in the address that a platform was given |
| `none` | nothing: the addresses that a source may come from are all there is | no | |

Not verified: how IoTDA writes its timestamp (seconds and milliseconds are both taken) and whether its hex is lower case (case is not
looked at); whether OneNET signs an object exactly as it stands in the body, which is what is compared; whether CTWing signs at all.

A signature that does not cover the body would sign any body once somebody has seen it: so it is good for one body alone (`SeenOnce`), within
its time. What has a time is good for WINDOW_S around ours. OneNET's has none: an old push that is sent again is known as a repetition
only while it is remembered (ingest/dedupe.py), hence TLS and an allow-list beside it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

WINDOW_S = 300  # a sender's clock may be so far from ours, in city time
NONCE_MAX = 64
GREETING_MAX = 256  # characters of what an address check wants to hear back
SEEN_MAX = 100_000  # signatures that are remembered; beyond that the oldest are forgotten
_MILLISECONDS_FROM = 10**11  # as seconds that is the year 5138


class BadSignature(Exception):
    """A request that does not show that it is its source's; the text says what was expected, and nothing of the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of a request is looked at; names of headers in lower case."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A request that is its source's. `stamp`: the time and number that the sender gave the request itself, "" where it gave none;
    `alone`: the signature, where it says nothing of the body."""

    stamp: str = ""
    alone: str = ""


class _Envelope(msgspec.Struct):
    """OneNET's, as far as the signature goes; of a name that stands twice the last counts, as for the reader."""

    msg: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    enc_msg: str = ""
    nonce: str = ""
    msg_signature: str = ""
    signature: str = ""


_envelope = msgspec.json.Decoder(_Envelope)


def _onenet(asked: Asked, secret: str, now_us: int) -> Signed:
    try:
        envelope = _envelope.decode(asked.body)
        message = envelope.enc_msg.encode() if envelope.msg is msgspec.UNSET else _text_of(envelope.msg)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadSignature("expected a JSON object with msg, nonce and msg_signature") from error
    _compare_onenet(secret, envelope.nonce, message, envelope.msg_signature or envelope.signature)
    return Signed()


def _text_of(raw: msgspec.Raw) -> bytes:
    """An object as it stands there; the content of a text."""
    standing = bytes(raw)
    return msgspec.json.decode(standing, type=str).encode() if standing.startswith(b'"') else standing


def _compare_onenet(secret: str, nonce: str, message: bytes, given: str) -> None:
    if not 0 < len(nonce) <= NONCE_MAX or not given:
        raise BadSignature(f"expected a nonce of 1 to {NONCE_MAX} characters and a signature beside msg")
    digest = hashlib.md5(
        secret.encode() + _bytes(nonce) + message, usedforsecurity=False
    ).digest()  # the platform's choice
    # Some of its senders leave the base64 unescaped in the address, where a plus is a blank.
    if not _same(given.replace(" ", "+"), base64.b64encode(digest).decode()):
        raise BadSignature(
            "signature does not match: expected base64(md5(token + nonce + msg)) with this source's token"
        )


def greeting(asked: Asked, secret: str) -> str:
    """What OneNET wants to hear back when it checks the address (GET). Raises BadSignature."""
    message = asked.query.get("msg", "")
    if not 0 < len(message) <= GREETING_MAX:
        raise BadSignature(f"expected a query with msg of 1 to {GREETING_MAX} characters, nonce and signature")
    _compare_onenet(secret, asked.query.get("nonce", ""), _bytes(message), asked.query.get("signature", ""))
    return message


def _huawei(asked: Asked, secret: str, now_us: int) -> Signed:
    timestamp, nonce, given = (asked.headers.get(name, "") for name in ("timestamp", "nonce", "signature"))
    if not 0 < len(nonce) <= NONCE_MAX or not given:
        raise BadSignature("expected headers timestamp, nonce and signature")
    _within_window(timestamp, "timestamp", now_us)
    expected = hashlib.sha256(_bytes("".join(sorted((secret, timestamp, nonce))))).hexdigest()
    if not _same(given.lower(), expected):
        raise BadSignature("signature does not match: expected sha256 of token, timestamp and nonce, sorted and joined")
    # The joined text does not show where one part ends: what may be used once is the signature and not the nonce.
    return Signed(stamp=f"{timestamp}/{nonce}", alone=expected)


def _hmac(asked: Asked, secret: str, now_us: int) -> Signed:
    timestamp, given = asked.headers.get("x-timestamp", ""), asked.headers.get("x-signature", "")
    if not given:
        raise BadSignature("expected headers X-Timestamp and X-Signature")
    _within_window(timestamp, "X-Timestamp", now_us)
    expected = hmac.new(secret.encode(), f"{timestamp}.".encode() + asked.body, hashlib.sha256).hexdigest()
    if not _same(given.lower().removeprefix("sha256="), expected):
        raise BadSignature("signature does not match: expected hmac-sha256 of X-Timestamp, a point and the body")
    return Signed(stamp=timestamp)


def _token(asked: Asked, secret: str, now_us: int) -> Signed:
    scheme, _, bearer = asked.headers.get("authorization", "").partition(" ")
    given = bearer if scheme.lower() == "bearer" else asked.query.get("token", "")
    if not _same(given, secret):
        raise BadSignature("expected this source's token in the query (token=) or as Authorization: Bearer")
    return Signed()


def _none(asked: Asked, secret: str, now_us: int) -> Signed:
    return Signed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One way of saying who pushes. `check` raises BadSignature."""

    check: Callable[[Asked, str, int], Signed]
    needs_secret: bool = True


SCHEMES: Mapping[str, Scheme] = {
    "onenet": Scheme(check=_onenet),
    "huawei": Scheme(check=_huawei),
    "hmac": Scheme(check=_hmac),
    "token": Scheme(check=_token),
    "none": Scheme(check=_none, needs_secret=False),
}


class SeenOnce:
    """Signatures that say nothing of the body, each with the body that it came with first."""

    def __init__(self, size: int = SEEN_MAX) -> None:
        self._size = size
        self._bodies: OrderedDict[str, bytes] = OrderedDict()

    def check(self, source: str, signed: Signed, body: bytes) -> None:
        """Raises BadSignature for a signature that came with another body: the same one is a platform that tries again."""
        if not signed.alone:
            return
        digest = hashlib.sha256(body).digest()
        if self._bodies.setdefault(f"{source}/{signed.alone}", digest) != digest:
            raise BadSignature(
                "this timestamp and nonce came with another body before: expected new ones for each message"
            )
        while len(self._bodies) > self._size:
            self._bodies.popitem(last=False)


def _within_window(timestamp: str, name: str, now_us: int) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16):
        raise BadSignature(f"{name}: expected seconds or milliseconds since 1970 in digits")
    number = int(timestamp)
    at_us = number * 1_000 if number >= _MILLISECONDS_FROM else number * 1_000_000
    if abs(now_us - at_us) > WINDOW_S * 1_000_000:
        raise BadSignature(f"{name}: expected a time within {WINDOW_S} s of {now_us // 1_000_000}")


def _same(given: str, expected: str) -> bool:
    """Takes as long whatever is given."""
    return hmac.compare_digest(_bytes(given), expected.encode())


def _bytes(text: str) -> bytes:
    """Whatever stands in an address or a header: halves of a pair, too."""
    return text.encode("utf-8", "surrogatepass")
