"""The private PostgreSQL, really started: as whoever runs the tests, as a user in /etc/passwd, and on the TimescaleDB tier."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from citybrain_testing.servers import REPOSITORY, private_postgres
from runtime.embedded import unprivileged
from runtime.embedded.errors import ClusterMismatch
from runtime.embedded.postgres import EmbeddedPostgres, wheel_bin_dir
from runtime.embedded.unprivileged import Confinement

pytestmark = pytest.mark.database

ONE_QUERY = """
import sys
from pathlib import Path
import psycopg
from citybrain_testing.servers import private_postgres
with private_postgres(data_dir=Path(sys.argv[1])) as server, psycopg.connect(server.url) as connection:
    print("answer", connection.execute("SELECT 6 * 7").fetchone()[0])
"""


def test_it_starts_answers_and_keeps_its_data_over_kill_9(tmp_path: Path) -> None:
    with private_postgres(data_dir=tmp_path) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        server.kill()
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
            assert connection.execute("SHOW max_locks_per_transaction").fetchone() == ("512",)


def test_nobody_gets_in_without_the_password(tmp_path: Path) -> None:
    with private_postgres(data_dir=tmp_path) as server:
        wrong = psycopg.conninfo.make_conninfo(server.url, password="guess")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
        run_dir, password = server.embedded.run_dir, server.embedded.data_dir / "password"
        assert run_dir.stat().st_mode & 0o777 == 0o700
        assert password.stat().st_mode & 0o777 == 0o600


def test_it_has_no_privileges(tmp_path: Path) -> None:
    with private_postgres(data_dir=tmp_path) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status


def test_it_starts_for_an_ordinary_user(tmp_path: Path) -> None:
    """Under the id of nobody: as root in a namespace of its own, so that this holds whoever runs the tests."""
    wrapper = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"] if os.geteuid() == 0 else []
    argv = [*wrapper, sys.executable, "-c", ONE_QUERY, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY)
    assert "answer 42" in done.stdout, done.stderr


def test_a_deep_data_directory_gets_a_short_socket_path(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with private_postgres(data_dir=deep) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not server.embedded.run_dir.is_relative_to(deep)
    for left in server.embedded.run_dir.iterdir():
        left.unlink()
    server.embedded.run_dir.rmdir()


def test_a_cluster_of_a_version_that_is_gone_is_refused_by_name(tmp_path: Path) -> None:
    embedded = EmbeddedPostgres(tmp_path, prefer_timescale=False)
    embedded.prepare()
    (embedded.data_dir / "made-by.json").write_text('{"major": 15, "timescale": true}')
    with pytest.raises(ClusterMismatch, match="PostgreSQL 15 with TimescaleDB"):
        EmbeddedPostgres(tmp_path).locate()


def without_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "confinement", lambda: Confinement.SETPRIV)


@pytest.mark.root
def test_where_namespaces_are_forbidden_root_runs_it_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    without_namespaces(monkeypatch)
    with private_postgres() as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 6 * 7").fetchone() == (42,)
        assert Path(f"/proc/{server.pid}").stat().st_uid == unprivileged.NOBODY
        assert server.embedded.tenant_dir.stat().st_mode & 0o007 == 0, "still closed to everybody else"


@pytest.mark.root
def test_programs_that_nobody_cannot_reach_are_copied_into_the_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    without_namespaces(monkeypatch)
    wheel = wheel_bin_dir()
    assert wheel is not None
    first_closed = unprivileged.first_closed
    monkeypatch.setattr(unprivileged, "first_closed", lambda path: path if path == wheel else first_closed(path))
    with private_postgres() as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 6 * 7").fetchone() == (42,)
        assert server.embedded.locate().bin_dir.is_relative_to(server.embedded.data_dir)


@pytest.mark.root
@pytest.mark.timescale
def test_the_dev_stack_works_without_namespaces_too(monkeypatch: pytest.MonkeyPatch) -> None:
    without_namespaces(monkeypatch)
    with private_postgres(tier="timescale") as server, psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION timescaledb")
        assert Path(f"/proc/{server.pid}").stat().st_uid == unprivileged.NOBODY


@pytest.mark.timescale
def test_the_dev_stack_gives_timescaledb(tmp_path: Path) -> None:
    with private_postgres(tier="timescale", data_dir=tmp_path) as server:
        url = server.fresh_database()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION timescaledb")
            connection.execute("CREATE TABLE sample (at timestamptz NOT NULL, result double precision)")
            connection.execute("SELECT create_hypertable('sample', by_range('at', INTERVAL '7 days'))")
            connection.execute("INSERT INTO sample VALUES ('2019-08-09', 1), ('2019-09-09', 2)")
            assert connection.execute("SELECT count(*) FROM show_chunks('sample')").fetchone() == (2,)
            assert connection.execute("SHOW timescaledb.telemetry_level").fetchone() == ("off",)
        server.kill()
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT sum(result) FROM sample").fetchone() == (3.0,)
