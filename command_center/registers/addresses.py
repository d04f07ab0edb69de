"""The address search, kept current: places from the registers and from the map, indexed off the loop, searched on it.

A search needs no database once the index stands. Sources are asked for their stamp every few seconds; where one has moved, the
places are fetched again and what differs is laid over the index, or the index is built anew in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import structlog

from command_center.authority import Action, require
from command_center.errors import CommandError, Invalid, Unavailable
from command_center.model import Actor
from gis.addresses import OVERLAY_MAX, AddressIndex, Hit, Place
from gis.points import check_lonlat

log = structlog.get_logger(__name__)

POLL_S = 3.0  # a new address is found this much later
RETRY_S = 5.0
MAX_LIMIT, MAX_QUERY = 50, 200


class PlaceSource(Protocol):
    """A register or a map layer that has named places."""

    async def stamp(self) -> object:
        """Differs from the one before whenever a place may have changed. Raises Unavailable."""
        ...

    async def places(self) -> Sequence[Place]:
        """All of them. Raises Unavailable."""
        ...


class AddressService:
    """Searches for whoever may; hits outside the asker's scope are left out. `run` keeps the index current."""

    def __init__(self, sources: Sequence[PlaceSource]) -> None:
        self._sources = list(sources)
        self._stamps: list[Any] = [None] * len(self._sources)
        self._places: list[Sequence[Place]] = [()] * len(self._sources)
        self._index: AddressIndex | None = None

    @property
    def index(self) -> AddressIndex | None:
        """None until the first one is built."""
        return self._index

    async def search(
        self, actor: Actor, query: str, *, near: tuple[float, float] | None = None, limit: int = 10
    ) -> list[Hit]:
        """The likeliest places, best first. Raises Forbidden, Invalid, Unavailable while the first index is being built."""
        require(actor, Action.SEARCH_ADDRESS)
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid(f"limit {limit}: expected 1 to {MAX_LIMIT}")
        if len(query) > MAX_QUERY:
            raise Invalid(f"q: {len(query)} characters; expected at most {MAX_QUERY}")
        if near is not None:
            try:
                near = check_lonlat(*near)
            except ValueError as error:
                raise Invalid(str(error)) from error
        if self._index is None:
            raise Unavailable("the address index is being built", 2)
        # More than are wanted where a scope will take some away.
        wide = limit if not actor.scope.areas else MAX_LIMIT * 4
        found = self._index.search(query, near=near, limit=wide)
        return [h for h in found if actor.scope.covers(area=h.place.area or None)][:limit]

    async def run(self) -> None:
        """Until cancelled. A database that is away leaves the index as it is."""
        while True:
            try:
                await self.refresh()
            except (Unavailable, CommandError) as error:
                log.warning("addresses_wait", reason=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            await asyncio.sleep(POLL_S)

    async def refresh(self) -> bool:
        """Ask every source once; True where the index changed."""
        moved = False
        for number, source in enumerate(self._sources):
            stamp = await source.stamp()
            if stamp != self._stamps[number]:
                self._places[number] = await source.places()
                self._stamps[number] = stamp
                moved = True
        if moved or self._index is None:
            self._index = await asyncio.to_thread(_brought_forward, self._index, [p for ps in self._places for p in ps])
            log.info("addresses_indexed", places=len(self._index), overlay=self._index.overlay)
        return moved


def _brought_forward(index: AddressIndex | None, places: Sequence[Place]) -> AddressIndex:
    """The index with these places and no others: a small difference laid over it, a large one built anew."""
    if index is None:
        return AddressIndex(places)
    wanted = {(p.kind, p.entry_id): p for p in places}
    now = {(p.kind, p.entry_id): p for p in index.everything()}
    changed = [p for key, p in wanted.items() if now.get(key) != p]
    removed = now.keys() - wanted.keys()
    if index.overlay + len(changed) + len(removed) > OVERLAY_MAX:
        return AddressIndex(places)
    return index.with_changes(changed, removed) if changed or removed else index


class FixedPlaces:
    """Places that do not change while we run: the map layers that came with the installation."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = list(places)

    async def stamp(self) -> object:
        return len(self._places)

    async def places(self) -> Sequence[Place]:
        return self._places
