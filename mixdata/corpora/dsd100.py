"""DSD100: `Mixtures` and `Sources`, each with `Dev` and `Test`, each with one folder per song. Its songs are in MUSDB18 too.

Its halves are not MUSDB18's: songs of Dev are among MUSDB18's test songs, which `manifests/overlaps.csv` tells.
"""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._layout import folders
from mixdata.corpora._roots import find_root
from mixdata.corpora.base import artist_and_title, corpus, corpus_facts, track
from mixdata.song import Song

STEMS = ("vocals", "drums", "bass", "other")
SPLITS = {"Dev": "train", "Test": "test"}


@corpus("dsd100")
def songs(root: Path) -> Iterator[Song]:
    """The songs of Dev (train) and Test, named as MUSDB18 names them; one of which a half is missing is a song as well."""
    place = find_root(root, lambda folder: (folder / "Mixtures").is_dir() or (folder / "Sources").is_dir(), corpus_facts("dsd100").layout)
    for subset, split in SPLITS.items():
        mixtures, sources = (place / kind / subset for kind in ("Mixtures", "Sources"))
        for name in sorted({folder.name for half in (mixtures, sources) if half.is_dir() for folder in folders(half)}):
            artist, title = artist_and_title(name)
            yield Song(
                f"{artist} - {title}" if artist else title,
                mixture=track(root, mixtures / name / "mixture.wav"),
                stems={stem: track(root, sources / name / f"{stem}.wav") for stem in STEMS},
                split=split,
                groups={"artist": artist} if artist else {},
                facts={"number": name[:3]} if name[:3].isdecimal() else {},
            )
