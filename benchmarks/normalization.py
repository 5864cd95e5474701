"""How fast is normalization, step by step and whole, on one core?

    python benchmarks/normalization.py [--rounds 5] [--seconds 60] [--corpus folder:MULTITRACKS]

Prints seconds of stereo audio per second of CPU time, median over rounds that alternate; `whole` is `normalize_stem` with every measure
before and after. Beside it stands what the published method costs: FxNorm-automix's own functions, timed once on the same kind of machine
(142 times real time for EQ, 60 for panning, 356 for loudness; its compressor runs at 367 times real time, and its search tries up to 1,037
settings per stem of vocals, each with an onset analysis on top). Those numbers are from another run: read them as an order of magnitude.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

from mixdata.corpora import load_corpus
from mixdata.measures.long_term import long_term
from mixdata.measures.spectrum import effective_bandwidth_hz
from mixdata.normalization.dynamics import PUBLISHED as COMPRESSORS
from mixdata.normalization.dynamics import match_dynamics
from mixdata.normalization.eq import match_spectrum
from mixdata.normalization.features import measure
from mixdata.normalization.loudness import match_loudness
from mixdata.normalization.normalize import normalize_stem
from mixdata.normalization.panning import match_panning
from mixdata.normalization.reverb import send_reverb
from mixdata.normalization.settings import Panning, Reverb, Settings
from mixdata.normalization.targets import load_targets
from mixdata.recipes.work import read_stereo

RATE = 44_100
PUBLISHED = {
    "EQ": "142",
    "dynamics": "0.35 to 90 (1,037 runs to 4)",
    "panning": "60",
    "loudness": "356",
    "whole": "0.35 to 30",
}


def stems_of(specs: list[str], seconds: float) -> list[tuple[str, np.ndarray]]:
    """Return up to eight stems, at most `seconds` long, that sound."""
    songs = [song for spec in specs for song in load_corpus(spec)]
    found = [(name, read_stereo(track, RATE, [])[:, : round(seconds * RATE)]) for song in songs for name, track in song.stems.items()]
    return [(name, audio) for name, audio in found if np.abs(audio).max(initial=0) > 0.01][:8]


def contenders() -> dict[str, Callable[[str, np.ndarray], object]]:
    targets = load_targets("musdb18")

    def of(stem: str):
        return targets.of(stem)[1]

    def dynamics(stem: str, audio: np.ndarray) -> object:
        own = measure(audio, RATE).onset_peak_lu
        return match_dynamics(audio, RATE, own - 3, 0.5, COMPRESSORS.get(stem, COMPRESSORS["other"]))

    return {
        "measure (all features)": lambda stem, audio: measure(audio, RATE),
        "effective bandwidth": lambda stem, audio: effective_bandwidth_hz(audio, RATE),
        "reverb send": lambda stem, audio: send_reverb(audio, RATE, Reverb(), np.random.default_rng(0)),
        "EQ": lambda stem, audio: match_spectrum(audio, RATE, of(stem).spectrum_db),
        "dynamics (3 LU down, with its measuring)": dynamics,
        "panning, midside": lambda stem, audio: match_panning(audio, RATE, of(stem).similarity, "midside", picture=long_term(audio, RATE)),
        "panning, spectrum": lambda stem, audio: match_panning(
            audio, RATE, of(stem).similarity, "spectrum", picture=long_term(audio, RATE)
        ),
        "loudness": lambda stem, audio: match_loudness(audio, RATE, of(stem).loudness_lufs),
        "whole, midside": lambda stem, audio: normalize_stem(audio, RATE, stem, targets, Settings(panning=Panning(mode="midside"))),
        "whole, spectrum": lambda stem, audio: normalize_stem(audio, RATE, stem, targets, Settings()),
        "whole, spectrum, with reverb": lambda stem, audio: normalize_stem(
            audio, RATE, stem, targets, Settings(reverb=Reverb()), generator=np.random.default_rng(0)
        ),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("--corpus", action="append", help="corpora with stems [default: synth]")
    given = arguments.parse_args()
    stems = stems_of(given.corpus or [f"synth:songs=2,seconds={given.seconds:g}"], given.seconds)
    total = sum(audio.shape[1] for _, audio in stems) / RATE
    speeds: dict[str, list[float]] = {}
    for round_number in range(given.rounds + 1):  # the first compiles
        for name, run in contenders().items():
            began = time.process_time()
            for stem, audio in stems:
                run(stem, audio)
            if round_number:
                speeds.setdefault(name, []).append(total / (time.process_time() - began))
    print(f"{len(stems)} stems, {total:.0f} s of stereo at {RATE} Hz, {given.rounds} rounds\n")
    print("| step | × real time, one core | least … most | published |\n|---|---|---|---|")
    for name, values in speeds.items():
        published = next((cost for step, cost in PUBLISHED.items() if name.startswith(step)), "")
        print(f"| {name} | {statistics.median(values):.0f} | {min(values):.0f} … {max(values):.0f} | {published} |")


if __name__ == "__main__":
    main()
