"""SL 651-2014: data transmission of hydrological telemetry stations, HEX/BCD and ASCII coding, modes M1 to M4, both directions.

    up    7E7E | centre 1 | station 5 | password 2 | function 1 | 0LLL 2 | STX | body | ETX or ETB | CRC 2
    down  7E7E | station 5 | centre 1 | password 2 | function 1 | 8LLL 2 | STX | body | ENQ, ACK, NAK, EOT or ESC | CRC 2

The twelve low bits LLL count the bytes between STX and the end character. The checksum is CRC-16/MODBUS over everything before
it, high byte first. ASCII coding starts with SOH and writes the same fields as hex digits. In mode M3 SYN stands for STX, three
bytes (twelve bits of total, twelve of sequence) follow, and the packets of one message are joined here; the drafts do not agree
on whether LLL has twelve or sixteen bits there and counts those three bytes, so the length is taken at which end character and
checksum hold.

Observation times are UTC+8: an instant, or the END of a period; the functions 31 and 34 state the time of their first value.
Two digits of a year are 20xx. A reading is named by its element identifier in hex ("39", "FF11"); batches by five minutes are
readings of twelve times under one name ("F4" mm, "F5" to "FC" metres over the station's own datum).

Verified against vectors: HEX frames of functions 2F and 32, negative values, the acknowledgement. From the approval draft or from
memory, not verified against a station: the ASCII identifiers (`ASCII_NAMES`), M3, the functions 31 and 34, setting the clock
(4A). Source: SL 651-2014 approval draft; confirm against a bought copy before claiming conformance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from devices.codecs.checksums import crc_modbus
from devices.codecs.station import Group, Reading, Refused, Report, Said, begins

LOCAL = timezone(timedelta(hours=8))
SOH, STX, ETX, EOT, ENQ, ACK, SYN, NAK, ETB, ESC = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x16, 0x15, 0x17, 0x1B
START = b"\x7e\x7e"
UP_ENDS, DOWN_ENDS = frozenset({ETX, ETB}), frozenset({ENQ, ACK, NAK, EOT, ESC})
HEAD = 14  # bytes from 7E7E to STX, both included
TAIL = 3  # end character and checksum
BODY_MAX = 4095
BATCH_STEP_S, BATCH_SIZE = 300, 12
PARTS_MAX, PARTS_BYTES = 4, 1 << 20  # M3 messages that are being joined, and the bytes of one

HEARTBEAT, SET_CLOCK = 0x2F, 0x4A
MANUAL, PICTURE, UNIFORM, HOURLY = 0x35, 0x36, 0x31, 0x34
DATA = frozenset({0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A})
RAIN_BATCH, LEVEL_BATCHES, STEP, STATE = 0xF4, range(0xF5, 0xFD), 0x04, 0x45
STATION, TIME, MANUAL_TEXT, IMAGE, VELOCITY = 0xF1, 0xF0, 0xF2, 0xF3, 0xFD
RAIN_INVALID, LEVEL_INVALID = 0xFF, 0xFFFF

# Identifiers in ASCII coding -> element. From memory of the standard's Annex C: not verified.
ASCII_NAMES: Mapping[str, str] = {
    "AI": "02",
    "C": "03",
    "FL": "08",
    "H": "0E",
    "MST": "18",
    "P1": "1A",
    "P2": "1B",
    "P3": "1C",
    "P6": "1D",
    "P12": "1E",
    "PD": "1F",
    "PJ": "20",
    "PN01": "21",
    "PN05": "22",
    "PN10": "23",
    "PN30": "24",
    "PR": "25",
    "PT": "26",
    "Q": "27",
    "UC": "33",
    "UE": "34",
    "US": "35",
    "VJ": "37",
    "VT": "38",
    "Z": "39",
    "ZB": "3A",
    "ZU": "3B",
    "ZT": "45",
    "PH": "46",
    "DO": "47",
    "COND": "48",
    "TURB": "49",
}

_HEX_START = re.compile(rb"\x7e\x7e|\x7e\Z")
_ASCII_START = re.compile(rb"\x01[0-9A-Fa-f]{22}[\x02\x16]|\x01[0-9A-Fa-f]{0,22}\Z")
_ASCII_HEAD = 24  # SOH, 22 hex digits, STX


class WrongFrame(ValueError):
    """Bytes that are no frame of SL 651; the text says what was expected."""


class _Incomplete(Exception):
    """The rest may still be coming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame whose start, length, end character and checksum hold. `size`: bytes that it took of the stream."""

    up: bool
    centre: int
    station: str  # ten hex digits
    password: str  # four hex digits
    function: int
    body: bytes
    end: int
    ascii: bool = False
    total: int = 0  # of M3; 0: one packet
    sequence: int = 0
    size: int = 0


class Sl651Decoder:
    """Frames of one connection, or of one message, from the station to the centre."""

    name = "sl651"

    def __init__(self) -> None:
        self._buffer = b""
        self._parts: dict[tuple[str, int], dict[int, tuple[bytes, bytes]]] = {}  # sequence -> body, packet

    def feed(self, data: bytes) -> list[Report | Refused]:
        """What the bytes so far complete. At most one frame's length stays waiting, and `PARTS_MAX` unfinished M3 messages."""
        self._buffer += data
        return list(self._pieces(final=False))

    def finish(self) -> list[Report | Refused]:
        """What is left: at most one frame whose end never came."""
        pieces = list(self._pieces(final=True))
        rest, self._buffer = self._buffer, b""
        return (
            pieces if not rest.strip(b"\r\n\0") else [*pieces, Refused(rest, (f"frame: ended after {begins(rest)}",))]
        )

    @property
    def waiting(self) -> bool:
        """Packets of an M3 message are here, and not all."""
        return bool(self._parts)

    def set_clock(self, report: Report, now_us: int) -> bytes:
        """Function 4A with the centre's time. Not verified: the draft says twice if the clock is off by more than five minutes."""
        centre, password = int(str(report.facts.get("centre", "0")), 16), report.password or "0000"
        return set_clock(report.station, centre=centre, password=password, now_us=now_us)

    def _pieces(self, *, final: bool) -> Iterator[Report | Refused]:
        while self._buffer:
            start = _start(self._buffer)
            garbage, self._buffer = self._buffer[:start], self._buffer[start:]
            if garbage.strip(b"\r\n\0"):
                yield Refused(garbage, (f"frame: expected 7E7E or SOH, got {begins(garbage)}",))
            if not self._buffer:
                return
            try:
                frame = open_frame(self._buffer, final=final)
            except _Incomplete:
                return
            except WrongFrame as error:
                used = (
                    _start(self._buffer[1:]) + 1
                )  # the next start, even inside: a frame there is not thrown away with this one
                raw, self._buffer = self._buffer[:used], self._buffer[used:]
                yield Refused(raw, (f"{error}; the frame begins {begins(raw)}",), _station(raw))
                continue
            raw, self._buffer = self._buffer[: frame.size], self._buffer[frame.size :]
            piece = self._take(frame, raw)
            if piece is not None:
                yield piece

    def _take(self, frame: Frame, raw: bytes) -> Report | Refused | None:
        """A report of a whole message; None for a packet of one that is not whole yet."""
        if not frame.up:
            return Refused(raw, ("direction: expected a frame from a station, got one from a centre",), frame.station)
        if frame.total > 1:
            return self._joined(frame, raw)
        return _report(frame, raw)

    def _joined(self, frame: Frame, raw: bytes) -> Report | Refused | None:
        key = (frame.station, frame.function)
        parts = self._parts.setdefault(key, {})
        if frame.sequence == 1:
            parts.clear()
        parts[frame.sequence] = (frame.body, raw)
        while len(self._parts) > PARTS_MAX:
            self._parts.pop(next(iter(self._parts)))
        if sum(len(body) for body, _ in parts.values()) > PARTS_BYTES:
            del self._parts[key]
            return Refused(raw, (f"packets: expected at most {PARTS_BYTES} bytes in one message",), frame.station)
        if frame.end != ETX and frame.sequence != frame.total:
            return None
        del self._parts[key]
        missing = [str(n) for n in range(1, frame.total + 1) if n not in parts]
        if missing:
            return Refused(raw, (f"packets: {', '.join(missing[:9])} of {frame.total} did not come",), frame.station)
        packets = [parts[n] for n in range(1, frame.total + 1)]
        body, whole = (b"".join(column) for column in zip(*packets, strict=True))
        return _report(replace(frame, body=body), whole)


