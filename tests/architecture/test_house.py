"""The house of docs/architecture.md, held: who imports whom, and what only one room may do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAY_IMPORT = {
    "gis": set(),
    "devices": {"gis"},
    "stream": {"devices"},
    "ingest": {"devices", "stream"},
    "hazards": {"gis"},
    "rules": {"stream", "hazards", "devices", "gis"},
    "command_center": {"rules", "stream", "hazards", "devices", "gis"},
    "storage": {"gis", "devices", "stream", "rules", "command_center", "hazards"},
    "simulators": {"devices", "gis"},
    "runtime": {
        "gis",
        "devices",
        "stream",
        "ingest",
        "hazards",
        "rules",
        "command_center",
        "storage",
        "simulators",
    },
    "citybrain_testing": set(),  # helpers of tests may import every room
}
ROOMS = sorted(set(MAY_IMPORT) - {"citybrain_testing"})


def sources(room: str) -> Iterator[Path]:
    yield from sorted((ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_table_allows(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(room)
        for module, line in imported(path)
        if module.split(".")[0] in MAY_IMPORT and module.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_the_codecs_could_be_taken_out_and_used_alone() -> None:
    """`devices/codecs` imports nothing of ours but itself."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources("devices/codecs")
        for module, line in imported(path)
        if module.split(".")[0] in MAY_IMPORT and not module.startswith("devices.codecs")
    ]
    assert wrong == []


def _lines_matching(pattern: str, rooms: list[str], *, suffix: str = "*.py") -> list[str]:
    expression = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for room in rooms
        for path in sorted((ROOT / room).rglob(suffix))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if expression.search(line)
    ]


def test_only_storage_has_sql() -> None:
    """The log's own SQLite statements stay inside stream."""
    rooms = [r for r in ROOMS if r not in ("storage", "stream")]
    statement = r"""["'](\s*)(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|ALTER TABLE)\b"""
    assert _lines_matching(statement, rooms) == []


def test_only_the_http_rims_know_http_frameworks() -> None:
    """People and programs come in by `command_center/api`, platforms that push by one module of ingest (decision 0021)."""
    pushes = {"ingest/http_in.py": {"starlette"}}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for room in ROOMS
        if room != "runtime"
        for path in sources(room)
        if not path.is_relative_to(ROOT / "command_center" / "api")
        for module, line in imported(path)
        if module.split(".")[0] in ("fastapi", "starlette", "uvicorn", "pydantic")
        and module.split(".")[0] not in pushes.get(str(path.relative_to(ROOT)), ())
    ]
    assert wrong == []


def test_only_runtime_reads_the_environment() -> None:
    rooms = [r for r in ROOMS if r != "runtime"]
    assert _lines_matching(r"os\.environ|os\.getenv|getenv\(", rooms) == []


def test_below_runtime_nobody_reads_the_wall_clock_or_global_randomness() -> None:
    rooms = [r for r in ROOMS if r != "runtime"]
    pattern = (
        r"time\.time\(|time\.time_ns\(|datetime\.now\(|datetime\.utcnow\(|date\.today\(|Date\.now"
        r"|(?<!\w)random\.(random|choice|randint|uniform|shuffle|gauss)\("
        r"|np\.random\.(rand|randn|seed|random|normal|uniform|choice)\("
    )
    assert _lines_matching(pattern, rooms) == []


def test_a_unit_test_neither_sleeps_nor_opens_a_socket_nor_reads_the_clock() -> None:
    """`asyncio.sleep(0)` only lets other coroutines run, and is no waiting."""
    pattern = (
        r"sleep\((?!0\))|time\.(time|monotonic|perf_counter)(_ns)?\(|datetime\.now\(|date\.today\("
        r"|socket\.(socket|create_)|create_connection\(|urlopen\(|start_server\(|RunningClock"
    )
    assert _lines_matching(pattern, ["tests/unit"]) == []


def test_no_sql_asks_the_database_for_the_time() -> None:
    """Our time is city time (contract.md section 5)."""
    pattern = (
        r"(?i)\bnow\(\)|current_timestamp|clock_timestamp|localtimestamp|add_retention_policy|add_compression_policy"
    )
    found = _lines_matching(pattern, ["storage"], suffix="*.sql") + _lines_matching(
        r"(?i)add_(retention|compression|continuous_aggregate)_policy", ["storage"]
    )
    assert [line for line in found if not re.search(r":\d+: --", line)] == []


def test_gis_knows_features_not_incidents() -> None:
    assert _lines_matching(r"(?i)\bincident_id|\btask_id|alarm_id", ["gis"]) == []


def test_only_the_settings_of_a_tenant_prove_that_it_is_real() -> None:
    """Whoever could prove it elsewhere could send from a demonstration (command_center/reality.py)."""
    found = _lines_matching(r"RealTenant\s*\.\s*of\(|_given\b|getattr\(RealTenant", ROOMS)
    elsewhere = [line for line in found if not line.startswith("command_center/reality.py")]
    assert [line.split(":")[0] for line in elsewhere] == ["runtime/settings.py"]


def test_no_installed_distribution_owns_one_of_our_names() -> None:
    """A wheel that installs a top-level `tests` or `rules` would shadow ours (contract.md section 8)."""
    ours = {*MAY_IMPORT, "tests", "benchmarks"}
    clashes = []
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name == "citybrain":
            continue
        tops = {str(file).split("/")[0].removesuffix(".py") for file in distribution.files or [] if "/" in str(file)}
        clashes += [f"{name} installs {top}" for top in sorted(tops & ours)]
    assert clashes == []


def test_every_package_is_named_in_pyproject() -> None:
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        str(init.parent.relative_to(ROOT)).replace("/", ".")
        for room in [*ROOMS, "citybrain_testing"]
        for init in (ROOT / room).rglob("__init__.py")
    }
    assert listed == found
