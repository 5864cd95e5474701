"""Limiter."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, amplitude, effect, parameter
from mixdata.effects.dynamics import pole
from mixdata.kernels import kernel

LINKS = ("max", "none")
BLOCK = 1024


@effect
@dataclass(frozen=True)
class Limiter(Effect):
    """Look-ahead limiter: after `gain_db` of drive, no sample exceeds `ceiling_db`.

    The gain that each sample needs, min(1, ceiling / |x|); its minimum over the coming `lookahead_ms`; a recovery of one pole
    (`release_ms` to 63.2 %) that never rises above that minimum; and the mean over as long a window, so that the gain comes down in time
    along a straight line. Every value in the mean is low enough for the sample, hence the mean is (the design of G. Luff, "Designing a
    Straightforward Limiter", Signalsmith Audio, 2022). Rounding is cut off at the ceiling. Peaks between samples are not looked
    at. `link`: one gain for all channels (`max`) or one for each (`none`).
    """

    lanes: ClassVar[bool] = True

    gain_db: float = parameter(0.0, low=-60, high=60, draw={"uniform": [0, 12]})
    ceiling_db: float = parameter(-1.0, low=-120, high=24, draw={"uniform": [-3, 0]})
    release_ms: float = parameter(100.0, low=0, high=10_000, draw={"loguniform": [20, 1000]})
    lookahead_ms: float = parameter(5.0, low=0, high=50)
    link: str = parameter("max", choices=LINKS)

    def reach_frames(self, sample_rate: int) -> int:
        return super().reach_frames(sample_rate) + round(self.lookahead_ms * sample_rate / 1000)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        ceiling = amplitude(self.ceiling_db)
        bound = audio.dtype.type(ceiling)
        if float(bound) > ceiling:
            bound = np.nextafter(bound, audio.dtype.type(0))
        out = np.empty_like(audio)
        shape = (-1, audio.shape[-2] if self.link == "max" else 1, audio.shape[-1])
        ahead = round(self.lookahead_ms * sample_rate / 1000)
        grid = 1.5 * 2.0 ** (ahead + 1).bit_length()  # adding and subtracting it rounds to multiples of its last bit
        fall = pole(self.release_ms, sample_rate)
        _limit(audio.reshape(shape), out.reshape(shape), amplitude(self.gain_db), float(bound), ahead, fall, grid)
        return out


@kernel
def _limit(audio: Audio, out: Audio, drive: float, ceiling: float, ahead: int, fall: float, grid: float) -> None:
    """Go through the detector's time, which is `ahead` of the audio.

    The gains are put on the finest grid on which the running sum of the mean is exact: no drift, however long the piece.
    """
    pieces, channels, frames = audio.shape
    window, block = ahead + 1, max(BLOCK, ahead)
    needed, least, spare = np.empty(ahead + block), np.empty(ahead + block), np.empty(ahead + block)
    steps, gain = np.empty(window + block), np.empty(block)
    for piece in range(pieces):
        needed[:] = 1.0
        steps[:] = 1.0
        state, total = 1.0, float(window)
        for start in range(0, frames + ahead, block):
            size = min(block, frames + ahead - start)
            heard = max(0, min(size, frames - start))
            fresh = needed[ahead:]
            fresh[:size] = 0.0
            for channel in range(channels):
                row = audio[piece, channel]
                for i in range(heard):
                    value = np.float64(abs(row[start + i])) * drive
                    fresh[i] = value if value > fresh[i] else fresh[i]
            for i in range(size):
                fresh[i] = ceiling / fresh[i] if fresh[i] > ceiling else 1.0

            _smallest(needed, least, spare, window, size)
            recent = steps[window:]
            for i in range(size):
                state = fall * state + (1 - fall) * least[i]
                state = state if state < least[i] else least[i]
                recent[i] = (state + grid) - grid
            for i in range(size):
                total += recent[i] - steps[i]
                gain[i] = total
            for i in range(size):
                gain[i] = gain[i] / window * drive

            skipped = max(0, min(size, ahead - start))
            for channel in range(channels):
                before, after = audio[piece, channel], out[piece, channel]
                for i in range(skipped, size):
                    loud = before[start - ahead + i] * gain[i]
                    loud = ceiling if loud > ceiling else loud  # what is no number stays none
                    after[start - ahead + i] = -ceiling if loud < -ceiling else loud
            needed[:ahead] = needed[size : size + ahead].copy()
            steps[:window] = steps[size : size + window].copy()


@kernel
def _smallest(values: Audio, least: Audio, spare: Audio, window: int, size: int) -> None:
    """Put the smallest of values[i : i + window] into least[i]: of twice as many values in each round, then of two rows that overlap."""
    count, span = size + window - 1, 1
    for i in range(count):
        least[i] = values[i]
    while 2 * span <= window:
        count -= span
        for i in range(count):
            spare[i] = min(least[i], least[i + span])
        for i in range(count):
            least[i] = spare[i]
        span *= 2
    for i in range(size):
        spare[i] = min(least[i], least[i + window - span])
    for i in range(size):
        least[i] = spare[i]
