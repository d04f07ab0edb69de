"""What imports, exports and the address search take from the registers: every target, the rows of an export, named places."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from command_center.model import Actor
from command_center.ports import Store
from command_center.registers.register_target import RegisterTarget
from command_center.registers.service import EntryRegister
from command_center.registers.targets import ImportTarget, Row
from command_center.registers.unit_target import UnitTarget
from command_center.registers.values import several

PlaceT = TypeVar("PlaceT")
RowsOf = Callable[[Actor, str, bool], Awaitable[Sequence[Row]]]
PAGE = 500  # rows turned into places at once: a few milliseconds of the loop
# What a caller may name. What moves or is kept in a store is no place.
PLACE_KINDS = (
    "organisation", "reservoir", "dyke", "sluice", "slope", "underpass", "flood_village", "construction_site", "harbour",
    "plant", "school", "hospital", "shelter",
)  # fmt: skip


def targets_of(register: EntryRegister) -> dict[str, ImportTarget]:
    """Every kind of register, and `unit`."""
    kinds: dict[str, ImportTarget] = {kind: RegisterTarget(register, kind) for kind in register.engine.kinds}
    return {**kinds, "unit": unit_target(register)}


def unit_target(register: EntryRegister) -> UnitTarget:
    return UnitTarget(store=register.store, env=register.env, emit=register.emit, areas=register.engine.areas)


class Listed(Protocol):
    """A target outside the registers that lists its own rows: devices, shifts."""

    async def rows(self, actor: Actor, clear: bool = False) -> Sequence[Row]: ...


def rows_of(register: EntryRegister, others: Mapping[str, Listed] | None = None) -> RowsOf:
    """`(actor, kind, clear)` -> all rows of a kind that the actor may see, for an export. Raises Forbidden, NotFound."""
    listed = others or {}

    async def ask(actor: Actor, kind: str, clear: bool) -> Sequence[Row]:
        if kind in listed:
            return await listed[kind].rows(actor, clear)
        if kind == "unit":
            return await unit_target(register).everything(actor)
        return await RegisterTarget(register, kind).everything(actor, clear=clear)

    return ask


class RegisterPlaces(Generic[PlaceT]):
    """Entries with a name and a position, as the address search wants them (`make(entry_id, kind, name, lon, lat, aliases,
    address, area)`). Give `address` a source of its own: it is large, and changes seldom."""

    def __init__(self, store: Store, make: Callable[..., PlaceT], kinds: Sequence[str] = PLACE_KINDS) -> None:
        self._store, self._make, self._kinds = store, make, list(kinds)

    async def stamp(self) -> tuple[Any, ...]:
        """Differs whenever a place may have changed. Raises Unavailable."""
        async with self._store.read() as tx:
            return await tx.register_stamp(self._kinds)

    async def places(self) -> Sequence[PlaceT]:
        """All of them. Raises Unavailable."""
        found: list[PlaceT] = []
        after = ("", "")
        async with self._store.read() as tx:
            while True:
                page = await tx.register_places(self._kinds, after, PAGE)
                found += [
                    self._make(
                        entry_id=p.entry_id,
                        kind=p.kind,
                        name=p.name,
                        lon=p.lon,
                        lat=p.lat,
                        aliases=tuple(several(p.also)) if p.also else (),
                        address=p.address,
                        area=p.area,
                    )
                    for p in page
                ]
                if len(page) < PAGE:
                    return found
                after = (page[-1].kind, page[-1].entry_id)
