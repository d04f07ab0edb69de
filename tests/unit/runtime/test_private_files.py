"""What holds keys is readable by its owner only, whatever the umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.secrets import service_secrets, write_json
from runtime.settings import Settings, save
from runtime.tls import ensure_certificates
from runtime.up import prepare_directories


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_data_directory_and_what_lies_in_it_is_ours_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    prepare_directories(settings)
    folders = [settings.data_dir, settings.secrets_dir, settings.log_dir, settings.run_dir, settings.data_dir / "logs"]
    assert {str(f): oct(_mode(f)) for f in folders} == {str(f): "0o700" for f in folders}


def test_keys_logins_and_settings_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    prepare_directories(settings)
    service_secrets(settings.secrets_dir)
    write_json(settings.secrets_dir / "logins.json", [])
    save(settings, settings.run_dir / "settings.json")  # a database URL may hold a password
    ensure_certificates(settings.data_dir, ["127.0.0.1"])
    private = [*settings.secrets_dir.iterdir(), settings.run_dir / "settings.json", *settings.data_dir.rglob("*.key")]
    assert {p.name for p in private} >= {"secrets.json", "logins.json", "settings.json", "ca.key"}
    assert {p.name: oct(_mode(p)) for p in private} == {p.name: "0o600" for p in private}
