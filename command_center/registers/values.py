"""What people write into a cell, read as what the field means: pure, and every refusal says what was expected in both languages.

Values come from web forms and from spreadsheets, where a telephone number is a float, a date is a serial number and 是 is a
boolean. What is stored is plain JSON: text, numbers, booleans, `2026-05-01`, lists of these, rows of them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import msgspec

from command_center.registers.targets import Field
from gis.areas import level_of

CITY_ZONE = timezone(timedelta(hours=8))
MAX_TEXT, MAX_LONG_TEXT, MAX_ROWS, MAX_REFS = 200, 4_000, 500, 200
ECHO_CHARS = 60
BLANK = frozenset({"", "-", "--", "/", "—", "——"})  # what clerks write where there is nothing
_SEPARATORS = re.compile(r"[、,，;；\n|]+")
_YES = frozenset({"是", "有", "真", "true", "yes", "y", "1", "√", "✓"})
_NO = frozenset({"否", "无", "没有", "假", "false", "no", "n", "0", "×", "x"})
_MOBILE = re.compile(r"1[3-9]\d{9}")
_LANDLINE = re.compile(r"0\d{2,3}\d{7,8}\d{0,6}")
_SERVICE = re.compile(r"[1-9]\d{2,5}|[48]00\d{7}|\d{7,8}")  # 119, 12345, 400 numbers, local numbers
_EXCEL_EPOCH = date(1899, 12, 30)


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """A value that cannot be taken. `key` is the field's, `tanks[2].un_number` inside rows."""

    key: str
    value: str
    zh: str
    en: str


