"""A dataset folder written straight from the specification (`mixdata.shards.format`), without mixdata's writer.

Tests of readers use it, so that a fault in the writer cannot hide one in the reader.
"""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixdata.rng import stream
from mixdata.shards.format import CODECS, EXAMPLE_FIELDS, MEMBER_SCHEMA, encode, headroom_scale

STEMS = ("vocals", "drums", "bass", "other")
ROLES = {"input": list(STEMS), "target": ["mixture", *STEMS]}
Song = dict[str, dict[str, np.ndarray]]  # role -> stem -> (channels, frames)


@dataclass
class Tiny:
    """Where it lies, and what was put in: `songs[split][song id][role][stem]`."""

    path: Path
    songs: dict[str, dict[str, Song]]

    def song(self, song_id: str) -> Song:
        return next(songs[song_id] for songs in self.songs.values() if song_id in songs)


def tiny_song(
    seed: int,
    frames: int,
    channels: int = 2,
    sample_rate: int = 8000,
    loud: float = 1.0,
    gated: tuple[str, ...] = (),
    enters: dict[str, int] | None = None,
) -> Song:
    """Return a song of tones and noise: inputs at one level, target stems at levels of their own that sum to the mixture."""
    rng = stream(seed, "tiny")
    time = np.arange(frames) / sample_rate
    target, inputs = {}, {}
    for place, stem in enumerate(STEMS):
        tone = np.sin(2 * np.pi * (90 * (place + 1) ** 2) * (1 + 0.05 * rng.random()) * time) * (1 + np.sin(2 * np.pi * time * (1 + place)))
        audio = 0.1 * (tone + 0.2 * rng.standard_normal((channels, frames))).astype(np.float32)
        if stem in gated:
            audio[:] = 0
        audio[:, : (enters or {}).get(stem, 0)] = 0
        inputs[stem] = np.float32(loud) * audio
        pan = np.linspace(0.4 + 0.3 * place, 1.3 - 0.3 * place, channels, dtype=np.float32)[:, None]
        target[stem] = np.float32(loud * 10 ** ((-9, 3, -3, -12)[place] / 20)) * audio * pan
    return {"input": inputs, "target": {"mixture": np.sum(list(target.values()), axis=0), **target}}


def write_tiny(
    path: Path,
    lengths: dict[str, list[int]] | None = None,
    *,
    codec: str = "npy16",
    continuous: bool = True,
    block: int = 8000,
    sample_rate: int = 8000,
    channels: int = 2,
    loud: float = 1.0,
    gated: tuple[str, ...] = (),
    enters: dict[str, int] | None = None,
    songs_per_shard: int = 2,
    drop: tuple[str, ...] = (),
) -> Tiny:
    """Write a dataset with songs of these lengths (in frames) per split.

    Stems that are `gated` are silent; those that `enters` names are silent before that frame. `drop` leaves out files of that name.
    """
    lengths = lengths or {"train": [20100, 8000, 27000], "valid": [16000]}
    songs: dict[str, dict[str, Song]] = {}
    examples, song_rows, splits, seed = [], [], {}, 0
    (path / "shards").mkdir(parents=True)
    for split, frames_of in lengths.items():
        songs[split] = {}
        for frames in frames_of:
            seed += 1
            songs[split][f"song-{seed}-{hashlib.sha256(bytes([seed])).hexdigest()[:8]}"] = tiny_song(
                seed, frames, channels, sample_rate, loud, gated, enters
            )
        names = list(songs[split])
        shards = [names[start : start + songs_per_shard] for start in range(0, len(names), songs_per_shard)]
        entries = []
        for number, ids in enumerate(shards):
            rows = _write_shard(path, f"{split}-{number:06d}", {name: songs[split][name] for name in ids}, codec, block, sample_rate)
            data = (path / "shards" / f"{split}-{number:06d}.tar").read_bytes()
            entries.append(
                {"name": f"{split}-{number:06d}", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "examples": len(rows)}
            )
            examples += [{**row, "corpus": "tiny", "split": split, "sample_rate": sample_rate, "licence": "CC0-1.0"} for row in rows]
        song_rows += [{"id": name, "corpus": "tiny", "split": split, "status": "used", "reason": ""} for name in names]
        splits[split] = {
            "songs": len(names),
            "examples": sum(e["examples"] for e in entries),
            "seconds": sum(frames_of) / sample_rate,
            "shards": entries,
        }
    fields = [*EXAMPLE_FIELDS, *((f"activity_{stem}", pa.float32()) for stem in STEMS)]
    pq.write_table(pa.Table.from_pylist(examples, schema=pa.schema(fields)), path / "examples.parquet")
    pq.write_table(pa.Table.from_pylist(song_rows), path / "songs.parquet")
    (path / "recipe.yaml").write_text("name: tiny\nsteps: []\n")
    meta = {
        "format": "mixdata", "format_version": 1, "name": "tiny", "identity": "0" * 64, "recipe": "tiny", "sample_rate": sample_rate,
        "channels": channels, "codec": codec, "continuous": continuous, "block_seconds": block / sample_rate, "roles": ROLES,
        "sums": [{"role": "target", "total": "mixture"}], "splits": splits, "licence": "CC0-1.0", "versions": {}, "machine": {},
    }  # fmt: skip
    (path / "dataset.json").write_text(json.dumps(meta, indent=1))
    for name in drop:
        (path / name).unlink()
    return Tiny(path, songs)


