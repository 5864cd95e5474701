"""Audio fingerprints: which recordings are in a track, and at what time, whatever gain, rate, coding or equalization it went through.

Landmarks in the manner of Wang, "An Industrial-Strength Audio Search Algorithm" (ISMIR 2003): peaks of the spectrogram that stand out from
their surroundings are joined into hashes, and two tracks hold the same recording where many hashes agree on one shift in time. A hash is
of three peaks, not two: stray agreements get rare enough for single stems (few peaks) to be told apart. What all peaks share (level,
a broad equalizer) is not in it. Pitch shifts and changes of tempo are not followed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import soxr
from scipy import fft, ndimage

from mixdata.kernels import kernel
from mixdata.song import Track

VERSION = 1  # of the hashes: raise it when they change
RATE_HZ = 11_025
WINDOW, HOP = 1024, 256  # frames: 93 ms, 23 ms
GRIDS = (0, HOP // 2)  # where frames begin: of two tracks, cut anywhere, some grids are at most a quarter of HOP apart
PEAK_BINS, PEAK_FRAMES = 12, 6  # how far a peak is the highest, each way: 129 Hz, 139 ms
PROMINENCE_DB = 8.0  # over the mean of that surrounding
DEPTH_DB = 65.0  # under the track's highest peak
SILENCE_DBFS = -100.0  # under it lies what rounding to 16 bits makes of silence
LOWEST_BIN = 5
FAN = 3  # following peaks that a peak is joined with, two at a time
LONGEST_FRAMES, WIDEST_BINS = 31, 63  # of a hash: 0.7 s, 678 Hz
SHORTEST_SECONDS = 2.0
LONGEST_READ = 300  # seconds
PART = 4096  # frames of the spectrogram at a time
CANCELLED = 1e-4  # of the channels' power: what is left of a mean whose channels cancel

MATCHED = 12  # hash times that must agree
CELLS = 6  # half seconds that they must be spread over
PARTS, SPREAD, LONG_CELLS = 8, 4, 20  # … and so many of the parts of the shorter track; a fill that two songs use is in one or two of them
DISTINCT = 2.0
DENSE_MATCHED, DENSE_SCORE, DENSE_DISTINCT = 40, 0.15, 1.4  # of tracks that agree so much, less distinct will do
LOOP_MATCHED, LOOP_SCORE = 60, 0.5
SLACK = 1  # frames by which agreeing shifts may differ


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Hashes (uint32) and the frames (uint32) that they begin in, in the order of time. Silence and very short tracks have none."""

    hashes: np.ndarray
    frames: np.ndarray

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True)
class Match:
    """How well two tracks agree at the best shift: `offset_seconds` later in the second than in the first.

    `matched` counts the times at which they agree, `cells` the half seconds that have one; `score` is the share of the times of the sparser
    track (where both sound) that agree; `distinct` is how much better the shift is than the next best one; `spread` counts the eighths of
    the shorter track's times in which they agree.
    """

    score: float = 0.0
    offset_seconds: float = 0.0
    matched: int = 0
    cells: int = 0
    distinct: float = 0.0
    spread: int = 0

    @property
    def same(self) -> bool:
        """Whether the two hold the same recording.

        Loops agree at many shifts alike, bar after bar, also where two songs use one loop: so one shift must stand out.
        A few seconds from one shelf of samples, once in each song, agree nowhere else in them: so it must be all over, or for long.
        """
        dense = self.matched >= DENSE_MATCHED and self.score >= DENSE_SCORE
        wide = self.cells >= CELLS and (self.spread >= SPREAD or self.cells >= LONG_CELLS)
        return self.matched >= MATCHED and wide and self.distinct >= (DENSE_DISTINCT if dense else DISTINCT)

    @property
    def loop(self) -> bool:
        """Whether the two sound the same for long, but so regularly that it may be a loop that two songs share."""
        return not self.same and self.matched >= LOOP_MATCHED and self.cells >= 2 * CELLS and self.score >= LOOP_SCORE


def fingerprint(audio: np.ndarray, sample_rate: int) -> Fingerprint:
    """Return the fingerprint of `(channels, frames)` audio."""
    step = LONGEST_READ * sample_rate
    return _of(lambda: (audio[:, at : at + step] for at in range(0, audio.shape[1], step)), sample_rate)


def fingerprint_track(track: Track) -> Fingerprint:
    """Return the fingerprint of a track, read in parts. Raises what reading it raises."""
    info = track.info()
    step = LONGEST_READ * info.sample_rate
    return _of(lambda: (track.read(at, min(step, info.frames - at))[0] for at in range(0, info.frames, step)), info.sample_rate)


