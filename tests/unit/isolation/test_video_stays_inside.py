"""No video platform is spoken to from a demonstration, an exercise or a test, but the simulated one on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command_center.reality import NotReal
from runtime.settings import Settings, WrongSetting, check
from runtime.video import WvpPlatform, build

HERE = "http://127.0.0.1:18080"


def settings(folder: Path, kind: str, url: str, **fields: Any) -> Settings:
    made = check(Settings(data_dir=folder, tenant_kind=kind, video_url=url, **fields))
    made.secrets_dir.mkdir(exist_ok=True)
    (made.secrets_dir / "video.json").write_text(json.dumps({"username": "city", "password": "word"}))
    return made


def test_it_is_off_unless_it_is_set_up() -> None:
    assert build(check(Settings())) is None


@pytest.mark.parametrize("kind", ["demo", "exercise", "test"])
@pytest.mark.parametrize("url", ["http://10.1.2.3:18080", "https://wvp.city.example", "http://localhost:18080"])
def test_what_is_not_real_speaks_to_nobody_outside(tmp_path: Path, kind: str, url: str) -> None:
    with pytest.raises(WrongSetting, match="not real"):
        build(settings(tmp_path, kind, url))
    assert build(settings(tmp_path, kind, HERE)) is not None, "the simulator, once it has said so"


def test_a_real_tenant_speaks_to_its_platform_and_a_made_up_proof_to_none(tmp_path: Path) -> None:
    assert build(settings(tmp_path, "real", "https://wvp.city.example")) is not None
    with pytest.raises(NotReal):
        WvpPlatform(object(), "https://wvp.city.example", "city", "word")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["wvp:18080", "ftp://10.1.2.3", "http://", "http://u:p@10.1.2.3", "http://10.1.2.3/?a=1"]
)
def test_a_wrong_address_is_refused_by_name(tmp_path: Path, url: str) -> None:
    with pytest.raises(WrongSetting, match="video_url"):
        build(settings(tmp_path, "real", url))


@pytest.mark.parametrize("content", [None, "[]", '{"username": "city"}', '{"username": "city", "password": 1}'])
def test_without_an_account_it_does_not_start(tmp_path: Path, content: str | None) -> None:
    made = settings(tmp_path, "real", "https://wvp.city.example")
    path = made.secrets_dir / "video.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(WrongSetting, match=r"video\.json"):
        build(made)


def test_a_bound_of_nothing_is_refused() -> None:
    with pytest.raises(WrongSetting, match="video_clips_max_bytes"):
        check(Settings(video_clips_max_bytes=0))