def open_frame(buffer: bytes, *, final: bool = True) -> Frame:
    """The frame at the beginning of `buffer`, either direction. Raises WrongFrame. (`final=False`: see `Sl651Decoder.feed`.)"""
    if buffer[:1] == bytes([SOH]):
        return _ascii_frame(buffer, final=final)
    if len(buffer) < HEAD:
        raise WrongFrame(f"frame: expected at least {HEAD + TAIL} bytes, got {len(buffer)}") if final else _Incomplete
    if buffer[:2] != START:
        raise WrongFrame(f"frame: expected 7E7E, got {begins(buffer[:2])}")
    length = int.from_bytes(buffer[11:13])
    up, mark = not length & 0x8000, buffer[13]
    if mark not in (STX, SYN):
        raise WrongFrame(f"frame: expected STX (02) or SYN (16) after the length, got {mark:02X}")
    ends = UP_ENDS if up else DOWN_ENDS
    lengths = sorted({length & 0xFFF, length, (length & 0xFFF) + 3, length + 3}) if mark == SYN else [length & 0xFFF]
    lengths = [n for n in lengths if n <= BODY_MAX + 3]
    for n in lengths:
        end_at = HEAD + n
        if len(buffer) < end_at + TAIL or buffer[end_at] not in ends:
            continue
        if crc_modbus(buffer[: end_at + 1]) == int.from_bytes(buffer[end_at + 1 : end_at + 3]):
            return _hex_fields(buffer, n, up=up, several=mark == SYN)
    if not lengths:
        raise WrongFrame(f"length: expected at most {BODY_MAX}, got {length}")
    if len(buffer) < HEAD + lengths[-1] + TAIL and not final:
        raise _Incomplete
    end_at = HEAD + lengths[0]
    if len(buffer) < end_at + TAIL:
        raise WrongFrame(
            f"length: {lengths[0]} declared makes a frame of {end_at + TAIL} bytes, but only {len(buffer)} came"
        )
    if buffer[end_at] not in ends:
        raise WrongFrame(f"frame: expected an end character after {lengths[0]} bytes of body, got {buffer[end_at]:02X}")
    right, told = crc_modbus(buffer[: end_at + 1]), buffer[end_at + 1 : end_at + 3].hex().upper()
    raise WrongFrame(f"checksum: expected {right:04X} (CRC-16/MODBUS, high byte first), got {told}")


