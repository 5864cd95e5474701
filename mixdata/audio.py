"""Reading, writing, probing and resampling audio: `float32`, shape `(channels, frames)`, peak 1.0 = 0 dBFS.

WAV, FLAC, AIFF, OGG and MP3 are read by libsndfile, MP4 and M4A (also with several audio streams, `.stem.mp4`) by PyAV,
which is also tried on what libsndfile cannot open. Files are hostile until they have been read: only regular files
are opened, a header is believed as far as the file's size allows, samples must be finite.

What `probe` says is what `read` returns, or `read` raises. For PCM and FLAC the frames are the header's; OGG's are its last page's
(both by libsndfile); MP3 and streams of unknown length are decoded and counted; MP4 is counted by its packets (`mixdata._pyav`).
Truncated PCM and MP4 and cut MP3 with a length tag are found by `probe`; a truncated FLAC only by `read`.
"""

import contextlib
import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from scipy.io import wavfile

from mixdata import _pyav
from mixdata._headers import has_length_tag, is_mp4, looks_like_audio, pcm_bytes
from mixdata.errors import AudioError, UsageError
from mixdata.files import publish
from mixdata.text import cleaned, readable

EXTENSIONS = frozenset({".wav", ".wave", ".flac", ".aif", ".aiff", ".aifc", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac"})

BLOCK = 1 << 17  # frames read at a time: nothing is allocated on the word of a header
LOWEST_RATE, HIGHEST_RATE = 8_000, 384_000
MOST_CHANNELS = 64
MOST_FRAMES_PER_BYTE = 5_000  # a FLAC frame of digital silence: 65,535 frames in 14 bytes
CACHE_BYTES = 256 << 20  # of decoded audio: three stereo streams of four minutes; a longer one is decoded again for every range
UNKNOWN_LENGTH = 2**62  # libsndfile says 2**63 - 1

FORMATS = {"WAV", "WAVEX", "RF64", "AIFF", "FLAC", "OGG", "MP3"}
# No ADPCM: its decoders have a history of memory faults (CVE-2021-3246, CVE-2022-33065).
SUBTYPES = {
    "PCM_S8",
    "PCM_U8",
    "PCM_16",
    "PCM_24",
    "PCM_32",
    "FLOAT",
    "DOUBLE",
    "ULAW",
    "ALAW",
    "VORBIS",
    "OPUS",
    "MPEG_LAYER_II",
    "MPEG_LAYER_III",
}
LOSSY = {"VORBIS", "OPUS", "MPEG_LAYER_II", "MPEG_LAYER_III"}
PCM_BITS = {"PCM_16": 16, "PCM_24": 24}


_cache: OrderedDict[tuple["_File", int], np.ndarray] = OrderedDict()
_cache_lock = threading.Lock()


@dataclass(frozen=True)
class AudioInfo:
    """What a stream of audio is: rate in Hz, channels, frames, and container and codec (`wav/pcm_16`, `mp4/aac`)."""

    sample_rate: int
    channels: int
    frames: int
    codec: str

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


class _File(NamedTuple):
    """A regular file, and what tells it from a later file of the same name (the key of the caches)."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    def __str__(self) -> str:
        return readable(self.path)


def inside(root: Path, path: Path) -> bool:
    """Say whether `path`, with all links followed, lies in `root` (itself followed); what can be no path lies nowhere."""
    try:
        return Path(path).resolve().is_relative_to(Path(root).resolve())
    except (OSError, ValueError):
        return False


def probe(path: str | Path, stream: int = 0) -> AudioInfo:
    """Return rate, channels, frames and codec. `stream` counts the audio streams of a container.

    Raises `AudioError` with reason missing, not_audio, unreadable, unsupported, empty or truncated.
    """
    return _probe(_regular(path), stream)


def read(path: str | Path, start: int = 0, frames: int | None = None, stream: int = 0) -> tuple[np.ndarray, int]:
    """Return float32 `(channels, frames)` and the sample rate; a range is the slice `[:, start : start + frames]` of the whole.

    Raises `AudioError` as `probe` does, and for truncated and nonfinite audio.
    """
    if start < 0 or (frames is not None and frames < 0):
        raise ValueError(f"start and frames must not be negative, got {start} and {frames}")
    file = _regular(path)
    info = _probe(file, stream)
    stop = info.frames if frames is None else min(start + frames, info.frames)
    start = min(start, stop)
    audio = _load(file, stream, info, start, stop)
    if audio.shape[1] != stop - start:
        raise AudioError(
            "truncated",
            f"{file}: only {start + audio.shape[1]} of {info.frames} frames could be read: the file is cut short or damaged",
        )
    if not np.isfinite(audio).all():
        raise AudioError("nonfinite", f"{file}: contains samples that are not finite numbers (NaN or infinity)")
    return audio, info.sample_rate


def blocks(path: str | Path, stream: int = 0) -> Iterator[np.ndarray]:
    """Yield a whole stream as float32 blocks `(channels, n)`, in little memory. Raises `AudioError` as `read` does."""
    file = _regular(path)
    info, count = _probe(file, stream), 0
    for block in _from_start(file, stream):
        if not np.isfinite(block).all():
            raise AudioError("nonfinite", f"{file}: contains samples that are not finite numbers (NaN or infinity)")
        count += block.shape[1]
        yield block
    if count < info.frames:
        raise AudioError("truncated", f"{file}: only {count} of {info.frames} frames could be read: the file is cut short or damaged")


def write(path: str | Path, audio: np.ndarray, sample_rate: int, subtype: str | None = None) -> None:
    """Write `(channels, frames)` audio to a .wav (FLOAT by default) or .flac (PCM_24) file; equal audio gives equal bytes.

    Integer subtypes (PCM_16, PCM_24) are rounded half to even, with +1.0 as the highest code; audio beyond ±1 is a
    `UsageError`, never clipped. The file appears under its name only when it is complete and on disk.
    """
    path = Path(path)
    form = {".wav": "WAV", ".flac": "FLAC"}.get(path.suffix.lower())
    subtype = subtype or ("PCM_24" if form == "FLAC" else "FLOAT")
    if form is None or (subtype not in PCM_BITS and (form, subtype) != ("WAV", "FLOAT")):
        raise UsageError(f"{path}: cannot write {subtype} here: use .wav with FLOAT, PCM_16 or PCM_24, or .flac with PCM_16 or PCM_24")
    audio = np.atleast_2d(np.asarray(audio))
    if not np.isfinite(audio).all():
        raise UsageError(f"{path}: the audio has samples that are not finite")
    if subtype == "FLOAT":
        # Not by libsndfile: it writes the time of day into the PEAK chunk of a float WAV.
        with publish(path) as file:
            wavfile.write(file, sample_rate, np.ascontiguousarray(audio.T, dtype=np.float32))
        return
    peak = float(np.abs(audio).max(initial=0))
    if peak > 1:
        raise UsageError(
            f"{path}: the audio peaks at {20 * np.log10(peak):+.2f} dBFS, which {subtype} would clip: scale it down or write a float WAV"
        )
    bits = PCM_BITS[subtype]
    full = 1 << (bits - 1)
    codes = np.minimum(np.rint(audio.T.astype(np.float64) * full), full - 1).astype(np.int32) << (32 - bits)
    with publish(path) as file:
        soundfile.write(file, codes, sample_rate, format=form, subtype=subtype)


def resample(audio: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample `(channels, frames)` by soxr VHQ: no delay, and always round(frames · to / from) frames (half up)."""
    audio = np.asarray(audio, dtype=np.float32)
    if from_rate == to_rate:
        return audio
    frames = resampled_frames(audio.shape[-1], from_rate, to_rate)
    frames_first = np.empty(audio.shape[::-1], np.float32)  # a fresh array: soxr refuses a view of one frame, though it is contiguous
    frames_first[:] = audio.T
    out = soxr.resample(frames_first, from_rate, to_rate, quality="VHQ").T[:, :frames]
    return np.ascontiguousarray(np.pad(out, ((0, 0), (0, frames - out.shape[1]))), dtype=np.float32)


def resampled_frames(frames: int, from_rate: int, to_rate: int) -> int:
    """Return how many frames `resample` makes of these."""
    return (2 * frames * to_rate + from_rate) // (2 * from_rate)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a regular file's bytes, in hex."""
    return file_hash(path, "sha256")


def file_hash(path: str | Path, algorithm: str) -> str:
    """Return a hash of a regular file's bytes, in hex. Raises `AudioError` where there is none to read."""
    file = _regular(path)
    try:
        with open(file.path, "rb") as source:
            return hashlib.file_digest(source, algorithm).hexdigest()
    except OSError as error:
        raise AudioError("unreadable", f"{file}: {error.strerror or error}") from error


def tags(path: str | Path) -> dict[str, str]:
    """Return `artist`, `album` and `title` as far as the file's header has them; nothing where it cannot be read."""
    file = _regular(path)
    try:
        if is_mp4(_head(file)):
            found = _pyav.metadata(file.path)
        else:
            with soundfile.SoundFile(os.fsencode(file.path)) as source:
                found = source.copy_metadata()
    except (soundfile.SoundFileError, AudioError):
        return {}  # what is wrong with it is said by `probe`, which the build asks of every track
    clean = {key.lower(): cleaned(value) for key, value in found.items()}
    return {key: clean[key] for key in ("artist", "album", "title") if clean.get(key)}


def _regular(path: str | Path) -> _File:
    """Return the identity of the regular file at `path`; a link must lead to one. Opens nothing (a FIFO would hang)."""
    try:
        resolved = os.path.realpath(path, strict=True)
        status = os.stat(resolved)
    except FileNotFoundError:
        raise AudioError("missing", f"{readable(path)}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise AudioError("unreadable", f"{readable(path)}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("not_audio", f"{readable(path)}: not a regular file")
    if status.st_size == 0:
        raise AudioError("empty", f"{readable(path)}: the file is empty (0 bytes)")
    return _File(resolved, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=65536)
def _needs_pyav(file: _File) -> bool:
    """MP4, what libsndfile cannot open, and what it cannot read to the end because the header gives no length."""
    head = _head(file)
    if is_mp4(head):
        return True
    try:
        with soundfile.SoundFile(os.fsencode(file.path)) as source:
            return source.frames >= UNKNOWN_LENGTH
    except soundfile.SoundFileError as error:
        if not looks_like_audio(head):
            raise AudioError("not_audio", f"{file}: not an audio file, whatever its name says") from error
        return True


def _head(file: _File) -> bytes:
    try:
        with open(file.path, "rb") as source:
            return source.read(16)
    except OSError as error:
        raise AudioError("unreadable", f"{file}: {error.strerror or error}") from error


@lru_cache(maxsize=65536)
def _probe(file: _File, stream: int) -> AudioInfo:
    if _needs_pyav(file):
        info = AudioInfo(*_pyav.measure(file.path, stream))
    else:
        if stream:
            raise AudioError("missing", f"{file}: has one audio stream, so there is no stream {stream}")
        with _soundfile(file) as source:
            codec = f"{source.format}/{source.subtype}".lower()
            info = AudioInfo(source.samplerate, source.channels, source.frames, codec)
            _check(file, info)
            if source.format not in FORMATS or source.subtype not in SUBTYPES:
                raise AudioError("unsupported", f"{file}: {codec} is not read: convert it to WAV or FLAC")
            info = AudioInfo(source.samplerate, source.channels, _true_frames(file, source), codec)
    _check(file, info)
    if info.frames == 0:
        raise AudioError("empty", f"{file}: holds no audio (0 frames)")
    return info


def _check(file: _File, info: AudioInfo) -> None:
    if not LOWEST_RATE <= info.sample_rate <= HIGHEST_RATE:
        raise AudioError("unsupported", f"{file}: sample rate {info.sample_rate} Hz is not between {LOWEST_RATE} and {HIGHEST_RATE}")
    if not 1 <= info.channels <= MOST_CHANNELS:
        raise AudioError("unsupported", f"{file}: {info.channels} channels are not between 1 and {MOST_CHANNELS}")


def _true_frames(file: _File, source: soundfile.SoundFile) -> int:
    """Return the frames that the file really holds, as far as can be known without decoding (MP3: by decoding)."""
    claimed = source.frames
    if source.format in ("WAV", "WAVEX", "RF64", "AIFF"):
        declared, present = pcm_bytes(file.path)
        if declared is not None and declared > present:
            raise AudioError("truncated", f"{file}: the header promises {declared} bytes of audio, the file holds {present}")
    elif source.format == "MP3":
        counted = sum(block.shape[1] for block in _blocks(source, claimed))
        # Without a length tag libsndfile guesses the length from the bit rate, which proves nothing.
        if has_length_tag(file.path) and counted < claimed - 2 * 1152:
            raise AudioError("truncated", f"{file}: the header promises {claimed} frames, the file holds {counted}")
        return counted
    if claimed > file.size * MOST_FRAMES_PER_BYTE:
        raise AudioError("truncated", f"{file}: the header promises {claimed} frames, which {file.size} bytes cannot hold")
    return claimed


@contextlib.contextmanager
def _soundfile(file: _File) -> Iterator[soundfile.SoundFile]:
    try:
        with soundfile.SoundFile(os.fsencode(file.path)) as source:
            yield source
    except soundfile.SoundFileError as error:
        # What libFLAC and soundfile (which seeks after every read) say at the end of a FLAC whose header promises more.
        reason = "truncated" if "psf_fseek" in str(error) or "lost sync" in str(error) else "unreadable"
        raise AudioError(reason, f"{file}: damaged or cut short (libsndfile says: {str(error).removeprefix('Error : ')})") from error


def _load(file: _File, stream: int, info: AudioInfo, start: int, stop: int) -> np.ndarray:
    """Return `[:, start:stop]`, or less where the file ends before.

    PCM and FLAC are sought in. Lossy streams are decoded from the start, as no seek in them is exact (AAC's noise depends on
    what came before; libsndfile's Vorbis seek is thousands of frames off near the end), and kept for the next range.
    """
    if not _needs_pyav(file) and info.codec.split("/")[1].upper() not in LOSSY:
        with _soundfile(file) as source:
            source.seek(start)
            return _collect(_blocks(source, stop - start), info.channels)
    if info.frames * info.channels * 4 > CACHE_BYTES:
        return _collect(_from_start(file, stream), info.channels, start, stop)
    with _cache_lock:
        whole = _cache.get((file, stream))
    if whole is None:
        whole = _collect(_from_start(file, stream), info.channels, 0, info.frames)
    with _cache_lock:
        _cache[file, stream] = whole
        _cache.move_to_end((file, stream))
        while sum(kept.nbytes for kept in _cache.values()) > CACHE_BYTES:
            _cache.popitem(last=False)
    return whole[:, start:stop].copy()


def _from_start(file: _File, stream: int) -> Iterator[np.ndarray]:
    """Yield the whole stream in `(channels, n)` blocks."""
    if _needs_pyav(file):
        yield from _pyav.blocks(file.path, stream)
    else:
        with _soundfile(file) as source:
            yield from _blocks(source, source.frames)


def _blocks(source: soundfile.SoundFile, frames: int) -> Iterator[np.ndarray]:
    """Yield `(channels, n)` blocks from where the source stands until `frames` or its true end."""
    while frames > 0:
        block = source.read(min(BLOCK, frames), dtype="float32", always_2d=True).T
        if not block.size:
            return
        yield block
        frames -= block.shape[1]


def _collect(blocks: Iterator[np.ndarray], channels: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Join what lies between `start` and `stop`."""
    kept, at = [np.zeros((channels, 0), np.float32)], 0
    for block in blocks:
        kept.append(block[:, max(start - at, 0) : None if stop is None else max(stop - at, 0)].copy())
        at += block.shape[1]
        if stop is not None and at >= stop:
            break
    return np.concatenate(kept, axis=1)
