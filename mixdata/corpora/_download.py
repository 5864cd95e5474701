"""A corpus from the web onto the disk: fetched, checked, unpacked, and not fetched again while its files are there."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mixdata.archives import extract, safe_parts
from mixdata.corpora._facts import CorpusFacts, Download
from mixdata.corpora._spec import users_path
from mixdata.corpora.base import corpus_facts, load_corpus
from mixdata.downloads import fetch, shown_url
from mixdata.errors import MixdataError, UsageError
from mixdata.files import publish_bytes

JOURNAL = ".mixdata-downloads.json"  # which file of the web has become which files here


@dataclass(frozen=True)
class Downloaded:
    """Where a corpus lies now. `spec` is what `--corpus` takes; `recognized` whether songs were found there."""

    spec: str
    recognized: bool
    fetched: tuple[str, ...]
    kept: tuple[str, ...]  # were here already


def download_corpus(
    name: str, into: Path, files: Iterable[str] | None = None, *, keep_archives: bool = False, quiet: bool = True
) -> Downloaded:
    """Fetch a corpus's files (or those that fit the patterns `files`) into a folder and unpack them there.

    Raises `UsageError` for a corpus that needs a form or an account. A run that was cut short is gone on from.
    """
    facts = corpus_facts(name)
    into = Path(os.path.abspath(users_path(str(into))))
    if os.path.lexists(into) and not into.is_dir():
        raise UsageError(f"{into}: is not a folder")
    fetched, kept = [], []
    for file, download in chosen(facts, files).items():
        if is_here(into, file, download):
            kept.append(file)
            continue
        archive = fetch(download.url, into / file, download.bytes, download.md5, download.sha256, quiet=quiet)
        paths = extract(archive, into, quiet=quiet) if download.extract else [archive]
        _note(into, file, download, paths)
        if download.extract and not keep_archives:
            archive.unlink()
        fetched.append(file)
    return Downloaded(f"{name}:{into}", _songs_in(facts, into), tuple(fetched), tuple(kept))


def chosen(facts: CorpusFacts, patterns: Iterable[str] | None = None) -> dict[str, Download]:
    """Return a corpus's downloads by file name, those that fit one of the patterns."""
    if not facts.downloads:
        raise UsageError(how_to_get(facts))
    named = {_file_name(download.url): download for download in facts.downloads}
    if len(named) < len(facts.downloads):
        raise UsageError(f"the facts of corpus {facts.name!r} name two downloads alike")
    patterns = list(patterns or ["*"])
    for pattern in patterns:
        if not any(fnmatchcase(file, pattern) for file in named):
            raise UsageError(f"corpus {facts.name!r} has no file {pattern!r}: use one of {', '.join(named)}")
    return {file: download for file, download in named.items() if any(fnmatchcase(file, pattern) for pattern in patterns)}


def how_to_get(facts: CorpusFacts) -> str:
    """Return what to tell who wants to download a corpus that cannot be fetched plainly."""
    if not facts.needs_root:
        return f"{facts.title}: comes with mixdata, there is nothing to fetch; use it as {facts.name}"
    if not (facts.home or facts.get):
        return f"{facts.title}: is made by its user, there is nothing to fetch"
    lines = [f"{facts.title} cannot be fetched by mixdata, only by its user"]
    lines += [f"get      {facts.get}"] if facts.get else []
    lines += [f"home     {facts.home}"] if facts.home else []
    lines += [f"licence  {facts.licence}{f': {facts.licence_note}' if facts.licence_note else ''}"]
    return "\n  ".join([*lines, f"then     use it as {facts.name}:FOLDER"])


def is_here(into: Path, file: str, download: Download) -> bool:
    """Return whether all that a download became is in the folder, by name and size."""
    entry = _journal(into).get(file)
    if not isinstance(entry, dict) or (entry.get("md5"), entry.get("sha256")) != (download.md5, download.sha256):
        return False
    with suppress(OSError, ValueError, AttributeError):
        return all(os.lstat(into / name).st_size == size for name, size in entry["files"].items())
    return False


def _file_name(url: str) -> str:
    """Return the name of a URL's file: the last part of its path that has an ending, as some end in `…/a.zip/content`."""
    parts = [unquote(part) for part in urlsplit(url).path.split("/") if part]
    name = next((part for part in reversed(parts) if "." in part), "")
    try:
        (name,) = safe_parts(name)
    except ValueError:
        raise UsageError(f"{shown_url(url)}: its file has no name that can be used") from None
    return name


def _journal(into: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        data = json.loads((into / JOURNAL).read_bytes())
        return data if isinstance(data, dict) else {}
    return {}


def _note(into: Path, file: str, download: Download, paths: list[Path]) -> None:
    root = into.resolve()
    files = {str(path.relative_to(root if path.is_relative_to(root) else into)): path.stat().st_size for path in paths}
    entry = {"md5": download.md5, "sha256": download.sha256, "files": files}
    publish_bytes(into / JOURNAL, json.dumps(_journal(into) | {file: entry}, indent=0).encode())


def _songs_in(facts: CorpusFacts, into: Path) -> bool:
    with suppress(MixdataError):
        return len(load_corpus(facts.name, into)) > 0
    return False
