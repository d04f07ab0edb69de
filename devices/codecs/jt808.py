"""JT/T 808 (2011, 2013, 2019): satellite positioning terminals of vehicles (hazardous goods, buses), both directions.

    7E | id 2 | properties 2 | [version 1] | phone 6 or 10 | serial 2 | [packets 2 | number 2] | body | XOR 1 | 7E

The properties: bits 0 to 9 length of the body, 10 to 12 encryption, 13 a packet of a divided message, 14 the edition of 2019
(version byte, ten bytes of phone). Between the two 7E, 7E is written as 7D02 and 7D as 7D01; the XOR is of header and body
before that. Numbers are big-endian, texts GBK, times BCD YYMMDDhhmmss at UTC+8 with years 20xx.

A 7E is nothing but a boundary here: what stands between two of them is a frame or it is refused, so that a frame without its
end does not take the next one, and frames may share a 7E. The XOR lets one in 256 wider corruptions through: length, escapes
and phone have to hold too, and whoever uses the values has to check the station and the physical range.

The station is the phone number with ALL digits as they are sent, zeros in front included: twelve, or twenty of a terminal of
2019. The register has to name it in that form ("013306139197"). Readings of a position: `lat`, `lon` (degrees, negative in
the south and west), `alt_m`, `speed_kmh`, `dir_deg`, `alarm` and `status` (the 32 bits as a number), `fixed` (0 or 1), and
from what the terminal adds `mileage_km`, `fuel_l`, `recorder_speed_kmh`, `rssi`, `satellites`. Other additions stay in
`facts` as hex under their identifier ("25"; "2/25" in the second position of a batch).

An alarm bit of ALARMS is a happening when it was not there in the report before; a terminal repeats it in every report until it
has been seen to. What stays set is told again after AGAIN_US: a report that was refused for another reason must not silence
the button for good. A batch from a blind area is judged by itself.

A registration shows its terminal ID as `Report.password`, 0102 its code. Only 0102 has a denial (8001 with result 1): a
terminal that still has the code of another platform registers again when it hears that.

Verified against published frames whose checksums hold: both headers, escapes, 0001, 0002, 0100, 0102 and 0704 of 2013 and
2019, 0200 with the additions 01, 02, 03, 30 and 31, the answers 8001 and 8100. Agreed on by several open implementations, but
shown by no frame at a known place: the status bits 2 (south), 3 (west) and 5 (coordinates passed through the secrecy
plug-in), the alarm bits 0 (emergency button), 29 (collision) and 30 (rollover; in the edition of 2011, whose header looks the
same, bit 29 may be either), and the encryption bit of RSA. From a quotation of the 2013 edition (7.12): one general answer may do for all
packets of a divided message; that it carries the serial number of the packet that came last is our choice. Not verified:
divided messages against a terminal, the registration of 2011 (eight bytes of model), altitudes below sea level (read as the
unsigned number that the edition prints). Coordinates are WGS 84 in practice, which no frame says. The standard itself was not
read: confirm against a bought copy before claiming conformance.

Not here: the encrypted bodies (refused), the request for lost packets (8003: a terminal that hears no answer sends again),
and the request for the time that the edition of 2019 has (0004, 8004).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from devices.codecs.checksums import xor_sum
from devices.codecs.station import Group, Happening, Reading, Refused, Report, Said, begins

LOCAL = timezone(timedelta(hours=8))
FLAG = b"\x7e"
BODY_MAX = 1023  # ten bits
HEAD, HEAD_2019, PACKET_HEAD = 12, 17, 4
SEGMENT_MAX = 2 * (HEAD_2019 + PACKET_HEAD + BODY_MAX + 1)  # every byte escaped
# Divided messages that are being joined, and the bytes that all of them keep (bodies and raw).
PARTS_MAX, PARTS_BYTES = 4, 400_000
PACKETS_MAX = 1024  # of one message; of the longest packets, 190 fit into PARTS_BYTES
HEX_MAX = 2048  # digits of a body that facts repeat

TERMINAL_ANSWER, HEARTBEAT = 0x0001, 0x0002
REGISTER, AUTH, LOCATION, BATCH = 0x0100, 0x0102, 0x0200, 0x0704
PLATFORM_ANSWER, REGISTER_ANSWER = 0x8001, 0x8100
FROM_PLATFORM = 0x8000  # this bit is set in every message of a platform
SUCCESS, FAILURE = 0, 1
VERSION = 1  # of the edition of 2019

FIXED, SOUTH, WEST, SHIFTED = 1 << 1, 1 << 2, 1 << 3, 1 << 5
ALARMS = (
    ("vehicle_emergency", 0, "紧急报警"),
    ("vehicle_collision", 29, "碰撞预警"),
    ("vehicle_rollover", 30, "侧翻预警"),
)  # the city's word, bit, the standard's; the other bits are of driving and of the terminal, not of an accident
AGAIN_US = 300 * 1_000_000
TOLD_MAX = 4_096  # alarms that are remembered as told; a gateway may speak for many terminals
LOCATION_MIN = 28
BLIND_AREA = 1  # kind of a batch: sent afterwards, from where there was no network
IMEI, SOFTWARE = 15, 20  # bytes behind the code in 0102 of 2019

PLACE: Mapping[str, str] = {
    "lon": "lon",
    "lat": "lat",
    "speed_km_h": "speed_kmh",
}  # of an alarm: the city's name, ours here

# What a position has besides -> reading, bytes, divisor.
ADDITIONS: Mapping[int, tuple[str, int, int]] = {
    0x01: ("mileage_km", 4, 10),
    0x02: ("fuel_l", 2, 10),
    0x03: ("recorder_speed_kmh", 2, 10),
    0x30: ("rssi", 1, 1),
    0x31: ("satellites", 1, 1),
}

# Fields of a registration behind province and city: maker, model, terminal. Then colour and plate.
REGISTRATION_2011, REGISTRATION_2013, REGISTRATION_2019 = (5, 8, 7), (5, 20, 7), (11, 30, 30)

_ESCAPE = re.compile(rb"\x7d(.?)", re.DOTALL)
_ESCAPED: Mapping[bytes, bytes] = {b"\x01": b"\x7d", b"\x02": b"\x7e"}
_BLANK = b"\r\n\0 "
_CIPHERS: Mapping[int, str] = {1: "RSA"}


class WrongFrame(ValueError):
    """Bytes that are no frame of JT/T 808, or no message that can be read; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame whose escapes, checksum, length and phone hold. `version` None: the editions of 2011 and 2013."""

    message_id: int
    phone: str  # twelve digits; twenty with a version
    serial: int
    body: bytes
    version: int | None = None
    encryption: int = 0  # bits 10 to 12
    total: int = 0  # packets of a divided message; 0: it is not divided
    number: int = 0  # of this packet, from 1


@dataclass(slots=True)
class _Divided:
    """A message whose packets are coming, by their number and in the order of arrival."""

    packets: dict[int, tuple[Frame, bytes]] = field(default_factory=dict)
    size: int = 0

    def continues(self, frame: Frame, raw: bytes) -> bool:
        """Whether a packet belongs here: serial numbers count on with the packets or, against the rule, are all the same."""
        known, _ = next(iter(self.packets.values()))
        counts_on = (frame.serial - known.serial - (frame.number - known.number)) & 0xFFFF == 0
        same = self.packets.get(frame.number, (frame, raw))[1] == raw
        return same and (counts_on or frame.serial == known.serial)

    def add(self, frame: Frame, raw: bytes) -> None:
        if frame.number not in self.packets:
            self.packets[frame.number] = (frame, raw)
            self.size += len(raw) + len(frame.body)

    @property
    def raw(self) -> bytes:
        return b"".join(raw for _, raw in self.packets.values())

    @property
    def body(self) -> bytes:
        return b"".join(self.packets[number][0].body for number in sorted(self.packets))


@dataclass(slots=True, kw_only=True)
class _Content:
    """What a message says."""

    said: Said
    groups: tuple[Group, ...] = ()
    backfill: bool = False
    password: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def phone_itself(phone: str) -> str:
    """The auth code where nobody gives one out. No secret: anybody who knows the phone number knows it."""
    return phone


class Jt808Decoder:
    """Frames of one connection, or of one message, from the terminal to the platform. `auth_code`: of a phone number, what a
    registration is answered with and 0102 shows as `Report.password`; who checks it is the caller. At most 1,020 bytes."""

    name = "jt808"

    def __init__(self, *, auth_code: Callable[[str], str] = phone_itself) -> None:
        self._auth_code = auth_code
        self._buffer = b""
        self._inside = False  # a 7E has been seen: what is in the buffer comes after it
        self._parts: dict[tuple[str, int, int], _Divided] = {}  # by phone, message and count of packets
        self._told: dict[tuple[str, str], int] = {}  # by phone and type of an alarm that stands: when it was told

    def feed(self, data: bytes) -> list[Report | Refused]:
        """What the bytes so far complete. At most one frame's length stays waiting, and `PARTS_MAX` divided messages."""
        *segments, rest = (self._buffer + data).split(FLAG)
        pieces: list[Report | Refused] = []
        for segment in segments:
            pieces.extend(self._segment(segment))
            self._inside = True
        self._buffer = rest
        while len(self._buffer) > SEGMENT_MAX:
            head, self._buffer = self._buffer[:SEGMENT_MAX], self._buffer[SEGMENT_MAX:]
            pieces.append(Refused(head, (f"frame: expected 7E within {SEGMENT_MAX} bytes, got {begins(head)}",)))
            self._inside = False
        return pieces

    def finish(self) -> list[Report | Refused]:
        """What is left: at most one frame whose end never came. Packets of a divided message stay: over a broker each may come
        in a message of its own."""
        rest, was_inside = self._buffer, self._inside
        self._buffer, self._inside = b"", False
        if not rest.strip(_BLANK):
            return []
        raw = FLAG + rest if was_inside else rest
        wanted = "a 7E at its end" if was_inside else "7E"
        return [Refused(raw, (f"frame: expected {wanted}, but only {begins(raw)} came",), _station(rest))]

    @property
    def waiting(self) -> bool:
        """Packets of a divided message are here, and not all."""
        return bool(self._parts)

    def set_clock(self, report: Report, now_us: int) -> None:
        """None: JT/T 808-2013 has no message that sets a clock, a terminal has the time from the satellites."""

    def _segment(self, segment: bytes) -> Iterator[Report | Refused]:
        """What stands between two 7E, or before the first one."""
        if not segment.strip(_BLANK):
            return
        if not self._inside:
            yield Refused(segment, (f"frame: expected 7E, got {begins(segment)}",))
            return
        raw = FLAG + segment + FLAG
        try:
            frame = open_frame(raw)
            _check(frame)
        except WrongFrame as error:
            yield Refused(raw, (f"{error}; the frame begins {begins(raw)}",), _station(segment))
            return
        if frame.total > 1:
            yield from self._joined(frame, raw)
        else:
            yield self._report(frame, raw)

    def _joined(self, frame: Frame, raw: bytes) -> Iterator[Report | Refused]:
        """The report of a divided message once all its packets are there, and the messages that had to be forgotten."""
        key = (frame.phone, frame.message_id, frame.total)
        if key in self._parts and not self._parts[key].continues(frame, raw):
            yield self._forgotten(key, "another message began")
        message = self._parts.setdefault(key, _Divided())
        message.add(frame, raw)
        if len(message.packets) == frame.total:
            del self._parts[key]
            yield self._report(replace(frame, body=message.body), message.raw)
        while len(self._parts) > PARTS_MAX or sum(waiting.size for waiting in self._parts.values()) > PARTS_BYTES:
            why = f"more than {PARTS_MAX} messages or {PARTS_BYTES} bytes would have waited"
            yield self._forgotten(next(iter(self._parts)), why)

    def _forgotten(self, key: tuple[str, int, int], why: str) -> Refused:
        message, (phone, message_id, total) = self._parts.pop(key), key
        missing = [str(number) for number in range(1, total + 1) if number not in message.packets]
        told = f"{', '.join(missing[:9])}{', ...' if len(missing) > 9 else ''} of {total}"
        problem = f"packets: expected all {total} of message {message_id:04X}, but {told} did not come before {why}"
        return Refused(message.raw, (problem,), phone)

    def _report(self, frame: Frame, raw: bytes) -> Report | Refused:
        try:
            content = _content(frame)
        except WrongFrame as error:
            return Refused(raw, (f"{frame.message_id:04X}: {error}",), frame.phone)
        return Report(
            said=content.said,
            station=frame.phone,
            password=content.password,
            raw=raw,
            groups=content.groups,
            happened=tuple(self._happened(frame.phone, content)),
            backfill=content.backfill,
            command=f"{frame.message_id:04X}",
            facts={"serial": frame.serial, **content.facts},
            answer=None if content.said is Said.ANSWER else self._answer(frame),
            denial=_general_answer(frame, FAILURE) if content.said is Said.LOGIN else None,
            problems=tuple(content.problems),
        )

    def _answer(self, frame: Frame) -> bytes:
        """8100 with the auth code for a registration, 8001 for anything else; the serial number is the terminal's own."""
        if frame.message_id != REGISTER:
            return _general_answer(frame, SUCCESS)
        body = frame.serial.to_bytes(2) + bytes([SUCCESS]) + self._auth_code(frame.phone).encode("gb18030")
        return encode_frame(replace(frame, message_id=REGISTER_ANSWER, body=body, total=0, number=0))

    def _happened(self, phone: str, content: _Content) -> Iterator[Happening]:
        told: dict[tuple[str, str], int] = {} if content.backfill else self._told
        for group in content.groups:
            values = {reading.name: reading for reading in group.readings}
            alarm = int(values["alarm"].value or 0)
            for kind, bit, text in ALARMS:
                key = (phone, kind)
                if not alarm >> bit & 1:
                    told.pop(key, None)
                    continue
                last, now = told.get(key), group.time_us
                if last is not None and (now is None or abs(now - last) < AGAIN_US):
                    continue
                told[key] = now or 0
                yield Happening(type=kind, name=f"{bit}", time_us=now, text=text, data=_whereabouts(values))
        while len(told) > TOLD_MAX:
            del told[next(iter(told))]


