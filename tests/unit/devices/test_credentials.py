"""Mosquitto's own tool and our hash agree; its files say who may do what."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from devices.credentials import (
    ITERATIONS,
    WrongIdentity,
    acl_text,
    hash_password,
    password_text,
    service_username,
    verify_password,
)

SALT = bytes(range(12))


def test_a_hash_has_the_form_that_mosquitto_reads() -> None:
    hashed = hash_password("secret", salt=SALT)
    assert hashed.startswith(f"$7${ITERATIONS}${base64.b64encode(SALT).decode()}$")
    assert verify_password("secret", hashed)
    assert not verify_password("Secret", hashed)
    assert not verify_password("secret", "$6$" + hashed[3:])


@pytest.mark.broker
def test_mosquitto_passwd_computes_the_same_hash(tmp_path: Path) -> None:
    tool = shutil.which("mosquitto_passwd")
    assert tool is not None, "mosquitto_passwd comes with the mosquitto package"
    file = tmp_path / "passwords"
    subprocess.run([tool, "-b", "-c", str(file), "gauge-1", "水位 pass"], check=True, capture_output=True)
    username, hashed = file.read_text().strip().split(":", 1)
    _, _, iterations, salt, _ = hashed.split("$")
    assert username == "gauge-1"
    assert hash_password("水位 pass", salt=base64.b64decode(salt), iterations=int(iterations)) == hashed


def test_the_password_file_is_sorted_and_refuses_what_would_break_it() -> None:
    hashed = hash_password("x", salt=SALT)
    text = password_text([("b", hashed), (service_username("ingest"), hashed), ("a", hashed)])
    assert text == f"a:{hashed}\nb:{hashed}\nservice.ingest:{hashed}\n"
    for wrong in ("", "a:b", "a\nb", "a/b", "#", "+", "x" * 65, "service.root"):
        with pytest.raises(WrongIdentity):
            password_text([(wrong, hashed)])
    with pytest.raises(WrongIdentity, match="each username once"):
        password_text([("a", hashed), ("a", hashed)])
    with pytest.raises(WrongIdentity):
        password_text([("a", "plain")])


def test_the_acl_names_the_tenant_literally_and_a_device_owns_only_its_subtree() -> None:
    text = acl_text("demo", ["ingest"])
    assert "user service.ingest\ntopic read cb/v1/demo/+/up/#" in text
    assert text.endswith("pattern write cb/v1/demo/%u/up/#\npattern read cb/v1/demo/%u/down/#\n")
    assert "{tenant}" not in text


@pytest.mark.parametrize("tenant", ["", "Demo", "a/b", "a+", "#", "a b", "1a", "a" * 49])
def test_a_tenant_that_would_open_the_topic_tree_is_refused(tenant: str) -> None:
    with pytest.raises(WrongIdentity):
        acl_text(tenant, ["ingest"])


def test_an_unknown_service_is_refused_by_name() -> None:
    with pytest.raises(WrongIdentity, match="'root'"):
        acl_text("demo", ["root"])