def _hex_fields(buffer: bytes, n: int, *, up: bool, several: bool) -> Frame:
    body = buffer[HEAD : HEAD + n]
    total = sequence = 0
    if several:
        count = int.from_bytes(body[:3])
        total, sequence, body = count >> 12, count & 0xFFF, body[3:]
    centre, station = (buffer[2], buffer[3:8]) if up else (buffer[7], buffer[2:7])
    return Frame(
        up=up,
        centre=centre,
        station=station.hex().upper(),
        password=buffer[8:10].hex().upper(),
        function=buffer[10],
        body=body,
        end=buffer[HEAD + n],
        total=total,
        sequence=sequence,
        size=HEAD + n + TAIL,
    )


def _ascii_frame(buffer: bytes, *, final: bool) -> Frame:
    if len(buffer) < _ASCII_HEAD:
        raise (
            WrongFrame(f"frame: expected at least {_ASCII_HEAD} bytes after SOH, got {len(buffer)}")
            if final
            else _Incomplete
        )
    fields = bytes.fromhex(buffer[1:23].decode("ascii"))
    length = int.from_bytes(fields[9:11])
    n, up = length & 0xFFF, not length & 0x8000
    end_at = _ASCII_HEAD + n
    if len(buffer) < end_at + 5:
        if not final:
            raise _Incomplete
        raise WrongFrame(f"length: {n} declared makes a frame of {end_at + 5} bytes, but only {len(buffer)} came")
    told, right = buffer[end_at + 1 : end_at + 5], crc_modbus(buffer[: end_at + 1])
    if told.upper() != b"%04X" % right:
        raise WrongFrame(f"checksum: expected {right:04X} (CRC-16/MODBUS), got {begins(told)}")
    if buffer[end_at] not in (UP_ENDS if up else DOWN_ENDS):
        raise WrongFrame(f"frame: expected an end character after {n} characters of body, got {buffer[end_at]:02X}")
    centre, station = (fields[0], fields[1:6]) if up else (fields[5], fields[0:5])
    body, total, sequence = buffer[_ASCII_HEAD:end_at], 0, 0
    if buffer[23] == SYN:
        count = int(body[:6], 16)
        total, sequence, body = count >> 12, count & 0xFFF, body[6:]
    return Frame(
        up=up,
        centre=centre,
        station=station.hex().upper(),
        password=fields[6:8].hex().upper(),
        function=fields[8],
        body=body,
        end=buffer[end_at],
        ascii=True,
        total=total,
        sequence=sequence,
        size=end_at + 5,
    )