def open_frame(raw: bytes) -> Frame:
    """The frame that `raw` is, both 7E included, from a terminal or a platform. Raises WrongFrame."""
    if len(raw) < 2 or raw[:1] != FLAG or raw[-1:] != FLAG:
        raise WrongFrame(f"frame: expected 7E at both ends, got {begins(raw)}")
    plain = _ESCAPE.sub(_unescaped, raw[1:-1])
    if len(plain) < HEAD + 1:
        raise WrongFrame(f"frame: expected at least {HEAD + 1} bytes between two 7E, got {len(plain)}")
    right, told = xor_sum(plain[:-1]), plain[-1]
    if right != told:
        raise WrongFrame(f"checksum: expected {right:02X} (XOR of header and body), got {told:02X}")
    properties = int.from_bytes(plain[2:4])
    divided, of_2019 = bool(properties & 0x2000), bool(properties & 0x4000)
    head = (HEAD_2019 if of_2019 else HEAD) + (PACKET_HEAD if divided else 0)
    if len(plain) < head + 1:
        raise WrongFrame(f"header: expected {head} bytes by its properties, got {len(plain) - 1}")
    declared = properties & BODY_MAX
    if len(plain) != head + declared + 1:
        came = len(plain) - head - 1
        raise WrongFrame(f"length: {declared} declared, but {came} bytes came behind {head} bytes of header")
    phone = plain[5:15] if of_2019 else plain[4:10]
    if not phone.hex().isdecimal():
        raise WrongFrame(f"phone: expected BCD digits, got {phone.hex().upper()}")
    end = head - (PACKET_HEAD if divided else 0)
    return Frame(
        message_id=int.from_bytes(plain[:2]),
        phone=phone.hex(),
        serial=int.from_bytes(plain[end - 2 : end]),
        body=plain[head:-1],
        version=plain[4] if of_2019 else None,
        encryption=properties >> 10 & 7,
        total=int.from_bytes(plain[end : end + 2]) if divided else 0,
        number=int.from_bytes(plain[end + 2 : end + 4]) if divided else 0,
    )


