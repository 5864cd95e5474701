"""Members of exports: stored audio as FLAC, WAV or npy."""

import numpy as np

from mixdata.errors import UsageError
from mixdata.interchange.source import Block, Source
from mixdata.interchange.wav import wav_bytes
from mixdata.shards.format import READABLE, encode


def suffix_of(source: Source, codec: str) -> str:
    """Return the ending of the members' names: `as-is` keeps what is stored."""
    return READABLE[source.dataset.codec] if codec == "as-is" else f".{codec}"


def codec_name(source: Source, suffix: str) -> str:
    """Return our name for what such a member holds: `flac24`, `npyf32`, `wav16`."""
    width = source.bits if suffix != ".npy" or source.bits == 16 else None
    return f"{suffix.removeprefix('.')}{'f32' if width is None else width}"


def member_bytes(source: Source, block: Block, role: str, stem: str, suffix: str) -> bytes:
    """Return a member in this form, with the integers (or floats) that are stored; as it is where it has this form already."""
    if suffix == READABLE[source.dataset.codec] and source.present(block, role, stem):
        return source.data(block, role, stem)
    return encode_audio(source, source.audio(block, role, stem), suffix)


def encode_audio(source: Source, audio: np.ndarray, suffix: str) -> bytes:
    """Encode audio that was stored in the dataset; an npy of what is not 16 bit holds floats."""
    try:
        if suffix == ".wav":
            return wav_bytes(audio, source.dataset.sample_rate, "FLOAT" if source.bits is None else f"PCM_{source.bits}")
        return encode(audio, source.dataset.sample_rate, codec_name(source, suffix))
    except RuntimeError as error:  # libsndfile's: FLAC holds 8 channels and 655 kHz at most
        raise UsageError(f"{source.dataset.where}: cannot be written as {suffix} ({error}); use another codec") from error
