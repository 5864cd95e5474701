"""Integrated loudness of four stereo stems: one by one, all at once, and by pyloudnorm, in one run on one core.

    pip install 'mixdata[bench]'
    python benchmarks/loudness.py
    python benchmarks/loudness.py --rounds 9 --seconds 180

Every contender measures the same stems, rounds alternate, and what is printed is the median of the seconds of stereo audio per second of
CPU time, and the median of the rounds' ratios. pyloudnorm's default filter, timed here, is an approximation, 0.04 LU low; with the
standard's own it costs the same.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import pyloudnorm

from mixdata.corpora import load_corpus
from mixdata.measures import integrated_loudness, integrated_loudness_of

RATE = 44_100


def stems(seconds: float) -> dict[str, np.ndarray]:
    """Return the four stereo stems of a song of the synth corpus, `(2, frames)` float32."""
    song = next(iter(load_corpus(f"synth:songs=1,seconds={seconds:g}")))
    return {name: np.ascontiguousarray(np.broadcast_to(track.read()[0], (2, round(seconds * RATE)))) for name, track in song.stems.items()}


def cpu_seconds(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run every side in turn and return the CPU seconds of each round. A first round, not counted, is for warming up."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, call in sides.items():
            began = time.process_time()
            call()
            if number:
                taken[name].append(time.process_time() - began)
    return taken


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    audio = stems(options.seconds)
    meter = pyloudnorm.Meter(RATE)
    exact = pyloudnorm.Meter(RATE, filter_class="DeMan")
    sides = {
        "mixdata, all stems at once": lambda: integrated_loudness_of(audio, RATE),
        "mixdata, one by one": lambda: [integrated_loudness(stem, RATE) for stem in audio.values()],
        "pyloudnorm": lambda: [meter.integrated_loudness(stem.T) for stem in audio.values()],
    }
    taken = cpu_seconds(sides, options.rounds)
    print(f"{len(audio)} stereo stems of {options.seconds:g} s at {RATE} Hz; {platform.machine()}, Python {platform.python_version()}")
    print(f"{'':28s}{'audio s / CPU s':>16s}{'x pyloudnorm':>14s}")
    for name, each in taken.items():
        speed = len(audio) * options.seconds / statistics.median(each)
        ratio = statistics.median(theirs / ours for theirs, ours in zip(taken["pyloudnorm"], each, strict=True))
        print(f"{name:28s}{speed:16.0f}{ratio:14.1f}")
    found = integrated_loudness_of(audio, RATE)
    alone = max(abs(found[name] - integrated_loudness(stem, RATE)) for name, stem in audio.items())
    theirs = max(abs(found[name] - exact.integrated_loudness(stem.T)) for name, stem in audio.items())
    print(f"largest difference: {alone:.1e} LU to one by one, {theirs:.1e} LU to pyloudnorm with the standard's filters")


if __name__ == "__main__":
    main()