class BadValue(ValueError):
    """Said by a reader; `read_values` adds where and what."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


def echo(value: object) -> str:
    text = str(value)
    return text if len(text) <= ECHO_CHARS else text[: ECHO_CHARS - 1] + "…"


def tidy(raw: object) -> str:
    """Text without surrounding space, full-width digits and letters made half-width; numbers as people write them."""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    whole = str(raw).encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    return unicodedata.normalize("NFKC", whole).replace("\x00", "").strip()


def is_blank(raw: object) -> bool:
    return raw is None or (isinstance(raw, str) and raw.strip() in BLANK) or raw in ([], {})


def read_values(
    fields: Sequence[Field], raw: Mapping[str, Any], *, formats: Mapping[str, str] | None = None, at: str = ""
) -> tuple[dict[str, Any], list[Wrong]]:
    """The values that could be read, and what is wrong. Blank cells are left out; reading what was read changes nothing.

    `formats` names the check of a text by key (`tanks.cas` inside rows), see `FORMATS`.
    """
    known = {f.key: f for f in fields}
    values: dict[str, Any] = {}
    wrong = [
        Wrong(key=at + k, value=echo(v), zh="没有这个字段", en=f"no such field; known: {', '.join(known)}")
        for k, v in raw.items()
        if k not in known and not is_blank(v)
    ]
    for field in fields:
        cell = raw.get(field.key)
        try:
            value = _read(field, cell, formats or {}, at, wrong)
        except BadValue as bad:
            wrong.append(
                Wrong(key=at + field.key, value=echo(cell), zh=f"{field.zh}：{bad.zh}", en=f"{field.en}: {bad.en}")
            )
            continue
        if value not in (None, "", []):
            values[field.key] = value
        elif field.required:
            wrong.append(Wrong(key=at + field.key, value="", zh=f"{field.zh}必填", en=f"{field.en} is required"))
    return values, wrong


def _read(field: Field, cell: object, formats: Mapping[str, str], at: str, wrong: list[Wrong]) -> Any:
    """The value of one cell, None for a blank one. Raises BadValue."""
    if is_blank(cell) or (field.type == "phone" and tidy(cell) in _NO):
        return None
    if field.type == "rows":
        return _rows(field, cell, formats, at, wrong)
    value = READERS[field.type](field, cell)
    _check_format(formats.get(_plain_key(at + field.key), ""), value)
    return value


def _plain_key(key: str) -> str:
    return re.sub(r"\[\d+\]", "", key)


def _rows(field: Field, raw: object, formats: Mapping[str, str], at: str, wrong: list[Wrong]) -> list[dict[str, Any]]:
    if not isinstance(raw, list | tuple) or not all(isinstance(row, Mapping) for row in raw):
        raise BadValue("应为若干行", "expected a list of rows")
    if len(raw) > MAX_ROWS:
        raise BadValue(f"最多 {MAX_ROWS} 行", f"at most {MAX_ROWS} rows")
    found = []
    for n, row in enumerate(raw, start=1):
        values, faults = read_values(field.fields, row, formats=formats, at=f"{at}{field.key}[{n}].")
        wrong += faults
        found.append(values)
    return found


def _text(field: Field, raw: object) -> str:
    if isinstance(raw, list | tuple | Mapping | bool):
        raise BadValue("应为文字", "expected text")
    text = tidy(raw)
    if not text.isprintable() and not (field.type == "long_text" and text.replace("\n", "").isprintable()):
        text = "".join(c for c in text if c.isprintable() or (c == "\n" and field.type == "long_text"))
    most = MAX_LONG_TEXT if field.type == "long_text" else MAX_TEXT
    if len(text) > most:
        raise BadValue(f"最多 {most} 字", f"at most {most} characters")
    return text


def _number(field: Field, raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise BadValue("应为数字", "expected a number")
    text = tidy(raw)
    uom = unicodedata.normalize("NFKC", field.uom)
    if uom and text.lower().endswith(uom.lower()):
        text = text[: -len(uom)].strip()
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    try:
        value = float(text)
    except ValueError:
        raise BadValue("应为数字", "expected a number") from None
    if not math.isfinite(value):
        raise BadValue("应为有限的数", "expected a finite number")
    if field.minimum is not None and value < field.minimum:
        raise BadValue(
            f"不得小于 {field.minimum:g} {field.uom}".strip(), f"at least {field.minimum:g} {field.uom}".strip()
        )
    if field.maximum is not None and value > field.maximum:
        raise BadValue(
            f"不得大于 {field.maximum:g} {field.uom}".strip(), f"at most {field.maximum:g} {field.uom}".strip()
        )
    return value


def _integer(field: Field, raw: object) -> int:
    value = _number(field, raw)
    if not value.is_integer():
        raise BadValue("应为整数", "expected a whole number")
    return int(value)


def _bool(_: Field, raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    text = tidy(raw).lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise BadValue("应为是或否", "expected yes or no (是, 否)")


def _date(_: Field, raw: object) -> str:
    if isinstance(raw, datetime):
        return raw.date().isoformat()
    if isinstance(raw, date):
        return raw.isoformat()
    if isinstance(raw, int | float) and not isinstance(raw, bool) and 20_000 <= raw <= 80_000:
        return (_EXCEL_EPOCH + timedelta(days=int(raw))).isoformat()  # a date cell without its format
    text = tidy(raw)
    parts = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]00:00(?::00)?)?", text)
    parts = parts or re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text)
    wrong = BadValue("应为日期，如 2026-05-01", "expected a date, as 2026-05-01")
    if parts is None:
        raise wrong
    try:
        return date(*(int(part) for part in parts.groups())).isoformat()
    except ValueError:
        raise wrong from None


def _datetime(_: Field, raw: object) -> str:
    """ISO 8601 with a zone; without one it is the city's wall clock."""
    if not isinstance(raw, datetime):
        text = re.sub(r"[年月/.](?=\d{1,2}\D)", "-", tidy(raw)).replace("日", "")
        pieces = re.fullmatch(
            r"(\d{4})-(\d{1,2})-(\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?(Z|[+-]\d{2}:\d{2})?", text
        )
        if pieces is None:
            raise BadValue("应为日期时间，如 2026-05-01 08:00", "expected date and time, as 2026-05-01 08:00")
        year, month, day, hour, minute, second = (int(p or 0) for p in pieces.groups()[:6])
        zone = UTC if pieces[7] == "Z" else _zone(pieces[7]) if pieces[7] else CITY_ZONE
        try:
            raw = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        except ValueError:
            raise BadValue("没有这个日期时间", "there is no such date and time") from None
    aware = raw if raw.utcoffset() is not None else raw.replace(tzinfo=CITY_ZONE)
    return aware.astimezone(UTC).astimezone(CITY_ZONE).isoformat(timespec="seconds")


def _zone(text: str) -> timezone:
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 14 or minutes > 59:
        raise BadValue("时区有误", "there is no such time zone")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _choice(field: Field, raw: object) -> str:
    text = tidy(raw).casefold()
    for choice in field.choices:
        if text in (choice.value.casefold(), choice.zh.casefold(), choice.en.casefold()):
            return choice.value
    raise BadValue(
        f"应为{'、'.join(c.zh for c in field.choices)}之一",
        f"expected one of {', '.join(c.value for c in field.choices)}",
    )


