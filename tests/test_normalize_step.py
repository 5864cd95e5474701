"""Normalization in recipes: what a dataset carries of it, fitting of targets, and the same done to a user's own stems."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

import mixdata
from conftest import SONGS, files_of, small_recipe
from mixdata.audio import resample
from mixdata.builder.fit import fit_recipe_targets
from mixdata.builder.replay import replay_examples
from mixdata.builder.run import plan_build
from mixdata.corpora import load_corpus
from mixdata.effects.impulse_responses import ImpulseResponses
from mixdata.errors import RecipeError, UsageError
from mixdata.normalization.eq import guarded_bands
from mixdata.normalization.features import measure
from mixdata.normalization.files import normalize_files, parse_stem, summary_lines, way_of
from mixdata.normalization.fit import fit_targets
from mixdata.normalization.normalize import normalize_stem
from mixdata.normalization.reverb import send_reverb
from mixdata.normalization.settings import Equalizer, Reverb
from mixdata.normalization.targets import load_targets
from mixdata.recipes import load_recipe
from mixdata.recipes.steps.normalize import Normalize, normalize
from mixdata.recipes.steps.wet_stems import WetStems, wet_stems
from mixdata.recipes.work import load_work, read_stereo
from mixdata.report.normalization import normalization_statistics
from mixdata.rng import stream

SMALL = ["sample_rate=16000", "segment.seconds=2", "output.shard=300kB"]
STEMS = ("vocals", "drums", "bass", "other")


def wet_recipe(*settings: str):
    """Return effect_normalization, small enough for tests."""
    return load_recipe("effect_normalization", [*SMALL, *settings])


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """Targets fitted on the test songs' train split, as a file."""
    path = tmp_path_factory.mktemp("targets") / "own.npz"
    fit_recipe_targets(wet_recipe(), [SONGS], workers=0, quiet=True).targets.save(path)
    return path


@pytest.fixture(scope="module")
def wet(tmp_path_factory, targets):
    """A small set of effect_normalization with targets of its own. Do not write into it."""
    out = tmp_path_factory.mktemp("wet") / "set"
    mixdata.build(wet_recipe(f"normalize.targets={targets}"), out, [SONGS], workers=0, quiet=True)
    return out


def test_the_target_is_the_wet_stems_and_their_sum_and_the_input_the_normalized_stems(wet, targets):
    dataset = mixdata.open_dataset(wet)
    example = dataset[0]
    assert list(example.roles) == ["input", "target"] and list(example.roles["target"]) == ["mixture", *STEMS]
    song = next(song for song in load_corpus(SONGS) if song.id == example.song)
    gain = 10 ** (dataset.songs.set_index("song").loc[example.song, "gain_mixture_db"] / 20)
    total = np.zeros_like(example.roles["target"]["mixture"])
    for stem in STEMS:
        true = song.stems[stem].read()[0][:, example.start : example.start + example.frames]
        true = np.repeat(true, 2, axis=0) if true.shape[0] == 1 else true
        assert np.abs(example.roles["target"][stem] - gain * true).max() < 1e-4
        total += example.roles["target"][stem]
        if np.abs(true).max() > 0.05:
            assert not np.allclose(example.roles["input"][stem], example.roles["target"][stem], atol=1e-3)
    assert np.abs(total - example.roles["target"]["mixture"]).max() < 1e-4


def test_the_targets_travel_with_the_dataset_and_are_hashed(wet, targets, tmp_path):
    assert load_targets(wet).sha256 == load_targets(targets).sha256
    meta = json.loads((wet / "dataset.json").read_text())
    assert set(meta["files"]) >= {"targets.npz", "recipe.yaml"}
    recipe = (wet / "recipe.yaml").read_text()
    assert "targets: targets.npz" in recipe and load_targets(targets).sha256 in recipe and str(targets.parent) not in recipe
    assert mixdata.verify(wet) == []
    copy = shutil.copytree(wet, tmp_path / "copy")
    load_targets("musdb18").save(copy / "targets.npz")
    assert any("targets.npz" in problem.where for problem in mixdata.verify(copy))
    (copy / "targets.npz").unlink()
    assert any("targets.npz" in problem.where for problem in mixdata.verify(copy))


def test_records_and_tables_say_what_was_done(wet):
    dataset = mixdata.open_dataset(wet)
    done = next(step for step in dataset[0].record["steps"] if step["step"] == "normalize")
    assert done["targets"]["sha256"] == load_targets(wet).sha256
    for stem, record in done["stems"].items():
        assert record["status"] == "normalized" and stem in STEMS
        assert set(record["distance"]) == {"eq_db", "dynamics_lu", "panning", "loudness_lu"}
        row = dataset.songs.set_index("song").loc[dataset[0].song]
        assert row[f"normalize_loudness_lu_{stem}_after"] == record["distance"]["loudness_lu"][1]
        assert row[f"normalize_eq_db_{stem}_before"] == record["distance"]["eq_db"][0]
    for stem in STEMS:  # relative to the mix, so never far above it
        assert dataset.songs[f"loudness_balance_{stem}"].dropna().between(-60, 3).all()


