"""Separators without a network: the registry, the classical one, the oracle, and stems from files."""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixdata import audio
from mixdata.errors import SongError, UsageError
from mixdata.separation import SEPARATORS, load, parse
from mixdata.separation.files import worst_lag
from mixdata.song import Song, Track

NAMES = ("vocals", "drums", "bass", "other")
RATE = 44100
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def sdr(true, estimate):
    """Signal-to-distortion ratio in dB over all samples and channels."""
    true, estimate = true.astype(np.float64), estimate.astype(np.float64)
    return 10 * np.log10(np.sum(true**2) / np.sum((true - estimate) ** 2))


def total(stems):
    return sum(stem.astype(np.float64) for stem in stems.values())


def noise(seed, channels=2, frames=RATE, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)


@pytest.fixture(scope="module")
def true():
    return {name: noise(i, frames=3 * RATE, level=0.05 * (i + 1)) for i, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def song(true, tmp_path_factory):
    """A song on disk with true stems, and its mixture."""
    folder = tmp_path_factory.mktemp("songs") / "A Song"
    mixture = total(true).astype(np.float32)
    audio.write(_made(folder) / "mixture.wav", mixture, RATE)
    for name, stem in true.items():
        audio.write(folder / f"{name}.wav", stem, RATE)
    tracks = {name: Track(folder / f"{name}.wav") for name in NAMES}
    return Song("A Song", "test", mixture=Track(folder / "mixture.wav"), stems=tracks)


def _made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# The registry


def test_importing_loads_no_network_library():
    code = "import sys, mixdata.separation; print(sorted({'torch', 'demucs', 'huggingface_hub'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_every_separator_is_registered():
    assert sorted(SEPARATORS) == ["builtin", "demucs", "files", "oracle"]


def test_text_stands_for_settings():
    assert parse("builtin") == {"separator": "builtin"}
    assert parse("demucs:hf://someone/name") == {"separator": "demucs", "model": "hf://someone/name"}
    assert parse("files:/a/{song}/{stem}.wav") == {"separator": "files", "pattern": "/a/{song}/{stem}.wav"}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("spleeter", "builtin, demucs, files, oracle"),
        ("builtin:fast", "nothing after the colon"),
        ({"separator": "oracle", "bleed": -20.0}, "bleed"),
        ({"separator": "oracle", "masking": 2.0}, "masking"),
        ({"separator": "oracle", "stems": []}, "stems"),
        ({"separator": "demucs", "overlap": 1.0}, "overlap"),
        ({"separator": "demucs", "shifts": "2"}, "shifts"),
        ({}, "unknown separator"),
        ("files", "pattern"),
        ("files:/a/{song}.wav", "{song}/{stem}"),
        ("files:/a/{song}/{stem}/{artist}.wav", "{song}/{stem}"),
        ("files:/a/../{song}/{stem}.wav", "'..'"),
        ("files:/no/such/folder/{song}/{stem}.wav", "does not exist"),
    ],
)
def test_wrong_settings_are_usage_errors_that_say_what(spec, says):
    with pytest.raises(UsageError) as caught:
        load(spec)
    assert says in str(caught.value)


@pytest.mark.parametrize("spec", ["builtin", "oracle"])
def test_describe_is_json_with_kind_and_licence(spec):
    told = json.loads(json.dumps(load(spec).describe()))
    assert told["separator"] == spec and told["licence"] and told["kind"] and told["stems"] == list(NAMES)


def test_the_classical_separator_is_named_as_what_it_is():
    told = load("builtin").describe()
    assert "classical" in told["kind"] and "not a neural network" in told["kind"]


# What holds for each


@pytest.mark.parametrize("spec", ["builtin", "oracle"])
def test_wrong_audio_is_refused(spec, song):
    separate = load(spec)
    with pytest.raises(UsageError, match="channels, frames"):
        separate(np.zeros(100, np.float32), RATE, song=song)
    with pytest.raises(UsageError, match="sample_rate"):
        separate(np.zeros((2, 100), np.float32), 0, song=song)
    with pytest.raises(SongError, match="no frames"):
        separate(np.zeros((2, 0), np.float32), RATE, song=song)
    with pytest.raises(SongError, match="finite"):
        separate(np.full((2, 100), np.nan, np.float32), RATE, song=song)


