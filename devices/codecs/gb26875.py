"""GB/T 26875.3-2011: urban fire remote monitoring, from the transmission devices of buildings to the centre and back.

    @@ | serial 2 | version 2 | time 6 | source 6 | destination 6 | length 2 | command 1 | data 0 to 1024 | checksum 1 | ##

The length is of the data alone and decides where a frame ends; `##` may stand inside. Numbers and addresses come low byte
first. A time is second, minute, hour, day, month, year (20xx) in six bytes at UTC+8. The checksum is the low byte of the sum
from the serial number to the end of the data; there are vendors who exclusive-or instead (`checksum="xor"`) or write times as
BCD (`bcd_time`). It lets one in 256 wider corruptions through: both marks and the length have to hold too, and whoever uses
the values has to check the station.

The station is the source address in twelve hex digits, highest byte first: 79 03 00 00 00 00 on the wire is "000000000379".
Data are an identifier of their type, a count, and that many objects, each with a time of its own:

    1   system       "1/TYPE.ADDRESS"                                 sixteen bits of state
    2   component    "2/TYPE.ADDRESS-KIND-COMPONENT"                  sixteen bits of state, and a text in facts["descriptions"]
    3   analogue     "3/TYPE.ADDRESS-KIND-COMPONENT/QUANTITY"         in the unit of `QUANTITIES`
    21  transmitter  "21"                                             eight bits of state

TYPE and ADDRESS are of the fire protection system that the component belongs to (two panels of one type are two addresses),
KIND is of the component and COMPONENT its address as an unsigned number, low byte first, in decimal. A state is a number
here; bit 1 is fire and bit 2 fault in all of them, and each object that has one is a happening besides (`fire_alarm`, `fire_fault`). Types other than these come as
facts in hex.

Every frame of data (command 2) is confirmed: command 3 with its serial number, version and time. A frame of data without any
is what devices send as a heartbeat.

Verified by published frames whose checksums hold (a vendor's examples, and one frame that seems to be a device's in the tests
of an open implementation): the frame, types 2 and 21, the confirmation, setting the clock (type 90; the published copy of the
standard's text prints a zero where the vendor's frame has the time). By bytes in that implementation's tests that agree with
the copy's tables, without a frame around them: types 1 and 3 and the scales of `QUANTITIES` (vendors are known to scale as
they like), and times at UTC+8. By a vendor's description alone: the heartbeat. Not verified at all: `checksum="xor"` and what
it covers, `bcd_time`. The standard itself was not read: confirm against a bought copy before claiming conformance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

from devices.codecs.checksums import byte_sum, xor_sum
from devices.codecs.station import Group, Happening, Reading, Refused, Report, Said, begins

LOCAL = timezone(timedelta(hours=8))
START, END = b"@@", b"##"
HEAD = 27  # bytes from @@ to the command
TAIL = 3  # checksum and ##
DATA_MAX = 1024
TIME = 6
VERSION = 0x0101  # major 1, and a minor that every user defines
HEX_MAX = 2048  # digits of data that facts repeat: all of them

CONTROL, DATA, CONFIRM, REPLY, DENY = 1, 2, 3, 5, 6
SYSTEM, COMPONENT, ANALOGUE, TRANSMITTER, SET_CLOCK = 1, 2, 3, 21, 90
STATES = (SYSTEM, COMPONENT, TRANSMITTER)
HAPPENINGS = (("fire_alarm", 1 << 1), ("fire_fault", 1 << 2))  # by bits of a state

# Quantity of an analogue value -> unit and how many steps make one of it. Others (0, 13 to 255) stay as they come.
QUANTITIES: Mapping[int, tuple[str, int]] = {
    1: ("", 1),  # events
    2: ("m", 100),
    3: ("℃", 10),
    4: ("MPa", 10),
    5: ("kPa", 10),
    6: ("%LEL", 10),
    7: ("s", 1),
    8: ("V", 10),
    9: ("A", 10),
    10: ("L/s", 10),
    11: ("m3/min", 10),
    12: ("m/s", 1),
}

Checksum = Literal["sum", "xor"]
_CHECKSUMS: Mapping[str, tuple[Callable[[bytes], int], str]] = {"sum": (byte_sum, "sum"), "xor": (xor_sum, "XOR")}
_BLANK = b"\r\n\0 "


class WrongFrame(ValueError):
    """Bytes that are no frame of GB/T 26875.3, or data that cannot be read; the text says what was expected."""


class _Incomplete(Exception):
    """The rest may still be coming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame whose marks, length and checksum hold. Addresses in twelve hex digits; `time` as it is on the wire."""

    serial: int
    source: str
    destination: str
    command: int
    time: bytes
    data: bytes = b""
    version: int = VERSION  # first byte high


@dataclass(frozen=True, slots=True)
class _Layout:
    """How an object of one type looks before its time."""

    size: int
    read: Callable[[bytes], Reading]
    description: slice | None = None


class Gb26875Decoder:
    """Frames of one connection, or of one message, from the devices to the centre."""

    name = "gb26875"
    waiting = False  # no message is divided

    def __init__(self, *, checksum: Checksum = "sum", bcd_time: bool = False) -> None:
        if checksum not in _CHECKSUMS:
            raise ValueError(f"checksum: expected sum or xor, got {checksum!r}")
        self._checksum: Checksum = checksum
        self._bcd_time = bcd_time
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Report | Refused]:
        """What the bytes so far complete. At most one frame's length stays waiting."""
        self._buffer += data
        return list(self._pieces(final=False))

    def finish(self) -> list[Report | Refused]:
        """What is left: at most one frame whose end never came, and what stands inside it."""
        return list(self._pieces(final=True))

    def set_clock(self, report: Report, now_us: int) -> bytes:
        """Command 1 of type 90 in the name of the centre that the report was sent to. The serial number is of the second, since
        the centre's numbers need only differ from each other while an answer is waited for."""
        frame = Frame(
            serial=now_us // 1_000_000 & 0xFFFF,
            source=str(report.facts.get("destination", "0" * 12)),
            destination=report.station,
            command=CONTROL,
            time=time_tag(now_us, bcd=self._bcd_time),
            data=bytes([SET_CLOCK, 1]) + time_tag(now_us, bcd=self._bcd_time),
            version=int(str(report.facts.get("version", f"{VERSION:04X}")), 16),
        )
        return encode(frame, checksum=self._checksum)

    def _pieces(self, *, final: bool) -> Iterator[Report | Refused]:
        buffer = self._buffer
        while buffer:
            start = _start(buffer, final=final)
            if buffer[:start].strip(_BLANK):
                garbage = bytes(buffer[:start])
                yield Refused(garbage, (f"frame: expected @@, got {begins(garbage)}",))
            del buffer[:start]
            if not buffer:
                return
            try:
                frame, size = _opened(buffer, self._checksum, final=final)
            except _Incomplete:
                size = _whole_inside(buffer, self._checksum)
                if not size:
                    return
                yield self._refused(
                    size, f"length: {_declared(buffer)} declared, but a whole frame begins before its end"
                )
            except WrongFrame as error:
                size = _next(buffer)
                yield self._refused(size, str(error))
            else:
                yield self._report(frame, bytes(buffer[:size]))
            del buffer[:size]

    def _refused(self, size: int, problem: str) -> Refused:
        raw = bytes(self._buffer[:size])
        return Refused(raw, (f"{problem}; the frame begins {begins(raw)}",), _address(raw[12:18]) if size > 17 else "")

    def _report(self, frame: Frame, raw: bytes) -> Report | Refused:
        facts: dict[str, Any] = {
            "serial": frame.serial,
            "version": f"{frame.version:04X}",
            "destination": frame.destination,
        }
        problems: list[str] = []
        kind = frame.data[0] if frame.data else None
        said = _said(frame)
        groups: tuple[Group, ...] = ()
        happened: tuple[Happening, ...] = ()
        if said is Said.DATA:
            try:
                groups = self._groups(frame.data, facts, problems)
                happened = _happenings(groups, facts.get("descriptions", {})) if frame.data[0] in STATES else ()
            except WrongFrame as error:
                return Refused(raw, (str(error),), frame.source)
        elif kind is not None:
            facts |= {"type": kind, "hex": frame.data.hex()[:HEX_MAX]}
        return Report(
            said=said,
            station=frame.source,
            raw=raw,
            groups=groups,
            happened=happened,
            crc_alternative=self._checksum != "sum",
            command=f"{frame.command}" if kind is None else f"{frame.command}/{kind}",
            facts=facts,
            answer=encode(confirmation(frame), checksum=self._checksum) if frame.command == DATA else None,
            problems=tuple(problems),
        )

    def _groups(self, data: bytes, facts: dict[str, Any], problems: list[str]) -> tuple[Group, ...]:
        """Objects by their time. Raises WrongFrame if there is none: what is not kept is not confirmed."""
        layout = _LAYOUTS[data[0]]
        facts["type"] = data[0]
        by_time: dict[int | None, list[Reading]] = {}
        descriptions: dict[str, str] = {}
        for item in _objects(data, layout.size + TIME, problems):
            reading = layout.read(item)
            at = time_us(item[layout.size :], bcd=self._bcd_time)
            if at is None:
                form = "BCD" if self._bcd_time else "binary"
                problems.append(f"{reading.name}: expected a time ({form} s m h D M Y), got {item[-TIME:].hex()}")
            by_time.setdefault(at, []).append(reading)
            if layout.description is not None and (text := _text(item[layout.description])):
                descriptions[reading.name] = text
        if not by_time:
            raise WrongFrame("; ".join(["data: expected at least one object, got none", *problems]))
        if descriptions:
            facts["descriptions"] = descriptions
        return tuple(Group(at, tuple(readings)) for at, readings in by_time.items())