def test_the_same_bytes_for_any_number_of_workers(wet, targets, tmp_path):
    mixdata.build(wet_recipe(f"normalize.targets={targets}"), tmp_path / "set", [SONGS], workers=2, quiet=True)
    assert files_of(tmp_path / "set") == files_of(wet)


def test_examples_come_out_of_the_recipe_again(wet):
    assert replay_examples(wet, 3, [SONGS]) == []


def test_a_dataset_s_own_recipe_builds_the_same_set_again(wet, tmp_path):
    again = mixdata.build(load_recipe(wet / "recipe.yaml"), tmp_path / "set", [SONGS], workers=0, quiet=True)
    assert again.meta["identity"] == mixdata.open_dataset(wet).meta["identity"]


def test_targets_lie_beside_the_recipe_or_else_where_the_user_is(tmp_path, monkeypatch, targets):
    shutil.copy(targets, tmp_path / "targets.npz")
    monkeypatch.chdir(tmp_path)
    assert wet_recipe("normalize.targets=targets.npz").pinned().identity() == wet_recipe(f"normalize.targets={targets}").pinned().identity()


def test_other_targets_are_another_dataset_and_wrong_ones_are_refused(targets, wet):
    own, published = wet_recipe(f"normalize.targets={targets}"), wet_recipe()
    assert own.pinned().identity() != published.pinned().identity() and own.fingerprints() != published.fingerprints()
    assert "targets: musdb18" in published.pinned().to_yaml() and "targets: targets.npz" in own.pinned().to_yaml()
    sha256 = load_targets(targets).sha256
    with pytest.raises(UsageError, match="not those of this recipe"):
        wet_recipe(f"normalize.targets_sha256={sha256}").pinned()
    with pytest.raises(UsageError, match="there are no targets"):
        wet_recipe("normalize.targets=missing.npz").pinned()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["normalize.role=target"], "must go on summing"),
        (["normalize.eq.most=3"], "did you mean 'most_db'"),
        (["normalize.panning.mode=wide"], "panning.mode"),
        (["normalize.eq.least_db=5"], "less than or equal to 0"),
        (["normalize.reverb=null", "normalize.impulse_responses=rooms"], "reverb, which is off"),
        (["wet_stems.take=[mixture]"], "cannot be a stem's name"),
    ],
)
def test_mistakes_in_the_recipe_are_named(settings, message):
    with pytest.raises(RecipeError, match=message):
        wet_recipe(*settings)


def test_two_steps_with_different_targets_are_refused(tmp_path, targets):
    (tmp_path / "r.yaml").write_text(
        "name: r\nsteps: [{wet_stems: {}}, {normalize: {eq: null}}, "
        f"{{normalize: {{targets: {targets}}}, as: again}}, {{segment: {{}}}}]\n"
    )
    with pytest.raises(RecipeError, match="all must use the same targets"):
        load_recipe(tmp_path / "r.yaml")


def test_two_steps_measure_into_columns_of_their_own(tmp_path, targets):
    """A step's `as:` is in its columns, so that two that work on the same stems do not overwrite each other's."""
    (tmp_path / "r.yaml").write_text(
        "name: r\ncorpora: [synth]\nsample_rate: 16000\nsteps: [{wet_stems: {}}, "
        "{normalize: {eq: null, dynamics: null, panning: null}}, {normalize: {loudness: null, dynamics: null}, as: again}, "
        "{segment: {seconds: 2}}]\n"
    )
    dataset = mixdata.build(load_recipe(tmp_path / "r.yaml"), tmp_path / "set", [SONGS], workers=0, quiet=True)
    done = {step["step"]: step["stems"] for step in dataset[0].record["steps"] if "stems" in step and "targets" in step}
    assert list(done) == ["normalize", "again"] and list(done["again"]["drums"]["steps"]) == ["eq", "panning"]
    row = dataset.songs.set_index("song").loc[dataset[0].song]
    for label, prefix in (("normalize", "normalize"), ("again", "normalize_again")):
        for feature, (before, after) in done[label]["drums"]["distance"].items():
            assert row[f"{prefix}_{feature}_drums_before"] == before and row[f"{prefix}_{feature}_drums_after"] == after
    assert row["normalize_again_eq_db_drums_after"] < row["normalize_eq_db_drums_after"]
    found = {stem["stem"] for stem in normalization_statistics(dataset)["distances"]}
    assert {"drums", "drums (again)"} <= found
    with pytest.raises(UsageError, match=r"more than once \(normalize, again\)"):
        way_of(dataset.path)