def _write_shard(path: Path, name: str, songs: dict[str, Song], codec: str, block: int, sample_rate: int) -> list[dict]:
    examples, members = [], []
    with tarfile.open(path / "shards" / f"{name}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for song_id, roles in songs.items():
            total = next(iter(roles["input"].values())).shape[-1]
            scale = headroom_scale(max(float(np.abs(audio).max()) for stems in roles.values() for audio in stems.values()), codec)
            for number, start in enumerate(range(0, total, block)):
                key, frames, begin = f"{song_id}_{number:05d}", min(block, total - start), tar.offset
                for role, stems in roles.items():
                    for stem, whole in stems.items():
                        audio = whole[:, start : start + frames]
                        data = encode(audio * np.float32(scale), sample_rate, codec)
                        row = {
                            "key": key,
                            "role": role,
                            "stem": stem,
                            "codec": codec,
                            "channels": len(audio),
                            "frames": frames,
                            "scale": scale,
                        }
                        members.append({**row, "active": bool(audio.any()), **_add(tar, f"{key}.{role}.{stem}{CODECS[codec]}", data)})
                record = json.dumps({"key": key, "song": song_id}).encode()
                row = {
                    "key": key,
                    "role": "record",
                    "stem": "",
                    "codec": "json",
                    "channels": 0,
                    "frames": 0,
                    "scale": scale,
                    "active": True,
                }
                members.append({**row, **_add(tar, f"{key}.json", record)})
                activity = {f"activity_{stem}": (number + 1) / 10 if roles["input"][stem].any() else 0.0 for stem in STEMS}
                span = {"byte_offset": begin, "byte_size": tar.offset - begin}
                examples.append(
                    {
                        "key": key,
                        "song": song_id,
                        "shard": name,
                        "block": number,
                        "start": start,
                        "frames": frames,
                        "scale": scale,
                        **span,
                        **activity,
                    }
                )
    pq.write_table(pa.Table.from_pylist(members, schema=MEMBER_SCHEMA), path / "shards" / f"{name}.parquet")
    return examples


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> dict[str, int]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    offset = tar.offset + tarfile.BLOCKSIZE
    tar.addfile(info, io.BytesIO(data))
    return {"byte_offset": offset, "byte_size": len(data), "crc32c": google_crc32c.value(data)}
