"""What a member of somebody's tar holds, by its header: codec of ours, channels, frames, rate. Nothing is decoded here."""

import io
import struct
from dataclasses import dataclass

import numpy as np
import soundfile

from mixdata.audio import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, MOST_FRAMES_PER_BYTE
from mixdata.errors import MixdataError
from mixdata.shards.format import READABLE

AUDIO = (".flac", ".wav", ".npy")
UNREAD = (
    ".mp3",
    ".ogg",
    ".opus",
    ".m4a",
    ".aac",
    ".aiff",
    ".aif",
    ".wma",
    ".pth",
    ".pt",
    ".npz",
)
FLAC = {"PCM_16": "flac16", "PCM_24": "flac24"}
WAV = {"PCM_16": "wav16", "PCM_24": "wav24", "FLOAT": "wavf32"}
NPY = {"<i2": "npy16", "<f4": "npyf32"}


@dataclass(frozen=True)
class AudioFacts:
    """What a header says. An npy does not tell its sample rate: None."""

    codec: str
    channels: int
    frames: int
    sample_rate: int | None


def audio_facts(data: bytes, suffix: str, where: str) -> AudioFacts:
    """Return what this member is. Raises `MixdataError` for what cannot be read in place, and for headers that claim too much."""
    try:
        facts = _npy(data) if suffix == ".npy" else _wav(data) if suffix == ".wav" else _flac(data)
    except (ValueError, struct.error, soundfile.SoundFileError, SyntaxError) as error:
        raise MixdataError(f"{where}: {getattr(error, 'error_string', error)}") from error
    if facts.codec not in READABLE:
        raise MixdataError(f"{where}: {facts.codec} cannot be read in place; convert it to FLAC")
    if not 1 <= facts.channels <= MOST_CHANNELS:
        raise MixdataError(f"{where}: has {facts.channels} channels, not 1 to {MOST_CHANNELS}")
    if facts.sample_rate is not None and not LOWEST_RATE <= facts.sample_rate <= HIGHEST_RATE:
        raise MixdataError(f"{where}: its sample rate is {facts.sample_rate} Hz, not {LOWEST_RATE} to {HIGHEST_RATE}")
    if facts.frames < 1:
        raise MixdataError(f"{where}: holds no audio, or does not say how much; encode it again")
    return facts


def _flac(data: bytes) -> AudioFacts:
    if data[:4] != b"fLaC":
        raise ValueError("is no FLAC file, whatever its name says")
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        codec, frames = FLAC.get(file.subtype), int(file.frames)
        if codec is None:
            raise ValueError(f"is FLAC of {file.subtype}; only 16 and 24 bit are read")
        if frames > len(data) * MOST_FRAMES_PER_BYTE:
            raise ValueError(f"the header promises {frames} frames, which {len(data)} bytes cannot hold (or it tells no length)")
        return AudioFacts(codec, file.channels, frames, file.samplerate)


def _wav(data: bytes) -> AudioFacts:
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("is no RIFF WAV file")
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        codec = WAV.get(file.subtype)
        if codec is None:
            raise ValueError(f"is WAV of {file.subtype}; only 16 and 24 bit and 32-bit float are read")
        facts = AudioFacts(codec, file.channels, int(file.frames), file.samplerate)
    place = 12
    while place + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        if name == b"data":
            if length > len(data) - place - 8:  # libsndfile shortens it without a word
                raise ValueError(f"the header promises {length} bytes of audio, {len(data) - place - 8} are there")
            return facts
        place += 8 + length + length % 2
    raise ValueError("has no data chunk")


def _npy(data: bytes) -> AudioFacts:
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("is not an npy file of version 1.0")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    codec = NPY.get(dtype.str)
    if codec is None or len(shape) != 2 or (columns_first and 1 not in shape):
        raise ValueError(f"is an array {dtype.str}{shape}; int16 or float32 of shape (channels, frames) in C order are read")
    if len(data) - file.tell() != shape[0] * shape[1] * dtype.itemsize:
        raise ValueError(f"the header promises {shape[0]} x {shape[1]} samples, {len(data) - file.tell()} bytes are there")
    if shape[0] > MOST_CHANNELS:
        raise ValueError(f"has the shape {shape}, not (channels, frames)")
    return AudioFacts(codec, shape[0], shape[1], None)
