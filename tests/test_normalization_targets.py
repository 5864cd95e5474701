"""Targets: what is fitted, the file that carries them, and what is refused as such a file."""

import hashlib
import io
import json
import math
import os
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from mixdata.audio import resample
from mixdata.corpora import load_corpus
from mixdata.errors import SongError, UsageError
from mixdata.measures.bands import CENTRES_HZ
from mixdata.normalization.features import Features, loudness_weights, measure, shape_db, spectral_distance_db
from mixdata.normalization.fit import fit_targets
from mixdata.normalization.normalize import normalize_stem
from mixdata.normalization.settings import Settings
from mixdata.normalization.targets import StemTarget, Targets, from_bytes, load_targets, mean_targets, published_targets, target_names
from mixdata.resources import resource
from mixdata.rng import stream
from trees import SHARED

RATE = 44_100
BANDS = len(CENTRES_HZ)


def features(level: float = 0.0, similarity: float = 0.9, loudness: float = -20.0, peak: float = 15.0) -> Features:
    tilt = np.linspace(level, -level, BANDS)
    return Features(loudness, shape_db(10 ** (tilt / 20)), np.full(BANDS, similarity), peak)


def noise(seed: int, gain: float = 0.1) -> np.ndarray:
    return (gain * stream(seed, "targets").standard_normal((2, 3 * RATE))).astype(np.float32)


def fitted() -> Targets:
    songs = [{"vocals": features(3.0, loudness=-20.0, peak=14.0)}, {"vocals": features(-3.0, 0.7, -24.0, 18.0), "other": features()}]
    return mean_targets(songs, {"name": "two", "source": "made up", "licence": "CC0-1.0", "note": ""})


def test_targets_are_means_over_songs_with_their_spread():
    target = fitted().stems["vocals"]
    assert target.songs == 2
    assert target.loudness_lufs == pytest.approx(-22) and target.loudness_spread_lu == pytest.approx(math.sqrt(8))
    assert target.onset_peak_lu == pytest.approx(16) and target.onset_peak_spread_lu == pytest.approx(math.sqrt(8))
    assert np.allclose(target.similarity, 0.8) and np.allclose(target.similarity_spread, 0.2 / math.sqrt(2))
    assert np.ptp(target.spectrum_db) < 0.5  # the tilts of +3 and -3 dB cancel
    alone = fitted().stems["other"]
    assert alone.songs == 1 and math.isnan(alone.loudness_spread_lu) and np.isnan(alone.spectrum_spread_db).all()


def test_a_spectral_shape_has_one_loudness_whatever_the_level():
    curve = 10 ** (stream(1, "curve").uniform(-20, 20, BANDS) / 20)
    shape = shape_db(curve)
    assert np.allclose(shape, shape_db(7.3 * curve))
    assert 10 * np.log10(np.sum(loudness_weights() * 10 ** (shape / 10))) == pytest.approx(0, abs=1e-9)


def test_spectral_distance_is_the_rms_of_the_difference_without_its_mean():
    flat = np.zeros(BANDS)
    assert spectral_distance_db(flat + 5, flat) == pytest.approx(0)
    inside = (CENTRES_HZ >= 50) & (CENTRES_HZ <= 16_000)
    step = np.where(np.arange(BANDS) % 2 == 0, 2.0, -2.0)
    expected = np.std(step[inside])
    assert spectral_distance_db(step, flat) == pytest.approx(expected)
    assert math.isnan(spectral_distance_db(np.full(BANDS, np.nan), flat))
    # what lies more than 50 dB under the loudest band counts as lying there
    quiet, quieter = flat.copy(), flat.copy()
    quiet[30], quieter[30] = -60, -90
    assert spectral_distance_db(quieter, quiet) == pytest.approx(0)


