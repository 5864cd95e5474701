"""Does normalization do what it is for?

    python benchmarks/normalization_proof.py [--corpus folder:MULTITRACKS]... [--songs 20]

1. Back to the target: songs with true stems, targets fitted on them as they are; then every stem gets random effects (an EQ of four
   bands within ±12 dB, a compressor, pan or width, a gain) and is normalized. How far from the target is each feature before and after?
   Also to the targets that FxNorm published, which are of other music.
2. The gap between separated and true stems: the same songs' stems as they are, and as a separator returns them (the built-in one, and
   true stems with planted faults). How far apart are the two populations per feature (Wasserstein distance over the songs; for curves the
   mean over bands), before and after both are normalized?
"""

import argparse
import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
from scipy.stats import wasserstein_distance

from mixdata import separation
from mixdata.corpora import load_corpus
from mixdata.effects import Chain, Compressor, Eq, Gain, Pan, StereoWidth
from mixdata.effects.eq import Band
from mixdata.measures.bands import CENTRES_HZ
from mixdata.normalization.features import HIGHEST_HZ, LOWEST_HZ, Features, measure
from mixdata.normalization.fit import fit_targets
from mixdata.normalization.normalize import normalize_stem
from mixdata.normalization.settings import Dynamics, Equalizer, Panning, Settings
from mixdata.normalization.targets import Targets, load_targets
from mixdata.recipes.work import load_work, read_stereo
from mixdata.rng import stream
from mixdata.song import Song

RATE = 44_100
FEATURES = {"eq_db": "EQ, dB", "dynamics_lu": "onset peaks, LU", "panning": "panning", "loudness_lu": "loudness, LU"}
Stems = dict[str, np.ndarray]


def stems_of(song: Song) -> Stems:
    work = load_work(song, "train", RATE, 0)
    stems = {name: read_stereo(track, RATE, []) for name, track in song.stems.items()}
    return {name: audio[:, : work.mixture.shape[1]] for name, audio in stems.items() if np.abs(audio).max(initial=0) > 0.003}


def with_random_effects(audio: np.ndarray, *names: str | int) -> np.ndarray:
    random = stream(0, "proof", *names)
    bands = [Band("low_shelf", random.uniform(60, 250), random.uniform(-12, 12))]
    bands += [
        Band("peak", float(np.exp(random.uniform(np.log(200), np.log(6000)))), random.uniform(-12, 12), random.uniform(0.5, 2))
        for _ in "ab"
    ]
    bands.append(Band("high_shelf", random.uniform(3000, 9000), random.uniform(-12, 12)))
    level = 20 * np.log10(np.abs(audio).max())
    compressor = Compressor(level - random.uniform(6, 30), random.uniform(1.5, 6), random.uniform(1, 30), random.uniform(30, 300))
    image = Pan(position=random.uniform(-0.9, 0.9)) if random.random() < 0.5 else StereoWidth(width=random.uniform(0, 2))
    return Chain((Eq(tuple(bands)), compressor, image, Gain(random.uniform(-12, 6))))(audio, RATE)


def back_to_target(songs: list[Stems], targets: Targets, settings: Settings) -> None:
    falls: dict[str, list[tuple[float, float]]] = {feature: [] for feature in FEATURES}
    for number, stems in enumerate(songs):
        for name, audio in stems.items():
            record = normalize_stem(with_random_effects(audio, number, name), RATE, name, targets, settings)[1]
            for feature, (before, after) in record.get("distance", {}).items():
                if before is not None and after is not None:
                    falls[feature].append((before, after))
    print("| feature | stems | distance before, median | after | fall of the median | median fall per stem |\n|---|---|---|---|---|---|")
    for feature, label in FEATURES.items():
        before, after = np.array(falls[feature]).T
        each = np.median(1 - after[before > 0] / before[before > 0])
        fall = 1 - np.median(after) / np.median(before)
        print(f"| {label} | {len(before)} | {np.median(before):.3f} | {np.median(after):.3f} | {fall:.0%} | {each:.0%} |")
    print(flush=True)


