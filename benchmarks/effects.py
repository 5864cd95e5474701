"""Effects, a chain and a whole `effect_removal` build against pedalboard, in one run on one core.

    pip install 'mixdata[bench]'
    python benchmarks/effects.py                 # all of it, some minutes
    python benchmarks/effects.py --rounds 3 --only effects

Every contender processes the same audio, rounds alternate, and what is printed is the median of the seconds of stereo audio per second of
CPU time, and the median of the rounds' ratios. The build's opponent is the loop that one would write by hand: pedalboard for the chain,
pyloudnorm for levels, soundfile for FLAC, WebDataset's writer for the tar. It verifies nothing; ours verifies every pair.
"""

import argparse
import io
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import pedalboard as pb
import pyloudnorm
import soundfile
import webdataset

import mixdata
from mixdata import effects as fx
from mixdata.corpora import load_corpus
from mixdata.effects.eq import Band
from mixdata.effects.impulse_responses import ImpulseResponses
from mixdata.recipes import load_recipe

RATE, SECONDS, STEMS = 44_100, 10, 4


def music(seconds: float, seed: int) -> np.ndarray:
    """Return `(2, frames)` float32 from the synth corpus: drums, bass, chords and a voice."""
    song = next(iter(load_corpus(f"synth:songs=1,seconds={seconds:g},seed={seed}")))
    return song.mixture.read()[0]


def eq(five: bool = True) -> list[tuple[str, float, float, float]]:
    """Return the bands of the equalizer that both sides get."""
    bands = [("low_shelf", 90, 4, 0.7), ("peak", 300, -3, 1), ("peak", 1200, 5, 2), ("peak", 4000, -6, 1.5), ("high_shelf", 9000, 3, 0.7)]
    return bands if five else bands[1:2]


def our_eq(bands: list[tuple[str, float, float, float]]) -> fx.Effect:
    return fx.Eq(bands=tuple(Band(kind=kind, frequency_hz=f, gain_db=g, q=q) for kind, f, g, q in bands))


def their_eq(bands: list[tuple[str, float, float, float]]) -> list[pb.Plugin]:
    kinds = {"low_shelf": pb.LowShelfFilter, "peak": pb.PeakFilter, "high_shelf": pb.HighShelfFilter}
    return [kinds[kind](cutoff_frequency_hz=f, gain_db=g, q=q) for kind, f, g, q in bands]


def contenders(response: str) -> dict[str, tuple[fx.Effect, list[pb.Plugin]]]:
    """Return pairs of the same effect: ours, and pedalboard's."""
    return {
        "gain": (fx.Gain(gain_db=-3), [pb.Gain(gain_db=-3)]),
        "peak filter": (our_eq(eq(False)), their_eq(eq(False))),
        "EQ, 5 bands": (our_eq(eq()), their_eq(eq())),
        "high-pass (first order)": (fx.HighPass(frequency_hz=80, order=1), [pb.HighpassFilter(80)]),
        "compressor": (
            fx.Compressor(threshold_db=-24, ratio=4, attack_ms=5, release_ms=100),
            [pb.Compressor(threshold_db=-24, ratio=4, attack_ms=5, release_ms=100)],
        ),
        "limiter": (fx.Limiter(ceiling_db=-12, release_ms=100), [pb.Limiter(threshold_db=-12, release_ms=100)]),
        "gate": (fx.Expander(threshold_db=-40, ratio=4), [pb.NoiseGate(threshold_db=-40, ratio=4)]),
        "distortion (ours oversampled)": (fx.Distortion(drive_db=18), [pb.Distortion(drive_db=18)]),
        "delay": (
            fx.Delay(time_s=0.35, feedback=0.3, mix=0.3),
            [pb.Delay(delay_seconds=0.35, feedback=0.3, mix=0.3)],
        ),
        "chorus": (
            fx.Chorus(rate_hz=1, depth=0.4, centre_delay_ms=7, feedback=0.2, mix=0.3),
            [pb.Chorus(rate_hz=1, depth=0.4, centre_delay_ms=7, feedback=0.2, mix=0.3)],
        ),
        "phaser": (fx.Phaser(rate_hz=1, mix=0.5), [pb.Phaser(rate_hz=1, mix=0.5)]),
        "reverb": (fx.Reverb(room=0.7, damping=0.4, mix=0.3), [pb.Reverb(room_size=0.7, damping=0.4, wet_level=0.3, dry_level=0.7)]),
        "convolution, 2 s response": (fx.Convolution(impulse_response=response, mix=0.3), []),
    }


