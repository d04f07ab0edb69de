"""The address search as a service: current, scoped, and standing while a source is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from citybrain_testing.importing import CLERK, VENDOR
from command_center.access.scope import Scope
from command_center.errors import Forbidden, Invalid, Unavailable
from command_center.registers.addresses import AddressService
from gis import addresses
from gis.addresses import Place


def a_place(number: int, name: str, area: str = "331002001") -> Place:
    return Place(entry_id=str(number), kind="address", name=name, lon=121.45, lat=28.68, area=area)


class Register:
    def __init__(self, *found: Place) -> None:
        self.found, self.version, self.asked, self.down = list(found), 1, 0, False

    async def stamp(self) -> object:
        if self.down:
            raise Unavailable("the database is down")
        return self.version

    async def places(self) -> Sequence[Place]:
        self.asked += 1
        return list(self.found)

    def set(self, *found: Place) -> None:
        self.found, self.version = list(found), self.version + 1


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


async def names(service: AddressService, query: str, **options: Any) -> list[str]:
    return [h.place.name for h in await service.search(options.pop("actor", CLERK), query, **options)]


def test_a_change_of_the_register_is_found_and_nothing_is_fetched_without_one() -> None:
    async def story() -> None:
        register = Register(a_place(1, "解放路"), a_place(2, "人民路"))
        service = AddressService([register])
        assert await service.refresh()
        assert not await service.refresh()
        assert register.asked == 1
        register.set(a_place(1, "解放路"), a_place(2, "疏港大道"), a_place(3, "葭沚老街"))
        await service.refresh()
        assert (await names(service, "shugangdadao"))[0] == "疏港大道"
        assert (await names(service, "葭沚老街"))[0] == "葭沚老街"
        assert "人民路" not in await names(service, "人民路")
        register.set()
        await service.refresh()
        assert await names(service, "解放路") == []

    run(story())


def test_many_changes_build_the_index_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command_center.registers.addresses.OVERLAY_MAX", 3)

    async def story() -> None:
        register = Register(*(a_place(n, f"解放路{n}号") for n in range(1, 10)))
        service = AddressService([register])
        await service.refresh()
        register.set(*(a_place(n, f"人民路{n}号") for n in range(1, 10)))
        await service.refresh()
        assert service.index is not None
        assert service.index.overlay == 0
        assert len(service.index) == 9

    run(story())
    assert addresses.OVERLAY_MAX > 3


def test_hits_outside_the_scope_are_left_out_and_the_map_is_everybodys() -> None:
    async def story() -> None:
        places = [a_place(1, "解放路", "331002002"), a_place(2, "解放路口", "331002001"), a_place(3, "解放桥", "")]
        service = AddressService([Register(*places)])
        await service.refresh()
        narrow = msgspec.structs.replace(CLERK, scope=Scope(areas=("331002001",)))
        assert set(await names(service, "解放路", actor=narrow)) == {"解放路口", "解放桥"}
        assert "解放路" in await names(service, "解放路")

    run(story())


def test_a_source_that_is_away_leaves_the_index_standing() -> None:
    async def story() -> None:
        register = Register(a_place(1, "解放路"))
        service = AddressService([register])
        with pytest.raises(Unavailable, match="being built"):
            await service.search(CLERK, "解放路")
        await service.refresh()
        register.down = True
        with pytest.raises(Unavailable):
            await service.refresh()
        assert await names(service, "解放路") == ["解放路"]

    run(story())


def test_bad_questions_and_strangers_are_refused() -> None:
    async def story() -> None:
        service = AddressService([])
        await service.refresh()
        with pytest.raises(Forbidden):
            await service.search(VENDOR, "解放路")
        for wrong in ({"limit": 0}, {"limit": 51}, {"near": (200.0, 28.0)}):
            with pytest.raises(Invalid):
                await service.search(CLERK, "解放路", **wrong)
        with pytest.raises(Invalid):
            await service.search(CLERK, "x" * 201)

    run(story())
