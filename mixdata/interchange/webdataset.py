"""Tars that WebDataset reads: the dataset's own copied byte for byte, or written anew with other members.

Samples written anew keep key, order and level (`scale` stands in their record). Pre-cut crops all have one length: a song whose
blocks join is cut from its start on, and the last crop ends where the song ends, so that it may share frames with the one before;
elsewhere each block is cut so. What is shorter than a crop is followed by zeros. A crop's record is that of the block in which its
middle lies, with `key`, `start`, `frames`, `valid_frames` and `codec` of its own and without what was measured on the block.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from mixdata.errors import MixdataError
from mixdata.interchange.encoding import codec_name, encode_audio, member_bytes, suffix_of
from mixdata.interchange.exporting import Job, table_row, write_table
from mixdata.interchange.source import Block, Piece, Source
from mixdata.shards.writer import LONGEST_NAME

CHUNK = 2**24  # bytes of a read: from a server, one request
MEASURED = ("activity", "loudness")


def write(job: Job) -> dict[str, Any]:
    """Write `<split>-<number>.tar` and metadata.csv."""
    source = job.source
    whole = job.codec == "as-is" and job.crop_frames is None and source.roles == source.dataset.roles
    rows: list[dict[str, Any]] = []
    for shard, blocks in groupby(source.blocks, key=lambda block: block.shard):
        path = job.out / f"{shard}.tar"
        if whole:
            pieces = [Piece(block.key, (block,)) for block in blocks]
            _copy(job, shard, path, pieces)
            rows += [table_row(source, piece, path.name) for piece in pieces]
        else:
            rows += _write_tar(job, path, list(blocks))
    write_table(job.out / "metadata.csv", rows)
    return {"shards": len({row["path"] for row in rows}), "samples": len(rows), "codec": job.codec, "crop_frames": job.crop_frames}


def _copy(job: Job, shard: str, path: Path, pieces: list[Piece]) -> None:
    facts = [facts for split in job.source.dataset.splits.values() for facts in split["shards"] if facts["name"] == shard]
    digest = hashlib.sha256()
    storage, name = job.source.dataset.storage, f"shards/{shard}.tar"
    size = facts[0].get("bytes", 0) if facts else 0
    with open(path, "xb") as copy:
        for start in range(0, size, CHUNK):
            chunk = storage.ranges(name, [(start, min(start + CHUNK, size))])[0].data
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    if not facts or facts[0].get("sha256") != digest.hexdigest():
        raise MixdataError(
            f"{storage.where(name)}: was changed since the build (its hash is not the one in dataset.json); run `mixdata verify`"
        )
    job.tell(sum(piece.frames for piece in pieces) / job.source.dataset.sample_rate)


def _write_tar(job: Job, path: Path, blocks: list[Block]) -> list[dict[str, Any]]:
    rows = []
    with open(path, "xb") as file:
        for row, members in _samples(job, blocks):
            rows.append(row | {"path": path.name})
            for name, data in members:
                info = tarfile.TarInfo(name)
                if len(name.encode()) > LONGEST_NAME:
                    raise MixdataError(f"member name {name!r} is longer than {LONGEST_NAME} bytes")
                info.size, info.mode = len(data), 0o644
                file.write(info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE))
        file.write(bytes(2 * tarfile.BLOCKSIZE))
        file.flush()
        os.fsync(file.fileno())
    return rows


Sample = tuple[dict[str, Any], list[tuple[str, bytes]]]  # its row of metadata.csv, and its members by name


def _samples(job: Job, blocks: list[Block]) -> Iterator[Sample]:
    source = job.source
    pieces = (Piece(block.key, (block,)) for block in blocks) if job.crop_frames is None else source.pieces(blocks)
    for piece in pieces:
        if job.crop_frames is None:
            yield table_row(source, piece, ""), list(_members(job, piece.blocks[0]))
        else:
            yield from _crops(job, piece, job.crop_frames)
        job.tell(piece.frames / source.dataset.sample_rate)


def _members(job: Job, block: Block) -> Iterator[tuple[str, bytes]]:
    source, suffix = job.source, suffix_of(job.source, job.codec)
    for role, stem in source.members_of(block):
        yield f"{block.key}.{role}.{stem}{suffix}", member_bytes(source, block, role, stem, suffix)
    record = source.record(block)
    if job.codec != "as-is":
        record["codec"] = codec_name(source, suffix)
    yield f"{block.key}.json", _json(record)


def _crops(job: Job, piece: Piece, length: int) -> Iterator[Sample]:
    """Yield the crops of a piece. Each block is decoded once."""
    source, suffix = job.source, suffix_of(job.source, job.codec)
    origin, valid = piece.blocks[0].start, min(length, piece.frames)
    last = max(piece.frames - length, 0)
    decoded: dict[str, Decoded] = {}
    for number, offset in enumerate([*range(0, last, length), last]):
        start, end = origin + offset, origin + offset + valid
        touched = [block for block in piece.blocks if block.start < end and block.start + block.frames > start]
        home = next(block for block in touched if block.start + block.frames > start + valid // 2)
        decoded = {block.key: decoded.get(block.key) or _decoded(source, block) for block in touched}
        key = f"{piece.name}_{number:05d}" if source.dataset.continuous else f"{piece.name}-{number:05d}"
        members = []
        for role, stem in source.members_of(home):
            audio = np.zeros((source.dataset.channels, length), np.float32)
            for block in touched:
                low, high = max(block.start, start), min(block.start + block.frames, end)
                audio[:, low - start : high - start] = decoded[block.key][1][role, stem][:, low - block.start : high - block.start]
            members.append((f"{key}.{role}.{stem}{suffix}", encode_audio(source, audio, suffix)))
        own = {"key": key, "start": start, "frames": length, "valid_frames": valid, "codec": codec_name(source, suffix)}
        record = {name: value for name, value in decoded[home.key][0].items() if name not in MEASURED} | own
        members.append((f"{key}.json", _json(record)))
        yield table_row(source, piece, "") | {"start": start, "frames": length}, members


Decoded = tuple[dict[str, Any], dict[tuple[str, str], np.ndarray]]  # a block's record, and its audio by role and stem


def _decoded(source: Source, block: Block) -> Decoded:
    return source.record(block), {(role, stem): source.audio(block, role, stem) for role, stem in source.members_of(block)}


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