def test_a_recipe_that_used_impulse_responses_says_which_and_is_not_built_without_them(tmp_path, own_stems):
    """They stay on the machine; without them the reverb would silently be noise."""
    rooms, random = tmp_path / "rooms", stream(1, "rooms")
    rooms.mkdir()
    for name in ("a", "b", "c"):
        decay = np.exp(-np.arange(4000) / 600)[:, None] * random.standard_normal((4000, 2))
        soundfile.write(rooms / f"{name}.wav", 0.1 * decay, 16_000, subtype="FLOAT")
    with_rooms = f"normalize.impulse_responses={rooms}"
    dataset = mixdata.build(wet_recipe(with_rooms), tmp_path / "set", [SONGS], workers=0, quiet=True)
    recipe = (dataset.path / "recipe.yaml").read_text()
    assert str(tmp_path) not in recipe and "responses_sha256: null" not in recipe
    done = next(step for step in dataset[0].record["steps"] if step["step"] == "normalize")["stems"]
    assert any("convolution" in json.dumps(each["steps"].get("reverb", {})) for each in done.values())
    again = load_recipe(dataset.path / "recipe.yaml")
    with pytest.raises(UsageError, match=r"reverb uses impulse responses .* their folder is not given"):
        again.pinned()
    assert ["impulse responses" in problem.what for problem in replay_examples(dataset.path, 1, [SONGS])] == [True]
    assert replay_examples(dataset.path, 1, [SONGS], settings=[with_rooms]) == []
    assert load_recipe(dataset.path / "recipe.yaml", [with_rooms]).pinned().identity() == wet_recipe(with_rooms).pinned().identity()
    vocals = [("vocals", own_stems[1] / "vocals.wav")]
    with pytest.raises(UsageError, match="impulse_responses=FOLDER"):
        normalize_files(vocals, tmp_path / "out", dataset.path)
    assert "reverb" not in normalize_files(vocals, tmp_path / "out", dataset.path, {"reverb": None})["vocals.wav"]["steps"]
    found = normalize_files(vocals, tmp_path / "out", dataset.path, {"impulse_responses": str(rooms)})
    assert "convolution" in json.dumps(found["vocals.wav"]["steps"]["reverb"])
    assert load_recipe(dataset.path / "recipe.yaml", ["normalize.reverb=null"]).pinned()  # what is left out needs none
    identity = wet_recipe(with_rooms).identity()
    (rooms / "c.wav").unlink()
    with pytest.raises(UsageError, match="holds others"):
        load_recipe(dataset.path / "recipe.yaml", [with_rooms]).pinned()
    (rooms / "b.wav").unlink()
    assert wet_recipe(with_rooms).identity() != identity


@pytest.fixture
def work():
    """The first song before the first step."""
    return load_work(next(iter(load_corpus(SONGS))), "train", 16_000, 3)


def test_wet_stems_are_input_and_target_and_say_how_far_the_mix_is_from_their_sum(work):
    params = WetStems(take=[*STEMS, "piano"])
    summed = work.mixture.copy()
    wet_stems(work, params, "wet_stems")
    stems = {name: read_stereo(track, 16_000, []) for name, track in work.song.stems.items()}
    assert list(work.roles["input"]) == [*STEMS, "piano"] and list(work.roles["target"]) == ["mixture", *STEMS, "piano"]
    for role in ("input", "target"):
        assert all(np.array_equal(work.roles[role][stem], stems[stem]) for stem in STEMS) and not work.roles[role]["piano"].any()
        assert {stem: work.active[role][stem] for stem in params.take} == {stem: stem != "piano" for stem in params.take}
    assert any(not work.activity[stem].all() for stem in STEMS)  # to sound at times is to exist
    assert np.allclose(work.roles["target"]["mixture"], sum(stems.values()), atol=1e-6) and work.active["target"]["mixture"]
    assert work.measures["sum_difference_db"] is None or work.measures["sum_difference_db"] < -100
    assert work.history[-1] == {"step": "wet_stems", "made_of": {**{s: [s] for s in STEMS}, "piano": []}, "source": work.song.wet}
    assert wet_recipe().sums() == ["target"] and wet_recipe().roles()["target"] == ["mixture", *STEMS]
    for mixture in ("sum", "published"):
        work.mixture = 0.8 * summed
        wet_stems(work, WetStems(mixture=mixture), "wet_stems")
        assert work.measures["sum_difference_db"] == pytest.approx(20 * np.log10(0.2 / 0.8), abs=0.01)
        level = 1.0 if mixture == "sum" else 0.8
        assert np.allclose(work.roles["target"]["mixture"], level * summed, atol=1e-6)


def test_the_step_normalizes_each_active_stem_by_itself_and_guards_it_by_the_target(work):
    """By hand: the stem's own draws, and hiss judged on the target's stems and mix, as the input's may carry bleed by now."""
    wet_stems(work, WetStems(), "wet_stems")
    work.active["input"]["drums"] = False
    work.roles["target"]["bass"] = 0.01 * work.roles["target"]["bass"]
    work.mixture = 100 * work.mixture
    before, targets = dict(work.roles["input"]), load_targets("musdb18")
    params = Normalize(reverb=Reverb(), eq=Equalizer(guard_db=20))
    normalize(work, params, "again")
    assert work.roles["input"]["drums"] is before["drums"] and "drums" not in work.history[-1]["stems"]
    assert work.history[-1]["step"] == "again" and work.history[-1]["targets"] == {"name": targets.about["name"], "sha256": targets.sha256}
    for stem in ("vocals", "bass", "other"):
        target = work.roles["target"]
        no_boost = guarded_bands(target[stem], target["mixture"], 16_000, 20)
        generator = stream(3, work.song.sha256, "again", stem)
        done, record = normalize_stem(before[stem], 16_000, stem, targets, params, no_boost=no_boost, generator=generator)
        assert np.array_equal(work.roles["input"][stem], done) and work.history[-1]["stems"][stem] == record
        assert ("reverb" in record["steps"]) == (stem != "bass")
        assert work.measures[f"normalize_again_eq_db_{stem}_before"] == record["distance"]["eq_db"][0]


