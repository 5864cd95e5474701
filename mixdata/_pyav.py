"""What libsndfile cannot open, by PyAV: MP4 and M4A with any number of audio streams, AAC, and damaged or odd files of other kinds.

ffmpeg's demuxers include some that open other files and URLs (playlists, concatenation), so the containers are a
short allow-list and ffmpeg gets an open file instead of a name.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from mixdata.errors import AudioError
from mixdata.text import readable

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,aac,mp3,flac,ogg,matroska,webm"  # no WAV: ffmpeg, too, hides that one is cut short
CODECS = {"aac", "alac", "mp3", "mp2", "flac", "opus", "vorbis", "ac3", "eac3"}  # and pcm_*
LONGEST_LEAD = 60.0  # seconds of silence that an edit list may put before the audio


def metadata(path: str) -> dict[str, str]:
    """Return the tags of the container and, before them, of its first audio stream."""
    with _opened(path) as container:
        streams = [dict(s.metadata) for s in container.streams.audio[:1]]
        return {key: value for source in (*streams, dict(container.metadata)) for key, value in source.items()}


def measure(path: str, stream: int) -> tuple[int, int, int, str]:
    """Return sample rate, channels, frames and `container/codec` of an audio stream.

    MP4: the end of the last packet. Its table of packet durations is exact where the container's own duration is
    rounded to milliseconds and the decoded frames end in padding; the priming that the edit list names lies before zero.
    Other containers: decoded and counted.
    """
    with _opened(path) as container:
        source = _stream(container, stream, path)
        rate, channels = source.codec_context.sample_rate, source.codec_context.channels
        codec = source.codec_context.name
        name = "mp4" if _is_mov(container) else container.format.name.split(",")[0]
        if _is_mov(container):
            ends = (packet.pts + (packet.duration or 0) for packet in container.demux(source) if packet.pts is not None)
            frames = round(max(ends, default=0) * source.time_base * rate)
        else:
            frames = sum(block.shape[1] for block in blocks(path, stream))
        promised = round((source.duration or 0) * source.time_base * rate) if name in ("mp4", "flac") else 0
        if frames < promised - 2 * 2048:  # durations are rounded and may count priming: two packets
            raise AudioError("truncated", f"{readable(path)}: the container promises {promised} frames, the file holds {frames}")
        return rate, channels, frames, f"{name}/{codec}"


def blocks(path: str, stream: int) -> Iterator[np.ndarray]:
    """Yield the whole stream as float32 `(channels, n)` blocks, priming cut off, an edit list's silence put before it."""
    with _opened(path) as container:
        source = _stream(container, stream, path)
        rate, channels = source.codec_context.sample_rate, source.codec_context.channels
        resampler = av.AudioResampler(format="fltp")  # sample format only: rate and layout stay
        first = True
        for frame in container.decode(source):
            if (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
                raise AudioError("unsupported", f"{readable(path)}: sample rate or channels change within the stream")
            if first and frame.pts and frame.time_base and _is_mov(container):
                lead = float(frame.pts * frame.time_base)
                if lead > LONGEST_LEAD:
                    raise AudioError("unsupported", f"{readable(path)}: the audio begins {lead:.0f} s into the file")
                yield np.zeros((channels, max(0, round(lead * rate))), np.float32)
            first = False
            yield from (part.to_ndarray() for part in resampler.resample(frame))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        with open(path, "rb") as file, av.open(file, metadata_errors="replace", options={"format_whitelist": CONTAINERS}) as container:
            yield container
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise AudioError("unreadable", f"{readable(path)}: damaged, or of a format that is not read") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise AudioError("unreadable", f"{readable(path)}: {getattr(error, 'strerror', None) or error}") from error


def _is_mov(container: Any) -> bool:
    return "mov" in container.format.name.split(",")


def _stream(container: Any, stream: int, path: str) -> Any:
    streams = container.streams.audio
    if not streams:
        raise AudioError("not_audio", f"{readable(path)}: a {container.format.name.split(',')[0]} file without audio")
    if not 0 <= stream < len(streams):
        raise AudioError("missing", f"{readable(path)}: has {len(streams)} audio streams, so there is no stream {stream} (counted from 0)")
    context = streams[stream].codec_context
    if context is None or not (context.name in CODECS or context.name.startswith("pcm_") or context.name in ("mp3float", "libopus")):
        raise AudioError(
            "unsupported", f"{readable(path)}: the codec {getattr(context, 'name', 'unknown')} is not read: convert it to WAV or FLAC"
        )
    if not (context.sample_rate and context.channels) or not math.isfinite(context.sample_rate):
        raise AudioError("unreadable", f"{readable(path)}: the stream has no sample rate or no channels")
    return streams[stream]
