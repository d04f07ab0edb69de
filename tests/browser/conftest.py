"""One running demo for the modules of this folder that follow one another: each start costs ten seconds and more.

A module that needs the evening from its beginning (the wall) has a `system` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from citybrain_testing.browser import CHROMIUM
from citybrain_testing.system import System


@dataclass
class _Shared:
    folder: Path
    system: System | None = None

    def running(self) -> System:
        if self.system is None:
            self.system = System(
                self.folder / "data", args=("--demo", "--no-duty-desk"), env={"CITYBRAIN_DEV_STACK": ""}
            )
            self.system.start()
        return self.system

    def stop(self) -> None:
        if self.system is not None:
            self.system.stop()


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Shared]:
    shared = _Shared(tmp_path_factory.mktemp("browser"))
    yield shared
    shared.stop()


@pytest.fixture(scope="module")
def system(_shared: _Shared, request: pytest.FixtureRequest) -> Iterator[System]:
    """`citybrain up --demo --no-duty-desk`. Stopped after the last module that shares it, not at the end of all tests."""
    yield _shared.running()
    module = request.node.nodeid
    ahead = [item.nodeid.split("::")[0] for item in request.session.items]
    after = request.session.items[len(ahead) - ahead[::-1].index(module) :]
    if not any("_shared" in getattr(item, "fixturenames", ()) for item in after):
        _shared.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