def test_a_split_hears_rooms_of_its_own(work, tmp_path):
    for name in ("a", "b", "c", "d", "e", "f"):
        room = np.exp(-np.arange(2000) / 400)[:, None] * stream(4, name).standard_normal((2000, 2))
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * room, 16_000, subtype="FLOAT")
    wet_stems(work, WetStems(), "wet_stems")
    work.shares = {"train": 0.34, "valid": 0.33, "test": 0.33}
    heard = {}
    for split in work.shares:
        work.split = split
        allowed = {response.sha256 for response in ImpulseResponses.open(tmp_path).for_split(split, work.shares)}
        heard[split] = set()
        for number in range(6):
            only_reverb = Normalize(reverb=Reverb(), impulse_responses=str(tmp_path), eq=None, dynamics=None, panning=None, loudness=None)
            normalize(work, only_reverb, f"n{number}")
            text = json.dumps(work.history[-1])
            heard[split] |= {response.sha256 for response in ImpulseResponses.open(tmp_path).responses if response.sha256 in text}
        assert heard[split] and heard[split] <= allowed
    assert not set.intersection(*heard.values())


def test_a_published_mix_is_kept_as_it_is(tmp_path):
    """A mix that is not the sum of its stems: mastered, say. The set then promises no sum."""
    song = next(iter(load_corpus(SONGS)))
    folder = tmp_path / "songs" / "Some Song"
    folder.mkdir(parents=True)
    mixture = 0.5 * np.tanh(3 * song.mixture.read()[0])
    soundfile.write(folder / "mixture.wav", mixture.T, 16_000, subtype="FLOAT")
    for name, track in song.stems.items():
        soundfile.write(folder / f"{name}.wav", track.read()[0].T, 16_000, subtype="FLOAT")
    settings = ["wet_stems.mixture=published", "mix_loudness.loudness=null", "output.codec=flac24"]
    dataset = mixdata.build(wet_recipe(*settings), tmp_path / "set", [f"folder:{folder.parent}"], workers=0, quiet=True)
    assert dataset.meta["sums"] == []
    example = dataset[0]
    assert np.abs(example.roles["target"]["mixture"] - mixture[:, : example.frames]).max() < 1e-5
    assert dataset.songs["sum_difference_db"].iloc[0] > -30
    assert mixdata.verify(dataset.path) == []


def test_fitting_uses_the_train_split_alone(targets):
    plan_songs = {song.id: song for song in load_corpus(SONGS)}
    train = [song for song in plan_songs.values() if song.split == "train"]
    if not train:  # the split is the planner's: those it put into train
        train = [planned.song for planned in plan_build(wet_recipe(), [SONGS], quiet=True).songs if planned.split == "train"]
    assert 0 < len(train) < len(plan_songs)
    stems = [{name: track.read()[0] for name, track in song.stems.items()} for song in train]
    wanted = fit_targets([{k: np.repeat(a, 2, 0) if len(a) == 1 else a for k, a in each.items()} for each in stems], 16_000)
    found = load_targets(targets)
    for stem in STEMS:
        assert found.stems[stem].songs == wanted.stems[stem].songs
        assert np.allclose(found.stems[stem].spectrum_db, wanted.stems[stem].spectrum_db, atol=1e-6, equal_nan=True)
        assert found.stems[stem].onset_peak_lu == pytest.approx(wanted.stems[stem].onset_peak_lu, abs=1e-6)
    assert found.about["licence"] == "; ".join(sorted({song.licence for song in train}))
    assert f"the train split of synth ({len(train)} songs); recipe effect_normalization, {len(train)} songs used" in found.about["source"]


def test_fitting_takes_what_the_recipe_makes_and_any_number_of_workers():
    recipe = small_recipe("separate.cache=off")
    alone = fit_recipe_targets(recipe, [SONGS], workers=0, quiet=True)
    many = fit_recipe_targets(recipe, [SONGS], workers=2, quiet=True)
    assert alone.targets.to_bytes() == many.targets.to_bytes() and alone.songs == many.songs > 0
    true = fit_recipe_targets(wet_recipe(), [SONGS], workers=0, quiet=True)
    assert true.targets.stems["bass"].loudness_lufs != alone.targets.stems["bass"].loudness_lufs
    with pytest.raises(UsageError, match="no normalize step"):
        fit_recipe_targets(load_recipe("dry_stems"), [SONGS], quiet=True)


