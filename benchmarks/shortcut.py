"""How much balance does bleed betray, and how much of that does `bleed_jitter` hide?

True stems are given a known bleed (the `oracle` separator), the set is built with several ranges of `bleed_jitter.level_db`, and the
shortcut probe ranks the stems' balance from bleed alone: 0 means nothing is to be read from it, 1 everything.

    python benchmarks/shortcut.py --corpus synth:songs=20,seconds=15 [--corpus folder:MULTITRACKS] [--bleed-db -25]
"""

import argparse
import tempfile
from pathlib import Path

import mixdata
from mixdata.report.probe import shortcut_probe

RANGES = (None, (-35, -20), (-30, -10), (-25, -5))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--corpus", action="append", help="corpora with true stems")
    arguments.add_argument("--bleed-db", type=float, default=-25.0)
    given = arguments.parse_args()
    corpora = given.corpus or ["synth:songs=20,seconds=15"]
    print(f"bleed {given.bleed_db:g} dB, corpora {', '.join(corpora)}\n")
    print("| added bleed, dB | songs | probe on inputs | on target stems at one loudness |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number, levels in enumerate(RANGES):
            low, high = levels or (-120, -120)  # too quiet to be there
            settings = [f"separate.bleed_db={given.bleed_db}", "separate.masking=0.0", "separate.band_limit_hz=null"]
            settings.append(f"bleed_jitter.level_db={{uniform: [{low}, {high}]}}")
            recipe = mixdata.load_recipe("separated_pseudo", settings, {"separate": {"separator": "oracle"}})
            dataset = mixdata.build(recipe, Path(folder) / str(number), corpora, cache_dir=Path(folder) / "cache")
            scores = shortcut_probe(dataset)["scores"]
            name = "none" if levels is None else f"{low} … {high}"
            songs, inputs, targets = len(dataset.songs), scores["input"]["strongest"], scores["target"]["strongest"]
            print(f"| {name} | {songs} | {inputs:.2f} | {targets:.2f} |", flush=True)


if __name__ == "__main__":
    main()