# The classical separator


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 3), st.sampled_from([8000, 22050, 44100, 48000, 96000]), st.sampled_from([0.0, 1e-4, 0.3]))
def test_builtin_sums_to_the_mixture_for_any_shape_and_rate(frames, channels, rate, level):
    mixture = noise(frames, channels, frames, level)
    stems = load("builtin")(mixture, rate)
    assert tuple(stems) == NAMES
    assert all(stem.shape == mixture.shape and stem.dtype == np.float32 and np.isfinite(stem).all() for stem in stems.values())
    assert np.abs(total(stems) - mixture).max() <= 1e-6
    assert level > 0 or not any(stem.any() for stem in stems.values())


def test_builtin_gives_the_same_bits_twice():
    first, second = (load("builtin")(noise(0), RATE) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in NAMES)


def test_builtin_depends_on_the_pieces_only_by_rounding():
    """A song and the same song behind silence give the same stems: memory is bounded by pieces that overlap enough."""
    mixture, hop = noise(0, frames=12 * RATE), 1024
    stems = load("builtin")(mixture, RATE)
    later = load("builtin")(np.pad(mixture, ((0, 0), (100 * hop, 0))), RATE)
    assert all(np.abs(later[name][:, 100 * hop :] - stems[name])[:, RATE:].max() < 1e-5 for name in NAMES)


def test_builtin_puts_clicks_in_drums_low_tones_in_bass_and_centred_tones_in_vocals():
    at = np.arange(4 * RATE) / RATE
    clicks = noise(0, 1, 4 * RATE, 0.5)[0] * np.exp(-(at % 0.5) / 0.02)
    low, middle, side = (0.2 * np.sin(2 * np.pi * f * at) for f in (60, 700, 1900))
    parts = {
        "drums": np.stack([clicks] * 2),
        "bass": np.stack([low] * 2),
        "vocals": np.stack([middle] * 2),
        "other": np.stack([side, 0 * side]),
    }
    stems = load("builtin")(sum(parts.values()).astype(np.float32), RATE)
    for name, part in parts.items():
        assert sdr(part, stems[name]) > 8, f"{name}: {sdr(part, stems[name])}"


def real_songs():
    found = [(name, DATA / "multitrack_cc0" / f"Software-Entwicklungskit - {name}" / "grouped") for name in ("Lithium", "Sodium")]
    package = find_spec("stempeg")
    folder = Path(package.submodule_search_locations[0]) / "data" if package and package.submodule_search_locations else DATA
    return [*found, ("stempeg", next(iter(folder.glob("*.stem.mp4")), folder / "none"))]


@pytest.mark.parametrize(("name", "place"), real_songs(), ids=lambda value: value if isinstance(value, str) else "")
def test_builtin_beats_the_plain_mixture_on_real_music(name, place):
    """Against the mixture at the gain that suits each stem best. Measured in dB: drums 4.4, 5.3, 4.8, bass 5.7, 7.1, 2.5."""
    if not place.exists():
        pytest.skip(f"the real music for {name} is not here")
    if place.is_dir():
        read = {stem: audio.read(place / f"{stem}.flac") for stem in NAMES}
    else:
        read = {stem: audio.read(place, stream=i) for i, stem in ((1, "drums"), (2, "bass"), (3, "other"), (4, "vocals"))}
    rate = read["drums"][1]
    true = {stem: np.broadcast_to(found, (2, found.shape[-1])) for stem, (found, _) in read.items()}
    mixture = total(true).astype(np.float32)
    stems = load("builtin")(mixture, rate)
    for stem in ("drums", "bass"):
        gain = np.vdot(true[stem], mixture) / np.vdot(mixture, mixture)
        assert sdr(true[stem], stems[stem]) > max(sdr(true[stem], gain * mixture), sdr(true[stem], mixture / 4)) + 0.5


def test_builtin_is_far_faster_than_real_time():
    mixture = noise(0, frames=20 * RATE)
    load("builtin")(mixture[:, :RATE], RATE)
    start = time.process_time()
    load("builtin")(mixture, RATE)
    assert 20 / (time.process_time() - start) > 8  # 30 to 45 on one core that is free


