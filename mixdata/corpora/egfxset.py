"""EGFxSet: single notes of an electric guitar through twelve hardware effects, each with the clean note it was made from."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mixdata.corpora._egfxset import fold, read_effects
from mixdata.corpora._roots import entry, find_root, subfolders
from mixdata.corpora.base import corpus, corpus_facts, track
from mixdata.song import Song

CLEAN = "Clean"
NOTE = re.compile(r"[1-6][-.]\d{1,2}")  # string and fret; some names have a point between them


@corpus("egfxset")
def songs(root: Path) -> Iterator[Song]:
    """The pairs: `input` with the effect, `target` clean. All pairs of a note (pickup, string, fret) are of one group."""
    layout = corpus_facts("egfxset").layout
    root = find_root(root, lambda place: (place / CLEAN).is_dir() and len(subfolders(place)) > 1, layout)
    effects = read_effects(root / "egfxset_metadata.csv")
    for folder in subfolders(root):
        about = effects.get(fold(folder.name), {})
        places = [place for place in subfolders(folder) if folder.name != CLEAN]
        for wet in [path for place in places for path in sorted(place.glob("[!.]*.wav")) if NOTE.fullmatch(path.stem)]:
            pickup, note = wet.parent.name, wet.stem.replace(".", "-")
            pair = {"input": entry(root, wet), "target": track(root, _clean(root / CLEAN / pickup, note))}
            yield Song(
                f"{folder.name} {pickup} {note}",
                pair={role: {"guitar": replace(found, instrument="electric guitar")} for role, found in pair.items()},
                groups={"note": f"{pickup} {note}"},
                facts={"effect": folder.name, "pickup": pickup} | about,
            )


def _clean(folder: Path, note: str) -> Path:
    other = folder / f"{note.replace('-', '.')}.wav"
    return other if other.exists() else folder / f"{note}.wav"
