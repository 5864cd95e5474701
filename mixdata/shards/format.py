"""The dataset format, version 1. This docstring is its specification.

    DATASET/
      dataset.json                written last; without it the dataset is incomplete
      recipe.yaml                 the resolved recipe
      plan.parquet                one row per planned song: shard, song id, sha256, split, frames
      songs.parquet               one row per song seen: used | rejected, and why
      examples.parquet            one row per example
      shards/<split>-<n:06d>.tar      USTAR, readable by WebDataset as it is
      shards/<split>-<n:06d>.parquet  one row per member of that tar
      README.md, croissant.json   the card

**dataset.json**: format, identity, recipe and its steps, roles and stems in order, which stems sum to what (`sums`), splits with
their shards (sha256, bytes, examples), `files` (sha256 of the tables, recipe and card), library versions, machine, and a `checksum`
of all the rest.

**Tar.** An example is a run of members `<key>.<role>.<stem>.<flac|npy>` in role-major order, then `<key>.json`.
The key is `<slug>-<8 hex>_<block:05d>`, with `_<variant>` behind it where several were made of one block: no dots, so that
WebDataset's grouping holds. The blocks of a song lie one after the other. mtime, uid, gid are 0 and mode is 0644, so equal input gives
equal bytes.

**Audio.** `scale` (at most 1) was multiplied in before quantizing so that nothing clips; readers divide by it, or ignore it: it is the
same for all roles and stems of a song (of an example, where the set is not continuous). Rounded half to even, no dither.

**Tracks.** Every example has the members that `roles` lists, but for the roles in `variable` (absent where there are none): there an
example has the first few of t000, t001, …, without a gap, as many as the song has tracks, and `roles` lists as many as any example
has. Which track is which stands in the record (`tracks`: by t000, …, its name and instrument).

| codec | member | content |
|---|---|---|
| flac16, flac24 | .flac | channels interleaved by FLAC, 16 or 24 bit |
| npy16 | .npy | int16, shape (channels, frames), C order |
| npyf32 | .npy | float32, likewise: exact, so its scale is 1 and audio may exceed full scale |
| wav16, wav24 | .wav | 16 or 24 bit PCM; only in tars of others that were imported, see `mixdata.interchange` |

**examples.parquet**: key, song, corpus, split, shard, block, start, frames, sample_rate, byte_offset, byte_size, scale, licence,
then, in sets with variable roles, `tracks` (how many members an example has in each of them), then
`activity_<stem>` (share of the block in which the stem sounds; null for a track that the example lacks) and whatever measures the
recipe adds. Where effects were applied: `effects`, `removed_<stem>` and `kept_<stem>`, see `mixdata.shards.labels`.
`byte_offset`/`byte_size` span the whole example in its tar, headers included.

**Member table**: key, role, stem, codec, byte_offset, byte_size (the member's data, without its tar header), channels, frames,
scale, active, crc32c. The record has role `record` and an empty stem. The table's key-value metadata carries `mixdata.shard_id`,
`mixdata.tar_sha256` and `mixdata.tar_bytes`.
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import soundfile

from mixdata.errors import MixdataError, UsageError

FORMAT_VERSION = 1
CODECS = {"flac16": ".flac", "flac24": ".flac", "npy16": ".npy", "npyf32": ".npy"}
READABLE = CODECS | {"wav16": ".wav", "wav24": ".wav"}  # WAV members stand in imported tars: they are read, never written
BITS = {"flac16": 16, "flac24": 24, "npy16": 16, "npyf32": 32, "wav16": 16, "wav24": 24}
FULL = {codec: 1.0 if codec == "npyf32" else 2.0 ** (bits - 1) for codec, bits in BITS.items()}  # what full scale is stored as
PLANAR = {"npy16": "<i2", "npyf32": "<f4"}  # what is stored as it is, channel after channel
FLAC_LEVEL = 2 / 8  # libFLAC level 2 is a fifth faster than level 5 to write, and 2 to 3 % larger; level 8 saves 0.3 % more at 416 x

# What names may look like: they become file names, so they are checked where they are made and again where they are read. Use fullmatch.
KEY = re.compile(r"[a-z0-9_-]{1,40}-[0-9a-f]{8}_[0-9]{5}(_[a-z0-9-]{1,20})?")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,29}")  # of roles and stems
SHARD = re.compile(r"[a-z]{1,20}-[0-9]{6}")
MOST_TRACKS = 1000  # of an example: what three digits count

MEMBER_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("role", pa.string()),
        ("stem", pa.string()),
        ("codec", pa.string()),
        ("byte_offset", pa.int64()),
        ("byte_size", pa.int64()),
        ("channels", pa.int16()),
        ("frames", pa.int64()),
        ("scale", pa.float64()),
        ("active", pa.bool_()),
        ("crc32c", pa.uint32()),
    ]
)

EXAMPLE_FIELDS = [
    ("key", pa.string()),
    ("song", pa.string()),
    ("corpus", pa.string()),
    ("split", pa.string()),
    ("shard", pa.string()),
    ("block", pa.int32()),
    ("start", pa.int64()),
    ("frames", pa.int64()),
    ("sample_rate", pa.int32()),
    ("byte_offset", pa.int64()),
    ("byte_size", pa.int64()),
    ("scale", pa.float64()),
    ("licence", pa.string()),
]


def track_names(count: int) -> tuple[str, ...]:
    """Return the names of the first `count` tracks of a role whose members vary.

    >>> track_names(3)
    ('t000', 't001', 't002')
    """
    return tuple(f"t{number:03d}" for number in range(count))


def headroom_scale(peak: float, codec: str) -> float:
    """Return the factor (at most 1) that keeps audio with this peak inside the codec's range."""
    if codec == "npyf32":
        return 1.0
    full = 1 - 2.0 ** (1 - BITS[codec])
    return 1.0 if peak <= full else full / peak * (1 - 2.0**-22)  # a little less, for float32's own rounding


