"""HJ 212 (2005, 2017, 2025): data transmission of pollution-source and ambient air monitors, both directions.

    ##LLLL<data segment>CCCC\\r\\n       data segment = QN=..;ST=..;CN=..;PW=..;MN=..;Flag=..;[PNUM;PNO;][RF=1;]CP=&&..&&

Length (four decimal digits) and checksum (four hex digits, `checksums.crc_hj212`) are of the data segment alone. Times are
UTC+8. `DataTime` is the instant of a sample (CN 2011, 2021) or the START of a period (CN 2031, 2041, 2051, 2061): what comes
out of here is the period's END. Where a factor has a `SampleTime`, its readings have that time.

A reading is named `CN/factor-Suffix` ("2061/a34004-Avg"), so that instant, minute and hour values never share a name. The old
three-digit codes and the private names that stations in the field use get the code of the standard (`FACTORS`).

The checksum lets one in 256 wider corruptions through (see `checksums`). So a frame also has to hold in length and grammar,
and whoever uses its values has to check the station and the physical range.

Sources: HJ 212-2017 with Annexes A to C; HJ 212-2025 by its published summaries and open implementations, not read from the
standard itself (`RF`, SM4, version bits, CN 2052, 2062, 2111, 9015): confirm against a bought copy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from devices.codecs.checksums import crc_hj212, crc_modbus
from devices.codecs.station import Group, Reading, Refused, Report, Said, begins

LOCAL = timezone(timedelta(hours=8))
HEAD = 6  # "##" and the length
TAIL = 4  # the checksum
LENGTH_MAX = 4096  # the standard says 1,024; multi-factor VOC stations send more
LENGTH_SLACK = 2  # stations that count \r\n into the length, or leave it out where they should not
GROUP_CAP = 64  # times in one frame: a `SampleTime` for each factor at most
DAY_S, HOUR_S = 86_400, 3_600

# Period of the aggregates by command number, in seconds; the one of 2051 is the station's own setting (MinInterval).
PERIOD_S: Mapping[str, int | None] = {"2031": DAY_S, "2041": DAY_S, "2051": None, "2061": HOUR_S}
DATA = frozenset({"2011", "2013", "2021", "2031", "2041", "2051", "2052", "2061", "2062", "2111", "3015"})
ANSWERS = frozenset({"9011", "9012", "9013", "9014"})
HEARTBEAT, CLOCK_REQUEST, SET_CLOCK = "9015", "1013", "1012"
NOTICE_ANSWER, DATA_ANSWER = "9013", "9014"
SYSTEM = "91"  # ST of what the host answers

# The station's judgement of a value -> QARTOD. None of them takes a dangerous value away (design.md section 2).
FLAGS: Mapping[str, int] = {"N": 1, "S": 3, "M": 3, "C": 3, "T": 3, "F": 4, "D": 4, "B": 4}
OVER_RANGE = "T"

# Codes before HJ 212-2017 and names of the field -> code of HJ 212-2017 Annex B.
FACTORS: Mapping[str, str] = {
    "B01": "w00000",
    "001": "w01001",
    "011": "w01018",
    "01018": "w01018",  # a misprint of the standard's Annex C, copied by stations
    "060": "w21003",
    "065": "w21001",
    "101": "w21011",
    "PM25": "a34004",
    "PM10": "a34002",
    "TSP": "a34001",
    "TEM": "a01001",
    "RH": "a01002",
    "WS": "a01007",
    "WD": "a01008",
    "O3": "a05024",
    "NOIS": "LA",
}

_FIELD = re.compile(r"([A-Za-z0-9_]{1,32})(?:-([A-Za-z0-9]{1,16}))?=(.*)", re.DOTALL)
_HEADER = re.compile(r"(QN|ST|CN|PW|MN|Flag|PNUM|PNO|RF)=(.*)", re.DOTALL)
_START = re.compile(rb"##\d{4}|##\d{0,3}\Z|#\Z")
_END = re.compile(rb"&&([0-9A-Fa-f]{4})\r\n")
_CHECKSUM = re.compile(rb"[0-9A-Fa-f]{4}")
_MISSING = frozenset({"", "-", "--", "NA", "NAN", "NULL", "NONE"})
_MN = re.compile(rb"MN=([^;&]{1,64})")

KeyOf = Callable[[str], bytes | None]  # station -> its SM4 key, or None


def _no_key(_: str) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A data segment, taken apart. `cp` is the text between the two `&&`."""

    mn: str
    st: str
    cn: str
    qn: str = ""
    pw: str = ""
    flag: int | None = None
    pnum: int | None = None
    pno: int | None = None
    backfill: bool = False
    cp: str = ""

    @property
    def wants_answer(self) -> bool:
        """Bit A of Flag; a station of 2005 without Flag waits for nothing."""
        return self.flag is not None and bool(self.flag & 1)


