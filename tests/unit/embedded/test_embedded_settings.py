"""The files of deploy/ are those that the settings table writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.embedded.settings import MOSQUITTO, deploy_files, mosquitto_conf, postgres_conf

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


@pytest.mark.parametrize("name", sorted(deploy_files()))
def test_deploy_file_is_what_the_table_writes(name: str) -> None:
    assert (DEPLOY / name).read_text(encoding="utf-8") == deploy_files()[name]


def test_the_settings_of_the_no_loss_claim_are_set() -> None:
    conf = mosquitto_conf({"listener": "1883"}).splitlines()
    assert {
        "persistence true",
        "max_queued_messages 2000000000",
        "allow_anonymous false",
        "max_packet_size 262144",
    } <= set(conf)
    assert int(MOSQUITTO["max_inflight_messages"]) >= 1000, "a batch of ingest must fit"


def test_timescale_settings_only_where_timescale_is() -> None:
    assert "timescaledb.telemetry_level = 'off'" in postgres_conf(timescale=True)
    assert "timescaledb" not in postgres_conf(timescale=False)
    assert "max_locks_per_transaction = '512'" in postgres_conf(timescale=False)
