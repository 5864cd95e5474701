"""What MUSDB18 and MUSDB18-HQ share: the musdb package's catalogue, splits and licences.

The package itself is not imported: it needs ffmpeg to do so, decodes to 16 bit and drops missing stems in silence. A stem
that is missing here stays in the song and is reported when it is probed.
"""

import csv
import importlib.util
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mixdata.corpora._roots import find_root
from mixdata.corpora.base import artist_and_title, corpus_facts
from mixdata.errors import UsageError
from mixdata.resources import resource
from mixdata.song import Song, Track
from mixdata.text import cleaned

STEMS = ("vocals", "drums", "bass", "other")
SUBSETS = ("train", "test")
SUFFIX = ".stem.mp4"


def musdb_root(root: Path, hq: bool) -> Path:
    """Return the folder with `train` and `test`. Raises `UsageError` where it holds the other edition of MUSDB18 only."""
    layout = corpus_facts("musdb18hq" if hq else "musdb18").layout
    place = find_root(root, lambda folder: any((folder / subset).is_dir() for subset in SUBSETS), layout)
    wav, mp4 = (any(any((place / s).glob(name)) for s in SUBSETS) for name in ("*/mixture.wav", f"[!.]*{SUFFIX}"))
    if (wav, mp4) == (not hq, hq):
        held, other = (".stem.mp4 files of MUSDB18", "musdb18") if hq else ("WAV files of MUSDB18-HQ", "musdb18hq")
        raise UsageError(f"{place}: holds the {held}; use {other}:{place}")
    return place


def songs_of(subset: str, places: dict[str, Path], tracks: Callable[[Path], dict[str, Track]]) -> Iterator[Song]:
    """Yield the songs of `train` or `test`, given their names and places; `valid` is musdb's list of tracks taken out of train."""
    rows = tracklist()
    for name, place in sorted(places.items()):
        found = tracks(place)
        artist, _ = artist_and_title(name)
        about = rows.get(_key(name), {})
        yield Song(
            cleaned(name),
            mixture=found["mixture"],
            stems={stem: found[stem] for stem in STEMS},
            split="valid" if subset == "train" and name in catalogue()["validation_tracks"] else subset,
            groups={"artist": artist} if artist else {},
            licence=about.get("licence", "unknown"),
            facts={key: about[key] for key in ("genre", "source") if about.get(key)},
        )


def about_song(name: str) -> dict[str, Any]:
    """Return licence and facts of a song of MUSDB18, for `Song`."""
    row = tracklist().get(_key(name), {})
    return {"licence": row.get("licence", "unknown"), "facts": {key: row[key] for key in ("genre", "source") if row.get(key)}}


@cache
def catalogue() -> dict[str, Any]:
    """Return the facts of the installed musdb package: `stem_ids`, `sources`, `mixture`, `validation_tracks`."""
    found = importlib.util.find_spec("musdb")
    if found is None or not found.submodule_search_locations:
        raise UsageError("the corpus MUSDB18 takes its catalogue from the musdb package, which is not installed: pip install musdb")
    facts: dict[str, Any] = yaml.safe_load((Path(found.submodule_search_locations[0]) / "configs" / "mus.yaml").read_text("utf-8"))
    return facts


@cache
def tracklist() -> dict[str, dict[str, str]]:
    """Return genre, source and licence of every song by its folded name."""
    with open(resource("manifests", "musdb18_tracklist.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {_key(row["name"]): {**row, "licence": LICENCES.get(row["licence"], row["licence"])} for row in rows}


LICENCES = {"Restricted": "restricted", "CC BY-NC-SA": "CC-BY-NC-SA", "CC BY-NC-SA 3.0": "CC-BY-NC-SA-3.0"}


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
