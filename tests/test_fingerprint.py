"""Fingerprints: the same recording is known again, whatever was done to it, and nothing else is."""

import io
from functools import cache
from itertools import combinations

import lameenc
import numpy as np
import pytest
import soundfile
from scipy import signal

import trees
from mixdata import audio
from mixdata.corpora import load_corpus
from mixdata.leaks import fingerprint as module
from mixdata.leaks import index
from mixdata.leaks.fingerprint import HOP, RATE_HZ, Fingerprint, Match, fingerprint, fingerprint_track, match
from mixdata.leaks.index import candidates
from mixdata.song import Track

RATE = 44100
SECONDS = 16


@cache
def song(number: int, stem: str = "mixture", sample_rate: int = RATE) -> np.ndarray:
    (found,) = load_corpus(f"synth:songs=1,first={number},seconds={SECONDS},sample_rate={sample_rate}")
    return dict(found.tracks())[stem].read()[0]


@cache
def printed(number: int, stem: str = "mixture") -> Fingerprint:
    return fingerprint(song(number, stem), RATE)


def lossy(samples: np.ndarray, kbps: int) -> np.ndarray:
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(kbps)
    encoder.set_in_sample_rate(RATE)
    encoder.set_channels(2)
    encoder.silence()
    data = encoder.encode(np.rint(0.5 * samples.T * 32767).astype(np.int16).tobytes()) + encoder.flush()
    decoded, rate = soundfile.read(io.BytesIO(bytes(data)), dtype="float32")  # LAME lowers the rate with the bit rate
    return audio.resample(decoded.T, rate, RATE)


def equalized(samples: np.ndarray, gain_db: float) -> np.ndarray:
    """Peaking filters at 150, 600, 2000 and 5000 Hz, up and down in turn, by the formula of the RBJ cookbook."""
    for place, centre_hz in enumerate((150, 600, 2000, 5000)):
        root, angle = 10 ** (gain_db * (-1) ** place / 40), 2 * np.pi * centre_hz / RATE
        alpha = np.sin(angle) / 1.8
        above = [1 + alpha * root, -2 * np.cos(angle), 1 - alpha * root]
        below = [1 + alpha / root, -2 * np.cos(angle), 1 - alpha / root]
        samples = signal.lfilter(above, below, samples)
    return samples.astype(np.float32)


