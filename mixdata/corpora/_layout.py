"""What the published corpora share: entries of folders, tracks with what the metadata says of them, metadata that is not as expected."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixdata import audio
from mixdata.corpora._files import plain, track
from mixdata.errors import SongError, UsageError
from mixdata.song import Track
from mixdata.text import cleaned, readable


def folders(place: Path) -> list[Path]:
    """Return the folders in `place`, sorted by name, without hidden ones. Raises `UsageError` where it cannot be entered."""
    try:
        return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{readable(place)}: cannot be read: {error.strerror}") from None


def files(place: Path, suffix: str) -> list[Path]:
    """Return the entries of `place` whose names end so, sorted, without hidden ones; none where it is no folder."""
    return (
        sorted(path for path in place.iterdir() if path.name.endswith(suffix) and not path.name.startswith(".")) if place.is_dir() else []
    )


def labelled(root: Path, path: Path, instrument: str | None = None, **about: Any) -> Track:
    """Return the track at `path`, refused where it leads out of `root`, with its label and facts; those that are None are left out."""
    facts = {name: plain(value) for name, value in about.items() if value is not None}
    return replace(track(root, path), instrument=instrument if instrument is None else cleaned(instrument), facts=facts)


def refuse_outside(root: Path, path: Path) -> None:
    """Raise `SongError` (`outside_root`) where a file of metadata leads out of `root`."""
    if not audio.inside(root, path):
        raise SongError("outside_root", f"{readable(path)}: leads out of the corpus ({root}): copy it, or name its own folder")


@contextmanager
def told_by(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the values of a metadata file into a `SongError` (`metadata`) that names the file."""
    try:
        yield
    except KeyError as error:
        raise SongError("metadata", f"{readable(path)}: {error.args[0]!r} is missing") from None
    except (TypeError, AttributeError, ValueError, OSError) as error:
        raise SongError("metadata", f"{readable(path)}: not as expected: {error}") from None
