"""What is known of a corpus before it is opened: `manifests/corpora/NAME.yaml`, and the faults in `manifests/errata.csv`."""

import csv
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from mixdata.errors import UsageError
from mixdata.resources import resource


@dataclass(frozen=True)
class Download:
    """A file that can be fetched by anyone from `url`; `bytes` and a checksum say when it has come whole."""

    url: str
    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    extract: bool = True
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class CorpusFacts:
    """What is known of a corpus; None and "" where nothing is.

    `kind`: what its songs are. `licence`: an id of `manifests/licences.yaml`, "per song", or "unknown"; `licence_note` what should be
    said beside it. `stems`: names of the stems that songs have (empty: as found). `wet`: whether they carry effects, as in `Song`.
    `get`: how one comes by it; `downloads`: what needs no form and no account. `songs`, `hours`, `bytes`, `splits` (songs by split): what
    the whole should hold; `song_list`: its titles, `FILE:COLUMN` of a CSV among the manifests. `mirdata`: the name of its module there,
    whose index has checksums. `free_lengths`: stems may end before their mixture. `citation` is BibTeX. `sources`: where the facts are
    from.
    """

    name: str
    title: str
    licence: str
    wet: Literal["wet", "dry", "rendered", "unknown"]
    kind: Literal["multitracks", "pairs", "responses", "any"] = "multitracks"
    licence_note: str = ""
    stems: tuple[str, ...] = ()
    home: str = ""
    layout: str = ""
    get: str = ""
    downloads: tuple[Download, ...] = ()
    songs: int | None = None
    splits: dict[str, int] | None = None
    song_list: str = ""
    mirdata: str = ""
    hours: float | None = None
    bytes: int | None = None
    sample_rates: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    free_lengths: bool = False
    citation: str = ""
    needs_root: bool = True
    sources: tuple[str, ...] = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@cache
def _schema() -> TypeAdapter[CorpusFacts]:
    return TypeAdapter(CorpusFacts)


@cache
def read_facts(name: str) -> CorpusFacts:
    """Return the facts of a corpus by its name. Raises `UsageError` where its file is missing or says what cannot be."""
    path = resource("manifests", f"corpora/{name}.yaml")
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        return _schema().validate_python({"name": name, **data})
    except (OSError, yaml.YAMLError, ValidationError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read as the facts of a corpus: {error}") from None


@dataclass(frozen=True)
class Erratum:
    """A known fault of a song (or of its `track`): `unfit` songs are left out, others are used with a warning."""

    track: str
    unfit: bool
    what: str

    def __str__(self) -> str:
        return f"{self.track}: {self.what}" if self.track else self.what


@cache
def errata(corpus: str) -> dict[str, tuple[Erratum, ...]]:
    """Return the known faults of a corpus's songs, by the song's title or its own id (`Song.facts["id"]`)."""
    found: dict[str, tuple[Erratum, ...]] = {}
    with open(resource("manifests", "errata.csv"), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if corpus in row["corpora"].split():
                found[row["song"]] = (*found.get(row["song"], ()), Erratum(row["track"], row["action"] == "skip", row["what"]))
    return found