def test_fitting_leaves_out_what_the_build_leaves_alone():
    """Stems that the recipe says do not sound, and those that its `quiet_dbfs` calls too quiet."""
    everything = fit_recipe_targets(wet_recipe(), [SONGS], workers=0, quiet=True)
    counts = {stem: target.songs for stem, target in everything.targets.stems.items()}
    gated = fit_recipe_targets(wet_recipe("wet_stems.relative_lu=1"), [SONGS], workers=0, quiet=True).targets.stems
    assert sum(target.songs for target in gated.values()) < sum(counts.values())
    peaks = {}
    for planned in plan_build(wet_recipe(), [SONGS], quiet=True).songs:
        if planned.split == "train":
            for stem, track in planned.song.stems.items():
                peaks.setdefault(stem, []).append(20 * np.log10(np.abs(track.read()[0]).max()))
    middle = float(np.median(np.concatenate(list(peaks.values()))))
    loud = fit_recipe_targets(wet_recipe(f"normalize.quiet_dbfs={middle}"), [SONGS], workers=0, quiet=True).targets.stems
    assert {stem: target.songs for stem, target in loud.items()} == {s: n for s, p in peaks.items() if (n := sum(x >= middle for x in p))}
    with pytest.raises(UsageError, match="workers must be at least 0"):
        fit_recipe_targets(wet_recipe(), [SONGS], workers=-1, quiet=True)
    with pytest.raises(UsageError, match=r"none of the .* songs is in the train split"):
        fit_recipe_targets(wet_recipe("splits={test: 1.0}"), [SONGS], workers=0, quiet=True)


def test_songs_that_cannot_be_fitted_to_are_named(tmp_path):
    folder = tmp_path / "songs"
    for number, song in enumerate(load_corpus(SONGS)):
        (folder / f"Song {number}").mkdir(parents=True)
        for name, track in song.stems.items():
            soundfile.write(folder / f"Song {number}" / f"{name}.wav", track.read()[0].T, 16_000, subtype="FLOAT")
    soundfile.write(folder / "mix only.wav", 0.1 * np.ones((40_000, 2)), 16_000)
    (folder / "text.wav").write_text("not audio")
    fitted = fit_recipe_targets(wet_recipe("splits={train: 1.0}"), [f"folder:{folder}"], workers=0, quiet=True)
    assert fitted.songs == 5
    assert [(title, reason) for title, reason, _ in fitted.skipped] == [("text", "not_audio"), ("mix only", "no_stems")]
    assert "(6 songs)" in fitted.targets.about["source"] and "5 songs used" in fitted.targets.about["source"]
    only = tmp_path / "only"
    shutil.copytree(folder, only, ignore=lambda _, names: [name for name in names if name.startswith("Song")])
    with pytest.raises(
        UsageError, match=r"no song of the train split can be used:\n  text\.wav: not an audio file.*\n  mix only: the song has"
    ):
        fit_recipe_targets(wet_recipe("splits={train: 1.0}"), [f"folder:{only}"], workers=0, quiet=True)


# A user's own stems


@pytest.fixture(scope="module")
def own_stems(tmp_path_factory):
    """The first song's stems as files."""
    folder = tmp_path_factory.mktemp("own")
    song = next(iter(load_corpus(SONGS)))
    for name, track in song.stems.items():
        soundfile.write(folder / f"{name}.wav", track.read()[0].T, 16_000, subtype="FLOAT")
    return song, folder


def test_a_user_s_stems_come_out_as_the_dataset_s_inputs_are(own_stems, tmp_path, targets):
    song, folder = own_stems
    settings = [f"normalize.targets={targets}", "normalize.reverb=null", "normalize.eq.most_db=9", "output.codec=flac24"]
    dataset = mixdata.build(wet_recipe(*settings), tmp_path / "set", [SONGS], workers=0, quiet=True)
    records = normalize_files([(name, folder / f"{name}.wav") for name in STEMS], tmp_path / "out", dataset.path)
    rows = dataset.examples[dataset.examples["song"] == song.id]
    for stem in STEMS:
        written, rate = soundfile.read(tmp_path / "out" / f"{stem}.wav", dtype="float32", always_2d=True)
        assert rate == 16_000 and records[f"{stem}.wav"]["status"] == "normalized"
        for key in rows["key"]:
            example = dataset.load(key)
            expected = example.roles["input"][stem]
            assert np.abs(written.T[:, example.start : example.start + example.frames] - expected).max() < 2e-6, stem
    saved = json.loads((tmp_path / "out" / "normalization.json").read_text())
    assert saved["stems"] == json.loads(json.dumps(records)) and saved["settings"]["eq"]["most_db"] == 9


def test_files_are_resampled_to_the_dataset_and_else_keep_their_rate(own_stems, wet, tmp_path):
    audio, _ = soundfile.read(own_stems[1] / "drums.wav", always_2d=True)
    soundfile.write(tmp_path / "drums.wav", audio[:32_000], 32_000, subtype="FLOAT")
    normalize_files([("drums", tmp_path / "drums.wav")], tmp_path / "a", wet)
    normalize_files([("drums", tmp_path / "drums.wav")], tmp_path / "b", "musdb18")
    assert soundfile.info(tmp_path / "a" / "drums.wav").samplerate == 16_000
    assert soundfile.info(tmp_path / "b" / "drums.wav").samplerate == 32_000
    assert soundfile.info(tmp_path / "b" / "drums.wav").channels == 2 and soundfile.info(tmp_path / "b" / "drums.wav").subtype == "FLOAT"


