"""WAV files of 16 or 24 bit, or 32-bit float, written block by block and byte for byte reproducible.

Not by libsndfile, which writes the time of day into the PEAK chunk of a float WAV.
"""

import os
import struct
from pathlib import Path
from types import TracebackType

import numpy as np

from mixdata.errors import MixdataError

WIDTHS = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}  # bytes of a sample
LARGEST = 2**32 - 1  # bytes that a RIFF chunk's size can tell


def wav_header(sample_rate: int, channels: int, frames: int, subtype: str) -> bytes:
    """Return what stands before the samples. Raises `MixdataError` for more of them than a WAV holds."""
    width = WIDTHS[subtype]
    size = width * channels * frames
    tag, extra = (3, struct.pack("<H", 0)) if subtype == "FLOAT" else (1, b"")
    form = struct.pack("<HHIIHH", tag, channels, sample_rate, sample_rate * channels * width, channels * width, 8 * width) + extra
    body = b"WAVE" + _chunk(b"fmt ", form)
    if subtype == "FLOAT":
        body += _chunk(b"fact", struct.pack("<I", min(frames, LARGEST)))
    total = len(body) + 8 + size + size % 2
    if total > LARGEST:
        raise MixdataError(f"{frames} frames of {channels} channels in {8 * width} bit are more than a WAV file holds (4 GiB)")
    return b"RIFF" + struct.pack("<I", total) + body + b"data" + struct.pack("<I", size)


def wav_samples(audio: np.ndarray, subtype: str) -> bytes:
    """Return `(channels, frames)` float32 audio as a WAV's samples. Audio that came from integers of this width comes out as they were."""
    if subtype == "FLOAT":
        return np.ascontiguousarray(audio.T, "<f4").tobytes()
    bits = 8 * WIDTHS[subtype]
    integers = np.rint(audio.T.astype(np.float64) * 2 ** (bits - 1))
    if not (np.abs(integers + 0.5) <= 2 ** (bits - 1)).all():
        raise MixdataError(f"audio above full scale, or not a number, cannot be written as {bits}-bit WAV")
    if bits == 16:
        return integers.astype("<i2").tobytes()
    return np.ascontiguousarray(integers, "<i4").view(np.uint8).reshape(*integers.shape, 4)[..., :3].tobytes()


def wav_bytes(audio: np.ndarray, sample_rate: int, subtype: str) -> bytes:
    """Return a whole WAV file."""
    samples = wav_samples(audio, subtype)
    return wav_header(sample_rate, audio.shape[0], audio.shape[1], subtype) + samples + bytes(len(samples) % 2)


class WavFile:
    """A WAV file of a known length, written piece by piece: `with WavFile(…) as file: file.write(audio)`."""

    def __init__(self, path: Path, sample_rate: int, channels: int, frames: int, subtype: str):
        header = wav_header(sample_rate, channels, frames, subtype)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.subtype, self.missing = path, subtype, frames
        self.odd = WIDTHS[subtype] * channels * frames % 2
        self.file = open(path, "xb")  # noqa: SIM115  closed by __exit__
        self.file.write(header)

    def write(self, audio: np.ndarray) -> None:
        """Append `(channels, frames)` float32 audio."""
        self.missing -= audio.shape[1]
        self.file.write(wav_samples(audio, self.subtype))

    def __enter__(self) -> "WavFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self.file:
            if kind is None:
                if self.missing:
                    raise MixdataError(f"{self.path}: {self.missing} frames are missing")
                self.file.write(bytes(self.odd))
                self.file.flush()
                os.fsync(self.file.fileno())


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data