# The oracle


NO_FAULTS = {"separator": "oracle", "bleed_db": None, "masking": 0.0, "band_limit_hz": None}


def mixture_of(song):
    return song.mixture.read()[0]


def test_oracle_without_faults_gives_exactly_the_true_stems(song, true):
    stems = load(NO_FAULTS)(mixture_of(song), RATE, song=song)
    assert all(np.array_equal(stems[name], true[name]) for name in NAMES)


def test_oracle_bleed_is_the_rest_of_the_mix_at_that_level(song, true):
    stems = load({**NO_FAULTS, "bleed_db": -20.0})(mixture_of(song), RATE, song=song)
    for name in NAMES:
        np.testing.assert_allclose(stems[name], true[name] + 0.1 * (total(true) - true[name]), atol=1e-6)


def test_oracle_band_limit_takes_the_top_and_moves_nothing(song, true):
    stems = load({**NO_FAULTS, "band_limit_hz": 5000.0})(mixture_of(song), RATE, song=song)
    frequency = np.fft.rfftfreq(3 * RATE, 1 / RATE)
    for name in NAMES:
        before, after = np.fft.rfft(true[name]), np.fft.rfft(stems[name])
        power = np.abs(after) ** 2, np.abs(before) ** 2
        assert power[0][:, frequency > 7500].sum() < 1e-4 * power[1][:, frequency > 7500].sum()
        kept = (frequency > 50) & (frequency < 3500)
        np.testing.assert_allclose(np.vdot(before[:, kept], after[:, kept]) / power[1][:, kept].sum(), 1, atol=1e-3)


def test_oracle_masking_makes_more_holes_the_higher_it_is(song, true):
    quality = []
    for masking in (0.1, 0.5, 1.0):
        stems = load({**NO_FAULTS, "masking": masking})(mixture_of(song), RATE, song=song)
        quality.append(sdr(true["bass"], stems["bass"]))
        assert all(np.sum(stems[name] ** 2) < np.sum(true[name] ** 2) for name in NAMES)
    assert quality[0] > quality[1] > quality[2] > 0


def test_oracle_masking_spares_a_stem_that_is_alone(tmp_path):
    audio.write(tmp_path / "vocals.wav", noise(0), RATE)
    alone = Song("alone", "test", stems={"vocals": Track(tmp_path / "vocals.wav")})
    stems = load({**NO_FAULTS, "masking": 1.0})(noise(0), RATE, song=alone)
    np.testing.assert_allclose(stems["vocals"], noise(0), atol=1e-6)
    assert not stems["drums"].any()


def test_oracle_draws_depend_on_seed_and_song_only(song):
    settings_ = {**NO_FAULTS, "masking": 0.5}
    first, second, other = (load({**settings_, "seed": seed})(mixture_of(song), RATE, song=song) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], second[name]) for name in NAMES)
    assert not np.array_equal(first["bass"], other["bass"])
    assert load({**settings_, "seed": 1}).fingerprint != load(settings_).fingerprint
    one, other_song = load(settings_).song_fingerprint(song), load(settings_).song_fingerprint(Song("x", "test", song.mixture, {}))
    assert one != other_song  # the same mixture with other stems is another entry of the cache


def test_oracle_puts_stems_it_does_not_know_into_other(song, true):
    stems = load({**NO_FAULTS, "stems": ["vocals", "other"]})(mixture_of(song), RATE, song=song)
    assert list(stems) == ["vocals", "other"]
    np.testing.assert_allclose(stems["other"], total(true) - true["vocals"], atol=1e-6)
    assert list(load({**NO_FAULTS, "stems": ["vocals"]})(mixture_of(song), RATE, song=song)) == ["vocals"]


@pytest.mark.parametrize("rate", [48000, 22050])
def test_oracle_follows_the_rate_and_channels_of_the_audio(song, true, rate):
    mixture = audio.resample(mixture_of(song), RATE, rate).mean(axis=0, keepdims=True)
    stems = load(NO_FAULTS)(mixture, rate, song=song)
    for name in NAMES:
        np.testing.assert_allclose(stems[name], audio.resample(true[name], RATE, rate).mean(axis=0, keepdims=True), atol=1e-6)