def test_settings_can_be_changed_and_reverb_is_drawn_the_same_each_time(own_stems, wet, tmp_path):
    vocals = [("vocals", own_stems[1] / "vocals.wav")]
    assert way_of(wet).settings.reverb is not None  # as the recipe has it
    one = normalize_files(vocals, tmp_path / "a", wet)
    two = normalize_files(vocals, tmp_path / "b", wet)
    assert one == two and "reverb" in one["vocals.wav"]["steps"]
    assert (tmp_path / "a" / "vocals.wav").read_bytes() == (tmp_path / "b" / "vocals.wav").read_bytes()
    mono = normalize_files(vocals, tmp_path / "c", wet, {"panning.mode": "mono", "reverb": None})
    assert "reverb" not in mono["vocals.wav"]["steps"]
    audio, _ = soundfile.read(tmp_path / "c" / "vocals.wav", always_2d=True)
    assert np.array_equal(audio[:, 0], audio[:, 1])
    assert way_of("musdb18", {"reverb.send_db": -6.0}).settings.reverb.send_db == -6.0  # a step that was off
    for changes in ({"nothing.x": 1}, {"panning.mde": "mono"}, {"eq.most_db": "loud"}, {"nothing": 1}, {"quiet_dbfs.x": 1}):
        with pytest.raises(UsageError):
            normalize_files(vocals, tmp_path / "d", wet, changes)