class Hj212Decoder:
    """Frames of one connection, or of one message. `min_interval_s`: period of the minute data (CN 2051)."""

    name = "hj212"
    waiting = False  # each packet of a divided frame says what it says by itself

    def __init__(self, *, min_interval_s: int = 600, key_of: KeyOf = _no_key) -> None:
        self._buffer = b""
        self._min_interval_s, self._key_of = min_interval_s, key_of
        self._split_time: tuple[str, str, int] | None = None  # (MN, QN, DataTime) of packet 1 of a divided frame

    def feed(self, data: bytes) -> list[Report | Refused]:
        """What the bytes so far complete. At most one frame's length stays waiting."""
        self._buffer += data
        return list(self._pieces(final=False))

    def finish(self) -> list[Report | Refused]:
        """What is left: at most one frame whose end never came."""
        pieces = list(self._pieces(final=True))
        rest, self._buffer = self._buffer, b""
        return pieces if not rest.strip(b"\r\n") else [*pieces, Refused(rest, (f"frame: ended after {begins(rest)}",))]

    def set_clock(self, report: Report, now_us: int) -> bytes:
        """CN 1012 in local time, answer wanted."""
        return set_clock(report.station, st=report.category, password=report.password or "", now_us=now_us)

    def _pieces(self, *, final: bool) -> Iterator[Report | Refused]:
        while True:
            yield from self._skip()
            if len(self._buffer) < HEAD:
                return
            piece, used = self._first(final=final)
            if piece is None:
                return
            self._buffer = self._buffer[used:]
            yield piece

    def _skip(self) -> Iterator[Refused]:
        """Whatever stands before the next `##` and four digits."""
        start = _frame_start(self._buffer)
        garbage, self._buffer = self._buffer[:start], self._buffer[start:]
        if garbage.strip(b"\r\n \0"):
            yield Refused(garbage, (f"frame: expected ## and four digits of length, got {begins(garbage)}",))

    def _first(self, *, final: bool) -> tuple[Report | Refused | None, int]:
        """The piece at the buffer's start and its size in bytes; None: the rest of it may still be coming."""
        buffer = self._buffer
        declared = int(buffer[2:HEAD])
        if declared > LENGTH_MAX:
            return self._bad(buffer, 2, f"length: expected at most {LENGTH_MAX}, got {declared}")
        for length in (declared, declared - LENGTH_SLACK, declared + LENGTH_SLACK):
            opened = self._opened(buffer, length)
            if opened is not None:
                segment, alternative = opened
                used = HEAD + length + TAIL
                return self._read(segment, buffer[:used], alternative=alternative), used
        inner = _frame_start(buffer[2:]) + 2  # a frame that begins inside this one is not thrown away with it
        end = _END.search(buffer, HEAD, inner)
        found = None if end is None else end.start() + 2 - HEAD
        elsewhere = end is not None and found is not None and abs(found - declared) > LENGTH_SLACK
        # The frame visibly ends elsewhere: a wrong length must not swallow the frames behind it. (In a cipher text the
        # pattern may stand by chance: there the length alone decides.)
        if end is not None and elsewhere and self._key_of(_station(buffer[: end.end()])) is None:
            return self._bad(buffer, end.end(), f"length: {declared} declared, the data segment has {found} bytes")
        if not final and len(buffer) < HEAD + declared + LENGTH_SLACK + TAIL:
            return None, 0
        end_at = HEAD + declared + TAIL
        if len(buffer) < end_at:
            problem = f"length: {declared} declared makes a frame of {end_at} bytes, but only {len(buffer)} came"
        else:
            right = crc_hj212(buffer[HEAD : HEAD + declared])
            told = begins(buffer[HEAD + declared : end_at])
            problem = f"checksum: expected {right:04X} (HJ 212, not MODBUS), got {told}"
        return self._bad(buffer, min(inner, end_at, len(buffer)), problem)

    def _opened(self, buffer: bytes, length: int) -> tuple[bytes, bool] | None:
        """The segment in clear if its checksum holds at this length, and whether it is the alternative one."""
        if length < 0 or len(buffer) < HEAD + length + TAIL:
            return None
        told = buffer[HEAD + length : HEAD + length + TAIL]
        if _CHECKSUM.fullmatch(told) is None:
            return None
        segment, expected = buffer[HEAD : HEAD + length], int(told, 16)
        if expected == crc_hj212(segment):
            return segment, False
        if expected == crc_modbus(segment):
            return segment, True
        key = self._key_of(_station(segment))
        if key is not None:
            clear = decrypt(segment, key)
            if expected == crc_hj212(clear):
                return clear, False
        return None

    @staticmethod
    def _bad(buffer: bytes, used: int, problem: str) -> tuple[Refused, int]:
        raw = buffer[:used]
        return Refused(raw, (f"{problem}; the frame begins {begins(raw)}",), _station(raw)), used

    def _read(self, segment: bytes, raw: bytes, *, alternative: bool) -> Report | Refused:
        try:
            frame = parse_segment(segment)
        except ValueError as error:
            return Refused(raw, (str(error),), _station(segment))
        return self._report(frame, raw, alternative=alternative)

    def _report(self, frame: Frame, raw: bytes, *, alternative: bool) -> Report:
        said = _said(frame.cn)
        groups: tuple[Group, ...] = ()
        facts: dict[str, Any] = {}
        problems: list[str] = []
        if said is Said.DATA:
            groups, problems = self._groups(frame)
        elif frame.cp:
            facts = dict(_pairs(frame.cp, problems))
        return Report(
            said=said,
            station=frame.mn,
            password=frame.pw,
            raw=raw,
            groups=groups,
            backfill=frame.backfill,
            crc_alternative=alternative,
            command=frame.cn,
            category=frame.st,
            facts=facts,
            answer=_answer(frame, said),
            problems=tuple(problems),
        )

    def _groups(self, frame: Frame) -> tuple[tuple[Group, ...], list[str]]:
        problems: list[str] = []
        pairs = list(_pairs(frame.cp, problems))
        data_time = next((value for key, value in pairs if key == "DataTime"), None)
        time_us = self._time(frame, data_time, problems)
        flags = {key.removesuffix("-Flag"): value for key, value in pairs if key.endswith("-Flag")}
        own = {key.removesuffix("-SampleTime"): value for key, value in pairs if key.endswith("-SampleTime")}
        by_time: dict[int | None, list[Reading]] = {}
        for key, text in pairs:
            factor, _, suffix = key.partition("-")
            if key == "DataTime" or suffix in ("Flag", "SampleTime"):
                continue
            at = _local_us(own[factor], f"{factor}-SampleTime", problems) if factor in own else None
            if len(by_time) < GROUP_CAP or time_us in by_time:
                by_time.setdefault(time_us if at is None else at, []).append(
                    _reading(frame.cn, key, text, flags.get(factor))
                )
        return tuple(Group(at, tuple(readings)) for at, readings in by_time.items()), problems

    def _time(self, frame: Frame, data_time: str | None, problems: list[str]) -> int | None:
        """The instant, or the period's end. Later packets of a divided frame have the first one's time."""
        if data_time is None:
            known = self._split_time
            same = known is not None and known[:2] == (frame.mn, frame.qn) and (frame.pno or 1) > 1
            return known[2] if known is not None and same else None
        start_us = _local_us(data_time, "DataTime", problems)
        if start_us is None:
            return None
        time_us = start_us + 1_000_000 * self._period_s(frame.cn)
        if (frame.pnum or 1) > 1:
            self._split_time = (frame.mn, frame.qn, time_us)
        return time_us

    def _period_s(self, cn: str) -> int:
        return (PERIOD_S[cn] or self._min_interval_s) if cn in PERIOD_S else 0