def encode(message_id: int, phone: str, serial: int, body: bytes, *, version_2019: bool = False) -> bytes:
    """A frame that is not divided; a shorter phone number gets zeros in front. Raises ValueError for what does not fit."""
    padded = phone.zfill(20 if version_2019 else 12)
    version = VERSION if version_2019 else None
    return encode_frame(Frame(message_id=message_id, phone=padded, serial=serial, body=body, version=version))


def encode_frame(frame: Frame) -> bytes:
    """The frame in bytes, escaped. Raises ValueError for a body or a phone number that does not fit."""
    if len(frame.body) > BODY_MAX:
        raise ValueError(f"body: expected at most {BODY_MAX} bytes, got {len(frame.body)}")
    digits = 12 if frame.version is None else 20
    if not re.fullmatch(r"[0-9]+", frame.phone) or len(frame.phone) != digits:
        raise ValueError(f"phone: expected {digits} digits, got {frame.phone[:40]!r}")
    properties = len(frame.body) | frame.encryption << 10
    properties |= (0x2000 if frame.total else 0) | (0 if frame.version is None else 0x4000)
    plain = frame.message_id.to_bytes(2) + properties.to_bytes(2)
    plain += b"" if frame.version is None else bytes([frame.version])
    plain += bytes.fromhex(frame.phone) + frame.serial.to_bytes(2)
    plain += frame.total.to_bytes(2) + frame.number.to_bytes(2) if frame.total else b""
    plain += frame.body
    plain += bytes([xor_sum(plain)])
    return FLAG + plain.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02") + FLAG


