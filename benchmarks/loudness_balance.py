"""How well do separated stems keep the balance of a mix? The use that Ward et al. (2017) made of separators.

The balance of a stem is its integrated loudness minus that of the mix, LU. Printed per stem: the root mean square and the mean, over songs,
of the separated stem's balance minus the true stem's. Stems that are silent in truth, and those that a separator loses altogether, are left
out and counted.

python benchmarks/loudness_balance.py [--corpus synth:songs=10,seconds=20] [--separator builtin] [--separator oracle] [--sample-rate 44100]
"""

import argparse
import math
from collections.abc import Iterator

import numpy as np

from mixdata.corpora import load_corpus
from mixdata.errors import SongError
from mixdata.measures import integrated_loudness
from mixdata.recipes.work import load_work
from mixdata.separation import Separator, load

NO_FAULTS = {"separator": "oracle", "bleed_db": None, "masking": 0, "band_limit_hz": None}  # gives the true stems as they are


def balances(stems: dict[str, np.ndarray], mixture: np.ndarray, rate: int) -> dict[str, float]:
    whole = integrated_loudness(mixture, rate)
    return {stem: integrated_loudness(audio, rate) - whole for stem, audio in stems.items()}


def both(corpus: str, separators: dict[str, Separator], rate: int) -> Iterator[tuple[str, dict[str, float], dict[str, float]]]:
    """Yield (separator, true balances, separated balances) of every song; of all separators, while the song is at hand."""
    for song in load_corpus(corpus):
        try:
            mixture = load_work(song, "train", rate, 0).mixture
            found = []
            for name, separate in separators.items():
                true = load({**NO_FAULTS, "stems": list(separate.stems)})(mixture, rate, song=song)
                found.append((name, balances(true, mixture, rate), balances(separate(mixture, rate, song=song), mixture, rate)))
        except SongError as error:
            print(f"left out: {error}")
            continue
        yield from found


def print_table(name: str, pairs: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    print(f"\n| {name} | RMSE, LU | mean, LU | songs | silent | lost |\n|---|---|---|---|---|---|")
    errors = []
    for stem in dict.fromkeys(stem for true, _ in pairs for stem in true):
        of_stem = [(true[stem], separated[stem]) for true, separated in pairs if stem in true]
        sounding = [(true, separated) for true, separated in of_stem if math.isfinite(true)]
        off = np.array([separated - true for true, separated in sounding if math.isfinite(separated)])
        counts = f"{len(off)} | {len(of_stem) - len(sounding)} | {len(sounding) - len(off)}"
        if off.size:
            errors.append(math.sqrt(np.mean(off**2)))
        print(f"| {stem} | " + (f"{errors[-1]:.2f} | {off.mean():+.2f}" if off.size else "- | -") + f" | {counts} |")
    if errors:
        print(f"| average | {np.mean(errors):.2f} | | | | |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--corpus", action="append", help="songs with stems; may be given several times, each has its own tables")
    arguments.add_argument("--separator", action="append", help="as in `mixdata build --separator`; may be given several times")
    arguments.add_argument("--sample-rate", type=int, default=44100)
    given = arguments.parse_args()
    separators = {name: load(name) for name in given.separator or ["builtin", "oracle"]}
    for corpus in given.corpus or ["synth:songs=10,seconds=20"]:
        print(f"\n{corpus}")
        found: dict[str, list[tuple[dict[str, float], dict[str, float]]]] = {name: [] for name in separators}
        for name, true, separated in both(corpus, separators, given.sample_rate):
            found[name].append((true, separated))
        for name, pairs in found.items():
            print_table(name, pairs)


if __name__ == "__main__":
    main()