def encode(frame: Frame) -> bytes:
    """A frame in HEX coding, in its direction; `total` > 1 makes it a packet of M3. Raises ValueError for a body that is too long."""
    body, mark = frame.body, STX
    if frame.total > 1:
        body, mark = ((frame.total << 12) | frame.sequence).to_bytes(3) + body, SYN
    if len(body) > BODY_MAX:
        raise ValueError(f"body: expected at most {BODY_MAX} bytes, got {len(body)}")
    station, centre = bytes.fromhex(frame.station), bytes([frame.centre])
    address = centre + station if frame.up else station + centre
    length = len(body) | (0 if frame.up else 0x8000)
    head = (
        START + address + bytes.fromhex(frame.password) + bytes([frame.function]) + length.to_bytes(2) + bytes([mark])
    )
    covered = head + body + bytes([frame.end])
    return covered + crc_modbus(covered).to_bytes(2)


def encode_ascii(frame: Frame) -> bytes:
    """A frame in ASCII coding, one packet; the body is text already."""
    station, centre = frame.station, f"{frame.centre:02X}"
    address = centre + station if frame.up else station + centre
    length = len(frame.body) | (0 if frame.up else 0x8000)
    head = f"{address}{frame.password}{frame.function:02X}{length:04X}".encode("ascii")
    covered = bytes([SOH]) + head + bytes([STX]) + frame.body + bytes([frame.end])
    return covered + b"%04X" % crc_modbus(covered)


def element(identifier: str, value: float, *, digits: int, decimals: int) -> bytes:
    """One BCD element, N(digits, decimals); a negative value has a leading FF, counted in its length. Raises ValueError if it
    does not fit."""
    scaled = round(abs(value) * 10**decimals)
    size = (digits + 1) // 2
    text = f"{scaled:0{2 * size}d}"
    if len(text) > 2 * size:
        raise ValueError(f"{identifier}: {value} does not fit N({digits},{decimals})")
    data = (b"\xff" if value < 0 else b"") + bytes.fromhex(text)
    return bytes.fromhex(identifier) + bytes([(len(data) << 3) | decimals]) + data


def acknowledge(frame: Frame, body: bytes | None = None) -> bytes:
    """EOT to a message (M2): the message's own serial number and time are echoed, so that no clock is set by accident."""
    echoed = frame.body[:16] if frame.ascii else (frame.body if body is None else body)[:8]
    answer = replace(frame, up=False, body=echoed, end=EOT, total=0, sequence=0)
    return encode_ascii(answer) if frame.ascii else encode(answer)


def set_clock(station: str, *, centre: int, password: str, now_us: int) -> bytes:
    """Function 4A, initiated by the centre (serial number 0): the send time is the time to set. Not verified."""
    body = b"\0\0" + bcd_time(now_us, seconds=True)
    return encode(
        Frame(up=False, centre=centre, station=station, password=password, function=SET_CLOCK, body=body, end=ENQ)
    )


def bcd_time(us: int, *, seconds: bool) -> bytes:
    """YYMMDDHHmm[SS] at UTC+8 of microseconds since 1970 UTC."""
    at = datetime.fromtimestamp(us / 1e6, UTC).astimezone(LOCAL)
    return bytes.fromhex(at.strftime("%y%m%d%H%M%S" if seconds else "%y%m%d%H%M"))


def _report(frame: Frame, raw: bytes) -> Report | Refused:
    try:
        serial, sent_us, content = _head(frame)
    except ValueError as error:
        return Refused(raw, (str(error),), frame.station)
    facts: dict[str, Any] = {"centre": f"{frame.centre:02X}", "serial": serial}
    problems: list[str] = []
    groups: list[Group] = []
    category = ""
    if frame.function in DATA:
        reader = _Ascii(content, frame, problems) if frame.ascii else _Elements(content, frame, problems)
        groups, category = reader.read(sent_us)
        facts |= reader.facts
    elif content:
        facts["hex"] = content.hex()[:2048]
    said = Said.HEARTBEAT if frame.function == HEARTBEAT else (Said.DATA if frame.function in DATA else Said.NOTICE)
    whole = not any(problem.startswith(_NOT_KEPT) for problem in problems)
    return Report(
        said=said,
        station=frame.station,
        password=frame.password,
        raw=raw,
        groups=tuple(groups),
        command=f"{frame.function:02X}",
        category=category,
        facts=facts,
        # A heartbeat is not answered; what we do not keep is not acknowledged.
        answer=acknowledge(frame) if said is not Said.HEARTBEAT and whole else None,
        problems=tuple(problems),
    )


