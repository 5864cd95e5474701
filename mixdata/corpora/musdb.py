"""MUSDB18 (`.stem.mp4`) and MUSDB18-HQ (WAV), by the catalogue of the musdb package and our own reading.

The package itself is not imported: it needs ffmpeg to do so, decodes to 16 bit and drops missing stems in silence. A stem
that is missing here stays in the song and is reported when it is probed. The mixture of the `.stem.mp4` edition was
encoded by itself, so its stems sum to it only within AAC's error.
"""

import csv
import importlib.util
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mixdata.corpora.base import CorpusFacts, artist_and_title, corpus, track
from mixdata.errors import UsageError
from mixdata.resources import resource
from mixdata.song import Song
from mixdata.text import cleaned

FACTS = CorpusFacts(
    name="musdb",
    title="MUSDB18 and MUSDB18-HQ",
    licence="per song: CC-BY-NC-SA, or restricted to research",
    stems=("vocals", "drums", "bass", "other"),
    wet="wet",
    citation="Rafii et al., MUSDB18 (2017), doi 10.5281/zenodo.1117372; MUSDB18-HQ (2019), doi 10.5281/zenodo.3338373",
    home="https://sigsep.github.io/datasets/musdb.html",
    layout="{train,test}/Artist - Title.stem.mp4, or {train,test}/Artist - Title/{mixture,vocals,drums,bass,other}.wav",
)
SUFFIX = ".stem.mp4"


@corpus(FACTS)
def songs(root: Path) -> Iterator[Song]:
    """The songs of train and test; `valid` is musdb's list of validation tracks, taken out of train."""
    facts, licences = catalogue(), _licences()
    for subset in ("train", "test"):
        folders = [path for path in (root / subset).glob("[!.]*") if path.is_dir()]
        files = [path for path in (root / subset).glob(f"[!.]*{SUFFIX}") if path.with_name(path.name.removesuffix(SUFFIX)) not in folders]
        for path in sorted((*folders, *files)):
            name = path.name.removesuffix(SUFFIX)
            if path in folders:
                tracks = {stem: track(root, path / file) for stem, file in {"mixture": facts["mixture"], **facts["sources"]}.items()}
            else:
                tracks = {stem: track(root, path, stream) for stem, stream in facts["stem_ids"].items()}
            artist, _ = artist_and_title(name)
            yield Song(
                cleaned(name),
                FACTS.name,
                mixture=tracks["mixture"],
                stems={stem: tracks[stem] for stem in FACTS.stems},
                split="valid" if subset == "train" and name in facts["validation_tracks"] else subset,
                groups={"artist": artist} if artist else {},
                licence=licences.get(_key(name), "unknown"),
                wet=FACTS.wet,
            )


@cache
def catalogue() -> dict[str, Any]:
    """Return the facts of the installed musdb package: `stem_ids`, `sources`, `mixture`, `validation_tracks`."""
    found = importlib.util.find_spec("musdb")
    if found is None or not found.submodule_search_locations:
        raise UsageError("the corpus musdb takes its catalogue from the musdb package, which is not installed: pip install musdb")
    facts: dict[str, Any] = yaml.safe_load((Path(found.submodule_search_locations[0]) / "configs" / "mus.yaml").read_text("utf-8"))
    return facts


@cache
def _licences() -> dict[str, str]:
    with open(resource("manifests", "musdb18_tracklist.csv"), encoding="utf-8", newline="") as file:
        return {
            _key(row["name"]): row["licence"].replace(" ", "-").lower().replace("cc-by-nc-sa", "CC-BY-NC-SA")
            for row in csv.DictReader(file)
        }


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
