"""Devices that were built for another platform: which topics they use, and what stands in their messages.

A platform is a YAML document in `devices/mappings/`. From this one table come the rules by which the broker's plugin rewrites
topics (runtime/embedded/rewrite_topics.c), the lines of the broker's ACL, the codecs of `up/raw/{codec}` and the topics of answers.

Whose a message is, the login says and nothing else: `{device}` in a topic must be the username. Other names in braces are passed
on behind the codec, `up/raw/{codec}/{product}`: `{child}` names a device behind a gateway, the rest is only needed to answer. A
`#` at the end of a topic stands for one level or more that the reader gets: what they say is part of the message.

What a platform pushes over HTTP in its devices' names has no topic of its own (`pushes`): it comes to `up/raw/{codec}` of the gateway
that the source speaks as (ingest/http_in.py), and names the devices behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files

import msgspec
import yaml

from devices.codecs import mapped
from devices.codecs.json_message import JsonMessageDecoder, Levels
from devices.codecs.mapped import Answer, Layout
from devices.codecs.readers import READERS
from devices.codecs.station import Decoder, Refused, Report

DEVICE = "device"
CHILD = "child"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_LEVEL = re.compile(r"\{([a-z]+)\}|[A-Za-z0-9_$=-]*")


class DialectWrong(ValueError):
    """A mapping document that cannot be used; names the file and every wrong field."""

    def __init__(self, file: str, problems: list[str]) -> None:
        super().__init__(f"{file}: " + "; ".join(problems))
        self.problems = problems


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where the answer goes and what it is."""

    topic: str
    answer: Answer


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One topic of a platform. Its messages are read by a `layout`, or by a `reader` where their form is none that a table says.
    `up` "": a form that is pushed and has no topic."""

    codec: str
    up: str
    layout: Layout | None = None
    reader: str = ""
    reply: Reply | None = None

    @property
    def names(self) -> list[str]:
        """What is passed on behind the codec, in its order."""
        return [name for name in _names(self.up) if name != DEVICE]

    @property
    def open_ended(self) -> bool:
        """Whether its topics go on as they like."""
        return self.up.endswith("/#")


class Push(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One form in which a platform pushes what its devices said."""

    codec: str
    layout: Layout | None = None
    reader: str = ""

    def route(self) -> Route:
        return Route(codec=self.codec, up="", layout=self.layout, reader=self.reader)


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zh: str
    en: str


class Dialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One platform. Its name is the key of a model's `codecs` and of a device's `attributes.stations`."""

    platform: str
    name: _Words
    source: str
    topics: list[Route] = []
    pushes: list[Push] = []

    @property
    def routes(self) -> list[Route]:
        """Of topics and of pushes."""
        return [*self.topics, *(push.route() for push in self.pushes)]


def parse_dialect(text: str, *, file: str = "<text>") -> Dialect:
    """A platform from its document. Raises DialectWrong."""
    try:
        dialect = msgspec.convert(yaml.safe_load(text), Dialect)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise DialectWrong(file, [str(error)]) from error
    if problems := list(_problems(dialect)):
        raise DialectWrong(file, problems)
    return dialect


def _problems(dialect: Dialect) -> Iterator[str]:
    if not _NAME.fullmatch(dialect.platform):
        yield f"platform {dialect.platform!r}: expected {_NAME.pattern}"
    if not dialect.routes:
        yield "expected topics or pushes"
    if not all(topic.up for topic in dialect.topics):
        yield "topic '': expected levels"
    for route in dialect.routes:
        where = f"topic {route.up!r}" if route.up else f"push {route.codec!r}"
        if not _NAME.fullmatch(route.codec) or not f"{route.codec}-".startswith(f"{dialect.platform}-"):
            yield f"{where}: codec {route.codec!r}: expected {dialect.platform} or {dialect.platform}-..."
        if bool(route.reader) == (route.layout is not None):
            yield f"{where}: expected a layout or a reader"
        if route.reader and route.reader not in READERS:
            yield f"{where}: reader {route.reader!r}: expected one of {', '.join(READERS)}"
        if route.open_ended and not route.reader:
            yield f"{where}: expected a reader for the levels of #"
        if route.open_ended and DEVICE not in _names(route.up):
            yield f"{where}: expected {{{DEVICE}}} before #: else it would take what is not its platform's"
        for topic in [*([route.up] if route.up else []), *([route.reply.topic] if route.reply else [])]:
            levels = (route.up.removesuffix("/#") if topic == route.up else topic).split("/")
            if not all(_LEVEL.fullmatch(level) for level in levels) or topic.startswith("cb/"):
                yield f"{where}: {topic!r}: expected levels of letters and digits or names in braces, outside of cb/"
        if route.reply and not set(_names(route.reply.topic)) <= {DEVICE, *route.names}:
            yield f"{where}: reply: names that the message's topic does not have"
        if route.reply and DEVICE not in _names(route.reply.topic):
            yield f"{where}: reply: expected {{{DEVICE}}} in the topic: else others would read it"


@cache
def dialects() -> dict[str, Dialect]:
    """All platforms that come with this build, by name. Raises DialectWrong."""
    found: dict[str, Dialect] = {}
    for entry in sorted(files("devices").joinpath("mappings").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            dialect = parse_dialect(entry.read_text(encoding="utf-8"), file=entry.name)
            found[dialect.platform] = dialect
    return found


@cache
def routes() -> dict[str, Route]:
    """By codec; of several topics with one codec the first."""
    found: dict[str, Route] = {}
    for dialect in dialects().values():
        for route in dialect.routes:
            found.setdefault(route.codec, route)
    return found


@cache
def families() -> dict[str, str]:
    """The platform by codec."""
    return {route.codec: dialect.platform for dialect in dialects().values() for route in dialect.routes}


def decoders() -> dict[str, Callable[[object], Decoder]]:
    """What reads `up/raw/{codec}`, by codec."""
    return {codec: lambda _, codec=codec, route=route: _decoder(codec, route) for codec, route in routes().items()}  # type: ignore[misc]


def _decoder(codec: str, route: Route) -> Decoder:
    if route.layout is None:
        return JsonMessageDecoder(codec, READERS[route.reader])
    layout, answer = route.layout, route.reply.answer if route.reply else None

    def read(payload: bytes, levels: Levels) -> list[Report | Refused]:
        return mapped.read(payload, layout, answer)

    return JsonMessageDecoder(codec, read)


def captured(codec: str, more: tuple[str, ...]) -> dict[str, str]:
    """The names that were passed on behind a codec."""
    route = routes().get(codec)
    return dict(zip(route.names, more, strict=False)) if route else {}


def levels_of(codec: str, more: tuple[str, ...]) -> Levels:
    """What was passed on behind a codec and its names."""
    route = routes().get(codec)
    return more[len(route.names) :] if route else ()


def reply_topic(codec: str, device_id: str, more: tuple[str, ...]) -> str:
    """Where the answer to a message goes; "" where there is none, or the topic does not say enough."""
    route = routes().get(codec)
    if route is None or route.reply is None:
        return ""
    known: Mapping[str, str] = {DEVICE: device_id, **captured(codec, more)}
    if not set(_names(route.reply.topic)) <= known.keys():
        return ""
    return "/".join(_filled(level, known) for level in route.reply.topic.split("/"))


def rewrite_text() -> str:
    """The rules for the broker's plugin: a codec and a topic in each line, `%u` the username, `+` a level that is passed on, `#` all
    that follow."""
    lines = [f"{route.codec} {_pattern(route.up)}\n" for dialect in dialects().values() for route in dialect.topics]
    return "".join(lines)


def device_rules() -> list[str]:
    """Lines of the broker's ACL under which a device speaks its platform's topics and hears its answers."""
    topics = [route for dialect in dialects().values() for route in dialect.topics]
    return [f"pattern write {_pattern(route.up)}" for route in topics] + [
        f"pattern read {_pattern(route.reply.topic)}" for route in topics if route.reply
    ]


def answer_rules() -> list[str]:
    """What ingest may write to."""
    topics = [route.reply.topic for dialect in dialects().values() for route in dialect.topics if route.reply]
    return [f"write {_pattern(topic).replace('%u', '+')}" for topic in topics]


def _names(topic: str) -> list[str]:
    return re.findall(r"\{([a-z]+)\}", topic)


def _pattern(topic: str) -> str:
    return re.sub(r"\{[a-z]+\}", "+", topic.replace(f"{{{DEVICE}}}", "%u"))


def _filled(level: str, known: Mapping[str, str]) -> str:
    return known[level[1:-1]] if level.startswith("{") else level