def chain() -> tuple[fx.Effect, list[pb.Plugin]]:
    """Return the chain of the issue: five bands, compressor, distortion, delay, reverb."""
    pairs = contenders("")
    names = ("EQ, 5 bands", "compressor", "distortion (ours oversampled)", "delay", "reverb")
    return fx.Chain(effects=tuple(pairs[name][0] for name in names)), [each for name in names for each in pairs[name][1]]


def rounds(sides: dict[str, Callable[[], object]], count: int, least: float = 0.25) -> dict[str, list[float]]:
    """Run every side in turn, `count` times, and return the CPU seconds of one call in each round. The first round is for warming up."""
    repeats = {}
    for name, call in sides.items():
        call()
        began = time.process_time()
        call()
        repeats[name] = max(1, round(least / max(time.process_time() - began, 1e-6)))
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(count):
        for name, call in sides.items():
            began = time.process_time()
            for _ in range(repeats[name]):
                call()
            taken[name].append((time.process_time() - began) / repeats[name])
    return taken


def compare(name: str, sides: dict[str, Callable[[], object]], seconds: float, count: int) -> str:
    """Return a row of the table: seconds of audio per CPU second of both, and the ratio."""
    taken = rounds(sides, count)
    ours, theirs = taken["mixdata"], taken["pedalboard"]
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    speed = [f"{seconds / statistics.median(each):,.0f}" for each in (ours, theirs)]
    return f"| {name} | {speed[0]} | {speed[1]} | **{statistics.median(ratios):.2f}** | {spread} |"


def effect_rows(count: int) -> Iterator[str]:
    """Compare single effects on one stereo stem, then on four at once, then the chain on four."""
    stems = np.stack([music(SECONDS, seed) for seed in range(STEMS)])
    with tempfile.TemporaryDirectory() as folder:
        time_s = np.arange(2 * RATE) / RATE
        noise = np.random.default_rng(0).normal(size=(2, 2 * RATE)) * 10 ** (-1.5 * time_s)
        path = Path(folder) / "room" / "response.wav"
        path.parent.mkdir()
        soundfile.write(path, (0.1 * noise).T, RATE)
        response = ImpulseResponses.open(folder).responses[0].sha256
        pairs = contenders(response)
        pairs["convolution, 2 s response"] = (pairs["convolution, 2 s response"][0], [pb.Convolution(str(path), mix=0.3)])
        for name, (ours, theirs) in pairs.items():
            yield compare(name, sides(ours, theirs, stems[:1]), SECONDS, count)
        for name in ("EQ, 5 bands", "compressor", "limiter", "reverb"):
            yield compare(f"{name}, 4 stems at once", sides(*pairs[name], stems), SECONDS * STEMS, count)
        yield compare("chain of five, 4 stems at once", sides(*chain(), stems), SECONDS * STEMS, count)