def open_frame(raw: bytes, *, checksum: Checksum = "sum") -> Frame:
    """The frame that `raw` is, in either direction. Raises WrongFrame."""
    frame, size = _opened(raw, checksum, final=True)
    if size != len(raw):
        raise WrongFrame(f"frame: expected nothing behind ##, got {begins(bytes(raw[size:]))}")
    return frame


def encode(frame: Frame, *, checksum: Checksum = "sum") -> bytes:
    """The frame in bytes. Raises ValueError for data that are too long and for addresses and times of another size."""
    source, destination = bytes.fromhex(frame.source)[::-1], bytes.fromhex(frame.destination)[::-1]
    for name, field, size in (("source", source, 6), ("destination", destination, 6), ("time", frame.time, TIME)):
        if len(field) != size:
            raise ValueError(f"{name}: expected {size} bytes, got {len(field)}")
    if len(frame.data) > DATA_MAX:
        raise ValueError(f"data: expected at most {DATA_MAX} bytes, got {len(frame.data)}")
    covered = frame.serial.to_bytes(2, "little") + frame.version.to_bytes(2) + frame.time + source + destination
    covered += len(frame.data).to_bytes(2, "little") + bytes([frame.command]) + frame.data
    compute, _ = _CHECKSUMS[checksum]
    return START + covered + bytes([compute(covered)]) + END