def with_code(answer: bytes, code: str) -> bytes:
    """The answer to a registration with another code in it. Raises WrongFrame, ValueError for what is none or does not fit."""
    frame = open_frame(answer)
    if frame.message_id != REGISTER_ANSWER:
        raise WrongFrame(f"answer: expected {REGISTER_ANSWER:04X}, got {frame.message_id:04X}")
    return encode_frame(replace(frame, body=frame.body[:3] + code.encode("gb18030")))


def _general_answer(frame: Frame, result: int) -> bytes:
    body = frame.serial.to_bytes(2) + frame.message_id.to_bytes(2) + bytes([result])
    return encode_frame(replace(frame, message_id=PLATFORM_ANSWER, body=body, total=0, number=0))


def _whereabouts(values: Mapping[str, Reading]) -> dict[str, Any]:
    """Where an alarm was and how fast the vehicle; nothing of a position that no fix stands behind."""
    if any(values[name].quality is not None for name in ("lon", "lat")):
        return {}
    return {"values": {to: values[name].value for to, name in PLACE.items()}}


def _unescaped(found: re.Match[bytes]) -> bytes:
    byte = _ESCAPED.get(found[1])
    if byte is None:
        raise WrongFrame(f"escape: expected 7D01 or 7D02, got {found[0].hex().upper()}")
    return byte