_NOT_KEPT = "not kept"


def _head(frame: Frame) -> tuple[int, int | None, bytes]:
    """Serial number, send time and what follows."""
    width = 2 if frame.ascii else 1
    if len(frame.body) < 8 * width:
        raise ValueError(f"body: expected serial number and send time in {8 * width} bytes, got {len(frame.body)}")
    head = frame.body[: 8 * width]
    if frame.ascii:
        try:
            head = bytes.fromhex(head.decode("ascii"))
        except ValueError:
            raise ValueError(f"body: expected serial number and send time in hex digits, got {begins(head)}") from None
    return int.from_bytes(head[:2]), _time_us(head[2:8]), frame.body[8 * width :]


class _Elements:
    """The body's elements in HEX coding."""

    def __init__(self, content: bytes, frame: Frame, problems: list[str]) -> None:
        self._content, self._frame, self._problems = content, frame, problems
        self.facts: dict[str, Any] = {}
        self._groups: dict[int | None, list[Reading]] = {}
        self._time: int | None = None
        self._step_s = 0
        self._category = ""

    def read(self, sent_us: int | None) -> tuple[list[Group], str]:
        """Readings by time, and the station's class. Without an observation time the send time holds."""
        self._time = sent_us
        at = 0
        while at < len(self._content):
            used = self._one(at)
            if used == 0:
                break
            at += used
        return [Group(time, tuple(readings)) for time, readings in self._groups.items()], self._category

    def _one(self, at: int) -> int:
        """Bytes of the element at `at`; 0: the rest cannot be read."""
        content = self._content
        identifier = content[at : at + 1].hex().upper()
        width = 1
        if identifier == "FF":
            identifier, width = content[at : at + 2].hex().upper(), 2
        if len(content) < at + width + 1:
            return self._stop(f"elements: {identifier} ends before its definition")
        code, definition, start = content[at], content[at + width], at + width + 1
        if code == definition and code in (TIME, STATION, MANUAL_TEXT, IMAGE, VELOCITY):
            return self._fixed(code, start, at)
        size, decimals = definition >> 3, definition & 7
        data = content[start : start + size]
        if len(data) < size or size == 0:
            return self._stop(f"{identifier}: {size} bytes declared, {len(data)} there")
        if width == 1 and code == RAIN_BATCH and size == BATCH_SIZE:
            self._batch(identifier, list(data), RAIN_INVALID, 0.1)
        elif width == 1 and code in LEVEL_BATCHES and size == 2 * BATCH_SIZE:
            pairs = [int.from_bytes(data[i : i + 2]) for i in range(0, size, 2)]
            self._batch(identifier, pairs, LEVEL_INVALID, 0.01)
        elif width == 1 and code == STATE:
            self._add(self._time, Reading(identifier, float(int.from_bytes(data))))
        elif width == 1 and code == STEP and size == 3:
            self._step(data)
        elif self._step_s:
            return self._series(identifier, start, size, decimals) + start - at
        else:
            self._add(self._time, self._bcd(identifier, data, decimals))
        return start + size - at

    def _fixed(self, code: int, start: int, at: int) -> int:
        content = self._content
        if code == TIME:
            stamp = content[start : start + 5]
            time_us = _time_us(stamp) if len(stamp) == 5 else None
            if time_us is None:
                self._problems.append(f"F0F0: expected YYMMDDHHmm in BCD, got {stamp.hex()}")
            self._time = time_us
            return start + 5 - at
        if code == STATION:
            told = content[start : start + 5].hex().upper()
            if told != self._frame.station:
                self.facts["station_inside"] = told
            self._category = content[start + 5 : start + 6].hex().upper()
            return start + 6 - at
        rest = content[start:]
        if code == MANUAL_TEXT:
            self.facts["text"] = rest.decode("gb18030", errors="replace")[:1024]
        else:
            self._problems.append(f"{_NOT_KEPT}: {code:02X} holds {len(rest)} bytes, of a kind that is not stored here")
        return len(content) - at

    def _stop(self, problem: str) -> int:
        self._problems.append(problem)
        return 0

    def _step(self, data: bytes) -> None:
        try:
            days, hours, minutes = (int(f"{byte:02x}") for byte in data)
        except ValueError:
            self._problems.append(f"04: expected days, hours, minutes in BCD, got {data.hex()}")
            return
        self._step_s = days * 86_400 + hours * 3_600 + minutes * 60

    def _series(self, identifier: str, start: int, size: int, decimals: int) -> int:
        """Values at equal steps to the end of the body (function 31)."""
        count = (len(self._content) - start) // size
        for n in range(count):
            data = self._content[start + n * size : start + (n + 1) * size]
            self._add(self._later(n * self._step_s), self._bcd(identifier, data, decimals))
        return len(self._content) - start

    def _batch(self, identifier: str, values: list[int], invalid: int, unit: float) -> None:
        for n, value in enumerate(values):
            reading = Reading(identifier, None, 9) if value == invalid else Reading(identifier, round(value * unit, 6))
            self._add(self._later(n * BATCH_STEP_S), reading)

    def _later(self, seconds: int) -> int | None:
        return None if self._time is None else self._time + seconds * 1_000_000

    def _bcd(self, identifier: str, data: bytes, decimals: int) -> Reading:
        digits = data.hex()
        if set(digits) <= {"f"} or set(digits) <= {"a"}:
            return Reading(identifier, None, 9)
        sign = 1.0
        if digits.startswith("ff"):
            sign, digits = -1.0, digits[2:]
        if not digits.isdigit():
            self._problems.append(f"{identifier}: expected BCD digits, got {data.hex()}")
            return Reading(identifier, None, 9)
        return Reading(identifier, sign * int(digits) / 10**decimals)

    def _add(self, time_us: int | None, reading: Reading) -> None:
        self._groups.setdefault(time_us, []).append(reading)


