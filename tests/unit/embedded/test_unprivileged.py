"""The command lines that take privileges away."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.embedded import unprivileged
from runtime.embedded.unprivileged import Confinement, Image, command


def confined(monkeypatch: pytest.MonkeyPatch, how: Confinement) -> None:
    monkeypatch.setattr(unprivileged, "confinement", lambda: how)


def test_an_ordinary_user_needs_no_wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    confined(monkeypatch, Confinement.NONE)
    assert command(["postgres", "-D", "d"]) == ["postgres", "-D", "d"]


def test_the_death_signal_is_armed_inside_every_change_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for how in Confinement:
        confined(monkeypatch, how)
        argv = command(["postgres"], end_with_parent="INT")
        assert argv[-5:] == ["setpriv", "--pdeathsig", "INT", "--", "postgres"]


def test_root_enters_a_user_namespace_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    confined(monkeypatch, Confinement.NAMESPACE)
    assert command(["initdb"])[:4] == ["unshare", "--user", "--map-user=65534", "--map-group=65534"]


def test_without_namespaces_root_becomes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    confined(monkeypatch, Confinement.SETPRIV)
    assert {"--reuid=65534", "--regid=65534", "--clear-groups"} <= set(command(["initdb"]))


@pytest.mark.parametrize("how", list(Confinement))
def test_an_image_gets_data_and_sockets_mounted_and_never_forks(
    monkeypatch: pytest.MonkeyPatch, how: Confinement
) -> None:
    confined(monkeypatch, how)
    image = Image(root=Path("/image"), data=Path("/data"), run=Path("/run"))
    argv = command(["postgres"], image=image)
    assert argv[0] == "unshare"
    assert "--fork" not in argv
    assert argv[argv.index("sh", argv.index("-c")) :] == ["sh", "/data", "/run", "/image", "postgres"]
