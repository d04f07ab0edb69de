"""The demo district's registers in a real database: loaded as an import, twice without effect, and a person's change stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from citybrain_testing.command import START_US, SteppedClock, make_world
from citybrain_testing.registers import REGISTRAR
from command_center.registers.checks import Draft
from command_center.registers.plants import control_room
from command_center.registers.service import EntryRegister
from runtime.secrets import sealer_of, service_secrets
from runtime.seed import seed_registers
from simulators.district import generate
from storage.command import PostgresStore
from storage.database import Database
from storage.migrate import migrate

pytestmark = pytest.mark.database


def test_seeding_again_leaves_what_stands(fresh_url: Callable[[], str], tmp_path: Path) -> None:
    async def story() -> None:
        district, secrets, clock = generate(), service_secrets(tmp_path), SteppedClock()
        async with Database(fresh_url(), "demo") as database:
            await migrate(database, at_us=START_US, family="plain")
            store = PostgresStore(database)
            await seed_registers(database, clock, secrets, district)
            world = make_world(store)
            register = EntryRegister(store=store, env=world.env, emit=world.changes.append, sealer=sealer_of(secrets))
            counts = {k["kind"]: k["count"] for k in await register.kinds(REGISTRAR)}
            assert counts["area"] > 60
            assert counts["plant"] == 3
            entry = await register.get(REGISTRAR, "school", "school-1")
            assert entry.area.startswith("339900002")
            draft = Draft(entry_id="", values={**entry.values, "pupils": 1}, lon=entry.lon, lat=entry.lat)
            await register.change(REGISTRAR, "school", "school-1", draft, rev=1, reason="新学年")
            async with store.read() as tx:
                before = await tx.journal("", "", 1, None)
                detectors = [d for d in district.devices() if d.kind == "gas_detector" and "haifeng" in d.group]
                assert await control_room(tx, detectors) == ("海丰制冷化工厂", "0576-0000-1110")
                assert len(await tx.units()) == len(district.units())
            await seed_registers(database, clock, secrets, district)
            async with store.read() as tx:
                assert await tx.journal("", "", 1, None) == before
            assert (await register.get(REGISTRAR, "school", "school-1")).values["pupils"] == 1

    asyncio.run(story())
