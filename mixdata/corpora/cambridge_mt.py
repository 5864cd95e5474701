"""The Mixing Secrets library of Cambridge-MT: raw tracks with free names, and a mix that starts elsewhere than they do."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mixdata.corpora._cambridge import Found, artist_and_title, find_songs, is_bounce, role, words
from mixdata.corpora.base import corpus, refused_song, track
from mixdata.errors import SongError
from mixdata.song import Song, Track, slug
from mixdata.taxonomy import group_of_file, grouped
from mixdata.text import cleaned, readable


@corpus("cambridge_mt")
def songs(root: Path) -> Iterator[Song]:
    """Every song's folder anywhere below; a mix without its tracks is a song by itself. `published` is not aligned, there is no mixture."""
    found, lone = find_songs(root)
    for song in found:
        empty = SongError("missing", f"{readable(song.path)}: holds no audio")
        yield _song(root, song) if song.files or song.refused else refused_song(song.path, empty)
    for mix in lone:
        yield Song(words(cleaned(mix.stem)), published=track(root, mix), facts={"published": mix.name})


def _song(root: Path, found: Found) -> Song:
    whole = found.path.is_dir()
    artist, title = artist_and_title(found.path.name if whole else found.path.stem)
    if artist and artist.isdigit() and not whole:  # a stray `01_Kick.wav` has a number there
        artist, title = None, words(cleaned(found.path.stem))
    raw: dict[str, Track] = {}
    bounces = [path for path in found.files if is_bounce(path)]
    for path in found.files if len(bounces) == len(found.files) else [path for path in found.files if path not in bounces]:
        raw[_free(slug(path.stem), raw)] = replace(track(root, path), instrument=role(path))
    for refused in found.refused:
        raw[_free(slug(refused.path.stem), raw)] = refused
    stems, unknown = grouped(raw, lambda name, of: of.path.name if group_of_file(of.path.name) is None else group_of_file(of.path.name))
    return Song(
        f"{artist} - {title}" if artist else title,
        published=track(root, found.mixes[0]) if found.mixes else None,
        stems=stems,
        raw=raw,
        groups={"artist": artist} if artist else {},
        facts={"published": cleaned(found.mixes[0].name)} if found.mixes else {},
        errata=(
            *found.faults,
            *(
                f"{cleaned(path.name)}: by its name the whole mix, so it was left out"
                for path in bounces
                if len(bounces) < len(found.files)
            ),
            *(f"unknown instrument {label!r}: counted as other" for label in unknown),
        ),
    )


def _free(name: str, taken: dict[str, Track]) -> str:
    return name if name not in taken else next(free for i in range(2, len(taken) + 3) if (free := f"{name}_{i}") not in taken)
