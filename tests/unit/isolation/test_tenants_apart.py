"""A real tenant, a demonstration and an exercise on one machine: nothing of one is in the other's place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from command_center.outbox import TENANT_WORDS
from devices.credentials import SALT_BYTES, hash_password
from runtime.embedded.mosquitto import write_broker_files
from runtime.roles.command import BANNERS
from runtime.secrets import service_secrets
from runtime.settings import Settings, check
from runtime.up import Up, prepare_directories

TENANTS = {"main": "real", "demo": "demo", "drill1": "exercise"}


def settings(folder: Path, tenant: str) -> Settings:
    return check(Settings(data_dir=folder / tenant, tenant=tenant, tenant_kind=TENANTS[tenant], port=0, https_port=0))


def test_each_has_a_directory_a_log_ports_and_keys_of_its_own(tmp_path: Path) -> None:
    ups = [Up(settings(tmp_path, tenant), progress=lambda _: None).settings for tenant in TENANTS]
    for of in ("data_dir", "log_dir", "secrets_dir", "append_socket", "broker_port", "port", "https_port"):
        assert len({getattr(one, of) for one in ups}) == len(TENANTS), of
    secrets = [service_secrets(one.secrets_dir) for one in ups]
    for key in ("signing_key", "journal_key", "outbox_key", "canary"):
        assert len({getattr(one, key) for one in secrets}) == len(TENANTS), key
    assert len({str(one.personal_keys) for one in secrets}) == len(TENANTS)


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_brokers_acl_names_its_own_tenant_and_no_other(tmp_path: Path, tenant: str) -> None:
    write_broker_files(tmp_path, tenant, [("wg-1", hash_password("word", salt=b"s" * SALT_BYTES))])
    acl = (tmp_path / "acl_file").read_text()
    topics = [word for line in acl.splitlines() for word in line.split() if word.startswith("cb/v1/")]
    assert topics
    assert {topic.split("/")[2] for topic in topics} == {tenant}


def test_everything_that_is_not_real_has_its_banner_and_its_word() -> None:
    kinds = {"demo", "exercise", "test"}
    assert set(BANNERS) == set(TENANT_WORDS) == kinds
    assert {word in BANNERS[kind]["zh"] for kind, word in (("demo", "演示"), ("exercise", "演练"))} == {True}


def test_a_second_start_finds_the_same_ports_and_keys_again(tmp_path: Path) -> None:
    first = Up(settings(tmp_path, "drill1"), progress=lambda _: None)
    second = Up(settings(tmp_path, "drill1"), progress=lambda _: None)
    assert replace(first.settings) == second.settings
    assert first.secrets == second.secrets
    prepare_directories(second.settings)