def match(first: Fingerprint, second: Fingerprint) -> Match:
    """Compare two fingerprints: a histogram of the shifts between equal hashes."""
    if not (len(first) and len(second)):
        return Match()
    order = np.argsort(second.hashes, kind="stable")
    in_order = second.hashes[order]
    low, high = (np.searchsorted(in_order, first.hashes, side) for side in ("left", "right"))
    counts = high - low
    total = int(counts.sum())
    if not total:
        return Match()
    one = np.repeat(np.arange(len(first)), counts)
    other = order[np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)]
    shifts = second.frames[other].astype(np.int64) - first.frames[one].astype(np.int64)
    lowest = int(shifts.min())
    histogram = np.convolve(np.bincount(shifts - lowest), np.ones(2 * SLACK + 1, np.int64), "same")
    best = int(histogram.argmax())
    agree = np.abs(shifts - lowest - best) <= SLACK
    times = np.unique(first.frames[one[agree]]).astype(np.int64)
    shift = best + lowest
    mine, theirs = np.unique(first.frames).astype(np.int64), np.unique(second.frames).astype(np.int64) - shift
    begin, end = max(mine[0], theirs[0]), min(mine[-1], theirs[-1])
    sparser = min((side[(side >= begin) & (side <= end)] for side in (mine, theirs)), key=len)
    shorter = min(mine, theirs, key=lambda side: int(side[-1] - side[0]))
    return Match(
        score=min(1.0, len(times) / max(len(sparser), 1)),
        offset_seconds=shift * HOP / RATE_HZ,
        matched=len(times),
        cells=len(np.unique(times * 2 * HOP // RATE_HZ)),
        distinct=_distinct(histogram, best, (mine[0], mine[-1]), (theirs[0], theirs[-1])),
        spread=len(np.unique(np.searchsorted(shorter, times).clip(0, len(shorter) - 1) * PARTS // len(shorter))),
    )


def _distinct(histogram: np.ndarray, best: int, mine: tuple[int, int], theirs: tuple[int, int]) -> float:
    """Return how many more hashes per second of common time agree at the best shift than at any other with at least half as much of it."""
    more = np.arange(len(histogram)) - best
    common = np.minimum(mine[1], theirs[1] - more) - np.maximum(mine[0], theirs[0] - more) + 1
    rates = histogram / np.maximum(common, max(common[best] / 2, 1))
    found = rates[best]
    rates[max(0, best - 2 * SLACK) : best + 2 * SLACK + 1] = 0
    return float(found / max(rates.max(), 1 / max(common[best], 1)))


Blocks = Callable[[], Iterator[np.ndarray]]


def _of(blocks: Blocks, sample_rate: int) -> Fingerprint:
    mono = _mono(blocks, sample_rate)
    if len(mono) < SHORTEST_SECONDS * RATE_HZ:
        return Fingerprint(np.zeros(0, np.uint32), np.zeros(0, np.uint32))
    parts = [_joined(*_peaks(mono[late:])) for late in GRIDS]
    hashes, frames = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((hashes, frames))
    return Fingerprint(hashes[order], frames[order])


def _joined(frames: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    room = len(frames) * FAN * (FAN - 1) // 2
    hashes, times = np.empty(room, np.uint32), np.empty(room, np.uint32)
    count = _join(frames, bins, hashes, times)
    return hashes[:count], times[:count]


def _mono(blocks: Blocks, sample_rate: int) -> np.ndarray:
    """Return the mean of the channels at RATE_HZ; where the channels cancel in it, the first channel."""
    for pick in (lambda block: block.mean(axis=0), lambda block: block[0]):
        resampler = soxr.ResampleStream(sample_rate, RATE_HZ, 1, dtype="float32", quality="HQ")
        parts, power, left = [], 0.0, 0.0
        for block in blocks():
            mono = np.ascontiguousarray(pick(block), np.float32)
            power += float(np.square(block, dtype=np.float64).sum()) / len(block)
            left += float(np.square(mono, dtype=np.float64).sum())
            parts.append(resampler.resample_chunk(mono))
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        if left >= CANCELLED * power:
            break
    return np.concatenate(parts)


def _peaks(mono: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frames and bins of the peaks, by frame, then bin."""
    window = np.hanning(WINDOW).astype(np.float32) / (WINDOW / 4)  # a sine of full scale reads 1
    views = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::HOP]
    size = (2 * PEAK_FRAMES + 1, 2 * PEAK_BINS + 1)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for start in range(0, len(views), PART):
        low, high = max(0, start - PEAK_FRAMES), min(len(views), start + PART + PEAK_FRAMES)
        power = np.abs(fft.rfft(views[low:high] * window, axis=1)[:, : WINDOW // 2]).astype(np.float64) ** 2
        level_db = 10 * np.log10(np.maximum(power, 1e-20))
        stands = level_db - ndimage.uniform_filter(level_db, size, mode="nearest") > PROMINENCE_DB
        peak = stands & (level_db == ndimage.maximum_filter(level_db, size, mode="nearest"))
        peak[:, :LOWEST_BIN] = False
        peak[: start - low] = peak[start - low + PART :] = False
        frame, bin = np.nonzero(peak)
        found.append((frame + low, bin, level_db[frame, bin]))
    frames, bins, levels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    top = levels.max(initial=-np.inf)
    keep = levels > max(top - DEPTH_DB, SILENCE_DBFS)
    return frames[keep], bins[keep]


@kernel
def _join(frames: np.ndarray, bins: np.ndarray, hashes: np.ndarray, times: np.ndarray) -> int:
    """Write the hashes of a peak and two of the FAN that follow it within reach; return how many there are.

    32 bits: half the first peak's bin (8), the two steps in bins (7 each), the two steps in frames (5 each).
    """
    count = 0
    near = np.zeros(FAN, np.int64)
    for first in range(len(frames)):
        have = 0
        for later in range(first + 1, len(frames)):
            step = frames[later] - frames[first]
            if step > LONGEST_FRAMES or have == FAN:
                break
            if step >= 1 and abs(bins[later] - bins[first]) <= WIDEST_BINS:
                near[have] = later
                have += 1
        for a in range(have):
            for b in range(a + 1, have):
                one, two = near[a], near[b]
                code = (bins[first] >> 1) << 24
                code |= (bins[one] - bins[first] + WIDEST_BINS) << 17 | (bins[two] - bins[first] + WIDEST_BINS) << 10
                code |= (frames[one] - frames[first]) << 5 | (frames[two] - frames[first])
                hashes[count] = code
                times[count] = frames[first]
                count += 1
    return count
