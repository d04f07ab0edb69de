"""Who may push, as an installation says it: the document, the secrets beside it, and the two commands for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.doors import PushAddress
from ingest.push_sources import SourcesWrong
from runtime.cli import app
from runtime.push_door import FILE, open_sources, read_sources, set_secret
from runtime.settings import Settings, from_environment, push_address, save

DOCUMENT = """
sources:
  - {name: iotda, form: huawei, device: gw}
  - {name: aep, form: ctwing, device: gw, allow: [203.0.113.0/24]}
"""


def installation(folder: Path, text: str = DOCUMENT) -> Settings:
    document = folder / "sources.yaml"
    document.write_text(text)
    settings = from_environment(
        {}, data_dir=folder / "data", push_listen="https://10.0.0.5:8444", push_sources=str(document)
    )
    settings.run_dir.mkdir(parents=True)
    settings.secrets_dir.mkdir()
    save(settings, settings.run_dir / "settings.json")
    return settings


def test_an_address_is_a_scheme_a_named_address_and_a_port(tmp_path: Path) -> None:
    assert push_address(installation(tmp_path)) == PushAddress(host="10.0.0.5", port=8444, tls=True)
    assert push_address(Settings()) is None
    six = Settings(push_listen="http://[fd00::5]:8081", push_sources="x")
    assert push_address(six) == PushAddress(host="fd00::5", port=8081, tls=False)


def test_a_secret_is_made_kept_apart_and_read_by_the_next_start(tmp_path: Path) -> None:
    settings = installation(tmp_path)
    assert [source.open for source in open_sources(settings)] == [False, True]
    made = set_secret(settings, "iotda")
    assert set_secret(settings, "aep", "a word of theirs") == "a word of theirs"
    assert {source.name: source.secret for source in open_sources(settings)} == {
        "iotda": made,
        "aep": "a word of theirs",
    }
    assert (settings.secrets_dir / FILE).stat().st_mode & 0o077 == 0
    assert len(made) == 32


def test_no_address_no_sources(tmp_path: Path) -> None:
    assert open_sources(Settings(push_sources=installation(tmp_path).push_sources)) == ()


@pytest.mark.parametrize("broken", ["sources: [", "sources: []", None])
def test_a_wrong_document_opens_nothing_and_says_why(tmp_path: Path, broken: str | None) -> None:
    settings = installation(tmp_path)
    if broken is None:
        Path(settings.push_sources).unlink()
    else:
        Path(settings.push_sources).write_text(broken)
    assert open_sources(settings) == ()
    with pytest.raises(SourcesWrong, match=r"sources\.yaml"):
        read_sources(settings)


@pytest.mark.parametrize("broken", ["{", "[]", '{"iotda": 7}'])
def test_secrets_that_cannot_be_read_open_nothing(tmp_path: Path, broken: str) -> None:
    settings = installation(tmp_path)
    (settings.secrets_dir / FILE).write_text(broken)
    assert open_sources(settings) == ()
    with pytest.raises(SourcesWrong, match=FILE):
        set_secret(settings, "iotda")


def test_the_commands_show_who_may_push_and_a_secret_once(tmp_path: Path) -> None:
    settings, cli = installation(tmp_path), CliRunner()
    where = ["--data-dir", str(settings.data_dir)]
    made = cli.invoke(app, ["push", "secret", "iotda", *where]).stdout.strip()
    assert len(made) == 32
    shown = json.loads(cli.invoke(app, ["push", "check", "--json", *where]).stdout)
    assert [(one["path"], one["signature"], one["allow"], one["secret"]) for one in shown] == [
        ("/push/iotda", "huawei", "any", "set"),
        ("/push/aep", "none", "203.0.113.0/24", "not needed"),
    ]
    assert made not in json.dumps(shown)
    assert cli.invoke(app, ["push", "secret", "iotda", "--stdin", *where], input="a word of theirs\n").exit_code == 0
    assert read_sources(settings)[0].secret == "a word of theirs"
    for refused in (
        ["push", "secret", "nobody"],
        ["push", "secret", "iotda", "--stdin"],
        ["push", "check", "none.yaml"],
    ):
        assert cli.invoke(app, [*refused, *where], input="short\n").exit_code == 1