def test_fitting_reads_songs_with_stems_and_leaves_silence_and_other_splits_out():
    silent = {"drums": noise(1), "vocals": np.zeros((2, RATE), np.float32)}
    targets = fit_targets([silent, {"drums": noise(2), "vocals": noise(3, 0.01)}], RATE)
    assert targets.stems["drums"].songs == 2 and targets.stems["vocals"].songs == 1
    assert targets.stems["vocals"].loudness_lufs == pytest.approx(measure(noise(3, 0.01), RATE).loudness_lufs)
    songs = list(load_corpus("synth:songs=3,seconds=4"))
    everything = fit_targets(songs, RATE)
    assert set(everything.stems) == {"vocals", "drums", "bass", "other"}
    training = [song for song in songs if song.split in (None, "train")]
    assert everything.stems["drums"].songs <= len(training)
    with pytest.raises(UsageError, match="nothing to fit"):
        fit_targets([{"drums": np.zeros((2, RATE), np.float32)}], RATE)


def test_a_song_without_stems_cannot_be_fitted_to(tmp_path):
    from trees import write_wav

    write_wav(tmp_path / "mix.wav", seconds=2)
    with pytest.raises(SongError, match="mixture only"):
        fit_targets(load_corpus(f"folder:{tmp_path}"), RATE)


def test_the_file_returns_the_same_targets_and_the_same_bytes(tmp_path):
    targets = fitted()
    assert targets.to_bytes() == fitted().to_bytes()
    targets.save(tmp_path / "t.npz")
    again = load_targets(tmp_path / "t.npz")
    assert again.to_bytes() == targets.to_bytes() and again.sha256 == targets.sha256
    assert again.about == targets.about
    for name, target in targets.stems.items():
        assert np.array_equal(again.stems[name].spectrum_db, target.spectrum_db)
        assert again.stems[name].songs == target.songs
    with np.load(tmp_path / "t.npz", allow_pickle=False) as plain:  # NumPy reads it as it is
        assert np.array_equal(plain["vocals.similarity"], targets.stems["vocals"].similarity)


def test_a_stem_without_a_target_of_its_own_has_that_of_other():
    targets = fitted()
    assert targets.of("vocals")[0] == "vocals" and targets.of("guitar")[0] == "other"
    assert Targets({"vocals": targets.stems["vocals"]}, {}).of("guitar") is None


