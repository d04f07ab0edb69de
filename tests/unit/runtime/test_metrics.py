"""What each role prints of its figures: a family stands in the joined text once."""

from __future__ import annotations

from pathlib import Path

import ingest.pipeline  # noqa: F401 - role command has it loaded, for dead letters that are read again
from runtime.metrics import all_metrics, own_metrics


def test_the_figures_of_ingest_are_those_of_its_own_process(tmp_path: Path) -> None:
    (tmp_path / "ingest.prom").write_text(own_metrics("ingest"))
    names = [
        line.split()[2] for line in all_metrics(tmp_path, own_role="rules").splitlines() if line.startswith("# HELP")
    ]
    assert len(names) > len(set(names))  # here one process plays all: every family of it is there twice
    text = own_metrics("command")
    assert "citybrain_ingest_" not in text
    assert "citybrain_broker_store_bytes" not in text
    assert "citybrain_ingest_received_total" in all_metrics(tmp_path, own_role="command")
