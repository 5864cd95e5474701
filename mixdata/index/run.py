"""Indexing a corpus: list it, look at every file that is new or changed, in parallel, and publish the manifest.

What is found is appended to a journal beside the manifest, `.NAME.journal`, so that a run that was killed goes on where it was. A file is
looked at again only if its size or time differ from what the journal or the last manifest say.
"""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mixdata.builder import local
from mixdata.corpora import Corpus
from mixdata.errors import MixdataError, UsageError
from mixdata.files import disk_errors
from mixdata.index.look import Facts, Wanted, look_at_all
from mixdata.index.manifest import LOOKED, folder_of, read_manifest, song_rows, write_manifest
from mixdata.progress import Progress

BATCH = 32  # files in one message to a worker: few enough for a smooth bar, enough that messages cost nothing
Seen = dict[tuple[str, int], Facts]  # what is known of (file from the root on, stream)


@dataclass(frozen=True)
class Outcome:
    """What an index run did: `read` files were looked at now, `kept` were known; `refused` counts tracks by reason."""

    path: Path
    songs: int
    tracks: int
    files: int
    read: int
    kept: int
    refused: dict[str, int]


def index_corpus(
    corpus: Corpus, out: str | Path, *, workers: int | None = None, measure: bool = True, fresh: bool = False, quiet: bool = False
) -> Outcome:
    """Write the manifest of a corpus to `out` and say what was done.

    `measure` decodes every file for its peak and level; without, files are hashed and their headers read. `fresh` looks at all files
    again. `workers` counts processes (default: the machine's cores; 0 works in this one). Raises `UsageError` for corpora without files.
    """
    if not corpus.facts.needs_root:
        raise UsageError(f"corpus {corpus.facts.name!r} is made up or comes with mixdata, so it needs no manifest: use it as it is")
    if workers is not None and workers < 0:
        raise UsageError(f"workers must be at least 0, got {workers}")
    out = Path(out)
    if out.is_dir():
        raise UsageError(f"{out}: is a folder; name a file for the manifest, such as {out / (corpus.facts.name + '.parquet')}")
    root = folder_of(corpus)
    rows = [row for number, song in enumerate(corpus) for row in song_rows(number, song, root)]
    with _journal(out) as journal:
        known = {} if fresh else _known(out, corpus) | _read_journal(journal)
        wanted = _wanted(rows, root, known, measure, decay=corpus.facts.kind == "responses")
        read = _look(wanted, root, journal, os.cpu_count() or 1 if workers is None else workers, quiet)
        seen = known | read
        finished = [row | (seen[row["file"], row["stream"]] if row.get("reason") is None else {}) for row in rows]
        write_manifest(out, finished, corpus)
        _journal_path(out).unlink(missing_ok=True)  # while it is locked: the next run's journal is another file
    files = {row["file"] for row in rows if row.get("reason") is None}
    refused = Counter(row["reason"] for row in finished if row["reason"] is not None)
    again = len({wish.path for wish in wanted})
    return Outcome(out, rows[-1]["song"] + 1, len(rows), len(files), again, len(files) - again, dict(sorted(refused.items())))


def _wanted(rows: list[dict[str, Any]], root: Path, known: Seen, measure: bool, decay: bool) -> list[Wanted]:
    """Return the files that have to be looked at: those of which nothing is known, or too little, or something else."""
    streams: dict[str, set[int]] = {}
    for row in rows:
        if row.get("reason") is None:
            streams.setdefault(row["file"], set()).add(row["stream"])
    wanted = []
    for file, numbers in streams.items():
        path = os.path.join(root, file)
        if not all(_still_true(known.get((file, number)), path, measure) for number in numbers):
            wanted.append(Wanted(path, tuple(sorted(numbers)), measure, decay))
    return wanted


def _still_true(facts: Facts | None, path: str, measure: bool) -> bool:
    if facts is None or facts.get("bytes") is None:
        return False
    try:
        status = os.stat(path)
    except OSError:
        return False
    same = (status.st_size, status.st_mtime_ns) == (facts["bytes"], facts["mtime_ns"])
    return same and (not measure or facts["reason"] is not None or facts.get("rms_db") is not None)


def _look(wanted: list[Wanted], root: Path, journal: BinaryIO, workers: int, quiet: bool) -> Seen:
    """Look at the files, writing each into the journal as soon as it is known."""
    seen: Seen = {}

    def note(batch: Sequence[Wanted], found: list[list[Facts]]) -> None:
        lines = []
        for wish, streams in zip(batch, found, strict=True):
            file = os.path.relpath(wish.path, root)
            for stream, facts in zip(wish.streams, streams, strict=True):
                seen[file, stream] = facts
                lines.append(json.dumps([file, stream, facts]) + "\n")
        journal.write("".join(lines).encode())
        journal.flush()
        progress.update(len(batch))

    with Progress("looking at files", total=len(wanted), unit="file", quiet=quiet) as progress:
        batches = [wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH)]
        done = 0
        while done < len(batches):
            try:
                for found in local.each(look_at_all, batches[done:], workers):
                    note(batches[done], found)
                    done += 1
            except local.WorkerDied:  # one of the files that were in work crashes its decoder: one by one, to know which
                _refuse_dying_workers()
                for wish in batches[done]:
                    note([wish], [_alone(wish)])
                done += 1
    return seen


def _refuse_dying_workers() -> None:
    """Raise `MixdataError` where processes die that have nothing to do: then no file is to blame."""
    try:
        next(local.each(look_at_all, [[]], 1))
    except local.WorkerDied:
        raise MixdataError(
            "worker processes die before they read a file. Is there enough memory? (--workers 0 works in this process.) "
            "A script of your own must call index_corpus under `if __name__ == '__main__':`"
        ) from None


def _alone(wish: Wanted) -> list[Facts]:
    try:
        return next(local.each(look_at_all, [[wish]], 1))[0]
    except local.WorkerDied:
        facts = {"reason": "failed", "message": f"{wish.path}: the process that read it died (out of memory, or a decoder's crash)"}
        return [facts for _ in wish.streams]


def _known(out: Path, corpus: Corpus) -> Seen:
    """Return what the last manifest of this corpus says of its files."""
    if not out.exists():
        return {}
    try:
        last = read_manifest(out, folder_of(corpus))
    except UsageError as error:
        raise UsageError(f"{error}. To write over that file: --fresh") from None
    if last.corpus != corpus.facts.name:
        raise UsageError(f"{out}: is the manifest of a corpus {last.corpus!r}; choose another --out")
    names = [name for name, _ in LOOKED]
    rows = last.table.select(["file", "stream", *names]).to_pylist()
    return {(row["file"], row["stream"]): {name: row[name] for name in names} for row in rows}


def _journal_path(out: Path) -> Path:
    return out.with_name(f".{out.name}.journal")


@contextmanager
def _journal(out: Path) -> Iterator[BinaryIO]:
    """Open the journal for reading and appending, for one process at a time."""
    path = _journal_path(out)
    with disk_errors(path):
        out.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise MixdataError(f"{out}: another process is indexing into it; wait for it, or choose another --out") from None
            yield file


def _read_journal(journal: BinaryIO) -> Seen:
    """Return what a run that did not finish found, and cut off a last line that is torn."""
    seen: Seen = {}
    whole = 0
    for line in journal.read().splitlines(keepends=True):
        try:
            file, stream, facts = json.loads(line)
            found = {(file, stream): dict(facts)}
        except (ValueError, TypeError):
            break
        if not line.endswith(b"\n"):
            break
        seen |= found
        whole += len(line)
    journal.seek(whole)
    journal.truncate()
    return seen