def rewritten(changes: dict[str, object]) -> bytes:
    """The file of `fitted` with other members."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(fitted().to_bytes())) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if name.removesuffix(".npy") not in changes:
                new.writestr(name, old.read(name))
        for name, value in changes.items():
            if value is not None:
                member = io.BytesIO()
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=True)
                new.writestr(f"{name}.npy", member.getvalue())
    return out.getvalue()


def about(**values: object) -> np.ndarray:
    return np.frombuffer(json.dumps({"format": "mixdata targets", "version": 1} | values).encode(), np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 nothing more",
        b"\x93NUMPY\x01\x00 no archive",
        rewritten({"about": None}),
        rewritten({"about": about(version=2)}),
        rewritten({"about": np.frombuffer(b"[1, 2", np.uint8)}),
        rewritten({"about": np.frombuffer(b"[1, 2]", np.uint8)}),
        rewritten({"hz": np.arange(10.0)}),
        rewritten({"hz": CENTRES_HZ * 1.1}),
        rewritten({"vocals.spectrum_db": np.zeros(3)}),
        rewritten({"vocals.spectrum_db": np.full(BANDS, np.nan)}),
        rewritten({"vocals.similarity": np.full(BANDS, 1.5)}),
        rewritten({"vocals.spectrum_db": np.full(BANDS, 1e9)}),
        rewritten({"vocals.values": None}),
        rewritten({"vocals.values": np.full(5, np.nan)}),
        rewritten({"vocals.values": np.full(5, np.inf)}),
        rewritten({"vocals.values": np.array([{"pickled": 1}] * 5, object)}),
        rewritten({"vocals.spectrum_db": np.array(["x"] * BANDS)}),
        rewritten({"zeros": np.zeros(10**7)}),
        rewritten({"hz": np.array(["x"] * BANDS)}),
        rewritten({"hz": CENTRES_HZ[None]}),
        rewritten({"vocals.spectrum_db": np.where(np.arange(BANDS) == 3, np.inf, 0.0)}),
        rewritten({"vocals.similarity": np.where(np.arange(BANDS) == 3, -0.1, 0.5)}),
        rewritten({"vocals.similarity_spread": np.full(BANDS, -1.0)}),
        rewritten({"vocals.spectrum_spread_db": np.full(BANDS, 1e6)}),
        rewritten({"vocals.values": np.array([-20.0, -1.0, 15.0, 1.0, 2.0])}),
        rewritten({"vocals.values": np.array([-20.0, 1.0, 15.0, -1.0, 2.0])}),
        rewritten({"vocals.values": np.array([-20.0, 1.0, 1e300, 1.0, 2.0])}),
        rewritten({"vocals.values": np.array([-20.0, 1.0, 15.0, 1.0, -1.0])}),
        rewritten({"vocals.values": np.array([-100.0, 1.0, 15.0, 1.0, 2.0])}),
        rewritten({f"\x1b[2J{name}": np.zeros(BANDS) for name in ("a.spectrum_db", "a.values")}),
        rewritten({f"s{number}.values": np.zeros(5) for number in range(64)}),
    ],
)
def test_what_is_no_file_of_targets_is_refused_by_name(tmp_path, data):
    (tmp_path / "t.npz").write_bytes(data)
    with pytest.raises(UsageError, match=r"t\.npz: not a file of targets"):
        load_targets(tmp_path / "t.npz")


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(fitted().to_bytes())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_nothing_is_unpacked_whatever_its_size_is_said_to_be(tmp_path, compression):
    """A bomb whose headers say 100 bytes: what it unpacks to shows only when it has been unpacked."""
    bomb = zipped({"hz.npy": b"\0" * 100_000_000}, compression)
    said = bomb.replace((100_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert said != bomb and len(said) < 2**20
    (tmp_path / "t.npz").write_bytes(said)
    tracemalloc.start()
    with pytest.raises(UsageError, match="compressed"):
        load_targets(tmp_path / "t.npz")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -29), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (57,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (58,), ",  # no end
        b"{'descr': '<08', 'fortran_order': False, 'shape': (58,), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (58,), }",
        b"{'descr': '|V8', 'fortran_order': False, 'shape': (58,), }",
        b"{'descr': '<c16', 'fortran_order': False, 'shape': (29,), }",
        b"(" * 100,
    ],
)
def test_headers_of_arrays_are_not_believed(tmp_path, wrong):
    found = members()
    good = found["vocals.spectrum_db.npy"]
    found["vocals.spectrum_db.npy"] = good[:10] + wrong.ljust(good[8] + 256 * good[9] - 1) + b"\n" + good[-8 * BANDS :]
    (tmp_path / "t.npz").write_bytes(zipped(found))
    with pytest.raises(UsageError, match=r"t\.npz: not a file of targets"):
        load_targets(tmp_path / "t.npz")


def test_a_damaged_file_is_refused_or_read_and_nothing_else(tmp_path):
    """Bytes changed anywhere, with check sums that fit: never a traceback."""
    random, whole, outcomes = stream(9, "damage"), members(), {"read": 0, "refused": 0}
    for _ in range(400):
        name = list(whole)[random.integers(len(whole))]
        data = bytearray(whole[name])
        for place in random.integers(min(len(data), 140), size=random.integers(1, 5)):
            data[place] = random.choice(list(b"0123456789()[]{}<>|'OUVScMm, \n\t:\0\xff"))
        (tmp_path / "t.npz").write_bytes(zipped(whole | {name: bytes(data)}))
        try:
            load_targets(tmp_path / "t.npz")
            outcomes["read"] += 1
        except UsageError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 200 and outcomes["read"] > 10


def test_no_more_is_unpacked_than_targets_hold_and_no_more_stems_are_read():
    with pytest.raises(ValueError, match="unpacks to more"):
        from_bytes(zipped({"hz.npy": b"\0" * (2**20 + 1)}))
    stem = fitted().stems["vocals"]
    assert len(from_bytes(Targets({f"s{number}": stem for number in range(64)}, {}).to_bytes()).stems) == 64
    with pytest.raises(ValueError, match="targets for 65 stems"):
        from_bytes(Targets({f"s{number}": stem for number in range(65)}, {}).to_bytes())


def test_pipes_devices_and_names_too_long_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for where in (tmp_path / "pipe.npz", "/dev/zero"):
        with pytest.raises(UsageError, match="not a regular file"):
            load_targets(where)
    with pytest.raises(UsageError, match="cannot look for targets"):
        load_targets("x" * 300)
    with pytest.raises(UsageError, match="there are no targets"):
        load_targets("~nobody-of-this-name/t.npz")
    (tmp_path / "large.npz").write_bytes(b"\0" * (2**20 + 1))
    with pytest.raises(UsageError, match="larger than"):
        load_targets(tmp_path / "large.npz")


def test_what_is_loaded_has_the_hash_of_what_was_saved_and_cannot_be_changed(tmp_path):
    for about in ({"name": "n"}, {"name": "n", "more": "x"}, {"name": "not \udcff utf-8", "note": "ü"}):
        targets = mean_targets([{"vocals": features()}], about)
        targets.save(tmp_path / "t.npz")
        loaded = load_targets(tmp_path / "t.npz")
        assert loaded.sha256 == targets.sha256 == hashlib.sha256((tmp_path / "t.npz").read_bytes()).hexdigest()
        assert "\udcff" not in loaded.about["name"] and loaded.about["source"] == ""
    with pytest.raises(ValueError, match="read-only"):  # the next who loads the file is given the same object
        loaded.stems["vocals"].spectrum_db[0] = 5


def test_spreads_are_unknown_where_nothing_or_one_song_is_known():
    low = Features(-20.0, np.where(np.arange(BANDS) > 50, np.nan, 0.0), np.full(BANDS, 0.5), math.nan)
    target = mean_targets([{"bass": low}, {"bass": low}], {}).stems["bass"]
    assert np.isnan(target.spectrum_db[51:]).all() and np.isnan(target.spectrum_spread_db[51:]).all()
    assert np.isfinite(target.spectrum_db[:51]).all() and (target.spectrum_spread_db[:51] == 0).all()
    assert math.isnan(target.onset_peak_lu) and math.isnan(target.onset_peak_spread_lu)
    part = Features(-20.0, np.zeros(BANDS), np.full(BANDS, 0.5), 12.0)  # what is known of one song alone counts as it is
    target = mean_targets([{"bass": low}, {"bass": part}], {}).stems["bass"]
    assert target.onset_peak_lu == 12.0 and math.isnan(target.onset_peak_spread_lu) and np.isfinite(target.spectrum_db).all()


def test_a_mean_is_no_median_and_stems_without_loudness_do_not_count():
    songs = [{"bass": features(loudness=loudness, similarity=alike)} for loudness, alike in ((-30.0, 0.2), (-20.0, 0.9), (-19.0, 1.0))]
    target = mean_targets([*songs, {"bass": features(loudness=-math.inf)}], {}).stems["bass"]
    assert target.songs == 3 and target.loudness_lufs == pytest.approx(-23) and np.allclose(target.similarity, 0.7)
    assert target.loudness_spread_lu == pytest.approx(math.sqrt((49 + 9 + 16) / 2))


def test_published_features_become_targets_free_of_the_level_they_were_taken_at():
    bins = 4096
    magnitude, alike = np.full(bins, 0.02), np.full(bins, 0.8)
    made = published_targets({"bass": magnitude}, {"bass": alike}, {"bass": -30.0}, {"bass": (-14.0, 1.5)}, 5.0, {"name": "n", "x": 1}, 7)
    target = made.stems["bass"]
    assert (target.loudness_lufs, target.onset_peak_lu, target.onset_peak_spread_lu, target.songs) == (-30.0, 16.0, 1.5, 7)
    assert np.allclose(target.similarity, 0.8) and np.ptp(target.spectrum_db) < 1e-9 and np.isnan(target.similarity_spread).all()
    assert made.about == {"name": "n", "source": "", "licence": "", "note": ""} and math.isnan(target.loudness_spread_lu)
    assert 10 * np.log10(np.sum(loudness_weights() * 10 ** (target.spectrum_db / 10))) == pytest.approx(0, abs=1e-9)


def test_curves_are_averaged_in_decibels_over_songs():
    """A geometric mean: 40 dB more in a band of one of two songs are 20 dB in the mean, not 34 as the mean of magnitudes would."""
    bump = np.where(np.arange(BANDS) == 8, 40.0, 0.0)  # 62 Hz, which hardly counts for loudness
    songs = [{"bass": Features(-20.0, shape_db(10 ** (curve / 20)), np.full(BANDS, 0.5), 12.0)} for curve in (np.zeros(BANDS), bump)]
    shapes = [song["bass"].spectrum_db for song in songs]
    target = mean_targets(songs, {}).stems["bass"]
    mean = (shapes[0] + shapes[1]) / 2
    assert np.allclose(target.spectrum_db - target.spectrum_db[0], mean - mean[0])
    assert 10 * np.log10(np.sum(loudness_weights() * 10 ** (target.spectrum_db / 10))) == pytest.approx(0, abs=1e-9)
    assert np.allclose(target.spectrum_spread_db, np.abs(shapes[0] - shapes[1]) / math.sqrt(2))


def test_stems_that_normalization_leaves_alone_are_not_fitted_to():
    """A stem that peaks under -50 dBFS is left as it is; as -70 dBFS of bleed it must not pull the vocals' mean down either."""
    song, bleed = {"vocals": noise(4), "drums": noise(5)}, {"vocals": noise(6, 5e-4), "drums": noise(7)}
    assert math.isfinite(measure(bleed["vocals"], RATE).loudness_lufs)
    assert normalize_stem(bleed["vocals"], RATE, "vocals", fitted(), Settings())[1]["status"] == "quiet"
    targets = fit_targets([song, bleed], RATE)
    assert targets.stems["vocals"].songs == 1 and targets.stems["drums"].songs == 2
    assert targets.stems["vocals"].loudness_lufs == pytest.approx(measure(song["vocals"], RATE).loudness_lufs)