def _check(frame: Frame) -> None:
    """That the frame is a terminal's, in clear, and a possible packet. Raises WrongFrame."""
    if frame.message_id & FROM_PLATFORM:
        raise WrongFrame(f"direction: expected a message of a terminal, got {frame.message_id:04X} of a platform")
    if frame.encryption:
        cipher = _CIPHERS.get(frame.encryption, "unknown")
        raise WrongFrame(f"encryption: expected a body in clear (bits 10-12 zero), got {frame.encryption} ({cipher})")
    if frame.total > PACKETS_MAX:
        raise WrongFrame(f"packets: expected at most {PACKETS_MAX} in one message, got {frame.total}")
    if (frame.total or frame.number) and not 1 <= frame.number <= frame.total:
        raise WrongFrame(f"packets: expected a number from 1 to {frame.total}, got {frame.number}")


def _station(segment: bytes) -> str:
    """The phone number that damaged bytes seem to name, or ""."""
    plain = segment.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
    of_2019 = len(plain) > HEAD_2019 and bool(plain[2] & 0x40)
    phone = plain[5:15] if of_2019 else plain[4:10]
    return phone.hex() if len(plain) > HEAD and phone.hex().isdecimal() else ""


def _content(frame: Frame) -> _Content:
    """What the message says. Raises WrongFrame where nothing of it can be read."""
    reader = _READERS.get(frame.message_id)
    return reader(frame) if reader else _Content(said=Said.NOTICE, facts=_hex(frame.body))