def parse_segment(segment: bytes) -> Frame:
    """A data segment in clear. Raises ValueError that names the field."""
    text = segment.decode("gb18030", errors="replace")  # ASCII but for descriptions in Info fields
    head, mark, rest = text.partition("CP=&&")
    if not mark or not rest.endswith("&&"):
        raise ValueError(f"data segment: expected ...;CP=&&...&&, got {text[:60]!r}")
    fields: dict[str, str] = {}
    for item in head.rstrip(";").split(";"):
        found = _HEADER.fullmatch(item.strip())
        if found is None:
            raise ValueError(
                f"data segment: expected QN, ST, CN, PW, MN, Flag, PNUM, PNO or RF = value, got {item[:60]!r}"
            )
        if found[1] in fields:
            raise ValueError(f"{found[1]}: is there twice")
        fields[found[1]] = found[2].strip()
    missing = [name for name in ("ST", "CN", "MN") if not fields.get(name)]
    if missing:
        raise ValueError(f"data segment: {', '.join(missing)} missing")
    for name, pattern in (("ST", r"\d{2}"), ("CN", r"\d{4}"), ("MN", r"[A-Za-z0-9_-]{1,64}")):
        if not re.fullmatch(pattern, fields[name], re.ASCII):
            raise ValueError(f"{name}: expected {pattern}, got {fields[name][:60]!r}")
    return Frame(
        mn=fields["MN"],
        st=fields["ST"],
        cn=fields["CN"],
        qn=fields.get("QN", ""),
        pw=fields.get("PW", ""),
        flag=_integer(fields, "Flag", 255),
        pnum=_integer(fields, "PNUM", 9999),
        pno=_integer(fields, "PNO", 9999),
        backfill=fields.get("RF") == "1",
        cp=rest[:-2],
    )


