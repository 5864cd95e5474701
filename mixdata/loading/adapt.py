"""From how a dataset is stored to what a model wants: other channels, another sample rate."""

from dataclasses import dataclass
from math import ceil, gcd

import numpy as np

from mixdata.errors import UsageError
from mixdata.loading.crops import Blocks, Crop, stretched
from mixdata.shards.reader import Dataset

LOWEST_RATE, HIGHEST_RATE = 8_000, 384_000
REACH = 128  # frames, at the lower of two rates, beyond which soxr's HQ filter is below 1e-5


@dataclass(frozen=True)
class Stretch:
    """Which frames of a song an item takes at the new rate, `[start, start + frames)`, and the stored crop that they are made of."""

    start: int
    frames: int
    stored: Crop


@dataclass(frozen=True)
class Adapt:
    """Turns stored audio into `to_channels` at `to_rate`. Frame m of a song at the new rate is the instant m / to_rate.

    One channel is the mean of all; one becomes two by copying it.
    """

    from_rate: int
    to_rate: int
    from_channels: int
    to_channels: int

    @property
    def resamples(self) -> bool:
        return self.from_rate != self.to_rate

    @property
    def changes_nothing(self) -> bool:
        return not self.resamples and self.from_channels == self.to_channels

    def at(self, frame: int) -> int:
        """Return the new rate's frame nearest to a stored one, the later of two. So blocks that join still join."""
        return (2 * frame * self.to_rate + self.from_rate) // (2 * self.from_rate)

    def least(self, frames: int) -> int:
        """Return how many stored frames hold this many at the new rate."""
        return -(-frames * self.from_rate // self.to_rate)

    def stretch(self, blocks: Blocks, crop: Crop, frames: int | None) -> Stretch:
        """Return `frames` at the new rate (None: what the crop holds) from the place of a crop with the `least` that hold them.

        What is stored around them is read too, as far as the run reaches and the filter does.
        """
        whole = stretched(blocks, crop, 0, 2**62)
        first, last = self.at(whole.start), self.at(whole.start + whole.frames)
        start = self.at(crop.start)
        count = self.at(crop.start + crop.frames) - start if frames is None else min(frames, last - first)
        reach = ceil(REACH * max(1, self.from_rate / self.to_rate)) if self.resamples else 0
        low, high = start * self.from_rate // self.to_rate - reach, self.least(start + count) + reach
        return Stretch(start, count, stretched(blocks, crop, low, high))

    def __call__(self, audio: np.ndarray, stretch: Stretch | None, out: np.ndarray) -> None:
        """Write stored audio `(stems, channels, frames)` into `out` `(stems, to_channels, frames)`; what lies behind a stretch is zero."""
        if self.to_channels < audio.shape[1]:
            audio = audio.mean(axis=1, keepdims=True)
        if stretch is None:
            out[:] = audio
            return
        for stored, made in zip(audio, out, strict=True):
            made[:, : stretch.frames] = self._resampled(stored, stretch)
            made[:, stretch.frames :] = 0

    def _resampled(self, audio: np.ndarray, stretch: Stretch) -> np.ndarray:
        import soxr

        # The resampler's first output frame is its first input frame, so the input begins where both rates have a frame.
        common = gcd(self.from_rate, self.to_rate)
        every, gives = self.from_rate // common, self.to_rate // common
        before = stretch.stored.start % every
        skipped = stretch.start - (stretch.stored.start - before) // every * gives
        padded = np.zeros((max(before + audio.shape[-1], self.least(skipped + stretch.frames) + 1), len(audio)), np.float32)
        padded[before : before + audio.shape[-1]] = audio.T
        return soxr.resample(padded, self.from_rate, self.to_rate, quality="HQ").T[:, skipped : skipped + stretch.frames]


def adapting(dataset: Dataset, sample_rate: int | None, channels: int | None) -> Adapt:
    """Return what turns the dataset's audio into this; None leaves it as it is stored."""
    rate, stored = dataset.sample_rate if sample_rate is None else sample_rate, dataset.channels
    if not (isinstance(rate, int) and (rate == dataset.sample_rate or LOWEST_RATE <= rate <= HIGHEST_RATE)):
        raise UsageError(f"sample_rate must be a whole number of {LOWEST_RATE} to {HIGHEST_RATE} Hz, got {sample_rate}")
    wanted = stored if channels is None else channels
    if channels is not None and (isinstance(channels, bool) or channels not in (1, 2)):
        raise UsageError(f"channels must be 1 or 2, got {channels}")
    if wanted not in (1, stored) and stored != 1:
        raise UsageError(f"channels: {stored} stored channels cannot become {wanted}; 1 takes their mean")
    return Adapt(dataset.sample_rate, rate, stored, wanted)
