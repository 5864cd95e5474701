"""How fast a corpus of many files is indexed, beside what only reads and hashes them.

    python -m benchmarks.index --files 100000 --folder bench-index

Makes a tree of WAV files (a quarter of a second, stereo, 44 kB each: few large files are bound by the disk alone), then in each round runs,
one after the other in an order drawn anew: reading and hashing every file in threads (what no index can beat), `mixdata index` without and
with measures, `mixdata index` again over what has not changed, and lhotse's RecordingSet.from_dir, which reads headers and hashes nothing.
Files lie in the page cache after the first reading, for all of them alike. Prints medians and ratios.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile as sf

from mixdata.corpora import load_corpus
from mixdata.index import index_corpus

CORES = os.cpu_count() or 1
PER_FOLDER = 1000


def make(root: Path, files: int) -> None:
    """Write the tree, each file with samples of its own."""
    for number in range(files):
        path = root / f"{number // PER_FOLDER:04d}" / f"Band {number // 10} - Song {number}.wav"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(-8000, 8000, (11025, 2), dtype=np.int16)
            sf.write(path, noise, 44100, "PCM_16")


def read_and_hash(root: Path) -> None:
    """The floor: every byte read once and hashed."""
    paths = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    with ThreadPoolExecutor(CORES) as threads:
        for _ in threads.map(lambda path: hashlib.sha256(path.read_bytes()).hexdigest(), paths, chunksize=64):
            pass


def lhotse(root: Path) -> None:
    """A peer's manifest: headers only."""
    from lhotse import RecordingSet

    recordings = RecordingSet.from_dir(root, "*.wav", num_jobs=CORES)
    recordings.to_file(root.parent / "lhotse.jsonl")


def ours(root: Path, out: Path, fresh: bool, measure: bool) -> None:
    """An index run of the command's function."""
    index_corpus(load_corpus(f"folder:{root}"), out, measure=measure, fresh=fresh, quiet=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("bench-index"))
    parser.add_argument("--keep", action="store_true", help="keep the tree for the next run")
    given = parser.parse_args()
    root = given.folder / "corpus"
    make(root, given.files)
    out = given.folder / "manifest.parquet"
    contenders: dict[str, Callable[[], None]] = {
        "read and hash, threads": lambda: read_and_hash(root),
        "mixdata index --no-measures": lambda: ours(root, given.folder / "plain.parquet", fresh=True, measure=False),
        "mixdata index": lambda: ours(root, out, fresh=True, measure=True),
        "mixdata index, nothing changed": lambda: ours(root, out, fresh=False, measure=True),
    }
    try:
        import lhotse as _  # noqa: F401

        contenders["lhotse RecordingSet.from_dir (headers only)"] = lambda: lhotse(root)
    except ImportError:
        print("lhotse is not installed: left out")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    ours(root, out, fresh=False, measure=True)  # so that there is a manifest whatever comes first
    for turn in range(given.rounds):
        for name in random.Random(turn).sample(list(contenders), len(contenders)):
            began = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - began)
    floor = statistics.median(seconds["read and hash, threads"])
    print(f"{given.files} files, {given.rounds} rounds, {CORES} cores\n")
    print("| what | seconds | files a second | of reading and hashing |\n| --- | --- | --- | --- |")
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"| {name} | {middle:.1f} | {given.files / middle:.0f} | {middle / floor:.2f} |")
    print(json.dumps({name: [round(value, 2) for value in times] for name, times in seconds.items()}))
    if not given.keep:
        shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
