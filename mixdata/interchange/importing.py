"""Plain WebDataset tars as a dataset: an index is made beside them, the tars themselves stay where and as they are.

Members `<key>.<stem>.<flac|wav|npy>` become the stems of one role, `<key>.<role>.<stem>.…` those of several, and `<key>.flac` alone the
stem `mixture`; `<key>.json` becomes the record. The index addresses members by byte ranges, so keys of ours are made up for it: a slug
of the key in the tar and eight hex digits of the sample's content. The true key stands in the column `source_key`. Every sample is a
song of one block. A stem that a sample lacks is masked.
"""

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mixdata.audio import HIGHEST_RATE, LOWEST_RATE
from mixdata.errors import MixdataError, UsageError
from mixdata.interchange.exporting import fresh_folder
from mixdata.interchange.index import Shard, write_tables
from mixdata.interchange.samples import Layout, named_samples
from mixdata.progress import Progress
from mixdata.shards.format import NAME
from mixdata.shards.reader import Dataset, open_dataset

LINKS = ("symlink", "hardlink", "copy")
SPLIT = re.compile(r"[a-z]{1,20}")
WORDS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "test": "test"}


def import_webdataset(
    tars: Sequence[str | Path],
    out: str | Path,
    *,
    split: str | None = None,
    role: str = "input",
    sample_rate: int | None = None,
    licence: str = "unknown",
    link: str = "symlink",
    quiet: bool = True,
) -> Dataset:
    """Make a dataset of plain WebDataset tars of audio without rewriting them, and open it.

    `split` is that of all tars (default: as their names say, `train` where they say nothing), `role` that of members whose names give
    none, `sample_rate` that of npy members, `licence` that of samples whose JSON gives none. The tars are linked into `out`, a new or
    empty folder (`link`: symlink, hardlink, or copy). One sample rate, channel count and codec per dataset. Raises `MixdataError` with
    path and byte range for tars and members that cannot be read in place.
    """
    paths = _check(tars, split, role, sample_rate, link)
    with Progress("indexing", total=sum(path.stat().st_size for path in paths) / 1e6, unit="MB", quiet=quiet) as progress:
        shards = []
        numbers: Counter[str] = Counter()
        for path in paths:
            of = split or split_of(path)
            shards.append(_read(path, f"{of}-{numbers[of]:06d}", of, role, sample_rate))
            numbers[of] += 1
            progress.update(path.stat().st_size / 1e6, path.name)
    layout = Layout.of([sample for shard in shards for sample in shard.samples])
    _check_keys(shards)
    with fresh_folder(Path(os.path.abspath(out))) as folder:
        (folder / "shards").mkdir()
        for shard in shards:
            _link(shard, folder, link, Path(os.path.abspath(out)))
        write_tables(folder, shards, layout, Path(os.path.abspath(out)).name, role, licence)
    return open_dataset(out)


def split_of(path: Path) -> str:
    """Return the split that a word in a tar's name tells, else its folder's whole name, else `train`."""
    words = [*re.split(r"[^a-z]+", path.stem.lower()), path.parent.name.lower()]
    return next((WORDS[word] for word in words if word in WORDS), "train")


def _check(tars: Sequence[str | Path], split: str | None, role: str, sample_rate: int | None, link: str) -> list[Path]:
    paths = [Path(os.path.abspath(tar)) for tar in tars]
    if not paths:
        raise UsageError("no tar to import")
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path}: {'is no file' if path.exists() else 'there is no such file'}")
    if twice := next((path for path, count in Counter(path.resolve() for path in paths).items() if count > 1), None):
        raise UsageError(f"{twice}: is given twice")
    if split is not None and not SPLIT.fullmatch(split):
        raise UsageError(f"a split is named in [a-z], at most 20 letters, got {split!r}")
    if not NAME.fullmatch(role):
        raise UsageError(f"a role is named in [a-z0-9_-], at most 30 characters, got {role!r}")
    if sample_rate is not None and not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise UsageError(f"the sample rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, got {sample_rate}")
    if link not in LINKS:
        raise UsageError(f"unknown link {link!r}: use one of {', '.join(LINKS)}")
    return paths


def _read(path: Path, name: str, split: str, role: str, sample_rate: int | None) -> Shard:
    ignored: Counter[str] = Counter()
    try:
        with open(path, "rb") as file:
            found = list(named_samples(path, file, role, sample_rate, ignored))
            file.seek(0)
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise MixdataError(f"{path}: cannot be read ({error.strerror})") from error
    if not found:
        raise MixdataError(f"{path}: holds no sample with audio")
    return Shard(path, name, split, found, digest, size, ignored)


def _check_keys(shards: list[Shard]) -> None:
    seen: dict[str, tuple[str, Path]] = {}
    for shard in shards:
        for sample in shard.samples:
            if sample.song in seen:
                other, tar = seen[sample.song]
                raise MixdataError(f"{shard.tar}: {sample.key!r} is the same sample as {other!r} of {tar}; import it once")
            seen[sample.song] = (sample.key, shard.tar)


def _link(shard: Shard, folder: Path, link: str, final: Path) -> None:
    to = folder / "shards" / f"{shard.name}.tar"
    if link == "symlink":
        to.symlink_to(os.path.relpath(shard.tar.resolve(), (final / "shards").resolve()))
    elif link == "hardlink":
        try:
            os.link(shard.tar.resolve(), to)
        except OSError as error:
            raise MixdataError(f"{shard.tar}: cannot be hard-linked into {final} ({error.strerror}); use symlink or copy") from error
    else:
        with open(shard.tar, "rb") as tar, open(to, "xb") as copy:
            shutil.copyfileobj(tar, copy, 2**20)
            copy.flush()
            os.fsync(copy.fileno())
