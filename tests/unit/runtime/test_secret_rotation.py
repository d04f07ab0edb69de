"""Secrets are replaced one at a time, and what was sealed before still opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.access import sealer_of
from runtime.admin import AdminError, rotate_secret
from runtime.secrets import ROTATIONS, service_secrets
from runtime.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "secrets").mkdir()
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize("name", sorted(ROTATIONS))
def test_a_rotation_changes_one_secret_and_leaves_the_others(settings: Settings, name: str) -> None:
    before = service_secrets(settings.secrets_dir)
    assert rotate_secret(settings, name)
    after = service_secrets(settings.secrets_dir)
    changed = {f for f in before.__struct_fields__ if getattr(before, f) != getattr(after, f)}
    assert (
        changed
        == {
            "signing-key": {"signing_key"},
            "metrics-token": {"metrics_token"},
            "personal-key": {"personal_keys", "personal_current"},
        }[name]
    )
    assert (settings.secrets_dir / "secrets.json").stat().st_mode & 0o077 == 0


def test_a_new_personal_key_seals_and_the_old_one_still_opens(settings: Settings) -> None:
    old = sealer_of(service_secrets(settings.secrets_dir))
    sealed = old.seal("13805761234", "contact/1/phone")
    rotate_secret(settings, "personal-key")
    rotate_secret(settings, "personal-key")
    new = sealer_of(service_secrets(settings.secrets_dir))
    assert new.unseal(sealed, "contact/1/phone") == "13805761234"
    assert not new.is_current(sealed)
    assert new.seal("x", "y").startswith("p1:k3:")


def test_a_secret_that_is_not_there_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(AdminError, match="signing-key"):
        rotate_secret(settings, "root-key")