def several(raw: object) -> list[str]:
    parts = [tidy(part) for part in (raw if isinstance(raw, list | tuple) else _SEPARATORS.split(tidy(raw)))]
    return list(dict.fromkeys(part for part in parts if part))


def _choices(field: Field, raw: object) -> list[str]:
    return list(dict.fromkeys(_choice(field, part) for part in several(raw)))


def _phone(_: Field, raw: object) -> str:
    text = tidy(raw).replace("—", "-").replace("–", "-")
    if re.fullmatch(r"\d+(\.\d+)?[eE]\+?\d+", text):
        raise BadValue(
            "电话被表格改成了科学计数，请将该列设为文本", "the spreadsheet made it 1.38E+10: format the column as text"
        )
    text = re.sub(r"^(\+86|86(?=1\d{2}-?\d{4}-?\d{4}$))-?", "", re.sub(r"[ ()（）]", "", text))
    digits = text.replace("-", "")
    if not re.fullmatch(r"\d+(-\d+)*", text) or not any(p.fullmatch(digits) for p in (_MOBILE, _LANDLINE, _SERVICE)):
        raise BadValue(
            "应为手机号 (11 位) 或带区号的电话",
            "expected a mobile number of 11 digits or a telephone with its area code",
        )
    return digits if _MOBILE.fullmatch(digits) else text


def _area(_: Field, raw: object) -> str:
    code = tidy(raw)
    try:
        level_of(code)
    except ValueError as error:
        raise BadValue("应为 2、4、6、9、12 位区划代码，网格为 12 位加 3 位", str(error)) from error
    return code


def _ref(_: Field, raw: object) -> str:
    if isinstance(raw, list | tuple | Mapping | bool):
        raise BadValue("应为一个编号或名称", "expected one id or name")
    text = tidy(raw)
    if len(text) > MAX_TEXT:
        raise BadValue("编号太长", "too long for an id")
    return text


def _refs(_: Field, raw: object) -> list[str]:
    found = several(raw)
    if len(found) > MAX_REFS:
        raise BadValue(f"最多 {MAX_REFS} 个", f"at most {MAX_REFS}")
    return found


READERS: Mapping[str, Callable[[Field, object], Any]] = {
    "text": _text,
    "long_text": _text,
    "number": _number,
    "integer": _integer,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "choice": _choice,
    "choices": _choices,
    "phone": _phone,
    "area": _area,
    "ref": _ref,
    "refs": _refs,
}

# --- texts with a form of their own

_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def is_cas(text: str) -> bool:
    """A CAS registry number with its check digit (the sum of the digits times their place from the right, modulo 10).

    >>> is_cas("7782-50-5"), is_cas("7782-50-6")
    (True, False)
    """
    if not re.fullmatch(r"\d{2,7}-\d{2}-\d", text):
        return False
    digits = text.replace("-", "")
    total = sum(n * int(d) for n, d in enumerate(reversed(digits[:-1]), start=1))
    return total % 10 == int(digits[-1])


def is_credit_code(text: str) -> bool:
    """统一社会信用代码 with its check character (GB 32100-2015: weights 3^i modulo 31)."""
    if not re.fullmatch(rf"[{_CREDIT_ALPHABET}]{{18}}", text):
        return False
    total = sum(_CREDIT_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(text[:17]))
    return _CREDIT_ALPHABET[(31 - total % 31) % 31] == text[17]


FORMATS: Mapping[str, tuple[Callable[[str], bool], str, str]] = {
    "un": (
        lambda t: bool(re.fullmatch(r"\d{4}", t)),
        "应为 4 位联合国编号，如 1017",
        "expected a UN number of 4 digits, as 1017",
    ),
    "cas": (
        is_cas,
        "应为 CAS 号，如 7782-50-5（校验位不符）",
        "expected a CAS number with its check digit, as 7782-50-5",
    ),
    "credit_code": (
        is_credit_code,
        "应为 18 位统一社会信用代码（校验位不符）",
        "expected a unified social credit code of 18 characters with its check character",
    ),
}


def _check_format(name: str, value: object) -> None:
    if not name:
        return
    holds, zh, en = FORMATS[name]
    if not holds(str(value)):
        raise BadValue(zh, en)