def test_names_that_no_file_can_carry_are_refused_when_fitting():
    with pytest.raises(UsageError, match="'Lead Vox' cannot be a stem's name"):
        fit_targets([{"Lead Vox": noise(8)}], RATE)


def test_songs_are_measured_at_the_rate_that_is_asked_for():
    song = next(iter(load_corpus("synth:songs=1,seconds=4")))
    drums = song.stems["drums"].read()[0]
    stereo = np.repeat(drums, 2, axis=0) if len(drums) == 1 else drums
    wanted = fit_targets([{"drums": resample(stereo, RATE, 16_000)}], 16_000).stems["drums"]
    found = fit_targets([song], 16_000).stems["drums"]
    assert np.allclose(found.spectrum_db, wanted.spectrum_db, equal_nan=True) and np.isnan(found.spectrum_db[CENTRES_HZ > 8000]).all()


def test_songs_of_other_splits_are_left_out_even_where_they_are_all():
    songs = list(load_corpus("synth:songs=3,seconds=4"))
    others = [replace(song, split=split) for song, split in zip(songs, ("valid", "test", "valid"), strict=True)]
    with pytest.raises(UsageError, match="nothing to fit"):
        fit_targets(others, RATE)
    mixed = fit_targets([replace(songs[0], split="train"), *others[1:]], RATE)
    alone = fit_targets([replace(songs[0], split=None)], RATE)
    assert mixed.stems["drums"].songs == 1 and mixed.sha256 == alone.sha256