def confirmation(frame: Frame) -> Frame:
    """Command 3 to a frame of data. It carries that frame's own time, so that no clock is set by accident."""
    return replace(frame, command=CONFIRM, source=frame.destination, destination=frame.source, data=b"")


def time_tag(us: int, *, bcd: bool = False) -> bytes:
    """Second, minute, hour, day, month, year at UTC+8 of microseconds since 1970 UTC."""
    at = datetime.fromtimestamp(us / 1e6, UTC).astimezone(LOCAL)
    fields = (at.second, at.minute, at.hour, at.day, at.month, at.year % 100)
    return bytes(value // 10 << 4 | value % 10 for value in fields) if bcd else bytes(fields)


def time_us(tag: bytes, *, bcd: bool = False) -> int | None:
    """The reverse of `time_tag`; None where it is no time."""
    if bcd and not tag.hex().isdecimal():
        return None
    second, minute, hour, day, month, year = (int(f"{byte:02x}") for byte in tag) if bcd else tag
    try:
        at = datetime(2000 + year, month, day, hour, minute, second, tzinfo=LOCAL)
    except ValueError:
        return None
    return int(at.timestamp()) * 1_000_000 if year < 100 else None


def _opened(buffer: bytes | bytearray, checksum: Checksum, *, final: bool) -> tuple[Frame, int]:
    """The frame at the beginning and its size. Raises WrongFrame and, unless `final`, _Incomplete."""
    if buffer[:2] != START[: len(buffer)]:
        raise WrongFrame(f"frame: expected @@, got {begins(bytes(buffer[:2]))}")
    if len(buffer) < HEAD:
        raise WrongFrame(f"frame: expected at least {HEAD + TAIL} bytes, got {len(buffer)}") if final else _Incomplete
    declared = _declared(buffer)
    if declared > DATA_MAX:
        raise WrongFrame(f"length: expected at most {DATA_MAX}, got {declared}")
    size = HEAD + declared + TAIL
    if len(buffer) < size:
        told = f"length: {declared} declared makes a frame of {size} bytes, but only {len(buffer)} came"
        raise WrongFrame(told) if final else _Incomplete
    raw = bytes(buffer[:size])
    if raw[-2:] != END:
        raise WrongFrame(f"frame: expected ## behind {declared} bytes of data, got {raw[-2:].hex().upper()}")
    if problem := _checksum_problem(raw, checksum):
        raise WrongFrame(problem)
    frame = Frame(
        serial=int.from_bytes(raw[2:4], "little"),
        version=int.from_bytes(raw[4:6]),
        time=raw[6:12],
        source=_address(raw[12:18]),
        destination=_address(raw[18:24]),
        command=raw[26],
        data=raw[HEAD:-TAIL],
    )
    return frame, size


def _checksum_problem(raw: bytes, checksum: Checksum) -> str:
    """ "" if it holds. Where only the other algorithm holds, that is worth a hint: the device is set up otherwise."""
    covered, told = raw[2:-TAIL], raw[-TAIL]
    compute, what = _CHECKSUMS[checksum]
    right = compute(covered)
    if told == right:
        return ""
    other, name = _CHECKSUMS["xor" if checksum == "sum" else "sum"]
    hint = f", which is the {name}" if told == other(covered) else ""
    return f"checksum: expected {right:02X} ({what}), got {told:02X}{hint}"


def _declared(buffer: bytes | bytearray, at: int = 0) -> int:
    return int.from_bytes(buffer[at + 24 : at + 26], "little")


def _start(buffer: bytearray, *, final: bool) -> int:
    """Where the next @@ begins, or may be beginning with the last byte."""
    at = buffer.find(START)
    if at >= 0:
        return at
    return len(buffer) - 1 if buffer.endswith(b"@") and not final else len(buffer)


def _next(buffer: bytearray) -> int:
    """Where a frame may begin inside or behind a damaged one: at an @@ that nothing known speaks against yet."""
    at = 0
    while (at := buffer.find(START, at + 1)) >= 0:
        if _possible(buffer, at):
            return at
    return len(buffer) - 1 if len(buffer) > 1 and buffer.endswith(b"@") else len(buffer)


def _possible(buffer: bytearray, at: int) -> bool:
    if len(buffer) - at < HEAD:
        return True
    end = at + HEAD + _declared(buffer, at) + 1
    return end - at <= HEAD + DATA_MAX + 1 and (len(buffer) < end + 2 or buffer[end : end + 2] == END)


def _whole_inside(buffer: bytearray, checksum: Checksum) -> int:
    """Where a whole frame begins inside one that is still incomplete, 0 if nowhere. Then the outer length is damaged: to wait
    for as many bytes as it claims would hold back the frames behind it, a fire alarm among them."""
    at = 0
    while (at := buffer.find(START, at + 1)) >= 0:
        if len(buffer) - at < HEAD + TAIL or not _possible(buffer, at):
            continue
        end = at + HEAD + _declared(buffer, at) + TAIL
        if end <= len(buffer) and not _checksum_problem(bytes(buffer[at:end]), checksum):
            return at
    return 0


def _happenings(groups: tuple[Group, ...], descriptions: Mapping[str, str]) -> tuple[Happening, ...]:
    """Each object whose state has a bit of HAPPENINGS, in the order of the frame."""
    return tuple(
        Happening(type=what, name=reading.name, time_us=group.time_us, text=descriptions.get(reading.name, ""))
        for group in groups
        for reading in group.readings
        for what, bit in HAPPENINGS
        if int(reading.value or 0) & bit
    )


def _said(frame: Frame) -> Said:
    if frame.command in (CONFIRM, REPLY, DENY):
        return Said.ANSWER
    if frame.command != DATA:
        return Said.NOTICE
    if not frame.data:
        return Said.HEARTBEAT
    return Said.DATA if frame.data[0] in _LAYOUTS else Said.NOTICE


def _objects(data: bytes, size: int, problems: list[str]) -> Iterator[bytes]:
    """As many whole objects as the count says and as there are."""
    declared = data[1] if len(data) > 1 else 0
    content = data[2:]
    came, rest = divmod(len(content), size)
    if came != declared or rest:
        over = f" and {rest} bytes" if rest else ""
        problems.append(f"data: expected {declared} objects of {size} bytes, got {came}{over}")
    for n in range(min(came, declared)):
        yield content[n * size : (n + 1) * size]


def _system(item: bytes) -> Reading:
    return Reading(f"1/{item[0]}.{item[1]}", float(int.from_bytes(item[2:4], "little")))


def _component(item: bytes) -> Reading:
    return Reading(f"2/{_part(item)}", float(int.from_bytes(item[7:9], "little")))


def _analogue(item: bytes) -> Reading:
    unit, steps = QUANTITIES.get(item[7], ("", 1))
    value = int.from_bytes(item[8:10], "little", signed=True) / steps
    return Reading(f"3/{_part(item)}/{item[7]}", value, unit=unit)


def _transmitter(item: bytes) -> Reading:
    return Reading("21", float(item[0]))


def _part(item: bytes) -> str:
    """System type and address, component kind and address."""
    return f"{item[0]}.{item[1]}-{item[2]}-{int.from_bytes(item[3:7], 'little')}"


def _address(wire: bytes) -> str:
    return wire[::-1].hex().upper()


def _text(data: bytes) -> str:
    """GB 18030; the zeros and blanks that fill a field are not part of it."""
    return data.decode("gb18030", errors="replace").strip("\0 ")


_LAYOUTS: Mapping[int, _Layout] = {
    SYSTEM: _Layout(4, _system),
    COMPONENT: _Layout(40, _component, slice(9, 40)),
    ANALOGUE: _Layout(10, _analogue),
    TRANSMITTER: _Layout(1, _transmitter),
}