def _terminal_answer(frame: Frame) -> _Content:
    body = frame.body
    if len(body) != 5:
        return _Content(said=Said.ANSWER, facts=_hex(body), problems=[f"answer: expected 5 bytes, got {len(body)}"])
    to = {"answers": int.from_bytes(body[:2]), "message": body[2:4].hex().upper(), "result": body[4]}
    return _Content(said=Said.ANSWER, facts=to)


def _heartbeat(frame: Frame) -> _Content:
    return _Content(said=Said.HEARTBEAT, facts=_hex(frame.body))


def _registration(frame: Frame) -> _Content:
    body = frame.body
    widths = REGISTRATION_2019 if frame.version is not None else REGISTRATION_2013
    if frame.version is None and len(body) < 4 + sum(widths) + 1:
        widths = REGISTRATION_2011
    least = 4 + sum(widths) + 1
    if len(body) < least:
        raise WrongFrame(f"registration: expected at least {least} bytes, got {len(body)}")
    facts: dict[str, Any] = {"province": int.from_bytes(body[:2]), "city": int.from_bytes(body[2:4])}
    at = 4
    for name, width in zip(("maker", "model", "terminal"), widths, strict=True):
        facts[name] = _text(body[at : at + width])
        at += width
    facts |= {"plate_color": body[at], "plate": _text(body[at + 1 :])}
    return _Content(said=Said.REGISTRATION, password=facts["terminal"], facts=facts)


def _authentication(frame: Frame) -> _Content:
    body = frame.body
    if not body:
        raise WrongFrame("authentication: expected a code, got an empty body")
    if frame.version is None:
        return _Content(said=Said.LOGIN, password=_text(body))
    end = 1 + body[0]
    if len(body) != end + IMEI + SOFTWARE:
        wanted = f"a code of {body[0]} bytes, {IMEI} of IMEI and {SOFTWARE} of software version behind its length"
        raise WrongFrame(f"authentication: expected {wanted}, got {len(body) - 1} bytes")
    facts = {"imei": _text(body[end : end + IMEI]), "software": _text(body[end + IMEI :])}
    return _Content(said=Said.LOGIN, password=_text(body[1:end]), facts=facts)


def _location(frame: Frame) -> _Content:
    content = _Content(said=Said.DATA)
    content.groups = (_position(frame.body, content, ""),)
    return content


def _batch(frame: Frame) -> _Content:
    """0704. A position without a time is left out: in a batch it was not true at its receipt."""
    body = frame.body
    if len(body) < 3:
        raise WrongFrame(f"batch: expected count and kind in 3 bytes, got {len(body)}")
    count, kind = int.from_bytes(body[:2]), body[2]
    content = _Content(said=Said.DATA, backfill=kind == BLIND_AREA, facts={"kind": kind})
    if kind > BLIND_AREA:
        content.problems.append(f"batch: expected kind 0 (live) or 1 (blind area), got {kind}")
    groups: list[Group] = []
    came = readable = 0
    for came, item in enumerate(_items(body[3:], content.problems), start=1):
        try:
            group = _position(item, content, f"{came}/")
        except WrongFrame as error:
            content.problems.append(f"{came}: {error}")
            continue
        readable += 1
        if group.time_us is None:
            content.problems.append(f"{came}: left out, when it was true is not known")
        else:
            groups.append(group)
    if came != count:
        content.problems.append(f"batch: {count} positions declared, {came} came")
    if not readable:
        raise WrongFrame("; ".join(["batch: expected at least one position, got none", *content.problems[:3]]))
    content.groups = tuple(groups)
    return content


