"""Beside the rates: cold start, opening a dataset of a million examples, and a trainer that is fed."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.loading.contenders.ours import build_set
from benchmarks.loading.corpus import Corpus, Crops, once

MILLION = 1_000_000
COLD = (
    "mixdata npy16",
    "mixdata flac16",
    "soundfile WAV 16",
    "webdataset FLAC",
    "MDS int16",
    "litdata int16",
    "lhotse Shar FLAC",
    "HF parquet FLAC",
)

_FRESH = """
import json, sys, time
began = time.perf_counter()
{body}
took = time.perf_counter() - began
with open("/proc/self/status") as file:  # getrusage would count what the parent held when it forked
    peak = int(next(line for line in file if line.startswith("VmHWM")).split()[1])
print(json.dumps([took, peak / 1024]))
"""
_COLD = """
import pickle
from benchmarks.loading.contenders import of_family
corpus, crops, family, name = pickle.load(sys.stdin.buffer)
contender = next(kind for kind in of_family(family) if kind.name == name)(corpus, crops)
next(contender.items())
"""
_MILLION = """
from mixdata.torch import ShardDataset
imported = time.perf_counter()
dataset = ShardDataset(sys.argv[1], crop=6.0)
places = [dataset.place(number) for number in range(0, len(dataset), len(dataset) // 8)]
began = imported  # the imports are counted apart
"""


def cold_start(corpus: Corpus, crops: Crops, families: dict[str, str], rounds: int) -> str:
    """Time a fresh process that imports what the contender needs, opens its container and gives one crop."""
    import pickle

    found: dict[str, list[list[float]]] = {}
    for _ in range(rounds):
        for name in COLD:
            if name in families:
                found.setdefault(name, []).append(_fresh(_COLD, pickle.dumps((corpus, crops, families[name], name))))
    lines = ["| fresh process: import, open, first crop | s | peak memory, MB |", "|---|---|---|"]
    for name, runs in found.items():
        seconds = [run[0] for run in runs]
        lines.append(f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f} … {max(seconds):.2f}) | {runs[-1][1]:.0f} |")
    return "\n".join(lines)


def _fresh(body: str, given: bytes = b"", *arguments: str) -> list[float]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), root])
    command = [sys.executable, "-c", _FRESH.format(body=body), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, env={**os.environ, "PYTHONPATH": path}, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-500:])
    return json.loads(done.stdout.splitlines()[-1])


def million(corpus: Corpus, rounds: int) -> str:
    """Open a dataset whose `examples.parquet` has a million rows (and no audio) in fresh processes."""
    source = build_set(corpus, "npy16")
    place = once(corpus.folder / "containers" / "million", lambda place: write_million(source, place / "set", MILLION)) / "set"
    runs = [_fresh(_MILLION, b"", str(place)) for _ in range(rounds)]
    base = [_fresh("import mixdata.torch") for _ in range(rounds)]
    rows = [
        f"| open and place eight crops, s | {statistics.median(run[0] for run in runs):.2f} |",
        f"| peak memory of the process, MB | {statistics.median(run[1] for run in runs):.0f} |",
        f"| of which is there after `import mixdata.torch`, MB | {statistics.median(run[1] for run in base):.0f} |",
        f"| `import mixdata.torch`, s | {statistics.median(run[0] for run in base):.2f} |",
        f"| examples.parquet, MB | {(place / 'examples.parquet').stat().st_size / 1e6:.0f} |",
    ]
    return "\n".join(["| a million examples | |", "|---|---|", *rows])


def write_million(source: Path, place: Path, rows: int) -> None:
    """Write the tables of a dataset of this many blocks of 5 s in songs of 50, with the columns of a built one."""
    built = pq.read_table(source / "examples.parquet")
    number = np.arange(rows)
    song, block = number // 50, number % 50
    ids = np.array([f"song-{index}-{index * 2654435761 % 2**32:08x}" for index in range(song[-1] + 1)], object)
    made = {
        "song": pa.array(ids[song], pa.string()),
        "key": pa.array([f"{ids[index]}_{place:05d}" for index, place in zip(song, block, strict=True)], pa.string()),
        "shard": pa.array([f"train-{index:06d}" for index in song // 5], pa.string()),
        "block": block,
        "start": block * 220_500,
        "frames": np.full(rows, 220_500),
        "byte_offset": number % 250 * 8_000_000,
    }
    drawn = built.take(pa.array(number % len(built)))
    columns = [pa.array(made[field.name]).cast(field.type) if field.name in made else drawn[field.name] for field in built.schema]
    place.mkdir(parents=True)
    pq.write_table(pa.table(columns, schema=built.schema), place / "examples.parquet")
    meta = json.loads((source / "dataset.json").read_text())
    meta["splits"] = {"train": {"songs": int(song[-1]) + 1, "examples": rows, "seconds": rows * 5.0, "shards": []}}
    (place / "dataset.json").write_text(json.dumps(meta))


def trainer(stations: Any, families: dict[str, str], key: tuple[str, float], crops_per_second: tuple[int, ...], seconds: float) -> str:
    """Return how long a training step waits, per rate at which it could take crops."""
    loaders = [
        ("mixdata npy16", "threads"), ("mixdata npy16", "processes"), ("mixdata npy16", "stock"), ("mixdata flac16", "threads"),
        ("mixdata flac16", "stock"), ("MDS int16", "stock"), ("litdata int16", "stock"), ("webdataset FLAC", "stock"),
    ]  # fmt: skip
    lines = [
        "| share of time in which the step waits; step takes crops/s: | " + " | ".join(map(str, crops_per_second)) + " |",
        "|---" * (1 + len(crops_per_second)) + "|",
    ]
    for name, way in loaders:
        cells = []
        for rate in crops_per_second if name in families else ():
            answer = stations[families[name]].ask("train", name, key, way, 2, rate, seconds)
            if "absent" in answer:
                break
            cells.append(f"{100 * answer['waited']:.0f} %")
        if cells:
            lines.append(f"| {name}, {way} 2 | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def train(contender: Any, way: str, workers: int, rate: float, seconds: float) -> dict[str, float]:
    """Feed a step that sleeps, as a host does while a GPU works: return the share of time in which it waits for a batch."""
    from benchmarks.loading.contenders.base import BATCH

    batches = contender.batches(way, workers)
    for _ in range(2 * workers + 2):
        next(batches)
    waited, began = 0.0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        asked = time.perf_counter()
        next(batches)
        waited += time.perf_counter() - asked
        time.sleep(BATCH / rate)
    return {"waited": waited / (time.perf_counter() - began)}
