"""An import and export service around a memory target; files are parsed in this process, which is faster than in the child."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from citybrain_testing.command import World, make_world
from citybrain_testing.import_target import MemoryTarget
from command_center.access.personal import Sealer
from command_center.model import Actor, Role
from command_center.ports import Store
from command_center.registers.exports import ExportService
from command_center.registers.imports import Geography, ImportService
from gis.formats import files
from gis.formats.sheet import Format, Sheet
from gis.formats.writers import Column

CLERK = Actor(username="clerk1", roles=frozenset({Role.REGISTRAR}))
OTHER_CLERK = Actor(username="clerk2", roles=frozenset({Role.REGISTRAR}))
VENDOR = Actor(username="vendor1", roles=frozenset({Role.VENDOR}), vendor="acme")


async def read_here(content: bytes, fmt: Format, known: frozenset[str]) -> list[Sheet]:
    return files.read(content, fmt, known)


async def write_here(sheets: Sequence[Sheet], fmt: Format, columns: Sequence[Column] = ()) -> bytes:
    return files.write(sheets, fmt, columns)


@dataclass
class Importing:
    world: World
    target: MemoryTarget
    imports: ImportService
    exports: ExportService


def make_importing(store: Store, target: MemoryTarget | None = None, place: Geography | None = None) -> Importing:
    world = make_world(store)
    target = target or MemoryTarget()

    async def geography() -> Geography:
        return place or Geography()

    parts = {"store": store, "env": world.env, "emit": world.changes.append}
    targets = {target.kind: target}
    return Importing(
        world=world,
        target=target,
        imports=ImportService(
            **parts,  # type: ignore[arg-type]
            sealer=Sealer({"k": b"k" * 32}, "k"),
            targets=targets,
            geography=geography,
            read=read_here,
        ),
        exports=ExportService(
            **parts,  # type: ignore[arg-type]
            targets=targets,
            rows_of=target.everything,
            tenant="test",
            write=write_here,
        ),
    )
