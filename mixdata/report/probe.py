"""The shortcut probe: how well does bleed alone betray the balance that a model should learn?

A mixing model gets stems at one loudness and shall find their balance. Where stem `j` leaks into input `i`, the level of
that leak says how loud `j` was in the mix, and a network will read it instead of learning to mix. The probe plays that
network: it estimates every leak, guesses the balance from the leaks, and compares with the truth.

**Model.** In power per time-frequency band, with true stems `S` of levels `L`, an input brought to one loudness is
`P_i = (S_i + sum_j b_ij S_j) / L_i`. With `S_j = L_j P_j` (the leak into `j` neglected) the leak of `j` into `i` is

    P_i = own part + sum_j a_ij P_j,    a_ij = b_ij L_j / L_i,

estimated by non-negative least squares with every band divided by `P_i`: the error is relative, so the bands where the
stem itself is quiet, where leaks show, decide. (Unweighted, the stem's own loud bands drown the leaks: on real music at
-25 dB leak the rank correlation is then near 0, weighted 0.95.) Two guesses of the balance `D_ij`, in dB:

* **mutual**: `a_ij / a_ji = (L_j / L_i)^2` where one bleed level `b` holds for all stems, so `D_ij = (A_ji - A_ij) / 2`, `A = 10 log10 a`;
* **third**: two stems leaking into the same third one, `a_ki / a_kj = L_i / L_j` whatever `b` and level stem `k` has, so
  `D_ij` is the mean of `A_ki - A_kj` over the other stems `k`. It sees through a bleed jitter that adds the rest of the mix as a whole.

**Score.** Spearman's rank correlation of guess and truth over all songs and pairs of stems, the mean of each pair of stems
taken off both, so that knowing that vocals are usually louder than bass earns nothing. 0: nothing betrayed, 1: all.

**Limits.** A low score shows that these two cues fail, not that a network finds no other. Stems that always play together, or
leaks that change with time or frequency, hide from it. True stems of one song move together and share
frequencies, which alone earns some correlation (of either sign): compare with the score of the target stems, brought to one
loudness too. Where the targets are separated as well they have the separator's bleed, but no bleed jitter.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.fft import next_fast_len
from scipy.optimize import nnls
from scipy.signal import stft
from scipy.stats import spearmanr

from mixdata.example import Example
from mixdata.rng import stream
from mixdata.shards.reader import Dataset

WINDOW_SECONDS = 0.064  # half overlapped: a value every 32 ms
BANDS, TOP_HZ = 48, 16_000.0
FLOOR = 1e-4  # of a stem's mean band power: bands more than 40 dB below it are not trusted further (rounding, dither, filter skirts)
LEAST_LEAK = 1e-7
FEWEST_SONGS = 6
CUES = ("mutual", "third")


def shortcut_probe(dataset: Dataset, examples: int = 60, seed: int = 0) -> dict[str, Any]:
    """Probe a dataset on at most `examples` of its examples, spread over as many songs as possible.

    Returns JSON-able data: `songs`, `pairs` and `examples` used, `note` (None, or why the scores say little), and per role
    (`input`, `target`) the Spearman correlation of each cue and `strongest`, the larger of them. A score is None where
    nothing could be compared.
    """
    result: dict[str, Any] = {"examples": 0, "songs": 0, "pairs": 0, "scores": {}, "note": None}
    roles = dataset.meta["roles"]
    stems = [stem for stem in roles.get("input", ()) if stem in roles.get("target", ())]
    levels = {role: song_levels(dataset.examples, role, stems) for role in ("input", "target")}
    if len(stems) < 2 or any(level.empty for level in levels.values()):
        return result | {"note": "needs two stems that are input and target, and their loudness in examples.parquet"}
    chosen = sample(dataset.examples, examples, seed)
    guesses: dict[str, list[tuple[tuple[str, str], dict[str, float], float]]] = {"input": [], "target": []}
    for song, keys in chosen.items():
        powers = _song_powers((dataset.load(key) for key in keys), stems)
        truth = levels["target"].loc[song]
        for role, of_stem in powers.items():
            level = levels[role].loc[song]
            even = {stem: power / 10 ** (level[stem] / 10) for stem, power in of_stem.items() if np.isfinite(level[stem] + truth[stem])}
            for pair, guess in balance_guesses(even).items():
                guesses[role].append((pair, guess, float(truth[pair[0]] - truth[pair[1]])))
    result |= {"examples": sum(map(len, chosen.values())), "songs": len(chosen), "pairs": len(guesses["input"])}
    for role, found in guesses.items():
        scores = {cue: score([(pair, guess[cue], truth) for pair, guess, truth in found]) for cue in CUES}
        result["scores"][role] = scores | {"strongest": max((s for s in scores.values() if s is not None), default=None)}
    if result["songs"] < FEWEST_SONGS:
        result["note"] = f"too few songs to say ({result['songs']}; {FEWEST_SONGS} or more are needed)"
    return result


def song_levels(examples: pd.DataFrame, role: str, stems: Iterable[str]) -> pd.DataFrame:
    """Loudness per song (index) and stem (column), LUFS: the mean power of the song's blocks, NaN where a stem is silent."""
    columns = {stem: f"loudness_{role}_{stem}" for stem in stems}
    if not columns or any(column not in examples for column in columns.values()):
        return pd.DataFrame()
    frames = examples["frames"].astype(float)
    total = frames.groupby(examples["song"]).sum()
    energy = {
        stem: (frames * 10 ** (examples[column].astype(float) / 10)).fillna(0.0).groupby(examples["song"]).sum() / total
        for stem, column in columns.items()
    }
    return pd.DataFrame({stem: 10 * np.log10(power.where(power > 0)) for stem, power in energy.items()})


