"""The whole normalization: what it leaves alone, what it brings back, and what the records say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from mixdata.corpora import load_corpus
from mixdata.effects import Compressor, Eq, Gain, Pan, from_record
from mixdata.effects.eq import Band
from mixdata.errors import AudioError, UsageError
from mixdata.measures import integrated_loudness, sample_peak_db
from mixdata.measures.bands import CENTRES_HZ
from mixdata.measures.long_term import long_term
from mixdata.measures.spectrum import effective_bandwidth_hz
from mixdata.normalization.dynamics import PUBLISHED, match_dynamics
from mixdata.normalization.eq import guarded_bands, match_spectrum
from mixdata.normalization.features import measure, panning_distance, spectral_distance_db
from mixdata.normalization.fit import fit_targets
from mixdata.normalization.loudness import match_loudness
from mixdata.normalization.normalize import normalize, normalize_stem, undo
from mixdata.normalization.panning import match_panning
from mixdata.normalization.reverb import send_reverb
from mixdata.normalization.settings import Dynamics, Equalizer, Loudness, Panning, Reverb, Settings
from mixdata.normalization.targets import Targets, load_targets
from mixdata.rng import stream

RATE = 44_100
STEMS = ("drums", "bass", "other", "vocals")
NO_DYNAMICS = Settings(dynamics=None)


@pytest.fixture(scope="module")
def stems() -> dict[str, np.ndarray]:
    """Twelve seconds of stems; the chords are spread a little, so that there is an image to keep."""
    song = next(iter(load_corpus("synth:songs=1,seconds=12,seed=3")))
    found = {}
    for name, track in song.stems.items():
        audio = track.read()[0]
        audio = np.repeat(audio, 2, axis=0) if audio.shape[0] == 1 else audio
        hiss = 3e-4 * stream(1, "stems", name).standard_normal(audio.shape)  # what real stems have between the notes
        found[name] = (audio + hiss).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def own(stems) -> Targets:
    """Targets that are the stems' own features."""
    return fit_targets([stems], RATE)


def thirds(audio: np.ndarray) -> list[np.ndarray]:
    frames = audio.shape[1] // 3
    return [audio[:, i * frames : (i + 1) * frames] for i in range(3)]


def change_db(before: np.ndarray, after: np.ndarray, lowest_hz: float = 50) -> np.ndarray:
    """By how much the bands that sound have changed, dB."""
    powers = [long_term(each, RATE).bands("power") for each in (before, after)]
    sounds = np.isfinite(powers[0]) & (powers[0] > 1e-6 * np.nanmax(powers[0])) & np.greater(CENTRES_HZ, lowest_hz)
    return 10 * np.log10(powers[1][sounds] / powers[0][sounds])


@pytest.mark.parametrize("mode", ["spectrum", "midside"])
def test_a_stem_on_its_target_moves_less_than_a_tenth_of_a_decibel(stems, own, mode):
    done = normalize(stems, RATE, own, Settings(panning=Panning(mode=mode)))
    for name, audio in stems.items():
        assert done.records[name]["status"] == "normalized"
        assert np.abs(change_db(audio, done.stems[name])).max() < 0.1, name
        assert abs(integrated_loudness(done.stems[name], RATE) - integrated_loudness(audio, RATE)) < 0.1


def test_planted_faults_are_brought_back_in_every_third_of_the_song(stems, own):
    """A hard pan leaves one channel to be heard: its thirds differ from the song by more than any static curve can mend, `unreachable`."""
    fault = Eq((Band("high_shelf", 2000.0, 6.0),))
    for name in ("drums", "other"):
        panned = Pan(position=0.9)(stems[name], RATE)
        wrong = Gain(-9.0)(Pan(position=0.9)(fault(stems[name], RATE), RATE), RATE)
        done = normalize_stem(wrong, RATE, name, own, NO_DYNAMICS)[0]
        mended = own.stems[name].spectrum_db - measure(panned, RATE).spectrum_db
        for true, one_sided, off, back in zip(thirds(stems[name]), thirds(panned), thirds(wrong), thirds(done), strict=True):
            wanted, before, after = (measure(each, RATE) for each in (true, off, back))
            unreachable = spectral_distance_db(measure(one_sided, RATE).spectrum_db + mended, wanted.spectrum_db)
            assert spectral_distance_db(before.spectrum_db, wanted.spectrum_db) > 1.5
            assert spectral_distance_db(after.spectrum_db, wanted.spectrum_db) < min(unreachable + 0.1, 0.8), name
            assert panning_distance(before.similarity, wanted.similarity, wanted.spectrum_db) > 0.3
            assert panning_distance(after.similarity, wanted.similarity, wanted.spectrum_db) < 0.08, name
            assert abs(before.loudness_lufs - wanted.loudness_lufs) > 3
            assert abs(after.loudness_lufs - wanted.loudness_lufs) < 0.2, name


