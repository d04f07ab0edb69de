"""The broker of last resort grants what Mosquitto's own files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.credentials import acl_text, hash_password, password_text, service_username
from runtime.embedded.accounts import Accounts, within


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    salt = b"0123456789ab"
    names = ["g1", service_username("ingest")]
    (tmp_path / "p").write_text(password_text((name, hash_password(name + "!", salt=salt)) for name in names))
    (tmp_path / "a").write_text(acl_text("demo", ["ingest"]))
    return Accounts(tmp_path / "p", tmp_path / "a")


def test_only_the_right_password_is_known(accounts: Accounts) -> None:
    assert accounts.knows("g1", "g1!")
    assert not accounts.knows("g1", "")
    assert not accounts.knows("g2", "g2!")


@pytest.mark.parametrize(
    ("user", "topic", "access", "granted"),
    [
        ("g1", "cb/v1/demo/g1/up/telemetry", "write", True),
        ("g1", "cb/v1/demo/g2/up/telemetry", "write", False),
        ("g1", "cb/v1/other/g1/up/telemetry", "write", False),
        ("g1", "cb/v1/demo/g1/down/#", "read", True),
        ("g1", "cb/v1/demo/+/down/#", "read", False),
        ("g1", "#", "read", False),
        ("service.ingest", "cb/v1/demo/+/up/#", "read", True),
        ("service.ingest", "cb/v1/demo/g1/up/telemetry", "write", False),
    ],
)
def test_access(accounts: Accounts, user: str, topic: str, access: str, granted: bool) -> None:
    assert accounts.allows(user, topic, access) is granted


def test_a_filter_is_granted_only_where_all_it_means_is_granted() -> None:
    assert within("a/+/c", "a/+/c")
    assert within("a/#", "a/#")
    assert not within("a/#", "a/+")
    assert not within("a/b", "a/b/c")
    assert not within("a/b/c", "a/b")