def test_oracle_needs_true_stems_of_the_right_length(song):
    separate = load("oracle")
    for without in (None, Song("bare", "test", mixture=song.mixture)):
        with pytest.raises(SongError) as caught:
            separate(noise(0), RATE, song=without)
        assert caught.value.reason == "missing"
    with pytest.raises(SongError) as caught:
        separate(noise(0, frames=RATE), RATE, song=song)
    assert caught.value.reason == "length"


@pytest.mark.parametrize("frames", [1, 2, 50])
def test_oracle_works_on_a_few_samples(tmp_path, frames):
    audio.write(tmp_path / "vocals.wav", noise(0, frames=frames), RATE)
    tiny = Song("tiny", "test", stems={"vocals": Track(tmp_path / "vocals.wav")})
    stems = load("oracle")(noise(0, frames=frames), RATE, song=tiny)
    assert all(stem.shape == (2, frames) and np.isfinite(stem).all() for stem in stems.values())


# Stems from files


def written(root, stems, rate=RATE, name="A Song"):
    for stem, sound in stems.items():
        audio.write(_made(root / name) / f"{stem}.wav", sound, rate)
    return load({"separator": "files", "pattern": f"{root}/{{song}}/{{stem}}.wav", "model": "a model", "licence": "CC0"})


def reason(separate, song, mixture=None):
    with pytest.raises(SongError) as caught:
        separate(mixture_of(song) if mixture is None else mixture, RATE, song=song)
    return caught.value.reason


def test_files_are_returned_as_they_are(tmp_path, song, true):
    separate = written(tmp_path, true)
    notes = []
    stems = separate(mixture_of(song), RATE, song=song, notes=notes)
    assert all(np.array_equal(stems[name], true[name]) for name in NAMES) and not notes
    assert separate.describe()["model"] == "a model" and separate.describe()["licence"] == "CC0"


@pytest.mark.parametrize("which", ["title", "id", "file"])
def test_files_are_found_by_title_id_or_name_of_the_mixture(tmp_path, song, true, which):
    separate = written(tmp_path, true, name={"title": song.title, "id": song.id, "file": "mixture"}[which])
    assert np.array_equal(separate(mixture_of(song), RATE, song=song)["bass"], true["bass"])


def test_the_title_comes_before_the_id(tmp_path, song, true):
    written(tmp_path, {name: 2 * stem for name, stem in true.items()}, name=song.id)
    separate = written(tmp_path, true)
    assert np.array_equal(separate(mixture_of(song), RATE, song=song)["bass"], true["bass"])


def test_files_of_another_rate_are_resampled(tmp_path, song, true):
    separate = written(tmp_path, {name: audio.resample(stem, RATE, 48000) for name, stem in true.items()}, 48000)
    stems = separate(mixture_of(song), RATE, song=song)
    assert all(stem.shape == mixture_of(song).shape for stem in stems.values())
    assert sdr(true["bass"], stems["bass"]) > 12  # white noise: what lies at the very top is lost


def test_missing_stems_are_named(tmp_path, song, true):
    separate = written(tmp_path, {name: stem for name, stem in true.items() if name != "bass"})
    with pytest.raises(SongError, match=r"bass\.wav") as caught:
        separate(mixture_of(song), RATE, song=song)
    assert caught.value.reason == "missing"
    assert reason(written(tmp_path / "empty", {}) if _made(tmp_path / "empty") else None, song) == "missing"


@pytest.mark.parametrize("late", [100, 441, -2000, 30_000])
def test_stems_that_are_late_or_early_are_refused(tmp_path, song, true, late):
    separate = written(tmp_path, {name: np.roll(stem, late, axis=1) for name, stem in true.items()})
    assert reason(separate, song) == "lag"
    with pytest.raises(SongError, match=f"{abs(late) / 44.1:.1f} ms {'late' if late > 0 else 'early'}"):
        separate(mixture_of(song), RATE, song=song)


