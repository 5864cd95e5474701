"""musdb-XL and musdb-L: MUSDB18-HQ's test songs through a limiter; and musdb-XL-train's songs. The targets are MUSDB18-HQ's own files."""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._musdb import STEMS, about_song
from mixdata.corpora._spec import users_path
from mixdata.corpora.base import artist_and_title, corpus, track
from mixdata.errors import UsageError
from mixdata.song import Song, Track, summed
from mixdata.text import cleaned

FIXED = "ozone_train_fixed"
LINEAR = {"PR - Oh No"}  # was limited as the sum of its stems, as its mixture has them on one side


@corpus("musdb_xl")
def songs(root: Path, *, hq: str = "") -> Iterator[Song]:
    """Pairs of the limited song (input) and the original (target): mixture and stems of test songs, mixtures of training songs."""
    original = users_path(hq)
    if not hq or not original.is_dir():
        raise UsageError(f"corpus 'musdb_xl' needs MUSDB18-HQ beside it: musdb_xl:{root},hq=PATH" + (f" ({hq} is no folder)" if hq else ""))
    folders = [path for base in (root / "test", root) for path in sorted(base.glob("[!.]*")) if (path / "mixture.wav").exists()]
    for place in dict.fromkeys(folders):
        test = original / "test" / place.name
        whole = _sum(original, test) if place.name in LINEAR else track(original, test / "mixture.wav")
        stems = {stem: track(original, test / f"{stem}.wav") for stem in STEMS}
        limited = {stem: track(root, place / f"{stem}.wav") for stem in ("mixture", *STEMS)}
        yield _song(place.name, "test", {"input": limited, "target": {"mixture": whole, **stems}})
    for file in sorted((root / FIXED).glob("[!.]*.wav")):
        pair = {"input": {"mixture": track(root, file)}, "target": {"mixture": _sum(original, original / "train" / file.stem)}}
        yield _song(file.stem, "train", pair)


def _sum(original: Path, folder: Path) -> Track:
    return summed(track(original, folder / f"{stem}.wav") for stem in STEMS)


def _song(name: str, split: str, pair: dict[str, dict[str, Track]]) -> Song:
    artist, _ = artist_and_title(name)
    return Song(cleaned(name), pair=pair, split=split, groups={"artist": artist} if artist else {}, **about_song(name))