def test_a_planted_shelf_and_gain_alone_are_brought_back_closely_in_every_third(stems, own):
    """Both faults are static and the same in both channels, so nothing varies over the song; filters follow curves within 0.1 dB."""
    for name, audio in stems.items():
        wrong = Gain(-9.0)(Eq((Band("high_shelf", 2000.0, 6.0),))(audio, RATE), RATE)
        done = normalize_stem(wrong, RATE, name, own, NO_DYNAMICS)[0]
        for true, back in zip(thirds(audio), thirds(done), strict=True):
            wanted, after = measure(true, RATE), measure(back, RATE)
            assert spectral_distance_db(after.spectrum_db, wanted.spectrum_db) < 0.1, name
            assert panning_distance(after.similarity, wanted.similarity, wanted.spectrum_db) < 0.01, name
            assert abs(after.loudness_lufs - wanted.loudness_lufs) < 0.05, name


def test_a_compression_of_three_to_one_is_taken_back_where_expansion_is_allowed(stems, own):
    audio = stems["drums"]
    target = own.stems["drums"]
    crushed = Compressor(threshold_db=sample_peak_db(audio) - 12, ratio=3, attack_ms=0.05, release_ms=60)(audio, RATE)
    before = measure(crushed, RATE).onset_peak_lu
    assert before < target.onset_peak_lu - 1.5
    done, record = normalize_stem(crushed, RATE, "drums", own, Settings(dynamics=Dynamics(expand=True, tolerance=0)))
    assert record["steps"]["dynamics"]["action"] == "expand"
    assert measure(done, RATE).onset_peak_lu == pytest.approx(target.onset_peak_lu, abs=0.5)
    left = normalize_stem(crushed, RATE, "drums", own, Settings())[1]
    assert left["steps"]["dynamics"]["action"] == "none"


def test_eq_and_dynamics_keep_the_ratio_of_the_channels():
    noise = 0.1 * stream(2, "ratio").standard_normal((1, 10 * RATE)).astype(np.float32)
    panned = np.concatenate([noise, 0.5 * noise]).astype(np.float32)
    done, record = normalize_stem(panned, RATE, "vocals", load_targets("musdb18"), Settings(panning=None))
    assert max(map(abs, record["steps"]["eq"]["correction_db"])) > 6
    assert 10 * np.log10(np.sum(done[0] ** 2) / np.sum(done[1] ** 2)) == pytest.approx(20 * np.log10(2), abs=0.01)


@pytest.mark.parametrize("mode", ["spectrum", "midside", "mono"])
def test_polarity_and_swapped_channels_pass_through(stems, mode):
    settings = Settings(panning=Panning(mode=mode))
    audio = Pan(position=0.3)(stems["other"], RATE)
    straight = normalize_stem(audio, RATE, "other", load_targets("musdb18"), settings)[0]
    inverted = normalize_stem(-audio, RATE, "other", load_targets("musdb18"), settings)[0]
    swapped = normalize_stem(np.ascontiguousarray(audio[::-1]), RATE, "other", load_targets("musdb18"), settings)[0]
    assert np.allclose(-inverted, straight, atol=1e-6)
    assert np.allclose(swapped[::-1], straight, atol=1e-6)


