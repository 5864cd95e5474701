"""Verifying an imported dataset: its tars have no records of ours, so everything is derived from them again and compared."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from mixdata.errors import MixdataError
from mixdata.interchange.headers import AudioFacts
from mixdata.interchange.index import Shard, example_table, member_table
from mixdata.interchange.samples import Layout, Named, named_samples
from mixdata.shards.format import MEMBER_SCHEMA, decode
from mixdata.shards.shard import read_table


def check_imported(
    tar: Path,
    facts: tuple[str, str, int, int],
    shared: tuple[dict[str, tuple[str, ...]], str, int, int],
    given: dict[str, str],
    examples: pa.Table | None,
) -> Iterator[tuple[str, str]]:
    """Yield (where, what) for everything in a tar that is not as the index says.

    `facts` are the shard's name, SHA-256, bytes and examples in dataset.json, `shared` the fields of a `Layout`, `given` the role and the
    licence of samples that give none, `examples` the shard's rows of examples.parquet.
    """
    name, sha256, size, count = facts
    layout = Layout(*shared)
    with open(tar, "rb") as file:
        found = list(named_samples(tar, file, given["role"], layout.sample_rate, Counter()))
        for sample in found:
            yield from ((f"shards/{tar.name} {sample.key}", what) for what in _check_sample(file, layout, sample))
        file.seek(0)
        shard = Shard(tar, name, name.rpartition("-")[0], found, hashlib.file_digest(file, "sha256").hexdigest(), file.tell())
    if (shard.sha256, shard.bytes) != (sha256, size):
        yield f"shards/{tar.name}", "was changed since it was imported (its hash or size is not the one in dataset.json)"
    if len(found) != count:
        yield f"shards/{tar.name}", f"holds {len(found)} samples, dataset.json says {count}"
    table = tar.with_suffix(".parquet")
    try:
        if not read_table(table, MEMBER_SCHEMA).equals(member_table(layout, found)):
            yield f"shards/{table.name}", "is not the index of the tar beside it"
    except MixdataError as error:
        yield f"shards/{table.name}", str(error)
    derived = example_table(layout, shard, given["licence"])
    if examples is not None and not (examples.column_names == derived.column_names and examples.equals(derived)):
        yield "examples.parquet", f"its rows of shard {name} are not what the tar says"


def _check_sample(file: BinaryIO, layout: Layout, sample: Named) -> Iterator[str]:
    expected = AudioFacts(layout.codec, layout.channels, sample.frames, layout.sample_rate)
    if sample.facts != expected:
        yield f"is {sample.facts}, dataset.json says {expected}"
        return
    for place, member in sample.audio.items():
        name = f"{'.'.join(place)} (bytes {member.byte_offset} to {member.byte_offset + member.byte_size})"
        if place not in layout.members:
            yield f"{name} is not among the roles of dataset.json"
        file.seek(member.byte_offset)
        try:
            audio = decode(file.read(member.byte_size), layout.codec)
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            yield f"{name} does not decode: {error}"
            continue
        if audio.shape != (layout.channels, sample.frames):
            yield f"{name} has shape {audio.shape}, its header says {(layout.channels, sample.frames)}"