def test_names_folders_and_misspellings_are_told_apart(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'musdb18'"):
        load_targets("musdb8")
    with pytest.raises(UsageError, match=r"no targets\.npz"):
        load_targets(tmp_path)
    fitted().save(tmp_path / "targets.npz")
    assert load_targets(tmp_path).sha256 == fitted().sha256


def test_the_targets_that_come_with_mixdata_are_those_that_fxnorm_published():
    """Numbers: features_MUSDB18.npy of sony/FxNorm-automix; onset peak minus loudness, both at a peak of -10 dBFS."""
    assert target_names() == ["musdb18"]
    targets = load_targets("musdb18")
    assert targets.to_bytes() == resource("manifests", "targets/musdb18.npz").read_bytes()  # the same bytes as years ago
    assert Targets(dict(reversed(targets.stems.items())), targets.about).to_bytes() == targets.to_bytes()
    assert targets.about["licence"] == "MIT" and "FxNorm" in targets.about["source"]
    loudness = {"vocals": -30.73, "drums": -34.18, "bass": -29.73, "other": -31.17}
    peaks = {"vocals": (-14.24, 1.37), "drums": (-13.48, 1.13), "bass": (-13.13, 0.90), "other": (-14.66, 1.27)}
    at_1k = {"vocals": (0.917, 11.8), "drums": (0.873, 6.1), "bass": (0.959, -5.1), "other": (0.832, 11.6)}
    band = int(np.argmin(np.abs(CENTRES_HZ - 1000)))
    octaves = [int(np.argmin(np.abs(CENTRES_HZ - hz))) for hz in (250, 1000, 4000)]
    published = {"vocals": (14.7, 11.8, -1.4), "drums": (20.4, 6.1, 3.4), "bass": (16.7, -5.1, -21.3), "other": (20.0, 11.6, 0.8)}
    for stem, target in targets.stems.items():
        assert target.loudness_lufs == pytest.approx(loudness[stem], abs=0.01)
        assert target.onset_peak_lu == pytest.approx(peaks[stem][0] - loudness[stem], abs=0.02)
        assert target.onset_peak_spread_lu == pytest.approx(peaks[stem][1], abs=0.01)
        assert target.similarity[band] == pytest.approx(at_1k[stem][0], abs=0.01)
        # The shape, free of its level: the curve is in the table at single frequencies, here as means over a third of an octave.
        shape = target.spectrum_db[octaves] - target.spectrum_db[octaves].mean()
        assert np.allclose(shape, np.array(published[stem]) - np.mean(published[stem]), atol=1.0), stem


@pytest.mark.skipif(not (SHARED.parent / "facts").exists(), reason="no published features at shared/facts")
def test_they_are_made_of_the_published_arrays():
    facts = SHARED.parent / "facts"
    numbers = json.loads((facts / "fxnorm_musdb18_targets.json").read_text())
    with np.load(facts / "fxnorm_musdb18_targets.npz") as arrays:
        stems = ("vocals", "drums", "bass", "other")
        made = published_targets(
            {stem: arrays[f"eq_{stem}"] for stem in stems},
            {stem: arrays[f"panning_{stem}"] for stem in stems},
            numbers["loudness_lufs"],
            {stem: tuple(numbers["onset_peak_db_mean_std"][stem]) for stem in stems},
            44_100 / 65_536,
            load_targets("musdb18").about,
            songs=0,
        )
    for stem, target in load_targets("musdb18").stems.items():
        for name in ("spectrum_db", "similarity", "loudness_lufs", "onset_peak_lu", "onset_peak_spread_lu"):
            assert np.allclose(getattr(made.stems[stem], name), getattr(target, name), atol=1e-9), (stem, name)
        assert made.stems[stem].songs == target.songs == 0, stem  # over how many songs FxNorm averaged is not published


def test_values_are_checked_when_read():
    good = fitted().stems["vocals"]
    loud = StemTarget(**{**good.__dict__, "loudness_lufs": 50.0})
    with pytest.raises(ValueError, match="values that no stem has"):
        from_bytes(Targets({"vocals": loud}, {"name": "x"}).to_bytes())
