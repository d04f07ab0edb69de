"""Do bytes from outside crash, hang or swell what reads them?

Question: does any input that coverage-guided fuzzing finds make a decoder, or the whole way from a message to records, raise, take
over ten seconds, or keep memory? `atheris` (libFuzzer with the coverage of our Python) drives each reader for its share of SECONDS,
two at a time, beginning with the frames of the tests. A stream is fed in pieces whose sizes the input decides. What holds besides:

* a decoder says something about every byte stream that it was given (a report, a refusal, or that it waits for the rest);
* the pipeline ends every message as rows, events or a dead letter, and no value outside its schema becomes a row.

    python -m benchmarks.fuzz               an hour; the peers' environment: make bench-peers
    QUICK=1 python -m benchmarks.fuzz       50 s in all
    SECONDS=, TARGETS=hj212,sl651, SEED=

Exit code 1 and the input in hexadecimal where something was found. The last line is JSON: executions and covered edges per reader.
"""

from __future__ import annotations

import ast
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-bench" / "bin" / "python"
HANG_S, MEMORY_MB, LENGTH_MAX = 10, 1_500, 8_192
AT_ONCE = 2
PIECES = 4
SEEDS_OF = {
    "hj212": "test_hj212.py",
    "sl651": "test_sl651.py",
    "gb26875": "test_gb26875.py",
    "jt808": "test_jt808.py",
    "senml": "test_senml.py",
    "senml-cbor": "test_senml.py",
}
# Behind the codec, for readers to which the topic says something: one is taken by the input's first byte.
TOPICS_OF = {
    codec: [
        (),
        ("RuleEngine", "FieldDetector", "ObjectsInside", "&1", "smoke"),
        ("RuleEngine", "ObjectDetection", "Object", "&1"),
        ("VideoSource", "tns1:MotionAlarm&", "1"),
        ("a", "b"),
    ]
    for codec in ("onvif-json", "onvif-ej", "onvif-json-child")
} | {"frigate": [(), ("reviews",), ("events",), ("stats",)]}
JSON_SEEDS = [
    b'{"ts":1700000000000,"seq":7,"values":{"stage_m":3.5,"door":true},"q":{"stage_m":3}}',
    b'[{"ts":1700000000000,"values":{"stage_m":3.5},"bf":true}]',
    b'{"child":[{"ts":1700000000000,"values":{"stage_m":3.5}}]}',
    b'{"id":"a","ts":1700000000000,"type":"x","confidence":0.5,"values":{"a":1},"media":["https://a/b"]}',
    b'{"online":true,"ts":1700000000000}',
]
PLATFORM_SEEDS = [
    b'{"stage_m":3.5,"door":true}',
    b'{"Device A":[{"ts":1700000000000,"values":{"stage_m":3.5}}]}',
    b'{"device":"Device A"}',
    b'{"id":"1","sys":{"ack":1},"params":{"stage_m":{"value":3.5,"time":1700000000000},"door":true}}',
    b'{"timestamp":1700000000000,"properties":{"stage_m":3.5}}',
    b'{"services":[{"service_id":"s","properties":{"a":1},"event_time":"20151212T121212Z"}]}',
    b'{"devices":[{"device_id":"d","services":[{"service_id":"s","properties":{"a":1},"event_time":"20151212T121212Z"}]}]}',
    b'{"UtcTime":"2008-10-10T12:24:57.321Z","PropertyOperation":"Changed","Source":{"Rule":"smoke"},'
    b'"Data":{"IsInside":"true","State":"false","ClassTypes":"Person Car","Likelihood":0.5},"Topic":"a/b"}',
    b'{"UtcTime":"2008-10-10T12:24:57Z","Source":{"SimpleItem":[{"Name":"Rule","Value":"x"}]},'
    b'"Data":{"SimpleItem":{"Name":"IsInside","Value":"1"}}}',
    b'{"type":"update","before":{"id":"1.5-a","camera":"c","label":"person","false_positive":true},"after":{"id":"1.5-a",'
    b'"camera":"c","label":"person","top_score":0.9,"start_time":1.5,"end_time":null,"frame_time":2.5,"entered_zones":["z"]}}',
    b'{"type":"end","before":{},"after":{"id":"1.5-b","camera":"c","severity":"alert","start_time":1.5,"end_time":9.5,'
    b'"data":{"objects":["smoke"],"audio":["scream"],"zones":[]}}}',
    b'{"channelId":"34020000001320000001","alarmPriority":"1","alarmMethod":5,"alarmType":6,"alarmTime":"2024-01-31 10:00:00",'
    b'"alarmDescription":"x","longitude":121.44,"latitude":28.68}',
    b'{"Notify":{"CmdType":"Alarm","DeviceID":"34020000001320000001","AlarmMethod":"5","Info":{"AlarmType":"10"}}}',
]


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        work(sys.argv[2], sys.argv[3:])
        return
    if not PYTHON.exists():
        sys.exit("fuzz: no .venv-bench; make bench-peers")
    quick = bool(os.environ.get("QUICK"))
    seconds = float(os.environ.get("SECONDS") or (50 if quick else 3_600))
    seed = int(os.environ.get("SEED") or 3)
    names = os.environ["TARGETS"].split(",") if os.environ.get("TARGETS") else _names()
    folder = Path(tempfile.mkdtemp(prefix="cb-fuzz-"))
    began = time.monotonic()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {len(names)} readers, {seconds:.0f} s, seed {seed}", flush=True
    )
    share = max(2, math.floor(seconds * AT_ONCE / len(names)) - 2)  # two seconds go into starting
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = dict(zip(names, pool.map(lambda name: one(name, folder, share, seed), names), strict=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    broken = [name for name, result in found.items() if result["found"]]
    total = sum(result["executions"] for result in found.values())
    facts = {"seed": seed, "quick": quick, "seconds": round(time.monotonic() - began, 1)}
    print(json.dumps({"executions": total, "broken": broken, "readers": found, **facts}))
    sys.exit(1 if broken else 0)


def _names() -> list[str]:
    """All readers, asked of the environment that has atheris."""
    code = "from benchmarks.fuzz import targets; print(','.join(targets()))"
    return (
        subprocess.run([PYTHON, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
        .stdout.strip()
        .split(",")
    )


def one(name: str, folder: Path, seconds: int, seed: int) -> dict[str, Any]:
    """One reader in a process of its own."""
    corpus, crashes = folder / name / "corpus", folder / name / "found"
    corpus.mkdir(parents=True)
    crashes.mkdir()
    for number, content in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(content)
    options = {
        "max_total_time": seconds,
        "timeout": HANG_S,
        "rss_limit_mb": MEMORY_MB,
        "max_len": LENGTH_MAX,
        "seed": seed,
        "print_final_stats": 1,
        "artifact_prefix": f"{crashes}/",
    }
    argv = [str(PYTHON), "-m", "benchmarks.fuzz", "--worker", name, *(f"-{k}={v}" for k, v in options.items())]
    done = subprocess.run([*argv, str(corpus)], cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    edges = re.findall(r"cov: (\d+)", done.stderr)
    peak = re.search(r"stat::peak_rss_mb:\s*(\d+)", done.stderr)
    inputs = [path.read_bytes().hex() for path in sorted(crashes.iterdir())]
    if done.returncode or inputs or runs is None:
        print(
            f"{name}: status {done.returncode}\n{done.stdout[-4_000:]}\n{done.stderr[-2_000:]}\ninputs: {inputs}",
            flush=True,
        )
    return {
        "executions": int(runs.group(1)) if runs else 0,
        "edges": int(edges[-1]) if edges else 0,
        "peak_mb": int(peak.group(1)) if peak else 0,
        "found": inputs or ([f"status {done.returncode}"] if done.returncode or runs is None else []),
    }


def seeds(name: str) -> Iterator[bytes]:
    """Frames that stand in the reader's tests, each behind the byte that says how a stream is cut; for the rest JSON."""
    if name not in SEEDS_OF:
        if name == "pipeline":
            for number, content in enumerate(JSON_SEEDS):
                yield bytes([number]) + content
            for codec, file in SEEDS_OF.items():
                place = [*_raw_codecs()].index(codec) if codec in _raw_codecs() else None
                if place is not None:
                    yield from (bytes([len(_CHANNELS) + place]) + frame for frame in frames(file))
            for place, codec in enumerate(_raw_codecs()):
                if codec not in SEEDS_OF:
                    yield from (bytes([len(_CHANNELS) + place]) + content for content in PLATFORM_SEEDS)
            return
        if name in _raw_codecs():
            yield from (b"\0" + content for content in (*JSON_SEEDS, *PLATFORM_SEEDS))
            return
        yield from JSON_SEEDS
        return
    for frame in frames(SEEDS_OF[name]):
        yield b"\0" + frame


def frames(file: str) -> Iterator[bytes]:
    """Bytes that a test file writes down: literals, and hexadecimal text that stands in `bytes.fromhex`."""
    tree = ast.parse((ROOT / "tests" / "unit" / "codecs" / file).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes) and len(node.value) > 8:
            yield node.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 16:
            packed = "".join(node.value.split())
            if re.fullmatch(r"([0-9a-fA-F]{2})+", packed):
                yield bytes.fromhex(packed)
            elif node.value.lstrip().startswith(("[", "{")):
                yield node.value.encode()


def _raw_codecs() -> Sequence[str]:
    from devices.stations import DECODERS

    return sorted(DECODERS)


# --- inside the process that has atheris: what is given bytes, and what must hold

_CHANNELS = ("telemetry", "gw/telemetry", "event", "state", "attr", "cmd/1")


def work(name: str, options: Sequence[str]) -> None:
    import atheris  # type: ignore[import-not-found,unused-ignore]  # in .venv-bench alone

    with atheris.instrument_imports(include=["devices", "ingest"]):
        target = targets()[name]
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


def targets() -> dict[str, Callable[[bytes], None]]:
    """By name: a function that raises where something does not hold."""
    import devices.topics as topics
    from devices.codecs import json_v1
    from devices.codecs.json_message import JsonMessageDecoder
    from devices.codecs.station import Decoder, Refused, Report
    from devices.stations import DECODERS, NOBODY

    def stream(codec: str, make: Callable[[], Decoder]) -> Callable[[bytes], None]:
        topics_of = TOPICS_OF.get(codec, [()])

        def feed(data: bytes) -> None:
            if not data:
                return
            decoder, body = make(), data[1:]
            size = max(1, len(body) // (1 + data[0] % PIECES) + data[0] // PIECES % 3)
            if isinstance(decoder, JsonMessageDecoder):
                decoder.levels = topics_of[data[0] % len(topics_of)]
            said: list[Report | Refused] = []
            for first in range(0, len(body), size):
                said += decoder.feed(body[first : first + size])
            said += decoder.finish()
            for piece in said:
                if isinstance(piece, Refused):
                    assert piece.problems, "a refusal without a reason"
                else:
                    for group in piece.groups:
                        assert all(r.quality in (None, 1, 2, 3, 4, 9) for r in group.readings), "no QARTOD flag"
                    for one in piece.happened:
                        assert one.type, "something without a type"
                        assert one.confidence is None or 0 <= one.confidence <= 1
            again = decoder.feed(body)  # a connection goes on after whatever came
            assert len(again) <= len(body) + 1

        return feed

    def topic(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        try:
            parsed = topics.parse_up(text)
        except topics.BadTopic:
            return
        assert topics.up(parsed.tenant, parsed.device_id, parsed.channel, parsed.argument) == text

    made = {name: stream(name, lambda factory=factory: factory(NOBODY)) for name, factory in DECODERS.items()}  # type: ignore[misc]
    return {
        **made,
        "telemetry": lambda data: _samples(json_v1.telemetry("g1", data)),
        "gateway": lambda data: _samples(json_v1.gateway(data)),
        "event": lambda data: _pair(json_v1.event(data)),
        "state": lambda data: _pair(json_v1.state(data)),
        "topic": topic,
        "pipeline": _pipeline(),
    }


def _samples(decoded: Any) -> None:
    """What the decoder lets through is checked against the model later; here it is samples, or reasons why there are none."""
    assert decoded.samples or decoded.problems, "neither samples nor a reason"


def _pair(told: tuple[Any, Any]) -> None:
    what, problems = told
    assert (what is None) == bool(problems), f"{what!r} beside {problems!r}"


def _pipeline() -> Callable[[bytes], None]:
    """Any bytes on any channel of a registered gateway, with every raw codec; one pipeline for all, as it is."""
    import numpy as np

    from citybrain_testing.logged import gauge, registry_of, series
    from devices.models import load_models
    from devices.stations import DECODERS
    from ingest.message import Message
    from ingest.pipeline import Link, Pipeline
    from stream.records import ObsBatch, RecordKind

    names = {"frigate": "c", "gb28181": "34020000001320000001", "jt808": "013306139197"}
    bound = {"stations": {platform: {"station": name} for platform, name in names.items()}}
    devices = [gauge("g1"), gauge("child", gateway="g1", attributes=bound)]
    streams = [series(1), series(2, prop="battery_v", kind="number"), series(3, prop="door", kind="bool"),
               series(4, "child")]  # fmt: skip
    pipeline = Pipeline("demo", registry_of(devices, streams), load_models())
    tails = [*_CHANNELS, *(f"raw/{codec}" for codec in sorted(DECODERS))]
    tails += ["/".join(("raw", codec, *levels)) for codec, topics in TOPICS_OF.items() for levels in topics if levels]
    count = [0]

    def feed(data: bytes) -> None:
        if not data:
            return
        count[0] += 1
        topic = f"cb/v1/demo/g1/up/{tails[data[0] % len(tails)]}"
        now_us = 1_700_000_000_000_000 + count[0]
        outcome = pipeline.process(
            [Message(topic=topic, payload=data[1:], packet_id=0, receive_us=now_us)], Link(machine_s=count[0] / 1e3)
        )
        batches = [ObsBatch.decode(record.body) for record in outcome.records if record.kind is RecordKind.OBS]
        assert sum(len(batch) for batch in batches) == outcome.rows
        for batch in batches:
            assert np.isin(batch.numpy("quality"), (1, 2, 3, 4, 9)).all()
            assert np.isin(batch.numpy("datastream"), (1, 2, 3, 4)).all()

    return feed


if __name__ == "__main__":
    main()