def test_it_is_deterministic_and_changes_nothing_that_it_is_given(stems):
    kept = {name: audio.copy() for name, audio in stems.items()}
    one, two = (normalize(stems, RATE, settings=Settings()) for _ in range(2))
    for name in stems:
        assert np.array_equal(one.stems[name], two.stems[name]) and one.stems[name].dtype == np.float32
        assert np.array_equal(stems[name], kept[name])
    assert one.records == two.records


def test_a_second_time_changes_less_than_half_a_decibel(stems):
    wide = Settings(eq=Equalizer(most_db=60, least_db=-120))  # a cap that acts is no fixed point
    for name in STEMS:
        once = normalize_stem(stems[name], RATE, name, load_targets("musdb18"), wide)[0]
        twice = normalize_stem(once, RATE, name, load_targets("musdb18"), wide)[0]
        moved = change_db(once, twice)
        assert abs(np.median(moved)) < 0.2 and np.sqrt(np.mean(moved**2)) < 0.5, name


def test_what_is_silent_or_has_no_target_is_left_as_it_is_and_says_so(stems, own):
    silence, faint = np.zeros((2, RATE), np.float32), 1e-4 * stems["bass"]
    only = Targets({"drums": own.stems["drums"]}, {})
    done = normalize({"vocals": silence, "drums": silence, "bass": faint}, RATE, own)
    assert [record["status"] for record in done.records.values()] == ["quiet"] * 3
    assert np.array_equal(done.stems["bass"], faint) and not done.stems["drums"].any()
    assert normalize({"vocals": stems["vocals"]}, RATE, only).records["vocals"] == {"status": "no_target"}
    assert normalize({"guitar": stems["other"]}, RATE, own).records["guitar"]["target"] == "other"


def test_a_stem_is_quiet_where_it_peaks_under_the_setting():
    noise = stream(9, "quiet").uniform(-1, 1, (2, RATE)).astype(np.float32)
    nothing = Settings(eq=None, dynamics=None, panning=None, quiet_dbfs=-50.0)
    for peak_db, status in ((-50.1, "quiet"), (-49.9, "normalized")):
        audio = noise * np.float32(10 ** (peak_db / 20) / np.abs(noise).max())
        assert normalize_stem(audio, RATE, "drums", load_targets("musdb18"), nothing)[1]["status"] == status
    assert normalize_stem(audio, RATE, "drums", load_targets("musdb18"), nothing.model_copy(update={"quiet_dbfs": -49.0}))[1] == {
        "status": "quiet"
    }


