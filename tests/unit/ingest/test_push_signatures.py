"""The signatures of platforms that push: vectors made by other means, what is refused, and anything at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US
from ingest.push_signatures import SCHEMES, WINDOW_S, Asked, BadSignature, SeenOnce, Signed, greeting

NOW_S = LEKIMA_US // 1_000_000
TOKEN = "abcd1234efgh"
# printf %s 'abcd1234efghabcdefgh{"type":1,"dev_id":2016617,"ds_id":"t","at":1466133706841,"value":42}' | openssl md5 -binary | base64
MSG = '{"type":1,"dev_id":2016617,"ds_id":"t","at":1466133706841,"value":42}'
MSG_SIGNATURE = "reNKd+kIVHLvP4wg8tSmqA=="
# printf %s '1565359200abcd1234efghnonce-1' | sha256sum   (sorted: digits before letters)
HUAWEI_SIGNATURE = "949f361bec8f5b94af6f98a4fc82f0a5505a6ffabc4c5c241d0665eceec7e345"
# printf %s '1565359200.{"g1":[]}' | openssl dgst -sha256 -hmac abcd1234efgh
HMAC_SIGNATURE = "209e1d1b81bf3588477f820ec68a1e35110f4a3402b9823d35dcd89d02b0dc99"
VECTOR_S = 1565359200


def asked(body: bytes = b"", headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> Asked:
    return Asked(query=query or {}, headers=headers or {}, body=body)


def check(scheme: str, request: Asked, *, secret: str = TOKEN, now_s: int = VECTOR_S) -> Signed:
    return SCHEMES[scheme].check(request, secret, now_s * 1_000_000)


def envelope(msg: str, **fields: str) -> bytes:
    rest = json.dumps({"msg_signature": MSG_SIGNATURE, "nonce": "abcdefgh"} | fields)[1:-1]
    return f'{{"msg":{msg},{rest}}}'.encode()


def huawei(**changes: str) -> dict[str, str]:
    return {"timestamp": str(VECTOR_S), "nonce": "nonce-1", "signature": HUAWEI_SIGNATURE} | changes


def stamped(**changes: str) -> dict[str, str]:
    return {"x-timestamp": str(VECTOR_S), "x-signature": HMAC_SIGNATURE} | changes


BODY = b'{"g1":[]}'


@pytest.mark.parametrize(
    "body",
    [
        envelope(MSG),
        envelope(json.dumps(MSG)),
        envelope(MSG, msg_signature="", signature=MSG_SIGNATURE),
        envelope(MSG, msg_signature=MSG_SIGNATURE.replace("+", " ")),
    ],
    ids=["object", "text", "the newer name", "a plus that became a blank"],
)
def test_onenet_signs_what_stands_in_msg(body: bytes) -> None:
    assert check("onenet", asked(body)) == Signed()


def test_onenet_signs_an_encrypted_message_too() -> None:
    text = "b3BhcXVl"
    digest = base64.b64encode(hashlib.md5(f"{TOKEN}abcdefgh{text}".encode()).digest()).decode()
    body = json.dumps({"enc_msg": text, "nonce": "abcdefgh", "msg_signature": digest}).encode()
    assert check("onenet", asked(body)) == Signed()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "expected a JSON object with msg"),
        (b"[]", "expected a JSON object with msg"),
        (b'{"msg": "\\ud800", "nonce": "a", "msg_signature": "b"}', ""),
        (envelope(MSG, nonce=""), "expected a nonce"),
        (envelope(MSG, nonce="n" * 65), "expected a nonce"),
        (envelope(MSG, msg_signature=""), "expected a nonce of 1 to 64 characters and a signature"),
        (envelope(MSG, nonce="abcdefgi"), "does not match"),
        (envelope(MSG.replace("42", "43")), "does not match"),
        (envelope(MSG).replace(b'{"msg"', b'{"msg":{},"msg"', 1)[:-1] + b',"msg":{"type":1}}', "does not match"),
    ],
)
def test_what_onenet_did_not_sign_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BadSignature) as caught:
        check("onenet", asked(body))
    assert said in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_another_token_is_another_source() -> None:
    with pytest.raises(BadSignature, match="does not match"):
        check("onenet", asked(envelope(MSG)), secret="abcd1234efgi")


def test_an_address_check_of_onenet_is_answered_with_its_own_word() -> None:
    digest = base64.b64encode(hashlib.md5(f"{TOKEN}abcdefghhello".encode()).digest()).decode()
    query = {"msg": "hello", "nonce": "abcdefgh", "signature": digest}
    assert greeting(asked(query=query), TOKEN) == "hello"
    for wrong in ({"msg": "hallo"}, {"msg": ""}, {"msg": "x" * 300}, {"nonce": ""}, {"signature": ""}):
        with pytest.raises(BadSignature):
            greeting(asked(query=query | wrong), TOKEN)


def test_huawei_signs_token_timestamp_and_nonce() -> None:
    signed = check("huawei", asked(BODY, huawei()))
    assert signed == Signed(stamp=f"{VECTOR_S}/nonce-1", alone=HUAWEI_SIGNATURE)
    assert check("huawei", asked(BODY, huawei(signature=HUAWEI_SIGNATURE.upper()))).alone == HUAWEI_SIGNATURE


@pytest.mark.parametrize("name", ["timestamp", "nonce", "signature"])
@pytest.mark.parametrize("value", ["", "x", "1565359201", "-1", "²", "9" * 20])
def test_a_changed_header_of_huawei_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadSignature):
        check("huawei", asked(BODY, huawei(**{name: value})))


def test_a_signature_that_says_nothing_of_the_body_is_good_for_one_body() -> None:
    seen, signed = SeenOnce(), check("huawei", asked(BODY, huawei()))
    seen.check("iotda", signed, BODY)
    seen.check("iotda", signed, BODY)  # the platform tries again
    seen.check("other", signed, b"forged")  # a source of its own
    with pytest.raises(BadSignature, match="another body"):
        seen.check("iotda", signed, b"forged")


def test_signatures_that_were_seen_are_bounded() -> None:
    seen = SeenOnce(size=2)
    for number in range(4):
        seen.check("iotda", Signed(alone=str(number)), BODY)
    seen.check("iotda", Signed(alone="0"), b"other")  # forgotten
    with pytest.raises(BadSignature):
        seen.check("iotda", Signed(alone="3"), b"other")


def test_an_hmac_covers_time_and_body() -> None:
    assert check("hmac", asked(BODY, stamped())) == Signed(stamp=str(VECTOR_S))
    assert check("hmac", asked(BODY, stamped(**{"x-signature": f"sha256={HMAC_SIGNATURE}"}))).stamp == str(VECTOR_S)
    for body, headers in ((BODY + b" ", stamped()), (BODY, stamped(**{"x-timestamp": "1565359201"})), (BODY, {})):
        with pytest.raises(BadSignature):
            check("hmac", asked(body, headers))


@pytest.mark.parametrize("scheme", ["huawei", "hmac"])
@pytest.mark.parametrize("off_s", [-WINDOW_S - 1, WINDOW_S + 1])
def test_outside_the_window_a_right_signature_is_no_good(scheme: str, off_s: int) -> None:
    request = asked(BODY, huawei() | stamped())
    check(scheme, request, now_s=VECTOR_S + WINDOW_S)
    check(scheme, request, now_s=VECTOR_S - WINDOW_S)
    with pytest.raises(BadSignature, match="expected a time within 300 s"):
        check(scheme, request, now_s=VECTOR_S + off_s)


def test_a_time_in_milliseconds_is_one_too() -> None:
    stamp = f"{NOW_S}123"
    digest = hmac.new(TOKEN.encode(), f"{stamp}.".encode() + BODY, "sha256").hexdigest()
    assert check("hmac", asked(BODY, {"x-timestamp": stamp, "x-signature": digest}), now_s=NOW_S).stamp == stamp


def test_a_token_in_the_address_or_in_a_header() -> None:
    assert check("token", asked(query={"token": TOKEN})) == Signed()
    assert check("token", asked(headers={"authorization": f"Bearer {TOKEN}"})) == Signed()
    for wrong in (asked(), asked(query={"token": TOKEN + "x"}), asked(headers={"authorization": f"Basic {TOKEN}"})):
        with pytest.raises(BadSignature):
            check("token", wrong)


TEXTS = st.text(max_size=40) | st.sampled_from([TOKEN, "nonce-1", str(VECTOR_S), MSG_SIGNATURE, HUAWEI_SIGNATURE])
NAMES = ["timestamp", "nonce", "signature", "x-timestamp", "x-signature", "authorization", "token", "msg"]
FIELDS = st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=6)
BODIES = st.binary(max_size=80) | st.dictionaries(
    st.sampled_from(["msg", "enc_msg", "nonce", "msg_signature", "signature"]),
    TEXTS | st.integers() | st.none() | st.lists(st.integers(), max_size=2),
).map(lambda document: json.dumps(document).encode())


@given(scheme=st.sampled_from(["onenet", "huawei", "hmac", "token"]), body=BODIES, headers=FIELDS, query=FIELDS)
def test_nothing_is_believed_without_the_secret_and_nothing_else_is_raised(
    scheme: str, body: bytes, headers: dict[str, str], query: dict[str, str]
) -> None:
    """The secret is none that the strategies know."""
    with pytest.raises(BadSignature):
        check(scheme, asked(body, headers, query), secret="a secret that nobody has been told")
    with pytest.raises(BadSignature):
        greeting(asked(query=query), "a secret that nobody has been told")


@given(secret=st.text(min_size=1, max_size=30), nonce=st.text(min_size=1, max_size=20), body=st.binary(max_size=60))
def test_whoever_signs_with_the_secret_is_believed(secret: str, nonce: str, body: bytes) -> None:
    msg: Any = json.dumps({"v": nonce})
    digest = base64.b64encode(hashlib.md5((secret + nonce + msg).encode()).digest()).decode()
    pushed = f'{{"msg": {msg}, "nonce": {json.dumps(nonce)}, "msg_signature": "{digest}"}}'.encode()
    assert check("onenet", asked(pushed), secret=secret) == Signed()
    stamp = str(VECTOR_S)
    joined = hashlib.sha256("".join(sorted((secret, stamp, nonce))).encode()).hexdigest()
    headers = {"timestamp": stamp, "nonce": nonce, "signature": joined}
    assert check("huawei", asked(body, headers), secret=secret).alone == joined
    signed = hmac.new(secret.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
    assert check("hmac", asked(body, {"x-timestamp": stamp, "x-signature": signed}), secret=secret).stamp == stamp