def _items(data: bytes, problems: list[str]) -> Iterator[bytes]:
    """Positions of a batch, each behind its length."""
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2])
        if end > len(data) or end < at + 3:
            problems.append(
                f"batch: expected a position of {end - at - 2} bytes, {max(0, len(data) - at - 2)} are left"
            )
            return
        yield data[at + 2 : end]
        at = end


def _position(body: bytes, content: _Content, where: str) -> Group:
    """One position with its additions; problems and unknown additions go to `content`. Raises WrongFrame if it is too short."""
    if len(body) < LOCATION_MIN:
        raise WrongFrame(f"location: expected at least {LOCATION_MIN} bytes, got {len(body)}")
    alarm, status = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
    altitude, speed, direction = (int.from_bytes(body[at : at + 2]) for at in (16, 18, 20))
    readings = [
        _coordinate("lat", body[8:12], status, SOUTH, content.problems, where),
        _coordinate("lon", body[12:16], status, WEST, content.problems, where),
        Reading("alt_m", float(altitude)),
        Reading("speed_kmh", speed / 10),
        Reading("dir_deg", float(direction)),
        Reading("alarm", float(alarm)),
        Reading("status", float(status)),
        Reading("fixed", 1.0 if status & FIXED else 0.0),
    ]
    readings += _additions(body[LOCATION_MIN:], content, where)
    return Group(_time_us(body[22:28], content.problems, where), tuple(readings))


def _coordinate(name: str, data: bytes, status: int, negative: int, problems: list[str], where: str) -> Reading:
    """Degrees. What no fix stands behind is bad (4); what passed through the secrecy plug-in is not where it says (3)."""
    most = 90 if name == "lat" else 180
    degrees = int.from_bytes(data) / 1_000_000
    quality = None if status & FIXED else 4
    if quality is None and status & SHIFTED:
        quality = 3
    if degrees > most:
        problems.append(f"{where}{name}: expected at most {most} degrees, got {degrees}")
        quality = 4
    return Reading(name, -degrees if status & negative and degrees else degrees, quality)


def _additions(data: bytes, content: _Content, where: str) -> Iterator[Reading]:
    """Identifier, length, value, again and again. What is unknown or has another length than it should is kept as hex."""
    seen: set[int] = set()
    at = 0
    while at < len(data):
        identifier, size = data[at], data[at + 1] if at + 1 < len(data) else 0
        value = data[at + 2 : at + 2 + size]
        key = f"{where}{identifier:02X}"
        if at + 2 + size > len(data):
            left = max(0, len(data) - at - 2)
            content.problems.append(f"{key}: expected an addition of {size} bytes, {left} are left")
            return
        at += 2 + size
        name, wanted, divisor = ADDITIONS.get(identifier, ("", size, 1))
        if name and size == wanted and identifier not in seen:
            seen.add(identifier)
            yield Reading(name, int.from_bytes(value) / divisor)
            continue
        if name:
            what = "is there twice" if size == wanted else f"expected {wanted} bytes, got {size}"
            content.problems.append(f"{key}: {what}")
        known = content.facts.get(key)
        content.facts[key] = value.hex() if known is None else f"{known},{value.hex()}"


def _time_us(data: bytes, problems: list[str], where: str) -> int | None:
    try:
        at = datetime.strptime(f"20{data.hex()}", "%Y%m%d%H%M%S").replace(tzinfo=LOCAL)
    except ValueError:
        problems.append(f"{where}time: expected BCD YYMMDDhhmmss, got {data.hex()}")
        return None
    return int(at.timestamp()) * 1_000_000


def _text(data: bytes) -> str:
    """GBK; the zeros and blanks that fill a field are not part of it."""
    return data.decode("gb18030", errors="replace").strip("\0 ")


def _hex(body: bytes) -> dict[str, Any]:
    return {"hex": body.hex()[:HEX_MAX]} if body else {}


_READERS: Mapping[int, Callable[[Frame], _Content]] = {
    TERMINAL_ANSWER: _terminal_answer,
    HEARTBEAT: _heartbeat,
    REGISTER: _registration,
    AUTH: _authentication,
    LOCATION: _location,
    BATCH: _batch,
}
