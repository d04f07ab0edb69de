"""docker-compose.yml is understood by Compose, and its servers use the files that a unit test compares with the table."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml

from citybrain_testing.servers import REPOSITORY

pytestmark = pytest.mark.compose


def compose_config(*arguments: str) -> dict[str, dict[str, dict[str, object]]]:
    tool = ["docker", "compose"] if shutil.which("docker-compose") is None else ["docker-compose"]
    done = subprocess.run(
        [*tool, *arguments, "config"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(done.stdout)
    return document


def test_compose_accepts_the_file_and_starts_no_demo_by_itself() -> None:
    services = compose_config()["services"]
    assert {"database", "broker", "system"} <= set(services)
    assert "demo" in compose_config("--profile", "demo")["services"]


def test_database_and_broker_read_the_tested_settings() -> None:
    services = compose_config()["services"]
    assert "deploy/postgresql.conf" in json.dumps(services["database"]["volumes"])
    assert "deploy/mosquitto.conf" in json.dumps(services["broker"]["volumes"])


def test_database_and_broker_stand_in_a_network_without_a_way_out() -> None:
    document = compose_config()
    assert document["networks"]["inside"]["internal"] is True
    assert list(document["services"]["database"]["networks"]) == ["inside"]