def curve_distance(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    inside = (CENTRES_HZ >= LOWEST_HZ) & (CENTRES_HZ <= HIGHEST_HZ) & np.isfinite(one).all(axis=0) & np.isfinite(other).all(axis=0)
    return float(
        np.mean([wasserstein_distance(a, b) for a, b in zip(np.array(one)[:, inside].T, np.array(other)[:, inside].T, strict=True)])
    )


def apart(true: list[Features], estimated: list[Features]) -> dict[str, float]:
    def numbers(which: str) -> float:
        pairs = [[getattr(each, which) for each in side] for side in (true, estimated)]
        return float(wasserstein_distance(*[[value for value in side if np.isfinite(value)] for side in pairs]))

    floor = [[np.maximum(each.spectrum_db, np.nanmax(each.spectrum_db) - 60) for each in side] for side in (true, estimated)]
    return {
        "eq_db": curve_distance(*floor),
        "dynamics_lu": numbers("onset_peak_lu"),
        "panning": curve_distance([each.similarity for each in true], [each.similarity for each in estimated]),
        "loudness_lu": numbers("loudness_lufs"),
    }


def gap(songs: list[tuple[Song, Stems]], name: str, separator: object, targets: Targets) -> None:
    guarded = Settings(eq=Equalizer(guard_db=30), panning=Panning(mode="midside"))
    found: dict[str, dict[str, list[Features]]] = {}
    for song, true in songs:
        mixture = load_work(song, "train", RATE, 0).mixture
        estimates = separator(mixture, RATE, song=song)
        for stem in ("vocals", "drums", "bass", "other"):
            if stem in true and np.abs(estimates[stem]).max() > 0.003:
                for kind, audio in (("true", true[stem]), ("estimated", estimates[stem])):
                    found.setdefault(stem, {}).setdefault(kind, []).append(measure(audio, RATE))
                    done = normalize_stem(audio, RATE, stem, targets, guarded)[0]
                    found[stem].setdefault(f"{kind}, normalized", []).append(measure(done, RATE))
    print(f"\n{name}\n\n| stem | songs | " + " | ".join(FEATURES.values()) + " |\n" + "|---" * (2 + len(FEATURES)) + "|")
    falls: dict[str, list[float]] = {feature: [] for feature in FEATURES}
    for stem, kinds in found.items():
        before, after = apart(kinds["true"], kinds["estimated"]), apart(kinds["true, normalized"], kinds["estimated, normalized"])
        for feature in FEATURES:
            falls[feature].append(1 - after[feature] / before[feature] if before[feature] > 0 else 0.0)
        cells = " | ".join(f"{before[feature]:.3f} → {after[feature]:.3f}" for feature in FEATURES)
        print(f"| {stem} | {len(kinds['true'])} | {cells} |")
    print("| median fall | | " + " | ".join(f"{np.median(falls[feature]):.0%}" for feature in FEATURES) + " |", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--corpus", action="append", help="corpora with true stems [default: synth:songs=20,seconds=20]")
    arguments.add_argument("--songs", type=int, default=20)
    given = arguments.parse_args()
    corpora = given.corpus or ["synth:songs=20,seconds=20"]
    songs = [song for spec in corpora for song in load_corpus(spec) if song.stems][: given.songs]
    loaded = [(song, stems_of(song)) for song in songs]
    everything = [stems for _, stems in loaded]
    fitted = fit_targets(everything, RATE)
    print(f"{len(songs)} songs, {sum(map(len, everything))} stems, corpora {', '.join(corpora)}\n")
    whole = Settings(dynamics=Dynamics(expand=True))
    print("Back to targets fitted on these songs as they were:\n")
    back_to_target(everything, fitted, whole)
    print("To the published targets of MUSDB18:\n")
    back_to_target(everything, load_targets("musdb18"), whole)
    print("The gap between separated and true stems, before → after normalization of both (to MUSDB18's targets):")
    for name, settings in (("built-in separator", {"separator": "builtin"}), ("true stems with faults (oracle)", {"separator": "oracle"})):
        gap(loaded, name, separation.load(settings), load_targets("musdb18"))


if __name__ == "__main__":
    main()