def test_what_cannot_be_normalized_is_said_before_anything_is_written(own_stems, tmp_path):
    _, folder = own_stems
    with pytest.raises(UsageError, match="different names"):
        normalize_files([("vocals", folder / "vocals.wav"), ("other", tmp_path / "vocals.flac")], tmp_path / "out")
    with pytest.raises(UsageError, match="its own place"):
        normalize_files([("vocals", folder / "vocals.wav")], folder)
    with pytest.raises(UsageError, match="no files"):
        normalize_files([], tmp_path / "out")
    with pytest.raises(mixdata.errors.MixdataError, match=r"nowhere\.wav"):
        normalize_files([("vocals", tmp_path / "nowhere.wav")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_file_is_looked_at_before_the_first_is_written(own_stems, tmp_path):
    _, folder = own_stems
    good = ("drums", folder / "drums.wav")
    soundfile.write(tmp_path / "five.wav", np.zeros((16_000, 5)) + 0.1, 16_000)
    (tmp_path / "text.wav").write_text("not audio")
    for path, message in (
        (tmp_path / "nowhere.wav", "no such file"),
        (tmp_path / "five.wav", "5 channels"),
        (tmp_path / "text.wav", "not an audio"),
    ):
        with pytest.raises(mixdata.errors.MixdataError, match=message):
            normalize_files([good, ("vocals", path)], tmp_path / "out")
        with pytest.raises(mixdata.errors.MixdataError, match=message):
            normalize_files([good], tmp_path / "out", mixture=path)
    for kind in ("Lead Vox", "", "a/b", "\x1b[2J"):
        with pytest.raises(UsageError, match="cannot be a stem's name"):
            normalize_files([good, (kind, folder / "vocals.wav")], tmp_path / "out")
    with pytest.raises(UsageError, match="its own place"):  # nor does a result take the mixture's
        normalize_files([good], folder / "x" / "..", mixture=folder / "vocals.wav", settings={"eq": None})
    soundfile.write(tmp_path / "drums.wav", np.zeros((16_000, 2)) + 0.1, 16_000)
    with pytest.raises(UsageError, match="its own place"):
        normalize_files([("drums", folder / "drums.wav")], tmp_path, mixture=tmp_path / "drums.wav")
    assert not (tmp_path / "out").exists()
    seconds = soundfile.info(folder / "drums.wav").duration
    soundfile.write(tmp_path / "longer.wav", np.zeros((round(16_000 * (seconds + 0.2)), 2)) + 0.1, 16_000)
    with pytest.raises(UsageError, match=r"lasts .* s and the mixture"):
        normalize_files([good], tmp_path / "out", mixture=tmp_path / "longer.wav")


def test_a_given_mixture_turns_the_guard_on_at_any_rate(own_stems, tmp_path):
    """Under a mix 60 dB louder every band is hiss, and none is boosted."""
    _, folder = own_stems
    audio, rate = soundfile.read(folder / "drums.wav", always_2d=True)
    noise = stream(2, "mix").standard_normal((len(audio), 2))
    soundfile.write(tmp_path / "mix.wav", noise, rate, subtype="FLOAT")
    soundfile.write(tmp_path / "other.wav", resample(noise.T, rate, 44_100).T, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "drums.wav", 1e-2 * audio, rate, subtype="FLOAT")
    drums, settings = [("drums", tmp_path / "drums.wav")], {"quiet_dbfs": -120.0, "dynamics": None}
    free = normalize_files(drums, tmp_path / "a", settings=settings)["drums.wav"]["steps"]["eq"]
    one = normalize_files(drums, tmp_path / "b", settings=settings, mixture=tmp_path / "mix.wav")["drums.wav"]["steps"]["eq"]
    two = normalize_files(drums, tmp_path / "c", settings=settings, mixture=tmp_path / "other.wav")["drums.wav"]["steps"]["eq"]
    assert max(free["correction_db"]) > 6 and free["guarded_bands"] == 0
    assert max(one["correction_db"]) <= 0 and max(two["correction_db"]) <= 0
    assert json.loads((tmp_path / "b" / "normalization.json").read_text())["settings"]["eq"]["guard_db"] == 30
    # each stem is compared at its own rate: what lies over 8 kHz in one of 44.1 kHz is not judged by a mix read at 16 kHz
    low = signal.sosfiltfilt(signal.butter(1, 300, output="sos", fs=44_100), resample(noise.T, rate, 44_100)).T
    soundfile.write(tmp_path / "bass.wav", 0.1 * low, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "full.wav", stream(3, "full").standard_normal(low.shape), 44_100, subtype="FLOAT")
    both = [*drums, ("vocals", tmp_path / "bass.wav")]
    for mixture, highest in ((None, 6), (tmp_path / "full.wav", 0)):
        found = normalize_files(both, tmp_path / "f", settings=settings, mixture=mixture)["bass.wav"]["steps"]["eq"]["correction_db"]
        assert (max(found[-12:]) > highest) if mixture is None else (max(found[-12:]) <= highest)
    wide = normalize_files(drums, tmp_path / "d", settings=settings | {"eq.guard_db": 120.0}, mixture=tmp_path / "mix.wav")["drums.wav"]
    assert max(wide["steps"]["eq"]["correction_db"]) > 6  # what is set holds
    without = normalize_files(drums, tmp_path / "e", settings=settings | {"eq": None}, mixture=tmp_path / "mix.wav")["drums.wav"]
    assert "eq" not in without["steps"]


def test_a_dataset_with_other_targets_than_its_recipe_names_is_refused(own_stems, wet, tmp_path):
    copy = shutil.copytree(wet, tmp_path / "copy")
    assert way_of(copy).targets.sha256 == way_of(wet).targets.sha256
    load_targets("musdb18").save(copy / "targets.npz")
    with pytest.raises(UsageError, match=r"targets\.npz is not what its recipe was built with"):
        way_of(copy)


def test_the_way_is_that_of_the_step_that_normalizes_the_inputs(own_stems, tmp_path):
    """Its label and the recipe's seed key the draws of the reverb, together with the file's content and the stem's kind."""
    first = "{stems: {}}, {normalize: {role: dry}, as: of_dry}"
    second = "{normalize: {role: input, reverb: {stems: [vocals]}, eq: null, quiet_dbfs: -33}, as: evened}"
    text = f"name: r\nseed: 7\nsample_rate: 16000\nsteps: [{{wet_stems: {{}}}}, {first}, {second}, {{segment: {{}}}}]\n"
    (tmp_path / "recipe.yaml").write_text(text)
    load_targets("musdb18").save(tmp_path / "targets.npz")
    way = way_of(tmp_path)
    assert (way.seed, way.label, way.sample_rate, way.settings.eq, way.settings.quiet_dbfs) == (7, "evened", 16_000, None, -33)
    vocals = own_stems[1] / "vocals.wav"
    done = normalize_files([("vocals", vocals)], tmp_path / "out", tmp_path)["vocals.wav"]["steps"]["reverb"]
    audio, rate = soundfile.read(vocals, dtype="float32", always_2d=True)
    stereo = np.repeat(audio.T, 2, axis=0) if audio.shape[1] == 1 else audio.T
    generator = stream(7, hashlib.sha256(vocals.read_bytes()).hexdigest(), "evened", "vocals")
    assert done == send_reverb(np.ascontiguousarray(stereo), rate, way.settings.reverb, generator)[1]
    (tmp_path / "recipe.yaml").write_text("name: r\nsteps: [{stems: {}}, {normalize: {role: dry, eq: null}}, {segment: {}}]\n")
    assert way_of(tmp_path).settings.eq is None and way_of(tmp_path).label == "normalize"  # where no step does, that of another role


def test_a_name_of_targets_is_not_a_folder_of_that_name(wet, tmp_path, monkeypatch):
    shutil.copytree(wet, tmp_path / "musdb18")
    monkeypatch.chdir(tmp_path)
    assert way_of("musdb18") == way_of("musdb18", {}) and way_of("musdb18").sample_rate is None
    assert way_of("musdb18").targets.sha256 == load_targets("musdb18").sha256
    assert way_of("./musdb18").sample_rate == 16_000 and way_of("./musdb18").targets.sha256 == load_targets(wet).sha256


def test_a_stem_brought_to_the_target_of_another_kind_is_told_so(own_stems, tmp_path):
    records = normalize_files([("vocal", own_stems[1] / "vocals.wav"), ("drums", own_stems[1] / "drums.wav")], tmp_path / "out")
    lines = summary_lines(records)
    assert lines[0].startswith("vocals.wav (vocal, as other): ") and lines[1].startswith("drums.wav (drums): ")


def test_the_summary_says_what_was_done_and_obeys_no_name():
    left = {"a\x1b[2J.wav": {"status": "quiet"}, "b.wav": {"status": "no_target"}}
    assert summary_lines(left) == ["a�[2J.wav: left as it is: too quiet to be measured", "b.wav: left as it is: there is no target for it"]
    effect = {"effect": "compressor", "ratio": 2.5, "threshold_db": -20.0}
    steps = {
        "eq": {"correction_db": [1.0, -3.25, 4.0]},
        "dynamics": {"action": "compress", "effect": effect},
        "loudness": {"gain_db": -2.0, "limited_by_peak": True},
    }
    distance = {"eq_db": [4.0, 1.0], "dynamics_lu": [2.0, None], "panning": [0.1, 0.02], "loudness_lu": [3.0, 0.0]}
    record = {"status": "normalized", "stem": "bass", "target": "bass", "steps": steps, "distance": distance}
    parts = "EQ -3.2 to +4.0 dB, compressor 2.5:1 at -20.0 dB, gain -2.0 dB (peaks allow no more)"
    far = "EQ 4.00 → 1.00 dB, panning 0.10 → 0.02, loudness 3.00 → 0.00 LU"
    assert summary_lines({"c.wav": record}) == [f"c.wav (bass): {parts}; from the target: {far}"]
    steps["dynamics"]["action"], steps["loudness"]["limited_by_peak"] = "none", False
    assert "compressor" not in summary_lines({"c.wav": record})[0] and "allow" not in summary_lines({"c.wav": record})[0]


def test_names_that_are_no_utf_8_are_written_readably(own_stems, tmp_path):
    name = b"dr\xffms.wav".decode("utf-8", "surrogateescape")
    shutil.copy(own_stems[1] / "drums.wav", tmp_path / name)
    records = normalize_files([("drums", tmp_path / name)], tmp_path / "out")
    assert list(records) == ["dr�ms.wav"] and (tmp_path / "out" / name).exists()
    assert list(json.loads((tmp_path / "out" / "normalization.json").read_text())["stems"]) == ["dr�ms.wav"]


def test_a_file_s_name_says_its_stem_or_the_user_does():
    assert parse_stem("a/Vox.wav")[0] == "vocals" and parse_stem("drums=b/c.flac")[0] == "drums"
    assert parse_stem("./take=1/drums.wav") == ("drums", Path("./take=1/drums.wav"))
    with pytest.raises(UsageError, match="which stem is it"):
        parse_stem("=take.wav")
    with pytest.raises(UsageError, match="which stem is it"):
        parse_stem("take 7.wav")


# The command line


def run(*arguments: str, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "mixdata.cli", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300)


def test_the_command_line_fits_shows_and_normalizes(own_stems, tmp_path):
    made = run("targets", "fit", "-c", SONGS, "-o", "t.npz", "--set", "sample_rate=16000", "-j", "0", cwd=tmp_path)
    assert made.returncode == 0 and "wrote t.npz" in made.stdout, made.stderr
    shown = run("targets", "show", "t.npz", "--json", cwd=tmp_path)
    assert set(json.loads(shown.stdout)["stems"]) == set(STEMS), shown.stderr
    done = run("normalize", str(own_stems[1] / "drums.wav"), f"other={own_stems[1] / 'bass.wav'}", "-t", "t.npz", cwd=tmp_path)
    assert done.returncode == 0 and "drums.wav (drums)" in done.stdout and "from the target" in done.stdout, done.stderr
    assert (tmp_path / "normalized" / "bass.wav").exists()
    wrong = run("normalize", "guitar solo.wav", cwd=tmp_path)
    assert wrong.returncode == 2 and "which stem" in wrong.stderr and "Traceback" not in wrong.stderr
    missing = run("normalize", "vocals=nothing.wav", cwd=tmp_path)
    assert missing.returncode in (1, 2) and "nothing.wav" in missing.stderr and "Traceback" not in missing.stderr
    unknown = run("targets", "show", "musdb81")
    assert unknown.returncode == 2 and "did you mean" in unknown.stderr


def test_stems_left_on_their_targets_are_measured_so(wet):
    """The inputs of the set, read back, have the features that their records say."""
    dataset = mixdata.open_dataset(wet)
    song = dataset.examples["song"].iloc[0]
    rows = dataset.examples[dataset.examples["song"] == song].sort_values("block")
    whole = np.concatenate([dataset.load(key).roles["input"]["other"] for key in rows["key"]], axis=1)
    record = next(step for step in dataset.load(rows["key"].iloc[0]).record["steps"] if step["step"] == "normalize")["stems"]["other"]
    found = measure(whole, 16_000)
    assert found.loudness_lufs == pytest.approx(record["after"]["loudness_lufs"], abs=0.1)
    assert found.onset_peak_lu == pytest.approx(record["after"]["onset_peak_lu"], abs=0.3)
