"""kill -9 in the middle of appends: everything that was answered is there, in order, and the positions go on."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from citybrain_testing.clocks import RunningClock
from citybrain_testing.logged import all_records
from stream.records import NewRecord, RecordKind
from stream.sqlite_log import LogLocked, LogReader, LogWriter

ROOT = Path(__file__).resolve().parents[3]
KILLS = 3
WAIT_S = 20.0


def appending(directory: Path, output: Path) -> subprocess.Popen[bytes]:
    """The process, from the moment at which its first append is durable."""
    command = [sys.executable, "-m", "citybrain_testing.append_until_killed", str(directory)]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, cwd=ROOT)
    deadline = time.monotonic() + WAIT_S
    while not answers(output) and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def answers(output: Path) -> dict[int, str]:
    """Positions and keys that the process was told to be durable; its last line may be cut."""
    lines = [line.split() for line in output.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return {int(words[0]): words[1].decode() for words in lines if len(words) == 2 and words[0].isdigit()}


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_everything_answered_survives_kill_9_again_and_again(tmp_path: Path) -> None:
    answered: dict[int, str] = {}
    for number in range(KILLS):
        process = appending(tmp_path / "log", tmp_path / "out")
        time.sleep(0.9 + 0.13 * number)
        kill(process)
        answered |= answers(tmp_path / "out")
    records = all_records(tmp_path / "log")
    assert len(answered) > 100
    assert [record.position for record in records] == list(range(1, len(records) + 1))
    assert all(late.at_us > early.at_us for early, late in pairwise(records))
    bodies = {record.position: record.body.rstrip(b".").decode() for record in records}
    # keys repeat in every run, so the later runs' first appends were answered with the position they had
    assert {position: bodies[position] for position in answered} == answered
    assert len(list((tmp_path / "log").glob("*.sqlite"))) > KILLS  # it rotated meanwhile


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    process = appending(tmp_path / "log", tmp_path / "out")
    try:
        with pytest.raises(LogLocked, match="another process writes"):
            LogWriter(tmp_path / "log", RunningClock())
    finally:
        kill(process)
    LogWriter(tmp_path / "log", RunningClock()).close()  # the lock died with its holder


def test_a_reader_in_another_process_sees_what_is_written_while_files_change(tmp_path: Path) -> None:
    process = appending(tmp_path / "log", tmp_path / "out")
    positions: list[int] = []
    deadline = time.monotonic() + 2.5
    try:
        with LogReader(tmp_path / "log") as reader:
            while time.monotonic() < deadline:
                after = positions[-1] if positions else 0
                if reader.wait(after, 0.5):
                    positions += [record.position for record in reader.read(after, 100)]
    finally:
        kill(process)
    assert positions == list(range(1, len(positions) + 1))
    assert len(list((tmp_path / "log").glob("*.sqlite"))) >= 3


def test_a_full_disk_refuses_and_what_is_there_stays(tmp_path: Path) -> None:
    """A real file-size limit of the kernel stands for the full disk: SQLite gets the same refusal from write()."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from citybrain_testing.clocks import RunningClock\n"
        "from stream.records import NewRecord, RecordKind\n"
        "from stream.sqlite_log import LogError, LogWriter\n"
        "writer = LogWriter(Path(sys.argv[1]), RunningClock())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))\n"
        "done = 0\n"
        "refusal = ''\n"
        "while not refusal:\n"
        "    try:\n"
        "        done = writer.append([NewRecord(kind=RecordKind.EVENT, body=b'x' * 20_000)])[0].position\n"
        "    except LogError as error:\n"
        "        refusal = type(error).__name__\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "again = writer.append([NewRecord(kind=RecordKind.EVENT, body=b'y', key='again')])[0].position\n"
        "writer.close()\n"
        "print(done, refusal, again)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    ).stdout
    done, refusal, again = output.strip().splitlines()[-1].split()
    records = all_records(tmp_path)
    assert refusal in ("LogFull", "LogFailed")
    assert int(done) >= 10
    assert [record.position for record in records] == list(range(1, int(again) + 1))
    assert records[-1].body == b"y"
    assert int(again) in (int(done) + 1, int(done) + 2)  # the refused one may have reached the disk all the same


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    record = NewRecord(kind=RecordKind.TRANSITION, body=b"{}", key="t:5:0")
    with LogWriter(tmp_path, RunningClock()) as writer:
        (first,) = writer.append([record])
    with LogWriter(tmp_path, RunningClock()) as writer:
        (second,) = writer.append([record])
    assert (second.position, second.duplicate) == (first.position, True)
