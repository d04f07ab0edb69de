"""The sources that may push over HTTP, as a document of the city says it; their secrets are not in it.

sources:
  - name: aep                    # POST /push/aep
    form: ctwing                 # what the bodies are: one of FORMS
    device: gw-aep               # registered gateway that it speaks as: for devices bound to it, and for nobody else
    signature: token             # one of SCHEMES; left out: that of the form
    allow: [203.0.113.0/24]      # addresses that it may come from; left out: any, where there is a signature
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import yaml

from devices import dialects, topics
from devices.credentials import DEVICE_ID
from devices.stations import DECODERS, SESSIONS
from devices.topics import Channel
from ingest.doors import Address, Network
from ingest.push_signatures import SCHEMES, Signed

JSON = "json"  # our own JSON of a gateway, as on up/gw/telemetry
SOURCES_MAX = 200
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class SourcesWrong(ValueError):
    """A document that cannot be used; names the file and every wrong field."""

    def __init__(self, file: str, problems: list[str]) -> None:
        super().__init__(f"{file}: " + "; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a platform posts. `marks`: a field by which two messages differ that say the same, so that two equal bodies are one
    message that came twice; b"": there is none, and only a request's own stamp tells. `greets`: it checks an address by GET."""

    codec: str
    signature: str
    marks: bytes = b""
    greets: bool = False


FORMS: Mapping[str, Form] = {
    "onenet": Form(codec="onenet", signature="onenet", marks=b'"nonce"', greets=True),
    "ctwing": Form(
        codec="ctwing", signature="none", marks=b'"timestamp"'
    ),  # no signature of its own that we could verify
    "huawei": Form(codec="huawei-push", signature="huawei", marks=b'"event_time'),
    JSON: Form(codec=JSON, signature="hmac"),
}


class _Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    form: str
    device: str
    signature: str = ""
    codec: str = ""
    allow: list[str] = []


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sources: list[_Source]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSource:
    """One source as the door needs it. `secret` "": it is not set, and where one is needed nothing is taken."""

    name: str
    device: str
    form: Form
    signature: str
    codec: str
    networks: tuple[Network, ...] = ()
    secret: str = ""

    @property
    def open(self) -> bool:
        return bool(self.secret) or not SCHEMES[self.signature].needs_secret

    def admits(self, address: Address) -> bool:
        return not self.networks or any(address in network for network in self.networks)

    def topic(self, tenant: str) -> str:
        """The one that its messages would have over the broker."""
        if self.codec == JSON:
            return topics.up(tenant, self.device, Channel.GATEWAY)
        return topics.up(tenant, self.device, Channel.RAW, self.codec)

    def delivery(self, signed: Signed, body: bytes) -> int:
        """What tells this message from every other one, so that it is stored once however often it is delivered; 0: nothing does."""
        marked = bool(self.form.marks) and self.form.marks in body
        if not marked and not signed.stamp:
            return 0
        own = b"" if marked else signed.stamp.encode("utf-8", "surrogatepass")
        text = f"{self.name}\0".encode() + own + b"\0" + body
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) or 1


def parse_sources(text: str, secrets: Mapping[str, str], *, file: str = "<text>") -> tuple[PushSource, ...]:
    """The sources of a document with their secrets. Raises SourcesWrong."""
    try:
        document = msgspec.convert(yaml.safe_load(text), _Document)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError) as error:
        raise SourcesWrong(file, [" ".join(str(error).split())]) from error
    if problems := list(_problems(document)):
        raise SourcesWrong(file, problems)
    return tuple(_made(source, secrets.get(source.name, "")) for source in document.sources)


def _made(source: _Source, secret: str) -> PushSource:
    form = FORMS[source.form]
    return PushSource(
        name=source.name,
        device=source.device,
        form=form,
        signature=source.signature or form.signature,
        codec=source.codec or form.codec,
        networks=tuple(ipaddress.ip_network(network) for network in source.allow),
        secret=secret,
    )


def _problems(document: _Document) -> Iterator[str]:
    if not 0 < len(document.sources) <= SOURCES_MAX:
        yield f"sources: expected 1 to {SOURCES_MAX}, got {len(document.sources)}"
    names = [source.name for source in document.sources]
    yield from (f"source {name!r}: stands twice" for name in sorted({n for n in names if names.count(n) > 1}))
    for source in document.sources:
        yield from (f"source {source.name!r}: {problem}" for problem in _wrong(source))


def _wrong(source: _Source) -> Iterator[str]:
    if not _NAME.fullmatch(source.name):
        yield f"name: expected {_NAME.pattern}"
    if not DEVICE_ID.fullmatch(source.device):
        yield f"device {source.device!r}: expected a device id of the form {DEVICE_ID.pattern}"
    if source.form not in FORMS:
        yield f"form {source.form!r}: expected one of {', '.join(FORMS)}"
        return
    signature = source.signature or FORMS[source.form].signature
    if signature not in SCHEMES:
        yield f"signature {signature!r}: expected one of {', '.join(SCHEMES)}"
    codec = source.codec or FORMS[source.form].codec
    if codec not in codecs():
        yield f"codec {codec!r}: expected one of {', '.join(codecs())}"
    for network in source.allow:
        try:
            parsed = ipaddress.ip_network(network)
        except ValueError as error:
            yield f"allow: expected networks like 203.0.113.0/24: {error}"
            continue
        if parsed.prefixlen == 0:
            yield f"allow {network!r}: expected a network, not every address there is"
    if signature == "none" and not source.allow:
        yield "allow: expected the addresses that it comes from, since nothing else says who it is"


def codecs() -> list[str]:
    """What a push may be read with: formats whose messages need nothing of an MQTT topic and no session."""
    routes = dialects.routes()
    plain = [
        codec
        for codec in DECODERS
        if codec not in SESSIONS and (codec not in routes or not (routes[codec].names or routes[codec].open_ended))
    ]
    return [JSON, *plain]