def quantize(audio: np.ndarray, bits: int) -> np.ndarray:
    """Round `(channels, frames)` float audio to integers of this width, half to even; refuse what would clip."""
    from mixdata.shards.rounding import round_to_integers  # compiled code, which a loader need not load

    integers = np.empty(audio.shape, np.int16 if bits == 16 else np.int32)
    if not round_to_integers(audio, 2.0 ** (bits - 1), integers):
        raise MixdataError("audio above full scale, or not a number, reached the encoder: apply headroom_scale first")
    return integers


def encode(audio: np.ndarray, sample_rate: int, codec: str) -> bytes:
    """Encode `(channels, frames)` float32 audio within full scale (`npyf32`: any finite) as one member's bytes."""
    buffer = io.BytesIO()
    if _known(codec) == "npyf32":
        if not np.isfinite(audio).all():
            raise MixdataError("audio that is not a number, or infinite, reached the encoder")
        np.lib.format.write_array(buffer, np.ascontiguousarray(audio, "<f4"), version=(1, 0), allow_pickle=False)
        return buffer.getvalue()
    integers = quantize(audio, BITS[codec])
    if codec == "npy16":
        np.lib.format.write_array(buffer, integers, version=(1, 0), allow_pickle=False)
    else:
        if codec == "flac24":
            integers <<= 8  # libsndfile takes the top 24 of 32 bits
        soundfile.write(buffer, integers.T, sample_rate, format="FLAC", subtype=f"PCM_{BITS[codec]}", compression_level=FLAC_LEVEL)
    return buffer.getvalue()


def decode_stored(data: bytes, codec: str, start: int = 0, frames: int | None = None) -> np.ndarray:
    """Return frames [start, start + frames) of a member as the integers (or floats) that were stored, `(channels, frames)`."""
    if codec not in READABLE:
        raise UsageError(f"unknown codec {codec!r}: use one of {', '.join(READABLE)}")
    if codec in PLANAR:
        stored = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return stored[:, start : None if frames is None else start + frames]
    dtype = "int16" if BITS[codec] == 16 else "int32"
    with _flac(data) as file:
        if start:
            file.seek(start)
        stored = file.read(-1 if frames is None else frames, dtype=dtype, always_2d=True).T
    return stored >> 8 if BITS[codec] == 24 else stored


def decode(data: bytes, codec: str, start: int = 0, frames: int | None = None) -> np.ndarray:
    """Return frames of a member as `(channels, frames)` float32, scale not undone."""
    stored = decode_stored(data, codec, start, frames)
    return np.ascontiguousarray(stored, dtype=np.float32) * np.float32(1 / FULL[codec])


def decode_flac(name: str, data: bytes) -> np.ndarray | None:
    """A WebDataset handler: `wds.WebDataset(urls).decode(mixdata.decode_flac)`.

    Gives `(channels, frames)` float32 for `.flac` members, nothing for the rest. WebDataset's own needs torchaudio.
    """
    if not name.endswith("flac"):
        return None
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T


@contextmanager
def _flac(data: bytes) -> Iterator[soundfile.SoundFile]:
    """Open a member through a file of the kernel's: soundfile's reads of Python objects swallow Ctrl-C."""
    descriptor = os.memfd_create("member", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        with soundfile.SoundFile(descriptor, closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _known(codec: str) -> str:
    if codec not in CODECS:
        raise UsageError(f"unknown codec {codec!r}: use one of {', '.join(CODECS)}")
    return codec