def sample(examples: pd.DataFrame, count: int, seed: int) -> dict[str, list[str]]:
    """Choose at most `count` examples where two stems or more sound, a first of every song before a second of any."""
    active = [column for column in examples if column.startswith("activity_")]
    sounding = examples[(examples[active] > 0).sum(axis=1) >= 2] if active else examples
    shuffled = sounding.iloc[stream(seed, "shortcut_probe").permutation(len(sounding))]
    turn = shuffled.groupby("song").cumcount()
    chosen = shuffled.iloc[np.argsort(turn.to_numpy(), kind="stable")[:count]]
    return {str(song): sorted(rows["key"]) for song, rows in chosen.groupby("song")}


def band_powers(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power of `(channels, frames)` audio in up to 48 mel-spaced bands every 32 ms, summed over channels, flattened."""
    window = next_fast_len(round(WINDOW_SECONDS * sample_rate), real=True)
    if audio.shape[1] < window:
        audio = np.pad(audio, ((0, 0), (0, window - audio.shape[1])))
    spectrum = stft(audio, nperseg=window, noverlap=window // 2, boundary=None)[2]
    top = 2595 * math.log10(1 + min(TOP_HZ, sample_rate / 2) / 700)
    edges_hz = 700 * (10 ** (np.linspace(0, top, BANDS + 1) / 2595) - 1)
    edges = np.unique(np.round(edges_hz * window / sample_rate).astype(int).clip(0, spectrum.shape[1]))
    running = np.pad(np.cumsum(np.square(np.abs(spectrum)).sum(axis=0), axis=0), ((1, 0), (0, 0)))
    return np.maximum(np.diff(running[edges], axis=0), 0.0).ravel()


def balance_guesses(powers: Mapping[str, np.ndarray]) -> dict[tuple[str, str], dict[str, float]]:
    """Guess for each pair of stems how much louder, in dB, the first was: by each cue, NaN where a cue has nothing to go on."""
    stems = [stem for stem, power in powers.items() if power.any()]
    if len(stems) < 2:
        return {}
    leak = {(into, of): 10 * math.log10(a) for into in stems for of, a in _leaks(into, stems, powers).items()}
    guesses = {}
    for i, j in combinations(stems, 2):
        third = [leak[k, i] - leak[k, j] for k in stems if k not in (i, j)]
        guesses[i, j] = {"mutual": (leak[j, i] - leak[i, j]) / 2, "third": float(np.mean(third)) if third else math.nan}
    return guesses


def score(found: list[tuple[tuple[str, str], float, float]]) -> float | None:
    """Spearman's correlation of (pair, guess, truth), each pair's means taken off; None for fewer than three comparisons."""
    table = pd.DataFrame([(f"{a} {b}", guess, truth) for (a, b), guess, truth in found], columns=["pair", "guess", "truth"]).dropna()
    table = table[table.groupby("pair")["pair"].transform("size") > 1]
    if len(table) < 3:
        return None
    centred = table[["guess", "truth"]] - table.groupby("pair")[["guess", "truth"]].transform("mean")
    if np.ptp(centred["guess"]) == 0 or np.ptp(centred["truth"]) == 0:
        return None
    return round(float(spearmanr(centred["guess"], centred["truth"])[0]), 3)


def _leaks(into: str, stems: list[str], powers: Mapping[str, np.ndarray]) -> dict[str, float]:
    others = [stem for stem in stems if stem != into]
    weight = 1 / (powers[into] + FLOOR * powers[into].mean())
    rows = np.column_stack([powers[stem] * weight for stem in (*others, into)])
    triangle = np.asarray(np.linalg.qr(rows, mode="r"))  # the same problem in as many rows as there are stems: forty times faster
    found, _ = nnls(triangle[:, :-1], triangle[:, -1])
    return {stem: max(float(a), LEAST_LEAK) for stem, a in zip(others, found, strict=True)}


def _song_powers(examples: Iterable[Example], stems: Iterable[str]) -> dict[str, dict[str, np.ndarray]]:
    parts: dict[str, dict[str, list[np.ndarray]]] = {role: {stem: [] for stem in stems} for role in ("input", "target")}
    for example in examples:
        for role, of_stem in parts.items():
            for stem, blocks in of_stem.items():
                blocks.append(band_powers(example.roles[role][stem], example.sample_rate))
    return {role: {stem: np.concatenate(blocks) for stem, blocks in of_stem.items()} for role, of_stem in parts.items()}