def encode(frame: Frame, *, key: bytes | None = None) -> bytes:
    """The frame in bytes, `\\r\\n` included; with `key` the data area is SM4-encrypted. Raises ValueError if it is too long."""
    fields = [("QN", frame.qn), ("ST", frame.st), ("CN", frame.cn), ("PW", frame.pw), ("MN", frame.mn)]
    fields.append(("Flag", "" if frame.flag is None else str(frame.flag)))
    fields += [("PNUM", str(frame.pnum or "")), ("PNO", str(frame.pno or "")), ("RF", "1" if frame.backfill else "")]
    head = ";".join(f"{name}={value}" for name, value in fields if value)
    segment = f"{head};CP=&&{frame.cp}&&".encode("gb18030")
    if len(segment) > LENGTH_MAX:
        raise ValueError(f"data segment: expected at most {LENGTH_MAX} bytes, got {len(segment)}")
    checksum = crc_hj212(segment)  # of the clear text, before it is encrypted
    if key is not None:
        segment = encrypt(segment, key)
    return b"##%04d%s%04X\r\n" % (len(segment), segment, checksum)


def set_clock(mn: str, *, st: str, password: str, now_us: int) -> bytes:
    """CN 1012 with the local time (`now_us`: microseconds since 1970 UTC), answer wanted."""
    now = datetime.fromtimestamp(now_us / 1e6, UTC).astimezone(LOCAL)
    stamp = now.strftime("%Y%m%d%H%M%S")
    qn = f"{stamp}{now.microsecond // 1000:03d}"
    return encode(Frame(qn=qn, st=st, cn=SET_CLOCK, pw=password, mn=mn, flag=5, cp=f"SystemTime={stamp}"))


def encrypt(segment: bytes, key: bytes) -> bytes:
    """SM4-ECB over the whole 16-byte groups between `CP=&&` and `&&`; a shorter rest stays clear (HJ 212-2025)."""
    return _sm4(segment, key, encrypting=True)


