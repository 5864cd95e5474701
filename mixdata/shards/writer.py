"""Write one shard: a tar of examples and the table of its members."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixdata.errors import MixdataError
from mixdata.example import Example
from mixdata.files import publish, publish_bytes
from mixdata.shards.format import CODECS, KEY, MEMBER_SCHEMA, NAME, encode

LONGEST_NAME = 100  # bytes: what a USTAR header holds without splitting


class TarWriter:
    """Write examples into an open file as a USTAR archive, byte for byte reproducible, and keep the members' table."""

    def __init__(self, file: BinaryIO, codec: str):
        self.file, self.codec = file, codec
        self.offset = 0
        self.rows: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.hash = hashlib.sha256()

    def add(self, example: Example) -> None:
        """Append one example: its audio in role-major order, then its record. A key that stands twice is an error."""
        if not KEY.fullmatch(example.key):
            raise MixdataError(f"example key {example.key!r} is not of the form <slug>-<8 hex>_<block>")
        if example.key in self.keys:
            raise MixdataError(f"example key {example.key!r} stands twice in one shard")
        self.keys.add(example.key)
        for role, stem, audio in example.members():
            if not (NAME.fullmatch(role) and NAME.fullmatch(stem)):
                raise MixdataError(f"{role!r} and {stem!r}: roles and stems are named in [a-z0-9_-], at most 30 characters")
            data = encode(audio * np.float32(example.scale), example.sample_rate, self.codec)
            shape = {"channels": audio.shape[0], "frames": audio.shape[1], "scale": example.scale}
            active = example.active.get(role, {}).get(stem, True)
            name = f"{role}.{stem}{CODECS[self.codec]}"
            self._member(example.key, name, data, role=role, stem=stem, codec=self.codec, active=active, **shape)
        record = json.dumps(example.record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        shape = {"channels": 0, "frames": example.frames, "scale": example.scale}
        self._member(example.key, "json", record.encode(), role="record", stem="", codec="json", active=True, **shape)

    def finish(self) -> str:
        """Close the archive. Returns the SHA-256 of its bytes."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        return self.hash.hexdigest()

    def _member(self, key: str, suffix: str, data: bytes, **row: Any) -> None:
        info = tarfile.TarInfo(f"{key}.{suffix}")
        if len(info.name.encode()) > LONGEST_NAME:
            raise MixdataError(f"member name {info.name!r} is longer than {LONGEST_NAME} bytes; use shorter names of roles and stems")
        info.size, info.mode = len(data), 0o644  # mtime, uid, gid are 0 and the names of user and group empty by default
        self._write(info.tobuf(tarfile.USTAR_FORMAT))
        crc = int.from_bytes(google_crc32c.Checksum(data).digest(), "big")
        self.rows.append({"key": key, "byte_offset": self.offset, "byte_size": len(data), "crc32c": crc, **row})
        self._write(data)
        self._write(bytes(-len(data) % tarfile.BLOCKSIZE))

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.hash.update(data)
        self.offset += len(data)


def write_shard(folder: Path, name: str, shard_id: str, examples: Iterable[Example], codec: str) -> int:
    """Publish `shards/<name>.tar`, then its member table, which is the commit. Returns the number of examples.

    A shard without examples is not written at all.
    """
    tar, table = folder / "shards" / f"{name}.tar", folder / "shards" / f"{name}.parquet"
    table.unlink(missing_ok=True)  # a table always belongs to the tar beside it
    iterator = iter(examples)
    first = next(iterator, None)
    if first is None:
        tar.unlink(missing_ok=True)
        return 0
    with publish(tar) as file:
        writer = TarWriter(file, codec)
        writer.add(first)
        for example in iterator:
            writer.add(example)
        sha256 = writer.finish()
    metadata = {"mixdata.shard_id": shard_id, "mixdata.tar_sha256": sha256, "mixdata.tar_bytes": str(writer.offset)}
    publish_table(table, pa.Table.from_pylist(writer.rows, schema=MEMBER_SCHEMA.with_metadata(metadata)))
    return len(writer.keys)


def publish_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, whole or not at all."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    publish_bytes(path, buffer.getvalue())