class _Ascii:
    """The body's elements in ASCII coding: `ST station class TT time NAME value ...`."""

    def __init__(self, content: bytes, frame: Frame, problems: list[str]) -> None:
        self._words = content.decode("gb18030", errors="replace").split()
        self._frame, self._problems = frame, problems
        self.facts: dict[str, Any] = {}

    def read(self, sent_us: int | None) -> tuple[list[Group], str]:
        groups: dict[int | None, list[Reading]] = {}
        time_us, category = sent_us, ""
        words = iter(self._words)
        for name in words:
            value = next(words, None)
            if value is None:
                self._problems.append(f"{name[:20]}: expected a value after it")
            elif name == "ST":
                category = next(words, "")
                if value.upper() != self._frame.station:
                    self.facts["station_inside"] = value[:20]
            elif name == "TT":
                time_us = _time_us(bytes.fromhex(value)) if re.fullmatch(r"\d{10}", value, re.ASCII) else None
                if time_us is None:
                    self._problems.append(f"TT: expected YYMMDDHHmm, got {value[:20]!r}")
            else:
                groups.setdefault(time_us, []).append(self._reading(name, value))
        return [Group(time, tuple(readings)) for time, readings in groups.items()], category

    def _reading(self, name: str, value: str) -> Reading:
        identifier = ASCII_NAMES.get(name.upper(), name)
        digits = value.replace(".", "").lstrip("+-")
        if set(digits.upper()) <= {"M"} or set(digits.upper()) <= {"F"}:
            return Reading(identifier, None, 9)
        if not re.fullmatch(r"[+-]?\d+(\.\d*)?", value, re.ASCII):
            self._problems.append(f"{name[:20]}: expected a number, got {value[:20]!r}")
            return Reading(identifier, None, 9)
        return Reading(identifier, float(value))


def _time_us(bcd: bytes) -> int | None:
    """YYMMDDHHmm[SS] in BCD at UTC+8, in microseconds since 1970 UTC; None where it is no time."""
    text = bcd.hex()
    try:
        at = datetime.strptime(f"20{text}" if len(text) == 12 else f"20{text}00", "%Y%m%d%H%M%S").replace(tzinfo=LOCAL)
    except ValueError:
        return None
    return int(at.timestamp()) * 1_000_000


def _start(buffer: bytes) -> int:
    """Where the next frame begins (or may be beginning at the end); the buffer's length if nowhere."""
    found = [match.start() for pattern in (_HEX_START, _ASCII_START) if (match := pattern.search(buffer))]
    return min(found, default=len(buffer))


def _station(raw: bytes) -> str:
    """What the bytes seem to say about who sent them: not to be believed."""
    return raw[3:8].hex().upper() if raw[:2] == START and len(raw) >= 8 else ""
