"""What an import fills: a description of the columns, and a target that checks rows and writes them all or none.

The import engine knows files and columns; a target knows what a row means. Objects at risk, devices, shifts and units are
targets alike, so a clerk learns one wizard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from command_center.model import Actor

FieldType = Literal[
    "text",
    "long_text",
    "number",
    "integer",
    "bool",
    "date",
    "datetime",
    "choice",
    "choices",
    "phone",
    "area",
    "ref",
    "refs",
    "rows",
]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    value: str
    zh: str
    en: str
    colour: str = ""  # blue, yellow, orange, red where the choice is a grade


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column. `type` rows is a table inside the row (tanks of a plant), one line a row in its own sheet."""

    key: str
    zh: str
    en: str
    type: FieldType = "text"
    required: bool = False
    personal: bool = False  # sealed at rest, masked by role
    uom: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Choice] = []
    ref: str = ""  # kind that a ref or refs points to; `device` and `camera` point into the register of devices
    aliases: list[str] = []  # column headings that people use
    help_zh: str = ""
    help_en: str = ""
    example: str = ""
    fields: list[Field] = []  # of a `rows` field


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row that the types have passed. `row` is its number in the file, as the spreadsheet shows it."""

    row: int
    entry_id: str
    values: dict[str, Any]
    lon: float | None = None  # WGS 84
    lat: float | None = None
    geometry: dict[str, Any] | None = None  # GeoJSON, WGS 84, where the file has more than a point


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that cannot be taken: what it is, what was expected."""

    row: int
    column: str  # as it stands in the file; "" for the whole row
    value: str
    zh: str
    en: str


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    created: int
    changed: int
    same: int
    extra: dict[str, Any] = {}  # shown once: credentials of new devices, passwords of new users


class ImportTarget(Protocol):
    """Rows go in by `entry_id`, so importing the same file twice changes nothing."""

    @property
    def kind(self) -> str: ...

    @property
    def fields(self) -> Sequence[Field]: ...

    @property
    def located(self) -> Literal["no", "point", "any"]:
        """Whether a row has a position, and whether it may be a line or an area."""
        ...

    async def current(self, actor: Actor, ids: Sequence[str]) -> Mapping[str, Row]:
        """What stands for these ids now, for the diff; unknown ids are left out. Raises Forbidden."""
        ...

    async def check(self, actor: Actor, rows: Sequence[Row]) -> Sequence[Problem]:
        """What a single cell's type cannot say: references, areas outside the actor's scope, names twice."""
        ...

    async def commit(self, actor: Actor, rows: Sequence[Row], *, reason: str) -> Committed:
        """Write new and changed rows, all or none, journalled. Raises Invalid, Forbidden, Conflict, Unavailable."""
        ...
