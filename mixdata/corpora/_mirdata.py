"""mirdata's datasets: their index, and what their classes say of a track.

An index names the files of each track, and of each multitrack with its tracks, with their MD5: `{"tracks": {id: {key: [path, md5]}},
"multitracks": {id: {"tracks": [id, …], key: [path, md5]}}}`. mirdata keeps the indexes outside its package and downloads them; here
one is read from a file, or from where mirdata has put it, and nothing is ever downloaded.
"""

import importlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, ClassVar, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter

from mixdata import audio
from mixdata.corpora._files import read_json
from mixdata.corpora._roots import find_root, nameable
from mixdata.corpora._spec import instead
from mixdata.errors import SongError, UsageError
from mixdata.licences import licence
from mixdata.resources import resource
from mixdata.text import cleaned, readable

MISSING = "corpus 'mirdata' needs the package mirdata, which is not installed: pip install 'mixdata[mirdata]'"
SPLITS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "test": "test", "testing": "test"}
LABELS = ("instrument", "instrument_full", "part")  # attributes of tracks that may name their instrument
MOST_LOOKED_FOR = 50  # files, of an index of many thousands, by which a dataset's folder is told
LONGEST_LICENCE = 200  # characters of a text that is no licence of the table


@dataclass(frozen=True)
class Notes:
    """A line of `manifests/mirdata.yaml`, which explains it."""

    label: str | None = None
    mix: Literal["mixture", "published"] = "published"
    sources: bool = True
    channels: dict[str, int] = field(default_factory=dict)
    wet: Literal["wet", "dry", "rendered", "unknown"] = "unknown"
    artist: str | None = None
    piece: str | None = None
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Dataset:
    """A dataset of mirdata in a folder: its index and mirdata's own object for it."""

    name: str
    root: Path
    index: Mapping[str, Any]
    own: Any
    notes: Notes
    licence: str

    def about(self, kind: Literal["track", "multitrack"], name: str) -> Any:
        """Return mirdata's object of a track or a multitrack, None where it cannot make one of the index."""
        try:
            return getattr(self.own, kind)(name)
        except Exception:  # code of 64 authors over files that may be missing or broken: what it would tell stays untold
            return None


def open_dataset(root: Path, name: str, version: str = "default", index: str | Path = "") -> Dataset:
    """Return a dataset with its index. Raises `UsageError` where mirdata, the dataset, the version or the index is missing."""
    module = _module(name)
    if version not in module.INDEXES:
        raise UsageError(f"mirdata's {name} has no version {version!r}: use one of {', '.join(sorted(module.INDEXES))}")
    own = module.Dataset(data_home=str(root), version=version)
    entries = _read_index(name, version, index or own.index_path, named=bool(index))
    own.__dict__["_index"] = entries  # a cached property, which would read the file again, and from its own place
    named = [path for entry in _entries(entries) for path in audio_of(entry).values()]
    some = named[:: max(1, len(named) // MOST_LOOKED_FOR)]
    root = find_root(root, lambda place: any((place / path).exists() for path in some), f"a folder that holds {', '.join(some[:2])}, …")
    own.data_home = str(root)
    terms = " ".join(word for word in (getattr(module, "LICENSE_INFO", None) or "").split() if not word.startswith("http"))
    known = licence(terms)
    text = known.id if known.known else cleaned(terms)[:LONGEST_LICENCE]
    return Dataset(name, root, entries, own, _notes().get(name, Notes()), text)


def checksums(dataset: str, index: str | Path = "", version: str = "default") -> dict[str, str]:
    """Return the MD5 of every file that a dataset's index names, by its path from the dataset's folder on, sorted."""
    path = index or _module(dataset).Dataset(data_home=".", version=version).index_path
    found = {}
    for entry in _entries(_read_index(dataset, version, path, named=bool(index))):
        for _, file, md5 in files_of(entry):
            found[file] = md5
    return dict(sorted(found.items()))


def files_of(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield key, path and MD5 of the files of a track or a multitrack."""
    for key, value in entry.items():
        if isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value) and key != "tracks":
            yield key, value[0], value[1]


def audio_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the audio files of a track or a multitrack by key, in the index's order."""
    return {key: path for key, path, _ in files_of(entry) if PurePosixPath(path).suffix.lower() in audio.EXTENSIONS}


def told(about: Any, *names: str) -> str | None:
    """Return the first of an object's attributes that is a text with something in it; what cannot be read tells nothing."""
    for name in names:
        try:
            value = getattr(about, name, None)
        except Exception:  # see `Dataset.about`
            continue
        if isinstance(value, str) and value.strip():
            return cleaned(value)
    return None


def _entries(index: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("tracks", "multitracks", "records"):
        yield from index.get(kind, {}).values()
    if isinstance(index.get("metadata"), dict):
        yield index["metadata"]


def _read_index(name: str, version: str, path: str | Path, named: bool) -> dict[str, Any]:
    path = Path(path).expanduser()
    if not path.is_file():
        how = f"python -c \"import mirdata; mirdata.initialize('{name}', version='{version}').download(['index'])\""
        if named:
            raise UsageError(f"{readable(path)}: there is no such index. Without index=… it is read from where mirdata downloads it: {how}")
        raise UsageError(f"mirdata's index of {name} is missing ({readable(path)}). Download it: {how}; or name a file: index=PATH.json")
    try:
        index = read_json(path)
    except SongError as error:
        raise UsageError(f"{error}: this is no index of mirdata's") from None
    kinds = [index.get(kind, {}) for kind in ("tracks", "multitracks", "records")]
    if not any(kinds) or not all(isinstance(kind, dict) and all(isinstance(entry, dict) for entry in kind.values()) for kind in kinds):
        raise UsageError(f"{readable(path)}: this is no index of mirdata's: it has no table of tracks")
    if not all(isinstance(member, str) for entry in index.get("multitracks", {}).values() for member in entry.get("tracks") or [None]):
        raise UsageError(f"{readable(path)}: this is no index of mirdata's: a multitrack does not name its tracks")
    for entry in _entries(index):
        for _, file, _ in files_of(entry):
            if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
                raise UsageError(f"{readable(path)}: names a file outside the dataset's folder: {cleaned(file)}")
            if not nameable(file):
                raise UsageError(f"{readable(path)}: {cleaned(file)[:80]!r} cannot be the name of a file")
    return index


@cache
def _module(name: str) -> ModuleType:
    root = logging.getLogger()
    before = root.handlers[:], root.level  # mirdata's modules set up logging for the whole program
    try:
        import mirdata

        if name not in mirdata.DATASETS:
            raise UsageError(f"mirdata has no dataset {name!r}{instead(name, mirdata.DATASETS)}")
        return importlib.import_module(f"mirdata.datasets.{name}")
    except ModuleNotFoundError as error:
        if error.name == "mirdata":
            raise UsageError(MISSING) from None
        raise UsageError(f"mirdata's {name} needs a package that is not installed: {error.name}") from None
    except ImportError as error:
        raise UsageError(f"mirdata's {name} cannot be used: {error or f'it needs more packages: pip install mirdata[{name}]'}") from None
    finally:
        root.handlers[:], root.level = before


@cache
def _notes() -> dict[str, Notes]:
    table = yaml.safe_load(resource("manifests", "mirdata.yaml").read_text("utf-8"))
    return TypeAdapter(dict[str, Notes]).validate_python(table)
