"""How the files of the Mixing Secrets library (Cambridge-MT) are named, and which of them belong together.

A song comes as `ArtistName_SongTitle_Full.zip` (`_Excerpt`, or nothing, at the end), which holds a folder of that name with `NN_Role.wav`.
Its mix comes by itself, as `SongTitle_Full_Preview.mp3` (`SongTitle_Preview.mp3`) or `SongTitle_UnmasteredWAV.wav`; some have the
artist's name before the title.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mixdata.corpora._roots import SKIPPED
from mixdata.corpora.base import Folder, RefusedTrack, walk
from mixdata.text import cleaned

_PART = re.compile(r"_(Full|Excerpt)(?=_|$)", re.IGNORECASE)
_MIX = re.compile(r"_?(Preview|UnmasteredWAV)$", re.IGNORECASE)
_COPY = re.compile(r" ?\((\d+)\)$")  # what browsers and file managers put behind the name of a copy
_NUMBERED = re.compile(r"\d+ ?[-_. ]")
BOUNCES = {
    "mix",
    "mixdown",
    "mixbus",
    "fullmix",
    "roughmix",
    "finalmix",
    "stereomix",
    "master",
    "masterbus",
    "bounce",
    "mixprint",
    "printmix",
}
_HUMP = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][^\W\d_A-Z])|(?<=\d)(?=[A-Z][^\W\d_A-Z])")


@dataclass
class Found:
    """A song's folder with the files below it; `mixes` are those that were found for it, the one to be used first."""

    path: Path
    files: list[Path]
    refused: list[RefusedTrack]
    mixes: list[Path] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def find_songs(root: Path) -> tuple[list[Found], list[Path]]:
    """Return the songs below a folder, and the mixes that belong to none of them."""
    songs: list[Found] = []
    mixes: list[tuple[Path, Path | None]] = []  # and the song's folder that it lies in
    _search(root, walk(root), songs, mixes)
    lone = []
    for mix, place in sorted(mixes, key=lambda found: (not _unmastered(found[0]), found[0])):  # what was not mastered comes first
        near = [song for song in songs if song.path == place] or [song for song in songs if _belongs(mix, song.path)]
        for song in near:
            if len(near) == 1:
                song.mixes.append(mix)
            else:
                song.faults.append(f"the mix {cleaned(mix.name)} could be of {len(near)} songs, so it was taken for none")
        if not near:
            lone.append(mix)
    return songs, lone


def _search(root: Path, folder: Folder, songs: list[Found], mixes: list[tuple[Path, Path | None]]) -> None:
    tracks = [path for path in folder.files if not is_mix(path)]
    inner = [part for part in folder.folders if part.path.name not in SKIPPED]
    if _is_song(root, folder, tracks, inner):
        below = list(_below(folder))
        found = [path for part in below for path in part.files]
        mixes += [(path, folder.path) for path in found if is_mix(path)]
        files = [path for path in found if not is_mix(path)]
        songs.append(Found(folder.path, _without_copies(files), [refused for part in below for refused in part.refused]))
        return
    mixes += [(path, None) for path in folder.files if is_mix(path)]
    songs += [Found(path, [path], []) for path in tracks]  # of no song's folder
    songs += [Found(refused.path, [], [refused]) for refused in folder.refused]
    for part in inner:
        _search(root, part, songs, mixes)


def _is_song(root: Path, folder: Folder, tracks: list[Path], inner: list[Folder]) -> bool:
    """Whether all audio in a folder, and in those in it, is one song's."""
    if sum(bool(_NUMBERED.match(path.name)) for path in tracks) > 1:
        return True
    if folder.path == root or _MIX.search(folder.path.name):
        return False
    return bool(_PART.search(folder.path.name)) or (bool(tracks) and not any(part.files for part in inner))


def _below(folder: Folder) -> Iterator[Folder]:
    yield folder
    for inner in folder.folders:
        if inner.path.name not in SKIPPED:
            yield from _below(inner)


def _without_copies(files: list[Path]) -> list[Path]:
    """Leave out `01_Kick (1).wav` where `01_Kick.wav` is beside it and as long."""
    return [path for path in files if not (_COPY.search(path.stem) and _same_size(path, path.with_stem(_COPY.sub("", path.stem)), files))]


def _same_size(path: Path, other: Path, files: list[Path]) -> bool:
    return other in files and path.stat().st_size == other.stat().st_size


def is_mix(path: Path) -> bool:
    """Whether a file is an engineer's mix of a song: by its name or its folder's."""
    return bool(_MIX.search(_COPY.sub("", path.stem)) or re.search(r"_?UnmasteredWAV$", path.parent.name, re.IGNORECASE))


def is_bounce(path: Path) -> bool:
    """Whether a file among the tracks is called after the whole mix, as `02_MixBus.wav` is: as a track it would count everything twice."""
    return _fold(role(path)).rstrip("0123456789") in BOUNCES


def _unmastered(path: Path) -> bool:
    return "unmasteredwav" in f"{path.parent.name}/{path.stem}".lower()


def artist_and_title(folder: str) -> tuple[str | None, str]:
    """Split the name of a song's folder.

    >>> artist_and_title("AngelsInAmplifiers_ImAlright_Full")
    ('Angels In Amplifiers', 'Im Alright')
    """
    artist, line, title = _PART.sub("", _COPY.sub("", cleaned(folder))).partition("_")
    return (words(artist), words(title)) if line else (None, words(artist))


def words(name: str) -> str:
    """Return the words of a name in camel case: `57Chevy` is `57 Chevy`, `ElecGtr1DT` is `Elec Gtr 1DT`."""
    return " ".join(_HUMP.sub(" ", name.replace("_", " ")).split())


def _belongs(mix: Path, folder: Path) -> bool:
    """Whether a mix is called after the song in a folder: by its title, or by artist and title; an excerpt's is not the whole's."""
    called = mix.stem if _MIX.search(_COPY.sub("", mix.stem)) else mix.parent.name
    called = _MIX.sub("", _COPY.sub("", called))
    parts = {found[1].lower() for name in (called, folder.name) if (found := _PART.search(name))}
    artist, title = artist_and_title(folder.name)
    return len(parts) < 2 and _fold(_PART.sub("", called)) in (_fold(title), _fold((artist or "") + title))


def _fold(name: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", name).casefold() if letter.isalnum())


def role(path: Path) -> str:
    """Return what a track's file name calls it, without the number: `07_LeadVoxDT.wav` is `Lead Vox DT`."""
    return words(_NUMBERED.sub("", _COPY.sub("", cleaned(path.stem)), count=1)) or cleaned(path.stem)