def sides(ours: fx.Effect, theirs: list[pb.Plugin], stems: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return what to call for each side: ours takes the stems at once, pedalboard one after the other, from a clean state."""
    board = pb.Pedalboard(theirs)
    whole = stems if len(stems) > 1 else stems[0]
    return {"mixdata": lambda: ours(whole, RATE), "pedalboard": lambda: [board(stem, RATE, reset=True) for stem in stems]}


def write_songs(folder: Path, songs: int, seconds: float) -> None:
    """Write multitracks as WAV files: the input of both builds."""
    for song in load_corpus(f"synth:songs={songs},seconds={seconds:g}"):
        (folder / song.title).mkdir(parents=True)
        for stem, track in song.stems.items():
            soundfile.write(folder / song.title / f"{stem}.wav", track.read()[0].T, RATE)


def our_build(source: Path, out: Path) -> None:
    recipe = load_recipe("effect_removal", ["effects.mixture=true", "effects.min_activity=0"])
    mixdata.build(recipe, out, [f"folder:{source}"], workers=0, quiet=True)


def their_build(source: Path, out: Path) -> None:
    """The loop by hand: random chains of the same kinds and law, levels, sums, FLAC, tar."""
    random, meter = np.random.default_rng(0), pyloudnorm.Meter(RATE)
    removable = [
        lambda: [pb.Distortion(drive_db=random.uniform(8, 25))],
        lambda: [pb.Compressor(random.uniform(-42, -20), random.uniform(1.5, 6), random.uniform(1, 50), random.uniform(10, 250))],
        lambda: [
            pb.Reverb(random.uniform(0.3, 1), random.uniform(0.2, 1), wet := random.uniform(0.2, 0.6), 1 - wet, random.uniform(0.2, 1))
        ],
        lambda: [pb.Chorus(random.uniform(0.25, 1.5), random.uniform(0.2, 0.6), random.uniform(5, 10), random.uniform(0.1, 0.4), 0.3)],
        lambda: [pb.Delay(random.uniform(0.1, 1), random.uniform(0.05, 0.3), random.uniform(0.1, 0.35))],
    ]
    kept = [lambda: their_eq([(k, f, random.uniform(-12, 12), random.uniform(0.3, 2)) for k, f, _, _ in eq()]), removable[1]]
    out.mkdir(parents=True)
    with webdataset.TarWriter(str(out / "set.tar"), encoder=False) as tar:
        for folder in sorted(source.iterdir()):
            stems = {path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0].T for path in sorted(folder.iterdir())}
            gains = {name: 10 ** ((-20 - meter.integrated_loudness(audio.T)) / 20) for name, audio in stems.items()}
            for block in range(next(iter(stems.values())).shape[1] // (SECONDS * RATE)):
                sample: dict[str, bytes | str] = {"__key__": f"{folder.name}_{block:05d}"}
                mixes = {role: np.zeros((2, SECONDS * RATE), np.float32) for role in ("input", "target")}
                for name, audio in stems.items():
                    dry = audio[:, block * SECONDS * RATE : (block + 1) * SECONDS * RATE] * np.float32(gains[name])
                    keep = [kept[i]() for i in random.permutation(2)[: random.integers(0, 3)]]
                    remove = [removable[i]() for i in random.permutation(5)[: random.integers(1, 5)]]
                    links = [(link, True) for link in keep] + [(link, False) for link in remove]
                    order = random.permutation(len(links))
                    wet = pb.Pedalboard([each for i in order for each in links[i][0]])(dry, RATE)
                    target = pb.Pedalboard([each for i in order if links[i][1] for each in links[i][0]])(dry, RATE)
                    levels = [meter.integrated_loudness(audio.T) for audio in (wet, target)]
                    if np.isfinite(levels).all():
                        wet = wet * np.float32(10 ** ((levels[1] - levels[0]) / 20))
                    for role, audio in (("input", wet), ("target", target)):
                        mixes[role] += audio
                        sample[f"{role}.{name}.flac"] = flac(audio)
                for role, audio in mixes.items():
                    sample[f"{role}.mixture.flac"] = flac(audio)
                sample["json"] = json.dumps({"song": folder.name}).encode()
                tar.write(sample)


def flac(audio: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    peak = max(float(np.abs(audio).max()), 1.0)
    soundfile.write(buffer, audio.T / peak, RATE, format="FLAC", subtype="PCM_24")
    return buffer.getvalue()


def build_row(count: int, songs: int = 3, seconds: float = 40) -> str:
    """Compare whole builds; in stem-seconds per CPU second."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_songs(root / "songs", songs, seconds)
        numbers = iter(range(10_000))
        both = {
            "mixdata": lambda: our_build(root / "songs", root / f"ours-{next(numbers)}"),
            "pedalboard": lambda: their_build(root / "songs", root / f"theirs-{next(numbers)}"),
        }
        return compare("effect_removal build (stem-seconds)", both, songs * seconds * STEMS, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["effects", "build"])
    arguments = parser.parse_args()
    versions = f"mixdata {mixdata.__version__}, pedalboard {pb.__version__}, numpy {np.__version__}, {platform.machine()}"
    print(f"{versions}; stereo seconds per CPU second, {arguments.rounds} alternating rounds, medians\n")
    print("| | mixdata | pedalboard | ratio | rounds |\n|---|---|---|---|---|")
    if arguments.only != "build":
        for row in effect_rows(arguments.rounds):
            print(row, flush=True)
    if arguments.only != "effects":
        print(build_row(arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
