"""What MedleyDB's metadata says. It is no part of the audio's download: it lies in the code repository github.com/marl/medleydb.

There: `medleydb/data/Metadata/NAME_METADATA.yaml`, `medleydb/data/Annotations/Melody/Ranking/NAME_RANKING.txt` and
`medleydb/resources/mixing_coefficients*.yaml`. The first release of the audio had `NAME_METADATA.yaml` in the song's folder as well.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mixdata import audio
from mixdata.corpora._files import read_yaml
from mixdata.corpora._layout import folders, refuse_outside, told_by
from mixdata.corpora._spec import users_path
from mixdata.errors import SongError, UsageError
from mixdata.resources import resource
from mixdata.text import readable

METADATA = ("", "Metadata", "data/Metadata", "medleydb/data/Metadata")
RANKINGS = ("Ranking", "Annotations/Melody/Ranking", "data/Annotations/Melody/Ranking", "medleydb/data/Annotations/Melody/Ranking")
RESOURCES = ("", "resources", "medleydb/resources")
DEEPEST = 4  # folders, as in MedleyDB_V1/V1/NAME
ENDINGS = ("_MIX.wav", "_STEMS", "_RAW")  # of what a song's folder holds, behind the song's name
SAME_ARTIST = {"Music Delta Multitracks": "Music Delta", "Hops ’n Vinyl": "Hops 'n Vinyl"}  # written in two ways


@dataclass(frozen=True)
class Metadata:
    """Where the metadata may lie, and the mixing coefficients: by the song's name and the stem's number, as facts of a track.

    `root` is what it must not lead out of; None where the user named its place.
    """

    root: Path | None
    bases: tuple[Path, ...]
    coefficients: Mapping[str, Mapping[int, Mapping[str, Any]]]

    def of(self, name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
        """Return a song's metadata and its path. Raises `SongError` (`metadata`) where there is none or it is broken."""
        file = f"{name}_METADATA.yaml"
        path = _first((folder, *self.bases), METADATA, file)
        if path is None:
            there = "it is in github.com/marl/medleydb, medleydb/data/Metadata: copy that folder into the corpus's, or say metadata=PATH"
            raise SongError("metadata", f"{readable(folder)}: no {file}; {there}")
        if self.root is not None:
            refuse_outside(self.root, path)
        return path, read_yaml(path)

    def of_stems(self, name: str) -> dict[int, dict[str, Any]]:
        """Return facts of a song's stems by number: mixing coefficient, and how much of the melody it has (1 for most), where known."""
        facts = {number: dict(weight) for number, weight in self.coefficients.get(name, {}).items()}
        path = _first(self.bases, RANKINGS, f"{name}_RANKING.txt")
        if path is not None:
            with told_by(path):
                for stem, rank in (line.split(",") for line in path.read_text(encoding="utf-8").split()):
                    facts.setdefault(int(stem.rpartition("_")[2].partition(".")[0]), {})["ranking"] = int(rank)
        return facts


def find_metadata(root: Path, option: str, songs: Iterable[Path]) -> Metadata:
    """Return the metadata in the corpus's root or a folder above its songs, or at the user's path: the repository, or a folder in it."""
    given = users_path(option).resolve()
    if option and not given.is_dir():
        raise UsageError(f"corpus 'medleydb': metadata={option} is no folder; give the clone of github.com/marl/medleydb, or its Metadata")
    above = {root, *(place for song in songs for place in song.parents if place.is_relative_to(root))}
    bases = (given, *given.parents[:2]) if option else tuple(sorted(above))
    return Metadata(None if option else root, bases, _weights(bases))


def song_folders(root: Path) -> dict[str, Path]:
    """Return the songs' folders by the name that begins their files; a folder's own name may differ from it.

    Raises `UsageError` where `root` is a song or a part of one, and where a song lies below it twice.
    """
    found: dict[str, Path] = {}
    for place in (root, root.resolve().parent):
        if _name(place):
            raise UsageError(f"{readable(root)}: is a song of MedleyDB, or a part of one; give the folder that holds the songs")
    for name, folder in _walk(root, root, 1):
        if name in found:
            raise UsageError(f"{readable(root)}: {name} lies here twice, in {found[name]} and {folder}; give the folder of one copy")
        found[name] = folder
    return dict(sorted(found.items()))


def _walk(root: Path, place: Path, depth: int) -> Iterator[tuple[str, Path]]:
    for folder in folders(place):
        if folder.is_symlink() and audio.inside(root, folder):
            continue  # it is listed under its own name
        if name := _name(folder):
            yield name, folder
        elif depth < DEEPEST:
            yield from _walk(root, folder, depth + 1)


def _name(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return next((name.removesuffix(ending) for name in names for ending in ENDINGS if name.endswith(ending)), "")


@cache
def versions() -> dict[str, str]:
    """Return which release of MedleyDB (1 or 2) a song came with, by its name."""
    with open(resource("manifests", "medleydb_tracklist.csv"), encoding="utf-8", newline="") as file:
        return {row["name"]: row["version"] for row in csv.DictReader(file)}


def _weights(bases: tuple[Path, ...]) -> dict[str, dict[int, dict[str, Any]]]:
    """Least-squares weights of the stems in the mix, which the songs of version 1 have.

    The others: weights fitted to magnitude spectrograms, from 0.5 to 4 (scripts/compute_mixing_coefficients.py of the repository).
    """
    first, second = (_coefficients(bases, f"mixing_coefficients{ending}.yaml") for ending in ("", "_version2"))
    try:
        fitted = {name: (kinds.get("stft") or {}, "stft") for name, kinds in second.items()}
        both = fitted | {name: (stems, "version 1") for name, stems in first.items()}
        return {
            name: {int(stem): {"mixing_coefficient": float(value), "mixing_coefficient_from": origin} for stem, value in stems.items()}
            for name, (stems, origin) in both.items()
        }
    except (TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"mixing_coefficients.yaml or mixing_coefficients_version2.yaml of MedleyDB: not as expected: {error}") from None


def _coefficients(bases: tuple[Path, ...], file: str) -> dict[str, Any]:
    path = _first(bases, RESOURCES, file)
    try:
        return read_yaml(path) if path is not None else {}
    except SongError as error:
        raise UsageError(error.message) from None


def _first(bases: tuple[Path, ...], below: tuple[str, ...], file: str) -> Path | None:
    return next((path for base in bases for folder in below if (path := base / folder / file).exists()), None)
