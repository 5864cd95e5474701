"""Small corpora in the true layout, made on the spot, and where the real ones lie."""

from pathlib import Path

import av
import numpy as np
import pytest

from mixdata import audio

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
MUSDB_STREAMS = ("mixture", "drums", "bass", "other", "vocals")
FIRST_SEED = {"test": 50_000}  # no song of the test split sounds like one of the training split


def shared(*parts: str) -> Path:
    """A folder of the real test data; the test is skipped where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no real test data at {Path('shared/data', *parts)}")
    return path


def noise(seed: int = 0, seconds: float = 1.0, channels: int = 2, sample_rate: int = 44100) -> np.ndarray:
    """White noise at -20 dBFS, on the grid of 16 bits."""
    draw = np.random.default_rng(seed).standard_normal((channels, round(seconds * sample_rate)))
    return (np.rint(np.clip(0.1 * draw, -0.99, 0.99) * 32768) / 32768).astype(np.float32)


def write_wav(path: Path, seed: int = 0, seconds: float = 0.5, sample_rate: int = 44100, channels: int = 2) -> Path:
    """A 16-bit WAV or FLAC of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, noise(seed, seconds, channels, sample_rate), sample_rate, "PCM_16")
    return path


def write_mp4(
    path: Path, streams: list[np.ndarray], sample_rate: int = 44100, codec: str = "aac", tags: dict[str, str] | None = None
) -> Path:
    """An MP4 with one audio stream per array, as MUSDB18's `.stem.mp4` are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata.update(tags or {})
        outputs = [container.add_stream(codec, rate=sample_rate, layout="stereo") for _ in streams]
        for output, samples in zip(outputs, streams, strict=True):
            if codec == "aac":
                output.bit_rate = 256_000
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout="stereo")
            else:
                frame = av.AudioFrame.from_ndarray(np.rint(samples * 32768).astype(np.int16), format="s16p", layout="stereo")
            frame.sample_rate, frame.pts = sample_rate, 0
            for packet in (*output.encode(frame), *output.encode(None)):
                container.mux(packet)
    return path


def musdb_hq(root: Path, names: dict[str, list[str]], seconds: float = 0.3) -> Path:
    """MUSDB18-HQ: `{train,test}/NAME/{mixture,vocals,drums,bass,other}.wav`."""
    for subset, songs in names.items():
        for number, name in enumerate(songs):
            for place, stem in enumerate(MUSDB_STREAMS):
                write_wav(root / subset / name / f"{stem}.wav", seed=FIRST_SEED.get(subset, 0) + 100 * number + place, seconds=seconds)
    return root


def musdb_mp4(root: Path, names: dict[str, list[str]], seconds: float = 0.3) -> Path:
    """MUSDB18: `{train,test}/NAME.stem.mp4` with five AAC streams."""
    for subset, songs in names.items():
        for number, name in enumerate(songs):
            write_mp4(
                root / subset / f"{name}.stem.mp4", [noise(FIRST_SEED.get(subset, 0) + 100 * number + place, seconds) for place in range(5)]
            )
    return root


def song_folder(
    folder: Path, stems: tuple[str, ...] = ("vocals", "drums", "bass", "other"), mixture: str = "mixture", ext: str = "wav"
) -> Path:
    """One folder of a song: a mixture and its stems."""
    for place, stem in enumerate((mixture, *stems)):
        write_wav(folder / f"{stem}.{ext}", seed=place)
    return folder