def test_a_drift_shows():
    sound = noise(0, frames=40 * RATE)
    stretched = audio.resample(sound, 44100, 44103)[:, : 40 * RATE]
    lag, likeness = worst_lag(sound, np.pad(stretched, ((0, 0), (0, 40 * RATE - stretched.shape[1]))), RATE)
    assert abs(lag) > 1 or abs(likeness) < 0.5
    assert worst_lag(sound, 0.5 * sound, RATE) == (0.0, pytest.approx(1.0, abs=1e-3))


@pytest.mark.parametrize(("gain", "says"), [(0.3, "rescaled"), (3.0, "rescaled"), (-1.0, "polarity")])
def test_stems_that_do_not_add_up_are_refused(tmp_path, song, true, gain, says):
    separate = written(tmp_path, {name: np.float32(gain) * stem for name, stem in true.items()})
    with pytest.raises(SongError, match=says) as caught:
        separate(mixture_of(song), RATE, song=song)
    assert caught.value.reason == "sum"


def test_stems_of_another_song_are_refused(tmp_path, song):
    assert reason(written(tmp_path, {name: noise(50 + i, frames=3 * RATE) for i, name in enumerate(NAMES)}), song) == "sum"
    silent = {name: np.zeros((2, 3 * RATE), np.float32) for name in NAMES}
    assert reason(written(tmp_path, silent), song) == "sum"
    assert reason(written(tmp_path, {name: noise(i, frames=3 * RATE) for i, name in enumerate(NAMES)}), song, silent["bass"]) == "sum"


def test_a_sum_that_is_nearly_right_is_noted(tmp_path, song, true):
    separate = written(tmp_path, {name: np.float32(0.9) * stem for name, stem in true.items()})
    notes = []
    separate(mixture_of(song), RATE, song=song, notes=notes)
    assert notes == ["stems sum to the mixture but for -20.0 dB"]


def test_lengths_may_differ_by_50_ms_and_that_is_noted(tmp_path, song, true):
    shorter = {name: stem[:, :-1000] if name == "bass" else stem for name, stem in true.items()}
    notes = []
    stems = written(tmp_path, shorter)(mixture_of(song), RATE, song=song, notes=notes)
    assert "1000 frames of silence added" in notes[0] and stems["bass"].shape == true["bass"].shape
    assert not stems["bass"][:, -1000:].any()
    much = {name: stem[:, :-3000] for name, stem in true.items()}
    assert reason(written(tmp_path, much), song) == "length"


def test_six_channels_are_refused(tmp_path, song, true):
    assert reason(written(tmp_path, {name: np.concatenate([stem] * 3) for name, stem in true.items()}), song) == "channels"


def test_links_out_of_the_root_are_refused(tmp_path, song, true):
    written(tmp_path / "away", true)
    separate = written(tmp_path / "root", {name: stem for name, stem in true.items() if name != "bass"})
    os.symlink(tmp_path / "away" / "A Song" / "bass.wav", tmp_path / "root" / "A Song" / "bass.wav")
    assert reason(separate, song) == "outside_root"


@pytest.mark.parametrize("title", ["../away", "/etc", "..", "a/b", "{stem}", "nul\0"])
def test_titles_cannot_lead_out_of_the_root(tmp_path, song, true, title):
    written(tmp_path, true, name="away")
    separate = written(tmp_path / "root", {}) if _made(tmp_path / "root") else None
    evil = Song(title, "test", mixture=song.mixture, stems=song.stems)
    assert reason(separate, evil) == "missing"


def test_the_content_of_the_files_is_in_the_fingerprint_but_not_their_place(tmp_path, song, true):
    here, there = written(tmp_path / "here", true), written(tmp_path / "there", true)
    assert here.song_fingerprint(song) == there.song_fingerprint(song) and here.fingerprint == there.fingerprint
    changed = written(tmp_path / "there", {**true, "bass": noise(99, frames=3 * RATE)})
    assert changed.song_fingerprint(song) != here.song_fingerprint(song)


def test_files_need_a_song(tmp_path):
    separate = written(tmp_path, {})
    for call in (lambda: separate(noise(0), RATE), lambda: separate.song_fingerprint(None)):
        with pytest.raises(UsageError, match="song"):
            call()
