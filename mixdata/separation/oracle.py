"""The oracle: a song's true stems with controlled, seeded faults. The stand-in for a separator in tests and studies."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from mixdata.errors import SongError
from mixdata.rng import stream
from mixdata.separation.base import (
    FOUR_STEMS,
    REST,
    Separator,
    SeparatorSettings,
    checked_audio,
    checked_stems,
    fingerprint_of,
    register,
    stem_like,
)
from mixdata.separation.stft import chunks, cut, istft, stft
from mixdata.song import Song

VERSION = 1
SIZE, HOP = 2048, 512
HOLE_TIMES, HOLE_BINS = 8, 16  # a hole is 93 ms by 345 Hz at 44.1 kHz
LOW_PASS_ORDER = 8


@register
class OracleSettings(SeparatorSettings):
    """True stems with faults: `bleed_db` of the rest of the mix, `masking` holes (0 … 1), low-pass at `band_limit_hz`.

    Stems of a song that are not in `stems` belong to `other` where that is listed; a listed stem that the song has not is silent.
    """

    separator: Literal["oracle"] = "oracle"
    main: ClassVar[str | None] = None
    stems: Annotated[list[str], Field(min_length=1, default_factory=lambda: [*FOUR_STEMS])]
    bleed_db: Annotated[float, Field(ge=-120, le=0)] | None = -25.0
    masking: Annotated[float, Field(ge=0, le=1)] = 0.25
    band_limit_hz: Annotated[float, Field(ge=20)] | None = 16000.0
    seed: int = 0

    @field_validator("stems")
    @classmethod
    def _stems(cls, stems: list[str]) -> list[str]:
        return checked_stems(stems)

    def load(self) -> "Oracle":
        return Oracle(self)


class Oracle(Separator):
    """Returns true stems plus faults; with all faults off exactly the true stems."""

    licence = None

    def __init__(self, settings: OracleSettings):
        self.settings = settings
        self.stems = tuple(settings.stems)
        self.fingerprint = fingerprint_of("oracle", VERSION, settings.model_dump())

    def __call__(
        self, audio: np.ndarray, sample_rate: int, *, song: Song | None = None, notes: list[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Raises `SongError` missing (no stems), length (a stem is over 50 ms off) or channels."""
        audio = checked_audio(audio, sample_rate)
        if song is None or not song.stems:
            title = "this audio" if song is None else song.title
            raise SongError("missing", f"{title}: the oracle needs the true stems; use a corpus with stems or another separator")
        true = {name: np.zeros_like(audio) for name in self.stems}
        whole = np.zeros_like(audio)
        for name, track in song.stems.items():
            stem, _ = stem_like(track, audio, sample_rate, f"{song.title}: stem {name!r}")
            whole += stem
            home = name if name in true else REST
            if home in true:
                true[home] += stem
        return {name: self._with_faults(name, stem, whole, sample_rate, song) for name, stem in true.items()}

    def _with_faults(self, name: str, stem: np.ndarray, whole: np.ndarray, sample_rate: int, song: Song) -> np.ndarray:
        settings = self.settings
        out = stem
        if settings.masking > 0:
            out = with_holes(out, whole, settings.masking, stream(settings.seed, song.sha256, name, "oracle", "masking"))
        if settings.bleed_db is not None:
            out = out + np.float32(10 ** (settings.bleed_db / 20)) * (whole - stem)
        if settings.band_limit_hz is not None and settings.band_limit_hz < sample_rate / 2:
            out = low_passed(out, settings.band_limit_hz, sample_rate)
        return out

    def song_fingerprint(self, song: Song | None) -> str:
        """Settings and the song's content: the output is made of its stems, not of the mixture alone."""
        return fingerprint_of(self.fingerprint, None if song is None else song.sha256)

    def describe(self) -> dict[str, Any]:
        return {
            "separator": "oracle",
            "kind": "true stems with controlled faults; not a separation",
            "version": VERSION,
            "settings": self.settings.model_dump(),
            "stems": list(self.stems),
            "licence": "none needed (no weights)",
        }


def with_holes(stem: np.ndarray, whole: np.ndarray, masking: float, random: np.random.Generator) -> np.ndarray:
    """Mute random patches of the time-frequency plane, as a mask-based separator does where it takes the stem for another.

    A patch is a place on a grid with a random threshold; in it those bins fall silent whose share of the mix
    (power of `stem` over power of stem and rest) is small against it: with `masking` 1 a bin that is not the stem's own is always lost.
    """
    frames = stem.shape[-1]
    out = np.empty_like(stem)
    grid = random.random((frames // (HOP * HOLE_TIMES) + 2, SIZE // 2 // HOLE_BINS + 1), dtype=np.float32)
    for start, stop, margin in chunks(frames, SIZE, HOP):
        ours = stft(cut(stem, start - margin, stop + margin), SIZE, HOP)
        rest = stft(cut(whole - stem, start - margin, stop + margin), SIZE, HOP)
        power, others = np.abs(ours) ** 2, np.abs(rest) ** 2
        foreign = others / np.maximum(power + others, np.finfo(np.float32).tiny)
        times = np.arange(ours.shape[-2]) + start // HOP
        threshold = grid[np.minimum(times // HOLE_TIMES, len(grid) - 1)][:, np.arange(SIZE // 2 + 1) // HOLE_BINS]
        kept = min(stop, frames) - start
        ours[threshold < masking * foreign] = 0
        out[:, start : start + kept] = istft(ours, SIZE, HOP)[:, margin : margin + kept]
    return out


def low_passed(audio: np.ndarray, cutoff_hz: float, sample_rate: int) -> np.ndarray:
    """Low-pass without delay: a Butterworth filter of order 8 run forwards and backwards (-6 dB at the cutoff, 96 dB per octave)."""
    from scipy import signal  # loads slowly; needed only here

    sections = signal.butter(LOW_PASS_ORDER, cutoff_hz, fs=sample_rate, output="sos")
    pad = min(3 * (2 * len(sections) + 1), audio.shape[-1] - 1)
    return signal.sosfiltfilt(sections, audio, axis=-1, padlen=pad).astype(np.float32)
