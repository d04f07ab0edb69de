"""scripts/: where packages come from on machines that are configured in different ways."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


def load(name: str) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_").removesuffix(".py"), str(SCRIPTS / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


bootstrap = load("bootstrap.py")
dev_stack = load("dev-stack")


def test_the_environment_stands_above_the_users_file(tmp_path: Path) -> None:
    conf = tmp_path / ".config" / "pip" / "pip.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("[global]\nindex-url = http://mirror.example/simple\ncert = /c.pem\n")
    from_file = bootstrap.pip_settings({}, tmp_path)
    assert (from_file["index-url"], from_file["cert"]) == ("http://mirror.example/simple", "/c.pem")
    from_environment = bootstrap.pip_settings({"PIP_INDEX_URL": "http://other.example/simple"}, tmp_path)
    assert from_environment["index-url"] == "http://other.example/simple"


def test_every_configured_index_is_asked_in_turn() -> None:
    settings = {"index-url": "http://a.example/simple/", "extra-index-url": "http://b.example/simple"}
    assert list(bootstrap.pip_pages(settings)) == ["http://a.example/simple/pip/", "http://b.example/simple/pip/"]
    assert list(bootstrap.pip_pages({"no-index": "true", "find-links": "file:///wheels"})) == ["file:///wheels"]


def test_a_wheel_is_found_in_a_folder_and_on_an_index_page(tmp_path: Path) -> None:
    (tmp_path / bootstrap.PIP_WHEEL).touch()
    assert bootstrap.wheel_links(tmp_path.as_uri(), {}) == [(tmp_path / bootstrap.PIP_WHEEL).as_uri()]
    page = tmp_path / "simple" / "pip"
    page.mkdir(parents=True)
    link = f'<a href="../../files/{bootstrap.PIP_WHEEL}#sha256=x">pip</a><a href="../../files/pip-1.0.tar.gz">old</a>'
    (page / "index.html").write_text(link)
    assert bootstrap.wheel_links(page.as_uri(), {}) == [
        (tmp_path / "files" / bootstrap.PIP_WHEEL).as_uri() + "#sha256=x"
    ]


def test_another_file_under_the_pinned_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / bootstrap.PIP_WHEEL).write_bytes(b"not pip")
    monkeypatch.setattr(bootstrap, "pip_settings", lambda: {"no-index": "1", "find-links": str(tmp_path)})
    with pytest.raises(SystemExit, match="another hash"):
        bootstrap.pip_wheel(tmp_path / "target")


def test_debians_mirror_is_read_from_both_forms_of_apt_sources(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://old.example/debian x main\ndeb [arch=amd64] http://security.example/debian-security x main\n"
    )
    new = "Types: deb\n# URIs: http://no.example/debian\nURIs: http://mirror.example/debian/\nSuites: bookworm\n"
    (tmp_path / "sources.list.d" / "debian.sources").write_text(new)
    assert dev_stack.configured_mirror(tmp_path) == "http://mirror.example/debian/"


def test_a_machine_without_a_debian_mirror_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no Debian mirror"):
        dev_stack.configured_mirror(tmp_path)


@pytest.mark.parametrize("lock", sorted(SCRIPTS.parent.glob("requirements*.lock")), ids=lambda path: path.name)
def test_lock_files_name_versions_and_hashes_but_no_registry(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    packages = [block for block in text.split("\n") if block and not block.startswith((" ", "#"))]
    assert packages
    assert all("==" in package and package.endswith("\\") for package in packages)