def decrypt(segment: bytes, key: bytes) -> bytes:
    """The reverse of `encrypt`. Without a data area the segment comes back as it is."""
    return _sm4(segment, key, encrypting=False)


def _sm4(segment: bytes, key: bytes, *, encrypting: bool) -> bytes:
    start = segment.find(b"CP=&&") + 5
    if start < 5 or not segment.endswith(b"&&") or start > len(segment) - 2:
        return segment
    area = segment[start:-2]
    whole = len(area) - len(area) % 16
    # ECB is what the standard prescribes: a weak mode that hides neither repetition nor order.
    cipher = Cipher(SM4(key), modes.ECB())
    context = cipher.encryptor() if encrypting else cipher.decryptor()
    return segment[:start] + context.update(area[:whole]) + context.finalize() + area[whole:] + segment[-2:]


def _frame_start(buffer: bytes) -> int:
    """Where the next `##` with four digits begins (or may be beginning at the end); the buffer's length if nowhere."""
    found = _START.search(buffer)
    return len(buffer) if found is None else found.start()


def _station(raw: bytes) -> str:
    found = _MN.search(raw)
    return found[1].decode("ascii", errors="replace") if found else ""


def _said(cn: str) -> Said:
    if cn in DATA:
        return Said.DATA
    if cn == HEARTBEAT:
        return Said.HEARTBEAT
    if cn == CLOCK_REQUEST:
        return Said.CLOCK_REQUEST
    return Said.ANSWER if cn in ANSWERS else Said.NOTICE


def _answer(frame: Frame, said: Said) -> bytes | None:
    """9014 for data, 9013 for a notice, echoing QN; nothing for an answer (two hosts would answer each other for ever)."""
    if not frame.wants_answer or said is Said.ANSWER:
        return None
    cn = DATA_ANSWER if said in (Said.DATA, Said.HEARTBEAT) else NOTICE_ANSWER
    version = (frame.flag or 0) & ~3  # bits V; the answer is neither divided nor to be answered
    return encode(Frame(qn=frame.qn, st=SYSTEM, cn=cn, pw=frame.pw, mn=frame.mn, flag=version))


def _pairs(cp: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    """`key=value` of the data area with the standard's factor codes. A field that is none is named and left out."""
    for group in cp.split(";"):
        for item in group.split(","):
            text = item.strip()
            if not text:
                continue
            found = _FIELD.fullmatch(text)
            if found is None:
                problems.append(f"CP: expected factor-Suffix=value, got {text[:60]!r}")
                continue
            factor = FACTORS.get(found[1], found[1])
            yield (f"{factor}-{found[2]}" if found[2] else factor), found[3].strip()


def _reading(cn: str, key: str, text: str, flag: str | None) -> Reading:
    quality = None if flag is None else FLAGS.get(flag, 3)
    name = f"{cn}/{key}"
    if text.upper() in _MISSING:
        over = flag == OVER_RANGE
        return Reading(name, None, quality if over else 9, over=over)
    value: float | str
    try:
        value = float(text)
    except ValueError:
        value = text
    else:
        if not math.isfinite(value):
            value = text
    return Reading(name, value, quality, over=flag == OVER_RANGE)


def _local_us(text: str, where: str, problems: list[str]) -> int | None:
    """`YYYYMMDDhhmmss[zzz]` at UTC+8 in microseconds; None and a problem where it is no time."""
    digits = re.fullmatch(r"(\d{14})(\d{3})?", text, re.ASCII)
    try:
        at = datetime.strptime(digits[1] if digits else "", "%Y%m%d%H%M%S").replace(tzinfo=LOCAL)
    except ValueError:
        problems.append(f"{where}: expected YYYYMMDDhhmmss, got {text[:30]!r}")
        return None
    return int(at.timestamp()) * 1_000_000 + int(text[14:] or 0) * 1000


def _integer(fields: Mapping[str, str], name: str, most: int) -> int | None:
    text = fields.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or int(text) > most:
        raise ValueError(f"{name}: expected an integer from 0 to {most}, got {text[:30]!r}")
    return int(text)
