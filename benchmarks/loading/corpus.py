"""The songs that every contender reads, and where its crops lie.

The music is that of the `synth` corpus with a noise floor of about -45 dBFS laid under every stem: without it the synthetic stems are far
easier to compress than records are (FLAC a quarter of PCM, half of the vocals digital silence), and whoever skips silence would win by it.
With it FLAC comes to about 0.6 of PCM. Stems are 16 bit, so all contenders can give the same samples: `int16 / 32768` in float32.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile

from mixdata.corpora import load_corpus
from mixdata.rng import stream

VERSION = 1
STEMS = ("vocals", "drums", "bass", "other")
EIGHT = (*STEMS, "guitar", "piano", "keys", "strings")
NOISE = 10 ** (-45 / 20)


@dataclass(frozen=True)
class Size:
    """How much material: songs of `shortest` to `longest` seconds; `stems` of them stored, of which the first four are read."""

    name: str
    songs: int
    shortest: float
    longest: float
    rate: int = 44_100
    stems: tuple[str, ...] = STEMS
    crops: int = 96


FULL = Size("songs", 12, 60, 120)
EIGHT_STEMS = Size("eight-stems", 1, 180, 180, stems=EIGHT, crops=48)
QUICK = Size("quick", 4, 20, 40, crops=32)
QUICK_EIGHT = Size("quick-eight-stems", 1, 30, 30, stems=EIGHT, crops=16)
TINY = Size("tiny", 2, 3, 4, rate=8000, crops=8)


@dataclass(frozen=True)
class Crop:
    """Frames `[start, start + frames)` of a song."""

    song: str
    start: int
    frames: int


@dataclass(frozen=True)
class Crops:
    """The crops of one length that every contender reads, and a name that changes with them."""

    seconds: float
    crops: tuple[Crop, ...]

    @cached_property
    def name(self) -> str:
        text = json.dumps([(crop.song, crop.start, crop.frames) for crop in self.crops])
        return f"{self.seconds:g}s-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True)
class Corpus:
    """The folder with `wav/<song>/<stem>.wav` and `planar/<song>.npy` (int16, stems x channels rows)."""

    folder: Path
    size: Size
    songs: tuple[str, ...]

    @property
    def stems(self) -> tuple[str, ...]:
        """The four stems that are read."""
        return self.size.stems[:4]

    @cached_property
    def planar(self) -> dict[str, np.ndarray]:
        """Each song as int16 (all stems, channels, frames), memory-mapped."""
        whole = {song: np.load(self.folder / "planar" / f"{song}.npy", mmap_mode="r") for song in self.songs}
        return {song: rows.reshape(len(self.size.stems), 2, -1) for song, rows in whole.items()}

    def integers(self, crop: Crop) -> np.ndarray:
        """Return the crop of the four stems as int16 (4, 2, frames)."""
        return self.planar[crop.song][:4, :, crop.start : crop.start + crop.frames]

    def reference(self, crop: Crop) -> np.ndarray:
        """Return what every contender must give: float32 (4, 2, frames)."""
        return self.integers(crop).astype(np.float32) / np.float32(32768)

    @property
    def pcm_bytes(self) -> int:
        return sum(rows.size * 2 for rows in self.planar.values())

    def song_of(self, key: str) -> str:
        """Return the song whose example has this key (`<song>-<8 hex>_<block>`)."""
        return key.rpartition("_")[0].rpartition("-")[0]


def make_corpus(folder: Path, size: Size) -> Corpus:
    """Write the songs, or find them written."""
    home = folder / f"{size.name}-{VERSION}"
    songs = tuple(f"song-{number:02d}" for number in range(size.songs))

    def write(place: Path) -> None:
        lengths = stream(VERSION, "lengths").uniform(size.shortest, size.longest, size.songs)
        for number, (song, seconds) in enumerate(zip(songs, lengths, strict=True)):
            _write_song(place, song, _render(size, number, float(seconds)), size)

    return Corpus(once(home, write), size, songs)


def once(place: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill the folder `place`, unless that was done before; nothing half-written stays under its name."""
    if not place.exists():
        unfinished = place.with_name(place.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write(unfinished)
        unfinished.rename(place)
    return place


def size_of(place: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _render(size: Size, number: int, seconds: float) -> np.ndarray:
    """Return a song as int16 (stems, 2, frames)."""
    made: list[np.ndarray] = []
    for part in range(-(-len(size.stems) // 4)):
        spec = f"synth:songs=1,first={10 * number + part},seconds={seconds:.3f},sample_rate={size.rate}"
        (song,) = load_corpus(spec)
        made += [song.stems[stem].read()[0] for stem in STEMS]
    stems = np.stack(made)
    noise = stream(VERSION, "noise", number).standard_normal(stems.shape, dtype=np.float32)
    return np.rint(np.clip(stems + np.float32(NOISE) * noise, -0.99, 0.99) * 32767).astype(np.int16)


def _write_song(place: Path, song: str, stems: np.ndarray, size: Size) -> None:
    (place / "planar").mkdir(exist_ok=True)
    np.save(place / "planar" / f"{song}.npy", stems.reshape(-1, stems.shape[-1]))
    (place / "wav" / song).mkdir(parents=True)
    for stem, audio in zip(size.stems, stems, strict=True):
        soundfile.write(place / "wav" / song / f"{stem}.wav", audio.T, size.rate, subtype="PCM_16")
