"""Exporting: one function for all targets, and what they share."""

import csv
import fcntl
import io
import json
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixdata.errors import UsageError
from mixdata.files import disk_errors, sync_folder, write_synced
from mixdata.interchange.source import Piece, Source
from mixdata.progress import Progress
from mixdata.shards.reader import Dataset, open_dataset
from mixdata.text import nearest

TARGETS = {
    "webdataset": "tars that WebDataset reads, copied or re-encoded, also cut into crops",
    "hf": "parquet files that Hugging Face's load_dataset opens",
    "musdb": "a tree of WAV files that the musdb package opens",
    "folder": "a tree of WAV files for anyone",
}
CODECS = {"webdataset": ("as-is", "wav", "flac", "npy"), "hf": ("flac", "wav")}  # the first is the default, but flac holds no floats
TABLE = ("path", "split", "song", "title", "corpus", "licence", "start", "frames", "sample_rate", "scale", "absent")
LONGEST_CROP = 3600.0  # seconds


@dataclass(frozen=True)
class Job:
    """What an exporter gets: what to export, where to (a folder that is renamed when all is done), how, and whom to tell."""

    source: Source
    out: Path
    codec: str
    crop_frames: int | None
    tell: Callable[[float], None]


def export(
    dataset: Dataset | str | Path,
    to: str,
    out: str | Path,
    *,
    role: str | None = None,
    split: str | None = None,
    codec: str | None = None,
    crop: float | None = None,
    quiet: bool = True,
) -> Path:
    """Write a dataset (opened, its folder or its URL) as another tool wants it, into a new or empty folder. Returns the folder.

    `to` is one of `TARGETS`, `role` and `split` export just that one, `codec` is the members' (see `CODECS`), `crop` the length in
    seconds of pre-cut crops (webdataset). Every member is compared with its checksum. The folder appears when it is whole; equal datasets
    give equal bytes. It holds `LICENCE.md` and `export.json`, the summary. Raises `UsageError` for what cannot be exported so,
    `MixdataError` for damage.
    """
    if to not in TARGETS:
        close = nearest(to, TARGETS)
        raise UsageError(f"cannot export to {to!r}{f' (did you mean {close!r}?)' if close else ''}: use one of {', '.join(TARGETS)}")
    source = Source(open_dataset(dataset) if isinstance(dataset, str | Path) else dataset, role, split)
    if to == "musdb":
        from mixdata.interchange.musdb import role_of

        source = Source(source.dataset, role_of(source), split)
    chosen = _codec(to, codec, source)
    frames = _crop_frames(to, crop, source)
    folder = Path(os.path.abspath(out))
    inside = source.dataset.storage.local("")
    if inside is not None and folder.resolve().is_relative_to(inside.resolve()):
        raise UsageError(f"{out}: lies inside the dataset; export to a folder of its own")
    with fresh_folder(folder) as temporary:
        with Progress(f"exporting to {to}", total=source.seconds, quiet=quiet) as progress:
            facts = _exporter(to)(Job(source, temporary, chosen, frames, progress.update))
        write_synced(temporary / "LICENCE.md", ("# Licences\n\n" + licence_table(source)).encode())
        write_synced(temporary / "export.json", (json.dumps(_summary(source, to, facts), indent=1, ensure_ascii=False) + "\n").encode())
    return Path(out)


def _exporter(to: str) -> Callable[[Job], dict[str, Any]]:
    if to == "webdataset":
        from mixdata.interchange.webdataset import write
    elif to == "hf":
        from mixdata.interchange.hf import write
    elif to == "musdb":
        from mixdata.interchange.musdb import write
    else:
        from mixdata.interchange.folder import write
    return write


def _codec(to: str, codec: str | None, source: Source) -> str:
    known = CODECS.get(to)
    if known is None:
        if codec is not None:
            raise UsageError(f"{to} is always WAV, so it takes no codec; {' and '.join(CODECS)} do")
        return "wav"
    if codec is None:
        return "wav" if known[0] == "flac" and source.bits is None else known[0]
    if codec not in known:
        raise UsageError(f"{to} takes no codec {codec!r}: use one of {', '.join(known)}")
    if codec == "flac" and source.bits is None:
        raise UsageError(f"{source.dataset.where}: holds floats ({source.dataset.codec}), which FLAC cannot: use another codec")
    return codec


def _crop_frames(to: str, crop: float | None, source: Source) -> int | None:
    if crop is None:
        return None
    if to != "webdataset":
        raise UsageError(f"{to} takes no crop; webdataset does")
    if not 1 / source.dataset.sample_rate <= crop <= LONGEST_CROP:
        raise UsageError(f"crop must be longer than 0 and at most {LONGEST_CROP:g} seconds, got {crop}")
    return round(crop * source.dataset.sample_rate)


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside this one, which takes its name when the block ends well. Refuses what is not new or empty."""
    with disk_errors(folder):
        if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder}: exists and is not an empty folder; choose a new one")
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
        lock = -1
        try:
            temporary.mkdir()
            lock = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
            with suppress(OSError):  # a file system without locks: then nobody sweeps there either
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield temporary
            for place, _, _ in os.walk(temporary):
                sync_folder(Path(place))
            os.rename(temporary, folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if lock >= 0:
                os.close(lock)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left of this folder. Their locks went with them; a temporary folder in use is locked."""
    name = re.compile(re.escape(f".{folder.name}.") + r"[0-9a-f]{8}\.tmp")
    for leftover in [path for path in folder.parent.iterdir() if name.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]:
        with suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover, ignore_errors=True)
            finally:
                os.close(descriptor)


def table_row(source: Source, piece: Piece, path: str) -> dict[str, Any]:
    """Return what metadata.csv says of a folder of WAV files or of a sample."""
    first = piece.blocks[0]
    return {
        "path": path,
        "split": first.split,
        "song": first.song,
        "title": source.titles.get(first.song, ("", {}))[0],
        "corpus": first.corpus,
        "licence": first.licence,
        "start": first.start,
        "frames": piece.frames,
        "sample_rate": source.dataset.sample_rate,
        "scale": first.scale,
        "absent": " ".join(source.absent(piece)),
    }


def write_table(path: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str] = TABLE) -> None:
    """Write metadata.csv, or another table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_synced(path, text.getvalue().encode("utf-8", "backslashreplace"))


def licence_table(source: Source) -> str:
    """Return the licences of all that is exported, as Markdown."""
    songs = {(block.song, block.corpus, block.licence) for block in source.blocks}
    counts = Counter((corpus, licence) for _, corpus, licence in songs)
    rows = [f"| {_cell(corpus)} | {_cell(licence)} | {count} |\n" for (corpus, licence), count in sorted(counts.items())]
    return "| corpus | licence | songs |\n|---|---|---|\n" + "".join(rows) + "\nThe most restrictive of these licences governs the whole.\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _summary(source: Source, to: str, facts: dict[str, Any]) -> dict[str, Any]:
    meta = source.dataset.meta
    counts = Counter(block.split for block in source.blocks)
    frames = Counter[str]()
    for block in source.blocks:
        frames[block.split] += block.frames
    return {
        "to": to,
        "dataset": meta.get("name"),
        "identity": meta.get("identity"),
        "sample_rate": source.dataset.sample_rate,
        "roles": {role: list(stems) for role, stems in source.roles.items()},
        **({"variable": list(source.variable)} if source.variable else {}),
        "splits": {
            split: {"examples": counts[split], "seconds": round(frames[split] / source.dataset.sample_rate, 3)}
            for split in source.splits
            if counts[split]
        },
        "licences": sorted({block.licence for block in source.blocks}),
        **facts,
    }