@pytest.mark.parametrize("frames", [1, 100, RATE // 2])
def test_short_and_mono_stems_have_an_outcome(stems, frames):
    for audio in (stems["drums"][:, 2 * RATE : 2 * RATE + frames], stems["drums"][:1, 2 * RATE : 2 * RATE + frames]):
        done, record = normalize_stem(np.ascontiguousarray(audio), RATE, "drums", load_targets("musdb18"), Settings())
        assert done.shape == audio.shape and np.isfinite(done).all()
        assert record["status"] == ("quiet" if frames < 0.4 * RATE else "normalized")  # loudness is of 400 ms at least
        assert len(audio) == 2 or "panning" not in record.get("steps", {})


def test_samples_that_are_no_numbers_are_refused(stems):
    broken = stems["drums"].copy()
    broken[0, 5] = np.nan
    with pytest.raises(AudioError, match="NaN"):
        normalize({"drums": broken}, RATE)


@pytest.mark.parametrize("rate", [16_000, 48_000, 96_000])
def test_other_rates_come_to_the_same_targets(rate):
    noise = (0.1 * stream(3, "rates", rate).standard_normal((2, 6 * rate))).astype(np.float32)
    record = normalize_stem(noise, rate, "other", load_targets("musdb18"), Settings(eq=Equalizer(most_db=40, least_db=-80)))[1]
    assert record["distance"]["loudness_lu"][1] < 0.05
    assert record["distance"]["eq_db"][1] < 0.25 * record["distance"]["eq_db"][0]


def test_steps_can_be_left_out_one_by_one(stems):
    nothing = Settings(eq=None, dynamics=None, panning=None, loudness=None)
    done, record = normalize_stem(stems["drums"], RATE, "drums", load_targets("musdb18"), nothing)
    assert np.array_equal(done, stems["drums"]) and record["steps"] == {}
    for name in ("eq", "panning", "loudness"):
        one = nothing.model_copy(update={name: Settings().model_dump()[name] and getattr(Settings(), name)})
        assert list(normalize_stem(stems["drums"], RATE, "drums", load_targets("musdb18"), one)[1]["steps"]) == [name]
    order = list(
        normalize_stem(stems["vocals"], RATE, "vocals", load_targets("musdb18"), Settings(reverb=Reverb()), generator=stream(0))[1]["steps"]
    )
    assert [name for name in order if name != "trim"] == ["reverb", "eq", "dynamics", "panning", "loudness"]


@pytest.mark.parametrize("name", ["vocals", "drums"])
def test_the_whole_is_its_steps_one_after_the_other_with_their_settings(stems, name):
    """Reverb, EQ, dynamics, trim, panning, loudness, called by hand; a low-pass, so that the bandwidth is the stem's own."""
    settings = Settings(
        reverb=Reverb(stems=["vocals"]),
        eq=Equalizer(most_db=7, least_db=-9, flat_above_hz=3000 if name == "vocals" else 16_000),
        dynamics=Dynamics(expand=True, tolerance=0.3),
        panning=Panning(mode="midside"),
        loudness=Loudness(ceiling_db=-23),
    )
    low = signal.sosfiltfilt(signal.butter(8, 6000, output="sos", fs=RATE), stems[name], axis=1).astype(np.float32)
    wanted = measure(low, RATE).onset_peak_lu + (2 if name == "vocals" else -4)
    target, eq = replace(load_targets("musdb18").stems[name], onset_peak_lu=wanted, onset_peak_spread_lu=2.0), settings.eq
    audio, records = low, {}
    if name == "vocals":
        audio, records["reverb"] = send_reverb(audio, RATE, settings.reverb, stream(5))
    picture, bandwidth = long_term(audio, RATE), effective_bandwidth_hz(audio, RATE)
    assert bandwidth < 10_000
    audio, records["eq"] = match_spectrum(
        audio, RATE, target.spectrum_db, most_db=7, least_db=-9, flat_above_hz=eq.flat_above_hz, bandwidth_hz=bandwidth
    )
    audio, records["dynamics"] = match_dynamics(audio, RATE, wanted, 0.6, PUBLISHED[name], expand=True)
    assert records["dynamics"]["action"] == ("expand" if name == "vocals" else "compress")
    first = np.array(records["eq"]["correction_db"])
    audio, records["trim"] = match_spectrum(
        audio,
        RATE,
        target.spectrum_db,
        most_db=np.clip(7 - first, 0, 6),
        least_db=np.clip(-9 - first, -6, 0),
        flat_above_hz=eq.flat_above_hz,
        bandwidth_hz=records["eq"]["limit_hz"],
    )
    audio, records["panning"] = match_panning(audio, RATE, target.similarity, "midside", picture=picture)
    audio, records["loudness"] = match_loudness(audio, RATE, target.loudness_lufs, ceiling_db=-23)
    done, record = normalize_stem(low, RATE, name, Targets({name: target}, {}), settings, generator=stream(5))
    assert record["steps"] == records and list(record["steps"]) == list(records) and np.array_equal(done, audio)
    # and the record says of both ends what they are, and how far from the target
    for when, each in enumerate((low, done)):
        found = measure(each, RATE)
        assert record[("before", "after")[when]] == found.record()
        assert record["distance"]["dynamics_lu"][when] == pytest.approx(abs(found.onset_peak_lu - target.onset_peak_lu), abs=1e-4)
        assert record["distance"]["loudness_lu"][when] == pytest.approx(abs(found.loudness_lufs - target.loudness_lufs), abs=1e-4)
        far = panning_distance(found.similarity, target.similarity, found.spectrum_db)
        assert record["distance"]["panning"][when] == pytest.approx(far, abs=1e-4)


def test_onsets_that_the_target_does_not_know_are_left_alone(stems):
    known = load_targets("musdb18").stems["drums"]
    unknown = Targets({"drums": replace(known, onset_peak_lu=math.nan, onset_peak_spread_lu=math.nan)}, {})
    record = normalize_stem(stems["drums"], RATE, "drums", unknown, Settings())[1]
    assert set(record["steps"]) == {"eq", "panning", "loudness"} and record["distance"]["dynamics_lu"] == [None, None]
    exact = Targets({"drums": replace(known, onset_peak_spread_lu=math.nan)}, {})  # of one song: no spread is known
    crest = normalize_stem(stems["drums"], RATE, "drums", exact, Settings(dynamics=Dynamics(expand=True)))[1]["steps"]["dynamics"]
    assert crest["action"] == "expand"


def test_the_gain_is_lowered_where_peaks_would_pass_the_ceiling(own):
    clicks = 1e-3 * stream(4, "clicks").standard_normal((2, 5 * RATE)).astype(np.float32)
    clicks[:, ::RATE] = 0.5
    settings = Settings(eq=None, dynamics=None, panning=None, loudness=Loudness(ceiling_db=-6.0))
    loud = Targets({"drums": own.stems["drums"]}, {})
    done, record = normalize_stem(clicks, RATE, "drums", loud, settings)
    assert record["steps"]["loudness"]["limited_by_peak"] and sample_peak_db(done) == pytest.approx(-6.0, abs=0.01)
    free = settings.model_copy(update={"loudness": Loudness(ceiling_db=None)})
    assert normalize_stem(clicks, RATE, "drums", loud, free)[1]["distance"]["loudness_lu"][1] < 0.05


def test_reverb_is_sent_to_the_named_stems_alone_and_is_drawn_from_the_generator(stems):
    settings = Settings(reverb=Reverb(), eq=None, dynamics=None, panning=None, loudness=None)
    targets = load_targets("musdb18")
    with pytest.raises(UsageError, match="generator"):
        normalize_stem(stems["vocals"], RATE, "vocals", targets, settings)
    wet, record = normalize_stem(stems["vocals"], RATE, "vocals", targets, settings, generator=stream(5))
    assert np.array_equal(wet, normalize_stem(stems["vocals"], RATE, "vocals", targets, settings, generator=stream(5))[0])
    assert not np.array_equal(wet, normalize_stem(stems["vocals"], RATE, "vocals", targets, settings, generator=stream(6))[0])
    assert np.array_equal(wet, from_record(record["steps"]["reverb"]["effect"])(stems["vocals"], RATE))
    drums = normalize_stem(stems["drums"], RATE, "drums", targets, settings, generator=stream(5))
    assert np.array_equal(drums[0], stems["drums"]) and drums[1]["steps"] == {}
    # only the send goes through the shelves and the room: what is added has little under 500 Hz and over 10 kHz
    sent = long_term(wet - stems["vocals"], RATE).bands("power") / long_term(stems["vocals"], RATE).bands("power")
    middle, low, high = (sent[(a < CENTRES_HZ) & (b > CENTRES_HZ)].mean() for a, b in ((1000, 5000), (100, 250), (14_000, 18_000)))
    assert low < 0.02 * middle and high < 0.02 * middle


def test_both_corrections_together_stay_within_the_caps(stems):
    """Expansion moves what the EQ matched; the trim behind it may mend that, but not pass the caps of the settings."""
    pushed = 0
    for settings in (Equalizer(), Equalizer(most_db=3, least_db=-2)):
        whole = Settings(eq=settings, dynamics=Dynamics(expand=True, tolerance=0))
        for name, record in normalize(stems, RATE, settings=whole).records.items():
            first, trim = (np.array(record["steps"][step]["correction_db"]) for step in ("eq", "trim"))
            assert (first + trim).max() <= settings.most_db + 0.011 and (first + trim).min() >= settings.least_db - 0.011, name
            assert np.abs(trim).max() <= 6.001 and first.max() <= settings.most_db
            pushed += int(first.max() > settings.most_db - 0.1 and np.abs(trim).max() > 0.1)
    assert pushed >= 4


def test_the_trim_boosts_no_band_that_is_guarded(stems):
    settings = Settings(eq=Equalizer(guard_db=6), dynamics=Dynamics(expand=True, tolerance=0))
    mixture = sum(stems.values())
    for name, record in normalize(stems, RATE, settings=settings, mixture=mixture).records.items():
        guarded = guarded_bands(stems[name], mixture, RATE, 6)
        assert guarded.any() and "trim" in record["steps"], name
        for step in ("eq", "trim"):
            assert np.array(record["steps"][step]["correction_db"])[guarded].max() <= 0.0, (name, step)


def test_a_mixture_or_estimates_that_do_not_belong_to_the_stems_are_refused(stems):
    guard = Settings(eq=Equalizer(guard_db=30), dynamics=None)
    mixture = sum(stems.values())
    with pytest.raises(UsageError, match="the mixture"):
        normalize({"bass": stems["bass"]}, RATE, settings=guard, mixture=mixture[:, RATE:])
    with pytest.raises(UsageError, match="bass has no estimate"):
        normalize({"bass": stems["bass"]}, RATE, settings=guard, mixture=mixture, estimates={"drums": stems["drums"]})
    # what the separator returned decides, not what was made of it since
    drums = {"drums": stems["drums"]}
    by_itself = normalize(drums, RATE, settings=guard, mixture=mixture).records["drums"]["steps"]["eq"]
    faint = {"drums": 1e-4 * stems["drums"]}
    by_estimate = normalize(drums, RATE, settings=guard, mixture=mixture, estimates=faint).records["drums"]["steps"]["eq"]
    assert max(by_itself["correction_db"]) > 3 and max(by_estimate["correction_db"]) <= 0


def test_bands_that_hold_hiss_are_not_boosted(stems):
    mixture = sum(stems.values())
    hiss = 1e-4 * stream(7, "hiss").standard_normal(stems["bass"].shape).astype(np.float32)
    estimate = {"bass": stems["bass"] + hiss}
    targets = load_targets("musdb18")
    free = normalize(estimate, RATE, targets, NO_DYNAMICS, mixture=mixture).records["bass"]["steps"]["eq"]
    guarded = normalize(estimate, RATE, targets, NO_DYNAMICS.model_copy(update={"eq": Equalizer(guard_db=30)}), mixture=mixture).records[
        "bass"
    ]["steps"]["eq"]
    assert free["guarded_bands"] == 0 and guarded["guarded_bands"] > 5
    raised = np.array(guarded["correction_db"])[np.array(free["correction_db"]) > 6]
    assert raised.size and raised.min() <= 0.5


def test_static_steps_can_be_undone_and_others_refuse(stems):
    audio = Pan(position=0.2)(stems["other"], RATE)
    done, record = normalize_stem(audio, RATE, "other", load_targets("musdb18"), NO_DYNAMICS)
    back = undo(done, RATE, record)
    assert np.abs(change_db(audio, done, lowest_hz=100)).max() > 6
    assert np.abs(change_db(audio, back, lowest_hz=100)).max() < 0.5
    inside = slice(RATE, -RATE)  # what rings beyond the ends of a song is cut, so nothing can bring it back
    assert np.abs(change_db(audio[:, inside], back[:, inside], lowest_hz=100)).max() < 0.02
    error = np.sqrt(np.mean((back - audio)[:, inside] ** 2) / np.mean(audio[:, inside] ** 2))
    assert error < 0.001
    with pytest.raises(UsageError, match="reverb"):
        undo(audio, RATE, {"steps": {"reverb": {}}})
    with pytest.raises(UsageError, match="dynamics"):
        undo(audio, RATE, {"steps": {"dynamics": {"action": "compress"}}})
    assert undo(audio, RATE, {"status": "quiet"}) is audio


def test_distances_are_measured_after_the_whole_chain(stems):
    targets = load_targets("musdb18")
    done, record = normalize_stem(stems["drums"], RATE, "drums", targets, Settings())
    after, target = measure(done, RATE), targets.stems["drums"]
    assert record["distance"]["eq_db"][1] == pytest.approx(spectral_distance_db(after.spectrum_db, target.spectrum_db), abs=1e-3)
    assert record["distance"]["loudness_lu"][1] == pytest.approx(abs(after.loudness_lufs - target.loudness_lufs), abs=1e-3)
    assert record["after"]["loudness_lufs"] == pytest.approx(after.loudness_lufs, abs=0.01)
