from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import Settings, WrongSetting, from_environment, load, save


def test_an_option_wins_over_the_environment_and_the_environment_over_the_default() -> None:
    settings = from_environment({"CITYBRAIN_PORT": "9000", "CITYBRAIN_HOST": "0.0.0.0"}, port=9100, host=None)
    assert (settings.port, settings.host, settings.https_port) == (9100, "0.0.0.0", Settings().https_port)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("CITYBRAIN_PORT", "eighty", "CITYBRAIN_PORT"),
        ("CITYBRAIN_PORT", "70000", "port=70000"),
        ("CITYBRAIN_SIMULATOR", "maybe", "CITYBRAIN_SIMULATOR"),
        ("CITYBRAIN_TENANT_KIND", "pretend", "tenant_kind"),
        ("CITYBRAIN_SPEED", "2", "real clock"),
        ("CITYBRAIN_TENANT", "1; drop", "tenant"),
        ("CITYBRAIN_NO_SUCH", "x", "CITYBRAIN_NO_SUCH"),
        ("CITYBRAIN_PUSH_LISTEN", "10.0.0.5:8444", "push_listen"),
        ("CITYBRAIN_PUSH_LISTEN", "ftp://10.0.0.5:8444", "push_listen"),
        ("CITYBRAIN_PUSH_LISTEN", "https://10.0.0.5:0", "push_listen"),
        ("CITYBRAIN_PUSH_LISTEN", "https://0.0.0.0:8444", "expected a named address"),
        ("CITYBRAIN_PUSH_LISTEN", "https://[::]:8444", "expected a named address"),
        ("CITYBRAIN_PUSH_LISTEN", "https://10.0.0.5:8444", "push_sources"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(variable: str, value: str, named: str) -> None:
    with pytest.raises(WrongSetting, match=named):
        from_environment({variable: value})


def test_a_real_tenant_refuses_a_clock_that_is_not_real() -> None:
    with pytest.raises(WrongSetting, match="real tenant"):
        from_environment({}, clock="scaled", speed=60.0)


def test_settings_survive_the_way_to_a_child_process(tmp_path: Path) -> None:
    settings = from_environment({}, data_dir=tmp_path, tenant_kind="demo", clock="scaled", speed=60.0)
    save(settings, tmp_path / "settings.json")
    assert load(tmp_path / "settings.json") == settings
    assert (tmp_path / "settings.json").stat().st_mode & 0o077 == 0