CHANGES = {
    "gain up": lambda x: 10 * x,
    "gain down": lambda x: 0.1 * x,
    "16 bit": lambda x: np.rint(0.1 * x * 32768).astype(np.float32) / 32768,
    "MP3 at 128 kbit/s": lambda x: lossy(x, 128),
    "MP3 at 64 kbit/s": lambda x: lossy(x, 64),
    "equalizer": lambda x: equalized(x, 12),
    "the other equalizer": lambda x: equalized(x, -12),
    "0.3 s of silence before": lambda x: np.pad(x, ((0, 0), (round(0.3 * RATE), 0))),
    "half a hop cut off": lambda x: x[:, HOP // 2 * RATE // RATE_HZ :],
    "an excerpt of 5 s": lambda x: x[:, 4 * RATE : 9 * RATE],
    "mono": lambda x: x.mean(axis=0, keepdims=True),
    "polarity": lambda x: -x,
    "all at once": lambda x: lossy(equalized(0.1 * x[:, 5000:], 12), 64),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_recording_is_known_again_after(change):
    for number in (0, 3):
        found = match(printed(number), fingerprint(CHANGES[change](song(number)), RATE))
        assert found.same, found


def test_a_recording_is_known_again_at_another_rate():
    other = audio.resample(song(1), RATE, 48000)
    assert match(printed(1), fingerprint(other, 48000)).score > 0.9


@pytest.mark.parametrize("seconds", [0.3, 2.75, -4.0])
def test_the_offset_is_how_much_later_it_is_in_the_second(seconds):
    frames = round(abs(seconds) * RATE)
    moved = np.pad(song(2), ((0, 0), (frames, 0))) if seconds > 0 else song(2)[:, frames:]
    assert match(printed(2), fingerprint(moved, RATE)).offset_seconds == pytest.approx(seconds, abs=2 * HOP / RATE_HZ)


def test_a_track_agrees_wholly_with_itself():
    found = match(printed(0), printed(0))
    assert (found.score, found.offset_seconds, found.same) == (1.0, 0.0, True) and found.matched > 100


def test_eight_songs_and_their_stems_are_not_each_other():
    stems = [(number, stem) for number in range(8) for stem in ("mixture", "drums", "other", "vocals", "bass")]
    for one, other in combinations(stems, 2):
        if one[0] != other[0]:
            found = match(printed(*one), printed(*other))
            assert not found.same and not found.loop, (one, other, found)


def test_a_stem_is_found_in_the_mix_that_it_leads():
    assert match(printed(3, "drums"), fingerprint(song(3, "drums") + 0.3 * song(3, "vocals"), RATE)).same


def test_a_loop_in_two_songs_is_called_a_loop():
    bar = song(5, "drums")[:, : 2 * RATE]
    found = match(fingerprint(np.tile(bar, 12), RATE), fingerprint(np.tile(bar, 15), RATE))
    assert not found.same and found.loop and found.distinct < 1.3


@pytest.mark.parametrize(
    "silent",
    [np.zeros((2, 5 * RATE), np.float32), np.zeros((1, 0), np.float32), trees.noise(seconds=1.9), 1e-6 * trees.noise(seconds=5)],
    ids=["silence", "nothing", "under 2 s", "below -100 dBFS"],
)
def test_what_cannot_be_told_apart_has_no_fingerprint_and_matches_nothing(silent):
    found = fingerprint(silent, RATE)
    assert len(found) == 0 and not match(found, printed(0)).same and not match(found, found).same


def test_channels_that_cancel_are_still_heard():
    sides = song(0)[:1] * np.array([[1], [-1]], np.float32)
    assert match(fingerprint(sides, RATE), fingerprint(song(0)[:1], RATE)).score > 0.99


def test_parts_make_no_difference(tmp_path, monkeypatch):
    audio.write(tmp_path / "song.wav", song(0), RATE)
    whole = fingerprint_track(Track(tmp_path / "song.wav"))
    np.testing.assert_array_equal(whole.hashes, printed(0).hashes)
    monkeypatch.setattr(module, "LONGEST_READ", 3)
    monkeypatch.setattr(module, "PART", 100)
    parted = fingerprint_track(Track(tmp_path / "song.wav"))
    np.testing.assert_array_equal(parted.hashes, whole.hashes)
    np.testing.assert_array_equal(parted.frames, whole.frames)


def test_a_hash_is_half_a_bin_two_steps_in_bins_and_two_in_frames():
    frames, bins = np.array([0, 3, 10, 100]), np.array([100, 120, 60, 90])
    hashes, times = module._joined(frames, bins)
    assert hashes.tolist() == [(50 << 24) | ((20 + 63) << 17) | ((-40 + 63) << 10) | (3 << 5) | 10] and times.tolist() == [0]


def test_hashes_made_in_another_way_have_another_version():
    made_by = ("RATE_HZ", "WINDOW", "HOP", "GRIDS", "PEAK_BINS", "PEAK_FRAMES", "PROMINENCE_DB", "DEPTH_DB", "SILENCE_DBFS", "LOWEST_BIN")
    numbers = tuple(getattr(module, name) for name in (*made_by, "FAN", "LONGEST_FRAMES", "WIDEST_BINS", "SHORTEST_SECONDS", "CANCELLED"))
    assert numbers == (11025, 1024, 256, (0, 128), 12, 6, 8.0, 65.0, -100.0, 5, 3, 31, 63, 2.0, 1e-4) and module.VERSION == 1


def test_peaks_of_one_frame_are_not_joined_and_each_field_has_room():
    frames, bins = np.array([0, 0, 31, 31, 62]), np.array([63, 70, 126, 0, 63])
    hashes, times = module._joined(frames, bins)
    first, second = (31 << 24) | (126 << 17) | (0 << 10) | (31 << 5) | 31, (35 << 24) | (119 << 17) | (0 << 10)
    assert hashes.tolist() == [first] and times.tolist() == [0], second


VERDICTS = [
    (Match(matched=12, cells=6, distinct=2.0, spread=4), "same"),
    (Match(matched=11, cells=6, distinct=2.0, spread=4), ""),
    (Match(matched=12, cells=5, distinct=2.0, spread=4), ""),
    (Match(matched=12, cells=6, distinct=1.9, spread=4), ""),
    (Match(matched=39, cells=19, distinct=2.0, spread=3), ""),
    (Match(matched=39, cells=20, distinct=2.0, spread=1), "same"),
    (Match(matched=40, cells=6, distinct=1.4, spread=4, score=0.15), "same"),
    (Match(matched=40, cells=6, distinct=1.3, spread=4, score=0.15), ""),
    (Match(matched=39, cells=6, distinct=1.4, spread=4, score=0.15), ""),
    (Match(matched=40, cells=6, distinct=1.4, spread=4, score=0.14), ""),
    (Match(matched=60, cells=12, distinct=1.0, spread=8, score=0.5), "loop"),
    (Match(matched=59, cells=12, distinct=1.0, spread=8, score=0.5), ""),
    (Match(matched=60, cells=11, distinct=1.0, spread=8, score=0.5), ""),
    (Match(matched=60, cells=12, distinct=1.0, spread=8, score=0.49), ""),
]


@pytest.mark.parametrize(("found", "verdict"), VERDICTS)
def test_the_verdict_is_by_these_numbers(found, verdict):  # docs/leaks.md
    assert "same" * found.same + "loop" * found.loop == verdict


def test_times_are_counted_once_and_the_share_is_of_the_sparser_track():
    def made(hashes, frames):
        return Fingerprint(np.array(hashes, np.uint32), np.array(frames, np.uint32))

    found = match(made([1, 2, 3, 4, 5], [10, 10, 10, 50, 90]), made([1, 2, 3, 4, 6, 7, 8, 9], [30, 30, 30, 70, 75, 80, 90, 110]))
    assert (found.matched, found.cells, found.score) == (2, 2, 2 / 3) and found.offset_seconds == pytest.approx(20 * HOP / RATE_HZ)


@pytest.mark.parametrize(("begin", "seconds", "same"), [(1000, 4, False), (0, 8, False), (4800, 4, False), (1000, 30, True)])
def test_a_fill_that_two_songs_use_once_does_not_make_them_one_recording(begin, seconds, same):
    one, other = random_prints(2, 4000)
    fill = (one.frames >= begin) & (one.frames < begin + seconds * RATE_HZ // HOP)
    frames = np.concatenate([other.frames, 3000 + one.frames[fill] - one.frames[fill][0]]).astype(np.uint32)
    order = np.argsort(frames, kind="stable")
    found = match(one, Fingerprint(np.concatenate([other.hashes, one.hashes[fill]])[order], frames[order]))
    assert found.matched >= 12 and found.cells >= 6 and found.distinct >= 2
    assert found.same == same and not found.loop, found


def test_a_short_excerpt_of_a_long_track_is_the_same():
    (whole,) = random_prints(1, 4000)
    inside = (whole.frames >= 1000) & (whole.frames < 1300)
    excerpt = Fingerprint(whole.hashes[inside], whole.frames[inside] - np.uint32(1000))
    for found in (match(whole, excerpt), match(excerpt, whole)):
        assert found.same and found.spread == 8 and found.cells < 20


def random_prints(count: int, length: int, seed: int = 0) -> list[Fingerprint]:
    rng = np.random.default_rng(seed)
    return [
        Fingerprint(rng.integers(0, 2**32, length, np.uint32), np.sort(rng.integers(0, 5000, length).astype(np.uint32)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("most", [10**9, 60_000])
def test_the_index_finds_just_the_pairs_that_share_hashes_at_one_shift(most):
    prints = random_prints(60, 3000)
    for one, other, later in ((3, 40, 0), (7, 41, 55), (8, 42, None)):
        hashes, frames = (np.copy(column) for column in (prints[other].hashes, prints[other].frames))
        hashes[:400] = prints[one].hashes[:400]
        if later is not None:
            frames[:400] = prints[one].frames[:400] + later + np.arange(400) % 3
        prints[other] = Fingerprint(hashes[np.argsort(frames, kind="stable")], np.sort(frames))
    prints[42].frames[:] = np.sort(np.random.default_rng(1).integers(0, 5_000_000, 3000))  # the same hashes, whenever
    kinds = [0] * 30 + [1] * 30
    assert candidates(prints, kinds, most) == [(3, 40), (7, 41)]
    assert candidates(prints, [0] * 60, most) == []


@pytest.mark.parametrize("most", [50_000_000, 100, 1])
def test_votes_are_counted_in_rounds_without_a_difference(most, monkeypatch):
    monkeypatch.setattr(index, "MOST_VOTES", most)
    prints = random_prints(20, 300)
    for one, other in ((0, 15), (4, 5), (9, 10)):
        prints[other] = prints[one]
    assert candidates(prints, [0, 1] * 10) == [(0, 15), (4, 5), (9, 10)]


def test_six_votes_for_a_shift_are_enough_and_five_are_not():
    hashes = np.arange(40, dtype=np.uint32)
    prints = [Fingerprint(hashes + np.uint32(1000 * n), hashes * np.uint32(9)) for n in range(3)]
    for other, count in ((1, 5), (2, 6)):
        prints[other].hashes[:count] = prints[0].hashes[:count]
    assert candidates(prints, [0, 1, 2]) == [(0, 2)]


def test_hashes_that_many_tracks_of_one_kind_have_still_count():
    prints = random_prints(60, 300)
    for number in range(60):
        prints[number].hashes[:100] = prints[0].hashes[:100]
    prints[59] = prints[0]
    assert (0, 59) in candidates(prints, [0] * 59 + [1])


def test_a_loop_s_hash_is_looked_at_a_few_times_only():
    loop = Fingerprint(np.tile(np.arange(50, dtype=np.uint32), 1000), np.repeat(np.arange(1000, dtype=np.uint32) * 80, 50))
    assert len(index._sampled(loop, 1)[0]) == 50 * index.REPEATS
    assert candidates([loop, loop, loop], [0, 1, 2]) == [(0, 1), (0, 2), (1, 2)]


def test_the_index_of_nothing_is_empty():
    assert candidates([], []) == [] and candidates([Fingerprint(np.zeros(0, np.uint32), np.zeros(0, np.uint32))], [0]) == []


def test_a_hash_that_all_tracks_have_does_not_make_all_pairs():
    prints = [Fingerprint(np.arange(20, dtype=np.uint32), np.arange(20, dtype=np.uint32)) for _ in range(500)]
    assert len(candidates(prints, list(range(500)))) <= 500 * 64


def test_real_songs_are_told_apart_and_their_stems_are_found():
    folder = trees.shared("multitrack_cc0")
    prints = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        for file in (place / "mixture.flac", *sorted((place / "grouped").glob("*.flac"))):
            prints[place.name, file.stem] = fingerprint_track(Track(file))
    for one, other in combinations(prints, 2):
        if one[0] != other[0]:
            found = match(prints[one], prints[other])
            assert not found.same and not found.loop, (one, other, found)
    dominated = [(name, "drums") for name in ("Lithium", "Potassium", "Sodium")] + [("Lithium", "vocals"), ("Potassium", "vocals")]
    for name, stem in dominated:
        name = f"Software-Entwicklungskit - {name}"
        assert match(prints[name, stem], prints[name, "mixture"]).same, (name, stem)
