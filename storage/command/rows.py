"""Structs to rows and back: `_us` fields are `_at` columns (timestamptz), lists and dicts are jsonb, the rest as it is."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from psycopg.types.json import Jsonb

from command_center.access.personal import Sealer
from command_center.access.scope import Scope
from storage.batch import clean, to_json
from storage.database import Connection, Row
from storage.statements import load
from storage.times import opt_time, to_us

S = TypeVar("S", bound=msgspec.Struct)
SQL = load("command")


def jsonb(value: object) -> Jsonb:
    """A jsonb parameter; NUL characters, which jsonb refuses, are replaced."""
    return Jsonb(value, dumps=to_json)


def column_of(field: str) -> str:
    """`changed_us` stands in `changed_at`, `at_us` in `at`, anything else under its own name."""
    if field == "at_us":
        return "at"
    return field.removesuffix("_us") + "_at" if field.endswith("_us") else field


def params(struct: msgspec.Struct, **more: Any) -> dict[str, Any]:
    """Statement parameters of a struct's fields; `more` are given as they are."""
    found: dict[str, Any] = {}
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if name.endswith("_us"):
            found[column_of(name)] = opt_time(value)
        elif isinstance(value, list | dict | msgspec.Struct):
            found[name] = jsonb(msgspec.to_builtins(value))
        elif isinstance(value, str):
            found[name] = clean(str(value))
        else:
            found[name] = value
    return {**found, **more}


def struct(kind: type[S], row: Mapping[str, Any], **more: Any) -> S:
    """A struct from a row's columns (others are left out) and `more`."""
    fields: dict[str, Any] = {}
    for field in _fields(kind):
        column = column_of(field.name)
        if field.name in more:
            fields[field.encode_name] = msgspec.to_builtins(more[field.name])
        elif column in row:
            value = row[column]
            fields[field.encode_name] = to_us(value) if isinstance(value, datetime) else value
    return msgspec.convert(fields, kind)


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """A struct's fields: msgspec resolves the annotations anew at each call, which cost more than the query."""
    return msgspec.structs.fields(kind)


def within(scope: Scope) -> dict[str, Any]:
    """Parameters of a statement that lists what lies inside a scope."""
    return {"areas": list(scope.areas), "hazards": list(scope.hazards)}


class Part:
    """What every part of the transaction has: a connection and three ways to ask it."""

    def __init__(self, conn: Connection, sealer: Sealer | None = None) -> None:
        self._conn, self._sealer = conn, sealer

    @property
    def connection(self) -> Connection:
        """For another store of the same database that writes inside this transaction (`storage.registry`)."""
        return self._conn

    async def _run(self, name: str, values: Mapping[str, Any]) -> None:
        await self._conn.execute(SQL[name], values)

    async def _one(self, name: str, values: Mapping[str, Any] | None = None) -> Row | None:
        return await (await self._conn.execute(SQL[name], values or {})).fetchone()

    async def _all(self, name: str, values: Mapping[str, Any] | None = None) -> Sequence[Row]:
        return await (await self._conn.execute(SQL[name], values or {})).fetchall()
